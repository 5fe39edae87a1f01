"""What all ways of reading have in common: topics are found, places are found, and what is too much is refused."""

from typing import Any

import pytest

from slosh.errors import SloshError, Unavailable
from slosh.web.asking import MAX_MATCHES
from slosh.web.reader import next_field
from tests.web.conftest import MakeSite
from tests.web.harness import Site
from tests.web.posting import kept, post
from tests.web.readers import Ndjson, Reader


@pytest.mark.parametrize(
    ("cursor", "value"),
    [
        ("k3f9.4", "k3f9.4"),
        ("a=k.1,b/c=m.2", "a=k.1,b/c=m.2"),
        ("*,s/a=k.4", "*,s/a=k.4"),
        ("é=k.1", "%C3%A9=k.1"),
        ("a b%=k.1", "a%20b%25=k.1"),
        ("\U0001f30a\r\n=k.1", "%F0%9F%8C%8A%0D%0A=k.1"),
    ],
)
def test_the_place_in_a_header_is_ascii_whatever_the_names_are(cursor: str, value: str) -> None:
    assert next_field(cursor) == f"Slosh-Next: {value}\r\n".encode()


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


class Slow:
    """An engine that answers when it is told to, as one does that asks over the network."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.asked: list[tuple[str, Any]] = []
        site.engine.at_hand = lambda *_: None  # type: ignore[method-assign]
        site.engine.open = lambda name, _, opened: self.asked.append((name, opened))  # type: ignore[method-assign,assignment]

    def answer(self, outcome: SloshError | None = None) -> None:
        """Answer the question that was asked first."""
        name, opened = self.asked.pop(0)
        opened(outcome or self.site.hub.open(name, self.site.loop.time()))
        self.site.loop.settle()


def test_a_reader_waits_for_an_engine_that_answers_later(site: Site, transport: type[Reader]) -> None:
    engine = Slow(site)
    reader = transport(site, "a,b", since="now")
    reader.listen()
    assert [name for name, _ in engine.asked] == ["a"]
    engine.answer()
    engine.answer()
    post(site, 1)
    post(site, 2, topic="b")
    reader.listen()
    while engine.asked:
        engine.answer()
    reader.listen()
    assert sorted(reader.messages) == [1, 2]


@pytest.mark.parametrize("target", ["/topics/a", "/topics/a?format=sse", "/topics/a,b?format=ndjson"])
def test_an_engine_that_is_out_of_reach_is_told_to_the_reader(site: Site, target: str) -> None:
    engine = Slow(site)
    client = site.connect().get(target)
    engine.answer(Unavailable("The engine is out of reach."))
    answer = client.next()
    assert (answer.status, answer.code) == (503, "unavailable")
    assert not engine.asked
    assert client.served()


@pytest.mark.parametrize("target", ["/topics/a", "/topics/a?format=sse", "/topics/a,b?format=ndjson"])
def test_a_client_that_has_gone_when_the_engine_answers_watches_nothing(site: Site, target: str) -> None:
    engine = Slow(site)
    client = site.connect().get(target)
    client.reset()
    while engine.asked:
        engine.answer()
    assert site.hub.watching == 0
