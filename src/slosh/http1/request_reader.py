"""What clients send, read and handed to actions: heads, bodies, and what waits behind them.

The rules of this file:

* Requests on one connection are answered in their order. One that arrives behind another waits until that has its
  answer, whatever it asks for (CVE-2024-41671 is what happens otherwise).
* A head is either parsed, or known to be equal to one that was, apart from its variable part; see `heads.py`.
* A connection answers one request as soon as it comes; very many that come at a time wait for turns (`turns.py`).
* While a client does not take what is written, nothing more is read from it.
* Bytes behind the last answer are discarded, for as long as `lingering.py` says.
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
    """The half of a connection that reads requests and runs their actions.

    Args:
        server: what it shares with the others.
        heads: what the server knows of heads.
    """

    __slots__ = ("_heads", "_known", "_reader", "_variable")

    def __init__(self, server: ServerState, heads: Heads) -> None:
        super().__init__(server)
        # As long as the connection lives.
        self._heads = heads
        self._known: CachedHead | None = None  # of the last head on this connection
        # While the body of a request is read.
        self._reader: BodyReader | None = None
        self._variable: object | None = None  # what the variable part of its head means

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
        """Read the requests in `data` until one has to wait, or only a part of one is left."""
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
        """Whether the request whose head was found, at that place in `data`, waits for its turn, with what follows."""
        self._pending = b""
        is_late = self._heads.latest.action.takes_time and self.server.turns.is_late()
        if is_late:
            self._put_by(data[at:])
        return is_late

    def _look_up(self, block: bytes) -> bool:
        """Find what is to be done for a head. False if it is refused."""
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
            What came behind the body, if that is whole already and the request was run; None otherwise.
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
        reader.body.clear()  # Otherwise a large one would be held twice while the request is worked on.
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
            variable: what the variable part of its head means; None if the action was chosen for that part.
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

    def _read_no_more(self) -> None:
        """Leave the socket unread, until `_read_on`."""
        if self._transport is not None and not self._reading_paused and not self._transport.is_closing():
            self._transport.pause_reading()
            self._reading_paused = True

    def _discard(self, size: int) -> None:
        """This many bytes have come behind the last answer."""
        if self._lingering is not None and not self._lingering.discard(size, self.server.now()):
            self._leave()
        elif size > MAX_PIPELINED:
            self._read_no_more()
            self._wait()

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
