"""What a node has of one topic, kept by `mirrors.py`."""

from collections.abc import Callable
from itertools import accumulate, groupby, pairwise
from typing import Final

from slosh.core.topic import Topic
from slosh.errors import SloshError

Opened = Callable[[Topic | SloshError], None]
"""Takes a topic, or why it cannot be had."""

END: Final = b"end "
"""How what an announcement carries begins if the topic has ended: see `publish.lua`."""


class Mirror:
    """What this node has of one topic.

    Attributes:
        topic: in the hub; None until it is known, and when it is no more.
        stamp: the time of arrival of its newest message, as the store has it.
        latest: the same on this node's clock, seconds; messages never seem to arrive before earlier ones.
        waiting: who waits until it is known, and was not asked for yet.
        asked: who waits for the answer that is on its way.
        reported: the number of watchers that the store was told last.
        reported_until: until when the topic lingers as far as the store was told, seconds.
        is_heard: whether all announcements are heard.
        is_visited: whether it is among those that are looked at from time to time.
        is_syncing: whether an answer of the store is on its way.
        again: whether the store has to be asked once more after that.
        opener: the client for whom it counts until it is a topic, and the topic then; empty for nobody.
    """

    __slots__ = (
        "again",
        "asked",
        "is_heard",
        "is_syncing",
        "is_visited",
        "latest",
        "name",
        "opener",
        "reported",
        "reported_until",
        "stamp",
        "topic",
        "waiting",
    )

    def __init__(self, name: str, opener: str = "") -> None:
        self.name = name
        self.opener = opener
        self.topic: Topic | None = None
        self.stamp = b""
        self.latest = 0.0
        self.waiting: dict[Opened, None] = {}
        self.asked: dict[Opened, None] = {}
        self.reported = 0
        self.reported_until = 0.0
        self.is_heard = False
        self.is_visited = False
        self.is_syncing = False
        self.again = False

    def wait_again(self) -> None:
        """Let who waits for the answer on its way wait for the next, before who came later."""
        self.asked.update(self.waiting)
        self.waiting, self.asked = self.asked, {}

    def take_apart(self, entries: list[bytes], store_now: int, now: float) -> list[tuple[list[bytes], float, int]]:
        """Take the ring's entries apart: messages that arrived together, and when that was.

        The time is told on this node's clock (seconds), and on the store's (Unix milliseconds).

        Args:
            entries: of the ring, the oldest first. They are this mirror's newest messages from now on.
            store_now: when the store gave them, microseconds on its clock.
            now: the same on this node's, seconds.
        """
        taken = []
        for stamp, group in groupby((entry.partition(b" ") for entry in entries), key=lambda parts: parts[0]):
            # Times at the store go on if its clock was set back, so they may be of the future.
            self.latest = max(self.latest, min(now, now - (store_now - int(stamp)) / 1e6))
            self.stamp = stamp
            taken.append(([message for _, _, message in group], self.latest, int(stamp) // 1000))
        return taken

    def is_at(self, carried: bytes) -> bool:
        """Whether the newest message of this mirror is the one behind which the end stands that was announced."""
        return carried.split(b" ")[1] == (self.stamp or b"-")

    def follow(self, last: int, newest: int, carried: bytes, now: float) -> list[bytes] | None:
        """The messages that an announcement carries, if they are just those behind what the mirror has.

        Args:
            last: the offset of the mirror's newest message, in the life that the announcement is of.
            newest: the announced one.
            carried: what stands behind that: see `publish.lua`.
            now: seconds on this node's clock.
        """
        head, _, body = carried.partition(b"\n")
        before, stamp, sizes = head.split(b" ")
        messages = [body]
        if b"," in sizes:
            ends = accumulate(map(int, sizes.split(b",")), initial=0)
            messages = [body[start:end] for start, end in pairwise(ends)]
        # A store that forgot some messages may have others at their offsets, but none with their times.
        if last + len(messages) != newest or before != (self.stamp or b"-"):
            return None
        self.stamp = stamp
        self.latest = max(self.latest, now)
        return messages
