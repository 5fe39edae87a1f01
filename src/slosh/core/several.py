"""The subscriptions of readers of several topics, and of readers of patterns.

The rules of this file:

* The topics share one portion. A topic that had to wait comes first in the next portion, so none starves.
* The vector of a reader of patterns begins with a star. A topic created while the reader is away is given to it from
  the first message on.
* A reader of patterns can read a bounded number of topics. Others are left out, and the reader is told `incomplete`.
  They are missing in its vector, so if there is room when the reader returns, it is given them from the first message
  on. A topic that would be left out is not created for this reader, because it would not watch it.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, Final, NamedTuple

from slosh.core.cursor import ENDED, EPOCH_LENGTH, Cursor, join_cursors
from slosh.core.hub import Hub
from slosh.core.reading import Filter, Place, Reading, Sift, read, tell_place
from slosh.core.subscription import NO_PLACE, Batch, Subscription, look_at
from slosh.core.topic import Topic, Watcher
from slosh.errors import TooManyWatchers

_PLACE: Final = 16
"""Bytes of a cursor in a vector, without the name; a typical size."""

_PART: Final = 128
"""Bytes that a topic adds to an envelope at most, apart from its name and its messages."""

_LEAVING: Final = 256
"""Bytes of a turn's room that removing a reader from one topic costs."""

Measure = Callable[[str, Cursor], int]
"""Returns how much of the room for a vector a topic with this name and cursor takes at most."""

_SOME_EPOCH: Final = "0" * EPOCH_LENGTH
"""Stands for the epoch of a topic that is still to be created, which is as long."""


class Room(NamedTuple):
    """The bounds of a reader of patterns.

    Attributes:
        most: topics at most.
        length: of its vector at most, as `measure` counts it.
        measure: returns how much of that length a topic takes.
    """

    most: int
    length: int
    measure: Measure


class SeveralTopics(Subscription):
    """A reader of several topics.

    Args:
        hub: holds the topics.
        places: the topics, and the reader's place in each.
    """

    __slots__ = ("_hub", "_places")

    starred: ClassVar[bool] = False

    def __init__(self, hub: Hub, places: dict[Topic, Place]) -> None:
        super().__init__(NO_PLACE)
        self._hub = hub
        self._places = places

    def watch(self, watcher: Watcher, now: float) -> None:
        """As the base says. If this raises, the watcher was registered at none of the topics."""
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

    def leave_soon(self, watcher: Watcher, now: float) -> None:
        """As the base says."""
        if self._hub.is_free():
            self._leave_for(watcher, now)
        else:
            self._hub.put_off(lambda shared: self._leave_for(watcher, shared.now))

    def _leave_for(self, watcher: Watcher, now: float) -> None:
        self._hub.spend(_LEAVING * self._count_left())
        self.leave(watcher, now)

    def _count_left(self) -> int:
        """The number of topics and patterns from which the watcher must be removed."""
        return len(self._places)

    def move(self, topic: Topic, successor: Topic, watcher: Watcher) -> None:
        """As the base says."""
        start = Place(0, reset=True)
        self._places = {
            successor if each is topic else each: start if each is topic else place
            for each, place in self._places.items()
        }
        self._hub.watch(successor, watcher, 0, was_moved=True)

    def cursor(self) -> str:
        """As the base says."""
        return join_cursors(self._cursors(), starred=self.starred)

    def key(self) -> object:
        """As the base says."""
        return tuple(self._places.items())

    def is_behind(self) -> bool:
        """As the base says."""
        return any(topic.last > place.offset or topic.ended for topic, place in self._places.items())

    def is_over(self) -> bool:
        """As the base says. Readers of patterns wait for what is created later."""
        return not self.starred and all(topic.ended for topic in self._places)

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
                if not look_at(self._hub, sift, topic, place):
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
        overhead: int = 0,
        *,
        tells_places: bool = False,
    ) -> Batch:
        """As the base says; `max_bytes` applies to all together, unless a single message is larger."""
        left = max_bytes
        parts: list[tuple[str, Reading]] = []
        before = self._cursors()
        after = dict(before)
        waiting: dict[str, Cursor] = {}
        overhead += sum(map(len, before)) + _PLACE * len(before) if tells_places else 0
        for topic, place in self._places.items():
            reading: Reading | None = None
            size = 0
            has_more = topic.last > place.offset
            if has_more or topic.ended:
                # It waits for the next portion if there is no room for it, or if `sift` has not searched it.
                if not left <= 0 < max_bytes and (sift is None or not has_more or sift.has_all(topic)):
                    reading = read(topic, place, wanted, left, overhead, sift)
                    count = len(reading.messages) + reading.ended
                    size = sum(map(len, reading.messages)) + overhead * count + len(topic.name) + _PART
                    if max_bytes and parts and size > left:
                        reading = None  # One message, larger than the room that is left.
                if reading is None:
                    waiting[topic.name] = before[topic.name]
            if reading is None and (place.reset or place.truncated):
                # Even if its messages have to wait: the next cursor does not record that this was not told.
                reading = tell_place(topic, place, wanted)
            if reading is not None:
                left -= size if max_bytes else 0
                after[topic.name] = reading.cursor
                parts.append((topic.name, reading))
        # A reader that returns with this vector is given its topics in this order, so that none starves.
        places = waiting | after if waiting else after
        over = {name: None for name, reading in parts if reading.ended}
        places, ended = self._without_ended(places, over) if over else (places, False)
        cursor = join_cursors(places, starred=self.starred)
        is_part = bool(waiting) or any(reading.place != reading.newest for _, reading in parts)
        starred, incomplete = self.starred, self.is_incomplete()
        return Batch(
            cursor, before, parts, several=True, starred=starred, is_part=is_part, ended=ended, incomplete=incomplete
        )

    def _without_ended(self, places: dict[str, Cursor], over: dict[str, None]) -> tuple[dict[str, Cursor], bool]:
        """The vector without the topics `over`, whose end the reader is told, and whether all topics have ended.

        If all have, the last one stays in the vector: a reader that returned with an empty one would begin again.
        """
        left = {name: cursor for name, cursor in places.items() if name not in over}
        if left:
            return left, False
        last = next(reversed(over))
        return {last: places[last]}, True

    def advance(self, batch: Batch) -> None:
        """As the base says. Topics that had to wait come first in the next portion, so that none starves."""
        read_to = {name: reading.place for name, reading in batch.parts}
        waiting: dict[Topic, Place] = {}
        for topic, place in self._places.items():
            if topic.name in read_to:
                self._places[topic] = Place(read_to[topic.name])
            elif topic.last > place.offset:
                waiting[topic] = place
        if waiting:
            self._places = waiting | self._places

    def leave_ended(self, batch: Batch, watcher: Watcher, now: float) -> None:
        """As the base says."""
        over = {name for name, reading in batch.parts if reading.ended}
        self._hub.room -= _LEAVING * len(over)
        for topic in [topic for topic in self._places if topic.name in over]:
            self._hub.leave(topic, watcher, now)
            self._forget(topic)

    def _forget(self, topic: Topic) -> None:
        """Stop reading `topic`."""
        del self._places[topic]

    def measure(self, measure: Measure) -> int:
        """The length that the reader's vector can have until its next request, as `measure` counts it."""
        return sum(measure(name, cursor) for name, cursor in self._cursors().items())

    def _cursors(self) -> dict[str, Cursor]:
        return {topic.name: Cursor(topic.epoch, place.offset) for topic, place in self._places.items()}


def _do_nothing() -> None:
    """For polls, which need no notice: their answer says `incomplete`."""


class PatternSubscription(SeveralTopics):
    """A reader of patterns: of the topics that they match now, and of those that are created later.

    Its vector begins with a star, so that it is not empty even if nothing has matched yet. A topic whose end the reader
    was told stays in the vector as `epoch.end` as long as it lingers: otherwise it would be new to the reader when it
    returns.

    Args:
        hub: holds the topics.
        places: the topics that exist already, and the reader's place in each.
        patterns: those that later topics must match.
        room: its bounds.
        over: topics whose end the reader was told, and which still linger.
        incomplete: whether some topics are left out already.
    """

    __slots__ = (
        "_gone",
        "_incomplete",
        "_measure",
        "_most",
        "_over",
        "_patterns",
        "_room",
        "_tell_incomplete",
        "_watcher",
    )

    starred: ClassVar[bool] = True

    def __init__(
        self,
        hub: Hub,
        places: dict[Topic, Place],
        patterns: Sequence[str],
        room: Room,
        over: Iterable[Topic] = (),
        *,
        incomplete: bool = False,
    ) -> None:
        super().__init__(hub, places)
        self._over = dict.fromkeys(over)
        self._gone = -1  # `Hub.gone` when `_over` was last searched for dropped topics
        self._measure = room.measure
        self._room = room.length
        self._room -= self.measure(room.measure)
        self._patterns = patterns
        self._most = room.most
        self._watcher: Watcher | None = None
        self._incomplete = incomplete
        self._tell_incomplete: Callable[[], None] = _do_nothing

    def watch(self, watcher: Watcher, now: float) -> None:
        """As the base says."""
        super().watch(watcher, now)
        self._watcher = watcher
        followed: list[str] = []
        try:
            for pattern in self._patterns:
                self._hub.listeners.follow(pattern, self)
                followed.append(pattern)
        except BaseException:
            self._patterns = followed
            self.leave(watcher, now)
            raise

    def leave(self, watcher: Watcher, now: float) -> None:
        """As the base says."""
        if self._watcher is not None:
            for pattern in self._patterns:
                self._hub.listeners.unfollow(pattern, self)
        self._watcher = None
        self._tell_incomplete = _do_nothing
        super().leave(watcher, now)

    def _count_left(self) -> int:
        """As the base says."""
        return len(self._places) + len(self._patterns)

    def topic_created(self, topic: Topic) -> None:
        """As `PatternSubscriber` says: the reader is given all of the topic, or is told that one is left out."""
        if self._watcher is None or topic in self._places:
            return
        if not self._has_room(topic.name, topic.epoch):
            self.leave_out()
            return
        try:
            self._hub.watch(topic, self._watcher, 0)
        except TooManyWatchers:
            self.leave_out()
            return
        self._places[topic] = Place(0)
        self._room -= self._measure(topic.name, Cursor(topic.epoch, 0))

    def has_room_for(self, name: str) -> bool:
        """As `PatternSubscriber` says."""
        return self._has_room(name, _SOME_EPOCH)

    def leave_out(self) -> None:
        """As `PatternSubscriber` says. The reader is told once."""
        if not self._incomplete:
            self._incomplete = True
            self._tell_incomplete()

    def key(self) -> object:
        """As the base says."""
        # A tuple even if none has ended: readers of named topics have the same places with another cursor.
        return super().key(), tuple(self._over), self._incomplete

    def is_incomplete(self) -> bool:
        """As the base says."""
        return self._incomplete

    def on_incomplete(self, tell: Callable[[], None]) -> None:
        """As the base says."""
        self._tell_incomplete = tell

    def _has_room(self, name: str, epoch: str) -> bool:
        self._forget_dropped()
        has_place = len(self._places) + len(self._over) < self._most
        return has_place and self._measure(name, Cursor(epoch, 0)) <= self._room

    def _cursors(self) -> dict[str, Cursor]:
        self._forget_dropped()
        cursors = super()._cursors()
        for topic in self._over:
            cursors[topic.name] = Cursor(topic.epoch, ENDED)
        return cursors

    def _without_ended(self, places: dict[str, Cursor], over: dict[str, None]) -> tuple[dict[str, Cursor], bool]:
        """As the base says, but the topics stay in the vector as ended, and later topics may come."""
        for name in over:
            places[name] = Cursor(places[name].epoch, ENDED)
        return places, False

    def _forget(self, topic: Topic) -> None:
        """As the base says."""
        super()._forget(topic)
        self._over[topic] = None
        self._gone = -1

    def _forget_dropped(self) -> None:
        """Remove dropped topics from the vector, because a reader that returns cannot meet them again."""
        if self._gone == self._hub.gone:
            return
        self._gone = self._hub.gone
        for topic in [topic for topic in self._over if topic.is_over]:
            del self._over[topic]
            self._room += self._measure(topic.name, Cursor(topic.epoch, 0))
