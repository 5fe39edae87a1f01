"""The same promises on every road to a store: passwords, users, TLS, Unix sockets, Sentinel, all sorts of clusters."""

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from slosh.errors import NoWatchers
from tests.core.hubs import Roomy
from tests.engine.contract import Poller
from tests.engine.nodes import Node, make_nodes
from tests.stores.found import KINDS, program
from tests.stores.server import Store
from tests.stores.sets import Cluster, Watched
from tests.stores.tls import Authority

Road = Callable[[Path], contextlib.AbstractContextManager[str]]
"""Makes a store and gives its address."""

OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"


def told_user() -> str:
    """The user that docs/operations.md says is enough."""
    found = re.search(r"ACL SETUSER slosh (on .*?)```", OPERATIONS.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return " ".join(found[1].replace("slosh:*", "t*").split())  # each test has a prefix of its own


@contextlib.contextmanager
def with_password(folder: Path) -> Iterator[str]:
    with Store(folder, password="p@ss:/?#") as store:
        yield store.url.replace("p@ss:/?#", "p%40ss%3A%2F%3F%23")


@contextlib.contextmanager
def with_user(folder: Path) -> Iterator[str]:
    with Store(folder, password="admin", users=(f"slosh {told_user()}",)) as store:
        yield f"redis://slosh:password@127.0.0.1:{store.port}"


@contextlib.contextmanager
def with_tls(folder: Path) -> Iterator[str]:
    with Store(folder / "store", tls=Authority(folder / "ca")) as store:
        yield store.url


@contextlib.contextmanager
def over_unix(folder: Path) -> Iterator[str]:
    with Store(folder, path=folder / "redis.sock"):
        yield f"unix://{folder}/redis.sock?db=3"


@contextlib.contextmanager
def with_resp3(folder: Path) -> Iterator[str]:
    with Store(folder) as store:
        yield f"{store.url}?protocol=3"


@contextlib.contextmanager
def with_sentinel(folder: Path) -> Iterator[str]:
    with Watched(folder) as watched:
        yield watched.url


def cluster_of(kind: str) -> Road:
    @contextlib.contextmanager
    def made(folder: Path) -> Iterator[str]:
        with Cluster(folder, program(kind)) as cluster:
            yield cluster.url

    return made


def cluster_with_user(folder: Path) -> contextlib.AbstractContextManager[str]:
    @contextlib.contextmanager
    def made() -> Iterator[str]:
        with Cluster(folder) as cluster:
            for store in cluster.stores:
                store.ask("ACL", "SETUSER", "slosh", *told_user().split())
            yield cluster.url.replace("://", "://slosh:password@")

    return made()


ROADS: dict[str, Road] = {
    "password": with_password,
    "user": with_user,
    "tls": with_tls,
    "unix": over_unix,
    "resp3": with_resp3,
    "sentinel": with_sentinel,
    "cluster-user": cluster_with_user,
    **{f"cluster-{kind}": cluster_of(kind) for kind in KINDS},
}


@pytest.fixture(params=ROADS)
def pair(request: pytest.FixtureRequest, tmp_path: Path, aio: asyncio.AbstractEventLoop) -> Iterator[list[Node]]:
    """Two nodes that come by this road."""
    with ROADS[request.param](tmp_path) as address:
        nodes = make_nodes(address, aio, 2, linger=5.0)
        yield nodes
        for node in nodes:
            node.stop()


def test_all_that_nodes_do_together(pair: list[Node]) -> None:
    """Post, read, count, look, sleep, list, follow, end: on topics that a cluster has at different servers."""
    one, other = pair
    names = [f"{{{number}}}topic {number}" for number in range(12)]
    readers = [Poller(other, name) for name in names]
    one.settle()
    for name in names:
        assert one.taken(name, name.encode(), b"2", key="k").watchers == 1
        assert other.taken(name, name.encode(), b"2", key="k").replayed
    assert [reader.got for reader in readers] == [[name.encode(), b"2"] for name in names]
    looked: list[Any] = []
    listed: list[Any] = []
    one.engine.look(names[0], one.now, looked.append)
    one.engine.list_topics("", 100, one.now, listed.append)
    one.settle()
    assert looked[0].last == 2
    assert [facts.name for facts in listed[0]] == sorted(names)
    follower = Follower()
    other.hub.listeners.follow("s/*", follower)
    one.settle()
    assert one.taken("s/1", b"1").newest == 1
    assert follower.created == ["s/1"]
    other.hub.listeners.unfollow("s/*", follower)
    last = Poller(other, "ends")
    one.settle()
    one.taken("ends", b"1", ends=True)
    assert (last.got, last.ended) == ([b"1"], 1)
    assert one.taken("opened", opens=True, ends=True).newest == 0
    for reader in readers:
        reader.go()
    one.advance(8.0)
    assert all(isinstance(one.publish(name, b"3"), NoWatchers) for name in names)


class Follower(Roomy):
    """Reads by a pattern, and takes nothing."""

    def __init__(self) -> None:
        self.created: list[str] = []

    def topic_created(self, topic: Any) -> None:
        """As the hub's follower."""
        self.created.append(topic.name)


def test_a_slot_may_move_while_its_topic_is_used(tmp_path: Path, aio: asyncio.AbstractEventLoop) -> None:
    """As when a cluster is given another server: its keys go, then the slot itself (ASK, MOVED)."""
    with Cluster(tmp_path) as cluster:
        one, other = nodes = make_nodes(cluster.url, aio, 2)
        reader = Poller(other, "a")
        one.settle()
        one.taken("a", b"1")
        keys = [f"{one.prefix}:{{a}}:{part}" for part in ("topic", "ring", "watches")]
        old = cluster.slot_owner(keys[0])
        new = next(store for store in cluster.stores if store is not old)
        names = [ask(store, "CLUSTER", "MYID") for store in (old, new)]
        slot = int(ask(old, "CLUSTER", "KEYSLOT", keys[0]))
        new.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", names[0])
        old.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", names[1])
        one.taken("a", b"2")
        old.ask("MIGRATE", new.host, new.port, "", 0, 5000, "KEYS", *keys)
        one.taken("a", b"3")
        for store in (new, old):
            store.ask("CLUSTER", "SETSLOT", slot, "NODE", names[1])
        for number in range(4, 8):
            one.taken("a", b"%d" % number)
        one.turn_until(lambda: reader.got[-1:] == [b"7"])
        assert reader.got == [b"%d" % number for number in range(1, 8)]
        assert not any(reading.reset or reading.lost for reading in reader.readings)
        # Else the old server would be asked for it with all the others after each reconnection, and refuse them all.
        channel = other.redis._view.keys.channel("a")
        links = other.redis._view.servers.links.values()
        assert [channel in link._listener._channels for link in links].count(True) == 1
        for node in nodes:
            node.stop()


def ask(store: Store, *words: str) -> str:
    """A reply as text."""
    reply = store.ask(*words)
    return reply.decode() if isinstance(reply, bytes) else str(reply)
