"""A process goes on with what another one kept: each reader finds what it would have found there."""

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slosh.core.buckets import Series
from slosh.core.groups import NOT_KNOWN
from slosh.core.rollups import Rollups
from slosh.core.topic import Topic
from slosh.core.window import Window, known_since, work_out_columns
from slosh.engine.base import Published
from slosh.engine.idempotency import join
from slosh.engine.memory import MemoryEngine
from slosh.engine.snapshot import put_back, take
from slosh.errors import Draining, NoWatchers, SloshError
from tests.core.hubs import HubOnLoop
from tests.core.loops import Loop
from tests.properties import PROPERTY

CLOCK = [1_700_000_000]
"""That people set, seconds."""
LATER = 1000.0
"""Seconds on the clock of the other process, which began elsewhere."""


def engine(**bounds: object) -> MemoryEngine:
    return MemoryEngine(HubOnLoop(Loop(), **bounds), max_keys=10_000, wall=lambda: float(CLOCK[0]))


def carry(before: MemoryEngine, after: MemoryEngine, now: float) -> int:
    """Hand over at the time `now`; gives how many topics were left out."""
    before.is_handed_over = True
    return sum(put_back(after, part, now + LATER) for part in take(before, now))


def facts(topic: Topic, shift: float = 0.0) -> tuple[object, ...]:
    """All that a reader of a topic could learn."""
    offsets = range(topic.first, topic.last + 1)
    kept = topic.after(topic.first - 1)
    times = [arrival.now - shift for arrival in topic.arrivals()]
    ages = (topic.created_at - shift, topic.fallen - shift, *times)
    whole = tuple(value if math.isinf(value) else round(value, 6) for value in ages)
    return topic.epoch, topic.first, topic.last, topic.ended, topic.share.opener, kept, topic.times(offsets), whole


@given(
    st.lists(
        st.tuples(
            st.lists(st.binary(max_size=5).map(lambda raw: b'"%b"' % raw.hex().encode()), min_size=1, max_size=4),
            st.floats(0, 5),
        ),
        max_size=8,
    ),
    st.booleans(),
)
def test_a_life_goes_on_as_it_was(published: list[tuple[list[bytes], float]], ends: bool) -> None:
    """Epoch, offsets, messages, their times, what has fallen off, and the end."""
    before, after = engine(queue=5, linger=1e6), engine(queue=5, linger=1e6)
    now = 0.0
    before.hub.opener = "10.0.0.1"
    before.hub.open("a", now)
    before.hub.opener = ""
    for messages, pause in published:
        now += pause
        before.accept("a", messages, now)
    topic = before.hub.find("a", now)
    assert topic is not None
    if ends:
        before.hub.end(topic)
    assert carry(before, after, now) == 0
    again = after.hub.find("a", now + LATER)
    assert again is not None
    assert facts(again, LATER) == facts(topic)
    assert after.hub.budget.held == before.hub.budget.held
    assert after.hub.shares.count_of("10.0.0.1") == 1


def test_nothing_is_taken_any_more_where_it_was() -> None:
    """Else the next reader would be given one offset for two messages."""
    before = engine()
    before.hub.open("a", 0.0)
    before.is_handed_over = True
    told: list[object] = []
    before.publish("a", (b"1",), 0.0, told.append, opens=True)
    before.open("new", 0.0, told.append)
    told.append(before.accept("a", (b"1",), 0.0))
    assert [type(each) for each in told] == [Draining] * 3
    before.open("a", 0.0, told.append)
    assert isinstance(told[-1], Topic)  # A reader of what is here is answered with that.
    before.is_handed_over = False
    assert isinstance(before.accept("a", (b"1",), 0.0), Published)


def test_a_topic_lingers_from_when_it_was_put_back_and_one_whose_time_is_over_is_not() -> None:
    before, after = engine(linger=30.0), engine(linger=10.0)
    before.hub.open("old", 0.0)
    before.hub.open("young", 20.0)
    carry(before, after, 40.0)
    assert isinstance(after.accept("old", (b"1",), 40.0 + LATER), NoWatchers)
    assert after.hub.find("young", 49.9 + LATER) is not None
    assert after.hub.find("young", 50.1 + LATER) is None


def test_a_publish_is_answered_as_at_the_process_before() -> None:
    before, after = engine(), engine()
    before.hub.open("a", 0.0)
    first = before.accept("a", (b"1", b"2"), 0.0, "key")
    carry(before, after, 20.0)
    again = after.accept("a", (b"1", b"2"), LATER + 20.0, "key")
    assert isinstance(first, Published)
    assert again == first.again()
    topic = after.hub.find("a", LATER + 20.0)
    assert topic is not None
    assert topic.last == 2
    assert after.replays.find(join("a", "key"), LATER + 299.0) is not None
    assert after.replays.find(join("a", "key"), LATER + 301.0) is None


def test_an_end_is_answered_as_at_the_process_before() -> None:
    before, after = engine(), engine()
    before.hub.open("a", 0.0)
    answers: list[object] = []
    before.publish("a", (b"1",), 0.0, answers.append, "key", ends=True)
    carry(before, after, 20.0)
    after.publish("a", (b"1",), LATER + 20.0, answers.append, "key", ends=True)
    first, again = answers
    assert isinstance(first, Published)
    assert first.ended
    assert again == first.again()


def test_a_key_counts_for_its_client_afterwards_too() -> None:
    before, after = engine(), engine()
    before.hub.open("a", 0.0)
    before.accept("a", (b"1",), 0.0, "key", "192.0.2.1")
    carry(before, after, 20.0)
    assert [(key, client) for _, key, _, _, client in after.replays.all_kept(LATER + 20.0)] == [("key", "192.0.2.1")]


NUMBERS = st.sampled_from(
    [0, 1, -7, 2.5, 1e300, {"cpu": 1}, {"cpu": 2, "host": "a"}, {"cpu": {"x": 3}, "host": "\ud800"}, "text"]
)
STEPS = st.lists(st.tuples(st.lists(NUMBERS, max_size=3), st.sampled_from([0, 0, 1, 40, 700, 90_000])), max_size=12)


def feed(into: MemoryEngine, steps: Any, now: float) -> None:
    """Publish to `a`, and let the clock go on."""
    for messages, step in steps:
        CLOCK[0] += step
        if messages:
            into.accept("a", tuple(json.dumps(each).encode() for each in messages), now)
            turn(into)


def turn(of: MemoryEngine) -> None:
    assert isinstance(of.hub, HubOnLoop)
    of.hub.turn()


def columns(of: MemoryEngine, now: float, span: float = 86_400.0) -> object:
    """All that an answer of a history could tell."""
    topic = of.hub.find("a", now)
    assert topic is not None
    rollups = topic.rollups
    assert rollups is not None
    window = Window(span, 300, CLOCK[0] * 1000)
    told: dict[object, Any] = {
        (group.by, group.since, series.path, series.value): work_out_columns(series, window)[1]
        for group in rollups.groups()
        for series in group.series()
    }
    for each in told.values():
        each["mean"] = [mean if mean is None else pytest.approx(mean, rel=1e-9) for mean in each["mean"]]
    known = [known_since(series, window) for group in rollups.groups() for series in group.series()]
    return told, known, rollups.rolled, rollups.unlisted, rollups.missed, rollups.waiting


@given(STEPS, STEPS, st.sampled_from([0.0, 60.0, 86_400.0]))
@settings(PROPERTY, max_examples=60)
def test_a_history_goes_on_as_it_was(first: Any, then: Any, history: float) -> None:
    """Also one that was asked for, and one whose last messages were not looked into yet."""
    one, before, after = (engine(history=history, queue=5, max_series=5, linger=1e6) for _ in range(3))
    for each in (one, before):
        CLOCK[0] = 1_700_000_000
        topic = each.hub.open("a", 0.0)
        feed(each, first[:2], 0.0)
        each.hub.begin_history(topic, "host")
        feed(each, first[2:], 0.0)
        each.accept("a", (b"8",), 0.0)
    carry(before, after, 0.0)
    turn(one)
    held = columns(one, 0.0)
    assert columns(after, LATER) == held
    assert after.hub.budget.held == one.hub.budget.held
    clock = CLOCK[0]
    feed(one, then, 0.0)
    CLOCK[0] = clock
    feed(after, then, LATER)
    assert columns(after, LATER) == columns(one, 0.0)
    ended = after.hub.find("a", LATER)
    assert ended is not None
    after.hub.histories.end(ended)
    assert after.hub.budget.held == ended.weight


def history_of(of: MemoryEngine) -> tuple[Rollups, int]:
    """That of `a`, and the bytes of its messages."""
    topic = of.hub.find("a", LATER)
    assert topic is not None
    assert topic.rollups is not None
    return topic.rollups, topic.weight


def test_a_history_is_cut_to_the_bounds_of_the_process_that_goes_on() -> None:
    before = engine(history=86_400.0, linger=1e6)
    before.hub.open("a", 0.0)
    for second in range(300):
        feed(before, [([{"x": second, "y": 1}], 1)], 0.0)
    few = engine(history=60.0, max_series=1, linger=1e6)
    carry(before, few, 0.0)
    rollups, weight = history_of(few)
    assert rollups.unlisted == 1
    (series,) = rollups.groups()[0].series()
    assert [len(level) for level in series.levels] == [124]
    poor = engine(history=86_400.0, max_bytes=weight + 2 * Series.base() + 1000, linger=1e6)
    carry(before, poor, 0.0)
    for series in history_of(poor)[0].groups()[0].series():
        assert known_since(series, Window(60.0, 60, CLOCK[0] * 1000)) > 0
    assert poor.hub.budget.held <= poor.hub.budget.most
    none = engine(max_topics=0)
    assert carry(before, none, 0.0) == 1


def test_a_history_that_becomes_longer_while_it_is_handed_over_says_what_it_has() -> None:
    """A reload comes between two parts: its series have still the length that they had."""
    CLOCK[0] = 1_700_000_000
    before, after = engine(history=60.0, linger=1e6), engine(history=86_400.0, linger=1e6)
    before.hub.open("a", 0.0)
    for _ in range(300):
        feed(before, [([{"x": 1}], 1)], 0.0)
    parts = take(before, 0.0)
    for _ in range(2):
        put_back(after, next(parts), LATER)
    before.hub.set_bounds(after.hub.bounds, 0.0)
    for part in parts:
        put_back(after, part, LATER)
    (series,) = history_of(after)[0].groups()[0].series()
    assert [len(level) for level in series.levels] == [124, 14, 3]
    assert known_since(series, Window(86_400.0, 60, CLOCK[0] * 1000)) > (CLOCK[0] - 240) * 1000


def test_a_history_that_is_first_asked_for_afterwards_says_that_older_messages_are_missing() -> None:
    """All had fallen off before, so it was told that none had come since the topic's creation."""
    CLOCK[0] = 1_700_000_000
    before, after = (engine(age=5.0, linger=1e6) for _ in range(2))
    assert isinstance(before.hub, HubOnLoop)
    before.hub.get("a")
    feed(before, [([{"x": 1}], 1)], before.hub.loop.now())
    before.hub.loop.advance(9.0)
    carry(before, after, before.hub.loop.now())
    topic = after.hub.find("a", LATER)
    assert topic is not None
    assert (topic.first, topic.last) == (2, 1)
    rollups = after.hub.begin_history(topic, "")
    (group,) = rollups.groups()
    assert group.since == NOT_KNOWN
    again = engine(age=5.0, linger=1e6)
    carry(after, again, LATER)
    CLOCK[0] += 10
    for each in (after, again):
        each.is_handed_over = False
        feed(each, [([{"x": 1}], 1)] * 2, 2 * LATER)
    (other,) = history_of(again)[0].groups()
    assert (group.since, other.since) == (1_700_000_012_001, 1_700_000_014_001)


def test_a_history_that_begins_for_a_topic_without_messages_has_all_that_come() -> None:
    """Nothing had been dropped, and it was told that what came before the second message is not known."""
    CLOCK[0] = 1_700_000_000
    before, after = engine(linger=1e6), engine(history=60.0, linger=1e6)
    before.hub.open("a", 0.0)
    carry(before, after, 0.0)
    feed(after, [([{"x": 1}], 1)], LATER)
    (group,) = history_of(after)[0].groups()
    assert group.since == 0


def test_a_history_that_the_class_of_the_new_process_asks_for_begins_beside_one_that_somebody_asked_for() -> None:
    """It was missing until somebody asked for it, which may be when the ring has gone on."""
    CLOCK[0] = 1_700_000_000
    before, after = engine(linger=1e6), engine(history=86_400.0, linger=1e6)
    before.hub.begin_history(before.hub.open("a", 0.0), "host")
    feed(before, [([{"x": 1, "host": "b"}], 1)] * 3, 0.0)
    carry(before, after, 0.0)
    turn(after)
    rollups, _ = history_of(after)
    counted = {}
    for group in rollups.groups():
        (series,) = group.series()
        series.close()
        counted[group.by] = sum(series.levels[0].since(0).counts)
    assert counted == {"host": 3, "": 3}


def test_histories_that_begin_with_the_new_process_miss_nothing_of_rings_that_are_larger_than_what_may_wait() -> None:
    message = b'{"x":1,"text":"%b"}' % (b"-" * 60_000)
    bounds = {"linger": 1e6, "queue": 200, "queue_bytes": 10_000_000}
    before, after = engine(**bounds), engine(history=86_400.0, **bounds)
    for name in "abcd":
        before.hub.append(before.hub.open(name, 0.0), [message] * 160, 0.0, 1000)
    carry(before, after, 0.0)
    turn(after)
    assert after.hub.histories.missed == 0
    for name in "abcd":
        topic = after.hub.find(name, LATER)
        assert topic is not None
        assert topic.rollups is not None
        assert topic.rollups.has(160)
        assert (topic.rollups.missed, topic.rollups.waiting) == (0, 0)


def test_a_series_comes_back_to_no_field_that_was_dropped_meanwhile() -> None:
    """The history that a class asks for is one of four, and may begin between two parts."""
    CLOCK[0] = 1_700_000_000
    before, after = engine(linger=1e6), engine(history=86_400.0, linger=1e6)
    topic = before.hub.open("a", 0.0)
    for by in ("b", "c", "d", "e"):
        before.hub.begin_history(topic, by)
    feed(before, [([{"x": 1, "b": 1, "c": 1, "d": 1, "e": 1}], 1)], 0.0)
    before.is_handed_over = True
    for part in take(before, 0.0):
        put_back(after, part, LATER)
        turn(after)
    assert [group.by for group in history_of(after)[0].groups()] == ["c", "d", "e", ""]


def test_a_part_of_a_history_is_small() -> None:
    """So that a handover never has all of it in memory a second time."""
    before = engine(history=86_400.0, max_series=20, linger=1e6, queue=2)
    before.hub.open("a", 0.0)
    for _ in range(4000):
        feed(before, [([{f"x{number}": 1 for number in range(20)}], 1)], 0.0)
    sizes = [len(part) for part in take(before, 0.0)]
    assert sum(sizes) > 3_000_000
    assert max(sizes) < 1_000_000
    after = engine(history=86_400.0, max_series=20, linger=1e6, queue=2)
    carry(before, after, 0.0)
    assert columns(after, LATER, 60.0) == columns(before, 0.0, 60.0), "what was written over is known too"


def test_rings_are_cut_to_the_bounds_of_the_process_that_goes_on() -> None:
    before, after = engine(queue=10), engine(queue=3, max_topics=2)
    for name in ("a", "b", "c"):
        before.hub.open(name, 0.0)
    for number in range(8):
        before.accept("a", (b"%d" % number,), float(number))
    assert carry(before, after, 8.0) == 1
    topic = after.hub.find("a", LATER + 8.0)
    assert topic is not None
    assert (topic.first, topic.last, topic.after(0)) == (6, 8, [b"5", b"6", b"7"])
    assert topic.has_forgotten_since(LATER + 4.0)
    assert not topic.has_forgotten_since(LATER + 4.5)
    assert len(after.hub) == 2


@pytest.mark.parametrize("part", [b"", b"\x93", msgspec.msgpack.encode([[["a"]], []])])
def test_what_is_no_part_is_refused(part: bytes) -> None:
    with pytest.raises((ValueError, SloshError)):
        put_back(engine(), part, 0.0)
