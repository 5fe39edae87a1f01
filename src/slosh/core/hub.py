"""The topics of this process: which of them live, and who watches them.

The rules of this file:

* A topic is active while it has a watcher, and for `linger` seconds after the last one left or a GET was
  answered. One that is not active is not there: the next reader begins a new life of it.
* Registering a watcher and looking whether something waits for it are one step (`watch`), so that no
  message falls between them and none comes twice.
* A topic that a publisher has ended lingers as any other does, so that late readers get all of it. A watcher of it
  is woken at once, because nothing else will come.
* New bounds count at once for what is created, and for each topic as soon as it is asked for by its name. The others
  get them in the next turns (`_fit_some`): each topic has all of the bounds of before, or all of the new ones. Series
  of its history become longer or shorter in the turns after that (`Rollups.work`).
* A lower bound of all together is reached in turns as well (`_lower`): until then it is what is held. One message that
  found all of the difference still there would have to free it in one turn.

A hub is made of layers, each a class of its own that knows only those below it: `Portions` (work over several turns),
`Waking` (who is woken), `Rings` (what topics hold) and `Hub` (which topics live). They are bases and not parts, so
that a message goes through all of them without a call more.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from slosh.compiled import mypyc_attr
from slosh.core.classes import Bounds
from slosh.core.patterns import Walk
from slosh.core.portions import STEP
from slosh.core.rings import Rings
from slosh.core.topic import Shared, Topic, Watcher
from slosh.errors import SloshError, TooManyTopics, TooManyWatchers

logger = logging.getLogger(__name__)

_FITTING: Final = 4096
"""Bytes of other work that a turn does less for each topic that gets new bounds."""
_REFITTING: Final = 256
"""The same for each message in its ring, and for each that falls off because it is too old."""
_AGING: Final = 1024
"""The same for each topic of which messages may be too old."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Hub(Rings):
    """Topics by name, their liveness, and the watchers that are to be woken.

    Args:
        bounds: of its topics; each gets its class when it is created.
        new_epoch: gives the random text of a new life.
        wake: called when there is something to flush; the caller must call `flush` soon.
        arm: called with a time, seconds; the caller must call `expire` then.
    """

    def __init__(
        self,
        bounds: Bounds,
        *,
        new_epoch: Callable[[], str],
        wake: Callable[[], object],
        arm: Callable[[float], None],
    ) -> None:
        super().__init__(bounds, wake, arm)
        self._new_epoch = new_epoch
        self._unfit: dict[Topic, None] = {}  # topics that have still the bounds of before
        self._is_reloading = False  # whether new bounds do not hold everywhere yet
        self._is_fitting = False  # whether topics get them still
        self.used_up: SloshError | None = None
        """Why `opener` may create none. For an engine that has to ask whether its topic is active."""
        self.opened = 0
        """Topics that a publisher created since the start, by `?open`."""
        self.finished = 0
        """Topics that a publisher ended since the start."""
        self.gone = 0
        """Topics that are held no more, or were replaced, since the start."""
        self.ended = 0
        """Topics that ended since the start, most of them because nobody watched for `linger`."""

    def __len__(self) -> int:
        """How many topics are held, some of which may have run out a moment ago."""
        return len(self._topics.by_name)

    def __iter__(self) -> Iterator[Topic]:
        """The topics held, in the order in which they were created."""
        return iter(self._topics.by_name.values())

    @property
    def watching(self) -> int:
        """How many watchers there are on all topics; counts them, so it is for tests and metrics only."""
        return sum(len(topic.watchers) for topic in self._topics.by_name.values())

    def set_bounds(self, bounds: Bounds, now: float) -> None:
        """Take new `bounds` at the time `now`, seconds. Rings become shorter or longer in place, and no life ends.

        If there are very many topics some of them get the new bounds in the next turns, and lower bounds of all
        together (`max_bytes`, `max_series`) hold when all topics have theirs: rings give way then, some in a turn.
        Topics that linger already do so for the time that they had.
        """
        is_under_way = self._is_reloading
        bounds.classes.count_on(self.classes)
        self.bounds = bounds
        self.classes = bounds.classes
        # Lower bounds of all together hold once no topic has more than its own bounds allow: else topics would lose
        # what they may keep.
        self.budget.most = max(self.budget.most, bounds.max_bytes)
        self.histories.most = max(self.histories.most, bounds.max_series)
        self._unfit = dict.fromkeys(self._topics.by_name.values())
        self.deadlines.begin_again()
        self._is_reloading = self._is_fitting = True
        self._fit_some(now)
        if self._is_reloading and not is_under_way:
            self.put_off(self._fit_more)

    def _fit_more(self, shared: Shared) -> None:
        if self._is_reloading:  # Bounds that came in the turn before may hold everywhere already.
            self._fit_some(shared.now)
        if self._is_reloading:
            self.put_off(self._fit_more)

    def _fit_some(self, now: float) -> None:
        """Give as many topics the bounds that the hub has now as this turn has room for; then `_lower`."""
        while self._unfit and self.room > 0:
            # Not by iterating: what was deleted is passed over each time.
            topic, _ = self._unfit.popitem()
            self._fit(topic, now)
        if self._unfit:
            return
        if self._is_fitting:
            self._is_fitting = False
            self.histories.most = self.bounds.max_series
            self.classes.settle()
            self.deadlines.settle()
            self.forget_search()
        self._lower(now)

    def _lower(self, now: float) -> None:
        """Come a step nearer to the bound of all rings together. It holds once no ring gives way any more."""
        over = self.budget.held - self.bounds.max_bytes
        if over > 0 and self._give_way(over, now):
            self.budget.most = max(self.bounds.max_bytes, self.budget.held)
            self.room = 0  # It takes the time of a whole turn.
        else:
            self.budget.most = self.bounds.max_bytes
            self._is_reloading = False
            self.forget_search()

    def _fit(self, topic: Topic, now: float) -> None:
        """Give `topic`, which had those of before until now, the bounds that the hub has now."""
        messages = topic.last - topic.first + 1
        self.spend(_FITTING + _REFITTING * messages)
        kind = topic.kind = self.classes.find(topic.name)
        before = topic.weight
        kind.counts.fell_off += topic.fit(kind.queue, kind.queue_bytes)
        topic.share.give_back(before - topic.weight)
        self.histories.resize(topic)
        self.deadlines.set_again(topic, now)
        if kind.age:
            self._forget_old(topic, now)
        self._roll_later()

    def find(self, name: str, now: float) -> Topic | None:
        """The active topic `name` at the time `now`, seconds, or None. Changes nothing that a user could see."""
        topic = self._topics.by_name.get(name)
        if self._unfit and topic in self._unfit:
            del self._unfit[topic]
            self._fit(topic, now)
        if topic is None or topic.watchers or now < topic.active_until:
            return topic
        self._drop(topic)
        return None

    def open(self, name: str, now: float) -> Topic:
        """The topic `name`, created if it is not active; it stays active for `linger` from `now` on.

        Raises:
            TooManyTopics: it would be one too many.
        """
        topic = self.find(name, now)
        if topic is not None and topic.watchers:
            return topic  # It lingers from when the last of them leaves.
        if topic is None:
            topic = self.create(name, self._new_epoch(), now, now)
        self.deadlines.linger(topic, now)
        return topic

    def holds(self, topic: Topic) -> bool:
        """Whether `topic` is held: it has not ended, and no other life has begun in its place."""
        return self._topics.by_name.get(topic.name) is topic

    def linger(self, topic: Topic, now: float) -> None:
        """Let `topic`, which is held, stay active for the time of lingering from `now` on, as after a GET."""
        self.deadlines.linger(topic, now)

    def create(self, name: str, epoch: str, created_at: float, now: float) -> Topic:
        """Begin the life `epoch` of the topic `name`, which is not held, and let it linger from `now` on.

        Args:
            created_at: when that was; earlier than `now` if that was elsewhere, seconds.

        Raises:
            TooManyTopics: it would be one too many.
        """
        self._make_room(1, now)
        topic = Topic(name, epoch, created_at, self.classes.find(name))
        self._topics.add(topic)
        topic.share = self.shares.of(self.opener)
        topic.share.topics[topic] = None
        if topic.kind.history:
            self.histories.begin(topic)
        self.deadlines.linger(topic, now)
        self.listeners.created(topic, now)
        return topic

    def replace(self, topic: Topic, epoch: str, now: float) -> Topic:
        """Begin the life `epoch` in place of `topic`, whose messages were lost; its watchers are moved there."""
        if topic in self._unfit:
            del self._unfit[topic]
            self._fit(topic, now)
        successor = Topic(topic.name, epoch, now, topic.kind)
        self._topics.replace(topic, successor)
        self.gone += 1
        topic.is_over = True
        topic.share.give_back(topic.weight)
        self.histories.end(topic)
        successor.share = topic.share
        successor.share.topics[successor] = None
        self._leave_share(topic)
        if successor.kind.history:
            self.histories.begin(successor)
        watchers = tuple(topic.watchers)
        topic.watchers.clear()
        self.deadlines.linger(successor, now)
        for watcher in watchers:
            try:
                watcher.moved(topic, successor)
            except Exception:
                logger.exception("a watcher of %r failed; the others go on", topic.name)
        self.listeners.tell_followers(successor, now)  # Those that were given the end of `topic` watched it no more.
        return successor

    def matching(self, patterns: Iterable[str], now: float, most: int = 0) -> list[Topic]:
        """As `Topics.matching`, which one request may call several times. The walk counts as work of this turn."""
        walk = Walk()
        try:
            return self._topics.matching(tuple(patterns), now, most, walk)
        finally:
            if walk.taken:
                self.spend(walk.taken * STEP)

    def listed(self, after: str, now: float) -> Iterator[Topic]:
        """As `Topics.listed`."""
        return self._topics.listed(after, now)

    def check_room(self, topics: Iterable[Topic], new_topics: int, now: float) -> None:
        """See that a reader of `topics` can watch them all, and create this many others.

        Raises:
            TooManyWatchers, TooManyTopics: it could not.
        """
        if new_topics:
            self._make_room(new_topics, now)
        for topic in topics:
            self._check_watchers(topic)

    def _make_room(self, new_topics: int, now: float) -> None:
        """See that there is room for this many topics more, and drop those whose time is over if there is none.

        Raises:
            TooManyTopics: there is none left.
        """
        if len(self) + new_topics <= self.bounds.max_topics:
            return
        self.expire(now)
        while len(self) + new_topics > self.bounds.max_topics:
            if not self._expire_some(now):
                break
        if len(self) + new_topics > self.bounds.max_topics:
            raise self._no_room()

    def _check_watchers(self, topic: Topic) -> None:
        most = self.bounds.max_watchers
        if most and len(topic.watchers) >= most:
            raise TooManyWatchers(most)

    def _no_room(self) -> TooManyTopics:
        return TooManyTopics(self.bounds.max_topics)

    def interest(self, name: str, now: float) -> int:
        """How many watch the topic `name` at the time `now`, seconds; even if it does not live, by patterns."""
        topic = self.find(name, now)
        if topic is not None:
            return topic.count_watchers()
        return self.listeners.count_followers(name)

    def watch(self, topic: Topic, watcher: Watcher, offset: int, *, was_moved: bool = False) -> None:
        """Let `watcher`, who has seen all up to `offset`, wait at `topic`; it is woken as soon as there is more.

        The caller must call `leave`.

        Args:
            was_moved: whether it watched the life before this one. It does on, even if fewer may by now.

        Raises:
            TooManyWatchers: it would be one too many.
            TooManyTopics: the topic has made room for another meanwhile.
        """
        if not was_moved:
            self._check_watchers(topic)
        if topic.is_over:
            raise self._no_room()  # It was dropped to make room, between its opening and this.
        topic.watchers[watcher] = offset
        if self.counted is not None:
            self.counted(topic)
        if self.listeners.count_listeners and not topic.ended:
            self.listeners.tell_count_listeners(topic.name, len(topic.watchers))
        if topic.last > offset or topic.ended:
            self._mark_late(topic, watcher)

    def leave(self, topic: Topic, watcher: Watcher, now: float) -> None:
        """Let `watcher` go at the time `now`, seconds. It may have gone already."""
        if watcher in topic.watchers:
            del topic.watchers[watcher]
            self.deadlines.linger(topic, now)
            if self.counted is not None:
                self.counted(topic)

    def end(self, topic: Topic) -> None:
        """End `topic`, which is held: nothing may be put into it any more. Its watchers are woken by the next `flush`.

        It lingers as any other does. Calling it again does nothing.
        """
        if topic.ended:
            return
        topic.ended = True
        self._mark(topic)
        self.listeners.ended(topic)

    def expire(self, now: float) -> None:
        """Drop the topics that nobody has watched for `linger` seconds at the time `now`, and messages too old.

        If these are very many the others follow in the next turns.
        """
        is_under_way, is_aging = self.deadlines.is_under_way, self.deadlines.is_aging
        self.deadlines.look(now)
        if self._expire_some(now) and not is_under_way:
            self.put_off(self._expire_more)
        if self._age_some(now) and not is_aging:
            self.put_off(self._age_more)

    def _age_more(self, shared: Shared) -> None:
        if self._age_some(shared.now):
            self.put_off(self._age_more)

    def _age_some(self, now: float) -> bool:
        """Let as many messages fall off that are too old as this turn has room for. True if some are left."""
        while self.deadlines.is_aging and self.room > 0:
            topic = self.deadlines.next_aged()
            if topic is not None:
                before = topic.first
                self.forget_old(topic, now)
                self.spend(_AGING + _REFITTING * (topic.first - before))
        return self.deadlines.is_aging

    def _expire_more(self, shared: Shared) -> None:
        self.room = 0  # It takes the time of a whole turn.
        if self._expire_some(shared.now):
            self.put_off(self._expire_more)

    def _expire_some(self, now: float) -> bool:
        """Look at a portion of the topics that came due. True if some are left."""
        for topic in self.deadlines.over(now):
            self._drop(topic)
        return self.deadlines.is_under_way

    def _drop(self, topic: Topic) -> None:
        if self.holds(topic):
            if topic in self.listeners.unannounced:
                self.listeners.announce()
            self._topics.remove(topic)
            if self._unfit:
                self._unfit.pop(topic, None)
            topic.is_over = True
            topic.share.give_back(topic.weight)
            self.histories.end(topic)
            self._leave_share(topic)
            self.ended += 1
            self.gone += 1
            self.listeners.dropped(topic)

    def _leave_share(self, topic: Topic) -> None:
        del topic.share.topics[topic]
        self.shares.tidy(topic.share)
