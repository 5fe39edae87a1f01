"""The pages of examples/ and example/ in light and in dark: each text stands out from what is behind it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from slosh.client import Client
from tests.conftest import need
from tests.e2e.conftest import Slosh, trying

need("module:playwright")
from tests.e2e.gallery import EXAMPLES, serving  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

pytestmark = pytest.mark.long  # it opens each page twice; the other tests of the examples look at each once

PAGES = Path(__file__).parents[2] / "example"
LEAST = 4.5
"""The contrast that text of this size must have (WCAG 2.2, 1.4.3)."""
#: Messages for each example, and text that its page shows for them.
QUAKE = {"seconds": 1, "longitude": 1, "latitude": 1, "magnitude": 5, "depth_km": 9, "place": "Here"}
FED: dict[str, tuple[str, tuple[Any, ...], str]] = {
    "": ("", (), "Examples to take"),
    "chat/": ("chat/lobby", ({"from": "Ada", "text": "Hello"},), "Hello"),
    "earthquakes/": ("quakes", (QUAKE,), "Here"),
    "generation/#answer/1": ("answer/1", ("Once", " upon"), "Once upon"),
    "log-tail/#log/app": ("log/app", ("INFO one", "WARN two", "ERROR three"), "three"),
    "machine/": ("machine/a", ({"cpu_percent": 1}, {"cpu_percent": 2}), "Machines"),
    "poll/": ("poll/result", ({"votes": {"Tea": 2, "Coffee": 1}},), "votes"),
    "training/": ("runs/a", ({"step": 0, "loss": 2}, {"step": 1, "loss": 1}), "Training runs"),
}
#: The page's luminance, and each text whose contrast is too low, with its colours. Backgrounds are put over each other
#: as the browser does it, from the canvas upwards; opacity lets what is behind shine through.
LOOK = """(least) => {
  const swatch = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    swatch.clearRect(0, 0, 1, 1);
    swatch.fillStyle = colour;
    swatch.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = swatch.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = ([red, green, blue, alpha], below) =>
    [red, green, blue].map((value, i) => value * alpha + below[i] * (1 - alpha));
  const linear = (share) => (share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4);
  const luminance = (colour) => {
    const [red, green, blue] = colour.map((value) => linear(value / 255));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = (one, other) => {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  const probe = document.documentElement.appendChild(document.createElement("i"));
  probe.style.background = "Canvas";
  const canvas = rgba(getComputedStyle(probe).backgroundColor);
  probe.remove();
  const parentOf = (each) => each.assignedSlot ?? each.parentElement ?? each.getRootNode().host;
  const backdrop = (each) =>
    each ? over(rgba(getComputedStyle(each).backgroundColor), backdrop(parentOf(each))) : canvas;
  const opacity = (each) => (each ? Number(getComputedStyle(each).opacity) * opacity(parentOf(each)) : 1);
  const found = [];
  const check = (each, text, colour) => {
    const behind = backdrop(each);
    const [red, green, blue, alpha] = rgba(colour);
    const ratio = contrast(over([red, green, blue, alpha * opacity(each)], behind), behind);
    if (ratio < least) found.push(`${text}: ${colour} on ${behind.map(Math.round)} is ${ratio.toFixed(2)}`);
  };
  let count = 0;
  const look = (root) => {
    for (const each of root.querySelectorAll("*")) {
      if (each.shadowRoot) look(each.shadowRoot);
      const isSeen = each.checkVisibility({ opacityProperty: true, visibilityProperty: true });
      if (!isSeen || each.closest("svg, :disabled")) continue;
      const texts = [...each.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE);
      const own = texts.map(({ data }) => data.trim()).join("");
      const text = own || each.value || each.placeholder;
      if (typeof text !== "string" || !text || !each.getClientRects().length) continue;
      count++;
      check(each, text.slice(0, 40), getComputedStyle(each, own || each.value ? null : "::placeholder").color);
    }
  };
  look(document.body);
  return { page: luminance(backdrop(document.body)), texts: count, found };
}"""
TEXT = """(text) => {
  const roots = (root) => [...root.querySelectorAll("*")].map((each) => each.shadowRoot).filter(Boolean);
  const all = (root) => [root.textContent, ...roots(root).map(all)].join();
  return all(document.body).includes(text);
}"""


def test_each_page_is_looked_at() -> None:
    folders = {f"{page.parent.relative_to(EXAMPLES)}/" for page in EXAMPLES.rglob("index.html")}
    assert {path.partition("#")[0] or "./" for path in FED} == folders


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_text_can_be_read(
    scheme: str, serve: Callable[..., Slosh], new_context: "Callable[..., BrowserContext]", tmp_path: Path
) -> None:
    page = new_context(color_scheme=scheme, reduced_motion="reduce").new_page()

    def look(address: str, text: str) -> None:
        page.goto(address)
        page.wait_for_function(TEXT, arg=text)
        seen = page.evaluate(LOOK, LEAST)
        assert seen["found"] == []
        assert seen["texts"] > 1
        assert (seen["page"] < 0.1) == (scheme == "dark"), "a page is wholly light or wholly dark"

    with serving(tmp_path) as url, Client(url) as client:
        for path, (topic, messages, text) in FED.items():
            with trying(path):
                for message in messages:
                    assert client.publish(topic, message, open=True)
                look(f"{url}/{path}", text)
    pages = serve(root=PAGES)
    for file in PAGES.glob("*.html"):
        with trying(file.name):
            look(f"{pages.url}/{file.name}", "slosh")
