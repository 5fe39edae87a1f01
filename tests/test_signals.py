"""What signals do to a server that runs: real processes, and readers that are held meanwhile."""

import contextlib
import os
import signal
import socket
from pathlib import Path

import pytest

from tests.conftest import need
from tests.e2e.server import until
from tests.running import PATIENCE, SLOSH, Running, get, hold_poll, rest_of
from tests.stores.server import Store


def ask(place: Path) -> bytes:
    """The health of a server at a Unix socket; nothing where none answers yet."""
    with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
        client.settimeout(PATIENCE)
        client.connect(str(place))
        client.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
        return client.recv(1000)
    return b""


HARMLESS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def serve(folder: Path, *options: str) -> Running:
    return Running([*SLOSH, "serve", "--port=0", *options], folder)


@pytest.mark.parametrize("number", HARMLESS)
def test_a_tool_that_rotates_logs_ends_nothing(tmp_path: Path, number: signal.Signals) -> None:
    with serve(tmp_path) as server:
        address = server.hear(r"is ready on (http://[^ ,]+)")[1]
        with hold_poll(address) as reader:
            server.tell(number)
            assert get(f"{address}/-/healthy") == b"ok\n"
            assert b'watchers":1' in get(f"{address}/topics/held?watchers")
            server.tell(signal.SIGTERM)
            assert b'"timeout":true' in rest_of(reader)
        assert server.end() == 0


def test_sigquit_drains(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        address = server.hear(r"is ready on (http://[^ ,]+)")[1]
        with hold_poll(address) as reader:
            server.tell(signal.SIGQUIT)
            assert b'"timeout":true' in rest_of(reader)
        assert server.end() == 0


def test_sighup_reads_the_settings_again(tmp_path: Path) -> None:
    """What needs no restart is taken, the rest is told, and a mistake changes nothing."""
    settings = tmp_path / "slosh.toml"
    settings.write_text("max_topics = 1000\n")
    with serve(tmp_path) as server:
        address = server.hear(r"is ready on (http://[^ ,]+)")[1]
        assert get(f"{address}/topics/one?wait=0")
        settings.write_text("max_topics = 1\nqueue = 7\n")
        server.tell(signal.SIGHUP)
        server.hear(r"INFO: SIGHUP: the settings were read again; these need a restart: queue$")
        with pytest.raises(OSError, match="503"):
            get(f"{address}/topics/two?wait=0")
        settings.write_text("max_topics = many\n")
        server.tell(signal.SIGHUP)
        server.hear("ERROR: SIGHUP: the settings stay as they are, because of a mistake in them")
        assert b"watchers" in get(f"{address}/topics/one?watchers")


def test_workers_are_told_too_and_none_of_them_ends(tmp_path: Path) -> None:
    need("redis-server")
    settings = tmp_path / "slosh.toml"
    settings.write_text("drain = 5\n")
    store = Store(tmp_path)
    store.start()
    with contextlib.ExitStack() as last, serve(tmp_path, "--workers=2", f"--engine={store.url}") as server:
        last.callback(store.kill)
        address = server.hear(r"is ready on (http://[^ ,]+)")[1]
        settings.write_text("drain = 6\nqueue = 7\n")
        for number in HARMLESS:
            server.tell(number)
        for _ in range(2):
            server.hear("INFO: SIGHUP: the settings were read again; these need a restart: queue")
        assert get(f"{address}/-/healthy") == b"ok\n"
        server.tell(signal.SIGQUIT)
        assert server.end() == 0
    assert "takes its place" not in server.output


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_process_without_its_standard_descriptors_serves(tmp_path: Path, closed: str) -> None:
    """Started so by a supervisor or a cron job. Its event loop must not take their numbers."""
    place = tmp_path / "s.sock"
    command = " ".join(SLOSH)
    with Running(["/bin/sh", "-c", f"exec {command} serve --uds {place} {closed}"], tmp_path) as server:
        assert until(lambda: ask(place), bool).startswith(b"HTTP/1.1 200")
        os.kill(server.process.pid, signal.SIGTERM)
        assert server.end() == 0
