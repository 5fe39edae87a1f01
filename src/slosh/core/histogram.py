"""How often something took how long: counts by bounds, as Prometheus has them."""

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

from slosh.compiled import mypyc_attr

_FIRST: Final = 0.001
BOUNDS: Final[tuple[float, ...]] = (_FIRST, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds. A duration longer than the last is counted beyond it."""


@mypyc_attr(acyclic=True)
class Histogram:
    """Times, counted.

    Attributes:
        total: seconds, all together.
    """

    __slots__ = ("_counts", "total")

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def add(self, seconds: float, times: int = 1) -> None:
        """Count something that took this many seconds, this many times. Less than nothing counts as nothing."""
        # Nearly all take less than the first bound, and a search costs more than all else here.
        at = bisect_left(BOUNDS, seconds) if seconds > _FIRST else 0
        self._counts[at] += times
        if seconds > 0.0:
            self.total += seconds * times

    def buckets(self) -> Iterator[tuple[str, int]]:
        """For each bound, and for `+Inf`, how often it took so long or less."""
        count = 0
        for bound, here in zip((*map(str, BOUNDS), "+Inf"), self._counts, strict=True):
            count += here
            yield bound, count
