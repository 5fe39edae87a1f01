"""`slosh replay`: what was recorded is published again, in its order and its time."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.ports import free_port
from benchmarks.processes import ProcessGroup
from slosh.access.tokens import hash_token
from slosh.cli import main
from slosh.client import Client, Refused, Unreachable
from slosh.client.answers import Published
from slosh.commands.shared import EXIT_ENDED, EXIT_FOUND, EXIT_REFUSED, EXIT_UNWATCHED, EXIT_USAGE
from tests.e2e.server import Serving
from tests.running import PATIENCE, SLOSH, clean_environment


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with (
        Serving(tmp_path_factory.mktemp("server"), "--linger=10m", "--queue=1000") as serving,
        Client(serving.url) as client,
    ):
        yield client


def command(*arguments: str) -> list[str]:
    return [*SLOSH, "replay", *arguments]


def replay(client: Client, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = clean_environment(SLOSH_URL=client.url, **variables)
    return subprocess.run(command(*arguments), capture_output=True, text=True, check=False, timeout=60, env=environment)


def kept(client: Client, topic: str) -> list[object]:
    """What is kept of a topic, which this makes active."""
    answer = client.connect().get(f"{client.url}/topics/{topic}?since=earliest&wait=0")
    messages: list[object] = json.loads(answer.content)["res"]
    return messages


def recording(file: Path, count: int, topic: str, apart: float) -> Path:
    lines = (json.dumps({"topic": topic, "time": 1000 + n * apart, "message": n}) + "\n" for n in range(count))
    file.write_text("".join(lines))
    return file


def test_it_publishes_in_order_and_without_pauses(client: Client, tmp_path: Path) -> None:
    kept(client, "replay/fast")
    done = replay(client, str(recording(tmp_path / "r", 230, "replay/fast", 60.0)), "--speed=0")
    assert done.returncode == 0, done.stderr
    assert "230 messages published" in done.stderr
    assert kept(client, "replay/fast") == list(range(230))


def test_it_keeps_the_pauses_and_speed_divides_them(client: Client, tmp_path: Path) -> None:
    file = recording(tmp_path / "r", 3, "replay/paced", 10.0)
    kept(client, "replay/paced")
    began = time.monotonic()
    assert replay(client, str(file), "--speed=20").returncode == 0
    took = time.monotonic() - began
    assert kept(client, "replay/paced") == [0, 1, 2]
    assert took >= 1.0  # 20 seconds of recording


def test_another_topic_and_a_prefix(client: Client, tmp_path: Path) -> None:
    file = str(recording(tmp_path / "r", 2, "replay/x", 0.0))
    kept(client, "replay/other")
    kept(client, "copy/replay/x")
    assert replay(client, file, "--speed=0", "--to", "replay/other").returncode == 0
    assert replay(client, file, "--speed=0", "--to", "copy/").returncode == 0
    assert kept(client, "replay/other") == kept(client, "copy/replay/x") == [0, 1]


def test_a_topic_that_nobody_watches_yet_is_opened_once(client: Client, tmp_path: Path) -> None:
    """Two topics, three messages of which come in other batches."""
    file = tmp_path / "r"
    names = ("open/a", "open/b", "open/a")
    file.write_text("".join(json.dumps({"topic": each, "time": 1, "message": each}) + "\n" for each in names))
    done = replay(client, str(file), "--open")
    assert (done.returncode, "3 messages published" in done.stderr) == (0, True), done.stderr
    assert [len(kept(client, each)) for each in names[:2]] == [2, 1]


def test_it_waits_until_somebody_watches_where_it_was_told_to(client: Client, tmp_path: Path) -> None:
    file = str(recording(tmp_path / "r", 3, "replay/later", 0.0))
    environment = clean_environment(SLOSH_URL=client.url)
    waiting = ProcessGroup(command(file, "--when-watched"), stderr=subprocess.PIPE, text=True, env=environment)
    with client.watch("replay/later", deadline=PATIENCE) as watch:
        assert [next(watch).message for _ in range(3)] == [0, 1, 2]
    assert waiting.wait(PATIENCE) == 0


def test_what_cannot_be_done_is_an_exit_code_and_a_sentence(client: Client, tmp_path: Path) -> None:
    file = str(recording(tmp_path / "r", 2, "replay/nobody", 0.0))
    assert replay(client, file).returncode == EXIT_UNWATCHED
    assert replay(client, str(tmp_path / "none")).returncode == EXIT_USAGE
    assert replay(client, "-", "--loop").returncode == EXIT_USAGE
    (tmp_path / "r").write_text("hello\n")
    wrong = replay(client, file)
    assert wrong.returncode == EXIT_FOUND
    assert "Line 1" in wrong.stderr


def test_a_topic_that_has_ended_is_no_topic_that_nobody_watches(client: Client, tmp_path: Path) -> None:
    file = recording(tmp_path / "r", 2, "replay/over", 0.0)
    client.open("replay/over")
    client.end("replay/over")
    done = replay(client, str(file))
    assert done.returncode == EXIT_ENDED
    assert "0 messages published, 2 not: their topics have ended" in done.stderr
    assert "watched" not in done.stderr
    file.write_text(f"{file.read_text()}nonsense\n")
    done = replay(client, str(file))
    assert (done.returncode, "1 line left out" in done.stderr) == (EXIT_ENDED, True)


def test_a_line_that_is_none_is_left_out_and_told_and_the_others_are_published(client: Client, tmp_path: Path) -> None:
    file = recording(tmp_path / "r", 2, "replay/left", 0.0)
    first, second = file.read_text().splitlines()
    file.write_text(f"{first}\nhello\n{second}\n")
    client.open("replay/left")
    done = replay(client, str(file))
    assert (done.returncode, "Line 2" in done.stderr, "1 line left out" in done.stderr) == (EXIT_FOUND, True, True)
    with client.watch("replay/left", since="earliest", deadline=PATIENCE) as watch:
        assert [next(watch).offset for _ in range(2)] == [1, 2]


def test_a_message_that_the_server_does_not_take_costs_none_of_its_neighbours(client: Client, tmp_path: Path) -> None:
    """Neither does a batch that is larger than a request may be."""
    file = tmp_path / "r"
    messages: list[object] = [1, 2, "x" * 1_100_000, 3, *(["y" * 600_000] * 15), 4]
    file.write_text(
        "".join(json.dumps({"topic": "replay/big", "time": 1, "message": each}) + "\n" for each in messages)
    )
    client.open("replay/big")
    done = replay(client, str(file), "--speed=0")
    assert done.returncode == EXIT_REFUSED, done.stderr
    assert "1 message was refused, the last one of replay/big: Line 3 " in done.stderr
    assert f"{len(messages) - 1} messages published" in done.stderr
    assert client.publish("replay/big", 0).max == len(messages)


@pytest.mark.parametrize("name", ["a,b", "a/*", "..", "a//b", "$x"])
def test_a_name_that_no_topic_has_keeps_none_of_the_others_back(client: Client, tmp_path: Path, name: str) -> None:
    """Whether it is the client or the server that knows it."""
    file = tmp_path / "r"
    names = (name, "replay/named", name, "replay/named")
    file.write_text("".join(json.dumps({"topic": each, "time": 1, "message": 1}) + "\n" for each in names))
    before = client.publish("replay/named", 0, open=True).max
    done = replay(client, str(file), "--speed=0")
    assert done.returncode == EXIT_REFUSED, done.stderr
    assert f"2 messages were refused, the last one of {name}: " in done.stderr
    assert "2 messages published" in done.stderr
    assert client.publish("replay/named", 0).max == before + 3


@pytest.mark.parametrize("name", ["a,b", "a//b"])
def test_nor_is_it_waited_until_somebody_watches_it(client: Client, tmp_path: Path, name: str) -> None:
    file = tmp_path / "r"
    lines = ({"topic": each, "time": 1, "message": 1} for each in (name, f"replay/{len(name)}"))
    file.write_text("".join(json.dumps(each) + "\n" for each in lines))
    environment = clean_environment(SLOSH_URL=client.url)
    waiting = ProcessGroup(command(str(file), "--when-watched"), stderr=subprocess.PIPE, text=True, env=environment)
    with client.watch(f"replay/{len(name)}", deadline=PATIENCE) as watch:
        assert next(watch).message == 1
    assert waiting.wait(PATIENCE) == EXIT_REFUSED


def test_a_name_to_publish_to_that_no_topic_has_is_told_at_once(client: Client, tmp_path: Path) -> None:
    for to in ("a,b", "a,b/", "a*/", "bad//name", "a//", "$x", "x" * 256):
        done = replay(client, str(recording(tmp_path / "r", 1, "replay/to", 0.0)), "--to", to)
        assert done.returncode == EXIT_USAGE


@pytest.mark.parametrize("status", [429, 502, 503])
def test_an_answer_that_passes_drops_no_message(
    status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A proxy says 502 for as long as the server behind it is away, which may be longer than one call may take."""
    away = [Unreachable("Nothing answers."), Refused(status, {"detail": "Busy."}, "a proxy")]
    answers: list[Exception | Published] = [*away, Published(taken=True), *away, Published(taken=True)]
    asked: list[tuple[object, object]] = []

    def publish(client: Client, topic: str, lines: object, **options: object) -> Published:
        del client, topic
        asked.append((options["key"], lines))
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(Client, "publish_encoded", publish)
    monkeypatch.setattr("slosh.commands.shared._PAUSE", 0.0)
    done = CliRunner().invoke(main, ["replay", str(recording(tmp_path / "r", 60, "a", 0.0)), "--speed=0"])
    assert done.exit_code == 0, done.output
    told = done.output + capfd.readouterr().err
    assert "60 messages published" in told
    assert told.count("Trying again.") == 2  # once for each time that it was away
    assert len(set(map(repr, asked))) == 2, "a batch is the same each time, under its own key"


def test_a_restart_of_the_server_in_the_midst_leaves_nothing_out_and_keeps_the_pauses(tmp_path: Path) -> None:
    port = free_port()
    with Serving(tmp_path, "--unwatched=keep", port=port) as serving:
        environment = clean_environment(SLOSH_URL=serving.url)
        file = recording(tmp_path / "r", 6, "a", 1.0)
        replaying = ProcessGroup(command(str(file)), stderr=subprocess.PIPE, text=True, env=environment)
        with Client(serving.url) as client, client.watch("a", since="earliest", deadline=PATIENCE) as watch:
            assert next(watch).message == 0
    with Serving(tmp_path, "--unwatched=keep", port=port) as serving, Client(serving.url) as client:
        with client.watch("a", since="earliest", deadline=PATIENCE) as watch:
            items = [next(watch) for _ in range(2)]
        assert replaying.wait(PATIENCE) == 0
    assert items[1].message == items[0].message + 1  # type: ignore[operator]  # they are numbers
    assert items[-1].time - items[0].time > 0.5  # type: ignore[operator]  # a server tells them


@pytest.mark.parametrize("options", [(), ("--loop",), ("--when-watched",), ("--open",)])
def test_a_server_that_keeps_the_replay_out_ends_it_before_its_first_pause(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    """It played a whole recording to nobody, with all its pauses, before it said a word."""
    token = f'[[access.tokens]]\nname = "replay"\nsha256 = "{hash_token("right").hex()}"\npublish = ["mine/**"]\n'
    (tmp_path / "slosh.toml").write_text(f"[access]\n{token}", encoding="utf-8")
    file = str(recording(tmp_path / "r", 13, "theirs", 3600.0))
    with Serving(tmp_path, "--config=slosh.toml") as closed, Client(closed.url) as client:
        for variables in ({}, {"SLOSH_TOKEN": "wrong"}, {"SLOSH_TOKEN": "right"}):
            done = replay(client, file, *options, **variables)
            assert done.returncode == EXIT_REFUSED, done.stderr
            assert f"{closed.url} does not let this replay publish to theirs" in done.stderr
            assert "0 messages published" in done.stderr
