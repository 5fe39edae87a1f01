"""The way past an event loop's transport, to the socket itself.

A transport writes to its socket by `write`, through the system's layer of files and the loop's own of buffers; for a
message to each of a thousand clients that is a tenth of the cost. While nothing waits in the transport's buffer, `send`
on the same socket does the same without both. If a socket has no room the rest goes to the transport, which waits.
"""

import asyncio
import socket

Outlet = socket.SocketType
"""A second object for a transport's socket. The owner must call `detach` before the transport closes the socket,
which is not before its protocol's `connection_lost`."""


def open_outlet(transport: asyncio.Transport) -> Outlet | None:
    """The way to the socket of `transport`, in whose buffer nothing waits; None if it has no plain socket."""
    if transport.get_extra_info("ssl_object") is not None:
        return None  # Bytes that are written there still have to be encrypted.
    plain = transport.get_extra_info("socket")
    # Family and protocol matter for addresses only, which are not asked for here; left out they would be looked up.
    return Outlet(0, socket.SOCK_STREAM, 0, plain.fileno()) if plain is not None else None
