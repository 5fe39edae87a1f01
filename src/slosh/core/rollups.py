"""The history of one topic: series of all the numbers in its messages, made behind the publishers' backs.

The rules of this file:

* A message is only put by when it arrives (`add`). It is looked into later, in portions (`work`), each message once for
  all series.
* A series is a numeric member of the messages, by its path, and if a field tells series apart the value of that.
  What is in arrays, and what is no finite number, is none.
* Members with one path are one series: `{"a.b":1}` and `{"a":{"b":1}}` alike.
* If a reload makes a history longer or shorter its series become so one after the other, in the same portions.
* Omissions are counted: numbers for which there are too many series, and messages that are too large, or that
  came faster than they could be looked into.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from slosh.core.buckets import Columns, Series
from slosh.core.budget import Account
from slosh.core.groups import DEEPEST, NOT_KNOWN, Group, Node, find_value, read_number, read_value

ASKED: Final = 3600.0
"""Seconds of history that are kept of a topic whose class keeps none, from when it is asked for."""
LARGEST: Final = 64 * 1024
"""Bytes of the largest message that is looked into: longer ones would hold up everybody."""
LONGEST: Final = 256
"""Bytes of the longest path, and of the longest value of a field that tells series apart."""
_GROUPS: Final = 4
"""Fields by which the series of one topic are told apart at a time, none counted as one."""
_MESSAGE: Final = 512
_NUMBER: Final = 256
"""Bytes that a message, a number or a new object in it, and a name in the path of `by` count more, each for itself."""

_WAITING_EACH: Final = 72
_WAITING_TOGETHER: Final = 160
"""Bytes that a message which waits takes besides its own, and those that arrived together besides all of theirs."""

Levels = dict[int, tuple[Columns, int]]


class _WaitingMessages:
    """Messages that arrived together, or were kept in the ring, and have still to be looked into."""

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
        self.group = group  # for which alone they are; None for all
        self.walls = walls  # of each message, where they did not arrive together
        self.at = 0


class Rollups:
    """All series of a topic.

    Args:
        span: seconds of history to keep.
        most: series to keep.
        budget: of which their memory is taken.
        newest: offset of the newest message that is not going to be told of.

    Attributes:
        readers: how many answers are being made of the series; nothing new is looked into until they are.
        rolled: offset of the newest message that is in the series.
        waiting: bytes that messages take which have arrived, and have still to be looked into.
        kept: the same of those that the ring held when series were begun.
        unlisted: numbers that were left out, because there were too many series, or no memory for one more.
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
        self._skips = False  # whether what comes next is the first that is known
        self._groups: dict[str, Group] = {}  # the one that was asked for last stands last
        self._queue: deque[_WaitingMessages] = deque()
        self._unsized: deque[Series] = deque()  # that have still as many seconds as before

    def group(self, by: str) -> Group | None:
        """The series that are told apart by the field `by`; None if they are not made."""
        group = self._groups.pop(by, None)
        if group is not None:
            self._groups[by] = group
        return group

    def groups(self) -> list[Group]:
        """All series, by the field that tells them apart. That which was asked for last stands last."""
        return list(self._groups.values())

    def put_back_group(self, by: str, since: int) -> None:
        """Go on with the series that are told apart by the field `by`, and were made elsewhere: see `put_back`."""
        self._groups[by] = Group(by, since)
        self._skips = self._skips or since == NOT_KNOWN

    def put_back(self, by: str, names: Sequence[str], value: str | None, span: float, levels: Levels) -> None:
        """Go on with a series that was made elsewhere.

        Args:
            by: a field that `put_back_group` was called with.
            names: that lead to its numbers.
            value: of the field.
            span: seconds that were kept of it.
            levels: what was kept, by width: the buckets, and the newest that was written over.
        """
        group = self._groups.get(by)  # Another field may have been asked for since, and have taken its place.
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
        """Make the series that are told apart by the field `by`, from now on and of what the ring holds.

        Of such fields those of the last few are kept that were asked for.

        Args:
            kept: messages in their order. They are those up to `rolled`.
            since: as of the `Group`.
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
        """Put by messages that have arrived.

        Args:
            wall: when, Unix milliseconds; not before that of any earlier message.
            newest: offset of the last of them.
        """
        if self._skips:
            self._skips = False
            for group in self._groups.values():
                if group.since == NOT_KNOWN:
                    group.since = wall + 1  # Others of this millisecond may have been passed over.
        self._queue.append(_WaitingMessages(messages, wall, newest))
        self.waiting += weigh_waiting(messages)

    def skip(self, newest: int) -> None:
        """Go on after the offset `newest`: what came up to there is not known here. The series start again."""
        self._skips = True
        for group in self._groups.values():
            group.since = NOT_KNOWN
        self._pass_over(newest)

    def miss(self, count: int, newest: int) -> None:
        """Count messages, up to the offset `newest`, that are not looked into."""
        self.missed += count
        self._pass_over(newest)

    def _pass_over(self, newest: int) -> None:
        """Go on after the offset `newest` once all that waits is looked into."""
        last = self._queue[-1] if self._queue else None
        if last is not None and last.group is None and not last.messages:
            last.newest = newest
        else:
            self._queue.append(_WaitingMessages((), 0, newest))
            self.waiting += _WAITING_TOGETHER

    def work(self, most: int) -> int:
        """Resize series, and look into messages that wait, until what that costs has come to `most` bytes.

        Gives what it cost. There is nothing left when that is less than `most`.
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
        """Whether series were begun that have not all yet that the ring held then."""
        return bool(self._queue) and self._queue[0].group is not None  # It stands in front of all else that waits.

    def has(self, upto: int) -> bool:
        """Whether all messages up to the offset `upto` are in the series, also in those that were begun after them."""
        return self.rolled >= upto and not self.is_catching_up

    def resize(self, span: float, most: int) -> bool:
        """Keep this many seconds, of this many series, from now on; those that are there stay.

        Gives whether series have to be made longer or shorter for it, which `work` does.
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
        """Count bytes as waiting no more."""
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
        """Count all the numbers in `value`, which stands at `node`. Gives how many there were, and new objects."""
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
            if below is not None and below.series is not None and kind is float:  # the usual one, without two calls
                if member - member == 0.0:
                    below.series.add(second, member)
                count += 1
            elif below is not None:
                count += self._take(below, member, second, key, depth + 1)
            else:
                count += self._take_new(node, name, member, second, key, depth)
        return count

    def _take_new(self, node: Node, name: str, member: object, second: int, key: str | None, depth: int) -> int:
        """Count all the numbers in a member of which there is no series yet."""
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
        """As `_take_new` if no series can be added: one message may have thousands of members, and none gets a node."""
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
        """A series more; None if there are too many, or there is no memory for it, which is counted."""
        if self._count >= self._most or not self._budget.take(Series.base()):
            self.unlisted += 1
            return None
        self._count += 1
        return Series(path, value, span, self._budget)


def _is_too_long(path: str) -> bool:
    """Whether a path has more bytes than it may. A character has at most four, so mostly the text need not be made."""
    return 4 * len(path) > LONGEST and len(path.encode("utf-8", "replace")) > LONGEST


def weigh_waiting(messages: Sequence[bytes]) -> int:
    """Bytes that messages take which arrived together, until they are looked into."""
    return sum(map(len, messages)) + _WAITING_EACH * len(messages) + _WAITING_TOGETHER
