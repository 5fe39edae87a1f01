"""Very many idle readers are measured on a real server; here with few."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks import held
from benchmarks.servers import SERVERS
from tests.conftest import need

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_each_kind_of_reader_has_its_figures_and_a_column(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    need("cc")
    words = ["--server", "slosh", "--readers", "2000", "--rest", "0.1", "--json", str(tmp_path / "found.json")]
    assert held.main(words) == 0
    found = held.read(tmp_path / "found.json")
    assert list(found.figures) == ["longpoll", "sse"]
    assert json.loads((tmp_path / "found.json").read_text())["readers"] == 2000
    for figures in found.figures.values():
        assert figures["bytes"] > 0
        assert figures["accept"] > 0
        assert figures["alone"] > 0
    assert "| 2,000 readers | held polls | Server-Sent Events |" in capsys.readouterr().out


def test_a_server_that_is_missing_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SERVERS, "slosh", SERVERS["faye"])
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    assert held.main(["--server", "slosh"]) == 1
    assert "IS LEFT OUT" in capsys.readouterr().err
