"""The transport of a `Connection` whose client talks to an ASGI server, which has the socket."""

import asyncio
from typing import Final

from slosh.asgi.messages import Message, Send

_ROOM: Final = 64 * 1024
"""Bytes that wait for the ASGI server before the connection is told to write no more."""
_PEER: Final = ("127.0.0.1", 0)
"""The connection's peer: this host, which is a trusted proxy by default and names the client in `X-Forwarded-For`."""


class Transport(asyncio.Transport):
    """A transport in memory: the connection writes to it, and the ASGI side takes what was written.

    Make one with `open_transport`.
    """

    def __init__(self) -> None:
        super().__init__({"peername": _PEER})
        self.connection: asyncio.Protocol | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._stopped = False
        self._closing = False
        self._is_cut = False
        self._giving: asyncio.Task[None] | None = None  # the task in which `give` waits for the ASGI server
        # Futures and no events, because most answers are written before `take` is called.
        self._taking: asyncio.Future[None] | None = None  # of a `take` that waits
        self._is_read = True
        self._reading: asyncio.Future[None] | None = None  # of an `until_read` that waits

    # Called by the connection.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Buffer `data`. With more than `_ROOM` in the buffer the connection must pause."""
        if self._closing:
            return
        self._parts.append(bytes(data))
        self._size += len(data)
        _wake(self._taking)
        if self._size > _ROOM and not self._stopped and self.connection is not None:
            self._stopped = True
            self.connection.pause_writing()

    def get_write_buffer_size(self) -> int:
        """Bytes that the ASGI server has not taken."""
        return self._size

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing: `_ROOM` is the limit."""

    def pause_reading(self) -> None:
        """Pass on no more of the request."""
        self._is_read = False

    def resume_reading(self) -> None:
        """Pass on the rest of the request."""
        self._is_read = True
        _wake(self._reading)

    def is_closing(self) -> bool:
        """Whether nothing can be written any more."""
        return self._closing

    def can_write_eof(self) -> bool:
        """Always True."""
        return True

    def write_eof(self) -> None:
        """Close, as there is one answer only."""
        self.close()

    def close(self) -> None:
        """Accept no more writes. The ASGI side still takes what was written."""
        self._closing = True
        _wake(self._taking)
        self.resume_reading()

    def abort(self) -> None:
        """Close, discard what was written, and interrupt `give`, which may wait for a client that takes nothing."""
        self._parts = []
        self.close()
        if self._giving is not None:
            self._is_cut = True
            self._giving.cancel()

    # Called by the ASGI side.

    async def take(self) -> bytes:
        """The bytes written since the last call. Waits until there are some; empty after the last ones."""
        while not self._parts and not self._closing:
            self._taking = asyncio.get_running_loop().create_future()
            await self._taking
        return self.take_now()

    def take_now(self) -> bytes:
        """As `take`, without waiting: empty if nothing was written."""
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def give(self, send: Send, message: Message) -> None:
        """Pass a message to the ASGI server. Waits while its client does not keep up.

        Raises:
            ConnectionError: the connection was aborted in the meantime.
        """
        self._giving = task = asyncio.current_task()
        try:
            await send(message)
        except asyncio.CancelledError:
            if task is None or not self._is_cut or task.uncancel():  # whoever runs the program cancels it as well
                raise
            raise ConnectionError("the answer was cut") from None
        finally:
            self._giving = None

    def taken(self) -> None:
        """Note that the ASGI server has accepted all that `take` and `take_now` returned."""
        self._size = sum(map(len, self._parts))
        if self._stopped and not self._size and self.connection is not None:
            self._stopped = False
            self.connection.resume_writing()

    async def until_read(self) -> None:
        """Wait until the connection reads. Call this before each `data_received` with a part of a body."""
        while not self._is_read:
            self._reading = asyncio.get_running_loop().create_future()
            await self._reading


def _wake(waiting: asyncio.Future[None] | None) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)


def open_transport(connection: asyncio.Protocol) -> Transport:
    """Connect `connection` to a new transport. The caller must call its `connection_lost` in the end."""
    transport = Transport()
    transport.connection = connection
    connection.connection_made(transport)
    return transport
