"""The work that a request costs is bounded, whatever is in it: counted in calls, so no clock decides a test.

Quadratic readers of cookies, ranges and repeated fields were published as advisories in tornado (CVE-2024-52804,
CVE-2025-67725), starlette (CVE-2025-62727) and others.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from slosh.errors import RangeNotSatisfiable
from slosh.http1.head import parse_head
from slosh.web.pages.conditions import Version, find_range
from slosh.web.readers.cookies import cookie_name, find_place
from tests.cases import each_of
from tests.conformance.case import chunked, get, post
from tests.conformance.fake import FakeClient
from tests.conformance.wire import parse
from tests.timing import assert_quick

COOKIE = b"Cookie: " + b"; ".join(b"k%d=v" % n for n in range(6000))
HUGE = {
    "60 kB of cookies": get(COOKIE),
    "60 kB of backslashes in a cookie": get(b'Cookie: a="' + b"\\" * 60_000 + b'"'),
    "10,000 equal names": get(*[b"X: v"] * 10_000),
    "10,000 names": get(*(b"X-%d: v" % n for n in range(10_000))),
    "thousands of ranges": get(b"Range: bytes=" + b",".join(b"%d-%d" % (n, n) for n in range(7000))),
    "10,000 tokens in Connection": get(b"Connection: " + b"a," * 10_000),
    "a megabyte of target": get(target=b"/" + b"a" * (1 << 20)),
    "10,000 trailers": chunked(b"0\r\n" + b"X: v\r\n" * 10_000 + b"\r\n"),
}


def count_calls(act: Callable[[], object]) -> int:
    """How many functions, of Python and of C, `act` calls in all."""
    calls = 0

    def note(_frame: FrameType, event: str, _arg: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(before)
    return calls


def feed(sent: bytes, size: int) -> FakeClient:
    client = FakeClient()
    client.feed(*(sent[at : at + size] for at in range(0, len(sent), size)))
    return client


@each_of("size", [1 << 22, 1 << 16, 1460], ids=["at once", "64 KiB", "packets"])
@each_of("sent", HUGE.values(), ids=HUGE.keys())
def test_what_is_too_large_is_refused_after_a_few_steps_for_each_packet(sent: bytes, size: int) -> None:
    def act() -> None:
        clients.append(feed(sent, size))

    clients: list[FakeClient] = []
    act()  # the first time imports and compiles
    packets = len(sent) // size + 1
    # Trailers are fields that are looked at one by one, up to max_head.
    allowed = 500 + 50 * packets + (16_384 // len(b"X: v\r\n")) * 10
    assert count_calls(act) <= allowed
    (answer,) = parse(clients[-1].output, ended=clients[-1].hung_up())
    assert answer.status == 431
    assert clients[-1].hung_up()


def linear(act: Callable[[int], object], small: int) -> None:
    """Check that twice the input costs at most a little more than twice the calls."""
    act(small)
    once, twice = count_calls(lambda: act(small)), count_calls(lambda: act(2 * small))
    assert twice <= 2.2 * once + 50, f"{once} calls for {small}, {twice} for twice that"


def test_the_count_tells_quadratic_work_from_linear() -> None:
    linear(lambda n: [len(b"") for _ in range(n)], 100)
    with pytest.raises(AssertionError, match="for twice that"):
        linear(lambda n: [len(b"") for _ in range(n) for _ in range(n)], 100)


def test_cookies_are_read_in_linear_time() -> None:
    name = cookie_name("test")
    linear(lambda n: find_place([b"; ".join([b"a=b"] * n)], name), 1000)
    linear(lambda n: find_place([b"a=b"] * n, name), 1000)
    linear(lambda n: find_place([b'"' + b"\\" * n + b'"'], name), 10_000)


def test_fields_are_read_in_linear_time() -> None:
    linear(lambda n: parse_head(get(*[b"X: v"] * n), 1 << 20), 500)
    linear(lambda n: list(parse_head(get(*[b"Range: v"] * n), 1 << 20).all(b"range")), 500)
    linear(lambda n: parse_head(get(b"Connection: " + b"a," * n), 64), 500)
    linear(lambda n: parse_head(get(b"Expect: " + b"," * n), 64), 500)


@pytest.mark.parametrize("end", [b"", b"x"], ids=["behind a value", "within one"])
def test_white_space_is_read_in_linear_time(end: bytes) -> None:
    """A pattern for white space before a line's end would try each place again (CVE-2020-5236)."""
    block = get(b"Range: a" + b" \t" * 100_000 + end, b"Accept: \t")
    assert_quick(lambda: parse_head(block, 64), 0.5)
    head = parse_head(block, 64)
    assert head.all(b"accept") == [b""]
    assert head.first(b"range").endswith(end.decode() or "a")


@pytest.mark.parametrize(
    "ranges",
    [
        b"bytes=" + b"0-," * 4000,
        b"bytes=" + b"0-0," * 4000 + b"0-",
        b"bytes=" + b"-" * 16_000,
        b"bytes=" + b"9" * 16_000,
    ],
    ids=["open", "single bytes", "dashes", "digits"],
)
def test_a_list_of_ranges_costs_no_more_than_one_range(ranges: bytes) -> None:
    head, version = parse_head(get(b"Range: " + ranges), 64), Version(Path(__file__).stat(), 0.0)

    def act() -> None:
        with suppress(RangeNotSatisfiable):  # 416 is as good
            find_range(head, version, 1000)

    act()
    assert count_calls(act) <= 60


def test_a_dripping_head_costs_the_same_for_each_byte() -> None:
    linear(lambda n: feed(get(b"X: " + b"v" * n), 1), 1000)


def test_bodies_cost_the_same_for_each_byte_and_each_chunk() -> None:
    linear(lambda n: feed(post(b"Content-Length: %d" % n, body=b"a" * n), 1), 1000)
    linear(lambda n: feed(chunked(b"1\r\na\r\n" * n + b"0\r\n\r\n"), 1 << 20), 500)
    linear(lambda n: feed(chunked(b"1\r\na\r\n" * n + b"0\r\n\r\n"), 1), 500)


def test_pipelined_requests_cost_the_same_each() -> None:
    linear(lambda n: feed(get() * n, 1 << 20), 100)
    linear(lambda n: feed(b"\r\n" * n + get(), 1 << 20), 500)
