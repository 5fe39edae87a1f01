"""The rings and histories of topics: appends and drops messages, and counts the memory that all of them take.

The rules of this file:

* A publisher's message is refused if there is no memory for it (`check_memory`, before `append`). A message that
  another node accepted cannot be refused: the topic's own oldest messages make room for it (`mirror`).
* Each byte that a ring takes or gives back is counted at once, for the client that created the topic and in the
  total.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final

from slosh.compiled import mypyc_attr
from slosh.core.budget import Budget, Shares
from slosh.core.classes import Bounds
from slosh.core.histories import Histories
from slosh.core.reclaiming import Reclaiming
from slosh.core.rollups import Rollups
from slosh.core.topic import EACH, Shared, Topic
from slosh.core.topics import Topics
from slosh.core.waking import Waking
from slosh.errors import MemoryFull

_BEYOND: Final = 128 * 1024
"""Bytes freed at a time, beyond the size of a message, while the memory is above its bound, as after a reload that
lowered it: about a thousand small messages, which take some ms."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Rings(Waking):
    """The rings and histories of a hub's topics.

    Args:
        bounds: of its topics.
        wake: called when there is something to flush; the caller must call `flush` soon.
        arm: called with a time, seconds; the caller must call `Hub.expire` then.
    """

    def __init__(self, bounds: Bounds, wake: Callable[[], object], arm: Callable[[float], None]) -> None:
        super().__init__(wake, arm)
        self.bounds = bounds
        """The bounds of its topics. Change them with `Hub.set_bounds`."""
        self.classes = bounds.classes
        """As in `bounds`; an attribute of its own because each publish reads it."""
        self._topics = Topics()
        self.budget = Budget(bounds.max_bytes)
        """The memory account of all rings and histories together."""
        self.shares: Shares[Topic] = Shares(self.budget)
        """The memory accounts of all clients that created topics."""
        self.histories = Histories(bounds.max_series)
        """The histories of topics that have one."""
        self.reclaiming = Reclaiming(self.histories)
        self._lowering: Reclaiming | None = None  # used until a lower bound of the total is reached
        self.opener = ""
        """The client that is charged for topics created now; empty if no address tells clients apart."""
        self._rolls = False  # whether `_roll` is postponed already

    @property
    def published(self) -> int:
        """Messages accepted since the start."""
        return self.classes.published

    @property
    def fell_off(self) -> int:
        """Messages that were dropped from a ring since the start, whether or not a reader missed them."""
        return self.classes.fell_off

    def skip_to(self, topic: Topic, last: int) -> None:
        """Continue `topic` after the offset `last`, without its messages: earlier ones are lost to this process."""
        topic.share.give_back(topic.weight)
        topic.kind.counts.fell_off += topic.skip_to(last)
        self.histories.skip(topic)
        self._roll_later()

    def continue_after(self, topic: Topic, last: int, fallen: float) -> None:
        """Let `topic`, which was just created, begin after the offset `last`: another process dropped the rest.

        Args:
            last: 0 if none was dropped; then its history has all messages.
            fallen: when the message `last` arrived, seconds; `inf` if that is unknown.
        """
        if last:
            topic.skip_to(last, fallen)
            self.histories.skip(topic)
            self._roll_later()

    def append(self, topic: Topic, messages: Sequence[bytes], now: float, wall: int = 0) -> None:
        """Append `messages` to `topic`. The next `flush` wakes its watchers.

        Args:
            now: the time of arrival, seconds.
            wall: the same as Unix milliseconds.
        """
        topic.kind.counts.published += len(messages)
        self.mirror(topic, messages, now, wall)

    def mirror(self, topic: Topic, messages: Sequence[bytes], now: float, wall: int = 0) -> None:
        """As `append`, for messages that another node counts as published."""
        kind = topic.kind
        before = topic.size
        fell_off = topic.append(messages, now, kind.queue, kind.queue_bytes, wall)
        if fell_off:
            kind.counts.fell_off += fell_off
        growth = topic.size - before + EACH * (len(messages) - fell_off)
        topic.share.held += growth
        self.budget.held += growth
        if self.budget.held > self.budget.most:
            self._cut_back(topic, growth, now)
        if kind.age:
            self.deadlines.hold_for_age(topic)
        if topic.rollups is not None:
            self.histories.add(topic, messages)
            self._roll_later()
        self._mark(topic)

    def forget_old(self, topic: Topic, now: float) -> None:
        """Drop the messages of `topic` that are older than its class allows at the time `now`, seconds.

        Messages that become too old here are dropped without this, within a twentieth of a second. Call it for messages
        that were old already when they were appended.
        """
        if topic.kind.age:
            self._forget_old(topic, now)

    def _forget_old(self, topic: Topic, now: float) -> None:
        before = topic.weight
        topic.kind.counts.fell_off += topic.forget_before(now - topic.kind.age)
        topic.share.give_back(before - topic.weight)
        self.deadlines.hold_for_age(topic)

    def begin_history(self, topic: Topic, by: str) -> Rollups:
        """The history of `topic`, with series that the field `by` tells apart; see `Histories.begin`."""
        rollups = self.histories.begin(topic, by)
        self._roll_later()
        return rollups

    def start_history(self, topic: Topic, *, is_filled: bool) -> None:
        """Begin the history of the new `topic` if its class has one; see `Hub.create` for `is_filled`."""
        if is_filled:
            self.fit_history(topic)
        elif topic.kind.history:
            self.histories.begin(topic)

    def fit_history(self, topic: Topic) -> None:
        """Give the history of `topic` the length that its class has now, in later turns, or begin one."""
        self.histories.resize(topic)
        self._roll_later()

    def _roll_later(self) -> None:
        if self.histories and not self._rolls:
            self._rolls = True
            self.put_off(self._roll)

    def _roll(self, shared: Shared) -> None:  # noqa: ARG002 - as `put_off` requires
        """Add waiting messages to histories, as far as this turn has room."""
        self._rolls = False
        self.room -= self.histories.go_on(self.room)
        self._roll_later()

    def check_memory(self, topic: Topic, messages: Sequence[bytes], now: float) -> None:
        """Make sure that there is memory for `messages` in `topic`, at the time `now`, seconds.

        If there is not, `Reclaiming` frees some. Call this before `append`.

        Raises:
            MemoryFull: not enough could be freed.
        """
        kind = topic.kind
        growth = topic.growth(messages, kind.queue, kind.queue_bytes)
        over = self.budget.held + growth - self.budget.most
        if growth > 0 and over > 0 and self._find_room(min(over, growth + _BEYOND), growth, topic, now) < over:
            raise MemoryFull.of_messages(self.bounds.max_bytes)

    def check_memory_of_new_topic(self, name: str, messages: Sequence[bytes], now: float) -> None:
        """As `check_memory`, for a topic that is about to be created with `messages`."""
        topic = Topic(name, "", now, self.classes.find(name))
        topic.share = self.shares.of(self.opener)
        try:
            self.check_memory(topic, messages, now)
        finally:
            self.shares.tidy(topic.share)

    def _cut_back(self, topic: Topic, growth: int, now: float) -> None:
        """Free memory after messages of `topic` that another node accepted, so that they could not be refused."""
        over = min(self.budget.held - self.budget.most, max(growth, 0) + _BEYOND)
        over -= self._find_room(over, 0, topic, now)
        if over > 0:
            before = topic.weight
            topic.kind.counts.fell_off += topic.shorten(over)
            topic.share.give_back(before - topic.weight)

    def forget_search(self) -> None:
        """Forget the search for rings to shorten, because the lower bound is reached, or there is another one."""
        self._lowering = None

    def _give_way(self, over: int, now: float) -> bool:
        """Shorten some rings after a reload, to free at most `over` bytes. False once none can be shortened any more.

        True also while some of very many topics were not examined. Each is examined once, even if publishes free memory
        in the meantime. Otherwise a reload would not end while turns take long.
        """
        lowering = self._lowering
        if lowering is None:
            lowering = self._lowering = Reclaiming(self.histories, again=math.inf)
            lowering.looks = self.reclaiming.looks
        freed = self._free(lowering, min(over, _BEYOND), 0, None, now)
        self.reclaiming.fell_off += lowering.fell_off
        lowering.fell_off = 0
        return freed > 0 or lowering.is_under_way

    def _find_room(self, over: int, growth: int, wanting: Topic | None, now: float) -> int:
        return self._free(self.reclaiming, over, growth, wanting, now)

    def _free(self, reclaiming: Reclaiming, over: int, growth: int, wanting: Topic | None, now: float) -> int:
        freed = reclaiming.free(over, self._topics.names, self._topics.by_name, wanting, now)
        if freed < over:
            shares = self.shares.by_opener
            # While a lower bound is being reached, the part is a part of the lower bound.
            part = min(self.budget.most, self.bounds.max_bytes) // max(1, len(shares))
            freed += reclaiming.free_of_heavy(over - freed, growth, part, shares, self._topics.by_name, wanting, now)
        return freed
