"""A node's copy of one topic, managed by `mirrors.py`."""

from collections.abc import Callable
from itertools import accumulate, groupby, pairwise
from typing import Final

from slosh.core.topic import Topic
from slosh.errors import SloshError

Opened = Callable[[Topic | SloshError], None]
"""Called with a topic, or with the error that refuses it."""

END: Final = b"end "
"""The beginning of the data in an announcement that the topic has ended; see `publish.lua`."""


class Mirror:
    """This node's copy of one topic.

    Attributes:
        topic: in the hub; None until the store has answered, and after it was dropped.
        stamp: the time of arrival of its newest message, as the store has it.
        latest: the same on this node's clock, seconds; it never goes back.
        waiting: callbacks of readers for which no request was sent yet.
        asked: callbacks of readers that wait for the reply under way.
        reported: the number of watchers that the store was last told.
        reported_until: the end of the lease or of `linger` that the store was told, seconds.
        is_heard: whether the subscription to announcements is active.
        is_visited: whether its lease is among those that are renewed.
        is_syncing: whether a request to the store is under way.
        again: whether another request is needed after that.
        opener: the client for which the topic counts; empty for none.
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
        """Move the readers that wait for the current reply to the next request, in front of later ones."""
        self.asked.update(self.waiting)
        self.waiting, self.asked = self.asked, {}

    def take_apart(self, entries: list[bytes], store_now: int, now: float) -> list[tuple[list[bytes], float, int]]:
        """Split the ring's entries into groups of messages that arrived together.

        Returns:
            Of each group the messages, and their time of arrival on this node's clock (seconds) and on the store's
            (Unix milliseconds).

        Args:
            entries: of the ring, the oldest first. They become this mirror's newest messages.
            store_now: the time of the reply on the store's clock, microseconds.
            now: the same on this node's clock, seconds.
        """
        taken = []
        for stamp, group in groupby((entry.partition(b" ") for entry in entries), key=lambda parts: parts[0]):
            # The store's times do not go back with its clock, so they may lie in the future.
            self.latest = max(self.latest, min(now, now - (store_now - int(stamp)) / 1e6))
            self.stamp = stamp
            taken.append(([message for _, _, message in group], self.latest, int(stamp) // 1000))
        return taken

    def is_at(self, carried: bytes) -> bool:
        """Whether the announced end comes right after the newest message of this mirror."""
        return carried.split(b" ")[1] == (self.stamp or b"-")

    def follow(self, last: int, newest: int, carried: bytes, now: float) -> list[bytes] | None:
        """The messages in an announcement, if they come right after the mirror's newest message; otherwise None.

        Args:
            last: the offset of the mirror's newest message. The epoch must be that of the announcement.
            newest: the announced offset.
            carried: the data after it; see `publish.lua`.
            now: seconds on this node's clock.
        """
        head, _, body = carried.partition(b"\n")
        before, stamp, sizes = head.split(b" ")
        messages = [body]
        if b"," in sizes:
            ends = accumulate(map(int, sizes.split(b",")), initial=0)
            messages = [body[start:end] for start, end in pairwise(ends)]
        # A store that lost messages may have others at their offsets, but not with the same times.
        if last + len(messages) != newest or before != (self.stamp or b"-"):
            return None
        self.stamp = stamp
        self.latest = max(self.latest, now)
        return messages
