"""Where the steps of a window begin."""

from hypothesis import given
from hypothesis import strategies as st

from slosh.core.buckets import Series
from slosh.core.budget import Budget
from slosh.core.window import Window, work_out_columns
from tests.cases import each_of
from tests.properties import PROPERTY

NOON = 1_795_953_600_000


@PROPERTY
@given(st.integers(1, 86_400), st.integers(1, 4096), st.integers(0, 10**13))
def test_it_reaches_back_as_far_as_was_asked_but_for_a_part_of_a_bucket(span: int, points: int, now: int) -> None:
    window = Window(float(span), points, now)
    assert window.end - window.start == window.points * window.step >= span * 1000
    assert window.points <= points
    assert window.end - window.start - span * 1000 < window.step, "no more than what was asked for, in whole steps"
    bucket = 1000 if span <= 3600 else 10_000 if span <= 36_000 else 60_000
    assert window.start % bucket == window.step % bucket == 0
    assert window.end - bucket <= now < window.end


@each_of(
    ("span", "points", "step", "steps"),
    [
        (3600, 600, 6, 600),
        (600, 600, 1, 600),
        (60, 4096, 1, 60),
        (86_400, 600, 180, 480),
        (86_400, 1, 86_400, 1),
        (0.001, 4, 1, 1),
        (1.0004, 4, 1, 2),
        (600, 599, 2, 300),
    ],
)
def test_the_step_is_the_least_that_does(span: float, points: int, step: int, steps: int) -> None:
    window = Window(span, points, NOON)
    assert (window.step, window.points) == (step * 1000, steps)


def test_a_bucket_at_the_border_of_a_step_belongs_to_the_later_one() -> None:
    series = Series("a", None, 60.0, Budget(1 << 40))
    for second in (1, 2):
        series.add(second, float(second))
    window = Window(4.0, 2, 3_999)
    assert (window.start, window.step) == (0, 2_000)
    assert work_out_columns(series, window)[1]["count"] == [1, 1]


def test_a_mean_weighs_each_bucket_by_its_numbers() -> None:
    series = Series("a", None, 60.0, Budget(1 << 40))
    for second, number in ((0, 1.0), (1, 5.0), (1, 5.0), (1, 5.0)):
        series.add(second, number)
    assert work_out_columns(series, Window(2.0, 1, 1_999))[1]["mean"] == [4.0]
