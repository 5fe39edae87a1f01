"""No test leaves a process behind: what still runs at the end of a session fails it, with its command.

A process belongs to the session if it descends from it, or has its mark in the environment: a process whose parent
ended has no ancestor left.
"""

import contextlib
import os
import time
from typing import Final

import psutil
import pytest

MARK: Final = "PROCESS_OF_TESTS"
"""The variable that all processes of a session inherit."""
PATIENCE = 30.0
"""Seconds that the system may take to remove processes that were killed."""
FOUND: Final = pytest.StashKey[list[str]]()


def mark() -> None:
    """Mark what this process starts from now on."""
    os.environ[MARK] = f"{os.getpid()} {time.monotonic_ns()}"


def left() -> list[str]:
    """The processes of this session that still run: number and command of each."""
    descendants = {process.pid for process in psutil.Process().children(recursive=True)}
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            ours = process.pid in descendants or process.environ().get(MARK) == os.environ[MARK]
            if ours and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"{process.pid}: {' '.join(process.cmdline())}")
    return found


def wait_until_none_is_left() -> list[str]:
    """Give killed processes their time to end; those that still run then."""
    deadline = time.monotonic() + PATIENCE
    while (found := left()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def shares_out(config: pytest.Config) -> bool:
    """Whether the tests run in workers: each looks for itself, and this process has the workers for children."""
    return bool(config.getoption("numprocesses", None)) or bool(config.getoption("tx", None))


# Hooks; tests/conftest.py registers this module as a plugin.


def pytest_sessionstart() -> None:
    """Mark the session's processes."""
    mark()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Look for processes once all fixtures are torn down; a worker tells the process that shares out the tests."""
    config = session.config
    if not shares_out(config):
        config.stash[FOUND] = wait_until_none_is_left()
        if (output := getattr(config, "workeroutput", None)) is not None:
            output["left"] = config.stash[FOUND]
    if config.stash.get(FOUND, []) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Hear what a worker found."""
    config: pytest.Config = node.config  # type: ignore[attr-defined]  # xdist has no types
    config.stash.setdefault(FOUND, []).extend(getattr(node, "workeroutput", {}).get("left", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was left."""
    if found := config.stash.get(FOUND, []):
        terminalreporter.section("processes left behind", red=True)
        for line in found:
            terminalreporter.line(line)
