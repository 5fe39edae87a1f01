"""Chooses the action for a URL, by the request's head alone, so that the choice is cached with the head."""

import re
from collections.abc import Collection
from typing import ClassVar, Final

from slosh.core.names import MAX_NAME_BYTES
from slosh.engine.base import Engine
from slosh.errors import BadQuery, ForeignOrigin, MethodNotAllowed, SloshError
from slosh.http1.connection import Connection
from slosh.http1.handler import Action, Application, ByTrust, Refusal
from slosh.http1.head import Head
from slosh.http1.proxies import find_prefix, is_over_tls
from slosh.http1.refusal_log import printable
from slosh.http1.response import field
from slosh.http1.state import ServerState
from slosh.settings import Settings
from slosh.web.admission.credentials import COOKIE, NO_CREDENTIAL, find_credential
from slosh.web.admission.gate import Gate
from slosh.web.admission.guard import Guard
from slosh.web.admission.hosts import Hosts
from slosh.web.admission.origins import Origins, frame_ancestors, tell_how_to_allow
from slosh.web.admission.sign_in import ALLOW_SESSION, SESSION, CloseSession, OpenSession, SessionCookie, TellSession
from slosh.web.overview.topic_list import ListTopics
from slosh.web.overview.topic_news import TopicNews, WatchTopics
from slosh.web.overview.watcher_count import CountWatchers
from slosh.web.pages.files import DocumentRoot, ServeFile
from slosh.web.pages.reserved import VIEW, Healthy, Ready, route_pages, route_view
from slosh.web.publishing.ends import choose_end
from slosh.web.publishing.post_head import PLAIN_NAME
from slosh.web.publishing.publish import choose_publish
from slosh.web.publishing.publish_several import choose_publish_several
from slosh.web.query import (
    ENDING,
    FLAGS,
    HISTORY,
    LISTING,
    PUBLISHING,
    PUBLISHING_SEVERAL,
    READING,
    TOPICS,
    ignored_field,
    parse_query,
    read_flag,
    read_name,
)
from slosh.web.readers.cookies import find_cookie
from slosh.web.readers.eventsource import EventSource
from slosh.web.readers.formats import AS_WEBSOCKET, Formats
from slosh.web.readers.history import History
from slosh.web.readers.longpoll import LongPoll, Peek
from slosh.web.readers.ndjson import NdjsonStream
from slosh.web.readers.request import ReadRequest
from slosh.web.readers.shared import PLAIN_CURSOR, PLAIN_OFFSET, Reader
from slosh.web.readers.state import ReaderState
from slosh.web.readers.websocket.websocket import WebSocket
from slosh.web.refusals import render_refusal

ABOUT: Final = "/-/"
LIST: Final = "/topics"
ALLOW_TOPIC: Final = "GET, HEAD, POST, DELETE, OPTIONS"
ALLOW_LIST: Final = "GET, HEAD, POST, OPTIONS"
ALLOW_LOOK: Final = "GET, HEAD, OPTIONS"


_POLL: Final = re.compile(
    rb"GET /topics/[A-Za-z0-9._~/-]+\?(?:(?!since=)[A-Za-z0-9._~-]+=[A-Za-z0-9._~-]*&)*"
    rb"since=(" + PLAIN_CURSOR + rb")"
    rb"(?:&[A-Za-z0-9._~-]+=[A-Za-z0-9._~-]*)* HTTP/1\.1\r\n"
)
_POLL_BY_OFFSET: Final = re.compile(
    rb"GET /topics/[A-Za-z0-9._~/-]+\?(?:(?!since=|n=)[A-Za-z0-9._~-]+=[A-Za-z0-9._~-]*&)*"
    rb"n=(" + PLAIN_OFFSET + rb")"
    rb"(?:&(?!since=)[A-Za-z0-9._~-]+=[A-Za-z0-9._~-]*)* HTTP/1\.1\r\n"
)
_WAIT: Final = re.compile(rb"[^?]*\?(?:(?!wait=)[^& ]*&)*wait=([1-9][0-9]{0,8})[& ]")
_POST: Final = re.compile(rb"POST /topics/(" + PLAIN_NAME + rb") HTTP/1\.1\r\n")

TRANSPORTS: Final[tuple[type[Reader], ...]] = (
    LongPoll,
    EventSource,
    NdjsonStream,
    WebSocket,
)
"""The ways of reading topics. The `format` of each says how clients ask for it."""
FORMATS: Final = Formats(each.format for each in TRANSPORTS)
_BY_FORMAT: Final = {each.format: each for each in TRANSPORTS}


class Routes(Application):
    """The application: topics, the server's own pages, and the document root.

    Args:
        engine: stores messages.
        root: the document root.
        settings: the bounds, and which pages may do what.
        direct: the ports of listeners that only this machine can reach; see `Hosts`.

    Raises:
        SettingError: a value of `origins`, `frame_origins` or `hosts` is not valid, or a file of `[access]` is not.

    Attributes:
        readers: the state that all readers share.
        gate: checks the rights and the rates of each request on topics.
    """

    def __init__(self, engine: Engine, root: DocumentRoot, settings: Settings, direct: Collection[int] = ()) -> None:
        self._engine = engine
        self._root = root
        self._news = TopicNews(engine)
        self.readers = ReaderState()
        self._settings = settings
        self._origins = Origins(settings.origins, has_tls=bool(settings.tls_cert))
        self.gate = Gate(settings)
        self._ancestors = frame_ancestors(settings.frame_origins)
        self._hosts = Hosts(settings.hosts, settings.host, direct, has_tls=bool(settings.tls_cert))

    @property
    def reads_cookies(self) -> bool:
        """As the base says: if there are rules, a cookie may have the token."""
        return self.gate.authority is not None

    def pick_cookies(self, late: list[bytes]) -> list[bytes]:
        """Only the session's cookie: a reader's place also has one, but does not change the action."""
        values = [late[at + 1] for at in range(0, len(late), 2) if late[at] == b"cookie"]
        session = find_cookie(values, COOKIE) if values else None
        return [] if session is None else [b"cookie", session.encode("latin-1")]

    def route(self, head: Head) -> Action:
        """Choose the action for a request."""
        action = self._route(head, "")
        prefix = find_prefix(head)
        if prefix and not isinstance(action, Refusal):
            action = ByTrust(self._route(head, prefix), action)
        return self._guard(action, head) if self.gate.is_needed or _publishes_later(action) else action

    def reload(self, settings: Settings, server: ServerState) -> None:
        """Apply the rules and rates of these settings, and end held requests that they do not allow.

        Raises:
            SettingError: a file that they name is not valid; nothing has changed.
        """
        self.gate.replace(settings, server)
        self._settings = settings

    def _is_secure(self, head: Head) -> bool:
        """Whether the client came over TLS."""
        return bool(self._settings.tls_cert) or is_over_tls(head)

    def _guard(self, action: Action, head: Head) -> Action:
        """The guarded action, for a server that has rules or rates, or may get them. Probes are always answered."""
        gate = self.gate
        done = action.other if isinstance(action, ByTrust) else action
        if isinstance(done, Healthy | Ready) or (done.is_open and gate.requests is None):
            return action
        if gate.authority is None:
            return Guard(gate, action, NO_CREDENTIAL)
        in_query = self._settings.token_in_query == "on"  # noqa: S105 - a switch
        credential = find_credential(head, self._origins, in_query=in_query, is_secure=self._is_secure(head))
        if done.is_open:  # A refusal, for instance, which needs no token.
            credential = NO_CREDENTIAL
        return Guard(gate, action, credential)

    def _route(self, head: Head, prefix: str) -> Action:
        """As `route`, for a path from which a proxy has removed `prefix`."""
        fields = b""
        try:
            self._hosts.check(head)
            if head.path == LIST or head.path.startswith(TOPICS):
                fields = self._origins.fields(head)
                return self._route_topics(head, fields, prefix)
            if head.method == "OPTIONS":
                return Options(ALLOW_TOPIC if head.path == "*" else ALLOW_LOOK, b"")
            if head.path.startswith(ABOUT):
                return self._route_pages(head, prefix)
            if (head.path + "/").startswith(VIEW) and self._settings.view == "on":
                return route_view(head, self._ancestors, self._settings.max_body)
            return ServeFile(self._root, head, self._settings.max_body, prefix)
        except SloshError as error:
            if isinstance(error, BadQuery) and error.tells_value:
                error = _with_value(error, head)
            return Refusal(error, self._settings.max_body, fields + _tell_ignored(head, error))

    def render_refusal(self, error: SloshError, head: Head | None, server: ServerState) -> tuple[int, bytes, bytes]:
        """As a problem document, as a page, or as an event stream that ends; see `refusals.py`."""
        return render_refusal(error, head, server, FORMATS)

    def split(self, block: bytes) -> tuple[int, int]:
        """The variable part: the cursor or offset of a long-poll, the topic's name of a publish.

        The patterns take only what reads the same in every parser, and is decided in the same way, with anything else
        of its kind in that place: plain characters, HTTP/1.1; the first `since`, or the first `n` if there is no
        `since`, an offset below 10**15; a valid name.
        """
        is_post = block.startswith(b"P")  # Patterns that cannot match are not tried.
        match = _POST.match(block) if is_post else _POLL.match(block) or _POLL_BY_OFFSET.match(block)
        if match is None:
            return 0, 0
        start, end = match.span(1)
        return (start, end) if end - start <= MAX_NAME_BYTES else (0, 0)

    def split_late(self, block: bytes) -> tuple[int, int]:
        """How long a poll waits, if its first `wait` is a plain number of seconds."""
        match = None if block.startswith(b"P") else _WAIT.match(block)
        return (0, 0) if match is None else match.span(1)

    def _route_pages(self, head: Head, prefix: str) -> Action:
        authority = self.gate.authority
        if head.path != SESSION or authority is None:
            return route_pages(self._engine, self.readers, head, self._settings.max_body)
        if head.method in ("GET", "HEAD"):
            return TellSession(self.gate)
        if not authority.has_sessions:
            raise MethodNotAllowed(ALLOW_LOOK)
        if head.method not in ("POST", "DELETE"):
            raise MethodNotAllowed(ALLOW_SESSION)
        self._check_origin(head)
        cookie = SessionCookie(prefix, is_secure=self._is_secure(head))
        return OpenSession(self.gate, cookie) if head.method == "POST" else CloseSession(cookie)

    def _route_topics(self, head: Head, fields: bytes, prefix: str) -> Action:
        engine, settings = self._engine, self._settings
        if head.method == "OPTIONS":
            allow = ALLOW_LIST if head.path == LIST else ALLOW_TOPIC
            return Options(allow, self._origins.preflight_fields(head))
        if head.path == LIST:
            return self._route_list(head, fields)
        if head.method in ("POST", "DELETE"):
            self._check_origin(head)
            name = read_name(head.path.removeprefix(TOPICS))
            choose = choose_publish if head.method == "POST" else choose_end
            return choose(engine, settings, name, head, fields)
        if head.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(ALLOW_TOPIC, " A message is published with POST.")
        asked = ReadRequest(head, settings, FORMATS, prefix, self._origins.same_site(head))
        fields += asked.ignored
        if asked.counts:
            return CountWatchers(engine, settings, asked, fields)
        if head.method == "HEAD":
            return Peek(engine, settings, asked, fields, self.readers)
        if asked.format is AS_WEBSOCKET:
            self._check_origin(head)
        reader = History if "history" in asked.parameters else _BY_FORMAT[asked.format]
        return reader(engine, settings, asked, fields, self.readers)

    def _route_list(self, head: Head, fields: bytes) -> Action:
        if head.method == "POST":
            self._check_origin(head)
            return choose_publish_several(self._engine, self._settings, head, fields)
        if head.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(ALLOW_LIST)
        parameters = parse_query(head.query)
        watches = read_flag(parameters, "watch") and head.method == "GET"
        known = {"watch", "every"} if watches else LISTING - {"watch", "every"}
        fields += ignored_field(parameters, known, self._settings.token_in_query)
        if watches:
            return WatchTopics(self._engine, self._news, self._settings, head, parameters, fields)
        return ListTopics(self._engine, self._settings, parameters, fields)

    def _check_origin(self, head: Head) -> None:
        if not self._origins.may_write(head):
            origin = printable(head.first(b"origin"))
            raise ForeignOrigin(f"Pages of {origin} may not do that here. {tell_how_to_allow(origin)}")


def _publishes_later(action: Action) -> bool:
    """Whether publishes without a head of their own may follow, to which rates that are set later apply as well."""
    return isinstance(action.other if isinstance(action, ByTrust) else action, WebSocket)


_KNOWN: Final = {"POST": PUBLISHING, "DELETE": ENDING}


def _with_value(error: BadQuery, head: Head) -> BadQuery:
    """The same error with the value of the parameter in the request, unless it is a flag without a value."""
    try:
        value = parse_query(head.query).get(error.parameter)
    except SloshError:
        value = None
    is_bare = not value and error.parameter in FLAGS
    return error if value is None or is_bare else error.with_value(value)


def _tell_ignored(head: Head, error: SloshError) -> bytes:
    """The `Slosh-Ignored` line for a refusal by the head. A refused parameter is not ignored."""
    if not head.query or not (head.path + "/").startswith(TOPICS):
        return b""
    known = _KNOWN.get(head.method, READING)
    if head.path == LIST:
        known = PUBLISHING_SEVERAL if head.method == "POST" else LISTING
    if isinstance(error, BadQuery):
        known |= {error.parameter}
    try:
        parameters = parse_query(head.query)
        is_history = known >= READING and "history" in parameters
        return ignored_field(parameters, HISTORY if is_history else known)
    except SloshError:
        return b""


class Options(Action):
    """The action of OPTIONS: the methods (RFC 9110 §9.3.7), and the answer to a preflight."""

    __slots__ = ("_allow", "fields", "max_body")

    is_open: ClassVar[bool] = True

    def __init__(self, allow: str, fields: bytes) -> None:
        self._allow = allow
        self.fields = fields
        self.max_body = 0

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002 - it has none
        """Answer with the methods."""
        connection.respond(204, field("Allow", self._allow), b"")
