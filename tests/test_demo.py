"""`make demo` as a user has it: it serves with feeders, and ends by Ctrl-C or a signal without an error."""

import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from benchmarks.ports import free_port
from benchmarks.processes import run_group
from tests.conftest import need
from tests.running import MAKEFILE, Running, children, environment_for_make, get, lives

TOP = MAKEFILE.parent
VENV = sys.prefix
# What the tests run on is installed already, and a test installs nothing.
INSTALLED = [word for stamp in (".demo", ".installed") for word in ("-o", f"{VENV}/{stamp}")]


def below(process: int) -> list[int]:
    """All that a process has started, and what these have."""
    return [each for child in children(process) for each in (child, *below(child))]


def test_a_make_of_a_test_gets_nothing_of_the_make_that_runs_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `make test ARGS=--durations=5 PORT=1` has it: the demo of a test began with that option, and ended."""
    for name, value in {
        "MAKEFLAGS": " -- PORT=1 ARGS=--durations=5",
        "MAKELEVEL": "1",
        "ARGS": "--durations=5",
    }.items():
        monkeypatch.setenv(name, value)
    command = [need("make"), "--dry-run", *INSTALLED, "demo", f"VENV={VENV}"]
    for environment, is_changed in ((dict(os.environ), True), (environment_for_make(), False)):
        told = run_group(command, cwd=TOP, env=environment, check=True).stdout
        assert ("--durations=5" in told, "--port 8000" in told) == (is_changed, not is_changed)
    monkeypatch.delenv("MAKEFLAGS")
    assert "--durations=5" not in run_group(command, cwd=TOP, env=environment_for_make(), check=True).stdout


def test_each_test_that_starts_make_gives_it_such_an_environment() -> None:
    tests = {file: file.read_text(encoding="utf-8") for file in Path(__file__).parent.rglob("test_*.py")}
    starting = {file.name for file, text in tests.items() if file != Path(__file__) and 'need("make")' in text}
    giving = {file.name for file, text in tests.items() if "environment_for_make(" in text}
    assert "test_readme.py" in starting
    assert starting - giving == {"test_installing.py"}, "which gives it PATH and HOME alone"


@pytest.mark.parametrize("how", ["Ctrl-C", "a signal to make"])
def test_it_ends_without_an_error_and_leaves_no_process(how: str) -> None:
    command = [need("make"), *INSTALLED, "demo", f"VENV={VENV}", f"PORT={free_port()}"]
    with Running(command, TOP, environment_for_make()) as demo:
        address = demo.hear(r"is ready on (http://\S+),")[1]
        for feeder in ("machine", "replay"):
            assert json.loads(get(f"{address}/topics/{feeder}?since=earliest"))["saw"]
        started = below(demo.process.pid)
        assert len(started) >= 3, "the server and two feeders"
        if how == "Ctrl-C":
            os.killpg(os.getpgid(demo.process.pid), signal.SIGINT)  # as a terminal does
        else:
            demo.tell(signal.SIGTERM)
        assert demo.end() in (0, -signal.SIGINT, -signal.SIGTERM), demo.output
        assert not [each for each in started if lives(each)]
        assert not re.search(r"Traceback|\*\*\*|[Ee]rror", demo.output), demo.output
