"""Interest made visible: the list of topics, the stream of what comes and goes, and feeders that sleep."""

import json
from typing import Any

import pytest

from tests.web.conftest import MakeSite
from tests.web.harness import Client, Response, Site
from tests.web.posting import kept, post
from tests.web.readers import Dechunker, LongPoll, Ndjson, Reader

# The list.


def test_the_list_says_what_is_active(site: Site) -> None:
    reader = Ndjson(site, "b")
    kept(site, 1, 2, topic="a/%C3%A9")
    site.advance(4)
    answer = site.get("/topics")
    assert answer["Content-Type"] == "application/json"
    assert answer["Cache-Control"] == "no-store"
    listed = answer.json["topics"]
    assert [topic["name"] for topic in listed] == ["a/é", "b"]
    assert [(topic["watchers"], topic["max"]) for topic in listed] == [(0, 2), (1, 0)]
    assert [topic["age"] for topic in listed] == pytest.approx([4, 4], abs=0.1)
    assert listed[0]["rate"] == pytest.approx(0.2)
    site.advance(31)
    assert [topic["name"] for topic in site.get("/topics").json["topics"]] == ["b"]
    reader.cut()


def test_nothing_is_active_on_a_new_server(site: Site) -> None:
    assert site.get("/topics").json == {"topics": []}


def test_the_list_watches_nothing(site: Site) -> None:
    kept(site)
    site.advance(20)
    site.get("/topics")
    site.advance(11)
    assert site.get("/topics").json == {"topics": []}


def test_the_list_comes_in_pages(site: Site) -> None:
    for number in range(7):
        site.get(f"/topics/t{number}?wait=0")
    names: list[str] = []
    target = "/topics?limit=3"
    for _ in range(3):
        page = site.get(target).json
        names += [topic["name"] for topic in page["topics"]]
        target = f"/topics?limit=3&after={page.get('after')}"
    assert names == [f"t{number}" for number in range(7)]
    assert target.endswith("after=None"), "the last page says that it is"
    assert site.get("/topics?limit=7").json.keys() == {"topics"}


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", ""])
def test_a_page_has_1_to_1000_topics(site: Site, limit: str) -> None:
    assert site.get(f"/topics?limit={limit}").code == "bad_query"


def test_a_head_is_the_list_without_it(site: Site) -> None:
    kept(site)
    assert site.ask("HEAD", "/topics")["Content-Length"] == str(len(site.get("/topics").body))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_the_list_is_only_looked_at(site: Site, method: str) -> None:
    answer = site.ask(method, "/topics", b"1")
    assert (answer.status, answer["Allow"]) == (405, "GET, HEAD, OPTIONS")


# The stream.


class Watching:
    """A client of `GET /topics?watch`."""

    def __init__(self, site: Site) -> None:
        self.client = site.connect().get("/topics?watch")
        self._chunks = Dechunker()
        self._text = ""
        self.beats = 0
        head, _, rest = bytes(self.client.wire.arrived).partition(b"\r\n\r\n")
        self.head = Response(head, b"")
        self.client.wire.arrived[:] = rest

    def events(self) -> list[tuple[str, Any]]:
        """The events that have come since, with the name of the topic that each is about."""
        self._text += self._chunks.feed(bytes(self.client.wire.arrived)).decode()
        self.client.wire.arrived.clear()
        *blocks, self._text = self._text.split("\n\n")
        self.beats += blocks.count(":")
        parsed = [block.split("\n") for block in blocks if block.startswith("event: ")]
        told = [(event.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for event, data in parsed]
        return [(event, facts.get("name")) for event, facts in told]


def test_it_tells_what_is_active_then_what_comes_and_goes(site: Site) -> None:
    kept(site, topic="a")
    watching = Watching(site)
    assert watching.head["Content-Type"] == "text/event-stream"
    assert watching.head["X-Accel-Buffering"] == "no"
    assert watching.events() == [("active", "a")]
    Ndjson(site, "b")
    assert watching.events() == [("active", "b")]
    site.advance(31)
    assert watching.events() == [("inactive", "a")]
    post(site, 1, topic="b")
    assert watching.events() == []


def test_a_sign_of_life_comes_every_15_s(site: Site) -> None:
    watching = Watching(site)
    for beats in range(1, 5):
        site.advance(15.06)
        watching.events()
        assert watching.beats == beats


def test_one_that_fell_behind_is_told_all_anew(site: Site) -> None:
    watching = Watching(site)
    watching.events()
    watching.client.take_nothing()
    for number in range(1500):
        site.get(f"/topics/{number:060}?wait=0")
    written = watching.client.wire.get_write_buffer_size()
    assert written < 100_000, "what it does not take is not kept for it"
    keeper = Ndjson(site, "still")
    site.advance(31)
    watching.client.take()
    events = watching.events()
    start = events.index(("reset", None))
    assert events[start + 1 :] == [("active", "still")]
    keeper.cut()


def test_a_slow_one_has_its_whole_write_timeout(site: Site) -> None:
    for number in range(1500):
        site.get(f"/topics/{number:060}?wait=0")
    client = site.connect().take_nothing().get("/topics?watch")
    site.advance(59)
    assert site.closed("write_timeout") == 0
    assert client.served()
    site.advance(62)
    assert client.wire.was_cut()


def test_it_ends_when_the_server_goes_down_and_when_its_client_does(site: Site) -> None:
    gone, here = Watching(site), Watching(site)
    gone.client.reset()
    Ndjson(site, "a")
    assert here.events() == [("active", "a")]
    site.drain()
    assert bytes(here.client.wire.arrived).endswith(b"0\r\n\r\n")
    assert not site.hub._observers


# ?watchers.


def watchers(client: Client) -> int:
    """The answer, once it is there."""
    answer = client.next()
    assert answer.status == 200
    assert answer.json.keys() == {"watchers"}
    number: int = answer.json["watchers"]
    return number


def ask(site: Site, topic: str = "a", query: str = "") -> Client:
    return site.connect().get(f"/topics/{topic}?watchers{query}")


def test_it_says_at_once_how_many_there_are_and_watches_nothing(site: Site) -> None:
    assert watchers(ask(site)) == 0
    assert len(site.hub) == 0
    readers = [Ndjson(site), LongPoll(site), LongPoll(site, "a,b")]
    assert watchers(ask(site)) == 3
    readers[0].cut()
    assert watchers(ask(site)) == 2
    assert site.get("/topics/a?watchers=1").json == {"watchers": 2}


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


def test_with_somebody_there_it_does_not_hang(site: Site) -> None:
    Ndjson(site)
    assert watchers(ask(site, query="&wait=1000")) == 1


def test_a_pattern_counts_for_a_topic_that_does_not_live_yet(site: Site) -> None:
    """A POST to it is taken, so it is watched."""
    Ndjson(site, "s/*")
    assert watchers(ask(site, "s/1")) == 1
    assert watchers(ask(site, "t/1")) == 0


def test_when_nobody_comes_it_says_none(site: Site) -> None:
    feeder = ask(site, query="&wait=5")
    site.advance(4.9)
    assert feeder.silent()
    site.advance(0.2)
    assert watchers(feeder) == 0
    assert not site.hub._expectants
    assert feeder.served()


def test_prefer_says_how_long_too_and_max_wait_bounds_it(make_site: MakeSite) -> None:
    site = make_site(max_wait=10.0)
    clients = [site.connect().get("/topics/a?watchers", Prefer="wait=5"), ask(site, query="&wait=1000")]
    site.advance(5.1)
    assert watchers(clients[0]) == 0
    assert clients[1].silent()
    site.advance(5)
    assert watchers(clients[1]) == 0


def test_a_feeder_that_goes_is_forgotten(site: Site) -> None:
    ask(site, query="&wait=1000").reset()
    ask(site, query="&wait=1000").half_close()
    assert not site.hub._expectants
    Ndjson(site)  # and nobody is told


def test_many_feeders_are_woken_each_once(site: Site) -> None:
    feeders = [ask(site, query="&wait=1000") for _ in range(20)]
    other = ask(site, "b", query="&wait=1000")
    feeders[3].reset()
    Ndjson(site)
    Ndjson(site)
    assert [watchers(feeder) for number, feeder in enumerate(feeders) if number != 3] == [1] * 19
    assert all(feeder.silent() for feeder in feeders)
    assert other.silent()
    assert list(site.hub._expectants) == ["b"]


def test_a_feeder_waits_again_after_the_last_reader_left(site: Site) -> None:
    feeder = ask(site, query="&wait=1000")
    Ndjson(site).cut()
    assert watchers(feeder) == 1
    feeder.get("/topics/a?watchers&wait=1000")
    assert feeder.silent(), "the topic lingers, and nobody watches"
    Ndjson(site)
    assert watchers(feeder) == 1


def test_going_down_answers_who_waits(site: Site) -> None:
    feeder = ask(site, query="&wait=1000")
    site.drain()
    assert watchers(feeder) == 0
    assert not feeder.served()


@pytest.mark.parametrize("topics", ["a,b", "*"])
def test_the_watchers_of_one_topic_are_told_not_of_several(site: Site, topics: str) -> None:
    assert site.get(f"/topics/{topics}?watchers").code == "bad_query"


def test_a_head_does_not_wait(site: Site) -> None:
    answer = site.ask("HEAD", "/topics/a?watchers&wait=1000")
    assert answer.status == 200
    assert not site.hub._expectants
