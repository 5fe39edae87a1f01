"""The servers of a Redis Cluster, and which kind of servers an address names."""

import asyncio
import logging
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool
from redis.crc import key_slot
from redis.exceptions import AskError, MovedError, RedisError, ResponseError

from slosh.engine.redis.client.address import Address, parse_address
from slosh.engine.redis.client.backoff import end_all
from slosh.engine.redis.client.command import PendingCommand
from slosh.engine.redis.client.link import Link
from slosh.engine.redis.client.outage import REMINDERS, WAITING
from slosh.engine.redis.client.refusals import reason_of, unusable
from slosh.engine.redis.client.servers import Servers, StoreEvents, StoreTerms, key_of
from slosh.engine.redis.client.wire import as_broken
from slosh.errors import EngineUnreachable, SettingError

logger = logging.getLogger(__name__)

_REFRESH_PAUSE: Final = 0.2
"""Seconds between two looks at how a cluster shares its keys."""


class Cluster(Servers):
    """The masters of a cluster, each with a link of its own."""

    def __init__(self, address: Address, events: StoreEvents, terms: StoreTerms) -> None:
        super().__init__(address, events, terms)
        self._slots: list[tuple[int, int, tuple[str, int]]] = []
        self._channels: dict[str, Link | None] = {}
        self._redirected: list[PendingCommand] = []
        self._looking = asyncio.Lock()
        self._refreshing: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """As for a single server."""
        self._loop = asyncio.get_running_loop()
        error = await self._look()
        if error is not None:
            logger.warning(WAITING, self.address.text, error)
        self._watching = self._loop.create_task(self._watch())

    async def stop(self) -> None:
        """As for a single server."""
        await end_all(task for task in (self._watching, self._refreshing) if task is not None)
        await super().stop()

    @property
    def waiting(self) -> int:
        """As for a single server."""
        return super().waiting + len(self._redirected)

    @property
    def are_up(self) -> bool:
        """As for a single server."""
        return bool(self._slots) and super().are_up

    def link_of(self, key: str) -> Link | None:
        """As for a single server."""
        slot = key_slot(key.encode())
        for first, last, server in self._slots:
            if first <= slot <= last:
                return self.links.get(server)
        return None

    def listen(self, channel: str) -> None:
        """As for a single server."""
        link = self._channels[channel] = self.link_of(channel)
        if link is not None:
            link.listen(channel)

    def unlisten(self, channel: str) -> None:
        """As for a single server."""
        link = self._channels.pop(channel, None)
        if link is not None:
            link.unlisten(channel)

    # How the keys are shared.

    def _take_redirected(self, sent: PendingCommand, error: ResponseError) -> None:
        sent.is_out = False  # The server has said that it did not do it.
        heir = (
            self.links.get((error.host, error.port))
            if isinstance(error, AskError) and not isinstance(error, MovedError)
            else None
        )
        if heir is not None:
            # The slot is on its way, and this key is there already (ASK in the cluster specification).
            heir.resend([PendingCommand(("ASKING",), lambda _: None, sent.at), sent])
        else:
            self._redirected.append(sent)
            self._refresh()

    def _refresh(self) -> None:
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = self._loop.create_task(self._refresh_soon())

    async def _refresh_soon(self) -> None:
        await asyncio.sleep(_REFRESH_PAUSE)
        await self._look()
        redirected, self._redirected = self._redirected, []
        for sent in redirected:
            if sent.is_settled:
                continue  # It was given up while it waited.
            link = self.link_of(key_of(sent.command))
            if link is None:
                sent.give_up()
            else:
                link.resend([sent])

    async def _watch(self) -> None:
        """Look again as long as a master cannot be reached: a replica may have taken its place."""
        remind_at = self._loop.time() + REMINDERS
        while True:
            await asyncio.sleep(1.0)
            trouble = None if self.are_up else await self._look()
            if trouble is not None and self._loop.time() >= remind_at:
                remind_at = self._loop.time() + REMINDERS
                logger.warning("the messages' store at %s is still out of reach: %s", self.address.text, trouble)

    async def _look(self) -> str | None:
        """Ask how the keys are shared, and have a link to each master. Gives why that could not be, or None."""
        async with self._looking:  # else two might make a link to the same new master
            try:
                return await self._look_now()
            except SettingError as error:
                if self._watching is None:  # It has just begun.
                    raise
                return error.detail
            except Exception:
                logger.exception("a mistake of slosh; the cluster is looked at again")
                return "it could not be looked at"

    async def _look_now(self) -> str | None:
        trouble = "no server of it answers"
        for host, port in dict.fromkeys([*self.links, *self.address.hosts]):
            try:
                answer = await self._ask_for_slots(host, port)
            except (RedisError, OSError) as error:
                if (wrong := unusable(self.address.text, error)) is not None and not self._slots:
                    raise wrong from None
                trouble = reason_of(error)
                continue
            # A server that was not told its own address leaves it away (CLUSTER SLOTS in the reference).
            slots = [
                (first, last, ((master[0] or b"").decode() or host, master[1])) for first, last, master, *_ in answer
            ]
            return await self._arrange(slots)
        return trouble

    async def _ask_for_slots(self, host: str, port: int) -> list[Any]:
        """What the server there says of how the keys are shared."""
        client = self._client(host, port)
        try:
            # In two words, which redis-py leaves as the server answers it.
            with as_broken():
                answer: list[Any] = await client.execute_command("CLUSTER", "SLOTS")
        finally:
            await client.aclose()
        return answer

    async def _arrange(self, slots: list[tuple[int, int, tuple[str, int]]]) -> str | None:
        if not slots:
            return "it has given no keys to any server yet"
        masters = {server for _, _, server in slots}
        for host, port in masters - set(self.links):
            client = self._client(host, port)
            link = self.make_link(
                client, clustered=True, redirected=self._take_redirected, moved_away=self._move_channel
            )
            try:
                await link.start([self.terms.news])
            except EngineUnreachable as error:
                return error.detail
            self.links[host, port] = link
            self.events.came_up()
        if self._slots not in ([], slots):
            logger.info("the cluster shares its keys in another way now")
        self._slots = slots
        for channel, listening in list(self._channels.items()):
            if self.link_of(channel) is not listening:
                if listening is not None:
                    listening.unlisten(channel)
                self.listen(channel)
        for server in set(self.links) - masters:
            await self.links.pop(server).stop()
        return None

    def _move_channel(self, channel: str) -> None:
        if channel:
            self._channels[channel] = None
        self._refresh()

    def _client(self, host: str, port: int) -> "Redis":
        options = {name: value for name, value in self.options().items() if name != "db"}
        return Redis.from_pool(ConnectionPool(host=host, port=port, **options))


def make_servers(address: str, events: StoreEvents, terms: StoreTerms) -> Servers:
    """The servers at `address`, not reached yet.

    Raises:
        SettingError: it is no address.
    """
    parsed = parse_address(address)
    kind = Cluster if parsed.kind == "cluster" else Servers
    return kind(parsed, events, terms)
