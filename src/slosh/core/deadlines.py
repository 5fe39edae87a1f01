"""When the hub looks at a topic again: nobody may have watched it for `linger`, or its oldest message is too old.

A topic waits in the timers once for each of the two. One whose time is put off meanwhile stays at the
earlier one, and is looked at again then: a topic that is polled a thousand times a second costs the timers nothing.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from slosh.core.timers import Timers
from slosh.core.topic import Topic

_SURELY: Final = 0.001
"""Seconds after which a sum of two times is passed for certain, however they were rounded."""
_DUE: Final = 1024
"""Topics that are looked at in one turn because their time to linger may be over."""


class Deadlines:
    """The deadlines of all topics.

    Args:
        arm: called with a time, seconds; the caller must call `Hub.expire` then.
    """

    __slots__ = ("_aging", "_arm", "_due", "_former", "_lingering", "_old")

    def __init__(self, arm: Callable[[float], None]) -> None:
        self._arm = arm
        self._lingering: Timers[Topic] = Timers(arm)
        self._former: list[Timers[Topic]] = []  # of topics that linger and were not held again yet
        self._aging: Timers[Topic] = Timers(arm)  # topics whose oldest message has to leave then
        self._due: deque[Topic] = deque()  # whose time to linger may be over
        self._old: deque[Topic] = deque()  # whose oldest message may be too old

    def __len__(self) -> int:
        """How many topics wait for the end of their lingering; for tests."""
        return sum(map(len, (self._lingering, *self._former)))

    def linger(self, topic: Topic, now: float) -> None:
        """Let `topic` stay active for the time of lingering from `now` on."""
        # It can be active for longer only if its class has become one that lingers for less: see `set_again`.
        topic.active_until = max(topic.active_until, now + topic.kind.linger)
        if not topic.lingering:
            self._hold(topic)

    def _hold(self, topic: Topic) -> None:
        topic.lingering = True
        self._lingering.add(topic, topic.active_until)

    def begin_again(self) -> None:
        """Hold all topics again, because a deadline of a former class would hold up a topic that is due sooner.

        The caller must call `set_again` soon, with each topic that there is, and then `settle`. Until then a topic
        that lingers comes due as before.
        """
        self._former.append(self._lingering)
        self._lingering = Timers(self._arm)
        self._aging.clear()
        self._old.clear()

    def settle(self) -> None:
        """All topics are held again."""
        self._former.clear()

    def set_again(self, topic: Topic, now: float) -> None:
        """Hold `topic` by the class that it has got at the time `now`. It may have come due already.

        One that lingers keeps the time that it had, and one that is watched lingers as its class has it now.
        """
        topic.ages = False
        self.hold_for_age(topic)
        if topic.watchers:
            topic.active_until = now
        if topic.lingering:
            self._lingering.add(topic, topic.active_until)

    @property
    def is_under_way(self) -> bool:
        """Whether topics have come due that were not looked at yet."""
        return bool(self._due)

    @property
    def is_aging(self) -> bool:
        """Whether the oldest messages of some topics may be too old, which `next_aged` gives."""
        return bool(self._old)

    def look(self, now: float) -> None:
        """Find the topics that have come due at the time `now`; `over` and `next_aged` look at them."""
        self._old.extend(self._aging.due(now))
        for timers in (*self._former, self._lingering):
            self._due.extend(timers.due(now))

    def over(self, now: float) -> Iterator[Topic]:
        """Of a portion of the topics that came due, those whose time is over. Drop each before you ask for the next."""
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
        """Look at `topic` again when its oldest message is too old."""
        age = topic.kind.age
        if age and not topic.ages and topic.first <= topic.last:
            topic.ages = True
            self._aging.add(topic, topic.oldest + age + _SURELY)

    def next_aged(self) -> Topic | None:
        """The next topic whose oldest message may be too old; None for one that has ended. There must be some."""
        topic = self._old.popleft()
        topic.ages = False
        return None if topic.is_over else topic
