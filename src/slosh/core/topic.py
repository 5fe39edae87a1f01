"""A topic: a bounded ring of messages with an ever-rising offset.

The rules of this file:

* Offsets are 1, 2, 3, … in the order of arrival; the newest message always has the offset `last`.
* The ring forgets because it is full, never because it delivered.
* A message is the bytes that were posted; nothing here looks into them.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

from slosh.compiled import mypyc_attr


@mypyc_attr(acyclic=True, free_list_len=1)
class Shared:
    """What the watchers of one wake-up have in common. What they put into it is theirs, and must not lead back to it.

    Args:
        now: the time of the wake-up, seconds.

    Attributes:
        made: what they have made for each other, under keys that say all that it depends on.
        latest: what was made or used last; most of those who wait stand at one place, and the next needs it again.
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
    """Somebody who waits at a topic."""

    __slots__ = ()

    def wake(self, topic: "Topic", shared: Shared) -> bool | None:
        """There is something after this watcher's place in `topic`.

        Called once for any number of messages.

        Args:
            shared: lives for this wake-up only.

        Returns:
            Whether the watcher has all that it waited for: the hub lets it go then, as `Hub.leave` would. One that
            streams stays.
        """
        raise NotImplementedError

    def moved(self, topic: "Topic", successor: "Topic") -> None:
        """The life `topic` was lost with its messages, and `successor` has begun in its place.

        The watcher waits at neither; it owes a `Hub.watch` of the successor, as one who has to be told of a reset.
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


class Topic:
    """One life of a topic: what is kept of it, and who watches it. The hub alone changes it.

    Attributes:
        name: as in its URL, decoded.
        epoch: random text, different for each life of a topic of this name.
        last: offset of the newest message, 0 when there was none yet.
        first: offset of the oldest message kept; `last + 1` when none is.
        size: bytes of all the messages kept.
        born: when this life began, seconds.
        watchers: who waits here, in the order of arrival, and the offset that each had seen when it came.
        active_until: until when it lingers without watchers, seconds.
        lingering: whether the hub's timers hold it.
        dirty: whether its watchers have still to be woken.
        is_over: whether the hub has let this life go.
        opener: for whom it counts, nothing where for nobody; see `Hub.opener`.
    """

    # The ring: a message with the offset o is kept in the slot (o - base) modulo its length, which grows to its bound.
    # Two lists, which hold nothing of their own until something comes in; two deques would cost a kilobyte a topic.
    __slots__ = (
        "_arrivals",
        "_base",
        "_fallen",
        "_latest",
        "_messages",
        "active_until",
        "born",
        "dirty",
        "epoch",
        "first",
        "is_over",
        "last",
        "lingering",
        "name",
        "opener",
        "size",
        "watchers",
    )

    def __init__(self, name: str, epoch: str, now: float) -> None:
        self.name = name
        self.epoch = epoch
        self.last = 0
        self.born = now
        self.watchers: dict[Watcher, int] = {}
        self.active_until = now
        self.lingering = False
        self.dirty = False
        self.is_over = False
        self.opener = ""
        self._messages: list[bytes] = []
        self._arrivals: list[Arrival] = []
        self._latest = _NEVER  # arrival of the newest message
        self._fallen = -math.inf  # when the newest of those that fell off had arrived, seconds; `inf` if not known
        self._base = 1
        self.first = 1
        self.size = 0

    def append(self, messages: Sequence[bytes], now: float, queue: int, queue_bytes: int, wall: int = 0) -> int:
        """Put `messages` at the end and let the oldest fall off where the ring is full.

        Args:
            messages: in their order.
            now: their time of arrival, seconds; not before that of any earlier message.
            queue: how many messages to keep at most.
            queue_bytes: how many bytes to keep at most; the newest message is kept whatever its size.
            wall: their time of arrival, Unix milliseconds, as readers are told.

        Returns:
            How many messages fell off.
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
                fallen = arrivals[slot].now
                first += 1
            kept[slot] = message
            arrivals[slot] = arrival
        while size > queue_bytes and first < last:
            slot = (first - base) % len(kept)
            size -= len(kept[slot])
            fallen = arrivals[slot].now
            kept[slot] = b""
            first += 1
        self.first, self.last, self.size = first, last, size
        self._fallen = fallen
        return first - was_first

    def _arrive(self, now: float, wall: int) -> Arrival:
        """When messages arrive that come now."""
        latest = self._latest
        if latest.now != now or latest.wall != wall:
            if wall < latest.wall:  # The clock was set back. What readers are told goes on, as time does.
                wall = latest.wall + int(max(0.0, now - latest.now) * 1000)
            latest = self._latest = Arrival(now, wall)
        return latest

    def skip_to(self, last: int) -> int:
        """Forget all that is kept and go on behind the offset `last`. Gives how many messages are passed over so."""
        passed_over = last - self.first + 1
        self._messages.clear()
        self._arrivals.clear()
        self._fallen = math.inf
        self.last = last
        self._base = self.first = last + 1
        self.size = 0
        return passed_over

    def rate(self, now: float, window: float) -> float:
        """Messages a second over the last `window` seconds, as far as the ring goes back."""
        if self.first > self.last:
            return 0.0
        recent = self.last - self.offset_before(now - window)
        full = recent == self.last - self.first + 1 and self.first > 1
        # A ring that is younger than the window, because older messages fell off, speaks for its own age alone.
        seconds = max(now - self._arrivals[self._slot(self.first)].now, 0.001) if full else window
        return recent / seconds

    def after(self, offset: int, most: int = 0) -> list[bytes]:
        """The messages kept whose offset is greater than `offset`, oldest first. Costs what it gives.

        Args:
            most: give only the oldest so many, 0 for all.
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
        """Whether a message that arrived at `time` (seconds), before which no message kept arrived, has fallen off.

        Where it is not known when those arrived that fell off, one may have.
        """
        return self.first > 1 and self._fallen >= time

    def offset_before(self, time: float) -> int:
        """The offset after which all the messages are that arrived at `time` (seconds) or later, of those kept."""
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
