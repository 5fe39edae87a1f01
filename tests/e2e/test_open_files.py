"""A process that may open few files: clients take all they can get, and one is left to accept the next client with."""

import re
import resource
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pytest

from slosh.descriptors import FEWEST_FILES
from tests.e2e.server import allow_files
from tests.running import PATIENCE, SLOSH, Running, rest_of, without_uvloop
from tests.stores.server import Store

LOOPS = {"uvloop": SLOSH, "asyncio": without_uvloop("slosh")}
LIMIT = """
import os, resource, sys
limit, held, *command = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_NOFILE, (int(limit), int(limit)))
for _ in range(int(held)):
    os.set_inheritable(os.open(os.devnull, os.O_RDONLY), True)
os.execv(command[0], command)
"""
"""Runs a command in a process that may open so many files, and has some of them open already."""


class Full:
    """A server that may open `limit` files, and its clients, all of which stay until the end of the with block.

    Args:
        folder: the document root.
        command: that runs slosh.
        limit: on open files.
        held: files that are open for other reasons.
        options: of `slosh serve`.
    """

    def __init__(self, folder: Path, command: tuple[str, ...], limit: int, *options: str, held: int = 0) -> None:
        self._stack = ExitStack()
        limited = (sys.executable, "-c", LIMIT, str(limit), str(held))
        options = (f"--root={folder}", "--port=0", *options)
        self.server = self._stack.enter_context(Running((*limited, *command, "serve", *options), folder))
        self._port = int(self.server.hear(r"is ready on http://[^ ]*:(\d+)")[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def connect(self, path: str) -> socket.socket:
        """A client that asks for something, or where the path is empty for nothing, and reads nothing."""
        client = self._stack.enter_context(socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE))
        if path:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        return client

    def ask(self, path: str) -> bytes:
        """The whole answer to a client that closes its connection then."""
        with socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
            return rest_of(client)


def status(client: socket.socket) -> int:
    """That of the answer, which is there or comes; 0 for a connection that was closed without a byte."""
    try:
        said = client.recv(12)
    except ConnectionError:
        return 0
    return int(said[9:12]) if len(said) == 12 else 0


@pytest.fixture(name="folder")
def folder_fixture(tmp_path: Path) -> Path:
    """A document root with a file larger than what the system takes off our hands."""
    with (tmp_path / "large").open("wb") as file:
        file.truncate(20_000_000)
    return tmp_path


@pytest.mark.parametrize("command", LOOPS.values(), ids=LOOPS)
@pytest.mark.parametrize(
    ("limit", "downloads", "polls"), [pytest.param(1024, 600, 300, marks=pytest.mark.long), (128, 100, 150)]
)
def test_clients_beyond_the_limit_are_told_so_and_probes_are_answered(
    folder: Path, command: tuple[str, ...], limit: int, downloads: int, polls: int
) -> None:
    """Refused connections that stay open for a moment take no descriptor that is needed to accept with."""
    allow_files(downloads + polls + 100)
    with Full(folder, command, limit) as full:
        readers = [full.connect("/large") for _ in range(downloads)]
        answers = [status(each) for each in readers]
        assert set(answers) <= {200, 503}
        assert answers.count(200) == (limit - 64) // 4
        for _ in range(polls // 10):
            readers += [full.connect("/topics/a") for _ in range(10)]
            assert full.ask("/-/healthy").startswith(b"HTTP/1.1 200 ")
        assert b'slosh_closed_total{reason="open_files"}' not in full.ask("/-/metrics")
        told = [status(each) for each in readers[-(polls // 2) :]]
        assert set(told) == {503}, {each: told.count(each) for each in told}
        assert b"all the connections that it may have (ulimit -n)" in full.ask("/topics/a")
    assert_quiet(full)


@pytest.mark.parametrize("command", LOOPS.values(), ids=LOOPS)
def test_files_that_something_else_has_open_are_not_counted_on(folder: Path, command: tuple[str, ...]) -> None:
    """Far fewer connections than the limit leaves by itself: the log and the metrics say why they are refused."""
    allow_files(400)
    with Full(folder, command, 256, held=150) as full:
        readers: list[socket.socket] = []
        for _ in range(20):
            readers += [full.connect(path) for path in 5 * ("/large", "/topics/a?wait=30")]
            assert full.ask("/-/healthy").startswith(b"HTTP/1.1 200 ")
        refused = re.search(rb'slosh_closed_total\{reason="open_files"\} (\S+)', full.ask("/-/metrics"))
        assert refused
        assert float(refused[1]) >= 100
        # Of the first ones that are refused one or the other is admitted: a probe's descriptor is free again by then.
        assert {status(each) for each in readers[-90:]} == {503}
        full.server.hear(r"nearly all the files open .* \(ulimit -n\), with \d+ connections")
    assert_quiet(full)


@pytest.mark.parametrize("command", LOOPS.values(), ids=LOOPS)
def test_probes_that_stay_take_no_descriptors_either(folder: Path, command: tuple[str, ...]) -> None:
    allow_files(400)
    with Full(folder, command, 128, "--max-connections=8") as full:
        for _ in range(8):
            full.connect("/topics/a?wait=30")
        for _ in range(200):
            assert status(full.connect("/-/healthy")) == 200
    assert_quiet(full)


@pytest.mark.parametrize("command", LOOPS.values(), ids=LOOPS)
def test_clients_that_say_nothing_do_not_keep_probes_out(folder: Path, command: tuple[str, ...]) -> None:
    allow_files(400)
    with Full(folder, command, 128, "--max-connections=8") as full:
        for _ in range(8):
            full.connect("/topics/a?wait=30")
        for _ in range(20):
            for _ in range(10):
                full.connect("")
            assert full.ask("/-/healthy").startswith(b"HTTP/1.1 200 ")
    assert_quiet(full)


@pytest.mark.parametrize("command", LOOPS.values(), ids=LOOPS)
def test_each_worker_keeps_some_too(folder: Path, command: tuple[str, ...]) -> None:
    allow_files(700)
    with Store(folder / "store") as store, Full(folder, command, 128, "--workers=2", f"--engine={store.url}") as full:
        readers: list[socket.socket] = []
        for _ in range(50):
            readers += [full.connect("/topics/a?wait=30") for _ in range(10)]
            assert full.ask("/-/healthy").startswith(b"HTTP/1.1 200 ")
        assert {status(each) for each in readers[-200:]} == {503}
    assert_quiet(full)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="another process's limit is set by prlimit, of Linux")
@pytest.mark.parametrize("command", LOOPS.values(), ids=LOOPS)
def test_a_server_that_cannot_accept_says_so_and_counts_it(folder: Path, command: tuple[str, ...]) -> None:
    """The limit is lowered while it runs, as an operator may: the loops do not tell anybody."""
    allow_files(400)
    with Full(folder, command, 256) as full:
        pid = full.server.process.pid
        assert status(full.connect("/-/healthy")) == 200
        last = max(int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir())
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (last + 3, 256))
        for _ in range(20):
            full.connect("/topics/a?wait=30")
        full.server.hear(r"ERROR: this process has all the files open that it may have \(ulimit -n\)")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (256, 256))
        failures = re.search(rb"\nslosh_accept_failures_total (\S+)", full.ask("/-/metrics"))
        assert failures
        assert float(failures[1]) >= 1
    assert_quiet(full)


@pytest.mark.parametrize("command", LOOPS.values(), ids=LOOPS)
def test_with_the_fewest_files_a_probe_is_still_answered(folder: Path, command: tuple[str, ...]) -> None:
    allow_files(400)
    with Full(folder, command, FEWEST_FILES) as full:
        for _ in range(10):
            full.connect("/topics/a?wait=30")
            assert full.ask("/-/healthy").startswith(b"HTTP/1.1 200 ")
    assert_quiet(full)


@pytest.mark.parametrize("command", LOOPS.values(), ids=LOOPS)
@pytest.mark.parametrize("limit", [10, 20])
def test_with_fewer_it_does_not_start_and_says_what_to_type(
    tmp_path: Path, command: tuple[str, ...], limit: int
) -> None:
    with Running((sys.executable, "-c", LIMIT, str(limit), "0", *command, "serve", "--port=0"), tmp_path) as server:
        assert server.end() == 1
    assert re.fullmatch(rf"Error: The system lets this process open {limit} files .* ulimit -n 4096, .*", server.output)


def assert_quiet(full: Full) -> None:
    """No loop had to do without a descriptor."""
    assert "out of system resource" not in full.server.output, full.server.output
    assert "Traceback" not in full.server.output, full.server.output
