"""Writes ASGI's requests as HTTP/1.1, and parses answers into ASGI's messages (ASGI HTTP 2.3, RFC 9112)."""

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
"""Fields of requests that are not passed on: they are written here, or concern only the ASGI server."""
_OURS_WITH_TOKEN: Final = _OURS | {b"authorization"}
"""The same if the program around this one decides what the client may do."""
_SWITCHING: Final = 101
_NO_LINE_ENDS: Final = bytes.maketrans(b"\r\n", b"\0\0")
_THEIRS: Final = frozenset(
    {b"connection", b"keep-alive", b"transfer-encoding", b"date", b"upgrade", b"sec-websocket-accept"}
)
"""Fields of answers that are not passed on, because the ASGI server writes them."""


def write_head(
    scope: Scope,
    method: str,
    token: str | None,
    extra: Iterable[tuple[bytes, bytes]],
    connection: bytes = b"close",
) -> bytes:
    """The head of a request, as HTTP/1.1.

    Args:
        scope: of the request.
        method: GET for a WebSocket, whose scope has none.
        token: sent in place of the client's `Authorization`, or nothing if empty. None leaves that as it is.
        extra: header fields to add.
        connection: value of the field `Connection`.
    """
    prefix = scope.get("root_path", "")
    raw = scope.get("raw_path")
    path = raw if raw is not None else quote(scope["path"], safe="/:@!$&'()*+,;=~-._").encode()
    escaped = quote(prefix, safe="/:@!$&'()*+,;=~-._").encode() if prefix else b""
    if prefix and path.startswith(escaped):  # ASGI wants the prefix in `path`; older frameworks cut it off
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
        # HTTP/2 can carry line ends in a field, and some ASGI servers pass them. The head's parser refuses NUL bytes.
        return b"\r\n".join([*(line.translate(_NO_LINE_ENDS) for line in lines[:-1]), lines[-1]])
    return head


class Answer:
    """Parses one answer into ASGI's messages. Call `feed`, and take `messages` away.

    A short answer arrives in one piece, and in the exact form that this server writes, so it needs no parser.

    Args:
        method: of the request. The answer to HEAD has no body.

    Attributes:
        messages: those parsed so far.
        status: of the answer; 0 until its head is parsed.
        is_done: whether the answer is complete.
    """

    def __init__(self, method: str) -> None:
        self._is_head = method == "HEAD"
        self._parser: httptools.HttpResponseParser | None = None
        self._fields: list[tuple[bytes, bytes]] = []
        self.messages: list[Message] = []
        self.status = 0
        self.is_done = False

    def feed(self, data: bytes) -> None:
        """Parse bytes of the answer."""
        if self._parser is None:
            if not data or self._read_whole(data):
                return
            self._parser = httptools.HttpResponseParser(self)
        with contextlib.suppress(httptools.HttpParserUpgrade):  # raised after a 101
            self._parser.feed_data(data)

    def _read_whole(self, data: bytes) -> bool:
        """Parse an answer that arrived in one piece. False if it has another form; then nothing was parsed."""
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
        """The header fields that are passed on, of an answer that needed the parser."""
        return [(name, value) for name, value in self._fields if name not in _THEIRS]

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser with each header field."""
        self._fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Called by the parser after the head."""
        self.status = self._parser.get_status_code() if self._parser is not None else 0
        if self.status == _SWITCHING:  # the answer itself, unlike 100
            return
        if self.status < 200:
            self._fields = []
            return
        self.messages.append({"type": "http.response.start", "status": self.status, "headers": self.fields})
        if self._is_head:
            self.on_message_complete()

    def on_body(self, body: bytes) -> None:
        """Called by the parser with each part of the body."""
        if not self.is_done:
            self.messages.append({"type": "http.response.body", "body": body, "more_body": True})

    def on_message_complete(self) -> None:
        """Called by the parser after the body."""
        if self.status < 200 or self.is_done:
            return
        self.is_done = True
        if self.messages and self.messages[-1]["type"] == "http.response.body":
            self.messages[-1]["more_body"] = False  # One message less is a good part of what a short answer costs.
        else:
            self.messages.append({"type": "http.response.body", "body": b"", "more_body": False})


def _read_field(line: bytes) -> tuple[bytes, bytes] | None:
    """The name and value in a line of an answer's head; None if the field is not passed on."""
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
"""Lines that were read before, because most lines of an answer are those of the one before it."""
_REMEMBERED: Final = 1000
"""Lines in `_read`; it is emptied when there are more."""
