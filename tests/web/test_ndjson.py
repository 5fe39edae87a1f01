"""NDJSON streams: one envelope a line, and nothing else but empty lines."""

import pytest

from tests.web.harness import Response, Site
from tests.web.posting import kept, post
from tests.web.readers import Dechunker, Ndjson


def stream(site: Site, target: str, **fields: str) -> tuple[Response, bytes]:
    client = site.connect().get(target, **fields)
    head, _, rest = bytes(client.wire.arrived).partition(b"\r\n\r\n")
    return Response(head, b""), Dechunker().feed(rest)


@pytest.mark.parametrize(
    ("target", "fields"),
    [("/topics/a", {"Accept": "application/x-ndjson"}), ("/topics/a?format=ndjson", {"Accept": "text/event-stream"})],
)
def test_it_is_asked_for_by_accept_or_by_format(site: Site, target: str, fields: dict[str, str]) -> None:
    answer, body = stream(site, target, **fields)
    assert answer["Content-Type"] == "application/x-ndjson"
    assert answer["X-Accel-Buffering"] == "no"
    assert answer["Cache-Control"] == "no-store"
    assert answer["Slosh-Next"] == "epoch000.0"
    assert body == b""


def test_each_line_is_the_envelope_of_a_poll(site: Site) -> None:
    kept(site, *range(103))
    target = "/topics/a?since=gone.7&limit=1"
    _, body = stream(site, target + "&format=ndjson")
    assert body == site.get(target).body + b"\n"


def test_a_line_end_inside_a_message_becomes_a_space(site: Site) -> None:
    kept(site)
    site.post("/topics/a", b'[1,\r\n"\\n",\n2]')
    _, body = stream(site, "/topics/a?since=earliest&format=ndjson")
    assert b'"res":[[1,  "\\n", 2]]' in body
    assert body.count(b"\n") == 1
    assert b"\r" not in body


def test_messages_that_come_in_one_turn_come_in_one_line(site: Site) -> None:
    reader = Ndjson(site)
    reader.listen()
    site.post("/topics/a?batch=ndjson", b"1\n2\n3")
    reader.listen()
    assert [event.kind for event in reader.events] == ["place", "message", "message", "message", "place"]


def test_several_topics_come_in_one_line_those_that_have_something(site: Site) -> None:
    kept(site, 1, topic="a")
    _, body = stream(site, "/topics/a,b?since=earliest&format=ndjson")
    assert body == (
        b'{"topics":{"a":{"max":1,"saw":1,"delivering":1,"res":[1],"next":"epoch000.1"}},'
        b'"next":"a=epoch000.1,b=epoch001.0"}\n'
    )


def test_an_empty_line_comes_every_15_s(site: Site) -> None:
    reader = Ndjson(site)
    for beats in range(1, 6):
        site.advance(15.06)
        assert reader.listen().beats == beats
    post(site, 1)
    assert reader.listen().messages == [1]


def test_a_large_ring_comes_in_portions(site: Site) -> None:
    """A client that stalls holds no more of a ring than one portion, so the first lines have a `next` below `max`."""
    kept(site, *("x" * 100_000 for _ in range(8)))
    reader = Ndjson(site, since="earliest").listen()
    places = [event.value for event in reader.events if event.kind == "place"]
    assert places == ["epoch000.0", *(f"epoch000.{offset}" for offset in (2, 4, 6, 8))]
    assert len(reader.messages) == 8
