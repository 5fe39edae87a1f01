"""What history costs: `python -m benchmarks.history`. CPU time of this process, the least of several runs.

* A message into the series of its topic, with 0, 5 and 50 numbers, one at a time and 2,000 together.
* A publish, without history and with it, the looking into included.
* An answer of 600 points over 64 series: all of it, and the longest portion that one turn makes.
* A series: memory while it has an hour of one message a second, and when it is new.
"""

import json
import time
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from slosh.compiled import is_compiled
from slosh.core.budget import Budget
from slosh.core.classes import Bounds, Classes, TopicClass
from slosh.core.hub import Hub
from slosh.core.portions import WORK
from slosh.core.rollups import Rollups
from slosh.core.window import Window
from slosh.web.readers.history import work_out

NOON: Final = 1_795_953_600_000
RUNS: Final = 7
ENDLESS: Final = 1 << 60


def least(run: Callable[[], int]) -> float:
    """Seconds for each of the things that a run did, in the quickest of several runs."""
    found = []
    for _ in range(RUNS):
        began = time.process_time()
        count = run()
        found.append((time.process_time() - began) / count)
    return min(found)


def message(numbers: int) -> bytes:
    """One with so many numbers, and a text."""
    return json.dumps({"host": "web1"} | {f"path{number}": number * 1.25 for number in range(numbers)}).encode()


def roll(numbers: int, together: int) -> float:
    """Seconds for a message that is looked into."""
    rollups = Rollups(3600.0, 64, Budget(ENDLESS), 0)
    rollups.begin("", [], 0)
    text, offset, count = message(numbers), 0, 4000

    def run() -> int:
        nonlocal offset
        for _ in range(count // together):
            offset += together
            rollups.add([text] * together, NOON + offset // 2, offset)
            rollups.work(ENDLESS)
        return count

    return least(run)


def publish(history: float) -> float:
    """Seconds for a message of five numbers that is put into a topic, and what follows for its history."""
    owed: list[bool] = []
    hub = Hub(
        Bounds(
            Classes(TopicClass(queue=100, queue_bytes=1 << 20, linger=1e6, history=history)),
            max_topics=9,
            max_watchers=0,
            max_bytes=ENDLESS,
            max_series=64,
        ),
        new_epoch=lambda: "abcdefgh",
        wake=lambda: owed.append(True),
        arm=lambda _: None,
    )
    topic, text, count, now = hub.open("a", 0.0), message(5), 20_000, 0.0

    def run() -> int:
        nonlocal now
        for _ in range(count):
            now += 0.0005
            hub.append(topic, (text,), now, NOON + int(now * 1000))
            if owed:
                owed.clear()
                hub.flush(now)
        return count

    return least(run)


def full(series: int) -> Rollups:
    """An hour of a message a second with so many numbers."""
    rollups = Rollups(3600.0, 64, Budget(ENDLESS), 0)
    rollups.begin("", [], 0)
    text = message(series)
    for second in range(3600):
        rollups.add([text], NOON + second * 1000, second + 1)
    rollups.work(ENDLESS)
    return rollups


def answer() -> tuple[float, float, int]:
    """Seconds of the CPU for an answer, and for the longest portion of it; its bytes."""
    rollups, window = full(64), Window(3600.0, 600, NOON + 3_599_000)
    best, longest, size = 1e9, 1e9, 0
    for _ in range(RUNS):
        group = rollups.group("")
        assert group is not None  # it was begun
        portions: list[float] = []
        began = time.process_time()
        series = deque(group.series())
        portions.append(time.process_time() - began)
        texts: list[bytes] = []
        while series:
            began = time.process_time()
            work_out(series, window, WORK, texts)
            portions.append(time.process_time() - began)
        best, longest, size = min(best, sum(portions)), min(longest, max(portions)), sum(map(len, texts))
    return best, longest, size


def memory(series: int, seconds: int) -> float:
    """Bytes that a series takes after so many seconds with a message each."""
    text = message(series)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    rollups = Rollups(3600.0, 64, Budget(ENDLESS), 0)
    rollups.begin("", [], 0)
    for second in range(seconds):
        rollups.add([text], NOON + second * 1000, second + 1)
        rollups.work(ENDLESS)
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return taken / series


def report() -> Iterator[str]:
    """The lines of it."""
    yield f"{'compiled' if is_compiled() else 'plain'} build"
    for numbers in (0, 5, 50):
        yield (
            f"a message with {numbers} numbers: {roll(numbers, 1) * 1e6:.2f} µs one at a time, "
            f"{roll(numbers, 2000) * 1e6:.2f} µs of 2,000 together"
        )
    without, with_history = publish(0.0), publish(3600.0)
    yield f"a publish of 5 numbers: {without * 1e6:.2f} µs without history, {with_history * 1e6:.2f} µs with"
    whole, longest, size = answer()
    yield f"600 points over 64 series: {whole * 1e3:.1f} ms, the longest portion {longest * 1e3:.1f} ms, {size:,} bytes"
    yield f"a series: {memory(16, 3):,.0f} bytes new, {memory(16, 3700):,.0f} bytes with an hour of seconds"


if __name__ == "__main__":
    for line in report():
        print(line)
