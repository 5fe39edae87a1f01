"""Nodes on virtual time, over a real store: their connections are real, and the store is told what time it is."""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from slosh.engine.redis.client.command import Command
from slosh.engine.redis.engine import RedisEngine
from slosh.settings import Settings
from tests.core.hubs import HubOnLoop
from tests.core.loops import Loop
from tests.engine.contract import Harness

PATIENCE = 20.0
"""Seconds that an answer may take on a machine that is busy with something else."""
MISSED = 1.0
"""Seconds after which a mark that was not heard is taken for missed, as where a connection broke: there is another."""

_installations = itertools.count()
_marks = itertools.count()


class Heard(RedisEngine):
    """The engine, and what went out and came in."""

    is_deaf = False
    road: Callable[[str, bytes], None] | None = None
    """Where given, announcements go there, and not to the engine."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.sent = 0
        self.marks: Counter[bytes] = Counter()
        send = self._view.send

        def counting(key: str, command: Command, done: Callable[[Any], None], **how: bool) -> None:
            self.sent += 1
            send(key, command, done, **how)

        self._view.send = counting  # type: ignore[method-assign]  # all of the engine's parts send by it

    def heard(self, channel: str, data: bytes) -> None:
        """Count marks, which are no news."""
        if data.startswith(b"mark "):
            self.marks[data] += 1
        elif self.road is not None:
            self.road(channel, data)
        elif not self.is_deaf:
            super().heard(channel, data)

    def hear(self, channel: str, data: bytes) -> None:
        """Let an announcement reach the engine at last."""
        super().heard(channel, data)

    def mark(self) -> bytes:
        """Announce a mark, behind all that was announced before it, and give it."""
        news, mark = self._view.keys.news, b"mark %d" % next(_marks)
        self._view.send(news, ("PUBLISH", news, mark), lambda _: None)
        return mark

    def has_heard(self, mark: bytes) -> bool:
        """Whether it has come from each server: what one of them announced before may come after another's mark."""
        return self.marks[mark] >= max(1, sum(link.is_up for link in self._view.servers.links.values()))

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is on its way but announcements."""
        return self._mirrors.are_heard and not self._view.servers.waiting and not self.doubts

    @property
    def doubts(self) -> int:
        """How many requests wait until the store is asked again whether nobody watches."""
        return self._doubts.waiting

    @property
    def doubtful(self) -> bool:
        """Whether it may be that others are not back at the store yet."""
        return not self._doubts._is_settled()

    async def die(self) -> None:
        """Be gone without a word, as after SIGKILL."""
        self._view.is_stopped = True
        await self._view.servers.stop()


class Node(Harness):
    """One node: its hub on virtual time, its connections real.

    Args:
        address: of the store.
        prefix: of the installation that it belongs to.
        loop: the clock, which nodes share.
        aio: the event loop, which nodes share.
    """

    def __init__(
        self,
        address: str,
        prefix: str,
        loop: Loop,
        aio: asyncio.AbstractEventLoop,
        *,
        keep: bool = False,
        **bounds: Any,
    ) -> None:
        self.loop = loop
        self.aio = aio
        self.others: list[Node] = []
        of_hub = {name: bound for name, bound in bounds.items() if name != "engine_queue_bytes"}
        self.hub = HubOnLoop(loop, keeps=keep, **of_hub)
        chance = random.Random(next(_installations))
        known = {
            name: bounds[name]
            for name in ("queue", "queue_bytes", "linger", "max_topics", "max_watchers", "engine_queue_bytes")
            if name in bounds
        }
        settings = Settings(
            engine=address,
            engine_prefix=prefix,
            engine_timeout=PATIENCE,
            max_message=1,
            **{"queue_bytes": 1_048_576, "max_topics": 1000, **known},
        )
        self.redis = Heard(
            self.hub,
            settings,
            now=loop.now,
            call_at=loop.call_at,
            random_bits=chance.getrandbits,
            clock=lambda: str(int(loop.now() * 1_000_000)),
        )
        self.engine = self.redis
        self.stopped = False
        self.prefix = prefix
        aio.run_until_complete(self._start())

    async def _start(self) -> None:
        await self.redis.start()

    @property
    def now(self) -> float:  # type: ignore[override]
        """What the loop's clock shows."""
        return self.loop.now()

    def settle(self) -> None:
        """Let everything come: nothing waits, nothing was sent since a mark, and the mark came from each server."""
        self.aio.run_until_complete(asyncio.wait_for(self._settle([self, *self.others]), PATIENCE))

    async def _settle(self, nodes: "list[Node]") -> None:
        nodes = [node for node in nodes if not node.stopped]
        while nodes:
            sent = sum(node.redis.sent for node in nodes)
            mark, missed_at = nodes[0].redis.mark(), time.monotonic() + MISSED
            while time.monotonic() < missed_at:
                await asyncio.sleep(0)
                for node in nodes:
                    # A node that is to be asked again in a moment is asked now: tests settle at one time, or nearly.
                    node.loop.advance(0.01 if node.redis.doubts else 0.0)
                    node.hub.turn()
                if all(node.redis.is_quiet and node.redis.has_heard(mark) for node in nodes):
                    if sum(node.redis.sent for node in nodes) == sent + 1:
                        return
                    break
                await asyncio.sleep(0.0005)

    def advance(self, seconds: float) -> None:
        """Let time go on in steps, so that what has to be renewed is."""
        self.settle()
        while seconds > 0:
            step = min(seconds, 0.25)
            self.loop.advance(step)
            seconds -= step
            self.settle()

    def turn_until(self, true: Callable[[], bool]) -> None:
        """Let the event loop turn until something is true; nothing else is waited for."""

        async def turn() -> None:
            while not true():  # noqa: ASYNC110 - what is waited for is no event of ours
                await asyncio.sleep(0.0005)

        self.aio.run_until_complete(asyncio.wait_for(turn(), PATIENCE))

    def die(self) -> None:
        """Be gone without a word, as after SIGKILL."""
        self.stopped = True
        self.aio.run_until_complete(self.redis.die())

    def stop(self) -> None:
        """Stop the engine."""
        if not self.stopped:
            self.stopped = True
            self.aio.run_until_complete(self.redis.stop())


def make_node(address: str, aio: asyncio.AbstractEventLoop, **bounds: Any) -> Node:
    """A node by itself."""
    return Node(address, f"t{next(_installations)}", Loop(), aio, **bounds)


def make_nodes(address: str, aio: asyncio.AbstractEventLoop, count: int, **bounds: Any) -> list[Node]:
    """Nodes of one installation, which settle together."""
    prefix, loop = f"t{next(_installations)}", Loop()
    nodes = [Node(address, prefix, loop, aio, **bounds) for _ in range(count)]
    for node in nodes:
        node.others = [other for other in nodes if other is not node]
    return nodes
