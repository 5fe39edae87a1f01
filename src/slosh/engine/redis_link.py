"""One Redis or Valkey server: the commands that go there, many at a time, and what it announces.

The rules of this file:

* A command that went out is never cancelled, and a connection on which a reply did not come in time is closed. A
  reply that came late would be taken for that of the next command (CVE-2023-28858, CVE-2023-28859).
* Nothing is sent again unless the server has said that it did not do it. Of what was under way when a connection
  broke nobody knows, and whoever asked for it is told so.
* While a server has been out of reach for longer than `timeout` whatever comes is refused at once. (What waits already
  is given up in time by `redis_servers`, wherever it stands.)
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from slosh.engine.redis_scripts import ALL, Command
from slosh.errors import EngineBusy, EngineFailed, EngineFull, EngineUnreachable, SloshError

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.client import PubSub

logger = logging.getLogger(__name__)

Done = Callable[[Any], None]
"""Takes a server's reply, or a `SloshError`."""

_BATCH: Final = 512
"""Commands that go out together at most."""
_BATCH_BYTES: Final = 4 * 1024 * 1024
_CHANNELS: Final = 500
"""Channels that are subscribed to with one command at most."""
_QUIET: Final = 5.0
"""Seconds of silence after which a server is asked whether it is there. Twice that, and it is not."""
_LONGEST_PAUSE: Final = 1.0
"""Seconds between two attempts to reach a server, at most."""

NOT_SENT: Final = "The messages' store is out of reach; nothing was stored. It is worth trying again."
UNKNOWN: Final = (
    "The messages' store did not answer; it may or may not have stored this. Try again with the same Idempotency-Key, "
    "and it is stored once."
)


class Sent:
    """A command that somebody waits for.

    Args:
        command: what is asked.
        done: called once with the reply or a `SloshError`.
        at: when it was asked, seconds on the loop's clock.

    Attributes:
        is_out: whether it is under way to a server.
        is_settled: whether `done` was called.
    """

    __slots__ = ("at", "command", "done", "is_out", "is_settled")

    def __init__(self, command: Command, done: Done, at: float) -> None:
        self.command = command
        self.done = done
        self.at = at
        self.is_out = False
        self.is_settled = False

    def settle(self, reply: object) -> None:
        """Give the reply to whoever waits, unless it was given up before."""
        if self.is_settled:
            return
        self.is_settled = True
        try:
            self.done(reply)
        except Exception:
            logger.exception("what came of %s could not be used", self.command[0])

    def give_up(self) -> None:
        """Tell whoever waits that no reply came."""
        self.settle(EngineUnreachable(UNKNOWN if self.is_out else NOT_SENT))


class Link:
    """The connections to one server. `start` owes a `stop`.

    Args:
        client: the library's client for that server, which is closed with the link. It must not try again by itself.
        timeout: seconds that a server has to answer.
        most: commands that wait to be sent or are under way at most.
        clustered: whether the server is one of a cluster.
        up: called when the server can be reached, at first and after each time that it could not.
        subscribed: called with a channel from which on everything is heard.
        heard: called with a channel and what was announced there.
        strayed: called with a command that belongs to another server of a cluster, and the error that says so.
        moved_away: called with a channel that this server has given up, or '' where one of them was.

    Attributes:
        is_sharded: whether channels of topics are the server's own (SSUBSCRIBE), which no other server of the cluster
            hears of. Redis 7.0 has that, and so has every Valkey, which calls itself 7.2.
    """

    def __init__(  # noqa: PLR0913 - what happens is told to many
        self,
        client: "Redis",
        *,
        timeout: float,
        most: int,
        clustered: bool,
        up: Callable[[], None],
        subscribed: Callable[[str], None],
        heard: Callable[[str, bytes], None],
        strayed: Callable[[Sent, ResponseError], None] | None = None,
        moved_away: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._client = client
        self._timeout = timeout
        self._most = most
        self._clustered = clustered
        self.is_sharded = False
        self._up = up
        self._subscribed = subscribed
        self._heard = heard
        self._strayed = strayed
        self._moved_away = moved_away
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Sent] = deque()
        self._under_way = 0
        self._asked = asyncio.Event()
        self._down_since: float | None = None
        self._news: set[str] = set()  # channels of the whole cluster
        self._channels: set[str] = set()
        self._changed: deque[str] = deque()  # channels to be listened to, or no more
        self._changes = asyncio.Event()
        self._hears = asyncio.Event()
        self._trouble = "nothing was heard"
        self._tasks: list[asyncio.Task[None]] = []
        self._is_stopping = False
        self.is_up = False

    @property
    def waiting(self) -> int:
        """How many commands wait to be sent or are under way."""
        return len(self._queue) + self._under_way

    async def start(self, news: Iterable[str]) -> None:
        """Reach the server, and listen to the channels `news`, which are nobody's own.

        Raises:
            EngineUnreachable: it cannot be reached; the detail says why.
        """
        self._news = set(news)
        try:
            await self._greet()
        except (RedisError, OSError) as error:
            await self.stop()
            raise EngineUnreachable(f"{type(error).__name__}: {error}") from error
        self.is_up = True
        self._tasks = [self._loop.create_task(self._send_all()), self._loop.create_task(self._listen_always())]
        try:
            async with asyncio.timeout(2 * self._timeout):
                await self._hears.wait()
        except TimeoutError:
            await self.stop()
            raise EngineUnreachable(f"It answers, but cannot be listened to: {self._trouble}") from None

    async def stop(self) -> None:
        """Close the connections. Who still waits is told that nothing came."""
        self._is_stopping = True
        self.is_up = False
        await _end(self._tasks)
        while self._queue:
            self._queue.popleft().give_up()
        await self._client.aclose()

    def send(self, sent: Sent) -> None:
        """Send a command; it is settled later, or at once where it is refused."""
        if self._is_given_up():
            sent.give_up()
        elif self.waiting >= self._most:
            sent.settle(EngineBusy(f"The messages' store has {self._most} requests before this one (engine_queue)."))
        else:
            self._queue.append(sent)
            self._asked.set()

    def resend(self, sent: Iterable[Sent]) -> None:
        """Send what the server said it had not done, before all the rest."""
        again = [each for each in sent if not each.is_settled]
        for each in again:
            each.is_out = False
        self._queue.extendleft(reversed(again))
        self._asked.set()

    def listen(self, channel: str) -> None:
        """Listen to `channel`; `subscribed` tells from when on."""
        self._channels.add(channel)
        self._changed.append(channel)
        self._changes.set()

    def unlisten(self, channel: str) -> None:
        """Listen to it no more."""
        self._channels.discard(channel)
        self._changed.append(channel)
        self._changes.set()

    # Commands.

    async def _greet(self) -> None:
        await self._see_version()
        for script in ALL:
            await self._client.execute_command("SCRIPT LOAD", script.text)

    async def _see_version(self) -> None:
        """Each time anew: a server that comes back may have been upgraded."""
        if self._clustered:
            told = await self._client.info("server")
            self.is_sharded = int(str(told["redis_version"]).partition(".")[0]) >= 7

    async def _send_all(self) -> None:
        pause = Pause(min(_LONGEST_PAUSE, self._timeout))
        while not self._is_stopping:
            try:
                if not self.is_up:
                    await self._greet()
                    self.is_up, self._down_since = True, None
                    logger.warning("the messages' store can be reached again")
                    # What the store may have forgotten is looked for before anything is published behind it.
                    held, self._queue = self._queue, deque()
                    self._up()
                    self._queue.extend(held)
                pause.reset()
                await self._send_while_up()
            except (RedisError, OSError) as error:
                self._come_down(error)
            await pause.take()

    async def _send_while_up(self) -> None:
        while True:
            if not self._queue:
                await self._wait_for_more()
            batch = self._take_batch()
            pipeline = self._client.pipeline(transaction=False)
            for sent in batch or [Sent(("PING",), lambda _: None, 0.0)]:
                pipeline.execute_command(*sent.command)
            self._under_way = len(batch)
            try:
                replies = await pipeline.execute(raise_on_error=False)
            except BaseException:  # a cancellation too
                for sent in batch:
                    sent.give_up()
                raise
            finally:
                self._under_way = 0
            await self._settle(batch, replies)

    async def _wait_for_more(self) -> None:
        self._asked.clear()
        try:
            async with asyncio.timeout(_QUIET):
                await self._asked.wait()
        except TimeoutError:
            pass  # A PING goes out, so that a server which vanished without a word is missed.

    def _take_batch(self) -> list[Sent]:
        batch: list[Sent] = []
        size = 0
        while self._queue and len(batch) < _BATCH and size < _BATCH_BYTES:
            sent = self._queue.popleft()
            if sent.is_settled:
                continue  # It was given up while it waited.
            sent.is_out = True
            size += sum(len(part) for part in sent.command if not isinstance(part, int))
            batch.append(sent)
        return batch

    async def _settle(self, batch: list[Sent], replies: list[object]) -> None:
        """Give the replies to those who wait.

        Raises:
            RedisError: the server is not the one to talk to; what it did not do waits to be sent again.
        """
        unloaded: list[Sent] = []
        fatal: list[Sent] = []
        for sent, reply in zip(batch, replies, strict=False):  # a PING is nobody's
            if not isinstance(reply, Exception):
                sent.settle(reply)
            elif isinstance(reply, NoScriptError):
                unloaded.append(sent)
            elif isinstance(reply, ReadOnlyError):
                fatal.append(sent)
            elif isinstance(reply, MovedError | AskError | ClusterDownError | TryAgainError) and self._strayed:
                self._strayed(sent, reply)
            else:
                sent.settle(_explain(reply))
        if unloaded or fatal:
            self.resend(unloaded + fatal)
        if fatal:
            await self._client.connection_pool.disconnect()
            raise ReadOnlyError("the server is a replica now")
        if unloaded:
            await self._greet()

    def _come_down(self, error: Exception) -> None:
        now = self._loop.time()
        if self.is_up:
            self.is_up, self._down_since = False, now
            logger.warning("the messages' store is out of reach, and is tried again: %s", error)
        while self._queue and self._is_given_up():
            self._queue.popleft().give_up()

    def _is_given_up(self) -> bool:
        return self._down_since is not None and self._loop.time() - self._down_since > self._timeout

    # Announcements.

    async def _listen_always(self) -> None:
        pause = Pause(min(_LONGEST_PAUSE, self._timeout))
        while not self._is_stopping:
            pubsub = self._client.pubsub()
            try:
                await self._listen(pubsub, pause)
            except (RedisError, OSError) as error:
                self._trouble = f"{type(error).__name__}: {error}"
                logger.debug("the messages' store has to be listened to anew: %s", self._trouble)
                self._asked.set()  # Whether it can be reached at all is seen by a PING.
                if isinstance(error, MovedError):
                    self._moved_away("")  # A channel was asked for that this server has given up.
            finally:
                await pubsub.aclose()
            await pause.take()

    async def _listen(self, pubsub: "PubSub", pause: "Pause") -> None:
        await self._see_version()
        await pubsub.subscribe(*self._news)
        self._changed = deque(self._channels)
        self._changes.set()
        tasks = [self._loop.create_task(each) for each in (self._subscribe_all(pubsub), self._hear_all(pubsub, pause))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await _end(tasks)

    async def _subscribe_all(self, pubsub: "PubSub") -> None:
        subscribe, unsubscribe = (
            (pubsub.ssubscribe, pubsub.sunsubscribe) if self.is_sharded else (pubsub.subscribe, pubsub.unsubscribe)
        )
        # Of a shard's own channels those of one slot alone may stand in one command, and each topic has its own.
        together = 1 if self.is_sharded else _CHANNELS
        while True:
            await self._changes.wait()
            self._changes.clear()
            changed = dict.fromkeys(self._changed)
            self._changed.clear()
            wanted = [channel for channel in changed if channel in self._channels]
            for at in range(0, len(wanted), together):
                await subscribe(*wanted[at : at + together])
            unwanted = [channel for channel in changed if channel not in self._channels]
            for at in range(0, len(unwanted), together):
                await unsubscribe(*unwanted[at : at + together])

    async def _hear_all(self, pubsub: "PubSub", pause: "Pause") -> None:
        asked = False
        while True:
            message = await pubsub.get_message(timeout=_QUIET)
            if message is None:
                if asked:
                    raise ConnectionResetError("nothing was heard, and no answer to a PING")
                asked = True
                await pubsub.ping()
                continue
            asked = False
            pause.reset()
            self._hear(message["type"], message["channel"], message["data"])

    def _hear(self, kind: str, channel: bytes | None, data: object) -> None:
        if channel is None:
            return  # the answer to a PING
        name = channel.decode()
        if kind in ("message", "smessage") and isinstance(data, bytes):
            self._heard(name, data)
        elif kind in ("subscribe", "ssubscribe"):
            self._hears.set()
            self._subscribed(name)
        elif kind == "sunsubscribe" and name in self._channels:
            self._moved_away(name)


class Pause:
    """The time between two attempts: none at first, then longer and longer, and never the same for two nodes.

    Args:
        longest: seconds.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._failures = 0

    def reset(self) -> None:
        """It has worked."""
        self._failures = 0

    async def take(self) -> None:
        """Wait before the next attempt."""
        if self._failures:
            # Full jitter: nodes that lost the same server together do not come back together.
            await asyncio.sleep(random.uniform(0.2, 1.0) * min(self._longest, 0.05 * 2 ** min(self._failures, 10)))  # noqa: S311 - nobody needs to be unable to guess it
        self._failures += 1


def _explain(error: Exception) -> SloshError:
    if isinstance(error, OutOfMemoryError):
        return EngineFull("The messages' store is full (its maxmemory); nothing was stored.")
    if isinstance(error, ClusterDownError | TryAgainError | MovedError | AskError):
        return EngineUnreachable(NOT_SENT)
    logger.error("the messages' store refused a command: %s", error)
    return EngineFailed("The messages' store refused this; the log says why.")


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended.

    In Python 3.11 `asyncio.wait_for`, which the library uses, swallows a cancellation that comes just when it is done.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=0.1)
