"""Messages of a Redis or Valkey server's channels, for `slosh bridge`."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from slosh.client.errors import BadUse
from slosh.commands.shared import printable
from slosh.commands.upstream import CONNECT, HEARTBEAT, Address, LoginDenied, Upstream, UpstreamLost, reason_of
from slosh.core.patterns import is_pattern

if TYPE_CHECKING:
    from redis.asyncio.client import PubSub


class RedisUpstream(Upstream):
    """A Redis or Valkey server. A name is a channel there."""

    def __init__(self, address: Address, tell: Callable[[str], None]) -> None:
        super().__init__(address, tell)
        # Without retries: what is published between two connections is missed, and that is told.
        options: dict[str, Any] = {
            "retry": Retry(NoBackoff(), 0),
            "socket_connect_timeout": CONNECT,
            "max_connections": 1,
        }
        try:
            self._client = redis.asyncio.Redis.from_url(address.url, **options)
        except ValueError as error:
            raise BadUse("This redis:// address cannot be read; it looks like redis://host:6379.") from error
        if address.password is not None:
            self._client.connection_pool.connection_kwargs["password"] = address.password
        self._channels: PubSub = self._client.pubsub()
        self._asked: deque[str] = deque()  # names subscribed to and not yet confirmed; answers come in their order
        self._named: set[bytes] = set()  # channels that are subscribed to by their names

    async def connect(self) -> None:
        """Connect and log in."""
        try:
            async with asyncio.timeout(CONNECT):
                await self._channels.connect()
                await self._channels.ping()  # an answer that is an error says that it wants a login
                await self._channels.get_message(timeout=CONNECT)
        except (AuthenticationError, NoPermissionError) as error:
            raise LoginDenied(reason_of(error)) from error
        except (RedisError, OSError) as error:
            raise UpstreamLost(reason_of(error.__cause__ or error)) from error

    async def subscribe(self, name: str) -> None:
        """Subscribe to a channel of this name."""
        self._asked.append(name)
        try:
            await (self._channels.psubscribe(_glob(name)) if is_pattern(name) else self._channels.subscribe(name))
        except (RedisError, OSError) as error:
            raise UpstreamLost(reason_of(error)) from error

    async def unsubscribe(self, name: str) -> None:
        """Unsubscribe from it."""
        try:
            await (self._channels.punsubscribe(_glob(name)) if is_pattern(name) else self._channels.unsubscribe(name))
        except (RedisError, OSError) as error:
            raise UpstreamLost(reason_of(error)) from error

    async def messages(self) -> AsyncIterator[tuple[str, bytes]]:
        """The messages as they come; a server that is silent is asked for a sign."""
        asked = False
        while True:
            try:
                said = await self._channels.get_message(timeout=HEARTBEAT)
                if said is None:
                    if asked:
                        raise UpstreamLost("no answer in time")
                    await self._channels.ping()
            except NoPermissionError:
                name = self._asked.popleft() if self._asked else ""
                self.tell(f"{self.address.shown} refuses the channel {printable(name)}")
                continue
            except ResponseError as error:
                self.tell(f"{self.address.shown} says: {printable(str(error))}")
                continue
            except (RedisError, OSError) as error:
                raise UpstreamLost(reason_of(error.__cause__ or error)) from error
            asked = said is None
            if said is not None and (given := self._read(said)) is not None:
                yield given

    def _read(self, said: dict[str, Any]) -> tuple[str, bytes] | None:
        """What the server says: a message, or that a subscription has begun or ended."""
        kind, channel = said["type"], said["channel"]
        if kind in ("subscribe", "psubscribe") and self._asked:
            self._asked.popleft()
        if kind == "subscribe":
            self._named.add(channel)
        elif kind == "unsubscribe":
            self._named.discard(channel)
        # Of a channel that a name and a pattern match, each message comes twice.
        elif kind == "message" or (kind == "pmessage" and channel not in self._named):
            # Bytes that are no text make a name that no topic can have, and not one that others have too.
            return channel.decode("utf-8", "surrogateescape"), said["data"]
        return None

    async def close(self) -> None:
        """End the connection."""
        with contextlib.suppress(RedisError, OSError):
            await self._channels.aclose()
        with contextlib.suppress(RedisError, OSError):
            await self._client.aclose()


def _glob(pattern: str) -> str:
    """A pattern as Redis spells it, where `*` matches any characters."""
    special = str.maketrans({each: f"\\{each}" for each in "\\[]?"})
    return "/".join("*" if "*" in segment else segment.translate(special) for segment in pattern.split("/"))
