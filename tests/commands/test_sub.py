"""`slosh sub`: messages as lines, for people and for pipes."""

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from benchmarks.ports import free_port
from benchmarks.processes import ProcessGroup
from slosh.client import Client
from slosh.client.pieces import members
from slosh.commands.shared import EXIT_ENDED, EXIT_FOUND, EXIT_TIMED_OUT, EXIT_USAGE
from slosh.commands.sub import _clock
from tests.client.scripted import Scripted
from tests.commands.terminal import Terminal
from tests.e2e.server import Serving, until
from tests.running import PATIENCE, SLOSH, Running, clean_environment, lives


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Serving(tmp_path_factory.mktemp("server"), "--unwatched=keep", "--linger=10m", "--queue=10") as serving:
        yield serving.url


@pytest.fixture
def client(server: str) -> Iterator[Client]:
    with Client(server) as client:
        yield client


def sub(client: Client, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SLOSH, "sub", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=clean_environment(SLOSH_URL=client.url, TZ="UTC"),
    )


def test_messages_are_lines_as_they_were_posted(client: Client) -> None:
    client.publish_encoded("sub/lines", [b'{"t": 21.50}'])
    client.publish_encoded("sub/lines", [b'"\\u001b[31m"'])
    done = sub(client, "sub/lines", "--since=earliest", "--count=2")
    assert (done.returncode, done.stdout) == (0, '{"t": 21.50}\n"\\u001b[31m"\n')


def test_a_message_of_several_lines_is_one_line(client: Client) -> None:
    client.connect().post(f"{client.url}/topics/sub/pretty", content=b'{\n "t": 1\n}')
    assert sub(client, "sub/pretty", "--last=1", "--count=1").stdout == '{  "t": 1 }\n'


def test_several_topics_are_named(client: Client) -> None:
    client.publish("sub/n/a", 1)
    client.publish("sub/n/b", 2)
    done = sub(client, "sub/n/*", "--since=earliest", "--count=2")
    assert sorted(done.stdout.splitlines()) == ["sub/n/a\t1", "sub/n/b\t2"]
    assert sorted(sub(client, "sub/n/*", "--since=earliest", "--count=2", "--raw").stdout.split()) == ["1", "2"]


def test_an_envelope_is_an_object_a_line(client: Client) -> None:
    client.publish("sub/envelope", {"t": 1})
    told = json.loads(sub(client, "sub/envelope", "--last=1", "--count=1", "--envelope").stdout)
    assert (told["topic"], told["offset"], told["message"]) == ("sub/envelope", 1, {"t": 1})


def test_what_was_missed_is_told_on_standard_error(client: Client) -> None:
    client.publish_many("sub/lost", range(30))
    with client.watch("sub/lost", since="earliest") as watch:
        epoch = next(watch).place.partition(".")[0]
    done = sub(client, "sub/lost", f"--since={epoch}.0", "--count=1")
    assert done.stdout == "20\n"
    assert "20 messages of sub/lost were missed" in done.stderr


def test_time_that_runs_out_is_an_exit_code_of_its_own(client: Client) -> None:
    assert sub(client, "sub/silent", "--timeout=300ms").returncode == EXIT_TIMED_OUT


def test_a_refusal_is_a_sentence(client: Client) -> None:
    done = sub(client, "sub/x", "--since=yesterday")
    assert done.returncode == EXIT_USAGE
    assert done.stderr.startswith("Error: since is")


def test_a_command_is_run_for_each_message(client: Client) -> None:
    client.publish_many("sub/exec", [1, 2])
    assert sub(client, "sub/exec", "--since=earliest", "--count=2", "--exec=cat").stdout == "1\n2\n"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--count=3",), EXIT_FOUND),
        ((), EXIT_FOUND),
        (("--count=4",), EXIT_ENDED),
        (("--count=1",), 0),
    ],
)
def test_a_command_that_fails_is_told_and_gives_the_exit_code(
    client: Client, words: tuple[str, ...], code: int
) -> None:
    """At the end: the messages that come later are read as well."""
    topic = f"sub/fails/{len(words)}/{code}"
    client.publish_many(topic, [1, 2, 3], open=True, end=True)
    done = sub(client, topic, "--since=earliest", *words, "--exec=read n; echo $n; test $n != 2")
    assert done.returncode == code, done.stderr
    assert done.stdout.split() == ["1", "2", "3"][: 1 if code == 0 else 3]
    assert done.stderr.count("the command ended with 1") == (code != 0)
    assert ("the command failed for 1 of 3 messages" in done.stderr) == (code != 0)


def test_a_reader_that_has_enough_is_no_mistake(client: Client) -> None:
    """As behind `| head -1`: no traceback, and nothing on standard error."""
    client.publish_many("sub/pipe", range(10))
    reader: ProcessGroup[str]
    with ProcessGroup(
        ["/bin/sh", "-c", f"{' '.join(SLOSH)} sub sub/pipe --since=earliest | head -1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(SLOSH_URL=client.url),
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "0\n"
        client.publish("sub/pipe", 1)
        client.publish("sub/pipe", 2)
        assert reader.communicate(timeout=PATIENCE) == ("", "")


def test_a_terminal_obeys_nothing_that_stands_in_a_message(client: Client) -> None:
    client.publish_encoded("sub/terminal", ['"\u009b31m \u202e"'.encode()])
    ours, theirs = pty.openpty()
    process: ProcessGroup[bytes] = ProcessGroup(
        [*SLOSH, "sub", "sub/terminal", "--since=earliest", "--count=1"],
        stdout=theirs,
        env=clean_environment(SLOSH_URL=client.url),
    )
    os.close(theirs)
    written = b""
    while not written.endswith(b"\n"):
        written += os.read(ours, 1000)
    assert written.decode() == '"\\x9b31m \\u202e"\r\n'
    assert process.wait(PATIENCE) == 0
    os.close(ours)


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": "", "TERM": "dumb"}, False)],
)
def test_a_terminal_gets_colours_unless_it_says_no(environment: dict[str, str], coloured: bool, client: Client) -> None:
    client.publish("colour/one", 1)
    with Terminal(
        *("sub", "colour/*", "--since=1h", "--times", "--count=1"), url=client.url, environment=environment
    ) as terminal:
        assert terminal.process.wait(PATIENCE) == 0
        terminal.until("1\r\n")
        assert ("\x1b[" in terminal.written) is coloured


def test_ctrl_c_ends_it_quietly(client: Client, tmp_path: Path) -> None:
    with Running([*SLOSH, "sub", "sub/interrupted"], tmp_path, clean_environment(SLOSH_URL=client.url)) as process:
        assert client.watchers("sub/interrupted", wait=PATIENCE) == 1
        process.tell(signal.SIGINT)
        assert process.end() == 130
    assert "Traceback" not in process.output


def test_it_goes_on_over_a_restart_of_the_server(tmp_path: Path) -> None:
    port = free_port()
    with Serving(tmp_path, port=port) as serving, Client(serving.url) as client:
        process: ProcessGroup[bytes] = ProcessGroup(
            [*SLOSH, "sub", "again", "--count=2"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=clean_environment(SLOSH_URL=serving.url),
        )
        assert client.watchers("again", wait=PATIENCE) == 1
        client.publish("again", 1)
        until(lambda: client.watchers("again"), lambda count: count == 1)
    with Serving(tmp_path, port=port) as serving, Client(serving.url) as client:
        assert client.watchers("again", wait=PATIENCE) == 1
        client.publish("again", 2)
        out, told = process.communicate(timeout=PATIENCE)
    assert out == b"1\n2\n"
    assert b"again started again" in told


def test_it_ends_with_its_topic(client: Client) -> None:
    client.publish("sub/ends", 1)
    client.publish("sub/ends", 2, end=True)
    done = sub(client, "sub/ends", "--since", "earliest")
    assert (done.returncode, done.stdout) == (0, "1\n2\n")


def test_an_end_before_all_that_was_asked_for_has_an_exit_code(client: Client) -> None:
    client.publish("sub/short", 1, end=True)
    done = sub(client, "sub/short", "--since", "earliest", "--count", "2")
    assert (done.returncode, done.stdout) == (EXIT_ENDED, "1\n")
    assert "after 1 of 2 messages" in done.stderr


POISON = ("9" * 4301, "1e400", '"\\ud800"', '{"\\ud800":"\\udfff"}', "[" * 500 + "]" * 500, '{"a":1,"a":2}', "21.50")
"""Messages that Python has no value for, or another one than JSON."""


def test_every_line_is_the_json_that_was_posted(client: Client) -> None:
    client.publish_encoded("sub/poison", [text.encode() for text in POISON])
    number = str(len(POISON))
    assert sub(client, "sub/poison", "--since=earliest", "--count", number).stdout.splitlines() == list(POISON)
    done = sub(client, "sub/poison", "--since=earliest", "--envelope", "--count", number)
    assert (done.returncode, done.stderr) == (0, "")
    for line, text in zip(done.stdout.splitlines(), POISON, strict=True):
        assert members(line)["message"] == text


def test_what_standard_output_has_no_bytes_for_is_escaped_as_json_does(client: Client) -> None:
    client.publish("sub/grad", "21 \u00b0C \U0001f321")
    done = subprocess.run(
        [*SLOSH, "sub", "sub/grad", "--last=1", "--count=1"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=clean_environment(SLOSH_URL=client.url, PYTHONIOENCODING="ascii"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == "21 \u00b0C \U0001f321"
    assert done.stdout.isascii()


def test_what_is_no_json_is_told_and_the_next_message_is_printed() -> None:
    broken = 'id: aaaaaaaa.1\ndata: {"time":1,"mess<html>\n\n'
    script: list[dict[str, str]] = [{"stream": "retry: 10\n\n" + broken, "then": "cut"}]
    script.append({"stream": broken + 'id: aaaaaaaa.2\ndata: {"time":1,"message":2}\n\n', "then": "hang"})
    with Scripted(script) as server, Client(server.url) as client:
        done = sub(client, "kitchen", "--count=1")
    assert (done.returncode, done.stdout) == (0, "2\n")
    assert "The message of kitchen before the place aaaaaaaa.1 cannot be read: what came is no JSON." in done.stderr


def test_a_time_of_arrival_is_told_to_its_millisecond(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert _clock(1795864236.649) == "2026-11-28T11:10:36.649"
    assert _clock(1795864236.9999) == "2026-11-28T11:10:37.000"
    monkeypatch.undo()
    time.tzset()


def test_a_signal_ends_all_that_runs_for_a_message(client: Client, tmp_path: Path) -> None:
    """The shell ended, and what it had started ran on."""
    client.publish("sub/ended", 1)
    file = tmp_path / "process"
    script = f"sh -c 'echo $$ > {file}.new; mv {file}.new {file}; exec sleep 600'; true"
    words = [*SLOSH, "sub", "sub/ended", "--since=earliest", "--exec", script]
    with ProcessGroup(words, env=clean_environment(SLOSH_URL=client.url)) as ours:
        until(file.exists, bool)
        started = psutil.Process(int(file.read_text()))
        ours.terminate()
        assert ours.wait(PATIENCE) == -signal.SIGTERM
        left = psutil.wait_procs([started], PATIENCE)[1]
        for each in left:
            each.kill()
        assert not left


def test_the_time_bounds_the_command_of_a_message_too(client: Client, tmp_path: Path) -> None:
    """It was waited for as long as it took, which may be for ever."""
    client.publish("sub/slow", 1)
    file = tmp_path / "process"
    done = sub(client, "sub/slow", "--since=earliest", "--timeout=3s", f"--exec=echo $$ > {file}; sleep 600")
    assert (done.returncode, done.stderr) == (
        EXIT_TIMED_OUT,
        "slosh: the command was ended, because the time ran out\nslosh: the command failed for 1 of 1 message\n",
    )
    assert not lives(int(file.read_text()))
    quick = sub(client, "sub/slow", "--since=earliest", f"--timeout={PATIENCE}s", "--count=1", "--exec=cat")
    assert (quick.returncode, quick.stdout) == (0, "1\n")
