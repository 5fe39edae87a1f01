"""Server-Sent Events, byte by byte: what comes first, ids, control events, and how a client comes back."""

import json

import pytest

from tests.web.harness import Response, Site
from tests.web.posting import kept, post
from tests.web.readers import Dechunker, EventSource

SSE = {"Accept": "text/event-stream"}


def stream(site: Site, target: str, **fields: str) -> tuple[Response, str]:
    """The head of the answer and what has come of its body."""
    client = site.connect().get(target, **(SSE | fields))
    head, _, rest = bytes(client.wire.arrived).partition(b"\r\n\r\n")
    return Response(head, b""), Dechunker().feed(rest).decode()


def after_retry(text: str) -> str:
    """The body without its first two lines, which are the same in all."""
    comment, retry, rest = text.split("\n", 2)
    assert comment == ": slosh"
    assert retry.startswith("retry: ")
    return rest


def test_the_headers_keep_everybody_from_holding_it_back(site: Site) -> None:
    answer, _ = stream(site, "/topics/a")
    assert answer["Content-Type"] == "text/event-stream"
    assert answer["Cache-Control"] == "no-store"
    assert answer["X-Accel-Buffering"] == "no"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Transfer-Encoding"] == "chunked"
    assert answer["Slosh-Next"] == "epoch000.0"
    assert "Set-Cookie" not in answer


@pytest.mark.parametrize(
    ("target", "fields"),
    [
        ("/topics/a", {"Accept": "text/event-stream"}),
        ("/topics/a", {"Accept": "text/html;q=0.9, Text/Event-Stream;q=1"}),
        ("/topics/a?format=sse", {"Accept": "*/*"}),
        ("/topics/a?format=sse", {"Accept": "application/x-ndjson"}),
    ],
)
def test_it_is_asked_for_by_accept_or_by_format(site: Site, target: str, fields: dict[str, str]) -> None:
    assert stream(site, target, **fields)[0]["Content-Type"] == "text/event-stream"


def test_the_first_bytes_come_at_once_with_a_place_that_is_no_event(site: Site) -> None:
    kept(site, 1, 2)
    _, text = stream(site, "/topics/a")
    assert after_retry(text) == "id: epoch000.2\n\n"


def test_retry_is_different_for_each_client(site: Site) -> None:
    """So that a restart does not bring all back at once."""
    site.edge.random = iter([0.0, 0.5, 0.999] * 2).__next__  # stream_life draws one too
    waits = {int(stream(site, f"/topics/{name}")[1].split("\n")[1].removeprefix("retry: ")) for name in "abc"}
    assert all(2000 <= wait < 3000 for wait in waits)
    assert len(waits) == 3


def test_a_message_is_its_bytes_under_its_own_place(site: Site) -> None:
    keeper = EventSource(site)
    site.post("/topics/a", b'{"z":1.0, "a":[1e999]}')
    site.post("/topics/a", b'"x"')
    _, text = stream(site, "/topics/a?since=earliest")
    assert after_retry(text) == (
        'id: epoch000.0\n\nid: epoch000.1\ndata: {"z":1.0, "a":[1e999]}\n\nid: epoch000.2\ndata: "x"\n\n'
    )
    keeper.cut()


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_each_line_of_a_message_is_a_data_line(site: Site, end: bytes) -> None:
    """A bare CR would end a line of the stream, and what follows would be a field of its own."""
    keeper = EventSource(site)
    site.post("/topics/a", b"[" + end + b'"id: 9",' + end + end + b"2]")
    _, text = stream(site, "/topics/a?since=earliest")
    assert text.endswith('id: epoch000.1\ndata: [\ndata: "id: 9",\ndata: \ndata: 2]\n\n')
    assert "\r" not in text
    assert keeper.listen().messages == [["id: 9", 2]]


def test_control_events_come_before_the_messages_and_have_no_id(site: Site) -> None:
    kept(site, *range(103))
    _, text = stream(site, "/topics/a?since=gone.7&limit=1")
    assert after_retry(text) == (
        '\nevent: reset\ndata: {"reset":true}\n\nevent: lost\ndata: {"lost":3}\n\n'
        'event: conflated\ndata: {"conflated":99}\n\nid: epoch000.103\ndata: 102\n\n'
    )


def test_a_reset_is_told_at_once_where_nothing_is_kept(site: Site) -> None:
    _, text = stream(site, "/topics/a?since=gone.7")
    assert after_retry(text) == '\nevent: reset\ndata: {"reset":true}\n\nid: epoch000.0\n\n'


def test_several_topics_say_which_they_are_and_ids_are_vectors(site: Site) -> None:
    kept(site, 1, topic="a")
    kept(site, 2, 3, topic="%C3%A9/b")
    target = "/topics/a,%C3%A9/b?since=a=epoch000.0,%C3%A9/b=gone.1"
    answer, text = stream(site, target)
    assert after_retry(text) == (
        '\nevent: reset\ndata: {"reset":true,"topic":"é/b"}\n\n'
        'id: a=epoch000.1,é/b=epoch001.0\ndata: {"topic":"a","message":1}\n\n'
        'id: a=epoch000.1,é/b=epoch001.1\ndata: {"topic":"é/b","message":2}\n\n'
        'id: a=epoch000.1,é/b=epoch001.2\ndata: {"topic":"é/b","message":3}\n\n'
    )
    assert "Slosh-Next" not in answer


def test_no_topic_name_can_end_a_line(site: Site) -> None:
    for name in ("%0A", "a%0D", "%E2%80%A8", "a%00"):
        assert site.get(f"/topics/{name},b", **SSE).code == "bad_topic"


# Last-Event-ID.


def test_last_event_id_wins_over_since(site: Site) -> None:
    """The URL of an EventSource never changes, so its `since` is of long ago."""
    kept(site, 1, 2, 3)
    for target in ("/topics/a?since=earliest", "/topics/a?since=epoch000.0", "/topics/a?n=0"):
        _, text = stream(site, target, Last_Event_ID="epoch000.2")
        assert after_retry(text) == "id: epoch000.2\n\nid: epoch000.3\ndata: 3\n\n"


def test_the_same_url_with_another_last_event_id_is_another_place(site: Site) -> None:
    """Heads are remembered without their cursor."""
    kept(site, 1, 2, 3)
    for place in (3, 1, 2):
        _, text = stream(site, "/topics/a?since=epoch000.0", Last_Event_ID=f"epoch000.{place}")
        assert after_retry(text).startswith(f"id: epoch000.{place}\n")


def test_an_empty_last_event_id_is_none(site: Site) -> None:
    kept(site, 1, 2)
    _, text = stream(site, "/topics/a?since=-1", Last_Event_ID="")
    assert text.endswith("data: 2\n\n")


@pytest.mark.parametrize(
    "garbage", ["x", "=", "=x", "a=", "a=b", "\xff\xfe", "k.-1", "k.1.2", "*", "9" * 300, "b=epoch000.1"]
)
@pytest.mark.parametrize("topics", ["a", "a,b", "*"])
def test_one_that_means_nothing_is_a_reset_and_never_an_error(site: Site, topics: str, garbage: str) -> None:
    """An EventSource that is answered 400 gives up for ever."""
    kept(site, 1, topic="a")
    answer, text = stream(site, f"/topics/{topics}", Last_Event_ID=garbage)
    assert answer.status == 200
    told = [json.loads(line.removeprefix("data: ")) for line in text.split("\n") if line.startswith("data: ")]
    assert any(isinstance(each, dict) and each.get("message", each) == 1 for each in told) or 1 in told
    if garbage != "*" or topics != "*":
        assert "event: reset" in text or topics == "*"


def test_a_plain_cursor_for_several_topics_is_a_reset(site: Site) -> None:
    kept(site, 1, topic="a")
    answer, text = stream(site, "/topics/a,b", Last_Event_ID="epoch000.1")
    assert answer.status == 200
    assert text.count("event: reset") == 2


def test_last_event_id_means_nothing_to_other_framings(site: Site) -> None:
    kept(site, 1, 2)
    assert site.get("/topics/a?since=earliest", Last_Event_ID="epoch000.1").json["res"] == [1, 2]


# Life.


def test_a_comment_comes_every_15_s(site: Site) -> None:
    reader = EventSource(site)
    for beats in range(1, 6):
        site.advance(15.06)
        assert reader.listen().beats == beats
    post(site, 1)
    assert reader.listen().messages == [1]


def test_http_1_0_gets_it_without_chunks_and_ends_with_the_connection(site: Site) -> None:
    client = site.connect().send(b"GET /topics/a?format=sse HTTP/1.0\r\nHost: x\r\n\r\n")
    post(site, 1)
    head, _, body = bytes(client.wire.arrived).partition(b"\r\n\r\n")
    assert b"Transfer-Encoding" not in head
    assert Response(head, b"")["Connection"] == "close"
    assert body.endswith(b"id: epoch000.1\ndata: 1\n\n")
    site.drain()
    assert not client.served()


def test_a_head_request_opens_no_stream(site: Site) -> None:
    assert site.ask("HEAD", "/topics/a", **SSE).status == 200
    assert site.watchers("a") == 0
