"""As much of RESP2 as a test needs to give a server an order: independent of the client that slosh uses."""

import socket
import ssl
from collections.abc import Iterator
from typing import BinaryIO, Self

Reply = bytes | int | list["Reply"] | None


class RefusedError(Exception):
    """The server answered with an error."""


class Wire:
    """A connection that one command after the other is sent on; a context manager that closes it."""

    def __init__(self, connection: socket.socket | ssl.SSLSocket) -> None:
        self._socket = connection
        self._file: BinaryIO = connection.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def ask(self, *words: str | int) -> Reply:
        """Send a command and give its reply.

        Raises:
            RefusedError: the reply is an error.
            OSError: the server is out of reach.
        """
        self._socket.sendall(b"".join(encode(words)))
        return self._read()

    def _read(self) -> Reply:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        match kind:
            case b"+":
                return rest
            case b"-":
                raise RefusedError(rest.decode())
            case b":":
                return int(rest)
            case b"$":
                return None if rest == b"-1" else self._file.read(int(rest) + 2)[:-2]
            case b"*":
                return None if rest == b"-1" else [self._read() for _ in range(int(rest))]
        raise ValueError(f"{line!r} is not RESP2")


def encode(words: tuple[str | int, ...]) -> Iterator[bytes]:
    """A command as the bytes that are sent."""
    yield b"*%d\r\n" % len(words)
    for word in words:
        data = str(word).encode()
        yield b"$%d\r\n%b\r\n" % (len(data), data)


def fields(reply: Reply) -> dict[str, str]:
    """What INFO and CLUSTER INFO tell, by name."""
    assert isinstance(reply, bytes)
    return dict(line.split(":", 1) for line in reply.decode().splitlines() if ":" in line)


def pairs(reply: Reply) -> dict[str, str]:
    """A flat list of names and values, as Sentinel gives them, by name."""
    assert isinstance(reply, list)
    words = [item.decode() for item in reply if isinstance(item, bytes)]
    return dict(zip(words[::2], words[1::2], strict=True))
