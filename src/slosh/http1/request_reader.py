"""Reads requests, heads and bodies, and hands them to actions; pipelined requests wait.

The rules of this file:

* Requests on one connection are answered in their order. A request that arrives before the previous one was answered
  waits for that, whatever it asks for (otherwise answers can be mixed up, as in CVE-2024-41671).
* A head is either parsed, or known to equal a parsed one except for its variable part; see `heads.py`.
* A connection answers one request as soon as it comes; further requests that came with it wait for turns (`turns.py`).
* While a client does not read its answers, nothing more is read from it.
* Bytes received after the last answer are discarded, for as long as `lingering.py` says.
"""

import logging
import re
from typing import Final

from slosh.errors import (
    Forbidden,
    InternalError,
    MemoryFull,
    SloshError,
    TooManyRequests,
    Unauthorized,
)
from slosh.http1.bodies import BodyReader, ChunkedBody, SizedBody, check_size, fits
from slosh.http1.connection import MAX_PIPELINED, Connection
from slosh.http1.exchange import Exchange
from slosh.http1.fields import find_end
from slosh.http1.handler import Action
from slosh.http1.head import CHUNKED, Head
from slosh.http1.heads import CachedHead, Heads, LastHead
from slosh.http1.phases import ANSWERING, CLOSING, HELD, READING_BODY, READING_HEAD
from slosh.http1.response import CLOSE, CONTINUE, render
from slosh.http1.state import ServerState
from slosh.http1.turns import PORTION, SMALL

logger = logging.getLogger(__name__)

_EMPTY_LINES: Final = re.compile(rb"(?:\r\n)+")
_CR: Final = 0x0D


class RequestReader(Connection):
    """The part of a connection that reads requests and runs their actions.

    Args:
        server: the state that all connections share.
        heads: the server's cache of heads.
    """

    __slots__ = ("_heads", "_known", "_reader", "_variable")

    def __init__(self, server: ServerState, heads: Heads) -> None:
        super().__init__(server)
        # As long as the connection lives.
        self._heads = heads
        self._known: CachedHead | None = None  # of the last head on this connection
        # While the body of a request is read.
        self._reader: BodyReader | None = None
        self._variable: object | None = None  # the meaning of its head's variable part

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

    # Reading.

    def _advance(self, data: bytes) -> None:
        """Read and run the requests in `data`, until one has to wait or only a part of one is left."""
        at, end, left = 0, len(data), PORTION
        heads = self._heads
        latest = heads.latest
        while at < end:
            stop = find_end(data, at)
            if not stop:
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
        """Whether the request at `data[at:]`, whose head was found, has to wait for its turn. If so, it is stored."""
        self._pending = b""
        is_late = self._heads.latest.action.takes_time and self.server.turns.is_late()
        if is_late:
            self._put_by(data[at:])
        return is_late

    def _look_up(self, block: bytes) -> bool:
        """Find the action for a head. False if the head was refused."""
        try:
            self._known = self._heads.look_up(block, self._known)
        except SloshError as error:
            self.refuse(error, begun=block)
            return False
        return True

    def _keep_part(self, data: bytes) -> None:
        """Keep the beginning of a head until more of it comes."""
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
        """Read a body that is not complete yet, or comes in chunks; `data` is its beginning.

        Returns:
            The bytes after the body, if it is complete and the request was run; otherwise None.
        """
        head, action = latest.head, latest.action
        settings = self.server.settings
        self.phase = READING_BODY
        self._variable = latest.variable
        self._reader = ChunkedBody(settings.max_head) if head.length == CHUNKED else SizedBody(head.length)
        try:
            check_size(head.length, action.max_body, action.body_bound, is_declared=True)
        except SloshError as error:
            self.refuse(error, latest.variable)
            return None
        asks_first = head.expects_continue and not data
        refusal = action.refuse_early(self, latest.variable, asks_first=asks_first)
        # A client that asks first need not send a body that would be refused (RFC 9110 §10.1.1). And a client without
        # the right to send it must not fill the memory.
        if refusal is not None and (asks_first or isinstance(refusal, Unauthorized | Forbidden | TooManyRequests)):
            self.refuse(refusal, latest.variable)
            return None
        if asks_first:
            self._write_behind(CONTINUE)
        self._deadline_in(settings.body_timeout)
        return self._read_body(data) if data else None

    def _read_body(self, data: bytes) -> bytes | None:
        """Add `data` to the body, and run the request once the body is complete.

        Returns:
            The bytes after the body then; otherwise None.
        """
        reader, action = self._reader, self._action
        if reader is None or not isinstance(action, Action):
            raise InternalError
        try:
            whole = reader.feed(data)
            check_size(len(reader.body), action.max_body, action.body_bound)
            if not self.count_incoming(len(reader.body)):
                raise MemoryFull.of_buffers(self.server.settings.max_buffered)
        except SloshError as error:
            self.refuse(error, self._variable)
            return None
        if not whole:
            if reader.rest:
                self._pending = reader.rest
                self._wait()
            return None
        body, rest, variable = bytes(reader.body), reader.rest, self._variable
        reader.body.clear()  # Else a large one would be in memory twice while the action runs.
        self._drop_body()
        self._run(action, body, variable)
        return rest

    def _drop_body(self) -> None:
        """Drop what was read of a body."""
        if self._incoming:
            self.count_incoming(0)
        self._reader = None
        self._variable = None

    def _feed_body(self, data: bytes) -> None:
        """Add `data` to the body; bytes after the body wait for their turn."""
        rest = self._read_body(data)
        if rest:
            self._put_by(rest)

    def _take(self, latest: LastHead) -> Head:
        """Make this head the current request. Returns it."""
        self._head = head = latest.head
        self._action = latest.action
        self.closing = head.closing
        return head

    def _run(self, action: Action, body: bytes, variable: object | None) -> None:
        """Run the action of the current request.

        Args:
            variable: the meaning of its head's variable part; None if the action was chosen for that part.
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
        """Store received bytes that cannot be read now: they wait for a turn, or for the previous answer."""
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
            # A held poll is answered now: reading is about to be paused, and then a client that leaves goes unnoticed.
            self.end_exchange()
        if len(self._pending) > MAX_PIPELINED and self.phase < CLOSING:
            self._read_no_more()

    def _is_heavy(self) -> bool:
        """Whether the exchange may need long for the bytes that wait."""
        action = self._action
        is_slow = isinstance(action, Action) and action.takes_time
        return is_slow or len(self._pending) + self._incoming > SMALL

    def _hear(self, exchange: Exchange) -> None:
        """Pass a portion of the received bytes to an exchange."""
        data, self._pending = self._pending, b""
        rest = exchange.data(data, PORTION)
        if rest and self.phase < CLOSING:
            self._pending = rest
            self._wait()

    def _read_no_more(self) -> None:
        """Pause reading from the socket, until `_read_on`."""
        if self._transport is not None and not self._reading_paused and not self._transport.is_closing():
            self._transport.pause_reading()
            self._reading_paused = True

    def _discard(self, size: int) -> None:
        """Discard `size` bytes that came after the last answer."""
        if self._lingering is not None and not self._lingering.discard(size, self.server.now()):
            self._leave()
        elif size > MAX_PIPELINED:
            self._read_no_more()
            self._wait()

    def _leave(self) -> None:
        """Close the connection after its last answer, unless the client is still allowed to send."""
        lingering, transport = self._lingering, self._transport
        now = self.server.now()
        if lingering is not None and lingering.ends_at > now:
            self.set_deadline(lingering.ends_at)
        elif transport is not None:
            if lingering is not None and lingering.is_cut_off():
                self.server.closed["lingering"] += 1
            if self.is_encrypted and not transport.is_closing():
                transport.close()  # with TLS's closing alert (RFC 8446 §6.1), for which TLS has its own timeout
            else:
                transport.abort()
