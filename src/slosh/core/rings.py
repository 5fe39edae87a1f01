"""What topics hold: what comes into their rings and histories, what falls off, and what all of them take together.

The rules of this file:

* A publisher's message is refused if there is no memory for it (`check_memory`, before `append`). One that was
  accepted elsewhere cannot be refused: the topic's own oldest messages make room for it (`mirror`).
* Each byte that a ring takes or gives back is counted at once, for the client that created the topic and for
  all together.
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
"""Bytes that are freed at a time, beyond what a message wants, if more is held than may be since a reload; some
thousand small messages, which take some ms."""


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
        """Of its topics. Change them by `Hub.set_bounds`."""
        self.classes = bounds.classes
        """Those of `bounds`, because each publish asks for them."""
        self._topics = Topics()
        self.budget = Budget(bounds.max_bytes)
        """How much all rings and histories take, and may take."""
        self.shares: Shares[Topic] = Shares(self.budget)
        """Of those for whom topics count, and that of all others."""
        self.histories = Histories(bounds.max_series)
        """Of those topics that have one."""
        self.reclaiming = Reclaiming(self.histories)
        self._lowering: Reclaiming | None = None  # for a lower bound of all, while that is being reached
        self.opener = ""
        """For whom topics count that are created now; nothing if no address tells clients apart."""
        self._rolls = False  # whether `_roll` is put off

    @property
    def published(self) -> int:
        """Messages taken since the start."""
        return self.classes.published

    @property
    def fell_off(self) -> int:
        """Messages that fell off a ring since the start, whether or not anybody missed them."""
        return self.classes.fell_off

    def skip_to(self, topic: Topic, last: int) -> None:
        """Go on behind the offset `last` of `topic`: what is kept and what came before it is lost to this process."""
        topic.share.give_back(topic.weight)
        topic.kind.counts.fell_off += topic.skip_to(last)
        self.histories.skip(topic)
        self._roll_later()

    def go_on_behind(self, topic: Topic, last: int, fallen: float) -> None:
        """Let `topic`, which was just created, go on as a life whose messages up to `last` fell off elsewhere.

        Args:
            fallen: when the message `last` had arrived, seconds; `-inf` if there was none, `inf` if not known.
        """
        topic.skip_to(last, fallen)
        self.histories.skip(topic)
        self._roll_later()

    def append(self, topic: Topic, messages: Sequence[bytes], now: float, wall: int = 0) -> None:
        """Put `messages` into `topic`, which arrive `now` (seconds, and as Unix milliseconds).

        Its watchers are woken by the next `flush`.
        """
        topic.kind.counts.published += len(messages)
        self.mirror(topic, messages, now, wall)

    def mirror(self, topic: Topic, messages: Sequence[bytes], now: float, wall: int = 0) -> None:
        """As `append`, for messages that were published elsewhere, or are counted there."""
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
        """Let the messages of `topic` fall off that are older than its class allows at the time `now`, seconds.

        That happens by itself within a twentieth of a second, for messages that grow old here. Call it for those that
        were old when they came.
        """
        if topic.kind.age:
            self._forget_old(topic, now)

    def _forget_old(self, topic: Topic, now: float) -> None:
        before = topic.weight
        topic.kind.counts.fell_off += topic.forget_before(now - topic.kind.age)
        topic.share.give_back(before - topic.weight)
        self.deadlines.hold_for_age(topic)

    def begin_history(self, topic: Topic, by: str) -> Rollups:
        """The history of `topic` with the series that are told apart by the field `by`; see `Histories.begin`."""
        rollups = self.histories.begin(topic, by)
        self._roll_later()
        return rollups

    def _roll_later(self) -> None:
        if self.histories and not self._rolls:
            self._rolls = True
            self.put_off(self._roll)

    def _roll(self, shared: Shared) -> None:  # noqa: ARG002 - as the hub calls it
        """Look into messages for the histories of their topics, as far as this turn has room for it."""
        self._rolls = False
        self.room -= self.histories.go_on(self.room)
        self._roll_later()

    def check_memory(self, topic: Topic, messages: Sequence[bytes], now: float) -> None:
        """See that there is memory for `messages` in `topic`, at the time `now`, seconds.

        Rings that nobody watches lose their oldest messages for it, then those of clients that have more than their
        part. Call it before `append`.

        Raises:
            MemoryFull: there is not enough, and `messages` need more than what falls off for them.
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
        """Keep within `max_bytes`, though the messages of `topic` were taken elsewhere and cannot be refused."""
        over = min(self.budget.held - self.budget.most, max(growth, 0) + _BEYOND)
        over -= self._find_room(over, 0, topic, now)
        if over > 0:
            before = topic.weight
            topic.kind.counts.fell_off += topic.shorten(over)
            topic.share.give_back(before - topic.weight)

    def forget_search(self) -> None:
        """Forget where was looked for what gives way: a lower bound is reached, or there is another one."""
        self._lowering = None

    def _give_way(self, over: int, now: float) -> bool:
        """Have some rings give way for no message, until at most `over` bytes are free. False if none does any more.

        True even if this turn found none among very many topics, and has not looked at all of them. Each is looked
        at once, whatever messages find meanwhile: else a reload would not end if turns take long.
        """
        lowering = self._lowering
        if lowering is None:
            lowering = self._lowering = Reclaiming(self.histories, again=math.inf)
            lowering.looks = self.reclaiming.looks
        freed = self._free(lowering, min(over, _BEYOND), 0, None, now)
        self.reclaiming.fell_off += lowering.fell_off
        lowering.fell_off = 0
        return freed > 0 or lowering.is_under_way

    def _find_room(self, over: int, growth: int, besides: Topic | None, now: float) -> int:
        return self._free(self.reclaiming, over, growth, besides, now)

    def _free(self, reclaiming: Reclaiming, over: int, growth: int, besides: Topic | None, now: float) -> int:
        freed = reclaiming.free(over, self._topics.names, self._topics.by_name, besides, now)
        if freed < over:
            shares = self.shares.by_opener
            # While a lower bound is being reached the part is one of that, whoever asks.
            part = min(self.budget.most, self.bounds.max_bytes) // max(1, len(shares))
            freed += reclaiming.free_of_heavy(over - freed, growth, part, shares, self._topics.by_name, besides, now)
        return freed
