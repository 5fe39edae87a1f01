"""The same server without a socket: bytes in, bytes out, and a clock that stands still until it is told to go on.

Feeding a connection this way is a thousand times quicker than a socket and has no timing at all, so every way of
cutting a request into pieces, and every deadline, can be tried.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any, cast

from slosh.http1.heads import Heads
from slosh.http1.protocol import HttpConnection
from slosh.http1.state import ServerState
from slosh.settings import Settings
from slosh.testing.echo import Echo
from tests.conformance.case import Case, Ending, Seen
from tests.conformance.wire import parse

if TYPE_CHECKING:
    from slosh.http1.handler import Application

Callback = Callable[..., object]


class FakeLoop:
    """As much of an event loop as a connection asks for, in virtual time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._order = count()
        self._queue: list[tuple[float, int, Callback, tuple[Any, ...]]] = []

    def time(self) -> float:
        """Seconds, as they were set."""
        return self.now

    def call_soon(self, callback: Callback, *args: Any) -> None:
        self.call_at(self.now, callback, *args)

    def call_later(self, delay: float, callback: Callback, *args: Any) -> None:
        self.call_at(self.now + delay, callback, *args)

    def call_at(self, when: float, callback: Callback, *args: Any) -> None:
        heappush(self._queue, (when, next(self._order), callback, args))

    def run_until(self, when: float) -> None:
        """Run everything that is due by `when`, each at its own time, and let the clock stand there."""
        while self._queue and self._queue[0][0] <= when:
            due, _, callback, args = heappop(self._queue)
            self.now = max(self.now, due)
            callback(*args)
        self.now = max(self.now, when)

    def settle(self) -> None:
        """Run what is due now."""
        self.run_until(self.now)


class FakeTransport(asyncio.Transport):
    """Remembers what was written and how it was closed."""

    def __init__(self, loop: FakeLoop) -> None:
        super().__init__()
        self.loop = loop
        self.connection: HttpConnection | None = None
        self.written = b""
        self.untaken = 0
        """What `get_write_buffer_size` says: bytes that the client has not taken."""
        self.ended = False
        """Whether the end of what the server has to say was sent."""
        self.gone = False
        self.aborted = False
        self.reading = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.ended or self.gone, "bytes were written behind the end"
        self.written += bytes(data)

    def writelines(self, list_of_data: Any) -> None:
        for data in list_of_data:
            self.write(data)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def get_write_buffer_size(self) -> int:
        return self.untaken

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return self.gone

    def close(self) -> None:
        self._go()

    def abort(self) -> None:
        self.aborted = True
        self._go()

    def _go(self) -> None:
        if not self.gone:
            self.ended = self.gone = True
            assert self.connection is not None
            self.loop.call_soon(self.connection.connection_lost, None)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 50_000) if name == "peername" else default


class FakeClient:
    """A client of an HTTP server, with its connection.

    Args:
        settings: of the server; left out, the defaults.
        application: what the server serves; left out, the echo.
        loop: shared with other clients, when there are several.
        server: likewise.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        application: Application | None = None,
        loop: FakeLoop | None = None,
        server: ServerState | None = None,
    ) -> None:
        self.loop = loop or FakeLoop()
        settings = settings or Settings()
        self.server = server or ServerState(settings, cast("asyncio.AbstractEventLoop", self.loop))
        self.server.turns.clock = self.loop.time  # no turn is over because this machine is busy
        self.transport = FakeTransport(self.loop)
        self.connection = HttpConnection(self.server, Heads(application or Echo(settings), settings))
        self.transport.connection = self.connection
        self.connection.connection_made(self.transport)
        self.loop.settle()

    @property
    def output(self) -> bytes:
        """All that the server wrote so far."""
        return self.transport.written

    def hung_up(self) -> bool:
        """Whether the server has hung up by now."""
        return self.transport.ended

    def feed(self, *pieces: bytes) -> None:
        """Let the pieces arrive, each in a turn of the loop of its own."""
        for piece in pieces:
            if piece and not self.transport.is_closing():
                self.connection.data_received(piece)
                self.loop.settle()

    def pass_time(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self.loop.run_until(self.loop.now + seconds)


def observe(case: Case, cut: Callable[[bytes], Sequence[bytes]] = lambda sent: [sent]) -> tuple[Seen, ...]:
    """What a client sees of `case` when each step arrives in the pieces that `cut` makes of it."""
    client = FakeClient()
    seen: list[Seen] = []
    for sent in case.sends:
        if client.hung_up():
            seen.append(Seen(False, (), Ending.CLOSED))
            continue
        before = len(client.output)
        client.feed(*cut(sent))
        answers = tuple(parse(client.output[before:], head=sent.startswith(b"HEAD "), ended=client.hung_up()))
        waits = not answers or (answers[-1].status < 200 and not case.interim)
        seen.append(Seen(True, answers, Ending.CLOSED if client.hung_up() else Ending.SILENT if waits else Ending.OPEN))
    return tuple(seen)
