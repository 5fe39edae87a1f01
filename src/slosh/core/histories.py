"""The histories of all topics: when one begins, what waits to be looked into, and when it ends.

The rules of this file:

* A topic that has no history costs its publishers nothing: it has no `rollups`.
* A history begins with its topic if the class says so, else when somebody first asks, with what the ring holds. It
  ends with the topic's life.
* Messages are looked into behind the turn in which they came, all of a turn together, and so many as the turn has room
  for. Messages that wait are bounded for all topics together; those beyond that are missed, and counted.
* Messages that a ring holds when a history begins wait as well, and are counted apart from those that arrive: a ring
  may hold more than that bound, and nothing is missed for it.
* Histories that begin because the class says so since a reload do so one after the other, while there is room for what
  the rings hold.
"""

import math
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Final

from slosh.core.groups import NOT_KNOWN
from slosh.core.rollups import ASKED, Rollups, weigh_waiting
from slosh.core.topic import Topic

_WAITING: Final = 32 * 1024 * 1024
"""Bytes that messages take at most which arrived, and wait to be looked into."""

_BEGUN: Final = 4096
_GATHERED: Final = 20
"""Bytes that count as looked at where a history begins, and for each message in the ring, by the time that they take.
"""

_TOGETHER: Final = 0.002
"""Seconds between two messages that may have arrived in the same millisecond: clocks differ by less than another."""

_ENDLESS: Final = 1 << 60

_wall_of: Final = attrgetter("wall")


class Histories:
    """All histories of a hub.

    Args:
        most: series of one topic.

    Attributes:
        most: as above.
        unlisted: numbers that were left out because their topics had too many series, since the start.
        missed: messages that came faster than they could be looked into, since the start.
    """

    __slots__ = ("_due", "_kept", "_unfinished", "_waiting", "missed", "most", "unlisted")

    def __init__(self, most: int) -> None:
        self.most = most
        self.missed = 0
        self.unlisted = 0
        self._due: dict[Topic, None] = {}  # topics whose class says since a reload that they have a history
        self._unfinished: dict[Topic, None] = {}
        self._waiting = 0  # bytes of what has arrived
        self._kept = 0  # bytes of what rings held

    def __bool__(self) -> bool:
        """Whether something waits to be looked into: `go_on` has to be called."""
        return bool(self._unfinished or self._due)

    @property
    def has_room(self) -> bool:
        """Whether what a ring holds may be put by now: else that of very many rings would wait at a time."""
        return self._waiting + self._kept < _WAITING // 2

    @staticmethod
    def span_of(topic: Topic) -> float:
        """How far back a history of `topic` may reach, seconds."""
        return topic.kind.history or ASKED

    def begin(self, topic: Topic, by: str = "") -> Rollups:
        """The history of `topic` with the series that are told apart by the field `by`; begun if there is none.

        What the ring holds is in them as soon as `Rollups.has` says so of what is the topic's `last` now.
        """
        rollups = self.open(topic)
        if rollups.group(by) is None:
            before = rollups.kept
            kept, walls, since = self._find_kept(topic, rollups.rolled)
            rollups.begin(by, kept, since, walls)
            self._kept += rollups.kept - before
            self._unfinished[topic] = None
        return rollups

    def open(self, topic: Topic) -> Rollups:
        """The history of `topic`; one in which there are no series yet if there is none."""
        rollups = topic.rollups
        if rollups is None:
            rollups = topic.rollups = Rollups(self.span_of(topic), self.most, topic.share, topic.last)
        return rollups

    def put_back(self, topic: Topic) -> Rollups:
        """A history for `topic`, of which all that it has was made elsewhere; in place of one that it may have."""
        self.end(topic)
        topic.rollups = Rollups(self.span_of(topic), self.most, topic.share, topic.last)
        return topic.rollups

    def finish(self, topic: Topic) -> None:
        """Look into all that waits of `topic`, however long that takes."""
        rollups = topic.rollups
        if rollups is not None:
            self._work(rollups, _ENDLESS)
            self._unfinished.pop(topic, None)

    def add(self, topic: Topic, messages: Sequence[bytes]) -> None:
        """Put by `messages`, which were just put into `topic`, which has a history."""
        rollups = topic.rollups
        if rollups is not None:
            before = rollups.waiting
            if self._waiting + weigh_waiting(messages) > _WAITING:
                rollups.miss(len(messages), topic.last)
                self.missed += len(messages)
            else:
                rollups.add(messages, topic.latest_wall, topic.last)
            self._waiting += rollups.waiting - before
            self._unfinished[topic] = None

    def skip(self, topic: Topic) -> None:
        """Go on after the newest message of `topic`: what came up to there is not known here."""
        rollups = topic.rollups
        if rollups is not None:
            before = rollups.waiting
            rollups.skip(topic.last)
            self._waiting += rollups.waiting - before
            self._unfinished[topic] = None

    def go_on(self, most: int) -> int:
        """Look into what waits, and begin what is due, until that has cost `most` bytes. Returns what it cost."""
        spent = 0
        while self._due and self.has_room and spent < most:
            topic, _ = self._due.popitem()
            self.begin(topic)
            spent += _BEGUN + _GATHERED * (topic.last - topic.first + 1)
        for topic in list(self._unfinished):
            rollups = topic.rollups
            if spent >= most:
                break
            if rollups is not None and rollups.readers:
                continue
            del self._unfinished[topic]
            if rollups is None:
                continue
            cost = self._work(rollups, most - spent)
            if cost >= most - spent:
                self._unfinished[topic] = None  # behind the others
            spent += cost
        return spent

    def _work(self, rollups: Rollups, most: int) -> int:
        """As `Rollups.work`, counted."""
        waiting, kept, unlisted = rollups.waiting, rollups.kept, rollups.unlisted
        cost = rollups.work(most)
        self._waiting += rollups.waiting - waiting
        self._kept += rollups.kept - kept
        self.unlisted += rollups.unlisted - unlisted
        return cost

    def resize(self, topic: Topic) -> None:
        """Keep as much of the history of `topic` as its class has now, soon: `go_on` sees to that."""
        rollups = topic.rollups
        if rollups is not None and rollups.resize(self.span_of(topic), self.most):
            self._unfinished[topic] = None
        if topic.kind.history:
            self._due[topic] = None
        else:
            self._due.pop(topic, None)

    def end(self, topic: Topic) -> None:
        """The life of `topic` is over, and with it its history."""
        rollups = topic.rollups
        if rollups is not None:
            self._waiting -= rollups.waiting
            self._kept -= rollups.kept
            rollups.release()
            topic.rollups = None
            self._unfinished.pop(topic, None)
        self._due.pop(topic, None)

    @staticmethod
    def _find_kept(topic: Topic, upto: int) -> tuple[list[bytes], Iterable[int], int]:
        """The messages kept up to an offset, their times, and from when on they are all; see `Rollups.begin`.

        A ring may hold very many, so each of them is looked at when it is looked into.
        """
        kept, arrivals = topic.after(topic.first - 1), topic.arrivals()
        if topic.first == 1:
            since = 0
        elif arrivals:  # Others of the millisecond of the oldest may have fallen off.
            since = arrivals[0].wall + (topic.oldest - topic.fallen < _TOGETHER)
        else:  # Of a life that goes on here after its messages fell off elsewhere it is not known when they arrived.
            is_known = topic.fallen < math.inf and topic.latest_wall
            since = topic.latest_wall + 1 if is_known else NOT_KNOWN
        del kept[max(upto - topic.first + 1, 0) :], arrivals[max(upto - topic.first + 1, 0) :]
        return kept, map(_wall_of, arrivals), since
