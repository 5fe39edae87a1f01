"""Attacks on what stays open: WebSockets, streams, crowds of held readers."""

from __future__ import annotations

from benchmarks.fairness.bursts import (
    CLOSE,
    CONTINUATION,
    MIB,
    PING,
    TEXT,
    TOPIC,
    bomb,
    frame,
    get,
    handshake,
    many,
    request,
)
from benchmarks.fairness.http_kinds import alive
from benchmarks.fairness.kinds import Crew, Kind

DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover"
COMPRESSED = ("--compression=websocket",)


def websocket(name: str, title: str, burst: bytes, *, first: bytes = b"", write: int = MIB) -> Kind:
    """A WebSocket that sends frames, `first` once."""
    return Kind(
        name=f"websocket-{name}",
        title=title,
        crews=lambda: [Crew(opening=handshake() + first, burst=burst, write=write)],
        peers=True,
    )


STREAM_KINDS = (
    websocket("tiny", "WebSocket: messages of one byte, 200,000 in a burst", frame(TEXT, b"1") * 200_000),
    websocket("bad", "WebSocket: messages that are not JSON", frame(TEXT, b"x") * 100_000),
    websocket(
        "fragments",
        "WebSocket: a message of empty fragments",
        frame(CONTINUATION, flags=0) * 200_000,
        first=frame(TEXT, flags=0),
    ),
    websocket(
        "small-fragments",
        "WebSocket: messages in fragments of one byte",
        frame(TEXT, b'"', flags=0) + frame(CONTINUATION, b"x", flags=0) * 100_000 + frame(CONTINUATION, b'"'),
    ),
    websocket("pings", "WebSocket: pings", frame(PING, b"x" * 125) * 50_000),
    websocket("large", "WebSocket: messages of 1 MiB", frame(TEXT, b'"' + b"x" * (MIB - 2) + b'"')),
    websocket("slow", "WebSocket: frames byte by byte", frame(TEXT, b"1") * 1000, write=1),
    Kind(
        name="websocket-bombs",
        title="WebSocket: compressed messages that inflate to 1 MiB each",
        crews=lambda: [Crew(opening=handshake(TOPIC, DEFLATE), burst=bomb(MIB - 10) * 500)],
        settings=COMPRESSED,
        peers=True,
    ),
    Kind(
        name="websocket-handshakes",
        title="WebSocket: handshakes on fresh connections",
        crews=lambda: [Crew(burst=handshake() + frame(CLOSE, b"\x03\xe8"), connections=20, reopen=1)],
        peers=True,
    ),
    Kind(
        name="websocket-long-handshakes",
        title="WebSocket: handshakes with 13 kB of cookies",
        crews=lambda: [
            Crew(burst=handshake(TOPIC, "Cookie: " + "c=1; " * 2600), connections=20, reopen=1),
        ],
        peers=True,
    ),
    Kind(
        name="crowd",
        title="5,000 polls of one topic, and a publisher at full speed",
        crews=lambda: [
            Crew(burst=get(TOPIC), connections=5000, pause=0.05),
            Crew(burst=request("POST", TOPIC, body=b'{"t":1}') * 10),
        ],
        prepare=alive,
    ),
    Kind(
        name="crowd-sse",
        title="5,000 event streams of one topic, and a publisher at full speed",
        crews=lambda: [
            Crew(opening=get(f"{TOPIC}?format=sse"), connections=5000),
            Crew(burst=request("POST", TOPIC, body=b'{"t":1}') * 10),
        ],
        prepare=alive,
    ),
    Kind(
        name="crowd-all-different",
        title="1,000 streams that differ in their `key`, and a publisher at full speed",
        crews=lambda: [
            *(
                Crew(opening=get(f"{TOPIC}?format=sse&since=earliest&key=a{number}"), connections=20)
                for number in range(50)
            ),
            Crew(burst=request("POST", TOPIC, body=b'{"t":1}') * 10),
        ],
        prepare=alive,
    ),
    Kind(
        name="crowd-leaves",
        title="2,000 held polls that are cut and return",
        crews=lambda: [Crew(burst=get(TOPIC), connections=2000, reopen=1, pause=0.1)],
        prepare=alive,
    ),
    Kind(
        name="crowd-times-out",
        title="5,000 polls whose time is over together",
        crews=lambda: [Crew(burst=get(f"{TOPIC}?wait=0.5"), connections=5000, pause=0.55)],
        prepare=alive,
    ),
    Kind(
        name="streams-of-history",
        title="event streams of a full ring, opened and cut",
        crews=lambda: [
            Crew(burst=get(f"{TOPIC}?format=sse&since=earliest"), connections=20, reopen=1, pause=0.01),
        ],
        prepare=lambda: [
            get(f"{TOPIC}?wait=0")
            + many(100, lambda number: request("POST", TOPIC, body=b'{"n":%d,"x":"%b"}' % (number, b"x" * 80_000)))
        ],
    ),
    Kind(
        name="one-for-many",
        title="one stream of 64 topics under a publisher of all of them",
        crews=lambda: [
            Crew(
                opening=get("/topics/" + ",".join(f"m{number}" for number in range(64)) + "?format=sse"),
                connections=200,
            ),
            Crew(burst=many(64, lambda number: request("POST", f"/topics/m{number}", body=b'{"t":1}'))),
        ],
    ),
)
