"""An echo application on the very edge of the server, for conformance suites.

    python -m slosh.testing.echo --port 8080

Any method at any path: 200 with the request's body back. `/echo`: the request's header lines as they came.
"""

import asyncio
import signal

import click

from slosh.cli import loop_factory
from slosh.settings import Settings
from slosh.web.action import Action, Application
from slosh.web.connection import Connection
from slosh.web.edge import Edge
from slosh.web.head import Head
from slosh.web.response import NO_SNIFF

_FIELDS = b"Content-Type: application/octet-stream\r\n" + NO_SNIFF
_TEXT = b"Content-Type: text/plain; charset=latin-1\r\n" + NO_SNIFF


class Echo(Application, Action):
    """The application, and its one action."""

    def __init__(self, settings: Settings) -> None:
        self.max_body = settings.max_body

    def route(self, head: Head) -> Action:
        """The header lines for `/echo`, the body for any other path."""
        return EchoHead(head, self.max_body) if head.path == "/echo" else self

    def run(self, connection: Connection, body: bytes) -> None:
        """Give the body back."""
        connection.respond(200, _FIELDS, body)


class EchoHead(Action):
    """Gives the header lines of a request back."""

    def __init__(self, head: Head, max_body: int) -> None:
        self._lines = head.raw.partition(b"\r\n")[2].removesuffix(b"\r\n")
        self.max_body = max_body

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002 - only the head is asked for
        """Give them back."""
        connection.respond(200, _TEXT, self._lines)


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    edge = Edge(settings, Echo(settings), loop)
    server = await loop.create_server(lambda: Connection(edge), settings.host, settings.port, backlog=1024)
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
    """Echo requests, to judge the HTTP edge by."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(Settings(host=host, port=port)))


if __name__ == "__main__":
    main()
