"""What a compared server tells of itself, and how it is started, pinned and stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.machine import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROOT = Path(__file__).parents[2]
"""The checkout: the small peers are modules of this package."""
START_LIMIT = 20.0
"""Seconds that a server may take until it accepts a connection."""
STOP_LIMIT = 15.0


class StartError(Exception):
    """A server did not come up; the text holds what it wrote."""


@dataclass(frozen=True)
class Server:
    """One compared server."""

    name: str
    """As on the command line."""
    title: str
    """As in the table's head."""
    configuration: str
    """What was set, in one sentence, for the note under the table."""
    missing: Callable[[], str | None]
    """What has to be installed before it can run, or None."""
    command: Callable[[Path, int], list[str]]
    """(scratch folder, port) -> the words that start it in the foreground, with one worker, on 127.0.0.1."""
    transports: Mapping[str, str] = field(default_factory=dict)
    """Kind of reading (longpoll, gathered, sse, websocket) -> the load generator's word for it."""
    share: float = 1.0
    """The part of the usual load that it can carry: a server that drowns shows nothing of its cost."""

    @contextlib.contextmanager
    def running(self, core: int | None) -> Iterator[tuple[int, int]]:
        """Starts it on that core; gives (process id, port); stops it afterwards. Raises StartError."""
        port = free_port()
        with tempfile.TemporaryDirectory(prefix="slosh-bench-") as scratch:
            log = Path(scratch) / "log"
            with log.open("wb") as output:
                child = subprocess.Popen(
                    self.command(Path(scratch), port),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=scratch,
                    env={
                        **os.environ,
                        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
                    },
                )
            if core is not None:
                os.sched_setaffinity(child.pid, {core})  # its workers inherit it
            try:
                _await_listening(child, port, log)
                yield child.pid, port
            finally:
                _stop(child)


def _await_listening(child: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline and child.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise StartError(log.read_text(errors="replace")[-2000:].strip() or f"it did not listen within {START_LIMIT:g} s")


def _stop(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        child.send_signal(signal.SIGTERM)
    try:
        child.wait(STOP_LIMIT)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
