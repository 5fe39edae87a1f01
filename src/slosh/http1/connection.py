"""One client's connection as actions and exchanges see it: the current request, its answer, its deadline, its end.

The rules of this file:

* Each request is answered once. An action answers before it returns, or calls `hold` with an exchange that answers
  later.
* A connection has one deadline. `HttpConnection.on_timer` says what it means in each phase.
* `phase` changes only by the steps of the table in `phases.py`.

The socket is in `wire.py`, requests are read in `request_reader.py`, and the event loop calls `HttpConnection` in
`protocol.py`, the class of all connections. The four are base classes of one object, because several objects for each
waiting client would take more memory.
"""

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from slosh.core.timers import TICKS
from slosh.errors import InternalError, SloshError
from slosh.http1.exchange import Exchange
from slosh.http1.head import Head
from slosh.http1.lingering import PAUSE, Lingering
from slosh.http1.phases import CLOSING, HELD, IDLE
from slosh.http1.response import CLOSE, render
from slosh.http1.state import ServerState
from slosh.http1.wire import Wire

if TYPE_CHECKING:
    from slosh.access.rights import Grant

MAX_PIPELINED: Final = 64 * 1024
"""Bytes that may be received during a request, or wait for their turn, before reading from the socket is paused."""


class Connection(Wire):
    """One client, and its request that is being answered.

    Args:
        server: the state that all connections share.

    Attributes:
        phase: what it is doing; one of `phases.py`.
        fits: whether its descriptor is known not to be a spare one (`ServerState.first_spare`).
        closing: the `Connection` line that the current answer needs unless the server is shutting down; often empty.
        grant: the rights with which the current request began; None if there are no rules.
    """

    __slots__ = (
        "_action",
        "_at_eof",
        "_deadline",
        "_exchange",
        "_head",
        "_is_new",
        "_lingering",
        "_pending",
        "_reading_paused",
        "_timer",
        "_untaken",
        "_waits",
        "_worker",
        "closing",
        "fits",
        "grant",
        "phase",
    )

    def __init__(self, server: ServerState) -> None:
        super().__init__(server)
        # As long as the connection lives.
        self.phase = IDLE
        self._pending = b""  # received and not yet read
        self.fits = False
        self._is_new = True  # nothing was received yet
        self._waits = True  # for its turn to read what was received; also before the first bytes
        self._at_eof = False  # the client sends no more, but may still read
        self._reading_paused = False
        self._untaken = 0  # bytes that the client had not taken at the last check
        self._deadline = math.inf
        self._timer = 0  # the tick at which the timers hold this connection, 0 for none
        # From a request's head to its answer.
        self._head: Head | None = None
        self._action: object | None = None  # an `Action`, which this module does not know
        self.closing = b""
        self.grant: Grant | None = None
        # While the request is held.
        self._exchange: Exchange | None = None
        self._worker: Exchange | None = None  # the exchange, if it continues in the next turn
        # From the last answer to the end of the connection.
        self._lingering: Lingering | None = None

    @property
    def head(self) -> Head:
        """The head of the request that is being answered."""
        if self._head is None:
            raise InternalError
        return self._head

    @property
    def has_left(self) -> bool:
        """Whether the client has closed its sending side, and so has most likely gone."""
        return self._at_eof

    @property
    def client(self) -> str:
        """The address of the client that sent the current request, possibly through proxies; see `Proxies`."""
        return self.server.proxies.find_client(self.peer, self.head)

    @property
    def held_action(self) -> object | None:
        """The action of the held request; None if none is held."""
        return self._action if self._exchange is not None else None

    @property
    def is_writable(self) -> bool:
        """Whether there is still a request to answer, and the client takes what is written."""
        return not self._stalled and self._head is not None and self._transport is not None

    @property
    def is_open(self) -> bool:
        """Whether there is still a request to answer."""
        return self._head is not None and self._transport is not None

    @property
    def held_topic(self) -> str:
        """The topic of a held request, if its action serves several topics; otherwise empty."""
        return self._exchange.topic() if self._exchange is not None else ""

    def connection_field(self) -> bytes:
        """The `Connection` line that the answer to the current request needs; often empty."""
        return CLOSE if self.server.draining else self.closing

    # Called by an action or an exchange to answer.

    def refuse(self, error: SloshError, variable: object | None = None, begun: bytes = b"") -> None:
        """Answer with an error, and close the connection if the error says so.

        Args:
            variable: the meaning of the head's variable part, if it has one.
            begun: the first bytes of a request whose head was not parsed.
        """
        raise NotImplementedError

    def respond(self, status: int, fields: bytes, body: bytes) -> None:
        """Answer the current request with a status, header lines, and a body (left out for HEAD)."""
        is_head = self.head.method == "HEAD"
        fields += self._action_fields()
        self.finish(render(status, self.server.date(), fields, body, self.connection_field(), bodiless=is_head))

    def finish(self, response: bytes, *, close: bool = False, now: float = 0.0, status: int | None = None) -> None:
        """Write the answer to the current request, or its last part, and turn to the next request.

        Args:
            close: close the connection, because its end marks the end of this answer.
            now: the time, seconds, if the caller has read the clock already.
            status: of the answer, if `response` is only its last part and the answer is no stream.
        """
        head = self._head
        # Nothing of a request is kept while the connection is idle.
        self._head = None
        self._action = None
        self._exchange = None
        if self._transport is None or head is None:
            return
        server = self.server
        server.requests += 1
        if server.access_log is not None:
            self._log_answer(response, status)
        self.grant = None  # Through a proxy the next request may be another client's.
        if response:
            self._write_behind(response)
        if close or server.draining or not head.keeps_alive:
            self._close_gently()
            return
        self.phase = IDLE
        if not self._stalled:
            # The usual case costs one comparison: the timers hold the connection already, and earlier is enough.
            self._deadline = (now or server.now()) + server.idle
            if not 0 < self._timer <= self._deadline * TICKS:
                self.set_deadline(self._deadline)
        if self._pending or self._at_eof:
            self._wait()

    def _log_answer(self, answer: bytes, status: int | None = None) -> None:
        """Log the current request, which was answered, if the access log wants it."""
        grant, access_log = self.grant, self.server.access_log
        if access_log is not None:
            access_log.end(self, answer, grant.name if grant is not None and grant.key else "", status)

    def abandon(self) -> None:
        """As the base says."""
        exchange = self._drop_request()
        if exchange is not None:
            exchange.lost()
        self._close_outlet()
        if self._transport is not None:
            self._transport.abort()

    def leave_early(self) -> None:
        """Cut the connection of a client that closed its sending side, because too many of these wait."""
        self.server.closed["left_early"] += 1
        self.abandon()

    # Called by an exchange while it holds the request.

    def hold(self, exchange: Exchange, deadline: float = math.inf) -> None:
        """Leave the request unanswered for now; `exchange` must call `finish` or `respond` later.

        Args:
            deadline: the time at which `exchange.deadline_passed` is called, seconds on the loop's clock.
        """
        self.phase = HELD
        self._exchange = exchange
        self._deadline = deadline
        if deadline < math.inf:
            self._hold_timer()
        if self.server.draining:
            exchange.end()

    def ask_for_turn(self, exchange: Exchange) -> None:
        """Have `exchange.take_turn` called in this connection's next turn; the exchange holds the request.

        Until then it is not given what the client sends.
        """
        self._worker = exchange
        self._wait()

    def _has_work(self) -> bool:
        """Whether an exchange asked for the next turn."""
        return self._worker is not None

    def resume(self, action: object) -> None:
        """Run `action`, an `Action`, for the current request, which was held until now and needs no body."""
        raise NotImplementedError

    def is_held_by(self, exchange: Exchange) -> bool:
        """Whether `exchange` holds the current request, and has still to answer it."""
        return self._exchange is exchange

    def end_exchange(self) -> None:
        """Have the exchange that holds the request answer it now, if there is one."""
        if self._exchange is not None:
            self._exchange.end()

    def revoke(self, error: SloshError) -> None:
        """Tell the exchange that holds the request that its token is not valid any more; `error` says why."""
        if self._exchange is not None:
            self._exchange.revoke(error)

    def set_deadline(self, deadline: float) -> None:
        """Set the deadline of the exchange to `deadline`, seconds on the loop's clock, `inf` for never."""
        self._deadline = deadline
        if deadline < math.inf:
            self._hold_timer()

    def bring_forward(self, deadline: float) -> None:
        """Set the deadline to `deadline`, seconds on the loop's clock, if that is earlier."""
        self.set_deadline(min(deadline, self._deadline))

    # Called by the rest of this package.

    def drain(self, *, spares_idle: bool = False) -> Exchange | None:
        """As the base says."""
        if self.phase == IDLE and not self._pending and not spares_idle:
            self._close_gently()
        return self._exchange

    def admit(self, head: bytes, *, is_probe: bool) -> None:
        """Read the only request of a connection beyond `max_connections`, and refuse it unless it is a probe."""
        raise NotImplementedError

    def take_turn(self) -> None:
        """Read a portion of what was received."""
        raise NotImplementedError

    def _action_fields(self) -> bytes:
        """The header lines that the action of the current request adds to every answer."""
        raise NotImplementedError

    def _wait(self) -> None:
        """Wait for a turn to read what was received."""
        if not self._waits or self._is_new:
            self._is_new = False
            self._waits = True
            self.server.turns.join(self)

    def _read_on(self) -> None:
        """Resume reading from the socket, unless there is still a reason to pause."""
        if (
            self._reading_paused
            and self._transport is not None
            and len(self._pending) <= MAX_PIPELINED
            and (self.phase >= CLOSING or not self._stalled)
        ):
            self._reading_paused = False
            self._transport.resume_reading()

    def _deadline_in(self, seconds: float) -> None:
        """Set the deadline to this many seconds from now, 0 for never."""
        self.set_deadline(self.server.now() + seconds if seconds else math.inf)

    def _hold_timer(self) -> None:
        """Make sure that a timer fires at the deadline or earlier.

        Earlier is enough, because `on_timer` checks the deadline. So a busy connection, whose deadline moves with
        each request, adds one entry a minute to the timers.
        """
        timers = self.server.timers
        if self._timer:
            if self._timer <= timers.tick_of(self._deadline):
                return
            timers.discard(self, self._timer)
        self._timer = timers.add(self, self._deadline)

    def _drop_request(self) -> Exchange | None:
        """Give up the current request. Returns the exchange that held it, if any; call its `lost`."""
        self.phase = max(self.phase, CLOSING)
        exchange, self._exchange = self._exchange, None
        self._head = None
        return exchange

    def _close_gently(self) -> None:
        """End the connection after its last answer: close the sending side, and keep reading for a moment.

        If the socket were closed with bytes unread, the system would send a reset, and the client could lose
        the answer (RFC 9112 §9.6).
        """
        self.phase = max(self.phase, CLOSING)
        self._pending = b""
        self._head = None
        now = self.server.now()
        self._lingering = Lingering(now, now + self.server.settings.body_timeout)
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._read_on()
        self._close_outlet()
        if not self.is_encrypted:  # TLS cannot close one direction; it is closed as a whole, after the same pause.
            with suppress(OSError):  # A client that has sent a reset is found by the reading; asyncio raises it here.
                transport.write_eof()
        if not self._stalled:  # Otherwise it has its write_timeout; `resume_writing` sets this deadline then.
            self._untaken = 0
            self._deadline_in(PAUSE)
