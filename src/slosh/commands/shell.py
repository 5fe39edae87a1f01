"""Lines to publish: those of standard input, or those that a command prints (`slosh pub --exec`).

The rules of this file:

* A command has a process group of its own, which is ended as a whole: by SIGTERM, and by SIGKILL if it does not obey,
  or if slosh gets a second signal.
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
"""Most bytes of a line; one without an end would fill the memory."""
_WATCHED_WAIT: Final = 25.0
"""Seconds that one question whether a topic is watched may take."""
_OBEYS: Final = 5.0
"""Seconds that a command has to end after SIGTERM."""
_LOOK: Final = 0.02
"""Seconds between two looks whether others of its group have ended too."""


class Input:
    """Standard input. Another thread may call `end` while this one waits for lines. Call `close` at the end."""

    def __init__(self) -> None:
        self._told, self._tell = os.pipe()
        self._is_over = threading.Event()
        self._lock = threading.Lock()  # held while the pipe is used from another thread

    def lines(self) -> Iterator[list[bytes]]:
        """As `read_lines`, until `end` is called."""
        return read_lines(is_over=self._wait)

    def end(self) -> None:
        """Stop reading; bytes in the pipe stay there. May be called from any thread."""
        with self._lock:
            if not self._is_over.is_set():
                self._is_over.set()
                os.write(self._tell, b".")

    def pause(self, seconds: float) -> bool:
        """Wait for this long, or until `end` is called. Returns whether it was called."""
        return self._is_over.wait(seconds)

    def close(self) -> None:
        """Close the descriptors. Nothing may be read after that."""
        with self._lock:
            self._is_over.set()
            os.close(self._told)
            os.close(self._tell)

    def _wait(self) -> bool:
        """Wait for input or for `end`. Returns whether `end` was called."""
        ready, _, _ = select.select([0, self._told], [], [])
        return self._told in ready


def read_lines(source: int = 0, is_over: Callable[[], bool] = lambda: False) -> Iterator[list[bytes]]:
    """The lines of standard input without their ends, as many at a time as have arrived.

    A byte order mark at the beginning, which some programs of Windows write, is left out.

    Args:
        source: another descriptor to read from.
        is_over: called before each read; return True to stop.

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
        return  # A line that has arrived in part is not published.
    if is_first:
        rest = rest.removeprefix(codecs.BOM_UTF8)
    if rest:
        yield [rest.removesuffix(b"\r")]


class ShellCommand:
    """A command whose lines are published. Call `stop` at the end, whatever happens.

    Args:
        command: what a shell runs.

    Attributes:
        code: its exit code if it ended by itself, else 0.
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
        """The same, but only while somebody watches a topic.

        Waits for a watcher, runs the command, ends it when nobody watches, and begins again, until the command ends by
        itself.

        Args:
            unwatched: returns how many lines nobody watched. When the number grows, the command is ended.
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
    """End a command and all its processes. It must have been started with `start_new_session`.

    Raises:
        KeyboardInterrupt: a second signal came; processes that did not obey the first were killed.
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
    """Send a signal to a process and its group; 0 sends nothing. Returns whether any of them exists."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
        return True
    return False


def _wait_for_watchers(client: Client, topic: str) -> None:
    while not keep_trying(partial(client.watchers, topic, wait=_WATCHED_WAIT)):
        pass
