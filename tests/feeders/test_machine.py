"""The machine feeder's figures are right in unit and sign, and the script behaves at a terminal."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import machine
import pytest

from benchmarks.processes import ProcessGroup
from tests.feeders.conftest import FEEDERS, Stage
from tests.running import PATIENCE


def test_a_reading_is_json_with_figures_in_their_bounds() -> None:
    reading = json.loads(json.dumps(machine.Machine().reading(), allow_nan=False))
    assert set(reading) == {"time", "host", "cpu", "cores", "memory", "network"}
    assert all(0 <= core <= 100 for core in [reading["cpu"], *reading["cores"]])
    assert 0 < reading["memory"]["used"] < reading["memory"]["total"]
    assert set(reading["network"]) == {"received", "sent", "loopback"}


def test_network_figures_are_bytes_a_second_since_the_reading_before(monkeypatch: pytest.MonkeyPatch) -> None:
    traffic = {"received": 1000, "sent": 500, "loopback": 0}
    now = [100.0]
    monkeypatch.setattr(machine, "_traffic", lambda: dict(traffic))
    monkeypatch.setattr("machine.time.monotonic", lambda: now[0])
    source = machine.Machine()
    traffic.update(received=5000, sent=500, loopback=300)
    now[0] += 2
    assert source.reading()["network"] == {"received": 2000, "sent": 0, "loopback": 150}


def test_counters_that_start_again_give_nothing_and_never_a_negative_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    traffic = {"received": 9000, "sent": 9000, "loopback": 9000}
    monkeypatch.setattr(machine, "_traffic", lambda: dict(traffic))
    source = machine.Machine()
    traffic.update(received=0, sent=0, loopback=0)
    assert source.reading()["network"] == {"received": 0, "sent": 0, "loopback": 0}


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_the_script_feeds_sleeps_wakes_and_ends_quietly(stage: Stage, by: signal.Signals) -> None:
    command = [sys.executable, str(FEEDERS / "machine.py"), "--url", stage.url, "--interval", "0.05"]
    feeder = ProcessGroup[str](command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert feeder.stdout is not None
    try:
        assert "cpu" in stage.taken.get(timeout=PATIENCE)
        stage.watchers = 0
        stage.refused.get(timeout=PATIENCE)
        stage.watchers = 1
        lines = [feeder.stdout.readline().strip() for _ in range(4)]
        assert lines[1:] == [
            "somebody looks at machine, feeding",
            "nobody looks at machine, sleeping",
            "somebody looks at machine, feeding again",
        ]
    finally:
        feeder.send_signal(by)
        _, errors = feeder.communicate(timeout=PATIENCE)
    assert (feeder.returncode, errors) == (0, "")
    assert set(stage.paths) == {"/topics/machine"}


@pytest.mark.parametrize("script", ["machine.py", "replay.py"])
def test_help_tells_the_options_that_all_feeders_share(script: str) -> None:
    result = subprocess.run([sys.executable, FEEDERS / script, "--help"], capture_output=True, text=True, check=True)
    assert "--url" in result.stdout
    assert "--topic" in result.stdout
    assert "http://127.0.0.1:8000" in result.stdout


@pytest.mark.parametrize(
    "options", [["--interval", "0"], ["--interval", "-1"], ["--interval", "inf"], ["--interval", "x"]]
)
def test_a_pace_that_is_none_is_refused(options: list[str]) -> None:
    result = subprocess.run(
        [sys.executable, FEEDERS / "machine.py", *options], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "--interval" in result.stderr


def test_without_psutil_it_says_in_one_sentence_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "psutil.py").write_text("raise ModuleNotFoundError('No module named psutil', name='psutil')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, str(FEEDERS / "machine.py"), "--url", "http://127.0.0.1:9"]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert told.returncode == 1
    assert told.stderr == (
        "machine.py reads its figures with psutil, which is not installed: pip install psutil, or `make demo`\n"
    )
