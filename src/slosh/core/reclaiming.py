"""Which rings give way when all rings and histories together have what they may have.

The rules of this file:

* Rings that nobody watches give way first, each its oldest messages and never its newest, one ring after the other.
* Then rings of clients that hold more than their part, the heaviest client first, for one that would still hold no more
  than its part, and for a bound that was lowered; if its rings do not suffice, histories of its topics end. The part
  of a client is `max_bytes` divided by the number of clients that have topics. So a client that watches topics of its
  own cannot keep all memory from the others. A client is as for `max_topics_per_address`.
* Rings of clients that no address tells apart count as one client's, and give way in the first of these ways alone.
* A ring that is watched loses messages that its readers have had already, unless they are slow: those are told `lost`.
* A call looks at a bounded number of topics, and is not repeated at once if it found nothing: so no client waits
  while a full server looks for memory.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final

from slosh.core.budget import Share
from slosh.core.histories import Histories
from slosh.core.topic import Topic

_LOOKS: Final = 20_000
"""Topics that one message may make us look at; some 5 ms."""
_HISTORIES: Final = 8
"""Histories that end at a time; some ms."""
_FRUITLESS: Final = 0.5
"""Seconds for which no memory is looked for after all topics were gone over and did not have enough."""


class Reclaiming:
    """Frees memory of rings that nobody watches.

    Args:
        histories: of which some may end.
        again: seconds until it is looked again, after all topics were gone over and did not have enough.

    Attributes:
        fell_off: messages that gave way since the start.
        looks: topics that are looked at in one call at most.
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
        self._hand = 0  # among the names, where it was looked last
        self._looked = 0  # topics that had nothing to give, one after another
        self._fruitless_until = 0.0  # seconds; until then nothing is looked for
        self._heavy: list[Share[Topic]] = []  # clients that had more than their part, the heaviest last
        self._heavy_until = 0.0  # seconds; until then they are not looked for again
        self._rings: deque[str] = deque()  # names of topics of the last of them, those that were not shortened lately
        self._gave = False  # whether one of them has given something since

    @property
    def is_under_way(self) -> bool:
        """Whether some topics, or clients, have still to be looked at, since something was found last."""
        return not self._fruitless_until or bool(self._heavy)

    def free(
        self, over: int, names: Sequence[str], topics: Mapping[str, Topic], besides: Topic | None, now: float
    ) -> int:
        """Have rings that nobody watches give way, until `over` bytes are free. Gives how many are.

        Args:
            names: of all topics.
            topics: by their names.
            besides: a topic that does not give way, if there is one.
            now: seconds.
        """
        freed = 0
        if now < self._fruitless_until:
            return 0
        for _ in range(min(len(names), self.looks)):
            self._hand = (self._hand + 1) % len(names)
            self._looked += 1
            topic = topics[names[self._hand]]
            if not topic.watchers and topic is not besides and topic.first < topic.last:
                freed += self._shorten(topic, over - freed)
                self._looked = 0
                if freed >= over:
                    break
        if self._looked >= len(names):  # since something was found
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
        besides: Topic | None,
        now: float,
    ) -> int:
        """Have clients give way that hold more than their part, until `over` bytes are free. Gives how many are.

        Args:
            growth: bytes that are wanted for the client of `besides`. It gets none if that were more than its part.
            part: that each client may have.
            shares: of all clients that have topics.
            topics: by their names.
            besides: the topic that they are wanted for; None if all are to give way that hold more than their part.
            now: seconds.
        """
        freed = 0
        if besides is not None and besides.share.opener and besides.share.held + growth > part:
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
                    self._heavy.pop()  # It has nothing to give but the newest message of each ring.
        return freed

    def _heaviest(self, part: int, shares: Mapping[str, Share[Topic]], now: float) -> Share[Topic] | None:
        """The client that gives way next; None if none has more than its part, or has anything to give."""
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
        """End some histories of a client's topics. Gives how many bytes are free then."""
        before = share.held
        for topic in list(islice((topic for topic in share.topics if topic.rollups is not None), _HISTORIES)):
            self._histories.end(topic)
        return before - share.held

    def _shorten(self, topic: Topic, size: int) -> int:
        """Have `topic` lose its oldest messages, as many as hold `size` bytes. Gives how many bytes are free then."""
        before = topic.weight
        fell_off = topic.shorten(size)
        self.fell_off += fell_off
        topic.kind.counts.fell_off += fell_off
        freed = before - topic.weight
        topic.share.give_back(freed)
        return freed


def _held_of(share: Share[Topic]) -> int:
    return share.held
