"""A rolling restart: a node of a checkout from before 0.1.0, which knows no ends, beside one of today, on one store.

`former/` has its scripts. What is promised while a node of that version is left: no message is lost or
doubled, and nothing fails. A topic that was ended has not ended for that node: it takes posts to it, which late readers
get, and its own readers are not told. docs/operations.md says so.
"""

import asyncio
from collections.abc import Callable, Iterator
from hashlib import sha1
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.engine.base import Published
from slosh.engine.redis.client.command import Command
from slosh.engine.redis.scripts import FACTS, PUBLISH, SYNC
from slosh.errors import TopicEnded
from tests.engine.contract import Poller
from tests.engine.nodes import Node, make_nodes
from tests.properties import STORY
from tests.stores.server import Store

FORMER = Path(__file__).with_name("former")
NAMES = {PUBLISH.digest: "publish", SYNC.digest: "sync", FACTS.digest: "facts"}


def former_text(name: str) -> str:
    return "\n".join((FORMER / f"{each}.lua").read_text() for each in ("common", name))


def former_command(name: str, command: Command) -> Command:
    """The command that the former version sends in place of one of today."""
    digest = sha1(former_text(name).encode(), usedforsecurity=False).hexdigest()
    keys = int(command[2])
    given, arguments = command[: 3 + keys], list(command[3 + keys :])
    if name == "publish":
        assert arguments[13] == 0, "it cannot end a topic"
        del arguments[13], arguments[9]  # whether it ends; the age of its messages
    return ("EVALSHA", digest, *given[2:], *arguments)


def make_former(node: Node) -> Node:
    """Have `node` do what one of the former version does, as far as the store and the other nodes see it."""
    view, mirrors, hear = node.redis._view, node.redis._mirrors, node.redis.hear
    send = view.send

    def send_former(key: str, command: Command, done: Callable[[Any], None], **how: bool) -> None:
        name = NAMES.get(str(command[1])) if command[0] == "EVALSHA" else None

        def answered(reply: Any) -> None:
            if name == "sync" and isinstance(reply, list) and len(reply) > 2:
                reply.insert(5, 0)
            elif name in {"facts", "publish"} and isinstance(reply, list) and len(reply) > 2:
                reply.append(0)
            done(reply)

        send(key, command if name is None else former_command(name, command), answered, **how)

    def hear_former(channel: str, data: bytes) -> None:
        # To 0.1.0 the end is a message that does not follow on what it has: it asks for what it may have missed.
        if b" end " in data and channel != view.keys.news:
            mirror = mirrors._mirrors.get(view.keys.topic_of(channel))
            topic = mirror.topic if mirror is not None else None
            if mirror is not None and (topic is None or topic.last < int(data.split()[0].partition(b".")[2])):
                mirrors._sync(mirror)
        else:
            hear(channel, data)

    view.send = send_former  # type: ignore[method-assign]  # all of the engine's parts send by it
    node.redis.road = hear_former
    return node


@pytest.fixture(scope="module")
def loaded(store: Store) -> Store:
    for name in NAMES.values():
        store.ask("SCRIPT", "LOAD", former_text(name))
    return store


@pytest.fixture
def pair(loaded: Store, aio: asyncio.AbstractEventLoop) -> Iterator[tuple[Node, Node]]:
    """A node of today, and one of the former version."""
    today, former = make_nodes(loaded.url, aio, 2, linger=30.0)
    try:
        yield today, make_former(former)
    finally:
        today.stop()
        former.stop()


def test_messages_go_both_ways(pair: tuple[Node, Node]) -> None:
    readers = [Poller(node, "a") for node in pair]
    pair[0].settle()
    for number in range(20):
        pair[number % 2].taken("a", b"%d" % number)
    assert [reader.got for reader in readers] == [[b"%d" % number for number in range(20)]] * 2


def test_a_reader_at_the_former_node_has_all_messages_of_what_ends_and_is_not_told(pair: tuple[Node, Node]) -> None:
    today, former = pair
    readers = [Poller(node, "a") for node in pair]
    today.settle()
    today.taken("a", b"1")
    today.taken("a", b"2", ends=True)
    assert [(reader.got, reader.ended) for reader in readers] == [([b"1", b"2"], 1), ([b"1", b"2"], 0)]
    assert not any(reader.refused for reader in readers)
    former.advance(12.0)
    assert readers[1].got == [b"1", b"2"], "it waits on"


def test_what_the_former_node_takes_after_the_end_is_given_to_late_readers(pair: tuple[Node, Node]) -> None:
    today, former = pair
    reader = Poller(today, "a")
    today.settle()
    today.taken("a", b"1", ends=True)
    assert former.taken("a", b"2").newest == 2
    assert isinstance(today.publish("a", b"3"), TopicEnded)
    assert (reader.got, reader.ended) == ([b"1"], 1)
    reading = today.look("a")
    assert (reading.messages, reading.ended, reading.lost) == ([b"1", b"2"], True, 0)


def test_a_life_that_the_former_node_begins_has_not_ended(pair: tuple[Node, Node]) -> None:
    """Its scripts leave in the store that the life before had ended."""
    today, former = pair
    first = today.taken("a", b"1", opens=True, ends=True).epoch
    today.advance(31.0)
    assert former.opened("a").epoch != first
    assert today.taken("a", b"2").newest == 1
    assert not today.look("a").ended


def test_a_key_is_answered_again_by_either(pair: tuple[Node, Node]) -> None:
    """That the topic ended with it is told by the node of today alone."""
    today, former = pair
    today.opened("a")
    mine, theirs = today.taken("a", b"1", key="today"), former.taken("a", b"2", key="former")
    assert former.taken("a", b"1", key="today") == mine.again()
    assert today.taken("a", b"2", key="former") == theirs.again()
    last = today.taken("a", b"3", key="end", ends=True)
    again = former.taken("a", b"3", key="end")
    assert (again.replayed, again.newest, again.accepted) == (True, last.newest, 1)


@STORY
@given(steps=st.lists(st.sampled_from(["today", "former", "end", "read", "wait"]), max_size=12))
def test_nothing_is_lost_or_doubled_whatever_they_do_together(
    loaded: Store, aio: asyncio.AbstractEventLoop, steps: list[str]
) -> None:
    today, former = make_nodes(loaded.url, aio, 2, linger=30.0)
    make_former(former)
    try:
        readers = [Poller(node, "a") for node in (today, former)]
        today.settle()
        taken: list[bytes] = []
        for number, step in enumerate(steps):
            if step == "wait":
                today.advance(3.0)
            elif step == "read":
                readers.append(Poller(today, "a"))
                today.settle()
            else:
                node = former if step == "former" else today
                if isinstance(node.publish("a", b"%d" % number, ends=step == "end"), Published):
                    taken.append(b"%d" % number)
        today.settle()
        assert readers[1].got == taken
        assert not any(reading.reset or reading.lost for reader in readers for reading in reader.readings)
        assert all(reader.got == taken[: len(reader.got)] for reader in readers[:1])
        assert today.look("a").messages == taken
    finally:
        today.stop()
        former.stop()
