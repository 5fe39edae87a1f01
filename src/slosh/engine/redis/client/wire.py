"""One connection to a Redis or Valkey server: bytes go out, and replies come in.

The rules of this file:

* The library makes the connection, whatever the road (TLS, a Unix socket, Sentinel), and says who we are. From then on
  its replies are taken here, as they come, without a task or a future for any of them.
* A connection breaks once, for one reason, and is never used again. Bytes that are received or written after that are
  discarded: between the end of a connection and the moment in which its owner learns of it other callbacks run.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, Self, cast

from hiredis import Reader, pack_command
from redis.asyncio.connection import DefaultParser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, RedisError

from slosh.engine.redis.client.command import Command

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.connection import AbstractConnection

pack: Final[Callable[[Command], bytes]] = pack_command  # type: ignore[assignment]  # its stub takes one argument only
"""A command as it goes over the wire."""
_CLOSED: Final = "the server closed the connection"
_NOTHING: Final = object()
"""What hiredis gives if no whole reply is there; None and False are replies."""


@contextlib.contextmanager
def as_broken() -> Iterator[None]:
    """Take a `RuntimeError` of the library's connection for what it is: the connection was closed meanwhile.

    uvloop raises it for a write to such a connection, and the library hands it on.

    Raises:
        ConnectionError: of the library, in its place.
    """
    try:
        yield
    except RuntimeError as error:
        raise RedisConnectionError(_CLOSED) from error


class Wire(asyncio.Protocol):
    """A connection whose replies are taken as they come. The caller must call `close`.

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
        if writer is None or writer.transport.is_closing():  # It broke since, and nobody would tell us.
            raise RedisConnectionError(_CLOSED)
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
        with as_broken():
            connection = await pool.get_connection()
        try:
            return cls(client, connection, received)
        except BaseException:
            await pool.release(connection)
            raise

    async def close(self) -> None:
        """Close the connection, if it is open yet."""
        if self.broken.done() and not self.broken.cancelled():
            self._transport.abort()  # Bytes that were not sent will not be.
            self.broken.exception()  # The event loop need not complain of it.
        self.broken.cancel()
        try:
            with as_broken():
                await self._connection.disconnect(nowait=True)
        except (RedisError, OSError):
            pass  # It is gone already, which is all that was wanted.
        finally:
            await self._client.connection_pool.release(self._connection)

    @property
    def is_open(self) -> bool:
        """Whether what is written may still reach the server."""
        return not self.broken.done() and not self._transport.is_closing()

    def write(self, commands: Iterable[bytes]) -> None:
        """Send commands, each as it goes over the wire; nothing once the connection is no more."""
        if self.is_open:
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
        self.break_off(error or RedisConnectionError(_CLOSED))
        # The caller that closes the library's connection waits for the protocol that it was made with.
        cast("asyncio.Protocol", self._before).connection_lost(error)
