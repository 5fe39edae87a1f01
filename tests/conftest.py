"""What every test can use: need(tool), which says loudly what a machine lacks."""

import gc
import logging
import os
import shutil
import signal
from collections.abc import Callable, Generator
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import hypothesis
import pytest

from benchmarks.processes import ending_all
from tests import forking, left_behind

# A shell has its background jobs ignore Ctrl-C, and so would the commands that are started here.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No property test has a deadline for one example, also without `PROPERTY`: the machine may be busy with something else.
hypothesis.settings.register_profile("patient", hypothesis.settings.default, deadline=None)
hypothesis.settings.load_profile("patient")

# One name here, the names it goes by on different systems there.
ALSO_CALLED: dict[str, tuple[str, ...]] = {
    "chromium": ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
    "redis-server": ("redis-server", "valkey-server"),
}
# Chromium without what is around a page costs a third less, so `make test` takes it where it is. CI takes the one that
# people have.
if os.environ.get("QUICK"):
    ALSO_CALLED["chromium"] = ("chromium-headless-shell", *ALSO_CALLED["chromium"])


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
    # Debian keeps servers where only root's PATH looks, and each version of PostgreSQL in a folder of its own.
    places = ["/usr/sbin", "/sbin", "/usr/local/sbin", *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin")))]
    if path := shutil.which(tool, path=":".join(places)):
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


def pytest_configure(config: pytest.Config) -> None:
    """Have each session fork commands of slosh, and look for what its tests left running."""
    config.pluginmanager.register(forking)
    config.pluginmanager.register(left_behind)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Keep the garbage collector from looking at all the tests again and again, which are there until the end.

    While they are collected that was two fifths of the CPU, and afterwards each test that makes very many objects paid
    for it.
    """
    gc.disable()
    try:
        if "PYTEST_XDIST_WORKER" in os.environ:
            from tests.parallel import compile_share

            compile_share(session.config)
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Let no process outlive the test that started it, also where the test fails half-way.

    Nor what a command that runs in the test's own process does to slosh's log: others would find lines there.
    """
    logger = logging.getLogger("slosh")
    level, handlers = logger.level, list(logger.handlers)
    try:
        with ending_all():
            return (yield)
    finally:
        logger.setLevel(level)
        logger.handlers = handlers


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Say how the tests are shared out where several run at a time (`pytest -n 4`)."""
    from tests.parallel import Scheduler

    return Scheduler(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put long tests first where several run at a time, so that no worker is left with one at the end."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        from tests.parallel import rank

        items.sort(key=lambda item: rank(item.nodeid))
