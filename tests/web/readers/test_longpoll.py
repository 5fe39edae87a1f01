"""GET of a topic as a long-poll: places, waiting, the cookie, and what each answer says."""

from collections.abc import Callable

import pytest

from tests.cases import each_of
from tests.web.conftest import MakeSite
from tests.web.harness import Client, Response, Site, request


def watch(site: Site, topic: str = "a", *messages: bytes) -> Client:
    """A reader that keeps the topic active, after `messages` were posted to it."""
    client = site.connect().get(f"/topics/{topic}?since=now")
    for message in messages:
        assert site.post(f"/topics/{topic}", message).status == 200
    return client


def numbers(site: Site, count: int, topic: str = "a") -> None:
    """Post 1, 2, 3, … to a topic."""
    watch(site, topic, *(b"%d" % number for number in range(1, count + 1)))


def told(answer: Response) -> tuple[int, int, int, list[object]]:
    """What an envelope says: max, saw, lost, res. `delivering` is checked here, once for all tests."""
    envelope = answer.json
    assert envelope["delivering"] == len(envelope["res"])
    assert envelope["saw"] == envelope["delivering"] + envelope.get("lost", 0)
    return envelope["max"], envelope["saw"], envelope.get("lost", 0), envelope["res"]


# The answer.


def test_it_hangs_until_a_message_comes_and_gives_it_as_it_was_posted(site: Site) -> None:
    client = site.connect().get("/topics/a")
    site.advance(100_000)
    assert client.silent()
    site.post("/topics/a", b' \r\n{"z": 1.0,\t"a":1e999, "z":"\\u00e9"} \n')
    answer = client.next()
    assert answer.status == 200
    assert answer.body == (
        b'{"max":1,"saw":1,"delivering":1,"res":[{"z": 1.0,\t"a":1e999, "z":"\\u00e9"}],"next":"epoch000.1"}\n'
    )


def test_the_headers_are_those_of_the_protocol(site: Site) -> None:
    watch(site, "a", b"1")
    answer = site.get("/topics/a?since=earliest")
    assert answer["Content-Type"] == "application/json"
    assert answer["Cache-Control"] == "no-store"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Slosh-Next"] == answer.json["next"] == "epoch000.1"
    assert answer["Date"].endswith(" GMT")
    assert "Connection" not in answer


def test_messages_that_come_in_one_turn_are_given_together(site: Site) -> None:
    client = site.connect().get("/topics/a")
    site.connect().send(b"".join(request("POST", "/topics/a", b"%d" % number) for number in range(3)))
    assert told(client.next()) == (3, 3, 0, [0, 1, 2])
    assert client.silent()


def test_every_reader_gets_every_message(site: Site) -> None:
    """The original skipped one reader in two when one message woke many."""
    readers = [site.connect().get("/topics/a") for _ in range(50)]
    site.post("/topics/a", b"1")
    assert [told(each.next()) for each in readers] == [(1, 1, 0, [1])] * 50
    assert site.watchers("a") == 0


def test_readers_at_different_places_get_what_each_has_not_seen(site: Site) -> None:
    numbers(site, 3)
    answers = [site.get(f"/topics/a?since=epoch000.{place}&wait=0") for place in range(4)]
    assert [told(each)[3] for each in answers] == [[1, 2, 3], [2, 3], [3], []]


def test_an_answer_that_was_lost_on_the_wire_comes_again_for_the_same_cursor(site: Site) -> None:
    numbers(site, 2)
    lost = site.connect().take_nothing().get("/topics/a?since=epoch000.1")
    lost.reset()
    again = site.get("/topics/a?since=epoch000.1")
    assert told(again) == (2, 1, 0, [2])
    assert told(site.get("/topics/a?since=epoch000.1")) == (2, 1, 0, [2])


def test_the_place_moves_only_when_the_client_asks_with_the_newer_cursor(site: Site) -> None:
    numbers(site, 1)
    cursor = site.get("/topics/a?since=earliest").json["next"]
    client = site.connect().get(f"/topics/a?since={cursor}")
    assert client.silent()
    site.post("/topics/a", b"2")
    assert told(client.next()) == (2, 1, 0, [2])


def test_what_fell_off_the_ring_is_told_as_lost(make_site: MakeSite) -> None:
    site = make_site(queue=10)
    numbers(site, 25)
    assert told(site.get("/topics/a?since=epoch000.0")) == (25, 25, 15, list(range(16, 26)))
    assert told(site.get("/topics/a?since=epoch000.20")) == (25, 5, 0, [21, 22, 23, 24, 25])
    assert site.metrics()["slosh_lost_messages_total"] == 15


# Where to start.


@each_of(
    ("since", "given"),
    [
        ("earliest", [1, 2, 3, 4, 5]),
        ("-2", [4, 5]),
        ("-100", [1, 2, 3, 4, 5]),
        ("15s", [4, 5]),
        ("15000ms", [4, 5]),
        ("0.26m", [4, 5]),
        ("1h", [1, 2, 3, 4, 5]),
        ("epoch000.3", [4, 5]),
        ("epoch000%2E3", [4, 5]),
    ],
)
def test_since_in_all_its_forms(make_site: MakeSite, since: str, given: list[int]) -> None:
    site = make_site(linger=1000)
    watch(site)
    for number in range(1, 6):
        site.post("/topics/a", b"%d" % number)
        site.advance(7)
    answer = site.get(f"/topics/a?since={since}")
    assert told(answer)[3] == given
    assert "reset" not in answer.json


@pytest.mark.parametrize("since", ["now", "-0", "0s", "1s", "epoch000.5"])
def test_since_a_place_behind_which_nothing_is_hangs(site: Site, since: str) -> None:
    watch(site)
    for number in range(1, 6):
        site.post("/topics/a", b"%d" % number)
    site.advance(7)
    client = site.connect().get(f"/topics/a?since={since}")
    assert client.silent()
    site.post("/topics/a", b"6")
    assert told(client.next())[3] == [6]


@each_of("query", ["since=", "since=x", "since=5w", "since=-", "since=1x", "n=", "n=-1", "n=x", "n=1.0"])
def test_a_place_that_is_none_is_refused(site: Site, query: str) -> None:
    answer = site.get(f"/topics/a?{query}")
    assert (answer.status, answer.code) == (400, "bad_query")
    assert answer.json["parameter"] == query.partition("=")[0]
    assert site.hub.find("a", site.loop.time()) is None


def test_n_is_an_offset_in_the_present_epoch(site: Site) -> None:
    numbers(site, 5)
    assert told(site.get("/topics/a?n=3"))[3] == [4, 5]
    assert told(site.get("/topics/a?n=0"))[3] == [1, 2, 3, 4, 5]
    ahead = site.get("/topics/a?n=6")
    assert ahead.json["reset"] is True
    assert told(ahead)[3] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("since", ["other000.3", "epoch000.9", "epoch001.0"])
def test_a_cursor_of_another_life_or_of_the_future_resets(site: Site, since: str) -> None:
    numbers(site, 2)
    answer = site.get(f"/topics/a?since={since}")
    assert answer.json["reset"] is True
    assert told(answer) == (2, 2, 0, [1, 2])
    assert "reset" not in site.get(f"/topics/a?since={answer.json['next']}&wait=0").json


def test_a_reset_tells_what_had_fallen_off(make_site: MakeSite) -> None:
    site = make_site(queue=2)
    numbers(site, 5)
    answer = site.get("/topics/a?since=gone.7")
    assert answer.json["reset"] is True
    assert told(answer) == (5, 5, 3, [4, 5])


def test_a_reset_where_nothing_is_kept_hangs_and_says_so_in_its_answer(site: Site) -> None:
    client = site.connect().get("/topics/a?since=gone.7")
    assert client.silent()
    site.post("/topics/a", b"1")
    answer = client.next()
    assert answer.json["reset"] is True
    assert told(answer) == (1, 1, 0, [1])


def test_a_reset_that_times_out_says_both(site: Site) -> None:
    client = site.connect().get("/topics/a?since=gone.7&wait=1")
    site.advance(1.1)
    answer = client.next()
    assert (answer.json["reset"], answer.json["timeout"]) == (True, True)


# How long to wait.


def test_wait_runs_out_with_a_normal_envelope(site: Site) -> None:
    client = site.connect().get("/topics/a?wait=2.5")
    site.advance(2.45)
    assert client.silent()
    site.advance(0.15)
    answer = client.next()
    assert answer.status == 200
    assert answer.body == b'{"max":0,"saw":0,"delivering":0,"res":[],"next":"epoch000.0","timeout":true}\n'
    assert site.watchers("a") == 0
    assert client.served()


def test_wait_0_answers_at_once_with_what_there_is(site: Site) -> None:
    assert site.get("/topics/a?wait=0").json["timeout"] is True
    numbers(site, 1)
    answer = site.get("/topics/a?since=earliest&wait=0")
    assert "timeout" not in answer.json
    assert told(answer) == (1, 1, 0, [1])


def held_for(site: Site, target: str, **fields: str) -> float:
    """How many seconds, to a tenth, a poll of a silent topic is held."""
    client = site.connect().get(target, **fields)
    seconds = 0.0
    while client.silent() and seconds < 1000:
        site.advance(0.1)
        seconds += 0.1
    return round(seconds, 1)


@each_of(
    ("query", "prefer", "held"),
    [
        ("", "wait=3", 3),
        ("", 'foo; bar, WAIT = "3"', 3),
        ("", "respond-async, wait=3;x=y", 3),
        ("?wait=1", "wait=3", 1),
        ("?wait=0", "wait=3", 0),
        ("", "wait=nonsense", 5),
        ("", "wait=-3", 5),
        ("", "wait=100", 8),
        ("?wait=100", "", 8),
        ("?wait=100&wait=1", "", 8),
    ],
)
def test_prefer_wait_is_the_same_and_the_query_wins(make_site: MakeSite, query: str, prefer: str, held: float) -> None:
    """With default_wait 5 for who does not say, and max_wait 8 for who says too much."""
    site = make_site(default_wait=5, max_wait=8)
    assert held_for(site, f"/topics/a{query}", **({"Prefer": prefer} if prefer else {})) == pytest.approx(
        held, abs=0.15
    )


@pytest.mark.parametrize(
    ("settings", "held"), [({"default_wait": 4}, 4), ({"max_wait": 6}, 6), ({"default_wait": 4, "max_wait": 6}, 4)]
)
def test_who_does_not_say_is_held_for_the_settings(
    make_site: MakeSite, settings: dict[str, float], held: float
) -> None:
    assert held_for(make_site(**settings), "/topics/a") == pytest.approx(held, abs=0.15)


@each_of("wait", ["", "x", "-1", "1e3", "inf", "nan", "1_0", "%D9%A3", "1w"])
def test_a_wait_that_is_no_number_of_seconds_is_refused(site: Site, wait: str) -> None:
    answer = site.get(f"/topics/a?wait={wait}")
    assert (answer.status, answer.code, answer.json["parameter"]) == (400, "bad_query", "wait")


def test_return_minimal_gets_204_where_there_is_nothing(site: Site) -> None:
    answer = site.get("/topics/a?wait=0", Prefer="return=minimal")
    assert (answer.status, answer.body) == (204, b"")
    assert "Content-Length" not in answer
    assert answer["Slosh-Next"] == "epoch000.0"
    numbers(site, 1)
    assert site.get("/topics/a?since=earliest&wait=0", Prefer="return=minimal").status == 200


def test_polls_of_very_many_different_waits_all_end_in_time(site: Site) -> None:
    """One that is held for ever among them changes nothing for the others."""
    for_ever = site.connect().get("/topics/a")
    clients = {wait: site.connect().get(f"/topics/a?wait={wait}") for wait in range(1, 300)}
    site.advance(0.06)  # deadlines have a grain of a twentieth of a second
    for wait, client in clients.items():
        site.advance(0.9)
        assert client.silent(), wait
        site.advance(0.1)
        assert not client.silent(), wait
    assert for_ever.silent()
    assert site.watchers("a") == 1


# HEAD, and what makes a topic active.


def test_head_says_what_a_get_would_and_activates_nothing(site: Site) -> None:
    head = site.ask("HEAD", "/topics/a")
    assert (head.status, head.body) == (200, b"")
    assert len(site.hub) == 0
    assert site.post("/topics/a", b"1").code == "no_watchers"
    assert head["Content-Length"] == site.get("/topics/a?wait=0")["Content-Length"]
    numbers(site, 3)
    get = site.get("/topics/a?since=-2&wait=0")
    head = site.ask("HEAD", "/topics/a?since=-2")
    assert [each for each in head.fields if each[0] != "date"] == [each for each in get.fields if each[0] != "date"]


def test_head_does_not_lengthen_the_life_of_a_topic(make_site: MakeSite) -> None:
    site = make_site(linger=10)
    site.get("/topics/a?wait=0")
    site.advance(6)
    site.ask("HEAD", "/topics/a")
    site.advance(6)
    assert site.post("/topics/a", b"1").status == 404


def poll_and_leave(site: Site) -> None:
    site.connect().get("/topics/a").reset()


def poll_and_answer(site: Site) -> None:
    site.get("/topics/a?wait=0")


@pytest.mark.parametrize("touch", [poll_and_leave, poll_and_answer])
def test_a_topic_lingers_and_then_begins_a_new_life(make_site: MakeSite, touch: Callable[[Site], None]) -> None:
    site = make_site(linger=30)
    touch(site)
    site.advance(29)
    assert site.post("/topics/a", b"1").json == {"max": 1, "next": "epoch000.1", "watchers": 0}
    site.advance(2)  # a post does not lengthen it
    assert site.post("/topics/a", b"2").code == "no_watchers"
    assert len(site.hub) == 0
    answer = site.get("/topics/a?since=epoch000.1&wait=0")
    assert answer.json["next"] == "epoch001.0"
    assert answer.json["reset"] is True


def test_a_topic_lives_while_it_is_watched_however_long(make_site: MakeSite) -> None:
    site = make_site(linger=1)
    watch(site)
    site.advance(1000)
    assert site.post("/topics/a", b"1").json["watchers"] == 1


def test_a_wrong_name_is_refused_and_makes_nothing(site: Site) -> None:
    for name in ("", "a//b", "a/", "..", "a/./b", "%00", "%ff", "$sys/x", "x" * 256):
        answer = site.get(f"/topics/{name}?wait=0")
        assert answer.status == 400, name
        assert answer.code in {"bad_topic", "bad_request"}
    assert len(site.hub) == 0


def test_readers_at_one_place_are_each_moved_to_the_life_that_began_in_place_of_a_lost_one(site: Site) -> None:
    numbers(site, 1)
    readers = [site.connect().get("/topics/a?since=epoch000.1") for _ in range(3)]
    topic = site.hub.find("a", site.loop.time())
    assert topic is not None
    site.hub.replace(topic, "other", site.loop.time())
    late = site.connect().get("/topics/a?since=epoch000.1")
    assert site.post("/topics/a", b'"new"').json["watchers"] == 4
    for reader in [*readers, late]:
        envelope = reader.next().json
        assert (envelope["res"], envelope["next"], envelope["reset"]) == (["new"], "other.1", True)


def test_an_answer_from_one_of_several_topics_ends_the_wait_at_the_others(site: Site) -> None:
    client = site.connect().get("/topics/a,b")
    assert (site.watchers("a"), site.watchers("b")) == (1, 1)
    site.post("/topics/a", b"1")
    assert client.next().json["topics"]["a"]["res"] == [1]
    assert (site.watchers("a"), site.watchers("b")) == (0, 0)
