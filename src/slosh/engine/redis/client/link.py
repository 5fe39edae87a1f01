"""One Redis or Valkey server: the commands that go there, many at a time.

The rules of this file:

* A command that went out is never cancelled, and a connection on which a reply did not come in time is closed. A
  reply that came late would be taken for that of the next command (CVE-2023-28858, CVE-2023-28859).
* Nothing is sent again unless the server has said that it did not do it. Of what was under way when a connection
  broke nobody knows, and the caller is told so.
* While a server has been out of reach for longer than `timeout` whatever comes is refused at once. (What waits already
  is given up in time by `servers.py`, wherever it stands.)
* Whether a server takes messages is known from one that is published to nobody from time to time, at once after each
  connection and after each refusal: nothing else meets all that a publish meets.

It is longer than other files because what a command may meet, from the queue to its reply or to a cut, is one rule.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from hiredis import PushNotification
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
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from slosh.engine.redis.client.address import Address
from slosh.engine.redis.client.backoff import Pause, end_all
from slosh.engine.redis.client.command import NOT_SENT, Command, PendingCommand, Scripts, nobody
from slosh.engine.redis.client.listener import QUIET, ChannelEvents, Listener
from slosh.engine.redis.client.outage import Outage
from slosh.engine.redis.client.refusals import reason_of, refusal_of, says, unusable, word_of
from slosh.engine.redis.client.wire import Wire, as_broken, pack
from slosh.errors import EngineBusy, EngineFailed, EngineFull, EngineUnreachable, SloshError
from slosh.logs import event
from slosh.stalls import AfterReading

if TYPE_CHECKING:
    from redis.asyncio import Redis

logger = logging.getLogger(__name__)

_BATCH: Final = 512
"""Commands that go out together at most."""
_BATCH_BYTES: Final = 4 * 1024 * 1024
_BATCH_RINGS: Final = 16
"""Commands among them whose answers are whole rings. The server holds the answers of a batch in memory until they are
taken, and so do we: with the default `queue_bytes` 128 MiB, and not 4 GiB."""
_LONGEST_PAUSE: Final = 1.0
"""Seconds between two attempts to reach a server, at most."""
_PROBE_EVERY: Final = 2.0
"""Seconds between two messages to nobody."""


class Link:
    """The connections to one server. Call `stop` after `start`.

    Args:
        client: the library's client for that server, which is closed with the link. It must not try again by itself.
        timeout: seconds that a server has to answer.
        most: commands that wait to be sent or are under way at most.
        clustered: whether the server is one of a cluster.
        up: called when the server can be reached, at first and after each time that it could not.
        subscribed: called with a channel from which on everything is heard.
        heard: called with a channel and what was announced there.
        redirected: called with a command that belongs to another server of a cluster, and the error that says so.
        moved_away: called with a channel that this server has given up, or '' if one of them was.
        address: of the store; it leaves secrets out of what the library or the server says.
        scripts: what it has to know of those that it sends.
        probe: gives the command that publishes a message to nobody, at this server.

    Attributes:
        is_up: whether the server can be reached.
        refusal: why it takes no messages, as far as is known.
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
        redirected: Callable[[PendingCommand, ResponseError], None] | None = None,
        moved_away: Callable[[str], None] = lambda _: None,
        address: Address,
        scripts: Scripts,
        probe: Callable[["Link"], Command],
    ) -> None:
        self._client = client
        self._timeout = timeout
        self._most = most
        self._up = up
        self._redirected = redirected
        self._address = address
        self._scripts = scripts
        self._make_probe = probe
        self._probing: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._queue: deque[PendingCommand] = deque()
        self._wire: Wire | None = None
        self._batch: deque[PendingCommand] = deque()  # under way, the next to be answered first
        self._stirred = 0.0  # when something went out or came in last
        self._undone: list[PendingCommand] = []  # of it, what the server said it had not done
        self._is_flushing = False
        self._is_replica = False
        self._watching: AfterReading | None = None
        self._outage = Outage(address.text)
        # Whether the server can be reached at all is seen by a PING, which goes out when somebody asks.
        events = ChannelEvents(subscribed, heard, moved_away, self._ping)
        self._listener = Listener(client, events, clustered=clustered, longest_pause=min(_LONGEST_PAUSE, timeout))
        self._tasks: list[asyncio.Task[None]] = []
        self._is_stopping = False
        self.is_up = False
        self.refusal: SloshError | None = None

    @property
    def waiting(self) -> int:
        """How many commands wait to be sent or are under way."""
        return len(self._queue) + len(self._batch) + len(self._undone)

    async def start(self, news: Iterable[str], *, patient: bool = False) -> None:
        """Reach the server, and listen to the channels `news`, which belong to no topic.

        Args:
            patient: if it is only out of reach, say so in the log and go on trying.

        Raises:
            SettingError: it was reached, and the address cannot be right; the detail says why.
            EngineUnreachable: it cannot be reached; the detail says why.
        """
        try:
            await self._greet()
        except (RedisError, OSError) as error:
            wrong = unusable(self._address.text, error)
            if wrong is None and patient:
                self._wait(error, news)
                return
            await self.stop()
            raise wrong or EngineUnreachable(f"What went wrong: {reason_of(error)}.") from None
        self.is_up = True
        self._tasks = [self._loop.create_task(self._send_all())]
        if not await self._listener.start(news, 2 * self._timeout):
            await self.stop()
            raise EngineUnreachable(f"It answers, but cannot be listened to: {self._listener.trouble}.")

    def _wait(self, error: Exception, news: Iterable[str]) -> None:
        """Begin without the server, and go on as soon as it is there."""
        # Nothing is to wait for it: publishers are told at once.
        self._outage.begin_before(self._loop.time(), self._timeout, error)
        self._tasks = [self._loop.create_task(self._send_all())]
        self._listener.begin(news)

    async def stop(self) -> None:
        """Close the connections. Commands that still wait are settled: nothing came."""
        self._is_stopping = True
        self.is_up = False
        if self._probing is not None:
            self._probing.cancel()
        await self._listener.stop()
        await end_all(self._tasks)
        while self._queue:
            self._queue.popleft().give_up()
        await self._client.aclose()

    @property
    def is_sharded(self) -> bool:
        """Whether the channels of topics are this server's own, which no other of the cluster hears of."""
        return self._listener.is_sharded

    def send(self, sent: PendingCommand, *, must: bool = False) -> None:
        """Send a command; it is settled later, or at once if it is refused.

        Args:
            must: send it even if `most` wait already.
        """
        if self._is_given_up():
            sent.give_up()
        elif self.waiting >= self._most and not must:
            sent.settle(EngineBusy(f"The messages' store has {self._most} requests before this one (engine_queue)."))
        else:
            self._queue.append(sent)
            self._flush_soon()

    def resend(self, sent: Iterable[PendingCommand]) -> None:
        """Send what the server said it had not done, before all the rest."""
        again = [each for each in sent if not each.is_settled]
        for each in again:
            each.is_out = False
        self._queue.extendleft(reversed(again))
        self._flush_soon()

    def listen(self, channel: str) -> None:
        """Listen to `channel`; `subscribed` tells from when on."""
        self._listener.listen(channel)

    def unlisten(self, channel: str) -> None:
        """Listen to it no more."""
        self._listener.unlisten(channel)

    # Commands.

    async def _greet(self) -> None:
        await self._listener.see_version()
        with as_broken():
            for text in self._scripts.texts:
                await self._client.execute_command("SCRIPT LOAD", text)

    async def _send_all(self) -> None:
        pause = Pause(min(_LONGEST_PAUSE, self._timeout))
        while not self._is_stopping:
            try:
                if not self.is_up:
                    await self._greet()
                    self.is_up = True
                    self._outage.end()
                    # Losses of the store are looked for before anything is published behind them.
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
        """Have a connection, and send by it until it breaks.

        Raises:
            RedisError: why it broke.
            OSError: why it broke.
        """
        wire = self._wire = await Wire.open(self._client, self._received)
        self._stirred = self._loop.time()
        self._watch()
        self._flush()
        self._probe()
        try:
            await wire.broken
        finally:
            self._wire = None
            if self._watching is not None:
                self._watching.cancel()
            while self._batch:
                self._batch.popleft().give_up()
            undone, self._undone = self._undone, []
            self.resend(undone)
            await wire.close()
            if self._is_replica:
                self._is_replica = False
                await self._client.connection_pool.disconnect()  # what is heard there too

    def _watch(self) -> None:
        """Check that requests are answered in time, so that a server that vanished silently is noticed."""
        wire, now = self._wire, self._loop.time()
        if wire is None:
            return
        if self._batch and now >= self._stirred + self._timeout:
            wire.break_off(RedisTimeoutError("no answer came in time"))
            return
        if now >= self._stirred + QUIET:
            self._ping()
        # Nothing is armed or disarmed for a batch: one that goes out now is looked at in time.
        due = self._stirred if self._batch else now
        self._watching = AfterReading(self._loop, due + self._timeout, self._watch)

    def _ping(self) -> None:
        """See whether the server is there, unless something under way will tell."""
        if not self._batch and not self._queue:
            self._queue.append(PendingCommand(("PING",), nobody, self._loop.time()))
            self._flush_soon()

    # Whether it takes messages.

    def _probe(self) -> None:
        """See whether the server takes messages, now and from time to time."""
        if self._probing is not None:
            self._probing.cancel()
            self._probing = None
        if self._wire is not None:
            self._queue.append(PendingCommand(self._make_probe(self), self._probed, self._loop.time()))
            self._flush_soon()

    def _probed(self, reply: object) -> None:
        if not self._is_stopping:
            self._probing = self._loop.call_later(_PROBE_EVERY, self._probe)
        if isinstance(reply, EngineUnreachable):
            return  # The connection broke, which is known.
        before, self.refusal = self.refusal, reply if isinstance(reply, SloshError) else None
        if self.refusal is not None and before is None:
            logger.error(
                "the messages' store takes no messages: %s",
                self.refusal.detail,
                extra=event("store_refuses", reason=self.refusal.detail),
            )
        elif self.refusal is None and before is not None:
            logger.warning("the messages' store takes messages again", extra=event("store_takes"))

    def _flush_soon(self) -> None:
        """What else comes in this turn of the loop goes out together with it."""
        if self._wire is not None and not self._batch and not self._is_flushing:
            self._is_flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flushing = False
        wire = self._wire
        if wire is None or not wire.is_open or self._batch or not self._queue:
            return  # If the connection has just ended, what waits goes out by the next one.
        batch, packed = self._take_batch()
        if batch:
            self._batch = batch
            self._stirred = self._loop.time()
            wire.write(packed)

    def _take_batch(self) -> tuple[deque[PendingCommand], list[bytes]]:
        """What goes out next, and the bytes of it."""
        batch: deque[PendingCommand] = deque()
        packed: list[bytes] = []
        size = rings = 0
        while self._queue and len(batch) < _BATCH and size < _BATCH_BYTES and rings < _BATCH_RINGS:
            sent = self._queue.popleft()
            if sent.is_settled:
                continue  # It was given up while it waited.
            sent.is_out = True
            rings += self._scripts.gives_ring(sent.command)
            each = pack(sent.command)
            size += len(each)
            packed.append(each)
            batch.append(sent)
        return batch, packed

    def _received(self, reply: object) -> None:
        """Give a reply to the command that waits for it: they come in the order of the commands."""
        if isinstance(reply, PushNotification):
            return  # It was not asked for; with RESP3 a server may say such things at any time.
        self._stirred = self._loop.time()
        sent = self._batch.popleft()
        if isinstance(reply, Exception):
            self._refused(sent, reply)
        else:
            sent.settle(reply)
        if not self._batch:
            self._end_batch()

    def _end_batch(self) -> None:
        if self._is_replica and self._wire is not None:
            self._wire.break_off(ReadOnlyError("the server is a replica now"))
            return
        if self._undone:
            undone, self._undone = self._undone, []
            self.resend([*(self._load(text) for text in self._scripts.texts), *undone])
        if self._queue:
            self._flush_soon()

    def _load(self, text: str) -> PendingCommand:
        """What gives a server a script that it has forgotten."""

        def loaded(reply: object) -> None:
            if isinstance(reply, SloshError) and self._wire is not None:
                self._wire.break_off(RedisError("the server takes no scripts"))

        return PendingCommand(("SCRIPT", "LOAD", text), loaded, self._loop.time())

    def _refused(self, sent: PendingCommand, error: Exception) -> None:
        if isinstance(error, RedisConnectionError):
            self._batch.appendleft(sent)
            raise error  # It loads its data yet, or wants no more of us.
        if says(error, ReadOnlyError, "READONLY"):
            self._is_replica = True
            self.refusal = EngineFailed(refusal_of("READONLY"))
            self._undone.append(sent)
        elif isinstance(error, NoScriptError):
            self._undone.append(sent)
        elif isinstance(error, MovedError | AskError | ClusterDownError | TryAgainError) and self._redirected:
            self._redirected(sent, error)
        else:
            sent.settle(self._explain(error))

    def _come_down(self, error: Exception) -> None:
        self.is_up = False
        self._outage.goes_on(self._loop.time(), error)
        while self._queue and self._is_given_up():
            self._queue.popleft().give_up()

    def _is_given_up(self) -> bool:
        return self._outage.is_longer_than(self._timeout, self._loop.time())

    def _explain(self, error: Exception) -> SloshError:
        if says(error, OutOfMemoryError, "OOM"):
            return EngineFull("The messages' store is full (its maxmemory); nothing was stored.")
        if isinstance(error, ClusterDownError | TryAgainError | MovedError | AskError):
            return EngineUnreachable(NOT_SENT)
        if word := word_of(error):
            if self._probing is not None:
                self._loop.call_soon(self._probe)
            return EngineFailed(refusal_of(word))
        self._outage.complain(self._loop.time(), error)
        return EngineFailed("The messages' store refused this; the log says why.")
