"""Bodies end where they say, however the bytes come in; and the chunked coding is read strictly."""

import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.errors import BadHttp, HeadTooLarge, SloshError
from slosh.http1.bodies import BodyReader, ChunkedBody, SizedBody
from tests.cases import each_of
from tests.properties import PROPERTY

MAX_TRAILERS = 40

Outcome = tuple[str, bytes, bytes]
"""What became of it: whole, unfinished, or the error's code; then the body and what came behind."""


def feed(reader: BodyReader, pieces: list[bytes]) -> Outcome:
    """Feed pieces as they arrive; what comes after the end of the body is what came behind it."""
    for number, piece in enumerate(pieces):
        try:
            whole = reader.feed(piece)
        except SloshError as error:
            return error.code, b"", b""
        if whole:
            return "whole", bytes(reader.body), reader.rest + b"".join(pieces[number + 1 :])
    return "unfinished", bytes(reader.body), b""


def cut(data: bytes, places: list[float]) -> list[bytes]:
    """The data in pieces, cut at these parts of its length."""
    ends = sorted({round(place * len(data)) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(ends)]


def decode_slowly(data: bytes) -> Outcome:  # noqa: PLR0911 - one return for each way to end
    """The chunked coding of RFC 9112 section 7.1 as one regular expression after the other, for all bytes at once."""
    body = b""
    while True:
        size = re.match(rb"([0-9A-Fa-f]{1,8})\r\n", data)
        if not size:
            hopeful = re.fullmatch(rb"[0-9A-Fa-f]{0,8}|[0-9A-Fa-f]{1,8}\r", data)
            return ("unfinished", body, b"") if hopeful else ("bad_http", b"", b"")
        length = int(size[1], 16)
        data = data[size.end() :]
        if not length:
            break
        body += data[:length]
        if not b"\r\n".startswith(data[length : length + 2]):
            return "bad_http", b"", b""
        if len(data) < length + 2:
            return "unfinished", body, b""
        data = data[length + 2 :]
    trailers = 0
    while not data.startswith(b"\r\n"):
        line, end, data = data.partition(b"\n")
        trailers += len(line + end)
        if trailers > MAX_TRAILERS and line + end != b"\r":
            return "head_too_large", b"", b""
        if not end:
            return "unfinished", body, b""
        if not re.fullmatch(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r", line):
            return "bad_http", b"", b""
    return "whole", body, data[2:]


CHUNKS = st.binary(min_size=1, max_size=20).map(lambda data: b"%x\r\n%b\r\n" % (len(data), data))
TRAILERS = st.sampled_from([b"A: b\r\n", b"Long-Name: " + b"x" * 20 + b"\r\n", b"X:\r\n", b"Set-Cookie: a=b\r\n"])
BODIES = st.tuples(
    st.lists(CHUNKS, max_size=5).map(b"".join),
    st.sampled_from([b"0\r\n", b"00000000\r\n", b"0\r\n", b"-0\r\n"]),
    st.lists(TRAILERS, max_size=3).map(b"".join),
    st.sampled_from([b"\r\n", b"\r\nGET / HTTP/1.1\r\n", b"\n", b""]),
).map(b"".join)
FRAGMENTS = st.sampled_from(
    [
        b"",
        b"\r",
        b"\n",
        b"\r\n",
        b"0",
        b";",
        b";a=b",
        b" ",
        b"\t",
        b"x",
        b"0x",
        b"-",
        b"+",
        b"_",
        b":",
        b"A:b",
        b"FFFFFFFFF",
        b"\0",
    ]
)
CUTS = st.lists(st.floats(0, 1), max_size=6)


@PROPERTY
@given(BODIES, st.lists(st.tuples(st.floats(0, 1), st.integers(0, 2), FRAGMENTS), max_size=2), CUTS)
def test_chunks_in_any_split_are_what_a_slow_decoder_makes_of_them_at_once(
    data: bytes, edits: Any, places: Any
) -> None:
    for where, gone, fragment in edits:
        at = round(where * len(data))
        data = data[:at] + fragment + data[at + gone :]
    expected = decode_slowly(data)
    assert feed(ChunkedBody(MAX_TRAILERS), [data] if data else []) == expected
    assert feed(ChunkedBody(MAX_TRAILERS), cut(data, places)) == expected
    assert feed(ChunkedBody(MAX_TRAILERS), [data[at : at + 1] for at in range(len(data))]) == expected


@PROPERTY
@given(st.binary(min_size=1, max_size=40), st.integers(1, 40), CUTS)
def test_a_declared_length_in_any_split_is_that_many_bytes(data: bytes, length: int, places: Any) -> None:
    expected = ("whole", data[:length], data[length:]) if len(data) >= length else ("unfinished", data, b"")
    assert feed(SizedBody(length), [data]) == expected
    assert feed(SizedBody(length), cut(data, places)) == expected


@each_of(
    "data",
    [
        b"5;ext=1\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"-5\r\nhello\r\n",
        b"5_0\r\n",
        b"\r\n",
        b"5\nhello\r\n",
        b"5\r\nhello\n",
        b"5\r\nhelloX",
        b"5\r\nhello\rX",
        b"5\r\rhello\r\n",
        b"000000005\r\n",
        b"100000000\r\n",
        b"g\r\n",
        b"\xd9\xa5\r\n",
        b"0\r\nno colon\r\n\r\n",
        b"0\r\nbad name: x\r\n\r\n",
        b"0\r\n: x\r\n\r\n",
        b"0\r\n folded\r\n\r\n",
        b"0\r\nA: \0\r\n\r\n",
        b"0\r\nA: b\n\r\n",
        b"0\r\n\n",
    ],
)
def test_what_two_servers_could_read_differently_is_refused(data: bytes) -> None:
    with pytest.raises(BadHttp):
        ChunkedBody(1000).feed(data)


def test_trailers_are_read_and_dropped() -> None:
    chunks = ChunkedBody(1000)
    assert chunks.feed(b"2\r\nab\r\n0\r\nContent-Length: 5\r\nX: y\r\n\r\nrest")
    assert (bytes(chunks.body), chunks.rest) == (b"ab", b"rest")


@pytest.mark.parametrize("data", [b"0\r\n" + b"A: b\r\n" * 1000, b"0\r\n" + b"a" * 5000])
def test_trailers_count_against_their_bound_as_they_come(data: bytes) -> None:
    """Others read trailers without end (CVE-2026-22815)."""
    chunks = ChunkedBody(100)
    taken = 0

    def feed_all() -> None:
        nonlocal taken
        for byte in data:
            chunks.feed(bytes([byte]))
            taken += 1

    with pytest.raises(HeadTooLarge, match="max_head"):
        feed_all()
    assert taken <= 3 + 100


def test_trailers_of_just_the_bound_are_taken_however_they_are_cut() -> None:
    data = b"0\r\nA: 345678\r\n\r\n"
    for at in range(1, len(data)):
        chunks = ChunkedBody(11)
        assert not chunks.feed(data[:at])
        assert chunks.feed(data[at:])


def test_a_chunk_is_there_as_soon_as_it_came_so_that_its_size_can_be_bounded() -> None:
    chunks = ChunkedBody(100)
    assert not chunks.feed(b"ffffffff\r\n" + b"x" * 1000)
    assert len(chunks.body) == 1000


def test_a_size_without_an_end_is_not_gathered() -> None:
    with pytest.raises(BadHttp):
        ChunkedBody(100).feed(b"1" * 50)
