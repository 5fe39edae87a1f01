"""What the tests start is ended with all that it started itself, whatever becomes of the test."""

import contextlib
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from benchmarks.processes import ProcessGroup, ending_all, run_group
from tests.running import PATIENCE, Running

CHECKOUT = Path(__file__).parents[1]

PARENT = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print("child", child.pid, flush=True)
{then}
"""
"""A program that starts another one, which outlives it where nobody ends that too."""
WAITS = "child.wait()"


class Failed(Exception):
    """As raised by a test that fails."""


def is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def assert_gone(*pids: int) -> None:
    """The system removes a killed process in its own time."""
    deadline = time.monotonic() + PATIENCE
    while any(map(is_running, pids)):
        assert time.monotonic() < deadline, [pid for pid in pids if is_running(pid)]
        time.sleep(0.01)


def command(then: str = WAITS) -> list[str]:
    return [sys.executable, "-c", PARENT.format(then=then)]


def test_a_test_that_fails_leaves_neither_its_process_nor_the_children_of_that(tmp_path: Path) -> None:
    started = []
    with contextlib.suppress(Failed), Running(command(), tmp_path) as running:
        started += [running.process.pid, int(running.hear(r"^child (\d+)")[1])]
        raise Failed
    assert len(started) == 2
    assert_gone(*started)


def test_children_of_a_process_that_has_ended_are_ended_too(tmp_path: Path) -> None:
    """As workers whose parent was killed."""
    with Running(command("raise SystemExit(3)"), tmp_path) as running:
        child = int(running.hear(r"^child (\d+)")[1])
        assert running.process.wait(PATIENCE) == 3
    assert_gone(child)


def test_a_process_that_no_with_block_holds_ends_with_its_test() -> None:
    """The block is what `tests/conftest.py` runs every test in."""
    started = []
    with contextlib.suppress(Failed), ending_all():
        process = ProcessGroup[str](command(), stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        with process.stdout as output:
            started += [process.pid, int(output.readline().split()[1])]
        raise Failed
    assert len(started) == 2
    assert_gone(*started)


def test_every_test_runs_in_such_a_block(request: pytest.FixtureRequest) -> None:
    names = [plugin.plugin_name for plugin in request.config.hook.pytest_runtest_call.get_hookimpls()]
    assert str(Path(__file__).with_name("conftest.py")) in names


def test_a_process_that_is_held_by_a_block_around_is_left_alone(tmp_path: Path) -> None:
    """As a server that a fixture keeps for several tests."""
    with Running(command(), tmp_path) as running:
        running.hear("^child")
        with ending_all():
            pass
        assert running.process.poll() is None


def test_a_program_that_ends_without_a_word_to_its_processes_leaves_none() -> None:
    """Nothing is left of a run of the tests that ends by an error outside them."""
    script = f"""
import subprocess
from benchmarks.processes import ProcessGroup
process = ProcessGroup({command()!r}, stdout=subprocess.PIPE, text=True)
print(process.pid, process.stdout.readline().split()[1], flush=True)
raise SystemExit(4)
"""
    done = run_group([sys.executable, "-c", script], cwd=CHECKOUT)
    assert done.returncode == 4, done.stderr
    assert_gone(*map(int, done.stdout.split()))


def test_what_a_command_that_takes_too_long_has_started_is_ended(tmp_path: Path) -> None:
    said = tmp_path / "child"
    script = f"open({str(said)!r}, 'w').write(str(child.pid)); child.wait()"
    for seconds in (1, 4, 16):  # On a busy machine the command needs more until it has started something.
        with pytest.raises(subprocess.TimeoutExpired):
            run_group(command(script), timeout=seconds)
        if said.exists() and said.read_text():
            break
    assert_gone(int(said.read_text()))


@pytest.mark.parametrize("folder", ["tests", "benchmarks"])
def test_all_processes_are_started_in_one_place(folder: str) -> None:
    files = [file for file in (CHECKOUT / folder).rglob("*.py") if file.name != "processes.py"]
    assert files
    starting = re.compile(r"subprocess\.Popen\((?![^)]*child)|os\.(?:fork|spawn\w*)\(")
    # A fork is what the publisher's test is about; its child ends by itself, in a program that leads a group.
    apart = {Path(__file__), CHECKOUT / "tests" / "client" / "test_publisher.py"}
    # What they fork is started by ProcessGroup all the same.
    apart |= {CHECKOUT / "tests" / "forking.py", CHECKOUT / "tests" / "forked.py"}
    assert [str(file) for file in files if starting.search(file.read_text()) and file not in apart] == []
