"""`python -m benchmarks.bare`: the bytes that a connection takes at the event loop alone, with nothing of slosh.

A server whose protocol does nothing holds thousands of connections that have sent a request, on uvloop and on asyncio's
own loop. What an idle reader of slosh takes beyond that is slosh's own.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvloop

from benchmarks.machine import raise_file_limit

if TYPE_CHECKING:
    from collections.abc import Sequence

FIRST: Final = 2_000
"""Connections before the first look: they find room that the start left."""
SPARE_FILES: Final = 100
REQUEST: Final = b"GET /topics/kitchen HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Held:
    """The connections that are held, and what memory they took.

    Args:
        count: how many there will be.
    """

    def __init__(self, count: int) -> None:
        self.connections: list[Bare] = []
        self._count = count
        self._before = 0
        self.each = asyncio.get_running_loop().create_future()

    def hold(self, connection: Bare) -> None:
        """One more; the last of them tells `each`, the bytes that one takes."""
        self.connections.append(connection)
        if len(self.connections) == FIRST:
            self._before = resident()
        elif len(self.connections) == self._count:
            self.each.set_result((resident() - self._before) / (self._count - FIRST))


class Bare(asyncio.Protocol):
    """Holds its transport, and does nothing."""

    __slots__ = ("_held", "_transport")

    def __init__(self, held: Held) -> None:
        self._held = held

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As asyncio says."""
        self._transport = transport
        self._held.hold(self)


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def connect(port: int, count: int) -> None:
    """Hold so many connections until this process is ended."""
    held = []
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(REQUEST)
        held.append(client)
    signal.pause()


async def measure(count: int) -> float:
    """Bytes for each connection."""
    held = Held(count)
    server = await asyncio.get_running_loop().create_server(lambda: Bare(held), "127.0.0.1", 0, backlog=count)
    port = server.sockets[0].getsockname()[1]
    clients = multiprocessing.get_context("fork").Process(target=connect, args=(port, count), daemon=True)
    clients.start()
    try:
        return float(await held.each)
    finally:
        clients.kill()
        server.close()


LOOPS: Final = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print, each loop in a process of its own: memory that one has freed would serve the other."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bare", description=__doc__.partition("\n")[0])
    parser.add_argument("loop", nargs="?", choices=LOOPS, help="usually both, one after the other")
    chosen = parser.parse_args(words)
    if chosen.loop is None:
        return max(
            subprocess.run([sys.executable, "-m", "benchmarks.bare", name], check=False).returncode for name in LOOPS
        )
    raise_file_limit()
    count = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2 - SPARE_FILES
    with asyncio.Runner(loop_factory=LOOPS[chosen.loop]) as runner:
        print(f"{chosen.loop}: {runner.run(measure(count)):,.0f} bytes for each of {count:,} connections", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
