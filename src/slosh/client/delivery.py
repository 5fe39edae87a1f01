"""The tries of one publish, as both clients make them: when one more is worth it, and what to raise where none is."""

import httpx2

from slosh.client.answers import Published, read_problem
from slosh.client.connections import explain_lasting, unreachable
from slosh.client.errors import Refused
from slosh.client.request import Options, Post


class Delivery:
    """The tries of `post`. After each that gave None, wait for `post.pause` seconds and make another.

    Args:
        post: what is published.
        options: of the client, whose `timeout` bounds all tries together.
        now: seconds, on a clock that is never set.
    """

    def __init__(self, post: Post, options: Options, now: float) -> None:
        self._post = post
        self._options = options
        self._until = now + options.timeout

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

    def answered(self, answer: httpx2.Response, now: float) -> Published | None:
        """What became of the publish; None where it is worth another try.

        Raises:
            Refused, NotTaken: it was not taken, and will not be, or there is no time for another try.
        """
        published = self._post.answered(answer, self._options.where)
        if published is None and self._is_over(now):
            raise Refused(answer.status_code, read_problem(answer.content), self._options.where)
        return published

    def _is_over(self, now: float) -> bool:
        return now + self._post.pause >= self._until
