"""A reader's places in the topics that it reads, and what it has still to be given.

One topic is by far the most common, and tens of thousands of readers wait at once, so `OneTopic` is as
small as it can be; `SeveralTopics` in `several.py` does the same for any number.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from slosh.compiled import mypyc_attr
from slosh.core.cursor import Cursor
from slosh.core.hub import Hub
from slosh.core.reading import ALL, Filter, Place, Reading, Sift, read
from slosh.core.topic import Topic, Watcher

NO_PLACE: Final = Place(-1)
"""In place of one place."""

_NOWHERE: Final[Mapping[str, Cursor]] = {}


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
        ended: whether all that the reader reads has ended, and it has got all of it.
        incomplete: whether topics are left out that its patterns match.
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
        """How many messages came in, over all the topics."""
        return sum(reading.saw for _, reading in self.parts)

    @property
    def ends(self) -> bool:
        """Whether a topic has ended, and this reaches its end."""
        return any(reading.ended for _, reading in self.parts)


class Subscription:
    """A reader's places. They move when `advance` is told to, and never otherwise.

    Attributes:
        place: in the one topic, `NO_PLACE` if there are several. Readers at one place mostly have the very same
            object, because what moves them there is made once for all: they are told apart by it, and by `key` else.
    """

    __slots__ = ("place",)

    def __init__(self, place: Place) -> None:
        self.place = place

    @abstractmethod
    def watch(self, watcher: Watcher, now: float) -> None:
        """Let `watcher` wait for what comes after the places, which may be there already. It must call `leave` later.

        Raises:
            TooManyWatchers: a topic has all the watchers that it may have.
            TooManyPatterns: others read by patterns of too many other shapes.
        """

    @abstractmethod
    def leave(self, watcher: Watcher, now: float) -> None:
        """Let `watcher` go, at the time `now`, seconds. It may have gone already, or never have watched."""

    def leave_soon(self, watcher: Watcher, now: float) -> None:
        """As `leave`, in a later turn if this one has no room for that.

        Until then it may be woken for nothing, and counts as a watcher.
        """
        self.leave(watcher, now)

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
        """Whether there is something to give: messages, or the end of a topic."""

    @abstractmethod
    def is_over(self) -> bool:
        """Whether all topics have ended, so that nothing comes behind what they have."""

    def has_all(self) -> bool:
        """Whether the reader has been given everything that there ever will be."""
        return self.is_over() and not self.read(ALL, 1).saw

    @abstractmethod
    def is_reset(self) -> bool:
        """Whether the reader has still to be told that it starts again."""

    @abstractmethod
    def is_unsettled(self) -> bool:
        """Whether the reader has still to be told what its places alone do not say: a reset, or a truncated window.

        Do not tell its places before: a reader that is cut between the two would never hear of it.
        """

    def is_incomplete(self) -> bool:
        """Whether topics are left out that the reader's patterns match, because it has as many as it may come to."""
        return False

    def on_incomplete(self, tell: Callable[[], None]) -> None:
        """Have `tell` called once, when a topic is left out for the first time."""

    def fills(self, max_bytes: int) -> bool:
        """Whether more waits than a portion of `max_bytes` bytes, or nothing more will come."""
        return self.is_over() or self.read(ALL, max_bytes).is_part

    @abstractmethod
    def look(self, sift: Sift, max_bytes: int) -> bool:
        """Let `sift` look at what `read` of at most `max_bytes` bytes is going to need, as far as this turn has room.

        False if it has none left: call again in another turn.
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

    def leave_ended(self, batch: Batch, watcher: Watcher, now: float) -> None:
        """Let `watcher` leave the topics of which `batch` gave the end, after `advance`."""


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
        self._hub.watch(successor, watcher, 0, was_moved=True)

    def cursor(self) -> str:
        """As the base says."""
        return f"{self.topic.epoch}.{self.place.offset}"

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
        besides: int = 0,
        *,
        tells_places: bool = False,  # noqa: ARG002 - there is one
    ) -> Batch:
        """As the base says."""
        reading = read(self.topic, self.place, wanted, max_bytes, besides, sift)
        parts = ((self.topic.name, reading),)
        cursor = f"{reading.epoch}.{reading.place}"
        is_part = reading.place != reading.newest
        place, ended = Place(reading.place), reading.ended
        return Batch(cursor, _NOWHERE, parts, False, False, place, is_part, ended)  # noqa: FBT003 - by name it costs twice

    def advance(self, batch: Batch) -> None:
        """As the base says."""
        self.place = batch.place or Place(batch.parts[0][1].place)


def look_at(hub: Hub, sift: Sift, topic: Topic, place: Place) -> bool:
    """Let `sift` look at what is behind `place`. False if the turn has no room left for all of it."""
    before = sift.spent
    is_done = sift.go_on(topic, place.offset, max(hub.room, 1))
    hub.room -= sift.spent - before
    return is_done
