"""A stage for feeders: a small HTTP server that answers as slosh does, with as many watchers as a test says."""

import json
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any, ClassVar, Self

import pytest

FEEDERS = Path(__file__).parents[2] / "feeders"
# Feeders are scripts: they find each other because Python looks in a script's own folder.
sys.path.insert(0, str(FEEDERS))


class Stage:
    """Takes POSTs to any topic while `watchers` is above zero. Use as a context manager."""

    def __init__(self, port: int = 0) -> None:
        self.watchers = 1
        #: What to answer instead: a status and a body.
        self.refusal: tuple[int, bytes] | None = None
        self.paths: list[str] = []
        self.connections = 0
        #: Each message that was taken, in order.
        self.taken: Queue[Any] = Queue()
        #: True for each message that was not.
        self.refused: Queue[bool] = Queue()
        stage = self

        class Handler(_Handler):
            pass

        Handler.stage = stage
        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.open: list[Any] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        for handler in self.open:
            handler.hang_up()
        self._server.server_close()
        self._thread.join()

    def answer(self, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer to a POST."""
        if self.refusal:
            self.refused.put(True)
            return self.refusal
        if not self.watchers:
            self.refused.put(True)
            return 404, b'{"code":"no_watchers","title":"Nobody watches this topic","status":404}'
        self.taken.put(json.loads(body))
        return 200, json.dumps({"max": 1, "next": "e.1", "watchers": self.watchers}).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stage: ClassVar[Stage]

    def setup(self) -> None:
        super().setup()
        self.stage.connections += 1
        self.stage.open.append(self)

    def hang_up(self) -> None:
        """Cut the connection, as the end of a server's process does."""
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # already gone

    def do_POST(self) -> None:  # the name that http.server asks for
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.stage.paths.append(self.path)
        status, answer = self.stage.answer(body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's name
        """Say nothing."""


@pytest.fixture
def stage() -> Iterator[Stage]:
    """One server that takes everything."""
    with Stage() as stage:
        yield stage
