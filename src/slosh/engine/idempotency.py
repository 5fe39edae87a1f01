"""Publishes that may come again: the first answer is kept for a while, and given again instead of storing twice.

The rules of this file:

* The field is `Idempotency-Key` (IETF draft-ietf-httpapi-idempotency-key-header). Only what was taken is kept: a
  refusal stored nothing, so the same key may try again.
* Answers that are too old are forgotten a few at a time, when publishes with keys come, so that very many that were
  kept together are not forgotten in one turn. Until then each says by its time that it is too old.
* Each key counts for the client that sent it first. If there are too many, the client that has the most loses its
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

_AT_ONCE: Final = 16
"""Answers that are too old and are forgotten in one look-up at most; each keeps one more."""


@mypyc_attr(acyclic=True)
class _Client:
    """The keys that count for a client, as `join` makes them, the oldest first.

    Attributes:
        left_over: how many of them count no more, because they were kept again when they were too old.
    """

    __slots__ = ("_left_over", "address", "left_over", "names")

    def __init__(self, address: str) -> None:
        self.address = address
        self.names: deque[str] = deque()
        self.left_over = 0
        self._left_over: dict[str, int] | None = None  # which, and how often

    def take_oldest(self) -> str:
        """Take out the oldest key that counts, with those before it that do not."""
        name = self.names.popleft()
        left_over = self._left_over
        while left_over and (times := left_over.get(name, 0)):
            self.left_over -= 1
            if times == 1:
                del left_over[name]
            else:
                left_over[name] = times - 1
            name = self.names.popleft()
        return name

    def leave_over(self, name: str) -> None:
        """Count a key no more, which stays where it is. If the same key counts again it stands behind that."""
        if self._left_over is None:
            self._left_over = {}
        self._left_over[name] = self._left_over.get(name, 0) + 1
        self.left_over += 1


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
        at_once: how many that are too old are forgotten in one look-up.
    """

    __slots__ = ("_answers", "_at_once", "_by_count", "_clients", "_most", "_next", "forgotten")

    def __init__(self, most: int, at_once: int = _AT_ONCE) -> None:
        self._most = most
        self._at_once = at_once
        self._answers: dict[str, _KeptAnswer] = OrderedDict()  # the oldest first
        self._clients: dict[str, _Client] = {}  # by address
        # By how many keys they have, as far as the greatest such number; None if no client has so many.
        self._by_count: list[dict[_Client, None] | None] = [None]
        self._next = math.inf  # before that time nothing is to be forgotten
        self.forgotten = 0
        """Answers that went before their time."""

    def find(self, name: str, now: float) -> Published | None:
        """The answer that was given for `name` before the time `now`, seconds, marked as given again."""
        if now >= self._next:
            self._forget_old(now)
        found = self._answers.get(name)
        return found.answer.again() if found is not None and found.until > now else None

    def keep(self, name: str, now: float, answer: Published, client: str = "") -> None:
        """Keep `answer`, given at the time `now`, for a name that `find` does not find.

        Args:
            client: for whom the key counts; empty for all those together whom nothing tells apart.
        """
        self._put(name, now, now + REPLAY_SECONDS, answer, client)

    def all_kept(self, now: float) -> Iterator[tuple[str, str, float, Published, str]]:
        """Topic, key, seconds left, answer and client of each that is kept at the time `now`, the oldest first.

        Call nothing else before all of it is read, or the rest of it is discarded.
        """
        for name, kept in self._answers.items():
            if kept.until > now:
                topic, key = _split(name)
                yield topic, key, kept.until - now, kept.answer, kept.client.address

    def put_back(self, topic: str, key: str, until: float, answer: Published, client: str = "") -> None:
        """Keep an answer that was given elsewhere, until the time `until`, seconds. Put the oldest back first."""
        name = join(topic, key)
        if name not in self._answers:
            self._put(name, until - REPLAY_SECONDS, until, answer, client)

    def _put(self, name: str, now: float, until: float, answer: Published, address: str) -> None:
        # Some of those that are kept. Asked as `find` asks: a sum less what was added is not always what was there.
        may_be_old = now >= self._next
        if may_be_old:
            self._leave_over(name)
        if not self._answers:
            self._next = until
        client = self._clients.get(address)
        if client is None:
            client = self._clients[address] = _Client(address)
        self._answers[name] = _KeptAnswer(until, answer, client)
        names = client.names
        before = len(names) - client.left_over
        names.append(name)
        if len(self._answers) <= self._most:
            self._count(client, before, before + 1)
            return
        if may_be_old:
            self._count(client, before, before + 1)
            if self._forget_first(now):
                return
        self.forgotten += 1
        if before == len(self._by_count) - 1 and not may_be_old:
            # Now this client alone has the most, so its own oldest goes.
            del self._answers[client.take_oldest() if client.left_over else names.popleft()]
        else:
            if not may_be_old:
                self._count(client, before, before + 1)
            self._drop_oldest(next(iter(self._by_count[-1] or ())))

    def _forget_old(self, now: float) -> None:
        """Forget some of those that are too old at the time `now`."""
        for _ in range(self._at_once):
            if not self._forget_first(now):
                break

    def _forget_first(self, now: float) -> bool:
        """Forget the oldest one, if it is too old at the time `now`."""
        # All are kept equally long, so the first to be forgotten always stands first.
        if not self._answers:
            self._next = math.inf
            return False
        oldest = next(iter(self._answers.values()))
        self._next = oldest.until
        if oldest.until > now:
            return False
        self._drop_oldest(oldest.client)
        return True

    def _drop_oldest(self, client: _Client) -> None:
        """Forget the oldest key of `client`."""
        del self._answers[client.take_oldest()]
        self._count_one_less(client)

    def _leave_over(self, name: str) -> None:
        """Forget an answer that is too old, if there is one. It need not be the oldest of its client."""
        former = self._answers.pop(name, None)
        if former is not None:
            former.client.leave_over(name)
            self._count_one_less(former.client)

    def _count_one_less(self, client: _Client) -> None:
        """Note that a key of `client` has just gone."""
        left = len(client.names) - client.left_over
        self._count(client, left + 1, left)
        if not left:
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
