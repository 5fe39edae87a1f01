"""One client's connection as actions and exchanges see it: the present request, its answer, its deadline, its end.

The rules of this file:

* Each request is answered once. An action answers it before it returns, or calls `hold` with an exchange that will.
* A stream is written straight to the socket while nothing waits in the transport, and behind what waits otherwise.
* A connection has one deadline. `HttpConnection.on_timer` says what it means in each phase.
* `phase` changes only by the steps of the table in `phases.py`.

What clients send is read in `request_reader.py`; `HttpConnection` in `protocol.py`, which the event loop calls, is the
class that connections have. The three are one object, because more of them for each waiting client would cost memory.
For the same reason this file is longer than others.
"""

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from slosh.access.limits import address_key
from slosh.core.timers import TICKS
from slosh.errors import InternalError, SloshError
from slosh.http1.exchange import Exchange
from slosh.http1.head import Head
from slosh.http1.lingering import PAUSE, Lingering
from slosh.http1.outlet import Outlet, open_outlet
from slosh.http1.phases import CLOSING, HELD, IDLE
from slosh.http1.response import CLOSE, render
from slosh.http1.state import ServerState
from slosh.http1.tls import read_certificate

if TYPE_CHECKING:
    import asyncio

    from slosh.access.rights import Grant

MAX_PIPELINED: Final = 64 * 1024
"""Bytes that may wait behind a request that is being answered, or for their turn, before the socket is left unread."""


class Connection:
    """One client, and the request of it that is being answered.

    Args:
        server: what it shares with the others.

    Attributes:
        phase: what it is doing; one of `phases.py`.
        closing: the `Connection` line that the present answer needs unless the server is shutting down, often none.
        grant: with which the present request was begun; None where there are no rules.
    """

    __slots__ = (
        "_action",
        "_at_eof",
        "_deadline",
        "_exchange",
        "_head",
        "_incoming",
        "_is_new",
        "_lingering",
        "_outlet",
        "_pending",
        "_reading_paused",
        "_source",
        "_stalled",
        "_timer",
        "_transport",
        "_unsent",
        "_untaken",
        "_waits",
        "_worker",
        "closing",
        "grant",
        "phase",
        "server",
    )

    def __init__(self, server: ServerState) -> None:
        # As long as the connection lives.
        self.server = server
        self.phase = IDLE
        self._transport: asyncio.Transport | None = None  # None before and after
        self._outlet: Outlet | None = None  # past the transport, while nothing waits in that: of streams
        self._pending = b""  # received and not yet looked at
        self._source: str | None = None  # the address that it comes from, once that was asked for
        self._is_new = True  # nothing has come
        self._waits = True  # for its turn, to look at what was received; before anything has come as well
        self._at_eof = False  # the client sends no more, but may still read
        self._reading_paused = False
        self._incoming = 0  # bytes of a body, or of a WebSocket's message, that have come
        self._unsent = 0  # bytes that the client does not take
        self._stalled = False  # the client does not take what is written
        self._untaken = 0  # bytes that it had not taken when that was last looked at
        self._deadline = math.inf
        self._timer = 0  # the tick at which the timers hold this connection, 0 for none
        # From a request's head to its answer.
        self._head: Head | None = None
        self._action: object | None = None  # an `Action`, which this module does not know
        self.closing = b""
        self.grant: Grant | None = None
        # While the request is held.
        self._exchange: Exchange | None = None
        self._worker: Exchange | None = None  # it, where it goes on in the next turn
        # From the last answer to the end of the connection.
        self._lingering: Lingering | None = None

    @property
    def head(self) -> Head:
        """The head of the request that is being answered."""
        if self._head is None:
            raise InternalError
        return self._head

    @property
    def peer(self) -> str:
        """The address that the connection comes from; nothing for a Unix socket.

        A trusted proxy for TCP says it by the PROXY protocol.
        """
        carried = self.server.carried
        if carried and self in carried:
            return carried[self]
        peer = self._transport.get_extra_info("peername") if self._transport is not None else None
        return str(peer[0]) if isinstance(peer, tuple) else ""

    @property
    def source(self) -> str:
        """The client, as it counts for turns: `peer`, or its network, remembered."""
        if self._source is None:
            peer = self.peer
            self._source = address_key(peer) if peer else ""
        return self._source

    @property
    def has_left(self) -> bool:
        """Whether the client has sent its end, and most likely has gone."""
        return self._at_eof

    @property
    def client(self) -> str:
        """The address of the client that sent the present request, which may have come by proxies; see `Proxies`."""
        return self.server.proxies.find_client(self.peer, self.head)

    @property
    def is_encrypted(self) -> bool:
        """Whether it speaks TLS."""
        return self._transport is not None and self._transport.get_extra_info("ssl_object") is not None

    def certificate(self) -> tuple[frozenset[str], float]:
        """The names in the client's certificate, and until when it counts, seconds since 1970; no names for none."""
        return read_certificate(self._transport.get_extra_info("peercert") if self._transport is not None else None)

    @property
    def held_action(self) -> object | None:
        """The action of a request that is held; None where none is."""
        return self._action if self._exchange is not None else None

    @property
    def is_stalled(self) -> bool:
        """Whether the client does not take what was written; nothing more is to be written then."""
        return self._stalled

    @property
    def is_writable(self) -> bool:
        """Whether there is still a request to answer, whose client takes what is written."""
        return not self._stalled and self._head is not None and self._transport is not None

    @property
    def is_open(self) -> bool:
        """Whether there is still a request to answer."""
        return self._head is not None and self._transport is not None

    def connection_field(self) -> bytes:
        """The `Connection` line that the answer to the present request needs, often none."""
        return CLOSE if self.server.draining else self.closing

    # What an action or an exchange calls to answer.

    def refuse(self, error: SloshError, variable: object | None = None, begun: bytes = b"") -> None:
        """Answer with an error, and close the connection where the error says so.

        Args:
            variable: what the variable part of the head means, where it has one.
            begun: the beginning of a request whose head was not read.
        """
        raise NotImplementedError

    def respond(self, status: int, fields: bytes, body: bytes) -> None:
        """Answer the present request with a status, header lines, and a body (which HEAD does not get)."""
        is_head = self.head.method == "HEAD"
        fields += self._action_fields()
        self.finish(render(status, self.server.date(), fields, body, self.connection_field(), bodiless=is_head))

    def write(self, data: bytes) -> bool:
        """Write a part of an answer. False when the client does not keep up: wait for `writable` then."""
        outlet = self._outlet
        if outlet is None:
            transport = self._transport
            if transport is None or transport.is_closing():
                return False
            # While bytes wait in the transport nothing may overtake them, so the outlet is opened once there are none.
            outlet = None if transport.get_write_buffer_size() else open_outlet(transport)
            if outlet is None:
                transport.write(data)
                return not self._stalled
            self._outlet = outlet
        try:
            sent = outlet.send(data)
        except OSError:
            sent = 0  # There is no room; or the socket broke, and the transport meets that too and tells why.
        if sent != len(data):
            self._write_behind(data[sent:])
        return not self._stalled

    def finish(self, response: bytes, *, close: bool = False, now: float = 0.0) -> None:
        """Write the answer to the present request, or the end of it, and turn to the next.

        Args:
            close: whether there is no next, because only the connection's end is the end of this answer.
            now: the time, seconds, where the caller has looked at the clock already.
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
            self._log_answer(response)
        self.grant = None  # The next request may be another client's, who comes by the same proxy.
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

    def _log_answer(self, answer: bytes) -> None:
        """Have the present request logged, if it is one of those that are, now that it was answered."""
        grant, access_log = self.grant, self.server.access_log
        if access_log is not None:
            access_log.end(self, answer, grant.name if grant is not None and grant.key else "")

    def count_incoming(self, size: int) -> bool:
        """Count `size` bytes that have come in of something that is not whole.

        Gives whether there is room for them. For the only one there always is.
        """
        server = self.server
        server.buffered += size - self._incoming
        self._incoming = size
        return server.has_buffer_room() or server.buffered == size

    def count_unsent(self, size: int) -> None:
        """Count `size` bytes that the client does not take, 0 once it takes them again."""
        server = self.server
        server.buffered += size - self._unsent
        self._unsent = size
        if size:
            server.stalled[self] = None
            server.cut_stalled()
        else:
            server.stalled.pop(self, None)

    def abandon(self) -> None:
        """Cut the connection: an answer that has begun cannot be finished, and its end must not look like one."""
        exchange = self._drop_request()
        if exchange is not None:
            exchange.lost()
        self._close_outlet()
        if self._transport is not None:
            self._transport.abort()

    def leave_early(self) -> None:
        """Cut the connection of a client that has sent its end, because too many such wait."""
        self.server.closed["left_early"] += 1
        self.abandon()

    # What an exchange calls while it holds the request.

    def hold(self, exchange: Exchange, deadline: float = math.inf) -> None:
        """Leave the request unanswered for now; `exchange` must call `finish` or `respond` later.

        Args:
            deadline: when to call the exchange's `deadline_passed`, seconds on the loop's clock.
        """
        self.phase = HELD
        self._exchange = exchange
        self._deadline = deadline
        if deadline < math.inf:
            self._hold_timer()
        if self.server.draining:
            exchange.end()

    def ask_for_turn(self, exchange: Exchange) -> None:
        """Have the `take_turn` of `exchange`, which holds the request, called in this connection's next turn.

        Until then it is given nothing of what the client sends.
        """
        self._worker = exchange
        self._wait()

    def _has_work(self) -> bool:
        """Whether an exchange goes on in the next turn."""
        return self._worker is not None

    def resume(self, action: object) -> None:
        """Do `action`, an `Action`, for the present request, which was held until now and has no body that matters."""
        raise NotImplementedError

    def is_held_by(self, exchange: Exchange) -> bool:
        """Whether `exchange` has still to give the answer to the present request."""
        return self._exchange is exchange

    def end_exchange(self) -> None:
        """Have the exchange that holds the request answer it now, if one does."""
        if self._exchange is not None:
            self._exchange.end()

    def revoke(self, error: SloshError) -> None:
        """Tell the exchange that holds the request that its token does not count any more; `error` says why."""
        if self._exchange is not None:
            self._exchange.revoke(error)

    def buffer_nothing(self) -> None:
        """Count the client as stalled as soon as its socket is full, instead of filling a buffer here first."""
        if self._transport is not None:
            # Behind TLS a buffer with no byte in it would count as full with a bound of 0.
            self._transport.set_write_buffer_limits(int(self.is_encrypted), 0)

    def set_deadline(self, deadline: float) -> None:
        """Let the exchange's deadline be at `deadline`, seconds on the loop's clock, `inf` for never."""
        self._deadline = deadline
        if deadline < math.inf:
            self._hold_timer()

    def bring_forward(self, deadline: float) -> None:
        """Let the deadline be at `deadline`, seconds on the loop's clock, if that is earlier."""
        self.set_deadline(min(deadline, self._deadline))

    # What the rest of this package calls.

    def drain(self, *, spares_idle: bool = False) -> Exchange | None:
        """The server shuts down: close where nothing is under way.

        Args:
            spares_idle: wait for one request more instead: it may be on its way, and its answer is the last.

        Returns:
            The exchange that holds the request, which the caller must end; None where there is none.
        """
        if self.phase == IDLE and not self._pending and not spares_idle:
            self._close_gently()
        return self._exchange

    def forget_head(self) -> None:
        """Parse the next head, whatever is known of those before it."""
        raise NotImplementedError

    def admit(self, head: bytes, *, is_probe: bool) -> None:
        """Read the one request of a connection beyond `max_connections`, or refuse it where it is no probe's."""
        raise NotImplementedError

    def find_path(self, variable: object | None) -> str:
        """The path of the present request, whose variable part means `variable`; empty for its head's own."""
        raise NotImplementedError

    def on_timer(self) -> None:
        """The deadline has come, or was put off meanwhile. The timers do not hold this connection any more."""
        raise NotImplementedError

    def take_turn(self) -> None:
        """Look at a portion of what was received."""
        raise NotImplementedError

    def _action_fields(self) -> bytes:
        """The header lines that the present request's action has for every answer."""
        raise NotImplementedError

    def _wait(self) -> None:
        """Wait for a turn, to look at what was received."""
        if not self._waits or self._is_new:
            self._is_new = False
            self._waits = True
            self.server.turns.join(self)

    def _read_on(self) -> None:
        """Read from the socket again, unless something else still stands in the way."""
        if (
            self._reading_paused
            and self._transport is not None
            and len(self._pending) <= MAX_PIPELINED
            and (self.phase >= CLOSING or not self._stalled)
        ):
            self._reading_paused = False
            self._transport.resume_reading()

    def _write_behind(self, data: bytes) -> None:
        """Write `data` by the transport, behind all that was written before."""
        if self._outlet is not None:
            self._close_outlet()
        if self._transport is not None:
            self._transport.write(data)

    def _close_outlet(self) -> None:
        """Write to the transport alone, which owns the socket and closes it."""
        if self._outlet is not None:
            self._outlet.detach()
            self._outlet = None

    def _deadline_in(self, seconds: float) -> None:
        """Let the deadline be in so many seconds, 0 for never."""
        self.set_deadline(self.server.now() + seconds if seconds else math.inf)

    def _hold_timer(self) -> None:
        """See that the timers hold this connection at its deadline or earlier.

        Earlier is enough: `on_timer` looks at the deadline. So a busy connection, whose deadline moves with
        each request, costs the timers one entry a minute.
        """
        timers = self.server.timers
        if self._timer:
            if self._timer <= timers.tick_of(self._deadline):
                return
            timers.discard(self, self._timer)
        self._timer = timers.add(self, self._deadline)

    def _drop_request(self) -> Exchange | None:
        """Answer nothing any more. Returns the exchange that held the request; call its `lost`."""
        self.phase = max(self.phase, CLOSING)
        exchange, self._exchange = self._exchange, None
        self._head = None
        return exchange

    def _close_gently(self) -> None:
        """Send the end of the last answer, then read on for a moment before the socket is closed.

        To close at once, with bytes unread, would make the system send a reset, and the client could lose
        the answer that is on its way (RFC 9112 §9.6).
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
        if not self.is_encrypted:  # TLS has no half of a connection; it is ended as a whole, after the same pause.
            with suppress(OSError):  # A client that has sent a reset is found by the reading; asyncio raises it here.
                transport.write_eof()
        if not self._stalled:  # Else it has its write_timeout; `resume_writing` sets this deadline then.
            self._untaken = 0
            self._deadline_in(PAUSE)
