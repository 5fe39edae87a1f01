"""A window over a topic's history: where its steps begin, and what came in each of them."""

import math
from bisect import bisect_left
from typing import Final

from slosh.core.buckets import MOST, WIDTHS, Columns, Series

MOST_POINTS: Final = 4096
"""Steps of one window."""


class Window:
    """Steps of equal length, the last of which is under way. Never changed.

    It ends with the bucket that is under way, so that it reaches back as far as was asked but for a part of a bucket.
    It is longer than was asked only by what is left of its last whole step.

    Args:
        span: how far back it is to reach, seconds.
        points: how many steps there are at most. There are fewer if steps of that length make the span already: a
            step is no shorter than a bucket.
        now: Unix milliseconds.

    Attributes:
        start, end: Unix milliseconds.
        step: milliseconds; a multiple of the buckets that are kept for so long a span.
        points: how many steps there are.
        span: as above.
    """

    __slots__ = ("end", "points", "span", "start", "step")

    def __init__(self, span: float, points: int, now: int) -> None:
        width = next((each for each in WIDTHS if each * MOST >= span), WIDTHS[-1])
        length = max(1, math.ceil(span * 1000))
        steps = -(-length // (points * width * 1000))
        self.span = span
        self.step = steps * width * 1000
        self.points = -(-length // self.step)
        self.end = (now // (width * 1000) + 1) * width * 1000
        self.start = self.end - self.points * self.step


NO_WINDOW: Final = Window(1.0, 1, 0)
"""In place of one."""


def known_since(series: Series, window: Window) -> int:
    """From when on a series has all that came, as far as `window` looks at it, Unix milliseconds."""
    series.close()
    level = series.level_for(window.span)
    return (level.forgotten + 1) * level.width * 1000


def work_out_columns(series: Series, window: Window) -> tuple[int, dict[str, object]]:
    """The columns of a series within a window: of each step how many numbers came, the least, the greatest, the mean.

    Gives how many buckets were gone over besides. If no number came the count is 0, and the others are None.
    """
    series.close()
    level = series.level_for(window.span)
    width = level.width * 1000
    columns = level.since(window.start // width)
    counts = [0] * window.points
    lows: list[float | None] = [None] * window.points
    highs: list[float | None] = [None] * window.points
    means: list[float | None] = [None] * window.points
    numbers, at, size = columns.numbers, 0, len(columns.numbers)
    together = window.step // width  # buckets in a step, at most
    while at < size:
        point = (numbers[at] * width - window.start) // window.step
        if point >= window.points:
            break  # It arrived after the window was laid out.
        border = (window.start + (point + 1) * window.step) // width
        end = bisect_left(numbers, border, at + 1, min(size, at + together))
        if end == at + 1:
            counts[point] = columns.counts[at]
            lows[point], highs[point], means[point] = columns.lows[at], columns.highs[at], columns.means[at]
        else:
            counts[point] = sum(columns.counts[at:end])
            lows[point] = min(columns.lows[at:end])
            highs[point] = max(columns.highs[at:end])
            means[point] = _mean(columns, at, end, counts[point])
        at = end
    column: dict[str, object] = {"path": series.path}
    if series.value is not None:
        column["by"] = series.value
    return size, column | {"count": counts, "min": lows, "max": highs, "mean": means}


def _mean(columns: Columns, at: int, end: int, total: int) -> float:
    """The mean of the numbers in the buckets from `at` to `end`, which are `total`."""
    means = columns.means[at:end]
    if total == end - at:  # One in each bucket, as of a sensor that tells of itself each second.
        mean = sum(means) / total
        if mean - mean == 0.0:
            return mean
    return sum(mean * (columns.counts[at + place] / total) for place, mean in enumerate(means))
