"""Deadlines for very many items, at the cost of one dict entry each. No operation scans all of them.

Deadlines are collected in ticks, so that ten thousand polls that end in the same twentieth of a second
wake the process once. An item never comes due early, and at most one tick late.
"""

import math
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Final, Generic, TypeVar

TICKS: Final = 20
"""Ticks in a second. Times are computed by dividing, because `tick * 0.05` is slightly above `tick / 20` for a
third of all ticks, and on a loop with a clock of whole milliseconds (uvloop) the call then comes too early."""

TICK: Final = 1 / TICKS
"""Seconds: the resolution of all deadlines. A client that waits for seconds does not notice a twentieth of one."""

_EARLY: Final = 0.002
"""Seconds by which a loop may call before its time: uvloop rounds to a millisecond, asyncio to its clock's grain."""

T = TypeVar("T")


class Timers(Generic[T]):
    """Items with a deadline each.

    Args:
        arm: called with a time, seconds, whenever the earliest deadline is earlier than all times for which it was
            called before. The caller must call `due` at each of these times.
    """

    __slots__ = ("_arm", "_armed", "_buckets", "_latest", "_order")

    def __init__(self, arm: Callable[[float], None]) -> None:
        self._arm = arm
        self._buckets: dict[int, dict[T, None]] = {}
        self._latest = 0  # the tick of the item that was added last
        self._order: list[int] = []
        # Ticks for which `due` is still to be called, the earliest last. Each is armed for once: a caller that arms for
        # a tick again with each `due` gets two calls at the next one, and both of them live on for ever.
        self._armed: list[int] = []

    def __len__(self) -> int:
        """How many items wait; counts buckets, so it is for tests and metrics only."""
        return sum(map(len, self._buckets.values()))

    @staticmethod
    def tick_of(deadline: float) -> int:
        """The tick at which an item of that deadline comes due."""
        tick = math.ceil(deadline * TICKS)
        return tick if tick / TICKS >= deadline else tick + 1  # The product may have been rounded down.

    def add(self, item: T, deadline: float) -> int:
        """Hold `item` until `deadline`, seconds. Returns the tick that `discard` asks for."""
        tick = self.tick_of(deadline)
        if tick == self._latest:
            tick = self._latest  # the same int object for all items of a tick, because each of them keeps it
        else:
            self._latest = tick
        bucket = self._buckets.get(tick)
        if bucket is None:
            bucket = self._buckets[tick] = {}
            heappush(self._order, tick)
            self._arm_for(tick)
        bucket[item] = None
        return tick

    def discard(self, item: T, tick: int) -> None:
        """Forget `item`, for which `add` returned `tick`. It may have come due already."""
        bucket = self._buckets.get(tick)
        if bucket is not None:
            bucket.pop(item, None)
            if not bucket:
                bucket.clear()  # Frees the dict's memory, which would otherwise be kept until the tick comes.

    def first(self) -> float:
        """The time at which the earliest item comes due, seconds, or an earlier one; `inf` for never."""
        return self._order[0] / TICKS if self._order else math.inf

    def clear(self) -> None:
        """Forget all items. `due` must still be called at the times that were armed."""
        self._buckets.clear()
        self._order.clear()

    def due(self, now: float) -> list[T]:
        """Remove and return the items whose deadline is not after `now`, seconds, and arm for the next."""
        items: list[T] = []
        while self._order and self._order[0] / TICKS <= now:
            items.extend(self._buckets.pop(heappop(self._order)))
        while self._armed and self._armed[-1] / TICKS <= now + _EARLY:
            self._armed.pop()
        # An emptied bucket is not worth waking up for.
        while self._order and not self._buckets[self._order[0]]:
            del self._buckets[heappop(self._order)]
        if self._order:
            self._arm_for(self._order[0])
        return items

    def _arm_for(self, tick: int) -> None:
        if not self._armed or tick < self._armed[-1]:
            self._armed.append(tick)
            self._arm(tick / TICKS)
