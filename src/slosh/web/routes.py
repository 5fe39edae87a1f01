"""Which URL does what. Decided from the head alone, so the decision is remembered with it."""

import re
from collections.abc import Collection
from typing import Final

from slosh.core.names import MAX_NAME_BYTES, check_name
from slosh.engine.base import Engine
from slosh.errors import ForeignOrigin, MethodNotAllowed, SloshError
from slosh.settings import Settings
from slosh.web.about import VIEW, route_about, route_view
from slosh.web.action import Action, Application, ByTrust, Refusal
from slosh.web.asking import TOPICS, Asked, Format
from slosh.web.connection import Connection
from slosh.web.eventsource import EventSource
from slosh.web.files import DocumentRoot, ServeFile
from slosh.web.head import Head
from slosh.web.hosts import Hosts
from slosh.web.interest import CountWatchers, ListTopics, TopicNews, WatchTopics
from slosh.web.longpoll import LongPoll, Peek
from slosh.web.ndjson import NdjsonStream
from slosh.web.origins import Origins
from slosh.web.proxies import find_prefix
from slosh.web.publish import PLAIN_NAME, choose_publish
from slosh.web.query import LISTING, PUBLISHING, READING, decode, ignored_field, parse_query
from slosh.web.reader import PLAIN_CURSOR, Reader
from slosh.web.response import field
from slosh.web.websocket import WebSocket

ABOUT: Final = "/-/"
LIST: Final = "/topics"
ALLOW_TOPIC: Final = "GET, HEAD, POST, OPTIONS"
ALLOW_LOOK: Final = "GET, HEAD, OPTIONS"


_POLL: Final = re.compile(
    rb"GET /topics/[A-Za-z0-9._~/-]+\?(?:(?!since=)[A-Za-z0-9._~-]+=[A-Za-z0-9._~-]*&)*"
    rb"since=(" + PLAIN_CURSOR + rb")"
    rb"(?:&[A-Za-z0-9._~-]+=[A-Za-z0-9._~-]*)* HTTP/1\.1\r\n"
)
_POST: Final = re.compile(rb"POST /topics/(" + PLAIN_NAME + rb") HTTP/1\.1\r\n")

_READERS: Final[dict[Format, type[Reader]]] = {
    Format.JSON: LongPoll,
    Format.SSE: EventSource,
    Format.NDJSON: NdjsonStream,
    Format.WEBSOCKET: WebSocket,
}


class Routes(Application):
    """The application: topics, what the server says of itself, and the document root.

    Args:
        engine: where messages live.
        root: the document root.
        settings: the bounds, and whose pages may do what.
        direct: the ports of listeners that are reached from this machine only; see `Hosts`.

    Raises:
        SettingError: the setting `origins` or `hosts` has something that is none.
    """

    def __init__(self, engine: Engine, root: DocumentRoot, settings: Settings, direct: Collection[int] = ()) -> None:
        self._engine = engine
        self._root = root
        self._news = TopicNews(engine)
        self._settings = settings
        self._origins = Origins(settings.origins)
        self._hosts = Hosts(settings.hosts, settings.host, direct)

    def route(self, head: Head) -> Action:
        """Choose the action for a request."""
        action = self._route(head, "")
        prefix = find_prefix(head)
        return ByTrust(self._route(head, prefix), action) if prefix and not isinstance(action, Refusal) else action

    def _route(self, head: Head, prefix: str) -> Action:
        """The same, where a proxy has cut `prefix` off in front of the path."""
        fields = b""
        try:
            self._hosts.check(head)
            if head.path == LIST or head.path.startswith(TOPICS):
                fields = self._origins.fields(head)
                return self._route_topics(head, fields, prefix)
            if head.method == "OPTIONS":
                return Options(ALLOW_TOPIC if head.path == "*" else ALLOW_LOOK, b"")
            if head.path.startswith(ABOUT):
                return route_about(self._engine, head, self._settings.max_body)
            if head.path.startswith(VIEW) and self._settings.view == "on":
                return route_view(head, self._settings.max_body)
            return ServeFile(self._root, head, self._settings.max_body, prefix)
        except SloshError as error:
            return Refusal(error, self._settings.max_body, fields + _tell_ignored(head))

    def split(self, block: bytes) -> tuple[int, int]:
        """The changing part of a long-poll is its cursor, that of a publish the name of its topic.

        The patterns take only what reads the same in every parser, and is decided in the same way, with anything else
        of its kind in that place: plain characters, HTTP/1.1; the first `since`, an offset below 10**15; a sound name.
        """
        match = _POLL.match(block) or _POST.match(block)
        if match is None or len(match[1]) > MAX_NAME_BYTES:
            return 0, 0
        return match.span(1)

    def _route_topics(self, head: Head, fields: bytes, prefix: str) -> Action:
        engine, settings = self._engine, self._settings
        if head.method == "OPTIONS":
            return Options(ALLOW_TOPIC, self._origins.preflight_fields(head))
        if head.path == LIST:
            return self._route_list(head, fields)
        if head.method == "POST":
            self._check_origin(head)
            name = check_name(decode(head.path.removeprefix(TOPICS), "topic's name"))
            return choose_publish(engine, settings, name, head, fields)
        if head.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(ALLOW_TOPIC)
        asked = Asked(head, settings, prefix, self._origins.same_site(head))
        fields += asked.ignored
        if "watchers" in asked.parameters:
            return CountWatchers(engine, settings, asked, fields)
        if head.method == "HEAD":
            return Peek(engine, settings, asked, fields)
        if asked.format is Format.WEBSOCKET:
            self._check_origin(head)
        return _READERS[asked.format](engine, settings, asked, fields)

    def _route_list(self, head: Head, fields: bytes) -> Action:
        if head.method not in ("GET", "HEAD"):
            advice = " Name the topic to publish to: POST /topics/<name>." if head.method == "POST" else ""
            raise MethodNotAllowed(ALLOW_LOOK, advice)
        parameters = parse_query(head.query)
        fields += ignored_field(parameters, LISTING)
        if "watch" in parameters and head.method == "GET":
            return WatchTopics(self._engine, self._news, self._settings, head, fields)
        return ListTopics(self._engine, self._settings, parameters, fields)

    def _check_origin(self, head: Head) -> None:
        if not self._origins.may_write(head):
            raise ForeignOrigin("Pages of this origin may not do that here; the setting origins lists those that may.")


def _tell_ignored(head: Head) -> bytes:
    """The `Slosh-Ignored` line of a refusal by the head alone."""
    if not head.query or not (head.path + "/").startswith(TOPICS):
        return b""
    known = LISTING if head.path == LIST else PUBLISHING if head.method == "POST" else READING
    try:
        return ignored_field(parse_query(head.query), known)
    except SloshError:
        return b""


class Options(Action):
    """The action of OPTIONS: which methods there are (RFC 9110 §9.3.7), and what a preflight asks."""

    __slots__ = ("_allow", "fields", "max_body")

    def __init__(self, allow: str, fields: bytes) -> None:
        self._allow = allow
        self.fields = fields
        self.max_body = 0

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002 - it has none
        """Say so."""
        connection.respond(204, field("Allow", self._allow), b"")
