"""Publishes that may come again: the first answer is kept for a while, and given again instead of storing twice.

The field is `Idempotency-Key` (IETF draft-ietf-httpapi-idempotency-key-header). Only what was taken is kept:
a refusal stored nothing, so the same key may try again.
"""

from collections import OrderedDict
from typing import Final

from slosh.engine.base import Published

REPLAY_SECONDS: Final = 300.0
"""How long an answer is given again."""


class Replays:
    """Answers by the topic and the key of their publish.

    Args:
        most: how many are kept; beyond that the oldest go early.
    """

    __slots__ = ("_answers", "_most", "forgotten")

    def __init__(self, most: int) -> None:
        self._most = most
        self._answers: OrderedDict[tuple[str, str], tuple[float, Published]] = OrderedDict()
        self.forgotten = 0
        """Answers that went before their time."""

    def find(self, topic: str, key: str, now: float) -> Published | None:
        """The answer that was given for `key` before the time `now`, seconds, marked as given again."""
        self._forget_old(now)
        found = self._answers.get((topic, key))
        return found[1].again() if found is not None else None

    def keep(self, topic: str, key: str, now: float, answer: Published) -> None:
        """Keep `answer`, given at the time `now`."""
        self.put_back(topic, key, now + REPLAY_SECONDS, answer)

    def all_kept(self, now: float) -> list[tuple[str, str, float, Published]]:
        """Topic, key, seconds left and answer of each that is kept at the time `now`, the oldest first."""
        self._forget_old(now)
        return [(topic, key, until - now, answer) for (topic, key), (until, answer) in self._answers.items()]

    def put_back(self, topic: str, key: str, until: float, answer: Published) -> None:
        """Keep an answer that was given elsewhere, until the time `until`, seconds. Put the oldest back first."""
        self._answers[topic, key] = (until, answer)
        if len(self._answers) > self._most:
            self._answers.popitem(last=False)
            self.forgotten += 1

    def _forget_old(self, now: float) -> None:
        # All are kept equally long, so the first to be forgotten always stands first.
        while self._answers and next(iter(self._answers.values()))[0] <= now:
            self._answers.popitem(last=False)
