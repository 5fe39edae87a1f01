"""Mirrors when the store refuses, or answers too late: nobody is forgotten, and nothing stays behind."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from slosh.core.cursor import Cursor
from slosh.core.reading import Age, Place, locate, read
from slosh.core.topic import Topic
from slosh.engine.redis.client.command import Command
from slosh.engine.redis.scripts import SYNC
from slosh.errors import EngineFailed, EngineFull, EngineUnreachable, NoWatchers, SloshError
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
    assert [len(reply) for reply in replies] == [6]


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
        "20 topics were lost by the store, 't/0' among them; their readers start again"
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


@contextmanager
def held(node: Node) -> Iterator[list[Callable[[Any], None]]]:
    """Let the store not answer what a topic has, until a test calls one of those who wait."""
    send = node.redis._view.send
    waiting: list[Callable[[Any], None]] = []

    def hold(key: str, command: Command, done: Callable[[Any], None], **how: Any) -> None:
        if command[1] == SYNC.digest:
            waiting.append(done)
        else:
            send(key, command, done, **how)

    node.redis._view.send = hold  # type: ignore[method-assign]  # for a while
    yield waiting
    node.redis._view.send = send  # type: ignore[method-assign]  # as it was


def test_readers_who_went_before_a_slow_store_gave_no_answer_leave_nothing_behind(nodes: Nodes) -> None:
    """Each such topic took a place in `max_topics`, and was listened to, until the store was gone and came back."""
    (one,) = nodes(1, max_topics=3)
    one.opened("other")  # whose channel is heard, so that the node is settled
    for number in range(5):
        found: list[Topic | SloshError] = []
        with held(one) as waiting:
            one.engine.open(f"t/{number}", one.now, found.append)
            one.settle()
            one.engine.unopen(f"t/{number}", found.append)
            (answer,) = waiting
            answer(EngineUnreachable("slow"))
        one.advance(1.0)
        assert not found
        assert f"t/{number}" not in one.redis._mirrors
    assert isinstance(one.publish("t/0", b"1"), NoWatchers), "nobody asked for it any more"


def test_a_topic_that_ended_before_a_slow_store_gave_no_answer_is_not_listened_to(nodes: Nodes) -> None:
    (one,) = nodes(1, linger=5.0)
    one.opened("a")
    with held(one) as waiting:
        one.redis._mirrors.came_up()
        one.hub.expire(one.now + 6.0)
        (answer,) = waiting
        answer(EngineUnreachable("slow"))
    one.settle()
    assert "a" not in one.redis._mirrors


def test_what_is_announced_to_a_mirror_that_nobody_needs_any_more_asks_for_nothing(nodes: Nodes) -> None:
    """Another mirror of that name may have watchers meanwhile, whose lease the answer for this one would take."""
    (one,) = nodes(1)
    found: list[Topic | SloshError] = []
    with held(one) as waiting:
        one.engine.open("a", one.now, found.append)
        one.settle()
        one.redis.hear(one.redis._view.keys.channel("a"), b"another.1")
        one.engine.unopen("a", found.append)
        (answer,) = waiting
        answer(EngineFailed("MISCONF"))
        assert len(waiting) == 1
    assert "a" not in one.redis._mirrors


def test_no_message_is_of_the_future_where_the_clock_of_the_store_was_set_back(nodes: Nodes) -> None:
    """It would not grow old, and every window would begin behind it, until the clock is where it was."""
    one, other = nodes(2)
    one.opened("a")
    one.advance(10.0)
    one.taken("a", b"1")
    clock = one.redis._view.clock
    for node in (one, other):
        node.redis._view.clock = lambda: str(int(clock()) - 3_600_000_000)
    one.taken("a", b"2")
    topic = other.opened("a")
    assert topic.created_at <= other.now
    assert topic.latest_at <= other.now
    other.advance(5.0)
    assert locate(topic, Age(2.0), other.now) == Place(2)
    assert locate(topic, Age(7.0), other.now) == Place(0)


def test_no_age_and_no_rate_is_absurd_where_the_clock_of_the_store_was_set_back(nodes: Nodes) -> None:
    (one,) = nodes(1, queue=5)
    one.opened("a")
    for _ in range(10):
        one.taken("a", b"1")
    clock = one.redis._view.clock
    one.redis._view.clock = lambda: str(int(clock()) - 3_600_000_000)
    told: list[Any] = []
    one.engine.list_topics("", 10, one.now, told.append)
    one.settle()
    ((facts,),) = told
    assert facts.age == 0.0
    assert 0.0 < facts.rate < 10.0


def fill(node: Node, name: str) -> None:
    """Give a ring more than may wait to be looked into."""
    for _ in range(15):
        node.taken(name, *[b'{"x":1,"text":"%b"}' % (b"-" * 60_000)] * 40)


def test_the_history_of_a_ring_that_a_node_is_given_misses_nothing(nodes: Nodes, store: Store) -> None:
    """Neither when it comes to the topic, nor when the topic has another life that was filled elsewhere."""
    one, two = nodes(2, queue=1000, queue_bytes=50_000_000, history=3600.0)
    one.opened("a")
    fill(one, "a")
    former = two.opened("a")
    Poller(two, "a")
    two.settle()
    assert former.rollups is not None
    assert former.rollups.has(600)
    store.ask("DEL", *(f"{one.prefix}:{{a}}:{part}" for part in ("topic", "ring", "watches")))
    with refused(two, EngineUnreachable("slow")):
        one.opened("a")
        fill(one, "a")
        two.settle()
    two.advance(1.0)
    topic = two.hub.find("a", two.now)
    assert topic is not None
    assert topic.epoch != former.epoch
    assert topic.rollups is not None
    assert topic.rollups.has(600)
    assert two.hub.histories.missed == 0
