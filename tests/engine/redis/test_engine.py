"""The engine of many nodes keeps every engine's promises, on each server that this machine has."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from slosh.core.cursor import Cursor
from slosh.core.reading import Now, locate
from slosh.engine.base import Published
from slosh.errors import EngineBusy, EngineFull, NoWatchers
from tests.core.hubs import Roomy
from tests.engine.contract import Harness, Poller
from tests.engine.ends import EndsContract
from tests.engine.nodes import Node, make_node
from tests.stores.server import Store

Nodes = Callable[..., list[Node]]


class TestRedis(EndsContract):
    """The contract."""

    @pytest.fixture(autouse=True)
    def _place(self, store: Store, aio: asyncio.AbstractEventLoop) -> None:
        self.store = store
        self.aio = aio

    def make(self, **bounds: Any) -> Harness:
        return make_node(self.store.url, self.aio, **bounds)


class TestTwoNodes:
    """What a client is promised that goes from node to node."""

    def test_a_message_posted_at_one_reaches_who_waits_at_the_other(self, nodes: Nodes) -> None:
        one, other = nodes(2)
        reader = Poller(other, "a")
        other.settle()
        published = [one.taken("a", b"%d" % number) for number in range(3)]
        assert reader.got == [b"0", b"1", b"2"]
        assert [each.newest for each in published] == [1, 2, 3]
        assert {each.epoch for each in published} == {reader.topic.epoch if reader.topic else ""}

    def test_the_order_is_the_same_at_both_whoever_posts_where(self, nodes: Nodes) -> None:
        both = nodes(2)
        readers = [Poller(node, "a") for node in both]
        both[0].settle()
        for number in range(40):
            both[number % 2].publish_soon("a", b"%d" % number)
        both[0].settle()
        assert readers[0].got == readers[1].got
        assert sorted(map(int, readers[0].got)) == list(range(40))

    def test_watchers_are_summed(self, nodes: Nodes) -> None:
        one, other = nodes(2)
        readers = [Poller(node, "a") for node in (one, other, other)]
        one.settle()
        one.advance(1.5)
        assert [node.taken("a", b"1").watchers for node in (one, other)] == [3, 3]
        readers[2].go()
        one.advance(1.5)
        assert one.taken("a", b"2").watchers == 2

    def test_a_topic_is_active_as_long_as_one_node_watches_it(self, nodes: Nodes) -> None:
        one, other = nodes(2, linger=5.0)
        reader = Poller(other, "a")
        other.settle()
        one.advance(20.0)
        assert one.taken("a", b"1").watchers == 1
        reader.go()
        one.advance(4.5)
        assert one.taken("a", b"2").watchers == 0
        one.advance(1.5)
        assert isinstance(one.publish("a", b"3"), NoWatchers)

    def test_without_linger_readers_who_come_together_have_one_life(self, nodes: Nodes) -> None:
        both = nodes(2, linger=0.0)
        readers = [Poller(node, "a") for node in both]
        both[0].settle()
        both[1].taken("a", b"1")
        both[0].advance(20.0)
        both[0].taken("a", b"2")
        assert [(reader.got, reader.lost) for reader in readers] == [([b"1", b"2"], 0)] * 2
        assert not any(reading.reset for reader in readers for reading in reader.readings)

    def test_a_node_that_dies_stops_counting_within_linger(self, nodes: Nodes) -> None:
        one, other = nodes(2, linger=5.0)
        Poller(other, "a")
        other.settle()
        one.advance(3.0)
        other.die()
        assert one.taken("a", b"1").watchers == 1
        one.advance(5.5)
        assert isinstance(one.publish("a", b"2"), NoWatchers)

    def test_a_node_that_died_leaves_nothing_at_a_topic_that_lives_on(self, nodes: Nodes, store: Store) -> None:
        one, other = nodes(2, linger=5.0)
        readers = [Poller(node, "a") for node in (one, other)]
        one.settle()
        other.die()
        one.advance(12.0)
        assert store.ask("HLEN", f"{one.prefix}:{{a}}:watches") == 1
        assert one.taken("a", b"1").watchers == 1
        assert readers

    def test_a_node_that_goes_quietly_stops_counting_at_once_and_its_topics_linger(self, nodes: Nodes) -> None:
        one, other = nodes(2, linger=5.0)
        reader = Poller(other, "a")
        other.settle()
        reader.go()
        other.stop()
        assert one.taken("a", b"1").watchers == 0
        one.advance(5.5)
        assert isinstance(one.publish("a", b"2"), NoWatchers)

    def test_a_cursor_of_one_node_holds_at_the_other_which_has_not_mirrored_the_topic(self, nodes: Nodes) -> None:
        one, other = nodes(2)
        one.opened("a")
        published = one.taken("a", b"1", b"2", b"3")
        reading = other.look("a", Cursor(published.epoch, 1))
        assert (reading.reset, reading.messages) == (False, [b"2", b"3"])

    def test_a_cursor_that_is_newer_than_a_mirror_is_one_of_the_future_only_until_the_store_is_asked(
        self, nodes: Nodes
    ) -> None:
        one, other = nodes(2)
        one.opened("a")
        other.opened("a")
        other.redis.is_deaf = True
        published = one.publish_soon("a", b"1")
        one.turn_until(lambda: bool(published))
        epoch = other.redis.find_open("a", other.now).epoch  # type: ignore[union-attr]  # it is there
        cursor = Cursor(epoch, 1)
        assert locate(other.redis.find_open("a", other.now), cursor, other.now).reset  # type: ignore[arg-type]  # as above
        found: list[Any] = []
        other.redis.open("a", other.now, found.append, fresh=True)
        one.turn_until(lambda: bool(found))
        assert not locate(found[0], cursor, other.now).reset

    def test_idempotency_keys_are_shared(self, nodes: Nodes) -> None:
        one, other = nodes(2)
        one.opened("a")
        first = one.taken("a", b"1", key="k")
        assert other.taken("a", b"1", key="k") == first.again()

    def test_messages_are_as_old_at_one_node_as_at_the_other(self, nodes: Nodes) -> None:
        one, other = nodes(2)
        one.opened("a")
        one.taken("a", b"1")
        one.advance(10.0)
        one.taken("a", b"2")
        topic = other.opened("a")
        assert topic.after(topic.offset_before(other.now - 5.0)) == [b"2"]
        assert topic.after(topic.offset_before(other.now - 15.0)) == [b"1", b"2"]
        assert round(other.now - topic.created_at) == 10

    def test_readers_are_told_the_times_of_the_store_at_each_node(self, nodes: Nodes) -> None:
        one, other = nodes(2)
        readers = [Poller(one, "a")]
        one.settle()
        start = int(one.now * 1000)
        one.taken("a", b"1", b"2")
        one.advance(0.5)
        other.taken("a", b"3")
        one.advance(0.25)
        readers.append(Poller(other, "a"))  # Its mirror asks for all; the other's heard each.
        one.settle()
        times = [reader.topic.times(range(1, 4)) for reader in readers if reader.topic]
        assert times == [[start, start, start + 500]] * 2

    def test_the_times_do_not_go_back_when_the_clock_of_the_store_does(self, nodes: Nodes) -> None:
        one, other = nodes(2)
        readers = [Poller(one, "a"), Poller(other, "a")]
        one.settle()
        clock = one.redis._view.clock
        for number, step in enumerate((0, -40_000_000, -39_000_000, 1_000_000)):
            one.redis._view.clock = lambda step=step: str(int(clock()) + step)  # type: ignore[misc]
            one.taken("a", b"%d" % number)
        one.settle()
        first, *times = [reader.topic.times(range(1, 5)) for reader in readers if reader.topic]
        assert [first] == times
        assert first == sorted(first)
        assert first[3] - first[0] == 1000

    def test_looking_leaves_no_trace(self, nodes: Nodes) -> None:
        one, other = nodes(2, linger=5.0)
        looked: list[Any] = []
        one.redis.look("a", one.now, looked.append)
        one.settle()
        assert looked == [None]
        assert isinstance(other.publish("a", b"1"), NoWatchers)
        other.opened("a")
        other.taken("a", b"1")
        one.redis.look("a", one.now, looked.append)
        one.settle()
        assert looked[1].after(0) == [b"1"]
        other.advance(4.0)
        one.redis.look("a", one.now, looked.append)
        one.settle()
        other.advance(1.5)
        assert isinstance(other.publish("a", b"2"), NoWatchers)


class TestLostLives:
    """A store that forgets is noticed by whoever knew more, and readers are told."""

    def forget(self, node: Node, *what: str) -> None:
        for part in what:
            self.store.ask("DEL", f"{node.prefix}:{{a}}:{part}")

    @pytest.fixture(autouse=True)
    def _place(self, store: Store) -> None:
        self.store = store

    def test_a_topic_that_the_store_lost_begins_again_and_its_readers_are_told(self, nodes: Nodes) -> None:
        one, other = nodes(2)
        reader = Poller(other, "a", Now())
        other.settle()
        one.taken("a", b"1")
        self.forget(one, "topic", "ring", "watches")
        other.redis.came_up()
        other.settle()
        one.taken("a", b"2")
        assert reader.got == [b"1", b"2"]
        assert [reading.reset for reading in reader.readings] == [False, True]
        assert reader.readings[0].epoch != reader.readings[1].epoch

    def test_a_publish_alone_shows_it_too(self, nodes: Nodes) -> None:
        """A publisher at the node where somebody watches is not told that nobody does."""
        (one,) = nodes(1)
        reader = Poller(one, "a")
        one.settle()
        one.taken("a", b"1")
        self.forget(one, "topic", "ring", "watches")
        assert one.taken("a", b"2").newest == 1
        assert [reading.reset for reading in reader.readings] == [False, True]

    def test_a_store_that_fell_behind_does_not_give_other_messages_at_the_same_offsets(self, nodes: Nodes) -> None:
        """A replica takes over that has not seen the last three, which were given out."""
        one, other = nodes(2)
        reader = Poller(one, "a")
        one.settle()
        one.taken("a", b"1", b"2")
        one.advance(1.0)
        one.taken("a", b"3", b"4", b"5")
        self.fall_back(one, 3)
        one.advance(1.0)
        other.taken("a", b"6", b"7", b"8", b"9")
        one.redis.came_up()
        one.settle()
        assert reader.got[:5] == [b"%d" % number for number in range(1, 6)]
        assert [reading.reset for reading in reader.readings] == [False, False, True]
        assert reader.readings[-1].messages == [b"1", b"2", b"6", b"7", b"8", b"9"]

    def test_a_store_that_fell_behind_and_got_nothing_since_is_noticed(self, nodes: Nodes) -> None:
        (one,) = nodes(1)
        reader = Poller(one, "a")
        one.settle()
        one.taken("a", b"1", b"2", b"3")
        self.fall_back(one, 1)
        one.redis.came_up()
        one.settle()
        one.taken("a", b"4")
        told = [(reading.reset, reading.messages) for reading in reader.readings]
        assert told == [(False, [b"1", b"2", b"3"]), (True, [b"1", b"2"]), (False, [b"4"])]

    def test_a_ring_that_the_store_gave_up_is_told_as_lost(self, nodes: Nodes) -> None:
        one, other = nodes(2)
        one.opened("a")
        published = one.taken("a", b"1", b"2", b"3")
        self.forget(one, "ring")
        one.taken("a", b"4")
        reading = other.look("a", Cursor(published.epoch, 0))
        assert (reading.reset, reading.lost, reading.messages) == (False, 3, [b"4"])

    def fall_back(self, node: Node, count: int) -> None:
        """Let the store have never seen the last messages."""
        newest = self.store.ask("HGET", f"{node.prefix}:{{a}}:topic", "newest")
        assert isinstance(newest, bytes)
        for _ in range(count):
            self.store.ask("RPOP", f"{node.prefix}:{{a}}:ring")
        self.store.ask("HSET", f"{node.prefix}:{{a}}:topic", "newest", int(newest) - count)


def ring(node: Node, store: Store) -> list[tuple[int, bytes]]:
    """What the store keeps of topic a: each message with its time of arrival."""
    entries = store.ask("LRANGE", f"{node.prefix}:{{a}}:ring", 0, -1)
    assert isinstance(entries, list)
    parts = [entry.partition(b" ") for entry in entries if isinstance(entry, bytes)]
    return [(int(stamp), message) for stamp, _, message in parts]


def counted(node: Node, store: Store) -> int:
    """How many bytes the store says that topic a has."""
    size = store.ask("HGET", f"{node.prefix}:{{a}}:topic", "size")
    assert isinstance(size, bytes)
    return int(size)


def test_the_bytes_that_a_ring_counts_are_those_of_the_messages_in_it(nodes: Nodes, store: Store) -> None:
    """A count that drifts would keep more and more, or less and less."""
    (one,) = nodes(1, queue=20, queue_bytes=100)
    one.opened("a")
    for number in range(60):
        one.taken("a", b"1" * (number % 17 + 1))
        assert counted(one, store) == sum(len(message) for _, message in ring(one, store)) <= 100
    for _ in range(40):
        one.taken("a", b"1")
    assert (counted(one, store), len(ring(one, store))) == (20, 20)
    one.taken("a", b"1" * 300)
    assert [len(message) for _, message in ring(one, store)] == [300], "the newest is kept whatever its size"
    one.taken("a", b"2")
    assert (counted(one, store), ring(one, store)[-1][1], len(ring(one, store))) == (1, b"2", 1)


def test_no_two_messages_of_a_ring_have_one_time_where_the_clock_goes_back(nodes: Nodes, store: Store) -> None:
    """A message is told from another at its offset by its time of arrival."""
    (one,) = nodes(1)
    one.opened("a")
    clock = one.redis._view.clock
    for step in (0, -40_000_000, -39_000_000, -39_000_000, 1_000_000):
        one.redis._view.clock = lambda step=step: str(int(clock()) + step)  # type: ignore[misc]
        one.taken("a", b"1")
    stamps = [stamp for stamp, _ in ring(one, store)]
    assert stamps == sorted(set(stamps))
    assert len(stamps) == 5


def test_a_ring_that_was_begun_again_ends_with_its_topic(nodes: Nodes, store: Store) -> None:
    (one,) = nodes(1)
    one.opened("a")
    one.taken("a", b"1")
    store.ask("DEL", f"{one.prefix}:{{a}}:ring")
    one.taken("a", b"2")
    life = store.ask("PTTL", f"{one.prefix}:{{a}}:ring")
    assert isinstance(life, int)
    assert life > 0


def test_a_node_that_renews_its_lease_too_late_goes_on_in_the_life_that_it_has(nodes: Nodes) -> None:
    """As after a step of the store's clock, or a stop of the machine: nothing was lost, so no reader is reset."""
    (one,) = nodes(1)
    reader = Poller(one, "a")
    one.settle()
    epoch = one.taken("a", b"1").epoch
    clock = one.redis._view.clock
    one.redis._view.clock = lambda: str(int(clock()) + 100_000_000)
    one.redis._mirrors.came_up()
    one.settle()
    assert one.taken("a", b"2").epoch == epoch
    assert [(reading.reset, reading.messages) for reading in reader.readings] == [(False, [b"1"]), (False, [b"2"])]


def test_a_new_life_begins_with_an_empty_ring(nodes: Nodes, store: Store) -> None:
    """The keys of a topic outlive it for a while."""
    (one,) = nodes(1, linger=1.0)
    one.opened("a")
    one.taken("a", b"1", b"2")
    one.advance(2.5)
    assert [message for _, message in ring(one, store)] == [b"1", b"2"]
    one.opened("a")
    one.taken("a", b"3")
    assert [message for _, message in ring(one, store)] == [b"3"]
    assert counted(one, store) == 1


def test_a_node_that_looks_again_does_not_shorten_what_another_has_asked_for(nodes: Nodes, store: Store) -> None:
    one, other = nodes(2, linger=6.0)
    one.opened("a")
    one.advance(5.0)
    other.opened("a")
    until = store.ask("HGET", f"{one.prefix}:{{a}}:topic", "till")
    one.redis._mirrors.came_up()  # it asks to linger for the one second that is left of its own
    one.settle()
    assert store.ask("HGET", f"{one.prefix}:{{a}}:topic", "till") == until


def test_messages_on_their_way_to_the_store_have_a_bound_in_bytes(nodes: Nodes) -> None:
    """Else a store that is slow fills the memory of its nodes, with few messages if they are large."""
    (one,) = nodes(1, engine_queue_bytes=10)
    one.opened("a")
    large, second, third = (one.publish_soon("a", message) for message in (b"123456789012", b"1", b"2"))
    assert large == [], "the only one is taken whatever its size"
    assert [type(answers[0]) for answers in (second, third)] == [EngineBusy] * 2
    assert "engine_queue_bytes" in str(second[0])
    one.settle()
    assert isinstance(large[0], Published)
    fitting = [one.publish_soon("a", b"12345") for _ in range(3)]
    one.settle()
    assert [type(answers[0]) for answers in fitting] == [Published, Published, EngineBusy]


def test_what_the_store_refused_is_on_its_way_no_more(nodes: Nodes, store: Store) -> None:
    (one,) = nodes(1, engine_queue_bytes=10)
    one.opened("a")
    store.ask("CONFIG", "SET", "maxmemory", 1)
    try:
        assert isinstance(one.publish("a", b"1234567890"), EngineFull)
    finally:
        store.ask("CONFIG", "SET", "maxmemory", 0)
    assert isinstance(one.publish("a", b"1234567890"), Published)


def test_nothing_stays_in_the_store_for_ever(nodes: Nodes, store: Store) -> None:
    """Every key has an expiry, whatever was done."""
    one, other = nodes(2, keep=True)
    Poller(one, "a")
    other.taken("a", b"1", key="k")
    other.taken("b", b"1")
    one.hub.listeners.follow("p/*", Follower())
    one.advance(2.0)
    keys = store.ask("KEYS", f"{one.prefix}:*")
    assert isinstance(keys, list)
    assert len(keys) >= 8
    lives = {key: store.ask("PTTL", key.decode()) for key in keys if isinstance(key, bytes)}
    assert all(isinstance(life, int) and 0 < life <= 310_000 for life in lives.values()), lives


class Follower(Roomy):
    """Reads by a pattern, and takes nothing."""

    def topic_created(self, topic: object) -> None:
        """As the hub's follower."""
