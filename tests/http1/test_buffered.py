"""What comes in and what is not taken is bounded for all connections together, and counted no more once it has gone."""

import pytest

from tests.web.conftest import MakeSite
from tests.web.frames import CLOSE, TEXT, frame, frames, open_socket
from tests.web.harness import Client, Site, request
from tests.web.posting import large, together

BODY = request("POST", "/topics/a", b"1" * 60_000)


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    site = make_site(max_buffered=100_000, max_message=60_000, max_body=60_000, linger=1000.0)
    site.get("/topics/a?wait=0")
    return site


def begin(site: Site, size: int) -> Client:
    """A client that has sent so many bytes of a body."""
    return site.connect().send(BODY[: len(BODY) - 60_000 + size])


def test_a_body_beyond_the_bound_is_refused_and_those_before_it_are_taken(site: Site) -> None:
    first = begin(site, 50_000)
    second = begin(site, 55_000)
    answer = second.next()
    assert (answer.status, answer.code) == (503, "memory")
    assert "max_buffered" in answer.json["detail"]
    assert first.send(b"1" * 10_000).next().status == 200
    assert begin(site, 55_000).send(b"1" * 5_000).next().status == 200
    assert site.server.buffered == 0


@pytest.mark.parametrize("how", ["reset", "timeout"])
def test_a_body_that_does_not_come_to_its_end_is_counted_no_more(site: Site, how: str) -> None:
    client = begin(site, 50_000)
    assert site.server.buffered == 50_000
    if how == "reset":
        client.reset()
    else:
        site.advance(31.0)
    assert site.server.buffered == 0


def test_of_clients_that_take_nothing_the_one_that_has_for_the_longest_is_cut(make_site: MakeSite) -> None:
    site = make_site(max_buffered=400_000, max_body=200_000, max_message=200_000)
    site.get("/topics/a?wait=0")
    together(site, *map(large, range(3)))
    stalled = [site.connect().take_nothing().get("/topics/a?since=earliest&wait=0") for _ in range(3)]
    assert site.server.buffered > 300_000
    assert all(client.served() for client in stalled)
    newest = site.connect().take_nothing().get("/topics/a?since=earliest&wait=0")
    assert [client.served() for client in (*stalled, newest)] == [False, True, True, True]
    assert site.closed("max_buffered") == 1
    newest.take()
    assert len(newest.next().json["res"]) == 3
    assert site.server.buffered < 300_000
    for client in stalled:
        client.reset()
    assert (site.server.buffered, site.server.stalled) == (0, {})


def test_a_websocket_s_message_that_is_not_whole_counts_too(site: Site) -> None:
    opened = [open_socket(site) for _ in range(2)]
    for client in opened:
        client.send(frame(TEXT, b"x" * 55_000, fin=False))
    assert opened[0].served()
    assert not opened[1].served()
    *_, (opcode, payload) = frames(opened[1])
    assert (opcode, payload[:2]) == (CLOSE, (1013).to_bytes(2, "big"))
    assert site.closed("max_buffered") == 1
    assert site.server.buffered == 55_000
