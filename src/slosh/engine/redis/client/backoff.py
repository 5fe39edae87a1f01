"""Waiting for a server, and ending what waits for it."""

import asyncio
import random
from collections.abc import Iterable
from typing import Final

_STEADY: Final = 1.0
"""Seconds that it has to have worked, for the next attempt to come at once again. A server may take a connection, say
that all is well, and refuse what is asked then, such as one that was made a replica."""


class Pause:
    """The time between two attempts: none at first, then longer and longer, and never the same for two nodes.

    Args:
        longest: seconds.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._failures = 0
        self._works_since: float | None = None

    def works(self) -> None:
        """It works, from now on at the latest."""
        if self._works_since is None:
            self._works_since = asyncio.get_running_loop().time()

    async def take(self) -> None:
        """Wait before the next attempt."""
        if self._works_since is not None:
            if asyncio.get_running_loop().time() - self._works_since >= _STEADY:
                self._failures = 0
            self._works_since = None
        if self._failures:
            # Full jitter: nodes that lost the same server together do not come back together.
            await asyncio.sleep(random.uniform(0.2, 1.0) * min(self._longest, 0.05 * 2 ** min(self._failures, 10)))  # noqa: S311 - nobody needs to be unable to guess it
        self._failures += 1


async def end_all(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended, even if the caller is cancelled meanwhile.

    In Python 3.11 `asyncio.wait_for`, which the library uses, swallows a cancellation that comes just when it is done.
    """
    left = set(tasks)
    is_cancelled = False
    while left:
        for task in left:
            task.cancel()
        try:
            await asyncio.wait(left, timeout=0.1)
        except asyncio.CancelledError:
            is_cancelled = True
        left = {task for task in left if not task.done()}
    if is_cancelled:
        raise asyncio.CancelledError
