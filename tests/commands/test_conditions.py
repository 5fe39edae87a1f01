"""Commands where something around them is wrong or narrow: disks, pipes, folders, terminals, addresses."""

import os
import resource
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import pytest

from benchmarks.processes import ProcessGroup
from slosh.client import Client
from slosh.commands.shared import EXIT_FOUND, EXIT_USAGE
from tests.conftest import lacking
from tests.e2e.server import Serving
from tests.running import PATIENCE, SLOSH, clean_environment, uncovered

PIPE_CLOSED = 128 + 13
"""As a shell says that a process was ended by SIGPIPE."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    options = ("--linger=10m", "--unwatched=keep")
    with Serving(tmp_path_factory.mktemp("server"), *options) as serving, Client(serving.url) as client:
        client.publish_many("kept", [1, 2, 3])
        yield client


def run(command: Sequence[str], client: Client, stdout: IO[bytes] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
        env=clean_environment(SLOSH_URL=client.url),
    )


def errors_of(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What a command said on standard error, without what it only tells."""
    return [line for line in done.stderr.splitlines() if not line.startswith("slosh: ")]


@pytest.mark.parametrize(
    "words",
    [
        *(("--version",), ("--help",), ("version",), ("pub", "--help"), ("completion", "bash"), ("check",)),
        *(("token", "--read", "a"), ("topics", "--explain", "a"), ("topics",), ("topics", "--json"), ("top",)),
        *(("sub", "kept", "--since=earliest", "--count=3"), ("plot", "kept", "--timeout=100ms")),
        ("record", "kept", "-o", "-", "--since=earliest", "--count=3"),
    ],
    ids=" ".join,
)
def test_a_full_disk_under_standard_output_is_told_in_one_sentence(client: Client, words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = run([*SLOSH, *words], client, stdout=full)
    assert errors_of(done)[-1] == "Error: standard output cannot be written: No space left on device."
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert done.returncode == EXIT_FOUND


@pytest.mark.parametrize("words", ["version", "topics", "sub kept --since=earliest --count=1"])
def test_standard_output_that_was_closed_is_no_place_to_write_to(client: Client, words: str) -> None:
    """It ended with 0, and its output was nowhere."""
    done = run(["/bin/sh", "-c", f'"$@" {words} >&-', "sh", *SLOSH], client)
    assert errors_of(done) == ["Error: standard output cannot be written: Bad file descriptor."]
    assert done.returncode == EXIT_FOUND


def _with_small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))


@pytest.mark.parametrize(
    "words",
    [
        ("record", "kept", "-o", "made", "--since=earliest", "--count=100"),
        ("pub", "spooled", "--spool", "made", "--as", "text"),
    ],
    ids=lambda words: words[0],
)
def test_a_file_that_cannot_grow_is_told_with_its_name(client: Client, words: tuple[str, ...], tmp_path: Path) -> None:
    client.publish_many("kept", [f"{number:040}" for number in range(50)])
    done = subprocess.run(
        [*SLOSH, *words],
        input="".join(f"{number:040}\n" for number in range(500)),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=tmp_path,
        # Python itself would leave compiled modules behind that are cut, and so break every later run.
        env=uncovered(clean_environment(SLOSH_URL=client.url, PYTHONDONTWRITEBYTECODE="1")),
        preexec_fn=_with_small_files,
    )
    assert "Error: made cannot be written: File too large." in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == EXIT_FOUND


def test_a_place_that_cannot_be_kept_is_told_before_anything_is_carried(client: Client, tmp_path: Path) -> None:
    state = tmp_path / "nowhere" / "state"
    done = subprocess.run(
        [*SLOSH, "relay", "kept", "copy", "--since=earliest", "--count=1", "--state", str(state)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=clean_environment(SLOSH_URL=client.url),
    )
    assert done.returncode == EXIT_USAGE
    assert done.stderr.splitlines()[-1] == f"Error: {state} cannot be written: No such file or directory."
    assert client.publish("copy", "the first").max == 1


@pytest.mark.parametrize(
    "words",
    [("sub", "kept"), ("sub", "kept", "--count=9999"), ("record", "kept", "-o", "-")],
    ids=["sub", "sub --count", "record"],
)
def test_a_reader_whose_output_is_read_no_more_ends_before_the_next_message(
    client: Client, words: tuple[str, ...]
) -> None:
    """As behind `| head -1`: it would be a watcher until the next message, which may be hours away."""
    reading, writing = os.pipe()
    process: ProcessGroup[bytes] = ProcessGroup(
        [*SLOSH, *words, "--since=earliest"],
        stdout=writing,
        stderr=subprocess.PIPE,
        env=clean_environment(SLOSH_URL=client.url),
    )
    os.close(writing)
    with os.fdopen(reading, "rb") as output:
        assert output.readline()
        assert client.watchers("kept", wait=PATIENCE) == 1
    assert process.wait(PATIENCE) == PIPE_CLOSED
    assert process.stderr is not None
    assert b"the topics ended after" not in process.stderr.read()


def test_a_server_at_an_address_of_ipv6(tmp_path: Path) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        lacking("this machine has no IPv6")
    with Serving(tmp_path, "--host=::1", "--unwatched=keep", "--linger=10m") as serving:
        assert "[::1]" in serving.url

        def run(*words: str) -> str:
            environment = clean_environment(SLOSH_URL=serving.url)
            done = subprocess.run(
                [*SLOSH, *words], capture_output=True, text=True, check=False, timeout=60, env=environment
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        run("pub", "a", "1")
        run("relay", f"{serving.url}/topics/a", f"{serving.url}/topics/b", "--since=earliest", "--count=1")
        assert run("sub", "b", "--since=earliest", "--count=1") == "1\n"
        assert "the handshake goes through" in run("doctor", serving.url, "--hold=1s")
