"""Ports that only one process of this machine has at a time, so that tests and measurements run beside others."""

import contextlib
import itertools
import random
import socket
from typing import Final

PORTS: Final = range(15_000, 22_000)
"""Below the ports that a system gives to outgoing connections (32,768 up on Linux), so that no connection takes a
server's port while the server restarts; 10,000 above them, where a cluster's nodes talk to each other, are such ports
too."""
_turn = itertools.count(random.randrange(len(PORTS)))
_claims: list[socket.socket] = []


def claim(number: int) -> bool:
    """Whether this process has the number from now on: for that it has the UDP port of this number until it ends."""
    held = socket.socket(type=socket.SOCK_DGRAM)
    try:
        held.bind(("127.0.0.1", number))
    except OSError:
        held.close()
        return False
    _claims.append(held)
    return True


def free_port() -> int:
    """A port that no server listens on, nor on the one 10,000 above it; no other process is given it here."""
    for _ in PORTS:
        port = PORTS[next(_turn) % len(PORTS)]
        with contextlib.suppress(OSError), socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", port))
            other.bind(("127.0.0.1", port + 10_000))
            if claim(port):
                return port
    raise AssertionError("there is no free port")
