"""How the tests are shared out where several run at a time (`pytest -n 4`, with pytest-xdist).

The rules of this file:

* Of three workers one begins with long tests that mostly wait, one with tests of a browser, which have the processor
  busy, and one with quick ones, which have it busy too. So at no time all of them wait, or none. Each takes what is
  left of the others' then, long tests first, so that no worker is left with one at the end.
* A file goes to one worker as a whole, because handing out each test by itself costs more than a quick test does, and
  because the tests of a file may share a server. Long tests are handed out one by one.
* The order is the same in every worker, and no test depends on it.
* Each worker has to read all tests. Where Python keeps none of them compiled yet, as in a fresh clone, each compiles a
  share first, for all.
"""

import contextlib
import os
from collections.abc import Collection
from enum import Enum
from functools import cache
from importlib import import_module
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
    "tests/guides/",
)
"""Where the names of files begin that have long tests; the longest first."""
ONE_BY_ONE: Final = (
    "tests/benchmarks/",
    "tests/commands/",
    "tests/e2e/",
    "tests/engine/",
    "tests/faults/",
    "tests/guides/test_moving",
    "tests/guides/test_scripts",
    "tests/test_",
    "tests/web/test_schedules.py",
    "tests/web/test_sharing.py",
)
"""Where the names of files begin whose tests are handed out one by one."""


BUSY: Final = ("tests/e2e/",)
"""Where the names of long files begin whose tests have the processor busy. Those of the other long ones wait."""


def rank(nodeid: str) -> int:
    """Where a test stands in the order: the place in `LONG`, and after all of those the quick ones."""
    return next((place for place, start in enumerate(LONG) if nodeid.startswith(start)), len(LONG))


def unit(nodeid: str) -> str:
    """What is handed to a worker at once: a test by itself, or its whole file."""
    file = nodeid.partition("::")[0]
    return nodeid if nodeid.startswith(ONE_BY_ONE) and not shares_a_fixture(file) else file


@cache
def shares_a_fixture(file: str) -> bool:
    """Whether end-to-end tests of this file share a page or a server, which would else start once in each worker."""
    return file.startswith("tests/e2e/") and 'scope="module"' in (CHECKOUT / file).read_text(encoding="utf-8")


class Kind(Enum):
    """What a unit, or the worker that begins with such ones, is about."""

    WAITS = 0
    BUSY = 1
    QUICK = 2


@cache
def kind(name: str) -> Kind:
    """Of a unit."""
    if rank(name) == len(LONG):
        return Kind.QUICK
    return Kind.BUSY if name.startswith(BUSY) else Kind.WAITS


def choose(names: Collection[str], begins: Kind) -> str:
    """The unit that a worker is given next of those that are left, which are in their order."""
    order = [begins, *(each for each in Kind if each is not begins)]
    return next(name for wanted in order for name in names if kind(name) is wanted)


def share(index: int, count: int) -> list[str]:
    """The modules with tests that this worker of so many compiles for all."""
    files = sorted((CHECKOUT / "tests").rglob("test_*.py"))[index::count]
    return [".".join(path.relative_to(CHECKOUT).with_suffix("").parts) for path in files]


def compile_share(config: pytest.Config) -> None:
    """Import a share of the tests, where all are to be collected: pytest keeps what it compiles of an import.

    What cannot be imported is told when it is collected.
    """
    if [Path(each).resolve() for each in config.args] != [CHECKOUT / "tests"]:
        return
    for name in share(int(os.environ["PYTEST_XDIST_WORKER"][2:]), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])):
        with contextlib.suppress(Exception, pytest.skip.Exception, pytest.fail.Exception):
            import_module(name)


class Scheduler(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Hands out units to the worker that has hardly anything left to do."""

    def __init__(self, config: pytest.Config, log: object) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False
        self._begins: dict[object, Kind] = {}

    def add_node(self, node: object) -> None:
        """Hear of a worker."""
        super().add_node(node)
        self._begins[node] = Kind(len(self._begins) % len(Kind))

    def mark_test_complete(self, node: object, item_index: int, duration: float = 0) -> None:
        """Forget units that are done: all that a worker has is counted after each test."""
        nodeid = self.registered_collections[node][item_index]
        super().mark_test_complete(node, item_index, duration)
        units = self.assigned_work[node]
        name = unit(nodeid)
        if name in units and all(units[name].values()):
            del units[name]

    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid)

    def _assign_work_unit(self, node: object) -> None:
        self.workqueue.move_to_end(choose(self.workqueue, self._begins[node]), last=False)
        super()._assign_work_unit(node)
