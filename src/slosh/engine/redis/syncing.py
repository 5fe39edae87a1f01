"""What sync.lua is asked for a mirror, and a look at a topic by it without a mirror that stays."""

from collections.abc import Callable
from typing import Any, Final

from slosh.core.topic import Topic
from slosh.engine.redis.doubts import Doubts
from slosh.engine.redis.mirror import Mirror
from slosh.engine.redis.scripts import SYNC
from slosh.engine.redis.view import View
from slosh.errors import SloshError

INACTIVE: Final = 2
"""How many parts sync.lua's answer has if the topic is not active."""


def send_sync(
    view: View, mirror: Mirror, here: int, linger_ms: int, epoch: str, answered: Callable[[Any], None]
) -> None:
    """Ask for what comes after the place of `mirror`, and tell the store how many watch its topic.

    Args:
        view: the store.
        here: how many watch at this node; -1 to tell nothing.
        linger_ms: how long the topic is to stay active, milliseconds.
        epoch: of the life that begins if the topic is not active; empty if none is to begin.
        answered: called with the script's answer, or with an error.
    """
    topic = mirror.topic
    keys, times = view.keys.of_topic(mirror.name), view.times_of(mirror.name)
    command = SYNC.call(
        keys,
        view.clock(),
        view.node,
        here,
        times.lease_ms,
        linger_ms,
        times.spare_ms,
        epoch,
        view.servers.announcing(keys[0]),
        view.keys.channel(mirror.name),
        topic.epoch if topic is not None else "",
        topic.last if topic is not None else 0,
        mirror.stamp,
    )
    # A lease has to be renewed however much else is asked; there is at most one such request for a mirror.
    view.send(keys[0], command, answered, must=topic is not None)


def look(view: View, doubts: Doubts, name: str, looked: Callable[[Topic | SloshError | None], None]) -> None:
    """Look at the topic `name` at the store, and create nothing.

    Args:
        view: the store.
        doubts: whether nobody watches if the store says so.
        looked: called with the topic as it is kept, which no hub holds; None if it is not active.
    """

    def answered(reply: list[Any] | SloshError) -> None:
        if isinstance(reply, SloshError):
            looked(reply)
            return
        if len(reply) == INACTIVE:
            doubts.weigh(name, since, reply[1], ask, looked)
            return
        looked(_read_topic(view, name, reply))

    def ask() -> None:
        send_sync(view, Mirror(name), -1, 0, "", answered)

    since = view.now()
    ask()


def _read_topic(view: View, name: str, reply: list[Any]) -> Topic:
    topic = Topic(name, reply[1].decode(), view.now())
    topic.ended = bool(reply[5])
    entries = reply[6:]
    topic.skip_to(reply[2] - len(entries))
    kind = view.kind_of(name)
    for messages, arrived, wall in Mirror(name).take_apart(entries, int(reply[0]), view.now()):
        topic.append(messages, arrived, kind.queue, kind.queue_bytes, wall)
    if kind.age:
        topic.forget_before(view.now() - kind.age)
    return topic
