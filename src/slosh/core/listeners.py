"""Listeners are notified of topics without watching them: which exist, which match a pattern, which are watched.

The rules of this file:

* A new topic is announced to `LifeListener`s at the end of the turn, when the reader that created it already watches
  it. Readers of patterns are told at once, because they must watch the topic before its first message. If there are
  very many of them, some are told in later turns. These also get the topic from its first message on, and count as its
  watchers meanwhile (`Topic.joining`). The topic stays active until all are told.
* A topic is announced before its end: `announce` comes before `ended` and `dropped`.
* Clients that wait until a topic is watched are told once; very many of them over several turns.
* Searching the patterns for a name, or the awaited names for a pattern, counts as work of the turn.
* If a listener raises, the others are still notified, and the rest of the turn goes on.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final, Protocol, TypeVar

from slosh.core.patterns import Shapes, Tree, Walk, matches
from slosh.core.portions import STEP, WAKE, Portions
from slosh.core.topic import Shared, Topic
from slosh.errors import BadTopic

logger = logging.getLogger(__name__)

L = TypeVar("L")

_TELLING: Final = 1024
"""Bytes of a turn's room that telling one reader of patterns of a topic costs."""
_FOLLOWERS: Final = 1024
"""Readers of patterns that are told of a topic in one turn."""
_LASTS: Final = 1.0
"""Seconds that a topic stays active at least after each such turn, while readers are left to tell."""
_TOLD: Final = 128
"""Feeders that are told in one turn that their topic has a watcher."""


class LifeListener(Protocol):
    """Is notified of every topic that is created, ended or dropped."""

    def topic_created(self, topic: Topic) -> None:
        """A topic was created. Do not change it here.

        Called at the end of the turn, when the reader that created it already watches it.
        """

    def topic_ended(self, topic: Topic) -> None:
        """A publisher has ended a topic, which lingers from now on."""

    def topic_dropped(self, topic: Topic) -> None:
        """A topic was dropped."""


class PatternSubscriber(Protocol):
    """A reader of all topics that a pattern matches."""

    def topic_created(self, topic: Topic) -> None:
        """A topic was created that the pattern matches. The reader must watch it, unless it does already.

        With very many readers, some are called in a later turn; a reader may have left by then.
        """

    def has_room_for(self, name: str) -> bool:
        """Whether it would watch the topic `name`, which the pattern matches, if that were created now."""

    def leave_out(self) -> None:
        """A message for a topic that the pattern matches was refused, because there is no room for the topic."""


class WatcherCountListener(Protocol):
    """Waits until a topic is watched."""

    def topic_watched(self, watchers: int) -> None:
        """The topic has this many watchers now. Called once; the hub has forgotten the listener by then.

        With very many listeners, some are called in a later turn; one may have given up by then.
        """


_Newcomer = tuple[str, PatternSubscriber | None]
"""A pattern, and the reader that has begun to use it; None for a reader at another node."""


def tell_each(listeners: Iterable[L], tell: Callable[[L], object]) -> None:
    """Call `tell` with each of `listeners`. If one raises, that is logged, and the others are still called."""
    for listener in tuple(listeners):
        try:
            tell(listener)
        except Exception:
            logger.exception("a listener failed; the others go on")


def find_patterns(tree: Tree[L], name: str, turns: Portions) -> Iterator[L]:
    """The values of `tree` at all patterns that match `name`. The search counts as work of this turn."""
    if not tree:
        return iter(())
    walk = Walk()
    found = tree.patterns_for(name, walk)
    turns.spend(walk.taken * STEP)
    return found


def _has_room(follower: PatternSubscriber, name: str) -> bool:
    """Whether `follower` would watch the topic `name`; False if it raises."""
    try:
        return follower.has_room_for(name)
    except Exception:
        logger.exception("a reader of patterns failed; the others go on")
        return False


class Listeners:
    """All listeners of one hub.

    Args:
        turns: spread the notification of very many listeners over turns.

    Attributes:
        unannounced: topics created in this turn, which `announce` reports.
        count_listeners: listeners that wait for a topic to be watched, by the topic's name.
        patterned: called with a pattern that has gained (True) or lost (False) a follower. For an engine that reports
            this to other nodes.
    """

    __slots__ = (
        "_expected",
        "_followers",
        "_is_put_off",
        "_life_listeners",
        "_newcomers",
        "_shapes",
        "_turns",
        "count_listeners",
        "patterned",
        "unannounced",
    )

    def __init__(self, turns: Portions) -> None:
        self._turns = turns
        self._life_listeners: dict[LifeListener, None] = {}
        self.unannounced: dict[Topic, None] = {}
        self._followers: Tree[PatternSubscriber] = Tree()
        self._shapes = Shapes()  # of their patterns
        self.count_listeners: dict[str, dict[WatcherCountListener, None]] = {}
        self._expected: Tree[str] = Tree()  # the names in `count_listeners`
        self._newcomers: dict[
            _Newcomer, Iterator[str] | None
        ] = {}  # each with the names that are left to check, once that began
        self._is_put_off = False  # whether checking them continues in a later turn
        self.patterned: Callable[[str, bool], None] | None = None

    # Called by the hub.

    def created(self, topic: Topic, now: float) -> None:
        """`topic` was created, at the time `now`, seconds."""
        if self._life_listeners:
            self.unannounced[topic] = None
            self._turns.ask_for_flush()
        self.tell_followers(topic, now)

    def tell_followers(self, topic: Topic, now: float) -> None:
        """Tell the readers whose patterns match `topic`; if there are very many, some of them in the next turns."""
        self._tell_some(topic, deque(self._find_followers(topic.name)), now)

    def _tell_some(self, topic: Topic, followers: deque[PatternSubscriber], now: float) -> None:
        while followers:
            portion = [followers.popleft() for _ in range(min(_FOLLOWERS, len(followers)))]
            self._turns.spend(_TELLING * len(portion))
            tell_each(portion, lambda follower: follower.topic_created(topic))
            if topic.watchers:
                break  # If none of this portion has room for the topic, a later one may have.
        topic.joining = len(followers)
        if followers:
            topic.active_until = max(topic.active_until, now + _LASTS)
            self._turns.put_off(lambda shared: self._tell_more(topic, followers, shared))

    def _tell_more(self, topic: Topic, followers: deque[PatternSubscriber], shared: Shared) -> None:
        if not topic.is_over:  # Otherwise they have heard of the life in its place.
            self._tell_some(topic, followers, shared.now)

    def announce(self) -> None:
        """Report the topics that were created since the last call."""
        created, self.unannounced = self.unannounced, {}
        for topic in created:
            self._tell_of_creation(topic)

    def _tell_of_creation(self, topic: Topic) -> None:
        tell_each(self._life_listeners, lambda listener: listener.topic_created(topic))

    def ended(self, topic: Topic) -> None:
        """A publisher has ended `topic`."""
        if self.unannounced:  # It may be among them.
            self.announce()
        tell_each(self._life_listeners, lambda listener: listener.topic_ended(topic))

    def dropped(self, topic: Topic) -> None:
        """`topic` was dropped."""
        tell_each(self._life_listeners, lambda listener: listener.topic_dropped(topic))

    # Which topics there are.

    def observe(self, listener: LifeListener) -> None:
        """Notify `listener` of topics that are created, end or are dropped. It must call `unobserve` later."""
        self._life_listeners[listener] = None

    def unobserve(self, listener: LifeListener) -> None:
        """Stop notifying `listener`."""
        self._life_listeners.pop(listener, None)

    # Which topics a pattern matches.

    @property
    def has_followers(self) -> bool:
        """Whether there is any reader of patterns, so that a publish may create its topic."""
        return bool(self._followers)

    def _find_followers(self, name: str) -> Iterator[PatternSubscriber]:
        """The readers whose pattern matches `name`. Do not call `follow` or `unfollow` while you iterate."""
        return find_patterns(self._followers, name, self._turns)

    def is_followed(self, name: str) -> bool:
        """Whether a reader has a pattern that matches the topic `name`."""
        return any(True for _ in self._find_followers(name))

    def is_wanted(self, name: str) -> bool:
        """Whether a reader of patterns would watch the topic `name` if it were created; then it counts as watched."""
        return any(_has_room(each, name) for each in self._find_followers(name))

    def count_followers(self, name: str) -> int:
        """How many readers of patterns would watch the topic `name` if it were created."""
        return sum(_has_room(each, name) for each in self._find_followers(name))

    def leave_out(self, name: str) -> None:
        """A message for the topic `name` was refused because no reader has room for it: tell those that match it."""
        tell_each(self._find_followers(name), lambda follower: follower.leave_out())

    def patterns(self) -> Iterator[str]:
        """Each pattern that has a reader. Do not call `follow` or `unfollow` while you iterate."""
        return self._followers.paths()

    def note_elsewhere(self, patterns: Iterable[str]) -> None:
        """Set the patterns that are read at other nodes; their shapes count as well."""
        self._shapes.note_elsewhere(patterns)

    def follow(self, pattern: str, follower: PatternSubscriber) -> None:
        """Notify `follower` of new topics that `pattern` matches. It must call `unfollow` later.

        Raises:
            TooManyPatterns: the patterns that are read, here and at other nodes, have too many other shapes. The
                follower was not added.
        """
        self._shapes.add(pattern)
        self._followers.add(pattern, follower)
        if self.patterned is not None:
            self.patterned(pattern, True)  # noqa: FBT003 - of the signature
        self.tell_count_listeners_of(pattern, follower)

    def unfollow(self, pattern: str, follower: PatternSubscriber) -> None:
        """Stop notifying `follower`, which was passed to `follow` with this pattern."""
        self._shapes.remove(pattern)
        self._followers.remove(pattern, follower)
        self._newcomers.pop((pattern, follower), None)
        if self.patterned is not None:
            self.patterned(pattern, False)  # noqa: FBT003 - of the signature

    # Whether a topic is watched.

    def is_expected(self, name: str) -> bool:
        """Whether a listener waits until the topic `name` is watched."""
        return name in self.count_listeners

    def expect(self, name: str, listener: WatcherCountListener) -> None:
        """Notify `listener` once, when the topic `name` gets its next watcher."""
        if name not in self.count_listeners:
            self.count_listeners[name] = {}
            self._expected.add(name, name)
        self.count_listeners[name][listener] = None

    def unexpect(self, name: str, listener: WatcherCountListener) -> None:
        """Do not notify `listener` any more. It may have been notified already."""
        listeners = self.count_listeners.get(name, {})
        listeners.pop(listener, None)
        if not listeners and self.count_listeners.pop(name, None) is not None:
            self._expected.remove(name, name)

    def tell_count_listeners(self, name: str, watchers: int) -> None:
        """Notify all that wait for the topic `name` that it has this many watchers."""
        listeners = self.count_listeners.pop(name, None)
        if listeners is None:
            return
        self._expected.remove(name, name)
        self._tell(iter(list(listeners)), watchers)

    def _tell(self, rest: Iterator[WatcherCountListener], watchers: int) -> None:
        """Notify as many of `rest` as fit into one turn, and the others in the next turns."""
        portion = list(islice(rest, _TOLD))
        tell_each(portion, lambda listener: listener.topic_watched(watchers))
        if len(portion) == _TOLD:
            self._turns.put_off(lambda _: self._tell_rest(rest, watchers))

    def _tell_rest(self, rest: Iterator[WatcherCountListener], watchers: int) -> None:
        self._turns.room -= _TOLD * WAKE
        self._tell(rest, watchers)

    def tell_count_listeners_of(self, pattern: str, follower: PatternSubscriber | None = None) -> None:
        """Notify listeners that wait for topics which `pattern` matches, because a reader now has that pattern.

        Listeners for which this turn has no room are notified in a later one.

        Args:
            follower: the reader; None for one at another node, of which nothing more is known.
        """
        if not self.count_listeners:
            return
        self._newcomers[pattern, follower] = None
        if not self._is_put_off:
            if self._turns.is_free():
                self._look_at_newcomers()
            else:
                self._look_later()

    def _look_later(self) -> None:
        self._is_put_off = True
        self._turns.put_off(lambda _: self._look_at_newcomers())

    def _look_at_newcomers(self) -> None:
        """Check as many newcomers as this turn has room for, and the others in the next turns."""
        turns = self._turns
        self._is_put_off = False
        while self._newcomers and turns.room > 0:
            newcomer, names = next(iter(self._newcomers.items()))
            pattern, follower = newcomer
            if names is None:
                names = self._newcomers[newcomer] = iter(self._find_expected(pattern))
            for name in names:
                turns.spend(STEP)
                listeners = self.count_listeners.get(name)
                if listeners and matches(pattern, name) and (follower is None or _has_room(follower, name)):
                    turns.spend(WAKE * min(len(listeners), _TOLD))
                    self.tell_count_listeners(name, 1)
                if turns.room <= 0:
                    break
            else:
                self._newcomers.pop(newcomer, None)
        if self._newcomers:
            self._look_later()

    def _find_expected(self, pattern: str) -> list[str]:
        """The awaited names that `pattern` matches; all awaited names, if that search would take too long."""
        walk = Walk()
        try:
            return list(self._expected.names_for(pattern, walk))
        except BadTopic:
            return list(self.count_listeners)
        finally:
            self._turns.spend(walk.taken * STEP)
