"""A process goes on with what another one kept: each reader finds what it would have found there."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.core.topic import Topic
from slosh.engine.base import Published
from slosh.engine.memory import MemoryEngine
from slosh.engine.snapshot import put_back, take
from slosh.errors import Draining, NoWatchers, SloshError
from tests.core.hubs import HubOnLoop
from tests.core.loops import Loop

LATER = 1000.0
"""Seconds on the clock of the other process, which began elsewhere."""


def engine(**bounds: object) -> MemoryEngine:
    return MemoryEngine(HubOnLoop(Loop(), **bounds), wall=lambda: 1_700_000_000.0)


def carry(before: MemoryEngine, after: MemoryEngine, now: float) -> int:
    """Hand over at the time `now`; gives how many topics were left out."""
    before.is_handed_over = True
    return sum(put_back(after, part, now + LATER) for part in take(before, now))


def facts(topic: Topic, shift: float = 0.0) -> tuple[object, ...]:
    """All that a reader of a topic could learn."""
    offsets = range(topic.first, topic.last + 1)
    kept = topic.after(topic.first - 1)
    times = [arrival.now - shift for arrival in topic.arrivals()]
    ages = (topic.born - shift, topic.fallen - shift, *times)
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
    assert after.replays.find("a", "key", LATER + 299.0) is not None
    assert after.replays.find("a", "key", LATER + 301.0) is None


def test_a_key_counts_for_its_client_afterwards_too() -> None:
    before, after = engine(), engine()
    before.hub.open("a", 0.0)
    before.accept("a", (b"1",), 0.0, "key", "192.0.2.1")
    carry(before, after, 20.0)
    assert [(key, client) for _, key, _, _, client in after.replays.all_kept(LATER + 20.0)] == [("key", "192.0.2.1")]


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
