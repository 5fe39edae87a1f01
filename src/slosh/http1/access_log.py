"""The access log: a line for each request, or for one of so many of them. Off unless it is asked for.

The rules of this file:

* Which requests are logged is left to chance, one of `access_log` on average, so that no pattern of requests is missed.
* A line is written when the request is answered, or when its client has gone. It has the method, the path, the
  address, the name of the token, the status and the time that the answer took. It has no query, no header field and
  no body: a token or a message may stand there.
"""

import logging
from collections.abc import Callable
from typing import Final, NamedTuple

from slosh.http1.refusal_log import printable
from slosh.logs import event

log: Final = logging.getLogger("slosh.access_log")


class LoggedRequest(NamedTuple):
    """A request that is logged once it is answered."""

    method: str
    path: str
    client: str
    since: float


class AccessLog:
    """Decides which requests are logged, and writes the lines.

    Args:
        every: one of so many is logged, at least 1.
        now: gives seconds.
        random: gives a number from 0 to 1, without 1.
    """

    def __init__(self, every: int, now: Callable[[], float], random: Callable[[], float]) -> None:
        self._every = every
        self._now = now
        self._random = random
        self._begun: dict[object, LoggedRequest] = {}  # by connection, each of which has one request at a time
        self._left = self._draw()

    def is_due(self) -> bool:
        """Whether to call `begin` for the request that begins now. Call it once for each."""
        self._left -= 1
        if self._left > 0:
            return False
        self._left = self._draw()
        return True

    def begin(self, connection: object, method: str, path: str, client: str) -> None:
        """A request has begun that is to be logged. Call `end` when it is answered, or its connection is gone."""
        self._begun[connection] = LoggedRequest(method, path, client, self._now())

    def end(self, connection: object, answer: bytes, token: str, status: int | None = None) -> None:
        """The request on `connection`, if one is to be logged, has been answered.

        Args:
            answer: as it was written; empty if a stream ends, or the client has gone.
            token: the name of the client's token, never the token; empty for none.
            status: of an answer whose last part this is; None if it says so itself, or had no end.
        """
        begun = self._begun.pop(connection, None)
        if begun is None:
            return
        # Where the status stands (RFC 9112 §4). The compiled build takes no slice that has a name.
        if answer.startswith(b"HTTP/1.1 "):
            status = int(answer[9:12])
        took = round(self._now() - begun.since, 3)
        client = printable(begun.client) or "a Unix socket"
        method, path, name = printable(begun.method), printable(begun.path), printable(token)
        log.info(
            "%s %s from %s%s: %s in %.3f s",
            method,
            path,
            client,
            f" with the token {name}" if name else "",
            status or "a stream, or a client that left,",
            took,
            extra=event("request", method=method, path=path, client=client, token=name, status=status, seconds=took),
        )

    def _draw(self) -> int:
        """After how many requests the next one is logged: `every` on average."""
        return 1 + int(self._random() * (2 * self._every - 1))
