"""Times are counted by bounds, each in the first that takes it in."""

from hypothesis import given
from hypothesis import strategies as st

from slosh.core.histogram import BOUNDS, Histogram


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(1, 5))))
def test_each_bucket_has_what_took_so_long_or_less(times: list[tuple[float, int]]) -> None:
    histogram = Histogram()
    for seconds, count in times:
        histogram.add(seconds, count)
    told = dict(histogram.buckets())
    for bound in BOUNDS:
        assert told[str(bound)] == sum(count for seconds, count in times if seconds <= bound)
    assert told["+Inf"] == sum(count for _, count in times)
    assert abs(histogram.total - sum(seconds * count for seconds, count in times)) < 1e-6


def test_less_than_nothing_is_nothing() -> None:
    """Clocks of an event loop and of the system differ by a millisecond."""
    histogram = Histogram()
    histogram.add(-0.5)
    assert dict(histogram.buckets())["0.001"] == 1
    assert histogram.total == 0.0
