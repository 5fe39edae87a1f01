"""A topic: a bounded ring of messages with an ever-rising offset.

The rules of this file:

* Offsets are 1, 2, 3, … in the order of arrival; the newest message always has the offset `last`.
* The ring forgets because it is full, never because it delivered.
* A message is the bytes that were posted; nothing here looks into them.
"""

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Any, Protocol

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


class Watcher(Protocol):
    """Somebody who waits at a topic."""

    def wake(self, topic: "Topic", shared: Shared) -> bool | None:
        """There is something after this watcher's place in `topic`.

        Called once for any number of messages.

        Args:
            shared: lives for this wake-up only.

        Returns:
            Whether the watcher has all that it waited for: the hub lets it go then, as `Hub.leave` would. One that
            streams stays.
        """

    def moved(self, topic: "Topic", successor: "Topic") -> None:
        """The life `topic` was lost with its messages, and `successor` has begun in its place.

        The watcher waits at neither; it owes a `Hub.watch` of the successor, as one who has to be told of a reset.
        """


class Topic:
    """One life of a topic: what is kept of it, and who watches it. The hub alone changes it.

    Attributes:
        name: as in its URL, decoded.
        epoch: random text, different for each life of a topic of this name.
        last: offset of the newest message, 0 when there was none yet.
        born: when this life began, seconds.
        watchers: who waits here, in the order of arrival, and the offset that each had seen when it came.
        active_until: until when it lingers without watchers, seconds.
        lingering: whether the hub's timers hold it.
        dirty: whether its watchers have still to be woken.
        is_over: whether the hub has let this life go.
    """

    __slots__ = (
        "_messages",
        "_size",
        "_times",
        "active_until",
        "born",
        "dirty",
        "epoch",
        "is_over",
        "last",
        "lingering",
        "name",
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
        self._messages: deque[bytes] = deque()
        self._times: deque[float] = deque()
        self._size = 0

    @property
    def first(self) -> int:
        """Offset of the oldest message kept; `last + 1` when none is."""
        return self.last - len(self._messages) + 1

    @property
    def size(self) -> int:
        """Bytes of all the messages kept."""
        return self._size

    def append(self, messages: Sequence[bytes], now: float, queue: int, queue_bytes: int) -> int:
        """Put `messages` at the end and let the oldest fall off where the ring is full.

        Args:
            messages: in their order.
            now: their time of arrival, seconds; not before that of any earlier message.
            queue: how many messages to keep at most.
            queue_bytes: how many bytes to keep at most; the newest message is kept whatever its size.

        Returns:
            How many messages fell off.
        """
        kept, times = self._messages, self._times
        for message in messages:  # mostly one
            kept.append(message)
            times.append(now)
            self._size += len(message)
        self.last += len(messages)
        fell_off = 0
        while len(kept) > queue or (self._size > queue_bytes and len(kept) > 1):
            self._size -= len(kept.popleft())
            times.popleft()
            fell_off += 1
        return fell_off

    def skip_to(self, last: int) -> int:
        """Forget all that is kept and go on behind the offset `last`. Gives how many messages are passed over so."""
        passed_over = last - self.last + len(self._messages)
        self._messages.clear()
        self._times.clear()
        self._size = 0
        self.last = last
        return passed_over

    def rate(self, now: float, window: float) -> float:
        """Messages a second over the last `window` seconds, as far as the ring goes back."""
        if not self._times:
            return 0.0
        recent = self.last - self.offset_before(now - window)
        full = recent == len(self._times) and self.first > 1
        # A ring that is younger than the window, because older messages fell off, speaks for its own age alone.
        seconds = max(now - self._times[0], 0.001) if full else window
        return recent / seconds

    def after(self, offset: int) -> list[bytes]:
        """The messages kept whose offset is greater than `offset`, oldest first. Costs what it gives."""
        if offset == self.last - 1 and self._messages:
            return [self._messages[-1]]  # the usual reader, who has seen all but the newest
        newest_first = list(islice(reversed(self._messages), max(0, self.last - offset)))
        newest_first.reverse()
        return newest_first

    def offset_before(self, time: float) -> int:
        """The offset after which all the messages are that arrived at `time` (seconds) or later, of those kept."""
        young = 0
        for arrived in reversed(self._times):
            if arrived < time:
                break
            young += 1
        return self.last - young
