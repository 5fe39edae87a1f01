"""What all readers of a server share: the counts of what they were given, and the place that the last poll had."""

import logging
from collections import deque
from typing import TYPE_CHECKING, Protocol

from slosh.core.hub import Hub
from slosh.core.subscription import NO_PLACE, Batch, OneTopic

if TYPE_CHECKING:
    from slosh.core.reading import Place, Since
    from slosh.core.topic import Topic


logger = logging.getLogger(__name__)


class PortionedWork(Protocol):
    """Work for one client that is done in portions."""

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""

    def go_on(self, room: int) -> int:
        """Do a part of it that costs about `room` bytes, and give what it cost; -1 if it has to wait."""

    def fail(self) -> None:
        """Give back what it holds, and tell its client: `go_on` raised an error, and is called no more."""


class Backlog:
    """Work that is done one piece after the other, as far as each turn has room for it."""

    __slots__ = ("_is_put_off", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[PortionedWork] = deque()
        self._is_put_off = False

    def add(self, work: PortionedWork, hub: Hub) -> None:
        """Do `work` when all that came before it is done, or has to wait."""
        self._waiting.append(work)
        self._put_off(hub)

    def _put_off(self, hub: Hub) -> None:
        if self._waiting and not self._is_put_off:
            self._is_put_off = True
            hub.put_off(lambda _: self._go_on(hub))

    def _go_on(self, hub: Hub) -> None:
        self._is_put_off = False
        held_up = 0  # one after another, so that nothing is asked twice in a turn
        while held_up < len(self._waiting) and hub.room > 0:
            work = self._waiting[0]
            try:
                spent = work.go_on(hub.room)
            except Exception:
                logger.exception("an answer failed; the others go on")
                self._waiting.popleft()
                work.fail()
                continue
            if spent < 0:
                self._waiting.rotate(-1)
                held_up += 1
                continue
            hub.room -= spent
            held_up = 0
            if work.is_done:
                self._waiting.popleft()
        self._put_off(hub)


class ReaderState:
    """Shared by all readers of a server.

    Attributes:
        backlog: answers that are made one after the other.
        latest_place: of the poll that came last to one topic; many come to one place, one after another.
        latest_since: what that poll asked for, when it was a cursor of its own.
        answers: to readers since the start.
        timeouts: those that were given because the time to wait was over.
        delivered: messages that were given to readers since the start, each time counted.
        lost: messages that readers were told they missed.
    """

    __slots__ = (
        "_latest_action",
        "_latest_start",
        "_latest_topic",
        "answers",
        "backlog",
        "delivered",
        "latest_place",
        "latest_since",
        "lost",
        "timeouts",
    )

    def __init__(self) -> None:
        self.latest_place: OneTopic | None = None
        self.latest_since: Since | None = None
        # Of the stream that began last on one topic.
        self._latest_action: object | None = None
        self._latest_topic: Topic | None = None
        self._latest_start = NO_PLACE
        self.backlog = Backlog()
        self.answers = 0
        self.timeouts = 0
        self.delivered = 0
        self.lost = 0

    def share_start(self, action: object, topic: "Topic", place: "Place") -> "Place":
        """The place at which a stream begins on `topic`, as one object for those that come to it one after another.

        Only requests for the same `action` share it: from there on the same object means the same bytes.
        """
        if action is self._latest_action and topic is self._latest_topic and place == self._latest_start:
            return self._latest_start
        self._latest_action, self._latest_topic, self._latest_start = action, topic, place
        return place

    def count_batch(self, batch: Batch) -> None:
        """Count what one reader was given."""
        self.answers += 1
        for _, reading in batch.parts:
            self.delivered += len(reading.messages)
            self.lost += reading.lost
