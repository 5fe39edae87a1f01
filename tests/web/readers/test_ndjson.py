"""The NDJSON stream: an envelope a line, whatever is in the messages."""

import json

import pytest

from tests.web.harness import Response, Site
from tests.web.posting import kept
from tests.web.transports import Ndjson


def body_of(arrived: bytearray) -> bytes:
    """The chunks behind the head, joined."""
    rest = bytes(arrived).partition(b"\r\n\r\n")[2]
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return body


def test_each_wake_is_one_line(site: Site) -> None:
    client = site.connect().get("/topics/a", Accept="application/x-ndjson")
    site.post("/topics/a", b"1")
    site.post("/topics/a", b"2")
    lines = body_of(client.wire.arrived).splitlines()
    assert [json.loads(line)["res"] for line in lines] == [[1], [2]]
    assert b"Content-Type: application/x-ndjson\r\n" in client.wire.arrived


def test_the_place_to_start_from_is_in_the_head(site: Site) -> None:
    site.get("/topics/a?wait=0")
    site.post("/topics/a", b"1")
    client = site.connect().get("/topics/a?format=ndjson")
    assert b"\r\nSlosh-Next: epoch000.1\r\n" in client.wire.arrived
    assert body_of(client.wire.arrived) == b""


def test_a_line_end_inside_a_message_does_not_end_the_line(site: Site) -> None:
    client = site.connect().get("/topics/a?format=ndjson")
    site.post("/topics/a", b'{"a":\r\n 1,\n"b":"\\n"}')
    (line,) = body_of(client.wire.arrived).splitlines()
    assert json.loads(line)["res"] == [{"a": 1, "b": "\n"}]


def test_a_blank_line_is_the_heartbeat(site: Site) -> None:
    client = site.connect().get("/topics/a?format=ndjson")
    site.advance(15.1)
    assert body_of(client.wire.arrived) == b"\n"


def test_several_topics_come_in_one_envelope(site: Site) -> None:
    client = site.connect().get("/topics/a,b?format=ndjson")
    site.post("/topics/b", b"1")
    (line,) = body_of(client.wire.arrived).splitlines()
    envelope = json.loads(line)
    assert list(envelope["topics"]) == ["b"]
    assert envelope["topics"]["b"]["res"] == [1]
    assert envelope["next"] == "a=epoch000.0,b=epoch001.1"


def answered(site: Site, target: str, **fields: str) -> tuple[Response, bytes]:
    client = site.connect().get(target, **fields)
    head = bytes(client.wire.arrived).partition(b"\r\n\r\n")[0]
    return Response(head, b""), body_of(client.wire.arrived)


@pytest.mark.parametrize(
    ("target", "fields"),
    [("/topics/a", {"Accept": "application/x-ndjson"}), ("/topics/a?format=ndjson", {"Accept": "text/event-stream"})],
)
def test_it_is_asked_for_by_accept_or_by_format(site: Site, target: str, fields: dict[str, str]) -> None:
    answer, body = answered(site, target, **fields)
    assert answer["Content-Type"] == "application/x-ndjson"
    assert answer["X-Accel-Buffering"] == "no"
    assert answer["Cache-Control"] == "no-store, no-transform"
    assert answer["Slosh-Next"] == "epoch000.0"
    assert body == b""


def test_each_line_is_the_envelope_of_a_poll(site: Site) -> None:
    kept(site, *range(103))
    target = "/topics/a?since=gone.7&limit=1"
    _, body = answered(site, target + "&format=ndjson")
    assert body == site.get(target).body


def test_messages_that_come_in_one_turn_come_in_one_line(site: Site) -> None:
    reader = Ndjson(site)
    reader.listen()
    site.post("/topics/a?batch=ndjson", b"1\n2\n3")
    reader.listen()
    assert [event.kind for event in reader.events] == ["place", "message", "message", "message", "place"]


def test_a_large_ring_comes_in_portions(site: Site) -> None:
    """A line holds one message, or several within 16 KiB, so the first lines have a `next` below `max`."""
    kept(site, *("x" * 7_500 for _ in range(8)))
    reader = Ndjson(site, since="earliest").listen()
    places = [event.value for event in reader.events if event.kind == "place"]
    assert places == ["epoch000.0", *(f"epoch000.{offset}" for offset in (2, 4, 6, 8))]
    assert len(reader.messages) == 8
