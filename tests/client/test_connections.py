"""How a client reaches its server: through Unix sockets, and what it says where it does not reach it."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Self

import httpx2
import numpy as np
import pytest

from slosh.client import AsyncClient, BadUse, Client, Publisher, Refused, Unreachable
from slosh.client.connections import Bounds, explain_lasting
from slosh.client.protocol import SILENCE
from slosh.client.simple import default_client
from tests.cases import each_of
from tests.client.scripted import Scripted, Trickling
from tests.e2e.server import Serving, until
from tests.running import PATIENCE


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("socket")
    with Serving(folder, f"--uds={folder}/slosh.sock", "--linger=10m"):
        yield f"unix:{folder}/slosh.sock"


class TestUnixSockets:
    """All that a client does through the socket that `slosh serve --uds` listens on."""

    def test_without_a_loop(self, server: str) -> None:
        with Client(server) as client:
            assert client.url == server
            assert client.open("sync").taken
            assert client.publish("sync", {"t": 1}).max == 1
            assert [each["name"] for each in client.topics()] == ["sync"]
            with client.watch("sync", since="earliest") as watch:
                assert next(watch).message == {"t": 1}
                assert client.watchers("sync") == 1
            assert client.end("sync").ended

    def test_another_thread_can_end_a_watch(self, server: str) -> None:
        with Client(server) as client:
            watch = client.watch("closed", deadline=PATIENCE)

            def close() -> None:
                client.watchers("closed", wait=PATIENCE)
                watch.close()

            threading.Thread(target=close).start()
            assert list(watch) == []
            assert not watch.timed_out

    def test_with_a_loop(self, server: str) -> None:
        async def work() -> list[object]:
            async with AsyncClient(server) as client:
                assert (await client.open("async")).taken
                assert (await client.publish("async", 1, end=True)).max == 1
                async with client.watch("async", since="earliest") as watch:
                    return [item.message async for item in watch]

        assert asyncio.run(work()) == [1]

    def test_in_the_background(self, server: str) -> None:
        with Client(server) as client:
            client.open("background")
            with Publisher(server) as publisher:
                assert publisher.send("background", 1)
            assert publisher.sent == 1

    def test_the_environment_names_it_and_a_proxy_for_the_web_is_none_for_it(
        self, server: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SLOSH_URL", server)
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        assert not default_client().publish("nobody", 1)

    def test_a_reader_goes_on_over_a_restart(self, tmp_path: Path) -> None:
        path = tmp_path / "slosh.sock"
        given: list[object] = []
        with Client(f"unix:{path}") as client, client.watch("again", deadline=3 * PATIENCE) as watch:
            reader = threading.Thread(target=lambda: given.extend(item.message for item in watch))
            for number in (1, 2):
                with Serving(tmp_path, f"--uds={path}"):
                    if number == 1:
                        reader.start()
                    assert client.watchers("again", wait=PATIENCE)
                    client.publish("again", number)
                    until(lambda: len(given), lambda count, least=number: count == least)  # type: ignore[misc]
            watch.close()
            reader.join()
        assert given == [1, 2]


def _nothing(path: Path) -> None:
    del path


def _nobody_listens(path: Path) -> None:
    socket.socket(socket.AF_UNIX).bind(str(path))


def _datagrams(path: Path) -> None:
    _KEPT.append(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    _KEPT[-1].bind(str(path))


_KEPT: Final[list[socket.socket]] = []

TROUBLES: Final[dict[str, tuple[Callable[[Path], object], str]]] = {
    "missing": (_nothing, "there is no such socket. Start one with `slosh serve --uds"),
    "left over": (_nobody_listens, "nothing listens there"),
    "file": (Path.touch, "is there, and is no socket that a server listens on. Name the socket"),
    "folder": (Path.mkdir, "is there, and is no socket that a server listens on"),
    "datagrams": (_datagrams, "is there, and is no socket that a server listens on"),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_socket_that_is_none_is_told_as_what_it_is(trouble: str, tmp_path: Path) -> None:
    make, told = TROUBLES[trouble]
    path = tmp_path / "slosh.sock"
    make(path)

    async def ask() -> None:
        async with AsyncClient(f"unix:{path}", timeout=1.0) as client:
            await client.topics()

    with Client(f"unix:{path}", timeout=1.0) as client:
        for way in (lambda: client.publish("a", 1), client.topics, lambda: asyncio.run(ask())):
            with pytest.raises(Unreachable, match=told) as caught:
                way()
            assert str(path) in str(caught.value)


@pytest.mark.parametrize("trouble", ["file", "datagrams"])
def test_what_will_be_the_same_the_next_time_is_told_at_once(trouble: str, tmp_path: Path) -> None:
    path = tmp_path / "slosh.sock"
    TROUBLES[trouble][0](path)

    async def read() -> None:
        async with AsyncClient(f"unix:{path}") as client:
            await anext(client.watch("a", deadline=PATIENCE))

    began = time.monotonic()
    with Client(f"unix:{path}", timeout=PATIENCE) as client:
        for way in (
            lambda: client.publish("a", 1),
            lambda: next(client.watch("a", deadline=PATIENCE)),
            lambda: asyncio.run(read()),
        ):
            with pytest.raises(Unreachable, match="no socket"):
                way()
    assert time.monotonic() - began < PATIENCE


def test_a_socket_that_this_user_may_not_use_is_told_as_that() -> None:
    error = httpx2.ConnectError("[Errno 13] Permission denied")
    error.__cause__ = PermissionError(13, "Permission denied")
    told = explain_lasting("unix:/run/slosh.sock", error)
    assert told.startswith("This user may not connect to /run/slosh.sock: it needs the right to write to it")
    assert not explain_lasting("http://127.0.0.1:8000", error)


def test_a_path_that_is_too_long_is_told_as_that() -> None:
    with Client(f"unix:/{'x' * 200}", timeout=PATIENCE) as client, pytest.raises(Unreachable, match="too long"):
        client.publish("a", 1)


PORTS_OF_TLS = {
    "slosh": b"This port speaks HTTPS, and this request came in plain HTTP. Write https:// in front of the address.\n",
    "nginx": b"<html><center>The plain HTTP request was sent to HTTPS port</center>",
    "Apache": b"<p>Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />",
    "Caddy": b"Client sent an HTTP request to an HTTPS server.\n",
}


@pytest.mark.parametrize("who", PORTS_OF_TLS)
def test_plain_http_at_a_port_of_tls_is_told_with_what_to_write(who: str) -> None:
    answer = {"status": 400, "fields": {"Content-Type": "text/html"}, "body": PORTS_OF_TLS[who].decode()}
    with Scripted([answer] * 3) as scripted, Client(scripted.url) as client:
        secure = scripted.url.replace("http://", "https://")
        for way in (lambda: client.publish("a", 1), client.topics, lambda: next(client.watch("a"))):
            with pytest.raises(Refused, match=f"{scripted.url} speaks TLS; write {secure}\\.$"):
                way()


class Speaking:
    """Answers each connection with the same bytes, whatever it says, and closes it."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(self._answer)


def test_an_alert_of_tls_in_place_of_an_answer_is_told_with_what_to_write() -> None:
    with Speaking(b"\x15\x03\x03\x00\x02\x02\x46") as speaking, Client(speaking.url) as client:
        secure = speaking.url.replace("http://", "https://")
        for way in (lambda: client.publish("a", 1), client.topics, lambda: next(client.watch("a"))):
            with pytest.raises(Unreachable, match=f"is no HTTP; if it speaks TLS, write {secure}\\.$"):
                way()


@each_of("url", ["https://h", "unix:/run/s.sock"])
def test_what_is_no_http_where_tls_is_asked_for_or_cannot_be_has_no_other_address(url: str) -> None:
    """The remedy was the same address, or https:/run/s.sock."""
    error = httpx2.RemoteProtocolError("illegal request line")
    assert explain_lasting(url, error) == f"What answers at {url} is no HTTP."


def test_a_connection_that_is_closed_without_a_word_may_be_one_of_tls() -> None:
    told = "if TLS is spoken there, write https://127"
    with Speaking(b"") as speaking, Client(speaking.url, timeout=1.0) as client, pytest.raises(Unreachable, match=told):
        client.topics()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"220 mail.example\r\n", b"-ERR unknown\r\n"])
def test_tls_at_a_port_that_speaks_none_is_told_with_what_to_write_and_at_once(answer: bytes) -> None:
    began = time.monotonic()
    with Speaking(answer) as speaking:
        secure = speaking.url.replace("http://", "https://")
        with Client(secure, timeout=PATIENCE) as client:
            for way in (lambda: client.publish("a", 1), client.topics, lambda: next(client.watch("a"))):
                with pytest.raises(Unreachable, match=f"does not speak TLS; write {speaking.url}\\.$"):
                    way()
    assert time.monotonic() - began < PATIENCE


@each_of("odd", ["5", "x", float("inf"), float("nan"), -1, 1e10, True, [5]], ids=repr)
def test_a_time_that_nobody_can_wait_is_refused_at_once(odd: Any) -> None:
    """By the same error, whatever is wrong with it, and not by a thread that dies later."""
    told = r"is a number of seconds (above 0|from 0 on), at most 1000000000, not "
    for make in (Client, AsyncClient):
        with pytest.raises(BadUse, match=f"timeout {told}"):
            make(timeout=odd)
        with pytest.raises(BadUse, match=f"deadline {told}"):
            make().watch("kitchen", deadline=odd)
    for name in ("every", "timeout"):
        with pytest.raises(BadUse, match=f"{name} {told}"):
            Publisher(**{name: odd})


def test_times_may_be_numbers_of_any_kind() -> None:
    times: list[Any] = [1, 0.5, np.float32(0.5), Fraction(1, 2), 1e9]
    for time_of_it in times:
        Client(timeout=time_of_it).watch("kitchen", deadline=time_of_it)
    Publisher(every=0, timeout=0).close()
    with pytest.raises(BadUse, match="not None"):
        Client(timeout=None)  # type: ignore[arg-type]  # as a program without a type checker may


ENDLESS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
ENDLESS_HEAD = b"HTTP/1.1 200 OK\r\nX-Field: "
ENDLESS_CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;"
EARLY = b"HTTP/1.1 103 Early Hints\r\n\r\n"
NO_TOPICS = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{"topics":[]}'


@pytest.mark.parametrize(
    ("head", "then"),
    [(b"", b""), (ENDLESS, b"x"), (ENDLESS_HEAD, b"x"), (ENDLESS_CHUNK, b"x"), (EARLY, EARLY)],
    ids=["silent", "trickling", "head", "chunk", "early"],
)
@pytest.mark.parametrize(
    "ask", [lambda client: client.publish("a", 1), lambda client: client.history("a"), lambda client: client.topics()]
)
def test_a_request_ends_in_its_time_whatever_the_server_sends(
    head: bytes, then: bytes, ask: Callable[[Client], object]
) -> None:
    """Each byte of an answer gave the next one the whole time, so one that trickled never ended."""
    with Trickling(head, then=then) as server, Client(server.url, timeout=0.3) as client, pytest.raises(Unreachable):
        ask(client)


@pytest.mark.parametrize("head", [b"", ENDLESS], ids=["silent", "trickling"])
def test_so_does_one_of_a_program_with_an_event_loop(head: bytes) -> None:
    async def ask(server: Trickling) -> None:
        async with AsyncClient(server.url, timeout=0.3) as client:
            for waits in (client.publish("a", 1), client.history("a"), client.topics()):
                with pytest.raises(Unreachable):
                    await waits

    with Trickling(head) as server:
        asyncio.run(ask(server))


def test_a_deadline_ends_a_watch_of_a_server_that_is_silent() -> None:
    """It ended when the stream had been silent for 45 s."""
    began = time.monotonic()
    with Trickling(b"") as server, Client(server.url) as client, client.watch("a", deadline=0.3) as watch:
        assert list(watch) == []
    assert watch.timed_out
    assert time.monotonic() - began < SILENCE / 2


def test_another_thread_ends_a_watch_of_a_server_that_is_silent() -> None:
    with Trickling(b"") as server, Client(server.url) as client, client.watch("a") as watch:
        reading = threading.Thread(target=list, args=(watch,), daemon=True)
        reading.start()
        until(lambda: server._open, bool)
        watch.close()
        reading.join(SILENCE / 2)
        assert not reading.is_alive()


@pytest.mark.parametrize("head", [b"", ENDLESS_HEAD], ids=["silent", "trickling"])
def test_so_it_does_where_the_watch_goes_on_a_connection_that_was_used_before(head: bytes) -> None:
    """A watch knew the socket of a connection that it had made itself."""
    with Trickling(head, first=NO_TOPICS) as server, Client(server.url) as client:
        assert client.topics() == []
        with client.watch("a") as watch:
            reading = threading.Thread(target=list, args=(watch,), daemon=True)
            reading.start()
            assert server.asked_again.wait(SILENCE / 2)
            watch.close()
            reading.join(SILENCE / 2)
            assert not reading.is_alive()


def test_a_deadline_ends_a_watch_whose_head_trickles_on_a_connection_that_was_used_before() -> None:
    with Trickling(ENDLESS_HEAD, first=NO_TOPICS) as server, Client(server.url) as client:
        assert client.topics() == []
        watch = client.watch("a", deadline=0.3)
        reading = threading.Thread(target=list, args=(watch,), daemon=True)
        reading.start()
        reading.join(SILENCE / 2)
        assert not reading.is_alive()
        assert watch.timed_out


def test_a_phase_has_what_is_left_of_the_time_of_all() -> None:
    bounds = Bounds(time.monotonic() + 1000.0, connect=10.0)
    assert (bounds.get("connect"), bounds.get("pool")) == (10.0, None)
    read = bounds.get("read")
    assert read is not None
    assert 0 < read <= 1000.0
    over = Bounds(time.monotonic() - 1.0).get("read")
    assert over is not None
    assert 0 < over < 0.1
