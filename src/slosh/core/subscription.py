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
from slosh.core.reading import ALL, Filter, Place, Reading, Sift, read, tell_place
from slosh.core.topic import Topic, Watcher
from slosh.errors import TooManyWatchers

_PLACE: Final = 16
"""Bytes of a place in a vector, apart from the name, as they mostly are."""

_PART: Final = 128
"""Bytes of an envelope that a topic's part has at most, apart from its name and its messages."""

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
        is_part: whether more waits for the reader, for which this portion had no room.
    """

    __slots__ = ("before", "cursor", "is_part", "parts", "place", "several", "starred")

    def __init__(
        self,
        cursor: str,
        before: Mapping[str, Cursor],
        parts: Sequence[tuple[str, Reading]],
        several: bool,  # noqa: FBT001 - as above
        starred: bool = False,  # noqa: FBT001, FBT002 - as above
        place: Place | None = None,
        is_part: bool = False,  # noqa: FBT001, FBT002 - as above
    ) -> None:
        self.cursor = cursor
        self.before = before
        self.parts = parts
        self.several = several
        self.starred = starred
        self.place = place
        self.is_part = is_part

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

    def fills(self, max_bytes: int) -> bool:
        """Whether more waits than a portion of `max_bytes` bytes."""
        return self.read(ALL, max_bytes).is_part

    @abstractmethod
    def look(self, sift: Sift, max_bytes: int) -> bool:
        """Let `sift` look at what `read` of at most `max_bytes` bytes is going to need, as far as this turn has room.

        False where it has none left: call again in another turn.
        """

    @abstractmethod
    def read(
        self,
        wanted: Filter,
        max_bytes: int = 0,
        sift: Sift | None = None,
        besides: int = 0,
        *,
        tells_places: bool = False,
    ) -> Batch:
        """What comes after the places; see `reading.read`.

        Args:
            tells_places: whether the places in all topics are written with each message, as in an event stream.
        """

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

    def look(self, sift: Sift, max_bytes: int) -> bool:  # noqa: ARG002 - a part of a topic cannot be judged alone
        """As the base says."""
        return _look(self._hub, sift, self.topic, self.place)

    def read(
        self,
        wanted: Filter,
        max_bytes: int = 0,
        sift: Sift | None = None,
        besides: int = 0,
        *,
        tells_places: bool = False,  # noqa: ARG002 - there is one
    ) -> Batch:
        """As the base says."""
        reading = read(self.topic, self.place, wanted, max_bytes, besides, sift)
        parts = ((self.topic.name, reading),)
        cursor = f"{reading.epoch}.{reading.place}"
        is_part = reading.place != reading.newest
        return Batch(cursor, _NOWHERE, parts, False, False, Place(reading.place), is_part)  # noqa: FBT003 - by name it costs twice

    def advance(self, batch: Batch) -> None:
        """As the base says."""
        self.place = batch.place or Place(batch.parts[0][1].place)


def _look(hub: Hub, sift: Sift, topic: Topic, place: Place) -> bool:
    """Let `sift` look at what is behind `place`. False where the turn has no room left for all of it."""
    before = sift.spent
    is_done = sift.go_on(topic, place.offset, max(hub.room, 1))
    hub.room -= sift.spent - before
    return is_done


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

    def look(self, sift: Sift, max_bytes: int) -> bool:
        """As the base says."""
        left = max_bytes
        for topic, place in self._places.items():
            if topic.last > place.offset:
                if not _look(self._hub, sift, topic, place):
                    return False
                left -= sum(len(topic.at(offset)) for offset in sift.kept(topic, place.offset))
                if left <= 0 < max_bytes:
                    break  # The other topics come with the next portion.
        return True

    def read(
        self,
        wanted: Filter,
        max_bytes: int = 0,
        sift: Sift | None = None,
        besides: int = 0,
        *,
        tells_places: bool = False,
    ) -> Batch:
        """As the base says; `max_bytes` holds for all together, apart from a message that is larger by itself."""
        left = max_bytes
        parts: list[tuple[str, Reading]] = []
        before = self._cursors()
        after = dict(before)
        waiting: dict[str, Cursor] = {}
        besides += sum(map(len, before)) + _PLACE * len(before) if tells_places else 0
        for topic, place in self._places.items():
            reading: Reading | None = None
            size = 0
            if topic.last > place.offset:
                # Its turn comes with the next portion where there is no room for it, or it was not looked at.
                if not left <= 0 < max_bytes and (sift is None or sift.has_all(topic)):
                    reading = read(topic, place, wanted, left, besides, sift)
                    size = sum(map(len, reading.messages)) + besides * len(reading.messages) + len(topic.name) + _PART
                    if max_bytes and parts and size > left:
                        reading = None  # One message, larger than the room that is left.
                if reading is None:
                    waiting[topic.name] = before[topic.name]
            if reading is None and (place.reset or place.truncated):
                # Whether or not its messages have to wait: the cursor would not say so again.
                reading = tell_place(topic, place, wanted)
            if reading is not None:
                left -= size if max_bytes else 0
                after[topic.name] = reading.cursor
                parts.append((topic.name, reading))
        # A reader that comes back with the cursor reads in its order, so that no topic starves.
        cursor = join_cursors(waiting | after if waiting else after, starred=self.starred)
        is_part = bool(waiting) or any(reading.place != reading.newest for _, reading in parts)
        return Batch(cursor, before, parts, several=True, starred=self.starred, is_part=is_part)

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
