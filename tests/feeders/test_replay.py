"""A replay gives a data set's rows in order, typed, each until it was taken, and starts over after the last."""

import subprocess
import sys
from pathlib import Path

import pytest
import replay

from benchmarks.processes import ProcessGroup
from tests.conftest import need
from tests.feeders.conftest import FEEDERS, Stage
from tests.running import PATIENCE


def test_rows_come_in_order_and_the_last_is_followed_by_the_first() -> None:
    source = replay.Replay([{"a": 1}, {"a": 2}])
    given = []
    for _ in range(5):
        given.append(source.reading())
        source.taken(1)
    assert [row["a"] for row in given] == [1, 2, 1, 2, 1]
    assert given[1] == {"row": 2, "of": 2, "a": 2}


def test_a_row_that_was_not_taken_is_given_again() -> None:
    source = replay.Replay([{"a": 1}, {"a": 2}])
    assert source.reading() == source.reading()


def test_cells_become_the_json_values_they_mean(tmp_path: Path) -> None:
    file = tmp_path / "set.csv"
    file.write_text("date,n,x,word,gap\n2012/01/31,12,-0.5,rain,\n", encoding="utf-8")
    assert replay.load(file) == [{"date": "2012-01-31", "n": 12, "x": -0.5, "word": "rain", "gap": None}]


def test_a_file_without_rows_or_without_existence_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("a,b\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no row"):
        replay.load(tmp_path / "empty.csv")
    with pytest.raises(ValueError, match="cannot be read"):
        replay.load(tmp_path / "missing.csv")


def test_every_offered_data_set_is_in_the_package_and_has_rows() -> None:
    need("module:vega_datasets")
    counts = {name: len(replay.load(replay.locate(name))) for name in replay.DATASETS}
    assert counts["seattle-weather"] == 1461
    assert min(counts.values()) > 100


def test_the_weather_has_what_its_page_draws() -> None:
    need("module:vega_datasets")
    rows = replay.load(replay.locate("seattle-weather"))
    assert all(
        isinstance(row[name], float) for row in rows for name in ("temp_max", "temp_min", "precipitation", "wind")
    )
    dates = [str(row["date"]) for row in rows]
    assert dates == sorted(dates)
    assert dates[0] == "2012-01-01"


def test_a_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match="pip install"):
        replay.locate("seattle-weather")


def test_the_script_streams_a_file_of_ones_own(stage: Stage, tmp_path: Path) -> None:
    file = tmp_path / "own.csv"
    file.write_text("n\n1\n2\n3\n", encoding="utf-8")
    command: list[str | Path] = [
        sys.executable,
        FEEDERS / "replay.py",
        "--url",
        stage.url,
        "--file",
        file,
        "--speed",
        "200",
        "--topic",
        "own",
    ]
    feeder = ProcessGroup[str](command, stdout=subprocess.PIPE, text=True)
    try:
        assert [stage.taken.get(timeout=PATIENCE)["n"] for _ in range(5)] == [1, 2, 3, 1, 2]
    finally:
        feeder.terminate()
        output, _ = feeder.communicate(timeout=PATIENCE)
    assert output.startswith("replay.py: own.csv, 3 rows, 200 a second, to own on ")
    assert "row 1 of 3, round 1, 1 watching" in output
