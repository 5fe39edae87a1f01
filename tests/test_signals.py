"""What signals do to a server that runs: real processes, and readers that are held meanwhile."""

import contextlib
import hashlib
import json
import os
import signal
import socket
import urllib.request
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


def post(url: str, message: bytes) -> None:
    """Publish a message that must be taken."""
    with urllib.request.urlopen(urllib.request.Request(url, message), timeout=PATIENCE) as answer:
        assert answer.status == 200


HARMLESS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
SECRET = "0123456789abcdef-no-log-has-this"


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
        settings.write_text("max_topics = 1\nportion = 7\n")
        server.tell(signal.SIGHUP)
        server.hear(
            r"INFO: SIGHUP: the settings were read again: max_topics=1 \(was 1000\); these need a restart: portion$"
        )
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
        settings.write_text("drain = 6\nportion = 7\n")
        for number in HARMLESS:
            server.tell(number)
        workers: set[str] = set()
        for _ in range(2):
            told = server.hear(r"SIGHUP in worker (\d+): the settings were read again: drain=6s \(was 5s\); these")
            workers.add(told[1])
        assert len(workers) == 2
        until(lambda: server.output, lambda output: "SIGUSR1 in worker" in output)
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


def test_sighup_reads_the_classes_again_and_resets_nobody(tmp_path: Path) -> None:
    """Rings become shorter and longer in place; a table with a mistake changes nothing."""
    settings = tmp_path / "slosh.toml"
    settings.write_text('[topics."gen/*"]\nqueue = 3\nmax_message = 10\n')
    with serve(tmp_path) as server:
        address = server.hear(r"is ready on (http://[^ ,]+)")[1]

        def tell(text: str, said: str) -> None:
            settings.write_text(text)
            server.tell(signal.SIGHUP)
            server.hear(said)

        def kept() -> list[int]:
            told = json.loads(get(f"{address}/topics/gen/a?since=earliest&wait=0"))
            return [told["saw"], *told["res"]]

        assert kept() == [0]
        for number in range(5):
            post(f"{address}/topics/gen/a", b"%d" % number)
        epoch = json.loads(get(f"{address}/topics/gen/a?wait=0"))["next"].split(".")[0]
        assert kept() == [5, 2, 3, 4]
        tell('[topics."gen/*"]\nqueu = 3\n', r"Did you mean queue")
        assert kept() == [5, 2, 3, 4]
        tell('[topics."gen/*"]\nqueue = 1\n', "read again")
        assert kept() == [5, 4]
        tell("queue = 3\n", "read again")
        for _ in range(3):
            post(f"{address}/topics/gen/a", b"1234567890123")
        assert kept() == [8, *[1234567890123] * 3]
        assert json.loads(get(f"{address}/topics/gen/a?wait=0"))["next"] == f"{epoch}.8"


def test_sigusr1_tells_what_the_server_is_doing_and_no_secret(tmp_path: Path) -> None:
    """Counts, and of names those that matter most, escaped: a topic may be called whatever its reader likes."""
    settings = tmp_path / "slosh.toml"
    settings.write_text(
        '[access]\npublic = {read = ["**"], publish = ["**"]}\n'
        f'[[access.tokens]]\nname = "me"\nsha256 = "{hashlib.sha256(SECRET.encode()).hexdigest()}"\nread = ["**"]\n'
    )
    with serve(tmp_path, "--linger=2m") as server:
        address = server.hear(r"is ready on (http://[^ ,]+)")[1]
        with hold_poll(address):
            post(f"{address}/topics/held", b'"%b"' % SECRET.encode())
            get(f"{address}/topics/caf%C3%A9?wait=0&access_token={SECRET}")
            server.tell(signal.SIGUSR1)
            told = {}
            for _ in range(11):
                found = server.hear(r"INFO: SIGUSR1: ([a-z ]+): (.+)$")
                told[found[1]] = json.loads(found[2])
        server.tell(signal.SIGTERM)
        assert server.end() == 0
    assert told["settings"]["linger"] == "120s"
    assert told["settings"]["access"] == "rules"
    assert told["topics"]["looked_at"] == 2
    assert told["largest"] == [{"name": "held", "bytes": len(SECRET) + 2, "max": 1}]
    assert told["process"]["draining"] is False
    assert SECRET not in server.output
    assert "caf" not in server.output  # It has no message, and is watched by nobody.
