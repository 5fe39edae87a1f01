"""Deadlines in a process that was not run for a while: what came in time counts, though it is read late.

A machine sleeps, a container is paused, a debugger looks, or others take all the time of a core. Then two things are
there at once: deadlines that have passed, and in the sockets what clients and stores sent meanwhile. An event loop
makes the calls that are due before it has looked at all sockets (libuv's design guide, "The I/O loop"; in asyncio a
socket that is new is looked at a turn later). So a probe would be refused that asked at once, a body cut that was
complete, and a store given up that has answered.
"""

import asyncio
from collections.abc import Callable
from typing import Final

LATE: Final = 0.25
"""Seconds from which a call that comes so late says that this process was not run."""
MOMENT: Final = 0.05
"""Seconds in which what has come meanwhile is read: some turns of the loop."""


class AfterReading:
    """One call at a time; if the loop comes late, a moment later.

    Args:
        loop: that makes it.
        when: seconds on the loop's clock.
        call: made once, unless `cancel` is called before.
    """

    __slots__ = ("_call", "_handle", "_loop", "_when")

    def __init__(self, loop: asyncio.AbstractEventLoop, when: float, call: Callable[[], object]) -> None:
        self._loop = loop
        self._when = when
        self._call = call
        self._handle = loop.call_at(when, self._due)

    def cancel(self) -> None:
        """Make no call."""
        self._handle.cancel()

    def _due(self) -> None:
        now = self._loop.time()
        if now - self._when > LATE:
            self._handle = self._loop.call_at(now + MOMENT, self._call)
        else:
            self._call()
