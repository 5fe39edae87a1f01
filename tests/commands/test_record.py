"""`slosh record` and the lines that it writes."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from slosh.cli import main
from slosh.client import Client
from slosh.client.pieces import members
from slosh.commands.shared import EXIT_TIMED_OUT, EXIT_USAGE
from tests.client.scripted import Scripted
from tests.commands.test_sub import POISON
from tests.e2e.server import Serving
from tests.running import PATIENCE, SLOSH, clean_environment


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    options = ("--unwatched=keep", "--linger=10m", "--queue=10")
    with Serving(tmp_path_factory.mktemp("server"), *options) as serving, Client(serving.url) as client:
        yield client


def record(client: Client, *arguments: str, most: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the command.

    Args:
        most: 512 bytes so many times are what its file may have, as on a disk that is full then; 0 for any number.
    """
    bounded = ["sh", "-c", f'ulimit -f {most} && exec "$@"', "sh"] if most else []
    return subprocess.run(
        [*bounded, *SLOSH, "record", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=clean_environment(SLOSH_URL=client.url),
    )


def test_messages_are_written_as_they_were_posted_with_their_times(client: Client, tmp_path: Path) -> None:
    client.publish_encoded("record/a", [b'{"t": 21.50}', b'{"t": 22}'])
    file = tmp_path / "a.jsonl"
    done = record(client, "record/a", "--since=earliest", "--count=2", "-o", str(file))
    assert (done.returncode, done.stdout) == (0, "")
    assert "2 messages recorded" in done.stderr
    first, second = file.read_text().splitlines()
    assert first.endswith(',"message":{"t": 21.50}}')
    said = json.loads(second)
    assert (said["topic"], said["offset"], said["message"]) == ("record/a", 2, {"t": 22})
    assert abs(json.loads(first)["time"] - said["time"]) < 60


def test_a_loss_is_a_line_of_its_own(client: Client, tmp_path: Path) -> None:
    client.publish_many("record/lost", range(30))
    file = tmp_path / "lost.jsonl"
    done = record(client, "record/lost", "--since=earliest", "--count=1", "-o", str(file))
    assert done.returncode == 0
    assert "20 lost" in done.stderr
    note = json.loads(file.read_text().splitlines()[0])
    assert (note["note"], note["count"], note["topic"]) == ("lost", 20, "record/lost")


def test_a_reading_that_is_refused_leaves_no_file(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "f.jsonl"
    done = record(client, "a//b", "-o", str(file))
    assert (done.returncode, file.exists()) == (EXIT_USAGE, False), done.stderr


def test_a_file_that_is_there_is_not_overwritten(client: Client, tmp_path: Path) -> None:
    client.publish("record/there", 1)
    file = tmp_path / "there.jsonl"
    file.write_text("mine\n")
    refused = record(client, "record/there", "--last=1", "--count=1", "-o", str(file))
    assert (refused.returncode, file.read_text()) == (EXIT_USAGE, "mine\n")
    assert "--append" in refused.stderr
    assert record(client, "record/there", "--last=1", "--count=1", "-o", str(file), "--append").returncode == 0
    assert len(file.read_text().splitlines()) == 2


def test_a_directory_is_no_file_to_write_behind(client: Client, tmp_path: Path) -> None:
    """--append would not help."""
    for arguments in ((), ("--append",)):
        refused = record(client, "record/there", "-o", str(tmp_path), *arguments)
        assert refused.returncode == EXIT_USAGE
        assert "--append" not in refused.stderr
        assert "is a directory" in refused.stderr.lower()


def test_behind_a_torn_line_the_next_recording_begins_a_line_of_its_own(client: Client, tmp_path: Path) -> None:
    """Else its first message would be lost in that line. A message counts when all of it is in the file."""
    client.publish_many("record/torn", [{"i": number, "pad": "x" * 1500} for number in range(5)])
    file = tmp_path / "torn.jsonl"
    full = record(client, "record/torn", "--last=5", "--count=5", "-o", str(file), most=8)
    assert full.returncode == 1, full.stderr
    assert "2 messages recorded" in full.stderr
    assert f"{file} cannot be written" in full.stderr
    assert file.stat().st_size == 8 * 512
    done = record(client, "record/torn", "--last=2", "--count=2", "--append", "-o", str(file))
    assert done.returncode == 0, done.stderr
    assert "2 messages recorded" in done.stderr
    assert f"{file} ends within a line" in done.stderr
    replayed = CliRunner().invoke(main, ["replay", str(file), "--to", "torn", "--speed", "0", "-u", client.url])
    assert "Line 3 is no line of a recording" in replayed.output
    with client.watch("torn", since="earliest", deadline=PATIENCE) as watch:
        assert [json.loads(next(watch).raw)["i"] for _ in range(4)] == [0, 1, 3, 4]
    again = record(client, "record/torn", "--last=1", "--count=1", "--append", "-o", str(file))
    assert "ends within" not in again.stderr
    assert len(file.read_text().splitlines()) == 6


def test_what_was_written_without_a_last_line_end_stays_whole(client: Client, tmp_path: Path) -> None:
    """Another program may have written it so: it is no torn line, and none of it is cut off."""
    client.publish("record/endless", 2)
    file = tmp_path / "endless.jsonl"
    file.write_text('{"topic":"a","message":1}')
    assert record(client, "record/endless", "--last=1", "--count=1", "--append", "-o", str(file)).returncode == 0
    assert [json.loads(line)["message"] for line in file.read_text().splitlines()] == [1, 2]


def test_it_writes_into_a_pipe_and_ends_in_time(client: Client) -> None:
    client.publish("record/pipe", "x")
    done = record(client, "record/pipe", "--last=1", "-o", "-", "--count=1")
    assert done.returncode == 0
    assert json.loads(done.stdout)["message"] == "x"
    assert record(client, "record/silent", "-o", "-", "--timeout=300ms").returncode == EXIT_TIMED_OUT


def test_every_line_is_json_and_can_be_replayed(client: Client, tmp_path: Path) -> None:
    client.publish_encoded("record/poison", [text.encode() for text in POISON])
    file = tmp_path / "poison.jsonl"
    done = record(client, "record/poison", "--since=earliest", "--count", str(len(POISON)), "-o", str(file))
    assert done.returncode == 0, done.stderr
    assert [members(line)["message"] for line in file.read_text("utf-8").splitlines()] == list(POISON)
    replayed = CliRunner().invoke(main, ["replay", str(file), "--to", "replayed", "--speed", "0", "-u", client.url])
    assert replayed.exit_code == 0, replayed.output
    with client.watch("replayed", since="earliest", deadline=PATIENCE) as watch:
        assert [next(watch).raw for _ in POISON] == list(POISON)


def test_what_is_no_json_is_a_note_and_the_next_message_is_recorded(tmp_path: Path) -> None:
    broken = 'id: aaaaaaaa.1\ndata: {"time":1,"mess<html>\n\n'
    script: list[dict[str, str]] = [{"stream": "retry: 10\n\n" + broken, "then": "cut"}]
    script.append({"stream": broken + 'id: aaaaaaaa.2\ndata: {"time":1,"message":2}\n\n', "then": "hang"})
    file = tmp_path / "broken.jsonl"
    with Scripted(script) as server, Client(server.url) as client:
        done = record(client, "kitchen", "--count=1", "-o", str(file))
    assert "The message of kitchen before the place aaaaaaaa.1 cannot be read" in done.stderr
    first, second = map(json.loads, file.read_text().splitlines())
    assert (first["note"], first["topic"], first["count"], second["message"]) == ("unreadable", "kitchen", 1, 2)
