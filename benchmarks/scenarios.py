"""What is measured: each scenario is one `Scenario`, each way of measuring one function.

A measuring function gets a running server and gives figures by name. It raises `Refused` when a message was lost,
doubled or swapped, so that no figure of such a run can be printed by mistake.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.loading import Load, Outcome, Work
from benchmarks.machine import memory_bytes, settled_cpu, waited_seconds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DELIVERIES_PER_SECOND = 20_000
"""The rate of the fan-out scenarios: a third of what nchan can do on one core, so that nothing queues for long."""
SPARE_FILES = 300
"""Files that a process holds besides its readers."""


class Refused(Exception):
    """The run gives no figure; the text says what was wrong with it."""


@dataclass(frozen=True)
class Run:
    """One server, running, and what it is to be measured with."""

    pid: int
    port: int
    transport: str
    program: Path
    load_core: int
    share: float
    quick: bool

    def seconds(self, usual: float) -> float:
        """How long to publish: a quarter of the usual with --quick."""
        return usual / 4 if self.quick else usual

    def load(self, work: Work) -> Load:
        """The load generator on this server."""
        return Load(self.program, self.transport, self.port, work, self.load_core)


@dataclass(frozen=True)
class Metric:
    """One row of the table."""

    name: str
    title: str
    digits: int = 1
    compared: bool = True
    """Whether the ratio to the others says anything."""


@dataclass(frozen=True)
class Scenario:
    """One piece of work and the rows it gives."""

    name: str
    title: str
    kind: str
    """How messages are read: a key of Server.transports."""
    measure: Callable[[Run], dict[str, float]]
    metrics: tuple[Metric, ...]
    files: int = 0
    """Connections that one process must be able to hold."""
    full_load_only: bool = False
    """Leave out servers that carry only a share of the usual load."""


def accepted(outcome: Outcome) -> Outcome:
    """The outcome, if every message came once, whole and in order; otherwise raises Refused."""
    refusal = outcome.refusal()
    if refusal is not None:
        raise Refused(refusal)
    return outcome


def measured_work(run: Run, work: Work) -> tuple[Outcome, float, dict[str, float]]:
    """Does the work once; gives what was seen, the server's CPU seconds, and figures that tell how far to trust it."""
    with run.load(work) as load:
        load.hear("ready")
        cpu, waited = settled_cpu(run.pid), waited_seconds(run.pid)
        load.tell("go")
        outcome = accepted(load.result())
        waited, cpu = waited_seconds(run.pid) - waited, settled_cpu(run.pid) - cpu
    return outcome, cpu, {
        "busy": 100 * cpu / outcome.seconds,
        "waited": 100 * waited / outcome.seconds,
        "load": 100 * outcome.load_cpu / outcome.seconds,
    }  # fmt: skip


def steady(work: Callable[[Run], Work]) -> Callable[[Run], dict[str, float]]:
    """CPU a delivery, latency from the due moment, and the rate at which messages came."""

    def measure(run: Run) -> dict[str, float]:
        outcome, cpu, trust = measured_work(run, work(run))
        return {
            "cpu": 1e6 * cpu / outcome.delivered,
            "p50": outcome.delivery_p50 / 1e3,
            "p99": outcome.delivery_p99 / 1e3,
            "rate": outcome.delivered / outcome.until_last,
            "batch": outcome.delivered / outcome.answers,
            **trust,
        }

    return measure


def fan_out(readers: int, *, browser: bool = False) -> Callable[[Run], dict[str, float]]:
    """One topic, this many readers, a fixed rate of messages."""

    def work(run: Run) -> Work:
        rate = DELIVERIES_PER_SECOND * run.share / readers
        return Work(readers=readers, rate=rate, seconds=max(run.seconds(5.0), 3 / rate), browser=browser)

    return steady(work)


def many_topics(run: Run) -> Work:
    """500 topics with one reader each: a publish and a delivery for every message."""
    return Work(readers=500, topics=500, publishers=8, rate=12_000 * run.share, seconds=run.seconds(5.0))


def saturation(run: Run) -> Work:
    """As much as goes through: four publishers that send again as soon as they are answered."""
    return Work(readers=200, publishers=4, seconds=run.seconds(4.0))


def publish_only(run: Run) -> dict[str, float]:
    """CPU a publish: 32 keep-alive connections in a closed loop, nobody reads."""
    outcome, cpu, trust = measured_work(run, Work(mode="publish", publishers=32, seconds=run.seconds(4.0)))
    return {
        "cpu": 1e6 * cpu / outcome.published,
        "p99": outcome.publish_p99 / 1e3,
        "rate": outcome.published / outcome.seconds,
        **trust,
    }


def idle(readers: int) -> Callable[[Run], dict[str, float]]:
    """Bytes of a held poll, and the CPU to accept and hold it. One message at the end proves that all are held."""

    def measure(run: Run) -> dict[str, float]:
        with run.load(Work(mode="idle", readers=readers, patience=10.0)) as load:
            load.hear("ready")
            cpu, memory = settled_cpu(run.pid), memory_bytes(run.pid)
            load.tell("go")
            load.hear("held")
            cpu, memory = settled_cpu(run.pid) - cpu, memory_bytes(run.pid) - memory
            load.tell("check")
            accepted(load.result())
        return {"bytes": memory / readers, "accept": 1e6 * cpu / readers}

    return measure


def storm(readers: int) -> Callable[[Run], dict[str, float]]:
    """All readers go at once and return within a second, for the message that came meanwhile."""

    def measure(run: Run) -> dict[str, float]:
        outcome, cpu, trust = measured_work(
            run, Work(mode="storm", readers=readers, seconds=1 / run.share, patience=10.0)
        )
        return {
            "cpu": 1e6 * cpu / readers,
            "p99": outcome.reconnect_p99 / 1e3,
            **trust,
        }

    return measure


_LOAD = Metric("load", "the load generator's own CPU, % of its core", 0, compared=False)
_BUSY = Metric("busy", "the server's CPU, % of its core", 0, compared=False)
_P99 = Metric("p99", "p99 latency from the due moment, ms", 1)
_DELIVERY = (Metric("cpu", "CPU a delivery, µs"), _P99, _LOAD)
_SATURATED = (
    Metric("rate", "messages delivered a second", 0),
    Metric("cpu", "CPU a message delivered, µs", 2),
    Metric("batch", "messages an answer", 1, compared=False),
    _P99,
    _BUSY,
    _LOAD,
)
_PUBLISH = (Metric("cpu", "CPU a publish, µs"), Metric("rate", "publishes a second", 0), _P99, _BUSY, _LOAD)
_IDLE = (Metric("bytes", "memory of a held poll, bytes", 0), Metric("accept", "CPU to accept and hold one, µs"))
_STORM = (Metric("cpu", "CPU a reconnect (close, accept, answer, hold), µs"), _P99, _LOAD)

_ALL = (
    Scenario("fanout-100", "one topic, 100 readers", "longpoll", fan_out(100), _DELIVERY),
    Scenario("fanout-1000", "one topic, 1,000 readers", "longpoll", fan_out(1_000), _DELIVERY),
    Scenario("fanout-10000", "one topic, 10,000 readers", "longpoll", fan_out(10_000), _DELIVERY, files=10_000),
    Scenario("fanout-20000", "one topic, 20,000 readers", "longpoll", fan_out(20_000), _DELIVERY, files=20_000),
    Scenario("topics", "500 topics, one reader each", "longpoll", steady(many_topics),
             (Metric("cpu", "CPU a message (publish and delivery), µs"), _P99, _LOAD)),
    Scenario("saturation", "saturation: 200 readers, 4 publishers", "gathered", steady(saturation), _SATURATED),
    Scenario("idle-10000", "10,000 idle polls", "longpoll", idle(10_000), _IDLE, files=10_000),
    Scenario("idle-50000", "50,000 idle polls", "longpoll", idle(50_000), _IDLE, files=50_000, full_load_only=True),
    Scenario("publish", "publish only, 32 connections", "longpoll", publish_only, _PUBLISH),
    Scenario("browser", "1,000 readers with a browser's headers", "longpoll", fan_out(1_000, browser=True), _DELIVERY),
    Scenario("sse", "one topic, 1,000 readers, Server-Sent Events", "sse", fan_out(1_000), _DELIVERY),
    Scenario("websocket", "one topic, 1,000 readers, WebSocket", "websocket", fan_out(1_000), _DELIVERY),
    Scenario("storm", "10,000 readers return within a second", "longpoll", storm(10_000), _STORM, files=10_000),
)  # fmt: skip
SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for scenario in _ALL}
QUICK = ("fanout-1000", "topics", "saturation", "idle-10000", "publish")
"""What --quick measures when no scenario is named."""
