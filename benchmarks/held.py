"""`python -m benchmarks.held`: very many readers that only wait.

They come from several load generators and addresses of 127.0.0.0/8, to as many workers of slosh as the limit on open
files of one process asks for (`ulimit -n`). For held polls and for Server-Sent Events it tells what one costs: bytes of
the server, bytes of the kernel, CPU to accept it, CPU while it waits; and how long a message to one reader takes
meanwhile. At the end each reader gets one message, and a run in which one did not gives no figure.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import math
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks import results
from benchmarks.building import build_load
from benchmarks.loading import Load, Work
from benchmarks.machine import cores, cpu_seconds, family, memory_bytes, raise_file_limit, settled_cpu
from benchmarks.measuring import Refused, accepted
from benchmarks.servers import SERVERS
from benchmarks.servers.base import START_LIMIT, StartError
from benchmarks.table import lines_of, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.servers import Server

READERS_OF_A_TOPIC = 1_000
ADDRESSES = 2
"""Addresses that one load generator takes at most: one for each 10,000 readers (readers.c)."""
KINDS = {"longpoll": "held polls", "sse": "Server-Sent Events"}
SPARE_FILES = 400
"""Files of a process besides its readers."""
LONG = "30m"
"""For polls: longer than a run, so that none of them ends meanwhile."""
ALONE = 50
"""Messages to one reader, one after the other."""


@dataclass
class Found:
    """What was seen."""

    machine: str
    date: str
    commit: str
    server: str
    version: str
    readers: int
    workers: int
    figures: dict[str, dict[str, float]] = field(default_factory=dict)
    """Kind of reading -> figures by name."""


def kernel_bytes() -> int:
    """What the kernel has for sockets and other things of its own: slabs, and buffers of TCP (in pages)."""
    slab = 0
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("Slab:"):
            slab = int(line.split()[1]) * 1024
    words = next(
        line for line in Path("/proc/net/sockstat").read_text().splitlines() if line.startswith("TCP:")
    ).split()
    return slab + int(words[words.index("mem") + 1]) * 4096


def alone(port: int) -> float:
    """The usual time from a POST to its delivery to the one reader of a topic, ms."""
    reader = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    writer = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    reader.request("GET", "/topics/alone?since=now&wait=0")
    place, taken = json.load(reader.getresponse())["next"], []
    for _ in range(ALONE):
        reader.request("GET", f"/topics/alone?since={place}")
        began = time.perf_counter()
        writer.request("POST", "/topics/alone", b"1")
        place = json.load(reader.getresponse())["next"]
        taken.append(time.perf_counter() - began)
        writer.getresponse().read()
    reader.close()
    writer.close()
    return 1e3 * median(taken)


def measure(server: Server, kind: str, readers: int, workers: int, rest: float, *, foremost: bool) -> dict[str, float]:
    """The figures of so many readers in all; raises Refused where one of them was not held."""
    server_core, load_core = cores()
    each = readers // workers
    topics = max(1, each // READERS_OF_A_TOPIC)
    # All load generators have the same topics; the first one's message to each of them proves that all are held.
    work = Work(mode="idle", readers=each, topics=topics, publishers=min(topics, 8), patience=30.0)
    works = [replace(work, mode="listen" if place else "idle", source=place * ADDRESSES) for place in range(workers)]
    program, transport = build_load(), server.transports[kind]
    with server.running(server_core, foremost=foremost, words=words(readers, workers)) as (pid, port, _):
        until_started(pid, workers)
        with contextlib.ExitStack() as ends:
            loads = [
                ends.enter_context(Load(program, transport, port, one, load_core, foremost=foremost)) for one in works
            ]
            for load in loads:
                load.hear("ready")
            cpu, memory, kernel = settled_cpu(pid), memory_bytes(pid), kernel_bytes()
            began = time.monotonic()
            for load in loads:
                load.tell("go")
            for load in loads:
                load.hear("held")
            asked = time.monotonic() - began
            held = settled_cpu(pid)
            kernel = kernel_bytes() - kernel
            resting, began = cpu_seconds(pid), time.monotonic()
            time.sleep(rest)
            resting = (cpu_seconds(pid) - resting) / (time.monotonic() - began)
            memory = memory_bytes(pid) - memory
            latency = alone(port)
            loads[0].tell("check")
            accepted(loads[0].result())
            settled_cpu(pid)
            for load in loads[1:]:
                load.tell("check")
                heard = accepted(load.result()).delivered
                if heard != each:
                    raise Refused(f"{each - heard:,} of {each:,} readers were not held")
    return {
        "bytes": memory / readers,
        "kernel": kernel / readers,
        "accept": 1e6 * (held - cpu) / readers,
        "asked": asked,
        "rest": 100 * resting,
        "alone": latency,
    }


def until_started(pid: int, workers: int) -> None:
    """Wait until all processes are there: several workers have a parent, and a store with its keeper."""
    deadline = time.monotonic() + START_LIMIT
    while len(family(pid)) < (workers + 3 if workers > 1 else 1):
        if time.monotonic() > deadline:
            raise StartError(f"{workers} workers did not start within {START_LIMIT:g} s")
        time.sleep(0.05)


def words(readers: int, workers: int) -> tuple[str, ...]:
    """What the server is started with, so that it holds so many, and no poll ends meanwhile."""
    held = ("--max-connections", str(readers + 100), "--max-watchers", str(readers), "--max-held-per-address", "0")
    return (*held, "--default-wait", LONG, "--max-wait", LONG, "--workers", str(workers))


def table(found: Found) -> str:
    """As Markdown."""
    rows = (
        ("memory of the server for each, bytes", "bytes", 0),
        ("memory of the kernel for each, both ends, bytes", "kernel", 0),
        ("CPU to accept and hold one, µs", "accept", 1),
        ("until all had connected and asked, s", "asked", 1),
        ("CPU while all wait, % of a core", "rest", 2),
        ("a message to one reader meanwhile, POST to delivery, ms", "alone", 2),
    )
    shared = f" at {found.workers} workers" if found.workers > 1 else ""
    head = [f"{found.readers:,} readers{shared}", *(KINDS[kind] for kind in found.figures)]
    lines = [head, ["---", *["---:"] * len(found.figures)]]
    lines += [
        [title, *(number(figures[name], digits) for figures in found.figures.values())] for title, name, digits in rows
    ]
    return lines_of(lines)


def read(path: Path) -> Found:
    """What `main()` kept there."""
    return Found(**json.loads(path.read_text(encoding="utf-8")))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.held", description=__doc__.partition("\n")[0])
    parser.add_argument("--server", default="slosh-compiled", help="usually slosh-compiled")
    parser.add_argument("--readers", type=int, default=100_000, help="usually 100000")
    parser.add_argument("--rest", type=float, default=15.0, help="seconds to watch them wait")
    parser.add_argument("--first", action="store_true", help="before all other processes of the machine (root)")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args(arguments)
    server = SERVERS[chosen.server]
    # Connections are shared out by chance, so a worker may get some more than its part.
    workers = max(1, math.ceil(chosen.readers / (0.9 * (raise_file_limit() - SPARE_FILES))))
    readers = chosen.readers // workers * workers
    missing = server.missing()
    if missing is not None:
        print(f"{server.title} IS LEFT OUT; it needs {missing}", file=sys.stderr)
        return 1
    here = results.begun([server], 1)
    found = Found(here.machine, here.date, here.commit, server.name, here.versions[server.name], readers, workers)
    for kind in KINDS:
        found.figures[kind] = measure(server, kind, readers, workers, chosen.rest, foremost=chosen.first)
        print(f"{kind}: {found.figures[kind]}", file=sys.stderr, flush=True)
        if chosen.json:
            chosen.json.write_text(json.dumps(asdict(found), indent=1) + "\n", encoding="utf-8")
    print(f"{table(found)}\n\n{found.date}, commit {found.commit}, {found.machine}. {server.title}: {found.version}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
