"""How late the event loop is: what everybody waits for who wants something of it.

A call that is due is made once the loop comes round. How much later that is than it should be is what each client waits
because of others, for whatever reason: much work, a slow disk, a machine without time for this process.
"""

import asyncio
import time
from typing import Final

from slosh.core.histogram import Histogram

EVERY: Final = 0.5
"""Seconds between two looks."""


class LoopLag:
    """Looks at the lateness of a loop, again and again. Call `stop` at the end.

    Attributes:
        histogram: of the lateness.
        latest: that of the last look, seconds.
        clock: seconds, and exact within a turn, which the time of uvloop is not.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.histogram = Histogram()
        self.latest = 0.0
        self.clock = time.monotonic
        self._loop = loop
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin."""
        self._due = self.clock() + EVERY
        self._timer = self._loop.call_later(EVERY, self._look)

    def stop(self) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self.latest = max(0.0, self.clock() - self._due)
        self.histogram.add(self.latest)
        self.start()
