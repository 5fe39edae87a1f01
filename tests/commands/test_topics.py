"""`slosh topics`: a table for people, lines for programs."""

import json

import pytest
from click.testing import CliRunner

from slosh.cli import main
from slosh.client import Client
from tests.e2e.server import Serving


def test_the_active_topics_are_listed(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Serving(tmp_path_factory.mktemp("server"), "--unwatched=keep") as serving, Client(serving.url) as client:
        monkeypatch.setenv("SLOSH_URL", serving.url)
        client.publish("kitchen", 1)
        client.publish("a much longer name/\u202e", 1)
        table = CliRunner().invoke(main, ["topics"])
        lines = CliRunner().invoke(main, ["topics", "--json"])
    assert table.exit_code == 0
    head, first, second = table.output.splitlines()
    assert head.split() == ["TOPIC", "WATCHERS", "MAX", "RATE/S"]
    assert first.startswith("a much longer name/\\u202e ")
    assert second.split()[:3] == ["kitchen", "0", "1"]
    assert len({len(line) for line in (head, first, second)}) == 1
    assert [json.loads(line)["name"] for line in lines.output.splitlines()] == ["a much longer name/\u202e", "kitchen"]
