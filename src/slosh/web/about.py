"""What the server has of its own: its health, its counts, and the pages' files, under `/-/` and `/view/`."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from slosh import __version__
from slosh.compiled import is_compiled
from slosh.engine.base import Engine
from slosh.errors import ALLOW_FILES, Draining, MethodNotAllowed, NotFound
from slosh.web.action import Action
from slosh.web.asking import TOPICS, parse_names
from slosh.web.connection import Connection
from slosh.web.edge import Edge
from slosh.web.files import NO_CACHE, is_known, send_file
from slosh.web.head import Head
from slosh.web.response import NO_SNIFF, NO_STORE, field

_TEXT: Final = b"Content-Type: text/plain; charset=utf-8\r\n" + NO_STORE + NO_SNIFF
_FOLDER: Final = Path(__file__).with_name("view")
_FILES: Final = {
    f"/-/{name}": _FOLDER / name
    for name in (
        "chart.js",
        "lines.js",
        "numbers.js",
        "slosh.js",
        "slosh.svg",
        "view.css",
        "view.js",
        "uplot/LICENSE",
        "uplot/uPlot.esm.js",
        "uplot/uPlot.min.css",
    )
}

_CLIENT: Final = "/-/slosh.js"
_PUBLIC: Final = field("Access-Control-Allow-Origin", "*")
"""The client is no secret, and browsers import modules of another origin by CORS alone (WHATWG Fetch §3.3)."""

VIEW: Final = "/view/"
_PAGE: Final = _FOLDER / "view.html"
_PAGE_FIELDS: Final = field(
    "Content-Security-Policy",
    # The page shows what strangers post: whatever slipped in as markup could run nothing and reach nobody else.
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; object-src 'none'",
)


def route_about(engine: Engine, head: Head, max_body: int) -> Action:
    """Choose what to do for a path under `/-/`.

    Raises:
        NotFound, MethodNotAllowed: as they say.
    """
    actions: dict[str, type[Healthy | Ready | Metrics]] = {
        "/-/healthy": Healthy,
        "/-/ready": Ready,
        "/-/metrics": Metrics,
    }
    if head.path in actions:
        _check_method(head)
        return actions[head.path](engine, max_body)
    if head.path in _FILES:
        _check_method(head)
        return OwnFile(_FILES[head.path], _PUBLIC if head.path == _CLIENT else b"", max_body)
    raise NotFound


def route_view(head: Head, max_body: int) -> Action:
    """The viewer, for a path under `/view/`: the same page whatever follows, which its script reads and polls.

    Nothing of the engine is touched: it is the poll that makes a topic active, not the page.

    Raises:
        BadTopic, BadRequest: what follows is no topic, pattern or list of them, as for `/topics/`.
        MethodNotAllowed: it is only looked at.
    """
    _check_method(head)
    name = head.path.removeprefix(VIEW)
    parse_names(TOPICS + name)
    return ViewPage(name.count("/"), max_body)


def _check_method(head: Head) -> None:
    if head.method not in ("GET", "HEAD"):
        raise MethodNotAllowed(ALLOW_FILES)


class _About(Action):
    """An action that looks at the engine and the edge."""

    __slots__ = ("engine", "max_body")

    def __init__(self, engine: Engine, max_body: int) -> None:
        self.engine = engine
        self.max_body = max_body


class Healthy(_About):
    """Liveness: whoever answers lives."""

    __slots__ = ()

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002
        """Say so."""
        connection.respond(200, _TEXT, b"ok\n")


class Ready(_About):
    """Readiness: whether new clients should be sent here."""

    __slots__ = ()

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002
        """Say so, or why not.

        Raises:
            Draining, Unavailable: not now; the detail says why.
        """
        error = Draining("This server is going down.") if connection.edge.draining else self.engine.trouble()
        if error is not None:
            raise error
        connection.respond(200, _TEXT, b"ready\n")


class OwnFile(Action):
    """A file that comes with the server.

    Args:
        path: where it is.
        extra: further header lines.
        max_body: bytes of a body that is read and means nothing.
    """

    __slots__ = ("_extra", "_path", "max_body")

    def __init__(self, path: Path, extra: bytes, max_body: int) -> None:
        self._path = path
        self._extra = extra
        self.max_body = max_body

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002
        """Send it."""
        send_file(connection, self._path, self._extra)


class ViewPage(Action):
    """The viewer's page. Its links are relative, so that it works below a proxy's prefix that nobody told us of.

    Args:
        depth: slashes in the topic's name as it stands in the URL: so much higher is the folder of the server.
        max_body: bytes of a body that is read and means nothing.
    """

    __slots__ = ("_depth", "max_body")

    def __init__(self, depth: int, max_body: int) -> None:
        self._depth = depth
        self.max_body = max_body

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002
        """Send it, unless the client has it already."""
        page, tag = _page(self._depth)
        fields = field("ETag", tag) + NO_CACHE + NO_SNIFF + _PAGE_FIELDS
        if is_known(connection.head, tag):
            connection.respond(304, fields, b"")
        else:
            connection.respond(200, fields + field("Content-Type", "text/html; charset=utf-8"), page)


def _page(depth: int) -> tuple[bytes, str]:
    """The page for names with so many slashes, and its entity tag."""
    page = _PAGE.read_bytes().replace(b'="../', b'="../' + b"../" * depth)
    return page, f'"{sha256(page).hexdigest()[:24]}"'


class Metrics(_About):
    """The counts, in the text format of Prometheus."""

    __slots__ = ()

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002
        """Gather and send them."""
        registry = CollectorRegistry()
        registry.register(_Counts(self.engine, connection.edge))
        connection.respond(200, field("Content-Type", CONTENT_TYPE_LATEST) + NO_STORE, generate_latest(registry))


class _Counts(Collector):
    """Counts are plain integers where they happen; they become metrics when somebody looks."""

    def __init__(self, engine: Engine, edge: Edge) -> None:
        self._engine = engine
        self._edge = edge

    def collect(self) -> Iterator[Metric]:
        edge, hub = self._edge, self._engine.hub
        counters = (
            ("slosh_published_messages", "Messages taken from publishers.", hub.published),
            ("slosh_fell_off_messages", "Messages that fell off a full ring (queue, queue_bytes).", hub.fell_off),
            ("slosh_answers", "Answers given to readers.", edge.answers),
            ("slosh_timeouts", "Answers given because time was up (default_wait, max_wait).", edge.timeouts),
            (
                "slosh_portions",
                "Answers and parts of streams that left something for the next (portion).",
                hub.portions,
            ),
            ("slosh_ended_topics", "Topics that ended, mostly because nobody watched (linger).", hub.ended),
            ("slosh_delivered_messages", "Messages given to readers, each reader counted.", edge.delivered),
            ("slosh_lost_messages", "Messages that readers were told they missed.", edge.lost),
            ("slosh_forgotten_keys", "Idempotency keys forgotten early (max_keys).", self._engine.forgotten_keys),
            ("slosh_requests", "Requests answered.", edge.requests),
            ("slosh_turns", "Portions of what clients sent beyond their first request at a time.", edge.turns.taken),
            ("slosh_connections_accepted", "Connections accepted.", edge.accepted),
        )
        gauges = (
            ("slosh_topics", "Topics held.", len(hub)),
            ("slosh_watchers", "Held polls and open streams.", hub.watching),
            ("slosh_connections", "Open connections.", len(edge.connections)),
            (
                "slosh_engine_up",
                "Whether messages can be taken: 0 while the store is out of reach or takes none.",
                int(self._engine.ready()),
            ),
            ("slosh_ring_bytes", "Bytes of messages kept.", sum(topic.size for topic in hub)),
        )
        build = {"version": __version__, "compiled": "yes" if is_compiled() else "no"}
        yield InfoMetricFamily("slosh_build", "Which slosh this is.", value=build)
        for name, about, value in counters:
            yield CounterMetricFamily(name, about, value=value)
        for name, about, value in gauges:
            yield GaugeMetricFamily(name, about, value=value)
        yield _labelled("slosh_refused", "Requests refused, by the error's code.", "code", edge.refused)
        yield _labelled(
            "slosh_closed", "Connections and streams closed for a bound's sake, by which.", "reason", edge.closed
        )


def _labelled(name: str, about: str, label: str, counts: dict[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, about, labels=[label])
    for value, count in sorted(counts.items()):
        family.add_metric([value], count)
    return family
