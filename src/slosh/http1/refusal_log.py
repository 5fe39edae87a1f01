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
from slosh.http1.head import is_method, is_tls
from slosh.logs import event

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
        self._unlogged: dict[str, int] = {}  # refusals since its last line

    def is_due(self, code: str, now: float, level: str) -> bool:
        """Whether to call `write` for a refusal with this code. One that is not due is counted for the next line.

        Args:
            now: by the clock of the event loop, seconds.
            level: the setting `log_refusals`.
        """
        if code == NoWatchers.code or level not in _LEVELS:
            return False
        if now < self._due.get(code, now):
            self._unlogged[code] = self._unlogged.get(code, 0) + 1
            return False
        self._due[code] = now + INTERVAL
        return True

    def write(self, error: SloshError, asked: str, client: str, level: str) -> None:
        """Write the line.

        Args:
            error: that the client is told. Its `token` is the name of the client's token, which is logged.
            asked: for what, as `describe` or `describe_beginning` gives it.
            client: its address; empty for a Unix socket.
            level: the setting `log_refusals`.
        """
        more = self._unlogged.pop(error.code, 0)
        others = f" ({more} more of these since the last line)" if more else ""
        sender = printable(client) or "a Unix socket"
        token = printable(error.token)
        named = f" with the token {token}" if token else ""
        log.log(
            _LEVELS[level],
            "refused %s from %s%s: %d %s%s",
            asked,
            sender,
            named,
            error.status,
            error.code,
            others,
            extra=event(
                "refused", request=asked, client=sender, token=token, status=error.status, code=error.code, more=more
            ),
        )


def describe(method: str, path: str) -> str:
    """A request in a few words."""
    return f"{printable(method)} {printable(path)}"


def describe_beginning(begun: bytes) -> str:
    """The same for the beginning of a request whose head was not read, as far as it is one."""
    if is_tls(begun):
        return "TLS on a port for plain HTTP"
    method, _, rest = begun.partition(b"\r\n")[0].partition(b" ")
    # A URL may hold a user and a password; a path holds none, without its query.
    path = rest.partition(b" ")[0].partition(b"?")[0]
    if is_method(method) and path.startswith(b"/"):
        return describe(method.decode("latin-1"), path.decode("latin-1"))
    return "a request without a head"


def printable(text: str) -> str:
    """A text from a client in printable ASCII, cut to `LONGEST_PATH` characters before it is escaped."""
    shown = text[:LONGEST_PATH].encode("unicode_escape").decode("ascii")
    return shown + "..." if len(text) > LONGEST_PATH else shown
