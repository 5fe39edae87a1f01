"""The head of an HTTP/1.1 request: from bytes to something that can be trusted.

The rules of this file:

* llhttp judges every head, strictly, with no leniency flag. What it lets through and two servers could
  still read differently is refused here (RFC 9112 §11.2; the list is in `tests/conformance`).
* The one thing that llhttp reads more narrowly than the standard is put right before: white space behind a value.
* A head is judged by its bytes alone, so identical bytes give the identical head: that is what allows the
  connection to remember heads instead of parsing them again.
* A refusal closes the connection, because nobody can say where the next request would begin.
"""

import re
from typing import Final

import httptools

from slosh.errors import (
    BadHttp,
    ExpectationFailed,
    HeadTooLarge,
    HttpVersionNotSupported,
    MethodUnknown,
)
from slosh.web.response import CLOSE, KEEP_ALIVE

CHUNKED: Final = -1
"""In place of a length: the body comes in chunks and says itself where it ends."""

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
"""The methods of RFC 9110 §9.3 and RFC 5789. llhttp knows many more, from RTSP to UPnP."""

_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LONGEST_METHOD: Final = 32
"""Bytes. What goes on for longer without a space is no first line, and is refused before more of it comes."""

_MAX_LENGTH_DIGITS: Final = 15
"""A body of a petabyte is refused by its bound; more digits than that are an attack on somebody's integer."""

_CONTROLS: Final = bytes(set(range(0x20)) - {0x09, 0x0A, 0x0D}) + b"\x7f"
_VERSION: Final = re.compile(rb"HTTP/([0-9])\.([0-9])", re.ASCII)
_HOST: Final = re.compile(
    rb"(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2}){1,255}(?::[0-9]{0,5})?"  # reg-name or IPv4 (RFC 3986 §3.2.2)
    rb"|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{0,5})?"  # an IPv6 address
)
_ABSOLUTE: Final = re.compile(rb"https?://(%b)((?:[/?].*)?)" % _HOST.pattern, re.IGNORECASE | re.DOTALL)
_PATH: Final = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=:@/\[\]|^`{}\"-]|%[0-9A-Fa-f]{2})*")


class Head:
    """A request's head that is sound. Immutable once made, and shared by all requests with the same bytes.

    Attributes:
        method: upper case.
        path: as it came, percent-encoded, begins with `/`; `*` for `OPTIONS *`.
        query: what came after the `?`, as it came.
        minor: the minor version of HTTP/1.
        closing: the `Connection` line that an answer needs, often none (RFC 9112 §9.3).
        length: of the body, bytes; `CHUNKED`; 0 where there is none.
        keeps_alive: whether the client wants to use the connection again (RFC 9112 §9.3).
        expects_continue: whether it waits for a 100 before it sends the body (RFC 9110 §10.1.1).
    """

    __slots__ = (
        "_fields",
        "closing",
        "expects_continue",
        "keeps_alive",
        "length",
        "method",
        "minor",
        "path",
        "query",
        "raw",
    )

    def __init__(self, raw: bytes, method: str, target: bytes, minor: int, fields: list[tuple[bytes, bytes]]) -> None:
        self.raw = raw
        self.method = method
        self.minor = minor
        self._fields = fields
        self.length = 0
        self.expects_continue = False
        self.keeps_alive = False
        self.closing = b""
        path, _, query = target.partition(b"?")
        self.path = path.decode("ascii")
        self.query = query.decode("ascii")

    def all(self, name: bytes) -> list[bytes]:
        """The values of each field `name` (lower case), in their order."""
        return [value for each, value in self._fields if each == name]

    def count_fields(self) -> int:
        """How many header fields it has."""
        return len(self._fields)

    def first(self, name: bytes) -> str:
        """The value of the first field `name` (lower case), or nothing."""
        for each, value in self._fields:
            if each == name:
                return value.decode("latin-1")
        return ""

    def tokens(self, name: bytes) -> list[str]:
        """The members of the list in all the fields `name`, in lower case (RFC 9110 §5.6.1)."""
        values = b",".join(self.all(name)).decode("latin-1").lower().split(",")
        return [token for value in values if (token := value.strip(" \t"))]


class _Gatherer:
    """What llhttp reports while it reads a head."""

    __slots__ = ("complete", "fields", "target")

    def __init__(self) -> None:
        self.target = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        # White space around a value is no part of it (RFC 9112 §5), and llhttp leaves what stands behind.
        self.fields.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.complete = True


def is_hopeless(part: bytes) -> bool:
    """Whether the beginning of a head can already be refused: no method, or a line end that is not CR LF."""
    if part[:1] != b"\r":
        word, space, _ = part[: _LONGEST_METHOD + 1].partition(b" ")
        if not _TOKEN.fullmatch(word) or (not space and len(part) > _LONGEST_METHOD):
            return True
    # A lone CR at the very end may still be followed by its LF.
    return part.count(b"\n") != part.count(b"\r\n") or part.count(b"\r") - part.endswith(b"\r") != part.count(b"\r\n")


def parse_head(block: bytes, max_fields: int) -> Head:
    """Judge the head of a request.

    Args:
        block: from the request line to the empty line, both with their CR LF.
        max_fields: how many header fields it may have.

    Raises:
        BadHttp: it is unsound, or could be read in two ways.
        HttpVersionNotSupported, MethodUnknown, ExpectationFailed, HeadTooLarge: as they say.
    """
    _check_bytes(block)
    line, _, rest = block.partition(b"\r\n")
    method, target, minor = _parse_request_line(line)
    if rest.count(b"\r\n") - 1 > max_fields:
        raise HeadTooLarge(f"A request has at most {max_fields} header fields (max_fields).")
    fields = _parse_with_llhttp(block)
    origin, authority = _to_origin_form(method, target)
    _check_host([value for name, value in fields if name == b"host"], minor)
    if authority:  # The field Host is ignored then, once it is sound (RFC 9112 §3.2.2).
        fields = [(b"host", authority), *(each for each in fields if each[0] != b"host")]
    head = Head(block, method, origin, minor, fields)
    head.length = _find_length(head)
    connection = head.tokens(b"connection")
    head.keeps_alive = "close" not in connection and (minor == 1 or "keep-alive" in connection)
    if not head.keeps_alive:
        head.closing = CLOSE
    elif minor == 0:
        head.closing = KEEP_ALIVE
    head.expects_continue = _expects_continue(head)
    return head


def _check_bytes(block: bytes) -> None:
    ends = block.count(b"\r\n")
    if block.count(b"\n") != ends or block.count(b"\r") != ends:
        raise BadHttp("Lines end with CR LF, and neither stands alone (RFC 9112 §2.2).")
    if b"\r\n " in block or b"\r\n\t" in block:
        raise BadHttp("A header field is not folded over lines (RFC 9112 §5.2).")
    if len(block.translate(None, _CONTROLS)) != len(block):
        raise BadHttp("There is a control character in the head of the request (RFC 9110 §5.5).")


def _parse_request_line(line: bytes) -> tuple[str, bytes, int]:
    parts = line.split(b" ")
    if len(parts) != 3 or not all(parts):
        raise BadHttp("The first line is a method, a target and a version, with one space between (RFC 9112 §3).")
    version = _VERSION.fullmatch(parts[2])
    if version is None:
        raise BadHttp("The first line ends with the version, HTTP/1.1 (RFC 9112 §2.3).")
    if version[1] != b"1" or version[2] not in (b"0", b"1"):
        raise HttpVersionNotSupported("HTTP/1.1 and HTTP/1.0 are spoken here.")
    if not _TOKEN.fullmatch(parts[0]) or len(parts[0]) > _LONGEST_METHOD:
        raise BadHttp(f"A method is a token (RFC 9110 §9.1) of at most {_LONGEST_METHOD} characters.")
    method = parts[0].decode("ascii")
    if method not in METHODS:
        known = ", ".join(sorted(METHODS))
        raise MethodUnknown(f"The method {method} is not known here; those that are: {known}, in upper case.")
    return method, parts[1], int(version[2])


def _parse_with_llhttp(block: bytes) -> list[tuple[bytes, bytes]]:
    gatherer = _Gatherer()
    parser = httptools.HttpRequestParser(gatherer)
    if b" \r\n" in block or b"\t\r\n" in block:
        # White space around a value is no part of it (RFC 9112 §5); behind a coding llhttp takes a tab for one.
        line, *fields = block.split(b"\r\n")
        block = b"\r\n".join([line, *(each.rstrip(b" \t") for each in fields)])
    try:
        parser.feed_data(block)
    except httptools.HttpParserUpgrade:
        pass  # An offer; whoever takes it up looks at the fields.
    except httptools.HttpParserError as error:
        raise BadHttp(f"This is no HTTP/1.1 request: {error}.") from None
    if not gatherer.complete:
        raise BadHttp("This is no HTTP/1.1 request: the head does not end where it seems to.")
    return gatherer.fields


def _to_origin_form(method: str, target: bytes) -> tuple[bytes, bytes]:
    """Bring the target to the form that begins with `/` (RFC 9112 §3.2); with it the host that it named, if any.

    An OPTIONS of a host without a path and a query asks for `*` (RFC 9112 §3.2.4).
    """
    authority = b""
    if target == b"*":
        if method == "OPTIONS":
            return target, authority
        raise BadHttp("Only OPTIONS asks for '*' (RFC 9112 §3.2.4).")
    if method == "CONNECT":
        raise MethodUnknown("This server is no proxy.")
    if not target.startswith(b"/"):
        match = _ABSOLUTE.fullmatch(target)
        if match is None:
            raise BadHttp("The target of a request is a path, or a URL with a host and no user (RFC 9112 §3.2).")
        authority, target = match[1], match[2]
        if not target and method == "OPTIONS":
            return b"*", authority
        if not target.startswith(b"/"):
            target = b"/" + target
    path = target.partition(b"?")[0]
    if b"#" in target or not target.isascii() or not _PATH.fullmatch(path):
        raise BadHttp("The target of a request is an encoded path and query, without a fragment (RFC 3986 §3.3).")
    return target, authority


def _check_host(hosts: list[bytes], minor: int) -> None:
    # RFC 9112 §3.2: an HTTP/1.1 request without, or any request with more than one, or a wrong one, is 400.
    if len(hosts) > 1 or (not hosts and minor == 1) or (hosts and not _HOST.fullmatch(hosts[0])):
        raise BadHttp("A request names its host, once (RFC 9112 §3.2).")


def _find_length(head: Head) -> int:
    """How long the body is (RFC 9112 §6.3); whatever could be read in two ways is refused."""
    lengths = head.all(b"content-length")
    codings = head.all(b"transfer-encoding")
    if codings:
        if lengths:
            raise BadHttp("A body has a Content-Length or a Transfer-Encoding, not both (RFC 9112 §6.1).")
        if head.minor == 0 or len(codings) > 1 or codings[0].lower() != b"chunked":
            raise BadHttp("The one transfer coding taken here is chunked, in HTTP/1.1 (RFC 9112 §6.1).")
        return CHUNKED
    if not lengths:
        return 0
    text = lengths[0]
    # int() would take signs, underscores and digits of other scripts. Leading zeros mean octal to some.
    if len(lengths) > 1 or not text.isdigit() or len(text) > _MAX_LENGTH_DIGITS or text[:1] == b"0" != text:
        raise BadHttp("A Content-Length is one whole number (RFC 9110 §8.6).")
    return int(text)


def _expects_continue(head: Head) -> bool:
    expectations = head.tokens(b"expect")
    if not expectations:
        return False
    if expectations != ["100-continue"]:
        raise ExpectationFailed("The only expectation met here is 100-continue.")
    # An HTTP/1.0 client does not know the answer 100 (RFC 9110 §10.1.1).
    return head.minor == 1 and head.length != 0
