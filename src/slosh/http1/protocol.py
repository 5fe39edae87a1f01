"""The connection class that asyncio and the timers call. A client needs no task, future or coroutine.

The rules of this file:

* Received bytes are read now, or stored until the connection's turn, by `RequestReader` (`request_reader.py`).
* The usual request takes the shortest path: it arrived complete, with nothing after it, and its head is cached.
* A client that disconnects, half-closes or stops reading is noticed here, and the exchange of its request is told.
* The meaning of a deadline depends on what the connection is doing when it comes (`on_timer`).
"""

import asyncio
import contextlib
import math
from typing import cast

from slosh.access.limits import address_key
from slosh.core.timers import TICK
from slosh.errors import OPEN_FILES, InternalError, RequestTimeout, SloshError, TooManyConnections
from slosh.http1.connection import MAX_PIPELINED
from slosh.http1.handler import Action
from slosh.http1.head import parse_head
from slosh.http1.heads import Heads
from slosh.http1.lingering import PAUSE
from slosh.http1.phases import CLOSED, CLOSING, HELD, IDLE, READING_BODY
from slosh.http1.request_reader import RequestReader
from slosh.http1.reserve import close_oldest, let_in
from slosh.http1.state import ServerState
from slosh.http1.turns import SMALL


class HttpConnection(RequestReader):
    """One client. It has the methods of `asyncio.Protocol`, but a compiled class cannot inherit from one that is not.

    Args:
        server: the state that all connections share.
        heads: the server's cache of heads.
    """

    __slots__ = ()

    # Called by asyncio and the timers.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast("asyncio.Transport", transport)
        server = self.server
        server.accepted += 1
        server.connections[self] = None
        self._deadline_in(server.settings.idle_timeout)
        if not server.shortage.is_due:
            server.shortage.look_soon()
        is_full = len(server.connections) > server.max_connections
        if is_full or (not self.fits and server.is_short_of_files(transport)):
            let_in(self)
        elif server.settings.max_connections_per_address:
            self._count_address(server.settings.max_connections_per_address)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended, for any reason."""
        server = self.server
        if isinstance(exc, TimeoutError):  # The system has asked again and again, and the client's end was silent.
            server.closed["tcp_keepalive"] += 1
        self._close_outlet()
        self._transport = None
        exchange = self._drop_request()
        self.phase = CLOSED
        server.connections.pop(self, None)
        if server.carried:
            server.carried.pop(self, None)
        server.leaving.pop(self, None)
        if server.emptied is not None and not server.connections and not server.emptied.done():
            server.emptied.set_result(None)
        server.timers.discard(self, self._timer)
        self._pending = b""
        self._drop_body()
        self.count_unsent(0)
        if server.counted:
            self._uncount_address()
        if exchange is not None:
            exchange.lost()
        self._log_answer(b"")  # if a request was held

    def data_received(self, data: bytes) -> None:
        """Bytes were received."""
        if self.phase >= HELD or self._stalled or self._waits or len(data) > MAX_PIPELINED:
            if self._is_new:
                self._begin(data)
            else:
                self._put_by(data)
        elif len(data) + len(self._pending) + self._incoming > SMALL and self.server.turns.is_late():
            self._put_by(data)
        elif self.phase == READING_BODY:
            self._feed_body(data)
        elif self._pending:
            self._advance(self._pending + data)
        else:
            # One request as a whole, and nothing behind it, whose head is cached: nearly all of them are such.
            heads = self._heads
            end = heads.find_usual(data, self._known)
            if end:
                latest = heads.latest
                if latest.action.takes_time and self.server.turns.is_late():
                    self._put_by(data)
                    return
                self._take(latest)
                self._run(latest.action, data[end:], latest.variable)
            else:
                self._advance(data)

    def _begin(self, data: bytes) -> None:
        """The first bytes have come. They wait for their turn if the time of this one is over."""
        self._is_new = self._waits = False
        turns = self.server.turns
        began = -1.0 if len(data) > MAX_PIPELINED or self.phase >= HELD else turns.begin_first()
        if began >= 0:
            self.data_received(data)
            turns.end_first(began)
        else:
            self._put_by(data)

    def eof_received(self) -> bool:
        """The client has closed its sending side. If it waits for messages, it counts as disconnected.

        An answer being made is sent, and so are answers to requests or frames that came before the end.
        """
        exchange = self._exchange
        if self.is_encrypted:
            return self._end_with_tls()
        if (self._pending or self._has_work()) and (exchange is None or exchange.takes_data):
            self._at_eof = True
            self._wait()
            return True
        if exchange is not None and exchange.outlives_eof:
            self._at_eof = True
            return True
        self._drop_request()
        if exchange is not None:
            exchange.lost()
        if not self._stalled:
            self._untaken = 0
            self._deadline_in(self.server.settings.write_timeout)
        return False  # asyncio writes out what is buffered, then closes; the deadline sees to it that it can.

    def pause_writing(self) -> None:
        """The client does not read what is written."""
        self._stalled = True
        if self._transport is not None:
            if self._exchange is not None and self._exchange.takes_data:
                self._read_no_more()  # Answers to what it sends would pile up.
            self._untaken = self._transport.get_write_buffer_size()
            self._deadline_in(self.server.settings.write_timeout)
            self.count_unsent(self._untaken)

    def resume_writing(self) -> None:
        """The client has received nearly everything that was written."""
        self._stalled = False
        self._untaken = 0
        self.count_unsent(0)
        if self._exchange is not None:
            self._deadline = math.inf
            self._exchange.writable()
        else:
            settings = self.server.settings
            idle = settings.body_timeout if self.phase == READING_BODY else settings.idle_timeout
            self._deadline_in(PAUSE if self.phase >= CLOSING else idle)
        if self._pending or self._at_eof or self._has_work():
            self._wait()
        self._read_on()

    def on_timer(self) -> None:
        """The timer has fired, and holds this connection no more. The deadline may have been postponed meanwhile."""
        self._timer = 0
        if self._transport is None:
            return
        if self.server.now() < self._deadline:
            self.set_deadline(self._deadline)
        elif self._exchange is not None and not self._stalled:
            self._deadline = math.inf
            self._exchange.deadline_passed()
        elif self._transport.get_write_buffer_size():
            self._check_progress(self._transport)
        elif self.phase >= CLOSING:
            self._leave()
        elif self._waits and not self._is_new:
            self._deadline_in(TICK)  # It is not late: we are.
        elif self.phase == READING_BODY:
            self.refuse(RequestTimeout("The body of the request took too long (body_timeout)."), self._variable)
        elif self._pending:
            self.refuse(RequestTimeout("The head of the request took too long (head_timeout)."), begun=self._pending)
        else:
            self.server.closed["idle_timeout"] += 1
            self._transport.close()

    def resume(self, action: object) -> None:
        """As the base says."""
        if not isinstance(action, Action):
            raise InternalError
        self._exchange = None
        self.phase = IDLE
        self._run(action, b"", None)

    def admit(self, head: bytes, *, is_probe: bool) -> None:
        """Read the only request of a connection beyond `max_connections`, and refuse it unless it is a probe.

        Args:
            head: empty if it was not read.
        """
        self._exchange = None
        self.phase = IDLE
        close_oldest(self)
        if is_probe:
            self._advance(head)
            return
        if head:  # It says how the client is to be refused.
            with contextlib.suppress(SloshError):
                self._head = parse_head(head, self.server.settings.max_fields)
                self._action = self._heads.application.route(self._head)
        server = self.server
        if len(server.connections) <= server.max_connections:
            server.note_few_files()
        bound = "max_connections" if len(server.connections) > server.settings.max_connections else OPEN_FILES
        self.refuse(
            TooManyConnections(
                f"This server has all the connections that it may have ({bound}). Try again in some seconds."
            )
        )

    def _count_address(self, limit: int) -> None:
        address = address_key(self.peer) if self.peer else ""
        if not address:
            return  # A Unix socket: all its clients are on this machine.
        self.server.counted[self] = address
        self.server.per_address[address] += 1
        if self.server.per_address[address] > limit:
            self.refuse(
                TooManyConnections(
                    f"One address may have {limit} connections (max_connections_per_address). Close one first."
                )
            )

    def _uncount_address(self) -> None:
        server = self.server
        address = server.counted.pop(self, "")
        if address:
            server.per_address[address] -= 1
            if not server.per_address[address]:
                del server.per_address[address]

    def take_turn(self) -> None:
        """Read a portion of what was received, unless something prevents it; wait again if more is left."""
        self._waits = False
        exchange = self._exchange
        if self._stalled and self.phase < CLOSING:
            return  # `resume_writing` waits for a turn again.
        worker, self._worker = self._worker, None
        if exchange is not None:
            if worker is exchange:
                worker.take_turn()
                if self._pending and exchange.takes_data and not self._has_work():
                    self._wait()
            elif exchange.takes_data and self._pending:
                self._hear(exchange)
        elif self._pending:
            pending, self._pending = self._pending, b""
            if self.phase == READING_BODY:
                self._feed_body(pending)
            else:
                self._advance(pending)
        if self._at_eof and not self._waits:
            self._end_at_eof()
        self._read_on()

    def _end_with_tls(self) -> bool:
        """The client has closed TLS, and with it the whole connection: it cannot be answered."""
        exchange = self._drop_request()
        if exchange is not None:
            exchange.lost()
        self._deadline_in(self.server.settings.write_timeout)
        return False

    def _end_at_eof(self) -> None:
        """Close the connection once all requests that came before the client half-closed are answered."""
        exchange = self._exchange
        if self.phase >= CLOSING or (exchange.outlives_eof if exchange is not None else self._stalled):
            return
        self._drop_request()
        if exchange is not None:
            exchange.lost()
        self._pending = b""
        self._untaken = 0
        self._deadline_in(self.server.settings.write_timeout)
        if self._transport is not None:
            self._transport.close()  # once what is buffered is written; the deadline sees to it that it can

    # The end.

    def _check_progress(self, transport: asyncio.Transport) -> None:
        """Cut a client that has read nothing for `write_timeout`."""
        left = transport.get_write_buffer_size()
        if 0 < self._untaken <= left:
            self.server.closed["write_timeout"] += 1
            transport.abort()
        else:
            self._untaken = left
            self._deadline_in(self.server.settings.write_timeout)


def connect(
    server: ServerState,
    heads: Heads,
    fits: bool = False,  # noqa: FBT001, FBT002 - callbacks are called by position
) -> asyncio.Protocol:
    """A connection for a client that comes, as event loops ask for one.

    Args:
        fits: whether its descriptor is known to be none of the spare ones.
    """
    connection = HttpConnection(server, heads)
    connection.fits = fits
    return cast("asyncio.Protocol", connection)
