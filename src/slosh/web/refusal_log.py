"""Which refusals stand in the log, and how: a line for each reason, and not for each request.

The rules of this file:

* A reason is logged when it first occurs, and then at most once in `INTERVAL`; the line tells how many there were
  since the last one. So no client can fill a disk.
* A line repeats of a request its method, its path and its address, in printable ASCII (CVE-2020-7694). It repeats no
  query, no field and no body, because a password or a token may stand there.
* `no_watchers` is not logged, because it is the usual answer to a publisher and no fault. It is counted.
"""

import logging
from typing import Final

from slosh.errors import NoWatchers, SloshError
from slosh.web.head import Head

log: Final = logging.getLogger("slosh.refusals")

INTERVAL: Final = 10.0
"""Seconds between two lines for the same reason."""
LONGEST_PATH: Final = 200
"""Characters of a path that are repeated."""
_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}


class RefusalLog:
    """Decides which refusals are logged, and writes the lines."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}  # when each reason may be logged again, by the error's code
        self._untold: dict[str, int] = {}  # refusals since its last line

    def is_due(self, code: str, now: float, level: str) -> bool:
        """Whether to call `write` for a refusal with this code. One that is not due is counted for the next line.

        Args:
            now: by the clock of the event loop, seconds.
            level: the setting `log_refusals`.
        """
        if code == NoWatchers.code or level not in _LEVELS:
            return False
        if now < self._due.get(code, now):
            self._untold[code] = self._untold.get(code, 0) + 1
            return False
        self._due[code] = now + INTERVAL
        return True

    def write(self, error: SloshError, head: Head | None, client: str, level: str) -> None:
        """Write the line.

        Args:
            error: that the client is told.
            head: of the request; None where it was not read.
            client: its address; empty for a Unix socket.
            level: the setting `log_refusals`.
        """
        asked = f"{printable(head.method)} {printable(head.path)}" if head is not None else "a request without a head"
        more = self._untold.pop(error.code, 0)
        told = f" ({more} more of these since the last line)" if more else ""
        sender = printable(client) or "a Unix socket"
        log.log(_LEVELS[level], "refused %s from %s: %d %s%s", asked, sender, error.status, error.code, told)


def printable(text: str) -> str:
    """A text from a client in printable ASCII, cut to `LONGEST_PATH` characters before it is escaped."""
    shown = text[:LONGEST_PATH].encode("unicode_escape").decode("ascii")
    return shown + "..." if len(text) > LONGEST_PATH else shown
