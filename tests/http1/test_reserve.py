"""A full server still says how it is, and nobody else gets in by that way."""

import logging
import os
from pathlib import Path

import pytest

from slosh.descriptors import OWN_FILES, SPARE_FILES
from slosh.http1.refusal_log import INTERVAL
from slosh.http1.reserve import LEAVING, PATIENCE, RESERVE
from tests.cases import each_of
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


@each_of(
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


def test_who_says_nothing_is_refused_soon_and_the_first_of_them_at_once_when_more_come(full: Site) -> None:
    first, *silent = (full.connect() for _ in range(RESERVE))
    assert first.silent()
    silent.append(full.connect())
    assert_refused(first)
    assert all(each.silent() for each in silent)
    full.advance(PATIENCE + 0.1)
    for each in silent:
        assert_refused(each)
        each.reset()
    assert full.get("/-/healthy").status == 200


def test_silent_clients_do_not_keep_probes_out(full: Site) -> None:
    """Each second eight of them were enough to have a probe refused, and the server restarted."""
    for _ in range(3 * RESERVE):
        full.connect()
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


@pytest.mark.parametrize("target", ["/topics/a", "/-/healthy"], ids=["refused", "probes"])
def test_those_that_stay_after_their_answer_are_closed_when_very_many_do(full: Site, target: str) -> None:
    """Each has a descriptor, which the next client needs to be accepted; its answer was written long before."""
    told = [full.connect().get(target) for _ in range(LEAVING)]
    assert all(each.wire.is_open() for each in told)
    more = [full.connect().get(target) for _ in range(3)]
    assert [each.wire.is_open() for each in told] == 3 * [False] + (LEAVING - 3) * [True]
    assert all(each.wire.is_open() for each in more)
    assert all(each.next().status in (200, 503) for each in (*told, *more))
    assert full.closed("max_connections") == 4, "and one for this look at the metrics"


def test_those_that_have_gone_by_themselves_count_no_more(full: Site) -> None:
    for _ in range(3 * LEAVING):
        full.connect().get("/topics/a").reset()
    staying = [full.connect().get("/topics/a") for _ in range(LEAVING - 1)]
    assert full.closed("max_connections") == 0
    assert all(each.wire.is_open() for each in staying)
    assert len(full.server.leaving) == LEAVING - 1


class Plug:
    """A socket with this descriptor."""

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        return self._number


def test_a_client_that_gets_one_of_the_last_descriptors_is_one_too_many(
    make_site: MakeSite, caplog: pytest.LogCaptureFixture
) -> None:
    """Something else in this process may have files open: it is told why, and so is the operator, once."""
    site = make_site()
    with Path(os.devnull).open("rb") as last_file:  # the last that is not spare
        last = last_file.fileno()
        site.server.first_spare = last + 1
        caplog.set_level(logging.WARNING, "slosh.http1.state")

        def connect(number: int) -> Client:
            return Client(site, ("192.0.2.1", 1), Plug(number))

        assert connect(last).get("/topics/a?wait=0").next().status == 200
        assert connect(last + 1).get("/-/healthy").next().status == 200
        assert not caplog.records
        for _ in range(2):
            refused = connect(last + 1).get("/topics/a?wait=0").next()
            assert (refused.status, refused.code) == (503, "too_many_connections")
            assert "(ulimit -n)" in refused.json["detail"]
        assert len(caplog.records) == 1
        assert "with 3 connections" in caplog.text
        site.advance(INTERVAL + 0.1)
        connect(last + 1).get("/topics/a?wait=0")
        assert len(caplog.records) == 2
        assert site.closed("open_files") == 3


def test_there_are_descriptors_for_all_that_are_let_in_beyond_the_bound() -> None:
    """And a third as many again, for those that the loop has accepted and not yet shown, or not yet closed."""
    assert (RESERVE + LEAVING) * 4 / 3 <= SPARE_FILES
    assert SPARE_FILES <= OWN_FILES - 24, "the loop, the logs, the listeners and a store have some too"
