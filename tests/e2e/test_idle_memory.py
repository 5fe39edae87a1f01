"""What a reader that only waits takes of the server's memory, beside what the event loop takes for any connection.

Very many readers wait at a time, so an object more for each of them shows in gigabytes, and in no other test. The bytes
are those that Python allocates, which are the same on a busy machine. Where this fails, look what was added for each
connection or each reader: a slot, an object that the loop's transport makes when it is asked for its socket, a number
of its own, a container that has nothing in it. Raise a bound for what is worth its memory to every reader.
"""

import asyncio
import gc
import socket
import tracemalloc
from collections.abc import Awaitable, Callable

import pytest

from benchmarks.machine import raise_file_limit
from slosh.server import Server
from slosh.settings import Settings
from slosh.startup import loop_factory
from tests.running import PATIENCE

BEFORE, COUNT, AT_A_TIME = 256, 1024, 128
"""Readers that find what the start has left free, readers that are measured, and how many come at a time: most of such
a crowd are accepted past the event loop."""
REQUEST = b"GET /topics/kitchen HTTP/1.1\r\nHost: 127.0.0.1\r\n%b\r\n"


class Bare(asyncio.Protocol):
    """Holds its transport, and does nothing."""

    __slots__ = ("_transport",)

    def __init__(self, held: list["Bare"]) -> None:
        held.append(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport


async def bytes_for_each(port: int, request: bytes, count_held: Callable[[], int]) -> float:
    """The bytes that the server's side takes for each of very many clients who have sent this request and wait."""
    clients = [socket.socket() for _ in range(BEFORE + COUNT)]  # their memory is not counted
    try:
        await hold(clients[:BEFORE], port, request, count_held)
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        await hold(clients[BEFORE:], port, request, count_held)
        gc.collect()
        return (tracemalloc.get_traced_memory()[0] - before) / COUNT
    finally:
        tracemalloc.stop()
        for client in clients:
            client.close()


async def hold(clients: list[socket.socket], port: int, request: bytes, count_held: Callable[[], int]) -> None:
    """Let all of them be held."""
    held = count_held()
    for start in range(0, len(clients), AT_A_TIME):
        crowd = clients[start : start + AT_A_TIME]
        for client in crowd:
            client.connect(("127.0.0.1", port))
            client.sendall(request)
        held += len(crowd)
        async with asyncio.timeout(PATIENCE):
            while count_held() < held:  # noqa: ASYNC110 - nothing tells when a client is held
                await asyncio.sleep(0)


async def measure_bare() -> float:
    """The bytes of a connection whose protocol does nothing."""
    held: list[Bare] = []
    server = await asyncio.get_running_loop().create_server(lambda: Bare(held), "127.0.0.1", 0, backlog=AT_A_TIME)
    try:
        return await bytes_for_each(server.sockets[0].getsockname()[1], REQUEST % b"", lambda: len(held))
    finally:
        server.close()


async def measure_readers(fields: bytes) -> float:
    """The bytes of a reader whose request has these header lines."""
    server = Server(Settings(port=0, root="none"))
    await server.start()
    try:
        port = int(server.addresses[0].rpartition(":")[2])
        assert server._engine is not None
        hub = server._engine.hub
        return await bytes_for_each(port, REQUEST % fields, lambda: hub.watching)
    finally:
        await server.stop()


def run(work: Callable[[], Awaitable[float]]) -> float:
    async def wait() -> float:
        return await work()

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(wait())


@pytest.mark.parametrize(
    ("fields", "most"), [(b"", 500), (b"Accept: text/event-stream\r\n", 660)], ids=["poll", "stream of events"]
)
def test_a_reader_that_waits_takes_little_beside_what_the_event_loop_takes(fields: bytes, most: int) -> None:
    raise_file_limit()
    own = run(lambda: measure_readers(fields)) - run(measure_bare)
    assert own < most, f"each takes {own:.0f} bytes"
