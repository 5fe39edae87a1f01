"""The servers of one store: a single one, one that Sentinel names, or a cluster."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from redis.asyncio import Redis, Sentinel
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import AskError, MovedError, RedisError, ResponseError

from slosh.engine.redis_address import Address, parse_address
from slosh.engine.redis_link import REMINDERS, WAITING, Link
from slosh.engine.redis_pause import end_all
from slosh.engine.redis_refusals import why_wrong
from slosh.engine.redis_scripts import Command
from slosh.engine.redis_sent import Done, Sent
from slosh.engine.redis_wire import as_broken
from slosh.errors import EngineUnreachable, SettingError, SloshError

logger = logging.getLogger(__name__)

_CHECKS: Final = 10
"""How often within a timeout it is looked whether something has waited for too long."""
_PROBES: Final = 256
"""Keys among which one is looked for that a server has; fewer than one in sixty is at it only in a large cluster."""
_REFRESH_PAUSE: Final = 0.2
"""Seconds between two looks at how a cluster shares its keys."""


class Told(Protocol):
    """Who is told what happens at the servers."""

    def came_up(self) -> None:
        """A server can be reached, which could not before: what was to be heard there may have been missed."""

    def subscribed(self, channel: str) -> None:
        """From now on everything is heard on `channel`; what came before may have been missed."""

    def heard(self, channel: str, data: bytes) -> None:
        """`data` was announced on `channel`."""


def _once() -> "Retry":
    """No retries by the library: it cannot know whether a publish was taken before the connection broke."""
    return Retry(NoBackoff(), 0)


class Servers:
    """A single server, or the one that Sentinel names the master. `start` owes a `stop`.

    Args:
        address: where they are.
        told: who is told what happens.
        timeout: seconds that a server has to answer.
        most: commands that wait for one server at most.
        news: a channel that all nodes listen to.
        probe: gives the command that publishes a message to nobody, for a number that chooses its key.
    """

    def __init__(
        self,
        address: Address,
        told: Told,
        *,
        timeout: float,
        most: int,
        news: str,
        probe: Callable[[int, str], Command],
    ) -> None:
        self.address = address
        self.probe = probe
        self.told = told
        self.timeout = timeout
        self.most = most
        self.news = news
        self.links: dict[tuple[str, int], Link] = {}
        self._loop: asyncio.AbstractEventLoop
        self._outstanding: deque[Sent] = deque()
        self._checks = False

    async def start(self) -> None:
        """Reach all of them, or go on trying.

        Raises:
            SettingError: one was reached, and the address cannot be right; the detail says why.
            EngineUnreachable: it can be reached, and cannot be listened to.
        """
        self._loop = asyncio.get_running_loop()
        link = self.links["", 0] = self.make_link(self._make_client(), clustered=False)
        try:
            await link.start([self.news], patient=True)
        except EngineUnreachable as error:
            raise EngineUnreachable(f"engine: {self.address.text} cannot be used. {error.detail}") from None

    async def stop(self) -> None:
        """Close all connections."""
        for link in self.links.values():
            await link.stop()

    @property
    def are_up(self) -> bool:
        """Whether all can be reached."""
        return all(link.is_up for link in self.links.values())

    @property
    def trouble(self) -> SloshError | None:
        """Why messages are not taken, by one of them at least."""
        for link in self.links.values():
            if link.refusal is not None:
                return link.refusal
        return None if self.are_up else EngineUnreachable("The messages' store is out of reach.")

    @property
    def waiting(self) -> int:
        """How many commands wait to be sent or are under way."""
        return sum(link.waiting for link in self.links.values())

    def link_of(self, key: str) -> Link | None:  # noqa: ARG002 - a cluster asks which
        """The link to the server that has `key`."""
        return self.links["", 0]

    def announcing(self, key: str) -> str:
        """The command that announces something on the channel of the topic with this key."""
        link = self.link_of(key)
        return "SPUBLISH" if link is not None and link.is_sharded else "PUBLISH"

    def send(self, key: str, command: Command, done: Done, *, must: bool = False) -> None:
        """Send a command to the server that has `key`. Wherever it gets stuck, `done` is called within `timeout`.

        Args:
            must: send it also where `most` wait already.
        """
        loop = self._loop
        sent = Sent(command, done, loop.time())
        link = self.link_of(key)
        if link is None:
            sent.give_up()
            return
        self._outstanding.append(sent)
        if not self._checks:
            self._checks = True
            loop.call_later(self.timeout / _CHECKS, self._give_up_old)
        link.send(sent, must=must)

    def _give_up_old(self) -> None:
        loop = self._loop
        # One check before the time is over rather than one after it.
        oldest = loop.time() - self.timeout * (1 - 1 / _CHECKS)
        while self._outstanding and (self._outstanding[0].is_settled or self._outstanding[0].at < oldest):
            self._outstanding.popleft().give_up()
        self._checks = bool(self._outstanding)
        if self._checks:
            loop.call_later(self.timeout / _CHECKS, self._give_up_old)

    def listen(self, channel: str) -> None:
        """Listen to a topic's channel; `Told.subscribed` says from when on."""
        link = self.link_of(channel)
        if link is not None:
            link.listen(channel)

    def unlisten(self, channel: str) -> None:
        """Listen to it no more."""
        for link in self.links.values():
            link.unlisten(channel)

    def make_link(
        self,
        client: "Redis",
        *,
        clustered: bool,
        strayed: Callable[[Sent, ResponseError], None] | None = None,
        moved_away: Callable[[str], None] = lambda _: None,
    ) -> Link:
        """A link to the server that `client` is for, not started yet."""
        return Link(
            client,
            timeout=self.timeout,
            most=self.most,
            clustered=clustered,
            up=self.told.came_up,
            subscribed=self.told.subscribed,
            heard=self.told.heard,
            strayed=strayed,
            moved_away=moved_away,
            address=self.address,
            probe=self._make_probe,
        )

    def _make_probe(self, link: Link) -> Command:
        """What publishes a message to nobody at the server that `link` goes to, which has a part of all keys."""
        announcing = "SPUBLISH" if link.is_sharded else "PUBLISH"
        probes = (self.probe(number, announcing) for number in range(_PROBES))
        return next((probe for probe in probes if self.link_of(_key_of(probe)) is link), self.probe(0, announcing))

    def options(self) -> dict[str, Any]:
        """What every connection is made with."""
        return {
            "client_name": "slosh",
            "protocol": 2,  # all that is needed here, and every server has it
            **self.address.options,
            "decode_responses": False,
            "encoding": "utf-8",
            "socket_timeout": self.timeout,
            "socket_connect_timeout": self.timeout,
            "retry": _once(),
            "retry_on_error": [],
        }

    def _make_client(self) -> "Redis":
        options = self.options()
        connection_class = options.pop("connection_class", None)
        if self.address.kind == "sentinel":
            secret = {name: options.pop(f"sentinel_{name}", None) for name in ("username", "password")}
            asked = {name: value for name, value in options.items() if name.startswith(("ssl", "socket", "retry"))}
            tls: dict[str, Any] = {"ssl": True} if connection_class is not None else {}
            sentinel = Sentinel(list(self.address.hosts), sentinel_kwargs={**asked, **tls, **secret})
            master: Redis = sentinel.master_for(self.address.name, **options, **tls)
            return master
        if connection_class is not None:
            options["connection_class"] = connection_class
        return Redis.from_pool(ConnectionPool(**options))


class Cluster(Servers):
    """The masters of a cluster, each with a link of its own."""

    def __init__(
        self,
        address: Address,
        told: Told,
        *,
        timeout: float,
        most: int,
        news: str,
        probe: Callable[[int, str], Command],
    ) -> None:
        super().__init__(address, told, timeout=timeout, most=most, news=news, probe=probe)
        self._slots: list[tuple[int, int, tuple[str, int]]] = []
        self._channels: dict[str, Link | None] = {}
        self._strayed: list[Sent] = []
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
        return super().waiting + len(self._strayed)

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

    def _take_strayed(self, sent: Sent, error: ResponseError) -> None:
        sent.is_out = False  # The server has said that it did not do it.
        heir = (
            self.links.get((error.host, error.port))
            if isinstance(error, AskError) and not isinstance(error, MovedError)
            else None
        )
        if heir is not None:
            # The slot is on its way, and this key is there already (ASK in the cluster specification).
            heir.resend([Sent(("ASKING",), lambda _: None, sent.at), sent])
        else:
            self._strayed.append(sent)
            self._refresh()

    def _refresh(self) -> None:
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = self._loop.create_task(self._refresh_soon())

    async def _refresh_soon(self) -> None:
        await asyncio.sleep(_REFRESH_PAUSE)
        await self._look()
        strayed, self._strayed = self._strayed, []
        for sent in strayed:
            if sent.is_settled:
                continue  # It was given up while it waited.
            link = self.link_of(_key_of(sent.command))
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
                if (wrong := why_wrong(error)) is not None and not self._slots:
                    told = self.address.hide(f"{wrong} It says: {error}")
                    raise SettingError(f"engine: {self.address.text} is there and cannot be used. {told}") from None
                trouble = self.address.hide(f"{type(error).__name__}: {error}")
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
            link = self.make_link(client, clustered=True, strayed=self._take_strayed, moved_away=self._move_channel)
            try:
                await link.start([self.news])
            except EngineUnreachable as error:
                return error.detail
            self.links[host, port] = link
            self.told.came_up()
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


def _key_of(command: Command) -> str:
    """The first key of a command, which may be a call of a script."""
    return str(command[3] if command[0] == "EVALSHA" else command[1])


def make_servers(
    address: str, told: Told, *, timeout: float, most: int, news: str, probe: Callable[[int, str], Command]
) -> Servers:
    """The servers at `address`, not reached yet.

    Raises:
        SettingError: it is no address.
    """
    parsed = parse_address(address)
    kind = Cluster if parsed.kind == "cluster" else Servers
    return kind(parsed, told, timeout=timeout, most=most, news=news, probe=probe)
