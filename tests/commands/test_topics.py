"""`slosh topics`: a table for people, lines for programs."""

import json
import socket
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from slosh.access.tokens import hash_token
from slosh.cli import main
from slosh.client import Client
from tests.commands.terminal import Terminal
from tests.e2e.server import Serving
from tests.running import PATIENCE


def test_the_active_topics_are_listed(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Serving(tmp_path_factory.mktemp("server"), "--unwatched=keep") as serving, Client(serving.url) as client:
        monkeypatch.setenv("SLOSH_URL", serving.url)
        client.publish("kitchen", 1)
        client.publish("a much longer name/\u202e", 1, end=True)
        table = CliRunner().invoke(main, ["topics"])
        lines = CliRunner().invoke(main, ["topics", "--json"])
    assert table.exit_code == 0
    head, first, second = table.output.splitlines()
    assert head.split() == ["TOPIC", "WATCHERS", "MAX", "RATE/S"]
    assert first.startswith("a much longer name/\\u202e ")
    assert first.split()[-1] == "ended"
    assert second.split()[:3] == ["kitchen", "0", "1"]
    assert len({len(line) for line in (head, first, second)}) == 1
    assert [json.loads(line)["name"] for line in lines.output.splitlines()] == ["a much longer name/\u202e", "kitchen"]


def test_a_list_that_may_be_longer_for_a_token_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looked empty, as if nothing were active."""
    monkeypatch.delenv("SLOSH_TOKEN", raising=False)
    (tmp_path / "slosh.toml").write_text(
        "unwatched = 'keep'\n[access]\npublic = {read = ['open/**']}\n"
        f"[[access.tokens]]\nname = 'all'\nsha256 = '{hash_token('t' * 40).hex()}'\nread = ['**']\npublish = ['**']\n"
    )
    with Serving(tmp_path) as serving, Client(serving.url, token="t" * 40) as client:
        monkeypatch.setenv("SLOSH_URL", serving.url)
        client.publish("secret", 1)
        for command in ("topics", "top"):
            without = CliRunner().invoke(main, [command])
            assert (without.exit_code, "SLOSH_TOKEN" in without.stderr) == (0, True), command
            assert "SLOSH_TOKEN" not in without.stdout
            allowed = CliRunner().invoke(main, [command], env={"SLOSH_TOKEN": "t" * 40})
            assert ("secret" in allowed.stdout, allowed.stderr) == (True, ""), command
        with Terminal("top", "--every=100ms", url=serving.url) as terminal:
            terminal.until("SLOSH_TOKEN")
            terminal.press("q")
            assert terminal.process.wait(PATIENCE) == 0


TABLES = """\
queue = 50
[topics."alarm/*"]
queue = 1
[topics."gen/**"]
age = "10m"
[topics."**"]
queue = 7
"""


def test_the_class_of_a_topic_is_explained_without_a_server(tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    file.write_text(TABLES)
    done = CliRunner().invoke(main, ["topics", "--explain", "gen/a1", "--config", str(file)])
    assert done.exit_code == 0
    first, second, third, *settings = done.output.splitlines()
    assert first.split() == ["no", '[topics."alarm/*"]', "does", "not", "match", "gen/a1"]
    assert second == 'yes   [topics."gen/**"] is the first that matches it'
    assert third == 'late  [topics."**"] matches it too, but comes after [topics."gen/**"]'
    rows = {name: (value, source) for name, value, source in (line.split(maxsplit=2) for line in settings)}
    assert rows["age"] == ("600s", '[topics."gen/**"]')
    assert rows["queue"] == ("50", f"queue in {file}")
    assert rows["linger"] == ("30s", "default")


@pytest.mark.parametrize("text", ["", TABLES.replace('"**"', '"x/**"')])
def test_a_topic_of_no_table_has_the_default_class(tmp_path: Path, text: str) -> None:
    file = tmp_path / "other.toml"
    file.write_text(text)
    done = CliRunner().invoke(main, ["topics", "--explain", "kitchen", "--config", str(file)])
    assert "kitchen has the class default" in done.output


def test_a_mistake_in_the_file_or_in_the_name_is_told() -> None:
    for arguments, told in ((["a,b"], "no comma"), (["a", "--config", "no.toml"], "cannot be read")):
        done = CliRunner().invoke(main, ["topics", "--explain", *arguments])
        assert done.exit_code == 2
        assert told in done.output


def listed(url: str) -> tuple[Result, float]:
    """What the command says, and the seconds that it took."""
    before = time.monotonic()
    done = CliRunner().invoke(main, ["topics", "--url", url])
    return done, time.monotonic() - before


@pytest.mark.parametrize("is_silent", [False, True])
def test_a_server_that_is_not_there_is_told_soon_and_with_how_to_start_one(is_silent: bool) -> None:
    """Whether nothing listens, or something does and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        if not is_silent:
            listener.close()
        done, took = listed(url)
        for _ in range(2):
            if took >= 4.0:  # The machine may have been busy just then.
                done, took = listed(url)
    assert done.exit_code == 5
    assert took < 4.0, "two seconds, and some for a machine that is busy"
    assert "Start one with `slosh serve`" in done.output
    assert ("so nothing listens there" in done.output) is not is_silent
