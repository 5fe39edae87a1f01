"""What a client can make grow takes no more than docs/operations.md says: each row is filled, and measured."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.fairness.bursts import get
from tests.e2e.server import Serving, allow_files
from tests.faults.filling import FILLINGS, ask, hold, settled

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
GENEROUS = 1.5
"""What is measured has the allocator's leftovers in it, and other Pythons have larger objects."""
FULL = 0.2
"""A row that is not filled to a good part says nothing: the filling, or the page, is wrong."""
UNITS = {"bytes": 1, "KiB": 1024, "MiB": 1024 * 1024}
PATIENT = (
    "--linger=10m",
    "--idle-timeout=10m",
    "--head-timeout=10m",
    "--body-timeout=10m",
    "--write-timeout=10m",
    "--max-topics-per-address=0",
)
"""Nothing ends while it is measured, and one client may fill what belongs to all."""


def documented() -> dict[str, int]:
    """The rows of the page's table of memory: what, and how many bytes each."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition("\n## Memory\n")
    section = rest.partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| ([\d,.]+) (bytes|KiB|MiB) \|", section, re.MULTILINE)
    return {what: int(float(number.replace(",", "")) * UNITS[unit]) for what, number, unit in rows}


def test_every_row_of_the_table_is_filled_by_a_test() -> None:
    assert list(documented()) == list(FILLINGS)


@pytest.mark.parametrize("row", FILLINGS)
def test_a_row_is_filled_and_takes_no_more_than_it_says(row: str, tmp_path: Path) -> None:
    filling = FILLINGS[row]
    allow_files(filling.count + 200)
    with Serving(tmp_path, *PATIENT, *filling.options) as server:
        # So that nothing is charged that a server does once: modules that are imported late, the first of a kind.
        ask(server, get("/topics/watched?wait=0") + filling.before)
        watching = hold(server, [get("/topics/watched")] * 3, answered=False)
        before = settled(server)
        opened = filling.fill(server, filling.count)
        grown = settled(server) - before
        server.assert_healthy()
        for one in (*watching, *opened):
            one.close()
    told = documented()[row]
    assert FULL * told <= grown / filling.count <= GENEROUS * told
