"""A restart without a pause: the successor takes over the listening sockets and the topics, the running server drains.

The rules of this file:

* Both talk over a Unix socket, whose path is the setting `takeover`. Each talks only to programs of its own user, or
  of root. The listening end of that socket is handed over too, so there is always a server that listens at the path.
* The running server goes on unchanged until its successor can serve. A successor that cannot start, for instance
  because of a mistake in its settings, changes nothing.
* Until the message GO the running server can take everything back. From GO on only the successor accepts clients and
  messages. So no message is accepted at two places.
* From PREPARED until GO a POST is answered 503, and new clients wait in the system's queue. Readers are still served,
  so the running server takes and sends the snapshot in portions.

| sender | message | content |
| --- | --- | --- |
| successor | HELLO | `Hello` |
| running | SOCKETS | `Offer`, and the sockets |
| successor | PREPARED | empty: it can serve |
| running | PART, any number of times | a part of the snapshot |
| running | END | empty |
| successor | RESTORED | how many topics it left out |
| running | GO | empty |
"""

import asyncio
import contextlib
import logging
import os
import socket
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from slosh.engine import snapshot
from slosh.engine.memory import MemoryEngine
from slosh.errors import CannotListen
from slosh.http1.turns import TURN
from slosh.listening import bind_unix
from slosh.server import Server

log: Final = logging.getLogger("slosh.takeover")

HELLO, SOCKETS, PREPARED, PART, END, RESTORED, GO = b"HSPTERG"

_FRAME: Final = struct.Struct("!BBQ")
"""The head of a frame: its kind, the number of sockets sent with it, and the bytes of its data."""
_LARGEST: Final = 1 << 31
"""Bytes of a frame at most. The largest contain one topic with all its messages."""
_AT_A_TIME: Final = 64 * 1024
_MOST_SOCKETS: Final = 64
"""Sockets in a frame; Linux allows 253 (SCM_MAX_FD)."""

START_WITHIN: Final = 120.0
"""Seconds from SOCKETS to PREPARED at most. The successor may have to wait for its store."""
RESTORE_WITHIN: Final = 30.0
"""Seconds from PREPARED to GO at most, while POSTs are refused; also for HELLO, and for the answer to it."""

_SETTLE_WITHIN: Final = 1.0
"""Seconds in which histories process waiting messages in portions. The rest is processed at once."""


class Hello(msgspec.Struct):
    """The content of HELLO.

    Attributes:
        format: the format of snapshots that the successor can restore.
    """

    format: int


class Offer(msgspec.Struct):
    """The content of SOCKETS. The last of the sockets sent with it is the one that listens at the path `takeover`.

    Attributes:
        has_topics: whether the topics are handed over. Not if a store has them, or the formats differ.
        pid: process id of the running server.
    """

    has_topics: bool
    pid: int


class HandoverBroken(Exception):
    """The other end has closed the connection, or broke the protocol."""


class Frame(NamedTuple):
    """A received message. The caller must close its sockets."""

    kind: int
    data: bytes
    sockets: list[socket.socket]


class Channel:
    """One end of the connection between the two servers. The caller must call `close`.

    Args:
        plain: a connected socket of the family `AF_UNIX`.
    """

    def __init__(self, plain: socket.socket) -> None:
        plain.settimeout(0.0)
        self._socket = plain
        self._read = bytearray()
        self._sockets: list[socket.socket] = []

    def close(self) -> None:
        """Close the connection, and sockets that were received but not returned by `receive`."""
        self._socket.close()
        for each in self._sockets:
            each.close()
        self._sockets = []

    async def send(self, kind: int, data: bytes = b"", sockets: Sequence[socket.socket] = ()) -> None:
        """Send a frame. The caller keeps its own copies of `sockets`.

        Raises:
            HandoverBroken: the other end has closed the connection.
        """
        left = memoryview(_FRAME.pack(kind, len(sockets), len(data)) + data)
        numbers = [each.fileno() for each in sockets]
        while left:
            try:
                sent = socket.send_fds(self._socket, [left[:_AT_A_TIME]], numbers)
            except BlockingIOError:
                await self._until(is_writing=True)
                continue
            except OSError as error:
                raise HandoverBroken(error.strerror) from None
            left = left[sent:]
            numbers = []  # They are sent with the first byte.

    async def receive(self, *kinds: int) -> Frame:
        """The next frame, which must be one of `kinds`.

        Raises:
            HandoverBroken: the other end has closed the connection, or sent something else.
        """
        while len(self._read) < _FRAME.size:
            await self._receive_some()
        kind, count, size = _FRAME.unpack_from(self._read)
        if size > _LARGEST or count > _MOST_SOCKETS:
            raise HandoverBroken("what came is no frame")
        while len(self._read) < _FRAME.size + size:
            await self._receive_some()
        data = bytes(memoryview(self._read)[_FRAME.size : _FRAME.size + size])
        del self._read[: _FRAME.size + size]
        sockets, self._sockets = self._sockets[:count], self._sockets[count:]
        if kind not in kinds:
            for each in sockets:
                each.close()
            raise HandoverBroken("it said something else")
        return Frame(kind, data, sockets)

    async def _receive_some(self) -> None:
        try:
            data, numbers, _, _ = socket.recv_fds(self._socket, _AT_A_TIME, _MOST_SOCKETS)
        except BlockingIOError:
            await self._until(is_writing=False)
            return
        except OSError as error:
            raise HandoverBroken(error.strerror) from None
        self._sockets += [socket.socket(fileno=number) for number in numbers]
        for each in self._sockets:
            each.set_inheritable(False)
        if not data:
            raise HandoverBroken("it has gone")
        self._read += data

    async def _until(self, *, is_writing: bool) -> None:
        """Wait until the socket is writable, or readable."""
        loop, number = asyncio.get_running_loop(), self._socket.fileno()
        ready: asyncio.Future[None] = loop.create_future()
        add, remove = (loop.add_writer, loop.remove_writer) if is_writing else (loop.add_reader, loop.remove_reader)
        add(number, lambda: None if ready.done() else ready.set_result(None))
        try:
            await ready
        finally:
            remove(number)


class Predecessor:
    """The running server, as its successor sees it. Call `take_topics` once the successor could serve.

    Attributes:
        sockets: its listening sockets, which the caller must use or close.
        listener: the socket that listens at the path `takeover`, for the successor's `Handover`.
        pid: its process id.
    """

    def __init__(self, channel: Channel, given: Offer, sockets: list[socket.socket]) -> None:
        self._channel = channel
        self._given = given
        *self.sockets, self.listener = sockets  # a ValueError if there are none
        self.pid = given.pid

    async def take_topics(self, server: Server) -> None:
        """Send PREPARED, and restore the topics in `server`, which must be started and accept no clients yet.

        When this returns the other server accepts neither clients nor messages; the caller must call `Server.accept`.

        Raises:
            HandoverBroken: the other server goes on by itself, or has ended. Stop `server`.
        """
        await self._channel.send(PREPARED)
        left_out = 0
        while (frame := await self._channel.receive(PART, END)).kind == PART:
            if isinstance(server.engine, MemoryEngine):
                now = asyncio.get_running_loop().time()
                left_out += snapshot.put_back(server.engine, frame.data, now)
        await self._channel.send(RESTORED, b"%d" % left_out)
        await self._channel.receive(GO)
        self._channel.close()
        if left_out:
            log.warning("%d topics of the server before this one had no room (max_topics, max_bytes)", left_out)
        if not self._given.has_topics and isinstance(server.engine, MemoryEngine):
            log.warning("the server before this one had no topics to hand over: their readers are told reset")


async def find_predecessor(path: str) -> Predecessor | None:
    """The running server that listens for successors at `path`; None if there is none.

    Raises:
        CannotListen: there is one, but it does not hand over; the detail says why.
    """
    plain = socket.socket(socket.AF_UNIX)
    try:
        plain.connect(path)
    except (FileNotFoundError, ConnectionRefusedError):
        plain.close()
        return None
    except OSError as error:
        plain.close()
        raise CannotListen(f"takeover: {path} cannot be connected to: {error.strerror}.") from None
    if not _is_own(plain):
        plain.close()
        raise CannotListen(f"takeover: a program of another user listens at {path}. Choose a folder of your own.")
    channel = Channel(plain)
    try:
        await channel.send(HELLO, msgspec.json.encode(Hello(snapshot.FORMAT)))
        frame = await asyncio.wait_for(channel.receive(SOCKETS), RESTORE_WITHIN)
        return Predecessor(channel, msgspec.json.decode(frame.data, type=Offer), frame.sockets)
    except (HandoverBroken, TimeoutError, ValueError) as error:
        channel.close()
        raise CannotListen(f"takeover: the server that listens at {path} does not hand over: {error}.") from None


class Handover:
    """Listens for a successor of a running server, and hands over to it. The caller must call `close`.

    Args:
        server: the running server.
        path: the setting `takeover`.
        listener: the socket that listens there; None to open it.

    Attributes:
        done: set once a successor serves. The caller must stop `server` then.

    Raises:
        CannotListen: a socket cannot be opened at the path.
    """

    def __init__(self, server: Server, path: str, listener: socket.socket | None = None) -> None:
        if server.state is None:
            raise RuntimeError("This server has not been started.")
        self._turns = server.state.turns
        self._server = server
        self._path = path
        self.done = asyncio.Event()
        self._is_given = False
        if listener is None:
            umask = os.umask(0o177)  # A program that can connect gets all topics.
            try:
                listener = bind_unix(path, "takeover")
            finally:
                os.umask(umask)
        self._listener = listener
        listener.settimeout(0.0)
        self._task: asyncio.Task[None] | None = None
        asyncio.get_running_loop().add_reader(listener.fileno(), self._accept)

    def close(self) -> None:
        """Stop listening for successors. The socket's file stays if a successor listens there now."""
        if self._listener.fileno() < 0:
            return
        asyncio.get_running_loop().remove_reader(self._listener.fileno())
        self._listener.close()
        if not self._is_given:
            with contextlib.suppress(OSError):
                Path(self._path).unlink()

    def _accept(self) -> None:
        """Talk to a successor, unless it belongs to another user, or there is another one already."""
        try:
            plain, _ = self._listener.accept()
        except OSError:
            return
        if not _is_own(plain) or self._task is not None:
            plain.close()
            return
        self._task = asyncio.ensure_future(self._talk(Channel(plain)))

    async def _talk(self, channel: Channel) -> None:
        """Hand over to a successor. If that fails the server goes on."""
        try:
            await self._hand_over(channel)
        except (HandoverBroken, TimeoutError, ValueError) as error:
            log.error("takeover: a successor failed, and this server goes on: %s", str(error) or "it took too long")  # noqa: TRY400 - the sentence is all
        finally:
            channel.close()
            self._task = None

    async def _hand_over(self, channel: Channel) -> None:
        server = self._server
        hello = msgspec.json.decode((await asyncio.wait_for(channel.receive(HELLO), RESTORE_WITHIN)).data, type=Hello)
        engine = server.engine if isinstance(server.engine, MemoryEngine) else None
        if hello.format != snapshot.FORMAT:
            engine = None
        given = Offer(has_topics=engine is not None, pid=os.getpid())
        await channel.send(SOCKETS, msgspec.json.encode(given), [*server.sockets, self._listener])
        await asyncio.wait_for(channel.receive(PREPARED), START_WITHIN)
        await server.accept_no_more()
        try:
            await asyncio.wait_for(self._hand_topics_over(channel, engine), RESTORE_WITHIN)
        except BaseException:
            if self._is_given:
                raise
            if engine is not None:
                engine.is_handed_over = False
            await server.accept()
            raise

    async def _hand_topics_over(self, channel: Channel, engine: MemoryEngine | None) -> None:
        if engine is not None:
            engine.is_handed_over = True
            await _settle_histories(engine)
            clock = self._turns.clock
            until = clock() + TURN
            for part in snapshot.take(engine, asyncio.get_running_loop().time()):
                await channel.send(PART, part)  # This waits only if the successor is slower, hence the pauses below.
                if clock() >= until:
                    await asyncio.sleep(0)
                    until = clock() + TURN
        await channel.send(END)
        await channel.receive(RESTORED)
        await channel.send(GO)
        # No `await` from here on: the successor serves already, so this server must not answer another request.
        self._is_given = True
        self.close()
        self._server.give_up_sockets()
        self.done.set()


async def _settle_histories(engine: MemoryEngine) -> None:
    """Wait while the hub adds the newest messages to histories, a portion in each turn, so that histories are whole."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _SETTLE_WITHIN
    while engine.hub.histories and loop.time() < until:  # noqa: ASYNC110 - the hub works in each turn, without an event
        await asyncio.sleep(0)


def _is_own(plain: socket.socket) -> bool:
    """Whether the other end is a program of our own user, or of root.

    Always True except on Linux: elsewhere only the mode of the socket's file keeps other users out.
    """
    if sys.platform != "linux":
        return True
    _, user, _ = struct.unpack("3i", plain.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return user in (0, os.getuid())
