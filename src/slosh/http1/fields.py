"""The header fields of a request: checked to the last byte, and those that something here reads set apart.

The rules of this file:

* Each line is a name, a colon and a value: the name is a token (RFC 9110 §5.6.2), and the value has no control
  character but the tab (§5.5). So no line is folded, and none ends with anything but CR LF. A head with any other line
  is refused.
* A field that is in neither `READ` nor `LATE` is checked like any, and then forgotten: nothing of it is decoded, copied
  or remembered. `Head.all` refuses to tell of a field that is not listed, so none can be read by mistake.
* There are two readers, which a test compares with each other and with llhttp. Compiled, `scan_bytes` looks at each
  byte once and makes no object for a field that is not read. If Python runs the source, a loop over bytes would cost
  ten times as much as `scan_lines`, which leaves the loops to the methods of `bytes`. Compiled code calls these as
  Python does, and `find` alone costs as much as a loop over a hundred bytes.
"""

from typing import Final

from slosh.compiled import i64, is_compiled

READ: Final = frozenset(
    b"accept accept-encoding access-control-request-headers access-control-request-method authorization connection "
    b"content-encoding content-type expect forwarded host if-match if-modified-since if-none-match if-range "
    b"if-unmodified-since last-event-id origin prefer range sec-fetch-site sec-websocket-extensions "
    b"sec-websocket-protocol sec-websocket-version transfer-encoding upgrade x-forwarded-host x-forwarded-prefix "
    b"x-forwarded-proto".split()
)
"""Fields that say what is to be done for a request."""

LATE: Final = frozenset({b"content-length", b"cookie", b"idempotency-key", b"sec-websocket-key", b"x-forwarded-for"})
"""Fields whose values differ from one request to the next, and are read when it is run. The action depends on whether
they are there, and not on what they say (see `heads.py`)."""

_TOKEN: Final = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_IS_TOKEN: Final = bytes(byte in _TOKEN for byte in range(256))
_CONTROLS: Final = bytes(set(range(0x20)) - {0x09}) + b"\x7f"
_WHITE_SPACE: Final = b" \t"
_LONGEST: Final = max(map(len, READ | LATE))
_COLON: Final = 0x3A
_CR: Final = 0x0D
_LF: Final = 0x0A
_TAB: Final = 0x09
_SPACE: Final = 0x20
_DELETE: Final = 0x7F
_LOWER: Final = 0x20
"""The bit by which a small letter differs from a capital one. A hyphen has it already."""


def _place(name: bytes) -> int:
    """Where the one name that is read may stand in `_BY_PLACE`, for a name in letters of either case."""
    return (name[0] + name[-1] & 31) << 6 | len(name)


_BY_PLACE: Final[list[bytes]] = [b""] * (32 << 6)
"""The names that are read, no two at one place, which a test holds: so a name is compared with one of them at most."""
for _each in READ | LATE:
    _BY_PLACE[_place(_each)] = _each
_IS_LATE: Final = bytes(name in LATE for name in _BY_PLACE)
"""Whether the name at that place is one of `LATE`."""

_NAMES: Final = {
    spelled: name for name in READ | LATE for spelled in (name, b"-".join(map(bytes.capitalize, name.split(b"-"))))
}
"""The names that are read, as nearly all clients spell them. Others are found by their lower case."""

_IS_COMPILED: Final = is_compiled()


def find_end(data: bytes, at: int) -> int:
    """Where the head that begins at `at` ends, behind its empty line; 0 if it is not there as a whole."""
    if _IS_COMPILED:
        return find_end_in_bytes(data, at)
    found = data.find(b"\r\n\r\n", at)
    return found + 4 if found >= 0 else 0


def find_end_in_bytes(data: bytes, at: int) -> int:
    """As `find_end` says, byte by byte."""
    end: i64 = at + 3
    size: i64 = len(data)
    while end < size:
        # The last byte of an empty line, if it is that: it tells how far away the next place is that may be one.
        byte: i64 = data[end]
        if byte == _CR:
            end += 1
        elif byte != _LF:
            end += 4
        elif data[end - 1] == _CR and data[end - 2] == _LF and data[end - 3] == _CR:
            return end + 1
        else:
            end += 2
    return 0


def scan(block: bytes, max_fields: int, read: list[bytes], late: list[bytes]) -> int:
    """Check the fields of a head, and set apart those that are read.

    Args:
        block: from the request line, of which only this is seen: no line feed stands in it; to the empty line.
        max_fields: how many it may have.
        read: gets the names in lower case of the fields in `READ`, each with its value behind it, and of those in
            `LATE`, with nothing.
        late: gets the names and values of those in `LATE`.

    Returns:
        Where the fields begin, behind the request line; 0 if a field is none, or there are too many.
    """
    if _IS_COMPILED:
        return scan_bytes(block, max_fields, read, late)
    return scan_lines(block, max_fields, read, late)


def scan_bytes(  # noqa: C901, PLR0912 - one loop over a line's parts; a call for each would cost more than the part
    block: bytes, max_fields: int, read: list[bytes], late: list[bytes]
) -> int:
    """As `scan` says, byte by byte. A block ends with an empty line, so no loop runs over its end."""
    left: i64 = max_fields
    at: i64 = 0
    while block[at] != _LF:
        at += 1
    # `find_meaning` joins the request line and the fields by line feeds.
    if at == 0 or block[at - 1] != _CR:
        return 0
    at += 1
    line_end: i64 = at
    end: i64 = len(block) - 2
    longest: i64 = _LONGEST
    is_token, by_place, is_late = _IS_TOKEN, _BY_PLACE, _IS_LATE  # as locals they are looked up once
    while at < end:
        start: i64 = at
        byte: i64 = block[at]
        while is_token[byte]:
            at += 1
            byte = block[at]
        length: i64 = at - start
        if byte != _COLON or length == 0:
            return 0
        begin: i64 = at + 1
        at = begin
        byte = block[at]
        while (byte >= _SPACE and byte != _DELETE) or byte == _TAB:
            at += 1
            byte = block[at]
        left -= 1
        if byte != _CR or block[at + 1] != _LF or left < 0:
            return 0
        if length <= longest:
            first: i64 = block[start]
            last: i64 = block[begin - 2]
            place: i64 = (first + last & 31) << 6 | length
            name = by_place[place]
            same: i64 = 0
            if name:
                while same < length and block[start + same] | _LOWER == name[same]:
                    same += 1
            if same == length:
                stop: i64 = at
                while begin < stop and (block[begin] == _SPACE or block[begin] == _TAB):
                    begin += 1
                while begin < stop and (block[stop - 1] == _SPACE or block[stop - 1] == _TAB):
                    stop -= 1
                read.append(name)
                if is_late[place]:
                    late.append(name)
                    late.append(block[begin:stop])
                    read.append(b"")
                else:
                    read.append(block[begin:stop])
        at += 2
    return line_end


def are_equal(read: list[bytes], others: list[bytes]) -> bool:
    """Whether two lists of names and values, as `scan` gives them, are equal."""
    if not _IS_COMPILED:
        return read == others
    # One by one, because Python's comparison of lists takes two calls for each.
    size: i64 = len(read)
    if size != len(others):
        return False
    for at in range(size):  # noqa: SIM110 - a generator takes a call for each too
        if read[at] is not others[at] and read[at] != others[at]:
            return False
    return True


def scan_lines(block: bytes, max_fields: int, read: list[bytes], late: list[bytes]) -> int:
    """As `scan` says, line by line."""
    lines = block.split(b"\r\n")
    ends = len(lines) - 1
    # The line ends are the only control characters, so neither CR nor LF stands alone.
    if ends - 2 > max_fields or len(block.translate(None, _CONTROLS)) != len(block) - 2 * ends:
        return 0
    for line in lines[1:-2]:
        spelled, colon, value = line.partition(b":")
        if not (spelled and colon):
            return 0
        name = _NAMES.get(spelled)
        if name is None:
            if spelled.translate(None, _TOKEN):
                return 0
            # As `_place` has it, whose call would cost more than the rest of this look.
            if len(spelled) > _LONGEST or not _BY_PLACE[(spelled[0] + spelled[-1] & 31) << 6 | len(spelled)]:
                continue
            name = _NAMES.get(spelled.lower())
            if name is None:
                continue
        read.append(name)
        if name in LATE:
            late += (name, value.strip(_WHITE_SPACE))
            read.append(b"")
        else:
            read.append(value.strip(_WHITE_SPACE))
    return len(lines[0]) + 2
