"""What a node knows of the others' topics and patterns: lists, listeners, sleepers, readers of patterns."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from slosh.core.patterns import MAX_MATCHES
from slosh.core.topic import Topic, Watcher
from slosh.engine.base import TopicFacts
from slosh.engine.redis.collecting import _MOST_GATHERED, PatternSearch
from slosh.errors import NoWatchers, TooManyPatterns, TooManyTopics
from tests.core.hubs import Roomy, generous
from tests.core.test_patterns import fill_shapes
from tests.engine.contract import Poller
from tests.engine.nodes import Node

Nodes = Callable[..., list[Node]]


def listed(node: Node, after: str = "", most: int = 1000) -> list[TopicFacts]:
    found: list[Any] = []
    node.engine.list_topics(after, most, node.now, found.append)
    node.settle()
    (facts,) = found
    return list(facts)


def watchers(node: Node, name: str) -> int:
    told: list[Any] = []
    node.engine.count_watchers(name, node.now, told.append)
    node.settle()
    (count,) = told
    return int(count.watchers)


class TopicListener:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def topic_active(self, facts: TopicFacts) -> None:
        """As an listener."""
        self.told.append(f"+{facts.name}")

    def topic_ended(self, name: str) -> None:
        """As a listener."""
        self.told.append(f"={name}")

    def topic_inactive(self, name: str) -> None:
        """As an listener."""
        self.told.append(f"-{name}")


class Sleeper:
    """Sleeps until a topic is watched."""

    def __init__(self, node: Node, name: str) -> None:
        self.woken: list[int] = []
        node.engine.expect(name, self)

    def topic_watched(self, watchers: int) -> None:
        """As an listener."""
        self.woken.append(watchers)


class Follower(Roomy):
    """Reads by a pattern: watches what is created."""

    def __init__(self, node: Node, pattern: str) -> None:
        self.node = node
        self.pattern = pattern
        self.topics: list[str] = []
        node.hub.listeners.follow(pattern, self)

    def topic_created(self, topic: Topic) -> None:
        """As the hub's follower."""
        self.topics.append(topic.name)
        self.node.hub.watch(topic, Waiting(), 0)


class Waiting(Watcher):
    """Waits and takes nothing."""

    def wake(self, topic: Topic, shared: Any) -> None:
        """As the protocol says."""

    def moved(self, topic: Topic, successor: Topic) -> None:
        """As the protocol says."""


def test_every_node_lists_the_topics_of_all(nodes: Nodes) -> None:
    one, other = nodes(2)
    Poller(one, "b")
    Poller(other, "a")
    Poller(other, "b")
    one.settle()
    one.advance(1.5)
    one.taken("b", b"1")
    for node in (one, other):
        facts = listed(node)
        assert [(each.name, each.watchers, each.newest) for each in facts] == [("a", 1, 0), ("b", 2, 1)]
        assert facts[1].rate == 0.1
        assert round(facts[1].age, 1) == 1.5


def test_the_list_comes_in_parts_and_without_what_has_ended(nodes: Nodes) -> None:
    one, other = nodes(2, linger=5.0)
    for name in "abcdef":
        one.opened(name)
    readers = [Poller(other, name) for name in "bdf"]
    one.settle()
    assert [each.name for each in listed(other, "", 4)] == list("abcd")
    assert [each.name for each in listed(other, "d", 4)] == list("ef")
    one.advance(7.0)
    assert [each.name for each in listed(one, "", 2)] == list("bd")
    assert readers


def test_listeners_hear_of_topics_of_all_nodes(nodes: Nodes) -> None:
    one, other = nodes(2, linger=5.0)
    one.opened("before")
    listener = TopicListener()
    other.engine.observe(listener)
    other.settle()
    assert listener.told == ["+before"]
    one.opened("a")
    other.settle()
    assert listener.told == ["+before", "+a"]
    other.advance(8.0)
    assert sorted(listener.told[2:]) == ["-a", "-before"]
    other.engine.unobserve(listener)
    one.opened("b")
    other.advance(3.0)
    assert len(listener.told) == 4


def test_a_feeder_sleeps_at_one_node_until_somebody_watches_at_the_other(nodes: Nodes) -> None:
    one, other = nodes(2)
    sleeper = Sleeper(one, "a")
    one.settle()
    other.opened("a")
    one.settle()
    assert not sleeper.woken, "a look is no watcher"
    Poller(other, "a")
    one.settle()
    assert sleeper.woken == [1]


def test_a_feeder_that_comes_just_behind_the_watcher_is_woken_too(nodes: Nodes) -> None:
    one, other = nodes(2)
    Poller(other, "a")
    other.settle()
    sleeper = Sleeper(one, "a")
    one.settle()
    assert sleeper.woken == [1]


def test_who_sleeps_no_more_is_not_listened_for(nodes: Nodes) -> None:
    one, other = nodes(2)
    channel = one.redis._view.keys.watched("a")
    link = one.redis._view.servers.link_of(channel)
    assert link is not None
    sleeper = Sleeper(one, "a")
    one.settle()
    assert channel in link._listener._channels
    one.engine.unexpect("a", sleeper)
    Poller(other, "a")
    one.settle()
    assert not sleeper.woken
    assert channel not in link._listener._channels


def test_a_pattern_at_one_node_takes_what_is_posted_at_the_other(nodes: Nodes) -> None:
    one, other = nodes(2)
    assert isinstance(one.publish("s/1", b"1"), NoWatchers)
    follower = Follower(other, "s/*")
    one.settle()
    assert watchers(one, "s/1") == 1
    assert set(one.engine.patterns()) == set(other.engine.patterns()) == {"s/*"}
    assert one.taken("s/1", b"1").newest == 1
    assert follower.topics == ["s/1"]
    assert isinstance(one.publish("t/1", b"1"), NoWatchers)
    topic = other.engine.find_open("s/1", other.now)
    assert topic is not None
    assert topic.after(0) == [b"1"]


def test_a_pattern_that_is_read_no_more_takes_nothing(nodes: Nodes) -> None:
    one, other = nodes(2)
    follower = Follower(other, "s/*")
    one.settle()
    other.hub.listeners.unfollow("s/*", follower)
    one.settle()
    assert isinstance(one.publish("s/1", b"1"), NoWatchers)
    assert not list(one.engine.patterns())


def test_readers_at_one_node_make_no_name_a_long_walk_at_the_other(nodes: Nodes) -> None:
    """Each node looks through the patterns of all, so the shapes of all together have one bound."""
    one, other = nodes(2)
    taken = fill_shapes(lambda pattern: Follower(other, pattern))
    one.settle()
    Follower(one, taken[0])
    with pytest.raises(TooManyPatterns):
        Follower(one, "*/a/" * 7 + "*/b")
    Follower(one, "*/a/*/b/*/c/*")


def test_very_many_patterns_that_come_together_are_asked_for_a_few_times(nodes: Nodes) -> None:
    """Each list has all of them, so one for each new pattern would cost a node the square of their number."""
    one, other = nodes(2)
    before = one.redis.sent
    followers = [Follower(other, f"s/{number}/*") for number in range(200)]
    one.settle()
    assert len(followers) == len(list(one.engine.patterns()))
    assert one.redis.sent - before < 100
    for number, follower in enumerate(followers):
        other.hub.listeners.unfollow(f"s/{number}/*", follower)
    one.settle()
    assert not list(one.engine.patterns())


def test_a_pattern_of_a_node_that_died_is_forgotten(nodes: Nodes) -> None:
    one, other = nodes(2, linger=5.0)
    Follower(other, "s/*")
    one.settle()
    one.advance(20.0)
    assert one.taken("s/1", b"1").newest == 1
    other.die()
    one.advance(8.0)
    assert isinstance(one.publish("s/2", b"1"), NoWatchers)


def test_gathering_opens_what_is_active_at_other_nodes(nodes: Nodes) -> None:
    one, other = nodes(2)
    for name in ("s/1", "s/2", "t/1"):
        other.opened(name)
        other.taken(name, name.encode())
    done: list[Any] = []
    one.engine.gather(["s/*"], one.now, done.append)
    one.settle()
    assert done == [None]
    assert [topic.name for topic in one.hub.matching(["s/*"], one.now)] == ["s/1", "s/2"]
    assert not one.hub.matching(["t/*"], one.now)


def test_a_feeder_that_sleeps_is_woken_by_a_pattern_elsewhere(nodes: Nodes) -> None:
    one, other = nodes(2)
    sleeper = Sleeper(one, "s/1")
    one.settle()
    Follower(other, "s/*")
    one.settle()
    assert sleeper.woken == [1]


def test_with_keep_there_are_at_most_max_topics_on_all_nodes(nodes: Nodes) -> None:
    one, other = nodes(2, keep=True, max_topics=2)
    one.taken("a", b"1")
    other.taken("b", b"1")
    one.advance(1.0)
    assert isinstance(other.publish("c", b"1"), TooManyTopics)
    assert other.taken("a", b"2").newest == 2


@pytest.mark.parametrize("keep", [True, False])
def test_settings_that_are_read_again_make_room_for_more_topics_at_a_node(nodes: Nodes, keep: bool) -> None:
    (one,) = nodes(1, keep=keep, max_topics=2)

    def begin(name: str) -> Any:
        return one.publish(name, b"1") if keep else one.open(name)

    for name in ("a", "b"):
        begin(name)
        one.advance(1.0)
    assert isinstance(begin("c"), TooManyTopics)
    one.hub.set_bounds(generous(one.hub.classes, max_topics=3), one.now)
    assert not isinstance(begin("c"), TooManyTopics)
    one.advance(1.0)
    assert isinstance(begin("d"), TooManyTopics)


def test_gathering_more_than_there_is_room_for_is_refused_once(nodes: Nodes) -> None:
    one, other = nodes(2, max_topics=4)
    for name in ("s/1", "s/2", "s/3"):
        other.opened(name)
    one.opened("a")
    one.opened("b")
    one.opened("c")
    done: list[Any] = []
    one.engine.gather(["s/*"], one.now, done.append)
    one.settle()
    assert [type(each) for each in done] == [TooManyTopics]


def test_what_was_created_while_nothing_was_heard_reaches_who_reads_by_a_pattern(nodes: Nodes) -> None:
    """A cut connection delays and never loses."""
    one, other = nodes(2)
    follower = Follower(other, "s/*")
    one.settle()
    other.redis.is_deaf = True
    one.taken("s/1", b"1")
    assert not follower.topics
    other.redis.is_deaf = False
    other.redis.came_up()
    other.settle()
    assert follower.topics == ["s/1"]
    topic = other.engine.find_open("s/1", other.now)
    assert topic is not None
    assert topic.after(0) == [b"1"]


def test_listeners_cost_no_more_after_the_store_was_out_of_reach(nodes: Nodes) -> None:
    (one,) = nodes(1)
    Poller(one, "a")
    one.engine.observe(TopicListener())
    one.advance(5.0)

    def cost() -> int:
        before = one.redis.sent
        one.advance(5.0)
        return one.redis.sent - before

    usual = cost()
    for _ in range(10):
        one.redis.came_up()
    one.settle()
    assert cost() < 1.5 * usual


def test_with_keep_a_topic_that_is_only_posted_to_stays_in_the_list(nodes: Nodes) -> None:
    one, other = nodes(2, keep=True, linger=5.0)
    for number in range(10):
        one.taken("s/1", b"%d" % number)
        one.advance(4.0)
    assert [each.name for each in listed(other)] == ["s/1"]
    one.advance(12.0)
    assert not listed(other)
    assert not one.redis._directory._listed_until


def test_with_keep_a_node_that_had_no_room_sees_when_there_is_again(nodes: Nodes) -> None:
    (one,) = nodes(1, keep=True, linger=5.0, max_topics=2)
    one.taken("a", b"1")
    one.taken("b", b"1")
    one.advance(1.0)
    assert isinstance(one.publish("c", b"1"), TooManyTopics)
    one.advance(12.0)
    assert one.taken("c", b"1").newest == 1


def test_no_more_topics_are_opened_for_a_reader_of_patterns_than_it_may_come_to() -> None:
    """It is refused then, and until that is known the store and this node need not hold thousands for it."""
    opened: list[str] = []
    mirrors = SimpleNamespace(open=lambda name, _now, _opened: opened.append(name))
    seeking = PatternSearch(cast("Any", SimpleNamespace(now=float)), cast("Any", mirrors), ["house/*"], lambda _: None)
    names = [f"{place}/{number:04d}" for number in range(1000) for place in ("house", "garden")]
    seeking.found(names[:100])
    seeking.found(names[:100])
    assert opened == names[:100:2]
    seeking.found(names)
    assert len(opened) == _MOST_GATHERED
    assert _MOST_GATHERED > MAX_MATCHES
