"""Fields are read the same by both readers, as strictly as by llhttp, and those alone that something asks for."""

import re
from pathlib import Path
from typing import Any

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import slosh
from slosh.compiled import is_compiled
from slosh.errors import BadHttp, InternalError, SloshError
from slosh.http1.fields import LATE, READ, find_end, find_end_in_bytes, scan, scan_bytes, scan_lines
from slosh.http1.head import Head, parse_head
from slosh.http1.heads import find_meaning
from tests.cases import each_of
from tests.properties import PROPERTY

SOURCES = Path(slosh.__file__).parent
LINE = b"GET / HTTP/1.1\r\n"
NAMES = [
    b"Host",
    b"host",
    b"HOST",
    b"Content-Length",
    b"content-length",
    b"Cookie",
    b"Transfer-Encoding",
    b"Connection",
]
NAMES += [
    b"Expect",
    b"Upgrade",
    b"X",
    b"x-request-id",
    b"Accept",
    b"accepT",
    b"",
    b" Host",
    b"Host ",
    b"Ho st",
    b"H\xe9",
]
NAMES += [b"H\0", b"(", b"{}", b"\tHost", b"X" * 70, b"Ac\x0bept"]
VALUES = [
    b"a",
    b"h",
    b" h",
    b"h \t",
    b"\t h",
    b"",
    b" ",
    b"1",
    b"01",
    b"+1",
    b"1 1",
    b"1,1",
    b"chunked",
    b"Chunked",
    b"a\0",
]
VALUES += [
    b"a\x7f",
    b"\xe9",
    b"a: b",
    b"a\rb",
    b"a\nb",
    b"a\r\n b",
    b"close",
    b"keep-alive, upgrade",
    b"\x0b",
    b"100-continue",
]


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """Heads whose request line is sound, and whose fields may be anything."""
    pairs = draw(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=4))
    ends = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\r\n"])
    colons = st.sampled_from([b":", b":", b": ", b": ", b"", b" :"])
    lines = [name + draw(colons) + value + draw(ends) for name, value in pairs]
    return LINE + b"".join(lines) + b"\r\n"


class Said:
    """What llhttp says of the fields."""

    def __init__(self) -> None:
        self.fields: list[bytes] = []
        self.is_whole = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields += (name.lower(), value.strip(b" \t"))

    def on_headers_complete(self) -> None:
        self.is_whole = True


def ask_llhttp(block: bytes) -> list[bytes] | None:
    """The fields that llhttp finds, those that are read here; None where it refuses the head."""
    said = Said()
    try:
        httptools.HttpRequestParser(said).feed_data(block)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError:
        return None
    if not said.is_whole:
        return None
    found = zip(said.fields[::2], said.fields[1::2], strict=True)
    return [part for name, value in found if name in READ | LATE for part in (name, value)]


def is_one_head(block: bytes) -> bool:
    """Whether the first empty line is the last: what a connection takes for a head ends there."""
    return block.find(b"\r\n\r\n") == len(block) - 4


def filled(read: list[bytes], late: list[bytes]) -> list[bytes]:
    """All that were found, in their order, those in `LATE` with their values."""
    values = iter(late[1::2])
    pairs = zip(read[::2], read[1::2], strict=True)
    return [part for name, value in pairs for part in (name, next(values) if name in LATE else value)]


@PROPERTY
@given(heads().filter(is_one_head), st.integers(0, 4))
@example(LINE + b"Host: h\r\n\r\n", 0)
@example(LINE + b": h\r\n\r\n", 4)
def test_both_readers_read_the_same(block: bytes, most: int) -> None:
    found: Any = [([], []), ([], [])]
    taken = [reader(block, most, *lists) for reader, lists in zip((scan_bytes, scan_lines), found, strict=True)]
    assert taken[0] == taken[1]
    if taken[0]:
        assert found[0] == found[1]


@PROPERTY
@given(
    st.lists(st.sampled_from([b"\r", b"\n", b"a", b"\r\n", b"abcde", b"\r\n\r\n"]), max_size=20).map(b"".join),
    st.integers(0, 40),
)
@example(b"aaaa\r\n\r\n", 0)
@example(b"\r\n\r\n", 0)
@example(b"a\r\n\n\r\n\r\n", 0)
@example(b"\r\n\r\n\r\n\r\n", 1)
def test_both_ways_find_the_same_end(data: bytes, at: int) -> None:
    found = data.find(b"\r\n\r\n", at)
    assert find_end_in_bytes(data, at) == find_end(data, at) == (found + 4 if found >= 0 else 0)


@each_of("reader", [scan_bytes, scan_lines])
@each_of("byte", [0x00, 0x01, 0x0A, 0x0D, 0x1F, 0x7F])
@each_of("line", [b"GET /a?b% HTTP/1.1", b"GET /a% HTTP/1.1", b"GET /a HTTP/1.1%"])
def test_the_request_line_is_checked_to_the_last_byte(
    line: bytes, byte: int, reader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the fields are read byte by byte, which looks at no byte of the line but its end."""
    if not is_compiled():  # where it is, `scan` is the one of bytes, and can be no other
        monkeypatch.setattr("slosh.http1.head.scan", reader)
    with pytest.raises(BadHttp):
        parse_head(line.replace(b"%", bytes([byte])) + b"\r\nHost: h\r\n\r\n", 64)


@pytest.mark.parametrize("reader", [scan_bytes, scan_lines])
def test_the_request_line_is_one_line(reader: Any) -> None:
    """What a head asks for is joined by line feeds: with one in its request line it could pass for another head."""
    assert reader(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 4, [], [])
    assert not reader(b"GET / HTTP/1.1\nHost: h\r\n\r\n", 4, [], [])
    assert not reader(b"GET / HTTP/1.1\nhost\nh\r\n\r\n", 4, [], [])
    assert not reader(b"GET / HTTP/1.1\n\r\nHost: h\r\n\r\n", 4, [], [])


@PROPERTY
@given(heads().filter(is_one_head))
@example(LINE + b"Content-Length: 1\t\r\nHost: h\r\n\r\n")
def test_what_is_taken_is_what_llhttp_takes(block: bytes) -> None:
    read: list[bytes] = []
    late: list[bytes] = []
    if scan(block, 64, read, late):
        try:
            parse_head(block, 64)
        except SloshError:
            return  # What the fields say is refused, which llhttp looks at in part.
        # White space behind a value is no part of it (RFC 9112 §5); llhttp takes some of it for a part of a coding.
        trimmed = re.sub(rb"[ \t]+\r\n", rb"\r\n", block)
        assert filled(read, late) == ask_llhttp(trimmed)
    else:
        with pytest.raises(BadHttp):
            parse_head(block, 64)


@PROPERTY
@given(st.binary(max_size=40))
@example(b"X: y\rzA: d")
@example(b"X: y\x7f")
def test_any_bytes_in_a_field_are_read_the_same_or_refused(data: bytes) -> None:
    block = LINE + b"Host: h\r\n" + data + b"\r\n\r\n"
    if is_one_head(block):
        found: Any = [([], []), ([], [])]
        taken = [reader(block, 64, *lists) for reader, lists in zip((scan_bytes, scan_lines), found, strict=True)]
        assert taken[0] == taken[1]
        if taken[0]:
            assert found[0] == found[1]
            assert ask_llhttp(block) is not None or b":" in data


def test_there_are_as_many_fields_as_may_be() -> None:
    for reader in (scan_bytes, scan_lines):
        block = LINE + b"Host: h\r\n" + b"X: y\r\n" * 3 + b"\r\n"
        assert reader(block, 4, [], [])
        assert not reader(block, 3, [], [])


def asked_for(method: str) -> set[bytes]:
    """The names that the source asks a head for."""
    found: set[bytes] = set()
    for path in SOURCES.rglob("*.py"):
        if path.parts[-2] not in {"asgi", "client", "commands"}:
            text = path.read_text()
            found |= {name.encode() for name in re.findall(rf'\.(?:{method})\(b"([a-z-]+)"\)', text)}
            if method == "late" and "late(KEY)" in text:
                found.add(b"idempotency-key")
    return found


@each_of("reader", [scan_bytes, scan_lines])
@each_of("spell", [bytes.lower, bytes.upper, bytes.title, bytes.swapcase])
def test_each_name_that_is_listed_is_found_however_it_is_spelled(reader: Any, spell: Any) -> None:
    """Also where another begins and ends alike and is as long: each has a place of its own in the table of names."""
    for name in sorted(READ | LATE):
        read: list[bytes] = []
        late: list[bytes] = []
        assert reader(LINE + spell(name) + b": v\r\n\r\n", 9, read, late)
        assert filled(read, late) == [name, b"v"]
    for name in sorted(READ | LATE):
        nearly = b"%b~%b" % (name[:1], name[2:])
        read, late = [], []
        assert reader(LINE + spell(nearly) + b": v\r\n\r\n", 9, read, late)
        assert not read, "the place is right and the name is not"


def test_the_fields_that_are_read_are_those_that_are_listed() -> None:
    assert asked_for("all|first|tokens") == READ
    assert asked_for("late") == LATE


def test_a_field_that_is_not_listed_cannot_be_asked_for() -> None:
    head = parse_head(LINE + b"Host: h\r\nX-Forwarded-Host: a\r\nUser-Agent: b\r\n\r\n", 64)
    assert head.first(b"x-forwarded-host") == "a"
    for name in (b"user-agent", b"cookie"):
        with pytest.raises(InternalError):
            head.all(name)


def meaning(fields: bytes, line: bytes = LINE) -> bytes:
    read: list[bytes] = []
    line_end = scan(line + fields + b"\r\n", 64, read, [])
    assert line_end == len(line)
    return find_meaning(line + fields + b"\r\n", line_end, 0, 0, read)


@each_of("name", sorted(READ))
def test_what_a_head_asks_for_depends_on_each_field_that_says_what_to_do(name: bytes) -> None:
    said = {meaning(fields) for fields in (b"", name + b": a\r\n", name + b": b\r\n", (name + b": a\r\n") * 2)}
    assert len(said) == 4
    assert meaning(name.title() + b":a \r\n") == meaning(name + b": a\r\n")


@pytest.mark.parametrize("name", sorted(LATE))
def test_and_on_whether_there_is_one_that_differs_each_time(name: bytes) -> None:
    assert meaning(name + b": 1\r\n") == meaning(name + b": 2\r\n")
    assert meaning(name + b": 1\r\n") not in {meaning(b""), meaning((name + b": 1\r\n") * 2)}


def test_and_on_nothing_else() -> None:
    assert meaning(b"X-Request-ID: 1\r\nHost: h\r\n") == meaning(b"Host: h\r\nUser-Agent: a\r\nX-Request-ID: 2\r\n")
    assert meaning(b"", b"GET /a HTTP/1.1\r\n") != meaning(b"", b"GET /b HTTP/1.1\r\n")


def test_the_part_that_differs_is_not_taken_for_a_field() -> None:
    """A line without its changing part, and a line that has none, ask for different things."""
    fields = [b"host", b"h"]
    line = b"GET /ab HTTP/1.1\r\n"
    block = line + b"Host: h\r\n\r\n"
    said = {find_meaning(block, len(line), *part, fields) for part in ((0, 0), (5, 6), (5, 7), (6, 7))}
    assert len(said) == 4
    assert find_meaning(block.replace(b"a", b""), len(line) - 1, 0, 0, fields) not in said


def test_neither_is_the_late_part() -> None:
    """Whichever of the two parts comes first: what is left of one head and of the other may be the same bytes."""
    fields = [b"host", b"h"]
    line = b"GET /abcab HTTP/1.1\r\n"
    block = line + b"Host: h\r\n\r\n"
    parts = ((5, 6, 0, 0), (5, 6, 7, 8), (7, 8, 5, 6), (5, 6, 8, 9), (8, 9, 5, 6), (8, 9, 0, 0), (5, 7, 7, 8))
    said = {find_meaning(block, len(line), start, end, fields, *late) for start, end, *late in parts}
    assert len(said) == len(parts)
    others = {find_meaning(block, len(line), start, end, [], *late) for start, end, *late in parts}
    assert len(said | others) == 2 * len(parts)


def test_a_head_like_another_has_its_own_length() -> None:
    one = parse_head(LINE + b"Host: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n", 64)
    for length in (0, 7):
        other: Head = one.like(b"", [b"content-length", b"%d" % length])
        assert (other.length, other.expects_continue) == (length, length > 0)
    with pytest.raises(BadHttp):
        one.like(b"", [b"content-length", b"x"])
    with pytest.raises(BadHttp):
        one.like(b"", [b"content-length", b"1", b"content-length", b"1"])
    chunked = parse_head(LINE + b"Host: h\r\nTransfer-Encoding: chunked\r\n\r\n", 64)
    assert chunked.like(b"", []).length == chunked.length
    with pytest.raises(BadHttp):
        chunked.like(b"", [b"content-length", b"1"])
