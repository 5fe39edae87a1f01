"""What all streams have in common: their clocks, their end, and readers that are slow."""

import pytest

from tests.web.conftest import MakeSite
from tests.web.harness import Client, Site
from tests.web.test_ndjson import body_of


def follow(site: Site, target: str = "/topics/a?format=ndjson", version: str = "1.1") -> Client:
    return site.connect().send(f"GET {target} HTTP/{version}\r\nHost: slosh.test\r\n\r\n".encode())


def test_a_stream_ends_by_itself_and_its_connection_serves_on(make_site: MakeSite) -> None:
    site = make_site(stream_life=100)
    client = follow(site)
    site.advance(101.0)
    assert bytes(client.wire.arrived).endswith(b"\r\n0\r\n\r\n")
    assert site.watchers("a") == 0
    client.wire.arrived.clear()
    assert client.get("/topics/a?wait=0").next().status == 200


def test_streams_that_begin_together_do_not_end_together(make_site: MakeSite) -> None:
    site = make_site(stream_life=100)
    clients = [follow(site) for _ in range(50)]
    site.advance(79.9)
    assert site.watchers("a") == 50, "none lives less than four fifths of it"
    site.advance(10.0)
    assert 0 < site.watchers("a") < 50
    site.advance(10.2)
    assert site.watchers("a") == 0
    assert all(bytes(client.wire.arrived).endswith(b"0\r\n\r\n") for client in clients)


def test_a_life_of_zero_has_no_end(make_site: MakeSite) -> None:
    site = make_site(stream_life=0)
    client = follow(site)
    for _ in range(10):
        site.advance(10_000.0)
    assert client.served()
    assert site.watchers("a") == 1


def test_every_gathers_and_then_gives_all_at_once(site: Site) -> None:
    client = follow(site, "/topics/a?format=ndjson&every=1s")
    for number in range(3):
        site.post("/topics/a", b"%d" % number)
        site.advance(0.2)
    assert body_of(client.wire.arrived) == b""
    site.advance(0.6)
    assert body_of(client.wire.arrived).count(b"\n") == 1
    assert b'"res":[0,1,2]' in body_of(client.wire.arrived)
    site.advance(5.0)
    site.post("/topics/a", b"3")
    assert b"3]" not in body_of(client.wire.arrived), "the next time begins with the next message"
    site.advance(1.1)
    assert b'"res":[3]' in body_of(client.wire.arrived)


def test_an_old_client_gets_a_body_that_ends_with_the_connection(site: Site) -> None:
    client = follow(site, version="1.0")
    site.post("/topics/a", b"1")
    head, _, body = bytes(client.wire.arrived).partition(b"\r\n\r\n")
    assert b"Transfer-Encoding" not in head
    assert b"Connection: close" in head
    assert body.startswith(b'{"max":1,')
    site.drain()
    assert client.wire.has_ended()


@pytest.mark.parametrize("target", ["/topics/a?format=sse", "/topics/a?format=ndjson", "/topics/a,b?format=ndjson"])
def test_while_a_socket_is_full_nothing_is_written_and_nothing_kept(site: Site, target: str) -> None:
    client = follow(site, target)
    client.take_nothing()
    site.post("/topics/a", b"1")
    kept = client.wire.get_write_buffer_size()
    for number in range(500):
        site.post("/topics/a", b"%d" % number)
    assert client.wire.get_write_buffer_size() == kept
    client.take()
    told = body_of(client.wire.arrived)
    assert b'"lost":400' in told, "the ring went round"
    assert b"499" in told


def test_a_slow_reader_delays_nobody(site: Site) -> None:
    slow, quick = follow(site), follow(site)
    slow.take_nothing()
    for number in range(300):
        site.post("/topics/a", b"%d" % number)
    assert body_of(quick.wire.arrived).count(b"\n") == 300
    assert b'"lost"' not in body_of(quick.wire.arrived)


def test_a_large_ring_comes_in_portions(make_site: MakeSite) -> None:
    """A reader that stalls holds no more of it than one portion."""
    site = make_site(queue=100)
    start = site.get("/topics/a?wait=0").json["next"]
    for number in range(40):
        site.post("/topics/a", b'"%d%s"' % (number, b"x" * 50_000))
    client = site.connect()
    client.take_nothing()
    client.get(f"/topics/a?format=ndjson&since={start}")
    assert client.wire.get_write_buffer_size() < 300_000
    client.take()
    body = body_of(client.wire.arrived)
    assert body.count(b"\n") > 1
    assert body.count(b"xxx") > 0
    assert all(b'"%dx' % number in body for number in range(40))
    assert b'"lost"' not in body


def test_nothing_new_begins_while_the_server_goes_down(site: Site) -> None:
    busy = site.connect().send(b"POST /topics/a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
    site.drain()
    busy.send(b"1234567890" + b"GET /topics/a?format=sse HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = busy.next("POST")
    assert answer["Connection"] == "close"
    assert site.watchers("a") == 0
