"""The tries of one publish, as both clients make them: when one more is worth it, and what to raise if none is."""

from collections.abc import Callable
from typing import Final

import httpx2

from slosh.client.answers import Published, read_retry_after, refusal_of
from slosh.client.connections import explain_lasting, unreachable
from slosh.client.errors import ClientError
from slosh.client.request import Options, Post

_LAST_TRY: Final = 0.5
"""Seconds before the end of its time at which a publish is tried for the last time; a twentieth of the time if that
is shorter."""


class Delivery:
    """The tries of `post`. After each that gave None, wait for `pause` seconds and make another.

    Tries go on to the end of the time: a pause that would go beyond it is cut short, so that there is a last try just
    before. Only a server's own Retry-After is never cut short; if it goes beyond the end, there is no other try.

    Args:
        post: what is published.
        options: of the client, whose `timeout` bounds all tries together.
        now: seconds, on a clock that is never set.
        tried: is called with each failure that is followed by another try.

    Attributes:
        pause: seconds to wait before the next try.
    """

    def __init__(
        self, post: Post, options: Options, now: float, tried: Callable[[ClientError], None] | None = None
    ) -> None:
        self._post = post
        self._options = options
        self._until = now + options.timeout
        self._last = self._until - min(_LAST_TRY, options.timeout / 20)
        self.pause = 0.0
        self._tried = tried

    def left(self, now: float) -> float:
        """Seconds that the next try may take."""
        return max(self._until - now, 0.001)

    def failed(self, error: httpx2.TransportError, now: float) -> None:
        """No answer came.

        Raises:
            Unreachable: none will come to another try either, or there is no time for one.
        """
        if explain_lasting(self._options.url, error):
            raise unreachable(self._options, error) from error
        self._post.failed(error)
        if self._is_over(now):
            raise unreachable(self._options, error) from error
        if self._tried is not None:
            self._tried(unreachable(self._options, error))

    def answered(self, answer: httpx2.Response, now: float) -> Published | None:
        """What became of the publish; None if it is worth another try.

        Raises:
            Refused, NotTaken: it was not taken, and will not be, or there is no time for another try.
            Unreachable: a gateway says that the server is away, and there is no time for another try.
        """
        published = self._post.answered(answer, self._options.where)
        if published is None:
            refusal = refusal_of(answer.status_code, answer.headers, answer.content, self._options.where)
            if self._is_over(now, read_retry_after(answer.headers) or 0.0):
                raise refusal
            if self._tried is not None:
                self._tried(refusal)
        return published

    def _is_over(self, now: float, least: float = 0.0) -> bool:
        """Whether there is no time for another try; else say how long to wait for it."""
        self.pause = max(least, min(self._post.pause, self._last - now))
        return now >= self._last or now + least > self._last
