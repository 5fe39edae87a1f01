"""Ways of measuring: each gets a running server and gives figures by name.

A measuring function raises `Refused` when a message was lost, doubled or swapped, so that no figure of such a run can
be printed by mistake.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.loading import Load, Outcome, Work
from benchmarks.machine import cpu_seconds, memory_bytes, segments_sent, settled_cpu, waited_seconds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DELIVERIES_PER_SECOND = 20_000
"""The rate of the fan-out scenarios: a third of what nchan can do on one core, so that nothing queues for long."""
RESTING_SECONDS = 2.0
"""How long idle readers are watched for what they cost while nothing happens."""


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
    share: float = 1.0
    brevity: float = 1.0
    """The part of the usual time that is published: less with --quick and --brief."""
    store: int | None = None
    """The process id of the store that the server keeps its messages in, if it has one of its own."""
    foremost: bool = False

    def seconds(self, usual: float) -> float:
        """How long to publish."""
        return usual * self.brevity

    def load(self, work: Work) -> Load:
        """The load generator on this server."""
        return Load(self.program, self.transport, self.port, work, self.load_core, foremost=self.foremost)


def accepted(outcome: Outcome) -> Outcome:
    """The outcome, if every message came once, whole and in order; otherwise raises Refused."""
    refusal = outcome.refusal()
    if refusal is not None:
        raise Refused(refusal)
    return outcome


def measured_work(run: Run, work: Work) -> tuple[Outcome, float, dict[str, float]]:
    """Does the work once; gives what was seen, the server's CPU seconds, and figures that tell how far to trust it.

    The count of deliveries is that of the busy readers; idle ones are only proven to be there.
    """
    with run.load(work) as load:
        load.hear("ready")
        store = cpu_seconds(run.store) if run.store else 0.0
        cpu, waited = settled_cpu(run.pid), waited_seconds(run.pid)
        segments = segments_sent()
        load.tell("go")
        if work.mode == "mixed":
            load.hear("served")
            waited, cpu = waited_seconds(run.pid) - waited, settled_cpu(run.pid) - cpu
            load.tell("check")
        outcome = accepted(load.result())
        if work.mode != "mixed":
            waited, cpu = waited_seconds(run.pid) - waited, settled_cpu(run.pid) - cpu
        segments = segments_sent() - segments
        store = cpu_seconds(run.store) - store if run.store else 0.0
    outcome = dataclasses.replace(outcome, delivered=outcome.delivered - work.idle_readers)
    return outcome, cpu, {
        "busy": 100 * cpu / outcome.seconds,
        "waited": 100 * waited / outcome.seconds,
        "load": 100 * outcome.load_cpu / outcome.seconds,
        "store": 1e6 * store / max(outcome.published, 1),
        "segments": segments / max(outcome.delivered, 1),
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


def fan_out(
    readers: int,
    *,
    topics: int = 1,
    pause: float | None = None,
    **varied: Any,  # noqa: ANN401
) -> Callable[[Run], dict[str, float]]:
    """Topics with this many readers each, and messages on a schedule.

    `pause` is the seconds from one message of a topic to the next; without it, it is as long as makes
    DELIVERIES_PER_SECOND of all topics together. `varied` as of publish_only.
    """

    def work(run: Run) -> Work:
        apart = (pause or readers * topics / DELIVERIES_PER_SECOND) / run.share
        return Work(readers=readers * topics, topics=topics, publishers=min(topics, 8), rate=topics / apart,
                    seconds=max(run.seconds(5.0), 3 * apart), **varied)  # fmt: skip

    return steady(work)


def some_topics(run: Run) -> Work:
    """50 topics with 20 readers each, a message every millisecond: no wake-up is long, so what shows is waiting."""
    rate = DELIVERIES_PER_SECOND * run.share / 20
    return Work(readers=1_000, topics=50, publishers=8, rate=rate, seconds=run.seconds(6.0))


def many_topics(run: Run, **varied: Any) -> Work:  # noqa: ANN401
    """500 topics with one reader each: a publish and a delivery for every message. `varied` as of publish_only."""
    return Work(readers=500, topics=500, publishers=8, rate=12_000 * run.share, seconds=run.seconds(5.0), **varied)


def mixed(run: Run) -> Work:
    """5,000 readers wait on 1,000 topics where nothing is said, while 200 readers of ten topics are served."""
    rate = DELIVERIES_PER_SECOND * run.share / 20
    return Work(mode="mixed", readers=200, topics=10, idle_readers=5_000, idle_topics=1_000, publishers=4, rate=rate,
                seconds=run.seconds(5.0), patience=10.0)  # fmt: skip


def saturation(run: Run) -> Work:
    """As much as goes through: four publishers that send again as soon as they are answered."""
    return Work(readers=200, publishers=4, seconds=run.seconds(4.0))


def publish_only(topics: int, rate: float = 0.0, **varied: Any) -> Callable[[Run], dict[str, float]]:  # noqa: ANN401
    """CPU a publish: 32 keep-alive connections over this many topics, nobody reads; without a rate in a closed loop.

    `varied` are fields of Work: what makes the requests differ from each other.
    """

    def measure(run: Run) -> dict[str, float]:
        work = Work(mode="publish", publishers=32, topics=topics, rate=rate * run.share, seconds=run.seconds(4.0),
                    **varied)  # fmt: skip
        outcome, cpu, trust = measured_work(run, work)
        return {
            "cpu": 1e6 * cpu / outcome.published,
            "p99": outcome.publish_p99 / 1e3,
            "rate": outcome.published / outcome.seconds,
            **trust,
        }

    return measure


def idle(readers: int) -> Callable[[Run], dict[str, float]]:
    """Bytes of a held poll, and the CPU to accept and hold it. One message at the end proves that all are held."""

    def measure(run: Run) -> dict[str, float]:
        with run.load(Work(mode="idle", readers=readers, patience=10.0)) as load:
            load.hear("ready")
            cpu, memory = settled_cpu(run.pid), memory_bytes(run.pid)
            load.tell("go")
            load.hear("held")
            held = settled_cpu(run.pid)
            resting, began = cpu_seconds(run.pid), time.monotonic()
            time.sleep(RESTING_SECONDS)
            resting = (cpu_seconds(run.pid) - resting) / (time.monotonic() - began)
            memory = memory_bytes(run.pid) - memory
            load.tell("check")
            accepted(load.result())
        return {
            "bytes": memory / readers,
            "accept": 1e6 * (held - cpu) / readers,
            "rest": 1e6 * resting / readers,
        }

    return measure


def storm(readers: int, **varied: Any) -> Callable[[Run], dict[str, float]]:  # noqa: ANN401
    """All readers go at once and return within a second, for the message that came meanwhile.

    `varied` as of publish_only.
    """

    def measure(run: Run) -> dict[str, float]:
        work = Work(mode="storm", readers=readers, seconds=1 / run.share, patience=10.0, **varied)
        outcome, cpu, trust = measured_work(run, work)
        return {"cpu": 1e6 * cpu / readers, "p99": outcome.reconnect_p99 / 1e3, **trust}

    return measure
