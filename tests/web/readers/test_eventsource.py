"""Server-Sent Events as the standard frames them (WHATWG HTML §9.2)."""

import json
import re

import pytest

from tests.cases import each_of
from tests.web.conftest import MakeSite
from tests.web.harness import Client, Response, Site
from tests.web.posting import kept
from tests.web.readers.test_ndjson import body_of
from tests.web.transports import Reader

STREAM = {"Accept": "text/event-stream"}


def blocks(client: Client) -> list[str]:
    """What has arrived, event by event."""
    return body_of(client.wire.arrived).decode().split("\n\n")[:-1]


def place(cursor: str) -> str:
    """The event that tells the place to come back with."""
    return f'event: place\ndata: {{"next":"{cursor}"}}\nid: {cursor}'


def follow(site: Site, target: str = "/topics/a", **fields: str) -> Client:
    return site.connect().get(target, **(STREAM | fields))


def test_the_first_bytes_come_at_once_and_hold_nothing_up(site: Site) -> None:
    client = follow(site)
    head = bytes(client.wire.arrived).partition(b"\r\n\r\n")[0]
    assert b"Content-Type: text/event-stream; charset=utf-8\r\n" in head
    assert b"X-Accel-Buffering: no\r\n" in head
    assert b"Cache-Control: no-store, no-transform\r\n" in head
    (first,) = blocks(client)
    assert after_retry(first) == place("epoch000.0")


def test_no_two_clients_come_back_at_the_same_time(site: Site) -> None:
    found = {re.search(r"retry: ([0-9]+)", blocks(follow(site))[0]) for _ in range(20)}
    waits = {int(match[1]) for match in found if match}
    assert len(waits) > 5
    assert all(2000 <= wait <= 3000 for wait in waits)


def test_a_message_is_an_event_with_the_place_behind_it(site: Site) -> None:
    client = follow(site)
    site.post("/topics/a", b'{"t":21.5}')
    site.post("/topics/a", b'"two"')
    assert blocks(client)[1:] == ['data: {"t":21.5}\nid: epoch000.1', 'data: "two"\nid: epoch000.2']


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_line_end_inside_a_message_begins_a_data_line(site: Site, end: str) -> None:
    client = follow(site)
    site.post("/topics/a", f"[1,{end}2,{end}{end}3]".encode())
    assert blocks(client)[1:] == ["data: [1,\ndata: 2,\ndata: \ndata: 3]\nid: epoch000.1"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_large_message_of_line_ends_becomes_no_more_than_twice_as_long(site: Site, end: str) -> None:
    """Else a message of 1 MiB would take 7 MiB for each reader that does not take it."""
    client = follow(site)
    message = f"[{end * 100_000}1{',1' * 50_000}]"
    few = f"[1{end + ',22222222222222222222' * 5000}]"
    for each in (message, few):
        before = len(client.wire.arrived)
        assert site.post("/topics/a", each.encode()).status == 200
        assert len(client.wire.arrived) - before < 2 * len(each) + 100
        event = blocks(client)[-1]
        data = "\n".join(line.removeprefix("data: ") for line in event.split("\n") if line.startswith("data: "))
        assert json.loads(data) == json.loads(each)


def test_a_comment_is_the_heartbeat(site: Site) -> None:
    client = follow(site)
    client.wire.arrived.clear()
    site.advance(15.1)
    assert bytes(client.wire.arrived) == b"2\r\n:\n\r\n"


@pytest.mark.parametrize("topics", ["a", "a?times", "a,b", "a,b?times", "*", "?watch"])
def test_the_id_is_the_last_line_of_its_event(site: Site, topics: str) -> None:
    """Some clients take it line by line: cut in mid-event they would come back behind a message that they never got."""
    client = follow(site, f"/topics/{topics}".replace("/?", "?"))
    for topic in ("a", "b"):
        site.get(f"/topics/{topic}?wait=0")
        site.post(f"/topics/{topic}", b"1")
    with_an_id = [block for block in blocks(client) if "id: " in block]
    assert with_an_id
    assert all(block.rpartition("\n")[2].startswith("id: ") for block in with_an_id)


def test_what_fell_off_the_ring_is_told_before_the_rest(site: Site) -> None:
    start = site.get("/topics/a?wait=0").json["next"]
    for number in range(120):
        site.post("/topics/a", b"%d" % number)
    client = follow(site, f"/topics/a?since={start}")
    _, told, first, *_, last = blocks(client)
    assert told == 'event: lost\ndata: {"lost":20}'
    assert first == "data: 20\nid: epoch000.21"
    assert last == "data: 119\nid: epoch000.120"


def test_what_was_left_out_is_told(site: Site) -> None:
    site.get("/topics/a?wait=0")
    for number in range(5):
        site.post("/topics/a", b"%d" % number)
    client = follow(site, "/topics/a?since=earliest&limit=2")
    assert blocks(client)[1:] == [
        'event: conflated\ndata: {"conflated":3}',
        "data: 3\nid: epoch000.4",
        "data: 4\nid: epoch000.5",
    ]


def test_last_event_id_wins(site: Site) -> None:
    site.get("/topics/a?wait=0")
    for number in range(3):
        site.post("/topics/a", b"%d" % number)
    client = follow(site, "/topics/a?since=now", Last_Event_ID="epoch000.2")
    assert blocks(client)[1:] == ["data: 2\nid: epoch000.3"]


@pytest.mark.parametrize("cursor", ["7q2m5d0z.9", "epoch000.99", "rubbish"])
def test_a_place_that_means_nothing_is_a_reset_told_before_any_new_place(site: Site, cursor: str) -> None:
    """A client that is cut between the two would else go on as if nothing were lost."""
    site.get("/topics/a?wait=0")
    site.post("/topics/a", b"1")
    told = "".join(f"{block}\n\n" for block in blocks(follow(site, Last_Event_ID=cursor)))
    assert told.index('event: reset\ndata: {"reset":true}') < told.index("id: ")
    assert told.endswith("data: 1\nid: epoch000.1\n\n")


def test_a_reset_is_told_at_once_also_where_nothing_is_kept(site: Site) -> None:
    told = blocks(follow(site, Last_Event_ID="7q2m5d0z.9"))
    assert after_retry(told[0]) == 'event: reset\ndata: {"reset":true}'
    assert told[-1] == place("epoch000.0")


def test_of_several_topics_each_event_says_which_and_has_all_the_places(site: Site) -> None:
    client = follow(site, "/topics/a,b")
    site.post("/topics/b", b"1")
    site.post("/topics/a", b"2")
    assert blocks(client)[1:] == [
        'data: {"topic":"b","message":1}\nid: a=epoch000.0,b=epoch001.1',
        'data: {"topic":"a","message":2}\nid: a=epoch000.1,b=epoch001.1',
    ]


def test_a_name_cannot_break_out_of_its_line(site: Site) -> None:
    """Line ends are no part of a name, and quotes are escaped where they stand in JSON."""
    client = follow(site, "/topics/x%22y,z")
    site.post("/topics/x%22y", b"1")
    assert blocks(client)[1:] == ['data: {"topic":"x\\"y","message":1}\nid: x%22y=epoch000.1,z=epoch001.0']
    assert site.get("/topics/a%0Ab", **STREAM).status == 400


def answered(site: Site, target: str, **fields: str) -> tuple[Response, str]:
    """The head of the answer and what has come of its body."""
    client = site.connect().get(target, **(STREAM | fields))
    head = bytes(client.wire.arrived).partition(b"\r\n\r\n")[0]
    return Response(head, b""), body_of(client.wire.arrived).decode()


def after_retry(text: str) -> str:
    """The body without its first two lines, which are the same in all."""
    comment, retry, rest = text.split("\n", 2)
    assert comment == ": slosh"
    assert retry.startswith("retry: ")
    return rest


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
    assert answered(site, target, **fields)[0]["Content-Type"] == "text/event-stream; charset=utf-8"


def test_control_events_come_before_the_messages_and_have_no_id(site: Site) -> None:
    kept(site, *range(103))
    _, text = answered(site, "/topics/a?since=gone.7&limit=1")
    assert after_retry(text) == (
        'event: reset\ndata: {"reset":true}\n\nevent: lost\ndata: {"lost":3}\n\n'
        'event: conflated\ndata: {"conflated":99}\n\ndata: 102\nid: epoch000.103\n\n'
    )


def test_several_topics_say_which_they_are_and_ids_are_vectors(site: Site) -> None:
    kept(site, 1, topic="a")
    kept(site, 2, 3, topic="%C3%A9/b")
    target = "/topics/a,%C3%A9/b?since=a=epoch000.0,%C3%A9/b=gone.1"
    answer, text = answered(site, target)
    assert after_retry(text) == (
        'event: reset\ndata: {"reset":true,"topic":"é/b"}\n\n'
        'data: {"topic":"a","message":1}\nid: a=epoch000.1,%C3%A9/b=epoch001.0\n\n'
        'data: {"topic":"é/b","message":2}\nid: a=epoch000.1,%C3%A9/b=epoch001.1\n\n'
        'data: {"topic":"é/b","message":3}\nid: a=epoch000.1,%C3%A9/b=epoch001.2\n\n'
    )
    assert "Slosh-Next" not in answer


def test_last_event_id_wins_over_since(site: Site) -> None:
    """The URL of an EventSource never changes, so its `since` is of long ago."""
    kept(site, 1, 2, 3)
    for target in ("/topics/a?since=earliest", "/topics/a?since=epoch000.0", "/topics/a?n=0"):
        _, text = answered(site, target, Last_Event_ID="epoch000.2")
        assert after_retry(text) == place("epoch000.2") + "\n\ndata: 3\nid: epoch000.3\n\n"


def test_the_same_url_with_another_last_event_id_is_another_place(site: Site) -> None:
    """Heads are remembered without their cursor."""
    kept(site, 1, 2, 3)
    for offset in (3, 1, 2):
        _, text = answered(site, "/topics/a?since=epoch000.0", Last_Event_ID=f"epoch000.{offset}")
        assert after_retry(text).startswith(place(f"epoch000.{offset}"))


def test_an_empty_last_event_id_is_none(site: Site) -> None:
    kept(site, 1, 2)
    _, text = answered(site, "/topics/a?since=-1", Last_Event_ID="")
    assert text.endswith("data: 2\nid: epoch000.2\n\n")


@each_of("garbage", ["x", "=", "=x", "a=", "a=b", "\xff\xfe", "k.-1", "k.1.2", "*", "9" * 300])
@each_of("topics", ["a", "a,b", "*"])
def test_one_that_means_nothing_is_a_reset_and_never_an_error(site: Site, topics: str, garbage: str) -> None:
    """An EventSource that is answered 400 gives up for ever."""
    kept(site, 1, topic="a")
    answer, text = answered(site, f"/topics/{topics}", Last_Event_ID=garbage)
    assert answer.status == 200
    told = [json.loads(line.removeprefix("data: ")) for line in text.split("\n") if line.startswith("data: ")]
    assert any(isinstance(each, dict) and each.get("message", each) == 1 for each in told) or 1 in told
    if garbage != "*" or topics != "*":
        assert "event: reset" in text or topics == "*"


def test_a_vector_that_lacks_a_topic_begins_there_at_now(site: Site) -> None:
    """As the same vector does in `since`; for one topic, or a pattern, it is no place."""
    kept(site, 1, topic="a")
    _, text = answered(site, "/topics/a,b", Last_Event_ID="b=epoch000.1")
    assert '"message":1' not in text
    assert '"topic":"a"' not in text
    for topics in ("a", "*"):
        _, text = answered(site, f"/topics/{topics}", Last_Event_ID="b=epoch000.1")
        assert "data: 1\n" in text or '"topic":"a","message":1' in text


def test_a_plain_cursor_for_several_topics_is_a_reset(site: Site) -> None:
    kept(site, 1, topic="a")
    answer, text = answered(site, "/topics/a,b", Last_Event_ID="epoch000.1")
    assert answer.status == 200
    assert text.count("event: reset") == 2


def test_last_event_id_means_nothing_to_other_framings(site: Site) -> None:
    kept(site, 1, 2)
    assert site.get("/topics/a?since=earliest", Last_Event_ID="epoch000.1").json["res"] == [1, 2]


def test_a_head_request_opens_no_stream(site: Site) -> None:
    assert site.ask("HEAD", "/topics/a", **STREAM).status == 200
    assert site.watchers("a") == 0


# What several clients get wrong, and what is written so that it does not matter.


def test_no_parser_gives_a_message_that_was_none(site: Site) -> None:
    """Some give an event for each empty line, with or without data, and named or not."""
    kept(site, *range(103))
    for target in (
        "/topics/a",
        "/topics/a?since=gone.7",
        "/topics/a?since=-200",
        "/topics/new?since=gone.7",
        "/topics?watch",
    ):
        client = site.connect().get(target, **STREAM)
        site.advance(40)
        body = body_of(client.wire.arrived).decode()
        for block in body.rstrip(":\n").split("\n\n"):
            assert any(line.startswith("data: ") for line in block.split("\n")), body
        assert "\n\n\n" not in body
        assert not body.startswith("\n")


@pytest.mark.parametrize(
    "name",
    ["lastEventId", "lasteventid", "LASTEVENTID", "last_event_id", "Last_Event_ID", "last-event-id", "Last-Event-ID"],
)
def test_clients_that_cannot_send_the_field_send_a_parameter(site: Site, stream: type[Reader], name: str) -> None:
    kept(site, 1, 2, 3)
    assert stream(site, since="earliest", **{name: "epoch000.2"}).listen().messages == [3]
    assert stream(site, since="earliest", **{name: "gone.2"}).listen().told("reset") == [True]
    assert stream(site, since="earliest", **{name: "rubbish"}).listen().told("reset") == [True]
    assert stream(site, since="-2", **{name: ""}).listen().messages == [2, 3]


def test_the_field_wins_over_the_parameter_and_the_parameter_over_since(site: Site, stream: type[Reader]) -> None:
    kept(site, 1, 2, 3)
    target = "/topics/a?since=epoch000.0&n=0&lastEventId=epoch000.1"
    accept = {"Accept": stream.headers.get("Accept", "text/event-stream")}
    one = site.connect().get(target, Last_Event_ID="epoch000.2", **accept)
    assert b"epoch000.2" in one.wire.arrived
    assert b"epoch000.1" not in one.wire.arrived
    other = site.connect().get(target, **accept)
    assert b"epoch000.1" in other.wire.arrived
    assert b"epoch000.0" not in other.wire.arrived


def test_the_parameter_means_nothing_to_a_poll(site: Site) -> None:
    kept(site, 1, 2, 3)
    assert site.get("/topics/a?since=earliest&lastEventId=epoch000.2").json["res"] == [1, 2, 3]


# Weights.


@each_of(
    ("accept", "kind"),
    [
        ("application/json, text/event-stream;q=0", "application/json"),
        ("application/json, text/event-stream;q=0.9", "application/json"),
        ("application/json;q=0.5, text/event-stream;q=0.9", "text/event-stream; charset=utf-8"),
        ("application/json, text/event-stream", "text/event-stream; charset=utf-8"),
        ("text/event-stream, */*;q=0.1", "text/event-stream; charset=utf-8"),
        ("text/event-stream;q=0, */*", "application/json"),
        ("text/event-stream;q=0.2, */*;q=0.8", "application/json"),
        ("text/event-stream;q=0.2, application/x-ndjson;q=0.8", "application/x-ndjson"),
        ("application/x-ndjson, text/event-stream", "application/x-ndjson"),
        ("text/event-stream, application/x-ndjson", "text/event-stream; charset=utf-8"),
        ("text/event-stream;charset=utf-8", "text/event-stream; charset=utf-8"),
        ("text/event-stream;q=0, application/x-ndjson;q=0, application/json;q=0", "application/json"),
        ("text/*", "text/event-stream; charset=utf-8"),
        ("text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8", "application/json"),
        ("*/*", "application/json"),
        ("", "application/json"),
    ],
)
def test_what_the_client_wants_most_is_what_it_gets(site: Site, accept: str, kind: str) -> None:
    kept(site, 1)
    assert (
        site.connect()
        .get("/topics/a?since=earliest", Accept=accept)
        .wire.arrived.count(b"Content-Type: %b\r\n" % kind.encode())
        == 1
    )


def test_text_is_utf_8_also_to_clients_that_look_at_the_head_alone(site: Site) -> None:
    kept(site, '"Z\u00fcrich \u65e5\u672c"')
    answer, _ = answered(site, "/topics/a?since=earliest")
    assert answer["Content-Type"].endswith("; charset=utf-8")


# Times.


def test_with_times_the_data_has_the_time_and_the_message(site: Site) -> None:
    site.server.wall = lambda: 1_795_899_600.123
    clients = [follow(site, target) for target in ("/topics/a?times", "/topics/a,b?times")]
    site.post("/topics/a", b'{"t":21.5}')
    one, several = (blocks(client)[1:] for client in clients)
    assert one == ['data: {"time":1795899600123,"message":{"t":21.5}}\nid: epoch000.1']
    assert several == ['data: {"topic":"a","time":1795899600123,"message":{"t":21.5}}\nid: a=epoch000.1,b=epoch001.0']


def test_a_truncated_window_is_told_before_its_messages(make_site: MakeSite) -> None:
    site = make_site(queue=1)
    kept(site, 1, 2)
    assert answered(site, "/topics/a?since=-2")[1].endswith("event: truncated\ndata: {}\n\ndata: 2\nid: epoch000.2\n\n")
    told = 'event: truncated\ndata: {"topic":"a"}\n\ndata: {"topic":"a","message":2}\nid: a=epoch000.2,b=epoch001.0\n\n'
    assert answered(site, "/topics/a,b?since=-2")[1].endswith(told)
