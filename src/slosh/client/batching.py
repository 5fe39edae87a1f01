"""How much goes into one request if many messages of a topic wait.

The rules of this file:

* A batch is at most half of what its topic keeps, so that none pushes out its own first messages, and a reader that
  stands one batch behind loses nothing. The answer to a batch tells how much that is; until then it is `FIRST`.
* A batch that is too large for the server is sent again in halves, and those that follow are no larger than a half.
* A message that the server does not take is found in the same way, so its neighbours are stored, in their order.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from slosh.client.answers import Published
from slosh.client.errors import Refused

FIRST: Final = 50
"""Messages of the first batch: half of what a topic keeps by default."""
_MOST: Final = 10_000
"""Messages of any batch: what a server takes by default (`max_batch`)."""
_MOST_BYTES: Final = 512 * 1024
"""Bytes of any batch; what a server takes by default (`max_body`) is sixteen times that."""
_REMEMBERED: Final = 1000
"""Topics that differ from the default, and are remembered. More are learnt again."""
_TOO_LARGE: Final = 413
_LINE: Final = re.compile(r"Line ([0-9]{1,9})\b")
"""How a server begins to say which line of a batch it means."""


class BatchSize:
    """How many messages, and how many bytes, one request may have.

    Args:
        most: messages of any batch; None for as many as the rules of this file allow.
    """

    def __init__(self, most: int | None) -> None:
        self._asked = most
        self._lines = _MOST
        self._bytes = _MOST_BYTES
        self._kept: dict[str, tuple[int, int]] = {}

    def find(self, topic: str) -> tuple[int, int]:
        """How many messages a batch of this topic may have, and how many bytes."""
        lines, size = self._kept.get(topic, (FIRST, _MOST_BYTES))
        return min(self._asked or lines, self._lines), min(size, self._bytes)

    def learn(self, topic: str, published: Published) -> None:
        """A batch was answered."""
        if not published.queue:
            return
        said = max(1, published.queue // 2), max(1, published.queue_bytes // 2)
        if said[0] == FIRST and said[1] >= _MOST_BYTES:
            self._kept.pop(topic, None)
            return
        if len(self._kept) >= _REMEMBERED:
            self._kept.clear()
        self._kept[topic] = said

    def shrink(self, lines: Sequence[bytes], error: Refused) -> None:
        """A batch was refused. If it was too large as a whole, those that follow are smaller."""
        limit = error.problem.get("limit")
        if error.status != _TOO_LARGE or (isinstance(limit, int) and any(len(line) > limit for line in lines)):
            return
        self._lines = max(1, len(lines) // 2)
        self._bytes = max(1, sum(len(line) + 1 for line in lines) // 2)

    def count(self, topic: str, waiting: Iterable[bytes]) -> int:
        """How many of the messages that wait go into the next batch: one at least."""
        most, size = self.find(topic)
        number = 0
        for line in waiting:
            size -= len(line) + 1
            if number == most or (number and size < 0):
                break
            number += 1
        return number


def may_be_one(error: Refused) -> bool:
    """Whether a refusal may be about one message of a batch, or its size, and not about all that goes to this topic."""
    return error.status == _TOO_LARGE or error.reason == "bad_json"


def halve(lines: Sequence[bytes], before: int = 0) -> tuple[tuple[Sequence[bytes], int], tuple[Sequence[bytes], int]]:
    """The first and the second half of several messages, each with how many of its batch stand before it.

    Args:
        before: how many messages of the batch stand before `lines`.
    """
    middle = len(lines) // 2
    return (lines[:middle], before), (lines[middle:], before + middle)


def place_in_batch(error: Refused, before: int) -> Refused:
    """The refusal of a part of a batch, which names the line of the batch and not that of the part.

    Args:
        before: how many messages of the batch stand before that part.
    """
    match = _LINE.match(error.detail)
    if not before or match is None:
        return error
    problem = dict(error.problem)
    line = problem.get("line")
    if isinstance(line, int):
        problem["line"] = line + before
    problem["detail"] = f"Line {int(match[1]) + before}{error.detail[match.end() :]}"
    return Refused(error.status, problem, "")
