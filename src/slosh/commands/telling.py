"""Reports on standard error of events between the messages of a watch."""

import math
import time
from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from slosh.client.answers import keeps_out
from slosh.client.errors import ClientError, Refused, Unreadable
from slosh.client.items import Item, Note
from slosh.client.publisher import Publisher
from slosh.commands.progress import count, were
from slosh.commands.shared import printable, tell, told_refusal

if TYPE_CHECKING:
    from collections.abc import Callable

_NOTES: Final = {
    "reset": "{topic} started again",
    "truncated": "{topic} keeps less than the time that you asked for",
    "ended": "{topic} ended",
    "incomplete": "{topic} matches more topics than one reader may read, so some are left out; use a narrower pattern",
    "away": "no answer from {url}; trying again",
}


def is_read(item: Item) -> bool:
    """Whether an item has a message. One that is not JSON is reported."""
    if item.raw:
        return True
    try:
        return item.message is not None
    except Unreadable as error:
        tell(error.detail)
        return False


class Teller:
    """Reports events between the messages on standard error. Losses are added up, and reported once a second."""

    def __init__(self, url: str, topics: str) -> None:
        self._url = url
        self._topics = topics
        self._missed: Counter[str] = Counter()
        self._told = -math.inf  # when, seconds

    def __call__(self, each: Item | Note) -> None:
        """Report a note of the watch, if it is one to report."""
        if isinstance(each, Note):
            if each.kind == "lost":
                self._missed[each.topic] += each.count
            elif each.kind in _NOTES and (each.kind != "away" or each.count == 2):  # once for each time it is away
                tell(_NOTES[each.kind].format(topic=printable(each.topic or self._topics), url=self._url))
        if self._missed and time.monotonic() >= self._told + 1.0:
            self.tell_missed()

    def tell_missed(self) -> None:
        """Report the losses that were not reported yet."""
        self._told = time.monotonic()
        for topic, number in self._missed.items():
            name = printable(topic or self._topics)
            missed = f"{count(number, 'message')} of {name} {were(number)} missed"
            tell(f"{missed}: they left the ring before they were read (setting queue)")
        self._missed.clear()


class TellingPublisher(Publisher):
    """A publisher that logs nothing. It reports each reason for a refusal once; the command reports everything else.

    Attributes:
        kept_out: called, in this publisher's own thread, if the server takes nothing from it (401, 421). One that may
            not publish to a topic (403) may publish to others.
    """

    def __init__(self, url: str | None, *, every: float, max_bytes: int, timeout: float) -> None:
        self.kept_out: Callable[[ClientError], None] = lambda _: None
        self._reasons: set[str] = set()
        super().__init__(url, every=every, max_bytes=max_bytes, timeout=timeout)

    def failed(self, error: ClientError) -> None:
        """The command tells it."""

    def not_taken(self, error: ClientError) -> None:
        """Report it at once, because the next message may come in hours."""
        if keeps_out(error) and isinstance(error, Refused) and error.status != HTTPStatus.FORBIDDEN:
            self.kept_out(error)
            return
        reason = error.reason if isinstance(error, Refused) else ""
        if reason not in self._reasons:
            self._reasons.add(reason)
            tell(f"the server refuses messages: {told_refusal(error)}")

    def lost(self, count: int) -> None:
        """The command tells it."""
