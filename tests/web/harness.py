"""The edge with real HTTP bytes and no sockets: both ends in one place, and time that the test moves.

A `Site` is a whole server apart from its listeners: routes, engine, hub and connections on an event loop whose
clock stands still until the test lets it go on. A `Client` is the other end of one connection: it sends bytes,
takes as many as the test lets it take, half-closes, or resets.
"""

import asyncio
import itertools
import json
import selectors
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from slosh.core.hub import Hub
from slosh.engine.memory import MemoryEngine
from slosh.settings import Settings
from slosh.web.action import Application
from slosh.web.connection import Connection
from slosh.web.drain import drain
from slosh.web.edge import Edge
from slosh.web.files import DocumentRoot
from slosh.web.routes import Routes

HIGH_WATER = 64 * 1024
LOW_WATER = HIGH_WATER // 4
"""What asyncio and uvloop have: above the one a protocol is told to stop writing, below the other to go on."""


class _NoSockets(selectors.SelectSelector):
    """A selector that never waits: where it would, time goes on instead."""

    now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("this would wait for ever")
        self.now += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop, on a clock that stands still while anything can be done and then jumps to the next timer."""

    def __init__(self) -> None:
        self._clock = _NoSockets()
        super().__init__(self._clock)

    def time(self) -> float:
        """Seconds."""
        return self._clock.now

    def settle(self) -> None:
        """Do all that can be done now."""
        self.advance(1e-6)

    def advance(self, seconds: float) -> None:
        """Let so much time go by, with all that happens meanwhile."""
        self.run_until_complete(asyncio.sleep(seconds))


class Wire(asyncio.Transport):
    """The server's end of a connection.

    Attributes:
        arrived: bytes that the client can see.
        window: bytes that the client is still willing to take, None for all.
        unread: what the client sent meanwhile.
        wasted: how often something was written that could never arrive.
    """

    def __init__(self, loop: VirtualLoop, protocol: asyncio.Protocol, peer: object) -> None:
        super().__init__({"peername": peer})
        self._loop = loop
        self._protocol = protocol
        self._buffer = bytearray()
        self._closing = False
        self._eof_written = False
        self._paused = False
        self._gone = False
        self.arrived = bytearray()
        self.window: int | None = None
        self._ended = False
        self._aborted = False
        self._reading = True
        self._high, self._low = HIGH_WATER, LOW_WATER
        self.unread: list[bytes] = []
        self.wasted = 0

    def is_open(self) -> bool:
        """Whether the server still holds the connection."""
        return not self._gone

    def is_reading(self) -> bool:
        """Whether the server reads."""
        return self._reading

    def has_ended(self) -> bool:
        """Whether the client has seen the end of what the server sends."""
        return self._ended

    def was_cut(self) -> bool:
        """Whether the server cut the connection."""
        return self._aborted

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._eof_written:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._closing or self._gone:
            self.wasted += 1
            return
        self._buffer += data
        self._flush()
        if len(self._buffer) > self._high and not self._paused:
            self._paused = True
            self._protocol.pause_writing()

    def write_eof(self) -> None:
        self._eof_written = True
        self._flush()

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self._closing = True
        self._flush()

    def abort(self) -> None:
        if not self._gone:
            self._aborted = True
            self._closing = True
            self._buffer.clear()
            self._loop.call_soon(self.lose, None)

    def is_closing(self) -> bool:
        return self._closing or self._gone

    def get_write_buffer_size(self) -> int:
        return len(self._buffer)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = HIGH_WATER if high is None else high
        self._low = self._high // 4 if low is None else low

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self._loop.call_soon(self.feed)

    def feed(self) -> None:
        """Give the server what the client has sent, as long as it reads."""
        while self.unread and self._reading and not self._closing and not self._gone:
            self._protocol.data_received(self.unread.pop(0))

    def open_window(self, more: int | None) -> None:
        """Let the client take so many bytes more, None for all that come."""
        self.window = None if more is None or self.window is None else self.window + more
        self._flush()
        if self._paused and len(self._buffer) <= self._low:
            self._paused = False
            self._protocol.resume_writing()

    def lose(self, reason: Exception | None) -> None:
        """The connection is gone."""
        if not self._gone:
            self._gone = True
            self._ended = True
            self._protocol.connection_lost(reason)

    def _flush(self) -> None:
        taken = len(self._buffer) if self.window is None else min(self.window, len(self._buffer))
        self.arrived += self._buffer[:taken]
        del self._buffer[:taken]
        if self.window is not None:
            self.window -= taken
        if not self._buffer:
            self._ended = self._ended or self._eof_written or self._closing
            if self._closing:
                self._loop.call_soon(self.lose, None)


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
        """The code of a problem document, which has all that RFC 9457 and PROTOCOL.md ask for."""
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
    """The client's end of one connection."""

    def __init__(self, site: "Site", peer: object) -> None:
        self._site = site
        self.connection = Connection(site.edge)
        self.wire = Wire(site.loop, self.connection, peer)
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


class Site:
    """A server without listeners, on virtual time.

    Args:
        root: the document root.
        application: in place of slosh's own.
        settings: of the server.
    """

    def __init__(
        self, root: Path = Path(__file__).parent, application: Application | None = None, **settings: Any
    ) -> None:
        self.settings = Settings(**settings)
        self.loop = loop = VirtualLoop()
        epochs = itertools.count()

        def wake() -> None:
            loop.call_soon(hub.flush)

        def arm(when: float) -> None:
            loop.call_at(when, lambda: hub.expire(loop.time()))

        self.hub = hub = Hub(
            queue=self.settings.queue,
            queue_bytes=self.settings.queue_bytes,
            linger=self.settings.linger,
            max_topics=self.settings.max_topics,
            max_watchers=self.settings.max_watchers,
            new_epoch=lambda: f"epoch{next(epochs):03d}",
            wake=wake,
            arm=arm,
        )
        self.engine = MemoryEngine(hub, keep=self.settings.unwatched == "keep")
        routes = Routes(self.engine, DocumentRoot(root), self.settings)
        self.edge = Edge(self.settings, application or routes, loop)

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
        """Begin to go down; whoever lets time go by sees the end of it."""
        task = self.loop.create_task(drain(self.edge, self.settings.drain if seconds is None else seconds))
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
        """End the loop."""
        self.loop.close()
