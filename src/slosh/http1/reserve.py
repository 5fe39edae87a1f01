"""Connections beyond `max_connections`, for probes.

A server that has `max_connections` is full and not ill: a probe that took the 503 of one client too many for an answer
would have it restarted, and all its clients with it. So a few connections more are let in to say what they want. One
that asks for the server's health, its readiness or its metrics is answered, once; any other gets its 503, an
`EventSource` in the form that does not stop it for ever (see `refusals.py`).

After its answer such a connection reads on for a moment (see `lingering.py`). Each of them takes a descriptor, and
without one for the next client the system's queue, or the event loop, would close that client without a byte. So only
`LEAVING` of them stay at a time: one more closes the oldest, which has had the longest time to read its answer.
"""

from typing import ClassVar, Final

from slosh.http1.connection import Connection
from slosh.http1.exchange import Exchange

RESERVE: Final = 8
"""Connections beyond `max_connections`, at a time, that may say that they are probes. One more takes the place of the
oldest, so that silent clients do not keep probes out. They take their files from those that
`slosh/descriptors.py` keeps for the server itself."""
LEAVING: Final = 16
"""Connections beyond `max_connections`, at a time, that have their answer and are not yet closed."""
PATIENCE: Final = 3.0
"""Seconds in which such a connection has to send its request. A probe does so as soon as it runs."""
_PATHS: Final = (b"/-/healthy", b"/-/ready", b"/-/metrics")
_LONGEST: Final = 4096
"""Bytes of a probe's head at most."""


class ReservedExchange(Exchange):
    """A connection that is let in to say what it wants.

    Args:
        connection: it; call `hold` there with this.
    """

    __slots__ = ("_connection", "_said")

    takes_data: ClassVar[bool] = True

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._said = b""
        connection.server.reserved[self] = None

    def data(self, data: bytes, most: int) -> bytes:  # noqa: ARG002 - one head
        """Let it in once its head is whole, if it is a probe's. Nothing of it waits for another turn."""
        self._said = said = self._said + data
        line, is_whole, _ = said.partition(b"\r\n")
        words = line.split(b" ")
        is_probe = words[0] in (b"GET", b"HEAD") and len(words) > 1 and words[1] in _PATHS
        if is_whole and not is_probe and words[0] != b"GET":
            self.end()
            return b""
        head, is_whole, _ = said.partition(b"\r\n\r\n")
        if is_whole:
            # Its answer is the last on this connection, and anything received behind it is discarded.
            self._admit(head + b"\r\nConnection: close\r\n\r\n", is_probe=is_probe)
        elif len(said) > _LONGEST:
            self.end()
        return b""

    def end(self) -> None:
        """It wants something else, or does not say what it wants."""
        self._admit(b"", is_probe=False)

    def lost(self) -> None:
        """It has gone."""
        del self._connection.server.reserved[self]

    def _admit(self, head: bytes, *, is_probe: bool) -> None:
        del self._connection.server.reserved[self]
        self._connection.admit(head, is_probe=is_probe)


def let_in(connection: Connection) -> None:
    """Wait for what a connection beyond `max_connections` wants; if that is one too many, refuse the oldest."""
    server = connection.server
    if len(server.reserved) >= RESERVE:
        next(iter(server.reserved)).end()
    connection.hold(ReservedExchange(connection), server.now() + PATIENCE)


def close_oldest(connection: Connection) -> None:
    """Count a connection beyond `max_connections` as leaving; call it before the connection is answered.

    If that is one too many, the one that has been leaving for the longest is closed.
    """
    leaving = connection.server.leaving
    leaving[connection] = None
    if len(leaving) > LEAVING:
        oldest = next(iter(leaving))
        del leaving[oldest]
        connection.server.closed["max_connections"] += 1
        oldest.abandon()
