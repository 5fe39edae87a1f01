"""A chart of a topic in a notebook: `slosh.chart("kitchen")`, which moves while messages come.

It is the element `<slosh-chart>` in an anywidget, so it works in JupyterLab and wherever else anywidgets do. The
browser reads the topics itself, from the server that it can reach, so the server has to allow the notebook's origin:
`slosh serve --origins http://localhost:8888`.
"""

import os
from functools import cache
from typing import TYPE_CHECKING, Final

from slosh.client.addresses import find_url, socket_path
from slosh.client.errors import BadUse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anywidget import AnyWidget

_SCRIPT: Final = """
async function render({ model, el }) {
  const server = model.get("server");
  try {
    await import(`${server}/-/chart.js`);
  } catch {
    el.textContent = `slosh.chart: this browser gets nothing from ${server}. Give the address that it reaches.`;
    return;
  }
  const chart = document.createElement("slosh-chart");
  const show = () => {
    const options = { ...model.get("options"), server };
    for (const name of chart.getAttributeNames()) {
      if (name !== "token" && !(name in options)) chart.removeAttribute(name);
    }
    for (const [name, value] of Object.entries(options)) chart.setAttribute(name, value);
  };
  model.on("change:options", show);
  // Whether there is a token is known before the topic is asked for.
  const take = ({ token }) => {
    if (token) chart.setAttribute("token", token);
    show();
    el.append(chart);
  };
  model.on("msg:custom", take);
  model.send({ ask: "token" });
  return () => {
    model.off("change:options", show);
    model.off("msg:custom", take);
    chart.remove();
  };
}
export default { render };
"""


@cache
def _widget_class() -> "type[AnyWidget]":
    try:
        import anywidget  # noqa: PLC0415 - optional, and slow to import
        import traitlets  # noqa: PLC0415 - comes with it
    except ImportError as error:
        raise BadUse("slosh.chart needs anywidget: pip install 'slosh-server[notebook]'.") from error

    class Chart(anywidget.AnyWidget):
        """What `chart` gives. Assign to `options` to change it."""

        _esm = _SCRIPT
        server = traitlets.Unicode().tag(sync=True)
        options = traitlets.Dict().tag(sync=True)

        def __init__(self, server: str, options: dict[str, str], token: str) -> None:
            super().__init__(server=server, options=options)
            # Sent when the browser asks, and no part of the widget's state: that is saved with the notebook.
            self.on_msg(lambda *_: self.send({"token": token}))

    return Chart


def chart(  # noqa: PLR0913 - as many as the element has attributes
    *topics: str,
    span: str = "1m",
    fields: "Sequence[str] | None" = None,
    by: str | None = None,
    x: str | None = None,
    smooth: float = 0.0,
    log: bool = False,
    zero: bool = False,
    heading: str | None = None,
    height: int = 240,
    server: str | None = None,
    token: str | None = None,
) -> "AnyWidget":
    """A live chart for the end of a notebook's cell.

    Args:
        topics: names or patterns, as in `/view/<name>`.
        span: how much of the past is shown: `10m`, or `all`.
        fields: paths into the messages: only these are drawn.
        by: the member whose values have a line each.
        x: the member that is the x axis, instead of the time.
        smooth: 0 to 0.98: how much each point follows the one before it.
        log: whether the axis is logarithmic.
        zero: whether the axis begins at zero.
        heading: words above it; the topics, if none are given.
        height: of the chart, in pixels.
        server: the server's address as the browser reaches it; None for SLOSH_URL, else this machine's port 8000.
        token: None for SLOSH_TOKEN, if that is set. It is not saved in the notebook.

    Raises:
        BadUse: no topic, an address that is not valid, or anywidget is not installed.
    """
    if not topics or not all(topics):
        raise BadUse('chart needs a topic: slosh.chart("kitchen").')
    given = {
        "topic": ",".join(topics),
        "span": span,
        "fields": ",".join(fields or ()),
        "by": by,
        "x": x,
        "smooth": str(smooth) if smooth else "",
        "heading": heading,
        "height": str(height),
    }
    options = {name: text for name, text in given.items() if text or (name == "by" and text is not None)}
    flags = {name: "" for name, is_on in (("log", log), ("zero", zero)) if is_on}
    address = find_url(server)
    if socket_path(address):
        raise BadUse(f"A browser does not reach {address}; give server=… an address that it does, as http://host:8000.")
    return _widget_class()(address, options | flags, os.environ.get("SLOSH_TOKEN", "") if token is None else token)
