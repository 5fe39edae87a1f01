"""The engine of many nodes: messages live in Redis or Valkey, and each node mirrors the topics that it watches.

The rules of this engine:

* The store decides order, offsets and the mailbox rule; one script does each step (`lua/`). A node decides nothing
  that another node could decide differently.
* A publish needs no mirror, and costs one round trip. `mirrors.py` keeps the topics that are read here up to date;
  `directory.py` has what is known of all other topics.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from slosh.compiled import mypyc_attr
from slosh.core.hub import Hub
from slosh.core.listeners import WatcherCountListener
from slosh.core.topic import Topic
from slosh.engine.base import Engine, Published, TopicFacts, TopicListener, WatcherCount
from slosh.engine.idempotency import REPLAY_SECONDS
from slosh.engine.redis.directory import Directory
from slosh.engine.redis.doubts import Doubts
from slosh.engine.redis.facts import Facts
from slosh.engine.redis.mirrors import Mirrors
from slosh.engine.redis.scripts import PUBLISH
from slosh.engine.redis.view import View
from slosh.errors import EngineBusy, NoWatchers, SloshError, TooManyTopics, TopicEnded
from slosh.settings import Settings

_ENDED: Final = 2
"""The length of publish.lua's reply if the topic has ended."""


@mypyc_attr(allow_interpreted_subclasses=True)
class RedisEngine(Engine):
    """The engine for a store that several nodes share. It uses the running event loop.

    Args:
        hub: the mirrors.
        settings: the address of the store, and the bounds.
        now: returns the time of the hub's clock, seconds.
        call_at: schedules a call at such a time.
        random_bits: returns an unpredictable number of that many random bits.
        clock: returns the time for the scripts, microseconds, as text; empty to use the store's own clock.

    Raises:
        SettingError: `engine` is no address of a store.
    """

    def __init__(
        self,
        hub: Hub,
        settings: Settings,
        *,
        now: Callable[[], float],
        call_at: Callable[[float, Callable[[], None]], object],
        random_bits: Callable[[int], int],
        clock: Callable[[], str] = lambda: "",
    ) -> None:
        super().__init__(hub)
        self._view = View(settings, self, hub, now=now, call_at=call_at, random_bits=random_bits, clock=clock)
        self._facts = Facts(self._view, hub)
        self._doubts = Doubts(self._view)
        self._directory = Directory(self._view, hub, self._facts, self._doubts)
        self._mirrors = self._directory.mirrors = Mirrors(self._view, hub, self._directory, self._doubts)
        self._most_bytes = settings.engine_queue_bytes
        self._bytes = 0  # of messages sent to the store and not answered yet

    async def start(self) -> None:
        """As the base says."""
        self._mirrors.start()
        await self._view.servers.start()
        self._directory.start()
        self._doubts.start()

    async def stop(self) -> None:
        """As the base says. The leases of this node are given up, so that others need not wait until they expire."""
        self._directory.stop()
        await self._mirrors.give_back()
        self._view.is_stopped = True
        await self._view.servers.stop()

    def trouble(self) -> SloshError | None:
        """As the base says: None if all servers of the store can be reached and accept messages."""
        return self._view.servers.trouble

    # Publishing.

    def may_begin(self, name: str) -> bool:
        """As the base says. A topic that this node has listed lately is active already."""
        kept = self._view.kind_of(name).keeps or self._directory.is_wanted(name)
        return kept and not self._directory.lists(name)

    def publish(  # noqa: PLR0913 - as the base has it
        self,
        name: str,
        messages: Sequence[bytes],
        now: float,
        done: Callable[[Published | SloshError], None],
        key: str = "",
        client: str = "",  # noqa: ARG002 - the store forgets no key before its time
        *,
        opens: bool = False,
        ends: bool = False,
    ) -> None:
        """As the base says; it costs one round trip."""
        size = sum(map(len, messages))
        if self._bytes and self._bytes + size > self._most_bytes:
            bound = f"The messages' store has {self._bytes} bytes of messages before this one (engine_queue_bytes)."
            done(EngineBusy(bound))
            return
        self._bytes += size
        opener, used_up = self.hub.opener, self.hub.used_up
        no_room: SloshError | None = None
        self.hub.shares.expect_topic(opener)

        def answered(reply: list[Any] | SloshError) -> None:
            if isinstance(reply, SloshError):
                end(reply)
            elif len(reply) > _ENDED:
                end(self._taken(name, reply, opener, opens=opens, ends=ends))
            elif len(reply) == _ENDED:
                end(TopicEnded())
            elif no_room is not None:
                end(no_room)
            else:
                self._doubts.weigh(name, now, reply[0], ask, lambda error: end(error or self._refuse(name, messages)))

        def end(answer: Published | SloshError) -> None:
            self._bytes -= size
            self.hub.shares.forget_topic(opener)
            done(answer)

        def ask() -> None:
            nonlocal no_room
            no_room = self._send_publish(name, messages, key, answered, used_up, opens=opens, ends=ends)

        ask()

    def _refuse(self, name: str, messages: Sequence[bytes]) -> SloshError:
        """The refusal of a publish without a watcher. Readers here that match it but have no room are notified."""
        if messages:
            self.hub.listeners.leave_out(name)
        return NoWatchers()

    def _taken(self, name: str, reply: list[Any], opener: str, *, opens: bool, ends: bool) -> Published:
        """The result in a reply of publish.lua. Lists and counters are updated before it is returned."""
        epoch, newest, watchers, accepted, replayed, created, ended = reply
        if created:
            self._directory.tell_of_creation(name, opener)
        elif not replayed and ((kind := self._view.kind_of(name)).keeps or opens):  # It lingers again.
            self._directory.keep(name, 0, self._view.now() + kind.linger)
        if not replayed:
            self._view.kind_of(name).counts.published += accepted
            self.hub.opened += opens and created
            if ends:
                self.hub.finished += 1
                self._directory.tell_of_end(name)
        return Published(epoch.decode(), newest, watchers, accepted, replayed == 1, ended == 1)

    def _send_publish(
        self,
        name: str,
        messages: Sequence[bytes],
        key: str,
        answered: Callable[[Any], None],
        used_up: SloshError | None,
        *,
        opens: bool,
        ends: bool,
    ) -> SloshError | None:
        """Send publish.lua.

        Args:
            used_up: why the client may create no topic; None if it may.

        Returns:
            The error to answer with if the script would have had to create the topic; None if it was allowed to.
        """
        view = self._view
        kind, times = view.kind_of(name), view.times_of(name)
        topic = self.hub.find(name, view.now())
        here = topic.count_watchers() if topic is not None else 0
        may_begin = opens or (bool(messages) and (kind.keeps or here > 0 or self._directory.is_wanted(name)))
        no_room = used_up if may_begin and not here else None
        most = self.hub.bounds.max_topics
        if may_begin and not here and self._directory.active >= most:
            no_room = TooManyTopics(most, "node")
        keys = view.keys.of_topic(name)
        view.send(
            keys[0],
            PUBLISH.call(
                (*keys, view.keys.of_publish(name, key)) if key else keys,
                view.clock(),
                view.node,
                here,
                view.new_epoch() if may_begin and no_room is None else "",
                times.linger_ms,
                int(kind.keeps or opens),
                times.spare_ms,
                kind.queue,
                kind.queue_bytes,
                int(kind.age * 1_000_000),
                view.servers.announcing(keys[0]),
                view.keys.channel(name),
                int(REPLAY_SECONDS * 1000),
                int(ends),
                *messages,
            ),
            answered,
        )
        return no_room

    # Reading.

    def find_open(self, name: str, now: float) -> Topic | None:
        """As the base says: a mirrored topic is known at once."""
        return self._mirrors.find_open(name, now)

    def open(self, name: str, now: float, opened: Callable[[Topic | SloshError], None], *, fresh: bool = False) -> None:
        """As the base says. While the store cannot be reached, the reader waits."""
        self._mirrors.open(name, now, opened, fresh=fresh)

    def unopen(self, name: str, opened: Callable[[Topic | SloshError], None]) -> None:
        """As the base says."""
        self._mirrors.unopen(name, opened)

    def look(
        self, name: str, now: float, looked: Callable[[Topic | SloshError | None], None], *, fresh: bool = False
    ) -> None:
        """As the base says."""
        self._mirrors.look(name, now, looked, fresh=fresh)

    def gather(self, patterns: Sequence[str], now: float, done: Callable[[SloshError | None], None]) -> None:  # noqa: ARG002 - of the protocol
        """As the base says."""
        self._directory.gather(patterns, done)

    # Watchers, and what there is.

    def count_watchers(self, name: str, now: float, done: Callable[[WatcherCount | SloshError], None]) -> None:  # noqa: ARG002 - of the protocol
        """As the base says. The counts of other nodes may be a second old."""
        self._directory.count_watchers(name, done)

    def patterns(self) -> Iterator[str]:
        """As the base says."""
        return self._directory.patterns()

    def expect(self, name: str, listener: WatcherCountListener) -> None:
        """As the base says."""
        self.hub.listeners.expect(name, listener)
        self._directory.expect(name)

    def unexpect(self, name: str, listener: WatcherCountListener) -> None:
        """As the base says."""
        self.hub.listeners.unexpect(name, listener)
        self._directory.unexpect(name)

    def list_topics(
        self,
        after: str,
        most: int,
        now: float,  # noqa: ARG002 - of the protocol
        done: Callable[[Sequence[TopicFacts] | SloshError], None],
    ) -> None:
        """As the base says."""
        self._directory.list_topics(after, most, done)

    def observe(self, listener: TopicListener) -> None:
        """As the base says."""
        self._directory.observe(listener)

    def unobserve(self, listener: TopicListener) -> None:
        """As the base says."""
        self._directory.unobserve(listener)

    # Called when something happens at the store.

    def came_up(self) -> None:
        """A server can be reached again."""
        self._doubts.came_up()
        self._mirrors.came_up()
        self._directory.came_up()

    def subscribed(self, channel: str) -> None:
        """The subscription to `channel` is active."""
        if channel == self._view.keys.news:
            self._directory.came_up()
            return
        name = self._view.keys.topic_of(channel)
        if self._view.keys.is_watched(channel):
            self._directory.subscribed(name)
        else:
            self._mirrors.subscribed(name)

    def heard(self, channel: str, data: bytes) -> None:
        """A message was received on `channel`."""
        if channel == self._view.keys.news:
            self._directory.heard(data)
            return
        name = self._view.keys.topic_of(channel)
        if self._view.keys.is_watched(channel):
            self.hub.listeners.tell_count_listeners(name, int(data))
        else:
            self._mirrors.heard(name, data)
