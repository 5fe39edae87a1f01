"""The NDJSON stream: an envelope a line, whatever is in the messages."""

import json

from tests.web.harness import Site


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


def test_a_blank_line_is_the_sign_of_life(site: Site) -> None:
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
