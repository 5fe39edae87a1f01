"""The server that is attacked, and another client, which has to be served as if nothing happened.

Costs are CPU time of the server's one thread, as the kernel counts it, and always beside that of a usual request of the
same process: neither depends on what else the machine does.
"""

import contextlib
import http.client
import socket
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

from tests.e2e.server import Serving
from tests.running import PATIENCE

USUAL = "/topics/quiet?wait=0"
"""What the other client asks for."""


class Cost(NamedTuple):
    """What requests of the other client cost.

    Attributes:
        cpu: seconds of the server for each.
        waits: seconds until each was answered, sorted.
    """

    cpu: float
    waits: list[float]

    def percentile(self, percent: int) -> float:
        """The wait that so many of a hundred are not longer than, milliseconds."""
        return 1000 * statistics.quantiles(self.waits, n=100, method="inclusive")[percent - 1]


class Victim(Serving):
    """A server that is attacked."""

    def cpu(self) -> float:
        """CPU time that its thread has used so far, seconds."""
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0]) / 1e9

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        """A client from this address of this machine."""
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE, (source, 0))

    def say(self, sent: bytes) -> bytes:
        """Send something on a connection of its own, and all that comes back until the server closes it."""
        with self.connect() as client:
            with contextlib.suppress(ConnectionError):  # It need not read all of it.
                client.sendall(sent)
            said = b""
            with contextlib.suppress(ConnectionError):  # What came before a reset counts.
                while part := client.recv(65536):
                    said += part
            return said


class Bystander:
    """Another client, with a connection that it keeps. Use as a context manager."""

    def __init__(self, victim: Victim, token: str = "") -> None:
        self._victim = victim
        self._fields = {"Authorization": f"Bearer {token}"} if token else {}
        self._connection = http.client.HTTPConnection("127.0.0.1", victim.port, timeout=PATIENCE)

    def __enter__(self) -> Self:
        self.ask(100)  # what is made once is made
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def ask(self, times: int) -> Cost:
        """Ask so many times, one after another. Each is answered, and rightly."""
        waits = []
        before = self._victim.cpu()
        for _ in range(times):
            began = time.perf_counter()
            self._connection.request("GET", USUAL, headers=self._fields)
            answer = self._connection.getresponse()
            body = answer.read()
            waits.append(time.perf_counter() - began)
            assert answer.status == 200, body
        return Cost((self._victim.cpu() - before) / times, sorted(waits))


@contextlib.contextmanager
def crowd(victim: Victim, size: int, opening: bytes) -> Iterator[list[socket.socket]]:
    """So many clients that each send `opening`, once the server has accepted them all. They have small buffers."""
    accepted = victim.metric("slosh_connections_accepted_total")
    clients: list[socket.socket] = []
    try:
        for _ in range(size):
            client = socket.socket()
            clients.append(client)
            client.settimeout(PATIENCE)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.bind(("127.0.0.2", 0))
            client.connect(("127.0.0.1", victim.port))
            client.sendall(opening)
        deadline = time.monotonic() + PATIENCE
        while victim.metric("slosh_connections_accepted_total") < accepted + size:
            assert time.monotonic() < deadline, "they were not accepted"
        yield clients
    finally:
        for each in clients:
            each.close()
