"""What all streams have in common: their clocks, their end, and readers that are slow."""

import pytest

from slosh.settings import Settings
from tests.web.conftest import MakeSite
from tests.web.harness import Client, Site, request
from tests.web.posting import LARGE, kept, large, numbers, post
from tests.web.readers.test_ndjson import body_of
from tests.web.transports import EventSource, Ndjson, Reader, WebSocket
from tests.web.wire import Wire

PORTION = Settings().portion


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


def record_writes(patch: pytest.MonkeyPatch) -> list[bytes]:
    """What is written to all clients from now on, piece by piece."""
    write = Wire.write
    written: list[bytes] = []

    def record(wire: Wire, data: bytes) -> None:
        written.append(bytes(data))
        write(wire, data)

    patch.setattr(Wire, "write", record)
    return written


@pytest.mark.parametrize("kind", [EventSource, Ndjson, WebSocket])
def test_who_comes_back_is_given_the_head_and_what_it_missed_in_one_piece(
    site: Site, kind: type[Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(site, 1, 2)
    with monkeypatch.context() as patch:
        written = record_writes(patch)
        reader = kind(site, since="earliest")
    assert len(written) == 1
    assert reader.listen().messages == [1, 2]
    post(site, 3)
    assert reader.listen().messages == [1, 2, 3], "nothing is given twice, and nothing left out"


@pytest.mark.parametrize("kind", [EventSource, Ndjson, WebSocket])
def test_who_takes_no_answer_is_given_no_message_behind_it(site: Site, kind: type[Reader]) -> None:
    """Nothing is kept for a client that does not take what it was answered before, either."""
    kept(site, *[large(number) for number in range(5)])
    reader = kind(site, since="earliest")
    reader.cut()
    reader.events.clear()
    reader.place = ""
    client = reader.client = site.connect().take_nothing().get("/-/healthy")
    reader.begin(client)
    assert site.watchers("a") == 1
    assert client.wire.get_write_buffer_size() < LARGE
    client.take()
    assert client.next().status == 200
    assert numbers(reader.listen().messages) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("kind", [EventSource, Ndjson, WebSocket])
def test_of_much_that_was_missed_the_first_portion_comes_with_the_head_and_each_is_made_once(
    site: Site, kind: type[Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first was made, put away where it was not all, and made again in the next turn."""
    kept(site, *[large(number) for number in range(20)])
    written = record_writes(monkeypatch)
    reader = kind(site, since="earliest")
    assert len(written[0]) > LARGE
    assert numbers(reader.listen().messages) == list(range(20))
    assert site.hub.portions == len([data for data in written if len(data) > LARGE]) - 1


@pytest.mark.parametrize(("place", "given"), [("a?since=epoch000.0", 5), ("a,b?since=a=epoch000.0,b=epoch001.0", 10)])
def test_those_who_come_back_in_one_turn_share_what_they_missed_and_leave_room_for_others(
    site: Site, place: str, given: int
) -> None:
    """It is made once for all who stand at one place, as in any other turn, and copied as far as there is room."""
    for topic in "ab":
        kept(site, *["x" * 1_000] * 5, topic=topic)
    clients = [site.connect() for _ in range(300)]
    for client in clients:
        client.wire.unread.append(request("GET", f"/topics/{place}&format=ndjson"))
        client.wire.feed()
    begun = [b"xxx" in client.wire.arrived for client in clients]
    assert begun == sorted(begun, reverse=True)
    assert 100 < sum(begun) < 300
    site.loop.settle()
    assert all(body_of(client.wire.arrived).count(b'"x') == given for client in clients)


@pytest.mark.parametrize("topics", ["a", "a,b", "*"])
@pytest.mark.parametrize("kind", [EventSource, Ndjson, WebSocket])
def test_messages_around_one_who_comes_back_in_their_turn_reach_all_who_stand_at_its_place(
    site: Site, kind: type[Reader], topics: str
) -> None:
    """Who waited there was given what that one had been given, and the message behind it with the one after that."""
    kept(site, 0, topic="b")
    kept(site, 1, 2)
    staying, leaving = [kind(site, topics, since="earliest").listen() for _ in range(2)]
    leaving.cut()
    writer, leaving.client = site.connect(), site.connect()

    def say(client: Client, data: bytes) -> Client:
        """Send, without letting a turn go by."""
        client.wire.unread.append(data)
        client.wire.feed()
        return client

    say(writer, request("POST", "/topics/a", b"3"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Client, "send", say)
        leaving.begin(leaving.client)
    say(writer, request("POST", "/topics/a", b"4"))
    site.loop.settle()
    assert staying.listen().messages == leaving.listen().messages
    assert staying.messages[-2:] == [3, 4]


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


def test_nothing_new_begins_while_the_server_shuts_down(site: Site) -> None:
    busy = site.connect().send(b"POST /topics/a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
    site.drain()
    busy.send(b"1234567890" + b"GET /topics/a?format=sse HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = busy.next("POST")
    assert answer["Connection"] == "close"
    assert site.watchers("a") == 0


def ends_at(site: Site, reader: Reader, most: float) -> float:
    """Seconds until the server ends a stream."""
    for tenths in range(int(most * 10)):
        if reader.listen().ended:
            return tenths / 10
        site.advance(0.1)
    raise AssertionError(f"it has not ended after {most} s")


@pytest.mark.parametrize(("drawn", "life"), [(0.0, 100), (0.5, 90), (0.999, 80)])
def test_a_stream_ends_by_itself_up_to_a_fifth_before_its_life_is_over(
    make_site: MakeSite, stream: type[Reader], drawn: float, life: float
) -> None:
    """So that those which were opened together do not come back together."""
    site = make_site(stream_life=100.0)
    site.server.random = lambda: drawn
    assert ends_at(site, stream(site), 101) == pytest.approx(life, abs=0.3)
    assert site.watchers("a") == 0


def test_after_its_end_the_client_goes_on_where_it_was(make_site: MakeSite, stream: type[Reader]) -> None:
    site = make_site(stream_life=10.0)
    reader = stream(site)
    lives = 1
    for number in range(40):
        post(site, number)
        site.advance(1)
        if reader.listen().ended:
            reader.cut()
            reader.connect()
            lives += 1
    assert lives >= 4
    assert reader.listen().messages == list(range(40))


def test_shutting_down_ends_streams_cleanly(site: Site, stream: type[Reader]) -> None:
    reader = stream(site)
    reader.listen()
    post(site, 1)
    site.drain()
    assert reader.listen().ended
    assert reader.messages == [1]
    assert site.watchers("a") == 0


@pytest.mark.parametrize("room", [None, 0])
def test_a_stream_that_gathers_for_longer_than_it_lives_gives_what_it_has_at_its_end(
    make_site: MakeSite, stream: type[Reader], room: int | None
) -> None:
    """Else it would never give anything, however often it comes back. Also where this turn has no room left."""
    site = make_site(stream_life=10.0, queue=20)
    reader = stream(site, since="earliest", every="1m")
    for number in range(100):
        post(site, number)
        site.advance(0.999)
        if room is not None:
            site.hub.room = room
        site.advance(0.001)
        if reader.listen().ended:
            reader.cut()
            reader.connect()
    site.advance(12.0)
    assert reader.listen().messages == list(range(100))
    assert "lost" not in str(reader.events)


def test_shutting_down_gives_what_streams_have_gathered(site: Site, stream: type[Reader]) -> None:
    reader = stream(site, every="1m")
    post(site, 1, 2)
    assert reader.listen().messages == []
    site.drain()
    assert reader.listen().messages == [1, 2]
    assert reader.ended


def test_while_shutting_down_no_stream_begins(make_site: MakeSite) -> None:
    site = make_site()
    early, held = site.connect(), Ndjson(site)
    early.send(b"GET /topics/a?format=ndjson HTTP/1.1\r\n")  # so it is not idle
    held.listen()
    held.stall()
    site.drain()
    early.send(b"Host: x\r\n\r\n")
    answer = early.next()
    assert (answer.status, answer.code, answer["Connection"]) == (503, "draining", "close")
    assert answer["Retry-After"]


@pytest.mark.parametrize("format_", ["sse", "ndjson"])
def test_a_full_topic_refuses_a_stream(make_site: MakeSite, format_: str) -> None:
    site = make_site(max_watchers=1)
    Ndjson(site)
    for topics in ("a", "b,a"):
        assert b'"code": "too_many_watchers"' in site.get(f"/topics/{topics}?format={format_}").body
    assert site.watchers("b") == 0


def test_what_is_written_is_made_once_for_all_alike(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    write = Wire.write

    def noting(wire: Wire, data: bytes) -> None:
        written.append(data)
        write(wire, data)

    monkeypatch.setattr(Wire, "write", noting)
    readers = [EventSource(site) for _ in range(20)]
    other = EventSource(site, limit="1")
    post(site, 1)
    events = [data for data in written if b"data: 1\n" in data]
    assert len(events) == 21
    assert len({id(data) for data in events}) == 2, "once for the twenty, once for the one that asks for another thing"
    assert all(reader.listen().messages == [1] for reader in [*readers, other])


def test_heartbeats_go_on_while_it_gathers(site: Site, stream: type[Reader]) -> None:
    reader = stream(site, every="45s")
    post(site, 1)
    for _ in range(44):
        site.advance(1)
        reader.listen()
    assert reader.beats >= 2
    assert not reader.messages
    site.advance(2)
    assert reader.listen().messages == [1]


@pytest.mark.parametrize("wanted", [{}, {"limit": "60"}, {"key": "n"}, {"key": "n", "limit": "60"}], ids=str)
def test_one_portion_bounds_what_a_stalled_reader_holds(
    site: Site, stream: type[Reader], wanted: dict[str, str]
) -> None:
    """Also of several topics together, and of a part of them; a little more than a portion is an envelope around it."""
    kept(site, *map(large, range(60)), topic="a")
    kept(site, *map(large, range(60)), topic="b")
    for topics in ("a", "a,b"):
        reader = stream(site, topics, **wanted)
        reader.cut()
        reader.place = ""
        reader.since = "earliest"
        client = site.connect()
        client.wire.window = 1000  # the head, and hardly any more
        reader.client = client
        reader.begin(client)
        assert LARGE - 1000 < client.wire.get_write_buffer_size() < PORTION + 50_000
        while len(reader.messages) < 60 * len(topics.split(",")):
            reader.drain(30_000)
        assert numbers(reader.told("message", "a")) == list(range(60))
        assert not reader.told("lost")
        reader.cut()


def test_deliveries_are_counted(site: Site, stream: type[Reader]) -> None:
    kept(site, *range(103))
    before = site.metrics()
    stream(site, since="epoch000.0").listen()
    after = site.metrics()
    grown = {name for name in after if after[name] != before.get(name, 0)}
    assert any("delivered" in name and after[name] - before[name] == 100 for name in grown), grown
    assert any("lost" in name and after[name] - before[name] == 3 for name in grown), grown
