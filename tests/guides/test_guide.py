"""Every guide is run by a test, and every program of it is copied from the page."""

import re
from pathlib import Path

import pytest

from tests.guides.guide import GUIDES, programs

PAGES = sorted(page.stem for page in GUIDES.glob("*.md") if page.name != "README.md")
TESTS = "\n".join(file.read_text(encoding="utf-8") for file in Path(__file__).parent.glob("test_*.py"))


@pytest.mark.parametrize("page", PAGES)
def test_a_guide_is_listed_and_run(page: str) -> None:
    assert f"({page}.md)" in (GUIDES / "README.md").read_text(encoding="utf-8")
    assert programs(page)
    assert re.search(rf'(?:copy|programs)\("{page}"', TESTS), "no test copies its programs"
    assert (GUIDES / f"{page}.md").read_text(encoding="utf-8").count("\n") < 130, "a guide is short"
