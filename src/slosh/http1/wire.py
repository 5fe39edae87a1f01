"""The socket of one client: where it comes from, what is written to it, and what it does not take.

The rules of this file:

* A stream is written straight to the socket while nothing waits in the transport, and behind what waits otherwise.
* Bytes that come in and are not whole, and bytes that a client does not take, count for all connections together.
"""

from typing import TYPE_CHECKING

from slosh.access.limits import address_key
from slosh.http1.exchange import Exchange
from slosh.http1.outlet import Outlet, open_outlet
from slosh.http1.state import ServerState
from slosh.http1.tls import read_certificate

if TYPE_CHECKING:
    import asyncio


class Wire:
    """One client, as far as its socket and the server's state are concerned. `Connection` knows its requests.

    Args:
        server: what it shares with the others.
    """

    __slots__ = ("_incoming", "_outlet", "_peer", "_stalled", "_transport", "server")

    def __init__(self, server: ServerState) -> None:
        self.server = server
        self._transport: asyncio.Transport | None = None  # None before and after
        self._outlet: Outlet | None = None  # past the transport, while nothing waits in that: of streams
        self._peer: str | None = None  # the address that it comes from, once that was asked for
        self._incoming = 0  # bytes of a body, or of a WebSocket's message, that have come
        self._stalled = False  # the client does not take what is written

    @property
    def peer(self) -> str:
        """The address that the connection comes from; nothing for a Unix socket.

        A trusted proxy for TCP says it by the PROXY protocol.
        """
        if self._peer is None:
            carried = self.server.carried
            if carried and self in carried:
                self._peer = carried[self]
            elif self._transport is None:
                return ""
            else:
                name = self._transport.get_extra_info("peername")
                self._peer = str(name[0]) if isinstance(name, tuple) else ""
        return self._peer

    @property
    def source(self) -> str:
        """The client, as it counts for turns: `peer`, or its network."""
        peer = self.peer
        return address_key(peer) if peer else ""

    @property
    def is_encrypted(self) -> bool:
        """Whether it speaks TLS."""
        return self._transport is not None and self._transport.get_extra_info("ssl_object") is not None

    def certificate(self) -> tuple[frozenset[str], float]:
        """The names in the client's certificate, and until when it counts, seconds since 1970; no names for none."""
        return read_certificate(self._transport.get_extra_info("peercert") if self._transport is not None else None)

    @property
    def is_stalled(self) -> bool:
        """Whether the client does not take what was written; nothing more is to be written then."""
        return self._stalled

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

    def write_seldom(self, data: bytes) -> None:
        """Write a part of an answer by the transport, which takes longer than `write`.

        So a stream that is given nothing does not keep the memory that `write` needs to be quick.
        """
        if self._transport is not None and not self._transport.is_closing():
            self._write_behind(data)

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
        if size:
            server.buffered += size - server.stalled.get(self, 0)
            server.stalled[self] = size
            server.cut_stalled()
        else:
            server.buffered -= server.stalled.pop(self, 0)

    def buffer_nothing(self) -> None:
        """Count the client as stalled as soon as its socket is full, instead of filling a buffer here first."""
        if self._transport is not None:
            # Behind TLS a buffer with no byte in it would count as full with a bound of 0.
            self._transport.set_write_buffer_limits(int(self.is_encrypted), 0)

    def abandon(self) -> None:
        """Cut the connection: an answer that has begun cannot be finished, and its end must not look like one."""
        raise NotImplementedError

    def drain(self, *, spares_idle: bool = False) -> Exchange | None:
        """The server shuts down: close if nothing is under way.

        Args:
            spares_idle: wait for one request more instead: it may be on its way, and its answer is the last.

        Returns:
            The exchange that holds the request, which the caller must end; None if there is none.
        """
        raise NotImplementedError

    def forget_head(self) -> None:
        """Parse the next head, whatever is known of those before it."""
        raise NotImplementedError

    def find_path(self, variable: object | None) -> str:
        """The path of the present request, whose variable part means `variable`; empty for its head's own."""
        raise NotImplementedError

    def on_timer(self) -> None:
        """The deadline has come, or was put off meanwhile. The timers do not hold this connection any more."""
        raise NotImplementedError

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
