"""The screen of `slosh top` and `slosh plot`: drawn again and again in place, with keys that are heard meanwhile."""

import contextlib
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from types import TracebackType
from typing import Final, Self

from slosh.client.errors import BadUse

_ALTERNATE, _MAIN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"

QUIT: Final = frozenset({"q", "\x03", "\x04"})
"""Keys that end: q, Ctrl-C, Ctrl-D."""


class Screen:
    """The alternate screen of the terminal on standard output. Use it in a `with` block.

    The terminal is as it was before when the block ends, however it ends.
    """

    def __init__(self) -> None:
        self._keyboard = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._before: list[object] = []

    def __enter__(self) -> Self:
        if self._keyboard is not None:
            self._before = list(termios.tcgetattr(self._keyboard))
            tty.setcbreak(self._keyboard)
        sys.stdout.write(_ALTERNATE)
        sys.stdout.flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.stdout.write(_MAIN)
        sys.stdout.flush()
        if self._keyboard is not None:
            termios.tcsetattr(self._keyboard, termios.TCSADRAIN, self._before)  # type: ignore[arg-type]  # as it was given

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines, as they are now."""
        return find_size((80, 24))

    def draw(self, text: str) -> None:
        """Show `text` in place of what was shown, as far as it fits."""
        lines = text.rstrip("\n").split("\n")[: self.size[1]]
        sys.stdout.write(_HOME + f"{_CLEAR_LINE}\n".join(lines) + _CLEAR_LINE + _CLEAR_BELOW)
        sys.stdout.flush()

    def keys(self, seconds: float) -> Iterator[str]:
        """Keys that are pressed within this many seconds."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._keyboard is None:
                time.sleep(left)
            elif select.select([self._keyboard], [], [], left)[0]:
                yield os.read(self._keyboard, 16).decode("utf-8", "replace") or "q"


def can_draw() -> bool:
    """Whether standard output is a terminal that can be drawn on in place: one with TERM=dumb prints what it gets."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def find_size(other: tuple[int, int]) -> tuple[int, int]:
    """Columns and lines of the terminal on standard output, or the `other` ones if it is none, or does not say."""
    with contextlib.suppress(OSError, ValueError):
        columns, lines = os.get_terminal_size(sys.stdout.fileno())
        if columns and lines:
            return columns, lines
    return other


def need(extra: str, library: str) -> BadUse:
    """The error for a command whose library is not installed."""
    return BadUse(f"This needs {library}, which comes with: pip install 'slosh-server[{extra}]'")
