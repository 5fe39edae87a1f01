"""Listeners hear of topics without watching them: which there are, which a pattern matches, whether one is watched.

The rules of this file:

* A new topic is announced at the end of the turn, when the reader that created it watches it already; a reader of a
  pattern is told at once, because it has to watch the topic before its first message. If these are very many, some
  are told in later turns. They watch the topic from its first message on, like the others, and count as watchers of it
  meanwhile (`Topic.joining`). The topic lives until all are told.
* A topic is announced before its end: `announce` comes before `ended` and `dropped`.
* Those who wait for a topic to be watched are told once, and very many of them over several turns.
* A name's walk through the patterns, and a pattern's through the names that are waited for, count as work of the turn.
* A listener that fails keeps none of the others from hearing it, nor what else has to be done in that turn.
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
"""Bytes of other work that a turn does less for each reader of patterns that is told of a topic."""
_FOLLOWERS: Final = 1024
"""Readers of patterns that are told of a topic in one turn."""
_LASTS: Final = 1.0
"""Seconds that a topic lasts at least after some of them were told, while there are more."""
_TOLD: Final = 128
"""Feeders that are told in one turn that their topic is watched."""


class LifeListener(Protocol):
    """Somebody who wants to know which topics there are."""

    def topic_created(self, topic: Topic) -> None:
        """A topic was created. It must not be changed here.

        Called at the end of the turn, when the reader that created it watches it already.
        """

    def topic_ended(self, topic: Topic) -> None:
        """A publisher has ended a topic, which lingers from now on."""

    def topic_dropped(self, topic: Topic) -> None:
        """A topic's life is over."""


class PatternSubscriber(Protocol):
    """A reader of all topics that a pattern matches."""

    def topic_created(self, topic: Topic) -> None:
        """A topic was created that the pattern matches. The follower is to watch it, unless it does already.

        If very many follow some are called in a later turn, and may have given up meanwhile.
        """

    def has_room_for(self, name: str) -> bool:
        """Whether it would watch the topic `name`, which the pattern matches, if that were created now."""

    def leave_out(self) -> None:
        """A message for a topic that the pattern matches was refused, because there is no room for the topic."""


class WatcherCountListener(Protocol):
    """Somebody who waits until a topic is watched."""

    def topic_watched(self, watchers: int) -> None:
        """It is, by this many. Called once; the hub has forgotten the listener then.

        If very many wait some are called in a later turn, and may have given up meanwhile.
        """


_Newcomer = tuple[str, PatternSubscriber | None]
"""A pattern, and who has begun to read by it; None for somebody at another node."""


def tell_each(listeners: Iterable[L], tell: Callable[[L], object]) -> None:
    """Call `tell` with each of `listeners`. One that fails keeps none of the others from hearing it."""
    for listener in tuple(listeners):
        try:
            tell(listener)
        except Exception:
            logger.exception("a listener failed; the others go on")


def find_patterns(tree: Tree[L], name: str, turns: Portions) -> Iterator[L]:
    """The values of `tree` at all patterns that match `name`. The walk counts as work of this turn."""
    if not tree:
        return iter(())
    walk = Walk()
    found = tree.patterns_for(name, walk)
    turns.spend(walk.taken * STEP)
    return found


def _has_room(follower: PatternSubscriber, name: str) -> bool:
    """Whether `follower` would watch the topic `name`. One that fails would not."""
    try:
        return follower.has_room_for(name)
    except Exception:
        logger.exception("a reader of patterns failed; the others go on")
        return False


class Listeners:
    """All of them, of one hub.

    Args:
        turns: in which very many are told.

    Attributes:
        unannounced: topics that were created in this turn; `announce` tells of them.
        count_listeners: who waits for a topic to be watched, by the topic's name.
        patterned: called with a pattern that has got (True) or lost a follower. For an engine that tells others of it.
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
        self._expected: Tree[str] = Tree()  # names of the topics that they wait for
        self._newcomers: dict[_Newcomer, Iterator[str] | None] = {}  # to be told of; names to look at, once that began
        self._is_put_off = False  # whether that goes on in a later turn
        self.patterned: Callable[[str, bool], None] | None = None

    # Called by the hub.

    def created(self, topic: Topic, now: float) -> None:
        """`topic` was created, at the time `now`, seconds."""
        if self._life_listeners:
            self.unannounced[topic] = None
            self._turns.ask_for_flush()
        self.tell_followers(topic, now)

    def tell_followers(self, topic: Topic, now: float) -> None:
        """Tell the readers of patterns that take `topic` in: some of very many, and the others in the next turns."""
        self._tell_some(topic, deque(self._find_followers(topic.name)), now)

    def _tell_some(self, topic: Topic, followers: deque[PatternSubscriber], now: float) -> None:
        while followers:
            portion = [followers.popleft() for _ in range(min(_FOLLOWERS, len(followers)))]
            self._turns.spend(_TELLING * len(portion))
            tell_each(portion, lambda follower: follower.topic_created(topic))
            if topic.watchers:
                break  # If nobody of those has room for it, one of the others may have.
        topic.joining = len(followers)
        if followers:
            topic.active_until = max(topic.active_until, now + _LASTS)
            self._turns.put_off(lambda shared: self._tell_more(topic, followers, shared))

    def _tell_more(self, topic: Topic, followers: deque[PatternSubscriber], shared: Shared) -> None:
        if not topic.is_over:  # Otherwise they have heard of the life in its place.
            self._tell_some(topic, followers, shared.now)

    def announce(self) -> None:
        """Tell of the topics that were created since the last call."""
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
        """The life of `topic` is over."""
        tell_each(self._life_listeners, lambda listener: listener.topic_dropped(topic))

    # Which topics there are.

    def observe(self, listener: LifeListener) -> None:
        """Tell `listener` of topics that are created and end. It must call `unobserve` later."""
        self._life_listeners[listener] = None

    def unobserve(self, listener: LifeListener) -> None:
        """Tell it no more."""
        self._life_listeners.pop(listener, None)

    # Which topics a pattern matches.

    @property
    def has_followers(self) -> bool:
        """Whether anybody reads by a pattern, so that a publish may create its topic."""
        return bool(self._followers)

    def _find_followers(self, name: str) -> Iterator[PatternSubscriber]:
        """All whose pattern matches the topic `name`. Nothing may follow or unfollow until they are read."""
        return find_patterns(self._followers, name, self._turns)

    def is_followed(self, name: str) -> bool:
        """Whether somebody reads by a pattern that matches the topic `name`."""
        return any(True for _ in self._find_followers(name))

    def is_wanted(self, name: str) -> bool:
        """Whether somebody would watch the topic `name` if it were created, so that it counts as watched before."""
        return any(_has_room(each, name) for each in self._find_followers(name))

    def count_followers(self, name: str) -> int:
        """How many would watch the topic `name` if it were created."""
        return sum(_has_room(each, name) for each in self._find_followers(name))

    def leave_out(self, name: str) -> None:
        """A message for the topic `name` was refused because nobody would watch it: tell those who read it."""
        tell_each(self._find_followers(name), lambda follower: follower.leave_out())

    def patterns(self) -> Iterator[str]:
        """Each pattern by which somebody reads. Nothing may follow or unfollow until it is read."""
        return self._followers.paths()

    def note_elsewhere(self, patterns: Iterable[str]) -> None:
        """Count the shapes of just these patterns as well, by which somebody reads at other nodes."""
        self._shapes.note_elsewhere(patterns)

    def follow(self, pattern: str, follower: PatternSubscriber) -> None:
        """Tell `follower` of topics that are created and that `pattern` matches. It must call `unfollow` later.

        Raises:
            TooManyPatterns: those who follow already, here and at other nodes, have patterns of too many other shapes.
                It does not follow.
        """
        self._shapes.add(pattern)
        self._followers.add(pattern, follower)
        if self.patterned is not None:
            self.patterned(pattern, True)  # noqa: FBT003 - of the signature
        self.tell_count_listeners_of(pattern, follower)

    def unfollow(self, pattern: str, follower: PatternSubscriber) -> None:
        """Tell `follower`, which follows, no more."""
        self._shapes.remove(pattern)
        self._followers.remove(pattern, follower)
        self._newcomers.pop((pattern, follower), None)
        if self.patterned is not None:
            self.patterned(pattern, False)  # noqa: FBT003 - of the signature

    # Whether a topic is watched.

    def is_expected(self, name: str) -> bool:
        """Whether somebody waits until the topic `name` is watched."""
        return name in self.count_listeners

    def expect(self, name: str, listener: WatcherCountListener) -> None:
        """Tell `listener` when the topic `name` is watched next."""
        if name not in self.count_listeners:
            self.count_listeners[name] = {}
            self._expected.add(name, name)
        self.count_listeners[name][listener] = None

    def unexpect(self, name: str, listener: WatcherCountListener) -> None:
        """Tell it no more. It may have been told already."""
        listeners = self.count_listeners.get(name, {})
        listeners.pop(listener, None)
        if not listeners and self.count_listeners.pop(name, None) is not None:
            self._expected.remove(name, name)

    def tell_count_listeners(self, name: str, watchers: int) -> None:
        """Tell all who wait for it that the topic `name` is watched, by this many."""
        listeners = self.count_listeners.pop(name, None)
        if listeners is None:
            return
        self._expected.remove(name, name)
        self._tell(iter(list(listeners)), watchers)

    def _tell(self, rest: Iterator[WatcherCountListener], watchers: int) -> None:
        """Tell so many of `rest` that this turn has room for, and the others in the next turns."""
        portion = list(islice(rest, _TOLD))
        tell_each(portion, lambda listener: listener.topic_watched(watchers))
        if len(portion) == _TOLD:
            self._turns.put_off(lambda _: self._tell_rest(rest, watchers))

    def _tell_rest(self, rest: Iterator[WatcherCountListener], watchers: int) -> None:
        self._turns.room -= _TOLD * WAKE
        self._tell(rest, watchers)

    def tell_count_listeners_of(self, pattern: str, follower: PatternSubscriber | None = None) -> None:
        """Tell all who wait for a topic that `pattern` matches that somebody reads it by that.

        Those for whom this turn has no room are told in a later one.

        Args:
            follower: who reads; None for one at another node, of whom nothing more is known.
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
        """Tell of as many newcomers as this turn has room for, and of the others in the next turns."""
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
        """The names that are waited for and that `pattern` matches; all, if to find these is a walk too long."""
        walk = Walk()
        try:
            return list(self._expected.names_for(pattern, walk))
        except BadTopic:
            return list(self.count_listeners)
        finally:
            self._turns.spend(walk.taken * STEP)
