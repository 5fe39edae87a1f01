"""Clients that make a server keep as much as it may, each in one way: a row of the table of memory, filled.

A filling gets a running server and a number, and does its one thing so many times. It gives the connections that have
to stay open meanwhile.
"""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from benchmarks.fairness.bursts import (
    CONTINUATION,
    MIB,
    TEXT,
    chunked,
    frame,
    get,
    handshake,
    lines,
    request,
)
from tests.running import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.e2e.server import Serving

SETTLED = 0.3
"""Seconds without a change after which memory counts as settled."""
CHANGE = 64 * 1024
"""Bytes that are no change."""
RING, WATCHED = "/topics/ring", "/topics/watched"
LONGEST_NAME = 255
AT_ONCE = 10
"""Topics that one request names: their places have to fit into the next one."""


def ask(server: Serving, data: bytes) -> bytes:
    """All that is answered to these requests, which are sent one behind the other."""
    with _connect(server) as one:
        sending = threading.Thread(target=one.sendall, args=(data + get("/-/healthy", "Connection: close"),))
        sending.start()
        answered = b"".join(iter(lambda: one.recv(MIB), b""))
        sending.join()
    return answered


def hold(server: Serving, requests: Iterable[bytes], *, answered: bool, deaf: bool = False) -> list[socket.socket]:
    """A connection for each of these, which are sent on it as they are.

    Args:
        answered: whether to wait until the server has begun to answer.
        deaf: whether as little as can be is taken of the answers.
    """
    opened = []
    for data in requests:
        one = _connect(server, deaf=deaf)
        opened.append(one)
        one.sendall(data)
        if answered:
            assert one.recv(12) in (b"HTTP/1.1 200", b"HTTP/1.1 101")
    return opened


def _connect(server: Serving, *, deaf: bool = False) -> socket.socket:
    one = socket.socket()
    one.settimeout(PATIENCE)
    if deaf:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.connect(("127.0.0.1", server.port))
    return one


def settled(server: Serving) -> int:
    """The server's resident memory, once it does not change any more, and the server has nothing left to do."""
    deadline = time.monotonic() + PATIENCE
    process = psutil.Process(server.process.pid)
    seen, since = server.memory, time.monotonic()
    while time.monotonic() - since < SETTLED and time.monotonic() < deadline:
        time.sleep(0.05)
        now = server.memory
        # On a busy machine it may wait for its turn for longer than that.
        if abs(now - seen) > CHANGE or process.status() == psutil.STATUS_RUNNING:
            seen, since = now, time.monotonic()
    return server.memory


@dataclass(frozen=True, kw_only=True)
class Filling:
    """How a row is filled.

    Attributes:
        count: how often the row's "each" is made. Together they are some 10 MB, so that other changes do not count.
        fill: does that.
        before: requests that the server has been asked before, on which nothing is charged.
        options: of the server.
    """

    count: int
    fill: Callable[[Serving, int], list[socket.socket]]
    before: bytes = b""
    options: tuple[str, ...] = ()


def long_name(number: int, segments: int) -> str:
    """A name of the greatest length, like no other, with so many segments."""
    front = f"{number:06d}/" + "a/" * (segments - 2) if segments > 1 else f"{number:06d}"
    return front + "b" * (LONGEST_NAME - len(front))


def topics(server: Serving, count: int, segments: int) -> list[socket.socket]:
    """So many topics with the longest names, created by requests of several."""
    groups = range(0, count, AT_ONCE)
    targets = (",".join(long_name(each, segments) for each in range(first, first + AT_ONCE)) for first in groups)
    answered = ask(server, b"".join(get(f"/topics/{target}?wait=0") for target in targets))
    assert answered.count(b"HTTP/1.1 200 ") == len(groups) + 1, answered[:500]
    return []


def flood(server: Serving, requests: Iterable[bytes]) -> list[socket.socket]:
    """Requests, each another."""
    ask(server, b"".join(requests))
    return []


def every_topic() -> bytes:
    """The requests that create 20,000 topics, for lists of them."""
    groups = range(0, 20_000, 20)
    return b"".join(
        get("/topics/" + ",".join(f"l/{each}/{'n' * 140}" for each in range(first, first + 20)) + "?wait=0")
        for first in groups
    )


def held_behind(number: int) -> bytes:
    """A held poll, and as much behind it as is kept."""
    return get(f"{WATCHED}?x={number}") + (get("/-/healthy") * 2000)[: 64 * 1024 - 100]


LARGE = '"' + "x" * (MIB - 300) + '"'
FULL = get(f"{RING}?wait=0") + request("POST", f"{RING}?batch=ndjson", body=lines(8 * MIB - 100, LARGE.encode()))
"""A ring of 8 messages of almost 1 MiB."""
NUMBERS = b"{" + b",".join(b'"number-%02d":%d' % (each, each) for each in range(64)) + b"}"
"""A message of as many numbers as a topic has series."""
PATTERNS = b"".join(
    get("/topics/" + ",".join(f"v/{each}" for each in range(first, first + 64)) + "?wait=0")
    for first in range(0, 256, 64)
)

PLACES = "*," + ",".join(f"v/{each}=abcdefgh.{each}" for each in range(256))


def many_patterns(number: int) -> bytes:
    """A stream of as many and as long patterns as there may be, of which no two share a segment."""
    patterns = (f"z{number}x{each}/*/" + "/".join(f"{segment}p{each}" for segment in range(14)) for each in range(64))
    return get(f"/topics/{','.join(patterns)}?format=sse")


FILLINGS: dict[str, Filling] = {
    "a connection": Filling(count=3000, fill=lambda server, count: hold(server, [b""] * count, answered=False)),
    "a connection whose last head was the heaviest that is kept": Filling(
        count=1000,
        fill=lambda server, count: hold(
            server,
            (get(f"/-/healthy?{each}", f"X-Long: {each:06d}{'x' * 3_200}") for each in range(count)),
            answered=True,
        ),
    ),
    "the head of a request, while it comes in": Filling(
        count=800,
        fill=lambda server, count: hold(
            server, (get("/", f"X-Long: {each:06d}{'x' * 16_000}")[:-4] for each in range(count)), answered=False
        ),
    ),
    "the body of a request, while it comes in": Filling(
        count=4,
        fill=lambda server, count: hold(
            server,
            [request("POST", f"{WATCHED}?batch=ndjson", body=b"1" * 8 * MIB)[:-1]] * count,
            answered=False,
        ),
    ),
    "the same in chunks of one byte": Filling(
        count=10,
        fill=lambda server, count: hold(
            server, [chunked("POST", WATCHED, [b"1"] * (MIB - 10))[:-5]] * count, answered=False
        ),
    ),
    "requests behind one that is not answered yet, or that wait for their turn": Filling(
        count=200, fill=lambda server, count: hold(server, map(held_behind, range(count)), answered=False)
    ),
    "a held poll, or an open stream of events": Filling(
        count=2000,
        fill=lambda server, count: hold(server, [get(f"{WATCHED}?format=sse")] * count, answered=True),
    ),
    "a reader whose request has the largest head": Filling(
        count=500,
        fill=lambda server, count: hold(
            server,
            (get(f"{WATCHED}?format=sse", f"X-Long: {each:06d}{'x' * 15_900}") for each in range(count)),
            answered=True,
        ),
    ),
    "a reader of patterns that match 256 topics": Filling(
        count=200,
        before=PATTERNS,
        fill=lambda server, count: hold(
            server, (get(f"/topics/v/*?format=sse&x={each}&since={PLACES}") for each in range(count)), answered=True
        ),
    ),
    "a reader of 64 patterns of 16 segments": Filling(
        count=50,
        fill=lambda server, count: hold(server, map(many_patterns, range(count)), answered=True),
    ),
    "an open WebSocket whose client has sent something": Filling(
        count=1000,
        fill=lambda server, count: hold(server, [handshake(WATCHED) + frame(TEXT, b"1")] * count, answered=True),
    ),
    "a WebSocket's message, while it comes in": Filling(
        count=10,
        fill=lambda server, count: hold(
            server,
            [handshake(WATCHED) + frame(TEXT, b'"' + b"x" * (MIB - 10), flags=0)] * count,
            answered=True,
        ),
    ),
    "the same in fragments of 64 bytes": Filling(
        count=10,
        fill=lambda server, count: hold(
            server,
            [handshake(WATCHED) + frame(TEXT, b'"', flags=0) + frame(CONTINUATION, b"x" * 64, flags=0) * 16_000]
            * count,
            answered=True,
        ),
    ),
    "an answer or a portion of a stream that its client does not take": Filling(
        count=20,
        before=FULL,
        fill=lambda server, count: hold(
            server, [get(f"{RING}?since=earliest&wait=0") * 30] * count, answered=False, deaf=True
        ),
    ),
    "a list of topics that its client does not take": Filling(
        count=50,
        before=every_topic(),
        fill=lambda server, count: hold(server, [get("/topics") * 300] * count, answered=False, deaf=True),
    ),
    "a file that its client does not take": Filling(
        count=100,
        fill=lambda server, count: hold(server, [get("/large") * 100] * count, answered=False, deaf=True),
    ),
    "a feeder that waits with `?watchers`": Filling(
        count=1000,
        fill=lambda server, count: hold(
            server, (get(f"/topics/{long_name(each, 1)}?watchers&wait=600") for each in range(count)), answered=False
        ),
    ),
    "a topic with a short name": Filling(
        count=20_000,
        fill=lambda server, count: flood(
            server,
            (
                get("/topics/" + ",".join(f"s{each}" for each in range(first, first + 50)) + "?wait=0")
                for first in range(0, count, 50)
            ),
        ),
    ),
    "a topic that a publisher opened, and ended with one message": Filling(
        count=20_000,
        fill=lambda server, count: flood(
            server, (request("POST", f"/topics/s{each}?open&end", body=b"1") for each in range(count))
        ),
    ),
    "a topic with the longest name, of 16 segments": Filling(
        count=5_000, fill=lambda server, count: topics(server, count, 16)
    ),
    "the ring of a topic, in large messages": Filling(count=1, fill=lambda server, _count: flood(server, [FULL])),
    "each message in a ring, beside its bytes": Filling(
        count=500_000,
        fill=lambda server, count: flood(
            server, [get(f"{RING}?wait=0"), request("POST", f"{RING}?batch=ndjson", body=b"12\n" * count)]
        ),
        options=("--queue=1000000", "--max-batch=1000000"),
    ),
    "a series of a history that has just begun": Filling(
        count=6_400,
        fill=lambda server, _count: flood(
            server,
            (
                get(f"/topics/h/{each}?wait=0")
                + request("POST", f"/topics/h/{each}", body=NUMBERS)
                + get(f"/topics/h/{each}?history=1s&points=1")
                for each in range(100)
            ),
        ),
    ),
    "what is remembered of heads, and of what readers ask": Filling(
        count=1,
        fill=lambda server, _count: flood(
            server, (request("HEAD", f"{WATCHED}?key=k{each:06d}{'a' * 240}") for each in range(30_000))
        ),
    ),
    "idempotency keys": Filling(
        count=10_000,
        fill=lambda server, count: flood(
            server,
            [
                get(f"/topics/{long_name(0, 1)}?wait=0"),
                *(
                    request("POST", f"/topics/{long_name(0, 1)}", f"Idempotency-Key: {each:0255d}", body=b"1")
                    for each in range(count + 2000)
                ),
            ],
        ),
    ),
}
"""Row of the table -> how it is filled."""
