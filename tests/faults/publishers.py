"""Publishers that take no loss: a message is sent again, with its key, until somebody says what became of it."""

import asyncio
import random
from dataclasses import dataclass
from typing import Final

import msgspec

from tests.faults.ledger import Ledger, Place, message

PATIENCE: Final = 10.0
"""Seconds after which a POST that nobody answers is sent again."""
LONGEST_PAUSE: Final = 1.0
CATCH_UP: Final = 0.25
"""Seconds that a publisher makes up for when it could not send in time; what a fault kept it from is left out."""


@dataclass
class Posts:
    """What became of the POSTs, all publishers together."""

    sent: int = 0
    """Messages, each counted once."""
    unwatched: int = 0
    """Messages that were answered 404 and given up."""
    unknown: int = 0
    """POSTs without an answer, or with 5xx: sent again."""
    refused: int = 0
    """Those of them that were answered 503."""
    replayed: int = 0
    """Messages that had been taken, as their repetition was told."""
    slowest: float = 0.0
    """Seconds until a POST was answered, whatever the answer was, at most."""


class Taken(msgspec.Struct):
    """The answer to a publish."""

    next: str


class Publisher:
    """Sends numbered messages one after the other, at a rate or as quickly as they are answered.

    Args:
        number: which of the publishers it is.
        rate: messages a second.
        target: path of the topic.
        port: where to connect, on 127.0.0.1.
    """

    def __init__(self, ledger: Ledger, posts: Posts, number: int, rate: float, target: str, port: int) -> None:
        self._ledger = ledger
        self._posts = posts
        self._number = number
        self._interval = 1 / rate
        self._target = target
        self._port = port
        self._stopped = False
        self._pipe: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def stop(self) -> None:
        """Send no new message; the one on its way is brought to its end."""
        self._stopped = True

    async def run(self) -> None:
        """Send until `stop`, and until the last one is acknowledged."""
        clock = asyncio.get_running_loop().time
        due = clock() + random.uniform(0, self._interval)
        count = 0
        while not self._stopped:
            await asyncio.sleep(due - clock())
            due = max(due + self._interval, clock() - CATCH_UP)
            count += 1
            await self._deliver(count)
        self._drop()

    async def _deliver(self, count: int) -> None:
        text = message(self._number, count)
        self._posts.sent += 1
        pause = 0.05
        while True:
            status, body, replayed = await self._post(text, f"{self._number}-{count}")
            if status == 200:
                self._posts.replayed += replayed
                self._ledger.promise(Place.parse(msgspec.json.decode(body, type=Taken).next), text)
                return
            if status == 404:
                self._posts.unwatched += 1
                return
            assert status in {0, 502, 503, 504}, f"a POST was answered {status}: {body!r}"
            self._posts.unknown += 1
            self._posts.refused += status == 503
            await asyncio.sleep(pause * random.uniform(0.75, 1.25))
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _post(self, text: str, key: str) -> tuple[int, bytes, bool]:
        """The status, the body, and whether it is the answer to an earlier one; status 0 where there is none."""
        clock = asyncio.get_running_loop().time
        start = clock()
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._exchange(text, key)
        except (OSError, EOFError, TimeoutError):
            self._drop()
            return 0, b"", False
        finally:
            self._posts.slowest = max(self._posts.slowest, clock() - start)

    async def _exchange(self, text: str, key: str) -> tuple[int, bytes, bool]:
        if self._pipe is None:
            self._pipe = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._pipe
        body = f'"{text}"'
        fields = f"Host: faults\r\nContent-Length: {len(body)}\r\nIdempotency-Key: {key}\r\n"
        writer.write(f"POST {self._target} HTTP/1.1\r\n{fields}\r\n{body}".encode())
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        told = dict(line.split(": ", 1) for line in lines[1:] if line)
        answer = await reader.readexactly(int(told["content-length"]))
        if told.get("connection") == "close":
            self._drop()
        return int(lines[0].split()[1]), answer, "idempotent-replayed" in told

    def _drop(self) -> None:
        if self._pipe:
            self._pipe[1].transport.abort()
            self._pipe = None
