"""What is measured: each scenario is one `Scenario`; GROWTH tells which of them, in a row, show how cost grows."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.measuring import (
    DELIVERIES_PER_SECOND,
    Run,
    fan_out,
    idle,
    many_topics,
    mixed,
    publish_only,
    saturation,
    some_topics,
    steady,
    storm,
)

if TYPE_CHECKING:
    from collections.abc import Callable

SPARE_FILES = 300
"""Files that a process holds besides its readers."""


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
    guarded: bool = False
    """Servers that can ask for a token do so."""


@dataclass(frozen=True)
class Growth:
    """Scenarios that differ in one number, and the figure that should not depend on it."""

    name: str
    title: str
    unit: str
    """What is counted along the axis."""
    metric: Metric
    points: tuple[tuple[int, str], ...]
    """(number, scenario's name)."""


def most(wanted: int) -> int:
    """As many readers as wanted, or as the limit on a process's open files allows, by the thousand and a half."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(wanted, (hard - SPARE_FILES) // 500 * 500)


_LOAD = Metric("load", "the load generator's own CPU, % of its core", 0, compared=False)
_BUSY = Metric("busy", "the server's CPU, % of its core", 0, compared=False)
_P99 = Metric("p99", "p99 latency from the due moment, ms", 1)
_CPU = Metric("cpu", "CPU a delivery, µs")
_STORE = Metric("store", "CPU of the store, µs a publish", 1, compared=False)
_SEGMENTS = Metric("segments", "TCP segments a delivery, all directions", 2, compared=False)
_DELIVERY = (_CPU, _P99, _STORE, _LOAD)
_SEGMENTED = (_CPU, _P99, _SEGMENTS, _LOAD)
_SATURATED = (
    Metric("rate", "messages delivered a second", 0),
    Metric("cpu", "CPU a message delivered, µs", 2),
    Metric("batch", "messages an answer", 1, compared=False),
    _P99,
    _STORE,
    _BUSY,
    _LOAD,
)
_PUBLISH_CPU = Metric("cpu", "CPU a publish, µs")
_PUBLISH = (_PUBLISH_CPU, Metric("rate", "publishes a second", 0), _P99, _STORE, _BUSY, _LOAD)
_BYTES = Metric("bytes", "memory of a held poll, bytes", 0)
_ACCEPT = Metric("accept", "CPU to accept and hold one, µs")
_IDLE = (_BYTES, _ACCEPT, Metric("rest", "CPU a second while it waits, µs", 2, compared=False))
_STORM = (Metric("cpu", "CPU a reconnect (close, accept, answer, hold), µs"), _P99, _LOAD)
_TOPICS = (Metric("cpu", "CPU a message (publish and delivery), µs"), _P99, _STORE, _LOAD)
_LATENCY = (
    Metric("p99", "p99 latency from the due moment, ms", 2),
    Metric("p50", "median latency from the due moment, ms", 2),
    _CPU,
    _STORE,
    _LOAD,
)
_MOST_READ, _MOST_HELD = most(20_000), most(50_000)
_SPACES = (30, 50, 100, 250, 1000)
"""Milliseconds between messages, on both sides of the 40 ms after which a kernel acknowledges what nobody answered."""


def _fan_out(name: str, readers: int) -> Scenario:
    return Scenario(name, f"one topic, {readers:,} readers", "longpoll", fan_out(readers), _DELIVERY, files=readers)


def _crowd(name: str, readers: int) -> Scenario:
    topics = _MOST_READ // readers
    title = f"{readers:,} readers to a topic, {readers * topics:,} in all, each gets a message a second"
    return Scenario(name, title, "longpoll", fan_out(readers, topics=topics, pause=1.0), _SEGMENTED, readers * topics)


def _spaced(milliseconds: int) -> Scenario:
    title = f"one topic, 1,000 readers, a message every {milliseconds:,} ms"
    measure = fan_out(1_000, pause=milliseconds / 1000)
    return Scenario(f"spaced-{milliseconds}", title, "longpoll", measure, _SEGMENTED, files=1_000)


def _idle(name: str, readers: int, *, full_load_only: bool = False) -> Scenario:
    title = f"{readers:,} idle polls"
    return Scenario(name, title, "longpoll", idle(readers), _IDLE, files=readers, full_load_only=full_load_only)


def _varied() -> list[Scenario]:
    """Requests that differ from each other, as real ones do: without readers, on 500 topics, in a crowd."""
    kinds: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("320", "bodies of {least} to 320 bytes", {"most": 320}),
        ("3000", "bodies of {least} to 3,000 bytes", {"most": 3_000}),
        ("keys", "an Idempotency-Key on each publish", {"keys": True}),
        ("ids", "X-Request-ID and traceparent on each request", {"ids": True}),
        ("token", "a token on each request", {"token": True}),
        ("cookie", "the place in the cookie", {"way": "cookie"}),
        ("number", "the place in n", {"way": "number"}),
        ("among", "since among other parameters", {"way": "among"}),
        ("mix", "all of these by chance", {"most": 3_000, "keys": True, "ids": True, "token": True, "mix": True}),
    )
    found = []
    for name, words, varied in kinds:
        is_sized, is_placed = "most" in varied, "way" in varied
        guarded = "token" in varied
        if not is_placed:
            work = publish_only(1, **(varied | ({"size": 20} if is_sized else {})))
            title = f"publish only: {words.format(least=20)}"
            found.append(Scenario(f"publish-{name}", title, "longpoll", work, _PUBLISH, guarded=guarded))
        sized = varied | ({"size": 64} if is_sized else {})
        title = words.format(least=64)
        work = steady(partial(many_topics, **sized))
        found.append(Scenario(f"topics-{name}", f"500 topics: {title}", "longpoll", work, _TOPICS, guarded=guarded))
        if is_placed or name in {"ids", "mix"}:
            found.append(Scenario(f"readers-{name}", f"one topic, 1,000 readers: {title}", "longpoll",
                                  fan_out(1_000, **sized), _DELIVERY, files=1_000, guarded=guarded))  # fmt: skip
    found.append(Scenario("return-sse", "3,000 SSE readers return within a second with Last-Event-ID", "sse",
                          storm(3_000, way="event"), _STORM, files=3_000))  # fmt: skip
    return found


def _publish(name: str, topics: int) -> Scenario:
    title = "publish only, 32 connections" + (f", {topics:,} topics" if topics > 1 else "")
    return Scenario(name, title, "longpoll", publish_only(topics), _PUBLISH)


_ALL = (
    _fan_out("fanout-100", 100),
    _fan_out("fanout-300", 300),
    _fan_out("fanout-1000", 1_000),
    _fan_out("fanout-3000", 3_000),
    _fan_out("fanout-10000", 10_000),
    _fan_out("fanout-most", _MOST_READ),
    _crowd("crowd-100", 100),
    _crowd("crowd-300", 300),
    _crowd("crowd-1000", 1_000),
    _crowd("crowd-3000", 3_000),
    _crowd("crowd-half", _MOST_READ // 2),
    _crowd("crowd-most", _MOST_READ),
    *(_spaced(milliseconds) for milliseconds in _SPACES),
    Scenario("latency", "50 topics of 20 readers, a message every ms", "longpoll", steady(some_topics), _LATENCY),
    Scenario("topics", "500 topics, one reader each", "longpoll", steady(many_topics), _TOPICS),
    Scenario("mixed", "200 busy readers, 5,000 idle ones on 1,000 topics", "longpoll", steady(mixed), _DELIVERY,
             files=5_200, full_load_only=True),
    Scenario("saturation", "saturation: 200 readers, 4 publishers", "gathered", steady(saturation), _SATURATED),
    _idle("idle-1000", 1_000),
    _idle("idle-3000", 3_000),
    _idle("idle-10000", 10_000),
    _idle("idle-most", _MOST_HELD, full_load_only=True),
    _publish("publish", 1),
    Scenario("publish-paced", "publish only, 32 connections and topics, 20,000 a second", "longpoll",
             publish_only(32, rate=20_000), (_PUBLISH_CPU, _P99, _STORE, _LOAD)),
    _publish("publish-10", 10),
    _publish("publish-100", 100),
    _publish("publish-1000", 1_000),
    _publish("publish-10000", 10_000),
    Scenario("browser", "1,000 readers with a browser's headers", "longpoll", fan_out(1_000, browser=True), _DELIVERY),
    Scenario("sse", "one topic, 1,000 readers, Server-Sent Events", "sse", fan_out(1_000), _DELIVERY),
    Scenario("websocket", "one topic, 1,000 readers, WebSocket", "websocket", fan_out(1_000), _DELIVERY),
    *_varied(),
    Scenario("storm", "10,000 readers return within a second", "longpoll", storm(10_000), _STORM, files=10_000),
)  # fmt: skip
SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for scenario in _ALL}
VARIED = tuple(scenario.name for scenario in _varied())
"""What --varied measures: requests that differ from each other."""
QUICK = ("fanout-1000", "latency", "topics", "saturation", "idle-10000", "publish")
"""What --quick measures when no scenario is named."""
GROWTH = (
    Growth("crowd", "CPU a delivery, µs, by readers of a topic, each of whom gets a message a second",
           "readers of a topic", _CPU,
           ((100, "crowd-100"), (300, "crowd-300"), (1_000, "crowd-1000"), (3_000, "crowd-3000"),
            (_MOST_READ // 2, "crowd-half"), (_MOST_READ, "crowd-most"))),
    Growth("readers", f"CPU a delivery, µs, by readers of one topic, {DELIVERIES_PER_SECOND:,} deliveries a second",
           "readers", _CPU,
           ((100, "fanout-100"), (300, "fanout-300"), (1_000, "fanout-1000"), (3_000, "fanout-3000"),
            (10_000, "fanout-10000"), (_MOST_READ, "fanout-most"))),
    Growth("spaced", "CPU a delivery to 1,000 readers, µs, by ms from message to message", "ms", _CPU,
           tuple((space, f"spaced-{space}") for space in _SPACES)),
    Growth("segments", "TCP segments of such a delivery, by ms from message to message", "ms", _SEGMENTS,
           tuple((space, f"spaced-{space}") for space in _SPACES)),
    Growth("topics", "CPU a publish, µs, by topics", "topics", _PUBLISH_CPU,
           ((1, "publish"), (10, "publish-10"), (100, "publish-100"), (1_000, "publish-1000"),
            (10_000, "publish-10000"))),
    Growth("held", "memory of an idle poll, bytes, by idle polls", "idle polls", _BYTES,
           ((1_000, "idle-1000"), (3_000, "idle-3000"), (10_000, "idle-10000"), (_MOST_HELD, "idle-most"))),
    Growth("accepted", "CPU to accept and hold an idle poll, µs, by idle polls", "idle polls", _ACCEPT,
           ((1_000, "idle-1000"), (3_000, "idle-3000"), (10_000, "idle-10000"), (_MOST_HELD, "idle-most"))),
)  # fmt: skip
ONLY_GROWTH = frozenset({"fanout-300", "fanout-3000", "idle-1000", "idle-3000", "publish-10", "publish-100",
                         "publish-1000", "publish-10000",
                         *(name for name in SCENARIOS if name.startswith(("crowd-", "spaced-")))})  # fmt: skip
"""Measured for the curves; the main table would only grow long with them."""
