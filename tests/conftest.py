"""What every test can use: need(tool), which says loudly what a machine lacks."""

import os
import shutil
from collections.abc import Callable, Generator
from importlib.util import find_spec
from typing import NoReturn

import pytest

from benchmarks.processes import ending_all

# One name here, the names it goes by on different systems there.
ALSO_CALLED: dict[str, tuple[str, ...]] = {
    "chromium": ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
    "redis-server": ("redis-server", "valkey-server"),
}


def need(tool: str) -> str:
    """Return the path of a program this test cannot do without.

    Where it is missing the test is skipped with a reason on a person's machine, and fails where
    the environment says CI=true: a green run there means that everything ran.
    `need("module:playwright")` asks for a Python module instead and returns its name.
    """
    kind, _, module = tool.rpartition(":")
    if kind == "module":
        if find_spec(module) is not None:
            return module
        lacking(f"the Python module {module} is not installed (make test installs it)")
    for name in ALSO_CALLED.get(tool, (tool,)):
        if path := shutil.which(name):
            return path
    # Debian keeps servers where only root's PATH looks.
    if path := shutil.which(tool, path="/usr/sbin:/sbin:/usr/local/sbin"):
        return path
    lacking(f"the program {tool} is not installed (.ci/run lists the Debian packages)")


def lacking(reason: str) -> NoReturn:
    """Skip this test with the reason, or fail under CI=true."""
    if os.environ.get("CI", "").lower() in {"true", "1"}:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(name="need", scope="session")
def need_fixture() -> Callable[[str], str]:
    """Give need() to tests that would rather ask for it as a fixture."""
    return need


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Let no process outlive the test that started it, also where the test fails half-way."""
    with ending_all():
        return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the browser tests last, in their own order.

    Playwright's synchronous interface keeps an event loop running in this thread for as long as its browser is open,
    and where one runs no other test can run its own. They are the slowest too, so quick failures show first.
    """
    items.sort(key=lambda item: "browser" in getattr(item, "fixturenames", ()))
