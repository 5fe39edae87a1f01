"""The client behind proxies that trickle, keep streams back, give up early or break: nothing lost, nothing twice."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from slosh.client import AsyncClient, Client, Item, Note
from slosh.testing.server import TestingServer
from tests.commands.fronts import Nginx
from tests.e2e.cutting import cutting
from tests.e2e.server import until
from tests.running import PATIENCE

COUNT = 40


class Trickle:
    """A proxy that hands on a byte at a time.

    Attributes:
        url: its address.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept no more, and end what is connected."""
        self._listener.close()
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                for each in (client, server):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._open += [client, server]
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    @staticmethod
    def _carry(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


def port_of(slosh: TestingServer) -> int:
    return int(slosh.url.rpartition(":")[2])


@pytest.fixture
def trickle(slosh: TestingServer) -> Iterator[str]:
    proxy = Trickle(port_of(slosh))
    yield proxy.url
    proxy.close()


VALUES: list[object] = [{"n": number, "text": "ü€𝄞"} for number in range(COUNT)]
"""Characters of two, three and four bytes, which arrive in parts."""


def test_a_byte_at_a_time(trickle: str) -> None:
    with Client(trickle) as client:
        client.open("trickle")
        assert client.publish_many("trickle", VALUES).max == COUNT
        with client.watch("trickle", since="earliest", deadline=PATIENCE) as watch:
            given = [next(watch) for _ in range(COUNT)]
    assert [item.message for item in given] == VALUES
    assert [item.offset for item in given] == list(range(1, COUNT + 1))


def test_a_byte_at_a_time_with_a_loop(trickle: str) -> None:
    async def work() -> list[object]:
        async with AsyncClient(trickle) as client:
            await client.open("trickle")
            await client.publish_many("trickle", VALUES)
            async with client.watch("trickle", since="earliest", deadline=PATIENCE) as watch:
                return [(await anext(watch)).message for _ in range(COUNT)]

    assert asyncio.run(work()) == VALUES


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence counts as such after a second, in place of 45."""
    monkeypatch.setattr("slosh.client.iterator.SILENCE", 1.0)
    monkeypatch.setattr("slosh.client.async_iterator.WATCH", httpx2.Timeout(10.0, read=1.0, pool=None))
    monkeypatch.setattr("slosh.client.protocol.POLL_WAIT", 0.5)


KEPT_BACK = ("# location", "proxy_ignore_headers X-Accel-Buffering; proxy_buffering on; proxy_buffers 8 64k;")


@pytest.mark.usefixtures("impatient")
def test_where_streams_are_kept_back_polls_bring_the_messages(slosh: TestingServer, tmp_path: Path) -> None:
    """nginx, told to buffer come what may."""
    with Nginx(tmp_path, port_of(slosh), KEPT_BACK) as front, Client(front.url) as client:
        given: list[object] = []
        with client.watch("kept/back", deadline=PATIENCE) as watch:
            reader = threading.Thread(target=lambda: given.extend(item.message for item in watch))
            reader.start()
            until(lambda: watch._reader.watching.polls, bool)
            for number in range(3):
                assert slosh.client.watchers("kept/back", wait=PATIENCE)
                slosh.client.publish("kept/back", number)
            until(lambda: len(given), lambda count: count == 3)
            watch.close()
            reader.join()
    assert given == [0, 1, 2]


@pytest.mark.usefixtures("impatient")
def test_where_streams_are_kept_back_polls_bring_the_messages_with_a_loop(slosh: TestingServer, tmp_path: Path) -> None:
    async def work(url: str) -> list[object]:
        async with AsyncClient(url) as client, client.watch("kept/back", deadline=PATIENCE) as watch:
            step = asyncio.ensure_future(anext(watch))
            while not watch._watching.polls:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.01)
            slosh.client.publish("kept/back", 1)
            return [(await step).message]

    with Nginx(tmp_path, port_of(slosh), KEPT_BACK) as front:
        assert asyncio.run(work(front.url)) == [1]


def test_a_proxy_that_gives_up_early_costs_nothing(slosh: TestingServer, tmp_path: Path) -> None:
    """It ends each stream after a second without a message, before the server's heartbeat comes."""
    given: list[Item | Note] = []
    impatient = ("proxy_read_timeout 60s", "proxy_read_timeout 1s")
    with (
        Nginx(tmp_path, port_of(slosh), impatient) as front,
        Client(front.url) as client,
        client.watch("early", notes=True, deadline=PATIENCE) as watch,
    ):
        reader = threading.Thread(target=lambda: given.extend(watch))
        reader.start()
        assert slosh.client.watchers("early", wait=PATIENCE)
        for number in range(3):
            assert slosh.client.publish("early", number)
            until(lambda: slosh.client.watchers("early"), lambda count: count == 0)
        until(lambda: len(given), lambda count: count == 3)
        watch.close()
        reader.join()
    assert [each.message for each in given if isinstance(each, Item)] == [0, 1, 2]
    assert [each for each in given if isinstance(each, Note)] == []


def test_a_line_that_breaks_again_and_again_loses_and_doubles_nothing(slosh: TestingServer) -> None:
    given: list[object] = []
    with cutting(port_of(slosh), hurried=True) as proxy, Client(f"http://127.0.0.1:{proxy.port}") as client:
        with client.watch("breaks", deadline=PATIENCE) as watch:
            reader = threading.Thread(target=lambda: given.extend(item.message for item in watch))
            reader.start()
            assert slosh.client.watchers("breaks", wait=PATIENCE)
            for number in range(COUNT):
                assert client.publish("breaks", number), "it goes through the proxy too"
                if number % 8 == 0:
                    proxy.cut()
            until(lambda: len(given), lambda count: count == COUNT)
            watch.close()
            reader.join()
        assert proxy.cuts >= COUNT // 8
    assert given == list(range(COUNT))
