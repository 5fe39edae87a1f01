"""Real processes for tests: started, heard until they say a certain thing, and always ended."""

import contextlib
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from benchmarks.processes import ProcessGroup

PATIENCE = 30.0
"""Seconds that something which takes a fraction of one may take on a machine that is busy."""

MAKEFILE = Path(__file__).parent.parent / "Makefile"

SLOSH = (sys.executable, "-m", "slosh")


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without settings of slosh in it, so that a person's own do not change a test."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SLOSH_")}
    return kept | {"NO_COLOR": "1", "PYTHONUNBUFFERED": "1"} | more


def uncovered(environment: Mapping[str, str]) -> dict[str, str]:
    """The same for a program that may not write here: coverage, which `make cover` has in it, would at its end."""
    return {name: value for name, value in environment.items() if not name.startswith("COVERAGE_")}


def environment_for_make(**more: str) -> dict[str, str]:
    """The same for a `make`, without what the `make` that runs the tests hands on to those below it.

    That are its own variables, and all that its command line set: `make test ARGS=--durations=5` would start a server
    with that option. Which Python makes a virtual environment stays as it is.
    """
    read = set(re.findall(r"(?<!\$)\$\((\w+)", MAKEFILE.read_text(encoding="utf-8"))) - {"PYTHON"}
    given = {name for name in os.environ if name in read or re.match("MAKE|MFLAGS|GNUMAKEFLAGS", name)}
    return {name: value for name, value in clean_environment().items() if name not in given} | more


def without_uvloop(*module: str) -> tuple[str, ...]:
    """The command that runs a module in a Python which has no uvloop, as on Windows and PyPy."""
    script = "import runpy, sys; sys.modules['uvloop'] = None; runpy.run_module(sys.argv.pop(1), run_name='__main__')"
    return (sys.executable, "-c", script, *module)


def hold_poll(address: str) -> socket.socket:
    """A reader whose GET the server says it holds."""
    reader = socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=PATIENCE)
    reader.sendall(b"GET /topics/held HTTP/1.1\r\nHost: x\r\n\r\n")
    deadline = time.monotonic() + PATIENCE
    while "\nslosh_watchers 1.0\n" not in get(f"{address}/-/metrics").decode():
        assert time.monotonic() < deadline, "the poll was not held"
    return reader


def hold_publisher(address: str) -> socket.socket:
    """A client in the middle of a POST, which a server that drains waits for: the server has read so much of it."""
    client = socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=PATIENCE)
    client.sendall(b"POST /topics/held?open HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    hear_from(client, b"HTTP/1.1 100 ")
    return client


def hear_from(connection: socket.socket, text: bytes) -> bytes:
    """All that comes, until this has come. It may come in several parts."""
    data = b""
    while text not in data:
        part = connection.recv(65536)
        assert part, f"closed behind {data!r}"
        data += part
    return data


def get(url: str) -> bytes:
    """The body of a page that is there."""
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        body: bytes = answer.read()
    return body


def rest_of(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def children(pid: int) -> list[int]:
    """The processes that a process has started, in the order of their start; none where it has ended."""
    with contextlib.suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def lives(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    with contextlib.suppress(OSError):
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    return False


class Running:
    """A process, ended with all that it started at the end of the with block, whatever happens.

    Its stdout and stderr are gathered in `lines`, in the order in which they come.
    """

    def __init__(self, command: Sequence[str], cwd: Path, environment: Mapping[str, str] | None = None) -> None:
        self.lines: list[str] = []
        self._heard: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.process: ProcessGroup[str] = ProcessGroup(
            command,
            cwd=cwd,
            env=clean_environment() if environment is None else environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.end()
        self._reader.join(PATIENCE)
        if self.process.stdout:
            self.process.stdout.close()

    def hear(self, pattern: str, patience: float = PATIENCE) -> re.Match[str]:
        """Wait until the process prints a line in which the pattern is found."""
        while True:
            line = self._heard.get(timeout=patience)
            if line is None:
                raise AssertionError(f"never said {pattern!r}, only:\n{self.output}")
            if found := re.search(pattern, line):
                return found

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait until it has ended by itself; its exit code."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    @property
    def output(self) -> str:
        """All that it has printed so far."""
        return "\n".join(self.lines)

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            self._heard.put(line)
        self._heard.put(None)
