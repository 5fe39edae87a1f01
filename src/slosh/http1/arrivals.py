"""What comes on a connection before HTTP: what a proxy says of its client, and the beginning of TLS.

The rules of this file:

* A server without TLS and without the PROXY protocol has none of this: its loop accepts for it.
* Only a peer that `trusted_proxies` names is asked for a PROXY header, and it has to send one, since nobody could tell
  its absence from a client that writes one (proxy-protocol.txt, §2). From others it is a request like any, and none.
* Nothing is read that does not belong here: the header is taken off the socket byte for byte, and of TLS one byte is
  looked at. Plain HTTP at a port of TLS is answered in plain text, because its client cannot read anything else.
* Connections that wait here are bounded in number and in time, and hold one descriptor each.
* Some handshakes begin in a turn: each takes a signature, with RSA up to a millisecond, which cannot be divided.
"""

import asyncio
import logging
import socket
import ssl
from collections import deque
from collections.abc import Callable
from typing import Final

from slosh.http1.connection import Connection
from slosh.http1.proxy_protocol import MOST, BadProxyHeader, parse_header
from slosh.http1.state import ServerState
from slosh.stalls import AfterReading

log: Final = logging.getLogger("slosh.tls")

WAITING: Final = 1024
"""Connections that may wait here; one more closes the oldest, and so does one for which only spare descriptors were
left."""
AT_A_TIME: Final = 2
"""Connections that are accepted in one turn, as `listening.py` says."""
BEGUN_AT_A_TIME: Final = 4
"""Connections that go on to TLS, or to HTTP, in one turn."""
_PAUSE: Final = 1.0
"""Seconds until accepting is tried again if the system had nothing for it."""
_LINGER: Final = 1.0
"""Seconds in which a client may read why it was refused."""
_HELLO: Final = 0x16
"""The first byte of TLS (RFC 8446 §5.1)."""
_SHUTDOWN: Final = 5.0
"""Seconds that the end of TLS may take."""

_REFUSAL: Final = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"
    b"Cache-Control: no-store\r\nConnection: close\r\n\r\n%b"
)
_PLAIN: Final = (
    b"This port speaks HTTPS, and this request came in plain HTTP. Write https:// in front of the address.\n"
)
_NO_HEADER: Final = (
    b"A proxy that is trusted here begins each connection with a PROXY header (setting proxy_protocol).\n"
)


class Arrivals:
    """Accepts the connections of some listening sockets.

    Args:
        server: counts them.
        make: makes the protocol for a connection.
        takes_proxy: whether trusted peers send a PROXY header.
        context: of TLS, None for plain HTTP.

    Attributes:
        context: the same; a new one counts for the connections that come from then on.
        most: how many connections may wait.
    """

    def __init__(
        self,
        server: ServerState,
        make: Callable[[], asyncio.Protocol],
        *,
        takes_proxy: bool,
        context: ssl.SSLContext | None,
    ) -> None:
        self.server = server
        self.make = make
        self.takes_proxy = takes_proxy
        self.context = context
        self.most = WAITING
        self.waiting: dict[_Arrival, None] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self._ready: deque[_Arrival] = deque()  # to go on
        self._listeners: list[socket.socket] = []
        self._pauses: dict[socket.socket, asyncio.TimerHandle] = {}

    def listen(self, listener: socket.socket) -> None:
        """Accept from a socket that listens and does not block, until `close`."""
        self._listeners.append(listener)
        self.server.loop.add_reader(listener.fileno(), self._accept, listener)

    def close(self) -> None:
        """Accept nothing any more, and release those that have not come as far as HTTP."""
        for listener in self._listeners:
            self.server.loop.remove_reader(listener.fileno())
        for pause in self._pauses.values():
            pause.cancel()
        self._listeners = []
        self._ready.clear()
        for each in list(self.waiting):
            each.drop()
        for task in self.tasks:
            task.cancel()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(AT_A_TIME):
            try:
                accepted, address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                self.server.shortage.look_soon()
                self.server.loop.remove_reader(listener.fileno())
                self._pauses[listener] = self.server.loop.call_later(_PAUSE, self._accept_again, listener)
                return
            accepted.settimeout(0.0)
            is_short = bool(self.waiting) and accepted.fileno() >= self.server.first_spare
            if len(self.waiting) >= self.most or is_short:
                self.server.closed["handshake"] += 1
                next(iter(self.waiting)).drop()
            peer = str(address[0]) if isinstance(address, tuple) else ""
            self.waiting[_Arrival(self, accepted, peer)] = None

    def begin_soon(self, arrival: "_Arrival") -> None:
        """Have `begin` of `arrival` called, in this turn or a later one, unless it has gone until then."""
        self._ready.append(arrival)
        if len(self._ready) == 1:
            self.server.loop.call_soon(self._begin_some)

    def _begin_some(self) -> None:
        left = BEGUN_AT_A_TIME
        while left and self._ready:
            arrival = self._ready.popleft()
            if arrival in self.waiting:
                left -= 1
                arrival.begin()
        if self._ready:
            self.server.loop.call_soon(self._begin_some)

    def _accept_again(self, listener: socket.socket) -> None:
        del self._pauses[listener]
        self.server.loop.add_reader(listener.fileno(), self._accept, listener)


class _Arrival:
    """A connection that has not come as far as HTTP."""

    def __init__(self, arrivals: Arrivals, accepted: socket.socket, peer: str) -> None:
        self._arrivals = arrivals
        self._socket = accepted
        self._client = ""  # that the proxy speaks for
        self._said = b""  # of a PROXY header that is not whole yet
        self._waits_for_header = arrivals.takes_proxy and arrivals.server.proxies.trusts(peer)
        self._left = MOST  # bytes that are passed over after a refusal
        self._is_refused = False
        self._task: asyncio.Task[None] | None = None
        self._has_begun = False
        self._carried: Connection | None = None
        self._expire_in(arrivals.server.settings.head_timeout or 3600.0)
        arrivals.server.loop.add_reader(accepted.fileno(), self._look)

    def drop(self) -> None:
        """Close it."""
        self._leave()
        if self._task is not None:
            self._task.cancel()
        else:
            self._socket.close()

    def _leave(self) -> None:
        """Be looked at no more."""
        self._deadline.cancel()
        if self._task is None:
            self._arrivals.server.loop.remove_reader(self._socket.fileno())
        self._arrivals.waiting.pop(self, None)

    def _expire_in(self, seconds: float) -> None:
        loop = self._arrivals.server.loop
        self._deadline = AfterReading(loop, loop.time() + seconds, self._expire)

    def _expire(self) -> None:
        if not self._is_refused:
            self._arrivals.server.closed["handshake"] += 1
        self.drop()

    def _look(self) -> None:
        """Something has come, or the end."""
        try:
            self._read()
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.drop()

    def _read(self) -> None:
        if self._is_refused:
            got = len(self._socket.recv(MOST))
            self._left -= got
            if not got or self._left < 0:
                self.drop()
            return
        if self._waits_for_header and not self._read_header():
            return
        if self._arrivals.context is not None:
            first = self._socket.recv(1, socket.MSG_PEEK)
            if not first:
                self.drop()
                return
            if first[0] != _HELLO:
                self._refuse(_PLAIN)
                return
        self._hand_over()

    def _read_header(self) -> bool:
        """Take the PROXY header off the socket. False while it is not whole, or if it is none."""
        seen = self._socket.recv(MOST, socket.MSG_PEEK)
        if not seen:
            self.drop()
            return False
        try:
            header = parse_header(self._said + seen)
        except BadProxyHeader:
            self._refuse(_NO_HEADER)
            return False
        if header is None:
            self._said += self._socket.recv(len(seen))  # All of it is of the header.
            return False
        self._socket.recv(header.length - len(self._said))
        self._client = header.client
        self._waits_for_header = False
        # The bytes behind it may be there already, or not yet: a look at TLS has to wait for it.
        return self._arrivals.context is None or self._has_more()

    def _has_more(self) -> bool:
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False

    def _refuse(self, why: bytes) -> None:
        server = self._arrivals.server
        server.refused["bad_http"] += 1
        self._is_refused = True
        self._socket.send(_REFUSAL % (len(why), why))
        self._socket.shutdown(socket.SHUT_WR)
        self._deadline.cancel()
        self._expire_in(_LINGER)

    def _hand_over(self) -> None:
        """Let HTTP begin in its turn, behind TLS if that is spoken here."""
        self._arrivals.server.loop.remove_reader(self._socket.fileno())
        self._arrivals.begin_soon(self)

    def begin(self) -> None:
        """Let HTTP begin now."""
        loop = self._arrivals.server.loop
        self._task = loop.create_task(self._begin())
        self._arrivals.tasks.add(self._task)
        self._task.add_done_callback(self._end)

    async def _begin(self) -> None:
        self._has_begun = True  # From here on the loop's transport owns the socket.
        arrivals, protocol = self._arrivals, self._arrivals.make()
        server, context = arrivals.server, arrivals.context
        if self._client and isinstance(protocol, Connection):
            self._carried = protocol
            server.carried[protocol] = self._client
        if context is None:
            await server.loop.connect_accepted_socket(lambda: protocol, self._socket)
        else:
            await server.loop.connect_accepted_socket(
                lambda: protocol,
                self._socket,
                ssl=context,
                ssl_handshake_timeout=server.settings.head_timeout or None,
                ssl_shutdown_timeout=_SHUTDOWN,
            )

    def _end(self, task: asyncio.Task[None]) -> None:
        """HTTP has begun, or never will."""
        server = self._arrivals.server
        self._arrivals.tasks.discard(task)
        self._leave()
        error = None if task.cancelled() else task.exception()
        if error is None and not task.cancelled():
            return
        server.closed["handshake"] += 1
        if self._carried is not None:
            server.carried.pop(self._carried, None)
        if not self._has_begun:
            self._socket.close()
        if error is not None and not isinstance(error, OSError):  # SSLError and TimeoutError are
            log.error("a connection could not be taken", exc_info=error)
