"""Fairness between clients: of requests that one client sends together, all but the first wait for turns.

The rules of this file:

* A connection answers one request as soon as it comes, and further ones that came with it as far as the time of this
  turn of the event loop allows. The rest waits in the connection until its turn, and beyond 64 KiB reading from the
  socket is paused. Large reads wait too: uvloop calls up to 32 times, with 256 KB each, when a socket is readable.
* The first requests of connections have `TURN` seconds of their own in each turn, and wait when these are used up,
  because a client may open a connection for each request. Time used by other requests does not count here: otherwise
  a new client would wait a turn longer beside a crowd whose turns are long.
* Work that may take its time (`Action.takes_time`, and all with more than `SMALL` bytes) waits for its turn even if
  it comes alone, once this turn of the loop has used its time. Otherwise a thousand connections that send the last
  byte of a request together would make one turn of a thousand requests.
* Each waiting connection is served a portion, and then goes to the end of the queue. Addresses take turns, and the
  connections of an address take turns among themselves. So a client with very many connections delays only itself; if
  all clients come from one address, such as a proxy's, each connection still has its turn.
* A connection whose client has closed its sending side waits behind all others, because most such clients have gone.
  One of these is served after each `RARELY` others, so that a client that half-closed and still reads gets its answer.
* In each turn of the event loop all connections together have `TURN` seconds for requests after their first. So other
  clients wait no longer, however many connections send however much; only a single request that takes longer makes
  a turn longer. The clock is not read for a single request on a connection that had one before.
"""

import logging
import time
from asyncio import AbstractEventLoop
from collections import deque
from typing import Final, Protocol

logger = logging.getLogger(__name__)

TURN: Final = 0.002
"""Seconds of each turn of the event loop, for all waiting connections."""

PORTION: Final = 16
"""Requests, frames, or pieces of 4 KiB of either, that one connection processes before the next has its turn."""

SMALL: Final = 2048
"""Bytes that are processed too quickly to be worth reading the clock."""

RARELY: Final = 8
"""Connections that are served before one whose client has closed its sending side."""

MOST_GONE: Final = 1024
"""Waiting connections whose clients have closed their sending side, at most. One more cuts the oldest: its client has
most likely gone."""


class TakesTurns(Protocol):
    """A connection that waits for its turn."""

    def take_turn(self) -> None:
        """Do a portion of what waits. Join again if some of it is left."""

    def abandon(self) -> None:
        """Cut the connection, because `take_turn` raised."""

    def leave_early(self) -> None:
        """Cut and count the connection: its client has closed its sending side, and too many of these wait."""

    @property
    def has_left(self) -> bool:
        """Whether the client has closed its sending side."""

    @property
    def source(self) -> str:
        """The client's address, or its network for IPv6: the same text for all connections of a client.

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
        """Whether this turn of the event loop has used its time. The first call of a turn starts the time."""
        now = self.clock()
        if not self._is_due:
            self._begin(now)
        return now >= self._until

    def is_late(self) -> bool:
        """Whether work that may take long has to wait. False for a connection in its turn, and for a first request."""
        return not self._serves and self.is_over()

    def begin_first(self) -> float:
        """The time if a first request may be answered in this turn; pass it to `end_first` afterwards. Else -1."""
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
