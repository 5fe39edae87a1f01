"""Notices that this process has no file descriptor left, so that no client can be accepted.

The loop does not tell anybody: uvloop closes such clients without a byte (libuv's `uv__emfile_trick`), and asyncio's
own leaves them in the system's queue for a second. So a look is taken whether a file can be opened, soon after clients
were accepted, and then once a second until it can.
"""

import errno
import logging
import math
import os
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any, Final

logger = logging.getLogger(__name__)

_AFTER_ACCEPTING: Final = 0.1
"""Seconds from an accepted client to the look, which is one for all that are accepted meanwhile."""
_AGAIN: Final = 1.0
"""Seconds to the next look, while there is no descriptor."""
_BETWEEN_LINES: Final = 10.0
"""Seconds between two lines in the log."""
_NONE_LEFT: Final = (errno.EMFILE, errno.ENFILE)

_REPORT: Final = "socket.accept() out of system resource"
"""How asyncio's own loop reports it, with a traceback for each second."""


def silence_reports(loop: AbstractEventLoop) -> Callable[[], None]:
    """Have `loop` leave what is noticed here out of its own reports. Call what is returned to undo that."""
    former = loop.get_exception_handler()

    def report(loop: AbstractEventLoop, context: dict[str, Any]) -> None:
        if context.get("message") == _REPORT:
            return
        if former is not None:
            former(loop, context)
        else:
            loop.default_exception_handler(context)

    def undo() -> None:
        if loop.get_exception_handler() is report:
            loop.set_exception_handler(former)

    loop.set_exception_handler(report)
    return undo


class Shortage:
    """Looks whether there is a descriptor left.

    Args:
        loop: calls back.

    Attributes:
        is_due: whether a look is to come. Call `look_soon` after accepting a client if it is not.
        found: how often there was none.
    """

    __slots__ = ("_logged_until", "_loop", "found", "is_due")

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._logged_until = -math.inf
        self.is_due = False
        self.found = 0

    def look_soon(self) -> None:
        """Have a look taken soon."""
        self.is_due = True
        self._loop.call_at(self._loop.time() + _AFTER_ACCEPTING, self._look)

    def _look(self) -> None:
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError as error:
            if error.errno in _NONE_LEFT:
                self._note()
                self._loop.call_at(self._loop.time() + _AGAIN, self._look)
                return
        self.is_due = False

    def _note(self) -> None:
        self.found += 1
        now = self._loop.time()
        if now >= self._logged_until:
            self._logged_until = now + _BETWEEN_LINES
            logger.error(
                "this process has all the files open that it may have (ulimit -n), so no client can be accepted: "
                "new ones wait, or are closed without an answer. Raise the limit, or lower max_connections and "
                "max_downloads."
            )
