"""Listeners hear which topics there are, and whether somebody watches."""

import pytest

from slosh.core.portions import STEP
from slosh.core.topic import Topic
from tests.core.hubs import HubOnLoop, Roomy, Watching
from tests.core.loops import Loop


class Clumsy:
    """Fails at whatever it is told."""

    def topic_created(self, topic: Topic) -> None:
        raise RuntimeError(topic.name)

    topic_ended = topic_dropped = topic_created

    def topic_watched(self, watchers: int) -> None:
        raise RuntimeError(watchers)

    def has_room_for(self, name: str) -> bool:
        raise RuntimeError(name)

    def leave_out(self) -> None:
        raise RuntimeError


class Noting(Roomy):
    """Notes what the hub tells of topics."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def topic_created(self, topic: Topic) -> None:
        self.told.append(("created", topic.name))

    def topic_ended(self, topic: Topic) -> None:
        self.told.append(("ended", topic.name))

    def topic_dropped(self, topic: Topic) -> None:
        self.told.append(("dropped", topic.name))

    def topic_watched(self, watchers: int) -> None:
        self.told.append(("watched", str(watchers)))


def test_a_listener_is_told_of_every_topic_that_is_created_and_that_ends(hub: HubOnLoop, loop: Loop) -> None:
    noting = Noting()
    hub.listeners.observe(noting)
    hub.get("a")
    hub.get("a")
    assert noting.told == [], "it is told at the end of the turn, when it may be watched already"
    hub.turn()
    loop.advance(31.0)
    hub.get("a")
    hub.turn()
    assert noting.told == [("created", "a"), ("dropped", "a"), ("created", "a")]
    hub.listeners.unobserve(noting)
    hub.get("b")
    hub.turn()
    assert len(noting.told) == 3


def test_a_life_that_ends_in_the_turn_in_which_it_began_is_told_in_order(hub: HubOnLoop) -> None:
    noting = Noting()
    hub.listeners.observe(noting)
    topic = hub.get("a")
    hub.expire(topic.active_until)
    assert noting.told == [("created", "a"), ("dropped", "a")]


def test_a_follower_is_told_of_new_topics_that_its_pattern_takes_in(hub: HubOnLoop) -> None:
    noting = Noting()
    hub.listeners.follow("a/*", noting)
    for name in ("a", "a/b", "a/b/c", "b/a", "a/c"):
        hub.get(name)
    assert noting.told == [("created", "a/b"), ("created", "a/c")]
    assert [hub.listeners.is_followed(name) for name in ("a", "a/x")] == [False, True]
    hub.listeners.unfollow("a/*", noting)
    hub.get("a/d")
    assert len(noting.told) == 2
    assert not hub.listeners.is_followed("a/x")


def test_a_listener_is_told_once_that_somebody_watches(hub: HubOnLoop) -> None:
    noting = Noting()
    hub.listeners.expect("a", noting)
    hub.get("a")  # a GET that is answered at once is no watcher
    Watching(hub, hub.get("b"), 0)
    assert noting.told == []
    Watching(hub, hub.get("a"), 0)
    Watching(hub, hub.get("a"), 0)
    assert noting.told == [("watched", "1")]
    hub.listeners.unexpect("a", noting)  # it has been told already


def test_a_reader_of_a_pattern_is_interest_in_topics_that_do_not_live(hub: HubOnLoop, loop: Loop) -> None:
    waiting, elsewhere, follower = Noting(), Noting(), Noting()
    hub.listeners.expect("a/b", waiting)
    hub.listeners.expect("b", elsewhere)
    hub.listeners.follow("a/*", follower)
    assert (waiting.told, elsewhere.told) == ([("watched", "1")], [])
    assert [hub.interest(name, loop.now()) for name in ("a/b", "b")] == [1, 0]


def test_one_that_expects_no_more_is_not_told(hub: HubOnLoop) -> None:
    one, other = Noting(), Noting()
    hub.listeners.expect("a", one)
    hub.listeners.expect("a", other)
    hub.listeners.unexpect("a", one)
    Watching(hub, hub.get("a"), 0)
    assert (one.told, other.told) == ([], [("watched", "1")])


def test_feeders_that_wait_for_one_topic_are_told_over_several_turns(loop: Loop) -> None:
    hub = HubOnLoop(loop)
    told: list[int] = []

    class Feeder:
        def topic_watched(self, watchers: int) -> None:
            told.append(watchers)

    for _ in range(1000):
        hub.listeners.expect("a", Feeder())
    Watching(hub, hub.get("a"), 0)
    assert 0 < len(told) < 200
    hub.turn()
    assert told == [1] * 1000


def test_a_listener_that_fails_keeps_nobody_else_from_hearing(
    hub: HubOnLoop, loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor the publisher, the readers and the topics of that turn from what is theirs."""
    noting, follower, feeder, early = Noting(), Noting(), Noting(), Noting()
    hub.listeners.expect("b", early)
    for listener in (Clumsy(), noting):
        hub.listeners.observe(listener)
    for listener in (Clumsy(), follower):
        hub.listeners.follow("*", listener)
    for listener in (Clumsy(), feeder):
        hub.listeners.expect("a", listener)
    watcher = Watching(hub, hub.get("a"), 0)
    hub.post("a", b"1")
    hub.turn()
    assert watcher.got == [b"1"]
    hub.end(hub.get("a"))
    loop.advance(31.0)
    assert noting.told == [("created", "a"), ("ended", "a"), ("dropped", "a")]
    assert follower.told == [("created", "a")]
    assert feeder.told == early.told == [("watched", "1")]
    assert len(hub) == 0
    assert len(caplog.records) == 6
    assert hub.listeners.is_wanted("c")
    hub.listeners.unfollow("*", follower)
    assert not hub.listeners.is_wanted("c")


def test_a_reader_of_patterns_is_told_of_the_life_that_took_the_place_of_one_it_had_left(hub: HubOnLoop) -> None:
    """It was given the end of that topic, and watches it no more. The next life is new to it as a whole."""
    follower = Noting()
    hub.listeners.follow("*", follower)
    topic = hub.get("a")
    hub.replace(topic, "other", hub.loop.now())
    assert follower.told == [("created", "a"), ("created", "a")]


def test_very_many_followers_are_told_in_several_turns_but_for_those_that_have_no_room(hub: HubOnLoop) -> None:
    """A topic that nobody watched yet might not live until the next turn, so as many are told as that takes."""

    class Full(Roomy):
        def topic_created(self, topic: Topic) -> None:
            pass

    class Follower(Roomy):
        def topic_created(self, topic: Topic) -> None:
            Watching(hub, topic, 0, stays=True)

    for _ in range(3000):
        hub.listeners.follow("t/*", Full())
    for _ in range(3000):
        hub.listeners.follow("t/*", Follower())
    topic = hub.get("t/a")
    assert 0 < len(topic.watchers) < 1024
    assert topic.count_watchers() == 3000
    hub.turn()
    assert len(topic.watchers) == topic.count_watchers() == 3000


def test_names_that_wait_are_told_of_a_reader_of_patterns_in_portions(hub: HubOnLoop) -> None:
    """Each once, whether its walk through the names is short enough or it is compared with each of them."""
    names = [f"{number}/b/c/d/e/f/g/h" for number in range(4500)]
    for pattern, least in (("**", 15), ("*/b/*/d/*/f/*/h", 15), ("*/b/c/d/e/f/g/x", 2)):
        waiting = {name: Noting() for name in names}
        for name, noting in waiting.items():
            hub.listeners.expect(name, noting)
        follower = Noting()
        hub.listeners.follow(pattern, follower)
        turns = 0
        while hub.flushes_owed:
            hub.flushes_owed -= 1
            hub.flush(hub.loop.now())
            turns += 1
        told = [noting.told for noting in waiting.values()]
        assert turns >= least
        assert told == [[] if pattern.endswith("x") else [("watched", "1")]] * len(names)
        hub.listeners.unfollow(pattern, follower)
        for name, noting in waiting.items():
            hub.listeners.unexpect(name, noting)


def test_a_reader_of_patterns_that_leaves_before_its_turn_is_told_of_to_nobody(hub: HubOnLoop) -> None:
    noting, follower = Noting(), Noting()
    hub.listeners.expect("a", noting)
    hub.room = 0
    hub.listeners.follow("*", follower)
    hub.listeners.unfollow("*", follower)
    hub.turn()
    assert noting.told == []
    hub.listeners.follow("*", follower)
    assert noting.told == [("watched", "1")], "those that come later are told of as ever"


def test_each_that_waits_is_told_of_readers_at_another_node_however_often_they_are_told_of(hub: HubOnLoop) -> None:
    """Of those nothing is known but the pattern, so the one who reads next is told of as the one before."""
    for _ in range(3):
        noting = Noting()
        hub.listeners.expect("q/a", noting)
        hub.listeners.tell_count_listeners_of("q/*")
        hub.turn()
        assert noting.told == [("watched", "1")]


def test_a_reader_that_comes_again_while_it_is_told_of_is_told_of_to_all(hub: HubOnLoop) -> None:
    waiting = {f"q/{number}": Noting() for number in range(1000)}
    for name, noting in waiting.items():
        hub.listeners.expect(name, noting)
    follower = Noting()
    hub.listeners.follow("q/*", follower)
    assert not all(noting.told for noting in waiting.values())
    hub.listeners.unfollow("q/*", follower)
    late = Noting()
    hub.listeners.expect("q/late", late)
    hub.listeners.follow("q/*", follower)
    hub.turn()
    assert all(noting.told for noting in waiting.values())
    assert late.told


def test_a_walk_of_a_name_through_the_patterns_counts_as_work(hub: HubOnLoop) -> None:
    for number in range(64):
        hub.listeners.follow("/".join("*" if number >> bit & 1 else "a" for bit in range(6)) + "/a", Noting())
    room = hub.room
    assert not hub.listeners.is_wanted("a/a/a/a/a/a/b")
    assert hub.room == room - 127 * STEP
