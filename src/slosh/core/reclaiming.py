"""Frees memory when all rings and histories together have reached `max_bytes`.

The rules of this file:

* Rings without watchers are shortened first, one after the other. Each loses its oldest messages, never its newest.
* If that is not enough, rings of clients that hold more than their part are shortened, the heaviest client first; if
  that does not suffice, histories of its topics end. This is done for a client that stays within its own part, and for
  a bound that was lowered. The part of a client is `max_bytes` divided by the number of clients that have topics. So
  a client that watches its own topics cannot keep all memory from the others. Clients are told apart as for
  `max_topics_per_address`.
* Clients without an address count as one client. It has no part: the second way is always open to it, and never
  shortens its rings.
* If a watched ring is shortened, its slowest readers may not have been given those messages. They are told `lost`.
* A call examines a bounded number of topics, and a search that found nothing is followed by a pause. So no client waits
  while a full server searches for memory.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final

from slosh.core.budget import Share
from slosh.core.histories import Histories
from slosh.core.topic import Topic

_LOOKS: Final = 20_000
"""Topics that one call examines at most; some 5 ms."""
_HISTORIES: Final = 8
"""Histories that end at a time; some ms."""
_FRUITLESS: Final = 0.5
"""Seconds without a new search after no topic had memory to free."""


class Reclaiming:
    """Frees memory, and remembers where the last search ended.

    Args:
        histories: of all topics; `free_of_heavy` may end some.
        again: seconds until the next search, after no topic had memory to free.

    Attributes:
        fell_off: messages that this object dropped since the start.
        looks: topics that one call examines at most.
    """

    __slots__ = (
        "_again",
        "_fruitless_until",
        "_gave",
        "_hand",
        "_heavy",
        "_heavy_until",
        "_histories",
        "_looked",
        "_rings",
        "fell_off",
        "looks",
    )

    def __init__(self, histories: Histories, again: float = _FRUITLESS) -> None:
        self.fell_off = 0
        self.looks = _LOOKS
        self._histories = histories
        self._again = again
        self._hand = 0  # index of the name that was examined last
        self._looked = 0  # topics in a row that had nothing to free
        self._fruitless_until = 0.0  # seconds; `free` does not search before that
        self._heavy: list[Share[Topic]] = []  # clients that had more than their part, the heaviest last
        self._heavy_until = 0.0  # seconds; they are not listed again before that
        self._rings: deque[str] = deque()  # topics of the heaviest client still to shorten in this round
        self._gave = False  # whether one of its topics had something to free in this round

    @property
    def is_under_way(self) -> bool:
        """Whether some topics or clients are still to be examined, if this object searches once (`again` is `inf`)."""
        return not self._fruitless_until or bool(self._heavy)

    def free(
        self, over: int, names: Sequence[str], topics: Mapping[str, Topic], spared: Topic | None, now: float
    ) -> int:
        """Shorten rings without watchers until `over` bytes are freed. Returns how many were.

        Args:
            names: of all topics.
            topics: all topics by name.
            spared: a topic whose ring is not shortened; None for none.
            now: seconds.
        """
        freed = 0
        if now < self._fruitless_until:
            return 0
        for _ in range(min(len(names), self.looks)):
            self._hand = (self._hand + 1) % len(names)
            self._looked += 1
            topic = topics[names[self._hand]]
            if not topic.watchers and topic is not spared and topic.first < topic.last:
                freed += self._shorten(topic, over - freed)
                self._looked = 0
                if freed >= over:
                    break
        if self._looked >= len(names):
            self._fruitless_until = now + self._again
            self._looked = 0
        return freed

    def free_of_heavy(
        self,
        over: int,
        growth: int,
        part: int,
        shares: Mapping[str, Share[Topic]],
        topics: Mapping[str, Topic],
        wanting: Topic | None,
        now: float,
    ) -> int:
        """Shorten rings of clients that hold more than `part` until `over` bytes are freed. Returns how many were.

        Args:
            growth: bytes that `wanting` needs. Nothing is freed if its client has an address and would hold more than
                `part` with them.
            part: bytes that are the part of each client.
            shares: of all clients that have topics.
            topics: all topics by name.
            wanting: the topic that needs the memory; None after a bound was lowered.
            now: seconds.
        """
        freed = 0
        if wanting is not None and wanting.share.opener and wanting.share.held + growth > part:
            return 0
        for _ in range(self.looks):
            heavy = self._heaviest(part, shares, now)
            if heavy is None or freed >= over:
                break
            if not self._rings:
                self._rings.extend(topic.name for topic in heavy.topics)
                self._gave = False
            topic = topics.get(self._rings.popleft())
            if topic is not None and topic.share is heavy:
                shortened = self._shorten(topic, min(over - freed, heavy.held - part))
                freed += shortened
                self._gave = self._gave or shortened > 0
            if not self._rings and not self._gave:
                ended = self._end_histories(heavy)
                freed += ended
                if not ended:
                    self._heavy.pop()  # It has only the newest message of each ring, and no history.
        return freed

    def _heaviest(self, part: int, shares: Mapping[str, Share[Topic]], now: float) -> Share[Topic] | None:
        """The client whose rings are shortened next; None if no client holds more than `part`."""
        while self._heavy and self._heavy[-1].held <= part:
            self._heavy.pop()
            self._rings.clear()
        if not self._heavy and now >= self._heavy_until:
            self._heavy = sorted(
                (share for share in shares.values() if share.opener and share.held > part), key=_held_of
            )
            self._heavy_until = now + self._again
        return self._heavy[-1] if self._heavy else None

    def _end_histories(self, share: Share[Topic]) -> int:
        """End up to `_HISTORIES` histories of a client's topics. Returns how many bytes were freed."""
        before = share.held
        for topic in list(islice((topic for topic in share.topics if topic.rollups is not None), _HISTORIES)):
            self._histories.end(topic)
        return before - share.held

    def _shorten(self, topic: Topic, size: int) -> int:
        """Drop the oldest messages of `topic` until `size` bytes are freed. Returns how many bytes were."""
        before = topic.weight
        fell_off = topic.shorten(size)
        self.fell_off += fell_off
        topic.kind.counts.fell_off += fell_off
        freed = before - topic.weight
        topic.share.give_back(freed)
        return freed


def _held_of(share: Share[Topic]) -> int:
    return share.held
