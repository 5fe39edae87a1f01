"""A line on a terminal that tells how far long work has come. On a pipe, or where TERM is dumb, nothing is written."""

import os
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

_INTERVAL: Final = 0.2
"""Seconds between two changes of the line."""


class Progress:
    """One line on standard error that is written again and again, and removed at the end.

    Args:
        describe: gives the line's text; it is called at most five times a second.
    """

    def __init__(self, describe: Callable[[], str]) -> None:
        self._describe = describe
        self._shown = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._next = 0.0

    def update(self) -> None:
        """Write the line again if that is due."""
        if self._shown and time.monotonic() >= self._next:
            self._next = time.monotonic() + _INTERVAL
            sys.stderr.write(f"\r\x1b[2K{self._describe()}")
            sys.stderr.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown and self._next:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()


def count(number: int, thing: str) -> str:
    """`1 message`, `2,000 messages`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def were(number: int) -> str:
    """The verb behind such a count."""
    return "was" if number == 1 else "were"
