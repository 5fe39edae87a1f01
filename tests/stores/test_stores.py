"""The servers that other tests stand on: each version starts, is hurt, and comes back as it should."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.processes import ProcessGroup
from tests.conftest import lacking
from tests.stores.found import EACH_KIND, Program, program
from tests.stores.resp import RefusedError
from tests.stores.server import Store, tied, until
from tests.stores.sets import Cluster, Watched, is_master
from tests.stores.tls import Authority


@pytest.fixture(name="server", params=EACH_KIND)
def each_version(request: pytest.FixtureRequest) -> Program:
    return program(request.param)


def test_without_persistence_a_restart_forgets(server: Program, tmp_path: Path) -> None:
    with Store(tmp_path, server) as store:
        store.ask("SET", "a", 1)
        assert store.ask("GET", "a") == b"1"
        store.restart()
        assert store.ask("GET", "a") is None


def test_with_aof_a_crash_forgets_nothing_that_was_answered(server: Program, tmp_path: Path) -> None:
    with Store(tmp_path, server, aof=True) as store:
        store.ask("SET", "a", 1)
        store.kill()
        store.start()
        assert store.ask("GET", "a") == b"1"


def test_paused_it_answers_afterwards(server: Program, tmp_path: Path) -> None:
    with Store(tmp_path, server) as store:
        with store.paused(), store.wire(0.05) as wire, pytest.raises(TimeoutError):
            wire.ask("PING")
        assert store.ask("PING") == b"PONG"


def test_its_clients_are_cut(server: Program, tmp_path: Path) -> None:
    with Store(tmp_path, server) as store, store.wire() as wire, store.wire() as subscriber:
        wire.ask("PING")
        subscriber.ask("SUBSCRIBE", "a")
        assert store.drop_clients() == 2
        for cut in (wire, subscriber):
            with pytest.raises(ConnectionError):
                cut.ask("PING")


def test_with_a_password_and_with_a_user(server: Program, tmp_path: Path) -> None:
    with Store(
        tmp_path, server, password="secret", users=("slosh on >word ~slosh* resetchannels &slosh* +@all",)
    ) as store:
        assert store.url == f"redis://:secret@127.0.0.1:{store.port}/0"
        assert store.ask("PING") == b"PONG"
        with store.wire() as wire:
            wire.ask("AUTH", "slosh", "word")
            wire.ask("SET", "slosh:a", 1)
            with pytest.raises(RefusedError, match="NOPERM"):
                wire.ask("SET", "other", 1)


def test_with_tls_it_speaks_nothing_else(tmp_path: Path) -> None:
    server = program()
    if not server.tls:
        lacking(f"{server} was built without TLS")
    with Store(tmp_path / "store", server, tls=Authority(tmp_path / "ca")) as store:
        assert store.url.startswith("rediss://")
        assert store.ask("PING") == b"PONG"


def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    if len(str(path)) > 100:
        lacking(f"the path {path} is too long for a Unix socket")
    with Store(tmp_path, program(), path=path):
        assert path.is_socket()


def test_sentinels_elect_another_master(server: Program, tmp_path: Path) -> None:
    if server.version < (7,):
        pytest.skip("before 7.0 Sentinels cannot be hurried, and then it takes a minute")
    with Watched(tmp_path, server) as watched:
        old = watched.fail_over()
        assert watched.master is not old
        assert is_master(watched.master)


def test_a_cluster_covers_all_slots(server: Program, tmp_path: Path) -> None:
    with Cluster(tmp_path, server) as cluster:
        owner = cluster.slot_owner("{a}.1")
        owner.ask("SET", "{a}.1", 1)
        for other in cluster.stores:
            if other is not owner:
                with pytest.raises(RefusedError, match=f"MOVED .*:{owner.port}$"):
                    other.ask("GET", "{a}.1")


def test_a_replica_takes_over_in_a_cluster(tmp_path: Path) -> None:
    with Cluster(tmp_path, program(), replicas=True) as cluster:
        owner = cluster.slot_owner("a")
        heir = cluster.fail_over(owner)
        assert cluster.slot_owner("a") is heir


def test_what_cannot_start_says_why(tmp_path: Path) -> None:
    store = Store(tmp_path, program(), "--no-such-option", "1")
    with pytest.raises(AssertionError, match=r"(?s)ended at once.*no-such-option"):
        store.start()


def test_no_server_outlives_the_tests(tmp_path: Path) -> None:
    if not tied():
        pytest.skip("there is no setpriv, which ends servers with the process that started them")
    script = f"""
import pathlib, time
from tests.stores.server import Store
store = Store(pathlib.Path({str(tmp_path)!r}))
store.start()
print(store.port, flush=True)
time.sleep(60)
"""
    root = Path(__file__).parents[2]
    with ProcessGroup[bytes]([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=root) as process:
        assert process.stdout
        port = int(process.stdout.readline())
        process.kill()
    until(lambda: not _listens(port), "the server was gone")


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except ConnectionRefusedError:
        return False
    return True
