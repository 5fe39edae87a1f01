"""The topics of this process, and who waits for what.

The rules of this file:

* A topic is active while it has a watcher, and for `linger` seconds after the last one left or a GET was
  answered. One that is not active is not there: whoever comes then begins a new life of it.
* Registering a watcher and looking whether something waits for it are one step (`watch`), so that no
  message falls between them and none comes twice.
* Watchers are not called from inside `append`: the topic is marked, and `flush` wakes its watchers. Between
  the two any number of messages can come in, and each watcher is woken once for all of them.
* Who has its answer when it was woken is let go by the hub, without being asked to leave: that is the usual end
  of a poll, and a thousand of them cost one look at how long the topic lingers.
* No watcher is woken for nothing: one that registers between an `append` and its `flush` at the place behind the
  message waits for the next one.
* Work that could keep everybody else waiting is done in portions: what a turn has no room for is put off (`put_off`),
  and goes on in the next turn, in the order in which it was put off.

It is longer than other files because liveness, waking and telling change the same few tables, and a rule of one is
kept by the lines of another.
"""

import logging
from bisect import bisect_left, bisect_right, insort
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, Protocol

from slosh.compiled import mypyc_attr
from slosh.core.patterns import Tree, Walk
from slosh.core.timers import Timers
from slosh.core.topic import Shared, Topic, Watcher
from slosh.errors import TooManyTopics, TooManyWatchers

logger = logging.getLogger(__name__)

WORK: Final = 2 * 1024 * 1024
"""Bytes that may be looked at or written in one turn for readers who have very much to come; some 5 ms."""
_ENDLESS: Final = 1 << 60
_TASK: Final = 1024
"""Bytes that a task counts at least."""
_WAKE: Final = 4096
"""Bytes that the waking of a watcher counts: an answer takes as long as the copying of so many."""
_CROWD: Final = 256
"""Watchers of a topic that are woken without a look at the room that is left."""


class Observer(Protocol):
    """Somebody who wants to know which topics there are."""

    def topic_born(self, topic: Topic) -> None:
        """A topic has come to life. It must not be changed here.

        Told at the end of the turn, when whoever brought it to life watches it already.
        """

    def topic_dropped(self, topic: Topic) -> None:
        """A topic's life is over."""


class Follower(Protocol):
    """A reader of all topics that a pattern takes in."""

    def topic_born(self, topic: Topic) -> None:
        """A topic has come to life that the pattern takes in. The follower is to watch it."""


class Expectant(Protocol):
    """Somebody who waits until a topic is watched."""

    def topic_watched(self, watchers: int) -> None:
        """It is, by so many. Called once; the hub has forgotten the expectant then."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Hub:
    """Topics by name, their liveness, and the watchers that are to be woken.

    Args:
        queue: messages that a topic keeps at most.
        queue_bytes: bytes that a topic keeps at most.
        linger: seconds that a topic stays active after its last watcher.
        max_topics: how many topics may be active at a time.
        max_watchers: how many watchers one topic may have, 0 for any number.
        new_epoch: gives the random text of a new life.
        wake: called when there is something to flush; the caller owes a call of `flush` soon.
        arm: called with a time, seconds; the caller owes a call of `expire` then.
    """

    def __init__(  # noqa: PLR0913 - its bounds are settings, one each
        self,
        *,
        queue: int,
        queue_bytes: int,
        linger: float,
        max_topics: int,
        max_watchers: int,
        new_epoch: Callable[[], str],
        wake: Callable[[], object],
        arm: Callable[[float], None],
    ) -> None:
        self._queue = queue
        self._queue_bytes = queue_bytes
        self._linger = linger
        self._max_topics = max_topics
        self._max_watchers = max_watchers
        self._new_epoch = new_epoch
        self._wake = wake
        self._timers: Timers[Topic] = Timers(arm)
        self._topics: dict[str, Topic] = {}
        self._sorted: list[str] = []  # all names; to keep them in order costs each birth some microseconds
        self._names: Tree[Topic] = Tree()
        self._followers: Tree[Follower] = Tree()
        self._observers: dict[Observer, None] = {}
        self._unannounced: dict[Topic, None] = {}
        self._expectants: dict[str, dict[Expectant, None]] = {}
        self._expected: Tree[str] = Tree()  # names of the topics that they wait for
        self._dirty: list[Topic] = []
        self._waking: dict[Topic, bool] = {}  # in portions, and whether something has come in since that began
        self._late: dict[tuple[Topic, Watcher], None] = {}
        self._asked = False
        self._tasks: deque[Callable[[Shared], None]] = deque()
        self.room = WORK
        """Bytes that may still be looked at or written in this turn; whoever does so takes them off. See `put_off`."""
        self._opened: Counter[str] = Counter()
        self.opener = ""
        """For whom topics count that come to life now; nothing where for nobody."""
        self.counted: Callable[[Topic], None] | None = None
        """Called when a topic has got or lost a watcher. For an engine that tells others of it."""
        self.patterned: Callable[[str, bool], None] | None = None
        """Called with a pattern that has got (True) or lost a follower. For an engine that tells others of it."""
        self.published = 0
        """Messages taken since the start."""
        self.portions = 0
        """Answers and parts of streams that were made since the start and left something for the next."""
        self.fell_off = 0
        """Messages that fell off a full ring since the start, whether or not anybody missed them."""
        self.ended = 0
        """Topics that ended since the start, most of them because nobody watched for `linger`."""

    def __len__(self) -> int:
        """How many topics are held, some of which may have run out a moment ago."""
        return len(self._topics)

    def __iter__(self) -> Iterator[Topic]:
        """The topics held, in the order in which they came to life."""
        return iter(self._topics.values())

    @property
    def watching(self) -> int:
        """How many watchers there are on all topics; counts them, so it is for tests and metrics only."""
        return sum(len(topic.watchers) for topic in self._topics.values())

    def set_bounds(self, *, linger: float, max_topics: int, max_watchers: int) -> None:
        """Take new bounds, for what comes from now on. Topics that linger already do so for the time that they had."""
        self._linger = linger
        self._max_topics = max_topics
        self._max_watchers = max_watchers

    def find(self, name: str, now: float) -> Topic | None:
        """The active topic `name` at the time `now`, seconds, or None. Changes nothing that a user could see."""
        topic = self._topics.get(name)
        if topic is None or topic.watchers or now < topic.active_until:
            return topic
        self._drop(topic)
        return None

    def open(self, name: str, now: float) -> Topic:
        """The topic `name`, brought to life if it is not active; it stays active for `linger` from `now` on.

        Raises:
            TooManyTopics: it would be one too many.
        """
        topic = self._topics.get(name)
        if topic is not None and topic.watchers:
            return topic  # It lingers from when the last of them leaves.
        topic = self.find(name, now)
        if topic is None:
            topic = self.give_birth(name, self._new_epoch(), now, now)
        self._linger_from(topic, now)
        return topic

    def holds(self, topic: Topic) -> bool:
        """Whether `topic` is held: it has not ended, and no other life has begun in its place."""
        return self._topics.get(topic.name) is topic

    def linger(self, topic: Topic, now: float) -> None:
        """Let `topic`, which is held, stay active for the time of lingering from `now` on, as after a GET."""
        self._linger_from(topic, now)

    def give_birth(self, name: str, epoch: str, born: float, now: float) -> Topic:
        """Begin the life `epoch` of the topic `name`, which is not held, and let it linger from `now` on.

        Args:
            born: when it came to life; earlier than `now` where that was elsewhere, seconds.

        Raises:
            TooManyTopics: it would be one too many.
        """
        if len(self._topics) >= self._max_topics:
            self.expire(now)
        if len(self._topics) >= self._max_topics:
            raise self._no_room()
        topic = self._topics[name] = Topic(name, epoch, born)
        insort(self._sorted, name)
        if self.opener:
            topic.opener = self.opener
            self._opened[self.opener] += 1
        self._names.add(name, topic)
        self._linger_from(topic, now)
        if self._observers:
            self._unannounced[topic] = None
            self._ask_for_flush()
        if self._followers:
            for follower in tuple(self._followers.patterns_for(name)):
                follower.topic_born(topic)
        return topic

    def replace(self, topic: Topic, epoch: str, now: float) -> Topic:
        """Begin the life `epoch` in place of `topic`, whose messages were lost; its watchers are moved there."""
        successor = self._topics[topic.name] = Topic(topic.name, epoch, now)
        topic.is_over = True
        successor.opener = topic.opener
        self._names.remove(topic.name, topic)
        self._names.add(topic.name, successor)
        watchers = tuple(topic.watchers)
        topic.watchers.clear()
        self._linger_from(successor, now)
        for watcher in watchers:
            try:
                watcher.moved(topic, successor)
            except Exception:
                logger.exception("a watcher of %r failed; the others go on", topic.name)
        return successor

    def matching(self, patterns: Iterable[str], now: float, most: int = 0) -> list[Topic]:
        """The active topics that one of `patterns` takes in at the time `now`, seconds, each once.

        Args:
            most: stop when there are more than so many, 0 for never.

        Raises:
            BadTopic: to see that takes a longer walk than one request may have.
        """
        walk = Walk()
        found: dict[Topic, None] = {}
        for pattern in patterns:
            for topic in self._names.names_for(pattern, walk):
                if topic.watchers or now < topic.active_until:
                    found[topic] = None
                    if 0 < most < len(found):
                        return list(found)
        return list(found)

    def listed(self, after: str, now: float) -> Iterator[Topic]:
        """The active topics behind the name `after`, in the order of their names, at the time `now`, seconds.

        Take what you want of it before anything else happens here.
        """
        names = self._sorted
        for at in range(bisect_right(names, after), len(names)):
            topic = self._topics[names[at]]
            if topic.watchers or now < topic.active_until:
                yield topic

    def opened_by(self, opener: str) -> int:
        """How many topics that are held count for `opener`; see `opener`."""
        return self._opened[opener]

    def check_room(self, topics: Iterable[Topic], births: int, now: float) -> None:
        """See that a reader of `topics` can watch them all, and bring so many others to life.

        Raises:
            TooManyWatchers, TooManyTopics: it could not.
        """
        if births and len(self._topics) + births > self._max_topics:
            self.expire(now)
        if births and len(self._topics) + births > self._max_topics:
            raise self._no_room()
        for topic in topics:
            self._check_watchers(topic)

    def _check_watchers(self, topic: Topic) -> None:
        if self._max_watchers and len(topic.watchers) >= self._max_watchers:
            raise TooManyWatchers(f"This topic has {self._max_watchers} watchers, and no room for more (max_watchers).")

    def _no_room(self) -> TooManyTopics:
        return TooManyTopics(f"There are {self._max_topics} active topics, and no room for more (max_topics).")

    @property
    def has_followers(self) -> bool:
        """Whether anybody reads by a pattern, so that a publish may bring its topic to life."""
        return bool(self._followers)

    def is_followed(self, name: str) -> bool:
        """Whether somebody reads the topic `name` by a pattern, so that it is watched although it does not live."""
        return bool(self._followers) and any(True for _ in self._followers.patterns_for(name))

    def interest(self, name: str, now: float) -> int:
        """How many watch the topic `name` at the time `now`, seconds; also where it does not live, by patterns."""
        topic = self.find(name, now)
        if topic is not None:
            return len(topic.watchers)
        return self.count_followers(name)

    def count_followers(self, name: str) -> int:
        """How many read the topic `name` by a pattern."""
        return sum(1 for _ in self._followers.patterns_for(name)) if self._followers else 0

    def is_expected(self, name: str) -> bool:
        """Whether somebody waits until the topic `name` is watched."""
        return name in self._expectants

    def follow(self, pattern: str, follower: Follower) -> None:
        """Tell `follower` of topics that come to life and that `pattern` takes in. It owes an `unfollow`."""
        self._followers.add(pattern, follower)
        if self.patterned is not None:
            self.patterned(pattern, True)  # noqa: FBT003 - of the signature
        self.tell_expectants_of(pattern)

    def unfollow(self, pattern: str, follower: Follower) -> None:
        """Tell it no more."""
        self._followers.remove(pattern, follower)
        if self.patterned is not None:
            self.patterned(pattern, False)  # noqa: FBT003 - of the signature

    def observe(self, observer: Observer) -> None:
        """Tell `observer` of topics that come to life and end. It owes an `unobserve`."""
        self._observers[observer] = None

    def unobserve(self, observer: Observer) -> None:
        """Tell it no more."""
        self._observers.pop(observer, None)

    def expect(self, name: str, expectant: Expectant) -> None:
        """Tell `expectant` when the topic `name` is watched next."""
        if name not in self._expectants:
            self._expectants[name] = {}
            self._expected.add(name, name)
        self._expectants[name][expectant] = None

    def unexpect(self, name: str, expectant: Expectant) -> None:
        """Tell it no more. It may have been told already."""
        expectants = self._expectants.get(name, {})
        expectants.pop(expectant, None)
        if not expectants and self._expectants.pop(name, None) is not None:
            self._expected.remove(name, name)

    def tell_expectants(self, name: str, watchers: int) -> None:
        """Tell all who wait for it that the topic `name` is watched, by so many."""
        expectants = self._expectants.pop(name, None)
        if expectants is None:
            return
        self._expected.remove(name, name)
        for expectant in expectants:
            expectant.topic_watched(watchers)

    def tell_expectants_of(self, pattern: str) -> None:
        """Tell all who wait for a topic that `pattern` takes in that somebody reads it by that."""
        if self._expectants:
            for name in list(self._expected.names_for(pattern, Walk(_ENDLESS))):
                self.tell_expectants(name, 1)

    def watch(self, topic: Topic, watcher: Watcher, offset: int) -> None:
        """Let `watcher`, who has seen all up to `offset`, wait at `topic`; it is woken as soon as there is more.

        The caller owes a `leave`.

        Raises:
            TooManyWatchers: it would be one too many.
            TooManyTopics: the topic has made room for another meanwhile.
        """
        self._check_watchers(topic)
        if topic.is_over:
            raise self._no_room()  # It was dropped to make room, between its opening and this.
        topic.watchers[watcher] = offset
        if self.counted is not None:
            self.counted(topic)
        if self._expectants:
            self.tell_expectants(topic.name, len(topic.watchers))
        if topic.last > offset:
            self._late[topic, watcher] = None
            self._ask_for_flush()

    def leave(self, topic: Topic, watcher: Watcher, now: float) -> None:
        """Let `watcher` go at the time `now`, seconds. It may have gone already."""
        if watcher in topic.watchers:
            del topic.watchers[watcher]
            self._linger_from(topic, now)
            if self.counted is not None:
                self.counted(topic)

    def skip_to(self, topic: Topic, last: int) -> None:
        """Go on behind the offset `last` of `topic`: what is kept and what came before it is lost to this process."""
        self.fell_off += topic.skip_to(last)

    def append(self, topic: Topic, messages: Sequence[bytes], now: float, wall: int = 0) -> None:
        """Put `messages` into `topic`, which arrive `now` (seconds, and as Unix milliseconds).

        Its watchers are woken by the next `flush`.
        """
        self.published += len(messages)
        self.mirror(topic, messages, now, wall)

    def mirror(self, topic: Topic, messages: Sequence[bytes], now: float, wall: int = 0) -> None:
        """As `append`, for messages that were published elsewhere, or are counted there."""
        self.fell_off += topic.append(messages, now, self._queue, self._queue_bytes, wall)
        if not topic.dirty and topic.watchers:
            topic.dirty = True
            self._dirty.append(topic)
            self._ask_for_flush()

    def flush(self, now: float) -> None:
        """Wake every watcher for whom something has come in, at the time `now`, seconds."""
        self._asked = False
        self.room = WORK
        if self._unannounced:
            self._announce()
        shared = Shared(now)
        if self._tasks:
            self._go_on(shared)
        dirty, self._dirty = self._dirty, []
        # Who came late to a marked topic is woken with its others.
        late: list[tuple[Topic, Watcher]] = []
        if self._late:
            late = [(topic, watcher) for topic, watcher in self._late if not topic.dirty]
            self._late = {}
        for topic in dirty:
            topic.dirty = False
            # A copy, because watchers leave while they are woken: going on in the living dict is how
            # servers of this kind skip one reader in two.
            watchers = list(topic.watchers.keys())
            if topic in self._waking:
                self._waking[topic] = True
            elif len(watchers) <= _CROWD and self.room > 0:
                self.room -= _WAKE * len(watchers)
                self._wake_all(topic, watchers, shared)
            else:
                self._waking[topic] = False
                self._wake_in_portions(topic, iter(watchers), shared)
        for topic, watcher in late:
            self._wake_all(topic, [watcher], shared)

    def _wake_in_portions(self, topic: Topic, rest: Iterator[Watcher], shared: Shared) -> None:
        """Wake `rest` as far as there is room in this turn, and the others in later turns.

        What comes in meanwhile is remembered, and all are woken for that once these have been: a topic waits in the
        queue once, however fast its publisher is. A watcher that is woken twice finds nothing the second time.
        """
        while self.room > 0:
            portion = list(islice(rest, _CROWD))
            self.room -= _WAKE * len(portion)
            self._wake_all(topic, portion, shared)
            if len(portion) < _CROWD:
                if self._waking.pop(topic) and topic.watchers and not topic.dirty:
                    topic.dirty = True
                    self._dirty.append(topic)
                    self._ask_for_flush()
                return
        self.put_off(lambda later: self._wake_in_portions(topic, rest, later))

    def put_off(self, task: Callable[[Shared], None]) -> None:
        """Call `task` in the next turn, or in a later one where the tasks before it leave no room."""
        self._tasks.append(task)
        self._ask_for_flush()

    def _go_on(self, shared: Shared) -> None:
        """Do what was put off, as long as there is room in this turn."""
        shared.alone = False
        for _ in range(len(self._tasks)):
            if self.room <= 0:
                break
            self.room -= _TASK
            try:
                self._tasks.popleft()(shared)
            except Exception:
                logger.exception("a task that was put off failed; the others go on")
        if self._tasks:
            self._ask_for_flush()

    def expire(self, now: float) -> None:
        """Drop the topics that nobody has watched for `linger` seconds at the time `now`."""
        for topic in self._timers.due(now):
            topic.lingering = False
            if topic.watchers:
                continue  # It comes back to the timers when the last of them leaves.
            if now < topic.active_until:
                self._hold(topic)
            else:
                self._drop(topic)

    def _announce(self) -> None:
        born, self._unannounced = self._unannounced, {}
        for topic in born:
            for observer in tuple(self._observers):
                observer.topic_born(topic)

    def _wake_all(self, topic: Topic, watchers: list[Watcher], shared: Shared) -> None:
        present, last, late = topic.watchers, topic.last, self._late
        shared.alone = len(watchers) == 1
        some_left = False
        for watcher in watchers:
            # It may have left since, or have come behind the message that is told of.
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
            self._linger_from(topic, shared.now)
            if self.counted is not None:
                self.counted(topic)

    def _ask_for_flush(self) -> None:
        if not self._asked:
            self._asked = True
            self._wake()

    def _linger_from(self, topic: Topic, now: float) -> None:
        topic.active_until = now + self._linger
        # A topic that is in the timers stays where it is, at an earlier deadline, and is looked at again
        # then: a topic that is polled a thousand times a second costs the timers nothing.
        if not topic.lingering:
            self._hold(topic)

    def _hold(self, topic: Topic) -> None:
        topic.lingering = True
        self._timers.add(topic, topic.active_until)

    def _drop(self, topic: Topic) -> None:
        if self._topics.get(topic.name) is topic:
            if topic in self._unannounced:
                self._announce()
            del self._topics[topic.name]
            del self._sorted[bisect_left(self._sorted, topic.name)]
            topic.is_over = True
            if topic.opener:
                self._opened[topic.opener] -= 1
                if not self._opened[topic.opener]:
                    del self._opened[topic.opener]
            self.ended += 1
            self._names.remove(topic.name, topic)
            for observer in tuple(self._observers):
                observer.topic_dropped(topic)
