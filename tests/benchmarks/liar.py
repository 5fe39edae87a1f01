"""A small long-poll server that can be told to lie: to lose, double, swap, damage or misplace a message.

It speaks as much of the protocol as the load generator asks of it, in a thread of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from urllib.parse import parse_qsl

from tests.running import PATIENCE

Lie = Callable[[list[bytes], int], list[bytes]]
"""(messages of an answer, number of the first of them) -> what is sent instead."""


def honest(messages: list[bytes], _first: int) -> list[bytes]:
    """The truth."""
    return messages


class Liar:
    """One topic table; each answer passes through the lie."""

    def __init__(self, lie: Lie = honest, *, refuse_every: int = 0) -> None:
        self._lie = lie
        self._refuse_every = refuse_every
        self._topics: defaultdict[str, list[bytes]] = defaultdict(list)
        self._changed: asyncio.Condition
        self._posts = 0
        self.port = 0
        self._held = 0
        self._awaited = 0
        self._all_held = threading.Event()
        self.heads: set[str] = set()
        """Request heads of readers, without their first line."""
        self.requests: list[str] = []
        """Each request's head."""
        self.bodies: list[bytes] = []
        """Each publish's body."""

    def expect(self, readers: int) -> None:
        """Note that `until_held` will ask for so many readers."""
        self._awaited = readers

    def until_held(self) -> None:
        """Wait until so many readers are held as were expected: what is posted before is nothing that comes later."""
        assert self._all_held.wait(PATIENCE), "the readers did not come"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.requests.append(head)
                method, target, _ = head.split(" ", 2)
                path, _, query = target.partition("?")
                if method == "GET":
                    self.heads.add(head.partition("\r\n")[2])
                length = next((int(line[15:]) for line in head.split("\r\n") if line.startswith("Content-Length:")), 0)
                body = await reader.readexactly(length)
                writer.write(await (self._post(path, body) if method == "POST" else self._get(path, query, head)))
        writer.close()

    async def _post(self, path: str, body: bytes) -> bytes:
        self._posts += 1
        if self._refuse_every and self._posts % self._refuse_every == 0:
            return b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
        self._topics[path].append(body)
        self.bodies.append(body)
        async with self._changed:
            self._changed.notify_all()
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

    async def _get(self, path: str, query: str, head: str) -> bytes:
        messages = self._topics[path]
        given = dict(parse_qsl(query))
        cookie = head.partition("\r\nCookie: liar=")[2].partition("\r\n")[0]
        since = given.get("since") or given.get("n") or cookie or "now"
        place = len(messages) if since == "now" else int(since.rpartition(".")[2])
        if "wait=0" not in query:
            async with self._changed:
                self._held += 1
                if self._held == self._awaited:
                    self._all_held.set()
                await self._changed.wait_for(lambda: len(messages) > place)
                self._held -= 1
        body = b'{"res":[' + b",".join(self._lie(messages[place:], place + 1)) + b'],"next":"life.%d"}' % len(messages)
        named = b"" if query else b"Set-Cookie: liar=life.%d; Path=/\r\n" % len(messages)
        return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%s" % (named, len(body), body)

    async def _main(self, ready: threading.Event, stop: asyncio.Event) -> None:
        self._changed = asyncio.Condition()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await stop.wait()
        server.close()
        held = asyncio.all_tasks() - {asyncio.current_task()}
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)

    @contextlib.contextmanager
    def running(self) -> Iterator[int]:
        """Serves in a thread; gives the port."""
        loop, ready, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

        def work() -> None:
            loop.run_until_complete(self._main(ready, stop))
            loop.close()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            assert ready.wait(PATIENCE)
            yield self.port
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join(PATIENCE)
