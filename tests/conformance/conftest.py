"""The echo application on slosh's own HTTP server, as a process, for all the cases of a run."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks.processes import ProcessGroup
from tests.conformance.wire import Address


@contextmanager
def echo_server() -> Iterator[Address]:
    """Run `python -m slosh.testing.echo` on a free port until the block ends."""
    command = [sys.executable, "-m", "slosh.testing.echo", "--port", "0"]
    with ProcessGroup[str](command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready = process.stdout.readline()
            host, _, port = ready.strip().rpartition("http://")[2].partition(":")
            assert port, f"the echo did not say where it is, but {ready!r}"
            yield host, int(port)
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def echo() -> Iterator[Address]:
    """Where the echo listens."""
    with echo_server() as address:
        yield address
