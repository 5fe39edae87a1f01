"""Requests and answers: from ASGI's form to HTTP/1.1 and back (ASGI HTTP 2.3, RFC 9112)."""

import contextlib
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final
from urllib.parse import quote

import httptools

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_OURS: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"transfer-encoding",
        b"upgrade",
        b"te",
        b"expect",
        b"content-length",
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-forwarded-host",
        b"x-forwarded-prefix",
        b"sec-websocket-extensions",
        b"sec-websocket-key",
        b"sec-websocket-version",
    }
)
"""Fields of requests that are written here, or mean nothing beyond the ASGI server."""
_OURS_WITH_TOKEN: Final = _OURS | {b"authorization"}
"""The same if the program around this one says what the client may do."""
_NO_LINE_ENDS: Final = bytes.maketrans(b"\r\n", b"\0\0")
_THEIRS: Final = frozenset(
    {b"connection", b"keep-alive", b"transfer-encoding", b"date", b"upgrade", b"sec-websocket-accept"}
)
"""Fields of answers that the ASGI server writes."""


def write_head(
    scope: Scope,
    method: str,
    token: str | None,
    extra: Iterable[tuple[bytes, bytes]],
    connection: bytes = b"close",
) -> bytes:
    """The request's head, as HTTP/1.1."""
    prefix = scope.get("root_path", "")
    raw = scope.get("raw_path")
    path = raw if raw is not None else quote(scope["path"], safe="/:@!$&'()*+,;=~-._").encode()
    escaped = quote(prefix, safe="/:@!$&'()*+,;=~-._").encode() if prefix else b""
    if prefix and path.startswith(escaped):  # ASGI: `path` has it; some frameworks of before cut it off
        path = path.removeprefix(escaped)
    target = (path or b"/") + (b"?" + scope["query_string"] if scope.get("query_string") else b"")
    secure = scope.get("scheme") in ("https", "wss")
    left_out = _OURS if token is None else _OURS_WITH_TOKEN
    fields = [field for field in scope["headers"] if field[0].lower() not in left_out]
    if token:
        fields.append((b"authorization", b"Bearer " + token.encode()))
    if not any(name == b"host" for name, _ in fields):
        fields.insert(0, (b"host", b"localhost"))
    client = scope.get("client")
    if client:
        fields.append((b"x-forwarded-for", str(client[0]).encode()))
    fields.append((b"x-forwarded-proto", b"https" if secure else b"http"))
    if prefix:
        fields.append((b"x-forwarded-prefix", escaped))
    fields += [(b"connection", connection), *extra]
    lines = [b"%b %b HTTP/1.1" % (method.encode(), target), *[b"%b: %b" % field for field in fields], b"\r\n"]
    head = b"\r\n".join(lines)
    if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines):
        # An ASGI server lets pass what HTTP/2 carries and HTTP/1.1 cannot: the reader of the head refuses these bytes.
        return b"\r\n".join([*(line.translate(_NO_LINE_ENDS) for line in lines[:-1]), lines[-1]])
    return head


class Answer:
    """Reads answers, and gives them as ASGI's messages.

    A short one comes in one piece, with its length, in just the form that this server writes: that needs no parser.
    """

    def __init__(self, method: str) -> None:
        self._is_head = method == "HEAD"
        self._parser: httptools.HttpResponseParser | None = None
        self._fields: list[tuple[bytes, bytes]] = []
        self.messages: list[Message] = []
        self.status = 0
        self.is_done = False

    def feed(self, data: bytes) -> None:
        """Bytes of the answer have come."""
        if self._parser is None:
            if not data or self._read_whole(data):
                return
            self._parser = httptools.HttpResponseParser(self)
        with contextlib.suppress(httptools.HttpParserUpgrade):  # what follows a 101 is no HTTP
            self._parser.feed_data(data)

    def _read_whole(self, data: bytes) -> bool:
        """Read an answer that came in one piece. False if it has another form, and nothing was read."""
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        if not body or b"Content-Length: %d" % len(body) not in lines or first[:9] != b"HTTP/1.1 ":
            return False
        self.status = int(first[9:12])
        fields = [field for line in lines if (field := _read_field(line)) is not None]
        self.messages.append({"type": "http.response.start", "status": self.status, "headers": fields})
        self.messages.append({"type": "http.response.body", "body": body, "more_body": False})
        self.is_done = True
        return True

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        """The header fields that are passed on."""
        return [(name, value) for name, value in self._fields if name not in _THEIRS]

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser has read a field."""
        self._fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The parser has read the head."""
        self.status = self._parser.get_status_code() if self._parser is not None else 0
        if self.status < 200:
            self._fields = []
            return
        self.messages.append({"type": "http.response.start", "status": self.status, "headers": self.fields})
        if self._is_head:
            self.on_message_complete()

    def on_body(self, body: bytes) -> None:
        """The parser has read a part of the body."""
        if not self.is_done:
            self.messages.append({"type": "http.response.body", "body": body, "more_body": True})

    def on_message_complete(self) -> None:
        """The answer is whole."""
        if self.status < 200 or self.is_done:
            return
        self.is_done = True
        if self.messages and self.messages[-1]["type"] == "http.response.body":
            self.messages[-1]["more_body"] = False  # One message less is a good part of what a short answer costs.
        else:
            self.messages.append({"type": "http.response.body", "body": b"", "more_body": False})


def _read_field(line: bytes) -> tuple[bytes, bytes] | None:
    """A line of an answer's head that this server wrote; None for one that is not passed on."""
    try:
        return _read[line]
    except KeyError:
        name, _, value = line.partition(b": ")
        field = (name.lower(), value)
        if len(_read) >= _REMEMBERED:
            _read.clear()
        _read[line] = found = None if field[0] in _THEIRS else field
        return found


_read: dict[bytes, tuple[bytes, bytes] | None] = {}
"""Lines that were read before: most of an answer's are those of the one before it."""
_REMEMBERED: Final = 1000
