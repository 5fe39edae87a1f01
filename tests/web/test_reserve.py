"""A full server still says how it is, and nobody else gets in by that way."""

import pytest

from slosh.web.reserve import PATIENCE, RESERVE
from tests.web.conftest import MakeSite
from tests.web.harness import Client, Site, request

PROBES = ("/-/healthy", "/-/ready", "/-/metrics")


@pytest.fixture
def full(make_site: MakeSite) -> Site:
    """A site that has all the connections that it may have."""
    site = make_site(max_connections=2)
    for _ in range(2):
        site.connect().get("/topics/a")
    return site


def assert_refused(client: Client) -> None:
    answer = client.next()
    assert (answer.status, answer.code) == (503, "too_many_connections")
    assert client.wire.has_ended()


@pytest.mark.parametrize("path", PROBES)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_probes_are_answered_and_closed(full: Site, path: str, method: str) -> None:
    for _ in range(RESERVE + 2):
        client = full.connect()
        client.send(request(method, path))
        answer = client.next(method)
        assert (answer.status, answer["Connection"]) == (200, "close")
        assert client.wire.has_ended()
    assert full.refused("too_many_connections") == 0


def test_a_probe_may_come_byte_by_byte(full: Site) -> None:
    client = full.connect()
    for byte in request("GET", "/-/healthy"):
        client.send(bytes((byte,)))
    assert client.next().body == b"ok\n"


@pytest.mark.parametrize(
    "sent",
    [
        request("GET", "/topics/a"),
        request("GET", "/-/slosh.js"),
        request("GET", "/-/healthyX"),
        request("GET", "/topics/-/healthy"),
        request("POST", "/-/healthy", b"1"),
        request("POST", "/topics/a", b"1"),
        b"\x16\x03\x01\r\n\r\n",
        b"GET\r\n\r\n",
        b"\r\n",
        b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nA: " + 5000 * b"a",
    ],
)
def test_nothing_else_is(full: Site, sent: bytes) -> None:
    assert_refused(full.connect().send(sent))
    assert full.watchers("a") == 2


def test_nothing_comes_in_behind_a_probe(full: Site) -> None:
    client = full.connect()
    client.send(request("GET", "/-/healthy") + request("POST", "/topics/a", b"1"))
    assert client.next().status == 200
    client.send(request("POST", "/topics/a", b"1"))
    assert client.wire.has_ended()
    assert full.metrics()["slosh_published_messages_total"] == 0


def test_who_says_nothing_is_refused_soon_and_who_comes_beyond_the_reserve_at_once(full: Site) -> None:
    silent = [full.connect() for _ in range(RESERVE)]
    assert_refused(full.connect())
    assert all(each.silent() for each in silent)
    full.advance(PATIENCE + 0.1)
    for each in silent:
        assert_refused(each)
        each.reset()
    assert full.get("/-/healthy").status == 200


def test_who_leaves_or_ends_its_side_leaves_nothing_behind(full: Site) -> None:
    for _ in range(2 * RESERVE):
        full.connect().reset()
    half = full.connect()
    half.send(b"GET /-/hea")
    half.half_close()
    full.advance(60)
    assert full.connect().send(request("GET", "/-/healthy")).next().status == 200


def test_a_crowd_that_is_refused_does_not_keep_probes_out(full: Site) -> None:
    """Refused connections stay for a moment, so that their answer is not lost to a reset."""
    for _ in range(3 * RESERVE):
        assert_refused(full.connect().send(request("GET", "/topics/a")))
    assert full.get("/-/healthy").status == 200


def test_a_drain_ends_them_too(full: Site) -> None:
    waiting = full.connect()
    full.drain()
    full.advance(PATIENCE)
    assert waiting.wire.has_ended() or not waiting.wire.is_open()
