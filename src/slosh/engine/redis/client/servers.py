"""The servers of one store: a single one, or the one that Sentinel names."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

from redis.asyncio import Redis, Sentinel
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from slosh.engine.redis.client.address import Address
from slosh.engine.redis.client.command import Command, Done, PendingCommand, Scripts
from slosh.engine.redis.client.link import Link
from slosh.errors import EngineUnreachable, SloshError
from slosh.stalls import AfterReading

_CHECKS: Final = 10
"""How often within a timeout it is looked whether something has waited for too long."""
_PROBES: Final = 256
"""Keys among which one is looked for that a server has; fewer than one in sixty is at it only in a large cluster."""


class StoreEvents(Protocol):
    """Told what happens at the servers."""

    def came_up(self) -> None:
        """A server can be reached, which could not before: what was to be heard there may have been missed."""

    def subscribed(self, channel: str) -> None:
        """From now on everything is heard on `channel`; what came before may have been missed."""

    def heard(self, channel: str, data: bytes) -> None:
        """`data` was announced on `channel`."""


def _once() -> "Retry":
    """No retries by the library: it cannot know whether a publish was taken before the connection broke."""
    return Retry(NoBackoff(), 0)


class StoreTerms(NamedTuple):
    """What holds for all the servers of a store.

    Attributes:
        timeout: seconds that a server has to answer.
        most: commands that wait for one server at most.
        news: a channel that all nodes listen to.
        scripts: what has to be known of those that are sent.
        probe: gives the command that publishes a message to nobody, for a number that chooses its key, and the command
            that announces there.
    """

    timeout: float
    most: int
    news: str
    scripts: Scripts
    probe: Callable[[int, str], Command]


class Servers:
    """A single server, or the one that Sentinel names the master. Call `stop` after `start`.

    Args:
        address: where they are.
        events: notified of what happens.
        terms: what holds for all of them.
    """

    def __init__(self, address: Address, events: StoreEvents, terms: StoreTerms) -> None:
        self.address = address
        self.events = events
        self.terms = terms
        self.links: dict[tuple[str, int], Link] = {}
        self._loop: asyncio.AbstractEventLoop
        self._outstanding: deque[PendingCommand] = deque()
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
            await link.start([self.terms.news], patient=True)
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
            must: send it even if `most` wait already.
        """
        loop = self._loop
        sent = PendingCommand(command, done, loop.time())
        link = self.link_of(key)
        if link is None:
            sent.give_up()
            return
        self._outstanding.append(sent)
        if not self._checks:
            self._checks = True
            AfterReading(loop, loop.time() + self.terms.timeout / _CHECKS, self._give_up_old)
        link.send(sent, must=must)

    def _give_up_old(self) -> None:
        loop = self._loop
        # One check before the time is over rather than one after it.
        oldest = loop.time() - self.terms.timeout * (1 - 1 / _CHECKS)
        while self._outstanding and (self._outstanding[0].is_settled or self._outstanding[0].at < oldest):
            self._outstanding.popleft().give_up()
        self._checks = bool(self._outstanding)
        if self._checks:
            AfterReading(loop, loop.time() + self.terms.timeout / _CHECKS, self._give_up_old)

    def listen(self, channel: str) -> None:
        """Listen to a topic's channel; `StoreEvents.subscribed` says from when on."""
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
        redirected: Callable[[PendingCommand, ResponseError], None] | None = None,
        moved_away: Callable[[str], None] = lambda _: None,
    ) -> Link:
        """A link to the server that `client` is for, not started yet."""
        return Link(
            client,
            timeout=self.terms.timeout,
            most=self.terms.most,
            clustered=clustered,
            up=self.events.came_up,
            subscribed=self.events.subscribed,
            heard=self.events.heard,
            redirected=redirected,
            moved_away=moved_away,
            address=self.address,
            scripts=self.terms.scripts,
            probe=self._make_probe,
        )

    def _make_probe(self, link: Link) -> Command:
        """What publishes a message to nobody at the server that `link` goes to, which has a part of all keys."""
        announcing = "SPUBLISH" if link.is_sharded else "PUBLISH"
        probes = (self.terms.probe(number, announcing) for number in range(_PROBES))
        return next((probe for probe in probes if self.link_of(key_of(probe)) is link), self.terms.probe(0, announcing))

    def options(self) -> dict[str, Any]:
        """What every connection is made with."""
        return {
            "client_name": "slosh",
            "protocol": 2,  # all that is needed here, and every server has it
            **self.address.options,
            "decode_responses": False,
            "encoding": "utf-8",
            "socket_timeout": self.terms.timeout,
            "socket_connect_timeout": self.terms.timeout,
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


def key_of(command: Command) -> str:
    """The first key of a command, which may be a call of a script."""
    return str(command[3] if command[0] == "EVALSHA" else command[1])
