"""Lines of standard input and of commands, as `slosh pub` reads them."""

import contextlib
import operator
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from slosh.client import Client, ClientError, Refused, Unreachable
from slosh.client.errors import BadUse
from slosh.commands import shell
from slosh.commands.shared import EXIT_FOUND, EXIT_USAGE
from slosh.commands.shell import ShellCommand, read_lines
from tests.commands.test_pub import kept, pub, publishing
from tests.e2e.server import Serving, until
from tests.running import PATIENCE, SLOSH, Running, clean_environment, hear_from


def test_lines_are_cut_at_their_ends_wherever_the_reads_end() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as file:
        file.write(b"one\r\n\n  \ntwo\nth")
        file.flush()
        lines = read_lines(reading)
        assert next(lines) == [b"one", b"", b"  ", b"two"]
        file.write(b"ree")
    assert list(lines) == [[b"three"]]
    os.close(reading)


def test_the_last_line_may_be_one_of_spaces_alone() -> None:
    """It is a text as those before it, where all are texts."""
    reading, writing = os.pipe()
    os.write(writing, b"a\n  ")
    os.close(writing)
    assert list(read_lines(reading)) == [[b"a"], [b"  "]]
    os.close(reading)


@pytest.mark.parametrize(
    ("data", "lines"), [(b"\xef\xbb\xbfa,b\r\n1\r\n", [b"a,b", b"1"]), (b"\xef\xbb\xbf1\r", [b"1"])]
)
def test_the_mark_with_which_windows_begins_a_file_is_no_part_of_a_line(data: bytes, lines: list[bytes]) -> None:
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    assert [line for several in read_lines(reading) for line in several] == lines
    os.close(reading)


def test_a_line_without_an_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "LONGEST_LINE", 10)
    reading, writing = os.pipe()
    os.write(writing, b"1\n2\n" + b"x" * 20)
    os.close(writing)
    lines = read_lines(reading)
    assert next(lines) == [b"1", b"2"], "those before it are given"
    with pytest.raises(BadUse, match="longer than 10 bytes"):
        list(lines)
    os.close(reading)


def test_a_command_is_ended_with_all_that_it_started() -> None:
    command = ShellCommand("echo $$; sleep 600 & sleep 600")
    process = int(next(command.lines())[0])
    started = psutil.Process(process).children(recursive=True)
    command.stop()
    command.stop()
    assert not psutil.wait_procs(started, timeout=30)[1]
    assert command.code == 0


def test_so_is_what_obeys_nothing_behind_a_shell_that_obeys(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in `a | b`, where the shell ends at once."""
    monkeypatch.setattr(shell, "_OBEYS", 0.3)
    command = ShellCommand("""sh -c 'trap "" TERM; echo $$; exec sleep 600' & wait""")
    process = psutil.Process(int(next(command.lines())[0]))
    try:
        command.stop()
        until(lambda: process.is_running() and process.status() != psutil.STATUS_ZOMBIE, operator.not_)
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


@contextlib.contextmanager
def silent_server() -> Iterator[tuple[str, socket.socket]]:
    """The address of a server that answers nothing, and its socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", listener


@contextlib.contextmanager
def ended_command(file: Path) -> Iterator[None]:
    """See that the command which has written its process to this file is gone."""
    try:
        yield
        until(partial(psutil.pid_exists, int(file.read_text())), operator.not_)
    finally:
        with contextlib.suppress(OSError, ValueError):
            os.killpg(int(file.read_text()), signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("words", "told"),
    [((), b"5 messages were read and not published"), (("--spool", "s"), b"10 bytes of messages wait in s;")],
)
def test_a_second_signal_leaves_no_command_behind_and_no_line_untold(
    words: tuple[str, ...], told: bytes, number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ended slosh on the spot, and the command ran on for ever."""
    monkeypatch.chdir(tmp_path)
    process = tmp_path / "process"
    script = f"echo $$ > {process}; seq 5; exec sleep 600"
    with (
        ended_command(process),
        silent_server() as (url, listener),
        publishing("twice", url, "--exec", script, *words) as ours,
        listener.accept()[0] as connection,
    ):
        connection.settimeout(PATIENCE)
        hear_from(connection, b"POST")  # all lines are read by then
        ours.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            ours.wait(0.3)  # The second one is to come in the two seconds of parting.
        ours.send_signal(number)
        _, said = ours.communicate(timeout=PATIENCE)
        assert told in said
        assert b"Traceback" not in said
        assert ours.returncode == (130 if number == signal.SIGINT else -number)


def test_signals_in_a_row_end_a_command_that_obeys_none(tmp_path: Path) -> None:
    process = tmp_path / "process"
    script = f"trap '' TERM; echo $$ > {process}; seq 5; while :; do sleep 600; done"
    with (
        ended_command(process),
        silent_server() as (url, listener),
        publishing("twice", url, "--exec", script) as ours,
        listener.accept()[0],
    ):
        while ours.poll() is None:
            ours.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                ours.wait(0.2)
        assert ours.returncode == -signal.SIGTERM


def test_what_a_command_prints_is_published_and_its_failure_is_told(tmp_path: Path) -> None:
    with Serving(tmp_path, "--unwatched=keep") as serving:
        done = pub(serving.url, "made", "--exec", "seq 5; echo said >&2")
        assert (done.returncode, b"said" in done.stderr) == (0, True)
        assert kept(serving.url, "made") == [1, 2, 3, 4, 5]
        done = pub(serving.url, "fails", "--exec", "echo 1; exit 3")
        assert (done.returncode, b"the command ended with 3" in done.stderr) == (EXIT_FOUND, True)
        assert kept(serving.url, "fails") == [1]
        for words in (("a", "1", "--exec", "x"), ("a", "--exec", "x", "--when-watched", "--end")):
            assert pub(serving.url, *words).returncode == EXIT_USAGE


def test_while_nobody_watches_the_command_does_not_run(tmp_path: Path) -> None:
    """It starts with the first watcher, ends after the last has lingered, and starts again with the next."""
    script = f"echo $$ >> {tmp_path}/ran; while :; do echo 1; sleep 0.1; done"
    started = tmp_path / "ran"
    with (
        Serving(tmp_path, "--linger=500ms") as serving,
        Running(
            [*SLOSH, "pub", "needed", "--when-watched", "--exec", script],
            tmp_path,
            clean_environment(SLOSH_URL=serving.url),
        ) as publishing,
    ):
        for times in (1, 2):
            with Client(serving.url) as client, client.watch("needed") as watch:
                assert next(watch).message == 1
                # The command before may have left a line that comes only now.
                until(lambda: len(started.read_text().split()), partial(operator.eq, times))
                processes = started.read_text().split()
                runs = partial(psutil.pid_exists, int(processes[-1]))
                assert runs()
            until(runs, lambda seen: not seen)
        publishing.process.terminate()


@pytest.mark.parametrize("error", [Unreachable("Nothing answers."), Refused(502, {}, "a proxy")], ids=["away", "502"])
def test_a_server_that_is_away_is_asked_again_whether_somebody_watches(
    error: ClientError, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[ClientError | int] = [error, 0, 1]

    def watchers(client: Client, topic: str, *, wait: float) -> int:
        del client, topic, wait
        answer = answers.pop(0)
        if isinstance(answer, ClientError):
            raise answer
        return answer

    monkeypatch.setattr(Client, "watchers", watchers)
    monkeypatch.setattr("slosh.commands.shared._PAUSE", 0.0)
    command = ShellCommand("echo 1")
    assert list(command.lines_while_watched(Client("http://127.0.0.1:1"), "a", lambda: 0)) == [[b"1"]]
