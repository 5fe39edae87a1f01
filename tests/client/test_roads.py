"""The client's time for a request holds on each road to a server: TLS, a Unix socket, a proxy, and a tunnel of one."""

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from slosh.client import AsyncClient, Client, Unreachable
from slosh.client.connections import CONNECT
from slosh.client.protocol import SILENCE
from tests.client.scripted import Threaded
from tests.running import hear_from
from tests.stores.tls import Authority

TIMES: Final = (0.3, 3.0)
"""Seconds that a request has; the second where a busy machine did not come within the first to where a case stops."""
AGES: Final = SILENCE / 2
"""Seconds after which one that does not hold its time is given up: more than any bound but that of a silent stream."""
HEAD: Final = b"HTTP/1.1 200 OK\r\nX-Field: "
CONNECTED: Final = b"HTTP/1.1 200 OK\r\n\r\n"


@dataclass(frozen=True)
class Case:
    """What answers, and where it stops.

    Attributes:
        road: how it is reached.
        does: what it does in turn: `tls` and `connect` are passed as they should be; behind them it trickles the bytes
            of a head for as long as it is read, or is `silent`.
    """

    road: str
    does: str

    def __str__(self) -> str:
        return f"{self.road}-{self.does.replace(' ', '-')}"


CASES: Final = [
    Case("tls", "silent"),
    Case("tls", "tls silent"),
    Case("tls", "tls trickle"),
    Case("unix", "silent"),
    Case("unix", "trickle"),
    Case("proxy", "silent"),
    Case("proxy", "trickle"),
    Case("tunnel", "silent"),
    Case("tunnel", "trickle"),
    Case("tunnel", "connect silent"),
    Case("tunnel", "connect tls silent"),
    Case("tunnel", "connect tls trickle"),
]


class Slow(Threaded):
    """A server, or a proxy, of a case."""

    def __init__(self, case: Case, listener: socket.socket, context: ssl.SSLContext) -> None:
        super().__init__(listener)
        self._steps = case.does.split()
        self._context = context
        self.stopped = threading.Event()
        """Whether a connection has come to where it stops."""

    def _answer(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, AssertionError):
            for step in self._steps:
                if step == "connect":
                    hear_from(connection, b"\r\n\r\n")
                    connection.sendall(CONNECTED)
                elif step == "tls":
                    connection = self._context.wrap_socket(connection, server_side=True)
                    self._open.append(connection)
                else:
                    if step == "trickle":
                        hear_from(connection, b"\r\n\r\n")
                        connection.sendall(HEAD)
                    self.stopped.set()
                    while step == "trickle" and not self._is_over.wait(0.05):
                        connection.sendall(b"x")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "subjectAltName=DNS:localhost,DNS:slosh.test\n")


@pytest.fixture(params=CASES, ids=str)
def road(
    request: pytest.FixtureRequest, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, Slow]]:
    """The address that a client is given, and what answers."""
    case: Case = request.param
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.files)
    if case.road == "unix":
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(tmp_path / "s.sock"))
        listener.listen()
        url = f"unix:{tmp_path}/s.sock"
    else:
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        url = {"tls": f"https://localhost:{port}", "proxy": "http://slosh.test", "tunnel": "https://slosh.test"}[
            case.road
        ]
        if case.road in ("proxy", "tunnel"):
            monkeypatch.setenv("HTTP_PROXY" if case.road == "proxy" else "HTTPS_PROXY", f"http://127.0.0.1:{port}")
    with Slow(case, listener, context) as slow:
        yield url, slow


def ends(work: Callable[[], object], then: Callable[[], None] = lambda: None) -> bool:
    """Whether it ends, and without an error, in a thread of its own: one that does not end would hold the test."""
    done: list[bool] = []

    def run() -> None:
        work()
        done.append(True)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    then()
    thread.join(AGES)
    return bool(done)


def assert_ends(work: Callable[[float], object], slow: Slow) -> None:
    """Check that it ends in the seconds that it is given, and that it came to where the case stops."""
    for seconds in TIMES:
        assert ends(partial(work, seconds))
        if slow.stopped.is_set():
            return
    raise AssertionError("It did not come to where this stops.")


def test_a_request_ends_in_its_time(road: tuple[str, Slow]) -> None:
    url, slow = road

    def work(seconds: float) -> None:
        with Client(url, timeout=seconds) as client:
            for ask in (lambda: client.publish("a", 1), client.topics):
                with pytest.raises(Unreachable):
                    ask()

    assert_ends(work, slow)


def test_so_does_one_of_a_program_with_an_event_loop(road: tuple[str, Slow]) -> None:
    url, slow = road

    async def work(seconds: float) -> None:
        async with AsyncClient(url, timeout=seconds) as client:
            for waits in (client.publish("a", 1), client.topics()):
                with pytest.raises(Unreachable):
                    await waits
            async with client.watch("a", deadline=seconds) as watch:
                assert [each async for each in watch] == []
                assert watch.timed_out

    assert_ends(lambda seconds: asyncio.run(work(seconds)), slow)


def test_a_deadline_ends_a_watch(road: tuple[str, Slow]) -> None:
    url, slow = road

    def work(seconds: float) -> None:
        with Client(url) as client, client.watch("a", deadline=seconds) as watch:
            began = time.monotonic()
            assert list(watch) == []
            assert watch.timed_out
            assert time.monotonic() - began < CONNECT - 2.0, "a connection that is made has its whole time"

    assert_ends(work, slow)


def test_another_thread_ends_a_watch(road: tuple[str, Slow]) -> None:
    """A connection that is just made is made first, or not, within its own ten seconds."""
    url, slow = road
    with Client(url) as client:
        watch = client.watch("a")

        def close() -> None:
            assert slow.stopped.wait(AGES)
            watch.close()

        assert ends(lambda: list(watch), close)


def test_the_end_of_a_watch_leaves_tls_on_its_socket() -> None:
    """What was read behind its end was taken for the plain text of another protocol, and that was raised."""
    ours, theirs = socket.socketpair()
    context = ssl.create_default_context()
    with (
        theirs,
        context.wrap_socket(ours, server_hostname="localhost", do_handshake_on_connect=False) as connected,
        Client() as client,
    ):
        watch = client.watch("a")
        watch._reader._note_stream(connected)
        watch.close()
        assert vars(connected)["_sslobj"] is not None
        assert theirs.recv(1) == b""
