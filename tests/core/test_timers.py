"""Deadlines against a sorted list: never early, a tick late at most, and the loop is not called in vain."""

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from slosh.core.timers import TICK, Timers
from tests.core.loops import Loop
from tests.properties import PROPERTY, STORY

LOOPS = [{}, {"grain": 0.001}, {"late": 0.013}]
"""asyncio's loop, uvloop's, and one on a busy machine."""

DELAYS = st.floats(0.0, 3.0, allow_nan=False) | st.sampled_from([0.0, TICK, 0.1, 0.15, 0.3, 0.7, 25.0, 75.0])


class Clocked:
    """Timers on a loop, as their owners keep them."""

    def __init__(self, **kind: Any) -> None:
        self.loop = Loop(**kind)
        self.late = kind.get("late", 0.0)
        self.came: list[tuple[object, float]] = []
        self.timers: Timers[object] = Timers(self.arm)
        self.armed: list[float] = []

    def arm(self, when: float) -> None:
        self.armed.append(when)
        self.loop.call_at(when, self.due)

    def due(self) -> None:
        self.came += [(item, self.loop.now()) for item in self.timers.due(self.loop.now())]


@pytest.mark.parametrize("kind", LOOPS)
@PROPERTY
@given(st.lists(st.tuples(DELAYS, DELAYS), min_size=1, max_size=30))
def test_every_item_comes_once_never_early_and_at_most_a_tick_late(kind: Any, steps: Any) -> None:
    clocked = Clocked(**kind)
    deadlines: dict[object, float] = {}
    for number, (delay, pause) in enumerate(steps):
        deadlines[number] = clocked.loop.now() + delay
        clocked.timers.add(number, deadlines[number])
        clocked.loop.advance(pause)
    clocked.loop.advance(100.0)
    assert sorted(clocked.came, key=str) == sorted(dict(clocked.came).items(), key=str)
    assert set(dict(clocked.came)) == set(deadlines)
    for item, when in clocked.came:
        assert deadlines[item] <= when < deadlines[item] + TICK + clocked.late + 0.002, (item, when)


@PROPERTY
@given(st.floats(0.0, 1e9, allow_nan=False))
def test_a_tick_never_stands_before_its_deadline(deadline: float) -> None:
    """Not by the last bit either: whoever is called a hair early arms again at once and turns in circles."""
    came: list[float] = []
    timers: Timers[str] = Timers(came.append)
    timers.add("a", deadline)
    (when,) = came
    assert deadline <= when <= deadline + TICK
    assert timers.due(when) == ["a"]


class TimersStory(RuleBasedStateMachine):
    """Any order of adding, discarding and waiting, beside a plain dict of deadlines."""

    @initialize(kind=st.sampled_from(LOOPS))
    def begin(self, kind: Any) -> None:
        self.clocked = Clocked(**kind)
        self.waiting: dict[int, tuple[float, int]] = {}
        self.number = 0

    @rule(delay=DELAYS)
    def add(self, delay: float) -> None:
        self.number += 1
        deadline = self.clocked.loop.now() + delay
        self.waiting[self.number] = deadline, self.clocked.timers.add(self.number, deadline)

    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        if self.waiting:
            item = data.draw(st.sampled_from(sorted(self.waiting)))
            self.clocked.timers.discard(item, self.waiting.pop(item)[1])

    @rule(seconds=DELAYS)
    def wait(self, seconds: float) -> None:
        self.clocked.loop.advance(seconds)
        self.take_what_came()
        now = self.clocked.loop.now()
        assert all(now <= deadline + TICK + self.clocked.late + 0.002 for deadline, _ in self.waiting.values())

    @rule()
    def look_without_being_called(self) -> None:
        self.clocked.due()
        self.take_what_came()

    def take_what_came(self) -> None:
        for item, when in self.clocked.came:
            deadline, _ = self.waiting.pop(int(str(item)))  # fails for one that was discarded or came before
            assert deadline <= when
        self.clocked.came.clear()

    @invariant()
    def all_that_wait_are_held(self) -> None:
        assert len(self.clocked.timers) == len(self.waiting)

    @invariant()
    def a_call_is_asked_for_the_earliest(self) -> None:
        if self.waiting:
            earliest = min(deadline for deadline, _ in self.waiting.values())
            assert self.clocked.loop.next_call() <= earliest + TICK + self.clocked.late + 0.002

    @invariant()
    def no_two_calls_are_asked_for_one_time(self) -> None:
        """But for those who look on their own in the very moment that a call is due."""
        owed = [when for when, _, _ in self.clocked.loop.calls if when > self.clocked.loop.now() + 2 * TICK]
        assert len(owed) == len(set(owed))


TestTimersStory = TimersStory.TestCase
TestTimersStory.settings = STORY


@pytest.mark.parametrize("kind", LOOPS)
def test_calls_do_not_multiply(kind: Any) -> None:
    """A thousand short polls beside a long deadline. Each once left a call behind that armed itself again for ever."""
    clocked = Clocked(**kind)
    for number in range(1000):
        clocked.timers.add(f"long {number}", clocked.loop.now() + 75.0)
        clocked.timers.add(number, clocked.loop.now() + 5.0)
        clocked.loop.advance(5.1)
        assert len(clocked.loop.calls) <= 2
    assert clocked.loop.made <= 2100


@pytest.mark.parametrize("kind", LOOPS)
def test_nobody_is_called_in_vain(kind: Any) -> None:
    """One deadline after the other: one call for each, also on a clock of whole milliseconds."""
    clocked = Clocked(**kind)
    for number in range(200):
        clocked.timers.add(number, clocked.loop.now() + TICK / 2)
        clocked.loop.advance(0.1)
    assert len(clocked.came) == 200
    assert clocked.loop.made == 200


def test_ten_thousand_deadlines_in_one_tick_are_one_call() -> None:
    clocked = Clocked()
    for number in range(10_000):
        clocked.timers.add(number, clocked.loop.now() + 0.96 + number / 1_000_000)
    clocked.loop.advance(2.0)
    assert len(clocked.came) == 10_000
    assert clocked.loop.made == 1


def test_items_of_one_tick_come_in_the_order_in_which_they_were_added() -> None:
    clocked = Clocked()
    for number in range(100):
        clocked.timers.add(number, clocked.loop.now() + 1.0)
    clocked.loop.advance(2.0)
    assert [item for item, _ in clocked.came] == list(range(100))


def test_arm_is_called_when_the_earliest_becomes_earlier_and_only_then() -> None:
    armed: list[float] = []
    timers: Timers[str] = Timers(armed.append)
    timers.add("b", 10.0)
    timers.add("c", 20.0)
    timers.add("a", 5.0)
    timers.add("a2", 5.0)
    assert armed == [10.0, 5.0]
    assert timers.due(5.0) == ["a", "a2"]
    assert armed == [10.0, 5.0]  # the call at 10 is still to come
    assert timers.due(10.0) == ["b"]
    assert armed == [10.0, 5.0, 20.0]


@pytest.mark.parametrize("early", [1e-9, 0.0005, 0.001])
def test_a_loop_that_calls_a_hair_early_is_asked_to_call_again(early: float) -> None:
    """Asyncio calls within the grain of its clock, uvloop within half a millisecond: nobody is forgotten then."""
    armed: list[float] = []
    timers: Timers[str] = Timers(armed.append)
    timers.add("a", 10.0)
    assert timers.due(10.0 - early) == []
    assert armed == [10.0, 10.0]
    assert timers.due(10.0) == ["a"]


def test_nobody_is_woken_for_what_was_discarded() -> None:
    armed: list[float] = []
    timers: Timers[str] = Timers(armed.append)
    timers.add("now", 1.0)
    timers.discard("gone", timers.add("gone", 2.0))
    timers.add("later", 3.0)
    assert timers.due(1.0) == ["now"]
    assert armed == [1.0, 3.0]
    assert timers.due(3.0) == ["later"]
    assert len(timers) == 0


def test_a_tick_whose_items_were_all_discarded_keeps_no_room_for_them() -> None:
    """Each new connection has a deadline, and another as soon as it has asked."""
    timers: Timers[int] = Timers(lambda _: None)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for item in range(10_000):
            timers.add(item, 1.0)
        for item in range(10_000):
            timers.discard(item, timers.tick_of(1.0))
        assert tracemalloc.get_traced_memory()[0] - before < 10_000
    finally:
        tracemalloc.stop()


def test_discarding_what_is_gone_already_does_nothing() -> None:
    timers: Timers[str] = Timers(lambda _: None)
    tick = timers.add("a", 1.0)
    timers.due(1.0)
    timers.discard("a", tick)
    timers.discard("b", 7)
    assert timers.due(10.0) == []


def test_after_all_were_forgotten_a_new_one_comes_at_its_time() -> None:
    """The call that was asked for before comes all the same, and finds nothing."""
    armed: list[float] = []
    timers: Timers[str] = Timers(armed.append)
    timers.add("gone", 1.0)
    timers.clear()
    assert len(timers) == 0
    timers.add("late", 5.0)
    assert timers.due(1.0) == []
    assert armed == [1.0, 5.0]
    assert timers.due(5.0) == ["late"]
