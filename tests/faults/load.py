"""The load while something breaks: publishers and readers on one topic, through nginx, with their ledger."""

import asyncio
import json
import resource
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

from slosh.startup import loop_factory
from tests.faults.ledger import Ledger
from tests.faults.nodes import Node
from tests.faults.publishers import Posts, Publisher
from tests.faults.readers import EventSource, LongPoll, Reader, Requests

TARGET: Final = "/topics/faults"
GLANCE: Final = 0.05


@dataclass(frozen=True)
class Size:
    """How much of everything.

    Attributes:
        rate: messages a second.
        readers: half of them long-polls, half EventSources.
        publishers: who share the rate.
        before: seconds of load before the fault.
        after: seconds of load after it.
        patience: seconds that the last messages may take to reach everybody.
    """

    rate: float
    readers: int
    publishers: int
    before: float
    after: float
    patience: float = 30.0


SMALL: Final = Size(rate=200, readers=20, publishers=8, before=0.5, after=1.0)
"""For the test suite: each fault in a few seconds."""
FULL: Final = Size(rate=1000, readers=200, publishers=64, before=5, after=10)
"""For the figures: what the promises are measured with."""


@dataclass
class Figures:
    """What is told of one fault."""

    fault: str
    seconds: float = 0.0
    totals: dict[str, int] = field(default_factory=dict)
    posts: Posts = field(default_factory=Posts)
    requests: Requests = field(default_factory=Requests)
    settled: bool = False
    """Whether in the end everybody had everything that there is."""
    cpu: dict[str, float] = field(default_factory=dict)
    """Parts of a core."""
    notes: dict[str, float] = field(default_factory=dict)
    """What else a fault has to tell."""

    def line(self) -> str:
        """All of it, as one line of JSON."""
        return json.dumps(asdict(self) | {"seconds": round(self.seconds, 2)})


Hurt = Callable[[], Awaitable[dict[str, float] | None]]
"""The fault. It may give figures of its own."""


async def under_load(fault: str, size: Size, port: int, nodes: Sequence[Node], hurt: Hurt) -> Figures:
    """Put the load on `port`, let `hurt` happen in the midst of it, wait until all is settled, and count."""
    figures, ledger = Figures(fault), Ledger()
    readers = await _readers(size, port, nodes, ledger, figures.requests)
    rate = size.rate / size.publishers
    publishers = [
        Publisher(ledger, figures.posts, number, rate, TARGET, port) for number in range(1, size.publishers + 1)
    ]
    start, before = time.monotonic(), _cpu(nodes)
    sending = asyncio.gather(*(publisher.run() for publisher in publishers))
    try:
        await _unless_done(sending, size.before)
        figures.notes = await hurt() or {}
        await _unless_done(sending, size.after)
        for publisher in publishers:
            publisher.stop()
        async with asyncio.timeout(size.patience):
            await sending
        figures.seconds = time.monotonic() - start
        figures.cpu = {name: round((used - before[name]) / figures.seconds, 2) for name, used in _cpu(nodes).items()}
        figures.settled = await _true_within(size.patience, ledger.settled)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        for reader in readers:
            reader.stop()
    figures.requests.longest_pause = round(figures.requests.longest_pause, 2)
    figures.posts.slowest = round(figures.posts.slowest, 2)
    figures.totals = ledger.totals()
    return figures


async def _readers(size: Size, port: int, nodes: Sequence[Node], ledger: Ledger, requests: Requests) -> list[Reader]:
    kinds = (LongPoll, EventSource)
    readers: list[Reader] = [kinds[number % 2](ledger, requests, TARGET, port) for number in range(size.readers)]
    assert await _true_within(size.patience, lambda: len(ledger.accounts) == size.readers), "readers got no place"
    watching = await _true_within(size.patience, lambda: nodes[0].watchers(TARGET) >= size.readers)
    assert watching, "readers are not held"
    return readers


async def _unless_done(sending: asyncio.Future[list[None]], seconds: float) -> None:
    """Let the publishers go on for a while; an error of theirs comes out here."""
    await asyncio.wait([sending], timeout=seconds)
    if sending.done():
        await sending


async def _true_within(seconds: float, true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(GLANCE)
    return True


def _cpu(nodes: Sequence[Node]) -> dict[str, float]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"harness": used.ru_utime + used.ru_stime, "nodes": sum(node.cpu() for node in nodes)}


def run(work: Callable[[], Awaitable[Figures]]) -> Figures:
    """Run it on uvloop where it is to be had, and print its figures."""

    async def whole() -> Figures:
        return await work()

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        figures = runner.run(whole())
    print(figures.line(), flush=True)  # noqa: T201  # for whoever reads the tests' output
    return figures
