"""What systemd is told, heard on a real socket in its place."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from slosh.supervisor import notify, watchdog_interval
from tests.conftest import need
from tests.running import PATIENCE, SLOSH, Running, clean_environment

UNIT = Path(__file__).parents[1] / "ops" / "slosh.service"


class Supervisor:
    """The other end of the socket."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE)
        self.socket.bind(f"\0{path[1:]}" if path.startswith("@") else path)

    def hear(self, *passing: str) -> list[str]:
        """The facts of the next datagram that is none of those passing."""
        while True:
            facts = self.socket.recv(4096).decode().split("\n")
            if facts[0] not in passing:
                return facts


@pytest.fixture(params=["file", "abstract"])
def supervisor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Supervisor]:
    made = Supervisor(str(tmp_path / "notify") if request.param == "file" else f"@slosh-test-{os.getpid()}")
    yield made
    made.socket.close()


@pytest.mark.parametrize("workers", [(), ("--workers=2", "--engine=redis://127.0.0.1:1")], ids=["one", "workers"])
def test_it_is_told_ready_reloading_alive_and_stopping(
    supervisor: Supervisor, workers: tuple[str, ...], tmp_path: Path
) -> None:
    environment = clean_environment(NOTIFY_SOCKET=supervisor.path, WATCHDOG_USEC="200000")
    with Running((*SLOSH, "serve", "--port=0", *workers), tmp_path, environment) as server:
        ready, status = supervisor.hear("WATCHDOG=1")
        assert ready == "READY=1"
        assert status.startswith("STATUS=serving on http://127.0.0.1:")
        assert supervisor.hear() == supervisor.hear() == ["WATCHDOG=1"]
        server.tell(signal.SIGHUP)
        reloading, when = supervisor.hear("WATCHDOG=1")
        assert reloading == "RELOADING=1"
        assert when.startswith("MONOTONIC_USEC=")
        assert supervisor.hear("WATCHDOG=1") == ["READY=1"]
        server.tell(signal.SIGTERM)
        assert supervisor.hear("WATCHDOG=1") == ["STOPPING=1"]
        assert server.end() == 0


def test_without_a_supervisor_nothing_happens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for place in ("", "nonsense", str(tmp_path / "gone")):
        monkeypatch.setenv("NOTIFY_SOCKET", place)
        assert not notify("READY=1")


@pytest.mark.parametrize(
    ("told", "process", "seconds"),
    [("3000000", "", 1.5), ("3000000", "own", 1.5), ("3000000", "1", 0.0), ("x", "", 0.0), ("", "", 0.0)],
)
def test_the_watchdog_is_told_in_half_of_its_time_by_the_process_that_it_watches(
    told: str, process: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", told)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if process == "own" else process)
    assert watchdog_interval() == seconds


def test_the_unit_file_is_hardened() -> None:
    """Systemd's own judgement, from 0 (nothing exposed) to 10."""
    command = [need("systemd-analyze"), "security", "--offline=yes", "--threshold=25", str(UNIT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout[-600:] + done.stderr


def test_the_unit_says_nothing_that_an_older_systemd_does_not_know() -> None:
    """Debian 12 has 252, which ignores `Type=notify-reload`: no reload is possible, READY is not waited for."""
    settings = [line for line in UNIT.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert {"Type=notify", "ExecReload=/bin/kill -HUP $MAINPID"} <= set(settings)
    command = [need("systemd-analyze"), "verify", "--man=no", str(UNIT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    told = [line for line in done.stderr.splitlines() if "/ops/slosh.service" in line]
    assert told == [], "only that its program is not installed here"


def test_the_socket_unit_is_sound_and_outlives_a_restart_of_the_service() -> None:
    """With PartOf= or BindsTo= a restart of the service would close the socket, and refuse clients."""
    text = (UNIT.parent / "slosh.socket").read_text(encoding="utf-8")
    lines = [line.partition("=")[0] for line in text.splitlines() if line and not line.startswith("#")]
    assert not {"PartOf", "BindsTo"} & set(lines)
    command = [need("systemd-analyze"), "verify", "--man=no", str(UNIT.parent / "slosh.socket")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    told = [line for line in done.stderr.splitlines() if "slosh.socket" in line]
    assert (done.returncode, told) == (0, []), done.stderr
