"""A topic: a bounded ring of messages with an ever-rising offset.

The rules of this file:

* Offsets are 1, 2, 3, … in the order of arrival; the newest message always has the offset `last`.
* A message leaves the ring because of a bound (number, bytes, age, memory), never because it was delivered.
* A message is the bytes that were posted; nothing here parses them.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from slosh.compiled import mypyc_attr
from slosh.core.budget import NO_BUDGET, Share
from slosh.core.classes import UNBOUNDED, TopicClass

if TYPE_CHECKING:
    from slosh.core.rollups import Rollups


@mypyc_attr(acyclic=True, free_list_len=1)
class Shared:
    """What the watchers of one wake-up share, such as answers. A stored object must not refer back to this one.

    Args:
        now: the time of the wake-up, seconds.

    Attributes:
        made: answers made so far, under keys that contain everything the answer depends on.
        latest: the answer made or used last; most watchers stand at one place, so the next one needs it again.
        alone: whether only one watcher of the topic is woken, so that nothing need be kept for others.
    """

    __slots__ = ("alone", "latest", "made", "now")

    def __init__(self, now: float) -> None:
        self.now = now
        self.made: dict[object, Any] = {}
        self.latest: Any = None
        self.alone = False


@mypyc_attr(allow_interpreted_subclasses=True)
class Watcher:
    """A reader that waits at a topic."""

    __slots__ = ()

    def wake(self, topic: "Topic", shared: Shared) -> bool | None:
        """Called when there is something after this watcher's place in `topic`, once for any number of messages.

        Args:
            shared: valid for this wake-up only.

        Returns:
            True if the watcher has what it waited for: the hub removes it then, and the watcher must not call
            `Hub.leave`. A stream returns False or None, and stays.
        """
        raise NotImplementedError

    def moved(self, topic: "Topic", successor: "Topic") -> None:
        """Called when the messages of `topic` were lost and `successor` has replaced it.

        The watcher is registered at neither. It must call `Hub.watch` for the successor, and tell its reader of a
        reset.
        """
        raise NotImplementedError


@mypyc_attr(acyclic=True, free_list_len=1)
class Arrival:
    """When messages arrived: one object for all that arrived together. Never changed.

    Attributes:
        now: seconds on the clock that nobody sets back; windows are measured by it.
        wall: Unix milliseconds, for readers.
    """

    __slots__ = ("now", "wall")

    def __init__(self, now: float, wall: int) -> None:
        self.now = now
        self.wall = wall


_NEVER: Final = Arrival(-math.inf, 0)
_UNKNOWN: Final = 1 << 62
"""For a time of arrival, Unix milliseconds: later than any other."""
_NO_SHARE: Final[Share["Topic"]] = Share(NO_BUDGET, "")

_SPARE: Final = 64
"""Free slots that a ring may keep for later messages."""
EACH: Final = 72
"""Bytes that a message in a ring takes besides its own: a bytes object, two places, and a part of an `Arrival`."""


class Topic:
    """One life of a topic: its messages and its watchers. Only the hub changes it.

    Attributes:
        name: as `check_name` takes it.
        epoch: random text, different for each life of the topic.
        last: offset of the newest message, 0 when there was none yet.
        first: offset of the oldest message kept; `last + 1` when none is.
        size: bytes of all messages kept.
        created_at: when this life began, seconds.
        watchers: in the order of arrival, each with the offset that it had seen when it came.
        joining: how many readers of patterns will watch it in one of the next turns.
        active_until: the end of its lingering, if it has no watchers, seconds.
        lingering: whether the hub's timers hold it.
        dirty: whether its watchers have still to be woken.
        is_over: whether the hub has dropped or replaced it.
        ended: whether a publisher has ended it: nothing comes after `last`. It lingers like any other topic.
        share: the memory account of the client that created it; see `Hub.opener`.
        kind: its class, whose settings apply to it.
        rollups: its history; None if there is none.
        ages: whether the hub has a timer for the age of its oldest message.
    """

    # The ring: the message with the offset o is in the slot (o - base) modulo the ring's length, which grows to its
    # bound. Two lists, because an empty list takes no memory of its own; two deques would take a kilobyte a topic.
    __slots__ = (
        "_arrivals",
        "_base",
        "_fallen",
        "_latest",
        "_messages",
        "active_until",
        "ages",
        "created_at",
        "dirty",
        "ended",
        "epoch",
        "first",
        "is_over",
        "joining",
        "kind",
        "last",
        "lingering",
        "name",
        "rollups",
        "share",
        "size",
        "watchers",
    )

    def __init__(self, name: str, epoch: str, now: float, kind: TopicClass = UNBOUNDED) -> None:
        self.name = name
        self.epoch = epoch
        self.kind = kind
        self.rollups: Rollups | None = None
        self.last = 0
        self.created_at = now
        self.watchers: dict[Watcher, int] = {}
        self.joining = 0
        self.active_until = now
        self.lingering = False
        self.ages = False
        self.dirty = False
        self.is_over = False
        self.ended = False
        self.share: Share[Topic] = _NO_SHARE
        self._messages: list[bytes] = []
        self._arrivals: list[Arrival] = []
        self._latest = _NEVER  # arrival of the newest message
        self._fallen = _NEVER  # arrival of the newest dropped message
        self._base = 1
        self.first = 1
        self.size = 0

    def count_watchers(self) -> int:
        """The number of watchers that publishers are told."""
        return len(self.watchers) + self.joining

    def append(self, messages: Sequence[bytes], now: float, queue: int, queue_bytes: int, wall: int = 0) -> int:
        """Put `messages` at the end, and drop the oldest ones beyond the bounds.

        Args:
            messages: in their order.
            now: their time of arrival, seconds; not before that of any earlier message.
            queue: how many messages to keep at most.
            queue_bytes: how many bytes to keep at most; the newest message is kept whatever its size.
            wall: their time of arrival, Unix milliseconds, as readers are told.

        Returns:
            How many messages were dropped.
        """
        kept, arrivals, base = self._messages, self._arrivals, self._base
        was_first = first = self.first
        last, size = self.last, self.size
        arrival, fallen = self._arrive(now, wall), self._fallen
        for message in messages:  # mostly one
            last += 1
            size += len(message)
            if len(kept) < queue:
                kept.append(message)
                arrivals.append(arrival)
                continue
            slot = (last - base) % queue
            if last - first == queue:
                size -= len(kept[slot])
                fallen = arrivals[slot]
                first += 1
            kept[slot] = message
            arrivals[slot] = arrival
        while size > queue_bytes and first < last:
            slot = (first - base) % len(kept)
            size -= len(kept[slot])
            fallen = arrivals[slot]
            kept[slot] = b""
            first += 1
        self.first, self.last, self.size = first, last, size
        self._fallen = fallen
        return first - was_first

    def forget_before(self, time: float) -> int:
        """Drop the messages that arrived before `time`, seconds. Returns how many."""
        was_first, upto = self.first, self.offset_before(time)
        self._forget_upto(upto)
        return self.first - was_first

    def shorten(self, size: int) -> int:
        """Drop the oldest messages until `size` bytes are free, but never the newest. Returns how many."""
        was_first, freed, upto = self.first, 0, self.first - 1
        while freed < size and upto + 1 < self.last:
            upto += 1
            freed += len(self._messages[self._slot(upto)]) + EACH
        self._forget_upto(upto)
        return self.first - was_first

    def fit(self, queue: int, queue_bytes: int) -> int:
        """Give the ring other bounds, and keep the newest messages that fit. Returns how many were dropped."""
        was_first = self.first
        kept, arrivals, offset = self.after(0), self.arrivals(), self.first
        size = self.size
        while kept and (len(kept) - (offset - was_first) > queue or (size > queue_bytes and offset < self.last)):
            size -= len(kept[offset - was_first])
            self._fallen = arrivals[offset - was_first]
            offset += 1
        self._messages, self._arrivals = kept[offset - was_first :], arrivals[offset - was_first :]
        self._base = self.first = offset
        self.size = size
        return offset - was_first

    def _forget_upto(self, upto: int) -> None:
        """Drop all messages up to this offset."""
        while self.first <= upto:
            slot = self._slot(self.first)
            self.size -= len(self._messages[slot])
            self._fallen = self._arrivals[slot]
            self._messages[slot] = b""
            self.first += 1
        count = self.last - self.first + 1
        if len(self._messages) > _SPARE + 4 * count:  # Otherwise it would hold on to the places that it once needed.
            self._arrivals = self.arrivals()
            self._messages = self.after(self.first - 1)
            self._base = self.first

    def growth(self, messages: Sequence[bytes], queue: int, queue_bytes: int) -> int:
        """By how many bytes `weight` grows when `messages` are appended with these bounds; see `append`."""
        kept = self.last - self.first + 1
        count, total, gone = kept + len(messages), self.size + sum(map(len, messages)), 0
        while count > queue or (total > queue_bytes and count > 1):
            total -= len(self.at(self.first + gone) if gone < kept else messages[gone - kept])
            gone += 1
            count -= 1
        return total - self.size + EACH * (count - kept)

    @property
    def weight(self) -> int:
        """Bytes that the ring takes, as `max_bytes` counts them."""
        return self.size + EACH * (self.last - self.first + 1)

    @property
    def oldest(self) -> float:
        """The time at which the oldest message kept arrived, seconds; there must be one."""
        return self._arrivals[self._slot(self.first)].now

    @property
    def fallen(self) -> float:
        """The time at which the newest dropped message arrived, seconds; `-inf` if none was, `inf` if not known."""
        return self._fallen.now

    @property
    def fallen_wall(self) -> int:
        """The same as Unix milliseconds; later than any other time if not known."""
        return self._fallen.wall

    def arrivals(self) -> list[Arrival]:
        """When each message kept arrived, the oldest first."""
        if self.first > self.last:
            return []
        times, slot = self._arrivals, self._slot(self.first)
        end = slot + self.last - self.first + 1
        return times[slot:end] if end <= len(times) else times[slot:] + times[: end - len(times)]

    @property
    def latest_at(self) -> float:
        """When the newest message arrived, seconds; it may have fallen off."""
        return self._latest.now

    @property
    def latest_wall(self) -> int:
        """When the newest message arrived, Unix milliseconds; it may have fallen off."""
        return self._latest.wall

    def _arrive(self, now: float, wall: int) -> Arrival:
        """The `Arrival` of messages that arrive now: the latest one if the time is the same."""
        latest = self._latest
        if latest.now != now or latest.wall != wall:
            if wall < latest.wall:  # The clock was set back. The time that readers are told goes on, as time does.
                passed = int((now - latest.now) * 1000)
                if passed <= 0:
                    return latest
                # No part of a millisecond is dropped: many messages in each would stop the time.
                now, wall = min(now, latest.now + passed / 1000), latest.wall + passed
            latest = self._latest = Arrival(now, wall)
        return latest

    def skip_to(self, last: int, fallen: float = math.inf) -> int:
        """Drop all messages, and continue after the offset `last`. Returns how many messages are skipped by that.

        Args:
            last: offset of the newest message that is skipped.
            fallen: the time at which it arrived, seconds; `inf` if not known.
        """
        passed_over = last - self.first + 1
        self._messages.clear()
        self._arrivals.clear()
        self._fallen = Arrival(fallen, _UNKNOWN)
        self.last = last
        self._base = self.first = last + 1
        self.size = 0
        return passed_over

    def rate(self, now: float, window: float) -> float:
        """Messages a second over the last `window` seconds, or over as much of them as the ring covers."""
        if self.first > self.last:
            return 0.0
        recent = self.last - self.offset_before(now - window)
        full = recent == self.last - self.first + 1 and self.first > 1
        # If older messages were dropped, the ring covers only the time since its oldest message.
        seconds = max(now - self._arrivals[self._slot(self.first)].now, 0.001) if full else window
        return recent / seconds

    def after(self, offset: int, most: int = 0) -> list[bytes]:
        """The messages kept whose offset is greater than `offset`, oldest first. Costs what it gives.

        Args:
            most: give only this many of the oldest, 0 for all.
        """
        kept, last = self._messages, self.last
        start = max(offset + 1, self.first)
        if start >= last:  # the usual reader, who has seen all but the newest
            return [kept[self._slot(last)]] if start == last else []
        slot = self._slot(start)
        count = last - start + 1
        end = slot + (min(count, most) if most else count)
        return kept[slot:end] if end <= len(kept) else kept[slot:] + kept[: end - len(kept)]

    def at(self, offset: int) -> bytes:
        """The message with this offset, which is kept."""
        return self._messages[self._slot(offset)]

    def times(self, offsets: Sequence[int]) -> list[int]:
        """When the messages with these offsets, which are kept, arrived: Unix milliseconds, never falling."""
        return [self._arrivals[self._slot(offset)].wall for offset in offsets]

    def has_forgotten_since(self, time: float) -> bool:
        """Whether a message that arrived at `time` (seconds) or later was dropped. No message kept may be older.

        True as well if the arrival of dropped messages is not known.
        """
        return self.first > 1 and self._fallen.now >= time

    def offset_before(self, time: float) -> int:
        """The offset before the first message kept that arrived at `time` (seconds) or later."""
        low, high = self.first, self.last + 1  # The times never go back, so halving finds it.
        while low < high:
            middle = (low + high) // 2
            if self._arrivals[self._slot(middle)].now >= time:
                high = middle
            else:
                low = middle + 1
        return low - 1

    def _slot(self, offset: int) -> int:
        """Where in the ring the message with this offset is kept."""
        return (offset - self._base) % len(self._messages)
