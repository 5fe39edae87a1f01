"""The history of one topic: a series for each number in its messages.

The rules of this file:

* A message is only queued when it arrives (`add`). It is processed later, in portions (`work`), once for all series.
* A series has the numbers of one path, and of one value of a field if that tells series apart. Numbers in arrays, and
  those that are not finite, are in none.
* Members with the same path are one series: `{"a.b":1}` and `{"a":{"b":1}}`.
* If a reload makes a history longer or shorter, its series are resized one after the other, in the same portions.
* Omissions are counted: numbers that get no series (`unlisted`), and messages that are too large or arrived faster
  than they could be processed (`missed`).
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from slosh.core.buckets import Columns, Series
from slosh.core.budget import Account
from slosh.core.groups import DEEPEST, NOT_KNOWN, Group, Node, find_value, read_number, read_value

ASKED: Final = 3600.0
"""Seconds of history that a topic keeps if its class has none, once a client has asked for it."""
LARGEST: Final = 64 * 1024
"""Bytes of the largest message that is processed. Longer ones would hold up the event loop."""
LONGEST: Final = 256
"""Bytes of the longest path, and of the longest value of a field that tells series apart."""
_GROUPS: Final = 4
"""Groups of one topic at a time. Beyond that the one whose last request is the oldest is dropped."""
_MESSAGE: Final = 512
_NUMBER: Final = 256
"""The cost to process a message besides its bytes: for itself; and for each number, new object and name in a `by`."""

_WAITING_EACH: Final = 72
_WAITING_TOGETHER: Final = 160
"""Bytes that waiting messages take in addition to their own: for each, and for those that arrived together."""

Levels = dict[int, tuple[Columns, int]]


class _WaitingMessages:
    """Messages that wait to be processed: those that arrived together, or those of the ring when a group began."""

    __slots__ = ("at", "group", "messages", "newest", "wall", "walls")

    def __init__(
        self,
        messages: Sequence[bytes],
        wall: int,
        newest: int,
        group: Group | None = None,
        walls: Iterator[int] | None = None,
    ) -> None:
        self.messages = messages
        self.wall = wall
        self.newest = newest
        self.group = group  # the only group that gets them; None for all
        self.walls = walls  # a time for each message, if they did not arrive together
        self.at = 0  # index of the next one to process


class Rollups:
    """The history of one topic.

    Args:
        span: seconds of history to keep.
        most: series at most.
        budget: the account from which memory is reserved.
        newest: offset of the newest message that `add` will not be called with.

    Attributes:
        span: as above.
        readers: how many answers are being made from the series. No message is processed until those are complete.
        rolled: offset up to which messages were processed, or missed.
        waiting: bytes of the messages that arrived and wait to be processed.
        kept: the same for those that the ring held when a group began.
        unlisted: numbers that were left out, because there were too many series or no memory for another. A member with
            too long a path counts as one, as does a message with too long a value of the field.
        missed: messages that were left out, because they were too large or too many at a time.
    """

    __slots__ = (
        "_budget",
        "_count",
        "_groups",
        "_most",
        "_queue",
        "_skips",
        "_unsized",
        "kept",
        "missed",
        "readers",
        "rolled",
        "span",
        "unlisted",
        "waiting",
    )

    def __init__(self, span: float, most: int, budget: Account, newest: int) -> None:
        self.span = span
        self.readers = 0
        self.rolled = newest
        self.waiting = self.kept = 0
        self.unlisted = 0
        self.missed = 0
        self._most = most
        self._budget = budget
        self._count = 0  # series
        self._skips = False  # whether the next message is the first one known, at least to some group
        self._groups: dict[str, Group] = {}  # by the field; the most recently requested is the last
        self._queue: deque[_WaitingMessages] = deque()
        self._unsized: deque[Series] = deque()  # series that still have the former span

    def group(self, by: str) -> Group | None:
        """The group of the field `by`; None if there is none. This counts as a request for it."""
        group = self._groups.pop(by, None)
        if group is not None:
            self._groups[by] = group
        return group

    def groups(self) -> list[Group]:
        """All groups. The most recently requested is the last."""
        return list(self._groups.values())

    def put_back_group(self, by: str, since: int) -> None:
        """Add a group that another process made. The caller adds its series with `put_back`."""
        self._groups[by] = Group(by, since)
        self._skips = self._skips or since == NOT_KNOWN

    def put_back(self, by: str, names: Sequence[str], value: str | None, span: float, levels: Levels) -> None:
        """Add a series that another process made, if there is room.

        Args:
            by: the field of a group for which `put_back_group` was called.
            names: those that lead to its numbers.
            value: of the field; None for no field.
            span: seconds of history that the other process kept.
            levels: by width, its buckets and the number of the newest that was overwritten; see `Level.fill`.
        """
        group = self._groups.get(by)  # It may have been dropped since, for a group that a client asked for.
        series = self._make_series(".".join(names), value, span) if group is not None else None
        if group is None or series is None:
            return
        node = group.trees.setdefault(value, Node("", {}))
        for name in names:
            path = f"{node.path}.{name}" if node.path else name
            node = node.members.setdefault(name, Node(path, node.by_path))
        node.series = node.by_path[node.path] = series
        for level in series.levels:
            if level.width in levels:
                level.fill(*levels[level.width])
        if span != self.span:
            series.resize(self.span)

    def begin(self, by: str, kept: Sequence[bytes], since: int, walls: Iterable[int] = ()) -> Group:
        """Begin the group of the field `by`, with the messages in the ring.

        Args:
            kept: the messages in the ring up to the offset `rolled`, oldest first.
            since: as of `Group`.
            walls: when each of them arrived, Unix milliseconds.
        """
        if len(self._groups) >= _GROUPS:
            self._drop(next(iter(self._groups)))
        group = self._groups[by] = Group(by, since)
        self._skips = self._skips or since == NOT_KNOWN
        if kept:
            self._queue.appendleft(_WaitingMessages(kept, 0, self.rolled, group, iter(walls)))
            self.kept += weigh_waiting(kept)
        return group

    def add(self, messages: Sequence[bytes], wall: int, newest: int) -> None:
        """Queue messages that arrived together.

        Args:
            wall: when they arrived, Unix milliseconds; not before any earlier message.
            newest: offset of the last one.
        """
        if self._skips:
            self._skips = False
            for group in self._groups.values():
                if group.since == NOT_KNOWN:
                    group.since = wall + 1  # Others of this millisecond may have been passed over.
        self._queue.append(_WaitingMessages(messages, wall, newest))
        self.waiting += weigh_waiting(messages)

    def skip(self, newest: int) -> None:
        """Continue after the offset `newest`, because earlier messages are unknown here: `since` begins again."""
        self._skips = True
        for group in self._groups.values():
            group.since = NOT_KNOWN
        self._pass_over(newest)

    def miss(self, count: int, newest: int) -> None:
        """Count `count` messages, up to the offset `newest`, that are not processed."""
        self.missed += count
        self._pass_over(newest)

    def _pass_over(self, newest: int) -> None:
        """Set `rolled` to `newest` once all messages that wait now are processed."""
        last = self._queue[-1] if self._queue else None
        if last is not None and last.group is None and not last.messages:
            last.newest = newest
        else:
            self._queue.append(_WaitingMessages((), 0, newest))
            self.waiting += _WAITING_TOGETHER

    def work(self, most: int) -> int:
        """Resize series and process waiting messages, at a cost of about `most` bytes.

        Returns the cost, in bytes that could be processed in the same time. No work is left if it is below `most`.
        """
        spent = 0
        while self._unsized:
            if spent >= most:
                return spent
            spent += self._unsized.popleft().resize(self.span)
        while self._queue:
            first = self._queue[0]
            while first.at < len(first.messages):
                if spent >= most:
                    return spent
                message = first.messages[first.at]
                first.at += 1
                self._take_off(first, len(message) + _WAITING_EACH)
                wall = first.wall if first.walls is None else next(first.walls)
                spent += self._look_into(message, wall // 1000, first.group)
                if first.group is None:
                    self.rolled = first.newest - len(first.messages) + first.at
            self.rolled = max(self.rolled, first.newest)
            self._take_off(first, _WAITING_TOGETHER)
            self._queue.popleft()
        return min(spent, most - 1)

    @property
    def is_catching_up(self) -> bool:
        """Whether a group has not yet all messages that were in the ring when it began."""
        return bool(self._queue) and self._queue[0].group is not None  # They are queued before all others.

    def has(self, upto: int) -> bool:
        """Whether all messages up to the offset `upto` were processed for all groups."""
        return self.rolled >= upto and not self.is_catching_up

    def resize(self, span: float, most: int) -> bool:
        """Keep this many seconds of history, and allow this many series, from now on. Existing series stay.

        Returns whether some series must be resized. The caller must call `work`, which does that.
        """
        self._most = most
        if span != self.span:
            self.span = span
            self._unsized = deque(series for group in self._groups.values() for series in group.series())
        return bool(self._unsized)

    def release(self) -> None:
        """Give the memory back; it must not be used afterwards."""
        for by in list(self._groups):
            self._drop(by)
        self._queue.clear()
        self._unsized.clear()
        self.waiting = self.kept = 0

    def _take_off(self, waiting: _WaitingMessages, weight: int) -> None:
        """Subtract bytes of `waiting` from those that wait."""
        if waiting.group is None:
            self.waiting -= weight
        else:
            self.kept -= weight

    def _drop(self, by: str) -> None:
        group = self._groups.pop(by)
        for series in group.series():
            series.release()
            self._count -= 1
        if self._unsized:
            gone = set(group.series())
            self._unsized = deque(series for series in self._unsized if series not in gone)
        for waiting in self._queue:
            if waiting.group is group:
                self._take_off(waiting, weigh_waiting(waiting.messages[waiting.at :]) - _WAITING_TOGETHER)
                waiting.messages = ()

    def _look_into(self, message: bytes, second: int, only: Group | None) -> int:
        """Add all numbers of a message to all groups, or to `only` that one. Returns the cost."""
        if len(message) > LARGEST:
            self.missed += only is None
            return _MESSAGE
        value = read_value(message)
        count = 0
        for group in self._groups.values() if only is None else (only,):
            if group.by:
                count += len(group.ways)
                key = find_value(value, group.ways)
                if key is None:
                    continue
            else:
                key = None
            tree = group.trees.get(key)
            if tree is None:
                if key is not None and len(key.encode("utf-8", "replace")) > LONGEST:
                    self.unlisted += 1
                    continue
                tree = Node("", {})
                count += self._take(tree, value, second, key, 0)
                if tree.series is not None or tree.members:
                    group.trees[key] = tree
            else:
                count += self._take(tree, value, second, key, 0)
        return 2 * len(message) + _MESSAGE + _NUMBER * count

    def _take(self, node: Node, value: object, second: int, key: str | None, depth: int) -> int:
        """Add all numbers in `value`, which is the member `node`. Returns how many there were, with new objects."""
        kind = type(value)
        if kind is float or kind is int:
            return self._count_number(node, value, second, key)
        if kind is not dict or depth >= DEEPEST:
            return 0
        count = 0
        members: dict[str, Any] = value  # type: ignore[assignment]  # of JSON
        for name, member in members.items():
            kind = type(member)
            if kind is not float and kind is not int and kind is not dict:
                continue
            below = node.members.get(name)
            if below is not None and below.series is not None and kind is float:  # the usual case, saving two calls
                if member - member == 0.0:
                    below.series.add(second, member)
                count += 1
            elif below is not None:
                count += self._take(below, member, second, key, depth + 1)
            else:
                count += self._take_new(node, name, member, second, key, depth)
        return count

    def _take_new(self, node: Node, name: str, member: object, second: int, key: str | None, depth: int) -> int:
        """As `_take`, for the member `name` of `node`, which has no node yet."""
        path = f"{node.path}.{name}" if node.path else name
        if self._count >= self._most:
            return self._take_unlisted(node.by_path, path, member, second, depth + 1)
        if _is_too_long(path):
            self.unlisted += 1
            return 1
        below = Node(path, node.by_path)
        count = 1 + self._take(below, member, second, key, depth + 1)
        if below.series is not None or below.members:
            node.members[name] = below
        return count

    def _take_unlisted(self, by_path: dict[str, Series], path: str, member: object, second: int, depth: int) -> int:
        """As `_take_new` if no series can be added. It makes no nodes, as a message may have thousands of members."""
        if _is_too_long(path):
            self.unlisted += 1
            return 1
        if type(member) is not dict:
            number, series = read_number(member), by_path.get(path)
            if number is not None and series is not None:
                series.add(second, number)
            else:
                self.unlisted += number is not None
            return 1
        count = 1
        if depth < DEEPEST:
            for name, each in member.items():
                kind = type(each)
                if kind is float or kind is int or kind is dict:
                    below = f"{path}.{name}" if path else name
                    count += self._take_unlisted(by_path, below, each, second, depth + 1)
        return count

    def _count_number(self, node: Node, value: Any, second: int, key: str | None) -> int:  # noqa: ANN401 - a number of JSON
        number = read_number(value)
        if number is None:
            return 1
        series = node.series or node.by_path.get(node.path)
        if series is None:
            series = node.series = self._make_series(node.path, key, self.span)
            if series is None:
                return 1
            node.by_path[node.path] = series
        series.add(second, number)
        return 1

    def _make_series(self, path: str, value: str | None, span: float) -> Series | None:
        """A new series; None if there are too many, or no memory for it. That is counted in `unlisted`."""
        if self._count >= self._most or not self._budget.take(Series.base()):
            self.unlisted += 1
            return None
        self._count += 1
        return Series(path, value, span, self._budget)


def _is_too_long(path: str) -> bool:
    """Whether a path has too many bytes. A character has four at most, so short paths need not be encoded."""
    return 4 * len(path) > LONGEST and len(path.encode("utf-8", "replace")) > LONGEST


def weigh_waiting(messages: Sequence[bytes]) -> int:
    """Bytes that messages which arrived together take while they wait."""
    return sum(map(len, messages)) + _WAITING_EACH * len(messages) + _WAITING_TOGETHER
