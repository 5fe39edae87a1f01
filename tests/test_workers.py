"""Several processes on one port: those that die are replaced, and none of them outlives the parent. Real processes."""

import json
import os
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.processes import run_group
from tests.running import PATIENCE, SLOSH, Running, children, get, hear_from, hold_publisher, lives
from tests.stores.server import Store

pytestmark = pytest.mark.usefixtures("fresh")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """What the workers share."""
    server = Store(tmp_path_factory.mktemp("store"))
    server.start()
    yield server
    server.kill()


def serve(store: Store, folder: Path, *options: str) -> Running:
    where = () if "--uds" in options else ("--port", "0")
    words = (*where, "--workers", "3", "--engine", store.url, "--root", str(folder), "--drain", "2", *options)
    return Running((*SLOSH, "serve", *words), folder)


def ready(server: Running) -> str:
    """Its address."""
    return server.hear(r"is ready on (\S+), serving .*, with 3 workers")[1]


def until(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def post(url: str, body: bytes) -> dict[str, int]:
    with urllib.request.urlopen(url, body, timeout=PATIENCE) as answer:
        published: dict[str, int] = json.load(answer)
    return published


def test_a_message_reaches_the_readers_of_all_workers(store: Store, tmp_path: Path) -> None:
    with serve(store, tmp_path) as server:
        address = ready(server)
        readers = [hold_poll_at(address) for _ in range(12)]
        url = f"{address}/topics/held"
        until(lambda: json.loads(get(f"{url}?watchers"))["watchers"] == 12, "all were counted")
        assert post(url, b'"for all"')["max"] == 1
        for reader in readers:
            hear_from(reader, b'"for all"')
            reader.close()


def hold_poll_at(address: str) -> socket.socket:
    """A reader whose GET has been sent."""
    reader = socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=PATIENCE)
    reader.sendall(b"GET /topics/held HTTP/1.1\r\nHost: x\r\n\r\n")
    return reader


@pytest.mark.parametrize("over", ["tcp", "unix"])
def test_a_worker_that_is_killed_is_replaced_and_no_connection_is_refused(
    store: Store, tmp_path: Path, over: str
) -> None:
    options = ("--uds", str(tmp_path / "socket")) if over == "unix" else ()
    with serve(store, tmp_path, *options) as server:
        address = ready(server)
        parent = server.process.pid
        until(lambda: len(children(parent)) == 3, "three workers")
        first = children(parent)[0]
        os.kill(first, signal.SIGKILL)
        for _ in range(20):
            assert ask(address) == b"ok\n"
        server.hear("a worker was ended by signal 9")
        new = int(server.hear(r"a worker is ready again, as process (\d+)")[1])
        assert first not in children(parent)
        assert new in children(parent)
        server.tell(signal.SIGTERM)
        server.hear("stopping within 2 seconds")
        server.hear("stopped$")
        assert server.end() == 0
        assert not (tmp_path / "socket").exists()


def ask(address: str) -> bytes:
    """What /-/healthy says, on a connection of its own."""
    if address.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        connection.connect(address.removeprefix("unix:"))
    else:
        connection = socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=PATIENCE)
    with connection:
        connection.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return b"".join(iter(lambda: connection.recv(65536), b"")).partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_all_drain_and_the_parent_exits_0(store: Store, tmp_path: Path, number: signal.Signals) -> None:
    with serve(store, tmp_path) as server:
        address = ready(server)
        readers = [hold_poll_at(address) for _ in range(6)]
        until(lambda: json.loads(get(f"{address}/topics/held?watchers"))["watchers"] == 6, "all are held")
        workers = children(server.process.pid)
        server.tell(number)
        for reader in readers:
            hear_from(reader, b'"timeout":true')  # a held poll is answered
            reader.close()
        assert server.end() == 0
        assert not any(lives(worker) for worker in workers)


def test_told_twice_they_quit_at_once(store: Store, tmp_path: Path) -> None:
    with serve(store, tmp_path, "--drain", "60") as server:
        publisher = hold_publisher(ready(server))
        server.tell(signal.SIGTERM)
        server.hear("stopping within")
        server.tell(signal.SIGTERM)
        assert server.end() == 128 + signal.SIGTERM
        publisher.close()


def test_workers_end_with_a_parent_that_was_killed(store: Store, tmp_path: Path) -> None:
    with serve(store, tmp_path) as server:
        ready(server)
        workers = children(server.process.pid)
        server.tell(signal.SIGKILL)
        until(lambda: not any(lives(worker) for worker in workers), "all workers have ended")


def test_what_keeps_all_from_starting_is_said_once(tmp_path: Path) -> None:
    """An address that nobody can be waited for at; a store that is merely away is waited for."""
    with Store(tmp_path / "store", password="right") as store:
        wrong = Store(tmp_path / "wrong", password="wrong", port=store.port)
        with serve(wrong, tmp_path) as server:
            assert server.end() == 2
    assert server.output.count("Error: engine") == 1
    assert "cannot be used" in server.output


def test_the_address_is_said_to_be_taken(store: Store, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with serve(store, tmp_path, "--port", port) as server:
            assert server.end() == 1
            assert f"127.0.0.1:{port} cannot be listened on" in server.output


MANY = """
import os, resource, signal
from slosh.workers import Workers
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (4096 if hard < 0 else min(4096, hard), hard))
kept = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
def serve(sockets, ready):
    ready()
    os.read(workers.life, 1)
    return 0
workers = Workers([[], []], serve, lambda: os.kill(os.getpid(), signal.SIGTERM), lambda: None)
raise SystemExit(workers.run())
"""


def test_the_parent_may_have_more_files_than_select_takes() -> None:
    """As with 600 workers, each with a socket for IPv4 and one for IPv6."""
    run_group([sys.executable, "-c", MANY], check=True)
