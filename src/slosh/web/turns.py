"""Fairness between clients: what one sends at a time, beyond its first request, waits for its turn.

The rules of this file:

* A connection answers one request as soon as it comes, and those that came with it as far as the time of this turn of
  the event loop allows. What is left waits in the connection, with the socket unread beyond 64 KiB, until its turn
  comes. So do large reads: uvloop calls up to 32 times, with 256 KB each, for one readiness of a socket.
* All connections that wait are served in their order, a portion each, and then stand at the end again.
* In each turn of the event loop all of them together have `TURN` seconds for what is beyond their first requests. So
  the others wait no longer, however many connections send however much; only a single request that takes longer makes
  a turn longer. The clock is not looked at for a request that comes alone.
"""

import logging
import time
from asyncio import AbstractEventLoop
from collections import deque
from typing import Final, Protocol

logger = logging.getLogger(__name__)

TURN: Final = 0.002
"""Seconds of each turn of the event loop, for all that waits."""

PORTION: Final = 16
"""Requests, frames, or 4 KiB of either, that one connection does before the next has its turn."""


class TakesTurns(Protocol):
    """A connection that waits for its turn."""

    def take_turn(self) -> None:
        """Do a portion of what waits. Join again where some of it is left."""

    def abandon(self) -> None:
        """That failed: cut the connection."""


class Turns:
    """The connections that wait.

    Args:
        loop: calls back in each of its turns while there are any.

    Attributes:
        clock: seconds, and exact within a turn, which the time of uvloop is not.
        taken: portions since the start.
    """

    __slots__ = ("_is_due", "_loop", "_until", "_waiting", "clock", "taken")

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[TakesTurns] = deque()
        self._is_due = False  # `_run` is called in the next turn, or runs
        self._until = 0.0
        self.clock = time.perf_counter
        self.taken = 0

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def join(self, connection: TakesTurns) -> None:
        """Have `connection` wait for its turn. Do not call this again before it comes."""
        self._waiting.append(connection)
        if not self._is_due:
            self._begin(self.clock())

    def is_over(self) -> bool:
        """Whether this turn of the event loop has had its time. The first to ask begins it."""
        now = self.clock()
        if not self._is_due:
            self._begin(now)
        return now >= self._until

    def _begin(self, now: float) -> None:
        self._is_due = True
        self._until = now + TURN
        self._loop.call_soon(self._run)

    def _run(self) -> None:
        waiting = self._waiting
        self._until = self.clock() + TURN
        while waiting:
            connection = waiting.popleft()
            self.taken += 1
            try:
                connection.take_turn()
            except Exception:
                logger.exception("a connection failed in its turn, and is cut; the others are kept")
                connection.abandon()
            if self.is_over():
                break
        self._is_due = bool(waiting)
        if waiting:
            self._loop.call_soon(self._run)
