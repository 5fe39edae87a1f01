"""One connection to a Redis or Valkey server: bytes go out, and replies come in.

The rules of this file:

* The library makes the connection, whatever the road (TLS, a Unix socket, Sentinel), and says who we are. From then on
  its replies are taken here, as they come, without a task or a future for any of them.
* A connection breaks once, for one reason, and is never used again. What comes after that is nobody's.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Self, cast

from hiredis import Reader, pack_command
from redis.asyncio.connection import DefaultParser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse

from slosh.engine.redis_scripts import Command

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.connection import AbstractConnection

pack: Final[Callable[[Command], bytes]] = pack_command  # type: ignore[assignment]  # its stub takes one argument only
"""A command as it goes over the wire."""
_NOTHING: Final = object()
"""What hiredis gives where no whole reply is there; None and False are replies."""


class Wire(asyncio.Protocol):
    """A connection whose replies are taken as they come. Whoever opens it owes a `close`.

    Args:
        client: the library's client for the server; the connection is one of its pool.
        connection: made, and not used by anybody else.
        received: called with each reply, or with the error that the server answered.

    Attributes:
        broken: done when the connection is no more, with the reason as its exception.
    """

    def __init__(self, client: "Redis", connection: "AbstractConnection", received: Callable[[Any], object]) -> None:
        self._client = client
        self._connection = connection
        self._received = received
        self._reader = Reader(
            replyError=DefaultParser.parse_error, protocolError=InvalidResponse, notEnoughData=_NOTHING
        )
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # The library gives its transport to nobody. To read through its own objects costs 8 µs for each time that
        # something comes, and 3 µs for each reply: as much as all else that a publish costs a node.
        writer = connection._writer  # noqa: SLF001 - see above
        if writer is None:  # It broke since, and nobody waited.
            raise RedisConnectionError("the connection was closed")
        self._transport = writer.transport
        self._before = self._transport.get_protocol()
        self._transport.set_protocol(self)

    @classmethod
    async def open(cls, client: "Redis", received: Callable[[Any], object]) -> Self:
        """Connect.

        Raises:
            RedisError: it cannot be.
            OSError: it cannot be.
        """
        pool = client.connection_pool
        connection = await pool.get_connection()
        try:
            return cls(client, connection, received)
        except BaseException:
            await pool.release(connection)
            raise

    async def close(self) -> None:
        """Close the connection, if it is open yet."""
        if self.broken.done() and not self.broken.cancelled():
            self._transport.abort()  # What was not sent will not be.
            self.broken.exception()  # The event loop need not complain of it.
        self.broken.cancel()
        try:
            await self._connection.disconnect(nowait=True)
        finally:
            await self._client.connection_pool.release(self._connection)

    def write(self, commands: Iterable[bytes]) -> None:
        """Send commands, each as it goes over the wire."""
        self._transport.write(b"".join(commands))

    def break_off(self, error: BaseException) -> None:
        """Have no more of this connection; the caller of `open` learns why."""
        if not self.broken.done():
            self.broken.set_exception(error)

    # As the event loop's protocol.

    def data_received(self, data: bytes) -> None:
        """Some bytes have come."""
        reader, received = self._reader, self._received
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _NOTHING and not self.broken.done():
                received(reply)
        except Exception as error:  # noqa: BLE001 - a mistake of slosh too ends the connection; who opened it logs it
            self.break_off(error)

    def connection_lost(self, error: Exception | None) -> None:
        """There is no connection any more."""
        self.break_off(error or RedisConnectionError("the server closed the connection"))
        # Whoever closes the library's connection waits for the protocol that it was made with.
        cast("asyncio.Protocol", self._before).connection_lost(error)
