"""What the server has of its own: its health, its counts, and the pages' files, under `/-/` and `/view/`."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import parse_qsl

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from slosh.access.rights import Rights
from slosh.compiled import is_compiled
from slosh.core.topic import Shared
from slosh.durations import FORMS, parse_duration
from slosh.engine.base import Engine
from slosh.errors import ALLOW_FILES, POSTED_TO_TOPICS, BadQuery, Draining, MethodNotAllowed, NotFound, SloshError
from slosh.http1.connection import Connection
from slosh.http1.exchange import Exchange
from slosh.http1.handler import Action
from slosh.http1.head import Head
from slosh.http1.response import NO_SNIFF, NO_STORE, field
from slosh.http1.state import ServerState
from slosh.version import __version__
from slosh.web.overview.process import TopicCounts, collect_classes, collect_process, collect_times
from slosh.web.pages.assets import Asset, OwnFile, pack, send_asset, without_indentation
from slosh.web.query import TOPICS
from slosh.web.readers.request import parse_key, parse_names
from slosh.web.readers.state import ReaderState

_TEXT: Final = b"Content-Type: text/plain; charset=utf-8\r\n" + NO_STORE + NO_SNIFF
_WEB: Final = Path(__file__).parents[1]
_FOLDER: Final = _WEB / "view"
FILES: Final = {
    f"/-/{path.relative_to(folder).as_posix()}": path
    for folder in (_WEB / "static", _FOLDER)
    for path in sorted(folder.rglob("*"))
    if path.suffix in (".js", ".ts", ".css", ".svg") or path.name == "LICENSE"
}
"""What pages load from here: its path in an address, and where it is."""
_PUBLIC: Final = field("Access-Control-Allow-Origin", "*")
"""They are no secret, and browsers import modules of another origin by CORS alone (WHATWG Fetch §3.3)."""

_AT_A_TIME: Final = 4096
"""Topics that are looked at in one turn for the metrics; some ms."""

VIEW: Final = "/view/"
_PAGE: Final = _FOLDER / "view.html"
_TOPICS_PAGE: Final = _FOLDER / "topics.html"
_POLICY: Final = "default-src 'self'; base-uri 'none'; form-action 'none'; object-src 'none'; frame-ancestors "
"""The page shows what strangers post: whatever slipped in as markup could run nothing and reach nobody else."""


def route_pages(engine: Engine, readers: ReaderState, head: Head, max_body: int) -> Action:
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
        return actions[head.path](engine, readers, max_body)
    if head.path in FILES:
        _check_method(head)
        return OwnFile(FILES[head.path], _PUBLIC, max_body)
    raise NotFound


def route_view(head: Head, ancestors: str, max_body: int) -> Action:
    """The viewer, for a path under `/view/`, the list of topics if nothing follows, and what leads to it from `/view`.

    The page is the same whatever follows, which its script reads.

    Nothing of the engine is touched: it is the script's request that makes a topic active, not the page.

    Args:
        head: of the request.
        ancestors: which pages may show it in a frame, as `frame_ancestors` gives them.
        max_body: bytes of a body that is read and means nothing.

    Raises:
        BadTopic, BadRequest: what follows is no topic, pattern or list of them, as for `/topics/`.
        BadQuery: `span` or `key` is not valid.
        MethodNotAllowed: it is only looked at.
    """
    _check_method(head)
    if head.path == VIEW[:-1]:
        return ToTopicsPage(head, max_body)
    name = head.path.removeprefix(VIEW)
    if name:
        parse_names(TOPICS + name)
    _check_parameters(head.query)
    return ViewPage(_PAGE if name else _TOPICS_PAGE, name.count("/"), ancestors, max_body)


class ToTopicsPage(Action):
    """The action for the page of the topics without its slash: a redirect to it.

    It leads to the last segment alone, whatever a proxy has cut off in front and whatever host was asked for.
    """

    __slots__ = ("_location", "max_body")

    is_open: ClassVar[bool] = True

    def __init__(self, head: Head, max_body: int) -> None:
        self._location = VIEW[1:] + ("?" + head.query if head.query else "")
        self.max_body = max_body

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002 - a GET's body means nothing
        """Tell where it is."""
        connection.respond(301, field("Location", self._location) + NO_STORE, b"")


def _check_parameters(query: str) -> None:
    """Check that those of the page's parameters make sense which it would else leave aside without a word.

    They may be many: the page writes what is chosen on it into its address. Of one that comes twice the first counts,
    there too.

    Raises:
        BadQuery: one does not.
    """
    first = dict(reversed(parse_qsl(query, keep_blank_values=True)))
    for name, value in first.items():
        if not value:
            continue  # as if it were not there
        if name == "key":
            parse_key({name: value})
        elif name == "span" and value != "all" and not parse_duration(value):
            raise BadQuery(
                name, f"span is how much of the past the page shows: {FORMS} above 0; or all that is kept: all."
            )


def _check_method(head: Head) -> None:
    if head.method not in ("GET", "HEAD"):
        raise MethodNotAllowed(ALLOW_FILES, POSTED_TO_TOPICS)


class _About(Action):
    """An action that looks at the engine and the server's state."""

    __slots__ = ("engine", "max_body", "readers")

    def __init__(self, engine: Engine, readers: ReaderState, max_body: int) -> None:
        self.readers = readers
        self.engine = engine
        self.max_body = max_body


class Healthy(_About):
    """Liveness: a server that answers is alive."""

    __slots__ = ()

    is_open: ClassVar[bool] = True

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002 - it has none, here and below
        """Say so."""
        connection.respond(200, _TEXT, b"ok\n")


class Ready(_About):
    """Readiness: whether new clients should be sent here."""

    __slots__ = ()

    is_open: ClassVar[bool] = True

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002
        """Say so, or why not.

        Raises:
            Draining, Unavailable: not now; the detail says why.
        """
        error = Draining() if connection.server.draining else self.engine.trouble()
        if error is not None:
            raise error
        connection.respond(200, _TEXT, b"ready\n")


class ViewPage(Action):
    """A page of the viewer. Its links are relative, so that it works below a proxy's prefix that nobody told us of.

    Args:
        page: its file.
        depth: slashes in the topic's name as it stands in the URL: so much higher is the folder of the server.
        ancestors: which pages may show it in a frame.
        max_body: bytes of a body that is read and means nothing.
    """

    __slots__ = ("_ancestors", "_depth", "_page", "max_body")

    is_open: ClassVar[bool] = True

    def __init__(self, page: Path, depth: int, ancestors: str, max_body: int) -> None:
        self._page = page
        self._depth = depth
        self._ancestors = ancestors
        self.max_body = max_body

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002
        """Send it, unless the client has it already."""
        policy = field("Content-Security-Policy", _POLICY + self._ancestors)
        send_asset(connection, _load_page(self._page, self._depth), policy)


@lru_cache(maxsize=64)
def _load_page(page: Path, depth: int) -> Asset:
    """A page for names with this many slashes."""
    text = without_indentation(page.read_text(encoding="utf-8"))
    return pack("text/html; charset=utf-8", text.replace('="../', '="../' + "../" * depth).encode())


class Metrics(_About):
    """The counts, in the text format of Prometheus."""

    __slots__ = ()

    takes_time: bool = True

    def is_allowed(self, rights: Rights, variable: object | None) -> bool:  # noqa: ARG002 - it has no variable part
        """They tell of all topics together, so they are for who may read all."""
        return rights.reads_all

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002
        """Gather and send them."""
        counts = TopicCounts(self.engine.hub)
        if counts.go_on(_AT_A_TIME):
            self.tell(connection, counts)
        else:
            _Gathering(connection, self, counts).start()

    def tell(self, connection: Connection, topics: TopicCounts) -> None:
        """Send them; `topics` has looked at all."""
        registry = CollectorRegistry()
        registry.register(_Counts(self.engine, self.readers, connection.server, topics))
        connection.respond(200, field("Content-Type", CONTENT_TYPE_LATEST) + NO_STORE, generate_latest(registry))


class _Gathering(Exchange):
    """Metrics for which very many topics are looked at, over several turns."""

    __slots__ = ("_action", "_connection", "_counts")

    outlives_eof: ClassVar[bool] = True

    def __init__(self, connection: Connection, action: Metrics, counts: TopicCounts) -> None:
        self._connection = connection
        self._action = action
        self._counts = counts

    def start(self) -> None:
        """Go on in the next turn."""
        self._connection.hold(self)
        self._action.engine.hub.put_off(self._go_on)

    def _go_on(self, shared: Shared) -> None:  # noqa: ARG002 - as the hub calls it
        hub = self._action.engine.hub
        if not self._connection.is_held_by(self):
            return
        hub.room = 0  # It takes the time of a whole turn.
        if self._counts.go_on(_AT_A_TIME):
            self._action.tell(self._connection, self._counts)
        else:
            hub.put_off(self._go_on)

    def revoke(self, error: SloshError) -> None:
        """As the base says."""
        self._connection.refuse(error)


class _Counts(Collector):
    """Counts are plain integers where they happen; they become metrics when somebody looks."""

    def __init__(self, engine: Engine, readers: ReaderState, server: ServerState, topics: TopicCounts) -> None:
        self._readers = readers
        self._engine = engine
        self._state = server
        self._topics = topics

    def collect(self) -> Iterator[Metric]:
        build = {"version": __version__, "compiled": "yes" if is_compiled() else "no"}
        yield InfoMetricFamily("slosh_build", "Which slosh this is.", value=build)
        for name, about, count in self._counts():
            yield CounterMetricFamily(name, about, value=count)
        for name, about, level in self._levels():
            yield GaugeMetricFamily(name, about, value=level)
        yield from collect_process()
        yield from collect_times(self._engine.hub, self._state)
        yield from collect_classes(self._engine.hub, self._topics)
        yield _labelled("slosh_refused", "Requests refused, by the error's code.", "code", self._state.refused)
        about = "Connections and streams closed for a bound's sake, by which."
        yield _labelled("slosh_closed", about, "reason", self._state.closed)

    def _counts(self) -> tuple[tuple[str, str, int], ...]:
        """What was counted since the start: name, help and number."""
        server, readers, hub = self._state, self._readers, self._engine.hub
        return (
            ("slosh_published_messages", "Messages taken from publishers.", hub.published),
            ("slosh_fell_off_messages", "Messages that fell off a full ring (queue, queue_bytes).", hub.fell_off),
            (
                "slosh_shortened_messages",
                "Messages that fell off rings that nobody watched, for want of memory (max_bytes).",
                hub.reclaiming.fell_off,
            ),
            (
                "slosh_history_unlisted_numbers",
                "Numbers that are in no history because their topics had too many series (max_series).",
                hub.histories.unlisted,
            ),
            (
                "slosh_history_missed_messages",
                "Messages that are in no history because they came faster than they could be looked into.",
                hub.histories.missed,
            ),
            ("slosh_answers", "Answers given to readers.", readers.answers),
            ("slosh_timeouts", "Answers given because time was up (default_wait, max_wait).", readers.timeouts),
            (
                "slosh_portions",
                "Answers and parts of streams that left something for the next (portion).",
                hub.portions,
            ),
            ("slosh_opened_topics", "Topics that a publisher created (?open).", hub.opened),
            ("slosh_finished_topics", "Topics that a publisher ended (?end, DELETE).", hub.finished),
            ("slosh_ended_topics", "Topics that ended, mostly because nobody watched (linger).", hub.ended),
            ("slosh_delivered_messages", "Messages given to readers, each reader counted.", readers.delivered),
            ("slosh_lost_messages", "Messages that readers were told they missed.", readers.lost),
            ("slosh_forgotten_keys", "Idempotency keys forgotten early (max_keys).", self._engine.forgotten_keys),
            ("slosh_requests", "Requests answered.", server.requests),
            ("slosh_turns", "Portions of what clients sent beyond their first request at a time.", server.turns.taken),
            (
                "slosh_accept_failures",
                "Looks, at most one a second, that found no file left to accept a client with (ulimit -n).",
                server.shortage.found,
            ),
            ("slosh_connections_accepted", "Connections accepted.", server.accepted),
        )

    def _levels(self) -> tuple[tuple[str, str, int], ...]:
        """What is so just now: name, help and number."""
        server, hub = self._state, self._engine.hub
        return (
            ("slosh_topics", "Topics held.", len(hub)),
            ("slosh_watchers", "Held polls and open streams.", self._topics.watchers),
            ("slosh_connections", "Open connections.", len(server.connections)),
            (
                "slosh_engine_up",
                "Whether messages can be taken: 0 while the store is out of reach or takes none.",
                int(self._engine.ready()),
            ),
            ("slosh_ring_bytes", "Bytes of messages kept.", self._topics.size),
            ("slosh_held_bytes", "Bytes that rings and histories take, of max_bytes.", hub.budget.held),
            ("slosh_max_bytes", "Bytes that they may take (max_bytes).", hub.bounds.max_bytes),
            ("slosh_max_connections", "Connections that there may be (max_connections).", server.max_connections),
        )


def _labelled(name: str, about: str, label: str, counts: dict[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, about, labels=[label])
    for value, count in sorted(counts.items()):
        family.add_metric([value], count)
    return family
