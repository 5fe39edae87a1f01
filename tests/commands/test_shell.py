"""Lines of standard input and of commands, as `slosh pub` reads them."""

import operator
import os
from functools import partial
from pathlib import Path

import psutil
import pytest

from slosh.client import Client, ClientError, Refused, Unreachable
from slosh.client.errors import BadUse
from slosh.commands import shell
from slosh.commands.shared import EXIT_FOUND, EXIT_USAGE
from slosh.commands.shell import ShellCommand, read_lines
from tests.commands.test_pub import kept, pub
from tests.e2e.server import Serving, until
from tests.running import SLOSH, Running, clean_environment


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
