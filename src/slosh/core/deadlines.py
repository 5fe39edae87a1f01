"""The time at which the hub checks a topic: its `linger` may be over, or its oldest message may be too old.

A topic is in the timers once for each of the two. If its time is put off meanwhile, it stays at the earlier time and
is checked again then: so a topic that is polled a thousand times a second costs the timers nothing.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from slosh.core.timers import Timers
from slosh.core.topic import Topic

_SURELY: Final = 0.001
"""Seconds added to a deadline, so that it has certainly passed, however times were rounded."""
_DUE: Final = 1024
"""Topics checked in one turn because their `linger` may be over."""


class Deadlines:
    """The deadlines of all topics.

    Args:
        arm: called with a time, seconds; the caller must call `Hub.expire` then.
    """

    __slots__ = ("_aging", "_arm", "_due", "_former", "_lingering", "_old")

    def __init__(self, arm: Callable[[float], None]) -> None:
        self._arm = arm
        self._lingering: Timers[Topic] = Timers(arm)
        self._former: list[Timers[Topic]] = []  # before a reload, until `set_again` was called for all topics
        self._aging: Timers[Topic] = Timers(arm)  # topics, by the age of their oldest message
        self._due: deque[Topic] = deque()  # topics whose `linger` may be over
        self._old: deque[Topic] = deque()  # topics whose oldest message may be too old

    def __len__(self) -> int:
        """The number of topics that linger; for tests."""
        return sum(map(len, (self._lingering, *self._former)))

    def linger(self, topic: Topic, now: float) -> None:
        """Keep `topic` active for its class's `linger` from `now` on."""
        # It can be active for longer only if its class has become one that lingers for less: see `set_again`.
        topic.active_until = max(topic.active_until, now + topic.kind.linger)
        if not topic.lingering:
            self._hold(topic)

    def _hold(self, topic: Topic) -> None:
        topic.lingering = True
        self._lingering.add(topic, topic.active_until)

    def begin_again(self) -> None:
        """Schedule all topics again after a reload, because with its new class a topic may be due sooner.

        The caller must call `set_again` soon for each topic, and then `settle`. Until then lingering topics come due
        as before.
        """
        self._former.append(self._lingering)
        self._lingering = Timers(self._arm)
        self._aging.clear()
        self._old.clear()

    def settle(self) -> None:
        """Call this once `set_again` was called for all topics."""
        self._former.clear()

    def set_again(self, topic: Topic, now: float) -> None:
        """Schedule `topic` by its new class, at the time `now`. It may have come due already.

        A topic that lingers keeps the time that it had. One that is watched will linger as its new class says.
        """
        topic.ages = False
        self.hold_for_age(topic)
        if topic.watchers:
            topic.active_until = now
        if topic.lingering:
            self._lingering.add(topic, topic.active_until)

    @property
    def is_under_way(self) -> bool:
        """Whether some topics that came due were not checked yet."""
        return bool(self._due)

    @property
    def is_aging(self) -> bool:
        """Whether `next_aged` has a topic whose oldest message may be too old."""
        return bool(self._old)

    def look(self, now: float) -> None:
        """Collect the topics that have come due at the time `now`, for `over` and `next_aged`."""
        self._old.extend(self._aging.due(now))
        for timers in (*self._former, self._lingering):
            self._due.extend(timers.due(now))

    def over(self, now: float) -> Iterator[Topic]:
        """Check a portion of the topics that came due, and yield those to drop. Drop each before you take the next."""
        for _ in range(min(len(self._due), _DUE)):
            topic = self._due.popleft()
            topic.lingering = False
            if topic.watchers:
                continue  # It comes back to the timers when the last of them leaves.
            if now < topic.active_until:
                self._hold(topic)
            else:
                yield topic

    def hold_for_age(self, topic: Topic) -> None:
        """Schedule `topic` for when its oldest message is too old."""
        age = topic.kind.age
        if age and not topic.ages and topic.first <= topic.last:
            topic.ages = True
            self._aging.add(topic, topic.oldest + age + _SURELY)

    def next_aged(self) -> Topic | None:
        """The next topic whose oldest message may be too old; None if it was dropped. Call it if `is_aging`."""
        topic = self._old.popleft()
        topic.ages = False
        return None if topic.is_over else topic
