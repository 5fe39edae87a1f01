"""Which topics are active, which readers wait and are woken: by example, and against a model in any order of events."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from slosh.core.timers import TICK
from slosh.core.topic import Topic
from slosh.errors import TooManyTopics, TooManyWatchers
from tests.core.hubs import HubOnLoop, Watching
from tests.core.loops import Loop
from tests.properties import STORY


class TestLostLives:
    """What an engine that keeps a mirror asks of the hub."""

    def test_watchers_of_a_lost_life_wait_at_the_one_that_took_its_place(self, hub: HubOnLoop) -> None:
        topic = hub.get("a")
        hub.post("a", b"1", b"2")
        watchers = [Watching(hub, topic, 2) for _ in range(3)]
        hub.turn()
        successor = hub.replace(topic, "other", hub.loop.now())
        assert (hub.get("a"), topic.watchers, list(successor.watchers)) == (successor, {}, watchers)
        hub.post("a", b"3")
        hub.turn()
        assert [each.got for each in watchers] == [[b"3"]] * 3

    def test_a_lost_life_cannot_be_watched_any_more(self, hub: HubOnLoop) -> None:
        """A reader that found it before, and comes to watch it after, would wait for ever."""
        topic = hub.get("a")
        hub.replace(topic, "other", hub.loop.now())
        with pytest.raises(TooManyTopics):
            hub.watch(topic, Watching(hub, hub.get("a"), 0), 0)

    def test_a_watcher_that_fails_to_move_leaves_no_other_behind(self, hub: HubOnLoop) -> None:
        class Clumsy(Watching):
            def moved(self, topic: Topic, successor: Topic) -> None:  # noqa: ARG002 - of the protocol
                raise RuntimeError("stumbled")

        topic = hub.get("a")
        watchers = [Clumsy(hub, topic, 0), Watching(hub, topic, 0)]
        successor = hub.replace(topic, "other", hub.loop.now())
        assert list(successor.watchers) == watchers[1:]

    def test_a_lost_life_that_was_about_to_wake_its_watchers_wakes_them_in_the_new_one(self, hub: HubOnLoop) -> None:
        topic = hub.get("a")
        watcher = Watching(hub, topic, 0)
        hub.post("a", b"1")
        successor = hub.replace(topic, "other", hub.loop.now())
        hub.turn()
        assert (watcher.wakes, watcher.topic) == (0, successor)
        hub.post("a", b"2")
        hub.turn()
        assert watcher.got == [b"2"]

    def test_a_topic_that_lives_elsewhere_has_its_epoch_from_there_and_its_own_age(self, hub: HubOnLoop) -> None:
        topic = hub.create("a", "theirs", 900.0, hub.loop.now())
        assert (hub.get("a"), topic.epoch, topic.created_at) == (topic, "theirs", 900.0)


class TestLiveness:
    """A topic is active while it is watched, and for `linger` after the last one left or a GET was answered."""

    def test_a_topic_nobody_asked_for_is_not_there(self, hub: HubOnLoop) -> None:
        assert not hub.post("a", b"1")
        assert len(hub) == 0

    @pytest.mark.parametrize(("after", "active"), [(0.0, True), (29.9, True), (30.0, False), (31.0, False)])
    def test_an_answered_get_keeps_it_for_linger(self, hub: HubOnLoop, loop: Loop, after: float, active: bool) -> None:
        hub.get("a")
        assert (hub.find("a", loop.now() + after) is not None) == active

    def test_a_watcher_keeps_it_for_any_time(self, hub: HubOnLoop, loop: Loop) -> None:
        topic = hub.get("a")
        watcher = Watching(hub, topic, 0)
        loop.advance(100_000.0)
        assert hub.post("a", b"1")
        hub.turn()
        assert watcher.got == [b"1"]

    def test_linger_begins_when_the_last_watcher_leaves(self, hub: HubOnLoop, loop: Loop) -> None:
        topic = hub.get("a")
        first, last = Watching(hub, topic, 0), Watching(hub, topic, 0)
        loop.advance(100.0)
        first.leave()
        loop.advance(100.0)
        last.leave()
        loop.advance(29.9)
        assert hub.find("a", loop.now()) is topic
        loop.advance(0.2)
        assert hub.find("a", loop.now()) is None

    def test_leaving_twice_does_not_lengthen_it(self, hub: HubOnLoop, loop: Loop) -> None:
        watcher = Watching(hub, hub.get("a"), 0)
        watcher.leave()
        loop.advance(20.0)
        watcher.leave()
        assert hub.find("a", loop.now() + 10.0) is None

    def test_the_next_life_has_another_epoch_and_counts_from_one(self, hub: HubOnLoop, loop: Loop) -> None:
        first = hub.get("a")
        hub.post("a", b"1", b"2")
        loop.advance(30.0)
        second = hub.get("a")
        assert second is not first
        assert second.epoch != first.epoch
        assert second.last == 0
        assert second.after(0) == []

    def test_asking_again_within_linger_is_the_same_life(self, hub: HubOnLoop, loop: Loop) -> None:
        first = hub.get("a")
        for _ in range(10):
            loop.advance(29.0)
            assert hub.get("a") is first

    def test_finding_and_posting_keep_nothing_alive(self, hub: HubOnLoop, loop: Loop) -> None:
        hub.get("a")
        loop.advance(29.0)
        assert hub.find("a", loop.now())
        assert hub.post("a", b"1")
        loop.advance(1.5)
        assert hub.find("a", loop.now()) is None

    def test_what_ran_out_is_dropped_without_anybody_asking(self, hub: HubOnLoop, loop: Loop) -> None:
        for number in range(1000):
            hub.get(str(number))
        assert len(hub) == 1000
        loop.advance(30.0 + TICK)
        assert len(hub) == 0
        assert not loop.calls

    def test_nothing_is_kept_of_topics_that_ended(self, hub: HubOnLoop, loop: Loop) -> None:
        for number in range(100):
            hub.get(f"building/{number}/t")
        hub.replace(hub.get("building/0/t"), "other", loop.now())
        assert hub._topics._tree
        loop.advance(30.1)
        assert (len(hub), bool(hub._topics._tree), len(hub.deadlines)) == (0, False, 0)

    def test_the_end_of_an_old_life_does_not_touch_the_new_one(self, hub: HubOnLoop, loop: Loop) -> None:
        """The old life is still in the timers when the new one begins."""
        hub.get("a")
        new = hub.open("a", loop.now() + 30.0)
        loop.advance(30.0 + TICK)
        assert hub.find("a", loop.now()) is new

    def test_without_linger_a_topic_lives_as_long_as_it_is_watched(self, loop: Loop) -> None:
        hub = HubOnLoop(loop, linger=0.0)
        watcher = Watching(hub, hub.get("a"), 0)
        loop.advance(5.0)
        assert hub.post("a", b"1")
        hub.turn()
        assert watcher.got == [b"1"]
        assert not hub.post("a", b"2")


class TestBounds:
    """What there is no room for is refused, and what there is stays."""

    def test_a_topic_that_made_room_before_it_was_watched_is_no_silent_trap(self, loop: Loop) -> None:
        """Its watcher would wait at a topic that no publisher finds."""
        hub = HubOnLoop(loop, max_topics=1, linger=0.0)
        first = hub.get("a")
        loop.advance(1.0)
        hub.get("b")
        with pytest.raises(TooManyTopics):
            hub.watch(first, Watching.__new__(Watching), 0)
        assert not first.watchers

    def test_one_topic_too_many_is_refused(self, loop: Loop) -> None:
        hub = HubOnLoop(loop, max_topics=2)
        hub.get("a")
        hub.get("b")
        with pytest.raises(TooManyTopics, match="max_topics"):
            hub.get("c")
        assert hub.get("b").name == "b"
        assert [topic.name for topic in hub] == ["a", "b"]

    def test_topics_that_ran_out_make_room_at_once(self, loop: Loop) -> None:
        """Also when the loop is late with its call."""
        hub = HubOnLoop(loop, max_topics=2)
        hub.get("a")
        hub.get("b")
        assert hub.open("c", loop.now() + 30.0 + TICK).name == "c"

    def test_one_more_finds_room_although_they_are_not_all_dropped_yet(self, loop: Loop) -> None:
        hub = HubOnLoop(loop, max_topics=5000, linger=1.0)
        watched = [hub.get(f"t{number}") for number in range(5000)]
        stay = [Watching(hub, topic, 0) for topic in watched[:2000]]
        loop.advance(2.0)
        hub.get("new")
        assert all(each.waits for each in stay)

    def test_refusing_at_the_bound_leaves_no_calls_behind(self, loop: Loop) -> None:
        hub = HubOnLoop(loop, max_topics=1)
        hub.get("a")
        for _ in range(1000):
            with pytest.raises(TooManyTopics):
                hub.get("b")
        assert len(loop.calls) == 1

    def test_one_watcher_too_many_is_refused(self, loop: Loop) -> None:
        hub = HubOnLoop(loop, max_watchers=2)
        topic = hub.get("a")
        watchers = [Watching(hub, topic, 0), Watching(hub, topic, 0)]
        with pytest.raises(TooManyWatchers, match="max_watchers"):
            Watching(hub, topic, 0)
        hub.post("a", b"1")
        hub.turn()
        assert [each.wakes for each in watchers] == [1, 1]
        assert Watching(hub, topic, 1).waits

    def test_zero_means_any_number_of_watchers(self, hub: HubOnLoop) -> None:
        topic = hub.get("a")
        for _ in range(500):
            Watching(hub, topic, 0)
        assert hub.watching == 500


class HubStory(RuleBasedStateMachine):
    """Long-polls and streams come and go, messages come in, time goes on, in any order.

    The model knows of each topic only when it was last asked for or left, and all that was ever posted; of
    each watcher only from where it waits.
    """

    watchers: Bundle[Watching] = Bundle("watchers")
    NAMES = st.sampled_from(["a", "b", "c"])

    @initialize(
        grain=st.sampled_from([0.0, 0.001]),
        linger=st.sampled_from([0.0, 0.02, 1.0, 30.0]),
        queue=st.integers(1, 4),
    )
    def begin(self, grain: float, linger: float, queue: int) -> None:
        self.loop = Loop(grain)
        self.linger = linger
        self.hub = HubOnLoop(self.loop, linger=linger, queue=queue)
        self.touched: dict[str, float] = {}
        self.posted: dict[Topic, list[bytes]] = {}
        self.all: list[Watching] = []
        self.owed: dict[Watching, int] = {}
        self.number = 0

    # The model.

    def is_active(self, name: str) -> bool:
        watched = any(each.waits and each.topic.name == name for each in self.all)
        return watched or (name in self.touched and self.loop.now() < self.touched[name] + self.linger)

    def note_which_are_to_be_woken(self) -> None:
        """Those who wait and are behind: each must be woken exactly once by the flushes of this turn."""
        self.owed = {each: each.wakes for each in self.all if each.waits and each.offset < each.topic.last}

    def note_who_left(self) -> None:
        for each in self.owed:
            if not each.waits:
                self.touched[each.topic.name] = self.loop.now()

    # What happens.

    @rule(target=watchers, name=NAMES, stays=st.booleans(), behind=st.integers(0, 3))
    def come(self, name: str, stays: bool, behind: int) -> Watching:
        was_active = self.is_active(name)
        before = self.hub.find(name, self.loop.now())
        assert (before is not None) == was_active
        topic = self.hub.get(name)
        assert (topic is before) == was_active
        self.touched[name] = self.loop.now()
        self.posted.setdefault(topic, [])
        watcher = Watching(self.hub, topic, max(0, topic.last - behind), stays=stays)
        self.all.append(watcher)
        return watcher

    @rule(watcher=watchers)
    def go(self, watcher: Watching) -> None:
        if watcher.waits:
            self.touched[watcher.topic.name] = self.loop.now()
        watcher.leave()

    @rule(watcher=watchers)
    def come_again(self, watcher: Watching) -> None:
        """A long-poll that asks with the cursor of its last answer."""
        if not watcher.waits and self.hub.find(watcher.topic.name, self.loop.now()) is watcher.topic:
            self.hub.get(watcher.topic.name)
            self.touched[watcher.topic.name] = self.loop.now()
            self.hub.watch(watcher.topic, watcher, watcher.offset)

    @rule(name=NAMES, count=st.integers(1, 3))
    def post(self, name: str, count: int) -> None:
        messages = [b"%d" % (self.number + each) for each in range(count)]
        self.number += count
        topic = self.hub.find(name, self.loop.now())
        assert self.hub.post(name, *messages) == self.is_active(name)
        if topic is not None:
            self.posted[topic] += messages

    @rule()
    def turn(self) -> None:
        self.note_which_are_to_be_woken()
        before = {each: each.wakes for each in self.all}
        self.hub.turn()
        for each, wakes in before.items():
            assert each.wakes == wakes + (each in self.owed), "skipped, woken twice, or woken for nothing"
            assert not (each.waits and each.offset < each.topic.last)
        self.note_who_left()

    @precondition(lambda self: not self.hub.flushes_owed)
    @rule(seconds=st.sampled_from([0.0, 0.01, 0.02, 0.05, 0.5, 1.0, 29.95, 30.0, 100.0]))
    def wait(self, seconds: float) -> None:
        self.loop.advance(seconds)

    # What holds at any time.

    @invariant()
    def a_flush_comes_for_each_that_is_behind(self) -> None:
        assert self.hub.flushes_owed <= 1
        if any(each.waits and each.offset < each.topic.last for each in self.all):
            assert self.hub.flushes_owed

    @invariant()
    def active_topics_are_held_and_others_go_within_a_tick(self) -> None:
        held = {topic.name for topic in self.hub}
        assert {name for name in "abc" if self.is_active(name)} <= held
        for topic in self.hub:
            ran_out = self.touched[topic.name] + self.linger
            assert topic.watchers or self.loop.now() <= ran_out + TICK + 0.002

    @invariant()
    def every_watcher_is_at_a_topic_that_is_there(self) -> None:
        there = set(self.hub)
        waiting = [each for each in self.all if each.waits]
        assert all(each.topic in there for each in waiting)
        assert self.hub.watching == len(waiting)

    @invariant()
    def nothing_is_missed_in_silence(self) -> None:
        for each in self.all:
            seen = self.posted[each.topic][: each.offset]
            assert each.got == [] or each.got[-1] == seen[-1]
            assert [message for message in seen if message in each.got] == each.got
        for topic, everything in self.posted.items():
            assert topic.last == len(everything)
            assert topic.after(0) == everything[topic.first - 1 :]


TestHubStory = HubStory.TestCase
TestHubStory.settings = STORY
