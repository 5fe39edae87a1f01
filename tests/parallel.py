"""How the tests are shared out where several run at a time (`pytest -n 4`, with pytest-xdist).

The rules of this file:

* Long work comes first, so that no worker is left with it at the end.
* A file goes to one worker as a whole, because handing out each test by itself costs more than a quick test does, and
  because the tests of a file may share a server or a browser. Tests that mostly wait for processes of their own are
  handed out one by one.
* The order is the same in every worker, and no test depends on it.
"""

from functools import cache
from pathlib import Path
from typing import Final

import pytest
from xdist.scheduler import LoadScopeScheduling

CHECKOUT: Final = Path(__file__).parents[1]
LONG: Final = (
    "tests/e2e/test_view.py",
    "tests/faults/",
    "tests/e2e/",
    "tests/web/test_schedules.py",
    "tests/web/test_sharing.py",
    "tests/engine/",
    "tests/commands/",
    "tests/benchmarks/",
    "tests/stores/",
    "tests/client/",
    "tests/test_",
    "tests/testing/",
    "tests/feeders/",
)
"""Where the names of files begin that have long tests; the longest first."""
ONE_BY_ONE: Final = (
    "tests/benchmarks/",
    "tests/commands/",
    "tests/e2e/",
    "tests/engine/",
    "tests/faults/",
    "tests/test_",
    "tests/web/test_schedules.py",
    "tests/web/test_sharing.py",
)
"""Where the names of files begin whose tests are handed out one by one."""


def rank(nodeid: str) -> int:
    """Where a test stands in the order: the place in `LONG`, and after all of those the quick ones."""
    return next((place for place, start in enumerate(LONG) if nodeid.startswith(start)), len(LONG))


def unit(nodeid: str) -> str:
    """What is handed to a worker at once: a test by itself, or its whole file."""
    file = nodeid.partition("::")[0]
    return nodeid if nodeid.startswith(ONE_BY_ONE) and not shares_a_browser(file) else file


@cache
def shares_a_browser(file: str) -> bool:
    """Whether tests of this file ask for a page or a context of Chromium, which starts once for a file."""
    text = (CHECKOUT / file).read_text(encoding="utf-8") if file.startswith("tests/e2e/") else ""
    return "new_page" in text or "new_context" in text


class Scheduler(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Hands out units in the order of the collection, to the worker that has hardly anything left to do."""

    def __init__(self, config: pytest.Config, log: object) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid)
