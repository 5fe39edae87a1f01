"""New connections: how they come from the system's queue, which has one order for all clients.

The rules of this file:

* An event loop accepts one connection in each of its turns (uvloop; asyncio's own as many as it is told). While turns
  are long, as under load, the queue would grow, and a new client would wait behind all that is in it. So after each
  turn in which one came we accept more, for a bounded time.
* A client that has sent its end before its connection is accepted has most likely gone: it opened and cut a connection.
  Its socket is put aside, unread, and becomes a connection when no others wait. At most `MOST_ASIDE` are, and one more
  closes the oldest.
* Some are accepted at a time, and one call of the system tells which of their clients have sent their end.
* A connection needs no socket object beside its transport; if the loop takes a descriptor alone, none is made, since
  that costs as much as the accepting.
* Each of them takes a descriptor. Beyond `max_connections`, which the system's bound is shared out for, nothing is put
  aside and no more is accepted than the loop accepts: those connections are refused one by one.
"""

import asyncio
import logging
import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
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

_AT_ONCE: Final = 8
"""Connections that are accepted before they are begun, and the clock is looked at again."""
_ENDED: Final = getattr(select, "POLLRDHUP", 0)
"""The client has sent its end (Linux, poll(2)); 0 if the system does not tell that."""


def find_ended(numbers: list[int]) -> dict[int, bool]:
    """Those of the descriptors whose clients have sent their end, and whether they have reset the connection."""
    look = select.poll()
    for number in numbers:
        look.register(number, _ENDED)
    return {number: bool(event & select.POLLHUP) for number, event in look.poll(0)}


class ListeningSocket:
    """A listening socket, and what is the same for all connections that it accepts.

    Args:
        listener: it listens, and does not block.

    Attributes:
        family: as of a socket.
        type: as of a socket.
        protocol: as of a socket.
        tells_ended: whether the system tells which clients have sent their end. For a Unix socket it would not tell
            whether there is something to read before that.
    """

    __slots__ = ("_accept", "family", "protocol", "tells_ended", "type")

    def __init__(self, listener: socket.socket) -> None:
        # What `accept` is made of: the socket object of that asks the system for its name first.
        self._accept: Callable[[], tuple[int, object]] = listener._accept  # type: ignore[attr-defined] # noqa: SLF001
        self.family = int(listener.family)
        self.type = int(listener.type)
        self.protocol = listener.proto
        self.tells_ended = _ENDED != 0 and listener.family != socket.AF_UNIX

    def accept(self, most: int, first_spare: int) -> list[int]:
        """The descriptors of some connections; fewer than `most` if no more wait, or one of them is a spare one."""
        numbers: list[int] = []
        for _ in range(most):
            try:
                number, _ = self._accept()
            except OSError:
                break  # None waits, or the system has no descriptor left; the loop meets that too, and tells.
            numbers.append(number)
            if number >= first_spare:
                break
        return numbers

    def make_socket(self, number: int) -> socket.socket:
        """A socket object for a connection that was accepted here."""
        return socket.socket(self.family, self.type, self.protocol, number)


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
        make: makes a connection for a client; it is given whether its descriptor is known to be none of the spare ones.
        sockets: they listen, and do not block.

    Attributes:
        clock: seconds, and exact within a turn.
    """

    def __init__(
        self, state: ServerState, make: Callable[[bool], asyncio.Protocol], sockets: Sequence[socket.socket]
    ) -> None:
        self._state = state
        self._make = make
        self._make_known = partial(make, True)  # noqa: FBT003 - with a descriptor that is none of the spare ones
        self._listening = [ListeningSocket(each) for each in sockets]
        self._aside: deque[socket.socket] = deque()
        self._turns = 0
        self._is_due = False  # `_accept_more` is called in this turn
        self._is_over = False
        self._is_ending = False  # `_end_beginning` is called in the next turn
        # asyncio's own loops read and write by the socket object. Others, as uvloop, use the number and no more of it.
        self._descriptor = None if isinstance(state.loop, asyncio.BaseEventLoop) else Descriptor()
        # Each with what it waits for.
        self._beginning: list[tuple[asyncio.Future[object], Coroutine[Any, Any, object]]] = []
        self.clock = time.perf_counter

    def connect(self) -> asyncio.Protocol:
        """A connection for a client that comes, as event loops ask for one."""
        if not self._is_due and not self._is_over:
            self._is_due = True
            self._state.loop.call_soon(self._accept_more)
        return self._make(False)  # noqa: FBT003 - a callback is called by position

    async def stop(self) -> None:
        """Accept no more, and wait until all connections that were accepted have begun: each can be ended then."""
        self._is_over = True
        while self._aside:
            self._aside.popleft().close()
        if self._beginning:
            await asyncio.wait([waits_for for waits_for, _ in self._beginning])
            self._end_beginning()

    def _accept_more(self) -> None:
        self._is_due = False
        if self._is_over:
            return
        until = self.clock() + TIME
        most = len(self._beginning) + MOST
        first_spare = self._state.first_spare
        has_accepted = False
        for listening in self._listening:
            while (count := min(most - len(self._beginning), self._room(), _AT_ONCE)) > 0 and self.clock() < until:
                numbers = listening.accept(count, first_spare)
                if numbers:
                    has_accepted = True
                    if numbers[-1] >= first_spare:
                        most = 0
                    self._take(listening, numbers, first_spare)
                if len(numbers) < count:
                    break
        self._turns += 1
        if not len(self._state.turns) or not self._turns % RARELY:
            for _ in range(min(_FEW, len(self._aside))):
                self._begin_socket(self._aside.popleft())
        self._end_soon()
        if (self._aside or has_accepted) and not self._is_due:
            self._is_due = True
            self._state.loop.call_soon(self._accept_more)

    def _room(self) -> int:
        """How many connections more would not be beyond `max_connections`."""
        begun = len(self._state.connections) + len(self._beginning) + len(self._aside)
        return self._state.max_connections - begun

    def _take(self, listening: ListeningSocket, numbers: list[int], first_spare: int) -> None:
        """Begin connections, or put them aside."""
        ended = find_ended(numbers) if listening.tells_ended else {}
        for number in numbers:
            if ended and number in ended:
                if ended[number]:
                    os.close(number)
                else:
                    self._put_aside(listening.make_socket(number))
            elif self._descriptor is None:
                self._begin_socket(listening.make_socket(number))
            else:
                self._begin_descriptor(self._descriptor, listening, number, fits=number < first_spare)

    def _put_aside(self, accepted: socket.socket) -> None:
        self._aside.append(accepted)
        if len(self._aside) > MOST_ASIDE:
            self._state.closed["left_early"] += 1
            self._aside.popleft().close()

    def _begin_socket(self, accepted: socket.socket) -> None:
        """Begin a connection that has a socket object, which the loop may keep."""
        if self._descriptor is not None:
            self._begin_descriptor(self._descriptor, ListeningSocket(accepted), accepted.detach(), fits=False)
            return
        accepted.settimeout(0.0)
        if not self._begin(self.connect, accepted):
            accepted.close()

    def _begin_descriptor(self, given: Descriptor, listening: ListeningSocket, number: int, *, fits: bool) -> None:
        """Begin a connection by its descriptor alone, which the loop sets not to block, and closes at the end."""
        given.family, given.type, given.number = listening.family, listening.type, number
        if not self._begin(self._make_known if fits else self.connect, cast("socket.socket", given)):
            os.close(number)

    def _begin(self, connect: Callable[[], asyncio.Protocol], accepted: socket.socket) -> bool:
        """Begin a connection. False if the loop did not take it; the caller must close it then."""
        # A task would take its first step in the next turn, which is long if many clients are busy.
        beginning = self._state.loop.connect_accepted_socket(connect, accepted)
        try:
            self._beginning.append((beginning.send(None), beginning))
        except (StopIteration, OSError):
            return False
        except Exception:
            logger.exception("a connection could not be begun, and is closed; the others are kept")
            return False
        return True

    def _end_soon(self) -> None:
        """Have `_end_beginning` called in the next turn, behind the calls by which the loop begins the connections."""
        if self._beginning and not self._is_ending:
            self._is_ending = True
            self._state.loop.call_soon(self._end_beginning)

    def _end_beginning(self) -> None:
        """Let those go on that have begun: all of them, unless the loop takes longer than a turn for it."""
        self._is_ending = False
        beginning, self._beginning = self._beginning, []
        for waits_for, each in beginning:
            if waits_for.done():
                self._end_one(each)
            else:
                self._beginning.append((waits_for, each))
        self._end_soon()

    @staticmethod
    def _end_one(beginning: Coroutine[Any, Any, object]) -> None:
        """Let one go on that has begun. It closes its own transport if it has failed, and the others go on."""
        try:
            beginning.send(None)
        except (StopIteration, asyncio.CancelledError, OSError):
            pass
        except Exception:
            logger.exception("a connection could not be begun, and is closed; the others are kept")
