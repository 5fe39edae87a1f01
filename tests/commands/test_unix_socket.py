"""Every command that talks to a server does so through its Unix socket too."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from slosh.cli import main
from slosh.client import Client
from slosh.commands.shared import EXIT_UNREACHABLE, EXIT_USAGE
from tests.e2e.server import Serving
from tests.running import SLOSH, clean_environment


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("socket")
    with Serving(folder, f"--uds={folder}/slosh.sock", "--linger=10m"), Client(f"unix:{folder}/slosh.sock") as client:
        yield client


def run(client: Client, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = clean_environment(SLOSH_URL=client.url)
    return subprocess.run(
        [*SLOSH, *words], input=stdin, capture_output=True, text=True, check=False, timeout=60, env=environment
    )


def test_publishing_reading_recording_and_listing(client: Client, tmp_path: Path) -> None:
    client.open("shell")
    assert run(client, "pub", "shell", "1").returncode == 0
    assert run(client, "pub", "shell", stdin="2\n3\n").returncode == 0
    assert run(client, "pub", "shell", f"--spool={tmp_path}/spool", stdin="4\n").returncode == 0
    assert run(client, "sub", "shell", "--since=earliest", "--count=4").stdout.split() == ["1", "2", "3", "4"]
    assert json.loads(run(client, "topics", "--json").stdout.splitlines()[0])["name"] == "shell"
    assert "shell" in run(client, "top").stdout
    assert "shell" in run(client, "plot", "shell", "--timeout=200ms").stdout
    done = run(client, "record", "shell", f"--output={tmp_path}/shell.jsonl", "--since=earliest", "--count=4")
    assert done.returncode == 0, done.stderr
    client.open("again")
    done = run(client, "replay", f"{tmp_path}/shell.jsonl", "--speed=0", "--to=again")
    assert (done.returncode, done.stderr) == (0, "slosh: 4 messages published\n")


def test_a_relay_from_a_socket_to_a_socket(client: Client) -> None:
    client.open("from")
    client.publish("from", "carried")
    client.open("to")
    words = (f"{client.url}/topics/from", f"{client.url}/topics/to")
    done = run(client, "relay", *words, "--since=earliest", "--count=1")
    assert done.returncode == 0, done.stderr
    assert run(client, "sub", "to", "--since=earliest", "--count=1").stdout == '"carried"\n'
    done = run(client, "relay", client.url, "to")
    assert (done.returncode, "unix:/run/slosh.sock/topics/" in done.stderr) == (EXIT_USAGE, True)


def test_the_doctor_finds_no_fault(client: Client) -> None:
    done = CliRunner().invoke(main, ["doctor", client.url, "--hold=1s"])
    assert done.exit_code == 0, done.output
    assert "FAULT" not in done.output
    assert "ok     WebSocket: the handshake goes through" in done.output
    assert "browsers cannot use a Unix socket" in done.output


@pytest.mark.parametrize(
    "words",
    [
        *(("pub", "a", "1"), ("sub", "a"), ("topics",), ("doctor",), ("record", "a", "-o", "{folder}/f")),
        *(("plot", "a"), ("relay", "a", "b"), ("top",)),
    ],
    ids=lambda words: words[0],
)
def test_what_is_no_socket_is_told_in_one_sentence(words: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "slosh.sock"
    path.touch()
    arguments = [word.format(folder=tmp_path) for word in words]
    done = CliRunner().invoke(main, [*arguments, "--url", f"unix:{path}"])
    assert done.exit_code == EXIT_UNREACHABLE, done.output
    assert f"{path} is there, and is no socket" in done.output
    assert "Traceback" not in done.output
