"""A reader's places in the topics that it reads, and the messages that it has still to be given.

One topic is by far the most common, and tens of thousands of readers wait at once, so `OneTopic` is as
small as possible; `SeveralTopics` in `several.py` does the same for any number.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from slosh.compiled import mypyc_attr
from slosh.core.cursor import Cursor, write_cursor
from slosh.core.hub import Hub
from slosh.core.reading import ALL, Filter, Place, Reading, Sift, read
from slosh.core.topic import Topic, Watcher

NO_PLACE: Final = Place(-1)
"""The `place` of a subscription to several topics."""

_NOWHERE: Final[Mapping[str, Cursor]] = {}


@mypyc_attr(acyclic=True, free_list_len=1)
class Batch:
    """The messages that a reader is given at a time, of all its topics. Never changed.

    Attributes:
        cursor: the reader's next cursor or vector, as text.
        before: the cursors before this, by topic; empty for a reader of one topic.
        parts: the name and the reading of each topic that has something.
        several: whether the reader asked for several topics, however many have something.
        starred: whether it reads patterns.
        place: its place after this, if it reads one topic.
        is_part: whether more messages wait for which this portion had no room.
        ended: whether all its topics have ended, and it has been given everything.
        incomplete: whether some topics that its patterns match are left out.
    """

    __slots__ = ("before", "cursor", "ended", "incomplete", "is_part", "parts", "place", "several", "starred")

    def __init__(  # noqa: PLR0913, PLR0917 - by position, because names cost a call twice its time
        self,
        cursor: str,
        before: Mapping[str, Cursor],
        parts: Sequence[tuple[str, Reading]],
        several: bool,  # noqa: FBT001 - as above
        starred: bool = False,  # noqa: FBT001, FBT002 - as above
        place: Place | None = None,
        is_part: bool = False,  # noqa: FBT001, FBT002 - as above
        ended: bool = False,  # noqa: FBT001, FBT002 - as above
        incomplete: bool = False,  # noqa: FBT001, FBT002 - as above
    ) -> None:
        self.cursor = cursor
        self.before = before
        self.parts = parts
        self.several = several
        self.starred = starred
        self.place = place
        self.is_part = is_part
        self.ended = ended
        self.incomplete = incomplete

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Batch) and self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash(self.cursor)

    def _facts(self) -> tuple[object, ...]:
        others = (self.several, self.starred, self.place, self.ended, self.incomplete)
        return self.cursor, dict(self.before), list(self.parts), *others

    @property
    def saw(self) -> int:
        """How many messages came in, in all topics together."""
        return sum(reading.saw for _, reading in self.parts)

    @property
    def ends(self) -> bool:
        """Whether this reaches the end of at least one topic."""
        return any(reading.ended for _, reading in self.parts)


class Subscription:
    """A reader's places. Only `advance` and `move` change them.

    Attributes:
        place: in the one topic, `NO_PLACE` if there are several. Readers at one place mostly share this object, because
            the batch that moved them there was made once for all. So answers are compared by its identity first, and
            by `key` otherwise.
    """

    __slots__ = ("place",)

    def __init__(self, place: Place) -> None:
        self.place = place

    @abstractmethod
    def watch(self, watcher: Watcher, now: float) -> None:
        """Register `watcher` for messages after the places, which may be there already. Call `leave` later.

        Raises:
            TooManyWatchers: a topic has all the watchers that it may have.
            TooManyPatterns: other readers use patterns of too many other shapes.
        """

    @abstractmethod
    def leave(self, watcher: Watcher, now: float) -> None:
        """Remove `watcher`, at the time `now`, seconds. It may have left already, or never have watched."""

    def leave_soon(self, watcher: Watcher, now: float) -> None:
        """As `leave`, but in a later turn if this one has no room for that.

        Until then the watcher may be woken for nothing, and is counted.
        """
        self.leave(watcher, now)

    @abstractmethod
    def move(self, topic: Topic, successor: Topic, watcher: Watcher) -> None:
        """Let `watcher` wait at `successor`, which has replaced `topic`, and have its reader told of the reset."""

    @abstractmethod
    def cursor(self) -> str:
        """The reader's cursor or vector, as text."""

    @abstractmethod
    def key(self) -> object:
        """Equal for subscriptions that are given the same messages."""

    @abstractmethod
    def is_behind(self) -> bool:
        """Whether there is something to read: messages, or the end of a topic."""

    @abstractmethod
    def is_over(self) -> bool:
        """Whether all topics have ended, so that no more messages will come."""

    def has_all(self) -> bool:
        """Whether the reader has been given everything that there ever will be."""
        return self.is_over() and not self.read(ALL, 1).saw

    @abstractmethod
    def is_reset(self) -> bool:
        """Whether the reader has still to be told that it starts again."""

    @abstractmethod
    def is_unsettled(self) -> bool:
        """Whether the reader has still to be told of a reset or of a truncated window, which its cursor does not say.

        Do not give it a cursor before: if its connection broke in between, it would never be told.
        """

    def is_incomplete(self) -> bool:
        """Whether the reader's patterns match more topics than it may read, so that some are left out."""
        return False

    def on_incomplete(self, tell: Callable[[], None]) -> None:
        """Call `tell` once, when a topic is left out for the first time."""

    def fills(self, max_bytes: int) -> bool:
        """Whether more than `max_bytes` bytes of messages wait, or nothing more will come."""
        return self.is_over() or self.read(ALL, max_bytes).is_part

    @abstractmethod
    def look(self, sift: Sift, max_bytes: int) -> bool:
        """Let `sift` search the messages that `read` of at most `max_bytes` bytes will need, if this turn has room.

        False if it has no room left: call again in another turn.
        """

    @abstractmethod
    def read(
        self,
        wanted: Filter,
        max_bytes: int = 0,
        sift: Sift | None = None,
        overhead: int = 0,
        *,
        tells_places: bool = False,
    ) -> Batch:
        """The messages after the places; see `reading.read`.

        Args:
            tells_places: whether the whole vector is written with each message, as in an event stream.
        """

    @abstractmethod
    def advance(self, batch: Batch) -> None:
        """Move the places to the end of `batch`, which `read` returned."""

    def leave_ended(self, batch: Batch, watcher: Watcher, now: float) -> None:
        """Let `watcher` leave the topics whose end is in `batch`. Call it after `advance`."""


@mypyc_attr(free_list_len=1)
class OneTopic(Subscription):
    """A reader of one topic.

    Args:
        hub: holds the topic.
        topic: is read.
        place: the reader's place in it.
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
        self._hub.watch(successor, watcher, 0, was_moved=True)

    def cursor(self) -> str:
        """As the base says."""
        return write_cursor(self.topic.epoch, self.place.offset)

    def key(self) -> object:
        """As the base says."""
        return self.topic, self.place

    def is_behind(self) -> bool:
        """As the base says."""
        return self.topic.last > self.place.offset or self.topic.ended

    def is_over(self) -> bool:
        """As the base says."""
        return self.topic.ended

    def is_reset(self) -> bool:
        """As the base says."""
        return self.place.reset

    def is_unsettled(self) -> bool:
        """As the base says."""
        return self.place.reset or self.place.truncated

    def look(self, sift: Sift, max_bytes: int) -> bool:  # noqa: ARG002 - a part of a topic cannot be sifted alone
        """As the base says."""
        return look_at(self._hub, sift, self.topic, self.place)

    def read(
        self,
        wanted: Filter,
        max_bytes: int = 0,
        sift: Sift | None = None,
        overhead: int = 0,
        *,
        tells_places: bool = False,  # noqa: ARG002 - there is one
    ) -> Batch:
        """As the base says."""
        reading = read(self.topic, self.place, wanted, max_bytes, overhead, sift)
        parts = ((self.topic.name, reading),)
        cursor = write_cursor(reading.epoch, reading.place)
        is_part = reading.place != reading.newest
        place, ended = Place(reading.place), reading.ended
        return Batch(cursor, _NOWHERE, parts, False, False, place, is_part, ended)  # noqa: FBT003 - by name it costs twice

    def advance(self, batch: Batch) -> None:
        """As the base says."""
        self.place = batch.place or Place(batch.parts[0][1].place)


def look_at(hub: Hub, sift: Sift, topic: Topic, place: Place) -> bool:
    """Let `sift` search the messages after `place`. False if this turn has no room left for all of them."""
    before = sift.spent
    is_done = sift.go_on(topic, place.offset, max(hub.room, 1))
    hub.room -= sift.spent - before
    return is_done
