"""docs/settings.md is what the table says."""

from pathlib import Path

from slosh.settings.page import page
from slosh.settings.table import TABLE

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_in_docs_is_the_one_that_the_table_makes() -> None:
    """When this fails, `make docs` writes it again."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_setting_has_its_row_once() -> None:
    rows = [line for line in page().splitlines() if line.startswith("| `")]
    for setting in TABLE:
        assert (
            sum(row.startswith(tuple(f"| `{setting.name}`{mark} |" for mark in ("", " ↻", " ◇ ↻"))) for row in rows)
            == 1
        ), setting.name
