"""Waiting for a server, and ending what waits for it."""

import asyncio
import random
from collections.abc import Iterable


class Pause:
    """The time between two attempts: none at first, then longer and longer, and never the same for two nodes.

    Args:
        longest: seconds.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._failures = 0

    def reset(self) -> None:
        """It has worked."""
        self._failures = 0

    async def take(self) -> None:
        """Wait before the next attempt."""
        if self._failures:
            # Full jitter: nodes that lost the same server together do not come back together.
            await asyncio.sleep(random.uniform(0.2, 1.0) * min(self._longest, 0.05 * 2 ** min(self._failures, 10)))  # noqa: S311 - nobody needs to be unable to guess it
        self._failures += 1


async def end_all(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended.

    In Python 3.11 `asyncio.wait_for`, which the library uses, swallows a cancellation that comes just when it is done.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=0.1)
