"""One Redis or Valkey server: the commands that go there, many at a time.

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

from slosh.engine.redis_listener import QUIET, Listener, ToldOfChannels
from slosh.engine.redis_pause import Pause, end_all
from slosh.engine.redis_scripts import ALL, Command, gives_ring
from slosh.errors import EngineBusy, EngineFailed, EngineFull, EngineUnreachable, SloshError

if TYPE_CHECKING:
    from redis.asyncio import Redis

logger = logging.getLogger(__name__)

Done = Callable[[Any], None]
"""Takes a server's reply, or a `SloshError`."""

_BATCH: Final = 512
"""Commands that go out together at most."""
_BATCH_BYTES: Final = 4 * 1024 * 1024
_BATCH_RINGS: Final = 16
"""Commands among them whose answers are whole rings. The server holds the answers of a batch in memory until they are
taken, and so do we: with the default `queue_bytes` 128 MiB, and not 4 GiB."""
_LONGEST_PAUSE: Final = 1.0
"""Seconds between two attempts to reach a server, at most."""
_COMPLAINTS: Final = 5.0
"""Seconds between two lines in the log about refusals; what a server refuses once it mostly refuses always."""

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
        done, self.done = self.done, _nobody
        self.command = self.command[:1]  # Its messages may be large, and this is held until it is looked at next.
        try:
            done(reply)
        except Exception:
            logger.exception("what came of %s could not be used", self.command[0])

    def give_up(self) -> None:
        """Tell whoever waits that no reply came."""
        self.settle(EngineUnreachable(UNKNOWN if self.is_out else NOT_SENT))


def _nobody(_: object) -> None:
    """In place of whoever was told already."""


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
        self._up = up
        self._strayed = strayed
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Sent] = deque()
        self._under_way = 0
        self._asked = asyncio.Event()
        self._down_since: float | None = None
        self._quiet_until = 0.0
        # Whether the server can be reached at all is seen by a PING, which goes out when somebody asks.
        told = ToldOfChannels(subscribed, heard, moved_away, self._asked.set)
        self._listener = Listener(client, told, clustered=clustered, longest_pause=min(_LONGEST_PAUSE, timeout))
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
        try:
            await self._greet()
        except (RedisError, OSError) as error:
            await self.stop()
            raise EngineUnreachable(f"{type(error).__name__}: {error}") from error
        self.is_up = True
        self._tasks = [self._loop.create_task(self._send_all())]
        if not await self._listener.start(news, 2 * self._timeout):
            await self.stop()
            raise EngineUnreachable(f"It answers, but cannot be listened to: {self._listener.trouble}")

    async def stop(self) -> None:
        """Close the connections. Who still waits is told that nothing came."""
        self._is_stopping = True
        self.is_up = False
        await self._listener.stop()
        await end_all(self._tasks)
        while self._queue:
            self._queue.popleft().give_up()
        await self._client.aclose()

    @property
    def is_sharded(self) -> bool:
        """Whether the channels of topics are this server's own, which no other of the cluster hears of."""
        return self._listener.is_sharded

    def send(self, sent: Sent, *, must: bool = False) -> None:
        """Send a command; it is settled later, or at once where it is refused.

        Args:
            must: send it also where `most` wait already.
        """
        if self._is_given_up():
            sent.give_up()
        elif self.waiting >= self._most and not must:
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
        self._listener.listen(channel)

    def unlisten(self, channel: str) -> None:
        """Listen to it no more."""
        self._listener.unlisten(channel)

    # Commands.

    async def _greet(self) -> None:
        await self._listener.see_version()
        for script in ALL:
            await self._client.execute_command("SCRIPT LOAD", script.text)

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
                pause.works()
                await self._send_while_up()
            except (RedisError, OSError) as error:
                self._come_down(error)
            except Exception as error:
                logger.exception("a mistake of slosh; the store is tried again")
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
            async with asyncio.timeout(QUIET):
                await self._asked.wait()
        except TimeoutError:
            pass  # A PING goes out, so that a server which vanished without a word is missed.

    def _take_batch(self) -> list[Sent]:
        batch: list[Sent] = []
        size = rings = 0
        while self._queue and len(batch) < _BATCH and size < _BATCH_BYTES and rings < _BATCH_RINGS:
            sent = self._queue.popleft()
            if sent.is_settled:
                continue  # It was given up while it waited.
            sent.is_out = True
            rings += gives_ring(sent.command)
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
            elif _says(reply, ReadOnlyError, "READONLY"):
                fatal.append(sent)
            elif isinstance(reply, MovedError | AskError | ClusterDownError | TryAgainError) and self._strayed:
                self._strayed(sent, reply)
            else:
                sent.settle(self._explain(reply))
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

    def _explain(self, error: Exception) -> SloshError:
        if _says(error, OutOfMemoryError, "OOM"):
            return EngineFull("The messages' store is full (its maxmemory); nothing was stored.")
        if isinstance(error, ClusterDownError | TryAgainError | MovedError | AskError):
            return EngineUnreachable(NOT_SENT)
        now = self._loop.time()
        if now >= self._quiet_until:
            self._quiet_until = now + _COMPLAINTS
            logger.error("the messages' store refused a command: %s", error)
        return EngineFailed("The messages' store refused this; the log says why.")


def _says(error: Exception, kind: type[Exception], word: str) -> bool:
    """Whether an error is of that kind. Redis 6.2 wraps what went wrong inside a script into words of its own."""
    return isinstance(error, kind) or f": -{word} " in str(error)
