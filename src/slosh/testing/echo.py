"""An echo application on slosh's own HTTP server, for conformance suites.

    python -m slosh.testing.echo --port 8080

Any method at any path: 200 with the request's body back. `/echo`: the request's header lines as they came.
`/ws`: a WebSocket that says every message again, text as text and binary as binary.
"""

import asyncio
import signal
from typing import ClassVar

import click

from slosh.http1.connection import Connection
from slosh.http1.exchange import Exchange
from slosh.http1.handler import Action, Application
from slosh.http1.head import Head
from slosh.http1.heads import Heads
from slosh.http1.protocol import connect
from slosh.http1.response import NO_SNIFF
from slosh.http1.state import ServerState
from slosh.settings import Settings
from slosh.startup import loop_factory
from slosh.web.readers.websocket.conversation import Conversation
from slosh.web.readers.websocket.deflate import Deflate, negotiate
from slosh.web.readers.websocket.websocket import make_frame, shake_hands, switch_protocols

_FIELDS = b"Content-Type: application/octet-stream\r\n" + NO_SNIFF
_MAX_ECHO = 32 * 1024 * 1024
"""Bytes of one message that is said again: the public suites send up to half of that."""
_TEXT = b"Content-Type: text/plain; charset=latin-1\r\n" + NO_SNIFF


class Echo(Application):
    """The application."""

    def __init__(self, settings: Settings) -> None:
        self._body = EchoBody(settings.max_body)

    def route(self, head: Head) -> Action:
        """The header lines for `/echo`, a WebSocket for `/ws`, the body for any other path."""
        if head.path == "/ws" and "websocket" in head.tokens(b"upgrade"):
            return EchoSocket()
        return EchoHead(self._body.max_body) if head.path == "/echo" else self._body


class EchoBody(Action):
    """Gives the body of a request back."""

    def __init__(self, max_body: int) -> None:
        self.max_body = max_body

    def run(self, connection: Connection, body: bytes) -> None:
        """Give the body back."""
        connection.respond(200, _FIELDS, body)


class EchoHead(Action):
    """Gives the header lines of a request back."""

    def __init__(self, max_body: int) -> None:
        self.max_body = max_body

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002 - only the head is asked for
        """Give them back."""
        connection.respond(200, _TEXT, connection.head.raw.partition(b"\r\n")[2].removesuffix(b"\r\n"))


class EchoSocket(Action):
    """Shakes hands and holds an echoing WebSocket."""

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002 - a handshake has none
        """Switch protocols."""
        accepted = shake_hands(connection.head)
        deflate = negotiate(offer.decode("latin-1") for offer in connection.head.all(b"sec-websocket-extensions"))
        if deflate is not None:
            accepted += deflate.field
        connection.hold(_EchoSocket(connection, deflate))
        connection.write(switch_protocols(connection.server.date(), accepted))


class _EchoSocket(Exchange):
    """An open WebSocket that says everything again."""

    takes_data: ClassVar[bool] = True

    def __init__(self, connection: Connection, deflate: Deflate | None) -> None:
        self._connection = connection
        self._deflate = deflate
        self._conversation = Conversation(_MAX_ECHO, binary=True, deflated=deflate is not None)

    def data(self, data: bytes, most: int) -> bytes:
        """Frames from the client."""
        messages, rest = self._conversation.hear(data, most)
        self._reply(b"".join(make_frame(kind, message, self._deflate) for kind, message in messages))
        return rest

    def end(self) -> None:
        """Close."""
        self._conversation.close()
        self._reply(b"")

    def _reply(self, again: bytes) -> None:
        said = self._conversation.reply()
        if self._conversation.is_open:
            self._connection.write(said + again)  # a ping is answered before the message that it came amidst
        else:
            self._connection.finish(again + said, close=True)


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    state, heads = ServerState(settings, loop), Heads(Echo(settings), settings)
    server = await loop.create_server(lambda: connect(state, heads), settings.host, settings.port, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    click.echo(f"echo is ready on http://{settings.host}:{port}")
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()
    server.close()


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", default=8080, show_default=True, help="Where to listen; 0 takes a free port.")
def main(host: str, port: int) -> None:
    """Echo requests, for tests of the HTTP server."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(Settings(host=host, port=port)))


if __name__ == "__main__":
    main()
