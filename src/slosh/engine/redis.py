"""The engine of many nodes: messages live in Redis or Valkey, and each node mirrors the topics that it watches.

The rules of this engine:

* Order, offsets and the mailbox rule are the store's; one script does each step (`lua/`). Nothing is decided here
  that two nodes could decide differently.
* A publish needs no mirror, and costs one round trip. What is read, and how it stays true, is told in `redis_mirrors`;
  what is known of all the other topics, in `redis_directory`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from slosh.compiled import mypyc_attr
from slosh.core.hub import Expectant, Hub
from slosh.core.topic import Topic
from slosh.engine.base import Engine, Onlooker, Published, TopicFacts
from slosh.engine.idempotency import REPLAY_SECONDS
from slosh.engine.redis_directory import Directory
from slosh.engine.redis_doubts import Doubts
from slosh.engine.redis_facts import Facts
from slosh.engine.redis_mirrors import Mirrors
from slosh.engine.redis_scripts import PUBLISH
from slosh.engine.redis_view import View
from slosh.errors import EngineBusy, NoWatchers, SloshError, TooManyTopics
from slosh.settings import Settings


@mypyc_attr(allow_interpreted_subclasses=True)
class RedisEngine(Engine):
    """Engine over a store that several nodes share. It lives on the running event loop.

    Args:
        hub: the mirrors.
        settings: where the store is, and the bounds.
        now: gives the time of the hub's clock, seconds.
        call_at: has a function called at such a time.
        random_bits: gives a number of that many random bits, which nobody can guess.
        clock: gives the time on the store's clock, microseconds, as text; the store's own where empty.

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
        self._view = View(settings, self, now=now, call_at=call_at, random_bits=random_bits, clock=clock)
        self._facts = Facts(self._view, hub)
        self._doubts = Doubts(self._view)
        self._directory = Directory(self._view, hub, self._facts, self._doubts)
        self._mirrors = self._directory.mirrors = Mirrors(self._view, hub, self._directory, self._doubts)
        self._keeps = settings.unwatched == "keep"
        self._most_bytes = settings.engine_queue_bytes
        self._bytes = 0  # of messages on their way to the store

    async def start(self) -> None:
        """As the engine promises."""
        self._mirrors.start()
        await self._view.servers.start()
        self._directory.start()
        self._doubts.start()

    async def stop(self) -> None:
        """As the engine promises. What this node watched is given back, so that others need not wait for its end."""
        self._directory.stop()
        await self._mirrors.give_back()
        self._view.is_stopped = True
        await self._view.servers.stop()

    def trouble(self) -> SloshError | None:
        """As the engine promises: all servers of the store can be reached, and take messages."""
        return self._view.servers.trouble

    # Publishing.

    def publish(
        self,
        name: str,
        messages: Sequence[bytes],
        now: float,
        done: Callable[[Published | SloshError], None],
        key: str = "",
    ) -> None:
        """As the engine promises; it costs one round trip."""
        size = sum(map(len, messages))
        if self._bytes and self._bytes + size > self._most_bytes:
            bound = f"The messages' store has {self._bytes} bytes of messages before this one (engine_queue_bytes)."
            done(EngineBusy(bound))
            return
        self._bytes += size
        is_full = False

        def answered(reply: list[Any] | SloshError) -> None:
            if isinstance(reply, SloshError):
                end(reply)
                return
            if len(reply) == 1:
                if is_full:
                    bound = (
                        f"There are {self._view.settings.max_topics} active topics, and no room for more (max_topics)."
                    )
                    end(TooManyTopics(bound))
                else:
                    self._doubts.weigh(name, now, reply[0], ask, refused)
                return
            epoch, newest, watchers, accepted, replayed, created = reply
            end(self._published(name, epoch, newest, watchers, accepted, replayed, created))

        def refused(error: SloshError | None) -> None:
            end(error or NoWatchers())

        def end(answer: Published | SloshError) -> None:
            self._bytes -= size
            done(answer)

        def ask() -> None:
            nonlocal is_full
            is_full = self._send_publish(name, messages, key, answered)

        ask()

    def _published(
        self, name: str, epoch: bytes, newest: int, watchers: int, accepted: int, replayed: int, created: int
    ) -> Published:
        """What publish.lua answered, after what follows from it was done."""
        if created:
            self._directory.tell_of_birth(name)
        elif self._keeps and not replayed:  # Each message begins the time of lingering anew.
            self._directory.keep(name, 0, self._view.now() + self._view.settings.linger)
        if not replayed:
            self.hub.published += accepted
        return Published(epoch.decode(), newest, watchers, accepted, bool(replayed))

    def _send_publish(self, name: str, messages: Sequence[bytes], key: str, answered: Callable[[Any], None]) -> bool:
        """Have the store take the messages; gives whether there was no room for the topic, were it a new one."""
        view = self._view
        topic = self.hub.find(name, view.now())
        here = len(topic.watchers) if topic is not None else 0
        may_begin = self._keeps or here > 0 or self._directory.is_followed(name)
        is_full = may_begin and not here and self._directory.active >= view.settings.max_topics
        keys = view.keys.of_topic(name)
        view.send(
            keys[0],
            PUBLISH.call(
                (*keys, view.keys.of_publish(name, key)) if key else keys,
                view.clock(),
                view.node,
                here,
                view.new_epoch() if may_begin and not is_full else "",
                view.times.linger_ms,
                int(self._keeps),
                view.times.spare_ms,
                view.settings.queue,
                view.settings.queue_bytes,
                view.servers.announcing(keys[0]),
                view.keys.channel(name),
                int(REPLAY_SECONDS * 1000),
                *messages,
            ),
            answered,
        )
        return is_full

    # Reading.

    def at_hand(self, name: str, now: float) -> Topic | None:
        """As the engine promises: what is mirrored is at hand."""
        return self._mirrors.at_hand(name, now)

    def open(self, name: str, now: float, opened: Callable[[Topic | SloshError], None], *, fresh: bool = False) -> None:
        """As the engine promises. While the store is out of reach the reader waits for it."""
        self._mirrors.open(name, now, opened, fresh=fresh)

    def unopen(self, name: str, opened: Callable[[Topic | SloshError], None]) -> None:
        """As the engine promises."""
        self._mirrors.unopen(name, opened)

    def look(
        self, name: str, now: float, looked: Callable[[Topic | SloshError | None], None], *, fresh: bool = False
    ) -> None:
        """As the engine promises."""
        self._mirrors.look(name, now, looked, fresh=fresh)

    def gather(self, patterns: Sequence[str], now: float, done: Callable[[SloshError | None], None]) -> None:  # noqa: ARG002 - of the protocol
        """As the engine promises."""
        self._directory.gather(patterns, done)

    # Who watches, and what there is.

    def count_watchers(self, name: str, now: float, told: Callable[[int | SloshError], None]) -> None:  # noqa: ARG002 - of the protocol
        """As the engine promises; what other nodes have told, which may be a second old, and what is known here."""
        self._directory.count_watchers(name, told)

    def expect(self, name: str, expectant: Expectant) -> None:
        """As the engine promises."""
        self.hub.expect(name, expectant)
        self._directory.expect(name)

    def unexpect(self, name: str, expectant: Expectant) -> None:
        """As the engine promises."""
        self.hub.unexpect(name, expectant)
        self._directory.unexpect(name)

    def list_topics(
        self,
        after: str,
        most: int,
        now: float,  # noqa: ARG002 - of the protocol
        told: Callable[[Sequence[TopicFacts] | SloshError], None],
    ) -> None:
        """As the engine promises."""
        self._directory.list_topics(after, most, told)

    def observe(self, onlooker: Onlooker) -> None:
        """As the engine promises."""
        self._directory.observe(onlooker)

    def unobserve(self, onlooker: Onlooker) -> None:
        """As the engine promises."""
        self._directory.unobserve(onlooker)

    # What happens at the store.

    def came_up(self) -> None:
        """A server can be reached again, which could not before."""
        self._doubts.came_up()
        self._mirrors.came_up()
        self._directory.came_up()

    def subscribed(self, channel: str) -> None:
        """From now on everything is heard on `channel`."""
        if channel == self._view.keys.news:
            self._directory.came_up()
            return
        name = self._view.keys.topic_of(channel)
        if self._view.keys.is_watched(channel):
            self._directory.subscribed(name)
        else:
            self._mirrors.subscribed(name)

    def heard(self, channel: str, data: bytes) -> None:
        """Something was announced."""
        if channel == self._view.keys.news:
            self._directory.heard(data)
            return
        name = self._view.keys.topic_of(channel)
        if self._view.keys.is_watched(channel):
            self.hub.tell_expectants(name, int(data))
        else:
            self._mirrors.heard(name, data)
