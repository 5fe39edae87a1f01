"""`python -m benchmarks.fixture`: how long the fixture `slosh` of pytest takes, for docs/testing.md.

A start is from the call to the moment when the server has answered a request; an end is from then to the moment when
its thread and its sockets are gone.
"""

from __future__ import annotations

import argparse
import statistics
import time
import urllib.request
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slosh.testing.server import TestingServer


def load() -> tuple[type[TestingServer], float]:
    """The class, and how many seconds of CPU its import took, which the first test that asks for the fixture pays."""
    began = time.process_time()
    from slosh.testing.server import TestingServer  # noqa: PLC0415 - that is what is measured

    return TestingServer, time.process_time() - began


def once(kind: type[TestingServer]) -> tuple[float, float]:
    """One start and one end, in seconds."""
    began = time.perf_counter()
    server = kind()
    server.start()
    with urllib.request.urlopen(f"{server.url}/-/healthy") as answer:
        answer.read()
    up = time.perf_counter()
    server.stop()
    return up - began, time.perf_counter() - up


def tell(what: str, seconds: list[float]) -> str:
    """The first, the median and the slowest of the others, in milliseconds."""
    first, *others = (each * 1000 for each in seconds)
    return f"{what}: first {first:.1f} ms, median {statistics.median(others):.1f} ms, slowest {max(others):.1f} ms"


def main() -> None:
    """Measure, and print three lines."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fixture", description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=100, help="how many servers, one after another")
    kind, seconds = load()
    print(f"imported: {seconds * 1000:.0f} ms of CPU")
    starts, ends = zip(*(once(kind) for _ in range(parser.parse_args().count)), strict=True)
    print(tell("up", list(starts)))
    print(tell("gone", list(ends)))


if __name__ == "__main__":
    main()
