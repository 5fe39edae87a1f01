"""Announcements carry small messages, and may come late, twice, in any order or never: all readers get the same."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slosh.engine.redis.client.command import Command
from slosh.engine.redis.scripts import SYNC
from tests.engine.contract import Poller
from tests.engine.nodes import Node
from tests.properties import STORIES
from tests.stores.server import Store

Nodes = Callable[..., list[Node]]

LARGE = b'"%s"' % (b"x" * 5000)
"""More than an announcement carries."""
_topics = itertools.count()


class Road:
    """What is on its way between the store and a node, and comes when a test says so."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.announced: list[tuple[str, bytes]] = []
        self.asked: list[Callable[[], None]] = []
        self.answered: list[Callable[[], None]] = []
        self.is_open = True
        self._news, self._send = node.redis._view.keys.news, node.redis._view.send
        node.redis.road = self._hold_announced
        node.redis._view.send = self._hold_asked  # type: ignore[method-assign]  # the road is in between

    def _hold_announced(self, channel: str, data: bytes) -> None:
        if self.is_open or channel == self._news:
            self.node.redis.hear(channel, data)
        else:
            self.announced.append((channel, data))

    def _hold_asked(self, key: str, command: Command, done: Callable[[Any], None], **how: Any) -> None:
        if self.is_open or command[1] != SYNC.digest:
            self._send(key, command, done, **how)
        else:
            self.asked.append(lambda: self._send(key, command, lambda reply: self._hold_answered(done, reply), **how))

    def _hold_answered(self, done: Callable[[Any], None], reply: Any) -> None:
        self.answered.append(lambda: done(reply))

    def hear(self, which: int, *, again: bool) -> None:
        """Let an announcement come, and perhaps once more later."""
        channel, data = self.announced[which] if again else self.announced.pop(which)
        self.node.redis.hear(channel, data)

    def open(self) -> None:
        """From now on all comes at once, what was asked and answered first. Announcements held are lost."""
        self.is_open = True
        self.announced.clear()
        while self.asked or self.answered:
            for held in (self.asked, self.answered):
                for come in held[:]:
                    come()
                    held.remove(come)
            self.node.settle()


def asked_of_store(node: Node) -> list[Command]:
    """The questions for what a topic has that a node sends from now on."""
    sent: list[Command] = []
    send = node.redis._view.send

    def look(key: str, command: Command, done: Callable[[Any], None], **how: Any) -> None:
        if command[1] == SYNC.digest:
            sent.append(command)
        send(key, command, done, **how)

    node.redis._view.send = look  # type: ignore[method-assign]  # what goes out is looked at
    return sent


def check(reader: Poller, published: list[bytes]) -> None:
    """The slow obvious version: each answer goes on where the one before ended, with what was published there."""
    seen = 0
    for reading in reader.readings:
        assert not reading.reset
        seen += reading.lost
        assert reading.messages == published[seen : seen + len(reading.messages)]
        seen += len(reading.messages)
    assert seen == len(published), "all were seen, or told as lost"


@pytest.fixture
def pair(nodes: Nodes) -> tuple[Node, Node, Road]:
    """A node that publishes, one that reads, and the road to that."""
    one, other = nodes(2, queue=6)
    return one, other, Road(other)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 3), st.sampled_from([b"", b"", b"", LARGE])),
        st.tuples(st.just("hear"), st.integers(0, 5), st.booleans()),
        st.tuples(st.sampled_from(["drop", "ask", "ask", "answer", "answer", "wake", "tick"])),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=STORIES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_nothing_is_lost_doubled_or_disordered_however_announcements_come(
    pair: tuple[Node, Node, Road], steps: list[tuple[Any, ...]]
) -> None:
    one, other, road = pair
    name = f"t/{next(_topics)}"
    readers = [Poller(other, name) for _ in range(2)]
    other.settle()
    road.is_open = False
    published: list[bytes] = []
    for step in steps:
        match step:
            case "publish", count, more:
                batch = [b"%d%s" % (len(published) + each, more) for each in range(count)]
                published += batch
                one.taken(name, *batch)
            case "hear", which, again if road.announced:
                road.hear(which % len(road.announced), again=again)
            case ("drop",) if road.announced:
                road.announced.pop(0)
            case ("ask",) if road.asked:
                road.asked.pop(0)()
            case ("answer",) if road.answered:
                road.answered.pop(0)()
            case ("wake",):
                other.redis.came_up()
            case ("tick",):
                one.loop.advance(0.01)
        other.settle()
    # One sign is enough, whatever was lost on the way.
    road.open()
    other.redis.came_up()
    other.settle()
    for reader in readers:
        check(reader, published)
        reader.go()


def test_who_hears_all_of_them_asks_for_nothing(nodes: Nodes) -> None:
    one, other = nodes(2)
    reader = Poller(other, "a")
    other.settle()
    sent = asked_of_store(other)
    batches = [[b"1"], [b'"\n,"', b"[2,\n3]", b"4"], [b'"%s"' % (b"x" * 3000)], [b"5"]]
    for batch in batches:
        one.taken("a", *batch)
    assert reader.got == list(itertools.chain(*batches))
    assert not sent


def test_large_ones_are_asked_for(nodes: Nodes) -> None:
    one, other = nodes(2)
    reader = Poller(other, "a")
    other.settle()
    sent = asked_of_store(other)
    one.taken("a", LARGE)
    assert len(sent) == 1
    one.taken("a", b"1")
    assert len(sent) == 1
    assert reader.got == [LARGE, b"1"]


def test_messages_that_a_store_forgot_are_not_gone_on_from(nodes: Nodes, store: Store) -> None:
    """A replica takes over that has not seen the last one, and takes others, one by one; each is announced."""
    one, other = nodes(2)
    reader = Poller(other, "a")
    other.settle()
    for message in (b"1", b"2"):
        one.loop.advance(0.01)
        one.taken("a", message)
    kept = store.ask("LINDEX", f"{one.prefix}:{{a}}:ring", 0)
    assert isinstance(kept, bytes)
    store.ask("RPOP", f"{one.prefix}:{{a}}:ring")
    store.ask("HSET", f"{one.prefix}:{{a}}:topic", "newest", 1, "stamp", kept.partition(b" ")[0].decode())
    for message in (b"2b", b"3b"):
        one.loop.advance(0.01)
        one.taken("a", message)
    assert [(reading.reset, reading.messages) for reading in reader.readings] == [
        (False, [b"1"]),
        (False, [b"2"]),
        (True, [b"1", b"2b", b"3b"]),
    ]


def test_an_answer_of_a_store_that_forgot_what_an_announcement_brought_meanwhile_is_not_gone_on_from(
    nodes: Nodes, store: Store
) -> None:
    one, other = nodes(2)
    road = Road(other)
    reader = Poller(other, "a")
    other.settle()
    road.is_open = False
    other.redis.came_up()
    one.loop.advance(0.01)
    one.taken("a", b"1")
    road.hear(0, again=False)
    store.ask("DEL", f"{one.prefix}:{{a}}:ring")
    store.ask("HSET", f"{one.prefix}:{{a}}:topic", "newest", 0, "stamp", "")
    for message in (b"1b", b"2b"):
        one.loop.advance(0.01)
        one.taken("a", message)
    road.open()
    other.settle()
    assert [(reading.reset, reading.messages) for reading in reader.readings] == [
        (False, [b"1"]),
        (True, [b"1b", b"2b"]),
    ]
