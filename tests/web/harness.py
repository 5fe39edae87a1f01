"""The HTTP server with real HTTP bytes and no sockets: both ends in one place, and time that the test moves.

A `Site` is a whole server apart from its listeners: routes, engine, hub and connections on an event loop whose
clock stands still until the test lets it go on. A `Client` is the other end of one connection: it sends bytes,
takes as many as the test lets it take, half-closes, or resets.
"""

import asyncio
import itertools
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Self

from slosh.engine.memory import MemoryEngine
from slosh.http1.drain import drain
from slosh.http1.handler import Application
from slosh.http1.heads import Heads
from slosh.http1.protocol import HttpConnection
from slosh.http1.state import ServerState
from slosh.parts import make_hub
from slosh.settings import Settings
from slosh.web.pages.files import DocumentRoot
from slosh.web.routes import Routes
from tests.web.wire import VirtualLoop, Wire


class Dechunker:
    """Reads the chunked coding, as far as it has come.

    Attributes:
        ended: whether the last chunk has come.
        behind: what came behind it.
    """

    def __init__(self) -> None:
        self._data = b""
        self._left = 0
        self.ended = False
        self.behind = b""

    def feed(self, data: bytes) -> bytes:
        """What the body goes on with."""
        self._data += data
        body = b""
        while self._data and not self.ended:
            if self._left > 2:
                piece = self._data[: self._left - 2]
                body += piece
                self._left -= len(piece)
                self._data = self._data[len(piece) :]
            elif self._left:
                if len(self._data) < 2:
                    break
                assert self._data.startswith(b"\r\n")
                self._data, self._left = self._data[2:], 0
            else:
                line, mark, rest = self._data.partition(b"\r\n")
                if not mark:
                    break
                self._data, self._left = rest, int(line, 16) + 2
                if self._left == 2:
                    assert b"\r\n".startswith(rest[:2])
                    self.ended, self.behind = True, rest[2:]
        return body


class Response:
    """One answer, taken apart.

    Attributes:
        status: its code.
        fields: header fields, names in lower case, in their order.
        body: as bytes.
    """

    def __init__(self, head: bytes, body: bytes) -> None:
        line, *lines = head.decode("latin-1").split("\r\n")
        self.version, status, _ = line.split(" ", 2)
        self.status = int(status)
        self.fields = [(name.lower(), value.strip()) for name, _, value in (each.partition(":") for each in lines)]
        self.body = body

    def __repr__(self) -> str:
        return f"<{self.status} {self.fields} {self.body[:200]!r}>"

    def __getitem__(self, name: str) -> str:
        """The one value of a field; an error when it came twice or not at all."""
        (value,) = (value for each, value in self.fields if each == name.lower())
        return value

    def __contains__(self, name: str) -> bool:
        return any(each == name.lower() for each, _ in self.fields)

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of a problem document, which has all that RFC 9457 and docs/protocol.md ask for."""
        assert self["Content-Type"] == "application/problem+json"
        problem = self.json
        assert problem["status"] == self.status
        assert all(problem[member] for member in ("type", "title", "detail"))
        code: str = problem["code"]
        return code

    @property
    def cookie(self) -> str:
        """What a client sends back for the `Set-Cookie` of this answer."""
        return self["Set-Cookie"].partition(";")[0]


def request(method: str, target: str, body: bytes = b"", version: str = "1.1", /, **fields: str) -> bytes:
    """The bytes of a request. `Content_Type="x"` becomes the field `Content-Type`; a body gets its length."""
    lines = [f"{method} {target} HTTP/{version}"]
    if "Host" not in fields:
        lines.append("Host: slosh.test")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def open_files() -> int:
    """How many descriptors this process has open."""
    return len(list(Path("/dev/fd").iterdir()))


class Client:
    """The client's end of one connection.

    Args:
        peer: its address.
        plug: what stands for the server's socket, None for nothing.
    """

    def __init__(self, site: "Site", peer: object, plug: object = None) -> None:
        self._site = site
        self.connection = HttpConnection(site.server, site.heads)
        self.wire = Wire(site.loop, self.connection, peer, plug)
        self.connection.connection_made(self.wire)
        site.loop.settle()

    def send(self, *parts: bytes) -> Self:
        """Send bytes; each part arrives by itself."""
        self.wire.unread += parts
        self.wire.feed()
        self._site.loop.settle()
        return self

    def get(self, target: str, /, **fields: str) -> Self:
        """Send a GET."""
        return self.send(request("GET", target, **fields))

    def post(self, target: str, body: bytes, /, **fields: str) -> Self:
        """Send a POST."""
        return self.send(request("POST", target, body, **fields))

    def next(self, method: str = "GET") -> Response:
        """Take the next answer, which is there as a whole; `method` is what it answers."""
        head, mark, rest = bytes(self.wire.arrived).partition(b"\r\n\r\n")
        assert mark, f"no answer, only {head!r}"
        response = Response(head, b"")
        if method != "HEAD" and "Transfer-Encoding" in response and response["Content-Type"] == "application/json":
            chunks = Dechunker()
            response.body = chunks.feed(rest)
            assert chunks.ended, f"an answer in part, {len(response.body)} bytes: {response}"
            self.wire.arrived[:] = chunks.behind
            return response
        length = int(response["Content-Length"]) if "Content-Length" in response and method != "HEAD" else 0
        assert len(rest) >= length, f"an answer in part, {len(rest)} of {length} bytes: {response}"
        response.body = rest[:length]
        del self.wire.arrived[: len(head) + 4 + length]
        return response

    def silent(self) -> bool:
        """Whether nothing has come that was not taken."""
        return not self.wire.arrived

    def served(self) -> bool:
        """Whether the server has not ended the connection."""
        return self.wire.is_open() and not self.wire.has_ended()

    def take_nothing(self) -> Self:
        """Leave the answers on the wire from now on."""
        self.wire.window = 0
        return self

    def take(self, more: int | None = None) -> Self:
        """Take so many bytes more, or from now on all that come."""
        self.wire.open_window(more)
        self._site.loop.settle()
        return self

    def half_close(self) -> Self:
        """Send no more, as `shutdown(SHUT_WR)` does."""
        if not self.connection.eof_received():
            self.wire.close()
        self._site.loop.settle()
        return self

    def reset(self) -> Self:
        """Vanish."""
        self.wire.lose(ConnectionResetError())
        self._site.loop.settle()
        return self


class SiteEngine(MemoryEngine):
    """The engine of a site, whose methods a test may replace, in this class: one that is compiled takes no others."""


class Site:
    """A server without listeners, on virtual time.

    Args:
        root: the document root, None for none.
        application: in place of slosh's own.
        direct: the ports on which it is reached from its own machine only.
        settings: of the server.
    """

    def __init__(
        self,
        root: Path | None = Path(__file__).parent,
        application: Application | None = None,
        direct: Collection[int] = (),
        **settings: Any,
    ) -> None:
        self.settings = Settings(**settings)
        self.loop = loop = VirtualLoop()
        epochs = itertools.count()
        self.hub = make_hub(self.settings, loop, lambda: f"epoch{next(epochs):03d}")
        self.engine = SiteEngine(
            self.hub,
            max_keys=self.settings.max_keys,
            wall=self._wall,
        )
        self.routes = Routes(self.engine, DocumentRoot(root), self.settings, direct)
        self.server = ServerState(self.settings, loop)
        self.server.turns.clock = loop.time  # no turn is over because this machine is busy
        self.heads = Heads(application or self.routes, self.settings)

    def _wall(self) -> float:
        return self.server.wall()

    def connect(self, peer: object = ("192.0.2.1", 40000)) -> Client:
        """A new client."""
        return Client(self, peer)

    def ask(self, method: str, target: str, body: bytes = b"", /, **fields: str) -> Response:
        """One request on a connection of its own, answered at once."""
        client = self.connect().send(request(method, target, body, **fields))
        response = client.next(method)
        assert client.silent()
        client.reset()
        return response

    def get(self, target: str, /, **fields: str) -> Response:
        """A GET, answered at once."""
        return self.ask("GET", target, **fields)

    def post(self, target: str, body: bytes, /, **fields: str) -> Response:
        """A POST."""
        return self.ask("POST", target, body, **fields)

    def watchers(self, topic: str) -> int:
        """How many watch a topic now, 0 where it is not active."""
        found = self.hub.find(topic, self.loop.time())
        return len(found.watchers) if found else 0

    def advance(self, seconds: float) -> None:
        """Let time go by."""
        self.loop.advance(seconds)

    def drain(self, seconds: float | None = None) -> "asyncio.Task[None]":
        """Begin to shut down; `advance` leads to the end of it."""
        task = self.loop.create_task(drain(self.server, self.settings.drain if seconds is None else seconds))
        self.loop.settle()
        return task

    def metrics(self) -> Mapping[str, float]:
        """What `/-/metrics` says, by name with labels."""
        text = self.get("/-/metrics").body.decode()
        lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    def refused(self, code: str) -> float:
        """How often an error was answered, as `/-/metrics` tells it."""
        return self.metrics().get(f'slosh_refused_total{{code="{code}"}}', 0)

    def closed(self, setting: str) -> float:
        """How often a connection was closed for a bound's sake, as `/-/metrics` tells it."""
        return self.metrics().get(f'slosh_closed_total{{reason="{setting}"}}', 0)

    def close(self) -> None:
        """End the loop, and what a test left half done on it, such as a shutdown."""
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.settle()
        self.loop.close()
