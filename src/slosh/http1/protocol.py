"""HTTP/1.1 on the wire: what clients send, read and handed to actions. No task, future or coroutine for a client.

The rules of this file:

* Requests on one connection are answered in their order. What arrives behind a request that has no answer
  yet waits until it has one, whatever it asks for (CVE-2024-41671 is what happens otherwise).
* A head is either parsed, or known to be equal to one that was, apart from its variable part; see `heads.py`.
* A connection answers one request as soon as it comes; very many that come at a time wait for turns (`turns.py`).
* While a client does not take what is written, nothing more is read from it.

This file is longer than others because reading, answering and closing are steps of one table of phases (`phases.py`).
"""

import asyncio
import contextlib
import logging
import math
import re
from typing import Final, cast

from slosh.access.limits import address_key
from slosh.core.timers import TICK
from slosh.errors import (
    OPEN_FILES,
    Forbidden,
    InternalError,
    MemoryFull,
    RequestTimeout,
    SloshError,
    TooManyConnections,
    TooManyRequests,
    Unauthorized,
)
from slosh.http1.bodies import BodyReader, Chunks, Sized, check_size, fits
from slosh.http1.connection import MAX_PIPELINED, Connection
from slosh.http1.exchange import Exchange
from slosh.http1.handler import Action
from slosh.http1.head import CHUNKED, Head, parse_head
from slosh.http1.heads import CachedHead, Heads, LastHead
from slosh.http1.lingering import PAUSE
from slosh.http1.phases import ANSWERING, CLOSED, CLOSING, HELD, IDLE, READING_BODY, READING_HEAD
from slosh.http1.reserve import close_oldest, let_in
from slosh.http1.response import CLOSE, CONTINUE, render
from slosh.http1.state import ServerState
from slosh.http1.turns import PORTION, SMALL

logger = logging.getLogger(__name__)

_EMPTY_LINES: Final = re.compile(rb"(?:\r\n)+")
_CR: Final = 0x0D


NO_ROOM: Final = (
    "The bodies that are coming in, and the answers that clients do not take, have as many bytes together as they may "
    "have (max_buffered). Nothing was stored."
)


class HttpConnection(Connection):
    """One client. An `asyncio.Protocol` by its methods alone: a class that is compiled inherits from none that is not.

    Args:
        server: what it shares with the others.
        heads: what the server knows of heads.
    """

    __slots__ = ("_address", "_heads", "_known", "_reader", "_variable")

    def __init__(self, server: ServerState, heads: Heads) -> None:
        super().__init__(server)
        # As long as the connection lives.
        self._heads = heads
        self._known: CachedHead | None = None  # of the last head on this connection
        self._address = ""  # that it counts for, where a bound is set
        # While the body of a request is read.
        self._reader: BodyReader | None = None
        self._variable: object | None = None  # what the variable part of its head means

    # What asyncio and the timers call.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast("asyncio.Transport", transport)
        server = self.server
        server.accepted += 1
        server.connections[self] = None
        self._deadline_in(server.settings.idle_timeout)
        if not server.shortage.is_due:
            server.shortage.look_soon()
        if len(server.connections) > server.max_connections or server.is_short_of_files(transport):
            let_in(self)
        elif server.settings.max_connections_per_address:
            self._count_address(server.settings.max_connections_per_address)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, for whichever reason."""
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
        if self._address:
            server.per_address[self._address] -= 1
            if not server.per_address[self._address]:
                del server.per_address[self._address]
        if exchange is not None:
            exchange.lost()
        self._log_answer(b"")  # where a request was held

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
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
        """The first bytes have come. They wait for their turn where the time of this one is over."""
        self._is_new = self._waits = False
        turns = self.server.turns
        began = -1.0 if len(data) > MAX_PIPELINED or self.phase >= HELD else turns.begin_first()
        if began >= 0:
            self.data_received(data)
            turns.end_first(began)
        else:
            self._put_by(data)

    def eof_received(self) -> bool:
        """The client sends no more. A client that waits for news is taken to be gone.

        An answer under way goes out, and so do those to requests, or frames, that came before the end.
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
        """The client does not take what is written."""
        self._stalled = True
        if self._transport is not None:
            if self._exchange is not None and self._exchange.takes_data:
                self._read_no_more()  # Answers to what it sends would pile up.
            self._untaken = self._transport.get_write_buffer_size()
            self._deadline_in(self.server.settings.write_timeout)
            self.count_unsent(self._untaken)

    def resume_writing(self) -> None:
        """The client has taken nearly all that was written."""
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
        """The deadline has come, or was put off meanwhile. The timers do not hold this connection any more."""
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

    # Refusing.

    def refuse(self, error: SloshError, variable: object | None = None, begun: bytes = b"") -> None:
        """As the base says."""
        self.server.note_refusal(error, self._head, self, variable, begun)
        status, fields, body = self._heads.application.render_refusal(error, self._head, self.server)
        if self._transport is None:
            return
        if self._head is not None and not error.closes and self.phase != READING_BODY:
            self.respond(status, fields, body)
            return
        fields += self._action_fields()
        self._drop_body()
        bodiless = self._head is not None and self._head.method == "HEAD"
        self.server.requests += 1
        answer = render(status, self.server.date(), fields, body, CLOSE, bodiless=bodiless)
        self._log_answer(answer)
        self._write_behind(answer)
        self._close_gently()

    def find_path(self, variable: object | None) -> str:
        """As the base says."""
        action = self._action
        return action.find_path(variable) if isinstance(action, Action) and variable is not None else ""

    def _action_fields(self) -> bytes:
        """As the base says."""
        action = self._action
        return action.fields if isinstance(action, Action) else b""

    def forget_head(self) -> None:
        """As the base says."""
        self._known = None

    def admit(self, head: bytes, *, is_probe: bool) -> None:
        """Take the one request of a connection beyond `max_connections`, or refuse it where it is no probe's.

        Args:
            head: empty where it was not read.
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
        self.refuse(TooManyConnections(f"This server has all the connections that it may have ({bound})."))

    def _count_address(self, limit: int) -> None:
        self._address = address_key(self.peer) if self.peer else ""
        if not self._address:
            return  # A Unix socket: all its clients are on this machine.
        self.server.per_address[self._address] += 1
        if self.server.per_address[self._address] > limit:
            self.refuse(TooManyConnections(f"One address may have {limit} connections (max_connections_per_address)."))

    # Reading.

    def _advance(self, data: bytes) -> None:
        """Read the requests in `data` until one has to wait, or only a part of one is left."""
        at, end, left = 0, len(data), PORTION
        heads = self._heads
        latest = heads.latest
        while at < end:
            stop = data.find(b"\r\n\r\n", at) + 4
            if stop < 4:
                self._keep_part(data[at:] if at else data)
                return
            block = data[at:stop]
            empty = _EMPTY_LINES.match(data, at) if data[at] == _CR else None
            if empty is not None:  # Empty lines before a request are skipped (RFC 9112 §2.2).
                at = empty.end() if empty.end() < end else end - 2  # One is kept until more comes.
                continue
            if (block != latest.block and not self._look_up(block)) or self._is_put_off(data, at):
                return
            at = stop
            length = self._take(latest).length
            if not length:
                self._run(latest.action, b"", latest.variable)
            elif 0 < length <= end - at and fits(length, latest.action.max_body):
                at += length
                self._run(latest.action, data[at - length : at], latest.variable)
            else:
                rest = self._begin_body(data[at:], latest)
                if rest is None:
                    return
                data, at, end = rest, 0, len(rest)
            left -= 1
            # The next request has to wait: this one has no answer yet, or this connection has had its portion.
            if self.phase >= HELD or self._stalled or (at < end and (left <= 0 or self.server.turns.is_over())):
                self._put_by(data[at:])
                return

    def _is_put_off(self, data: bytes, at: int) -> bool:
        """Whether the request whose head was found, at that place in `data`, waits for its turn, with what follows."""
        self._pending = b""
        is_late = self._heads.latest.action.takes_time and self.server.turns.is_late()
        if is_late:
            self._put_by(data[at:])
        return is_late

    def _look_up(self, block: bytes) -> bool:
        """Find what is to be done for a head. False where it is refused."""
        try:
            self._known = self._heads.look_up(block, self._known)
        except SloshError as error:
            self.refuse(error, begun=block)
            return False
        return True

    def _keep_part(self, data: bytes) -> None:
        """Keep the beginning of a request until more of it comes."""
        try:
            self._heads.check_size(data)
        except SloshError as error:
            self.refuse(error, begun=data)
            return
        if self.phase != READING_HEAD:
            self.phase = READING_HEAD
            self._deadline_in(self.server.settings.head_timeout)
        self._pending = data

    def _begin_body(self, data: bytes, latest: LastHead) -> bytes | None:
        """Read a body that is not here as a whole yet, or comes in chunks; `data` is its beginning.

        Returns:
            What came behind the body, where that is whole already and the request was run; None otherwise.
        """
        head, action = latest.head, latest.action
        settings = self.server.settings
        self.phase = READING_BODY
        self._variable = latest.variable
        self._reader = Chunks(settings.max_head) if head.length == CHUNKED else Sized(head.length)
        try:
            check_size(head.length, action.max_body, action.body_bound)
        except SloshError as error:
            self.refuse(error, latest.variable)
            return None
        asks_first = head.expects_continue and not data
        refusal = action.refuse_early(self, latest.variable, asks_first)
        # A client that asks before it sends the body is spared that (RFC 9110 §10.1.1). And no client fills the memory
        # with what it may not send.
        if refusal is not None and (asks_first or isinstance(refusal, Unauthorized | Forbidden | TooManyRequests)):
            self.refuse(refusal, latest.variable)
            return None
        if asks_first:
            self._write_behind(CONTINUE)
        self._deadline_in(settings.body_timeout)
        return self._read_body(data) if data else None

    def _read_body(self, data: bytes) -> bytes | None:
        """Take in a part of the body, and run the request once it is whole.

        Returns:
            What came behind the body then; None otherwise.
        """
        reader, action = self._reader, self._action
        if reader is None or not isinstance(action, Action):
            raise InternalError
        try:
            whole = reader.feed(data)
            check_size(len(reader.body), action.max_body, action.body_bound)
            if not self.count_incoming(len(reader.body)):
                raise MemoryFull(self.server.settings.max_buffered, NO_ROOM)
        except SloshError as error:
            self.refuse(error, self._variable)
            return None
        if not whole:
            if reader.rest:
                self._pending = reader.rest
                self._wait()
            return None
        body, rest, variable = bytes(reader.body), reader.rest, self._variable
        reader.body.clear()  # Else a large one would be held twice while the request is worked on.
        self._drop_body()
        self._run(action, body, variable)
        return rest

    def _drop_body(self) -> None:
        """Keep nothing of a body."""
        if self._incoming:
            self.count_incoming(0)
        self._reader = None
        self._variable = None

    def _feed_body(self, data: bytes) -> None:
        """Take in a part of the body; once it is whole, what came behind it waits for its turn."""
        rest = self._read_body(data)
        if rest:
            self._put_by(rest)

    def _take(self, latest: LastHead) -> Head:
        """Make ready to read the body of a request and to answer it."""
        self._head = head = latest.head
        self._action = latest.action
        self.closing = head.closing
        return head

    def _run(self, action: Action, body: bytes, variable: object | None) -> None:
        """Do what the request asks for.

        Args:
            variable: what the variable part of its head means; None where the action was chosen for that part.
        """
        self.phase = ANSWERING
        access_log = self.server.access_log
        if access_log is not None and self._head is not None and access_log.is_due():
            access_log.begin(self, self._head.method, self.find_path(variable) or self._head.path, self.client)
        try:
            if variable is None:
                action.run(self, body)
            else:
                action.run_with(self, body, variable)
            if self.phase == ANSWERING:
                raise InternalError  # noqa: TRY301 - an action that neither answers nor holds
        except SloshError as error:
            self.refuse(error, variable)
        except Exception:
            logger.exception("failed to answer a request")
            self.refuse(InternalError(), variable)

    def _put_by(self, data: bytes) -> None:
        """Keep what is not looked at now: it waits for its turn, or for the answer to the request before it."""
        if self.phase >= CLOSING:
            self._discard(len(data))
            return
        if not data:
            return
        self._pending += data
        exchange = self._exchange
        if exchange is None:
            if not self._stalled:
                self._wait()
        elif exchange.takes_data:
            if not self._waits and not self._stalled:
                if self._is_heavy() and self.server.turns.is_late():
                    self._wait()
                else:
                    self._hear(exchange)
        elif len(self._pending) > MAX_PIPELINED:
            # A held poll is answered, for with its socket unread nobody would notice that its client left.
            self.end_exchange()
        if len(self._pending) > MAX_PIPELINED and self.phase < CLOSING:
            self._read_no_more()

    def _is_heavy(self) -> bool:
        """Whether what an exchange is to be given may take its time."""
        action = self._action
        is_slow = isinstance(action, Action) and action.takes_time
        return is_slow or len(self._pending) + self._incoming > SMALL

    def _hear(self, exchange: Exchange) -> None:
        """Give an exchange a portion of what was received."""
        data, self._pending = self._pending, b""
        rest = exchange.data(data, PORTION)
        if rest and self.phase < CLOSING:
            self._pending = rest
            self._wait()

    def take_turn(self) -> None:
        """Look at a portion of what was received, unless something stands in its way; wait again where more is left."""
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
        """The client has ended TLS, and with it its half of the connection: nobody is left to answer."""
        exchange = self._drop_request()
        if exchange is not None:
            exchange.lost()
        self._deadline_in(self.server.settings.write_timeout)
        return False

    def _end_at_eof(self) -> None:
        """Close, once nothing that the client asked for before it half-closed has still to be answered."""
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

    def _read_no_more(self) -> None:
        """Leave the socket unread, until `_read_on`."""
        if self._transport is not None and not self._reading_paused and not self._transport.is_closing():
            self._transport.pause_reading()
            self._reading_paused = True

    # The end.

    def _discard(self, size: int) -> None:
        """So many bytes have come behind the last answer."""
        if self._lingering is not None and not self._lingering.discard(size, self.server.now()):
            self._leave()
        elif size > MAX_PIPELINED:
            self._read_no_more()
            self._wait()

    def _check_progress(self, transport: asyncio.Transport) -> None:
        """Give up on a client that has taken nothing in the time it had."""
        left = transport.get_write_buffer_size()
        if 0 < self._untaken <= left:
            self.server.closed["write_timeout"] += 1
            transport.abort()
        else:
            self._untaken = left
            self._deadline_in(self.server.settings.write_timeout)

    def _leave(self) -> None:
        """Close the connection after its last answer, unless its client still sends, and may."""
        lingering, transport = self._lingering, self._transport
        now = self.server.now()
        if lingering is not None and lingering.ends_at > now:
            self.set_deadline(lingering.ends_at)
        elif transport is not None:
            if lingering is not None and lingering.is_cut_off():
                self.server.closed["lingering"] += 1
            if self.is_encrypted and not transport.is_closing():
                transport.close()  # with the words that TLS ends with (RFC 8446 §6.1); its own time bounds that
            else:
                transport.abort()


def connect(server: ServerState, heads: Heads) -> asyncio.Protocol:
    """A connection for a client that comes, as event loops ask for one."""
    return cast("asyncio.Protocol", HttpConnection(server, heads))
