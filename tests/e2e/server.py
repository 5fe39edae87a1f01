"""A server in a process of its own, and clients on real sockets: curl, and plain ones by the thousand."""

import asyncio
import json
import re
import resource
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import psutil

from benchmarks.processes import ProcessGroup
from tests.conftest import need
from tests.running import PATIENCE, SLOSH, Running, get

T = TypeVar("T")


class Answer(NamedTuple):
    """What curl got."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def curl(*arguments: str | Path, data: bytes | None = None) -> Answer:
    """One request by curl; `data` is posted as it is."""
    command = [need("curl"), "-sS", "--max-time", str(PATIENCE), "-w", "\n%{http_code}", *arguments]
    if data is not None:
        command += ["--data-binary", "@-"]
    done = subprocess.run(command, input=data or b"", capture_output=True, check=True, timeout=2 * PATIENCE)
    body, _, status = done.stdout.rpartition(b"\n")
    return Answer(int(status), body)


def until(look: Callable[[], T], right: Callable[[T], bool]) -> T:
    """Look again and again until it is right, and return what was seen then."""
    deadline = time.monotonic() + PATIENCE
    while not right(seen := look()):
        assert time.monotonic() < deadline, f"not within {PATIENCE} s; last seen: {seen!r}"
        time.sleep(0.01)
    return seen


class Serving(Running):
    """`python -m slosh serve` on a free port, or where `options` say."""

    def __init__(self, folder: Path, *options: str, port: int = 0) -> None:
        where = () if any(each.startswith("--uds") for each in options) else (f"--port={port}",)
        super().__init__((*SLOSH, "serve", *where, *options), folder)
        try:
            self.url = self.hear(r"is ready on ([^ ,]+)")[1]
        except BaseException:
            self.process.end()
            raise
        self.port = int(self.url.rpartition(":")[2]) if self.url.startswith("http") else 0

    def topic(self, name: str = "test") -> str:
        """The URL of a topic."""
        return f"{self.url}/topics/{name}"

    def post(self, data: bytes, topic: str = "test") -> Answer:
        """Publish with curl."""
        return curl(self.topic(topic), data=data)

    def metric(self, name: str) -> float:
        """One of the server's counts, 0 where it is not told yet."""
        address = f"{self.url}/-/metrics"
        # A test may look a hundred times a second, and each curl is a process.
        text = (get(address) if address.startswith("http://") else curl(address).body).decode()
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def until_watched(self, count: int) -> None:
        """Wait until so many watch, over all topics."""
        until(lambda: self.metric("slosh_watchers"), lambda watchers: watchers == count)

    def until_alone(self) -> None:
        """Wait until nobody but the asker is connected."""
        until(lambda: self.metric("slosh_connections"), lambda connections: connections == 1)

    @property
    def memory(self) -> int:
        """Resident memory of the process, bytes."""
        size: int = psutil.Process(self.process.pid).memory_info().rss
        return size

    def assert_healthy(self) -> None:
        """It serves, and nothing went wrong inside."""
        assert curl(f"{self.url}/-/healthy") == Answer(200, b"ok\n")
        assert "Traceback" not in self.output, self.output
        assert "ERROR" not in self.output, self.output


class CurlPoll(ProcessGroup[bytes]):
    """A curl that waits for an answer, while the test does something else."""

    def __init__(self, *arguments: str | Path) -> None:
        command = [need("curl"), "-sS", "--max-time", str(PATIENCE), *arguments]
        super().__init__(command, stdout=subprocess.PIPE)

    def answer(self) -> Any:
        """The JSON that it got."""
        body, _ = self.communicate(timeout=2 * PATIENCE)
        assert self.returncode == 0
        return json.loads(body)


def allow_files(count: int) -> None:
    """Let this process open so many files, which a person's machine may refuse; then the test says so."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


class Crowd:
    """Very many plain clients at once, on the running event loop. Use as an asynchronous context manager."""

    def __init__(self, port: int, size: int) -> None:
        self._port = port
        self._size = size
        self.clients: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def __aenter__(self) -> Self:
        while (missing := self._size - len(self.clients)) > 0:
            opening = (asyncio.open_connection("127.0.0.1", self._port) for _ in range(min(100, missing)))
            self.clients.extend(await asyncio.gather(*opening))
        return self

    async def __aexit__(self, *error: object) -> None:
        for _, writer in self.clients:
            writer.close()

    def send(self, request: bytes) -> None:
        """Let every client send the same."""
        for _, writer in self.clients:
            writer.write(request)

    async def receive(self) -> list[tuple[bytes, bytes]]:
        """Head and body of the next answer to every client."""
        return await asyncio.wait_for(asyncio.gather(*(receive(reader) for reader, _ in self.clients)), PATIENCE)

    def reset(self) -> None:
        """Let every client vanish with a reset instead of an end."""
        for _, writer in self.clients:
            plug: socket.socket = writer.get_extra_info("socket")
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


async def receive(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and body of one answer that tells its length."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"\r\nContent-Length: ([0-9]+)\r\n", head)
    assert length, head
    return head, await reader.readexactly(int(length[1]))
