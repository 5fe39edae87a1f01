"""The list of attacks in docs/security.md names a test for each, and every test of this folder stands in it."""

import ast
import re
from functools import cache
from pathlib import Path

from tests.cases import each_of

TOP = Path(__file__).parents[2]
HERE = Path(__file__).parent
TABLE = (TOP / "docs" / "security.md").read_text(encoding="utf-8").partition("\n## Attacks, and the test of each\n")[2]
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in TABLE.partition("\n## ")[0].splitlines()
    if line.startswith("| ")
][2:]


@cache
def names_in(file: Path) -> set[str]:
    """The tests of a file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = {each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
    return {name for name in found if name.startswith("test")}


def named(row: list[str]) -> list[tuple[str, str]]:
    """The tests of a row: their files and names."""
    return re.findall(r"`(tests/[a-z0-9_/]+\.py)::(\w+)`", row[-1])


@each_of("row", ROWS, ids=lambda row: row[0][:60])
def test_each_attack_has_a_bound_and_a_test_that_is_there(row: list[str]) -> None:
    attack, _, bound, _ = row
    assert attack
    assert bound
    assert named(row)
    for file, name in named(row):
        assert name in names_in(TOP / file), f"{file}::{name}"


def test_every_test_of_this_folder_stands_in_the_list() -> None:
    listed = {each for row in ROWS for each in named(row)}
    for file in HERE.glob("test_*.py"):
        if file.name != Path(__file__).name:
            for name in names_in(file):
                assert (f"tests/attacks/{file.name}", name) in listed


def test_the_advisories_are_told_by_their_numbers() -> None:
    """Of servers of this kind, gathered in November 2026. Add those that come later."""
    published = set(re.findall(r"CVE-\d{4}-\d{4,}|GHSA(?:-[0-9a-z]{4}){3}", TABLE))
    assert len(published) >= 59
