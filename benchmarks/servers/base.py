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
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.machine import put_first
from benchmarks.ports import free_port
from benchmarks.processes import ProcessGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ROOT = Path(__file__).parents[2]
"""The checkout: the small peers are modules of this package."""
START_LIMIT = 20.0
"""Seconds that a server may take until it accepts a connection."""
STOP_LIMIT = 3.0
"""Seconds that it may take to go; then it is killed, for what it does at its end is not measured."""


class StartError(Exception):
    """A server did not come up; the text holds what it wrote."""


def listens(port: int) -> bool:
    """Whether somebody listens on this port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


class Started(NamedTuple):
    """A server that accepts connections."""

    pid: int
    port: int
    store: int | None = None
    """The process id of the store beside it, for a server that keeps its messages in one."""


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
    version: Callable[[], str]
    """Which one it is, for the record; called only where nothing is missing."""
    transports: Mapping[str, str] = field(default_factory=dict)
    """Kind of reading (longpoll, gathered, sse, websocket) -> the load generator's word for it."""
    ready: Callable[[int], bool] = listens
    """(port) -> whether it serves by now."""
    share: float = 1.0
    """The part of the usual load that it can carry: a server that drowns shows nothing of its cost."""
    modules: tuple[Path, ...] = ()
    """Folders where its Python looks before its own."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Further environment."""
    python: str | None = None
    """The Python that it runs on, for the record; None where it is no Python."""
    guard: Callable[[Path], list[str]] | None = None
    """(scratch folder) -> further words, with which it asks for the load generator's token; None where it cannot."""
    store: Callable[[Path], list[str]] | None = None
    """(scratch folder) -> the words that start the store beside it, on the socket `store` in that folder."""

    @contextlib.contextmanager
    def running(
        self,
        core: int | None,
        *,
        store_core: int | None = None,
        foremost: bool = False,
        guarded: bool = False,
        words: Sequence[str] = (),
    ) -> Iterator[Started]:
        """Starts it on that core, and its store on the other one; stops both afterwards. Raises StartError.

        Where it is `guarded`, it asks for a token, if it can. `words` are further ones of its command line.
        """
        with tempfile.TemporaryDirectory(prefix="slosh-bench-") as folder, contextlib.ExitStack() as ends:
            scratch, store = Path(folder), None
            if self.store is not None:
                store = ends.enter_context(self.process(self.store(scratch), scratch / "store.log", store_core))
                until_ready(store, scratch / "store.log", lambda: is_socket(scratch / "store"))
            port = free_port()
            guard = self.guard(scratch) if guarded and self.guard else ()
            command = [*self.command(scratch, port), *guard, *words]
            child = ends.enter_context(self.process(command, scratch / "log", core))
            for process in (child, store) if foremost else ():
                if process is not None:
                    put_first(process.pid)  # its workers inherit it
            until_ready(child, scratch / "log", lambda: self.ready(port))
            yield Started(child.pid, port, store.pid if store is not None else None)

    @contextlib.contextmanager
    def process(self, command: list[str], log: Path, core: int | None) -> Iterator[ProcessGroup[bytes]]:
        """Starts one process of it on that core, with its environment, and stops it afterwards."""
        paths = [*map(str, self.modules), str(ROOT), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, **self.variables, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        with log.open("wb") as output:
            child: ProcessGroup[bytes] = ProcessGroup(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=log.parent,
                env=environment,
            )
        try:
            if core is not None:
                os.sched_setaffinity(child.pid, {core})  # its workers inherit it
            yield child
        finally:
            _stop(child)


def is_socket(path: Path) -> bool:
    """Whether somebody listens on this socket."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        probe.connect(str(path))
        return True
    return False


def until_ready(child: ProcessGroup[bytes], log: Path, ready: Callable[[], bool]) -> None:
    """Waits until it says yes; raises StartError when the process ended, or it took too long."""
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline and child.poll() is None:
        if ready():
            return
        time.sleep(0.02)
    raise StartError(log.read_text(errors="replace")[-2000:].strip() or f"it did not listen within {START_LIMIT:g} s")


def _stop(child: ProcessGroup[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        child.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(STOP_LIMIT)
    child.end()
