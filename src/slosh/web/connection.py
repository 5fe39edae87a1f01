"""HTTP/1.1 on the wire: one object for each client, and no task, future or coroutine.

The rules of this file:

* Requests on one connection are answered in their order. What arrives behind a request that has no answer
  yet waits until it has one, whatever it asks for (CVE-2024-41671 is what happens otherwise).
* A head is either judged by `parse_head` or byte for byte one that was, apart from a reader's place in its
  request line, which is let through by a pattern so narrow that it changes nothing else; nothing between.
* A connection answers one request as soon as it comes; very many that come at a time wait for turns (`turns.py`).
* Whatever a client does not take off its socket stops us from reading more from it.
* A stream is written straight to the socket while nothing waits in the transport, and else behind what waits.
* A connection has one deadline, which means what the connection is doing just then.

This file is longer than the others because it is one state machine: reading, answering, stalling and closing
change the same few attributes, and as several objects each waiting client would cost more memory.
"""

import asyncio
import contextlib
import logging
import math
import re
from typing import Final, cast

from slosh.core.timers import TICK, TICKS
from slosh.errors import (
    BadHttp,
    HeadTooLarge,
    InternalError,
    RequestTimeout,
    SloshError,
    TooLarge,
    TooManyConnections,
)
from slosh.web.action import Action, Exchange, Refusal
from slosh.web.bodies import BodyReader, Chunks, Sized
from slosh.web.edge import Edge
from slosh.web.head import CHUNKED, Head, is_hopeless, parse_head
from slosh.web.lingering import PAUSE, Lingering
from slosh.web.memory import HEAVIEST, Known, Latest, leave_out
from slosh.web.refusals import render_refusal
from slosh.web.reserve import close_oldest, let_in
from slosh.web.response import CLOSE, CONTINUE, render
from slosh.web.sending import Outlet, open_outlet
from slosh.web.turns import PORTION

logger = logging.getLogger(__name__)

MAX_PIPELINED: Final = 64 * 1024
"""Bytes that may wait behind a request that is being answered, or for their turn, before the socket is left unread."""

_EMPTY_LINES: Final = re.compile(rb"(?:\r\n)+")


class Connection:
    """One client. An `asyncio.Protocol` by its methods alone: a class that is compiled inherits from none that is not.

    Args:
        edge: what it shares with the others.
    """

    __slots__ = (
        "_action",
        "_address",
        "_at_eof",
        "_deadline",
        "_discarding",
        "_exchange",
        "_head",
        "_known",
        "_lingering",
        "_outlet",
        "_pending",
        "_reader",
        "_reading_paused",
        "_said",
        "_stalled",
        "_timer",
        "_transport",
        "_untaken",
        "_waits",
        "closing",
        "edge",
    )

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self._transport: asyncio.Transport | None = None
        self._outlet: Outlet | None = None  # past the transport, while nothing waits in that: of streams
        self._known: Known | None = None  # of the last head on this connection
        self._head: Head | None = None  # of the request that is being read or answered
        self.closing = b""  # the `Connection` line that its answer needs unless the server goes down, often none
        self._action: Action | None = None  # what to do for it once its body is whole
        self._reader: BodyReader | None = None
        self._said: object | None = None  # by the changing part of the head, while its body is read
        self._exchange: Exchange | None = None
        self._pending = b""  # received and not yet looked at
        self._waits = False  # for its turn, to look at what was received
        self._discarding = False  # the last answer is written; what still comes is dropped
        self._lingering: Lingering | None = None  # how long that goes on
        self._at_eof = False  # the client sends no more, but may still read
        self._reading_paused = False
        self._stalled = False  # the client does not take what is written
        self._untaken = 0  # bytes that it had not taken when that was last looked at
        self._deadline = math.inf
        self._timer = 0  # the tick at which the timers hold this connection, 0 for none
        self._address = ""

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast("asyncio.Transport", transport)
        edge = self.edge
        edge.accepted += 1
        edge.connections[self] = None
        self._deadline_in(edge.settings.idle_timeout)
        if len(edge.connections) > edge.max_connections or edge.is_short_of_files(transport):
            let_in(self)
        elif edge.settings.max_connections_per_address:
            self._count_address(edge.settings.max_connections_per_address)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, for whichever reason."""
        edge = self.edge
        if isinstance(exc, TimeoutError):  # The system has asked again and again, and the client's end was silent.
            edge.closed["tcp_keepalive"] += 1
        self._close_outlet()
        self._transport = None
        self._discarding = True
        edge.connections.pop(self, None)
        edge.leaving.pop(self, None)
        if edge.emptied is not None and not edge.connections and not edge.emptied.done():
            edge.emptied.set_result(None)
        edge.timers.discard(self, self._timer)
        self._pending = b""
        self._reader = None
        if self._address:
            edge.per_address[self._address] -= 1
            if not edge.per_address[self._address]:
                del edge.per_address[self._address]
        if self._exchange is not None:
            exchange, self._exchange = self._exchange, None
            exchange.lost()

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self._exchange is not None or self._stalled or self._discarding or self._waits or len(data) > MAX_PIPELINED:
            self._put_by(data)
        elif self._reader is not None:
            self._feed_body(data)
        elif self._pending:
            self._advance(self._pending + data)
        else:
            latest = self.edge.latest
            end = self._find_usual(data, latest)
            if end:
                self._take(latest)
                self._run(latest.action, data[end:], latest.said)
            else:
                self._advance(data)

    def eof_received(self) -> bool:
        """The client sends no more. Whoever waits for news is taken to be gone.

        An answer under way goes out, and so do those to requests, or frames, that came before the end.
        """
        exchange = self._exchange
        if self._pending and (exchange is None or exchange.takes_data):
            self._at_eof = True
            self._wait()
            return True
        if exchange is not None and exchange.outlives_eof:
            self._at_eof = True
            return True
        if exchange is not None:
            self._exchange = None
            exchange.lost()
        self._discarding = True
        if not self._stalled:
            self._untaken = 0
            self._deadline_in(self.edge.settings.write_timeout)
        return False  # asyncio writes out what is buffered, then closes; the deadline sees to it that it can.

    def pause_writing(self) -> None:
        """The client does not take what is written."""
        self._stalled = True
        if self._transport is not None:
            if self._exchange is not None and self._exchange.takes_data:
                self._read_no_more()  # Answers to what it sends would pile up.
            self._untaken = self._transport.get_write_buffer_size()
            self._deadline_in(self.edge.settings.write_timeout)

    def resume_writing(self) -> None:
        """The client has taken nearly all that was written."""
        self._stalled = False
        self._untaken = 0
        if self._exchange is not None:
            self._deadline = math.inf
            self._exchange.writable()
        else:
            settings = self.edge.settings
            idle = settings.idle_timeout if self._reader is None else settings.body_timeout
            self._deadline_in(PAUSE if self._discarding else idle)
        if self._pending or self._at_eof:
            self._wait()
        self._read_on()

    def on_timer(self) -> None:
        """The timers let this connection go: its deadline has come, or was put off meanwhile."""
        self._timer = 0
        if self._transport is None:
            return
        if self.edge.now() < self._deadline:
            self.set_deadline(self._deadline)
        elif self._exchange is not None and not self._stalled:
            self._deadline = math.inf
            self._exchange.deadline_passed()
        elif self._transport.get_write_buffer_size():
            self._check_progress(self._transport)
        elif self._discarding:
            self._leave()
        elif self._waits:
            self._deadline_in(TICK)  # It is not late: we are.
        elif self._reader is not None:
            self.refuse(RequestTimeout("The body of the request took too long (body_timeout)."))
        elif self._pending:
            self.refuse(RequestTimeout("The head of the request took too long (head_timeout)."))
        else:
            self.edge.closed["idle_timeout"] += 1
            self._transport.close()

    # What an action or an exchange calls.

    @property
    def head(self) -> Head:
        """The head of the request that is being answered."""
        if self._head is None:
            raise InternalError
        return self._head

    @property
    def peer(self) -> str:
        """The address that the connection comes from; nothing for a Unix socket."""
        peer = self._transport.get_extra_info("peername") if self._transport is not None else None
        return str(peer[0]) if isinstance(peer, tuple) else ""

    @property
    def client(self) -> str:
        """The address of the client that sent the present request, which may have come by proxies; see `Proxies`."""
        return self.edge.proxies.find_client(self.peer, self.head)

    @property
    def is_stalled(self) -> bool:
        """Whether the client does not take what was written; nothing more is to be written then."""
        return self._stalled

    @property
    def is_writable(self) -> bool:
        """Whether there is still somebody to answer, who takes what is written."""
        return not self._stalled and self._head is not None and self._transport is not None

    @property
    def is_open(self) -> bool:
        """Whether there is still somebody to answer."""
        return self._head is not None and self._transport is not None

    def admit(self, head: bytes, *, is_probe: bool) -> None:
        """Take the one request of a connection beyond `max_connections`, or refuse it where it is no probe's.

        Args:
            head: empty where it was not read.
        """
        self._exchange = None
        close_oldest(self)
        if is_probe:
            self._advance(head)
            return
        if head:  # It says how the client is to be refused.
            with contextlib.suppress(SloshError):
                self._head = parse_head(head, self.edge.settings.max_fields)
                self._action = self.edge.application.route(self._head)
        if len(self.edge.connections) > self.edge.max_connections:
            self.refuse(TooManyConnections("This server has all the connections that it may have (max_connections)."))
        else:
            self.edge.note_few_files()
            self.refuse(TooManyConnections("This server has nearly all the files open that it may have (ulimit -n)."))

    def is_held_by(self, exchange: Exchange) -> bool:
        """Whether `exchange` has still to give the answer to the present request."""
        return self._exchange is exchange

    def hold(self, exchange: Exchange, deadline: float = math.inf) -> None:
        """Leave the request unanswered for now; `exchange` owes a `finish` or a `respond`.

        Args:
            deadline: when the exchange is told that its time is up, seconds on the loop's clock.
        """
        self._exchange = exchange
        self._deadline = deadline
        if deadline < math.inf:
            self._hold_timer()
        if self.edge.draining:
            exchange.end()

    def buffer_nothing(self) -> None:
        """Count the client as stalled as soon as its socket is full, instead of filling a buffer here first."""
        if self._transport is not None:
            self._transport.set_write_buffer_limits(0)

    def set_deadline(self, deadline: float) -> None:
        """Let the exchange's deadline be at `deadline`, seconds on the loop's clock, `inf` for never."""
        self._deadline = deadline
        if deadline < math.inf:
            self._hold_timer()

    def bring_forward(self, deadline: float) -> None:
        """Let the deadline be at `deadline`, seconds on the loop's clock, if that is earlier."""
        self.set_deadline(min(deadline, self._deadline))

    def end_exchange(self) -> None:
        """Tell whoever owes the answer to give it now."""
        if self._exchange is not None:
            self._exchange.end()

    def connection_field(self) -> bytes:
        """The `Connection` line that the answer to the present request needs, often none."""
        return CLOSE if self.edge.draining else self.closing

    def respond(self, status: int, fields: bytes, body: bytes) -> None:
        """Answer the present request with a status, header lines, and a body (which HEAD does not get)."""
        is_head = self.head.method == "HEAD"
        if self._action is not None:
            fields += self._action.fields
        self.finish(render(status, self.edge.date(), fields, body, self.connection_field(), bodiless=is_head))

    def write(self, data: bytes) -> bool:
        """Write a part of an answer. False when the client does not keep up: wait for `writable` then."""
        outlet = self._outlet
        if outlet is None:
            transport = self._transport
            if transport is None or transport.is_closing():
                return False
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
        self._head = None
        self._action = None
        self._exchange = None
        if self._transport is None or head is None:
            return
        edge = self.edge
        edge.requests += 1
        if response:
            self._write_behind(response)
        if close or edge.draining or not head.keeps_alive:
            self._close_gently()
            return
        if not self._stalled:
            self._deadline = (now or edge.now()) + edge.idle
            if not 0 < self._timer <= self._deadline * TICKS:
                self.set_deadline(self._deadline)
        if self._pending or self._at_eof:
            self._wait()

    def abandon(self) -> None:
        """Cut the connection: an answer that has begun cannot be finished, and its end must not look like one."""
        exchange, self._exchange = self._exchange, None
        self._head = None
        self._discarding = True
        if exchange is not None:
            exchange.lost()
        self._close_outlet()
        if self._transport is not None:
            self._transport.abort()

    def refuse(self, error: SloshError) -> None:
        """Answer with an error, and close the connection where the error says so."""
        self.edge.note_refusal(error, self._head, self)
        status, fields, body = render_refusal(error, self._head, self.edge)
        if self._transport is None:
            return
        if self._head is not None and not error.closes and self._reader is None:
            self.respond(status, fields, body)
            return
        if self._head is not None and self._action is not None:
            fields += self._action.fields
        bodiless = self._head is not None and self._head.method == "HEAD"
        self.edge.requests += 1
        self._write_behind(render(status, self.edge.date(), fields, body, CLOSE, bodiless=bodiless))
        self._close_gently()

    def drain(self) -> Exchange | None:
        """The server goes down: close if nothing is under way, else give what has still to be ended, if anything."""
        if self._exchange is None and self._head is None and not self._pending and not self._discarding:
            self._close_gently()
        return self._exchange

    # Reading.

    def _find_usual(self, data: bytes, latest: Latest) -> int:
        """Where the body begins, if this is the usual poll or the usual publish; 0 if it is not.

        That is a head like the one that came last, from whomever, or like the last on this connection, and its body,
        with nothing behind it. `latest` tells what is known of it then.
        """
        length = latest.head.length
        end = len(data) - length
        if length >= 0 and end == len(latest.block) and data.startswith(latest.block):
            return end if length <= latest.action.max_body else 0
        known = self._known
        if known is None:
            return 0
        length = known.head.length
        end = len(data) - length
        if not 0 <= length <= known.action.max_body or end > self.edge.max_head:
            return 0
        said = known.read(data, end)
        if said is None:
            return 0
        latest.become(data[:end], known, said)
        return end

    def _advance(self, data: bytes) -> None:
        """Read the requests in `data` until one has to wait, or only a part of one is left."""
        at, end, left = 0, len(data), PORTION
        edge = self.edge
        while at < end:
            stop = data.find(b"\r\n\r\n", at) + 4
            if stop < 4:
                self._keep_part(data[at:] if at else data)
                return
            block = data[at:stop]
            latest = edge.latest
            if block != latest.block:
                empty = _EMPTY_LINES.match(data, at)
                if empty is not None:  # Empty lines before a request are skipped (RFC 9112 §2.2).
                    at = empty.end() if empty.end() < end else end - 2  # One is kept until more comes.
                    continue
                try:
                    self._know(block, latest)
                except SloshError as error:
                    self.refuse(error)
                    return
            at = stop
            self._pending = b""
            length = self._take(latest).length
            if not length:
                self._run(latest.action, b"", latest.said)
            elif 0 < length <= end - at and length <= latest.action.max_body:
                at += length
                self._run(latest.action, data[at - length : at], latest.said)
            else:
                self._said = latest.said
                rest = self._begin_body(data[at:])
                if rest is None:
                    return
                data, at, end = rest, 0, len(rest)
            left -= 1
            if (
                self._exchange is not None
                or self._stalled
                or self._discarding
                or (at < end and (left <= 0 or edge.turns.is_over()))
            ):
                self._put_by(data[at:])
                return

    def _keep_part(self, data: bytes) -> None:
        """Keep the beginning of a request until more of it comes."""
        settings = self.edge.settings
        if is_hopeless(data):
            self.refuse(BadHttp("This is no HTTP/1.1 request."))
        elif len(data) > settings.max_head:
            self.refuse(HeadTooLarge(f"Request line and headers have at most {settings.max_head} bytes (max_head)."))
        else:
            if not self._pending:
                self._deadline_in(settings.head_timeout)
            self._pending = data

    def _know(self, block: bytes, latest: Latest) -> None:
        """Write into `latest` what is known of a head; if that is nothing yet, it is judged, and what to do decided."""
        edge = self.edge
        known = self._known
        said: object | None = None
        fits = len(block) <= edge.max_head  # else it is judged, and refused
        if known is not None and fits:
            said = known.read(block, len(block))
        if known is None or said is None:
            start, end = edge.application.split(block) if fits else (0, 0)
            part = block[start:end]
            rest = leave_out(block, start, end) if part else block
            known = edge.heads.recall(rest)
            if known is not None and part:
                said = known.action.understand(part)
            if known is None or (part and said is None):
                known = Known(rest, *self._judge(block), start)
                edge.heads.remember(known)
            self._known = known if known.weight <= HEAVIEST else None  # It is kept while the connection is idle.
        latest.become(block, known, said)

    def _judge(self, block: bytes) -> tuple[Head, Action]:
        """Parse a head that was not seen before, and decide what to do for it."""
        edge = self.edge
        if len(block) > edge.settings.max_head:
            # In the same order as `_keep_part`: how the head was cut into packets does not change the answer.
            if is_hopeless(block):
                raise BadHttp("This is no HTTP/1.1 request.")
            raise HeadTooLarge(f"Request line and headers have at most {edge.settings.max_head} bytes (max_head).")
        self._head = None
        head = parse_head(block, edge.settings.max_fields)
        return head, edge.application.route(head)

    def _begin_body(self, data: bytes) -> bytes | None:
        """Make ready for a body that is not here as a whole yet, or comes in chunks; `data` is its beginning.

        Gives what came behind the body when that is whole already and the request was run, else None.
        """
        head, action = self.head, self._action
        settings = self.edge.settings
        limit = action.max_body if action is not None else 0
        self._reader = Chunks(settings.max_head) if head.length == CHUNKED else Sized(head.length)
        if head.length > limit:
            self.refuse(TooLarge(f"The body of this request may have {limit} bytes.", limit))
            return None
        if head.expects_continue and not data:
            if isinstance(action, Refusal):
                # The client asks before it sends the body: a refusal now spares it that (RFC 9110 §10.1.1).
                self.refuse(action.error)
                return None
            self._write_behind(CONTINUE)
        self._deadline_in(settings.body_timeout)
        return self._read_body(data) if data else None

    def _read_body(self, data: bytes) -> bytes | None:
        """Take in a part of the body, and run the request once it is whole.

        Gives what came behind the body then, else None.
        """
        reader, action = self._reader, self._action
        if reader is None or action is None:
            raise InternalError
        try:
            whole = reader.feed(data)
        except SloshError as error:
            self.refuse(error)
            return None
        if len(reader.body) > action.max_body:
            limit = action.max_body
            self.refuse(TooLarge(f"The body of this request may have {limit} bytes.", limit))
            return None
        if not whole:
            if reader.rest:
                self._pending = reader.rest
                self._wait()
            return None
        self._reader = None
        said, self._said = self._said, None
        self._run(action, bytes(reader.body), said)
        return reader.rest

    def _feed_body(self, data: bytes) -> None:
        """Take in a part of the body; once it is whole, what came behind it waits for its turn."""
        rest = self._read_body(data)
        if rest:
            self._put_by(rest)

    def _take(self, latest: Latest) -> Head:
        """Make ready to read the body of a request and to answer it."""
        self._head = head = latest.head
        self._action = latest.action
        self.closing = head.closing
        return head

    def _run(self, action: Action, body: bytes, said: object | None) -> None:
        """Do what the request asks for, whose changing part says `said`."""
        try:
            if said is None:
                action.run(self, body)
            else:
                action.run_with(self, body, said)
            if self._head is not None and self._exchange is None:
                raise InternalError  # noqa: TRY301 - an action that neither answers nor holds
        except SloshError as error:
            self.refuse(error)
        except Exception:
            logger.exception("failed to answer a request")
            self.refuse(InternalError())

    def _put_by(self, data: bytes) -> None:
        """Keep what is not looked at now: it waits for its turn, or for the answer to the request before it."""
        if self._discarding:
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
                self._hear(exchange)
        elif len(self._pending) > MAX_PIPELINED:
            # A held poll is answered, for with its socket unread nobody would notice that its client left.
            self.end_exchange()
        if len(self._pending) > MAX_PIPELINED and not self._discarding:
            self._read_no_more()

    def _hear(self, exchange: Exchange) -> None:
        """Give an exchange a portion of what was received."""
        data, self._pending = self._pending, b""
        rest = exchange.data(data, PORTION)
        if rest and not self._discarding:
            self._pending = rest
            self._wait()

    def _discard(self, size: int) -> None:
        """So many bytes have come behind the last answer."""
        if self._lingering is not None and not self._lingering.discard(size, self.edge.now()):
            self._leave()
        elif size > MAX_PIPELINED:
            self._read_no_more()
            self._wait()

    def _wait(self) -> None:
        """Wait for a turn, to look at what was received."""
        if not self._waits:
            self._waits = True
            self.edge.turns.join(self)

    def take_turn(self) -> None:
        """Look at a portion of what was received, unless something stands in its way; wait again where more is left."""
        self._waits = False
        exchange = self._exchange
        if self._stalled and not self._discarding:
            return  # `resume_writing` waits for a turn again.
        if exchange is not None:
            if exchange.takes_data and self._pending:
                self._hear(exchange)
        elif self._pending:
            pending, self._pending = self._pending, b""
            if self._reader is not None:
                self._feed_body(pending)
            else:
                self._advance(pending)
        if self._at_eof and not self._waits:
            self._end_at_eof()
        self._read_on()

    def _end_at_eof(self) -> None:
        """Close, once nothing that the client asked for before it half-closed has still to be answered."""
        exchange = self._exchange
        if self._discarding or (exchange.outlives_eof if exchange is not None else self._stalled):
            return
        self._exchange = None
        self._head = None
        if exchange is not None:
            exchange.lost()
        self._discarding = True
        self._pending = b""
        self._untaken = 0
        self._deadline_in(self.edge.settings.write_timeout)
        if self._transport is not None:
            self._transport.close()  # once what is buffered is written; the deadline sees to it that it can

    def _read_on(self) -> None:
        """Read from the socket again, if nothing but what has gone stood in the way."""
        if (
            self._reading_paused
            and self._transport is not None
            and len(self._pending) <= MAX_PIPELINED
            and (self._discarding or not self._stalled)
        ):
            self._reading_paused = False
            self._transport.resume_reading()

    def _read_no_more(self) -> None:
        """Leave the socket unread, until `_read_on`."""
        if self._transport is not None and not self._reading_paused and not self._transport.is_closing():
            self._transport.pause_reading()
            self._reading_paused = True

    # Writing.

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

    # Deadlines and the end.

    def _deadline_in(self, seconds: float) -> None:
        """Let the deadline be in so many seconds, 0 for never."""
        self.set_deadline(self.edge.now() + seconds if seconds else math.inf)

    def _hold_timer(self) -> None:
        """See that the timers hold this connection at its deadline or earlier.

        Earlier is enough: `on_timer` looks at the deadline. So a busy connection, whose deadline moves with
        each request, costs the timers one entry a minute.
        """
        timers = self.edge.timers
        if self._timer:
            if self._timer <= timers.tick_of(self._deadline):
                return
            timers.discard(self, self._timer)
        self._timer = timers.add(self, self._deadline)

    def _check_progress(self, transport: asyncio.Transport) -> None:
        """Give up on a client that has taken nothing in the time it had."""
        left = transport.get_write_buffer_size()
        if 0 < self._untaken <= left:
            self.edge.closed["write_timeout"] += 1
            transport.abort()
        else:
            self._untaken = left
            self._deadline_in(self.edge.settings.write_timeout)

    def _close_gently(self) -> None:
        """Send the end of the last answer, then read on for a moment before the socket is closed.

        To close at once, with bytes unread, would make the system send a reset, and the client could lose
        the answer that is on its way (RFC 9112 §9.6).
        """
        self._discarding = True
        self._pending = b""
        self._head = None
        self._reader = None
        now = self.edge.now()
        self._lingering = Lingering(now, now + self.edge.settings.body_timeout)
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._read_on()
        self._close_outlet()
        transport.write_eof()
        if not self._stalled:  # Else it has its write_timeout; `resume_writing` sets this deadline then.
            self._untaken = 0
            self._deadline_in(PAUSE)

    def _leave(self) -> None:
        """Close the connection after its last answer, unless its client still sends, and may."""
        lingering, transport = self._lingering, self._transport
        now = self.edge.now()
        if lingering is not None and lingering.ends_at > now:
            self.set_deadline(lingering.ends_at)
        elif transport is not None:
            if lingering is not None and lingering.is_cut_off():
                self.edge.closed["lingering"] += 1
            transport.abort()

    def _count_address(self, limit: int) -> None:
        self._address = self.peer
        if not self._address:
            return  # A Unix socket: all its clients are on this machine.
        self.edge.per_address[self._address] += 1
        if self.edge.per_address[self._address] > limit:
            self.refuse(TooManyConnections(f"One address may have {limit} connections (max_connections_per_address)."))


def connect(edge: Edge) -> asyncio.Protocol:
    """A connection for a client that comes, as event loops ask for one."""
    return cast("asyncio.Protocol", Connection(edge))
