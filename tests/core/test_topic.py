"""The ring against a slow obvious model: the list of all messages ever, of which it keeps the end."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.core.topic import EACH, Topic
from tests.properties import PROPERTY
from tests.timing import assert_quick

MESSAGES = st.binary(min_size=1, max_size=12)
STEPS = st.lists(st.tuples(st.lists(MESSAGES, max_size=5), st.integers(0, 3)), max_size=20)
"""Each publish with the seconds since the one before."""


def kept(everything: list[bytes], queue: int, queue_bytes: int) -> list[bytes]:
    """The longest end of the list within both bounds, the newest message always."""
    for start in range(len(everything)):
        end = everything[start:]
        if len(end) == 1 or (len(end) <= queue and sum(map(len, end)) <= queue_bytes):
            return end
    return []


@PROPERTY
@given(STEPS, st.integers(1, 8), st.integers(1, 60))
def test_the_ring_keeps_the_newest_that_fit_and_counts_all(steps: Any, queue: int, queue_bytes: int) -> None:
    topic = Topic("a", "k", 0.0)
    everything: list[bytes] = []
    fell_off = 0
    for batch, _ in steps:
        weight = topic.weight + topic.growth(batch, queue, queue_bytes)
        fell_off += topic.append(batch, 0.0, queue, queue_bytes)
        everything += batch
        here = kept(everything, queue, queue_bytes)
        assert topic.last == len(everything)
        assert topic.after(0) == here
        assert topic.first == len(everything) - len(here) + 1
        assert topic.size == sum(map(len, here))
        assert topic.weight == weight
        assert fell_off == len(everything) - len(here)


def test_how_much_a_large_ring_would_grow_by_a_message_is_known_in_a_moment() -> None:
    """Each message took 2 ms in a ring of 100,000 where all memory was taken."""
    topic = Topic("a", "k", 0.0)
    topic.append([b"1"] * 100_000, 0.0, 100_000, 10_000_000)

    def ask() -> None:
        for _ in range(100):
            assert not topic.growth([b"2"], 100_000, 10_000_000)

    assert_quick(ask, 0.04)


@PROPERTY
@given(STEPS, st.integers(1, 8))
def test_after_gives_just_the_kept_messages_behind_an_offset(steps: Any, queue: int) -> None:
    topic = Topic("a", "k", 0.0)
    everything: list[bytes] = []
    for batch, _ in steps:
        topic.append(batch, 0.0, queue, 10_000)
        everything += batch
    for offset in range(len(everything) + 3):
        assert topic.after(offset) == everything[max(offset, topic.first - 1) :]


@PROPERTY
@given(STEPS, st.integers(1, 8), st.integers(-2, 70))
def test_offset_before_splits_the_kept_messages_by_their_age(steps: Any, queue: int, time: int) -> None:
    """Those that arrived at the time itself count as young."""
    topic = Topic("a", "k", 0.0)
    now, arrived = 0, []
    for batch, seconds in steps:
        now += seconds
        topic.append(batch, float(now), queue, 10_000)
        arrived += [now] * len(batch)
    young = sum(each >= time for each in arrived[topic.first - 1 :])
    assert topic.offset_before(float(time)) == topic.last - young


@PROPERTY
@given(st.lists(st.integers(1, 9) | st.lists(MESSAGES, max_size=5), max_size=20), st.integers(1, 5), st.integers(1, 60))
def test_a_gap_anywhere_leaves_what_came_behind_it(steps: Any, queue: int, queue_bytes: int) -> None:
    """A step is a batch, or by how many offsets the ring goes on behind all that it kept."""
    topic = Topic("a", "k", 0.0)
    last, since_gap, passed_over, now = 0, list[bytes](), 0, 0.0
    for step in steps:
        now += 1.0
        if isinstance(step, int):
            last, since_gap = last + step, []
            passed_over += topic.skip_to(last)
        else:
            last, since_gap = last + len(step), since_gap + step
            passed_over += topic.append(step, now, queue, queue_bytes)
        here = kept(since_gap, queue, queue_bytes)
        assert (topic.first, topic.last, topic.size) == (last - len(here) + 1, last, sum(map(len, here)))
        assert [topic.after(offset) for offset in range(last + 2)] == [
            here[max(0, offset - topic.first + 1) :] for offset in range(last + 2)
        ]
        assert topic.offset_before(0.0) == topic.first - 1
        assert topic.offset_before(now + 1.0) == last
        assert passed_over == last - len(here)


def test_one_message_larger_than_the_ring_is_kept_alone() -> None:
    topic = Topic("a", "k", 0.0)
    topic.append([b"1", b"2"], 0.0, 10, 5)
    assert topic.append([b"x" * 50], 0.0, 10, 5) == 2
    assert topic.after(0) == [b"x" * 50]
    assert topic.append([b"3"], 0.0, 10, 5) == 1
    assert topic.after(0) == [b"3"]


def test_reading_forgets_nothing() -> None:
    topic = Topic("a", "k", 0.0)
    topic.append([b"1", b"2"], 0.0, 10, 100)
    assert topic.after(0) == topic.after(0) == [b"1", b"2"]


def test_what_a_reader_was_given_does_not_change_when_more_comes_in() -> None:
    topic = Topic("a", "k", 0.0)
    topic.append([b"1"], 0.0, 1, 100)
    given_before = topic.after(0)
    topic.append([b"2"], 0.0, 1, 100)
    assert given_before == [b"1"]


@pytest.mark.parametrize(
    ("queue", "arrivals", "now", "rate"),
    [
        (100, [], 10.0, 0.0),
        (100, [1.0, 2.0, 3.0], 10.0, 0.3),
        (100, [1.0, 2.0, 3.0], 20.0, 0.0),
        (2, [9.0, 9.5, 10.0, 10.5], 11.0, 2.0),  # two kept, the older a second old
        (100, [5.0] * 50, 5.0, 5.0),
    ],
)
def test_rate_is_messages_a_second_as_far_as_the_ring_goes_back(
    queue: int, arrivals: list[float], now: float, rate: float
) -> None:
    topic = Topic("a", "k", 0.0)
    for arrived in arrivals:
        topic.append([b"1"], arrived, queue, 1000)
    assert topic.rate(now, 10.0) == pytest.approx(rate)


def test_skipping_leaves_a_gap_that_readers_are_told_of() -> None:
    topic = Topic("a", "e", 0.0)
    topic.append([b"1", b"2", b"3"], 0.0, 10, 100)
    assert topic.skip_to(7) == 7
    assert (topic.first, topic.last, topic.size, topic.after(0)) == (8, 7, 0, [])
    topic.append([b"8"], 1.0, 10, 100)
    assert (topic.first, topic.last, topic.after(2)) == (8, 8, [b"8"])


def test_messages_have_the_times_that_they_came_with() -> None:
    topic = Topic("a", "k", 0.0)
    topic.append([b"1", b"2"], 1.0, 3, 100, 1000)
    topic.append([b"3"], 1.0, 3, 100, 1001)
    topic.append([b"4"], 2.0, 3, 100, 2000)
    assert topic.times(range(2, 5)) == [1000, 1001, 2000]


def test_times_never_fall_and_go_on_with_the_clock_that_nobody_sets_back() -> None:
    topic = Topic("a", "k", 0.0)
    for now, wall in ((1.0, 5000), (2.5, 1000), (2.5, 1000), (3.0, 1500), (4.0, 9000)):
        topic.append([b"x"], now, 10, 100, wall)
    assert topic.times(range(1, 6)) == [5000, 6500, 6500, 7000, 9000]


@pytest.mark.parametrize("pause", [0.0004, 0.0019, 0.7])
def test_times_go_on_as_fast_as_time_does_however_many_messages_come(pause: float) -> None:
    """While a clock is behind: they stood still for a topic with more than a thousand messages a second."""
    topic = Topic("a", "k", 0.0)
    topic.append([b"x"], 100.0, 10, 100, 5_000_000)
    for number in range(1, 5001):
        topic.append([b"x"], 100.0 + number * pause, 10, 100, int(number * pause * 1000))
    assert topic.latest_wall - 5_000_000 == pytest.approx(5000 * pause * 1000, abs=1.1)
    assert topic.latest_at == pytest.approx(100.0 + 5000 * pause, abs=0.0011)


@PROPERTY
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9000)), max_size=12), st.integers(1, 5))
def test_times_never_fall(steps: Any, queue: int) -> None:
    topic, now = Topic("a", "k", 0.0), 0.0
    for seconds, wall in steps:
        now += seconds
        topic.append([b"x"], now, queue, 100, wall)
        times = topic.times(range(topic.first, topic.last + 1))
        assert times == sorted(times)
        assert times[-1] >= wall


@PROPERTY
@given(STEPS, st.integers(1, 8), st.integers(1, 60), st.integers(-2, 70))
def test_it_is_known_whether_a_window_reaches_behind_what_is_kept(
    steps: Any, queue: int, queue_bytes: int, time: int
) -> None:
    topic = Topic("a", "k", 0.0)
    now, arrived = 0, []
    for batch, seconds in steps:
        now += seconds
        topic.append(batch, float(now), queue, queue_bytes)
        arrived += [now] * len(batch)
    gone = arrived[: topic.first - 1]
    assert topic.has_forgotten_since(float(time)) == any(moment >= time for moment in gone)


def test_what_fell_off_for_its_bytes_takes_no_memory() -> None:
    """Its slot is used again only when the ring has gone round."""
    topic = Topic("a", "e", 0.0)
    topic.append([b"x" * 100] * 5, 0.0, 10, 1000)
    topic.append([b"x" * 900], 0.0, 10, 1000)
    assert (topic.first, topic.last, topic.size) == (5, 6, 1000)
    assert sum(map(len, topic._messages)) == topic.size


CHANGES = st.lists(
    st.one_of(
        st.lists(MESSAGES, min_size=1, max_size=6),  # publish
        st.tuples(st.just("before"), st.integers(0, 30)),
        st.tuples(st.just("shorten"), st.integers(0, 400)),
        st.tuples(st.just("fit"), st.integers(1, 8), st.integers(1, 60)),
    ),
    max_size=20,
)


@PROPERTY
@given(CHANGES, st.integers(1, 8), st.integers(1, 60))
def test_a_ring_that_is_shortened_and_resized_keeps_the_right_end(changes: Any, queue: int, queue_bytes: int) -> None:
    """Against a list of what is kept, with the time of each."""
    topic, kept, now, gone = Topic("a", "k", 0.0), list[tuple[bytes, float]](), 0.0, list[float]()
    for change in changes:
        now += 1.0
        before = len(kept)
        if isinstance(change, list):
            fell = topic.append(change, now, queue, queue_bytes)
            kept += [(message, now) for message in change]
            while len(kept) > queue or (len(kept) > 1 and sum(len(message) for message, _ in kept) > queue_bytes):
                gone.append(kept.pop(0)[1])
            before += len(change)
        elif change[0] == "before":
            fell = topic.forget_before(float(change[1]))
            while kept and kept[0][1] < change[1]:
                gone.append(kept.pop(0)[1])
        elif change[0] == "shorten":
            fell = topic.shorten(change[1])
            freed = 0
            while freed < change[1] and len(kept) > 1:
                message, time = kept.pop(0)
                gone.append(time)
                freed += len(message) + EACH
        else:
            _, queue, queue_bytes = change
            fell = topic.fit(queue, queue_bytes)
            while len(kept) > queue or (len(kept) > 1 and sum(len(message) for message, _ in kept) > queue_bytes):
                gone.append(kept.pop(0)[1])
        assert fell == before - len(kept)
        assert topic.after(0) == [message for message, _ in kept]
        assert (topic.first, topic.size) == (topic.last + 1 - len(kept), sum(len(message) for message, _ in kept))
        assert topic.weight == topic.size + EACH * len(kept)
        assert len(topic._messages) <= max(queue, 64 + 4 * len(kept))
        assert [arrival.now for arrival in topic.arrivals()] == [time for _, time in kept]
        if kept:
            assert topic.oldest == kept[0][1]
        assert all(topic.has_forgotten_since(time) for time in gone[-1:])
        assert topic.offset_before(now - 1.0) == topic.last - sum(time >= now - 1.0 for _, time in kept)
