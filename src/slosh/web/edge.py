"""What all the connections of a server share: its bounds, the clock, remembered heads, and the counts."""

import asyncio
import random
import time
from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol

from slosh.core.subscription import Batch
from slosh.core.timers import Timers
from slosh.settings import Settings
from slosh.web.head import Head
from slosh.web.response import date_field

if TYPE_CHECKING:
    from slosh.web.connection import Connection

_REMEMBERED_HEADS: Final = 512
"""Heads in each of the two generations that are remembered."""
_REMEMBERED_BYTES: Final = 2048
"""Bytes of the longest head that is remembered. With what is made of it that bounds the memory to about 4 MiB."""


class Action(Protocol):
    """What is to be done for a request, decided from its head alone; it serves any number of requests."""

    @property
    def max_body(self) -> int:
        """Bytes that the body may have."""

    @property
    def fields(self) -> bytes:
        """Header lines of every answer to it, also of refusals."""

    def run(self, connection: "Connection", body: bytes) -> None:
        """Answer the request on `connection`, or `hold` it there and answer later.

        Raises:
            SloshError: it is refused; the connection writes the problem document.
        """


class Application(Protocol):
    """What a server does, apart from HTTP."""

    def route(self, head: Head) -> Action:
        """Decide what to do, from the head alone: the same head always gives the same. A `Refusal` is an action too."""


class HeadMemory:
    """Heads that were judged already, by their bytes; the least recently used are forgotten.

    Two generations instead of a list in order of use: a hit in the young one costs a single look-up.
    """

    __slots__ = ("_old", "_young")

    def __init__(self) -> None:
        self._young: dict[bytes, tuple[Head, Action]] = {}
        self._old: dict[bytes, tuple[Head, Action]] = {}

    def recall(self, block: bytes) -> tuple[Head, Action] | None:
        """What was remembered for exactly these bytes, or None."""
        known = self._young.get(block)
        if known is None:
            known = self._old.get(block)
            if known is not None:
                self.remember(block, known)
        return known

    def remember(self, block: bytes, known: tuple[Head, Action]) -> None:
        """Keep `known` for the next time that these bytes come."""
        if len(block) > _REMEMBERED_BYTES:
            return
        if len(self._young) >= _REMEMBERED_HEADS:
            self._old = self._young
            self._young = {}
        self._young[block] = known


class Edge:
    """Shared by all the connections of a server.

    Args:
        settings: the bounds.
        application: what is done for a request.
        loop: that the connections live on.

    Attributes:
        draining: whether the server is going down: every answer is the last on its connection.
        emptied: set when the last connection has gone while the server is draining.
        refused: how often each error was answered, by its code.
        closed: how often a connection was closed for a reason of ours, by the bound's name.
        accepted: connections since the start.
        requests: answered since the start.
        answers: to readers since the start.
        delivered: messages that were given to readers since the start, each time counted.
        lost: messages that readers were told they missed.
    """

    def __init__(self, settings: Settings, application: Application, loop: asyncio.AbstractEventLoop) -> None:
        self.settings = settings
        self.application = application
        self.loop = loop
        self.now = loop.time
        self.random = random.random  # for jitter, which nobody needs to be unable to guess
        self.heads = HeadMemory()
        self.timers: Timers[Connection] = Timers(self._arm)
        self.connections: dict[Connection, None] = {}
        self.per_address: Counter[str] = Counter()
        self.draining = False
        self.accepted = 0
        self.requests = 0
        self.refused: Counter[str] = Counter()
        self.closed: Counter[str] = Counter()
        self.answers = 0
        self.delivered = 0
        self.lost = 0
        self.emptied = asyncio.Event()
        self._date = b""
        self._date_until = 0.0

    def date(self) -> bytes:
        """The `Date` line of this second."""
        now = time.time()
        if not self._date_until - 1.0 <= now < self._date_until:  # it may have been set back
            self._date = date_field(now)
            self._date_until = int(now) + 1.0
        return self._date

    def count_batch(self, batch: Batch) -> None:
        """Count what one reader was told."""
        self.answers += 1
        for _, reading in batch.parts:
            self.delivered += len(reading.messages)
            self.lost += reading.lost

    def _arm(self, when: float) -> None:
        self.loop.call_at(when, self._expire)

    def _expire(self) -> None:
        for connection in self.timers.due(self.now()):
            connection.on_timer()
