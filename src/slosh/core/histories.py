"""The histories of all topics: when one begins, which messages wait to be added to it, and when it ends.

The rules of this file:

* A topic without a history costs its publishers nothing: it has no `rollups`.
* A history begins with its topic if the topic's class has one, otherwise when a client first asks for it, and then
  with the messages in the ring. It ends with the topic's life, or earlier if the memory is needed (`Reclaiming`).
* Messages wait when they arrive, and are processed in later turns, as many as a turn has room for. The bytes of waiting
  messages are bounded for all topics together. Messages beyond that are missed, and counted.
* Messages that a ring holds when its history begins wait as well, and are counted apart from those that arrive: a ring
  may hold more than that bound, and no message is missed because of it.
* Histories that begin because of a reload do so one after the other, while there is room for the messages of the rings.
"""

import math
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Final

from slosh.core.groups import NOT_KNOWN
from slosh.core.rollups import ASKED, Rollups, weigh_waiting
from slosh.core.topic import Topic

_WAITING: Final = 32 * 1024 * 1024
"""Bytes of messages that arrived and wait to be processed, at most."""

_BEGUN: Final = 4096
_GATHERED: Final = 20
"""The cost to begin a history, in the bytes that could be processed in the same time: for itself, and for each message
in the ring."""

_ENDLESS: Final = 1 << 60

_wall_of: Final = attrgetter("wall")


class Histories:
    """All histories of a hub. The caller must call `go_on` in later turns while this is true.

    Args:
        most: series of one topic at most.

    Attributes:
        most: as above.
        unlisted: numbers that were left out since the start; see `Rollups`.
        missed: messages that arrived faster than they could be processed, since the start.
    """

    __slots__ = ("_due", "_kept", "_unfinished", "_waiting", "missed", "most", "unlisted")

    def __init__(self, most: int) -> None:
        self.most = most
        self.missed = 0
        self.unlisted = 0
        self._due: dict[Topic, None] = {}  # topics whose history is still to begin, because of a reload
        self._unfinished: dict[Topic, None] = {}  # topics whose history has work to do
        self._waiting = 0  # bytes of what has arrived
        self._kept = 0  # bytes of what rings held

    def __bool__(self) -> bool:
        """Whether some work waits, so that `go_on` has to be called."""
        return bool(self._unfinished or self._due)

    @property
    def has_room(self) -> bool:
        """Whether another history may begin, so that the messages of very many rings do not wait at the same time."""
        return self._waiting + self._kept < _WAITING // 2

    @staticmethod
    def span_of(topic: Topic) -> float:
        """How far back a history of `topic` may reach, seconds."""
        return topic.kind.history or ASKED

    def begin(self, topic: Topic, by: str = "") -> Rollups:
        """The history of `topic`, with series that the field `by` tells apart; empty for none. Both begin if necessary.

        The messages in the ring are added later: they are in the series once `Rollups.has(topic.last)` is True.
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
        """The history of `topic`, created without series if there is none."""
        rollups = topic.rollups
        if rollups is None:
            rollups = topic.rollups = Rollups(self.span_of(topic), self.most, topic.share, topic.last)
        return rollups

    def put_back(self, topic: Topic) -> Rollups:
        """A new history for `topic`, without series, in place of one that it may have.

        For a history that another process made: the caller adds its series with `Rollups.put_back`.
        """
        self.end(topic)
        topic.rollups = Rollups(self.span_of(topic), self.most, topic.share, topic.last)
        return topic.rollups

    def finish(self, topic: Topic) -> None:
        """Process all waiting messages of `topic`, however long that takes."""
        rollups = topic.rollups
        if rollups is not None:
            self._work(rollups, _ENDLESS)
            self._unfinished.pop(topic, None)

    def add(self, topic: Topic, messages: Sequence[bytes]) -> None:
        """Let `messages`, which were just appended to `topic`, wait for its history, if it has one."""
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
        """Continue after the newest message of `topic`, because earlier ones are unknown to this process."""
        rollups = topic.rollups
        if rollups is not None:
            before = rollups.waiting
            rollups.skip(topic.last)
            self._waiting += rollups.waiting - before
            self._unfinished[topic] = None

    def go_on(self, most: int) -> int:
        """Begin histories and process waiting messages, at a cost of about `most` bytes. Returns the cost."""
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
        """Let `go_on` give the history of `topic` the length that its class has now, or begin one."""
        rollups = topic.rollups
        if rollups is not None and rollups.resize(self.span_of(topic), self.most):
            self._unfinished[topic] = None
        if topic.kind.history:
            self._due[topic] = None
        else:
            self._due.pop(topic, None)

    def end(self, topic: Topic) -> None:
        """End the history of `topic`, if it has one, and give its memory back."""
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
        """The messages in the ring up to the offset `upto`, their times, and `since`, as `Rollups.begin` takes them.

        A ring may hold very many messages, so the times are an iterator, and no message is examined here.
        """
        kept, arrivals = topic.after(topic.first - 1), topic.arrivals()
        if topic.first == 1:
            since = 0
        elif arrivals:  # Others of the millisecond of the oldest may have fallen off.
            since = arrivals[0].wall + (arrivals[0].wall <= topic.fallen_wall)
        else:  # If the messages fell off in another process, their times may be unknown.
            is_known = topic.fallen < math.inf and topic.latest_wall
            since = topic.latest_wall + 1 if is_known else NOT_KNOWN
        del kept[max(upto - topic.first + 1, 0) :], arrivals[max(upto - topic.first + 1, 0) :]
        return kept, map(_wall_of, arrivals), since
