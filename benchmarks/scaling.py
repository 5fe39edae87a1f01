"""The plan of docs/scaling.md, worked out from measured costs: pure arithmetic, and the tables that come of it.

A load is so many readers, topics, and messages a second to each reader. Nodes are one process on one core each; Redis
shards one core each. Both are planned at 60 % of a core, so that bursts find room.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.table import lines_of, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.results import Results

USED = 0.6
"""The part of a core that is planned."""
READERS = 1_000_000
RATES = (1, 10, 100)
"""Messages a second to each reader."""
MOST = 100_000
"""Nodes beyond which a plan is none."""
SHARDS = 1_000
"""Servers up to which Redis Cluster is specified."""
HELD = 100_000
"""Connections of a node: the default of `max_connections`."""
POLL_WIRE, EVENT_WIRE = 800, 280
"""Bytes on the wire of a delivery of 100 bytes, both ways: answer and next request of a plain client, or an event, with
what TCP/IP and Ethernet put around them."""


@dataclass(frozen=True)
class Costs:
    """What was measured; times in microseconds of CPU."""

    poll: float
    """A long-poll delivery: the answer and the next request."""
    event: float
    """A delivery on a stream of Server-Sent Events."""
    publish: float
    """A publish at its node."""
    store: float
    """A publish at Redis."""
    heard: float
    """A message that a node is told of, at that node."""
    told: float
    """The same at Redis, for each such node."""
    held: float
    """Bytes of a held poll."""


def costs(main: Results, store: Results, server: str = "slosh") -> Costs:
    """From the results that docs/performance.md shows, under load, where much is done at a time."""

    def known(results: Results, scenario: str, name: str, metric: str = "cpu") -> float:
        found = results.cells[scenario][name].figure(metric)
        if found is None:
            raise ValueError(f"{scenario} has no figure for {name}")
        return found

    redis = f"{server}-redis"
    poll, publish = known(store, "fanout-1000", redis), known(store, "publish", redis)
    published = known(store, "publish", redis, "store")
    return Costs(
        poll=poll,
        event=known(store, "sse", redis),
        publish=publish,
        store=published,
        # 500 topics of one reader: a publish, a message heard, a delivery.
        heard=known(store, "topics", redis) - publish - poll,
        told=known(store, "topics", redis, "store") - published,
        held=known(main, "idle-10000", server, "bytes"),
    )


@dataclass(frozen=True)
class Load:
    """A million readers: the topics that they share, and how they read."""

    title: str
    topics: int
    rate: float
    """Messages a second in each topic."""
    each: float
    """CPU of one delivery, microseconds."""
    gathered: float = 1.0
    """Messages that one answer carries."""
    homed: bool = False
    """Whether all readers of a topic are sent to the same node."""

    def plan(self, costs: Costs) -> Plan:
        """How many nodes and shards carry it: the smallest numbers that do.

        A node is told of every message of the topics that it has readers of, so more nodes can mean more telling.
        """
        nodes = least = math.ceil(READERS / HELD)
        while nodes < MOST and self.work(costs, nodes) > USED * 1e6:
            nodes = max(nodes + 1, int(nodes * min(2.0, self.work(costs, nodes) / (USED * 1e6))))
        shards = math.ceil((self.topics * self.rate * costs.store + self.told(nodes) * costs.told) / (USED * 1e6))
        if shards > self.topics:
            wall = "Redis: a topic lives on one shard"
        elif shards > SHARDS:
            wall = f"Redis: {shards:,} shards, a cluster has {SHARDS:,}"
        elif nodes >= MOST:
            wall = "nodes: each hears of too much"
        elif nodes == least:
            wall = f"{HELD:,} connections a node"
        else:
            wall = "CPU of deliveries" if self.delivering(nodes) * 2 > USED * 1e6 else "CPU of hearing and publishing"
        return Plan(nodes, max(1, shards), self.told(nodes), wall)

    def delivering(self, nodes: int) -> float:
        """Microseconds a second that a node spends on deliveries."""
        return READERS * self.rate / self.gathered / nodes * self.each

    def work(self, costs: Costs, nodes: int) -> float:
        """Microseconds a second of a node's CPU, when so many share the load."""
        heard = self.told(nodes) / nodes * costs.heard
        return self.delivering(nodes) + heard + self.topics * self.rate / nodes * costs.publish

    def told(self, nodes: int) -> float:
        """Times a second that some node is told of a message."""
        return self.topics * self.rate * (1.0 if self.homed else min(nodes, READERS / self.topics))


@dataclass(frozen=True)
class Plan:
    """What carries a load."""

    nodes: int
    shards: int
    told: float
    """Times a second that Redis tells a node of a message."""
    wall: str
    """What bounds it first."""


def loads(costs: Costs) -> list[Load]:
    """The loads of the page: one topic for all, shared topics, a topic for each reader; and ways out of the walls."""
    found = [
        Load(f"{words}, long-poll", topics, rate, costs.poll)
        for topics, words in ((1, "one topic"), (10_000, "10,000 topics"), (READERS, "a topic each"))
        for rate in RATES
    ]
    found.append(Load("one topic, streams", 1, 100, costs.event))
    found.append(Load("one topic, streams, `every=1s`", 1, 100, costs.event, gathered=100))
    found.append(Load("10,000 topics, streams, each topic at one node", 10_000, 100, costs.event, homed=True))
    return found


def inputs(costs: Costs) -> str:
    """The measured costs, as a table."""
    rows = [
        ("a long-poll delivery, answer and next request", f"{costs.poll:.1f} µs of a node"),
        ("a delivery on a stream", f"{costs.event:.1f} µs of a node"),
        ("a publish", f"{costs.publish:.0f} µs of its node, {costs.store:.0f} µs of Redis"),
        ("a message that a node is told of", f"{costs.heard:.0f} µs of that node"),
        ("the same at Redis, for each such node", f"{costs.told:.0f} µs of Redis"),
        ("a held poll", f"{costs.held:,.0f} bytes of a node"),
    ]
    return lines_of([["what", "costs"], ["---", "---"], *map(list, rows)])


def table(costs: Costs, planned: Sequence[Load]) -> str:
    """Nodes and shards for each load."""
    head = ["1,000,000 readers of", "messages a second to each", "deliveries a second", "nodes", "shards", "Gbit/s",
            "what bounds it first"]  # fmt: skip
    lines = [head, ["---", *["---:"] * (len(head) - 2), "---"]]
    for load in planned:
        plan, deliveries = load.plan(costs), READERS * load.rate
        bits = deliveries / load.gathered * 8 * (POLL_WIRE if load.each == costs.poll else EVENT_WIRE)
        beyond = "Redis" in plan.wall or "too much" in plan.wall
        lines.append([
            load.title, f"{load.rate:g}", number(deliveries, 0), "-" if beyond else number(plan.nodes, 0),
            "-" if beyond else number(plan.shards, 0), number(bits / 1e9, 1), plan.wall,
        ])  # fmt: skip
    return lines_of(lines)
