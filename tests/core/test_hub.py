"""Who is active, who waits, and who is woken: by example, and against a model in any order of events."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from slosh.core.hub import WORK
from slosh.core.timers import TICK
from slosh.core.topic import Shared, Topic, Watcher
from slosh.errors import TooManyTopics, TooManyWatchers
from tests.core.hubs import HubOnLoop, Watching
from tests.core.loops import Loop
from tests.properties import PROPERTY, STORY


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def hub(loop: Loop) -> HubOnLoop:
    return HubOnLoop(loop)


class TestWaking:
    """Each watcher is woken once for all that came in, and nobody else is."""

    def test_a_watcher_is_woken_by_the_flush_and_not_inside_append(self, hub: HubOnLoop) -> None:
        watcher = Watching(hub, hub.get("a"), 0)
        hub.post("a", b"1")
        assert watcher.wakes == 0
        hub.turn()
        assert watcher.got == [b"1"]

    def test_many_messages_before_a_flush_are_one_waking(self, hub: HubOnLoop) -> None:
        watcher = Watching(hub, hub.get("a"), 0, stays=True)
        for number in range(50):
            hub.post("a", b"%d" % number)
        assert hub.flushes_owed == 1
        hub.turn()
        assert watcher.wakes == 1
        assert watcher.got == [b"%d" % number for number in range(50)]

    def test_what_waits_already_wakes_whoever_comes(self, hub: HubOnLoop) -> None:
        topic = hub.get("a")
        hub.post("a", b"1")
        watcher = Watching(hub, topic, 0)
        assert watcher.wakes == 0  # not inside watch: the caller is not ready for it
        hub.turn()
        assert watcher.got == [b"1"]

    def test_nobody_is_skipped_when_all_leave_as_they_are_woken(self, hub: HubOnLoop) -> None:
        """The original slosh went on in the living list, and skipped one reader in two."""
        topic = hub.get("a")
        watchers = [Watching(hub, topic, 0) for _ in range(1000)]
        hub.post("a", b"1")
        hub.turn()
        assert [watcher.wakes for watcher in watchers] == [1] * 1000
        assert hub.watching == 0

    def test_they_are_woken_in_the_order_in_which_they_came(self, hub: HubOnLoop) -> None:
        topic = hub.get("a")
        order: list[int] = []
        for number in range(20):
            Watching(hub, topic, 0, then=partial(order.append, number))
        hub.post("a", b"1")
        hub.turn()
        assert order == list(range(20))

    def test_one_who_comes_between_a_message_and_its_flush_waits_for_the_next(self, hub: HubOnLoop) -> None:
        """A POST and a GET in one turn of the loop: the GET asks for what comes from now on."""
        topic = hub.get("a")
        early = Watching(hub, topic, 0)
        hub.post("a", b"1")
        late = Watching(hub, topic, topic.last)
        hub.turn()
        assert (early.got, late.wakes) == ([b"1"], 0)
        hub.post("a", b"2")
        hub.turn()
        assert late.got == [b"2"]

    def test_one_who_comes_between_a_message_and_its_flush_behind_it_is_woken_once(self, hub: HubOnLoop) -> None:
        topic = hub.get("a")
        Watching(hub, topic, 0)
        hub.post("a", b"1")
        late = Watching(hub, topic, 0, stays=True)
        hub.turn()
        assert late.wakes == 1

    def test_one_who_comes_late_and_sees_more_come_is_woken_once_for_all(self, hub: HubOnLoop) -> None:
        topic = hub.get("a")
        hub.post("a", b"1")
        late = Watching(hub, topic, 0, stays=True)
        hub.post("a", b"2")
        hub.turn()
        assert (late.wakes, late.got) == (1, [b"1", b"2"])

    def test_one_who_left_before_the_flush_is_not_woken(self, hub: HubOnLoop) -> None:
        topic = hub.get("a")
        hub.post("a", b"1")
        late, early = Watching(hub, topic, 0), Watching(hub, topic, 1)
        hub.post("a", b"2")
        late.leave()
        early.leave()
        hub.turn()
        assert (late.wakes, early.wakes) == (0, 0)

    def test_one_that_another_makes_leave_while_they_are_woken_is_not_woken(self, hub: HubOnLoop) -> None:
        topic = hub.get("a")
        victims: list[Watching] = []
        Watching(
            hub,
            topic,
            0,
            then=lambda: victims[0].leave(),  # noqa: PLW0108 - there is nobody yet
        )
        victims += [Watching(hub, topic, 0), Watching(hub, topic, 0)]
        hub.post("a", b"1")
        hub.turn()
        assert [each.wakes for each in victims] == [0, 1]

    def test_one_who_joins_while_others_are_woken_waits_for_the_next_message(self, hub: HubOnLoop) -> None:
        topic = hub.get("a")
        joined: list[Watching] = []
        Watching(hub, topic, 0, then=lambda: joined.append(Watching(hub, topic, topic.last)))
        last = Watching(hub, topic, 0)
        hub.post("a", b"1")
        hub.turn()
        assert last.wakes == 1
        assert joined[0].wakes == 0
        hub.post("a", b"2")
        hub.turn()
        assert joined[0].got == [b"2"]

    def test_one_who_joins_behind_while_others_are_woken_is_woken_by_another_flush(self, hub: HubOnLoop) -> None:
        topic = hub.get("a")
        joined: list[Watching] = []
        Watching(hub, topic, 0, then=lambda: joined.append(Watching(hub, topic, 0)))
        hub.post("a", b"1")
        hub.flush(hub.loop.now())
        assert joined[0].wakes == 0
        hub.turn()
        assert joined[0].got == [b"1"]

    def test_one_that_another_makes_leave_and_join_anew_is_woken_once(self, hub: HubOnLoop) -> None:
        topic = hub.get("a")
        others: list[Watching] = []

        def rejoin() -> None:
            others[0].leave()
            hub.watch(topic, others[0], 0)

        Watching(hub, topic, 0, then=rejoin)
        others.append(Watching(hub, topic, 0, stays=True))
        hub.post("a", b"1")
        hub.turn()
        assert (others[0].wakes, others[0].got) == (1, [b"1"])

    def test_one_who_joins_a_marked_topic_while_another_is_flushed_is_woken_once(self, hub: HubOnLoop) -> None:
        a, b = hub.get("a"), hub.get("b")
        joined: list[Watching] = []
        Watching(hub, a, 0, then=lambda: joined.append(Watching(hub, b, 0, stays=True)))
        Watching(hub, b, 0)
        hub.post("a", b"1")
        hub.post("b", b"2")
        hub.turn()
        assert (joined[0].wakes, joined[0].got) == (1, [b"2"])

    def test_messages_that_come_while_some_are_woken_wake_the_rest_once(self, hub: HubOnLoop) -> None:
        topic = hub.get("a")

        def post_another() -> None:
            hub.post("a", b"2")

        watchers = [Watching(hub, topic, 0, then=post_another)]
        watchers += [Watching(hub, topic, 0) for _ in range(3)]
        hub.post("a", b"1")
        hub.turn()
        assert [each.got for each in watchers] == [[b"1"], *[[b"1", b"2"]] * 3]

    def test_one_that_fails_does_not_stop_the_others(self, hub: HubOnLoop, caplog: pytest.LogCaptureFixture) -> None:
        topic = hub.get("a")

        def fail() -> None:
            raise RuntimeError("a bug in a watcher")

        watchers = [Watching(hub, topic, 0, then=then) for then in (None, fail, None)]
        hub.post("a", b"1")
        with caplog.at_level(logging.ERROR):
            hub.turn()
        assert [each.wakes for each in watchers] == [1, 1, 1]
        assert "a bug in a watcher" in caplog.text

    def test_what_they_share_lives_for_one_waking_and_for_all_its_watchers(self, hub: HubOnLoop) -> None:
        """So that an answer is made once for all who wait at the same place."""
        seen: list[Shared] = []

        class Sharing(Watcher):
            def wake(self, topic: Topic, shared: Shared) -> None:  # noqa: ARG002 - of the protocol
                seen.append(shared)

            def moved(self, topic: Topic, successor: Topic) -> None:  # noqa: ARG002 - of the protocol
                raise AssertionError

        for name in "ab":
            topic = hub.get(name)
            hub.watch(topic, Sharing(), 0)
            hub.watch(topic, Sharing(), 0)
        for _ in range(2):
            hub.post("a", b"1")
            hub.post("b", b"1")
            hub.turn()
        assert len(seen) == 8
        assert len({id(shared) for shared in seen[:4]}) == 1
        assert seen[3] is not seen[4]

    def test_who_says_that_it_has_all_is_let_go_as_if_it_had_left(self, hub: HubOnLoop) -> None:
        counted: list[int] = []

        class Content(Watcher):
            def wake(self, topic: Topic, shared: Shared) -> bool:  # noqa: ARG002 - of the protocol
                return True

            def moved(self, topic: Topic, successor: Topic) -> None:  # noqa: ARG002 - of the protocol
                raise AssertionError

        topic = hub.get("a")
        stays = Watching(hub, topic, 0, stays=True)
        for _ in range(2):
            hub.watch(topic, Content(), 0)
        hub.counted = lambda topic: counted.append(len(topic.watchers))
        hub.loop.advance(25)
        hub.post("a", b"1")
        hub.turn()
        assert list(topic.watchers) == [stays]
        assert counted == [1]
        stays.leave()
        hub.watch(topic, Content(), 1)
        hub.loop.advance(25)
        hub.post("a", b"2")
        hub.turn()
        hub.loop.advance(29)
        assert hub.find("a", hub.loop.now()) is topic
        hub.loop.advance(2)
        assert hub.find("a", hub.loop.now()) is None

    def test_a_message_for_a_topic_without_watchers_asks_for_no_flush(self, hub: HubOnLoop) -> None:
        hub.get("a")
        assert hub.post("a", b"1")
        assert hub.flushes_owed == 0


class TestLostLives:
    """What an engine that keeps a mirror asks of the hub."""

    def test_watchers_of_a_lost_life_wait_at_the_one_that_took_its_place(self, hub: HubOnLoop) -> None:
        topic = hub.get("a")
        hub.post("a", b"1", b"2")
        watchers = [Watching(hub, topic, 2) for _ in range(3)]
        hub.turn()
        successor = hub.replace(topic, "anew", hub.loop.now())
        assert (hub.get("a"), topic.watchers, list(successor.watchers)) == (successor, {}, watchers)
        hub.post("a", b"3")
        hub.turn()
        assert [each.got for each in watchers] == [[b"3"]] * 3

    def test_a_lost_life_cannot_be_watched_any_more(self, hub: HubOnLoop) -> None:
        """A reader that found it before, and comes to watch it after, would wait for ever."""
        topic = hub.get("a")
        hub.replace(topic, "anew", hub.loop.now())
        with pytest.raises(TooManyTopics):
            hub.watch(topic, Watching(hub, hub.get("a"), 0), 0)

    def test_a_watcher_that_fails_to_move_leaves_no_other_behind(self, hub: HubOnLoop) -> None:
        class Clumsy(Watching):
            def moved(self, topic: Topic, successor: Topic) -> None:  # noqa: ARG002 - of the protocol
                raise RuntimeError("stumbled")

        topic = hub.get("a")
        watchers = [Clumsy(hub, topic, 0), Watching(hub, topic, 0)]
        successor = hub.replace(topic, "anew", hub.loop.now())
        assert list(successor.watchers) == watchers[1:]

    def test_a_lost_life_that_was_about_to_wake_its_watchers_wakes_them_in_the_new_one(self, hub: HubOnLoop) -> None:
        topic = hub.get("a")
        watcher = Watching(hub, topic, 0)
        hub.post("a", b"1")
        successor = hub.replace(topic, "anew", hub.loop.now())
        hub.turn()
        assert (watcher.wakes, watcher.topic) == (0, successor)
        hub.post("a", b"2")
        hub.turn()
        assert watcher.got == [b"2"]

    def test_what_was_not_mirrored_is_passed_over_and_told_as_lost(self, hub: HubOnLoop) -> None:
        topic = hub.get("a")
        hub.post("a", b"1")
        watcher = Watching(hub, topic, 1)
        hub.skip_to(topic, 8)
        hub.append(topic, [b"9"], hub.loop.now())
        hub.turn()
        assert (watcher.got, watcher.lost, hub.fell_off) == ([b"9"], 7, 8)

    def test_a_topic_that_lives_elsewhere_has_its_epoch_from_there_and_its_own_age(self, hub: HubOnLoop) -> None:
        topic = hub.give_birth("a", "theirs", 900.0, hub.loop.now())
        assert (hub.get("a"), topic.epoch, topic.born) == (topic, "theirs", 900.0)

    def test_who_counts_watchers_hears_of_each_that_comes_or_goes(self, hub: HubOnLoop) -> None:
        counts: list[int] = []
        hub.counted = lambda topic: counts.append(len(topic.watchers))
        topic = hub.get("a")
        one, other = Watching(hub, topic, 0), Watching(hub, topic, 0)
        one.leave()
        one.leave()
        other.leave()
        assert counts == [1, 2, 1, 0]


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

    def test_asking_anew_within_linger_is_the_same_life(self, hub: HubOnLoop, loop: Loop) -> None:
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
        hub.replace(hub.get("building/0/t"), "anew", loop.now())
        assert hub._names
        loop.advance(30.1)
        assert (len(hub), bool(hub._names), len(hub._timers)) == (0, False, 0)

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

    def test_a_busy_topic_costs_the_timers_nothing(self, hub: HubOnLoop, loop: Loop) -> None:
        """A thousand polls a second: the timers look once in `linger`."""
        for _ in range(10_000):
            hub.get("a")
            loop.advance(0.001)
        assert loop.made <= 1
        assert len(loop.calls) <= 1


class Noting:
    """Notes what the hub tells of topics."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def topic_born(self, topic: Topic) -> None:
        self.told.append(("born", topic.name))

    def topic_dropped(self, topic: Topic) -> None:
        self.told.append(("dropped", topic.name))

    def topic_watched(self, watchers: int) -> None:
        self.told.append(("watched", str(watchers)))


class TestTelling:
    """Who wants to know which topics there are, and whether somebody watches, is told."""

    def test_an_observer_is_told_of_every_birth_and_every_end(self, hub: HubOnLoop, loop: Loop) -> None:
        noting = Noting()
        hub.observe(noting)
        hub.get("a")
        hub.get("a")
        assert noting.told == [], "it is told at the end of the turn, when it may be watched already"
        hub.turn()
        loop.advance(31.0)
        hub.get("a")
        hub.turn()
        assert noting.told == [("born", "a"), ("dropped", "a"), ("born", "a")]
        hub.unobserve(noting)
        hub.get("b")
        hub.turn()
        assert len(noting.told) == 3

    def test_a_life_that_ends_in_the_turn_in_which_it_began_is_told_in_order(self, hub: HubOnLoop) -> None:
        noting = Noting()
        hub.observe(noting)
        topic = hub.get("a")
        hub.expire(topic.active_until)
        assert noting.told == [("born", "a"), ("dropped", "a")]

    def test_a_follower_is_told_of_births_that_its_pattern_takes_in(self, hub: HubOnLoop) -> None:
        noting = Noting()
        hub.follow("a/*", noting)
        for name in ("a", "a/b", "a/b/c", "b/a", "a/c"):
            hub.get(name)
        assert noting.told == [("born", "a/b"), ("born", "a/c")]
        assert [hub.is_followed(name) for name in ("a", "a/x")] == [False, True]
        hub.unfollow("a/*", noting)
        hub.get("a/d")
        assert len(noting.told) == 2
        assert not hub.is_followed("a/x")

    def test_only_active_topics_match(self, hub: HubOnLoop, loop: Loop) -> None:
        watched, lingering = hub.get("a/1"), hub.get("a/2")
        Watching(hub, watched, 0)
        assert set(hub.matching(["a/*"], loop.now())) == {watched, lingering}
        assert hub.matching(["a/*"], loop.now() + 30.0) == [watched]

    def test_an_expectant_is_told_once_that_somebody_watches(self, hub: HubOnLoop) -> None:
        noting = Noting()
        hub.expect("a", noting)
        hub.get("a")  # a GET that is answered at once is no watcher
        Watching(hub, hub.get("b"), 0)
        assert noting.told == []
        Watching(hub, hub.get("a"), 0)
        Watching(hub, hub.get("a"), 0)
        assert noting.told == [("watched", "1")]
        hub.unexpect("a", noting)  # it has been told already

    def test_a_reader_of_a_pattern_is_interest_in_topics_that_do_not_live(self, hub: HubOnLoop, loop: Loop) -> None:
        waiting, elsewhere, follower = Noting(), Noting(), Noting()
        hub.expect("a/b", waiting)
        hub.expect("b", elsewhere)
        hub.follow("a/*", follower)
        assert (waiting.told, elsewhere.told) == ([("watched", "1")], [])
        assert [hub.interest(name, loop.now()) for name in ("a/b", "b")] == [1, 0]

    def test_one_that_expects_no_more_is_not_told(self, hub: HubOnLoop) -> None:
        one, other = Noting(), Noting()
        hub.expect("a", one)
        hub.expect("a", other)
        hub.unexpect("a", one)
        Watching(hub, hub.get("a"), 0)
        assert (one.told, other.told) == ([], [("watched", "1")])


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

    def test_the_ring_is_bounded_by_messages_and_bytes_and_what_falls_off_is_counted(self, loop: Loop) -> None:
        hub = HubOnLoop(loop, queue=3, queue_bytes=5)
        topic = hub.get("a")
        hub.post("a", b"1", b"2", b"3", b"4")
        assert topic.after(0) == [b"2", b"3", b"4"]
        hub.post("a", b"5555")
        assert topic.after(0) == [b"4", b"5555"]
        assert (hub.published, hub.fell_off) == (5, 3)


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

    def note_who_is_owed_a_waking(self) -> None:
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
        self.note_who_is_owed_a_waking()
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
    def whoever_is_behind_is_owed_a_flush(self) -> None:
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


@PROPERTY
@given(st.lists(st.integers(0, 19), max_size=30), st.lists(st.booleans(), min_size=20, max_size=20))
def test_whoever_leaves_or_joins_while_they_are_woken_nobody_else_is_skipped(leaves: Any, joins: list[bool]) -> None:
    """Each of twenty makes some other leave or brings a new one; the rest are woken just once."""
    hub = HubOnLoop(Loop())
    topic = hub.get("a")
    order: list[int] = []
    gone: list[int] = []
    new: list[Watching] = []
    watchers: list[Watching] = []

    def act(number: int) -> None:
        order.append(number)
        for victim in leaves[number::20]:
            if watchers[victim].waits:
                gone.append(victim)
                watchers[victim].leave()
        if joins[number]:
            new.append(Watching(hub, topic, topic.last))

    watchers += [Watching(hub, topic, 0, then=partial(act, number)) for number in range(20)]
    hub.post("a", b"1")
    hub.turn()
    assert order == [number for number in range(20) if number not in gone]
    assert all(each.wakes == 0 and each.waits for each in new)


@PROPERTY
@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), max_size=30),
    st.sampled_from(["", "a", "b", "bb", "f", "z"]),
)
def test_topics_are_listed_by_name_whatever_came_and_went(steps: list[tuple[str, bool]], after: str) -> None:
    loop = Loop()
    hub = HubOnLoop(loop, linger=10.0)
    for name, lets_time_go_by in steps:
        hub.get(name)
        if lets_time_go_by:
            loop.advance(6.0)
    listed = [topic.name for topic in hub.listed(after, loop.now())]
    assert listed == sorted(topic.name for topic in hub if topic.name > after and loop.now() < topic.active_until)


class TestWorkThatIsPutOff:
    """It is done in later turns, in its order, as far as each has room."""

    def test_each_turn_does_what_it_has_room_for(self) -> None:
        hub = HubOnLoop(Loop())
        done: list[int] = []

        def task(number: int) -> Callable[[Shared], None]:
            def run(_: Shared) -> None:
                done.append(number)
                hub.room -= WORK // 2

            return run

        for number in range(5):
            hub.put_off(task(number))
        turns = 0
        while len(done) < 5:
            before = len(done)
            hub.flushes_owed = 0
            hub.flush(0.0)
            turns += 1
            assert len(done) - before <= 2
        assert done == list(range(5))
        assert turns == 3

    def test_one_that_fails_keeps_none_of_the_others_back(self, caplog: pytest.LogCaptureFixture) -> None:
        hub = HubOnLoop(Loop())
        done: list[int] = []
        hub.put_off(lambda _: done.append(1 // 0))
        hub.put_off(lambda _: done.append(2))
        hub.turn()
        assert done == [2]
        assert "put off" in caplog.text


class TestCrowds:
    """Very many watchers of one message are woken over several turns, and others in between."""

    def test_one_message_to_a_crowd_does_not_hold_the_loop(self, loop: Loop) -> None:
        hub = HubOnLoop(loop)
        topic = hub.get("crowd")
        crowd = [Watching(hub, topic, 0) for _ in range(2000)]
        hub.post("crowd", b"1")
        woken = []
        while hub.flushes_owed:
            before = sum(each.wakes for each in crowd)
            hub.flushes_owed -= 1
            hub.flush(loop.now())
            woken.append(sum(each.wakes for each in crowd) - before)
        assert sum(woken) == 2000
        assert max(woken) <= 768
        assert [each.got for each in crowd] == [[b"1"]] * 2000
        assert [each.wakes for each in crowd] == [1] * 2000
        assert not topic.watchers

    def test_a_small_topic_does_not_wait_for_the_whole_crowd(self, loop: Loop) -> None:
        hub = HubOnLoop(loop)
        crowd = [Watching(hub, hub.get("crowd"), 0) for _ in range(2000)]
        one = Watching(hub, hub.get("one"), 0)
        hub.post("crowd", b"1")
        hub.post("one", b"2")
        for _ in range(3):
            hub.flushes_owed -= 1
            hub.flush(loop.now())
        assert one.got == [b"2"]
        assert sum(each.wakes for each in crowd) < 2000

    def test_what_comes_in_between_is_given_to_all_once_and_in_order(self, loop: Loop) -> None:
        hub = HubOnLoop(loop)
        topic = hub.get("crowd")
        crowd = [Watching(hub, topic, 0, stays=True) for _ in range(1500)]
        numbers = iter(range(1, 5))
        hub.post("crowd", b"0")

        def post_more() -> None:
            number = next(numbers, None)
            if number is not None:
                hub.post("crowd", b"%d" % number)

        crowd[700].then = post_more
        hub.turn()
        assert {tuple(each.got) for each in crowd} == {(b"0", b"1", b"2", b"3", b"4")}

    def test_a_publisher_at_full_speed_does_not_fill_the_queue_with_one_crowd(self, loop: Loop) -> None:
        """Else whoever waits at another topic waits for as many rounds as messages came in."""
        hub = HubOnLoop(loop)
        topic = hub.get("crowd")
        crowd = [Watching(hub, topic, 0, stays=True) for _ in range(3000)]
        for number in range(20):
            hub.post("crowd", b"%d" % number)
            hub.flushes_owed -= 1
            hub.flush(loop.now())
        one = Watching(hub, hub.get("one"), 0)
        hub.post("one", b"x")
        turns = 0
        while not one.got:
            hub.flushes_owed -= 1
            hub.flush(loop.now())
            turns += 1
        assert turns <= 3
        hub.turn()
        everything = [b"%d" % number for number in range(20)]
        assert all(each.got == everything for each in crowd)

    def test_who_comes_while_a_crowd_is_woken_is_woken_too(self, loop: Loop) -> None:
        hub = HubOnLoop(loop)
        topic = hub.get("crowd")
        crowd = [Watching(hub, topic, 0) for _ in range(2000)]
        hub.post("crowd", b"1")
        hub.flushes_owed -= 1
        hub.flush(loop.now())
        late = Watching(hub, topic, 0)
        hub.post("crowd", b"2")
        later = Watching(hub, topic, 1)
        hub.turn()
        assert (late.got, later.got) == ([b"1", b"2"], [b"2"])
        assert all(each.got for each in crowd)

    def test_who_leaves_before_its_turn_is_not_woken(self, loop: Loop) -> None:
        hub = HubOnLoop(loop)
        crowd = [Watching(hub, hub.get("crowd"), 0) for _ in range(2000)]
        crowd[0].then = crowd[1999].leave
        hub.post("crowd", b"1")
        hub.turn()
        assert [crowd[0].wakes, crowd[1998].wakes, crowd[1999].wakes] == [1, 1, 0]

    def test_a_crowd_whose_life_is_lost_meanwhile_is_told_of_the_next(self, loop: Loop) -> None:
        hub = HubOnLoop(loop)
        topic = hub.get("crowd")
        crowd = [Watching(hub, topic, 0) for _ in range(2000)]
        hub.post("crowd", b"1")
        hub.flushes_owed -= 1
        hub.flush(loop.now())
        successor = hub.replace(topic, "other", loop.now())
        hub.append(successor, [b"2"], loop.now())
        hub.turn()
        assert {tuple(each.got) for each in crowd} == {(b"1",), (b"2",)}
