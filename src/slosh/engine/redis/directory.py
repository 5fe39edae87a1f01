"""What a node knows of the topics and patterns of all nodes, beyond the topics that it mirrors.

The store has two lists: of active topics, and of patterns that are read. Each entry expires unless it is renewed.
A list is not updated in one step with the topics (in a cluster it is at another server), so it may name a topic that
has just become inactive, but for no longer than a lease. So requests always ask for the topic itself.

Urgent news is sent on a channel to which every node subscribes: `+name`, a topic was created; `~`, the patterns have
changed; `~node`, a node has withdrawn some; `!name`, a publisher has ended a topic. A node with an older version
ignores news that it does not know.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from slosh.core.hub import Hub
from slosh.core.listeners import tell_each
from slosh.engine.base import TopicFacts, TopicListener, WatcherCount
from slosh.engine.redis.client.command import Argument
from slosh.engine.redis.collecting import FactsRound, PatternSearch, TopicFactsSearch, TopicOpener
from slosh.engine.redis.doubts import Doubts
from slosh.engine.redis.facts import Facts
from slosh.engine.redis.foreign import ForeignPatterns
from slosh.engine.redis.scripts import ENLIST, LISTED, Script
from slosh.engine.redis.view import View
from slosh.errors import SloshError

_SURVEY_EVERY: Final = 1.0
"""Seconds between two comparisons of the list of topics, while there are listeners."""
_ENLISTED: Final = 1000
"""Names that one step adds to a list at most."""


class Directory:
    """The lists, and the listeners to them.

    Args:
        view: the store.
        hub: the mirrors.
        facts: asks for the facts of a topic.
        doubts: decides whether a topic really has no watcher when the store says so.

    Attributes:
        active: the number of active topics on all nodes, as last reported.
        mirrors: of this node. Set it before you call anything else.
    """

    mirrors: TopicOpener

    def __init__(self, view: View, hub: Hub, facts: Facts, doubts: Doubts) -> None:
        self._view = view
        self._hub = hub
        self._facts = facts
        self._doubts = doubts
        self._to_keep: dict[str, int] = {}
        self._listed_until: dict[str, float] = {}
        self._openers: dict[str, str] = {}  # the client of each topic that a publisher created here
        self._followed: Counter[str] = Counter()  # patterns by their readers here
        self._foreign = ForeignPatterns(view, hub)
        self._seekers: dict[PatternSearch, None] = {}
        self._expected: set[str] = set()
        self._listeners: dict[TopicListener, None] = {}
        self._seen: set[str] = set()
        self._seen_ended: set[str] = set()
        self._surveys = False
        self.active = 0

    def start(self) -> None:
        """Begin. The caller must call `stop`."""
        self._hub.listeners.patterned = self._patterned
        self._renew_patterns()

    def stop(self) -> None:
        """Remove this node's patterns from the list."""
        if self._followed and self._view.servers.are_up:
            self._unlist_patterns(list(self._followed))

    def came_up(self) -> None:
        """A server can be reached again: fetch what may have been missed. Listeners get it with the next survey."""
        self._foreign.keep_for_a_lease()
        self._list_patterns(list(self._followed), self._tell_of_patterns)
        self._foreign.fetch()
        for name in self._expected:
            self.subscribed(name)
        if self._followed:
            self._fetch(self._view.keys.topics, self._open_followed)

    def heard(self, news: bytes) -> None:
        """News was received; see the top of this file."""
        if news.startswith(b"~"):
            self._foreign.fetch(news[1:].decode())
        elif news.startswith(b"+"):
            name = news[1:].decode()
            if self._hub.listeners.is_followed(name):
                self.mirrors.open(name, self._view.now(), _ignore)
            for seeker in tuple(self._seekers):
                seeker.found([name])
            if self._listeners:
                FactsRound(self._facts, [name], self._seen_now, _nothing).go_on()
        elif news.startswith(b"!") and self._listeners:
            FactsRound(self._facts, [news[1:].decode()], self._seen_now, _nothing).go_on()

    # Active topics.

    def lists(self, name: str) -> bool:
        """Whether this node has listed a topic as active, and the entry has not expired."""
        return self._listed_until.get(name, 0.0) > self._view.now()

    def tell_of_creation(self, name: str, opener: str = "") -> None:
        """Tell all nodes that a topic was created here.

        Args:
            opener: the client for which it counts while it is listed; empty if a mirror counts it.
        """
        self.active += 1
        if opener and name not in self._openers:
            self._openers[name] = opener
            self._hub.shares.expect_topic(opener)
        life = self._to_keep[name] = max((times := self._view.times_of(name)).linger_ms, times.lease_ms)
        self._listed_until[name] = self._view.now() + life / 1000
        self._keep_now()
        self._publish(b"+" + name.encode())

    def tell_of_end(self, name: str) -> None:
        """Tell all nodes that a publisher has ended a topic here, for their listeners."""
        self._publish(b"!" + name.encode())

    def keep(self, name: str, watchers: int, until: float) -> None:
        """Keep a topic in the list as long as it is active, as far as this node knows."""
        now = self._view.now()
        times = self._view.times_of(name)
        left = max(until - now, times.lease_ms / 1000 if watchers else 0.0)
        if left > 0 and self._listed_until.get(name, 0.0) < now + left - times.visit / 2:
            self._listed_until[name] = now + left
            if not self._to_keep:
                self._view.call_at(now, self._keep_now)
            self._to_keep[name] = int(left * 1000)

    def forget(self, name: str) -> None:
        """Stop renewing the topic's entry."""
        self._listed_until.pop(name, None)
        self._forget_opener(name)

    def _forget_opener(self, name: str) -> None:
        self._hub.shares.forget_topic(self._openers.pop(name, ""))

    def list_topics(self, after: str, most: int, done: Callable[[Sequence[TopicFacts] | SloshError], None]) -> None:
        """List at most `most` active topics after the name `after`, in the order of their names."""

        def listed(reply: list[bytes] | SloshError) -> None:
            if isinstance(reply, SloshError):
                done(reply)
                return
            names = sorted(name for name in map(bytes.decode, reply) if name > after)
            TopicFactsSearch(self._facts, names, most, done).go_on()

        self._fetch(self._view.keys.topics, listed)

    def gather(self, patterns: Sequence[str], done: Callable[[SloshError | None], None]) -> None:
        """Open all active topics that one of `patterns` matches, then call `done`."""
        seeker = PatternSearch(self._view, self.mirrors, patterns, done)
        self._seekers[seeker] = None

        def listed(reply: list[bytes] | SloshError) -> None:
            if isinstance(reply, SloshError):
                seeker.fail(reply)
            else:
                # An ended topic is mirrored here completely. Opening it would extend its `linger` at each poll.
                seeker.found([name for name in map(bytes.decode, reply) if not self.mirrors.has_ended(name)])
                seeker.end()

        seeker.ended = lambda: self._seekers.pop(seeker, None)
        self._fetch(self._view.keys.topics, listed)

    def _keep_now(self) -> None:
        to_keep, self._to_keep = self._to_keep, {}
        if to_keep and not self._view.is_stopped:
            self._enlist(self._view.keys.topics, to_keep, self._count_active)

    def _count_again(self) -> None:
        """Update `active`: a node at its bound lists nothing, and would otherwise never learn that it can again."""
        self._enlist(self._view.keys.topics, {}, self._count_active)
        now = self._view.now()  # A topic that is posted to and mirrored nowhere ends without a `forget`.
        self._listed_until = {name: until for name, until in self._listed_until.items() if until > now}
        for name in [name for name in self._openers if name not in self._listed_until]:
            self._forget_opener(name)

    def _count_active(self, reply: int | SloshError) -> None:
        if not isinstance(reply, SloshError):
            self.active = reply

    # Listeners to which topics there are.

    def observe(self, listener: TopicListener) -> None:
        """Notify `listener` of topics that become active, end, or become inactive."""
        self._listeners[listener] = None
        if not self._surveys:
            self._surveys = True
            self._survey()

    def unobserve(self, listener: TopicListener) -> None:
        """Stop notifying `listener`."""
        self._listeners.pop(listener, None)

    def _survey(self) -> None:
        if self._view.is_stopped or not self._listeners:
            self._surveys = False
            self._seen = set()
            self._seen_ended = set()
            return

        def ended() -> None:
            self._view.call_at(self._view.now() + _SURVEY_EVERY, self._survey)

        def listed(reply: list[bytes] | SloshError) -> None:
            names = [] if isinstance(reply, SloshError) else [*{*map(bytes.decode, reply), *self._seen}]
            FactsRound(self._facts, names, self._seen_now, ended).go_on()

        self._fetch(self._view.keys.topics, listed)

    def _seen_now(self, name: str, facts: TopicFacts | int) -> None:
        is_active = isinstance(facts, TopicFacts)
        if is_active != (name in self._seen):
            (self._seen.add if is_active else self._seen.discard)(name)
            if isinstance(facts, TopicFacts):
                active = facts
                tell_each(self._listeners, lambda listener: listener.topic_active(active))
            else:
                tell_each(self._listeners, lambda listener: listener.topic_inactive(name))
        is_ended = isinstance(facts, TopicFacts) and facts.ended
        if is_ended != (name in self._seen_ended):
            (self._seen_ended.add if is_ended else self._seen_ended.discard)(name)
            if is_ended:
                tell_each(self._listeners, lambda listener: listener.topic_ended(name))

    # Listeners that wait until a topic is watched.

    def expect(self, name: str) -> None:
        """Listen to when a topic is watched."""
        self._expected.add(name)
        self._view.servers.listen(self._view.keys.watched(name))

    def unexpect(self, name: str) -> None:
        """Listen to it no more, unless others do."""
        if name in self._expected and not self._hub.listeners.is_expected(name):
            self._expected.discard(name)
            self._view.servers.unlisten(self._view.keys.watched(name))

    def subscribed(self, name: str) -> None:
        """From now on everything is heard of a topic: look what was told before."""
        if name not in self._expected:
            return

        def counted(watched: WatcherCount | SloshError) -> None:
            if isinstance(watched, WatcherCount) and watched.watchers and not watched.ended:
                self._hub.listeners.tell_count_listeners(name, watched.watchers)

        self.count_watchers(name, counted)

    # Patterns.

    def count_watchers(self, name: str, done: Callable[[WatcherCount | SloshError], None]) -> None:
        """Tell how many watch topic `name`, even if only patterns do."""

        def answered(facts: TopicFacts | int | SloshError) -> None:
            if isinstance(facts, TopicFacts):
                done(WatcherCount(facts.watchers, facts.ended))
            elif isinstance(facts, SloshError):
                done(facts)
            else:
                done(WatcherCount(facts + self.count_followers(name)))

        def refused(error: SloshError | None) -> None:
            answered(error or 0)

        def ask() -> None:
            self._facts.find(name, answered, doubt)

        def doubt(listening: int) -> None:
            self._doubts.weigh(name, since, listening, ask, refused)

        since = self._view.now()
        ask()

    def is_wanted(self, name: str) -> bool:
        """Whether a reader would watch topic `name` if it were created. At other nodes each matching pattern counts."""
        return self._hub.listeners.is_wanted(name) or any(True for _ in self._foreign.find(name))

    def count_followers(self, name: str) -> int:
        """How many readers would watch topic `name` if it were created. Patterns of other nodes count once each."""
        return self._hub.listeners.count_followers(name) + sum(1 for _ in self._foreign.find(name))

    def patterns(self) -> Iterator[str]:
        """The patterns that are read here, then those of other nodes."""
        yield from self._hub.listeners.patterns()
        yield from self._foreign.paths()

    def _patterned(self, pattern: str, is_new: bool) -> None:  # noqa: FBT001 - the hub's signature
        self._followed[pattern] += 1 if is_new else -1
        if is_new and self._followed[pattern] == 1:
            self._list_patterns([pattern], self._tell_of_patterns)
        elif not self._followed[pattern]:
            del self._followed[pattern]
            self._unlist_patterns([pattern])

    def _list_patterns(self, patterns: list[str], listed: Callable[[Any], None]) -> None:
        if patterns:
            named = {f"{self._view.node} {pattern}": self._view.times.lease_ms for pattern in patterns}
            self._enlist(self._view.keys.patterns, named, listed)

    def _tell_of_patterns(self, _: object) -> None:
        """Called once they are listed: in a cluster the news may come from another server, and be faster."""
        self._publish(b"~")

    def _open_followed(self, reply: list[bytes] | SloshError) -> None:
        """Open the topics whose creation this node has missed."""
        if not isinstance(reply, SloshError):
            for name in map(bytes.decode, reply):
                if name not in self.mirrors and self._hub.listeners.is_followed(name):
                    self.mirrors.open(name, self._view.now(), _ignore)

    def _unlist_patterns(self, patterns: list[str]) -> None:
        names = [f"{self._view.node} {pattern}" for pattern in patterns]
        self._view.send(self._view.keys.patterns, ("ZREM", self._view.keys.patterns, *names), _ignore)
        self._publish(b"~" + self._view.node.encode())

    def _renew_patterns(self) -> None:
        if not self._view.is_stopped:
            self._view.call_at(self._view.now() + self._view.times.visit, self._renew_patterns)
            self._list_patterns(list(self._followed), _ignore)
            self._foreign.fetch()
            self._count_again()

    # Requests to the store.

    def _fetch(self, key: str, listed: Callable[[list[bytes] | SloshError], None]) -> None:
        self._call(LISTED, key, (), listed)

    def _enlist(self, key: str, names: dict[str, int], done: Callable[[Any], None]) -> None:
        """Add names to a list; many names in several steps, so that none blocks the store for long."""
        pairs = [part for name, ms in names.items() for part in (ms, name)]
        for at in range(0, max(1, len(pairs)), 2 * _ENLISTED):
            self._call(ENLIST, key, (self._view.times.spare_ms, *pairs[at : at + 2 * _ENLISTED]), done)

    def _call(self, script: Script, key: str, arguments: tuple[Argument, ...], done: Callable[[Any], None]) -> None:
        self._view.send(key, script.call([key], self._view.clock(), *arguments), done)

    def _publish(self, news: bytes) -> None:
        self._view.send(self._view.keys.news, ("PUBLISH", self._view.keys.news, news), _ignore)


def _nothing() -> None:
    """A callback that does nothing."""


def _ignore(_: object) -> None:
    """A callback for replies that do not matter."""
