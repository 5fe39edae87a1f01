"""The default engine: messages live in this process and die with it.

An acknowledged message is in the ring of its topic, in memory. A restart forgets it, and readers who come
with a cursor from before are told so (`reset`).
"""

import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import ClassVar

from slosh.compiled import mypyc_attr
from slosh.core.hub import Expectant, Hub
from slosh.core.topic import Topic
from slosh.engine.base import Engine, Onlooker, Published, TopicFacts, facts_of
from slosh.engine.idempotency import Replays
from slosh.errors import NoWatchers, SloshError


@mypyc_attr(allow_interpreted_subclasses=True)
class MemoryEngine(Engine):
    """Engine over the hub itself.

    Args:
        hub: the topics, which are the store too.
        keep: whether a publish brings a topic to life (`unwatched = keep`) instead of being refused.
        max_keys: how many idempotency keys are remembered.
        wall: gives the seconds since 1970, for the times of arrival that readers are told.
    """

    page: ClassVar[int] = 500

    def __init__(self, hub: Hub, *, keep: bool, max_keys: int = 10_000, wall: Callable[[], float] = time.time) -> None:
        super().__init__(hub)
        self.replays = Replays(max_keys)
        self._keep = keep
        self._wall = wall
        self._onlookers: dict[Onlooker, None] = {}

    @property
    def forgotten_keys(self) -> int:
        """As the engine promises."""
        return self.replays.forgotten

    async def start(self) -> None:
        """There is nothing to make ready."""

    async def stop(self) -> None:
        """There is nothing to let go of."""

    def trouble(self) -> SloshError | None:
        """There is none: memory is always there."""
        return None

    def take(self, name: str, messages: Sequence[bytes], now: float, key: str = "") -> Published | SloshError:
        """As the engine promises; it can always be told at once."""
        replay = self.replays.find(name, key, now) if key else None
        if replay is not None:
            return replay
        topic = self.hub.find(name, now)
        # With `keep` each message begins the time of lingering anew, as a reader would.
        if self._keep or (topic is None and self.hub.is_followed(name)):
            try:
                topic = self.hub.open(name, now)
            except SloshError as error:
                return error
        if topic is None:
            return NoWatchers()
        self.hub.append(topic, messages, now, int(self._wall() * 1000))
        published = Published(topic.epoch, topic.last, len(topic.watchers), len(messages))
        if key:
            self.replays.keep(name, key, now, published)
        return published

    def is_unwatched(self, name: str, now: float) -> bool:
        """As the engine promises; it always is known."""
        return not self._keep and self.hub.find(name, now) is None and not self.hub.is_followed(name)

    def publish(
        self,
        name: str,
        messages: Sequence[bytes],
        now: float,
        done: Callable[[Published | SloshError], None],
        key: str = "",
    ) -> None:
        """As the engine promises; `done` is called before this returns."""
        done(self.take(name, messages, now, key))

    def at_hand(self, name: str, now: float) -> Topic | None:
        """As the engine promises. A topic that is not active is opened by `open` alone."""
        topic = self.hub.find(name, now)
        if topic is not None and not topic.watchers:
            self.hub.linger(topic, now)
        return topic

    def open(
        self,
        name: str,
        now: float,
        opened: Callable[[Topic | SloshError], None],
        *,
        fresh: bool = False,  # noqa: ARG002 - it always is
    ) -> None:
        """As the engine promises; `opened` is called before this returns."""
        try:
            topic = self.hub.open(name, now)
        except SloshError as error:
            opened(error)
            return
        opened(topic)

    def unopen(self, name: str, opened: Callable[[Topic | SloshError], None]) -> None:
        """As the engine promises; nobody waits for a topic here."""

    def look(
        self,
        name: str,
        now: float,
        looked: Callable[[Topic | SloshError | None], None],
        *,
        fresh: bool = False,  # noqa: ARG002 - it always is
    ) -> None:
        """As the engine promises; `looked` is called before this returns."""
        looked(self.hub.find(name, now))

    def gather(self, patterns: Sequence[str], now: float, done: Callable[[SloshError | None], None]) -> None:  # noqa: ARG002 - the hub knows all
        """As the engine promises; `done` is called before this returns."""
        done(None)

    def count_watchers(self, name: str, now: float, told: Callable[[int | SloshError], None]) -> None:
        """As the engine promises; `told` is called before this returns."""
        told(self.hub.interest(name, now))

    def expect(self, name: str, expectant: Expectant) -> None:
        """As the engine promises."""
        self.hub.expect(name, expectant)

    def unexpect(self, name: str, expectant: Expectant) -> None:
        """As the engine promises."""
        self.hub.unexpect(name, expectant)

    def list_topics(
        self, after: str, most: int, now: float, told: Callable[[Sequence[TopicFacts] | SloshError], None]
    ) -> None:
        """As the engine promises; `told` is called before this returns."""
        told([facts_of(topic, now) for topic in islice(self.hub.listed(after, now), most)])

    def observe(self, onlooker: Onlooker) -> None:
        """As the engine promises."""
        if not self._onlookers:
            self.hub.observe(self)
        self._onlookers[onlooker] = None

    def unobserve(self, onlooker: Onlooker) -> None:
        """As the engine promises."""
        self._onlookers.pop(onlooker, None)
        if not self._onlookers:
            self.hub.unobserve(self)

    def topic_born(self, topic: Topic) -> None:
        """As the hub's observer."""
        for onlooker in tuple(self._onlookers):
            onlooker.topic_active(facts_of(topic, topic.born))

    def topic_dropped(self, topic: Topic) -> None:
        """As the hub's observer."""
        for onlooker in tuple(self._onlookers):
            onlooker.topic_inactive(topic.name)
