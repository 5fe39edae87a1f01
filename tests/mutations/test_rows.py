"""The rows fit the source as it is, so that `make mutations` can be run at any time."""

import ast
from collections import Counter
from collections.abc import Iterator
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


def wrong(row: Row) -> Iterator[str]:
    """What is wrong with a row."""
    try:
        broken = row.apply((SOURCE / row.file).read_text(encoding="utf-8"))
        if row.file.endswith(".py"):
            compile(broken, row.file, "exec", dont_inherit=True)
    except (StaleRowError, SyntaxError) as error:
        yield str(error)
    if row.becomes == row.line:
        yield "it breaks nothing"
    if not row.tests:
        yield "it has no test"
    for test in row.tests:
        file, _, name = test.partition("[")[0].partition("::")
        known = (
            names_in(CHECKOUT / file) | set[str]().union(*map(names_in, CONTRACT)) | {"runTest"}
        )  # of a story that hypothesis tells
        if name.rpartition("::")[2] not in known:
            yield f"there is no {test}"


def test_each_breaks_the_line_that_it_names_and_has_tests_that_are_there() -> None:
    found = [f"{row.file}: {row.line}: {what}" for row in ROWS for what in wrong(row)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("line", "becomes", "tests", "what"),
    [
        ("gone = 1", "gone = 2", ("core/test_hub.py::test_x",), "0 times"),
        ("gone = 1", "gone = 2", (), "it has no test"),
        ("gone = 1", "gone = 1", (), "it breaks nothing"),
    ],
)
def test_what_is_wrong_with_a_row_is_told(line: str, becomes: str, tests: tuple[str, ...], what: str) -> None:
    assert any(what in each for each in wrong(Row.of("core/hub.py", line, becomes, *tests)))


def test_a_row_without_its_test_is_told() -> None:
    row = ROWS[0]._replace(tests=("tests/core/test_hub.py::test_that_is_not_there",))
    assert list(wrong(row)) == ["there is no tests/core/test_hub.py::test_that_is_not_there"]


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
    """Also not with other white space: a break that two tests notice is one row, which names both."""
    breaks = Counter((row.file, row.line, tuple(row.becomes.split())) for row in ROWS)
    assert [each for each, count in breaks.items() if count > 1] == []


def test_a_stale_row_says_which_it_is() -> None:
    row = Row.of("core/hub.py", "gone = 1", "gone = 2", "core/test_hub.py::test_x")
    with pytest.raises(StaleRowError, match=r"core/hub\.py: 'gone = 1' .* 0 times"):
        row.apply("here = 1\n")
    with pytest.raises(StaleRowError, match="2 times"):
        row.apply("gone = 1\nif here:\n    gone = 1\n")
    assert row.apply("if here:\n    gone = 1\n") == "if here:\n    gone = 2\n"
