"""Server-Sent Events as the standard frames them (WHATWG HTML §9.2)."""

import re

import pytest

from tests.web.harness import Client, Site
from tests.web.test_ndjson import body_of

STREAM = {"Accept": "text/event-stream"}


def blocks(client: Client) -> list[str]:
    """What has arrived, event by event."""
    return body_of(client.wire.arrived).decode().split("\n\n")[:-1]


def follow(site: Site, target: str = "/topics/a", **fields: str) -> Client:
    return site.connect().get(target, **(STREAM | fields))


def test_the_first_bytes_come_at_once_and_hold_nothing_up(site: Site) -> None:
    client = follow(site)
    head = bytes(client.wire.arrived).partition(b"\r\n\r\n")[0]
    assert b"Content-Type: text/event-stream\r\n" in head
    assert b"X-Accel-Buffering: no\r\n" in head
    assert b"Cache-Control: no-store\r\n" in head
    (first,) = blocks(client)
    assert re.fullmatch(r": slosh\nretry: [0-9]+\nid: epoch000\.0", first)


def test_no_two_clients_come_back_at_the_same_time(site: Site) -> None:
    found = {re.search(r"retry: ([0-9]+)", blocks(follow(site))[0]) for _ in range(20)}
    waits = {int(match[1]) for match in found if match}
    assert len(waits) > 5
    assert all(2000 <= wait <= 3000 for wait in waits)


def test_a_message_is_an_event_with_the_place_behind_it(site: Site) -> None:
    client = follow(site)
    site.post("/topics/a", b'{"t":21.5}')
    site.post("/topics/a", b'"two"')
    assert blocks(client)[1:] == ['id: epoch000.1\ndata: {"t":21.5}', 'id: epoch000.2\ndata: "two"']


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_line_end_inside_a_message_begins_a_data_line(site: Site, end: str) -> None:
    client = follow(site)
    site.post("/topics/a", f"[1,{end}2,{end}{end}3]".encode())
    assert blocks(client)[1:] == ["id: epoch000.1\ndata: [1,\ndata: 2,\ndata: \ndata: 3]"]


def test_a_comment_is_the_sign_of_life(site: Site) -> None:
    client = follow(site)
    client.wire.arrived.clear()
    site.advance(15.1)
    assert bytes(client.wire.arrived) == b"3\r\n:\n\n\r\n"


def test_what_fell_off_the_ring_is_told_before_the_rest(site: Site) -> None:
    start = site.get("/topics/a?wait=0").json["next"]
    for number in range(120):
        site.post("/topics/a", b"%d" % number)
    client = follow(site, f"/topics/a?since={start}")
    _, told, first, *_, last = blocks(client)
    assert told == 'event: lost\ndata: {"lost":20}'
    assert first == "id: epoch000.21\ndata: 20"
    assert last == "id: epoch000.120\ndata: 119"


def test_what_was_left_out_is_told(site: Site) -> None:
    site.get("/topics/a?wait=0")
    for number in range(5):
        site.post("/topics/a", b"%d" % number)
    client = follow(site, "/topics/a?since=earliest&limit=2")
    assert blocks(client)[1:] == [
        'event: conflated\ndata: {"conflated":3}',
        "id: epoch000.4\ndata: 3",
        "id: epoch000.5\ndata: 4",
    ]


def test_last_event_id_wins(site: Site) -> None:
    site.get("/topics/a?wait=0")
    for number in range(3):
        site.post("/topics/a", b"%d" % number)
    client = follow(site, "/topics/a?since=now", Last_Event_ID="epoch000.2")
    assert blocks(client)[1:] == ["id: epoch000.3\ndata: 2"]


@pytest.mark.parametrize("place", ["7q2m5d0z.9", "epoch000.99", "rubbish"])
def test_a_place_that_means_nothing_is_a_reset_told_before_any_new_place(site: Site, place: str) -> None:
    """Who is cut between the two would else go on as if nothing were lost."""
    site.get("/topics/a?wait=0")
    site.post("/topics/a", b"1")
    told = "".join(f"{block}\n\n" for block in blocks(follow(site, Last_Event_ID=place)))
    assert told.index('event: reset\ndata: {"reset":true}') < told.index("id: ")
    assert told.endswith("id: epoch000.1\ndata: 1\n\n")


def test_a_reset_is_told_at_once_also_where_nothing_is_kept(site: Site) -> None:
    told = blocks(follow(site, Last_Event_ID="7q2m5d0z.9"))
    assert 'event: reset\ndata: {"reset":true}' in told
    assert told[-1] == "id: epoch000.0"


def test_of_several_topics_each_event_says_which_and_has_all_the_places(site: Site) -> None:
    client = follow(site, "/topics/a,b")
    site.post("/topics/b", b"1")
    site.post("/topics/a", b"2")
    assert blocks(client)[1:] == [
        'id: a=epoch000.0,b=epoch001.1\ndata: {"topic":"b","message":1}',
        'id: a=epoch000.1,b=epoch001.1\ndata: {"topic":"a","message":2}',
    ]


def test_a_name_cannot_break_out_of_its_line(site: Site) -> None:
    """Line ends are no part of a name, and quotes are escaped where they stand in JSON."""
    client = follow(site, "/topics/x%22y,z")
    site.post("/topics/x%22y", b"1")
    assert blocks(client)[1:] == ['id: x"y=epoch000.1,z=epoch001.0\ndata: {"topic":"x\\"y","message":1}']
    assert site.get("/topics/a%0Ab", **STREAM).status == 400
