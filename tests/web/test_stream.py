"""What holds for all streams: their clocks, their end, and what is made once for many."""

import pytest

from slosh.core.subscription import Batch
from slosh.web.eventsource import EventSource as EventSourceAction
from slosh.web.stream import MAX_WRITE
from tests.web.conftest import MakeSite
from tests.web.harness import Site
from tests.web.posting import kept, large, numbers, post
from tests.web.readers import EventSource, Ndjson, Reader


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
    site.edge.random = lambda: drawn
    assert ends_at(site, stream(site), 101) == pytest.approx(life, abs=0.3)
    assert site.watchers("a") == 0


def test_a_stream_may_live_for_ever(make_site: MakeSite, stream: type[Reader]) -> None:
    site = make_site(stream_life=0.0)
    reader = stream(site)
    for _ in range(200):
        site.advance(20)
        assert not reader.listen().ended


def test_after_its_end_the_client_goes_on_where_it_was(make_site: MakeSite, stream: type[Reader]) -> None:
    site = make_site(stream_life=10.0)
    reader = stream(site)
    for number in range(40):
        post(site, number)
        site.advance(1)
        if reader.listen().ended:
            reader.cut()
            reader.connect()
    assert reader.listen().messages == list(range(40))


def test_a_chunked_stream_leaves_the_connection_for_the_next_request(make_site: MakeSite) -> None:
    site = make_site(stream_life=10.0)
    reader = Ndjson(site)
    ends_at(site, reader, 11)
    assert reader.client is not None
    assert reader.client.served()
    assert reader.client.get("/topics/a?wait=0").next().status == 200


def test_going_down_ends_streams_cleanly(site: Site, stream: type[Reader]) -> None:
    reader = stream(site)
    reader.listen()
    post(site, 1)
    site.drain()
    assert reader.listen().ended
    assert reader.messages == [1]
    assert site.watchers("a") == 0


def test_while_going_down_no_stream_begins(make_site: MakeSite) -> None:
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
    assert site.get(f"/topics/a?format={format_}").code == "too_many_watchers"
    assert site.get(f"/topics/b,a?format={format_}").code == "too_many_watchers"
    assert site.watchers("b") == 0


def test_what_is_written_is_made_once_for_all_alike(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    encode = EventSourceAction.encode

    def counting(action: EventSourceAction, batch: Batch) -> bytes:
        made.append(batch.saw)
        return encode(action, batch)

    monkeypatch.setattr(EventSourceAction, "encode", counting)
    readers = [EventSource(site) for _ in range(20)]
    other = EventSource(site, limit="1")
    post(site, 1)
    assert made == [1, 1], "once for the twenty, once for the one that asks for something else"
    assert all(reader.listen().messages == [1] for reader in [*readers, other])


def test_gathering_counts_from_the_first_message(site: Site, stream: type[Reader]) -> None:
    reader = stream(site, every="1s")
    site.advance(15)
    reader.listen()
    for number in range(3):
        post(site, number)
        site.advance(0.4)
    assert reader.listen().messages == [0, 1, 2]
    site.advance(15)
    post(site, 3)
    assert reader.listen().messages == [0, 1, 2]


def test_signs_of_life_go_on_while_it_gathers(site: Site, stream: type[Reader]) -> None:
    reader = stream(site, every="45s")
    post(site, 1)
    for _ in range(44):
        site.advance(1)
        reader.listen()
    assert reader.beats >= 2
    assert not reader.messages
    site.advance(2)
    assert reader.listen().messages == [1]


def test_one_portion_bounds_what_a_stalled_reader_holds(site: Site, stream: type[Reader]) -> None:
    """Also of several topics together; a little more than a portion is an envelope around it."""
    kept(site, *map(large, range(60)), topic="a")
    kept(site, *map(large, range(60)), topic="b")
    for topics in ("a", "a,b"):
        reader = stream(site, topics)
        reader.cut()
        reader.place = ""
        reader.since = "earliest"
        client = site.connect().take_nothing()
        reader.client = client
        reader.begin(client)
        assert client.wire.get_write_buffer_size() < MAX_WRITE + 50_000
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
