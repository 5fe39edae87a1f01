"""What one Redis or Valkey server announces.

The rules of this file:

* A listener to a channel is told from when on it is heard, at first and after each time that a connection broke.
  What was announced before that may have been missed.
* A connection on which nothing comes is asked for a heartbeat, and made again when there is none.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from redis.exceptions import MovedError, RedisError

from slosh.engine.redis.client.backoff import Pause, end_all
from slosh.engine.redis.client.refusals import reason_of
from slosh.engine.redis.client.wire import Wire, as_broken, pack
from slosh.stalls import AfterReading

if TYPE_CHECKING:
    from redis.asyncio import Redis

logger = logging.getLogger(__name__)

QUIET: Final = 5.0
"""Seconds of silence after which a server is asked whether it is there. Twice that, and it is not."""
_CHANNELS: Final = 500
"""Channels that are subscribed to with one command at most."""


class ChannelEvents(NamedTuple):
    """Told what happens.

    Attributes:
        subscribed: called with a channel from which on everything is heard.
        heard: called with a channel and what was announced there.
        moved_away: called with a channel that this server has given up, or '' if one of them was.
        broke: called when a connection broke, or could not be made.
    """

    subscribed: Callable[[str], None]
    heard: Callable[[str, bytes], None]
    moved_away: Callable[[str], None]
    broke: Callable[[], None]


class Listener:
    """Listens to one server. Call `stop` after `start`.

    Args:
        client: the library's client for that server.
        events: what to call if something happens.
        clustered: whether the server is one of a cluster.
        longest_pause: seconds between two attempts to reach it, at most.

    Attributes:
        is_sharded: whether channels of topics are the server's own (SSUBSCRIBE), which no other server of the cluster
            hears of. Redis 7.0 has that, and so has every Valkey, which calls itself 7.2.
        trouble: why it was listened to again last.
    """

    def __init__(self, client: "Redis", events: ChannelEvents, *, clustered: bool, longest_pause: float) -> None:
        self._client = client
        self._events = events
        self._clustered = clustered
        self._pause = Pause(longest_pause)
        self._news: set[str] = set()  # channels of the whole cluster
        self._channels: set[str] = set()
        self._changed: deque[str] = deque()  # channels to be listened to, or no more
        self._is_changing = False
        self._wire: Wire | None = None
        self._heard_at = 0.0
        self._is_asked = False  # for a heartbeat
        self._watching: AfterReading | None = None
        self._hears = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_stopping = False
        self.is_sharded = False
        self.trouble = "nothing was heard"

    def begin(self, news: Iterable[str]) -> None:
        """Listen to the channels `news`, which belong to no topic, as soon as possible. The caller must call `stop`."""
        self._news = set(news)
        self._tasks = [self._loop.create_task(self._listen_always())]

    async def start(self, news: Iterable[str], patience: float) -> bool:
        """As `begin`; whether they were heard within `patience` seconds."""
        self.begin(news)
        try:
            async with asyncio.timeout(patience):
                await self._hears.wait()
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        """Listen no more."""
        self._is_stopping = True
        await end_all(self._tasks)

    def listen(self, channel: str) -> None:
        """Listen to `channel`; `ChannelEvents.subscribed` tells from when on."""
        self._channels.add(channel)
        self._changed.append(channel)
        self._subscribe_soon()

    def unlisten(self, channel: str) -> None:
        """Listen to it no more."""
        self._channels.discard(channel)
        self._changed.append(channel)
        self._subscribe_soon()

    async def see_version(self) -> None:
        """See whether channels are the server's own, each time again: it may have been upgraded."""
        if self._clustered:
            with as_broken():
                info = await self._client.info("server")
            self.is_sharded = int(str(info["redis_version"]).partition(".")[0]) >= 7

    async def _listen_always(self) -> None:
        while not self._is_stopping:
            try:
                await self._listen()
            except (RedisError, OSError) as error:
                self.trouble = reason_of(error)
                logger.debug("the messages' store has to be listened to again: %s", type(error).__name__)
                self._events.broke()
                if isinstance(error, MovedError):
                    self._events.moved_away("")  # A channel was asked for that this server has given up.
            except Exception:
                logger.exception("a mistake of slosh; the store is listened to again")
            await self._pause.take()

    async def _listen(self) -> None:
        """Have a connection, and hear what is announced until it breaks.

        Raises:
            RedisError: why it broke.
            OSError: why it broke.
        """
        await self.see_version()
        wire = self._wire = await Wire.open(self._client, self._received)
        try:
            self._changed = deque(self._channels)
            self._subscribe()
            wire.write([pack(("SUBSCRIBE", *self._news))])  # last: a node that hears the news hears all its topics
            self._is_asked = False
            self._heard_at = self._loop.time()
            self._watch()
            await wire.broken
        finally:
            self._wire = None
            if self._watching is not None:
                self._watching.cancel()
            await wire.close()

    def _watch(self) -> None:
        """Have a heartbeat when nothing came for long, and a new connection if there is none."""
        wire, now = self._wire, self._loop.time()
        if wire is None:
            return
        due = self._heard_at + QUIET
        if now >= due:
            if self._is_asked:
                wire.break_off(ConnectionResetError("nothing was heard, and no answer to a PING"))
                return
            self._is_asked = True
            wire.write([pack(("PING",))])
            due = now + QUIET
        self._watching = AfterReading(self._loop, due, self._watch)

    def _subscribe_soon(self) -> None:
        """What else changes in this turn of the loop goes out together with it."""
        if self._wire is not None and not self._is_changing:
            self._is_changing = True
            self._loop.call_soon(self._subscribe)

    def _subscribe(self) -> None:
        self._is_changing = False
        if self._wire is None:
            return
        changed = dict.fromkeys(self._changed)
        self._changed.clear()
        wanted = [channel for channel in changed if channel in self._channels]
        unwanted = [channel for channel in changed if channel not in self._channels]
        shard = "S" if self.is_sharded else ""
        # Of a shard's own channels those of one slot alone may stand in one command, and each topic has its own.
        together = 1 if self.is_sharded else _CHANNELS
        self._wire.write(
            pack((command, *channels[at : at + together]))
            for command, channels in ((f"{shard}SUBSCRIBE", wanted), (f"{shard}UNSUBSCRIBE", unwanted))
            for at in range(0, len(channels), together)
        )

    def _received(self, reply: object) -> None:
        """Take what is announced, or an answer to what was asked."""
        self._heard_at = self._loop.time()
        self._is_asked = False
        self._pause.works()
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, list) and len(reply) == 3:  # else it is the answer to a PING
            self._hear(*reply)

    def _hear(self, kind: bytes, channel: bytes | None, data: object) -> None:
        if channel is None:
            return  # the last one was given up
        name = channel.decode()
        if kind in (b"message", b"smessage") and isinstance(data, bytes):
            self._events.heard(name, data)
        elif kind in (b"subscribe", b"ssubscribe"):
            self._hears.set()
            self._events.subscribed(name)
        elif kind == b"sunsubscribe" and name in self._channels:
            self._channels.discard(name)  # Asked for again here, it would be refused with all the others.
            self._events.moved_away(name)
