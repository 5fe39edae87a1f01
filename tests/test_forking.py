"""A command that is forked is as one that is started afresh, and one that a fork cannot give is started afresh."""

import contextlib
import fcntl
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.processes import ProcessGroup, run_group
from tests import forking
from tests.forking import forked_tests, fresh_starts
from tests.running import SLOSH, Running, clean_environment, lives

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or "coverage" in sys.modules, reason="nothing is forked while lines are counted"
)
STARTS: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {
    "forked": contextlib.nullcontext,
    "fresh": fresh_starts,
}


def is_forked(pid: int) -> bool:
    return b"forked.py" in Path(f"/proc/{pid}/cmdline").read_bytes()


def seen(pid: int) -> dict[str, object]:
    """What the system tells of a process, where two of the same kind agree."""
    place = Path("/proc", str(pid))
    state = place.joinpath("stat").read_text().rpartition(") ")[2].split()
    status = dict(line.split(":\t", 1) for line in place.joinpath("status").read_text().splitlines())
    return {
        "parent": int(state[1]),
        "leads its group and session": (int(state[2]) == pid, int(state[3]) == pid),
        "folder": place.joinpath("cwd").readlink(),
        "program": place.joinpath("exe").readlink(),
        "files": {int(each.name): str(each.readlink()).partition(":")[0] for each in place.joinpath("fd").iterdir()},
        "limits": place.joinpath("limits").read_text(),
        **{name: status[name] for name in ("Umask", "Uid", "SigBlk", "SigIgn", "SigCgt", "Threads", "CapEff")},
    }


@pytest.fixture
def odd_state() -> Iterator[None]:
    """Have this process in a state that is not the usual one."""
    umask, limits = os.umask(0o027), resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[0] - 7, limits[1]))
    yield
    os.umask(umask)
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_server_is_to_the_system_as_one_that_is_started_afresh(tmp_path: Path, odd_state: None) -> None:
    found = []
    for name, start in STARTS.items():
        with start(), Running([*SLOSH, "serve", "--port", "0"], tmp_path) as server:
            server.hear("is ready on")
            server.hear("Ctrl-C")
            assert is_forked(server.process.pid) == (name == "forked")
            found.append(seen(server.process.pid))
            server.tell(signal.SIGTERM)
            assert server.end() == 0
    assert found[0]["parent"] == os.getpid()
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "words", [["--version"], ["serve", "--port=x"], ["pub", "a"], ["nonsense"], ["check"]], ids=str
)
def test_it_prints_and_returns_the_same(words: list[str], tmp_path: Path) -> None:
    done = []
    for start in STARTS.values():
        with start():
            done.append(run_group([*SLOSH, *words], cwd=tmp_path, env=clean_environment(), stdin=subprocess.DEVNULL))
    assert (done[0].returncode, done[0].stdout, done[0].stderr) == (done[1].returncode, done[1].stdout, done[1].stderr)


SCRIPT = """
import os, sys, time
from beside import NAME

print(NAME, __name__, __file__, sys.argv, sys.orig_argv, sys.path[0], os.getcwd(), time.tzname, sys.stdin.read())
raise SystemExit(7)
"""


def test_a_script_has_its_words_its_folder_and_its_time_zone(tmp_path: Path) -> None:
    script = tmp_path / "scripts" / "it.py"
    script.parent.mkdir()
    script.write_text(SCRIPT)
    script.with_name("beside.py").write_text("NAME = 'beside'")
    done = []
    for start in STARTS.values():
        with start():
            command = [sys.executable, str(script), "--a", "b c"]
            environment = clean_environment(TZ="Asia/Tokyo")
            run = subprocess.run(
                command, input="in", capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
            )
            done.append(run)
    assert done[0].returncode == 7
    assert "JST" in done[0].stdout
    assert (done[0].stdout, done[0].stderr) == (done[1].stdout, done[1].stderr)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signals_end_it_as_they_do_a_fresh_one(number: signal.Signals, tmp_path: Path) -> None:
    codes = []
    for start in STARTS.values():
        with start(), Running([*SLOSH, "sub", "a"], tmp_path, clean_environment(SLOSH_URL="http://127.0.0.1:9")) as it:
            it.hear("no answer")
            it.tell(number)
            codes.append(it.end())
    assert codes[0] == codes[1]


def test_it_has_the_files_that_are_passed_and_no_other(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    passed = fcntl.fcntl(writing, fcntl.F_DUPFD, 500)
    with Running([*SLOSH, "serve", "--port", "0"], tmp_path) as other:
        other.hear("is ready on")
        process = ProcessGroup[str](
            [*SLOSH, "pub", "a"],
            pass_fds=[passed],
            stdin=subprocess.PIPE,
            env=clean_environment(SLOSH_URL="http://[::1]:9"),
        )
        os.close(passed)
        os.close(writing)
        assert is_forked(process.pid)
        assert f"/proc/{process.pid}/fd/{passed}" in map(str, Path(f"/proc/{process.pid}/fd").iterdir())
        process.end()
        assert os.read(reading, 1) == b""  # no other process has the end that is written to
    os.close(reading)


def test_a_folder_that_is_missing_is_the_error_that_it_always_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        subprocess.run([*SLOSH, "--version"], cwd=tmp_path / "missing", check=False)


@pytest.mark.parametrize(
    "options",
    [
        {"env": {**os.environ, "LC_ALL": "C"}},
        {"env": {**os.environ, "PYTHONWARNINGS": "error"}},
        {"preexec_fn": lambda: None},
        {"close_fds": False},
    ],
    ids=["locale", "python", "function", "files"],
)
def test_what_a_fork_cannot_give_is_started_afresh(options: dict[str, object]) -> None:
    with ProcessGroup[bytes]([*SLOSH, "pub", "a"], stdin=subprocess.PIPE, **options) as process:
        assert not is_forked(process.pid)


def test_what_is_forked_ends_with_the_test_and_what_forks_with_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forking, "_forkers", {})
    end: Callable[[], None] = forking.pytest_sessionfinish
    with Running([*SLOSH, "serve", "--port", "0"], tmp_path) as server:
        server.hear("is ready on")
        (forker,) = forking._forkers.values()
        end()
        forking.pytest_sessionstart()
        assert not lives(forker.pid)
        assert lives(server.process.pid)
    assert not lives(server.process.pid)


@pytest.mark.timeout(600)  # seconds on a machine that does nothing else
def test_a_run_of_pytest_is_forked_and_tests_what_its_path_names_as_it_is_then(tmp_path: Path) -> None:
    """A break that is not seen would survive, and one that stays would kill the next."""
    tmp_path.joinpath("test_it.py").write_text(
        "from pathlib import Path\nfrom subject import WORD\n\ndef test_it():\n"
        "    assert b'forked.py' in Path('/proc/self/cmdline').read_bytes()\n    assert WORD == 'whole'\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"]
    with forked_tests():
        for name, word in [("a", "whole"), ("b", "broken"), ("a", "broken"), ("b", "whole")]:
            folder = tmp_path / name
            folder.mkdir(exist_ok=True)
            folder.joinpath("subject.py").write_text(f"WORD = {word!r}")
            environment = clean_environment(
                PYTHONPATH=str(folder), PYTHONDONTWRITEBYTECODE="1", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"
            )
            done = run_group(command, cwd=tmp_path, env=environment, timeout=100)
            assert done.returncode == (0 if word == "whole" else 1), done.stdout
        forkers = [each.pid for each in forking._testers.values()]
        assert len(forkers) == 2
    assert not any(map(lives, forkers))


def test_outside_such_a_block_pytest_is_started_afresh() -> None:
    with ProcessGroup[bytes]([sys.executable, "-m", "pytest", "--version"], stdout=subprocess.DEVNULL) as process:
        assert not is_forked(process.pid)
