"""What a node knows of all the nodes' topics and patterns, beyond those that it mirrors.

Two lists stand in the store: the active topics, and the patterns that are read, each name for a time that is renewed.
A list is not kept in one step with the topics (a cluster has it at another server), so it may name a topic that has
just ended, and never for longer than a lease: whoever asks looks at the topic itself.

News, on a channel that every node listens to, says what cannot wait: `+name`, a topic has come to life; `~`, the
patterns have changed.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from slosh.core.hub import Hub
from slosh.core.patterns import Tree, matches
from slosh.core.topic import Topic
from slosh.engine.base import Onlooker, TopicFacts
from slosh.engine.redis_keys import Keys
from slosh.engine.redis_scripts import ENLIST, LISTED, Argument, Script
from slosh.engine.redis_servers import Servers
from slosh.engine.redis_time import Times
from slosh.errors import SloshError

if TYPE_CHECKING:
    from slosh.engine.redis import RedisEngine

_SURVEY_EVERY: Final = 1.0
"""Seconds between two looks at which topics there are, while somebody wants to know."""
_MOST_GATHERED: Final = 300
"""Topics that are opened for one reader of patterns; it may have fewer, and is refused where there are more."""


class Directory:
    """The lists, and who wants to know of them.

    Args:
        engine: asks the store.
        hub: the mirrors.
        servers: of the store.
        keys: how its keys are called.
        times: how long things hold.
        node: this node's name.
        now: gives the time, seconds.
        call_at: has a function called at a time.
        clock: gives the store's time as the scripts take it.

    Attributes:
        active: how many topics were active on all nodes when that was last told.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - it is a part of the engine and shares what that has
        self,
        engine: "RedisEngine",
        hub: Hub,
        servers: Servers,
        keys: Keys,
        times: Times,
        node: str,
        now: Callable[[], float],
        call_at: Callable[[float, Callable[[], None]], object],
        clock: Callable[[], str],
    ) -> None:
        self._engine = engine
        self._hub = hub
        self._servers = servers
        self._keys = keys
        self._times = times
        self._node = node
        self._now = now
        self._call_at = call_at
        self._clock = clock
        self._to_keep: dict[str, int] = {}
        self._listed_until: dict[str, float] = {}
        self._followed: Counter[str] = Counter()  # patterns by their readers here
        self._foreign: Tree[str] = Tree()  # patterns that are read on other nodes, with the node
        self._seekers: dict[_Seeking, None] = {}
        self._expected: set[str] = set()
        self._onlookers: dict[Onlooker, None] = {}
        self._seen: set[str] = set()
        self._surveys = False
        self._is_stopped = False
        self.active = 0

    def start(self) -> None:
        """Begin. The caller owes a `stop`."""
        self._hub.patterned = self._patterned
        self._renew_patterns()

    def stop(self) -> None:
        """Take back what this node has listed of itself, and ask no more."""
        if self._followed and self._servers.are_up:
            self._unlist_patterns(list(self._followed))
        self._is_stopped = True

    def came_up(self) -> None:
        """News may have been missed."""
        self._list_patterns(list(self._followed))
        self._fetch_patterns()
        for name in self._expected:
            self.subscribed(name)
        if self._onlookers:
            self._survey()

    def heard(self, news: bytes) -> None:
        """There is news."""
        if news == b"~":
            self._fetch_patterns()
        elif news.startswith(b"+"):
            name = news[1:].decode()
            if self._hub.is_followed(name):
                self._engine.open(name, self._now(), _ignore)
            for seeker in tuple(self._seekers):
                seeker.found([name])
            if self._onlookers:
                self._look_at([name])

    # Active topics.

    def tell_of_birth(self, name: str) -> None:
        """Tell all nodes that a topic has come to life here."""
        self.active += 1
        self._to_keep[name] = max(self._times.linger_ms, self._times.lease_ms)
        self._keep_now()
        self._publish(b"+" + name.encode())

    def keep(self, name: str, watchers: int, until: float) -> None:
        """See that a topic stays in the list for as long as it is active as far as this node knows."""
        now = self._now()
        left = max(until - now, self._times.lease_ms / 1000 if watchers else 0.0)
        if left > 0 and self._listed_until.get(name, 0.0) < now + left - self._times.visit / 2:
            self._listed_until[name] = now + left
            if not self._to_keep:
                self._call_at(now, self._keep_now)
            self._to_keep[name] = int(left * 1000)

    def forget(self, name: str) -> None:
        """Renew it no more."""
        self._listed_until.pop(name, None)

    def list_topics(self, after: str, most: int, told: Callable[[Sequence[TopicFacts] | SloshError], None]) -> None:
        """Tell of at most `most` active topics behind the name `after`, in the order of their names."""

        def listed(reply: list[bytes] | SloshError) -> None:
            if isinstance(reply, SloshError):
                told(reply)
                return
            names = sorted(name for name in map(bytes.decode, reply) if name > after)
            _Listing(self._engine, names, most, told).go_on()

        self._fetch(self._keys.topics, listed)

    def gather(self, patterns: Sequence[str], done: Callable[[SloshError | None], None]) -> None:
        """Open all active topics that one of `patterns` takes in, then call `done`."""
        seeker = _Seeking(self._engine, patterns, done)
        self._seekers[seeker] = None

        def listed(reply: list[bytes] | SloshError) -> None:
            if isinstance(reply, SloshError):
                seeker.fail(reply)
            else:
                seeker.found([name.decode() for name in reply])
                seeker.end()

        seeker.ended = lambda: self._seekers.pop(seeker, None)
        self._fetch(self._keys.topics, listed)

    def _keep_now(self) -> None:
        to_keep, self._to_keep = self._to_keep, {}
        if to_keep and not self._is_stopped:
            self._enlist(self._keys.topics, to_keep, self._count_active)

    def _count_active(self, reply: int | SloshError) -> None:
        if not isinstance(reply, SloshError):
            self.active = reply

    # Who wants to know which topics there are.

    def observe(self, onlooker: Onlooker) -> None:
        """Tell `onlooker` of what comes and goes from now on."""
        self._onlookers[onlooker] = None
        if not self._surveys:
            self._surveys = True
            self._survey()

    def unobserve(self, onlooker: Onlooker) -> None:
        """Tell it no more."""
        self._onlookers.pop(onlooker, None)

    def _survey(self) -> None:
        if self._is_stopped or not self._onlookers:
            self._surveys = False
            self._seen = set()
            return

        def listed(reply: list[bytes] | SloshError) -> None:
            self._call_at(self._now() + _SURVEY_EVERY, self._survey)
            if not isinstance(reply, SloshError):
                self._look_at({*map(bytes.decode, reply), *self._seen})

        self._fetch(self._keys.topics, listed)

    def _look_at(self, names: Sequence[str] | set[str]) -> None:
        for name in names:
            self._engine.find_facts(name, partial(self._seen_now, name))

    def _seen_now(self, name: str, facts: TopicFacts | int | SloshError) -> None:
        if isinstance(facts, SloshError):
            return
        is_active = isinstance(facts, TopicFacts)
        if is_active == (name in self._seen):
            return
        (self._seen.add if is_active else self._seen.discard)(name)
        for onlooker in tuple(self._onlookers):
            if isinstance(facts, TopicFacts):
                onlooker.topic_active(facts)
            else:
                onlooker.topic_inactive(name)

    # Who waits until a topic is watched.

    def expect(self, name: str) -> None:
        """Listen to what is told of a topic that is not mirrored."""
        self._expected.add(name)
        self._servers.listen(self._keys.channel(name))

    def unexpect(self, name: str) -> None:
        """Listen to it no more, unless others do."""
        if name in self._expected and not self._hub.is_expected(name):
            self._expected.discard(name)
            if not self._engine.is_mirrored(name):
                self._servers.unlisten(self._keys.channel(name))

    def is_expected(self, name: str) -> bool:
        """Whether somebody waits until it is watched."""
        return name in self._expected

    def subscribed(self, name: str) -> None:
        """From now on everything is heard of a topic: look what was told before."""
        if name not in self._expected:
            return

        def counted(watchers: int | SloshError) -> None:
            if not isinstance(watchers, SloshError) and watchers:
                self._hub.tell_expectants(name, watchers)

        self._engine.count_watchers(name, self._now(), counted)

    # Patterns.

    def is_followed(self, name: str) -> bool:
        """Whether somebody, on whichever node, reads topic `name` by a pattern."""
        return self._hub.is_followed(name) or (
            bool(self._foreign) and any(True for _ in self._foreign.patterns_for(name))
        )

    def count_followers(self, name: str) -> int:
        """How many read topic `name` by a pattern; of other nodes each pattern counts once."""
        return self._hub.count_followers(name) + sum(1 for _ in self._foreign.patterns_for(name))

    def _patterned(self, pattern: str, is_new: bool) -> None:  # noqa: FBT001 - the hub's signature
        self._followed[pattern] += 1 if is_new else -1
        if is_new and self._followed[pattern] == 1:
            self._list_patterns([pattern])
            self._publish(b"~")
        elif not self._followed[pattern]:
            del self._followed[pattern]
            self._unlist_patterns([pattern])

    def _list_patterns(self, patterns: list[str]) -> None:
        if patterns:
            named = {f"{self._node} {pattern}": self._times.lease_ms for pattern in patterns}
            self._enlist(self._keys.patterns, named, _ignore)

    def _unlist_patterns(self, patterns: list[str]) -> None:
        names = [f"{self._node} {pattern}" for pattern in patterns]
        self._engine.send(self._keys.patterns, ("ZREM", self._keys.patterns, *names), _ignore)
        self._publish(b"~")

    def _renew_patterns(self) -> None:
        if not self._is_stopped:
            self._call_at(self._now() + self._times.visit, self._renew_patterns)
            self._list_patterns(list(self._followed))
            self._fetch_patterns()

    def _fetch_patterns(self) -> None:
        def listed(reply: list[bytes] | SloshError) -> None:
            if isinstance(reply, SloshError):
                return
            self._foreign = Tree()
            for node, _, pattern in (entry.decode().partition(" ") for entry in reply):
                if node != self._node:
                    self._foreign.add(pattern, f"{node} {pattern}")
                    self._hub.tell_expectants_of(pattern)

        self._fetch(self._keys.patterns, listed)

    # What is asked of the store.

    def _fetch(self, key: str, listed: Callable[[list[bytes] | SloshError], None]) -> None:
        self._call(LISTED, key, (), listed)

    def _enlist(self, key: str, names: dict[str, int], done: Callable[[Any], None]) -> None:
        pairs = [part for name, ms in names.items() for part in (ms, name)]
        self._call(ENLIST, key, (self._times.spare_ms, *pairs), done)

    def _call(self, script: Script, key: str, arguments: tuple[Argument, ...], done: Callable[[Any], None]) -> None:
        self._engine.send(key, script.call([key], self._clock(), *arguments), done)

    def _publish(self, news: bytes) -> None:
        self._engine.send(self._keys.news, ("PUBLISH", self._keys.news, news), _ignore)


class _Listing:
    """The facts of many topics, asked for in parts until there are enough."""

    def __init__(
        self,
        engine: "RedisEngine",
        names: list[str],
        most: int,
        told: Callable[[Sequence[TopicFacts] | SloshError], None],
    ) -> None:
        self._engine = engine
        self._names = names
        self._most = most
        self._told = told
        self._found: list[TopicFacts] = []
        self._missing = 0

    def go_on(self) -> None:
        """Ask for the next part, or tell."""
        wanted = self._most - len(self._found)
        part, self._names = self._names[:wanted], self._names[wanted:]
        if not part:
            self._told(self._found)
            return
        self._missing = len(part)
        for name in part:
            self._engine.find_facts(name, self._found_one)

    def _found_one(self, facts: TopicFacts | int | SloshError) -> None:
        if self._missing < 0:
            return  # It was refused already.
        if isinstance(facts, SloshError):
            self._missing = -1
            self._told(facts)
            return
        if isinstance(facts, TopicFacts):  # else it has ended since it was listed
            self._found.append(facts)
        self._missing -= 1
        if not self._missing:
            self._found.sort()
            self.go_on()


class _Seeking:
    """Topics that patterns take in, being opened; also those that come to life meanwhile."""

    def __init__(
        self, engine: "RedisEngine", patterns: Sequence[str], done: Callable[[SloshError | None], None]
    ) -> None:
        self._engine = engine
        self._patterns = patterns
        self._done = done
        self._names: set[str] = set()
        self._missing = 1  # the list itself
        self.ended: Callable[[], object] = lambda: None

    def found(self, names: Sequence[str]) -> None:
        """Open those of `names` that the patterns take in."""
        for name in names:
            is_new = name not in self._names and len(self._names) < _MOST_GATHERED
            if is_new and any(matches(pattern, name) for pattern in self._patterns):
                self._names.add(name)
                self._missing += 1
                self._engine.open(name, self._engine.hub_time(), self._opened)

    def end(self) -> None:
        """One of those that were missing is there; end with the last."""
        self._missing -= 1
        if not self._missing:
            self.ended()
            self._done(None)

    def fail(self, error: SloshError) -> None:
        """The list cannot be had."""
        self._missing = -1
        self.ended()
        self._done(error)

    def _opened(self, topic: Topic | SloshError) -> None:
        if self._missing < 0:
            return
        if isinstance(topic, SloshError):
            self.fail(topic)
        else:
            self.end()


def _ignore(_: object) -> None:
    """For answers that change nothing."""
