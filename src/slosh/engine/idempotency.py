"""Publishes that may come again: the first answer is kept for a while, and given again instead of storing twice.

The rules of this file:

* The field is `Idempotency-Key` (IETF draft-ietf-httpapi-idempotency-key-header). Only what was taken is kept: a
  refusal stored nothing, so the same key may try again.
* Each key counts for the client that sent it first. Where there are too many, the client that has the most loses its
  oldest. So one client alone may have all of them, and beside others it pushes out its own.
"""

import math
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Final

from slosh.compiled import mypyc_attr
from slosh.engine.base import Published

REPLAY_SECONDS: Final = 300.0
"""How long an answer is given again."""


@mypyc_attr(acyclic=True)
class _Client:
    """The keys that count for a client, as `join` makes them, the oldest first."""

    __slots__ = ("address", "names")

    def __init__(self, address: str) -> None:
        self.address = address
        self.names: deque[str] = deque()


@mypyc_attr(acyclic=True, free_list_len=1)
class _KeptAnswer:
    """An answer, until when it is kept, and the client for whom it counts.

    No tuple, because compiled it is nothing that Python's garbage collector looks at: with very many keys that is a
    pause of milliseconds.
    """

    __slots__ = ("answer", "client", "until")

    def __init__(self, until: float, answer: Published, client: _Client) -> None:
        self.until = until
        self.answer = answer
        self.client = client


class Replays:
    """Answers by the topic and the key of their publish, joined by `join`.

    Args:
        most: how many are kept; beyond that some go early.
    """

    __slots__ = ("_answers", "_by_count", "_clients", "_most", "_next", "forgotten")

    def __init__(self, most: int) -> None:
        self._most = most
        self._answers: dict[str, _KeptAnswer] = OrderedDict()  # the oldest first
        self._clients: dict[str, _Client] = {}  # by address
        # By how many keys they have, as far as the greatest such number; None where no client has so many.
        self._by_count: list[dict[_Client, None] | None] = [None]
        self._next = math.inf  # before that time nothing is to be forgotten
        self.forgotten = 0
        """Answers that went before their time."""

    def find(self, name: str, now: float) -> Published | None:
        """The answer that was given for `name` before the time `now`, seconds, marked as given again."""
        if now >= self._next:
            self._forget_old(now)
        found = self._answers.get(name)
        return found.answer.again() if found is not None else None

    def keep(self, name: str, now: float, answer: Published, client: str = "") -> None:
        """Keep `answer`, given at the time `now`, for a name that `find` does not find.

        Args:
            client: for whom the key counts; empty for all those together whom nothing tells apart.
        """
        self._put(name, now + REPLAY_SECONDS, answer, client)

    def all_kept(self, now: float) -> Iterator[tuple[str, str, float, Published, str]]:
        """Topic, key, seconds left, answer and client of each that is kept at the time `now`, the oldest first.

        Call nothing else before all of it is read, or the rest of it is discarded.
        """
        self._forget_old(now)
        for name, kept in self._answers.items():
            topic, key = _split(name)
            yield topic, key, kept.until - now, kept.answer, kept.client.address

    def put_back(self, topic: str, key: str, until: float, answer: Published, client: str = "") -> None:
        """Keep an answer that was given elsewhere, until the time `until`, seconds. Put the oldest back first."""
        name = join(topic, key)
        if name not in self._answers:
            self._put(name, until, answer, client)

    def _put(self, name: str, until: float, answer: Published, address: str) -> None:
        if not self._answers:
            self._next = until
        client = self._clients.get(address)
        if client is None:
            client = self._clients[address] = _Client(address)
        self._answers[name] = _KeptAnswer(until, answer, client)
        names = client.names
        before = len(names)
        names.append(name)
        if len(self._answers) <= self._most:
            self._count(client, before, before + 1)
            return
        self.forgotten += 1
        if before == len(self._by_count) - 1:
            del self._answers[names.popleft()]  # Now this client alone has the most, so its own oldest goes.
        else:
            self._count(client, before, before + 1)
            self._drop_oldest(next(iter(self._by_count[-1] or ())))

    def _forget_old(self, now: float) -> None:
        # All are kept equally long, so the first to be forgotten always stands first.
        self._next = math.inf
        while self._answers:
            oldest = next(iter(self._answers.values()))
            if oldest.until > now:
                self._next = oldest.until
                break
            self._drop_oldest(oldest.client)

    def _drop_oldest(self, client: _Client) -> None:
        """Forget the oldest key of `client`."""
        names = client.names
        del self._answers[names.popleft()]
        self._count(client, len(names) + 1, len(names))
        if not names:
            del self._clients[client.address]

    def _count(self, client: _Client, before: int, after: int) -> None:
        """Note that `client` has `after` keys now, one more or one less than `before`."""
        by_count = self._by_count
        alone: dict[_Client, None] | None = None  # of this client
        others = by_count[before]
        if others is not None and len(others) > 1:
            del others[client]
        elif others is not None:
            alone, by_count[before] = others, None
        if after == len(by_count):
            by_count.append(None)
        equals = by_count[after]
        if equals is not None:
            equals[client] = None
        elif after:
            by_count[after] = alone if alone is not None else OrderedDict({client: None})
        if by_count[-1] is None and after < before:
            by_count.pop()


def join(topic: str, key: str) -> str:
    """One text for both, under which an answer is kept. A topic's name has no line feed."""
    return f"{topic}\n{key}"


def _split(name: str) -> tuple[str, str]:
    """Topic and key of a text that `join` has made."""
    topic, _, key = name.partition("\n")
    return topic, key
