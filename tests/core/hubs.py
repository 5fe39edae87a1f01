"""A hub on a loop that stands still, and watchers that do what a test tells them."""

import itertools
from collections.abc import Callable
from typing import Any

from slosh.core.classes import Bounds, Classes, TopicClass
from slosh.core.hub import Hub
from slosh.core.reading import Place, read
from slosh.core.topic import Shared, Topic, Watcher
from tests.core.loops import Loop


def generous(classes: Classes, **bounds: int) -> Bounds:
    """Bounds of topics with these classes, so wide that nothing meets those that are left out."""
    return Bounds(classes, **({"max_topics": 1000, "max_watchers": 0, "max_bytes": 1 << 40, "max_series": 64} | bounds))


class HubOnLoop(Hub):
    """A hub with its owner: flushes when the loop turns, expires when the loop calls.

    Args:
        loop: where its calls are made.
        bounds: as `Bounds` and `TopicClass` take them; generous where left out.
    """

    def __init__(self, loop: Loop, **bounds: Any) -> None:
        self.loop = loop
        self.flushes_owed = 0
        epochs = itertools.count(1)
        of_class = {"queue": 100, "queue_bytes": 1_000_000, "linger": 30.0, "age": 0.0, "keeps": False, "history": 0.0}
        default = TopicClass(**{name: bounds.pop(name, value) for name, value in of_class.items()})
        super().__init__(
            generous(Classes(default, bounds.pop("rules", ())), **bounds),
            new_epoch=lambda: f"e{next(epochs)}",
            wake=self._ask_for_a_flush,
            arm=lambda when: loop.call_at(when, lambda: self.expire(loop.now())),
        )

    def _ask_for_a_flush(self) -> None:
        self.flushes_owed += 1

    def turn(self) -> None:
        """What a turn of the loop does: make the flushes that were asked for, until no more are."""
        while self.flushes_owed:
            self.flushes_owed -= 1
            self.flush(self.loop.now())

    def get(self, name: str) -> Topic:
        """What a GET does first."""
        return self.open(name, self.loop.now())

    def post(self, name: str, *messages: bytes) -> bool:
        """What a POST does, with the mailbox rule."""
        topic = self.find(name, self.loop.now())
        if topic is not None:
            self.append(topic, messages, self.loop.now())
        return topic is not None


class Roomy:
    """What a reader of patterns says that has room for whatever is created."""

    def has_room_for(self, name: str) -> bool:
        """As the hub's follower."""
        return bool(name)

    def leave_out(self) -> None:
        """As the hub's follower."""
        raise AssertionError


class Watching(Watcher):
    """A watcher that reads from its place: a long-poll, which leaves as it is woken, or a stream, which stays.

    Args:
        hub: where it waits.
        topic: where it waits.
        offset: the last message that it has seen.
        stays: whether it is a stream.
        then: what else it does when it is woken.
    """

    def __init__(
        self, hub: HubOnLoop, topic: Topic, offset: int, *, stays: bool = False, then: Callable[[], None] | None = None
    ) -> None:
        self.hub = hub
        self.topic = topic
        self.offset = offset
        self.stays = stays
        self.then = then
        self.wakes = 0
        self.got: list[bytes] = []
        self.lost = 0
        hub.watch(topic, self, offset)

    @property
    def waits(self) -> bool:
        """Whether it is registered."""
        return self in self.topic.watchers

    def wake(self, topic: Topic, shared: Shared) -> None:  # noqa: ARG002 - of the protocol
        """Read what there is."""
        self.wakes += 1
        reading = read(topic, Place(self.offset))
        assert reading.saw or self.stays, "woken for nothing"  # A stream may have read the rest of a round already.
        self.offset = reading.place
        self.got += reading.messages
        self.lost += reading.lost
        if not self.stays:
            self.leave()
        if self.then is not None:
            self.then()

    def moved(self, topic: Topic, successor: Topic) -> None:
        """Begin again in the life that has begun in place of this one."""
        assert topic is self.topic
        self.topic, self.offset = successor, 0
        self.hub.watch(successor, self, 0, was_moved=True)

    def leave(self) -> None:
        """Go, as a client does that vanishes."""
        self.hub.leave(self.topic, self, self.hub.loop.now())
