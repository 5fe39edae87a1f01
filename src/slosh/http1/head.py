"""The head of an HTTP/1.1 request: from bytes to a checked `Head`.

The rules of this file:

* Every head is parsed strictly: `fields.py` checks the syntax of its fields, this file their values. A head that two
  servers could read differently is refused (RFC 9112 §11.2; the list is in `tests/conformance`), and a test checks
  that no head is accepted which llhttp, the parser of Node.js, refuses.
* The result depends only on the bytes of the head. That is why the server can cache it.
* A refusal closes the connection, because the beginning of the next request is not known.
"""

import re
from typing import TYPE_CHECKING, Final

from slosh.compiled import mypyc_attr
from slosh.errors import (
    BadHttp,
    ExpectationFailed,
    HeadTooLarge,
    HttpVersionNotSupported,
    InternalError,
    MethodUnknown,
)
from slosh.http1.fields import READ, scan
from slosh.http1.response import CLOSE, KEEP_ALIVE
from slosh.schemes import DEFAULT_PORTS

if TYPE_CHECKING:
    from slosh.compiled import i64

CHUNKED: Final = -1
"""In place of a length: the body comes in chunks, which mark its end."""

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
"""The methods of RFC 9110 §9.3 and RFC 5789. llhttp knows many more, from RTSP to UPnP."""

_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LONGEST_METHOD: Final = 32
"""Bytes. A longer text without a space is no request line, and is refused before more of it comes."""

_ZERO: Final = 0x30
_NINE: Final = 0x39
_MAX_LENGTH_DIGITS: Final = 15
"""A body of a petabyte is refused by its bound; a number with more digits may be meant to overflow an integer."""
_NO_LENGTH: Final = "A Content-Length is one whole number (RFC 9110 §8.6)."

_HASH: Final = 0x23
_TAB: Final = 0x09
_MINORS: Final = {b"HTTP/1.1": 1, b"HTTP/1.0": 0}
_BY_SPELLING: Final = {method.encode("ascii"): method for method in METHODS}
_CONTROLS: Final = bytes(set(range(0x20)) - {0x09, 0x0A, 0x0D}) + b"\x7f"
_VERSION: Final = re.compile(rb"HTTP/[0-9]\.[0-9]", re.ASCII)
_HOST: Final = re.compile(
    rb"(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2}){1,255}(?::[0-9]{0,5})?"  # reg-name or IPv4 (RFC 3986 §3.2.2)
    rb"|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{0,5})?"  # an IPv6 address
)
_ABSOLUTE: Final = re.compile(rb"https?://(%b)((?:[/?].*)?)" % _HOST.pattern, re.IGNORECASE | re.DOTALL)
_PATH: Final = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=:@/\[\]|^`{}\"-]|%[0-9A-Fa-f]{2})*")


@mypyc_attr(acyclic=True, free_list_len=1)
class Head:
    """A request's head that is sound. Immutable once made, and shared by requests with the same bytes.

    Args:
        read: the fields in `fields.READ`, each name in lower case before its value, and those in `fields.LATE` without.
        late: those in `fields.LATE`.

    Attributes:
        raw: its bytes.
        method: upper case.
        path: as it came, percent-encoded, begins with `/`; `*` for `OPTIONS *`.
        query: what came after the `?`, as it came.
        minor: the minor version of HTTP/1.
        closing: the `Connection` line that an answer needs, often none (RFC 9112 §9.3).
        length: of the body, bytes; `CHUNKED`; 0 if there is none.
        part: the late part of its request line, which `Application.split_late` finds; often empty.
        keeps_alive: whether the client wants to use the connection again (RFC 9112 §9.3).
        expects_continue: whether it waits for a 100 before it sends the body (RFC 9110 §10.1.1).
        is_forwarded: whether a proxy names its client in it.
    """

    __slots__ = (
        "_expects",
        "_late",
        "_read",
        "closing",
        "expects_continue",
        "is_forwarded",
        "keeps_alive",
        "length",
        "method",
        "minor",
        "part",
        "path",
        "query",
        "raw",
    )

    def __init__(
        self, raw: bytes, method: str, path: str, query: str, minor: int, read: list[bytes], late: list[bytes]
    ) -> None:
        self.raw = raw
        self.method = method
        self.path = path
        self.query = query
        self.minor = minor
        self._read = read
        self._late = late
        self._expects = False  # whether it names an expectation
        self.length = 0
        self.expects_continue = False
        self.keeps_alive = False
        self.closing = b""
        self.is_forwarded = False
        self.part = b""

    def like(self, raw: bytes, late: list[bytes], part: bytes = b"") -> "Head":
        """The head in `raw`, whose fields in `READ` are those of this one, and its request line too, but for `part`.

        Raises:
            BadHttp: its length is not valid.
        """
        head = Head(raw, self.method, self.path, self.query, self.minor, self._read, late)
        head.keeps_alive = self.keeps_alive
        head.closing = self.closing
        head.is_forwarded = self.is_forwarded
        head.part = part
        # The transfer codings are those of this head.
        head.length = _find_length(head) if self.length == CHUNKED else _parse_length(head.late(b"content-length"))
        head.note_expectation(self._expects)
        return head

    def note_expectation(self, expects: bool) -> None:  # noqa: FBT001 - it is all that is said
        """Note whether the head has `Expect: 100-continue`, the only one there is. Set `length` before."""
        self._expects = expects
        # An HTTP/1.0 client does not know the answer 100 (RFC 9110 §10.1.1).
        self.expects_continue = expects and self.minor == 1 and self.length != 0

    def all(self, name: bytes) -> list[bytes]:
        """The values of each field `name` (lower case, one of `READ`), in their order."""
        if name not in READ:
            raise InternalError  # Nothing is known of it: list it in `fields.py`.
        return _find_all(self._read, name)

    def late(self, name: bytes) -> list[bytes]:
        """The values of each field `name` (lower case, one of `LATE`), in their order.

        Do not call it while an action is chosen: the action serves requests in which these fields differ.
        """
        return _find_all(self._late, name)

    def has(self, name: bytes) -> bool:
        """Whether there is a field `name` (lower case, one of `READ` or `LATE`)."""
        return name in self._read[::2]

    def count_fields(self) -> int:
        """The number of its fields that are kept."""
        return len(self._read) // 2

    def first(self, name: bytes) -> str:
        """The value of the first field `name` (lower case), or an empty text."""
        values = self.all(name)
        return values[0].decode("latin-1") if values else ""

    def tokens(self, name: bytes) -> list[str]:
        """The members of the list in all the fields `name`, in lower case (RFC 9110 §5.6.1)."""
        found = self.all(name)
        if not found:
            return []
        values = b",".join(found).decode("latin-1").lower().split(",")
        return [token for value in values if (token := value.strip(" \t"))]


def _find_all(fields: list[bytes], name: bytes) -> list[bytes]:
    """The values of the fields `name` in a list that alternates names and values."""
    return [fields[at + 1] for at in range(0, len(fields), 2) if fields[at] == name]


def is_tls(part: bytes) -> bool:
    """Whether these are the first bytes of a TLS handshake: a record of type 22 (RFC 8446 §5.1)."""
    return part[:1] == b"\x16" and part[1:2] in (b"", b"\x03")


def is_method(word: bytes) -> bool:
    """Whether a word may be a method, known or not (RFC 9110 §9.1)."""
    return len(word) <= _LONGEST_METHOD and bool(_TOKEN.fullmatch(word))


def hopeless(part: bytes) -> BadHttp:
    """The error for bytes that cannot become a request."""
    if is_tls(part):
        return BadHttp(
            "These bytes are TLS, and this port speaks plain HTTP. Write http:// instead of https://, or ask the proxy "
            "in front that speaks TLS."
        )
    return BadHttp("This is no HTTP/1.1 request.")


def is_hopeless(part: bytes) -> bool:
    """Whether the beginning of a head can already be refused: no method, or a line end that is not CR LF."""
    if part[:1] != b"\r":
        word, space, _ = part[: _LONGEST_METHOD + 1].partition(b" ")
        if not _TOKEN.fullmatch(word) or (not space and len(part) > _LONGEST_METHOD):
            return True
    # A lone CR at the very end may still be followed by its LF.
    return part.count(b"\n") != part.count(b"\r\n") or part.count(b"\r") - part.endswith(b"\r") != part.count(b"\r\n")


def parse_head(block: bytes, max_fields: int) -> Head:
    """Parse the head of a request.

    Args:
        block: from the request line to the empty line, both with their CR LF.
        max_fields: how many header fields it may have.

    Raises:
        BadHttp: it is not valid, or could be read in two ways.
        HttpVersionNotSupported, MethodUnknown, ExpectationFailed, HeadTooLarge: for the reason that each class names.
    """
    line, _, rest = block.partition(b"\r\n")
    read: list[bytes] = []
    late: list[bytes] = []
    has_fields = block.endswith(b"\r\n\r\n") and scan(block, max_fields, read, late) > 0
    _check_bytes(line if has_fields else block)  # Those of the fields were checked.
    method, target, minor = _parse_request_line(line)
    if not has_fields:
        if rest.count(b"\r\n") - 1 > max_fields:
            raise HeadTooLarge(f"A request has at most {max_fields} header fields (max_fields).")
        raise BadHttp("This is no HTTP/1.1 request: a header field is a name without spaces, a colon and a value.")
    origin, authority = _to_origin_form(method, target)
    _check_host(_find_all(read, b"host"), minor)
    if authority:
        _check_same(_find_all(read, b"host"), authority, target)
        pairs = [(read[at], read[at + 1]) for at in range(0, len(read), 2) if read[at] != b"host"]
        read = [b"host", authority, *(part for pair in pairs for part in pair)]
    path, _, query = origin.partition(b"?")
    head = Head(block, method, path.decode("ascii"), query.decode("ascii"), minor, read, late)
    head.length = _find_length(head)
    connection = head.tokens(b"connection")
    head.keeps_alive = "close" not in connection and (minor == 1 or "keep-alive" in connection)
    if not head.keeps_alive:
        head.closing = CLOSE
    elif minor == 0:
        head.closing = KEEP_ALIVE
    head.note_expectation(_expects(head))
    head.is_forwarded = head.has(b"x-forwarded-for") or head.has(b"forwarded")
    return head


def _check_bytes(block: bytes) -> None:
    if is_tls(block):
        raise hopeless(block)
    ends = block.count(b"\r\n")
    if block.count(b"\n") != ends or block.count(b"\r") != ends:
        raise BadHttp("Lines end with CR LF, and neither stands alone (RFC 9112 §2.2).")
    if block.find(b"\r\n ") >= 0 or block.find(b"\r\n\t") >= 0:  # `in` tries first whether bytes are a number.
        raise BadHttp("A header field is not folded over lines (RFC 9112 §5.2).")
    if len(block.translate(None, _CONTROLS)) != len(block):
        raise BadHttp("There is a control character in the head of the request (RFC 9110 §5.5).")


def _parse_request_line(line: bytes) -> tuple[str, bytes, int]:
    parts = line.split(b" ")
    if len(parts) != 3 or not all(parts):
        raise BadHttp("The first line is a method, a target and a version, with one space between (RFC 9112 §3).")
    minor = _MINORS.get(parts[2])
    if minor is None:
        if _VERSION.fullmatch(parts[2]):
            raise HttpVersionNotSupported("HTTP/1.1 and HTTP/1.0 are spoken here: ask with HTTP/1.1.")
        raise BadHttp("The first line ends with the version, HTTP/1.1 (RFC 9112 §2.3).")
    method = _BY_SPELLING.get(parts[0])
    if method is None:
        if not is_method(parts[0]):
            raise BadHttp(f"A method is a token (RFC 9110 §9.1) of at most {_LONGEST_METHOD} characters.")
        known = ", ".join(sorted(METHODS))
        raise MethodUnknown(
            f"The method {parts[0].decode('ascii')} is not known here; those that are: {known}, in upper case."
        )
    return method, parts[1], minor


def _to_origin_form(method: str, target: bytes) -> tuple[bytes, bytes]:
    """The target in the form that begins with `/` (RFC 9112 §3.2), and the host that it named, if any.

    An OPTIONS of a host without a path and a query asks for `*` (RFC 9112 §3.2.4).
    """
    authority = b""
    if target == b"*":
        if method == "OPTIONS":
            return target, authority
        raise BadHttp("Only OPTIONS asks for '*' (RFC 9112 §3.2.4).")
    if method == "CONNECT":
        raise MethodUnknown("This server is no proxy. Ask it for a path of its own, as in GET /topics.")
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
    if _HASH in target or _TAB in target or not target.isascii() or not _PATH.fullmatch(path):
        raise BadHttp("The target of a request is an encoded path and query, without a fragment (RFC 3986 §3.3).")
    return target, authority


def _check_host(hosts: list[bytes], minor: int) -> None:
    # RFC 9112 §3.2: an HTTP/1.1 request without, or any request with more than one, or a wrong one, is 400.
    if len(hosts) > 1 or (not hosts and minor == 1) or (hosts and not _HOST.fullmatch(hosts[0])):
        raise BadHttp("A request names its host, once (RFC 9112 §3.2).")


def _check_same(hosts: list[bytes], authority: bytes, target: bytes) -> None:
    """Check that the target names the same host as the field Host.

    RFC 9112 §3.2.2 lets the target win. But a proxy in front may have used the field, so both must agree.
    """
    port = b":%d" % DEFAULT_PORTS["https" if target[:6].lower() == b"https:" else "http"]
    if any(_shorten(host, port) != _shorten(authority, port) for host in hosts):
        raise BadHttp("The target of this request names another host than the field Host. Send the path alone.")


def _shorten(host: bytes, port: bytes) -> bytes:
    """A host in lower case, without its port if that is the default one."""
    return host.lower().removesuffix(b":").removesuffix(port)


def _find_length(head: Head) -> int:
    """The length of the body (RFC 9112 §6.3). Anything that could be read in two ways is refused."""
    lengths = head.late(b"content-length")
    codings = head.all(b"transfer-encoding")
    if codings:
        if lengths:
            raise BadHttp("A body has a Content-Length or a Transfer-Encoding, not both (RFC 9112 §6.1).")
        if head.minor == 0 or len(codings) > 1 or codings[0].lower() != b"chunked":
            raise BadHttp("The one transfer coding taken here is chunked, in HTTP/1.1 (RFC 9112 §6.1).")
        return CHUNKED
    return _parse_length(lengths)


def _parse_length(lengths: list[bytes]) -> int:
    """The value of Content-Length, 0 if there is none."""
    if not lengths:
        return 0
    text = lengths[0]
    # Some parsers read a number with a leading zero as octal.
    if len(lengths) > 1 or not 0 < len(text) <= _MAX_LENGTH_DIGITS or (text[0] == _ZERO and len(text) > 1):
        raise BadHttp(_NO_LENGTH)
    # Not with int(), which accepts signs, underscores and white space, and costs more than three digits do here.
    length: i64 = 0
    size: i64 = len(text)
    for at in range(size):
        byte: i64 = text[at]
        if not _ZERO <= byte <= _NINE:
            raise BadHttp(_NO_LENGTH)
        length = length * 10 + byte - _ZERO
    return length


def _expects(head: Head) -> bool:
    """Whether the client expects 100-continue, the only expectation that is supported."""
    expectations = head.tokens(b"expect")
    if expectations and expectations != ["100-continue"]:
        raise ExpectationFailed("The only expectation met here is 100-continue.")
    return bool(expectations)
