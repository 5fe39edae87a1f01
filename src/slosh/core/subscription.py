"""A reader's places in the topics that it reads, and what it has still to be given.

One topic is by far the most common, and tens of thousands of readers wait at once, so `OneTopic` is as
small as it can be; `SeveralTopics` does the same for any number.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final

from slosh.compiled import mypyc_attr
from slosh.core.cursor import Cursor, length_in_url, spell
from slosh.core.hub import Hub
from slosh.core.reading import Filter, Place, Reading, read
from slosh.core.topic import Topic, Watcher
from slosh.errors import TooManyWatchers

_PLACE: Final = 16
"""Bytes of a place in a vector, apart from the name, as they mostly are."""

STAR: Final = "*"
"""Begins the vector of a reader of patterns."""

NO_PLACE: Final = Place(-1)
"""In place of one place."""

_NOWHERE: Final[Mapping[str, Cursor]] = {}


def join_cursors(cursors: Mapping[str, Cursor], *, starred: bool) -> str:
    """The vector of places in several topics, as text.

    Args:
        starred: whether the reader reads patterns. The star tells such a vector from no cursor at all where
            nothing matched yet: what comes to life later is new to that reader from its first message on.
    """
    pairs = [f"{spell(name)}={cursor}" for name, cursor in cursors.items()]
    return ",".join([STAR, *pairs] if starred else pairs)


@mypyc_attr(acyclic=True, free_list_len=1)
class Batch:
    """What a reader is given at a time. Never changed.

    Attributes:
        cursor: where the reader stands after this; the text that travels.
        before: where it stood in each topic before, of several.
        parts: of each topic that has something, its name and the reading.
        several: whether the reader asked for several topics, however many have something.
        starred: whether it reads patterns.
        place: where it stands after this, in one topic.
    """

    __slots__ = ("before", "cursor", "parts", "place", "several", "starred")

    def __init__(
        self,
        cursor: str,
        before: Mapping[str, Cursor],
        parts: Sequence[tuple[str, Reading]],
        several: bool,  # noqa: FBT001 - as above
        starred: bool = False,  # noqa: FBT001, FBT002 - as above
        place: Place | None = None,
    ) -> None:
        self.cursor = cursor
        self.before = before
        self.parts = parts
        self.several = several
        self.starred = starred
        self.place = place

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Batch) and self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash(self.cursor)

    def _facts(self) -> tuple[object, ...]:
        return self.cursor, dict(self.before), list(self.parts), self.several, self.starred, self.place

    @property
    def saw(self) -> int:
        """How many messages came in, over all the topics."""
        return sum(reading.saw for _, reading in self.parts)


class Subscription:
    """A reader's places. They move when `advance` is told to, and never otherwise.

    Attributes:
        place: in the one topic, `NO_PLACE` where there are several. Readers at one place mostly have the very same
            object, because what moves them there is made once for all: they are told apart by it, and by `key` else.
    """

    __slots__ = ("place",)

    def __init__(self, place: Place) -> None:
        self.place = place

    @abstractmethod
    def watch(self, watcher: Watcher, now: float) -> None:
        """Let `watcher` wait for what comes after the places, which may be there already. It owes a `leave`.

        Raises:
            TooManyWatchers: a topic has all the watchers that it may have.
        """

    @abstractmethod
    def leave(self, watcher: Watcher, now: float) -> None:
        """Let `watcher` go, at the time `now`, seconds."""

    @abstractmethod
    def move(self, topic: Topic, successor: Topic, watcher: Watcher) -> None:
        """Let `watcher` wait at `successor`, which has begun in place of `topic`, and be told of the reset there."""

    @abstractmethod
    def cursor(self) -> str:
        """Where the reader stands; the text that travels."""

    @abstractmethod
    def key(self) -> object:
        """Equal for subscriptions that are given the same."""

    @abstractmethod
    def is_behind(self) -> bool:
        """Whether there is something to give."""

    @abstractmethod
    def is_reset(self) -> bool:
        """Whether the reader has still to be told that it begins anew."""

    @abstractmethod
    def is_unsettled(self) -> bool:
        """Whether the reader has still to be told what its places alone do not say: a reset, or a truncated window.

        Do not tell its places before: a reader that is cut between the two would never hear of it.
        """

    @abstractmethod
    def read(self, wanted: Filter, max_bytes: int = 0) -> Batch:
        """What comes after the places; see `reading.read`."""

    @abstractmethod
    def advance(self, batch: Batch) -> None:
        """Move the places to where `batch`, which `read` gave, ends."""


@mypyc_attr(free_list_len=1)
class OneTopic(Subscription):
    """A reader of one topic.

    Args:
        hub: that the topic lives in.
        topic: what is read.
        place: where the reader stands.
    """

    __slots__ = ("_hub", "topic")

    def __init__(self, hub: Hub, topic: Topic, place: Place) -> None:
        self.place = place  # by super() it would cost a call for each poll
        self._hub = hub
        self.topic = topic

    def watch(self, watcher: Watcher, now: float) -> None:  # noqa: ARG002 - nothing to take back
        """As the base says."""
        self._hub.watch(self.topic, watcher, self.place.offset)

    def leave(self, watcher: Watcher, now: float) -> None:
        """As the base says."""
        self._hub.leave(self.topic, watcher, now)

    def move(self, topic: Topic, successor: Topic, watcher: Watcher) -> None:  # noqa: ARG002 - there is one only
        """As the base says."""
        self.topic = successor
        self.place = Place(0, reset=True)
        self._hub.watch(successor, watcher, 0)

    def cursor(self) -> str:
        """As the base says."""
        return f"{self.topic.epoch}.{self.place.offset}"

    def key(self) -> object:
        """As the base says."""
        return self.topic, self.place

    def is_behind(self) -> bool:
        """As the base says."""
        return self.topic.last > self.place.offset

    def is_reset(self) -> bool:
        """As the base says."""
        return self.place.reset

    def is_unsettled(self) -> bool:
        """As the base says."""
        return self.place.reset or self.place.truncated

    def read(self, wanted: Filter, max_bytes: int = 0) -> Batch:
        """As the base says."""
        reading = read(self.topic, self.place, wanted, max_bytes)
        parts = ((self.topic.name, reading),)
        cursor = f"{reading.epoch}.{reading.place}"
        return Batch(cursor, _NOWHERE, parts, False, False, Place(reading.place))  # noqa: FBT003 - by name it costs twice

    def advance(self, batch: Batch) -> None:
        """As the base says."""
        self.place = batch.place or Place(batch.parts[0][1].place)


class SeveralTopics(Subscription):
    """A reader of several topics.

    Args:
        hub: that the topics live in.
        places: what is read, and where the reader stands in each.
    """

    __slots__ = ("_hub", "_places")

    starred: ClassVar[bool] = False

    def __init__(self, hub: Hub, places: dict[Topic, Place]) -> None:
        super().__init__(NO_PLACE)
        self._hub = hub
        self._places = places

    def watch(self, watcher: Watcher, now: float) -> None:
        """As the base says; the watcher waits at all of the topics, or at none."""
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
        """As the base says."""
        for topic in self._places:
            self._hub.leave(topic, watcher, now)

    def move(self, topic: Topic, successor: Topic, watcher: Watcher) -> None:
        """As the base says."""
        anew = Place(0, reset=True)
        self._places = {
            successor if each is topic else each: anew if each is topic else place
            for each, place in self._places.items()
        }
        self._hub.watch(successor, watcher, 0)

    def cursor(self) -> str:
        """As the base says."""
        return join_cursors(self._cursors(), starred=self.starred)

    def key(self) -> object:
        """As the base says."""
        # Readers of patterns have the same places with another cursor.
        return self.starred, tuple(self._places.items())

    def is_behind(self) -> bool:
        """As the base says."""
        return any(topic.last > place.offset for topic, place in self._places.items())

    def is_reset(self) -> bool:
        """As the base says."""
        return any(place.reset for place in self._places.values())

    def is_unsettled(self) -> bool:
        """As the base says."""
        return any(place.reset or place.truncated for place in self._places.values())

    def read(self, wanted: Filter, max_bytes: int = 0) -> Batch:
        """As the base says; `max_bytes` holds for all together, apart from a message that is larger by itself."""
        left = max_bytes
        parts: list[tuple[str, Reading]] = []
        before = self._cursors()
        after = dict(before)
        # In an event stream all the places are told with each message.
        besides = sum(map(len, before)) + _PLACE * len(before) if max_bytes else 0
        for topic, place in self._places.items():
            if left <= 0 < max_bytes and topic.last > place.offset:
                continue  # Its turn comes with the next portion.
            reading = read(topic, place, wanted, left, besides)
            if max_bytes and reading.messages:
                size = sum(map(len, reading.messages)) + besides * len(reading.messages)
                if size > left < max_bytes:
                    continue  # One message, larger than the room that is left.
                left -= size
            if reading.saw or reading.reset or reading.truncated:
                after[topic.name] = reading.cursor
                parts.append((topic.name, reading))
        cursor = join_cursors(after, starred=self.starred)
        return Batch(cursor, before, parts, several=True, starred=self.starred)

    def advance(self, batch: Batch) -> None:
        """As the base says. Topics that had to wait for the next portion come first there, so that none starves."""
        read_to = {name: reading.place for name, reading in batch.parts}
        waiting: dict[Topic, Place] = {}
        for topic, place in self._places.items():
            if topic.name in read_to:
                self._places[topic] = Place(read_to[topic.name])
            elif topic.last > place.offset:
                waiting[topic] = place
        if waiting:
            self._places = waiting | self._places

    def length_in_url(self) -> int:
        """Characters that the places have in a URL at most, until the reader asks again."""
        return sum(length_in_url(name, cursor) for name, cursor in self._cursors().items())

    def _cursors(self) -> dict[str, Cursor]:
        return {topic.name: Cursor(topic.epoch, place.offset) for topic, place in self._places.items()}


class Following(SeveralTopics):
    """A reader of patterns: of the topics that they take in now, and of those that come to life later.

    Its cursor begins with a star, so that it is told from no cursor at all also where nothing matched yet.

    Args:
        hub: that the topics live in.
        places: what is read already, and where the reader stands in each.
        patterns: what is read besides.
        most: how many topics it may come to.
        room: characters that the places in all of them may have in a URL.
        overflow: called when it would come to more. The reader is to end then; it is told so when it returns.
    """

    __slots__ = ("_most", "_overflow", "_patterns", "_room", "_watcher")

    starred: ClassVar[bool] = True

    def __init__(
        self,
        hub: Hub,
        places: dict[Topic, Place],
        patterns: Sequence[str],
        most: int,
        room: int,
        overflow: Callable[[], None],
    ) -> None:
        super().__init__(hub, places)
        self._room = room - self.length_in_url()
        self._patterns = patterns
        self._most = most
        self._overflow = overflow
        self._watcher: Watcher | None = None

    def watch(self, watcher: Watcher, now: float) -> None:
        """As the base says."""
        super().watch(watcher, now)
        self._watcher = watcher
        for pattern in self._patterns:
            self._hub.follow(pattern, self)

    def leave(self, watcher: Watcher, now: float) -> None:
        """As the base says."""
        for pattern in self._patterns:
            self._hub.unfollow(pattern, self)
        self._watcher = None
        super().leave(watcher, now)

    def topic_born(self, topic: Topic) -> None:
        """A topic has come to life; the reader gets all of it."""
        if self._watcher is None or topic in self._places:
            return
        length = length_in_url(topic.name, Cursor(topic.epoch, 0))
        if len(self._places) >= self._most or length > self._room:
            self._overflow()
            return
        try:
            self._hub.watch(topic, self._watcher, 0)
        except TooManyWatchers:
            self._overflow()
            return
        self._places[topic] = Place(0)
        self._room -= length
