"""A reader's places in the topics that it reads, and what it has still to be given.

One topic is by far the most common, and tens of thousands of readers wait at once, so `OneTopic` is as
small as it can be; `SeveralTopics` does the same for any number.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from slosh.core.cursor import Cursor
from slosh.core.hub import Hub
from slosh.core.reading import Filter, Place, Reading, read
from slosh.core.topic import Topic, Watcher


def join_cursors(cursors: Mapping[str, Cursor]) -> str:
    """The vector of places in several topics, as text."""
    return ",".join(f"{name}={cursor}" for name, cursor in cursors.items())


class Batch(NamedTuple):
    """What a reader is given at a time.

    Attributes:
        cursor: where the reader stands after this; the text that travels.
        before: where it stood in each topic before.
        parts: of each topic that has something, its name and the reading.
        several: whether the reader asked for several topics, however many have something.
    """

    cursor: str
    before: Mapping[str, Cursor]
    parts: Sequence[tuple[str, Reading]]
    several: bool

    @property
    def saw(self) -> int:
        """How many messages came in, over all the topics."""
        return sum(reading.saw for _, reading in self.parts)


class Subscription(Protocol):
    """A reader's places. They move when `advance` is told to, and never otherwise."""

    def watch(self, watcher: Watcher, now: float) -> None:
        """Let `watcher` wait for what comes after the places, which may be there already. It owes a `leave`.

        Raises:
            TooManyWatchers: a topic has all the watchers that it may have.
        """

    def leave(self, watcher: Watcher, now: float) -> None:
        """Let `watcher` go, at the time `now`, seconds."""

    def cursor(self) -> str:
        """Where the reader stands; the text that travels."""

    def key(self) -> object:
        """Equal for subscriptions that are given the same."""

    def is_behind(self) -> bool:
        """Whether there is something to give."""

    def read(self, wanted: Filter, max_bytes: int = 0) -> Batch:
        """What comes after the places; see `reading.read`."""

    def advance(self, batch: Batch) -> None:
        """Move the places to where `batch`, which `read` gave, ends."""


class OneTopic:
    """A reader of one topic.

    Args:
        hub: that the topic lives in.
        topic: what is read.
        place: where the reader stands.
    """

    __slots__ = ("_hub", "_place", "_topic")

    def __init__(self, hub: Hub, topic: Topic, place: Place) -> None:
        self._hub = hub
        self._topic = topic
        self._place = place

    def watch(self, watcher: Watcher, now: float) -> None:  # noqa: ARG002 - nothing to take back
        """As the protocol says."""
        self._hub.watch(self._topic, watcher, self._place.offset)

    def leave(self, watcher: Watcher, now: float) -> None:
        """As the protocol says."""
        self._hub.leave(self._topic, watcher, now)

    def cursor(self) -> str:
        """As the protocol says."""
        return f"{self._topic.epoch}.{self._place.offset}"

    def key(self) -> object:
        """As the protocol says."""
        return self._topic, self._place

    def is_behind(self) -> bool:
        """As the protocol says."""
        return self._topic.last > self._place.offset

    def read(self, wanted: Filter, max_bytes: int = 0) -> Batch:
        """As the protocol says."""
        reading = read(self._topic, self._place, wanted, max_bytes)
        return Batch(str(reading.cursor), {}, ((self._topic.name, reading),), several=False)

    def advance(self, batch: Batch) -> None:
        """As the protocol says."""
        self._place = Place(batch.parts[0][1].place)


class SeveralTopics:
    """A reader of several topics.

    Args:
        hub: that the topics live in.
        places: what is read, and where the reader stands in each.
    """

    __slots__ = ("_hub", "_places")

    def __init__(self, hub: Hub, places: dict[Topic, Place]) -> None:
        self._hub = hub
        self._places = places

    def watch(self, watcher: Watcher, now: float) -> None:
        """As the protocol says; the watcher waits at all of the topics, or at none."""
        watched: list[Topic] = []
        try:
            for topic, place in self._places.items():
                self._hub.watch(topic, watcher, place.offset)
                watched.append(topic)
        except BaseException:
            for topic in watched:
                self._hub.leave(topic, watcher, now)
            raise

    def leave(self, watcher: Watcher, now: float) -> None:
        """As the protocol says."""
        for topic in self._places:
            self._hub.leave(topic, watcher, now)

    def cursor(self) -> str:
        """As the protocol says."""
        return join_cursors(self._cursors())

    def key(self) -> object:
        """As the protocol says."""
        return tuple(self._places.items())

    def is_behind(self) -> bool:
        """As the protocol says."""
        return any(topic.last > place.offset for topic, place in self._places.items())

    def read(self, wanted: Filter, max_bytes: int = 0) -> Batch:
        """As the protocol says; `max_bytes` holds for each topic."""
        parts: list[tuple[str, Reading]] = []
        before = self._cursors()
        after = dict(before)
        for topic, place in self._places.items():
            reading = read(topic, place, wanted, max_bytes)
            if reading.saw or reading.reset:
                after[topic.name] = reading.cursor
                parts.append((topic.name, reading))
        return Batch(join_cursors(after), before, parts, several=True)

    def advance(self, batch: Batch) -> None:
        """As the protocol says."""
        read_to = {name: reading.place for name, reading in batch.parts}
        for topic in self._places:
            if topic.name in read_to:
                self._places[topic] = Place(read_to[topic.name])

    def _cursors(self) -> dict[str, Cursor]:
        return {topic.name: Cursor(topic.epoch, place.offset) for topic, place in self._places.items()}
