"""Long bodies and WebSocket messages are checked in portions, whichever way they come, and keep their order."""

import json

import pytest

from slosh.errors import BadJson
from slosh.web.jsontext import check_json
from slosh.web.publishing.longtext import PORTION
from tests.web.conftest import MakeSite
from tests.web.frames import TEXT, frame, frames, open_socket
from tests.web.harness import Client, Site, request
from tests.web.posting import kept
from tests.web.test_portions import KIB, slow_down, turn, turns_until_answered


def test_long_lines_for_several_topics_are_checked_a_portion_in_a_turn(make_site: MakeSite) -> None:
    size = 4 * KIB * KIB
    site = make_site(max_message=size, max_body=16 * KIB * KIB)
    slow_down(site)
    kept(site, topic="a")
    kept(site, topic="b")
    sound = b"[" + b"1," * (size // 2 - 2) + b"1]"
    last = b'{"message":1,"topic":"b"}'
    for message, accepted in ((sound, True), (sound[:-2] + b"x]", False), (sound[:-2] + b"1", False)):
        client = site.connect()
        line = b'{"topic":"b", "message" :\t%b }' % message
        body = b"\n".join([b'{"topic":"a","message":%b}' % sound, line, last])
        turns = turns_until_answered(site, client, request("POST", "/topics", body))
        assert turns >= len(body) // PORTION - 2
        answer = client.next()
        if accepted:
            assert answer.json["accepted"] == 3
        else:
            assert (answer.code, answer.json["line"]) == ("bad_json", 2)
            with pytest.raises(BadJson) as wrong:
                check_json(line, 64)
            assert answer.json["position"] == wrong.value.position
    assert site.get("/topics/a?since=earliest&wait=0").json["res"] == [json.loads(sound)]
    assert site.get("/topics/b?since=earliest&wait=0").json["max"] == 2


def test_a_long_message_on_a_websocket_is_checked_a_portion_in_a_turn_and_keeps_its_place(make_site: MakeSite) -> None:
    size = 4 * KIB * KIB
    site = make_site(max_message=size)
    slow_down(site)
    client = open_socket(site)
    sound = b"[" + b"1," * (size // 2 - 2) + b"1]"
    said = [b'"first"', sound, b'"then"', sound[:-2] + b"x]", b'"last"']
    client.wire.unread.append(b"".join(frame(TEXT, each) for each in said))
    client.wire.feed()
    turns = 0
    while site.hub.find("a", site.loop.time()).last < 4:  # type: ignore[union-attr]
        turn(site)
        turns += 1
        assert turns < 1000
    assert turns >= 2 * size // PORTION
    site.loop.settle()
    got = [json.loads(payload) for _, payload in frames(client)]
    assert [each["res"][0] for each in got if "res" in each] == [json.loads(each) for each in said if b"x" not in each]
    (error,) = [each["error"] for each in got if "error" in each]
    assert (error["code"], error["position"]) == ("bad_json", size - 3)


def test_a_websocket_is_not_read_while_a_message_is_checked(make_site: MakeSite) -> None:
    """And is still served what others publish, and what it has sent is published though it sends its end."""
    size = 4 * KIB * KIB
    site = make_site(max_message=size)
    slow_down(site)
    client, other = open_socket(site), site.connect()
    sound = b"[" + b"1," * (size // 2 - 2) + b"1]"
    client.wire.unread.append(frame(TEXT, sound))
    client.wire.feed()
    turn(site)
    assert site.server.buffered == len(sound)
    client.wire.unread += [frame(TEXT, b'"%b"' % (b"x" * 9000))] * 20
    client.wire.feed()
    assert client.wire.unread, "the rest stays in the socket"
    other.wire.unread.append(request("POST", "/topics/a", b'"of another"'))
    other.wire.feed()
    while b"of another" not in client.wire.arrived:
        turn(site)
    assert site.hub.find("a", site.loop.time()).last == 1  # type: ignore[union-attr]
    site.loop.settle()
    assert site.hub.find("a", site.loop.time()).last == 22  # type: ignore[union-attr]
    assert site.server.buffered == 0
    client.wire.unread.append(frame(TEXT, sound))
    client.wire.feed()
    client.half_close()
    site.loop.settle()
    assert site.hub.find("a", site.loop.time()).last == 23  # type: ignore[union-attr]


def begin_to_check(site: Site) -> Client:
    """A WebSocket whose message, the largest there may be, is being checked."""
    size = site.settings.max_message
    slow_down(site)
    client = open_socket(site)
    client.wire.unread.append(frame(TEXT, b"[" + b"1," * (size // 2 - 2) + b"1]"))
    client.wire.feed()
    turn(site)
    return client


def test_a_message_is_checked_on_once_its_sender_takes_what_others_say(make_site: MakeSite) -> None:
    site = make_site(max_message=4 * KIB * KIB)
    client = begin_to_check(site)
    client.take_nothing()
    site.engine.accept("a", [b'"%b"' % (b"x" * 100_000)], site.loop.time())
    site.loop.settle()
    assert site.hub.find("a", site.loop.time()).last == 1  # type: ignore[union-attr]
    client.take()
    site.loop.settle()
    assert site.hub.find("a", site.loop.time()).last == 2  # type: ignore[union-attr]


def test_a_websocket_that_goes_while_its_message_is_checked_has_published_nothing(make_site: MakeSite) -> None:
    site = make_site(max_message=4 * KIB * KIB)
    client = begin_to_check(site)
    client.reset()
    site.loop.settle()
    assert site.get("/topics/a?since=earliest&wait=0").json["saw"] == 0
    assert site.server.buffered == 0


@pytest.mark.parametrize("path", ["/topics/a", "/topics/a?batch=ndjson", "/topics"])
def test_very_many_long_bodies_take_turns_and_count_while_they_are_checked(make_site: MakeSite, path: str) -> None:
    size = KIB * KIB
    site = make_site(max_buffered=5 * size)
    slow_down(site)
    kept(site)
    message = b"[" + b"1," * (size // 2 - 50) + b"1]"
    body = b'{"topic":"a","message":%b}' % message if path == "/topics" else message
    clients = [site.connect() for _ in range(10)]
    for client in clients:
        client.wire.unread.append(request("POST", path, body))
        client.wire.feed()
    assert site.server.buffered <= 5 * size
    taken = site.server.turns.taken
    turn(site)
    assert site.server.turns.taken - taken <= 1, "a turn of the loop has one portion of all of them together"
    site.loop.settle()
    answers = [client.next() for client in clients]
    assert sorted(answer.status for answer in answers)[:4] == [200] * 4
    assert {answer.code for answer in answers if answer.status != 200} == {"memory"}
    assert site.server.buffered == 0
