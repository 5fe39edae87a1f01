"""Buckets of one width: the newest so many are kept, whatever their number and however they are resized."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.core.buckets import BUCKET, Level, Series, plan
from slosh.core.budget import Budget
from slosh.core.window import Window, known_since
from tests.properties import PROPERTY

STEPS = st.lists(st.tuples(st.integers(0, 3), st.integers(-9, 9)) | st.integers(1, 90), max_size=150)
"""A number that arrives some seconds after the one before, or how many buckets are kept from now on."""


@PROPERTY
@given(STEPS, st.integers(1, 90))
def test_the_newest_buckets_are_kept_and_what_was_forgotten_is_known(steps: Any, most: int) -> None:
    budget = Budget(1 << 40)
    level, kept, now, forgotten = Level(1, most, budget), dict[int, list[int]](), 100, -1
    for step in steps:
        if isinstance(step, int):
            most = step
            level.resize(most)
        else:
            now += step[0]
            level.add(now, 1, step[1], step[1], step[1])
            kept.setdefault(now, []).append(step[1])
        while len(kept) > most:
            forgotten = min(kept)
            del kept[forgotten]
        columns = level.since(0)
        assert list(columns.numbers) == list(kept)
        assert list(columns.counts) == [len(numbers) for numbers in kept.values()]
        assert list(columns.lows) == [min(numbers) for numbers in kept.values()]
        assert list(columns.highs) == [max(numbers) for numbers in kept.values()]
        assert level.forgotten == forgotten
        assert list(level.since(now - 2).numbers) == [number for number in kept if number >= now - 2]
        assert budget.held == level.taken >= len(level) * BUCKET


def test_what_comes_into_one_bucket_is_counted_together() -> None:
    """As the seconds of a wider bucket are: each with how many numbers it had."""
    level = Level(10, 9, Budget(1 << 40))
    for count, low, high, mean in ((1, 1.0, 1.0, 1.0), (3, 0.0, 9.0, 5.0), (1, 2.0, 2.0, 2.0)):
        level.add(5, count, low, high, mean)
    columns = level.since(0)
    assert (list(columns.counts), list(columns.lows), list(columns.highs)) == ([5], [0.0], [9.0])
    assert list(columns.means) == pytest.approx([(1 + 3 * 5 + 2) / 5])


def test_each_second_is_a_bucket_of_its_own() -> None:
    series = Series("a", None, 60.0, Budget(1 << 40))
    for second, number in ((10, 1.0), (11, 5.0), (11, 7.0), (13, 2.0)):
        series.add(second, number)
    series.close()
    columns = series.levels[0].since(0)
    assert (list(columns.numbers), list(columns.highs)) == ([10, 11, 13], [1.0, 7.0, 2.0])


def test_a_level_that_had_no_memory_and_wrote_over_its_oldest_does_not_grow_in_its_midst() -> None:
    budget = Budget(64 * BUCKET)
    level = Level(1, 200, budget)
    for number in range(70):
        level.add(number, 1, 0.0, 0.0, 0.0)
    budget.most *= 9
    for number in range(70, 75):
        level.add(number, 1, 0.0, 0.0, 0.0)
    assert list(level.since(0).numbers) == list(range(75 - 64, 75))
    assert level.forgotten == 10


def test_a_number_for_which_there_is_no_memory_at_all_is_known_to_be_missing() -> None:
    """It was left out, and the history said that nothing had come then."""
    budget = Budget(2 * 64 * BUCKET)
    series = Series("a", None, 86_400.0, budget)
    for second in (60, 61):
        series.add(second, 1.0)
    series.close()
    assert [(len(level), level.forgotten) for level in series.levels] == [(2, -1), (1, -1), (0, 1)]
    assert known_since(series, Window(86_400.0, 10, 61_000)) == 120_000
    assert known_since(series, Window(60.0, 10, 61_000)) == 0


def test_as_many_widths_as_the_span_needs() -> None:
    assert plan(60.0) == [(1, 124)]
    assert plan(3600.0) == [(1, 3664)]
    assert plan(7200.0) == [(1, 3664), (10, 784)]
    assert plan(86_400.0) == [(1, 3664), (10, 3664), (60, 1504)]


def test_a_series_that_is_to_reach_further_back_has_all_that_it_had() -> None:
    budget = Budget(1 << 40)
    series = Series("a", None, 3600.0, budget)
    for second in range(1000):
        series.add(second, second)
    series.resize(86_400.0)
    assert [list(level.since(0).counts)[:2] for level in series.levels] == [[1, 1], [10, 10], [60, 60]]
    assert [level.since(0).highs[0] for level in series.levels] == [0, 9, 59]
    series.resize(60.0)
    assert [len(level) for level in series.levels] == [124]
    series.release()
    assert budget.held == -Series.base()  # which whoever makes one takes


def test_a_width_that_is_new_knows_no_more_than_the_seconds_that_it_was_made_of() -> None:
    """Else a history that became longer would tell of hours in which nothing came."""
    series = Series("a", None, 60.0, Budget(1 << 40))
    for second in range(200):
        series.add(second, 1.0)
    series.resize(86_400.0)
    assert series.levels[0].forgotten == 200 - 124 - 1
    assert [level.forgotten for level in series.levels[1:]] == [75 // 10, 75 // 60]
    assert known_since(series, Window(86_400.0, 10, 200_000)) == 120_000
