"""Lines to publish: those of standard input, or those that a command prints (`slosh pub --exec`).

The rules of this file:

* A command leads a process group of its own, and is ended with all that it started: by SIGTERM, and by SIGKILL when it
  does not obey, or when slosh itself is told again to end.
* Its standard error goes where slosh's own does.
"""

import codecs
import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from slosh.client.errors import BadUse
from slosh.client.synchronous import Client
from slosh.commands.shared import keep_trying

_READ: Final = 256 * 1024
LONGEST_LINE: Final = 64 * 1024 * 1024
"""Bytes of a line; one without an end would fill the memory."""
_WATCHED_WAIT: Final = 25.0
"""Seconds that one question whether a topic is watched may take."""
_OBEYS: Final = 5.0
"""Seconds that a command has to end after SIGTERM."""
_LOOK: Final = 0.02
"""Seconds between two looks whether others of its group have ended too."""


class Input:
    """Standard input, whose end another thread may bring about while nothing comes. Close it."""

    def __init__(self) -> None:
        self._told, self._tell = os.pipe()
        self._is_over = threading.Event()
        self._lock = threading.Lock()  # held while the pipe is used from another thread

    def lines(self) -> Iterator[list[bytes]]:
        """As `read_lines`, until `end` is called."""
        return read_lines(is_over=self._wait)

    def end(self) -> None:
        """Read no more; what waits in the pipe stays there. Call it from any thread."""
        with self._lock:
            if not self._is_over.is_set():
                self._is_over.set()
                os.write(self._tell, b".")

    def pause(self, seconds: float) -> bool:
        """Wait for so long, or until `end` is called; whether it was."""
        return self._is_over.wait(seconds)

    def close(self) -> None:
        """Give the descriptors back. Nothing is read any more."""
        with self._lock:
            self._is_over.set()
            os.close(self._told)
            os.close(self._tell)

    def _wait(self) -> bool:
        """Wait until something comes, or the end; whether it is that."""
        ready, _, _ = select.select([0, self._told], [], [])
        return self._told in ready


def read_lines(source: int = 0, is_over: Callable[[], bool] = lambda: False) -> Iterator[list[bytes]]:
    """The lines of standard input, without their ends, as many at a time as have come.

    The mark of byte order before the first is left out, with which some programs of Windows begin a file.

    Args:
        source: another descriptor to read from.
        is_over: asked before each read; True if there is to be none.

    Raises:
        BadUse: a line is too long.
    """
    rest = b""
    is_first = True
    while not (over := is_over()) and (data := os.read(source, _READ)):
        *lines, rest = (rest + data).split(b"\n")
        if is_first and lines:
            is_first = False
            lines[0] = lines[0].removeprefix(codecs.BOM_UTF8)
        if lines:
            yield [line.removesuffix(b"\r") for line in lines]
        if len(rest) > LONGEST_LINE:
            raise BadUse(f"A line of the input is longer than {LONGEST_LINE} bytes.")
    if over:
        return  # The line that has come in part stays with what is in the pipe.
    if is_first:
        rest = rest.removeprefix(codecs.BOM_UTF8)
    if rest:
        yield [rest.removesuffix(b"\r")]


class ShellCommand:
    """A command whose lines are published. Call `stop` at the end, whatever happens.

    Args:
        command: what a shell runs.

    Attributes:
        code: what it ended with, when it ended by itself; else 0.
    """

    def __init__(self, command: str) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self.code = 0

    def lines(self) -> Iterator[list[bytes]]:
        """Run it, and give its lines as they come."""
        process = self._process = subprocess.Popen(  # noqa: S603 - the user's own command
            ["/bin/sh", "-c", self._command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        if process.stdout is not None:
            yield from read_lines(process.stdout.fileno())
        self.code = process.wait()

    def lines_while_watched(self, client: Client, topic: str, unwatched: Callable[[], int]) -> Iterator[list[bytes]]:
        """The same, for as long as somebody watches a topic; wait until somebody does, run it again, until it ends.

        Args:
            unwatched: counts lines that nobody watched for. One more ends the command.
        """
        while True:
            _wait_for_watchers(client, topic)
            before = unwatched()
            for lines in self.lines():
                yield lines
                if unwatched() != before:
                    break
            else:
                return
            self.stop()

    def stop(self) -> None:
        """End the command, if it runs."""
        process = self._process
        if process is None:
            return
        try:
            end_group(process)
        finally:
            self._process = None
            if process.stdout is not None:
                process.stdout.close()


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a command and all that it started. It leads a session of its own (`start_new_session`).

    Raises:
        KeyboardInterrupt: a second signal came; what did not obey the first is killed then.
    """
    until = time.monotonic() + _OBEYS
    try:
        _tell_group(process, signal.SIGTERM)
        process.wait(_OBEYS)
        # The shell of `a | b` has ended at once, and the others of its group may not.
        while _tell_group(process, 0):
            if time.monotonic() > until:
                _tell_group(process, signal.SIGKILL)
                break
            time.sleep(_LOOK)
    except (subprocess.TimeoutExpired, KeyboardInterrupt) as error:
        _tell_group(process, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):  # one that has become another user's obeys nobody
            process.wait(_OBEYS)
        if isinstance(error, KeyboardInterrupt):
            raise


def _tell_group(process: subprocess.Popen[bytes], number: int) -> bool:
    """Send a signal, or nothing if it is 0, to a process and all that it started. Whether any of them is there."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
        return True
    return False


def _wait_for_watchers(client: Client, topic: str) -> None:
    while not keep_trying(partial(client.watchers, topic, wait=_WATCHED_WAIT)):
        pass
