"""Fairness between clients: what one sends at a time, beyond its first request, waits for its turn.

The rules of this file:

* A connection answers one request as soon as it comes, and those that came with it as far as the time of this turn of
  the event loop allows. The rest waits in the connection, with the socket unread beyond 64 KiB, until its turn
  comes. So do large reads: uvloop calls up to 32 times, with 256 KB each, for one readiness of a socket.
* The first requests of connections have `TURN` seconds of their own in each turn, and wait once these are used up: a
  client that opens a connection for each request sends very many first ones. The time of others does not count,
  or a new client would wait a turn more beside a crowd whose turns are long.
* Work that may take its time (`Action.takes_time`, and all with more than `SMALL` bytes) waits for its turn even if
  it comes alone, once this turn of the loop has used its time. Otherwise a thousand connections that send the last
  byte of a request together would make one turn of a thousand requests.
* All connections that wait are served a portion each, and then stand at the end again. Addresses take turns, and the
  connections of an address take turns among themselves. So a client with very many connections waits for itself; if
  all come from one address, such as a proxy's, each connection still has its turn.
* A connection whose client has sent its end waits behind all others: most such clients have gone. One of these is
  served after each `RARELY` others, so that a client that half-closed and reads on gets its answer.
* In each turn of the event loop all of them together have `TURN` seconds for what is beyond their first requests. So
  the others wait no longer, however many connections send however much; only a single request that takes longer makes
  a turn longer. The clock is not looked at for a request that comes alone on a connection that had one before.
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

SMALL: Final = 2048
"""Bytes that take no time worth a look at the clock, whatever they are."""

RARELY: Final = 8
"""Connections that are served before one whose client has sent its end."""

MOST_GONE: Final = 1024
"""Connections whose clients have sent their end and that wait, at a time. One more cuts the oldest: its bytes and its
descriptor are held for a client that has most likely gone."""


class TakesTurns(Protocol):
    """A connection that waits for its turn."""

    def take_turn(self) -> None:
        """Do a portion of what waits. Join again if some of it is left."""

    def abandon(self) -> None:
        """That failed: cut the connection."""

    def leave_early(self) -> None:
        """Its client has sent its end, and too many such wait: cut the connection, and count that."""

    @property
    def has_left(self) -> bool:
        """Whether the client has sent its end."""

    @property
    def source(self) -> str:
        """The address that it comes from, of IPv6 the network: the same text for all connections of a client.

        Empty if there is none.
        """


class Turns:
    """The connections that wait.

    Args:
        loop: calls back in each of its turns while there are any.

    Attributes:
        clock: seconds, and exact within a turn, which the time of uvloop is not.
        taken: portions since the start.
    """

    __slots__ = ("_count", "_gone", "_is_due", "_left", "_loop", "_queues", "_serves", "_until", "clock", "taken")

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._queues: dict[str, deque[TakesTurns]] = {}  # by address; the first has its turn next
        self._gone: deque[TakesTurns] = deque()
        self._count = 0  # that wait in `_queues`
        self._is_due = False  # `_run` is called in the next turn, or runs
        self._serves = False  # a connection that has its turn, or its first request
        self._until = 0.0
        self._left = 0.0  # seconds of this turn for first requests
        self.clock = time.perf_counter
        self.taken = 0

    def __len__(self) -> int:
        """How many wait."""
        return self._count + len(self._gone)

    def join(self, connection: TakesTurns) -> None:
        """Have `connection` wait for its turn. Do not call this again before it comes."""
        if connection.has_left:
            self._put_last(connection)
        else:
            source = connection.source
            queue = self._queues.get(source)
            if queue is None:
                queue = self._queues[source] = deque()
            queue.append(connection)
            self._count += 1
        if not self._is_due:
            self._begin(self.clock())

    def is_over(self) -> bool:
        """Whether this turn of the event loop has had its time. The first to ask begins it."""
        now = self.clock()
        if not self._is_due:
            self._begin(now)
        return now >= self._until

    def is_late(self) -> bool:
        """Whether what may take its time has to wait. It has not if it comes in its turn, or as a first request."""
        return not self._serves and self.is_over()

    def begin_first(self) -> float:
        """The time, if a first request may be answered in this turn; call `end_first` with it then. Otherwise -1."""
        now = self.clock()
        if not self._is_due:
            self._begin(now)
        self._serves = self._left > 0
        return now if self._serves else -1.0

    def end_first(self, began: float) -> None:
        """A first request was answered."""
        self._serves = False
        self._left -= self.clock() - began

    def _begin(self, now: float) -> None:
        self._is_due = True
        self._until = now + TURN
        self._left = TURN
        self._loop.call_soon(self._run)

    def _put_last(self, connection: TakesTurns) -> None:
        self._gone.append(connection)
        if len(self._gone) > MOST_GONE:
            self._gone.popleft().leave_early()

    def _next(self) -> TakesTurns | None:
        """The connection whose turn it is; None if no more wait."""
        while self._count and (self.taken % RARELY or not self._gone):
            source = next(iter(self._queues))
            queue = self._queues.pop(source)
            connection = queue.popleft()
            self._count -= 1
            if queue:
                self._queues[source] = queue  # behind the other addresses
            if not connection.has_left:
                return connection
            self._put_last(connection)
        return self._gone.popleft() if self._gone else None

    def _run(self) -> None:
        self._until = self.clock() + TURN
        self._left = TURN
        while (connection := self._next()) is not None:
            self.taken += 1
            self._serves = True
            try:
                connection.take_turn()
            except Exception:
                logger.exception("a connection failed in its turn, and is cut; the others are kept")
                connection.abandon()
            if self.is_over():
                break
        self._serves = False
        self._is_due = len(self) > 0
        if self._is_due:
            self._loop.call_soon(self._run)
