"""Publishes that may come again: the first answer is kept for a while, and given again instead of storing twice.

The rules of this file:

* The field is `Idempotency-Key` (IETF draft-ietf-httpapi-idempotency-key-header). Only what was taken is kept: a
  refusal stored nothing, so the same key may try again.
* Each key counts for the client that sent it first. Where there are too many, the client that has the most loses its
  oldest. So one client alone may have all of them, and beside others it pushes out its own.
"""

from collections import OrderedDict, deque
from typing import Final

from slosh.engine.base import Published

REPLAY_SECONDS: Final = 300.0
"""How long an answer is given again."""

_Key = tuple[str, str]
"""The topic, and the key."""


class Replays:
    """Answers by the topic and the key of their publish.

    Args:
        most: how many are kept; beyond that some go early.
    """

    __slots__ = ("_answers", "_by_client", "_by_count", "_greatest", "_most", "forgotten")

    def __init__(self, most: int) -> None:
        self._most = most
        self._answers: OrderedDict[_Key, tuple[float, Published, str]] = OrderedDict()  # the oldest first
        self._by_client: dict[str, deque[_Key]] = {}  # the oldest first
        self._by_count: dict[int, OrderedDict[str, None]] = {}  # clients by how many keys they have
        self._greatest = 0  # such number
        self.forgotten = 0
        """Answers that went before their time."""

    def find(self, topic: str, key: str, now: float) -> Published | None:
        """The answer that was given for `key` before the time `now`, seconds, marked as given again."""
        self._forget_old(now)
        found = self._answers.get((topic, key))
        return found[1].again() if found is not None else None

    def keep(self, topic: str, key: str, now: float, answer: Published, client: str = "") -> None:
        """Keep `answer`, given at the time `now`, for a key that `find` does not find.

        Args:
            client: for whom the key counts; empty for all those together whom nothing tells apart.
        """
        self.put_back(topic, key, now + REPLAY_SECONDS, answer, client)

    def all_kept(self, now: float) -> list[tuple[str, str, float, Published, str]]:
        """Topic, key, seconds left, answer and client of each that is kept at the time `now`, the oldest first."""
        self._forget_old(now)
        return [
            (topic, key, until - now, answer, client) for (topic, key), (until, answer, client) in self._answers.items()
        ]

    def put_back(self, topic: str, key: str, until: float, answer: Published, client: str = "") -> None:
        """Keep an answer that was given elsewhere, until the time `until`, seconds. Put the oldest back first."""
        if (topic, key) in self._answers:
            return
        self._answers[topic, key] = (until, answer, client)
        keys = self._by_client.get(client)
        if keys is None:
            keys = self._by_client[client] = deque()
        keys.append((topic, key))
        self._count(client, len(keys) - 1, len(keys))
        if len(self._answers) > self._most:
            self._drop_oldest(next(iter(self._by_count[self._greatest])))
            self.forgotten += 1

    def _forget_old(self, now: float) -> None:
        # All are kept equally long, so the first to be forgotten always stands first.
        while self._answers:
            until, _, client = next(iter(self._answers.values()))
            if until > now:
                break
            self._drop_oldest(client)

    def _drop_oldest(self, client: str) -> None:
        """Forget the oldest key of `client`."""
        keys = self._by_client[client]
        del self._answers[keys.popleft()]
        self._count(client, len(keys) + 1, len(keys))
        if not keys:
            del self._by_client[client]

    def _count(self, client: str, before: int, after: int) -> None:
        """Note that `client` has `after` keys now, one more or one less than `before`."""
        if before:
            others = self._by_count[before]
            del others[client]
            if not others:
                del self._by_count[before]
        if after:
            self._by_count.setdefault(after, OrderedDict())[client] = None
        if after > self._greatest or self._greatest not in self._by_count:
            self._greatest = after
