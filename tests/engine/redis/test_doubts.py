"""`no_watchers` is never said while a node with readers is alive, whatever became of the store's keys and clock."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from slosh.engine.base import Published, WatcherCount
from slosh.errors import EngineUnreachable, NoWatchers
from tests.core.loops import Loop
from tests.engine.contract import Poller
from tests.engine.nodes import PATIENCE, Node
from tests.engine.redis.test_directory import Follower, Sleeper
from tests.stores.between import Between
from tests.stores.server import Store

Nodes = Callable[..., list[Node]]
Hurt = Callable[[Store, list[Node]], None]


def keys(store: Store, nodes: list[Node], end: str) -> list[str]:
    """The keys of the nodes' installation that end so."""
    found = store.ask("KEYS", f"{nodes[0].prefix}:*{end}")
    assert isinstance(found, list)
    assert found
    return [key.decode() for key in found if isinstance(key, bytes)]


def flush(store: Store, nodes: list[Node]) -> None:
    store.ask("FLUSHALL")


def delete(end: str) -> Hurt:
    def hurt(store: Store, nodes: list[Node]) -> None:
        store.ask("DEL", *keys(store, nodes, end))

    return hurt


def expire(store: Store, nodes: list[Node]) -> None:
    for key in keys(store, nodes, ""):
        store.ask("PEXPIRE", key, 0)


def set_clock(seconds: float) -> Hurt:
    def hurt(store: Store, nodes: list[Node]) -> None:
        loop = nodes[0].loop
        for node in nodes:
            node.redis._view.clock = lambda: str(int((loop.now() + seconds) * 1_000_000))

    return hurt


def forget_scripts(store: Store, nodes: list[Node]) -> None:
    store.ask("SCRIPT", "FLUSH")


def forget_all(store: Store, nodes: list[Node]) -> None:
    flush(store, nodes)
    forget_scripts(store, nodes)


HURTS: dict[str, Hurt] = {
    "flushall": flush,
    "the topic's key deleted": delete(":topic"),
    "all keys expired": expire,
    "clock +40 s": set_clock(40.0),
    "clock -40 s": set_clock(-40.0),
    "clock +1 h": set_clock(3600.0),
    "scripts forgotten": forget_scripts,
    "scripts and keys": forget_all,
}


@pytest.fixture(params=HURTS)
def hurt(request: pytest.FixtureRequest) -> Hurt:
    """Something that happens to the store."""
    return HURTS[request.param]


def test_a_post_elsewhere_is_taken_while_a_reader_waits(nodes: Nodes, store: Store, hurt: Hurt) -> None:
    one, other = nodes(2)
    reader = Poller(other, "a")
    other.settle()
    one.taken("a", b"1")
    hurt(store, [one, other])
    before = one.now
    published = one.publish("a", b"2")
    assert isinstance(published, Published)
    assert published.watchers == 1
    assert one.now - before < 0.5
    assert reader.got == [b"1", b"2"]


def test_a_feeder_elsewhere_is_told_of_the_reader(nodes: Nodes, store: Store, hurt: Hurt) -> None:
    one, other = nodes(2)
    Poller(other, "a")
    other.settle()
    hurt(store, [one, other])
    told: list[Any] = []
    one.engine.count_watchers("a", one.now, told.append)
    one.settle()
    assert told == [WatcherCount(1)]
    sleeper = Sleeper(one, "a")
    one.settle()
    assert sleeper.woken


def test_a_glance_from_elsewhere_finds_the_topic(nodes: Nodes, store: Store, hurt: Hurt) -> None:
    one, other = nodes(2)
    Poller(other, "a")
    other.settle()
    hurt(store, [one, other])
    looked: list[Any] = []
    one.engine.look("a", one.now, looked.append)
    one.settle()
    assert looked
    assert looked[0] is not None


def test_a_topic_that_only_lingers_is_not_given_up_either(nodes: Nodes, store: Store, hurt: Hurt) -> None:
    one, other = nodes(2)
    other.opened("a")
    hurt(store, [one, other])
    assert isinstance(one.publish("a", b"1"), Published)


def test_a_new_topic_is_taken_for_who_reads_its_pattern_elsewhere(nodes: Nodes, store: Store, hurt: Hurt) -> None:
    one, other = nodes(2)
    follower = Follower(other, "s/*")
    other.settle()
    one.taken("s/1", b"1")
    hurt(store, [one, other])
    one.redis.heard(one.redis._view.keys.news, b"~")  # this node looks at the list just now
    one.settle()
    assert isinstance(one.publish("s/2", b"1"), Published)
    assert follower.topics == ["s/1", "s/2"]


def test_a_topic_whose_leases_are_deleted_is_watched_again_soon(nodes: Nodes, store: Store) -> None:
    """It lingers meanwhile, so messages are taken; how many watch it is known again within a third of linger."""
    one, other = nodes(2, linger=6.0)
    reader = Poller(other, "a")
    other.settle()
    delete(":watches")(store, [one, other])
    one.taken("a", b"1")
    sleeper = Sleeper(one, "a")
    one.advance(4.0)
    assert sleeper.woken
    assert one.taken("a", b"2").watchers == 1
    assert reader.got == [b"1", b"2"]


def test_a_node_that_died_does_not_count_when_the_store_has_forgotten(nodes: Nodes, store: Store) -> None:
    one, other = nodes(2)
    Poller(other, "a")
    other.settle()
    other.die()
    store.ask("FLUSHALL")
    assert isinstance(one.publish("a", b"1"), NoWatchers)


def test_the_usual_refusal_costs_one_command(nodes: Nodes) -> None:
    """Also where a feeder sleeps until the topic is watched."""
    one, other = nodes(2)
    Sleeper(other, "a")
    Poller(other, "b")
    one.settle()
    before, sent = one.now, one.redis.sent
    for _ in range(5):
        answers = one.publish_soon("a", b"1")
        one.turn_until(lambda answers=answers: answers)  # type: ignore[misc]
        assert isinstance(answers[0], NoWatchers)
    assert (one.now, one.redis.sent - sent) == (before, 5)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Store]:
    """A server that is restarted."""
    with Store(tmp_path / "store") as store:
        yield store


@pytest.mark.parametrize("comes_back", [True, False])
def test_after_a_restart_others_are_waited_for(own: Store, aio: asyncio.AbstractEventLoop, comes_back: bool) -> None:
    """The publisher's node is back first: it knows that another is missing, for a lease at most."""
    between = Between(own.port)
    aio.run_until_complete(between.__aenter__())
    loop = Loop()
    one = Node(own.url, "restarted", loop, aio, linger=6.0)
    other = Node(own.url.replace(str(own.port), str(between.port)), "restarted", loop, aio, linger=6.0)
    one.others, other.others = [other], [one]

    def spend(seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            one.turn_until(lambda: not one.redis._view.servers.waiting)
            loop.advance(0.1)

    try:
        reader = Poller(other, "a")
        one.settle()
        one.advance(4.0)  # nodes are counted from time to time
        between.is_closed = True
        own.kill()
        between.cut()
        own.start()
        one.turn_until(lambda: one.redis.ready() and one.redis.doubtful)
        answers = one.publish_soon("a", b"1")
        spend(3.0)
        assert answers == []
        if comes_back:
            between.is_closed = False
            one.turn_until(lambda: own.ask("PUBSUB", "NUMSUB", "restarted:news") == [b"restarted:news", 2])
            one.settle()
            assert isinstance(answers[0], Published)
            assert reader.got == [b"1"]
        else:
            spend(4.0)
            assert isinstance(answers[0], NoWatchers)
    finally:
        for node in (one, other):
            node.stop()
        aio.run_until_complete(between.__aexit__())


def test_a_refusal_that_cannot_be_known_to_be_right_is_none(nodes: Nodes) -> None:
    """Where others need longer than `engine_timeout` to come back, a publisher is told to try again."""
    one, other = nodes(2, linger=60.0)
    one.advance(25.0)
    other.die()
    one.redis.came_up()
    answers = one.publish_soon("a", b"1")
    for _ in range(round((PATIENCE + 1) * 10)):
        one.turn_until(lambda: not one.redis._view.servers.waiting)
        one.loop.advance(0.1)
    assert isinstance(answers[0], EngineUnreachable)
