"""`slosh sub`: messages as lines, for people and for pipes."""

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.processes import ProcessGroup
from slosh.client import Client
from slosh.commands.shared import EXIT_REFUSED, EXIT_TIMED_OUT
from tests.e2e.server import Serving, until
from tests.running import PATIENCE, SLOSH, Running, clean_environment


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Serving(tmp_path_factory.mktemp("server"), "--unwatched=keep", "--linger=60s", "--queue=10") as serving:
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
    assert done.returncode == EXIT_REFUSED
    assert done.stderr.startswith("Error: since is")


def test_a_command_is_run_for_each_message(client: Client) -> None:
    client.publish_many("sub/exec", [1, 2])
    assert sub(client, "sub/exec", "--since=earliest", "--count=2", "--exec=cat").stdout == "1\n2\n"


def test_a_reader_that_has_enough_is_no_mistake(client: Client) -> None:
    """As behind `| head -1`: no traceback, and nothing on standard error."""
    client.publish_many("sub/pipe", range(10))
    shell = f"{' '.join(SLOSH)} sub sub/pipe --since=earliest | head -1"
    done = subprocess.run(
        [
            "/bin/sh",
            "-c",
            f"({shell}) & sleep 2; {' '.join(SLOSH)} pub sub/pipe 1; sleep 1; {' '.join(SLOSH)} pub sub/pipe 2; wait",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=clean_environment(SLOSH_URL=client.url),
    )
    assert done.stdout == "0\n"
    assert done.stderr == ""


def test_a_terminal_obeys_nothing_that_stands_in_a_message(client: Client) -> None:
    client.publish_encoded("sub/terminal", ['"\u009b31m \u202e"'.encode()])
    ours, theirs = pty.openpty()
    process: ProcessGroup[bytes] = ProcessGroup(
        [*SLOSH, "sub", "sub/terminal", "--since=earliest", "--count=1"],
        stdout=theirs,
        env=clean_environment(SLOSH_URL=client.url),
    )
    os.close(theirs)
    assert os.read(ours, 1000).decode() == '"\\x9b31m \\u202e"\r\n'
    assert process.wait(PATIENCE) == 0
    os.close(ours)


def test_ctrl_c_ends_it_quietly(client: Client, tmp_path: Path) -> None:
    with Running([*SLOSH, "sub", "sub/interrupted"], tmp_path, clean_environment(SLOSH_URL=client.url)) as process:
        assert client.watchers("sub/interrupted", wait=PATIENCE) == 1
        process.tell(signal.SIGINT)
        assert process.end() in (1, 130)
    assert "Traceback" not in process.output


def test_it_goes_on_over_a_restart_of_the_server(tmp_path: Path) -> None:
    with Serving(tmp_path) as serving, Client(serving.url) as client:
        port = int(serving.url.rpartition(":")[2])
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
    assert b"again began a new life" in told
