"""What a reader gets: where it starts, which messages it is given, and what it is told about the others.

Long-poll and all streams use these functions and differ only in their framing. For each answer

    saw = delivering + lost + conflated

and `saw` counts from the reader's place on, so no message goes missing without being counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from slosh.compiled import mypyc_attr
from slosh.core.cursor import Cursor
from slosh.core.members import Finder
from slosh.core.topic import Topic

_TOGETHER: Final = 64
"""Messages that are taken out of a ring at a time, to search them for a key."""
_LONG: Final = 64
"""Length of the longest value of a key that is remembered itself; of longer ones a digest is."""
_MANY: Final = 1000
"""Values of a key; each takes some 120 bytes."""
_ENDLESS: Final = 1 << 60


@dataclass(frozen=True, slots=True)
class Now:
    """Only what comes from now on."""


@dataclass(frozen=True, slots=True)
class Earliest:
    """From the first message of the topic's present life."""


@dataclass(frozen=True, slots=True)
class Last:
    """The newest `count` messages, as far as they are kept."""

    count: int


@dataclass(frozen=True, slots=True)
class Age:
    """What arrived in the last `seconds`, as far as it is kept."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Offset:
    """After this offset, whatever the topic's epoch is."""

    offset: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """A text in place of a cursor that cannot be read, for instance of another version; its reader is told `reset`."""


Since = Now | Earliest | Last | Age | Offset | Cursor | Unknown
"""Where a reader asks to start."""


# One of each is made for each answer, so they are plain classes: compiled, these cost a sixth of a NamedTuple.


@mypyc_attr(acyclic=True, free_list_len=1)
class Place:
    """Where a reader stands in the current life of a topic. Never changed.

    Attributes:
        offset: of the last message that it has seen.
        reset: whether it has still to be told that its cursor had another epoch, or an offset of the future.
        truncated: whether it has still to be told that part of the window it asked for is not kept any more.
    """

    __slots__ = ("offset", "reset", "truncated")

    def __init__(self, offset: int, reset: bool = False, truncated: bool = False) -> None:  # noqa: FBT001, FBT002 - facts, and a part of the place
        self.offset = offset
        self.reset = reset
        self.truncated = truncated

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Place)
            and self.offset == other.offset
            and self.reset == other.reset
            and self.truncated == other.truncated
        )

    def __hash__(self) -> int:
        return hash((self.offset, self.reset, self.truncated))

    def __repr__(self) -> str:
        return f"Place({self.offset}, reset={self.reset}, truncated={self.truncated})"


@mypyc_attr(acyclic=True)
class Filter:
    """Which messages a reader wants to be left out, and whether it wants their times. Never changed.

    Attributes:
        limit: give only this many of the newest messages, 0 for all.
        key: the path to a member of the messages; give only the newest message for each value. Empty for all messages.
        times: whether to say when each message arrived.
    """

    __slots__ = ("key", "limit", "times")

    def __init__(
        self,
        limit: int = 0,
        key: tuple[str, ...] = (),
        times: bool = False,  # noqa: FBT001, FBT002 - a fact, and a part of what is wanted
    ) -> None:
        self.limit = limit
        self.key = key
        self.times = times

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Filter) and self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash(self._facts())

    def __repr__(self) -> str:
        return f"Filter({self.limit}, {self.key!r}, times={self.times})"

    def _facts(self) -> tuple[object, ...]:
        return self.limit, self.key, self.times


@mypyc_attr(acyclic=True, free_list_len=1)
class Reading:
    """What one reader is given of one topic. `saw = len(messages) + lost + conflated`. Never changed.

    Attributes:
        epoch: of the topic.
        newest: offset of the newest message in the topic.
        place: offset up to which this goes; with `epoch` it is the reader's next cursor. Less than `newest`
            only if the reader is given a portion.
        saw: how many messages there are between the reader's place before and this one.
        lost: how many of them fell off the ring before the reader asked.
        conflated: how many of them the reader asked to be left out.
        offsets: of the messages.
        messages: all the others, oldest first.
        reset: whether delivery starts again because the reader's cursor was of another epoch, or of the future.
        times: when each of the messages arrived, Unix milliseconds; None if the reader did not ask for that.
        truncated: whether part of the window that the reader asked for is not kept any more.
        ended: whether the topic has ended and this reaches its end.
    """

    __slots__ = (
        "conflated",
        "ended",
        "epoch",
        "lost",
        "messages",
        "newest",
        "offsets",
        "place",
        "reset",
        "saw",
        "times",
        "truncated",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - by position, because names cost a call twice its time
        self,
        epoch: str,
        newest: int,
        place: int,
        saw: int,
        lost: int,
        conflated: int,
        offsets: Sequence[int],
        messages: list[bytes],
        reset: bool,  # noqa: FBT001 - as above
        times: list[int] | None = None,
        truncated: bool = False,  # noqa: FBT001, FBT002 - as above
        ended: bool = False,  # noqa: FBT001, FBT002 - as above
    ) -> None:
        self.epoch = epoch
        self.newest = newest
        self.place = place
        self.saw = saw
        self.lost = lost
        self.conflated = conflated
        self.offsets = offsets
        self.messages = messages
        self.reset = reset
        self.times = times
        self.truncated = truncated
        self.ended = ended

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reading) and self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash((self.epoch, self.newest, self.place))

    def __repr__(self) -> str:
        return f"Reading{self._facts()}"

    def _facts(self) -> tuple[object, ...]:
        numbers = (self.newest, self.place, self.saw, self.lost, self.conflated)
        said = (self.reset, self.times, self.truncated, self.ended)
        return (self.epoch, *numbers, list(self.offsets), self.messages, *said)

    @property
    def cursor(self) -> Cursor:
        """The reader's place after this."""
        return Cursor(self.epoch, self.place)


ALL: Final = Filter()
"""For readers that want everything."""


def locate(topic: Topic, since: Since, now: float) -> Place:  # noqa: PLR0911 - one return for each form
    """Find the place that `since` means in `topic` at the time `now`, seconds."""
    # The usual one first, and without a pattern, which costs four times as much.
    if isinstance(since, Cursor) and since.epoch == topic.epoch and since.offset <= topic.last:
        return Place(since.offset)
    match since:
        case Now():
            return Place(topic.last)
        case Earliest():
            return Place(0)
        case Last(count):
            start, kept = max(0, topic.last - count), topic.first - 1
            return Place(max(start, kept), truncated=start < kept)
        case Age(seconds):
            start = topic.offset_before(now - seconds)
            return Place(start, truncated=start < topic.first and topic.has_forgotten_since(now - seconds))
        case Offset(offset) if offset <= topic.last:
            return Place(offset)
        case _:
            # Another epoch, or an offset of the future: as far as we know the reader has seen nothing of this
            # life, so it begins before the first message, and messages that fell off the ring count as lost.
            return Place(0, reset=True)


class Sift:
    """Finds the newest message for each value of a key, in any number of topics, some bytes at a time.

    One `Sift` serves a reader, or several at one place, until they have caught up. It looks at each message once.

    Args:
        path: of the key.
    """

    __slots__ = ("_finder", "_found")

    def __init__(self, path: tuple[str, ...]) -> None:
        self._finder = Finder(path)
        self._found: dict[Topic, _Found] = {}

    @property
    def spent(self) -> int:
        """The cost of the search so far, bytes."""
        return self._finder.spent

    def go_on(self, topic: Topic, offset: int, most: int) -> bool:
        """Search the messages after `offset` in `topic`, for a cost of some `most` bytes. False if some are left."""
        found = self._found.get(topic)
        if found is None or found.start > offset:
            found = self._found[topic] = _Found(offset)
        find, newest = self._finder.find, found.newest
        stop = self._finder.spent + most
        at = max(found.end, topic.first - 1)
        while at < topic.last:
            if self._finder.spent >= stop:
                found.end = at
                return False
            for message in topic.after(at, _TOGETHER):
                at += 1
                value = find(message)
                newest[at if value is None else _short(value)] = at  # An offset is no value, so it stands for itself.
                if self._finder.spent >= stop:
                    break
        found.end = at
        return True

    def is_large(self) -> bool:
        """Whether it remembers so many values that a client which takes nothing should not keep it."""
        return sum(len(found.newest) for found in self._found.values()) > _MANY

    def has_all(self, topic: Topic) -> bool:
        """Whether all messages of `topic` were searched."""
        found = self._found.get(topic)
        return found is not None and found.end >= topic.last

    def kept(self, topic: Topic, offset: int) -> list[int]:
        """The offsets after `offset` of messages that are the newest for their value, among those searched."""
        found = self._found.get(topic)
        first = max(offset + 1, topic.first)
        return sorted(each for each in found.newest.values() if each >= first) if found is not None else []


class _Found:
    """What was found in one topic, after the offset `start` and up to `end`."""

    __slots__ = ("end", "newest", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self.end = start
        self.newest: dict[int | bytes | str, int] = {}


def _short(value: bytes | str) -> bytes | str:
    """The value, or a digest of a long one, so that remembered values take little memory."""
    if len(value) <= _LONG:
        return value
    letters = value if isinstance(value, bytes) else b'"' + value.encode("utf-8", "surrogatepass")
    return blake2b(letters, digest_size=32).digest()


def read(
    topic: Topic, place: Place, wanted: Filter = ALL, max_bytes: int = 0, overhead: int = 0, sift: Sift | None = None
) -> Reading:
    """Give a reader at `place` the messages that it has not seen.

    Args:
        wanted: which messages are left out.
        max_bytes: give only the oldest messages up to this many bytes, but at least one; the reader gets the rest
            later. 0 for all. `wanted` is applied first, so portions together are the same as all at once.
        overhead: bytes that are written with each message, and count as well.
        sift: has searched all of `topic`, for readers with a key; without one, all messages are searched now.
    """
    upto = topic.last
    if place.offset == upto - 1 and not wanted.key and topic.first <= upto:
        # By far the most common: the one message that came, which neither a limit nor a portion leaves out.
        messages, times = topic.after(place.offset), topic.times((upto,)) if wanted.times else None
        reset, truncated = place.reset, place.truncated
        return Reading(topic.epoch, upto, upto, 1, 0, 0, (upto,), messages, reset, times, truncated, topic.ended)
    first = max(place.offset + 1, topic.first)
    lost = first - place.offset - 1
    offsets: Sequence[int] = range(first, upto + 1)
    if wanted.key and first <= upto:
        if sift is None or not sift.has_all(topic):
            sift = Sift(wanted.key)
            sift.go_on(topic, place.offset, _ENDLESS)
        offsets = sift.kept(topic, place.offset)
    if wanted.limit:
        offsets = offsets[-wanted.limit :]
    messages = _take(topic, offsets, max_bytes, overhead)
    if len(messages) < len(offsets):
        offsets = offsets[: len(messages)]
        upto = offsets[-1]
    saw = upto - place.offset
    conflated = saw - lost - len(messages)
    times = topic.times(offsets) if wanted.times else None
    return Reading(
        topic.epoch,
        topic.last,
        upto,
        saw,
        lost,
        conflated,
        offsets,
        messages,
        place.reset,
        times,
        place.truncated,
        topic.ended and upto == topic.last,
    )


def tell_place(topic: Topic, place: Place, wanted: Filter) -> Reading:
    """Tell a reader at `place` of a reset or a truncated window, which no cursor says. It gets no message yet."""
    times: list[int] | None = [] if wanted.times else None
    return Reading(topic.epoch, topic.last, place.offset, 0, 0, 0, (), [], place.reset, times, place.truncated)


def _take(topic: Topic, offsets: Sequence[int], max_bytes: int, overhead: int) -> list[bytes]:
    """The messages at `offsets`, which are kept, oldest first: as many as fit, and at least one."""
    if isinstance(offsets, range):
        # No message is empty, so no more than this can fit.
        most = max_bytes // (1 + overhead) + 1 if max_bytes else 0
        messages = topic.after(offsets.start - 1, most) if offsets else []
    else:
        messages = [topic.at(offset) for offset in offsets]
    if not max_bytes or topic.size + overhead * len(messages) <= max_bytes:
        return messages
    total = 0
    for count, message in enumerate(messages):
        total += len(message) + overhead
        if total > max_bytes:
            return messages[: max(1, count)]
    return messages
