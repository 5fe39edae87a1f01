"""Which URL does what. Decided from the head alone, so the decision is remembered with it."""

from typing import Final

from slosh.core.names import check_name
from slosh.engine.base import Engine
from slosh.errors import MethodNotAllowed
from slosh.settings import Settings
from slosh.web.about import route_about
from slosh.web.asking import TOPICS, Asked, Format
from slosh.web.connection import Connection
from slosh.web.edge import Action
from slosh.web.eventsource import EventSource
from slosh.web.files import DocumentRoot, ServeFile
from slosh.web.head import Head
from slosh.web.longpoll import LongPoll, Peek
from slosh.web.ndjson import NdjsonStream
from slosh.web.publish import Publish
from slosh.web.query import decode
from slosh.web.reader import Reader
from slosh.web.response import field
from slosh.web.websocket import WebSocket

ABOUT: Final = "/-/"
ALLOW_TOPIC: Final = "GET, HEAD, POST, OPTIONS"


_READERS: Final[dict[Format, type[Reader]]] = {
    Format.JSON: LongPoll,
    Format.SSE: EventSource,
    Format.NDJSON: NdjsonStream,
    Format.WEBSOCKET: WebSocket,
}


class Routes:
    """The application: topics, what the server says of itself, and the document root.

    Args:
        engine: where messages live.
        root: the document root.
        settings: the bounds.
    """

    def __init__(self, engine: Engine, root: DocumentRoot, settings: Settings) -> None:
        self._engine = engine
        self._root = root
        self._settings = settings

    def route(self, head: Head) -> Action:
        """Choose the action for a request.

        Raises:
            SloshError: there is none.
        """
        if head.method == "OPTIONS":
            return Options(ALLOW_TOPIC if head.path.startswith(TOPICS) or head.path == "*" else "GET, HEAD, OPTIONS")
        if head.path.startswith(TOPICS):
            return self._route_topic(head)
        if head.path.startswith(ABOUT):
            return route_about(self._engine, head, self._settings.max_body)
        return ServeFile(self._root, head, self._settings.max_body)

    def _route_topic(self, head: Head) -> Action:
        if head.method in ("GET", "HEAD"):
            asked = Asked(head, self._settings)
            reader = Peek if head.method == "HEAD" else _READERS[asked.format]
            return reader(self._engine, self._settings, asked, b"")
        if head.method == "POST":
            name = check_name(decode(head.path.removeprefix(TOPICS), "topic's name"))
            return Publish(self._engine, self._settings, name, head)
        raise MethodNotAllowed(ALLOW_TOPIC)


class Options:
    """The action of OPTIONS: which methods there are (RFC 9110 §9.3.7)."""

    __slots__ = ("_allow", "max_body")

    def __init__(self, allow: str) -> None:
        self._allow = allow
        self.max_body = 0

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002 - it has none
        """Say so."""
        connection.respond(204, field("Allow", self._allow), b"")
