"""The rows fit the source as it is, so that `make mutations` can be run at any time."""

import ast
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.mutations.row import SOURCE, Row, StaleRowError
from tests.mutations.table import ROWS

CHECKOUT = Path(__file__).parents[2]


CONTRACT = [CHECKOUT / "tests" / "engine" / name for name in ("contract.py", "ends.py")]
"""Tests that each engine's own file inherits."""


@cache
def names_in(file: Path) -> set[str]:
    """The functions of a file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}


def short(row: Row) -> str:
    return f"{row.file}: {row.line}"[:70]


@pytest.mark.parametrize("row", ROWS, ids=short)
def test_its_line_stands_in_its_file_exactly_once_and_becomes_other_code(row: Row) -> None:
    broken = row.apply((SOURCE / row.file).read_text(encoding="utf-8"))
    assert row.becomes != row.line
    if row.file.endswith(".py"):
        ast.parse(broken)


@pytest.mark.parametrize("row", ROWS, ids=short)
def test_its_tests_are_there(row: Row) -> None:
    assert row.tests
    for test in row.tests:
        file, _, name = test.partition("[")[0].partition("::")
        known = (
            names_in(CHECKOUT / file) | set[str]().union(*map(names_in, CONTRACT)) | {"runTest"}
        )  # of a story that hypothesis tells
        assert name.rpartition("::")[2] in known, test


def test_every_part_of_slosh_has_its_share() -> None:
    def share(*starts: str) -> int:
        return sum(row.file.startswith(starts) for row in ROWS)

    assert len(ROWS) >= 120
    assert share("core/") >= 25
    assert share("web/") >= 50
    assert share("engine/") >= 30
    assert share("engine/redis/lua/") >= 10
    assert sum(row.file.endswith(".js") for row in ROWS) >= 8


def test_no_break_is_there_twice() -> None:
    assert [row for row, count in Counter(row[:3] for row in ROWS).items() if count > 1] == []


def test_a_stale_row_says_which_it_is() -> None:
    row = Row.of("core/hub.py", "gone = 1", "gone = 2", "core/test_hub.py::test_x")
    with pytest.raises(StaleRowError, match=r"core/hub\.py: 'gone = 1' .* 0 times"):
        row.apply("here = 1\n")
    with pytest.raises(StaleRowError, match="2 times"):
        row.apply("gone = 1\nif here:\n    gone = 1\n")
    assert row.apply("if here:\n    gone = 1\n") == "if here:\n    gone = 2\n"
