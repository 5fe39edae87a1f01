"""Which watchers are woken, once each, and none of them kept waiting by a crowd."""

import logging
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.core.portions import WORK
from slosh.core.topic import Shared, Topic, Watcher
from tests.core.hubs import HubOnLoop, Watching
from tests.core.loops import Loop
from tests.properties import PROPERTY


class TestWaking:
    """Each watcher is woken once for all that came in, and nobody else is."""

    def test_a_watcher_is_woken_by_the_flush_and_not_inside_append(self, hub: HubOnLoop) -> None:
        watcher = Watching(hub, hub.get("a"), 0)
        hub.post("a", b"1")
        assert watcher.wakes == 0
        hub.turn()
        assert watcher.got == [b"1"]

    def test_what_those_have_in_common_who_begin_ends_with_the_next_flush(self, hub: HubOnLoop) -> None:
        """It holds what they were given, which is not kept any longer than that."""
        Watching(hub, hub.get("a"), 0)
        hub.post("a", b"1")
        shared = hub.share(1.0)
        assert hub.share(1.0) is shared
        hub.turn()
        assert hub.share(2.0) is not shared

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

    def test_one_that_another_makes_leave_and_join_again_is_woken_once(self, hub: HubOnLoop) -> None:
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

    def test_who_says_that_it_has_all_is_removed_as_if_it_had_left(self, hub: HubOnLoop) -> None:
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

    def test_who_counts_watchers_hears_of_each_that_comes_or_goes(self, hub: HubOnLoop) -> None:
        counts: list[int] = []
        hub.counted = lambda topic: counts.append(len(topic.watchers))
        topic = hub.get("a")
        one, other = Watching(hub, topic, 0), Watching(hub, topic, 0)
        one.leave()
        one.leave()
        other.leave()
        assert counts == [1, 2, 1, 0]


@pytest.mark.parametrize("count", [1, 40, 64, 65, 1000])
@pytest.mark.parametrize("stays", [True, False])
def test_what_is_written_for_each_is_bounded_in_a_turn(loop: Loop, count: int, stays: bool) -> None:
    """A message of 1 MiB that very many read is copied for some of them, and for the others in later turns."""
    hub = HubOnLoop(loop)
    topic = hub.get("a")

    def write() -> None:
        hub.room -= WORK // 4

    watchers = [Watching(hub, topic, 0, stays=stays, then=write) for _ in range(count)]
    for number in range(2):
        hub.post("a", b"%d" % number)
        woken = []
        while hub.flushes_owed:
            before = sum(each.wakes for each in watchers)
            hub.flushes_owed -= 1
            hub.flush(loop.now())
            woken.append(sum(each.wakes for each in watchers) - before)
        assert sum(woken) == (count if stays or not number else 0)
        assert max(woken, default=0) <= 4
    expected = [b"0", b"1"] if stays else [b"0"]
    assert [each.got for each in watchers] == [expected] * count


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

    def test_a_small_topic_waits_for_none_of_many_crowds_and_for_nothing_that_was_put_off(self, loop: Loop) -> None:
        hub = HubOnLoop(loop)
        for number in range(64):
            topic = hub.get(f"crowd{number}")
            for _ in range(200):
                Watching(hub, topic, 0)
        one = Watching(hub, hub.get("one"), 0)
        put_off = []

        def work(_: Shared) -> None:
            put_off.append(1)
            hub.room -= WORK

        for _ in range(100):
            hub.put_off(work)
        for number in range(64):
            hub.post(f"crowd{number}", b"1")
        hub.post("one", b"2")
        hub.flushes_owed -= 1
        hub.flush(loop.now())
        assert one.got == [b"2"]
        assert put_off == [1], "crowds do not keep from its turn what was put off"
        hub.turn()
        assert len(put_off) == 100
        assert not hub.watching

    def test_very_many_small_topics_are_woken_over_several_turns(self, loop: Loop) -> None:
        hub = HubOnLoop(loop, max_topics=10_000)
        watching = [Watching(hub, hub.get(f"t{number}"), 0) for number in range(2000)]
        for number in range(2000):
            hub.post(f"t{number}", b"1")
        turns = 0
        while hub.flushes_owed:
            hub.flushes_owed -= 1
            before = sum(each.wakes for each in watching)
            hub.flush(loop.now())
            assert sum(each.wakes for each in watching) - before <= 300
            turns += 1
            hub.post("t1999", b"2")
            if turns > 20:
                break
        hub.turn()
        assert [each.got for each in watching[:-1]] == [[b"1"]] * 1999
        assert watching[-1].got[0] == b"1"

    def test_readers_that_come_late_are_woken_over_several_turns(self, loop: Loop) -> None:
        hub = HubOnLoop(loop)
        topic = hub.get("old")
        hub.append(topic, [b"1"], loop.now())
        hub.turn()
        late = [Watching(hub, topic, 0) for _ in range(1000)]
        hub.flushes_owed -= 1
        hub.flush(loop.now())
        assert 0 < sum(each.wakes for each in late) <= 300
        hub.turn()
        assert [each.got for each in late] == [[b"1"]] * 1000


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
