"""The default engine: messages live in this process, and are gone when it ends.

An acknowledged message is in the ring of its topic, in memory. A restart loses it, and readers that come
with a cursor from before are told `reset`.
"""

import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import ClassVar

from slosh.compiled import mypyc_attr
from slosh.core.hub import Hub
from slosh.core.listeners import WatcherCountListener, tell_each
from slosh.core.topic import EACH, Topic
from slosh.engine.base import Engine, Published, TopicFacts, TopicListener, WatcherCount, facts_of
from slosh.engine.idempotency import Replays, join
from slosh.errors import Draining, NoWatchers, SloshError, TopicEnded


@mypyc_attr(allow_interpreted_subclasses=True)
class MemoryEngine(Engine):
    """The engine that uses the hub as its store.

    Args:
        hub: the topics.
        max_keys: how many idempotency keys are remembered, of all clients together.
        wall: returns the seconds since 1970, for the times of arrival that readers are told.
    """

    page: ClassVar[int] = 128
    knows_all: ClassVar[bool] = True

    def __init__(self, hub: Hub, *, max_keys: int, wall: Callable[[], float] = time.time) -> None:
        super().__init__(hub)
        self.replays = Replays(max_keys)
        self._wall = wall
        self._listeners: dict[TopicListener, None] = {}
        self.is_handed_over = False
        """Whether another process has taken over the topics, or is doing so: new messages are refused."""

    @property
    def forgotten_keys(self) -> int:
        """As the base says."""
        return self.replays.forgotten

    async def start(self) -> None:
        """Nothing has to be started."""

    async def stop(self) -> None:
        """Nothing has to be closed."""

    def trouble(self) -> SloshError | None:
        """None: memory is always available."""
        return None

    def accept(  # noqa: PLR0911 - a reason each, and a function more would cost each publish
        self, name: str, messages: Sequence[bytes], now: float, key: str = "", client: str = ""
    ) -> Published | SloshError:
        """As the base says; the result is always known at once."""
        if self.is_handed_over:
            return Draining(has_successor=True)
        known_as = join(name, key) if key else ""
        replay = self.replays.find(known_as, now) if key else None
        if replay is not None:
            return replay
        topic = self.hub.find(name, now)
        if topic is not None and topic.ended:
            return TopicEnded()
        # With `keep` each message restarts `linger`, as a reader does.
        keeps = topic.kind.keeps if topic is not None else self.hub.classes.find(name).keeps
        if keeps or (topic is None and self.hub.listeners.is_wanted(name)):
            try:
                topic = self._begin(topic, name, messages, now)
            except SloshError as error:
                return error
        if topic is None:
            self.hub.listeners.leave_out(name)
            return NoWatchers()
        if full := self._is_full_for(topic, messages, now):
            return full
        self.hub.append(topic, messages, now, int(self._wall() * 1000))
        # As `Topic.count_watchers`; a call would be half a percent of a publish.
        watchers = len(topic.watchers) + topic.joining
        published = Published(topic.epoch, topic.last, watchers, len(messages))
        if key:
            self.replays.keep(known_as, now, published, client)
        return published

    def _is_full_for(self, topic: Topic, messages: Sequence[bytes], now: float) -> SloshError | None:
        """Why there is no memory for `messages`; None if there is."""
        budget = self.hub.budget
        size = len(messages[0]) if len(messages) == 1 else sum(map(len, messages))
        if budget.held + size + EACH * len(messages) <= budget.most:  # all that the usual publish needs
            return None
        try:
            self.hub.check_memory(topic, messages, now)
        except SloshError as error:
            return error
        return None

    def _begin(self, topic: Topic | None, name: str, messages: Sequence[bytes], now: float) -> Topic:
        """Make `topic`, which may be None, active for `messages`.

        Raises:
            MemoryFull, TooManyTopics: there is no room for them, so nothing was created.
        """
        if topic is None and messages:
            self.hub.check_memory_of_new_topic(name, messages, now)
        return self.hub.open(name, now)

    def is_unwatched(self, name: str, now: float) -> bool:
        """As the base says; it is known unless another process has taken over the topics."""
        hub = self.hub
        if self.is_handed_over or hub.find(name, now) is not None:
            return False
        if hub.classes.find(name).keeps or hub.listeners.is_wanted(name):
            return False
        hub.listeners.leave_out(name)
        return True

    def publish(  # noqa: PLR0913 - as the base has it
        self,
        name: str,
        messages: Sequence[bytes],
        now: float,
        done: Callable[[Published | SloshError], None],
        key: str = "",
        client: str = "",
        *,
        opens: bool = False,
        ends: bool = False,
    ) -> None:
        """As the base says; `done` is called before this returns."""
        if opens or ends:
            done(self._open_or_end(name, messages, now, key, client, opens=opens, ends=ends))
        else:
            done(self.accept(name, messages, now, key, client))

    def _open_or_end(  # noqa: C901, PLR0911 - as above
        self, name: str, messages: Sequence[bytes], now: float, key: str, client: str, *, opens: bool, ends: bool
    ) -> Published | SloshError:
        """As `accept`, for a publish that also opens or ends its topic."""
        if self.is_handed_over:
            return Draining(has_successor=True)
        if key and (replay := self.replays.find(join(name, key), now)) is not None:
            return replay
        hub = self.hub
        topic = hub.find(name, now)
        if topic is not None and topic.ended:
            if opens or messages:
                return TopicEnded()
            return Published(topic.epoch, topic.last, topic.count_watchers(), 0, ended=True)  # DELETE once more
        keeps = topic.kind.keeps if topic is not None else hub.classes.find(name).keeps
        if opens or (messages and (keeps or (topic is None and hub.listeners.is_wanted(name)))):
            is_new = topic is None
            try:
                topic = self._begin(topic, name, messages, now)
            except SloshError as error:
                return error
            hub.opened += opens and is_new
        if topic is None:
            if messages:
                hub.listeners.leave_out(name)
            return NoWatchers()
        if messages and (full := self._is_full_for(topic, messages, now)):
            return full
        if messages:
            hub.append(topic, messages, now, int(self._wall() * 1000))
        answer = Published(topic.epoch, topic.last, topic.count_watchers(), len(messages), ended=ends)
        if ends:
            hub.finished += 1
            hub.end(topic)
        if key:
            self.replays.keep(join(name, key), now, answer, client)
        return answer

    def find_open(self, name: str, now: float) -> Topic | None:
        """As the base says. Only `open` creates a topic that is not active."""
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
        """As the base says; `opened` is called before this returns."""
        if self.is_handed_over and self.hub.find(name, now) is None:
            opened(Draining(has_successor=True))  # The other process creates it.
            return
        try:
            topic = self.hub.open(name, now)
        except SloshError as error:
            opened(error)
            return
        opened(topic)

    def unopen(self, name: str, opened: Callable[[Topic | SloshError], None]) -> None:
        """As the base says; no call of `open` is ever waiting."""

    def look(
        self,
        name: str,
        now: float,
        looked: Callable[[Topic | SloshError | None], None],
        *,
        fresh: bool = False,  # noqa: ARG002 - it always is
    ) -> None:
        """As the base says; `looked` is called before this returns."""
        looked(self.hub.find(name, now))

    def gather(self, patterns: Sequence[str], now: float, done: Callable[[SloshError | None], None]) -> None:  # noqa: ARG002 - the hub knows all
        """As the base says; `done` is called before this returns."""
        done(None)

    def count_watchers(self, name: str, now: float, done: Callable[[WatcherCount | SloshError], None]) -> None:
        """As the base says; `done` is called before this returns."""
        topic = self.hub.find(name, now)
        done(WatcherCount(self.hub.interest(name, now), topic is not None and topic.ended))

    def expect(self, name: str, listener: WatcherCountListener) -> None:
        """As the base says."""
        self.hub.listeners.expect(name, listener)

    def unexpect(self, name: str, listener: WatcherCountListener) -> None:
        """As the base says."""
        self.hub.listeners.unexpect(name, listener)

    def list_topics(
        self, after: str, most: int, now: float, done: Callable[[Sequence[TopicFacts] | SloshError], None]
    ) -> None:
        """As the base says; `done` is called before this returns."""
        done([facts_of(topic, now) for topic in islice(self.hub.listed(after, now), most)])

    def observe(self, listener: TopicListener) -> None:
        """As the base says."""
        if not self._listeners:
            self.hub.listeners.observe(self)
        self._listeners[listener] = None

    def unobserve(self, listener: TopicListener) -> None:
        """As the base says."""
        self._listeners.pop(listener, None)
        if not self._listeners:
            self.hub.listeners.unobserve(self)

    def topic_created(self, topic: Topic) -> None:
        """As the hub's listener."""
        facts = facts_of(topic, topic.created_at)
        tell_each(self._listeners, lambda listener: listener.topic_active(facts))

    def topic_ended(self, topic: Topic) -> None:
        """As the hub's listener."""
        tell_each(self._listeners, lambda listener: listener.topic_ended(topic.name))

    def topic_dropped(self, topic: Topic) -> None:
        """As the hub's listener."""
        tell_each(self._listeners, lambda listener: listener.topic_inactive(topic.name))
