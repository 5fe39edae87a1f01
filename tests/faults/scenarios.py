"""The faults. Each makes its own place, puts the load on it, breaks something in the midst of it, and counts."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from tests.faults.load import Figures, Size, run, under_load
from tests.faults.namespace import Namespace
from tests.faults.nodes import Node
from tests.faults.place import Place, engine_words, place
from tests.stores.server import Store, until
from tests.stores.sets import Cluster, Watched


class Times(NamedTuple):
    """How long faults last, seconds, and how often they come."""

    pause: float
    cut: float
    forgotten: float
    drops: int
    turns: int


SHORT: Final = Times(pause=5, cut=4, forgotten=0.3, drops=3, turns=4)
LONG: Final = Times(pause=5, cut=20, forgotten=1, drops=10, turns=30)
WORKERS: Final = 3
NOTICED: Final = 1.5
"""Seconds from one node of a rolling restart to the next: nginx asks again after a `fail_timeout` of 1 s."""


async def aside(work: Callable[[], object]) -> float:
    """Do something that blocks beside the load; how long it took, seconds."""
    start = time.monotonic()
    await asyncio.to_thread(work)
    return round(time.monotonic() - start, 2)


def nothing(folder: Path, size: Size, _: Times) -> Figures:
    """Nothing breaks: what the others are compared with."""
    with Store(folder / "store") as store:
        return at_peace("nothing", folder, size, store.url)


def at_peace(title: str, folder: Path, size: Size, engine: str) -> Figures:
    """Two nodes that share the store at this address, under load and unhurt."""

    async def hurt(_: Place) -> None:
        pass

    with place(folder, engine) as here:
        return observed(title, size, here, hurt)


def killed_node(folder: Path, size: Size, _: Times) -> Figures:
    """One of two nodes is killed, and does not come back."""

    async def hurt(here: Place) -> None:
        await aside(here.nodes[0].kill)

    with Store(folder / "store") as store, place(folder, store.url) as here:
        return observed("SIGKILL of one of two nodes", size, here, hurt)


def killed_worker(folder: Path, size: Size, _: Times) -> Figures:
    """Of the processes on one port one is killed, and its parent starts another."""

    async def hurt(here: Place) -> dict[str, float]:
        node = here.nodes[0]
        doomed = node.workers()[0]
        os.kill(doomed, signal.SIGKILL)
        return {"replaced_after": await aside(lambda: until(lambda: _is_whole(node, doomed), "it was replaced"))}

    def _is_whole(node: Node, doomed: int) -> bool:
        workers = node.workers()
        return len(workers) == WORKERS and doomed not in workers

    options = (f"--workers={WORKERS}",)
    with Store(folder / "store") as store, place(folder, store.url, 1, options=options) as here:
        return observed(f"SIGKILL of one of {WORKERS} workers", size, here, hurt)


def restarted_store(folder: Path, size: Size, _: Times) -> Figures:
    """The store is killed and starts again with nothing in it."""
    with Store(folder / "store") as store, place(folder, store.url) as here:
        return observed("Redis restarted, without persistence", size, here, lambda _: restart(store))


def restarted_store_with_aof(folder: Path, size: Size, _: Times) -> Figures:
    """The store is killed and starts again with all that it had answered."""
    with Store(folder / "store", aof=True) as store, place(folder, store.url) as here:
        return observed("Redis restarted, with AOF", size, here, lambda _: restart(store))


def restored_store(folder: Path, size: Size, times: Times) -> Figures:
    """The store is killed and starts again with what it had a while ago: it has forgotten what it answered since."""
    with Store(folder / "store") as store, place(folder, store.url) as here:

        async def hurt(_: Place) -> dict[str, float]:
            await aside(partial(store.ask, "SAVE"))
            await asyncio.sleep(times.forgotten)
            return await restart(store)

        return observed(f"Redis restarted from a snapshot {times.forgotten:g} s old", size, here, hurt)


def emptied_store(folder: Path, size: Size, _: Times) -> Figures:
    """Somebody empties the store."""
    with Store(folder / "store") as store, place(folder, store.url) as here:

        async def hurt(_: Place) -> None:
            await aside(partial(store.ask, "FLUSHALL"))

        return observed("FLUSHALL", size, here, hurt)


async def restart(store: Store) -> dict[str, float]:
    """Kill the store and start it again."""

    def again() -> None:
        store.kill()
        store.start()

    return {"down": await aside(again)}


def paused_store(folder: Path, size: Size, times: Times) -> Figures:
    """The store stands still for a while, its connections open."""
    with Store(folder / "store") as store, place(folder, store.url) as here:

        async def hurt(_: Place) -> None:
            with store.paused():
                await asyncio.sleep(times.pause)

        return observed(f"Redis stopped for {times.pause:g} s (SIGSTOP)", size, here, hurt)


def dropped_connections(folder: Path, size: Size, times: Times) -> Figures:
    """All connections to the store are cut, again and again."""
    with Store(folder / "store") as store, place(folder, store.url) as here:

        async def hurt(_: Place) -> dict[str, float]:
            cut = 0
            for _turn in range(times.drops):
                cut += store.drop_clients()
                await asyncio.sleep(0.5)
            return {"connections_cut": cut}

        return observed(f"CLIENT KILL of all connections, {times.drops} times", size, here, hurt)


def sentinel_failover(folder: Path, size: Size, _: Times) -> Figures:
    """The master is killed; Sentinels make its replica the master."""
    with Watched(folder / "stores") as watched, place(folder, watched.url) as here:

        async def hurt(_: Place) -> dict[str, float]:
            return {"failover": await aside(watched.fail_over)}

        return observed("Sentinel failover, the master killed", size, here, hurt)


def failover_that_forgets(folder: Path, size: Size, times: Times) -> Figures:
    """As above, with a replica that lagged behind: the new master lacks what the old one answered of late."""
    with Watched(folder / "stores") as watched, place(folder, watched.url) as here:

        async def hurt(_: Place) -> dict[str, float]:
            master = watched.master
            with watched.stores[1].paused():
                # Else the replica would find in its socket what came meanwhile.
                await aside(partial(master.ask, "CLIENT", "KILL", "TYPE", "replica"))
                await asyncio.sleep(times.forgotten)
                master.kill()
            return {"failover": await aside(watched.wait_for_another)}

        title = f"Sentinel failover, the replica {times.forgotten:g} s behind"
        return observed(title, size, here, hurt)


def paused_node(folder: Path, size: Size, times: Times) -> Figures:
    """One of two nodes stands still for a while, its connections open."""
    with Store(folder / "store") as store, place(folder, store.url) as here:

        async def hurt(_: Place) -> None:
            with here.nodes[0].paused():
                await asyncio.sleep(times.pause)

        return observed(f"one of two nodes stopped for {times.pause:g} s (SIGSTOP)", size, here, hurt)


def cluster_failover(folder: Path, size: Size, _: Times) -> Figures:
    """The master that has the topic is killed; its replica takes over."""
    with Cluster(folder / "stores", replicas=True) as cluster, place(folder, cluster.url) as here:

        async def hurt(_: Place) -> dict[str, float]:
            owner = _owner(cluster)
            return {"failover": await aside(partial(cluster.fail_over, owner))}

        return observed("Cluster, the topic's master killed", size, here, hurt)


def moved_slot(folder: Path, size: Size, times: Times) -> Figures:
    """The topic's keys move from one master of a cluster to another, and on, while they are in use."""
    with Cluster(folder / "stores") as cluster, place(folder, cluster.url) as here:

        async def hurt(_: Place) -> dict[str, float]:
            source = _owner(cluster)
            slot = _slot(source)
            for _turn in range(times.drops):
                target = cluster.stores[(cluster.stores.index(source) + 1) % cluster.masters]
                await aside(partial(cluster.move_slot, slot, source, target))
                await asyncio.sleep(0.3)
                source = target
            return {"moves": times.drops}

        return observed(f"Cluster, the topic's slot moved {times.drops} times", size, here, hurt)


FIND_LIST: Final = """
for _, key in ipairs(redis.call('KEYS', '*')) do
  if redis.call('TYPE', key).ok == 'list' then return key end
end
"""


def _slot(store: Store) -> int:
    """The slot of the topic, whose ring is the only list."""
    ring = store.ask("EVAL", FIND_LIST, 0)
    assert isinstance(ring, bytes)
    slot = store.ask("CLUSTER", "KEYSLOT", ring.decode())
    assert isinstance(slot, int)
    return slot


def _owner(cluster: Cluster) -> Store:
    """The master with the most keys: there is one topic only."""
    masters = cluster.stores[: cluster.masters]

    def size(store: Store) -> int:
        count = store.ask("DBSIZE")
        assert isinstance(count, int)
        return count

    return max(masters, key=size)


def rolling_restart(folder: Path, size: Size, _: Times) -> Figures:
    """Three nodes are drained and started again, one after the other."""

    async def hurt(here: Place) -> dict[str, float]:
        took = []
        for node in here.nodes:
            took += [await aside(node.drain), await aside(node.start)]
            await asyncio.sleep(NOTICED)
        return {"slowest_drain": max(took[::2]), "slowest_start": max(took[1::2])}

    with Store(folder / "store") as store, place(folder, store.url, 3) as here:
        return observed("rolling restart of three nodes", size, here, hurt)


def cut_node(folder: Path, size: Size, times: Times) -> Figures:
    """One of two nodes is cut from the store in silence, and not from its clients."""
    with Namespace() as namespace:
        both = ("--bind", "127.0.0.1", namespace.outside)
        store = Store(folder / "store", None, *both)
        inner = engine_words(store.url.replace(store.host, namespace.outside))
        node = Node(folder, 1, inner, namespace.address, namespace.words)
        with store, place(folder, store.url, 1, more=[node]) as here:

            async def hurt(_: Place) -> dict[str, float]:
                with namespace.cut():
                    await asyncio.sleep(times.cut)
                    unready = await asyncio.to_thread(node.status, "/-/ready")
                return {"ready_while_cut": unready, "ready_again_after": await aside(partial(ready_again, node))}

            return observed(f"one of two nodes cut from Redis for {times.cut:g} s", size, here, hurt)


def ready_again(node: Node) -> None:
    """Wait until the node says that it is ready."""
    until(lambda: node.status("/-/ready") == 200, "the node was ready again")


def observed(
    fault: str, size: Size, here: Place, hurt: Callable[[Place], Awaitable[dict[str, float] | None]]
) -> Figures:
    """The figures of this fault."""
    return run(lambda: under_load(fault, size, here.front.port, here.nodes, lambda: hurt(here)))


FAULTS: Final = (
    nothing,
    killed_node,
    killed_worker,
    restarted_store,
    restarted_store_with_aof,
    restored_store,
    emptied_store,
    paused_store,
    dropped_connections,
    sentinel_failover,
    failover_that_forgets,
    cluster_failover,
    moved_slot,
    paused_node,
    rolling_restart,
    cut_node,
)
