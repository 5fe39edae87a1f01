"""Deadlines for very many things at the cost of a dict entry each, and no scan of all of them ever.

Deadlines are gathered in ticks, so that ten thousand polls which end in the same twentieth of a second
wake the process once. An item never comes due early, and at most one tick late.
"""

import math
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Final, Generic, TypeVar

TICK: Final = 0.05
"""Seconds: the grain of all deadlines. Nobody who waits for seconds sees a twentieth of one."""

T = TypeVar("T")


class Timers(Generic[T]):
    """Items with a deadline each.

    Args:
        arm: called with a time, in seconds, whenever the earliest deadline has become earlier; the caller
            owes a call of `due` then.
    """

    __slots__ = ("_arm", "_armed", "_buckets", "_order")

    def __init__(self, arm: Callable[[float], None]) -> None:
        self._arm = arm
        self._buckets: dict[int, dict[T, None]] = {}
        self._order: list[int] = []
        self._armed = math.inf

    def __len__(self) -> int:
        """How many items wait; counts buckets, so it is for tests and metrics only."""
        return sum(map(len, self._buckets.values()))

    @staticmethod
    def tick_of(deadline: float) -> int:
        """The tick at which an item of that deadline comes due."""
        return math.ceil(deadline / TICK)

    def add(self, item: T, deadline: float) -> int:
        """Hold `item` until `deadline`, seconds. Gives the tick that `discard` asks for."""
        tick = self.tick_of(deadline)
        bucket = self._buckets.get(tick)
        if bucket is None:
            bucket = self._buckets[tick] = {}
            heappush(self._order, tick)
            if tick < self._armed:
                self._armed = tick
                self._arm(tick * TICK)
        bucket[item] = None
        return tick

    def discard(self, item: T, tick: int) -> None:
        """Forget `item`, which `add` put at `tick`. It may be gone already."""
        bucket = self._buckets.get(tick)
        if bucket is not None:
            bucket.pop(item, None)

    def due(self, now: float) -> list[T]:
        """Take out the items whose deadline is not after `now`, seconds, and arm for the next."""
        items: list[T] = []
        while self._order and self._order[0] * TICK <= now:
            items.extend(self._buckets.pop(heappop(self._order)))
        self._armed = math.inf
        # An emptied bucket is not worth waking up for.
        while self._order and not self._buckets[self._order[0]]:
            del self._buckets[heappop(self._order)]
        if self._order:
            self._armed = self._order[0]
            self._arm(self._armed * TICK)
        return items
