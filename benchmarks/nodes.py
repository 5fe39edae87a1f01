"""`python -m benchmarks.nodes`: several nodes of slosh on one Redis, and what each publish costs on either side.

Two things are measured with 1, 2 and 4 nodes:

* **throughput**: every node has publishers of its own in a closed loop, nobody reads. On a machine with fewer cores
  than processes the rate says little, so what counts is the CPU of a publish at a node and at Redis: what a core of
  each carries.
* **announcing**: messages come on a schedule at the first node, and every node has a reader of the topic, so each is
  told of every message and asks Redis for it. What Redis pays for one more node is the slope.

Every message is counted at every reader here too.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks import results
from benchmarks.building import build_load
from benchmarks.loading import Load, Outcome, Work
from benchmarks.machine import cpu_seconds, put_first, settled_cpu
from benchmarks.measuring import Refused, accepted
from benchmarks.ports import free_port
from benchmarks.servers import SERVERS
from benchmarks.servers.base import is_socket, listens, until_ready
from benchmarks.servers.store import store_version
from benchmarks.table import lines_of, number
from benchmarks.turns import tell_plain_pythons

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.servers import Server

COUNTS = (1, 2, 4)
TOPICS = 100
RATE = 500.0
"""Messages a second in announcing."""


@dataclass(frozen=True)
class Nodes:
    """Some nodes that run, and their store."""

    store: int
    """Process id."""
    nodes: tuple[tuple[int, int], ...]
    """(process id, port) of each."""

    def cpu(self) -> tuple[float, float]:
        """Seconds that the nodes used together, and those of the store, once all is quiet."""
        for pid, _ in self.nodes:
            settled_cpu(pid)
        return sum(cpu_seconds(pid) for pid, _ in self.nodes), settled_cpu(self.store)


@contextlib.contextmanager
def running(server: Server, count: int, *, foremost: bool) -> Iterator[Nodes]:
    """So many nodes and one store, wherever the kernel puts them."""
    assert server.store is not None
    with tempfile.TemporaryDirectory(prefix="slosh-bench-") as folder, contextlib.ExitStack() as ends:
        scratch = Path(folder)
        store = ends.enter_context(server.process(server.store(scratch), scratch / "store.log", None))
        until_ready(store, scratch / "store.log", lambda: is_socket(scratch / "store"))
        nodes = []
        for place in range(count):
            port, log = free_port(), scratch / f"log-{place}"
            child = ends.enter_context(server.process(server.command(scratch, port), log, None))
            until_ready(child, log, lambda port=port: listens(port))  # type: ignore[misc] # its default has a type
            nodes.append((child.pid, port))
        for pid in [store.pid, *(pid for pid, _ in nodes)] if foremost else ():
            put_first(pid)
        yield Nodes(store.pid, tuple(nodes))


def throughput(program: Path, nodes: Nodes, seconds: float, *, foremost: bool) -> dict[str, float]:
    """Publishers at every node, as fast as they are answered."""
    work = Work(mode="publish", publishers=32, topics=TOPICS, seconds=seconds)
    with contextlib.ExitStack() as ends:
        loads = [ends.enter_context(Load(program, "slosh", port, work, foremost=foremost)) for _, port in nodes.nodes]
        for load in loads:
            load.hear("ready")
        before = nodes.cpu()
        for load in loads:
            load.tell("go")
        outcomes = [accepted(load.result()) for load in loads]
        after = nodes.cpu()
    published = sum(outcome.published for outcome in outcomes)
    return {
        "rate": sum(outcome.published / outcome.seconds for outcome in outcomes),
        "node": 1e6 * (after[0] - before[0]) / published,
        "store": 1e6 * (after[1] - before[1]) / published,
    }


def announcing(program: Path, nodes: Nodes, seconds: float, *, foremost: bool) -> dict[str, float]:
    """One message after another at the first node, a reader at every node."""
    speaking = Work(readers=1, rate=RATE, seconds=seconds)
    listening = Work(mode="listen", readers=1)
    with contextlib.ExitStack() as ends:
        others = [
            ends.enter_context(Load(program, "slosh", port, listening, foremost=foremost))
            for _, port in nodes.nodes[1:]
        ]
        for load in others:
            load.hear("ready")
            load.tell("go")
            load.hear("held")
        speaker = ends.enter_context(Load(program, "slosh", nodes.nodes[0][1], speaking, foremost=foremost))
        speaker.hear("ready")
        before = nodes.cpu()
        speaker.tell("go")
        outcome = accepted(speaker.result())
        after = nodes.cpu()
        for load in others:
            load.tell("check")
            heard_all(load.result(), outcome.published)
    return {
        "p99": outcome.delivery_p99 / 1e3,
        "node": 1e6 * (after[0] - before[0]) / outcome.published / len(nodes.nodes),
        "store": 1e6 * (after[1] - before[1]) / outcome.published,
    }


def heard_all(outcome: Outcome, published: int) -> None:
    """Raises Refused unless the reader of another node heard every message once and in order."""
    accepted(outcome)
    if outcome.delivered != published:
        raise Refused(f"{published - outcome.delivered} of {published} messages missing at another node")


@dataclass
class Found:
    """What the nodes showed."""

    machine: str
    date: str
    commit: str
    redis: str
    server: str
    throughput: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    """Number of nodes -> the figures of each round."""
    announcing: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    version: str = ""
    """Of the server, with the Python that it ran on."""


def figure(rounds: Sequence[dict[str, float]], name: str) -> float:
    """The median."""
    return median(figures[name] for figures in rounds)


def table(found: Found) -> str:
    """As Markdown."""
    counts = list(found.throughput)
    head = ["", *(f"{count} {'node' if count == '1' else 'nodes'}" for count in counts)]

    def row(title: str, rounds: dict[str, list[dict[str, float]]], name: str, digits: int) -> list[str]:
        return [title, *(number(figure(rounds[count], name), digits) for count in counts)]

    lines = [
        head,
        ["---", *["---:"] * len(counts)],
        row("publishes a second, all nodes, on this machine's cores", found.throughput, "rate", 0),
        row("CPU of a publish at its node, µs", found.throughput, "node", 1),
        row("CPU of a publish at Redis, µs", found.throughput, "store", 1),
        row(f"{RATE:.0f} messages a second, a reader on each node: CPU a message at each node, µs", found.announcing,
            "node", 1),
        row("the same at Redis, µs", found.announcing, "store", 1),
        row("the same: p99 latency at the node of the publisher, ms", found.announcing, "p99", 2),
    ]  # fmt: skip
    return lines_of(lines)


def read(path: Path) -> Found:
    """What `main()` kept there."""
    return Found(**json.loads(path.read_text(encoding="utf-8")))


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nodes", description=__doc__.partition("\n")[0])
    parser.add_argument("--server", default="slosh-redis", help="usually slosh-redis")
    parser.add_argument("--repeats", "-r", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--first", action="store_true", help="before all other processes of the machine (root)")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args(words)
    server, program = SERVERS[chosen.server], build_load()
    missing = server.missing()
    if missing is not None:
        print(f"{server.title} IS LEFT OUT; it needs {missing}", file=sys.stderr)
        return 1
    tell_plain_pythons([server])
    here = results.begun([server], chosen.repeats)
    found = Found(
        here.machine, here.date, here.commit, store_version(), server.name, version=here.versions[server.name]
    )
    for _ in range(chosen.repeats):
        for count in COUNTS:
            for name, measure in (("throughput", throughput), ("announcing", announcing)):
                with running(server, count, foremost=chosen.first) as nodes:
                    figures = measure(program, nodes, chosen.seconds, foremost=chosen.first)
                getattr(found, name).setdefault(str(count), []).append(figures)
                print(f"{name}, {count} nodes: {figures}", file=sys.stderr, flush=True)
    print(f"{table(found)}\n\n{found.date}, commit {found.commit}, {found.machine}. {server.title}: {found.version}.")
    if chosen.json:
        chosen.json.write_text(json.dumps(asdict(found), indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
