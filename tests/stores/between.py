"""A road to a store on which a test decides what gets through: replies may be held back, and connections cut."""

import asyncio
import contextlib
from typing import Self


class Between:
    """Stands between clients and a store, on the running event loop: `async with Between(port) as between`.

    Args:
        port: of the store.

    Attributes:
        port: where clients come.
        is_mute: whether the store's replies are held back; what clients send reaches it all the same.
        held: bytes of replies that were held back.
        is_closed: whether clients that come are turned away.
    """

    def __init__(self, port: int) -> None:
        self._store = port
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.is_mute = False
        self.held = 0
        self.is_closed = False

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for task in tuple(self._tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def cut(self) -> None:
        """Cut all connections, on both sides."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_closed:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._store)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        for source, sink, is_reply in ((reader, back, False), (there, writer, True)):
            task = asyncio.ensure_future(self._carry(source, sink, is_reply=is_reply))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_reply: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if is_reply and self.is_mute:
                    self.held += len(data)
                else:
                    sink.write(data)
        sink.transport.abort()
