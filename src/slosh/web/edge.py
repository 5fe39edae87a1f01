"""What all the connections of a server share: its bounds, the clock, remembered heads, and the counts."""

import asyncio
import logging
import math
import random
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from slosh.core.subscription import Batch, OneTopic
from slosh.core.timers import Timers
from slosh.errors import SloshError
from slosh.settings import Settings
from slosh.web.action import Action, Application, Exchange
from slosh.web.head import Head
from slosh.web.memory import HeadMemory, Latest
from slosh.web.proxies import Proxies
from slosh.web.refusal_log import INTERVAL, RefusalLog
from slosh.web.response import date_field
from slosh.web.turns import Turns

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from slosh.core.reading import Since
    from slosh.web.connection import Connection


class Timed(Protocol):
    """Who has a deadline."""

    def on_timer(self) -> None:
        """It has come, or was put off meanwhile."""

    def abandon(self) -> None:
        """That failed: let go of everything."""


class Edge:
    """Shared by all the connections of a server.

    Args:
        settings: the bounds.
        application: what is done for a request.
        loop: that the connections live on.

    Raises:
        SettingError: the setting `trusted_proxies` has something that is no address.

    Attributes:
        draining: whether the server is going down: every answer is the last on its connection.
        heads: that were judged already.
        downloads: files that are open because their clients have not taken all of them.
        max_downloads: how many there may be; less than the setting where the system grants fewer files.
        max_connections: how many there may be; less than the setting where the system grants fewer files.
        first_spare: the number from which on descriptors are kept for connections beyond `max_connections`.
        max_head: bytes of the longest head, as set.
        reserved: the exchanges of connections beyond `max_connections` that may still say that they are probes, the
            oldest first.
        leaving: connections beyond `max_connections` that have their answer, the oldest first.
        latest: the head that came last; many readers at one place send the same, one after another.
        latest_place: of the poll that came last to one topic; many come to one place, one after another.
        latest_since: what that poll asked for, when it was a cursor of its own.
        proxies: whose word about their clients counts.
        turns: the connections that wait for their turn.
        idle: how long a connection may be idle, seconds, `inf` for any time.
        emptied: done when the last connection has gone; there while the server is draining.
        refused: how often each error was answered, by its code.
        refusal_log: which of them are logged.
        closed: how often a connection or a stream was closed for a reason of ours, by the bound's name.
        accepted: connections since the start.
        requests: answered since the start.
        answers: to readers since the start.
        timeouts: those that were given because the time to wait was over.
        delivered: messages that were given to readers since the start, each time counted.
        lost: messages that readers were told they missed.
    """

    def __init__(self, settings: Settings, application: Application, loop: asyncio.AbstractEventLoop) -> None:
        self.settings = settings
        self.application = application
        self.loop = loop
        self.now = loop.time
        self.wall = time.time  # seconds since 1970, for people and the `Date`
        self.random = random.random  # for jitter, which nobody needs to be unable to guess
        self.heads = HeadMemory()
        self.max_connections = settings.max_connections
        self.downloads = 0
        self.max_downloads = settings.max_downloads
        self.first_spare = sys.maxsize
        self.max_head = settings.max_head
        self.reserved: dict[Exchange, None] = {}
        self.leaving: dict[Connection, None] = {}
        self.latest = Latest(Head(b"", "GET", b"/", 1, []), Action())
        self.latest_place: OneTopic | None = None
        self.latest_since: Since | None = None
        self.turns = Turns(loop)
        self.idle = settings.idle_timeout or math.inf
        self.proxies = Proxies(settings.trusted_proxies)
        self.timers: Timers[Timed] = Timers(self._arm)
        self.connections: dict[Connection, None] = {}
        self.per_address: Counter[str] = Counter()
        self.draining = False
        self.accepted = 0
        self.requests = 0
        self.refused: Counter[str] = Counter()
        self.refusal_log = RefusalLog()
        self.closed: Counter[str] = Counter()
        self.answers = 0
        self.timeouts = 0
        self.delivered = 0
        self.lost = 0
        self.emptied: asyncio.Future[None] | None = None
        self._date = b""
        self._date_until = 0.0
        self._files_logged_until = -math.inf

    def date(self) -> bytes:
        """The `Date` line of this second."""
        now = self.wall()
        if not self._date_until - 1.0 <= now < self._date_until:  # it may have been set back
            self._date = date_field(now)
            self._date_until = int(now) + 1.0
        return self._date

    def note_refusal(self, error: SloshError, head: Head | None, connection: "Connection") -> None:
        """Count a refusal, and log it if one of its kind is due.

        Args:
            head: of the request; None where it was not read.
            connection: that the request came on.
        """
        self.refused[error.code] += 1
        level = self.settings.log_refusals
        if self.refusal_log.is_due(error.code, self.now(), level):
            peer = connection.peer
            client = peer if head is None else self.proxies.find_client(peer, head)
            self.refusal_log.write(error, head, client, level)

    def is_short_of_files(self, transport: asyncio.BaseTransport) -> bool:
        """Whether only spare descriptors were left for a connection that has just been accepted.

        The system gives the lowest number that is free (POSIX.1-2017 XSH §2.14), so its number tells, whatever else
        this process has open.
        """
        plain = transport.get_extra_info("socket")
        return plain is not None and bool(plain.fileno() >= self.first_spare)

    def note_few_files(self) -> None:
        """Count a connection that is closed for want of descriptors, and log it if that was not done lately."""
        self.closed["open_files"] += 1
        if self.now() >= self._files_logged_until:
            self._files_logged_until = self.now() + INTERVAL
            logger.warning(
                "this process has nearly all the files open that it may have (ulimit -n), with %d connections: "
                "new clients are answered 503 until some are closed. Raise the limit, or lower max_connections.",
                len(self.connections),
            )

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
            try:
                connection.on_timer()
            except Exception:
                logger.exception("a deadline failed; the others are kept")
                connection.abandon()
