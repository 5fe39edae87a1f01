"""A command on a terminal of its own, whose screen a test reads."""

import fcntl
import os
import pty
import re
import struct
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from benchmarks.processes import ProcessGroup
from tests.running import PATIENCE, SLOSH, clean_environment

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def _take_terminal() -> None:
    """Make standard input the terminal of this session, as a shell's is."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A pseudo-terminal of 100 columns and 30 lines with a command on it. Use it in a `with` block.

    Args:
        words: of `slosh`.
        command: another program, in place of `slosh`.
        environment: what is set besides.
    """

    def __init__(
        self,
        *words: str,
        url: str,
        columns: int = 100,
        command: Sequence[str] = SLOSH,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._ours, theirs = pty.openpty()
        self.resize(columns, 30)
        all_of_it = clean_environment(SLOSH_URL=url, TERM="xterm") | dict(environment or {})
        self.process: ProcessGroup[bytes] = ProcessGroup(
            [*command, *words], stdin=theirs, stdout=theirs, stderr=theirs, env=all_of_it, preexec_fn=_take_terminal
        )
        os.close(theirs)
        self._written = b""
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def written(self) -> str:
        """All that was written, with its escape sequences."""
        return self._written.decode("utf-8", "replace")

    @property
    def screen(self) -> str:
        """What was drawn last, without escape sequences."""
        return _ESCAPES.sub("", self.written.rpartition("\x1b[H")[2])

    def until(self, pattern: str, seconds: float = PATIENCE) -> str:
        """Wait until the screen has this pattern, and give the screen."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not re.search(pattern, self.screen):
                assert self._changed.wait(max(0.0, deadline - time.monotonic())), f"never {pattern!r}:\n{self.screen}"
            return self.screen

    def press(self, key: str) -> None:
        """Press a key."""
        os.write(self._ours, key.encode())

    def resize(self, columns: int, lines: int) -> None:
        """Change the terminal's size."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.end()
        self._reader.join(PATIENCE)
        os.close(self._ours)

    def _read(self) -> None:
        while True:
            try:
                part = os.read(self._ours, 65536)
            except OSError:  # the other side is closed
                return
            with self._changed:
                self._written += part
                self._changed.notify_all()
