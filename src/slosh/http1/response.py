"""How answers are written: the head of a response, and problem documents.

Every name and value that goes into a header passes `field`, which refuses what could end the line.
"""

import json
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from slosh.errors import InternalError, SloshError

JSON: Final = b"Content-Type: application/json\r\n"
NO_STORE: Final = b"Cache-Control: no-store\r\n"
STREAMING: Final = (
    # A proxy that compresses (as `compression` for express does) would hold back what comes until it has a block full.
    b"Cache-Control: no-store, no-transform\r\n"
    b"X-Content-Type-Options: nosniff\r\n"
    # nginx passes on what comes at once, instead of filling a buffer first (ngx_http_proxy_module, proxy_buffering).
    b"X-Accel-Buffering: no\r\n"
)
"""Header lines of every answer that has no end yet."""
EVENT_STREAM: Final = b"Content-Type: text/event-stream; charset=utf-8\r\n"
"""The charset is the only one there is, and some clients take another if it is not named."""
NO_SNIFF: Final = b"X-Content-Type-Options: nosniff\r\n"
JSON_ANSWER: Final = JSON + NO_STORE + NO_SNIFF
"""Header lines of every answer in JSON: it is kept by no cache, and taken for nothing else by a browser."""
CLOSE: Final = b"Connection: close\r\n"
KEEP_ALIVE: Final = b"Connection: keep-alive\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_HAS_NO_BODY: Final = frozenset({HTTPStatus.NO_CONTENT.value, HTTPStatus.NOT_MODIFIED.value})


def field(name: str, value: str) -> bytes:
    """One header line.

    Raises:
        InternalError: it has a character that no header line has; nothing of it is written.
    """
    if not (name + value).isascii() or not (name + value).isprintable():
        raise InternalError
    return f"{name}: {value}\r\n".encode("ascii")


def date_field(seconds: float) -> bytes:
    """The `Date` line (RFC 9110 §6.6.1) for the wall-clock time `seconds` since 1970."""
    return b"Date: " + formatdate(seconds, usegmt=True).encode("ascii") + b"\r\n"


def render(
    status: int, date: bytes, fields: bytes, body: bytes, connection: bytes = b"", *, bodiless: bool = False
) -> bytes:
    """A whole response as bytes.

    Args:
        status: the status code.
        date: the `Date` line.
        fields: the other header lines.
        body: the body; its length goes into the head.
        connection: the `Connection` line, if there is one.
        bodiless: whether the body stays away although its length is told, as in answers to HEAD.
    """
    if status in _HAS_NO_BODY:
        return b"%b%b%b%b\r\n" % (_STATUS_LINES[status], date, fields, connection)
    sent = b"" if bodiless else body
    return b"%b%b%b%bContent-Length: %d\r\n\r\n%b" % (_STATUS_LINES[status], date, fields, connection, len(body), sent)


def render_stream_head(date: bytes, fields: bytes, *, chunked: bool, connection: bytes = b"") -> bytes:
    """The head of a 200 response whose body has no end yet.

    Args:
        chunked: whether the body comes in chunks; else the connection's end is its end (RFC 9112 §6.3).
        connection: the `Connection` line of one in chunks, if there is one.
    """
    framing = connection + b"Transfer-Encoding: chunked\r\n" if chunked else CLOSE
    return b"%b%b%b%b\r\n" % (_STATUS_LINES[200], date, fields, framing)


def chunk(data: bytes) -> bytes:
    """One chunk of the chunked transfer coding (RFC 9112 §7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def render_head(status: int, date: bytes, fields: bytes, length: int, connection: bytes = b"") -> bytes:
    """The head of a response whose body of `length` bytes is written by the caller."""
    return b"%b%b%b%bContent-Length: %d\r\n\r\n" % (_STATUS_LINES[status], date, fields, connection, length)


def render_start(status: int, date: bytes, fields: bytes, connection: bytes = b"") -> bytes:
    """The beginning of a response; the caller adds more fields, with the length, an empty line and the body."""
    return b"%b%b%b%b" % (_STATUS_LINES[status], date, fields, connection)


def problem(error: SloshError) -> tuple[int, bytes, bytes]:
    """An error as an RFC 9457 problem document: status, header lines, body."""
    fields = b"Content-Type: application/problem+json\r\n" + NO_STORE + NO_SNIFF
    return error.status, fields + join_fields(error.fields), problem_body(error) + b"\n"


def problem_body(error: SloshError) -> bytes:
    """An error's problem document as JSON, without a line's end."""
    return json.dumps(problem_document(error)).encode("ascii")


def problem_document(error: SloshError) -> dict[str, object]:
    """The members of an error's problem document (RFC 9457 §3.1)."""
    return {
        "type": "about:blank",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        **error.facts(),
    }


def join_fields(fields: Iterable[tuple[str, str]]) -> bytes:
    """Several header lines."""
    return b"".join(field(name, value) for name, value in fields)
