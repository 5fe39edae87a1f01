"""Servers that belong together: a master with replicas watched by Sentinels, and a Cluster."""

import contextlib
from functools import partial
from pathlib import Path
from typing import Final, Self

from tests.stores.found import Program
from tests.stores.resp import RefusedError, Reply, fields, pairs
from tests.stores.server import Store, until

MASTER_NAME: Final = "mymaster"
SLOTS: Final = 16_384
ELECTION: Final = 90.0
"""Seconds until there is another master; Sentinels whose clocks stood still for two wait for thirty (TILT)."""


class Sentinel(Store):
    """The same binary as a Sentinel, which keeps what it knows in a file of its own.

    Args:
        down_after: milliseconds of silence after which it holds a server for dead.
    """

    def __init__(self, folder: Path, master: Store, *, quorum: int, down_after: int) -> None:
        super().__init__(folder, master.program)
        self._file = folder / "sentinel.conf"
        lines = [
            f"port {self.port}",
            f"bind {self.host}",
            f"dir {folder}",
            "protected-mode no",
            f"sentinel monitor {MASTER_NAME} {master.host} {master.port} {quorum}",
            f"sentinel down-after-milliseconds {MASTER_NAME} {down_after}",
            f"sentinel failover-timeout {MASTER_NAME} {4 * down_after}",
            f"sentinel parallel-syncs {MASTER_NAME} 1",
        ]
        self._file.write_text("\n".join(lines) + "\n")

    def _command(self) -> list[str]:
        return [self.program.path, str(self._file), "--sentinel"]

    def hurry(self) -> None:
        """Have it look and tell ten times as often as it would, where its version knows how (7.0)."""
        with contextlib.suppress(RefusedError):
            self.ask("SENTINEL", "DEBUG", "INFO-PERIOD", 500, "PUBLISH-PERIOD", 200, "ASK-PERIOD", 100)

    def master(self) -> int:
        """The port of the server that it holds for the master."""
        return _port(self.ask("SENTINEL", "get-master-addr-by-name", MASTER_NAME))

    def knows_all(self, replicas: int, sentinels: int) -> bool:
        """Whether it has heard of so many replicas and so many other Sentinels."""
        known = pairs(self.ask("SENTINEL", "master", MASTER_NAME))
        return (int(known["num-slaves"]), int(known["num-other-sentinels"])) == (replicas, sentinels)


def _port(reply: Reply) -> int:
    assert isinstance(reply, list)
    port = reply[1]
    assert isinstance(port, bytes | int)
    return int(port)


def _text(reply: Reply) -> str:
    assert isinstance(reply, bytes)
    return reply.decode()


class Watched:
    """A master and its replicas, watched by Sentinels that agree by majority.

    Attributes:
        stores: the servers; the first of them begins as the master.
        sentinels: who watches them.
    """

    def __init__(
        self,
        folder: Path,
        server: Program | None = None,
        *options: str,
        replicas: int = 1,
        sentinels: int = 3,
        down_after: int = 500,
    ) -> None:
        first = Store(folder / "store-0", server, *options)
        following = ("--replicaof", first.host, str(first.port))
        others = [Store(folder / f"store-{number}", server, *options, *following) for number in range(1, replicas + 1)]
        self.stores = [first, *others]
        quorum = sentinels // 2 + 1
        self.sentinels = [
            Sentinel(folder / f"sentinel-{number}", first, quorum=quorum, down_after=down_after)
            for number in range(sentinels)
        ]
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            for server in self.stores:
                stack.enter_context(server)
            for replica in self.stores[1:]:
                until(partial(in_step, replica), "a replica was in step")
            for sentinel in self.sentinels:
                stack.enter_context(sentinel)
                sentinel.hurry()
            all_of_them = (len(self.stores) - 1, len(self.sentinels) - 1)
            for sentinel in self.sentinels:
                until(partial(sentinel.knows_all, *all_of_them), "the Sentinels knew each other")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """Their address as slosh's setting `engine` takes it."""
        return f"redis+sentinel://{addresses(self.sentinels)}/{MASTER_NAME}/0"

    @property
    def master(self) -> Store:
        """The server that the Sentinels' majority holds for the master."""
        ports = [sentinel.master() for sentinel in self.sentinels]
        port = max(ports, key=ports.count)
        return next(store for store in self.stores if store.port == port)

    def fail_over(self) -> Store:
        """Kill the master and wait until another has taken over everywhere; the one that was killed."""
        old = self.master
        old.kill()
        self.wait_for_another()
        return old

    def wait_for_another(self) -> None:
        """Wait until a server that lives has taken over everywhere from a master that was killed."""
        living = {store.port for store in self.stores if store.running}
        try:
            # An election that fails, as on a machine where they do not hear each other in time, is repeated.
            elected = partial(self._all_name_one_of, living)
            until(elected, "another was elected", ELECTION)
            until(lambda: is_master(self.master), "the one elected took over")
        except AssertionError as error:
            for sentinel in self.sentinels:
                error.add_note(sentinel.log[-2000:])
            raise

    def _all_name_one_of(self, ports: set[int]) -> bool:
        return all(sentinel.master() in ports for sentinel in self.sentinels)


class Cluster:
    """A Redis Cluster with all its slots covered, made of new servers.

    Attributes:
        stores: masters first, then their replicas in the same order.
        masters: how many of them are masters at first.
    """

    def __init__(
        self,
        folder: Path,
        server: Program | None = None,
        *options: str,
        masters: int = 3,
        replicas: bool = False,
        node_timeout: int = 1000,
    ) -> None:
        self.masters = masters
        enabled = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(node_timeout), *options)
        count = 2 * masters if replicas else masters
        self.stores = [Store(folder / f"store-{number}", server, *enabled) for number in range(count)]
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            for store in self.stores:
                stack.enter_context(store)
            self._share_slots()
            self._meet()
            for number, replica in enumerate(self.stores[self.masters :]):
                self._follow(replica, self.stores[number])
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _share_slots(self) -> None:
        for number, store in enumerate(self.stores):
            # Epochs that differ from the start: the nodes need not settle who is the elder.
            store.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number < self.masters:
                first, behind = (SLOTS * place // self.masters for place in (number, number + 1))
                store.ask("CLUSTER", "ADDSLOTS", *range(first, behind))

    def _meet(self) -> None:
        first, *others = self.stores
        for other in others:
            first.ask("CLUSTER", "MEET", other.host, other.port)
        for store in self.stores:
            until(partial(self.whole, store), "the nodes of the cluster knew each other")

    def _follow(self, replica: Store, master: Store) -> None:
        replica.ask("CLUSTER", "REPLICATE", _text(master.ask("CLUSTER", "MYID")))
        until(partial(in_step, replica), "a replica was in step")

    def whole(self, store: Store) -> bool:
        """Whether this node holds the cluster for complete."""
        told = fields(store.ask("CLUSTER", "INFO"))
        return told["cluster_state"] == "ok" and int(told["cluster_known_nodes"]) == len(self.stores)

    @property
    def url(self) -> str:
        """Its address as slosh's setting `engine` takes it."""
        return f"redis+cluster://{addresses(self.stores)}"

    def slot_owner(self, key: str) -> Store:
        """The master that has this key now."""
        living = [store for store in self.stores if store.running]
        slot = living[0].ask("CLUSTER", "KEYSLOT", key)
        ranges = living[0].ask("CLUSTER", "SLOTS")
        assert isinstance(slot, int)
        assert isinstance(ranges, list)
        for entry in ranges:
            assert isinstance(entry, list)
            first, last, owner = entry[:3]
            assert isinstance(first, int)
            assert isinstance(last, int)
            if first <= slot <= last:
                return next(store for store in self.stores if store.port == _port(owner))
        raise AssertionError(f"nobody has slot {slot}")

    def move_slot(self, slot: int, source: Store, target: Store) -> None:
        """Move a slot with its keys from one master to another, as resharding does, while it is in use."""
        names = {store.port: _text(store.ask("CLUSTER", "MYID")) for store in (source, target)}
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", names[source.port])
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", names[target.port])
        with source.wire() as wire:
            while keys := wire.ask("CLUSTER", "GETKEYSINSLOT", slot, 1000):
                assert isinstance(keys, list)
                wire.ask("MIGRATE", target.host, target.port, "", 0, 5000, "KEYS", *map(_text, keys))
        for store in (target, source, *self.stores):
            store.ask("CLUSTER", "SETSLOT", slot, "NODE", names[target.port])

    def fail_over(self, master: Store) -> Store:
        """Kill a master and wait until its replica has taken over; that replica."""
        heir = self.stores[self.stores.index(master) + self.masters]
        master.kill()
        until(lambda: is_master(heir), "the replica took over")
        until(lambda: all(self.whole(store) for store in self.stores if store.running), "all slots were covered again")
        return heir


def addresses(stores: list[Store] | list[Sentinel]) -> str:
    """Their hosts and ports, separated by commas."""
    return ",".join(f"{store.host}:{store.port}" for store in stores)


def is_master(store: Store) -> bool:
    """Whether it holds itself for a master."""
    return fields(store.ask("INFO", "replication"))["role"] == "master"


def in_step(store: Store) -> bool:
    """Whether it is a replica that has all of its master's data."""
    told = fields(store.ask("INFO", "replication"))
    return told["role"] == "slave" and told["master_link_status"] == "up"
