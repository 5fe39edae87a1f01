"""Topics that end, with several nodes: the end goes the way of the messages, and is learned where it was not heard."""

from collections.abc import Callable

import pytest

from slosh.core.cursor import Cursor
from slosh.core.reading import Earliest
from slosh.engine.base import TopicFacts
from slosh.errors import TopicEnded
from tests.engine.contract import Poller
from tests.engine.ends import Following
from tests.engine.nodes import Node

Nodes = Callable[..., list[Node]]

LARGE = b'"' + b"x" * 10_000 + b'"'
"""More than an announcement carries."""


@pytest.mark.parametrize("last", [(), (b"2",), (LARGE,), (b"2", b"3")])
def test_a_reader_at_another_node_is_given_the_last_message_then_the_end(nodes: Nodes, last: tuple[bytes, ...]) -> None:
    one, other = nodes(2)
    reader = Poller(other, "a")
    other.settle()
    one.taken("a", b"1")
    one.taken("a", *last, ends=True)
    other.settle()
    assert (reader.got, reader.ended) == ([b"1", *last], 1)
    assert isinstance(other.publish("a", b"4"), TopicEnded)


@pytest.mark.parametrize("last", [(), (b"2",)])
def test_an_end_that_was_not_heard_is_learned_with_the_next_visit(nodes: Nodes, last: tuple[bytes, ...]) -> None:
    one, other = nodes(2)
    reader = Poller(other, "a")
    other.settle()
    one.taken("a", b"1")
    other.redis.is_deaf = True
    one.taken("a", *last, ends=True)
    assert reader.ended == 0
    other.redis.is_deaf = False
    other.advance(20.0)
    assert (reader.got, reader.ended) == ([b"1", *last], 1)


def test_an_end_that_comes_before_its_messages_is_not_taken_for_the_end_of_what_is_there(nodes: Nodes) -> None:
    one, other = nodes(2)
    reader = Poller(other, "a")
    other.settle()
    one.taken("a", b"1")
    heard: list[tuple[str, bytes]] = []
    other.redis.road = lambda channel, data: heard.append((channel, data))
    one.taken("a", b"2", b"3", ends=True)
    other.redis.road = None
    for channel, data in reversed(heard):
        other.redis.hear(channel, data)
        other.settle()
    assert (reader.got, reader.ended) == ([b"1", b"2", b"3"], 1)
    assert sum(reading.ended for reading in reader.readings) == 1


def test_a_reader_that_comes_to_another_node_gets_the_whole(nodes: Nodes) -> None:
    one, other = nodes(2)
    one.taken("a", b"1", opens=True)
    epoch = one.taken("a", b"2", ends=True).epoch
    reading = other.look("a", Cursor(epoch, 1))
    assert (reading.messages, reading.ended, reading.reset) == ([b"2"], True, False)


def test_a_reader_of_patterns_at_another_node_gets_what_is_opened_and_ended(nodes: Nodes) -> None:
    one, other = nodes(2)
    following = Following(other, "gen/*")
    one.taken("gen/1", b"1", opens=True, ends=True)
    other.settle()
    (poller,) = following.pollers
    assert (poller.got, poller.ended) == ([b"1"], 1)


def test_a_topic_that_the_store_lost_begins_another_life_which_has_not_ended(nodes: Nodes) -> None:
    one, other = nodes(2)
    one.opened("a")
    other.opened("a")
    one.taken("a", b"1", ends=True)
    one.advance(31.0)
    reader = Poller(other, "a", Earliest())
    other.settle()
    one.taken("a", b"2")
    other.settle()
    assert (reader.got, reader.ended) == ([b"2"], 0)


def test_who_watches_the_topics_at_another_node_is_told_of_the_end(nodes: Nodes) -> None:
    one, other = nodes(2)
    told: list[str] = []

    class Listener:
        def topic_active(self, facts: TopicFacts) -> None:
            told.append(f"+{facts.name}")

        def topic_ended(self, name: str) -> None:
            told.append(f"={name}")

        def topic_inactive(self, name: str) -> None:
            told.append(f"-{name}")

    other.engine.observe(Listener())
    other.settle()
    one.taken("a", b"1", opens=True)
    one.taken("a", ends=True)
    other.settle()
    other.advance(33.0)
    assert told == ["+a", "=a", "-a"]
