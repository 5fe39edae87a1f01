"""Examples for Python's prompt, in docs/python.md and in the client's docstrings, against a real server."""

import doctest
import pkgutil
import re
from importlib import import_module
from pathlib import Path

import pytest

import slosh.client

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
MODULES = [f"slosh.client.{module.name}" for module in pkgutil.iter_modules(slosh.client.__path__)]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def run(test: doctest.DocTest) -> int:
    """Run the examples; how many there were."""
    told: list[str] = []
    result = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=told.append)
    assert result.failed == 0, "".join(told)
    return result.attempted


@pytest.mark.usefixtures("slosh")
def test_those_of_the_page() -> None:
    """One after another, as in one session."""
    page = PAGE.read_text(encoding="utf-8").replace("…", "...")
    text = "\n".join(re.findall(r"^```pycon\n(.*?)^```", page, re.DOTALL | re.MULTILINE))
    assert run(doctest.DocTestParser().get_doctest(text, {}, "python.md", str(PAGE), 0)) > 10


@pytest.mark.slosh(topics={"runs/**": {"unwatched": "keep"}})  # a run that nobody watches would be warned
@pytest.mark.parametrize("name", MODULES)
@pytest.mark.usefixtures("slosh")
def test_those_of_a_module(name: str) -> None:
    module = import_module(name)
    for test in doctest.DocTestFinder().find(module, extraglobs={"slosh": slosh}):
        run(test)


def test_that_there_are_some() -> None:
    found = [test for name in MODULES for test in doctest.DocTestFinder().find(import_module(name)) if test.examples]
    assert len(found) >= 5
