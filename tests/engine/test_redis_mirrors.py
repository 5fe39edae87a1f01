"""Mirrors when the store refuses, or answers too late: nobody is forgotten, and nothing stays behind."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from slosh.core.cursor import Cursor
from slosh.core.reading import locate, read
from slosh.core.topic import Topic
from slosh.engine.redis_scripts import SYNC, Command
from slosh.errors import EngineFailed, EngineFull, EngineUnreachable, SloshError
from tests.engine.contract import Poller
from tests.engine.nodes import Node
from tests.stores.server import Store

Nodes = Callable[..., list[Node]]


@contextmanager
def refused(node: Node, error: SloshError) -> Iterator[None]:
    """Let the store refuse to tell what a topic has, while its connections are well."""
    send = node.redis._view.send

    def refuse(key: str, command: Command, done: Callable[[Any], None], **how: Any) -> None:
        if command[1] == SYNC.digest:
            done(error)
        else:
            send(key, command, done, **how)

    node.redis._view.send = refuse  # type: ignore[method-assign]  # for a while
    yield
    node.redis._view.send = send  # type: ignore[method-assign]  # as it was


def test_topics_that_a_full_store_refused_take_no_room(nodes: Nodes, store: Store) -> None:
    (one,) = nodes(1, max_topics=3)
    store.ask("CONFIG", "SET", "maxmemory", 1)
    try:
        for number in range(5):
            assert isinstance(one.open(f"t/{number}"), EngineFull)
    finally:
        store.ask("CONFIG", "SET", "maxmemory", 0)
    assert one.opened("a").name == "a"


def test_a_reader_is_not_forgotten_when_the_store_was_only_slow(nodes: Nodes) -> None:
    """Nothing tells then that the store is there again, for it was never gone."""
    (one,) = nodes(1)
    found: list[Topic | SloshError] = []
    with refused(one, EngineUnreachable("slow")):
        one.engine.open("a", one.now, found.append)
        one.settle()
    assert not found
    one.advance(1.0)
    assert [type(each) for each in found] == [Topic]


def test_a_message_that_could_not_be_had_is_asked_for_again(nodes: Nodes) -> None:
    one, other = nodes(2)
    reader = Poller(one, "a")
    one.settle()
    for error in (EngineUnreachable("slow"), EngineFailed("MISCONF")):
        with refused(one, error):
            other.taken("a", b"1")
        one.advance(1.0)
        assert len(reader.got) == (1 if error.code == "engine_unreachable" else 2)


def test_who_went_while_the_store_was_out_of_reach_leaves_nothing_behind(nodes: Nodes) -> None:
    (one,) = nodes(1)
    found: list[Topic | SloshError] = []
    with refused(one, EngineUnreachable("slow")):
        for _ in range(3):
            one.engine.open("a", one.now, found.append)
            one.settle()
            one.engine.unopen("a", found.append)
    one.settle()
    assert not found
    assert "a" not in one.redis._mirrors


def test_an_answer_for_a_mirror_that_ended_meanwhile_is_not_taken_for_all_there_is(nodes: Nodes) -> None:
    """Its messages are those behind the place that was asked for, which the next mirror does not have."""
    one, other = nodes(2, linger=5.0)
    Poller(other, "a")
    one.opened("a")
    published = other.taken("a", b"1", b"2")
    other.settle()
    found: list[Any] = []
    one.engine.open("a", one.now, found.append, fresh=True)
    one.hub.expire(one.now + 6.0)
    one.settle()
    assert len(found) == 1
    reading = read(found[0], locate(found[0], Cursor(published.epoch, 0), one.now))
    assert (reading.lost, reading.messages) == (0, [b"1", b"2"])


def test_a_node_that_goes_is_not_given_its_rings_once_more(nodes: Nodes) -> None:
    (one,) = nodes(1)
    Poller(one, "a")
    one.settle()
    one.taken("a", b"1", b"2")
    one.advance(1.5)
    replies: list[list[Any]] = []
    send = one.redis._view.servers.send

    def keep(key: str, command: Command, done: Callable[[Any], None], **how: Any) -> None:
        def answered(reply: Any) -> None:
            if command[1] == SYNC.digest:
                replies.append(reply)
            done(reply)

        send(key, command, answered, **how)

    one.redis._view.servers.send = keep  # type: ignore[method-assign]  # what comes back is looked at
    one.stop()
    assert [len(reply) for reply in replies] == [5]


def test_a_store_that_lost_many_topics_is_one_line_in_the_log(
    nodes: Nodes, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    (one,) = nodes(1)
    for number in range(20):
        Poller(one, f"t/{number}")
    one.settle()
    caplog.set_level("INFO")
    for number in range(20):
        store.ask("DEL", *(f"{one.prefix}:{{t/{number}}}:{part}" for part in ("topic", "ring", "watches")))
    one.redis.came_up()
    one.settle()
    one.advance(2.0)
    assert [record.getMessage() for record in caplog.records] == [
        "20 topics were lost by the store, 't/0' among them; their readers begin anew"
    ]


def test_opening_a_topic_costs_the_store_one_look(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node listens before it looks; to look before that too would cost each topic twice as much."""
    (one,) = nodes(1)
    send, looks = one.redis._view.send, []

    def counting(key: str, command: Command, done: Callable[[Any], None], **how: Any) -> None:
        looks.append(command[1])
        send(key, command, done, **how)

    monkeypatch.setattr(one.redis._view, "send", counting)
    one.opened("a")
    assert looks.count(SYNC.digest) == 1
