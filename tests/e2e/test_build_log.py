"""The example of a build's output: whoever comes gets all of it, its end and its exit code."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.processes import run_group
from slosh.client import Client
from tests.running import SLOSH, Running, clean_environment

if TYPE_CHECKING:
    import subprocess

EXAMPLE = Path(__file__).parents[2] / "examples" / "build-log"
BUILD = "import sys; [print(each, flush=True) for each in range(200)]; sys.exit('it failed')"
SLEEPS = "import time; print('begun'); time.sleep(600)"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    command = [*SLOSH, "serve", "--port", "0", "--config", str(EXAMPLE / "slosh.toml")]
    with Running(command, tmp_path_factory.mktemp("server")) as server:
        yield server.hear(r"is ready on (\S+?),?( |$)")[1]


def test_a_reader_gets_all_lines_and_the_exit_code(url: str, tmp_path: Path) -> None:
    environment = clean_environment(SLOSH_URL=url)
    follow = [sys.executable, str(EXAMPLE / "follow.py"), "build/1"]
    with Running(follow, tmp_path, environment) as early:
        with Client(url) as client:
            assert client.watchers("build/1", wait=30.0)
        build = [sys.executable, str(EXAMPLE / "build.py"), "build/1", sys.executable, "-c", BUILD]
        assert run_group(build, env=environment).returncode == 1
        assert early.end() == 1
    late = run_group(follow, env=environment)
    assert late.returncode == 1
    [command, *lines] = late.stdout.splitlines()
    assert command.startswith(f"$ {sys.executable} -c ")
    assert lines == [*map(str, range(200)), "it failed"]
    assert early.lines == [command, *lines]


def build(url: str, topic: str, *command: str) -> "subprocess.CompletedProcess[str]":
    return run_group([sys.executable, str(EXAMPLE / "build.py"), topic, *command], env=clean_environment(SLOSH_URL=url))


def follow(url: str, topic: str) -> "subprocess.CompletedProcess[str]":
    return run_group([sys.executable, str(EXAMPLE / "follow.py"), topic], env=clean_environment(SLOSH_URL=url))


def test_a_second_build_under_the_same_name_is_refused_before_it_runs(url: str, tmp_path: Path) -> None:
    """Else its readers would be told how the first one ended."""
    assert build(url, "build/again", "true").returncode == 0
    second = build(url, "build/again", "touch", str(tmp_path / "ran"))
    assert second.returncode == 2
    assert "was not started" in second.stderr
    assert "has ended" in second.stderr
    assert not (tmp_path / "ran").exists()
    with Client(url) as client:  # in a shell it is told too
        assert client.end("build/again").ended
    script = f"echo second | {sys.executable} -m slosh pub build/again --as text --end"
    done = run_group(["/bin/sh", "-c", script], env=clean_environment(SLOSH_URL=url))
    assert done.returncode == 6
    assert "has ended" in done.stderr


def test_a_command_that_is_not_found_has_an_end_and_an_exit_code(url: str) -> None:
    done = build(url, "build/none", "no-such-command")
    assert done.returncode == 127
    assert "Traceback" not in done.stderr
    told = follow(url, "build/none")
    assert (told.returncode, told.stdout) == (127, "$ no-such-command\n")
    assert "no-such-command" in told.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_build_that_is_stopped_has_an_end(url: str, tmp_path: Path, number: signal.Signals) -> None:
    topic = f"build/stopped/{number:d}"
    command = [sys.executable, str(EXAMPLE / "build.py"), topic, sys.executable, "-uc", SLEEPS]
    with Running(command, tmp_path, clean_environment(SLOSH_URL=url)) as running, Client(url) as client:
        for item in client.watch(topic, since="earliest", deadline=60.0):
            if item.message == "begun":
                break
        running.tell(number)
        assert running.end() == 130
    assert follow(url, topic).returncode == 130


def test_without_a_topic_or_a_command_nothing_is_run(url: str, tmp_path: Path) -> None:
    done = build(url, "build/*", "touch", str(tmp_path / "ran"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "ran").exists()
    for script in ("build.py", "follow.py"):
        bare = run_group([sys.executable, str(EXAMPLE / script)], env=clean_environment())
        assert bare.returncode == 1
        assert f"python {script} TOPIC" in bare.stderr


def test_a_shell_does_the_same(url: str) -> None:
    environment = clean_environment(SLOSH_URL=url)
    script = f"seq 20 | {sys.executable} -m slosh pub build/2 --as text --end"
    assert run_group(["/bin/sh", "-c", script], env=environment).returncode == 0
    done = run_group([*SLOSH, "sub", "build/2", "--since", "earliest"], env=environment)
    assert (done.returncode, done.stdout.split()) == (0, [f'"{number}"' for number in range(1, 21)])
