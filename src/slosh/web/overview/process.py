"""What `/-/metrics` tells of the process, of its event loop, and of the classes of topics.

The metrics of the process have the names that Prometheus recommends for every program.
"""

import os
import sys
import time
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from slosh.core.histogram import Histogram
from slosh.core.hub import Hub
from slosh.http1.state import ServerState

_PAGE: Final = 4096 if sys.platform == "win32" else os.sysconf("SC_PAGE_SIZE")
_STATE: Final = Path("/proc/self/stat")
_SYSTEM: Final = Path("/proc/stat")
_FILES: Final = Path("/proc/self/fd")
_MEMORY: Final = Path("/proc/self/statm")


def collect_process() -> Iterator[Metric]:
    """CPU, memory, open files, and when it began."""
    yield CounterMetricFamily("process_cpu_seconds", "CPU time used, seconds.", value=time.process_time())
    yield GaugeMetricFamily("process_start_time_seconds", "Start of the process, Unix seconds.", value=find_start())
    virtual, resident = read_memory()
    if resident:
        yield GaugeMetricFamily("process_virtual_memory_bytes", "Address space.", value=virtual)
        yield GaugeMetricFamily("process_resident_memory_bytes", "Memory in use.", value=resident)
    files = count_open_files()
    if files:
        yield GaugeMetricFamily("process_open_fds", "Open files, sockets among them.", value=files)
        yield GaugeMetricFamily("process_max_fds", "How many files may be open (ulimit -n).", value=_most_files())


@lru_cache(maxsize=1)
def find_start() -> float:
    """When this process began, Unix seconds; when it was first asked, if the system does not tell."""
    try:
        # The name of the program, in brackets, may have spaces in it. The 22nd field is the start, in ticks since boot.
        ticks = int(_STATE.read_bytes().rpartition(b")")[2].split()[19])
        lines = _SYSTEM.read_bytes().split(b"\n")
        booted = next(int(line.split()[1]) for line in lines if line.startswith(b"btime "))
        return booted + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, StopIteration, ValueError):
        return time.time()


def read_memory() -> tuple[int, int]:
    """Address space and memory in use, bytes; 0 if the system does not tell."""
    try:
        virtual, resident = _MEMORY.read_bytes().split()[:2]
    except OSError:
        return 0, 0
    return int(virtual) * _PAGE, int(resident) * _PAGE


def count_open_files() -> int:
    """How many files are open; 0 if the system does not tell."""
    try:
        # Since Linux 6.2 the folder's size says it, which costs the same with 100,000 connections.
        return _FILES.stat().st_size or sum(1 for _ in _FILES.iterdir()) - 1  # but for the one that reads it
    except OSError:
        return 0


def _most_files() -> float:
    import resource  # noqa: PLC0415 - Unix only

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return float("inf") if soft == resource.RLIM_INFINITY else soft


def collect_times(hub: Hub, state: ServerState) -> Iterator[Metric]:
    """How late the event loop is, and how long messages take from publisher to reader."""
    yield _histogram("slosh_loop_lag_seconds", "How late the event loop calls what is due.", state.lag.histogram)
    yield _histogram(
        "slosh_delivery_seconds",
        "From taking a message to writing it to readers that wait, each reader counted.",
        hub.latency,
    )


def _histogram(name: str, about: str, counted: Histogram) -> HistogramMetricFamily:
    return HistogramMetricFamily(name, about, buckets=list(counted.buckets()), sum_value=counted.total)


class TopicCounts:
    """What the topics of each class have together. They are looked at some at a time: each costs a third of a µs.

    Args:
        hub: whose topics.

    Attributes:
        by_class: topics, watchers, and bytes of messages, by the pattern of the class.
    """

    __slots__ = ("_classes", "_hub", "_left", "by_class")

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._begin()

    def _begin(self) -> None:
        self._classes = self._hub.classes
        self._left = iter(list(self._hub))
        self.by_class: dict[str, list[int]] = {kind.pattern: [0, 0, 0] for kind in self._classes.every}

    def go_on(self, most: int) -> bool:
        """Look at this many of the next. True once all were looked at, or have ended meanwhile."""
        hub, counts = self._hub, self.by_class
        if hub.classes is not self._classes:  # since a reload
            self._begin()
            counts = self.by_class
        looked = 0
        for topic in islice(self._left, most):
            looked += 1
            if topic.is_over:
                continue
            of_class = counts.get(topic.kind.pattern)
            if of_class is None:  # It gets its class of after a reload in one of the next turns.
                of_class = counts[hub.classes.find(topic.name).pattern]
            of_class[0] += 1
            of_class[1] += len(topic.watchers)
            of_class[2] += topic.size
        return looked < most

    @property
    def watchers(self) -> int:
        """Of all classes."""
        return sum(each[1] for each in self.by_class.values())

    @property
    def size(self) -> int:
        """Bytes of messages, of all classes."""
        return sum(each[2] for each in self.by_class.values())


def collect_classes(hub: Hub, counts: TopicCounts) -> Iterator[Metric]:
    """The same of each class of topics, of which `counts` has looked at all."""
    published = CounterMetricFamily(
        "slosh_class_published_messages", "Messages taken from publishers, by class of topics.", labels=["class"]
    )
    fell_off = CounterMetricFamily(
        "slosh_class_fell_off_messages", "Messages that fell off a ring, by class of topics.", labels=["class"]
    )
    for kind in hub.classes.every:
        published.add_metric([kind.pattern], kind.counts.published)
        fell_off.add_metric([kind.pattern], kind.counts.fell_off)
    yield published
    yield fell_off
    named = (
        ("slosh_class_topics", "Topics held, by class."),
        ("slosh_class_watchers", "Held polls and open streams, by class of topics."),
        ("slosh_class_ring_bytes", "Bytes of messages kept, by class of topics."),
    )
    for index, (name, about) in enumerate(named):
        gauge = GaugeMetricFamily(name, about, labels=["class"])
        for pattern, values in counts.by_class.items():
            gauge.add_metric([pattern], values[index])
        yield gauge
