"""The socket of one client: its address, writing to it, and bytes that the client does not read.

The rules of this file:

* A stream is written straight to the socket while the transport has nothing queued, otherwise through the transport.
* The bytes of incomplete bodies, and bytes that clients do not read, are counted for all connections together.
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
    """The socket of one client. `Connection` adds its requests.

    Args:
        server: the state that all connections share.
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
        """Write a part of an answer. False if the client does not keep up: wait for `writable` then."""
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
        """Write a part of an answer through the transport, which is slower than `write` but keeps no extra object.

        For streams that get few messages: `write` opens an outlet, which takes memory as long as the connection lives.
        """
        if self._transport is not None and not self._transport.is_closing():
            self._write_behind(data)

    def count_incoming(self, size: int) -> bool:
        """Count `size` bytes received of an incomplete body or message.

        Returns whether there is room for them. For the only one there always is.
        """
        server = self.server
        server.buffered += size - self._incoming
        self._incoming = size
        return server.has_buffer_room() or server.buffered == size

    def count_unsent(self, size: int) -> None:
        """Count `size` unsent bytes because the client does not read; 0 once it reads again."""
        server = self.server
        if size:
            server.buffered += size - server.stalled.get(self, 0)
            server.stalled[self] = size
            server.cut_stalled()
        else:
            server.buffered -= server.stalled.pop(self, 0)

    def buffer_nothing(self) -> None:
        """Treat the client as stalled as soon as its socket is full, instead of filling a buffer first."""
        if self._transport is not None:
            # Behind TLS a buffer with no byte in it would count as full with a bound of 0.
            self._transport.set_write_buffer_limits(int(self.is_encrypted), 0)

    def abandon(self) -> None:
        """Cut the connection: an unfinished answer must not look complete."""
        raise NotImplementedError

    def drain(self, *, spares_idle: bool = False) -> Exchange | None:
        """Shut down: close the connection if it is idle.

        Args:
            spares_idle: keep an idle connection for one more request, which may be on its way.

        Returns:
            The exchange that holds the request, which the caller must end; None if there is none.
        """
        raise NotImplementedError

    def forget_head(self) -> None:
        """Forget the cached head of this connection, so that its next head is parsed."""
        raise NotImplementedError

    def find_path(self, variable: object | None) -> str:
        """The path of the current request, whose variable part means `variable`; empty if the head's path is right."""
        raise NotImplementedError

    def on_timer(self) -> None:
        """The timer has fired, and holds this connection no more. The deadline may have been postponed meanwhile."""
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
