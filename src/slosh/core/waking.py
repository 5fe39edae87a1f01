"""Wakes watchers: a topic with something new is marked, and the next flush wakes its watchers.

The rules of this file:

* Watchers are not called from inside `append`: the topic is marked, and `flush` wakes its watchers. Any number of
  messages can arrive between the two, and each watcher is woken once for all of them.
* A watcher whose `wake` returns True is removed by the hub, and must not call `leave`. That is the usual end
  of a poll. A thousand of them need only one update of the time until which the topic lingers.
* A watcher that registers between an `append` and its `flush`, at the place after the message, is not woken for that
  message. A watcher that stays may be woken again for messages that it has been given already.
* Watchers of a large answer are woken as far as the turn has room for its bytes, once for each: the answer is made once
  for all, but copied for each.
* Three kinds of work each have their own room in a turn, so that none waits for another: topics with few
  watchers (and watchers that were behind when they registered), topics with many (crowds), and postponed work.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Final

from slosh.compiled import mypyc_attr
from slosh.core.deadlines import Deadlines
from slosh.core.histogram import Histogram
from slosh.core.listeners import Listeners
from slosh.core.portions import WAKE, WORK, Portions
from slosh.core.topic import Shared, Topic, Watcher

logger = logging.getLogger(__name__)

_CROWD: Final = 64
"""A topic with more watchers than this is a crowd. Topics with fewer do not wait for crowds."""
_PORTION: Final = 128
"""Watchers of one crowd that are woken before the next crowd has its turn."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Waking(Portions):
    """The turns of a hub: each wakes watchers and continues postponed work.

    Args:
        wake: called when there is something to flush; the caller must call `flush` soon.
        arm: called with a time, seconds; the caller must call `Hub.expire` then.
    """

    def __init__(self, wake: Callable[[], object], arm: Callable[[float], None]) -> None:
        super().__init__(wake)
        self.listeners = Listeners(self)
        """Objects that are notified of topics without watching them."""
        self.deadlines = Deadlines(arm)
        self._dirty: list[Topic] = []  # marked topics
        self._waking: dict[Topic, bool] = {}  # topics with watchers still to wake; True if it was marked again since
        self._small: deque[tuple[Topic, Iterator[Watcher]]] = deque()  # those of them with few watchers
        self._crowds: deque[tuple[Topic, Iterator[Watcher]]] = deque()  # and those with many
        self._late: dict[tuple[Topic, Watcher], None] = {}  # watchers that were behind when they registered
        self._shared: Shared | None = None  # for readers that began since the last flush
        self.clock: Callable[[], float] | None = None
        """Returns the exact time, on the same clock as `now`, for `latency`; None to measure none."""
        self.latency = Histogram()
        """Seconds from a message's arrival until its watchers were woken, counted once for each watcher."""
        self._woken = 0  # watchers that were woken in this turn for messages that arrived at `_woken_for`
        self._woken_for = 0.0
        self.counted: Callable[[Topic], None] | None = None
        """Called when a topic has gained or lost a watcher. For an engine that reports this to other nodes."""

    def _mark(self, topic: Topic) -> None:
        """Mark `topic`: the next flush wakes its watchers."""
        if not topic.dirty and topic.watchers:
            topic.dirty = True
            self._dirty.append(topic)
            self.ask_for_flush()

    def _mark_late(self, topic: Topic, watcher: Watcher) -> None:
        """Let the next flush wake `watcher`, because `topic` had something for it when it registered."""
        self._late[topic, watcher] = None
        self.ask_for_flush()

    def share(self, now: float) -> Shared:
        """The `Shared` of readers that begin before the next flush. The flush must wake each of them that is behind.

        The flush has a `Shared` of its own, because a message may arrive after an answer in this one was made: a
        watcher given that older answer as complete would then wait for the message after the missing one.
        """
        if self._shared is None:
            self._shared = Shared(now)
        return self._shared

    def flush(self, now: float) -> None:
        """Wake the watchers of marked topics, at the time `now`, seconds, and continue postponed work.

        Work for which this turn has no room is done in the next flush, which is asked for.
        """
        self._asked = False
        self.room = WORK
        if self.listeners.unannounced:
            self.listeners.announce()
        self._shared = None
        shared = Shared(now)
        tasks = len(self._tasks)  # Tasks that are postponed from here on are for a later turn.
        if self._waking:  # It contains all topics of `_small` and `_crowds`, and is usually empty.
            self._wake_small(shared)
        self._wake_marked(shared)
        if self._waking:
            self.room = WORK
            self._wake_crowds(shared)
        self._measure()
        if tasks:
            self.room = WORK
            self._go_on(shared, tasks)
        self.room = WORK  # for what is read before the next flush
        if self._waking or self._late or self._tasks:
            self.ask_for_flush()

    def _wake_marked(self, shared: Shared) -> None:
        """Wake the watchers of the marked topics, except crowds, which wait for `_wake_crowds`."""
        dirty, self._dirty = self._dirty, []
        late = self._take_late() if self._late else None
        for topic in dirty:
            topic.dirty = False
            # A copy, because watchers leave while they are woken. Servers of this kind that iterate over the
            # original skip every other reader.
            watchers = list(topic.watchers)
            if self._waking and topic in self._waking:  # It is usually empty, which is cheaper to see than the hash.
                self._waking[topic] = True
            elif len(watchers) > _CROWD:
                self._waking[topic] = False
                self._crowds.append((topic, iter(watchers)))
            elif self.room > 0:
                woken = self._wake_all(topic, watchers, shared)
                if woken < len(watchers):
                    self._waking[topic] = False
                    self._small.append((topic, iter(watchers[woken:])))
            else:
                self._waking[topic] = False
                self._small.append((topic, iter(watchers)))
        if late is not None:
            self._wake_late(late, shared)

    def _take_late(self) -> dict[Topic, list[Watcher]]:
        """The late watchers by topic, except those of marked topics, which are woken with that topic's others."""
        late: dict[Topic, list[Watcher]] = {}
        for topic, watcher in self._late:
            if not topic.dirty:
                late.setdefault(topic, []).append(watcher)
        self._late = {}
        return late

    def _wake_late(self, late: dict[Topic, list[Watcher]], shared: Shared) -> None:
        """Wake as many of `late` as this turn has room for, and keep the rest for the next."""
        for topic, watchers in late.items():
            for start in range(0, len(watchers), _PORTION):
                portion = watchers[start : start + _PORTION]
                woken = self._wake_all(topic, portion, shared, counts=False) if self.room > 0 else 0
                for watcher in portion[woken:]:
                    self._late[topic, watcher] = None

    def _wake_small(self, shared: Shared) -> None:
        """Wake the watchers of topics for which earlier turns had no room."""
        while self._small and self.room > 0:
            topic, rest = self._small.popleft()
            watchers = list(rest)
            woken = self._wake_all(topic, watchers, shared)
            if woken < len(watchers):
                self._small.append((topic, iter(watchers[woken:])))
            else:
                self._end_waking(topic)

    def _wake_crowds(self, shared: Shared) -> None:
        """Wake a portion of each crowd in turn, as far as there is room.

        If messages arrive meanwhile, the whole crowd is woken again afterwards. So a topic is in the queue once,
        however fast its publisher is. A watcher that has those messages already finds nothing the second time.
        """
        while self._crowds and self.room > 0:
            topic, rest = self._crowds.popleft()
            portion = list(islice(rest, _PORTION))
            woken = self._wake_all(topic, portion, shared)
            if woken < len(portion):
                self._crowds.append((topic, chain(portion[woken:], rest)))
            elif len(portion) == _PORTION:
                self._crowds.append((topic, rest))
            else:
                self._end_waking(topic)

    def _count_woken(self, topic: Topic, count: int) -> None:
        """Count watchers woken for the newest message of `topic`. The clock is read once for all of one arrival."""
        if topic.latest_at != self._woken_for:
            self._measure()
            self._woken_for = topic.latest_at
        self._woken += count

    def _measure(self) -> None:
        if self._woken and self.clock is not None:
            self.latency.add(self.clock() - self._woken_for, self._woken)
        self._woken = 0

    def _end_waking(self, topic: Topic) -> None:
        """Note that all watchers of `topic` were woken. Mark it again if it was marked in the meantime."""
        if self._waking.pop(topic):
            self._mark(topic)

    def _wake_all(self, topic: Topic, watchers: list[Watcher], shared: Shared, *, counts: bool = True) -> int:
        """Wake `watchers` until this turn has no room left. Returns how many were woken.

        Args:
            counts: whether they are counted in `latency`.
        """
        self.room -= WAKE * len(watchers)
        least = self.room - WORK
        woken = 0
        present, late = topic.watchers, self._late
        last = topic.last + topic.ended  # A watcher that has all messages is woken for the end.
        shared.alone = len(watchers) == 1
        some_left = False
        for watcher in watchers:
            if self.room <= least:
                break
            woken += 1
            # It may have left in the meantime, or have registered after the newest message.
            if present.get(watcher, last) < last:
                if late:
                    late.pop((topic, watcher), None)
                try:
                    if watcher.wake(topic, shared) and watcher in present:
                        del present[watcher]
                        some_left = True
                except Exception:
                    logger.exception("a watcher of %r failed; the others go on", topic.name)
        if some_left:
            self.deadlines.linger(topic, shared.now)
            if self.counted is not None:
                self.counted(topic)
        if counts:
            self._count_woken(topic, woken)
        return woken
