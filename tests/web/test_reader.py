"""How a reader finds its topics, also with an engine that answers later."""

from collections.abc import Callable

import pytest

from slosh.core.topic import Topic
from slosh.errors import SloshError, TooManyTopics
from slosh.web.asking import MAX_MATCHES
from slosh.web.reader import next_field
from tests.web.conftest import MakeSite
from tests.web.harness import Site
from tests.web.posting import kept, post
from tests.web.readers import Ndjson, Reader

Opened = Callable[[Topic | SloshError], None]


class Later:
    """Makes the engine of a site give topics later, one at a time."""

    def __init__(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        self._site = site
        self._asked: list[tuple[str, float, Opened]] = []
        monkeypatch.setattr(site.engine, "at_hand", lambda *_: None)
        monkeypatch.setattr(site.engine, "open", lambda *asked, **_: self._asked.append(asked))

    @property
    def names(self) -> list[str]:
        """What was asked for and has not been given."""
        return [name for name, _, _ in self._asked]

    def give(self) -> None:
        """Give what was asked for first."""
        name, now, opened = self._asked.pop(0)
        opened(self._site.hub.open(name, now))

    def refuse(self, error: SloshError) -> None:
        """Refuse it."""
        self._asked.pop(0)[2](error)


@pytest.fixture
def later(site: Site, monkeypatch: pytest.MonkeyPatch) -> Later:
    """An engine that takes its time."""
    return Later(site, monkeypatch)


def test_a_poll_waits_for_its_topic_and_then_for_news(site: Site, later: Later) -> None:
    client = site.connect().get("/topics/a")
    assert client.silent()
    assert later.names == ["a"]
    later.give()
    assert site.watchers("a") == 1
    site.post("/topics/a", b"1")
    assert client.next().json["res"] == [1]


def test_several_topics_are_all_found_before_it_begins(site: Site, later: Later) -> None:
    client = site.connect().get("/topics/a,b,c?wait=0")
    for name in "abc":
        assert client.silent()
        assert later.names == [name]
        later.give()
    assert client.next().json["next"] == "a=epoch000.0,b=epoch001.0,c=epoch002.0"


def test_a_poll_that_comes_back_keeps_its_own_place_while_it_waits(site: Site, later: Later) -> None:
    """Its head is known already, for another place; the one that it names now counts."""
    client = site.connect().get("/topics/a?since=epoch000.0")
    later.give()
    site.post("/topics/a", b"1")
    assert client.next().json["next"] == "epoch000.1"
    client.get("/topics/a?since=epoch000.1")
    later.give()
    assert client.silent(), "it has seen that one"
    site.post("/topics/a", b"2")
    assert client.next().json["res"] == [2]


def test_a_refusal_is_answered_and_the_connection_serves_on(site: Site, later: Later) -> None:
    client = site.connect().get("/topics/a,b")
    later.give()
    later.refuse(TooManyTopics("no room"))
    answer = client.next()
    assert (answer.status, answer.code) == (503, "too_many_topics")
    assert client.get("/-/healthy").next().status == 200


def test_a_client_that_has_gone_is_no_watcher_when_the_engine_answers(site: Site, later: Later) -> None:
    client = site.connect().get("/topics/a")
    client.reset()
    later.give()
    assert site.watchers("a") == 0
    assert client.wire.wasted == 0


def test_what_stands_in_a_header_is_encoded_where_it_must_be() -> None:
    assert next_field("k3f9.4") == b"Slosh-Next: k3f9.4\r\n"
    assert next_field("*,a/b=k.1") == b"Slosh-Next: *,a/b=k.1\r\n"


def test_a_pattern_takes_in_at_most_256_topics(make_site: MakeSite) -> None:
    site = make_site()
    for number in range(MAX_MATCHES + 1):
        site.get(f"/topics/t/{number}?wait=0")
    answer = site.get("/topics/t/*?wait=0")
    assert (answer.status, answer.code) == (400, "bad_topic")
    assert "256" in answer.json["detail"]
    assert site.get("/topics/u/*?wait=0").status == 200


def test_a_topic_too_many_ends_the_reader_which_is_told_when_it_returns(site: Site, stream: type[Reader]) -> None:
    for number in range(MAX_MATCHES):
        site.get(f"/topics/t/{number}?wait=0")
    reader = stream(site, "t/*")
    assert not reader.listen().ended
    post(site, 1, topic="t/one-too-many")
    assert reader.listen().ended
    assert not reader.messages
    assert site.get("/topics/t/*").code == "bad_topic"
    assert site.watchers("t/1") == 0


def test_several_topics_are_read_or_none_is(make_site: MakeSite) -> None:
    site = make_site(max_topics=2)
    for target in ("/topics/a,b,c?wait=0", "/topics/a,b,c?format=sse", "/topics/a,b,c"):
        answer = site.connect().get(target).next()
        assert (answer.status, answer.code) == (503, "too_many_topics")
    assert site.watchers("a") == 0


def test_a_topic_of_a_vector_that_ended_is_read_on_as_a_new_one(site: Site) -> None:
    """The reader of a pattern is told that the place it had is gone."""
    keeper = Ndjson(site, "s/1")
    reader = Ndjson(site, "s/*")
    kept(site, 1, topic="s/2")
    post(site, 2, topic="s/1")
    reader.listen()
    reader.cut()
    site.advance(31)
    reader.connect()
    post(site, 3, topic="s/2")
    assert reader.listen().story("s/2") == [("message", 1), ("reset", True), ("message", 3)]
    assert reader.story("s/1") == [("message", 2)]
    keeper.cut()
