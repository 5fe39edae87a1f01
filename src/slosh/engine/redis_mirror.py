"""What a node has of one topic, kept by `redis_mirrors`."""

from collections.abc import Callable

from slosh.core.topic import Topic
from slosh.errors import SloshError

Opened = Callable[[Topic | SloshError], None]
"""Takes a topic, or why it cannot be had."""


class Mirror:
    """What this node has of one topic.

    Attributes:
        topic: in the hub; None until it is known, and when it is no more.
        stamp: the time of arrival of its newest message, as the store has it.
        latest: the same on this node's clock, seconds; messages never seem to arrive before earlier ones.
        waiting: who waits until it is known, and was not asked for yet.
        asked: who waits for the answer that is on its way.
        told: the number of watchers that the store was told.
        told_until: until when the topic lingers as far as the store was told, seconds.
        is_heard: whether all announcements are heard.
        is_visited: whether it is among those that are looked at from time to time.
        is_syncing: whether an answer of the store is on its way.
        again: whether the store has to be asked once more after that.
    """

    __slots__ = (
        "again",
        "asked",
        "is_heard",
        "is_syncing",
        "is_visited",
        "latest",
        "name",
        "stamp",
        "told",
        "told_until",
        "topic",
        "waiting",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.topic: Topic | None = None
        self.stamp = b""
        self.latest = 0.0
        self.waiting: dict[Opened, None] = {}
        self.asked: dict[Opened, None] = {}
        self.told = 0
        self.told_until = 0.0
        self.is_heard = False
        self.is_visited = False
        self.is_syncing = False
        self.again = False
