"""An event loop on virtual time, and the server's end of a connection on it, without sockets."""

import asyncio
import selectors

from slosh.http1.protocol import HttpConnection

HIGH_WATER = 64 * 1024
LOW_WATER = HIGH_WATER // 4
"""What asyncio and uvloop have: above the one a protocol is told to stop writing, below the other to go on."""


class _NoSockets(selectors.SelectSelector):
    """A selector that never waits: where it would, time goes on instead."""

    now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("this would wait for ever")
        self.now += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop, on a clock that stands still while anything can be done and then jumps to the next timer."""

    def __init__(self) -> None:
        self._clock = _NoSockets()
        super().__init__(self._clock)

    def time(self) -> float:
        """Seconds."""
        return self._clock.now

    def settle(self) -> None:
        """Do all that can be done now."""
        self.advance(1e-6)

    def advance(self, seconds: float) -> None:
        """Let so much time go by, with all that happens meanwhile."""
        # Two turns behind the timer, as a task that sleeps takes; such a task would cost more than what is tested.
        self.call_later(seconds, self.call_soon, self.call_soon, self.stop)
        self.run_forever()


class Wire(asyncio.Transport):
    """The server's end of a connection.

    Attributes:
        arrived: bytes that the client can see.
        window: bytes that the client is still willing to take, None for all.
        unread: what the client sent meanwhile.
        wasted: how often something was written that could never arrive.
    """

    def __init__(self, loop: VirtualLoop, protocol: HttpConnection, peer: object, plug: object = None) -> None:
        super().__init__({"peername": peer, "socket": plug})
        self._loop = loop
        self._protocol = protocol
        self._buffer = bytearray()
        self._closing = False
        self._eof_written = False
        self._paused = False
        self._gone = False
        self.arrived = bytearray()
        self.window: int | None = None
        self._ended = False
        self._aborted = False
        self._reading = True
        self._high, self._low = HIGH_WATER, LOW_WATER
        self.unread: list[bytes] = []
        self.wasted = 0

    def is_open(self) -> bool:
        """Whether the server still holds the connection."""
        return not self._gone

    def is_reading(self) -> bool:
        """Whether the server reads."""
        return self._reading

    def has_ended(self) -> bool:
        """Whether the client has seen the end of what the server sends."""
        return self._ended

    def was_cut(self) -> bool:
        """Whether the server cut the connection."""
        return self._aborted

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._eof_written:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._closing or self._gone:
            self.wasted += 1
            return
        self._buffer += data
        self._flush()
        self._pause_if_full()

    def write_eof(self) -> None:
        self._eof_written = True
        self._flush()

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self._closing = True
        self._flush()

    def abort(self) -> None:
        if not self._gone:
            self._aborted = True
            self._closing = True
            self._buffer.clear()
            self._loop.call_soon(self.lose, None)

    def is_closing(self) -> bool:
        return self._closing or self._gone

    def get_write_buffer_size(self) -> int:
        return len(self._buffer)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = HIGH_WATER if high is None else high
        self._low = self._high // 4 if low is None else low
        self._pause_if_full()

    def _pause_if_full(self) -> None:
        if len(self._buffer) > self._high and not self._paused:
            self._paused = True
            self._protocol.pause_writing()

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self._loop.call_soon(self.feed)

    def feed(self) -> None:
        """Give the server what the client has sent, as long as it reads."""
        while self.unread and self._reading and not self._closing and not self._gone:
            self._protocol.data_received(self.unread.pop(0))

    def open_window(self, more: int | None) -> None:
        """Let the client take so many bytes more, None for all that come."""
        self.window = None if more is None or self.window is None else self.window + more
        self._flush()
        if self._paused and len(self._buffer) <= self._low:
            self._paused = False
            self._protocol.resume_writing()

    def lose(self, reason: Exception | None) -> None:
        """The connection is gone."""
        if not self._gone:
            self._gone = True
            self._ended = True
            self._protocol.connection_lost(reason)

    def _flush(self) -> None:
        taken = len(self._buffer) if self.window is None else min(self.window, len(self._buffer))
        self.arrived += self._buffer[:taken]
        del self._buffer[:taken]
        if self.window is not None:
            self.window -= taken
        if not self._buffer:
            self._ended = self._ended or self._eof_written or self._closing
            if self._closing:
                self._loop.call_soon(self.lose, None)
