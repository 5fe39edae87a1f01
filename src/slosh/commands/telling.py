"""What happens between the messages of a watch, told on standard error."""

import math
import time
from collections import Counter
from typing import Final

from slosh.client.errors import ClientError, Unreadable
from slosh.client.items import Item, Note
from slosh.client.publisher import Publisher
from slosh.commands.progress import count, were
from slosh.commands.shared import printable, tell

_NOTES: Final = {
    "reset": "{topic} began a new life",
    "truncated": "{topic} keeps less than the time span asked for",
    "ended": "{topic} ended",
    "incomplete": "{topic} takes in more topics than one reader may come to, and some are left out; name fewer",
    "away": "no answer from {url}; trying again",
}


def is_read(item: Item) -> bool:
    """Whether there is a text in an item. If what came is no JSON, that is told."""
    if item.raw:
        return True
    try:
        return item.message is not None
    except Unreadable as error:
        tell(printable(error.detail))
        return False


class Teller:
    """Says on standard error what happened between the messages. Losses are added up, and told once a second."""

    def __init__(self, url: str, topics: str) -> None:
        self._url = url
        self._topics = topics
        self._missed: Counter[str] = Counter()
        self._told = -math.inf  # when, seconds

    def __call__(self, each: Item | Note) -> None:
        """Take note of what the watch gave."""
        if isinstance(each, Note):
            if each.kind == "lost":
                self._missed[each.topic] += each.count
            elif each.kind in _NOTES and (each.kind != "away" or each.count == 2):  # once for each time it is away
                tell(_NOTES[each.kind].format(topic=printable(each.topic or self._topics), url=self._url))
        if self._missed and time.monotonic() >= self._told + 1.0:
            self.tell_missed()

    def tell_missed(self) -> None:
        """Tell what was missed and not yet told."""
        self._told = time.monotonic()
        for topic, number in self._missed.items():
            name = printable(topic or self._topics)
            missed = f"{count(number, 'message')} of {name} {were(number)} missed"
            tell(f"{missed}: what is not read in time leaves the ring (setting queue)")
        self._missed.clear()


class SilentPublisher(Publisher):
    """A publisher that logs nothing: the command that uses it tells on standard error what became of its messages."""

    def failed(self, error: ClientError) -> None:
        """The command tells it."""

    def not_taken(self, error: ClientError) -> None:
        """The command tells it."""

    def lost(self, count: int) -> None:
        """The command tells it."""
