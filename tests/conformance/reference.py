"""HTTP/1.1 requests read straight from the grammar of RFC 9110 and 9112: slow, obvious, and written without slosh.

What slosh takes must be what stands here, no more and no less, and must end where it ends here. The few places where
slosh is stricter than the standard on purpose are marked.
"""

import re
from dataclasses import dataclass

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# Those that mean something; CONNECT is for proxies.
METHOD = rb"GET|HEAD|POST|PUT|DELETE|OPTIONS|TRACE|PATCH"
PCHAR = rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})"
# More lenient, as browsers are: these stand unencoded in paths and queries all over the web.
LAX_PATH = rb'(?:%(pchar)b|[/\[\]|^`{}"])' % {b"pchar": PCHAR}
PORT = rb"(?::[0-9]{0,5})?"
HOST = rb"(?:(?:[A-Za-z0-9\-._~!$&'()*+;=]|%%[0-9A-Fa-f]{2})+|\[[0-9A-Fa-f:.]{2,45}\])%b" % PORT
TARGET = (
    rb'(?P<scheme>[Hh][Tt][Tt][Pp][Ss]?://(?P<authority>%b)(?=[/? ]))?(?P<path>(?:/%b*)?)(?:\?(?P<query>[!"$-~]*))?'
    % (
        HOST,
        LAX_PATH,
    )
)
LINE = re.compile(rb"(?P<method>%b) (?:(?P<star>\*)|%b) HTTP/1\.(?P<minor>[01])\r\n" % (METHOD, TARGET))
FIELD = re.compile(
    rb"(%b):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*\r\n" % TOKEN
)
NUMBER = re.compile(rb"0|[1-9][0-9]{0,14}")  # Stricter: no leading zeros.
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")  # Stricter: no extensions, no more than eight digits.


@dataclass(frozen=True, slots=True)
class Request:
    """A sound request, whole."""

    method: bytes
    body: bytes
    path: bytes
    keeps_alive: bool


class UnsoundError(Exception):
    """The bytes are no request of HTTP/1.1."""


def read(data: bytes) -> list[Request]:
    """The sound requests at the start of `data`, up to what is unsound, incomplete, or behind a closed connection."""
    requests: list[Request] = []
    while not requests or requests[-1].keeps_alive:
        while data.startswith(b"\r\n"):
            data = data[2:]
        try:
            found = read_one(data)
        except UnsoundError:
            break
        if found is None:
            break
        request, data = found
        requests.append(request)
    return requests


def demand(condition: object) -> None:
    """Go on only with what is sound."""
    if not condition:
        raise UnsoundError


def read_one(data: bytes) -> tuple[Request, bytes] | None:
    """One request and what follows it, None when it is not all there."""
    head, blank, rest = data.partition(b"\r\n\r\n")
    if not blank:
        return None
    head += b"\r\n"
    line = LINE.match(head)
    if line is None:
        raise UnsoundError
    fields: list[tuple[bytes, bytes]] = []
    at = line.end()
    while at < len(head):
        field = FIELD.match(head, at)
        if field is None:
            raise UnsoundError
        fields.append((field[1].lower(), field[2]))
        at = field.end()
    check_head(line, fields)
    length = framing(line["minor"] == b"1", fields)
    found = read_chunks(rest) if length is None else read_sized(rest, length)
    if found is None:
        return None
    options = words(fields, b"connection")
    keeps = b"close" not in options and (line["minor"] == b"1" or b"keep-alive" in options)
    # RFC 9112 §3.2.4: OPTIONS of a host alone is of the server as a whole.
    whole = line["star"] or (line["method"] == b"OPTIONS" and not line["path"] and line["query"] is None)
    return Request(line["method"], found[0], b"*" if whole else line["path"] or b"/", keeps), found[1]


def words(fields: list[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """The members of a list field, in lower case."""
    joined = b",".join(value for key, value in fields if key == name)
    return [word for part in joined.lower().split(b",") if (word := part.strip(b" \t"))]


def check_head(line: re.Match[bytes], fields: list[tuple[bytes, bytes]]) -> None:
    """Demand what the grammar cannot say of the first line and the fields together."""
    hosts = [value for name, value in fields if name == b"host"]
    demand(len(fields) <= 64)
    demand(len(hosts) == 1 or (not hosts and line["minor"] == b"0"))
    demand(not hosts or re.fullmatch(HOST, hosts[0]))
    if line["authority"] and hosts:  # Stricter than RFC 9112 §3.2.2, where the target wins.
        default = b"443" if line["scheme"].lower().startswith(b"https:") else b"80"
        ours, theirs = (re.fullmatch(rb"(.*?)(?::([0-9]*))?", each.lower()) for each in (line["authority"], hosts[0]))
        assert ours is not None
        assert theirs is not None
        demand((ours[1], ours[2] or default) == (theirs[1], theirs[2] or default))
    demand(not line["star"] or line["method"] == b"OPTIONS")
    demand(line["star"] or line["path"] or line["authority"])
    demand(words(fields, b"expect") in ([], [b"100-continue"]))


def framing(new: bool, fields: list[tuple[bytes, bytes]]) -> int | None:
    """The length of the body, None for chunks. `new`: HTTP/1.1."""
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    if codings:
        # Stricter: chunked alone, once, and never with a length or in HTTP/1.0.
        demand(new and not lengths and len(codings) == 1 and codings[0].lower() == b"chunked")
        return None
    if not lengths:
        return 0
    demand(len(lengths) == 1 and NUMBER.fullmatch(lengths[0]))
    return int(lengths[0])


def read_sized(data: bytes, length: int) -> tuple[bytes, bytes] | None:
    """A body of `length` bytes and what follows it, None when it is not all there."""
    return (data[:length], data[length:]) if len(data) >= length else None


def read_chunks(data: bytes) -> tuple[bytes, bytes] | None:
    """A chunked body and what follows it, None when it is not all there."""
    body = b""
    while True:
        line, newline, data = data.partition(b"\n")
        size = CHUNK.fullmatch(line + newline)
        if not newline:
            return None
        if size is None:
            raise UnsoundError
        length = int(size[1], 16)
        if not length:
            break
        if len(data) < length + 2:
            return None
        demand(data[length : length + 2] == b"\r\n")
        body, data = body + data[:length], data[length + 2 :]
    while not data.startswith(b"\r\n"):
        line, newline, data = data.partition(b"\n")
        if not newline:
            return None
        demand(FIELD.fullmatch(line + newline))
    return body, data[2:]
