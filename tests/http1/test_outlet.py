"""Streams on real sockets: past the transport while nothing waits in it, and no byte lost, doubled or overtaken."""

import asyncio
import contextlib
import gc
import json
import socket
import warnings
from collections.abc import Awaitable, Callable

import pytest

from slosh.http1.outlet import open_outlet
from slosh.http1.protocol import HttpConnection
from slosh.server import Server
from slosh.settings import Settings
from slosh.startup import loop_factory
from tests.web.harness import Site

PATIENCE = 60.0
LARGE = 256 * 1024
"""Bytes of a message; some of them are more than a socket takes from whoever writes to a client that does not read."""
MANY = 24


@pytest.fixture(params=[False, True], ids=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest) -> Callable[[Callable[["Served"], Awaitable[None]]], None]:
    """Runs work with a server, on uvloop where it is to be had, or on asyncio's own loop."""

    def run(work: Callable[["Served"], Awaitable[None]]) -> None:
        async def bounded() -> None:
            site = Served()
            await site.server.start()
            try:
                await asyncio.wait_for(work(site), PATIENCE)
            finally:
                await site.server.stop()

        with asyncio.Runner(loop_factory=None if request.param else loop_factory()) as runner:
            runner.run(bounded())

    return run


class Served:
    """A server in this process, and clients of it."""

    def __init__(self) -> None:
        self.server = Server(Settings(port=0))

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A client whose socket takes little by itself."""
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        plain.setblocking(False)
        port = int(self.server.addresses[0].rpartition(":")[2])
        await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", port))
        return await asyncio.open_connection(sock=plain, limit=16 * 1024)

    async def follow(self, topic: str) -> "Follower":
        """A reader of an NDJSON stream, whose head was read."""
        reader, writer = await self.connect()
        writer.write(f"GET /topics/{topic}?format=ndjson HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        return Follower(reader, writer)

    async def post(self, topic: str, *messages: bytes) -> None:
        """Publish, each by itself, all on one connection."""
        reader, writer = await self.connect()
        for message in messages:
            head = f"POST /topics/{topic} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(message)}\r\n\r\n"
            writer.write(head.encode() + message)
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200"), answer
            length = int(answer.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
        writer.close()


class Follower:
    """The reader of a chunked body of lines."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self._body = b""

    async def read(self, count: int) -> list[object]:
        """The next `count` messages; loudly if a line says that any were missed."""
        messages: list[object] = []
        while len(messages) < count:
            line, newline, rest = self._body.partition(b"\n")
            if not newline:
                self._body += await self._chunk()
                continue
            self._body = rest
            if line.strip():
                told = json.loads(line)
                assert told["saw"] == told["delivering"], told
                messages += told["res"]
        return messages

    async def end(self) -> bytes:
        """What comes until the connection's end."""
        return await self._reader.read()

    async def _chunk(self) -> bytes:
        size = int(await self._reader.readline(), 16)
        assert size, "the stream has ended"
        chunk = await self._reader.readexactly(size + 2)
        assert chunk.endswith(b"\r\n"), "the framing is broken: something was lost, doubled or overtaken"
        return chunk[:-2]


Run = Callable[[Callable[[Served], Awaitable[None]]], None]


def test_a_client_whose_socket_was_full_gets_every_byte_in_order_and_then_on(run: Run) -> None:
    async def work(site: Served) -> None:
        follower = await site.follow("a")
        await site.post("a", *(b'"%d %s"' % (number, b"x" * LARGE) for number in range(MANY)))
        got = await follower.read(MANY)
        assert [str(each).partition(" ")[0] for each in got] == [str(number) for number in range(MANY)]
        assert {len(str(each).partition(" ")[2]) for each in got} == {LARGE}
        for number in range(5):
            await site.post("a", b"%d" % number)
            assert await follower.read(1) == [number]

    run(work)


class Buffer(asyncio.Transport):
    """A transport that keeps what it is given, for a socket that can be watched.

    Attributes:
        waiting: what it was given.
    """

    def __init__(self, plain: socket.socket) -> None:
        super().__init__({"socket": plain, "peername": ("192.0.2.1", 1)})
        self.waiting = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.waiting += bytes(data)

    def get_write_buffer_size(self) -> int:
        return len(self.waiting)

    def is_closing(self) -> bool:
        return False


def take_all(plain: socket.socket) -> bytes:
    """All that has come."""
    taken = b""
    with contextlib.suppress(BlockingIOError):
        while True:
            taken += plain.recv(LARGE)
    return taken


def test_nothing_overtakes_what_waits_in_the_transport(site: Site) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for each in (ours, theirs):
            each.setblocking(False)
        transport, connection = Buffer(ours), HttpConnection(site.server, site.heads)
        connection.connection_made(transport)
        connection.write(b"first,")
        assert take_all(theirs) == b"first,"
        assert transport.waiting == b""
        large = bytes(range(256)) * (MANY * LARGE // 256)
        connection.write(large)
        assert 0 < len(transport.waiting) < len(large), "the socket took a part"
        taken = take_all(theirs)
        connection.write(b"then,")  # There is room in the socket again.
        assert take_all(theirs) == b""
        assert taken + transport.waiting == large + b"then,"
        transport.waiting = b""
        connection.write(b"and on")
        assert take_all(theirs) == b"and on"
        connection.write_seldom(b", by the transport")
        assert take_all(theirs) == b""
        assert transport.waiting == b", by the transport"
        transport.waiting = b""
        connection.write(b" and again past it")
        assert take_all(theirs) == b" and again past it"
        connection.connection_lost(None)
        connection.write_seldom(b"to nobody")
        assert not connection.write(b"to nobody")
        assert take_all(theirs) == transport.waiting == b""


def test_the_end_of_a_stream_comes_behind_its_messages(run: Run) -> None:
    async def work(site: Served) -> None:
        follower = await site.follow("a")
        await site.post("a", b"1")
        assert await follower.read(1) == [1]
        end = asyncio.ensure_future(follower.end())
        await site.server.stop()
        assert await end == b"0\r\n\r\n"

    run(work)


@pytest.mark.parametrize("rudely", [False, True], ids=["close", "reset"])
def test_a_stream_that_has_ended_leaves_alone_who_has_its_descriptor_next(run: Run, rudely: bool) -> None:
    async def work(site: Served) -> None:
        for number in range(20):
            gone, stays = await site.follow("a"), None
            await site.post("a", b"%d" % number)
            assert await gone.read(1) == [number]
            if rudely:
                linger = gone.writer.get_extra_info("socket")
                linger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            gone.writer.close()
            await gone.writer.wait_closed()
            stays = await site.follow("b")
            gc.collect()
            await site.post("b", b"%d" % number)
            assert await stays.read(1) == [number]
            stays.writer.close()

    gc.freeze()  # What other tests left is not looked at each time.
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", ResourceWarning)
            run(work)
            gc.collect()
    finally:
        gc.unfreeze()
    assert not [each for each in told if "socket.socket" not in str(each.message) and "socket" in str(each.message)]


def test_what_is_to_be_encrypted_does_not_go_past_the_transport() -> None:
    class Encrypted(asyncio.Transport):
        pass

    with socket.socket() as plain:
        assert open_outlet(Encrypted({"socket": plain, "ssl_object": object()})) is None
        outlet = open_outlet(Encrypted({"socket": plain}))
        assert outlet is not None
        assert outlet.detach() == plain.fileno()
    assert open_outlet(Encrypted()) is None, "it has no socket"
