"""A server that does what a script says: for what a good server never does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple


class Answer(NamedTuple):
    """What is sent back to a request; the connection is closed where `cut`."""

    data: bytes = b""
    cut: bool = False


def poll(body: str, status: int = 200, more: str = "") -> bytes:
    """An answer with this body and, in `more`, further header lines."""
    return f"HTTP/1.1 {status} Said\r\nContent-Length: {len(body)}\r\n{more}\r\n{body}".encode()


def stream(*events: str) -> bytes:
    """The beginning of a stream with these events."""
    return (
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + "".join(f"{each}\n\n" for each in events)
    ).encode()


class Scripted:
    """Answers requests in the order of a script, and holds what comes after its end.

    Attributes:
        heard: the requests, as text.
        over: set when a request came that nothing is left for.
    """

    def __init__(self, *script: Answer | bytes) -> None:
        self.heard: list[str] = []
        self.over = asyncio.Event()
        self._script = [each if isinstance(each, Answer) else Answer(each) for each in script]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        """Serve; gives the port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next((line for line in head.split("\r\n") if line.startswith("Content-Length: ")), ": 0")
                body = await reader.readexactly(int(length.partition(": ")[2]))
                self.heard.append(head + body.decode())
                if not self._script:
                    self.over.set()
                    continue
                answer = self._script.pop(0)
                writer.write(answer.data)
                if answer.cut:
                    break
        writer.close()


async def heard_out(server: Scripted, begin: Callable[[int], object]) -> list[str]:
    """What a client that `begin` starts asked until the script was over."""
    async with server.running() as port, asyncio.timeout(30):
        client = begin(port)
        await server.over.wait()
        if (stop := getattr(client, "stop", None)) is not None:
            stop()
    return server.heard
