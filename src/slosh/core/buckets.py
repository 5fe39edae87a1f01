"""One series of a history: count, minimum, maximum and mean of its numbers in each span of time.

The rules of this file:

* A bucket is a span of 1, 10 or 60 seconds of arrival time. Its number is its start, in seconds since 1970, divided by
  its width. Buckets in which no number arrived are not stored.
* Times of arrival never go back within a topic's life, so a number belongs to the newest bucket or begins one.
* The memory is bounded: there are so many buckets of each width, and the oldest are overwritten.
* Count, minimum and maximum are exact. A mean is calculated from means, so that no sum overflows.
"""

from array import array
from collections.abc import Iterator
from typing import Final, TypeVar

from slosh.core.budget import Account

WIDTHS: Final = (1, 10, 60)
"""Widths of buckets in seconds, the finest first."""
MOST: Final = 3600
"""Buckets of one width that a span needs at most; 1 s for an hour, 10 s for ten, and a day has fewer of 60 s."""
_SPARE: Final = 64
"""Buckets kept in addition, because a window begins at a multiple of its step, somewhat earlier than was asked."""
_CHUNK: Final = 64
"""Buckets for which memory is reserved at a time."""
BUCKET: Final = 45
"""Bytes of a bucket, including what arrays allocate in advance."""
_SERIES: Final = 3072
"""Bytes of a series without its buckets, estimated high: its name, its arrays, its node in the tree."""
_RESIZED: Final = 2048
_COPIED: Final = 16
_ADDED: Final = 384
"""The cost of a resize, in the bytes that could be processed in the same time: for the series, for each bucket that is
copied, and for each that is added to a wider one."""
_HUGE: Final = 1e300
"""Above this the difference of two numbers may overflow."""


N = TypeVar("N", int, float)


class Level:
    """Buckets of one width, the newest last.

    Args:
        width: of a bucket, seconds.
        most: how many are kept.
        budget: the account from which memory is reserved.

    Attributes:
        width, most: as above.
        taken: bytes that are reserved.
        forgotten: the number of the newest bucket that was overwritten, or for which there was no memory; -1 for none.
    """

    __slots__ = (
        "_at",
        "_budget",
        "_counts",
        "_highs",
        "_lows",
        "_means",
        "_numbers",
        "forgotten",
        "most",
        "taken",
        "width",
    )

    def __init__(self, width: int, most: int, budget: Account) -> None:
        self.width = width
        self.most = most
        self.taken = 0
        self.forgotten = -1
        self._budget = budget
        self._at = 0  # index of the oldest; 0 until it is full
        self._numbers = array("q")
        self._counts = array("q")
        self._lows = array("d")
        self._highs = array("d")
        self._means = array("d")

    def __len__(self) -> int:
        """How many buckets are kept."""
        return len(self._numbers)

    def add(self, number: int, count: int, low: float, high: float, mean: float) -> None:
        """Add a summary of `count` numbers to the bucket `number`, which must be the newest or a later one."""
        length = len(self._numbers)
        newest = (self._at - 1) % length if length else 0
        if length and self._numbers[newest] == number:
            before = self._counts[newest]
            total = before + count
            self._counts[newest] = total
            self._lows[newest] = min(self._lows[newest], low)
            self._highs[newest] = max(self._highs[newest], high)
            self._means[newest] = self._means[newest] * (before / total) + mean * (count / total)
        elif length < self.most and (length % _CHUNK or self._take_memory()):
            # While the arrays grow the oldest bucket is the first.
            self._numbers.append(number)
            self._counts.append(count)
            self._lows.append(low)
            self._highs.append(high)
            self._means.append(mean)
        elif length:
            at = self._at
            self.forgotten = self._numbers[at]
            self._numbers[at] = number
            self._counts[at] = count
            self._lows[at] = low
            self._highs[at] = high
            self._means[at] = mean
            self._at = (at + 1) % length
        else:  # There is no memory for a single one.
            self.forgotten = number

    def since(self, number: int) -> "Columns":
        """A copy of the buckets from the number `number` on, oldest first."""
        at, numbers = self._at, self._numbers
        if at:
            numbers = numbers[at:] + numbers[:at]
        low, high = 0, len(numbers)
        while low < high:
            middle = (low + high) // 2
            if numbers[middle] >= number:
                high = middle
            else:
                low = middle + 1
        return Columns(
            numbers[low:],
            _in_order(self._counts, at, low),
            _in_order(self._lows, at, low),
            _in_order(self._highs, at, low),
            _in_order(self._means, at, low),
        )

    def resize(self, most: int) -> None:
        """Keep at most this many buckets from now on, and drop the oldest beyond that."""
        columns = self.since(0)
        start = max(0, len(columns.numbers) - most)
        if start:
            self.forgotten = columns.numbers[start - 1]
        self.most = most
        self._at = 0
        self._numbers, self._counts = columns.numbers[start:], columns.counts[start:]
        self._lows, self._highs, self._means = columns.lows[start:], columns.highs[start:], columns.means[start:]
        needed = _weigh(len(self._numbers))
        self._budget.give_back(self.taken - needed)
        self.taken = needed

    def fill(self, columns: "Columns", forgotten: int) -> None:
        """Add the buckets of another level of this width. This one must be empty.

        If there is no memory for them, all are forgotten.

        Args:
            forgotten: as of the other level.
        """
        numbers = columns.numbers
        start = max(0, len(numbers) - self.most)
        needed = _weigh(len(numbers) - start)
        if not self._budget.take(needed):
            start, needed = len(numbers), 0
        self.forgotten = numbers[start - 1] if start else forgotten
        self.taken = needed
        self._numbers, self._counts = numbers[start:], columns.counts[start:]
        self._lows, self._highs, self._means = columns.lows[start:], columns.highs[start:], columns.means[start:]

    def release(self) -> None:
        """Give its memory back; it must not be used afterwards."""
        self._budget.give_back(self.taken)
        self.taken = 0

    def _take_memory(self) -> bool:
        """Reserve memory for more buckets; False if there is none, or if some bucket was overwritten already."""
        if self._at or not self._budget.take(_CHUNK * BUCKET):
            return False
        self.taken += _CHUNK * BUCKET
        return True


class Columns:
    """Buckets as columns. Immutable.

    Attributes:
        numbers: of the buckets, ascending.
        counts, lows, highs, means: the values of each bucket.
    """

    __slots__ = ("counts", "highs", "lows", "means", "numbers")

    def __init__(
        self,
        numbers: "array[int]",
        counts: "array[int]",
        lows: "array[float]",
        highs: "array[float]",
        means: "array[float]",
    ) -> None:
        self.numbers = numbers
        self.counts = counts
        self.lows = lows
        self.highs = highs
        self.means = means


class Series:
    """The numbers at one path, of messages with one value of the field that tells series apart.

    Args:
        path: the members that lead to the numbers, joined by dots.
        value: of that field; None if no field tells series apart.
        span: seconds of history to keep.
        budget: the account from which the memory for buckets is reserved.

    Attributes:
        path, value, span: as above.
        levels: its buckets by width, the finest first.
    """

    __slots__ = ("_budget", "_count", "_high", "_low", "_mean", "_second", "levels", "path", "span", "value")

    def __init__(self, path: str, value: str | None, span: float, budget: Account) -> None:
        self.path = path
        self.value = value
        self.span = span
        self.levels = [Level(width, most, budget) for width, most in plan(span)]
        self._budget = budget
        # The numbers of the current second. They are added to the levels when the next one begins, and by `close`.
        self._second = -1
        self._count = 0
        self._low = 0.0
        self._high = 0.0
        self._mean = 0.0

    @staticmethod
    def base() -> int:
        """Bytes of a series without its buckets. The caller must reserve them before it makes one."""
        return _SERIES

    def add(self, second: int, number: float) -> None:
        """Add a number that arrived in `second`, counted since 1970."""
        if second != self._second or not self._count:
            self.close()
            self._second = second
            self._count = 1
            self._low = self._high = self._mean = number
            return
        self._count += 1
        if number < self._low:
            self._low = number
        elif number > self._high:
            self._high = number
        if -_HUGE < number < _HUGE:
            self._mean += (number - self._mean) / self._count
        else:
            self._mean = self._mean * ((self._count - 1) / self._count) + number / self._count

    def close(self) -> None:
        """Add the numbers of the current second to the levels. More of the same second may follow.

        Call this before you read the levels.
        """
        if self._count:
            for level in self.levels:
                level.add(self._second // level.width, self._count, self._low, self._high, self._mean)
            self._count = 0

    def level_for(self, span: float) -> Level:
        """The finest level that reaches back this many seconds, or the one that reaches back the furthest."""
        return next((level for level in self.levels if level.width * MOST >= span), self.levels[-1])

    def resize(self, span: float) -> int:
        """Keep this many seconds from now on. Returns the cost, in bytes as `Rollups.work` counts it."""
        self.close()
        self.span = span
        cost = _RESIZED
        had = {level.width: level for level in self.levels}
        seconds = self.levels[0]
        finest = seconds.since(0)
        self.levels = []
        for width, most in plan(span):
            level = had.pop(width, None)
            if level is not None:
                level.resize(most)
                cost += _COPIED * len(level)
            else:
                cost += _ADDED * len(finest.numbers)
                level = Level(width, most, self._budget)
                if seconds.forgotten >= 0:
                    level.forgotten = seconds.forgotten * WIDTHS[0] // width
                for at, number in enumerate(finest.numbers):
                    summary = (finest.counts[at], finest.lows[at], finest.highs[at], finest.means[at])
                    level.add(number * WIDTHS[0] // width, *summary)
            self.levels.append(level)
        for level in had.values():
            level.release()
        return cost

    def release(self) -> None:
        """Give its memory back; it must not be used afterwards."""
        for level in self.levels:
            level.release()
        self._budget.give_back(_SERIES)


def _weigh(buckets: int) -> int:
    """Bytes that are reserved for this many buckets of a level."""
    return -(-buckets // _CHUNK) * _CHUNK * BUCKET


def _in_order(column: "array[N]", at: int, start: int) -> "array[N]":
    """A copy of a ring whose oldest item has the index `at`, oldest first, without the `start` oldest."""
    return (column[at:] + column[:at])[start:] if at else column[start:]


def plan(span: float) -> list[tuple[int, int]]:
    """The widths of buckets, and how many of each, that a history of this many seconds needs."""
    return list(_plan(span))


def _plan(span: float) -> Iterator[tuple[int, int]]:
    for width in WIDTHS:
        yield width, min(MOST, int(-(-span // width))) + _SPARE
        if width * MOST >= span:
            return
