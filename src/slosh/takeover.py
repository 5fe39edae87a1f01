"""A restart that nobody notices: the next server takes over the listening sockets and the topics, this one drains.

The rules of this file:

* Both speak over a Unix socket, whose path is the setting `takeover`. Each hears only programs of its own user, or of
  root. It is among the sockets that are handed over, so a path has somebody who listens all the time.
* The one that runs goes on as if nothing had happened until its successor can serve: a successor that cannot start, for
  a mistake in its settings for instance, changes nothing.
* There is one moment at which the word is given (GO). Before it the one that runs can take everything back; after it
  the successor alone accepts clients and takes messages. So no message is taken at two places.
* Between the snapshot and that moment a POST is answered 503, and new clients wait in the system's queue. Readers are
  served as before, so the snapshot is taken and sent some topics in a turn.

| who | sends | with |
| --- | --- | --- |
| successor | HELLO | the format of snapshots that it knows |
| running | SOCKETS | how many topics' parts it will send: none if they cannot be put back; the sockets themselves |
| successor | PREPARED | it could serve now |
| running | PART, again and again, then END | a part of the snapshot |
| successor | RESTORED | how many topics it left out |
| running | GO | |
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

HELLO, SOCKETS, PREPARED, PART, END, RESTORED, GO, REFUSED = b"HSPTERGX"

_FRAME: Final = struct.Struct("!BBQ")
"""Kind, how many sockets come with it, bytes."""
_LARGEST: Final = 1 << 31
"""Bytes of a frame at most: one topic with its messages is in it."""
_AT_A_TIME: Final = 64 * 1024
_MOST_SOCKETS: Final = 64
"""Sockets in a frame; the system takes 253 (SCM_MAX_FD)."""

START_WITHIN: Final = 120.0
"""Seconds that a successor has to make ready; a store that is away is waited for."""
RESTORE_WITHIN: Final = 30.0
"""Seconds that it has for the topics; meanwhile POSTs are refused."""

_SETTLE_WITHIN: Final = 1.0
"""Seconds that histories have to look into what came last, a portion a turn; what is left then is done at once."""


class Hello(msgspec.Struct):
    """What a successor says first."""

    format: int


class Offer(msgspec.Struct):
    """What comes with the sockets. Of these the last is the one at which successors are heard.

    Attributes:
        has_topics: whether the topics are handed over.
        pid: of the server that runs.
    """

    has_topics: bool
    pid: int


class HandoverBroken(Exception):
    """The other end has gone, or says what it must not."""


class Frame(NamedTuple):
    """What was received."""

    kind: int
    data: bytes
    sockets: list[socket.socket]


class Channel:
    """One end of the conversation. Close it.

    Args:
        plain: connected, and of the system's kind `AF_UNIX`.
    """

    def __init__(self, plain: socket.socket) -> None:
        plain.settimeout(0.0)
        self._socket = plain
        self._read = bytearray()
        self._sockets: list[socket.socket] = []

    def close(self) -> None:
        """End it, and close what was received and not used."""
        self._socket.close()
        for each in self._sockets:
            each.close()
        self._sockets = []

    async def send(self, kind: int, data: bytes = b"", sockets: Sequence[socket.socket] = ()) -> None:
        """Send a frame.

        Raises:
            HandoverBroken: the other end has gone.
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
            numbers = []  # They went with the first byte.

    async def receive(self, *kinds: int) -> Frame:
        """The next frame, which must be one of `kinds`.

        Raises:
            HandoverBroken: the other end has gone, or sent something else.
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
            raise HandoverBroken(data.decode(errors="replace") if kind == REFUSED else "it said something else")
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
        """Wait until the socket can be written, or read."""
        loop, number = asyncio.get_running_loop(), self._socket.fileno()
        ready: asyncio.Future[None] = loop.create_future()
        add, remove = (loop.add_writer, loop.remove_writer) if is_writing else (loop.add_reader, loop.remove_reader)
        add(number, lambda: None if ready.done() else ready.set_result(None))
        try:
            await ready
        finally:
            remove(number)


class Predecessor:
    """The server that runs, as its successor sees it.

    Attributes:
        sockets: on which it listens.
        listener: at which the successor hears its own successors.
        pid: of its process.
    """

    def __init__(self, channel: Channel, given: Offer, sockets: list[socket.socket]) -> None:
        self._channel = channel
        self._given = given
        *self.sockets, self.listener = sockets  # a ValueError if there are none
        self.pid = given.pid

    async def take_topics(self, server: Server) -> None:
        """Tell that `server`, which is started and accepts nothing yet, can serve, and put back what it is given.

        When this returns the other server accepts no more and takes no messages; the caller must call `accept`.

        Raises:
            HandoverBroken: the other one has taken everything back, or has gone.
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
    """The server that runs and hears successors at `path`; None if none does.

    Raises:
        CannotListen: one does, and does not hand over; the detail says why.
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
    """What a running server does for its successor. Call `close` at the end.

    Args:
        server: it serves.
        path: where successors are heard.
        listener: that listens there already; None if it is to be made.

    Attributes:
        done: set once a successor serves: stop then.

    Raises:
        CannotListen: the path cannot be had.
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
            umask = os.umask(0o177)  # A client that may connect is given all topics.
            try:
                listener = bind_unix(path, "takeover")
            finally:
                os.umask(umask)
        self._listener = listener
        listener.settimeout(0.0)
        self._task: asyncio.Task[None] | None = None
        asyncio.get_running_loop().add_reader(listener.fileno(), self._accept)

    def close(self) -> None:
        """Hear no successors any more."""
        if self._listener.fileno() < 0:
            return
        asyncio.get_running_loop().remove_reader(self._listener.fileno())
        self._listener.close()
        if not self._is_given:
            with contextlib.suppress(OSError):
                Path(self._path).unlink()

    def _accept(self) -> None:
        try:
            plain, _ = self._listener.accept()
        except OSError:
            return
        if not _is_own(plain) or self._task is not None:
            plain.close()
            return
        self._task = asyncio.ensure_future(self._talk(Channel(plain)))

    async def _talk(self, channel: Channel) -> None:
        """Hand over to a successor, or go on if it fails."""
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
                await channel.send(PART, part)  # which waits only if the successor is slower than this
                if clock() >= until:
                    await asyncio.sleep(0)
                    until = clock() + TURN
        await channel.send(END)
        await channel.receive(RESTORED)
        await channel.send(GO)
        # In this very step: the successor serves already, and no request may be answered here as before.
        self._is_given = True
        self.close()
        self._server.give_up_sockets()
        self.done.set()


async def _settle_histories(engine: MemoryEngine) -> None:
    """Have the messages that came last looked into, a portion in each turn, so that histories are whole."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _SETTLE_WITHIN
    while engine.hub.histories and loop.time() < until:  # noqa: ASYNC110 - what is waited for is done in each turn
        await asyncio.sleep(0)


def _is_own(plain: socket.socket) -> bool:
    """Whether the other end is a program of our own user, or of root.

    If the system does not tell, the mode of the socket's file alone keeps others out.
    """
    if sys.platform != "linux":
        return True
    _, user, _ = struct.unpack("3i", plain.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return user in (0, os.getuid())
