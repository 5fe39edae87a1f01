"""New connections: how they come from the system's queue, which has one order for all clients.

The rules of this file:

* An event loop accepts one connection in each of its turns (uvloop; asyncio's own as many as it is told). While turns
  are long, as under load, the queue would grow, and a new client would wait behind all that is in it. So after each
  turn in which one came we accept more, for a bounded time.
* A client that has sent its end before its connection is accepted has most likely gone: it opened and cut a connection.
  Its socket is put aside, unread, and becomes a connection when no others wait. At most `MOST_ASIDE` are, and one more
  closes the oldest.
* A connection needs no socket object beside its transport; where the loop takes a descriptor alone, none is kept.
* Each of them takes a descriptor. Beyond `max_connections`, which the system's bound is shared out for, nothing is put
  aside and no more is accepted than the loop accepts: those connections are refused one by one.
"""

import asyncio
import contextlib
import logging
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, cast

from slosh.http1.state import ServerState
from slosh.http1.turns import RARELY

logger = logging.getLogger(__name__)

TIME: Final = 0.001
"""Seconds in which connections are accepted in one turn, beyond those that the event loop accepts."""
MOST: Final = 32
"""Connections that are begun in one turn, as far as the time allows. One that is put aside costs much less."""
MOST_ASIDE: Final = 1024
"""Sockets that are put aside, at a time."""
_FEW: Final = 4
"""Of these, how many become connections in a turn in which nothing else waits, and in each `RARELY`th one."""

_CLOSED, _CLOSE_WAIT = 7, 8
"""TCP_CLOSE: the client has reset the connection. TCP_CLOSE_WAIT: it has sent its end (Linux, tcp_states.h)."""


def tcp_state(accepted: socket.socket) -> int:
    """The state of an accepted socket, a number of Linux; 0 where that is not known, as for a Unix socket."""
    if sys.platform != "linux" or accepted.family == socket.AF_UNIX:
        return 0
    try:
        return accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]  # its first byte is the state
    except OSError:
        return 0


class Descriptor:
    """Stands for any accepted socket, for a loop that asks it for the descriptor and keeps it until the end.

    A socket object for each connection would take 90 bytes as long as that lives.

    Attributes:
        family: as of a socket.
        type: as of a socket.
        number: the descriptor of the connection that is being begun, which the loop owns and closes.
    """

    __slots__ = ("family", "number", "type")

    def __init__(self) -> None:
        self.family = 0
        self.type = 0
        self.number = -1

    def fileno(self) -> int:
        """The descriptor."""
        return self.number

    def close(self) -> None:
        """The connection has ended, and the loop has closed its descriptor."""


class Accepting:
    """What comes to some listening sockets of a server.

    Args:
        state: what its connections share.
        make: makes a connection for a client.
        sockets: they listen, and do not block.

    Attributes:
        clock: seconds, and exact within a turn.
    """

    def __init__(
        self, state: ServerState, make: Callable[[], asyncio.Protocol], sockets: Sequence[socket.socket]
    ) -> None:
        self._state = state
        self._make = make
        self._sockets = sockets
        self._aside: deque[socket.socket] = deque()
        self._turns = 0
        self._is_due = False  # `_accept_more` is called in this turn
        self._is_over = False
        # asyncio's own loops read and write by the socket object. Others, as uvloop, use the number and no more of it.
        self._descriptor = None if isinstance(state.loop, asyncio.BaseEventLoop) else Descriptor()
        self._beginning: dict[asyncio.Future[object], Coroutine[Any, Any, object]] = {}  # by what they wait for
        self.clock = time.perf_counter

    def connect(self) -> asyncio.Protocol:
        """A connection for a client that comes, as event loops ask for one."""
        if not self._is_due and not self._is_over:
            self._is_due = True
            self._state.loop.call_soon(self._accept_more)
        return self._make()

    async def stop(self) -> None:
        """Accept no more, and wait until all connections that were accepted have begun: each can be ended then."""
        self._is_over = True
        while self._aside:
            self._aside.popleft().close()
        if self._beginning:
            await asyncio.wait(self._beginning)

    def _accept_more(self) -> None:
        self._is_due = False
        if self._is_over:
            return
        until = self.clock() + TIME
        most = len(self._beginning) + MOST
        for listener in self._sockets:
            while len(self._beginning) < most and self._has_room() and self.clock() < until:
                try:
                    accepted, _ = listener.accept()
                except OSError:
                    break  # None waits, or the system has no descriptor left; the loop meets that too, and tells.
                is_spare = accepted.fileno() >= self._state.first_spare
                self._take(accepted)
                if is_spare:
                    most = 0
        self._turns += 1
        if not len(self._state.turns) or not self._turns % RARELY:
            for _ in range(min(_FEW, len(self._aside))):
                self._begin(self._aside.popleft())
        if self._aside and not self._is_due:
            self._is_due = True
            self._state.loop.call_soon(self._accept_more)

    def _has_room(self) -> bool:
        """Whether one connection more would not be beyond `max_connections`."""
        begun = len(self._state.connections) + len(self._beginning) + len(self._aside)
        return begun < self._state.max_connections

    def _take(self, accepted: socket.socket) -> None:
        """Begin a connection, or put its socket aside."""
        state = tcp_state(accepted)
        if state == _CLOSED:
            accepted.close()
        elif state == _CLOSE_WAIT:
            self._aside.append(accepted)
            if len(self._aside) > MOST_ASIDE:
                self._state.closed["left_early"] += 1
                self._aside.popleft().close()
        else:
            self._begin(accepted)

    def _begin(self, accepted: socket.socket) -> None:
        accepted.settimeout(0.0)
        given = self._descriptor
        if given is not None:
            given.family, given.type, given.number = accepted.family, accepted.type, accepted.fileno()
        whole = accepted if given is None else cast("socket.socket", given)
        # A task would take its first step in the next turn, which is long where many clients are busy.
        beginning = self._state.loop.connect_accepted_socket(self.connect, whole)
        with contextlib.suppress(StopIteration, OSError):
            waits_for: asyncio.Future[object] = beginning.send(None)
            self._beginning[waits_for] = beginning
            waits_for.add_done_callback(self._begun)
            if given is not None:
                accepted.detach()  # The transport has the descriptor now.

    def _begun(self, waited_for: "asyncio.Future[object]") -> None:
        with contextlib.suppress(StopIteration, asyncio.CancelledError, OSError):
            self._beginning.pop(waited_for).send(None)
