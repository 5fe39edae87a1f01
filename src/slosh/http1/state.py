"""The state that all connections of a server share: bounds, clock, counters."""

import asyncio
import logging
import math
import os
import random
import sys
import time
from collections import Counter, deque
from functools import partial
from typing import Final, Protocol

from slosh.core.timers import Timers
from slosh.errors import SloshError
from slosh.http1.access_log import AccessLog
from slosh.http1.exchange import Exchange
from slosh.http1.head import Head
from slosh.http1.lag import LoopLag
from slosh.http1.proxies import Proxies
from slosh.http1.refusal_log import INTERVAL, RefusalLog, describe, describe_beginning
from slosh.http1.response import date_field
from slosh.http1.shortage import Shortage
from slosh.http1.turns import Turns
from slosh.settings import Settings
from slosh.stalls import LATE, MOMENT

logger = logging.getLogger(__name__)


_DUE: Final = 128
"""Deadlines that are served in one turn. Polls that began together also end together."""


class Client(Protocol):
    """A connection, as its server's state and shutdown see it."""

    @property
    def peer(self) -> str:
        """The address that it comes from; empty for a Unix socket."""

    def find_path(self, variable: object | None) -> str:
        """The path of the current request, whose variable part means `variable`; empty if the head's path is right."""

    def on_timer(self) -> None:
        """Its timer has fired. Its deadline may have been postponed in the meantime."""

    def drain(self, *, spares_idle: bool = False) -> Exchange | None:
        """Shut down: close if idle, unless `spares_idle`. Returns the exchange that must be ended, if any."""

    def forget_head(self) -> None:
        """Forget the cached head of this connection, so that its next head is parsed."""

    def count_unsent(self, size: int) -> None:
        """Count `size` unsent bytes because the client does not read; 0 once it reads again."""

    def abandon(self) -> None:
        """Cut the connection, and release all that it holds."""


class ServerState:
    """Shared by all the connections of a server.

    Args:
        settings: the bounds.
        loop: that the connections live on.

    Raises:
        SettingError: the setting `trusted_proxies` has something that is no address.

    Attributes:
        buffered: bytes of incomplete bodies and of answers that were not sent yet, of all connections.
        stalled: clients that do not read, the longest stalled first, and the unsent bytes of each.
        counted: connections that count towards a bound for each address, and that address.
        draining: whether the server is shutting down: every answer is the last on its connection.
        has_successor: whether another server has taken over the listening sockets: clients may come back at once.
        downloads: files that are open because their clients have not received all of them.
        max_downloads: the bound on these; less than the setting if the system allows fewer open files.
        max_connections: the bound on connections; less than the setting if the system allows fewer open files.
        first_spare: descriptors from this number on are kept for connections beyond `max_connections`.
        reserved: the exchanges of connections beyond `max_connections` whose request may still be a probe, the
            oldest first.
        leaving: connections beyond `max_connections` that were answered, the oldest first.
        proxies: the proxies that are trusted to name their clients.
        turns: the connections that wait for their turn.
        lag: how late the event loop is.
        shortage: notices that there is no descriptor left to accept a client with.
        idle: how long a connection may be idle, seconds, `inf` for any time.
        emptied: done when the last connection has closed; None until `drain` waits for that.
        refused: how often each error was answered, by its code.
        refusal_log: logs refusals, and limits how many.
        access_log: logs requests; None if it is off.
        closed: how often the server closed a connection or a stream, by the name of the bound that was reached.
        accepted: connections since the start.
        requests: answered requests since the start.
    """

    def __init__(self, settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.now = loop.time
        self.wall = time.time  # seconds since 1970, for people and the `Date`
        self.random = random.random  # for jitter, which nobody needs to be unable to guess
        self.max_connections = settings.max_connections
        self.downloads = 0
        self.max_downloads = settings.max_downloads
        self.first_spare = sys.maxsize
        self.reserved: dict[Exchange, None] = {}
        self.leaving: dict[Client, None] = {}
        self.turns = Turns(loop)
        self.shortage = Shortage(loop)
        self.lag = LoopLag(loop)
        self.proxies = Proxies(settings.trusted_proxies)
        self.timers: Timers[Client] = Timers(self._arm)
        self.connections: dict[Client, None] = {}
        self.per_address: Counter[str] = Counter()
        self.counted: dict[Client, str] = {}
        self.carried: dict[Client, str] = {}  # addresses of clients that came with a PROXY header
        self.buffered = 0
        self.stalled: dict[Client, int] = {}
        self.draining = False
        self.has_successor = False
        self.accepted = 0
        self.requests = 0
        self.refused: Counter[str] = Counter()
        self.refusal_log = RefusalLog()
        self.use(settings)
        self.closed: Counter[str] = Counter()
        self._due: deque[Client] = deque()  # their deadline has come
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

    def use(self, settings: Settings) -> None:
        """Let the bounds of `settings` count from now on, also for connections that are open."""
        self.settings = settings
        self.idle = settings.idle_timeout or math.inf
        every = settings.access_log
        self.access_log: AccessLog | None = AccessLog(every, self.now, self.random) if every else None

    def has_buffer_room(self) -> bool:
        """Whether the buffers of all connections are within `max_buffered`."""
        return self.buffered <= self.settings.max_buffered

    def cut_stalled(self) -> None:
        """Cut clients that do not read, the longest stalled first, until the buffers fit."""
        while self.stalled and not self.has_buffer_room():
            client = next(iter(self.stalled))
            self.closed["max_buffered"] += 1
            client.count_unsent(0)
            client.abandon()

    def note_refusal(
        self,
        error: SloshError,
        head: Head | None,
        connection: Client,
        variable: object | None = None,
        begun: bytes = b"",
    ) -> None:
        """Count a refusal, and log it unless one of its kind was logged recently.

        Args:
            head: of the request; None if it was not parsed.
            connection: on which the request came.
            variable: the meaning of the head's variable part, if it has one.
            begun: the first bytes of a request whose head was not parsed.
        """
        self.refused[error.code] += 1
        level = self.settings.log_refusals
        if self.refusal_log.is_due(error.code, self.now(), level):
            peer = connection.peer
            client = peer if head is None else self.proxies.find_client(peer, head)
            asked = describe_beginning(begun)
            if head is not None:
                asked = describe(head.method, connection.find_path(variable) or head.path)
            self.refusal_log.write(error, asked, client, level)

    def is_short_of_files(self, transport: asyncio.BaseTransport) -> bool:
        """Whether only spare descriptors were left for a connection that has just been accepted.

        The system assigns the lowest free number (POSIX.1-2017 XSH §2.14), so the number of the connection's descriptor
        shows it, whatever else this process has open. As long as the last number before the spare ones is free, the
        connection is not asked for its own: uvloop would create a socket object for that, and keep it.
        """
        try:
            os.fstat(self.first_spare - 1)
        except (OSError, OverflowError):  # It is not open; or the system sets no bound.
            return False
        plain = transport.get_extra_info("socket")
        return plain is not None and bool(plain.fileno() >= self.first_spare)

    def note_few_files(self) -> None:
        """Count a connection that is closed because descriptors ran out, and log that if it was not logged recently."""
        self.closed["open_files"] += 1
        if self.now() >= self._files_logged_until:
            self._files_logged_until = self.now() + INTERVAL
            logger.warning(
                "this process has nearly all the files open that it may have (ulimit -n), with %d connections: "
                "new clients are answered 503 until some are closed. Raise the limit, or lower max_connections.",
                len(self.connections),
            )

    def _arm(self, when: float) -> None:
        self.loop.call_at(when, self._expire)

    def _expire(self) -> None:
        """Serve deadlines that have come. If one is long overdue, first read what clients sent in the meantime."""
        now = self.now()
        if now - self.timers.first() > LATE:
            self.loop.call_at(now + MOMENT, partial(self._serve_due, now))
        else:
            self._serve_due(now)

    def _serve_due(self, now: float) -> None:
        """Serve the deadlines that had come at the time `now`, which may be some time ago."""
        is_under_way = bool(self._due)
        self._due.extend(self.timers.due(now))
        if not is_under_way:
            self._expire_some()

    def _expire_some(self) -> None:
        """Serve a portion of the deadlines in `_due`, and the others in the next turns."""
        for _ in range(min(len(self._due), _DUE)):
            connection = self._due.popleft()
            try:
                connection.on_timer()
            except Exception:
                logger.exception("a deadline failed; the others are kept")
                connection.abandon()
        if self._due:
            self.loop.call_soon(self._expire_some)
