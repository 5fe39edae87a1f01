"""Clients that do not take what they asked for: they are waited for, bounded, and cut in the end."""

import pytest

from slosh.http1.response import CONTINUE
from slosh.settings.row import MIB
from tests.web.conftest import MakeSite
from tests.web.harness import Site, request
from tests.web.wire import HIGH_WATER

POLL = request("GET", "/topics/a")
FILE = request("GET", "/__init__.py")


def fill(site: Site, size: int, topic: str = "full") -> None:
    """Put a message of `size` bytes into a topic that stays active."""
    site.connect().get(f"/topics/{topic}")
    assert site.post(f"/topics/{topic}", b'"%b"' % (b"x" * (size - 2))).status == 200


def test_a_client_that_does_not_read_is_not_read_from(site: Site) -> None:
    fill(site, HIGH_WATER)
    get = request("GET", "/topics/full?since=earliest&wait=0")
    client = site.connect().take_nothing().send(get * 5000)
    assert client.wire.get_write_buffer_size() < 2 * HIGH_WATER + 1000
    before = site.server.requests
    assert not client.wire.is_reading()
    client.send(get * 5000)
    assert site.server.requests == before
    client.take(2 * HIGH_WATER)
    assert 0 < site.server.requests - before <= 3


def test_a_slow_client_gets_everything_once_it_reads(site: Site) -> None:
    fill(site, HIGH_WATER)
    get = request("GET", "/topics/full?since=earliest&wait=0")
    client = site.connect().take_nothing().send(get * 20 + FILE)
    while client.wire.get_write_buffer_size():
        client.take(10_000)
    client.take()
    assert [client.next().json["saw"] for _ in range(20)] == [1] * 20
    assert client.next().body == b""
    assert client.wire.is_reading()


@pytest.mark.parametrize("fields", [{}, {"Connection": "close"}], ids=["keep-alive", "close"])
def test_a_client_that_takes_nothing_is_cut_after_write_timeout_and_counted(
    make_site: MakeSite, fields: dict[str, str]
) -> None:
    site = make_site(write_timeout=20, idle_timeout=5)
    fill(site, MIB)
    client = site.connect().take_nothing().get("/topics/full?since=earliest", **fields)
    site.advance(19.8)
    assert client.wire.is_open()
    site.advance(0.4)
    assert client.wire.was_cut()
    assert site.closed("write_timeout") == 1
    assert not site.server.connections


@pytest.mark.parametrize("fields", [{}, {"Connection": "close"}], ids=["keep-alive", "close"])
def test_a_client_that_takes_a_little_now_and_then_is_not_cut(make_site: MakeSite, fields: dict[str, str]) -> None:
    """Also when the connection closes after the answer: a slow line needs its time."""
    site = make_site(write_timeout=20, idle_timeout=5)
    fill(site, MIB)
    client = site.connect().take_nothing().get("/topics/full?since=earliest", **fields)
    while client.wire.get_write_buffer_size():
        site.advance(15)
        assert client.wire.is_open()
        client.take(100_000)
    assert client.next().json["saw"] == 1


def test_a_small_answer_that_is_never_taken_does_not_keep_a_connection_for_ever(make_site: MakeSite) -> None:
    """One that stays below the mark at which asyncio says that the client is slow."""
    site = make_site(write_timeout=20, idle_timeout=5)
    client = site.connect().take_nothing().get("/nothing")
    site.advance(5 + 20 + 20 + 1)
    assert client.wire.was_cut()
    assert site.closed("write_timeout") == 1


def test_a_half_closed_client_that_takes_nothing_does_not_stay(make_site: MakeSite) -> None:
    site = make_site(write_timeout=20)
    client = site.connect().take_nothing().send(FILE + POLL).half_close()
    assert site.watchers("a") == 0
    site.advance(2 * 20 + 1)
    assert client.wire.was_cut()


def test_an_untaken_answer_does_not_hold_up_the_timeout_of_the_next_poll(site: Site) -> None:
    client = site.connect().take_nothing().send(FILE, request("GET", "/topics/a?wait=5"))
    site.advance(5.2)
    assert site.watchers("a") == 0
    client.take()
    client.next()
    assert client.next().json["timeout"] is True


def test_a_continue_that_meets_a_full_buffer_does_not_lose_the_body(site: Site) -> None:
    get = "/topics/full?since=earliest&wait=0"
    fill(site, HIGH_WATER - 1000)
    overhead = len(site.connect().get(get).wire.arrived) - (HIGH_WATER - 1000)
    fill(site, HIGH_WATER - overhead, "fuller")
    client = site.connect().take_nothing().get(get.replace("full", "fuller"))
    assert HIGH_WATER - len(CONTINUE) < client.wire.get_write_buffer_size() <= HIGH_WATER
    post = request("POST", "/topics/full", b"[1,2,3]", Expect="100-continue")
    client.send(post[:-7])
    assert client.connection.is_stalled
    client.send(b"[1,2", b",3]" + FILE)
    client.take()
    assert client.next().status == 200
    assert client.next().status == 100
    assert client.next().json["max"] == 2
    assert client.next().status == 200
    assert client.silent()
