"""What a reader gets: from where it starts and what it is told. The rule stands here, once.

Long-poll and every stream use these functions and differ in their framing alone. For each answer

    saw = delivering + lost

and `saw` counts from the reader's place to the newest message, so nothing goes missing in silence.
"""

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from slosh.core.cursor import Cursor, parse_cursor
from slosh.core.topic import Topic
from slosh.errors import BadQuery

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_LAST: Final = re.compile(r"-([0-9]{1,16})", re.ASCII)
_AGE: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Now:
    """Only what comes from now on."""


@dataclass(frozen=True, slots=True)
class Earliest:
    """All that the ring still holds."""


@dataclass(frozen=True, slots=True)
class Last:
    """The newest `count` messages, as far as they are kept."""

    count: int


@dataclass(frozen=True, slots=True)
class Age:
    """What arrived in the last `seconds`, as far as it is kept."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Offset:
    """After this offset in the topic's present life, whichever that is."""

    offset: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """A place that was once given but is no cursor any more; whoever has it must be told to start anew."""


Since = Now | Earliest | Last | Age | Offset | Cursor | Unknown
"""Where a reader asks to start."""


class Place(NamedTuple):
    """Where a reader stands in the present life of a topic.

    Attributes:
        offset: of the last message that it has seen.
        reset: whether it has still to be told that its cursor was of another life, or of the future.
    """

    offset: int
    reset: bool = False


class Reading(NamedTuple):
    """What one reader is told. `saw = len(messages) + lost`.

    Attributes:
        epoch: the topic's life that this is from; with `newest` it makes the reader's next cursor.
        newest: offset of the newest message in the topic.
        saw: how many messages came in since the reader's place.
        lost: how many of those fell off the ring before it asked.
        messages: the others, oldest first.
        reset: whether delivery starts anew because the reader's cursor meant nothing here.
    """

    epoch: str
    newest: int
    saw: int
    lost: int
    messages: list[bytes]
    reset: bool


def parse_since(text: str) -> Since:
    """Read the query parameter `since`.

    Raises:
        BadQuery: `text` is no place; the detail lists the forms there are.
    """
    if text == "now":
        return Now()
    if text == "earliest":
        return Earliest()
    if match := _LAST.fullmatch(text):
        return Last(int(match[1]))
    if match := _AGE.fullmatch(text):
        return Age(float(match[1]) * _SECONDS[match[2]])
    if cursor := parse_cursor(text):
        return cursor
    raise BadQuery(
        "since",
        "since is a cursor (next of an earlier answer), now, earliest, -50 for the last 50, or an age: 90s, 10m, 2h.",
    )


def locate(topic: Topic, since: Since, now: float) -> Place:  # noqa: PLR0911 - one return for each form
    """Find the place that `since` means in `topic` at the time `now`, seconds."""
    oldest = topic.first - 1
    match since:
        case Now():
            return Place(topic.last)
        case Earliest():
            return Place(oldest)
        case Last(count):
            return Place(max(oldest, topic.last - count))
        case Age(seconds):
            return Place(topic.offset_before(now - seconds))
        case Offset(offset) if offset <= topic.last:
            return Place(offset)
        case Cursor(epoch, offset) if epoch == topic.epoch and offset <= topic.last:
            return Place(offset)
        case _:
            # Of another life, or of the future: the reader has seen nothing of this life that we know
            # of, so it begins before the first message and what fell off the ring counts as lost.
            return Place(0, reset=True)


def read(topic: Topic, place: Place) -> Reading:
    """Give a reader at `place` all that it has not seen."""
    messages = topic.after(place.offset)
    saw = topic.last - place.offset
    return Reading(topic.epoch, topic.last, saw, saw - len(messages), messages, place.reset)
