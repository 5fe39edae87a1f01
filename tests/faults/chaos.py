"""One fault after another, by chance, at three nodes and their store, which keeps what it has answered."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final

from tests.faults.load import Figures, Size
from tests.faults.nodes import Node
from tests.faults.place import Place, place
from tests.faults.scenarios import Times, aside, observed, restart
from tests.stores.server import Store

LONGEST_PAUSE: Final = 3.0
"""Seconds that something stands still, at most."""

Fault = Callable[[], Awaitable[None]]


class Chaos:
    """Hurts one thing after another; a seed tells what, when, and which node."""

    def __init__(self, store: Store, nodes: list[Node], seed: int) -> None:
        self._store = store
        self._nodes = nodes
        self._chance = random.Random(seed)
        self.faults: tuple[Fault, ...] = (
            self.drop_connections,
            self.pause_store,
            self.restart_store,
            self.kill_node,
            self.restart_node,
            self.pause_node,
        )

    async def hurt(self, turns: int) -> None:
        """So many faults, with a moment between them."""
        for _ in range(turns):
            await self._chance.choice(self.faults)()
            await asyncio.sleep(self._chance.uniform(0, 1))

    async def drop_connections(self) -> None:
        """Cut all connections to the store."""
        self._store.drop_clients()

    async def pause_store(self) -> None:
        """The store stands still."""
        with self._store.paused():
            await asyncio.sleep(self._chance.uniform(0.1, LONGEST_PAUSE))

    async def restart_store(self) -> None:
        """The store is killed and comes back."""
        await restart(self._store)

    async def kill_node(self) -> None:
        """A node is killed, and comes back."""
        node = self._chance.choice(self._nodes)
        node.kill()
        await asyncio.sleep(self._chance.uniform(0, 1))
        await aside(node.start)

    async def restart_node(self) -> None:
        """A node is drained and started again."""
        node = self._chance.choice(self._nodes)
        await aside(node.drain)
        await aside(node.start)

    async def pause_node(self) -> None:
        """A node stands still."""
        with self._chance.choice(self._nodes).paused():
            await asyncio.sleep(self._chance.uniform(0.1, LONGEST_PAUSE))


def chaos(folder: Path, size: Size, times: Times) -> Figures:
    """All of these, and nothing is lost and nobody is told of a reset."""
    seed = random.randrange(1_000_000)

    async def hurt(store: Store, here: Place) -> dict[str, float]:
        await Chaos(store, here.nodes, seed).hurt(times.turns)
        return {"seed": seed}

    with Store(folder / "store", aof=True) as store, place(folder, store.url, 3) as here:
        return observed(
            f"{times.turns} faults by chance, Redis with AOF, three nodes", size, here, partial(hurt, store)
        )
