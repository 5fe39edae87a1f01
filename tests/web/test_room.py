"""Readers of very many topics, or of long names: they can come back with what they are given, or get nothing at all."""

from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slosh.settings import Settings
from slosh.web.readers.room import MAX_LINE
from slosh.web.readers.shared import fits_field
from tests.cases import each_of
from tests.properties import PROPERTY
from tests.web.admission.test_origins import HANDSHAKE
from tests.web.conftest import MakeSite
from tests.web.harness import Response, Site, request
from tests.web.posting import kept, post
from tests.web.transports import EventSource, LongPoll, Ndjson, Reader, WebSocket

PORTION = Settings().portion

NGINX = 8192
"""Bytes of a request line at most (large_client_header_buffers), and of any line for the library `websockets`."""

COOKIE = "Cookie: " + "c" * 1000


def names(count: int, length: int) -> list[str]:
    return [f"{number:04}-".ljust(length, "x") for number in range(count)]


def refused(answer: Response) -> bool:
    """Whether the reader is told that it is too much, in words that help."""
    if answer.status == 200:
        return False
    assert (answer.status, answer.code) == (400, "bad_topic"), answer
    assert "fewer topics" in answer.json["detail"]
    return True


@settings(PROPERTY, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    count=st.integers(2, 64),
    length=st.integers(5, 255),
    max_head=st.sampled_from([1000, 4000, 16 * 1024, 64 * 1024]),
    letter=st.sampled_from(["x", "/" + "x" * 20, "é"]),
)
def test_whoever_is_given_a_place_can_ask_with_it(
    make_site: MakeSite, count: int, length: int, max_head: int, letter: str
) -> None:
    """However its client encodes it."""
    site = make_site(max_head=max_head)
    topics = [f"{number}{letter * (length // (2 * len(letter.encode())))}x" for number in range(count)]
    path = "/topics/" + ",".join(map(quote, topics))
    answer = site.get(f"{path}?wait=0", Cookie="a=" + "b" * 200)
    if answer.status == 431 or refused(answer):
        return
    for name in topics[:3]:
        site.post("/topics/" + quote(name), b"1\n" * 1000, Content_Type="application/x-ndjson")
    for encoded in (answer.json["next"], quote(answer.json["next"], safe="")):
        again = site.get(f"{path}?wait=0&since={encoded}", Cookie="a=" + "b" * 200)
        assert again.status == 200
        assert sum(part["saw"] for part in again.json["topics"].values()) == 1000 * min(3, count)


@each_of("length", [5, 10, 20, 40, 80, 160])
def test_a_pattern_s_reader_goes_on_with_what_it_can_come_back_with(make_site: MakeSite, length: int) -> None:
    """Each further topic is taken in only while the place in it fits too, and others are told to be left out."""
    site = make_site()
    client = site.connect().get("/topics/**?since=*")
    given: dict[str, object] = {}
    for name in names(256, length):
        kept(site, 1, topic=name)
        if client.silent():
            assert length > 5
            break
        answer = client.next()
        assert "incomplete" not in answer.json
        given |= answer.json["topics"]
        client.get("/topics/**?since=" + quote(answer.json["next"], safe=""))
        assert client.silent()
    else:
        assert length == 5
        assert len(given) == 256
        return
    first = names(1, length)[0]
    post(site, 2, topic=first)
    answer = client.next()
    assert answer.json["incomplete"] is True
    assert answer.json["topics"][first]["res"] == [2]
    client.get("/topics/**?since=" + quote(answer.json["next"], safe=""))
    assert client.silent()


def test_what_does_not_fit_is_refused_at_once_and_not_at_the_second_request(site: Site) -> None:
    path = "/topics/" + ",".join(names(64, 125))
    assert len(path) < NGINX
    assert refused(site.get(f"{path}?wait=0"))
    assert refused(site.get(f"{path}?wait=0&format=sse"))
    assert not refused(site.get("/topics/" + ",".join(names(32, 100)) + "?wait=0"))


def test_a_larger_head_has_no_more_room_than_proxies_pass_on(make_site: MakeSite, transport: type[Reader]) -> None:
    """8,000 octets, whatever `max_head` is, of a request line are sure to be passed on (RFC 9112 §3)."""
    site = make_site(max_head=1024 * 1024)
    topics = [
        f"sensors/building-{number % 10:02}/floor-{number % 7:02}/temperature-sensor-{number:03}"
        for number in range(130)
    ]
    for topic in topics:
        kept(site, topic=topic)
    fields = transport.headers | ({"websocket": HANDSHAKE}.get(transport.transport, {}))
    assert refused(site.connect().get("/topics/sensors/**?wait=0", **fields).next())
    assert "8000 bytes" in site.get("/topics/sensors/**?wait=0").json["detail"]
    few = site.get("/topics/sensors/building-03/**?wait=0").json["next"]
    assert len(quote(few, safe="")) < MAX_LINE


def follow_until_full(site: Site, stream: type[Reader], length: int) -> tuple[Reader, int]:
    """A reader of a pattern, and how many topics with names of such a length it took in until one was left out."""
    reader = stream(site, "t/*", since="earliest")
    number = 0
    while not reader.listen().told("incomplete", topic=""):
        kept(site, 0, topic=f"t/{number:03}-" + "x" * length)
        number += 1
    assert reader.told("incomplete", topic="") == [True]
    assert len(reader.messages) == number - 1
    assert not reader.ended
    return reader, number - 1


def test_a_place_that_grows_while_it_is_followed_is_never_too_long(make_site: MakeSite, stream: type[Reader]) -> None:
    reader, number = follow_until_full(make_site(max_head=1024 * 1024), stream, 60)
    assert 60 < number < 130
    assert len(quote(reader.place, safe="")) < MAX_LINE


def test_a_topic_that_is_created_and_does_not_fit_is_left_out(make_site: MakeSite, stream: type[Reader]) -> None:
    """The reader keeps the places that it has and comes back with them, or goes on with fewer topics."""
    site = make_site(max_head=1500)
    reader, number = follow_until_full(site, stream, 30)
    assert 5 < number < 30
    place = reader.place
    assert len(quote(place, safe="")) < 1500
    reader.cut()
    reader.connect()
    first = "t/000-" + "x" * 30
    post(site, "more", topic=first)
    assert reader.listen().messages[-1] == "more"
    reader.cut()
    site.post(f"/topics/{first}", b"1")
    kept(site, topic="t/other")
    answer = site.get(f"/topics/{first},t/other?wait=0&since=" + quote(place, safe=""))
    assert answer.json["topics"][first]["res"] == ["more", 1]
    assert "reset" not in answer.json["topics"][first]


def test_an_event_source_s_url_and_last_event_id_fit_together(make_site: MakeSite) -> None:
    """Its URL keeps the place that it began with, and the other comes beside it."""
    site = make_site(max_head=4000)
    path = "/topics/" + ",".join(names(20, 30))
    place = site.get(f"{path}?wait=0").json["next"]
    stream = request("GET", f"{path}?since={quote(place, safe='')}", Accept="text/event-stream")
    answer = site.connect().send(stream).next()
    if not refused(answer):
        again = request("GET", f"{path}?since={quote(place)}", Accept="text/event-stream", Last_Event_ID=place)
        assert site.connect().send(again).next().status == 200


@each_of("count", range(10, 65, 6))
def test_a_websocket_s_request_line_stays_within_what_its_libraries_take(make_site: MakeSite, count: int) -> None:
    site = make_site(max_head=64 * 1024)
    path = "/topics/" + ",".join(names(count, 80))
    answer = site.connect().get(path, **HANDSHAKE).next()
    if answer.status == 101:
        place = site.get(f"{path}?wait=0").json["next"]
        again = f"{path}?since={quote(place, safe='')}"
        assert len(f"GET {again} HTTP/1.1\r\n") <= NGINX
        assert site.connect().get(again, **HANDSHAKE).next().status == 101
    else:
        assert refused(answer)


def test_a_long_place_stands_in_the_body_alone(site: Site, transport: type[Reader]) -> None:
    """For nginx answers 502 to header fields of more than 4 KiB; and a reader that is cut early still has its place."""
    topics = names(60, 40)
    reader = transport(site, ",".join(topics))
    reader.listen()
    assert reader.client is not None
    if not isinstance(reader, LongPoll):
        assert not fits_field(reader.place)
        assert reader.place.startswith(topics[0] + "=epoch000.0,")
    reader.cut()
    for name in topics:
        post(site, 1, topic=name)
    if not isinstance(reader, LongPoll):
        reader.connect()
        assert reader.listen().messages == [1] * 60
        assert not any(reader.told("lost", name) or reader.told("reset", name) for name in topics)


@pytest.mark.parametrize("kind", [Ndjson, WebSocket])
def test_a_reader_that_begins_again_is_not_told_a_place_before_it_knows(site: Site, kind: type[Reader]) -> None:
    """However long: who is cut before the reset goes on with the old one."""
    topics = names(60, 40)
    reader = kind(site, ",".join(topics), since=",".join(f"{name}=gone.7" for name in topics))
    assert reader.listen().place == ""


def test_a_portion_of_very_many_small_messages_is_no_larger_than_others(make_site: MakeSite) -> None:
    """An event stream tells all the places with each message."""
    site = make_site(queue=10_000)
    topics = names(60, 40)
    for name in topics:
        kept(site, topic=name)
    site.post(f"/topics/{topics[0]}", b"1\n" * 10_000, Content_Type="application/x-ndjson")
    reader = EventSource(site, ",".join(topics), since="earliest")
    reader.cut()
    client = site.connect().take_nothing()
    reader.client = client
    reader.begin(client)
    client.take(1000)
    assert client.wire.get_write_buffer_size() < 2 * PORTION
    while len(reader.messages) < 10_000:
        reader.drain(10 * PORTION)
    assert reader.messages == [1] * 10_000
