"""Messages that wait to be published, of several topics.

The rules of this file:

* The messages of one topic keep their order. Those of several topics need none, so all that wait for one topic can go
  into one request, whatever came between them.
* The topic whose first message has waited longest comes first, so none waits for ever behind a busy one.
* Each step takes the same time however many messages and topics wait: an entry of the common order whose message was
  taken before its turn is passed over when it comes up.
"""

from collections import deque


class Waiting:
    """What waits: a queue for each topic, and the order in which all of it came."""

    def __init__(self) -> None:
        self._order: deque[tuple[str, float]] = deque()
        self._messages: dict[str, deque[bytes]] = {}
        self._taken: dict[str, int] = {}  # of each topic: entries of the order whose messages are gone
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, topic: str, message: bytes, now: float) -> None:
        """A message came at the time `now`, which never goes back."""
        self._order.append((topic, now))
        self._messages.setdefault(topic, deque()).append(message)
        self._count += 1

    def first(self) -> tuple[str, float]:
        """The topic of the message that came first, and when that was. Call it only if something waits."""
        while taken := self._taken.get(self._order[0][0]):
            topic, _ = self._order.popleft()
            if taken == 1:
                del self._taken[topic]
            else:
                self._taken[topic] = taken - 1
        return self._order[0]

    def of(self, topic: str) -> deque[bytes]:
        """The messages that wait for a topic. Read them, and change nothing."""
        return self._messages.get(topic, deque())

    def take(self, topic: str, count: int) -> list[bytes]:
        """Remove the first `count` messages of a topic, which has as many."""
        waiting = self._messages[topic]
        messages = [waiting.popleft() for _ in range(count)]
        if not waiting:
            del self._messages[topic]
        self._taken[topic] = self._taken.get(topic, 0) + count
        self._count -= count
        if not self._count:
            self.clear()
        return messages

    def clear(self) -> None:
        """Nothing waits any more."""
        self._order.clear()
        self._messages.clear()
        self._taken.clear()
        self._count = 0
