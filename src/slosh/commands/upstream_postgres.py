"""Notifications of a PostgreSQL server, for `slosh bridge`: LISTEN here, NOTIFY there."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar, Final

import asyncpg

from slosh.client.errors import BadUse
from slosh.commands.shared import printable
from slosh.commands.upstream import CONNECT, HEARTBEAT, Address, LoginDenied, Upstream, UpstreamLost, reason_of

_LONGEST_NAME: Final = 63
"""Bytes of a channel's name (NAMEDATALEN - 1)."""


class PostgresUpstream(Upstream):
    """A PostgreSQL server. A name is a channel there, with upper and lower case told apart.

    What the address leaves out comes from PGPASSWORD, ~/.pgpass and the like, as for other programs.
    """

    takes_patterns: ClassVar[bool] = False

    def __init__(self, address: Address, tell: Callable[[str], None]) -> None:
        super().__init__(address, tell)
        self._connection: Any = None
        self._notified: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue()  # None is the end

    async def connect(self) -> None:
        """Connect and log in."""
        try:
            self._connection = await asyncpg.connect(
                self.address.url,
                password=self.address.password,
                timeout=CONNECT,
                command_timeout=CONNECT,
                server_settings={"application_name": "slosh bridge"},
            )
        except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
            raise LoginDenied(reason_of(error)) from error
        except (asyncpg.PostgresError, OSError) as error:
            raise UpstreamLost(reason_of(error)) from error
        except (asyncpg.InterfaceError, ValueError) as error:  # it may repeat a part of the address
            raise BadUse(
                "This postgres:// address cannot be used; it looks like postgres://user@host:5432/database."
            ) from error
        self._connection.add_termination_listener(lambda _: self._notified.put_nowait(None))

    async def subscribe(self, name: str) -> None:
        """Listen to a channel of this name."""
        if len(name.encode()) > _LONGEST_NAME:
            self.tell(f"{printable(name)} cannot be a channel of PostgreSQL: it is longer than {_LONGEST_NAME} bytes")
            return
        await self._do(self._connection.add_listener(name, self._notify))

    async def unsubscribe(self, name: str) -> None:
        """Listen no more."""
        await self._do(self._connection.remove_listener(name, self._notify))

    async def messages(self) -> AsyncIterator[tuple[str, bytes]]:
        """The notifications as they come; a server that is silent is asked for a sign."""
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT):
                    said = await self._notified.get()
            except TimeoutError:
                await self._do(self._connection.execute("SELECT 1"))
                continue
            if said is None:
                raise UpstreamLost("the connection ended")
            yield said

    async def close(self) -> None:
        """End the connection."""
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await connection.close(timeout=1.0)

    def _notify(self, connection: object, process: int, channel: str, payload: str) -> None:
        del connection, process
        self._notified.put_nowait((channel, payload.encode()))

    async def _do(self, asking: Any) -> None:  # noqa: ANN401 - a coroutine of a library without types
        try:
            await asking
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise UpstreamLost(reason_of(error)) from error
