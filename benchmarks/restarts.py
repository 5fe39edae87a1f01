"""`python -m benchmarks.restarts`: a server is replaced again and again by its successor (`--takeover`), under load.

Long-pollers, EventSources and WebSockets read, publishers post on a schedule over connections that are kept. Each
message is a number that rises by one in its topic, so every reader knows which it has to be given next: each message
is looked for at each reader of its topic. What is counted:

* refused: connections that were refused;
* lost: messages that a reader was not given, told of (`lost`) or not; doubled: messages that it was given twice;
* reset: readers that were told that their place means nothing any more;
* cut: requests whose connection ended before an answer came. A publisher sends such a message again, with its key;
* sent again: messages that a publisher sent more than once, for a cut or for an answer that is not 200.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import queue
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import websockets
from websockets.asyncio.client import connect

from benchmarks.ports import free_port
from benchmarks.processes import ProcessGroup

if TYPE_CHECKING:
    from collections.abc import Sequence

PATIENCE: Final = 60.0
"""Seconds for what takes a fraction of one."""
_LENGTH: Final = re.compile(rb"\r\nContent-Length: (\d+)\r\n", re.IGNORECASE)
_CLOSES: Final = re.compile(rb"\r\nConnection: close\r\n", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Load:
    """How much of everything."""

    restarts: int = 20
    pollers: int = 1000
    streams: int = 200
    websockets: int = 200
    rate: float = 500.0
    """Messages a second, over all topics."""
    topics: int = 200
    publishers: int = 20
    every: float = 1.0
    """Seconds from one restart to the next, at least."""


@dataclass
class Tally:
    """What came of it."""

    published: int = 0
    given: int = 0
    refused: int = 0
    lost: int = 0
    doubled: int = 0
    reset: int = 0
    cut: Counter[str] = field(default_factory=Counter)
    sent_again: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    """Answers other than 200."""
    longest_publish: float = 0.0
    """Seconds until a message was taken."""
    longest_handover: float = 0.0
    """Seconds from the successor's start to its ready line."""

    @property
    def faults(self) -> dict[str, int]:
        """What there must be none of."""
        names = ("refused", "lost", "doubled", "reset")
        return {name: getattr(self, name) for name in names if getattr(self, name)}


class Reader:
    """What every kind of reader knows: which message comes next."""

    def __init__(self, run: Run, topic: str) -> None:
        self.run = run
        self.topic = topic
        self.seen = 0

    def take(self, number: int) -> None:
        """A message was given."""
        tally = self.run.tally
        if number <= self.seen:
            tally.doubled += 1
            return
        tally.lost += number - self.seen - 1
        tally.given += 1
        self.seen = number


class Run:
    """A load on a server at a port."""

    def __init__(self, load: Load, port: int) -> None:
        self.load = load
        self.port = port
        self.tally = Tally()
        self.is_over = False
        self.readers: list[Reader] = []
        own = secrets.token_hex(4)  # A store may remember topics and keys of a run before.
        self.newest = dict.fromkeys((f"{own}-{number}" for number in range(load.topics)), 0)
        self._tasks: list[asyncio.Task[None]] = []
        self._publishing: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        """Start the readers, wait until all watch, then the publishers."""
        names = list(self.newest)
        kinds = ((poll, self.load.pollers), (stream, self.load.streams), (converse, self.load.websockets))
        for work, count in kinds:
            for number in range(count):
                reader = Reader(self, names[number % len(names)])
                self.readers.append(reader)
                self._tasks.append(asyncio.create_task(work(reader)))
        async with asyncio.timeout(PATIENCE):
            while await self._watchers() < len(self.readers):  # noqa: ASYNC110 - another process says so
                await asyncio.sleep(0.1)
        share = self.load.rate / self.load.publishers
        for number in range(self.load.publishers):
            own = names[number :: self.load.publishers]
            self._publishing.append(asyncio.create_task(publish(self, own, share)))

    async def _watchers(self) -> float:
        wire = Wire(self)
        status, body = await wire.ask(b"GET /-/metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        await wire.close()
        found = re.search(rb"^slosh_watchers (\S+)$", body, re.MULTILINE)
        return float(found[1]) if status == 200 and found else 0.0

    async def end(self) -> None:
        """Stop publishing, wait until all was given, then stop the readers."""
        self.is_over = True
        await asyncio.gather(*self._publishing)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while any(reader.seen < self.newest[reader.topic] for reader in self.readers):  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.1)
        for task in self._tasks:
            task.cancel()
        for error in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(error, Exception):
                raise error
        self.tally.lost += sum(self.newest[reader.topic] - reader.seen for reader in self.readers)


class Cut(Exception):
    """The connection ended before the answer did."""


class Wire:
    """A connection that is kept."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def close(self) -> None:
        """Close it; the next request opens another."""
        if self._writer is not None:
            self._writer.close()
            self._writer = self._reader = None

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect, unless that is done."""
        while self._reader is None or self._writer is None:
            try:
                self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._run.port)
            except ConnectionRefusedError:
                self._run.tally.refused += 1
                await asyncio.sleep(0.05)
        return self._reader, self._writer

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer to a request. One whose connection ended while it was idle is sent on another.

        Raises:
            Cut: it ended afterwards.
        """
        if self._reader is not None and self._reader.at_eof():
            await self.close()
        reader, writer = await self.open()
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1])) if length else b""
        except (OSError, asyncio.IncompleteReadError):
            await self.close()
            raise Cut from None
        if _CLOSES.search(head):
            await self.close()
        return int(head[9:12]), body


async def publish(run: Run, topics: Sequence[str], rate: float) -> None:
    """Post to `topics` in turn, `rate` messages a second, each until it is taken."""
    wire, tally, sent = Wire(run), run.tally, 0
    began = time.monotonic()
    while not run.is_over:
        await asyncio.sleep(max(0.0, began + sent / rate - time.monotonic()))
        topic = topics[sent % len(topics)]
        sent += 1
        number = run.newest[topic] + 1
        body = b'{"n":%d}' % number
        request = b"POST /topics/%b HTTP/1.1\r\nHost: x\r\nIdempotency-Key: %b-%d\r\nContent-Length: %d\r\n\r\n%b" % (
            topic.encode(),
            topic.encode(),
            number,
            len(body),
            body,
        )
        asked = time.monotonic()
        while not await _is_taken(wire, request, tally):
            tally.sent_again += 1
            await asyncio.sleep(0.02)
            if time.monotonic() - asked > PATIENCE:
                raise TimeoutError(f"message {number} of {topic} is not taken: {tally}")
        tally.longest_publish = max(tally.longest_publish, time.monotonic() - asked)
        tally.published += 1
        run.newest[topic] = number
    await wire.close()


async def _is_taken(wire: Wire, request: bytes, tally: Tally) -> bool:
    try:
        status, _ = await wire.ask(request)
    except Cut:
        tally.cut["publisher"] += 1
        return False
    if status != 200:
        tally.statuses[status] += 1
    return status == 200


async def poll(reader: Reader) -> None:
    """Read by long-polls."""
    run, wire, place = reader.run, Wire(reader.run), "earliest"
    while True:
        request = f"GET /topics/{reader.topic}?since={place} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        try:
            status, body = await wire.ask(request)
        except Cut:
            run.tally.cut["poller"] += 1
            continue
        if status != 200:
            run.tally.statuses[status] += 1
            await asyncio.sleep(0.05)
            continue
        place = take_envelope(reader, body)


def take_envelope(reader: Reader, body: bytes | str) -> str:
    """Take the messages of an envelope, and give the place behind them."""
    told: dict[str, Any] = json.loads(body)
    reader.run.tally.reset += bool(told.get("reset"))
    for message in told["res"]:
        reader.take(message["n"])
    place: str = told["next"]
    return place


async def stream(reader: Reader) -> None:
    """Read as an EventSource does, over HTTP/1.0, whose body ends with the connection."""
    run, place, retry = reader.run, "", 0.05
    while True:
        wire = Wire(run)
        incoming, writer = await wire.open()
        where = f"Last-Event-ID: {place}\r\n" if place else ""
        query = "" if place else "?since=earliest"
        writer.write(
            f"GET /topics/{reader.topic}{query} HTTP/1.0\r\nHost: x\r\n"
            f"Accept: text/event-stream\r\n{where}\r\n".encode()
        )
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await incoming.readuntil(b"\r\n\r\n")
            if head[9:12] != b"200":
                run.tally.statuses[int(head[9:12])] += 1
            event: dict[str, str] = {}
            while line := (await incoming.readline()).decode():
                name, _, value = line.rstrip("\n").partition(": ")
                if name == "retry":
                    retry = int(value) / 1000
                elif line != "\n":
                    event[name] = value
                elif event:
                    place = event.get("id", place)
                    run.tally.reset += event.get("event") == "reset"
                    if "event" not in event:
                        reader.take(json.loads(event["data"])["n"])
                    event = {}
        await wire.close()
        await asyncio.sleep(retry)


async def converse(reader: Reader) -> None:
    """Read over WebSockets."""
    run, place = reader.run, "earliest"
    while True:
        try:
            async with connect(
                f"ws://127.0.0.1:{run.port}/topics/{reader.topic}?since={place}", proxy=None
            ) as incoming:
                async for envelope in incoming:
                    place = take_envelope(reader, envelope)
        except ConnectionRefusedError:
            run.tally.refused += 1
        except websockets.InvalidStatus as error:
            run.tally.statuses[error.response.status_code] += 1
        except (OSError, websockets.WebSocketException):
            run.tally.cut["websocket"] += 1
        await asyncio.sleep(0.05)


_ACTIVATED: Final = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Starts a program as systemd does that holds a listening socket for it (sd_listen_fds(3))."""


class Node:
    """A server, and its successors one after another.

    Args:
        folder: for the socket at which they take over.
        port: on which they listen.
        options: of each.
        activated: whether the socket is held for them, as systemd does: each is stopped before the next one is started.
    """

    def __init__(self, folder: Path, port: int, *options: str, activated: bool = False) -> None:
        self._held: socket.socket | None = None
        common = ("--queue=10000", "--max-wait=30", *options)
        serve = (sys.executable, "-m", "slosh", "serve")
        if activated:
            self._held = socket.create_server(("127.0.0.1", port), backlog=4096)
            number = str(self._held.fileno())
            self._command = (sys.executable, "-c", _ACTIVATED, number, *serve, "--drain=2", *common)
        else:
            self._command = (*serve, f"--port={port}", f"--takeover={folder / 'takeover'}", *common)
        self._running: list[ProcessGroup[str]] = []
        self.output: list[str] = []

    def start(self) -> float:
        """Start one more, and wait until it serves. Gives how long that took, seconds."""
        began = time.monotonic()
        if self._held is not None and self._running:
            self._running[-1].terminate()
            self._running[-1].wait(PATIENCE)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SLOSH_")}
        process: ProcessGroup[str] = ProcessGroup(
            self._command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            pass_fds=[self._held.fileno()] if self._held is not None else [],
        )
        self._running.append(process)
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()

        def gather() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                self.output.append(line)
                lines.put(line)
            lines.put("")

        threading.Thread(target=gather, daemon=True).start()
        while "is ready on" not in (line := lines.get(timeout=PATIENCE)):
            if not line:
                raise RuntimeError(f"a server did not start: {''.join(self.output[-20:])}")
        return time.monotonic() - began

    def codes(self) -> list[int]:
        """The exit codes of all but the last, once they have ended."""
        return [process.wait(PATIENCE) for process in self._running[:-1]]

    def end(self) -> None:
        """End them all."""
        for process in self._running:
            process.end()
        if self._held is not None:
            self._held.close()


async def measure(load: Load, folder: Path, *options: str, activated: bool = False) -> tuple[Tally, Node]:
    """Replace a server so often under a load. The caller must call `end` of the node."""
    port = free_port()
    node = Node(folder, port, *options, activated=activated)
    try:
        await asyncio.to_thread(node.start)
        run = Run(load, port)
        await run.begin()
        for _ in range(load.restarts):
            await asyncio.sleep(load.every)
            took = await asyncio.to_thread(node.start)
            run.tally.longest_handover = max(run.tally.longest_handover, took)
        await asyncio.sleep(load.every)
        await run.end()
    except BaseException:
        node.end()
        raise
    return run.tally, node


def main() -> None:
    """Measure, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("restarts", "pollers", "streams", "websockets", "topics", "publishers"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Load, name))
    parser.add_argument("--rate", type=float, default=Load.rate, help="messages a second")
    parser.add_argument("--every", type=float, default=Load.every, help="seconds between two restarts")
    parser.add_argument("--engine", default="memory", help="memory, or the address of a store")
    parser.add_argument("--activated", action="store_true", help="the socket is held for them, as systemd does")
    asked = vars(parser.parse_args())
    engine, activated = asked.pop("engine"), asked.pop("activated")
    with tempfile.TemporaryDirectory(prefix="slosh-restarts-") as folder:
        tally, node = asyncio.run(measure(Load(**asked), Path(folder), f"--engine={engine}", activated=activated))
        try:
            codes = Counter(node.codes())
        finally:
            node.end()
    for name, value in vars(tally).items():
        print(f"{name.replace('_', ' '):18} {dict(value) if isinstance(value, Counter) else value}")
    print(f"{'exit codes':18} {dict(codes)}")


if __name__ == "__main__":
    main()
