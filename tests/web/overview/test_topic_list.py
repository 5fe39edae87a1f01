"""Interest made visible: the list of topics, its stream, and a feeder that sleeps until somebody watches."""

import json
import logging
import re
from typing import Any

import pytest

from slosh.access.rights import NOTHING
from slosh.access.rules import AccessRules
from slosh.engine.base import WatcherCount
from slosh.errors import Unauthorized
from tests.access.tokens import token_row
from tests.cases import each_of
from tests.web.admission.test_gate import bearer, reload, with_clock
from tests.web.conftest import MakeSite
from tests.web.harness import Client, Site, SiteEngine, request
from tests.web.posting import post
from tests.web.transports import Ndjson, Reader


def events(client: Client) -> list[tuple[str, Any]]:
    """The events that have arrived on a `?watch` stream, less what was read before."""
    text = bytes(client.wire.arrived).decode()
    client.wire.arrived.clear()
    blocks = [
        block
        for block in text.replace("\r\n", "\n").split("\n\n")
        if "event: " in block and "event: place" not in block
    ]
    found = []
    for block in blocks:
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        found.append((fields["event"], json.loads(fields["data"])))
    return found


class TestList:
    """`GET /topics`."""

    def test_it_tells_of_each_active_topic_by_name(self, site: Site) -> None:
        site.connect().get("/topics/b")
        site.get("/topics/a?wait=0")
        for number in range(5):
            site.post("/topics/b", b"%d" % number)
        site.advance(2.0)
        answer = site.get("/topics")
        assert answer["Content-Type"] == "application/json"
        assert answer.json["topics"] == [
            {"name": "a", "watchers": 0, "max": 0, "age": 2.0, "rate": 0.0, "class": "default"},
            {"name": "b", "watchers": 0, "max": 5, "age": 2.0, "rate": 0.5, "class": "default"},
        ]

    def test_a_topic_that_has_run_out_is_not_in_it(self, site: Site) -> None:
        site.get("/topics/a?wait=0")
        site.advance(30.1)
        assert site.get("/topics").json == {"topics": []}

    def test_the_rate_of_a_ring_that_is_younger_than_the_window_counts_its_own_age(self, make_site: MakeSite) -> None:
        site = make_site(queue=10)
        site.get("/topics/a?wait=0")
        for number in range(20):
            site.post("/topics/a", b"%d" % number)
            site.advance(0.1)
        (topic,) = site.get("/topics").json["topics"]
        assert topic["rate"] == pytest.approx(10.0, rel=0.15)

    def test_many_come_in_pages_that_miss_none(self, site: Site) -> None:
        names = [f"t{number:02d}" for number in range(7)]
        for name in reversed(names):
            site.get(f"/topics/{name}?wait=0")
        page = site.get("/topics?limit=3").json
        seen = [topic["name"] for topic in page["topics"]]
        while "after" in page:
            page = site.get(f"/topics?limit=3&after={page['after']}").json
            seen += [topic["name"] for topic in page["topics"]]
        assert seen == names

    @pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", ""])
    def test_a_limit_that_is_none_is_refused(self, site: Site, limit: str) -> None:
        assert (site.get(f"/topics?limit={limit}").code) == "bad_query"

    def test_it_is_looked_at_and_published_to(self, site: Site) -> None:
        answer = site.ask("PUT", "/topics")
        assert (answer.status, answer["Allow"]) == (405, "GET, HEAD, POST, OPTIONS")
        assert site.ask("HEAD", "/topics").status == 200


class TestStream:
    """`GET /topics?watch`."""

    def test_it_tells_what_is_active_and_then_what_changes(self, site: Site) -> None:
        site.get("/topics/before?wait=0")
        client = site.connect().get("/topics?watch")
        assert [(kind, facts["name"]) for kind, facts in events(client)] == [("active", "before")]
        site.get("/topics/after?wait=0")
        assert [(kind, facts["name"]) for kind, facts in events(client)] == [("active", "after")]
        site.advance(30.1)
        assert {(kind, facts["name"]) for kind, facts in events(client)} == {
            ("inactive", "before"),
            ("inactive", "after"),
        }

    def test_it_tells_how_many_watch_where_somebody_does(self, site: Site, transport: type[Reader]) -> None:
        """A producer that starts when somebody looks need not ask again whether he does."""
        client = site.connect().get("/topics?watch")
        transport(site, "a")
        transport(site, "b,c")
        site.get("/topics/nobody?wait=0")
        told = [(kind, facts["name"], facts["watchers"]) for kind, facts in events(client)]
        assert told == [("active", "a", 1), ("active", "b", 1), ("active", "c", 1), ("active", "nobody", 0)]

    def test_who_is_answered_in_the_same_turn_was_there(self, site: Site) -> None:
        """A GET and the POST that answers it, in one packet's time."""
        client = site.connect().get("/topics?watch")
        reader, publisher = site.connect(), site.connect()
        for each, said in ((reader, request("GET", "/topics/a")), (publisher, request("POST", "/topics/a", b"1"))):
            each.wire.unread.append(said)
            each.wire.feed()
        site.loop.settle()
        assert reader.next().json["res"] == [1]
        assert [(kind, facts["watchers"]) for kind, facts in events(client)] == [("active", 1)]

    def test_it_lives_no_longer_than_other_streams(self, make_site: MakeSite) -> None:
        """Its client comes back by itself, and is told that what it knows of topics counts no more."""
        site = make_site(stream_life=100, linger=5)
        client = site.connect().get("/topics?watch")
        assert "retry: 2" in bytes(client.wire.arrived).decode()
        assert '\nevent: place\ndata: {"next":"topics"}\nid: topics\n\n' in bytes(client.wire.arrived).decode()
        site.get("/topics/a?wait=0")
        site.advance(79)
        assert client.served()
        assert not bytes(client.wire.arrived).endswith(b"0\r\n\r\n")
        site.advance(21.1)
        assert bytes(client.wire.arrived).endswith(b"0\r\n\r\n")
        assert site.closed("stream_life") == 1
        assert client.served(), "the connection lives on"
        client.wire.arrived.clear()
        site.get("/topics/b?wait=0")
        client.get("/topics?watch", Last_Event_ID="topics")
        told = events(client)
        assert told[0] == ("reset", {"reset": True})
        assert [(kind, facts["name"]) for kind, facts in told[1:]] == [("active", "b")]

    def test_with_no_bound_it_lives_for_ever(self, make_site: MakeSite) -> None:
        site = make_site(stream_life=0)
        client = site.connect().get("/topics?watch")
        site.advance(10_000)
        assert client.served()
        assert site.closed("stream_life") == 0

    def test_looking_makes_nothing_active(self, site: Site) -> None:
        site.connect().get("/topics?watch")
        assert site.get("/topics").json == {"topics": []}

    def test_a_heartbeat_comes_each_15_seconds(self, site: Site) -> None:
        client = site.connect().get("/topics?watch")
        client.wire.arrived.clear()
        for _ in range(3):
            site.advance(15.1)
            assert bytes(client.wire.arrived) == b"2\r\n:\n\r\n"
            client.wire.arrived.clear()

    def test_a_client_that_fell_behind_is_told_all_again(self, site: Site) -> None:
        client = site.connect().get("/topics?watch")
        client.take_nothing()
        for number in range(2000):
            site.get(f"/topics/t{number:04d}?wait=0")
        assert client.wire.get_write_buffer_size() < 200_000, "nothing is kept for who does not read"
        client.take()
        told = events(client)
        assert ("reset", {"reset": True}) in told
        after = told[told.index(("reset", {"reset": True})) + 1 :]
        assert [facts["name"] for _, facts in after] == [f"t{number:04d}" for number in range(2000)]

    def test_with_every_it_tells_so_often_of_those_whose_counts_have_changed(self, site: Site) -> None:
        for name in ("busy", "quiet"):
            site.get(f"/topics/{name}?wait=0")
        client = site.connect().get("/topics?watch&every=2s")
        assert [(kind, facts.get("name")) for kind, facts in events(client)] == [
            ("active", "busy"),
            ("active", "quiet"),
            ("counted", None),
        ]
        site.post("/topics/busy", b"1")
        assert events(client) == [], "a message by itself is told to nobody"
        site.advance(2.1)
        (kind, facts), counted = events(client)
        assert (kind, facts["name"], facts["max"], counted) == ("active", "busy", 1, ("counted", {}))
        reader = site.connect().get("/topics/quiet")
        site.advance(2.1)
        assert ("quiet", 1) in [(facts.get("name"), facts.get("watchers")) for _, facts in events(client)]
        assert not reader.wire.arrived

    def test_with_every_each_stream_hears_of_each_change_whoever_looks_first(self, site: Site) -> None:
        site.get("/topics/a?wait=0")
        clients = [site.connect().get(f"/topics?watch&every={every}") for every in ("2s", "3s")]
        for client in clients:
            events(client)
        site.advance(0.4)  # timers come due a little later than asked for
        for number in range(1, 7):
            site.post("/topics/a", b"1")
            site.advance(1.0)
            for every, client in zip((2, 3), clients, strict=True):
                told = [facts["max"] for kind, facts in events(client) if kind == "active"]
                assert told == ([number] if number % every == 0 else []), (number, every)

    def test_counts_that_nobody_asks_for_are_not_kept(self, site: Site) -> None:
        site.get("/topics/a?wait=0")
        first, second = (site.connect().get("/topics?watch&every=2s") for _ in range(2))
        news = site.routes._news
        first.reset()
        assert list(news._counts) == ["a"]
        second.reset()
        assert not news._counts
        site.connect().get("/topics?watch")
        assert not news._counts

    def test_a_heartbeat_comes_though_the_counts_come_seldom(self, site: Site) -> None:
        client = site.connect().get("/topics?watch&every=40s")
        client.wire.arrived.clear()
        heard = []
        for _ in range(3):
            site.advance(15.1)
            heard.append(bytes(client.wire.arrived))
            client.wire.arrived.clear()
        assert heard[:2] == [b"2\r\n:\n\r\n"] * 2
        assert b"event: counted" in heard[2]

    @pytest.mark.parametrize("every", ["0", "500ms", "2h", "x", ""])
    def test_an_every_that_is_none_is_refused(self, site: Site, every: str) -> None:
        answer = site.get(f"/topics?watch&every={every}")
        assert answer.code == "bad_query"
        assert "1s to 1h" in answer.json["detail"]

    def test_an_every_without_a_stream_is_said_to_be_ignored(self, site: Site) -> None:
        assert site.get("/topics?every=2s")["Slosh-Ignored"] == "every"

    def test_who_goes_is_told_nothing_more(self, site: Site) -> None:
        client = site.connect().get("/topics?watch")
        assert site.hub.listeners._life_listeners
        client.reset()
        assert not site.routes._news._watching
        assert not site.hub.listeners._life_listeners
        site.get("/topics/a?wait=0")
        site.loop.settle()  # what is new is told in a turn of its own
        assert client.wire.wasted == 0

    def test_it_ends_cleanly_when_the_server_shuts_down(self, site: Site) -> None:
        client = site.connect().get("/topics?watch")
        site.drain()
        assert bytes(client.wire.arrived).endswith(b"0\r\n\r\n")
        assert client.wire.has_ended()


class TestWatchers:
    """`GET /topics/<name>?watchers`."""

    def test_it_answers_at_once_and_watches_nothing(self, site: Site) -> None:
        assert site.get("/topics/a?watchers").json == {"watchers": 0}
        assert site.post("/topics/a", b"1").status == 404
        for _ in range(2):
            site.connect().get("/topics/a")
        assert site.get("/topics/a?watchers").json == {"watchers": 2}

    def test_with_wait_it_hangs_until_somebody_watches(self, site: Site) -> None:
        feeder = site.connect().get("/topics/a?watchers&wait=60")
        assert feeder.silent()
        site.get("/topics/a?wait=0")  # a look is no watching
        assert feeder.silent()
        site.connect().get("/topics/a")
        assert feeder.next().json == {"watchers": 1}

    def test_a_reader_of_a_pattern_wakes_the_feeder_too(self, site: Site) -> None:
        """The POST it will then make is taken, so it must not sleep on."""
        feeder = site.connect().get("/topics/s/1?watchers&wait=60")
        site.connect().get("/topics/s/*?format=ndjson")
        assert feeder.next().json == {"watchers": 1}
        assert site.get("/topics/s/2?watchers").json == {"watchers": 1}
        assert site.post("/topics/s/1", b"1").status == 200

    def test_when_nobody_comes_it_says_so_in_time(self, site: Site) -> None:
        feeder = site.connect().get("/topics/a?watchers&wait=5")
        site.advance(4.9)
        assert feeder.silent()
        site.advance(0.2)
        assert feeder.next().json == {"watchers": 0}
        assert feeder.get("/topics/a?watchers").next().status == 200

    @pytest.mark.parametrize("end", ["time", "reset", "eof"])
    def test_who_waits_no_more_is_forgotten(self, site: Site, end: str) -> None:
        feeder = site.connect().get("/topics/a?watchers&wait=5")
        if end == "time":
            site.advance(5.1)
            feeder.next()
        elif end == "reset":
            feeder.reset()
        else:
            feeder.half_close()
        assert not site.hub.listeners.count_listeners
        site.connect().get("/topics/a")
        assert feeder.silent()
        assert feeder.wire.wasted == 0

    def test_it_is_bounded_by_max_wait_and_ends_when_the_server_shuts_down(self, make_site: MakeSite) -> None:
        site = make_site(max_wait=3)
        bounded = site.connect().get("/topics/a?watchers&wait=60")
        site.advance(3.1)
        assert bounded.next().json == {"watchers": 0}
        waiting = site.connect().get("/topics/a?watchers&wait=60")
        site.drain()
        assert waiting.next()["Connection"] == "close"

    def test_of_several_topics_it_is_refused(self, site: Site) -> None:
        assert site.get("/topics/a,b?watchers").code == "bad_query"


def test_a_slow_one_has_its_whole_write_timeout(site: Site) -> None:
    for number in range(1500):
        site.get(f"/topics/{number:060}?wait=0")
    client = site.connect().take_nothing().get("/topics?watch")
    site.advance(59)
    assert site.closed("write_timeout") == 0
    assert client.served()
    site.advance(62)
    assert client.wire.was_cut()


def watchers(client: Client) -> int:
    """The answer, once it is there."""
    answer = client.next()
    assert answer.status == 200
    assert answer.json.keys() == {"watchers"}
    number: int = answer.json["watchers"]
    return number


def ask(site: Site, topic: str = "a", query: str = "") -> Client:
    return site.connect().get(f"/topics/{topic}?watchers{query}")


@pytest.mark.parametrize("topics", ["a", "b,a", "*", "**"])
def test_with_wait_it_hangs_until_somebody_watches(site: Site, transport: type[Reader], topics: str) -> None:
    feeder = ask(site, query="&wait=1000")
    site.advance(500)
    assert feeder.silent()
    assert site.post("/topics/a", b"1").code == "no_watchers", "a feeder that sleeps keeps nothing active"
    reader = transport(site, topics)
    assert watchers(feeder) == 1
    post(site, 1)
    assert reader.listen().messages == [1]


@pytest.mark.parametrize("topics", ["b", "a/*", "a/**"])
def test_a_reader_of_something_else_wakes_no_feeder(site: Site, transport: type[Reader], topics: str) -> None:
    feeder = ask(site, query="&wait=1000")
    transport(site, topics)
    assert feeder.silent()


def test_many_feeders_are_woken_each_once(site: Site) -> None:
    feeders = [ask(site, query="&wait=1000") for _ in range(20)]
    other = ask(site, "b", query="&wait=1000")
    feeders[3].reset()
    Ndjson(site)
    Ndjson(site)
    assert [watchers(feeder) for number, feeder in enumerate(feeders) if number != 3] == [1] * 19
    assert all(feeder.silent() for feeder in feeders)
    assert other.silent()
    assert list(site.hub.listeners.count_listeners) == ["b"]


def test_a_feeder_waits_again_after_the_last_reader_left(site: Site) -> None:
    feeder = ask(site, query="&wait=1000")
    Ndjson(site).cut()
    assert watchers(feeder) == 1
    feeder.get("/topics/a?watchers&wait=1000")
    assert feeder.silent(), "the topic lingers, and nobody watches"
    Ndjson(site)
    assert watchers(feeder) == 1


def test_a_head_does_not_wait(site: Site) -> None:
    answer = site.ask("HEAD", "/topics/a?watchers&wait=1000")
    assert answer.status == 200
    assert not site.hub.listeners.count_listeners


@pytest.mark.parametrize("end", ["time", "reset", "eof", "drain"])
def test_nothing_is_kept_of_who_waits_or_watches_no_more(site: Site, end: str) -> None:
    """And the next reader is served as if there had been nobody."""
    feeder = ask(site, query="&wait=5")
    watching = site.connect().get("/topics?watch")
    assert site.hub.listeners.count_listeners
    assert site.hub.listeners._life_listeners
    if end == "drain":
        site.drain()
    elif end == "time":
        site.advance(5.1)
        assert watchers(feeder) == 0
        watching.reset()
    else:
        for client in (feeder, watching):
            client.reset() if end == "reset" else client.half_close()
    assert not site.hub.listeners.count_listeners
    assert not site.hub.listeners._life_listeners
    if end != "drain":
        assert site.get("/topics/a?wait=0").status == 200
        assert Ndjson(site).listen().place == "epoch000.0"


@pytest.mark.parametrize(
    ("method", "target", "outcome", "body"),
    [
        ("list_topics", "/topics", [], b'{"topics": []}\n'),
        ("count_watchers", "/topics/a?watchers", WatcherCount(3), b'{"watchers":3}\n'),
    ],
)
def test_a_client_that_half_closes_before_the_engine_has_answered_is_answered_all_the_same(
    site: Site, monkeypatch: pytest.MonkeyPatch, method: str, target: str, outcome: object, body: bytes
) -> None:
    """As `printf … | nc` does. An engine with a store answers later, and nothing here waits for news."""
    told: list[Any] = []
    monkeypatch.setattr(SiteEngine, method, lambda _, *asked: told.append(asked[-1]))
    client = site.connect().get(target).half_close()
    assert client.silent()
    told[0](outcome)
    assert client.next().body == body


def turn(site: Site) -> None:
    """Let the loop turn once."""
    site.loop.call_soon(site.loop.stop)
    site.loop.run_forever()


def test_a_new_topic_under_very_many_watchers_is_told_to_some_in_each_turn(site: Site) -> None:
    clients = [site.connect().get("/topics?watch") for _ in range(1200)]
    for client in clients:
        client.wire.arrived.clear()
    for name in ("a", "b"):
        site.hub.open(name, site.loop.time())
    told, turns = 0, 0
    while told < len(clients):
        turn(site)
        turns += 1
        now = sum(bool(client.wire.arrived) for client in clients)
        assert now - told <= 600
        told = now
    assert turns > 2
    site.advance(0.1)
    assert all(bytes(client.wire.arrived).count(b"event: active") == 2 for client in clients)


def test_events_come_in_their_order_though_more_happens_while_they_are_told(site: Site) -> None:
    clients = [site.connect().get("/topics?watch") for _ in range(700)]
    for client in clients:
        client.wire.arrived.clear()
    for number in range(10):
        site.hub.open(f"{number}", site.loop.time())
        turn(site)
    site.advance(0.1)
    for client in clients:
        assert re.findall(rb'"name": "([0-9])"', bytes(client.wire.arrived)) == [b"%d" % number for number in range(10)]


def test_a_first_list_of_very_many_topics_comes_page_by_page(site: Site) -> None:
    for number in range(2100):
        site.hub.open(f"t{number:04}", site.loop.time())
    client = site.connect()
    client.wire.unread.append(request("GET", "/topics?watch"))
    client.wire.feed()
    seen = most = 0
    for _ in range(20):
        now = bytes(client.wire.arrived).count(b"event: active")
        most, seen = max(most, now - seen), now
        turn(site)
    assert (seen, most) == (2100, 128)


def test_a_slow_client_is_told_the_rest_of_a_long_list_when_it_takes_it(site: Site) -> None:
    for number in range(3000):
        site.hub.open(f"t{number:04}", site.loop.time())
    client = site.connect().take_nothing().get("/topics?watch")
    assert client.wire.get_write_buffer_size() < 200_000
    for _ in range(100):
        client.take(20_000)
    names = re.findall(rb'"name": "(t[0-9]*)"', bytes(client.wire.arrived))
    assert names == [b"t%04d" % number for number in range(3000)]


# Topics that a publisher ended.


def test_the_list_says_which_topics_have_ended(site: Site) -> None:
    site.get("/topics/a?wait=0")
    site.get("/topics/b?wait=0")
    site.ask("DELETE", "/topics/b")
    assert [topic.get("ended") for topic in site.get("/topics").json["topics"]] == [None, True]


def test_who_watches_the_topics_is_told_of_an_end_and_of_when_it_is_gone(site: Site) -> None:
    client = site.connect().get("/topics?watch")
    site.post("/topics/a?open&end", b"1")
    site.advance(31.0)
    told = re.findall(r"event: (\w+)\ndata: (.*)\n", bytes(client.wire.arrived).decode())
    assert [(event, json.loads(data).get("name")) for event, data in told[1:]] == [
        ("active", "a"),
        ("ended", "a"),
        ("inactive", "a"),
    ]


def test_a_feeder_is_told_that_a_topic_has_ended_and_sleeps_until_there_is_another_life(site: Site) -> None:
    site.get("/topics/a?wait=0")
    site.ask("DELETE", "/topics/a")
    assert site.get("/topics/a?watchers").body == b'{"watchers":0,"ended":true}\n'
    feeder = site.connect().get("/topics/a?watchers&wait=100")
    site.get("/topics/a?since=earliest")
    assert feeder.silent(), "its reader has all that there will be"
    site.advance(31.0)
    site.connect().get("/topics/a")
    assert feeder.next().body == b'{"watchers":1}\n'


class TestPortions:
    """A list of a thousand topics takes some milliseconds, and very many can be asked for at a time."""

    def test_a_list_is_made_in_portions_and_others_are_answered_in_between(self, site: Site) -> None:
        names = [f"t{number:04}" for number in range(1500)]
        for name in names:
            site.get(f"/topics/{name}?wait=0")
        asker, other = site.connect(), site.connect()
        asker.connection.data_received(request("GET", "/topics?limit=1000"))
        assert bytes(asker.wire.arrived).count(b'"name"') <= 100
        other.connection.data_received(request("GET", "/-/healthy"))
        assert other.next().status == 200
        site.loop.settle()
        answer = asker.next().json
        assert [each["name"] for each in answer["topics"]] == names[:1000]
        assert answer["after"] == "t0999"
        assert [each["name"] for each in site.get("/topics?after=t0999").json["topics"]] == names[1000:]

    @each_of("count", [0, 1, 99, 100, 101, 200, 299])
    @each_of("limit", [1, 99, 100, 101, 200, 1000])
    def test_the_bounds_of_portions_show_nowhere(self, make_site: MakeSite, count: int, limit: int) -> None:
        site = make_site()
        names = [f"t{number:04}" for number in range(count)]
        for name in names:
            site.get(f"/topics/{name}?wait=0")
        answer = site.get(f"/topics?limit={limit}").json
        assert [each["name"] for each in answer["topics"]] == names[:limit]
        assert answer.get("after") == (names[limit - 1] if count > limit else None)

    def test_a_client_that_goes_meanwhile_is_forgotten(self, site: Site) -> None:
        for number in range(300):
            site.get(f"/topics/t{number}?wait=0")
        asker = site.connect()
        asker.connection.data_received(request("GET", "/topics"))
        asker.reset()
        site.loop.settle()
        assert site.get("/topics?limit=1").status == 200

    def test_a_client_that_takes_nothing_keeps_little_more_than_a_portion_here(self, site: Site) -> None:
        names = [f"{number:04}/{'n' * 200}" for number in range(1000)]
        for name in names:
            site.hub.open(name, site.loop.time())
        client = site.connect().take_nothing().get("/topics")
        assert client.wire.get_write_buffer_size() < 128 * 1024
        while client.wire.get_write_buffer_size():
            client.take(20_000)
        assert [each["name"] for each in client.next().json["topics"]] == names

    def test_what_waits_for_a_slow_client_is_looked_for_again_where_all_was_given_at_once(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As an engine with a store does. So what was found does not wait here for as long as the client likes."""
        monkeypatch.setattr(SiteEngine, "page", 1000)
        asked: list[str] = []
        list_topics = SiteEngine.list_topics

        def list_and_note(engine: SiteEngine, after: str, *rest: Any) -> None:
            asked.append(after)
            list_topics(engine, after, *rest)

        monkeypatch.setattr(SiteEngine, "list_topics", list_and_note)
        names = [f"{number:04}/{'n' * 200}" for number in range(1500)]
        for name in names:
            site.hub.open(name, site.loop.time())
        assert [each["name"] for each in site.get("/topics").json["topics"]] == names[:1000]
        assert asked == [""]
        client = site.connect().take_nothing().get("/topics")
        for _ in range(100):
            client.take(20_000)
        answer = client.next().json
        assert [each["name"] for each in answer["topics"]] == names[:1000]
        assert answer["after"] == names[999]
        assert len(asked) > 3

    @pytest.mark.parametrize("how", ["the engine fails", "the token ends"])
    def test_a_list_that_cannot_go_on_is_cut_off_and_looks_like_no_whole_one(
        self, site: Site, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        for number in range(300):
            site.hub.open(f"t{number:04}", site.loop.time())
        asker = site.connect()
        asker.connection.data_received(request("GET", "/topics"))
        if how == "the token ends":
            asker.connection.revoke(Unauthorized("it has ended"))
        else:
            monkeypatch.setattr(SiteEngine, "list_topics", lambda _, *asked: asked[-1](Unauthorized("it has ended")))
        site.loop.settle()
        assert not asker.served()
        assert not bytes(asker.wire.arrived).endswith(b"0\r\n\r\n")

    def test_over_http_1_0_the_end_of_the_connection_is_its_end(self, site: Site) -> None:
        names = [f"t{number:04}" for number in range(300)]
        for name in names:
            site.hub.open(name, site.loop.time())
        asker = site.connect().send(b"GET /topics HTTP/1.0\r\n\r\n")
        head, _, body = bytes(asker.wire.arrived).partition(b"\r\n\r\n")
        assert b"Transfer-Encoding" not in head
        assert [each["name"] for each in json.loads(body)["topics"]] == names
        assert not asker.served()

    def test_head_is_answered_without_it_and_the_connection_goes_on(self, site: Site) -> None:
        for number in range(300):
            site.hub.open(f"t{number:04}", site.loop.time())
        asker = site.connect().send(request("HEAD", "/topics"))
        assert asker.next("HEAD")["Transfer-Encoding"] == "chunked"
        assert asker.silent()
        assert asker.get("/topics?limit=1").next().json["after"] == "t0000"
        asker.get("/topics").get("/-/healthy")
        assert len(asker.next().json["topics"]) == 300
        assert asker.next().body == b"ok\n"

    @pytest.mark.parametrize("page", [128, 1000])
    def test_rights_that_are_narrowed_meanwhile_narrow_what_is_still_to_come(
        self, make_site: MakeSite, monkeypatch: pytest.MonkeyPatch, page: int
    ) -> None:
        """Also where an engine gave all topics at once."""
        monkeypatch.setattr(SiteEngine, "page", page)
        rows = (token_row("k" * 20, read=["**"]), token_row("k" * 20, read=["0/*", "9/*"]))
        site = with_clock(make_site(access=AccessRules(NOTHING, rows[:1])))
        for number in range(1000):
            site.hub.open(f"{number // 100}/{number:03}", site.loop.time())
        asker = site.connect()
        asker.connection.data_received(request("GET", "/topics", **bearer("k" * 20)))
        reload(site, AccessRules(NOTHING, rows[1:]))
        site.loop.settle()
        names = [each["name"] for each in asker.next().json["topics"]]
        assert names == [f"{number // 100}/{number:03}" for number in (*range(100), *range(900, 1000))]

    def test_a_long_list_says_where_it_is_the_last_answer_and_is_logged_with_its_status(
        self, make_site: MakeSite, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        site = make_site(access_log=1)
        for number in range(300):
            site.hub.open(f"t{number:04}", site.loop.time())
        asker = site.connect().get("/topics", Connection="close")
        answer = asker.next()
        assert (len(answer.json["topics"]), answer["Connection"]) == (300, "close")
        assert not asker.served()
        assert "GET /topics from 192.0.2.1: 200 in" in caplog.text
