"""The topics of this process: which of them are active, and their watchers.

The rules of this file:

* A topic is active while it has a watcher, and for `linger` seconds after the last one left or a GET was
  answered. An inactive topic is forgotten: the next reader starts a new life of it, with a new epoch.
* Registering a watcher and checking whether something waits for it are one step (`watch`), so that no
  message is missed between them and none comes twice.
* A topic that a publisher has ended lingers like any other, so that late readers get all of it. A watcher of such a
  topic is woken at once, because nothing else will come.
* New bounds apply at once to new topics, and to each existing topic as soon as it is looked up by its name. The
  others get them in the next turns (`_fit_some`), so each topic has all of the old bounds or all of the new ones. The
  series of its history are resized in the turns after that (`Rollups.work`).
* A lower bound on the total memory is reached over several turns as well (`_lower`): until then the bound is what is
  held now. Otherwise the next message would have to free the whole difference in one turn.

A hub consists of layers, each a class that knows only the ones below it: `Portions` (work over several turns),
`Waking` (wakes watchers), `Rings` (messages of topics) and `Hub` (active topics). They are base classes and not
parts, so that a message passes through all of them without extra calls.
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
"""Bytes of a turn's room that giving new bounds to one topic costs."""
_REFITTING: Final = 256
"""The same for each message in its ring, and for each message dropped because it is too old."""
_AGING: Final = 1024
"""The same for each topic whose messages are checked for their age."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Hub(Rings):
    """The active topics by name, and their watchers.

    Args:
        bounds: for its topics; each topic gets its class when it is created.
        new_epoch: returns the random epoch of a new topic.
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
        self._unfit: dict[Topic, None] = {}  # topics that still have the old bounds
        self._is_reloading = False  # whether some topic or total still has the old bounds
        self._is_fitting = False  # whether topics are still being given new bounds
        self.used_up: SloshError | None = None
        """Why the client `opener` may create no topic. For an engine that has to ask whether the topic is active."""
        self.opened = 0
        """Topics that a publisher created since the start, by `?open`."""
        self.finished = 0
        """Topics that a publisher ended since the start."""
        self.gone = 0
        """Topics that were dropped or replaced since the start."""
        self.ended = 0
        """Topics that were dropped since the start, most of them because nobody watched for `linger`."""

    def __len__(self) -> int:
        """How many topics are held. Some may have become inactive a moment ago."""
        return len(self._topics.by_name)

    def __iter__(self) -> Iterator[Topic]:
        """The topics held, in the order in which they were created."""
        return iter(self._topics.by_name.values())

    @property
    def watching(self) -> int:
        """The number of watchers of all topics. This counts them one by one, so it is for tests and metrics only."""
        return sum(len(topic.watchers) for topic in self._topics.by_name.values())

    def set_bounds(self, bounds: Bounds, now: float) -> None:
        """Apply new `bounds` at the time `now`, seconds. Rings are resized in place, and no topic ends.

        If there are very many topics, some get the new bounds in the next turns. Lower totals (`max_bytes`,
        `max_series`) apply once all topics have their own new bounds: rings are shortened then, some in each turn.
        Topics that already linger keep the time that they had.
        """
        is_under_way = self._is_reloading
        bounds.classes.count_on(self.classes)
        self.bounds = bounds
        self.classes = bounds.classes
        # Lower totals apply once no topic has more than its own bounds allow: else topics would lose messages that
        # they may keep.
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
        """Give topics the current bounds, as many as this turn has room for. After the last one, `_lower`."""
        while self._unfit and self.room > 0:
            # Not by iterating: a dict's iterator walks over deleted entries each time.
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
        """Shrink rings a step towards `max_bytes`. That bound applies once no ring can be shortened any more."""
        over = self.budget.held - self.bounds.max_bytes
        if over > 0 and self._give_way(over, now):
            self.budget.most = max(self.bounds.max_bytes, self.budget.held)
            self.room = 0  # It takes the time of a whole turn.
        else:
            self.budget.most = self.bounds.max_bytes
            self._is_reloading = False
            self.forget_search()

    def _fit(self, topic: Topic, now: float) -> None:
        """Give `topic`, which still has the old bounds, the current ones."""
        messages = topic.last - topic.first + 1
        self.spend(_FITTING + _REFITTING * messages)
        kind = topic.kind = self.classes.find(topic.name)
        before = topic.weight
        kind.counts.fell_off += topic.fit(kind.queue, kind.queue_bytes)
        topic.share.give_back(before - topic.weight)
        self.fit_history(topic)
        self.deadlines.set_again(topic, now)
        if kind.age:
            self._forget_old(topic, now)

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
        """Whether `topic` is held: it was neither dropped nor replaced by a new life of the same name."""
        return self._topics.by_name.get(topic.name) is topic

    def linger(self, topic: Topic, now: float) -> None:
        """Keep `topic`, which is held, active for its class's `linger` from `now` on, as after a GET."""
        self.deadlines.linger(topic, now)

    def create(self, name: str, epoch: str, created_at: float, now: float, *, is_filled: bool = False) -> Topic:
        """Create the topic `name`, which is not held, with the given epoch. It lingers from `now` on.

        Args:
            created_at: the time of its creation, seconds; earlier than `now` if another process created it.
            is_filled: whether the caller puts messages of before into it in this turn. Its history begins after that,
                when there is room for them to wait.

        Raises:
            TooManyTopics: it would be one too many.
        """
        self._make_room(1, now)
        topic = Topic(name, epoch, created_at, self.classes.find(name))
        self._topics.add(topic)
        topic.share = self.shares.of(self.opener)
        topic.share.topics[topic] = None
        self.start_history(topic, is_filled=is_filled)
        self.deadlines.linger(topic, now)
        self.listeners.created(topic, now)
        return topic

    def replace(self, topic: Topic, epoch: str, now: float, *, is_filled: bool = False) -> Topic:
        """Replace `topic`, whose messages were lost, by a new topic with `epoch`. Its watchers are moved there.

        Args:
            is_filled: as of `create`.
        """
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
        self.start_history(successor, is_filled=is_filled)
        watchers = tuple(topic.watchers)
        topic.watchers.clear()
        self.deadlines.linger(successor, now)
        for watcher in watchers:
            try:
                watcher.moved(topic, successor)
            except Exception:
                logger.exception("a watcher of %r failed; the others go on", topic.name)
        self.listeners.tell_followers(successor, now)  # Readers that were told its end watched it no more.
        return successor

    def matching(self, patterns: Iterable[str], now: float, most: int = 0) -> list[Topic]:
        """As `Topics.matching`, which one request may call several times. The search counts as work of this turn."""
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
        """Check that a reader can watch all of `topics`, and create `new_topics` others.

        Raises:
            TooManyWatchers, TooManyTopics: it could not.
        """
        if new_topics:
            self._make_room(new_topics, now)
        for topic in topics:
            self._check_watchers(topic)

    def _make_room(self, new_topics: int, now: float) -> None:
        """Make sure that `new_topics` more fit, by dropping topics whose time is over if necessary.

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
        """The watchers of the topic `name`; if it is not active, the readers whose patterns would watch it."""
        topic = self.find(name, now)
        if topic is not None:
            return topic.count_watchers()
        return self.listeners.count_followers(name)

    def watch(self, topic: Topic, watcher: Watcher, offset: int, *, was_moved: bool = False) -> None:
        """Register `watcher`, which has seen everything up to `offset`; it is woken as soon as `topic` has more.

        The caller must call `leave`.

        Args:
            was_moved: whether it watched the previous life of the topic. It is accepted then even if `max_watchers`
                has become lower.

        Raises:
            TooManyWatchers: it would be one too many.
            TooManyTopics: the topic was dropped in the meantime, to make room for another.
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
        """Remove `watcher` at the time `now`, seconds. It may have left already."""
        if watcher in topic.watchers:
            del topic.watchers[watcher]
            self.deadlines.linger(topic, now)
            if self.counted is not None:
                self.counted(topic)

    def end(self, topic: Topic) -> None:
        """End `topic`, which is held: it accepts no more messages. Its watchers are woken by the next `flush`.

        It lingers like any other topic. Calling this again does nothing.
        """
        if topic.ended:
            return
        topic.ended = True
        self._mark(topic)
        self.listeners.ended(topic)

    def expire(self, now: float) -> None:
        """Drop topics that had no watcher for `linger` seconds at the time `now`, and messages that are too old.

        If there are very many, the rest follows in the next turns.
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
        """Drop messages that are too old, as many as this turn has room for. True if some are left."""
        while self.deadlines.is_aging and self.room > 0:
            topic = self.deadlines.next_aged()
            if topic is not None:
                before = topic.first
                self.forget_old(topic, now)
                self.spend(_AGING + _REFITTING * (topic.first - before))
        return self.deadlines.is_aging

    def _expire_more(self, shared: Shared) -> None:
        self.room = 0  # This takes the time of a whole turn.
        if self._expire_some(shared.now):
            self.put_off(self._expire_more)

    def _expire_some(self, now: float) -> bool:
        """Check a portion of the topics that have come due. True if some are left."""
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
