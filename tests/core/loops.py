"""Event loops that stand still until a test lets time go on, as exact or as coarse as the real ones."""

import math
from collections.abc import Callable
from itertools import count


class Loop:
    """Calls made at virtual times.

    Args:
        grain: seconds to which the loop rounds both its clock and its calls, 0 for exact: uvloop has 0.001.
        late: seconds by which every call comes late, as on a busy machine.
    """

    def __init__(self, grain: float = 0.0, late: float = 0.0) -> None:
        self._grain = grain
        self._late = late
        self._now = 1000.0
        self._order = count()
        self.calls: list[tuple[float, int, Callable[[], None]]] = []
        self.made = 0

    def now(self) -> float:
        """What the loop's clock shows."""
        return round(self._now / self._grain) / round(1 / self._grain) if self._grain else self._now

    def call_at(self, when: float, call: Callable[[], None]) -> None:
        """Make `call` at the time `when`, or in the same turn when that has passed."""
        delay = max(0.0, when - self.now())
        if self._grain:
            delay = round(delay / self._grain) * self._grain
        self.calls.append((self.now() + delay + self._late, next(self._order), call))

    def advance(self, seconds: float) -> None:
        """Let time go on, and make all the calls that are due meanwhile, in their order."""
        end = self._now + seconds
        while self.calls and min(self.calls)[0] <= end:
            due = min(self.calls)
            self.calls.remove(due)
            self._now = max(self._now, due[0])
            self.made += 1
            due[2]()
        self._now = end

    def next_call(self) -> float:
        """When the next call is due, `inf` for none."""
        return min(self.calls)[0] if self.calls else math.inf
