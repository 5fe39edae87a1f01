"""Bytes that an attacker sends: requests, bodies, WebSocket frames. Pure, and the same each time."""

from __future__ import annotations

import itertools
import random
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MIB = 1024 * 1024
HOST = b"Host: 127.0.0.1\r\n"
TOPIC = "/topics/attack"


def request(method: str, target: str, *fields: str, body: bytes | None = None) -> bytes:
    """One request; a body gets its length."""
    lines = [f"{method} {target} HTTP/1.1\r\n".encode(), HOST, *(f"{field}\r\n".encode() for field in fields)]
    if body is not None:
        lines.append(b"Content-Length: %d\r\n" % len(body))
    return b"".join(lines) + b"\r\n" + (body or b"")


def get(target: str, *fields: str) -> bytes:
    """One GET."""
    return request("GET", target, *fields)


def many(count: int, make: Callable[[int], bytes]) -> bytes:
    """So many requests, each made of its number."""
    return b"".join(map(make, range(count)))


def names(count: int, at_once: int = 50, prefix: str = "t") -> Iterable[str]:
    """Targets that name `count` topics, some at once; a pattern has to look at each to know how it ends."""
    for first in range(0, count, at_once):
        yield "/topics/" + ",".join(f"{prefix}/{number}/{number % 10}" for number in range(first, first + at_once))


def chunked(method: str, target: str, chunks: Iterable[bytes]) -> bytes:
    """A request with its body in these chunks."""
    head = request(method, target, "Transfer-Encoding: chunked")
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


# WebSocket, RFC 6455.

CONTINUATION, TEXT, CLOSE, PING = 0x0, 0x1, 0x8, 0x9
FINAL, COMPRESSED, MASKED = 0x80, 0x40, 0x80


def handshake(target: str = TOPIC, *fields: str) -> bytes:
    """The opening of a WebSocket."""
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    return get(target, "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", key, *fields)


def frame(kind: int, data: bytes = b"", *, flags: int = FINAL) -> bytes:
    """One frame, masked with zeros, so that its data stands in it as it is."""
    length = len(data)
    if length < 126:
        head = bytes([flags | kind, MASKED | length])
    elif length < 65536:
        head = bytes([flags | kind, MASKED | 126]) + length.to_bytes(2, "big")
    else:
        head = bytes([flags | kind, MASKED | 127]) + length.to_bytes(8, "big")
    return head + bytes(4) + data


def bomb(size: int) -> bytes:
    """A compressed message (RFC 7692) of few bytes that is one JSON text of `size`."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = deflater.compress(b'"' + b"x" * (size - 2) + b'"') + deflater.flush(zlib.Z_SYNC_FLUSH)
    return frame(TEXT, data.removesuffix(b"\x00\x00\xff\xff"), flags=FINAL | COMPRESSED)


# Bodies.


def lone_surrogates(size: int) -> bytes:
    r"""NDJSON whose only line's text begins with a lone surrogate, and has newlines in their escaped spelling."""
    return b'"\\ud83d' + b"\\n" * ((size - 8) // 2) + b'"'


def lines(size: int, line: bytes) -> bytes:
    """NDJSON of at most `size` bytes, the same line again and again."""
    return (line + b"\n") * (size // (len(line) + 1))


def keyed(size: int, values: int) -> bytes:
    """NDJSON of about `size` bytes whose messages have many values of `host.name.id`, behind much else."""
    some = random.Random(1)
    made: list[bytes] = []
    length = 0
    for number in itertools.count():
        if length >= size:
            return b"\n".join(made)
        fillers = ",".join(f'"f{each}":{some.random():.6f}' for each in range(40))
        made.append(f'{{{fillers},"host":{{"name":{{"id":"h{number % values}"}}}}}}'.encode())
        length += len(made[-1]) + 1
    raise AssertionError


def nested(depth: int) -> bytes:
    """Arrays in one another."""
    return b"[" * depth + b"]" * depth
