"""slosh's work without sockets, for a tool that counts: `python -P benchmarks/inprocess.py WORK ROUNDS`.

`accept` alone has sockets and the server's own event loop, because these are its work.

Hub, engine, routes and connections are the server's own; the event loop and the transports are the least that these
need, and its clock stands still, so that two runs do the same to the last instruction. It imports nothing of this
package, so that a virtual environment with nothing but slosh can run it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections import deque
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any, cast

from slosh.access.rights import ALL
from slosh.access.rules import AccessRules
from slosh.access.tokens import StaticToken, hash_token
from slosh.engine.memory import MemoryEngine
from slosh.http1.accepting import Accepting
from slosh.http1.heads import Heads
from slosh.http1.phases import HELD
from slosh.http1.protocol import HttpConnection, connect
from slosh.http1.state import ServerState
from slosh.parts import find_root, make_hub
from slosh.settings import Settings
from slosh.startup import loop_factory, spare_collector
from slosh.web.pages.files import DocumentRoot
from slosh.web.readers.cookies import cookie_name
from slosh.web.routes import Routes

if TYPE_CHECKING:
    from collections.abc import Callable

MESSAGE = b'{"bench":"%b"}' % (b"x" * 88)
"""Of 100 bytes, as the load generator's."""
NOON = 1_800_000_000.0
READERS = {
    "accept": 100,
    "publish": 0,
    "publish-ids": 0,
    "publish-lengths": 0,
    "publish-keys": 0,
    "publish-keys-full": 0,
    "publish-mix": 0,
    "fan": 200,
    "fan-2000": 2_000,
    "fan-20000": 20_000,
    "browser": 200,
    "topics": 500,
    "topics-ids": 500,
    "topics-among": 500,
    "topics-mix": 500,
}
"""Work -> how many wait for messages; those that publish have one that left, so that its topic takes messages."""
TOKEN = "slosh_0123456789abcdef0123456789abcdef"
PEER = ("127.0.0.1", 50_000)
PUBLISHES = 200
"""In a round of the works that publish alone."""
AT_ONCE = 25
"""Clients that are in the system's queue together, in the work that accepts."""


class Loop:
    """What hub and server ask of an event loop. What is called for each message is C, as it is in uvloop."""

    def __init__(self) -> None:
        self._soon: deque[Callable[[], None]] = deque()
        self.call_soon = self._soon.append
        self.time = repeat(1_000.0).__next__

    def call_at(self, when: float, call: Callable[[], None]) -> None:
        """Never comes, for time stands still."""

    def run(self) -> None:
        """Do what is due."""
        while self._soon:
            self._soon.popleft()()


class Transport:
    """A client that takes at once whatever is written; C too, wherever it is called for each message."""

    is_closing = bool  # makes False
    get_write_buffer_size = int  # makes 0

    def __init__(self) -> None:
        self.written: deque[bytes] = deque(maxlen=1)
        self.write = self.written.append

    def set_write_buffer_limits(self, high: int) -> None:
        """There are none to set."""

    def get_extra_info(self, name: str) -> tuple[str, int] | None:
        """Where the client is: on this machine, as the load generator's are. Nothing else is known."""
        return PEER if name == "peername" else None


class Client:
    """One connection and what came back on it."""

    def __init__(self, server: ServerState, heads: Heads, fields: bytes = b"") -> None:
        self.connection = HttpConnection(server, heads)
        self._transport = Transport()
        self._fields = fields
        self.connection.connection_made(cast("Any", self._transport))

    def answer(self) -> bytes:
        """The newest one; stops the program where it is no 200."""
        newest = self._transport.written[0]
        if not newest.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"refused: {newest!r}")
        return newest

    def publication(self, topic: bytes, fields: bytes = b"", message: bytes = MESSAGE) -> bytes:
        """A POST."""
        return (
            b"POST /topics/%b HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nContent-Type: application/json\r\n%b"
            b"Content-Length: %d\r\n\r\n%b" % (topic, fields, len(message), message)
        )

    def poll(self, topic: bytes, way: bytes = b"?since=%b", fields: bytes = b"") -> bytes:
        """A GET that waits for what comes after the last answer, whose place stands in `way`, which may be a cookie."""
        place = b"now"
        if self._transport.written:
            place = self.answer().partition(b"Slosh-Next: ")[2].partition(b"\r\n")[0]
            if way.startswith(b"?n="):
                place = place.partition(b".")[2]
        fields = self._fields + fields
        if not way.startswith(b"?"):
            way, fields = b"", fields + way % (cookie_name(topic.decode()).encode(), place)
        elif b"%b" in way:
            way %= place
        return b"GET /topics/%b%b HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n%b\r\n" % (topic, way, fields)


def browser_fields(number: int) -> bytes:
    """A browser's header fields, some 700 bytes, different for each."""
    return (
        b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 "
        b"Safari/537.36\r\nAccept: application/json, text/plain, */*\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
        b"Accept-Language: en-GB,en;q=0.9,de;q=0.8,da;q=0.7\r\nReferer: http://127.0.0.1:8000/view/bench\r\n"
        b"Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\nDNT: 1\r\n"
        b'sec-ch-ua: "Chromium";v="131", "Not_A Brand";v="24"\r\nsec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: "Linux"'
        b"\r\nCookie: session=%024x; theme=dark; _ga=GA1.1.12345678.%d; consent=%08x\r\n"
        % (number * 7_919, 1_700_000_000 + number, number)
    )


def proxy_fields(number: int) -> bytes:
    """What a proxy adds that numbers requests (W3C Trace Context §3.2), different for each."""
    return b"X-Request-ID: %032x\r\ntraceparent: 00-%032x-%016x-01\r\n" % (number * 7_919, number * 104_729, number)


def way(number: int) -> bytes:
    """One of the four ways to name a place, by chance, as the load generator's readers do."""
    ways = (b"?since=%b", b"Cookie: %b=%b\r\n", b"?n=%b", among(number))
    return ways[chance(number) >> 2 & 3]


def among(number: int) -> bytes:
    """A place among other parameters, of which one has eight values by chance."""
    mixed = chance(number) * 0xBF58_476D ^ number  # else those of one reader would come in turn
    return b"?wait=%d&since=%%b&limit=100" % (20 + (mixed * 0x94D0_49BB >> 21 & 7))


def mix(number: int) -> bytes:
    """A token, and what a proxy adds for one half of all requests."""
    return b"Authorization: Bearer %b\r\n" % TOKEN.encode() + (proxy_fields(number) if chance(number) & 1 else b"")


def chance(number: int) -> int:
    """A number that looks like chance, the same in each run."""
    return (number * 0x9E37_79B9_7F4A_7C15 >> 20) & 0xFFFF


def sized(length: int) -> bytes:
    """A message of so many bytes."""
    return b'{"bench":"%b"}' % (b"x" * (length - len(b'{"bench":""}')))


def vary(name: str, number: int) -> tuple[bytes, bytes]:
    """The fields and the body of a publish, different for each, in the work of that name."""
    if name.endswith("-mix"):
        key = b"Idempotency-Key: %032x\r\n" % (number * 7_919) if chance(number) & 2 else b""
        return mix(number) + key, sized(20 + number * 7_919 % 2_981)
    if name.endswith("-ids"):
        return proxy_fields(number), MESSAGE
    if name.startswith("publish-keys"):
        return b"Idempotency-Key: %032x\r\n" % (number * 7_919), MESSAGE
    return b"", sized(20 + number * 7_919 % 301)  # Each length comes once in 301.


def vary_poll(name: str, number: int) -> tuple[bytes, bytes]:
    """The way to name its place and the fields of a poll, in the work of that name."""
    if name.endswith("-mix"):
        return way(number), mix(number + 1)
    return among(number) if name.endswith("-among") else b"?since=%b", proxy_fields(
        number
    ) if name == "topics-ids" else b""


def make_server(
    loop: Loop | asyncio.AbstractEventLoop, max_keys: int = Settings().max_keys, access: AccessRules | None = None
) -> tuple[ServerState, Heads]:
    """A server apart from its listeners, with default settings but for these."""
    settings, any_loop = Settings(max_keys=max_keys, access=access), cast("Any", loop)
    # What a clock says would decide how many times of arrival are made, and two counts would differ.
    hub = make_hub(settings, any_loop, lambda: "abcdefgh")
    engine = MemoryEngine(hub, max_keys=settings.max_keys, wall=repeat(NOON).__next__)
    server = ServerState(settings, any_loop)
    server.wall = repeat(NOON).__next__
    return server, Heads(Routes(engine, DocumentRoot(find_root(settings)), settings), settings)


def guarded() -> AccessRules:
    """Rules with which nothing is open, and the token reads and publishes everything, as the load generator's does."""
    return AccessRules(tokens=(StaticToken("bench", hash_token(TOKEN), ALL, float("inf")),))


async def accept(rounds: int) -> None:
    """Accept clients that come some at a time, each with a poll, and hold it."""
    loop = asyncio.get_running_loop()
    server, heads = make_server(loop)
    server.now = repeat(1_000.0).__next__
    poll = b"GET /topics/bench?since=now HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n"
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=READERS["accept"]))
        listener.settimeout(0.0)
        accepting = Accepting(server, partial(connect, server, heads), [listener])
        accepting.clock = repeat(1_000.0).__next__  # Else how many come in a turn would be the machine's to say.
        given = listener.dup()
        given.settimeout(0.0)
        accepts = await loop.create_server(accepting.connect, sock=given)
        for _ in range(rounds):
            for _ in range(READERS["accept"] // AT_ONCE):
                clients = [stack.enter_context(socket.socket()) for _ in range(AT_ONCE)]
                for client in clients:
                    client.connect(listener.getsockname())
                    client.send(poll)
                wanted = server.accepted + AT_ONCE
                while sum(cast("Any", each).phase == HELD for each in server.connections) < wanted:  # noqa: ASYNC110
                    await asyncio.sleep(0)
        accepts.close()
        await accepting.stop()
        for each in list(server.connections):
            each.abandon()
        await accepts.wait_closed()


def work(name: str, rounds: int) -> None:
    """Do it. In a round each reader gets one message, and asks again."""
    if name == "accept":
        spare_collector()
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(accept(rounds))
        return
    loop = Loop()
    is_mixed, has_topics = name.endswith("-mix"), name.startswith("topics")
    # So few keys that they are there before anything is counted.
    most = PUBLISHES if name == "publish-keys-full" else Settings().max_keys
    server, heads = make_server(loop, most, guarded() if is_mixed else None)
    topics = [b"bench%d" % number if has_topics else b"bench" for number in range(READERS[name] or 1)]
    fields = [browser_fields(number) if name == "browser" else b"" for number in range(len(topics))]
    readers = [Client(server, heads, each) for each in fields]
    publishers = [Client(server, heads) for _ in range(8)]
    for reader, topic in zip(readers, topics, strict=True):
        reader.connection.data_received(reader.poll(topic, fields=mix(0) if is_mixed else b""))
    if name.startswith("publish"):
        readers.pop().connection.connection_lost(None)
    turns = (topics if has_topics else topics[:1]) if readers else topics * PUBLISHES
    publications = [publishers[0].publication(topic) for topic in turns]
    spare_collector()
    for at in range(rounds):
        numbers = range(at * len(turns), (at + 1) * len(turns))
        if name.startswith("publish-") or is_mixed or name == "topics-ids":
            publications = [
                publishers[0].publication(topic, *vary(name, number))
                for topic, number in zip(turns, numbers, strict=True)
            ]
        for number, publication in enumerate(publications):
            publishers[number % len(publishers)].connection.data_received(publication)
            loop.run()
        publishers[0].answer()
        polls = [
            reader.poll(topic, *vary_poll(name, number))
            for number, (reader, topic) in enumerate(zip(readers, topics, strict=False), at * len(turns))
        ]
        for reader, poll in zip(readers, polls, strict=True):
            reader.connection.data_received(poll)


if __name__ == "__main__":
    work(sys.argv[1], int(sys.argv[2]))
