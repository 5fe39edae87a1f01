"""The objects that a watch returns: items, and notes about events between them. No I/O here."""

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from slosh.client.errors import Unreadable
from slosh.client.values import decode


@dataclass(frozen=True, slots=True)
class Item:
    """One message.

    Attributes:
        message: its value in Python. Reading it raises `Unreadable` if it cannot be decoded.
        topic: the name of its topic.
        offset: its number in its topic's epoch, from 1 on; None if the server left messages out (`key`, `limit`)
            and the connection was a poll.
        time: when the server accepted it, seconds since 1970; None if the server did not say.
        place: the reader's place after it. Pass it as `since` to continue after this message.
        lost: how many messages this reader missed just before this one.
        reset: whether the topic began a new life just before this one.
        raw: the message as its JSON text; empty if it is not JSON.
        epoch: of its topic; empty if the server did not say.
    """

    message: object
    topic: str
    offset: int | None
    time: float | None
    place: str
    lost: int = 0
    reset: bool = False
    raw: str = field(default="", repr=False)
    epoch: str = field(default="", repr=False)

    if not TYPE_CHECKING:  # a type checker would take every misspelt name for one that is found here

        def __getattr__(self, name: str) -> object:
            """The message, of an item that has none yet: it could not be read when it came."""
            if name != "message":
                raise AttributeError(f"an item has no {name!r}")
            return _read_again(self)


def _read_again(item: Item) -> object:
    """What an item's message says, if it can be read here."""
    try:
        return decode(item.raw)
    except RecursionError:
        reason = "it is nested too deep for what is left of Python's stack; its text is in item.raw"
    except ValueError as error:
        reason = f"{error}; its text is in item.raw" if item.raw else "what came is no JSON"
    raise Unreadable(
        f"The message of {item.topic} before the place {item.place} cannot be read: {reason}.", item.topic, item.place
    )


@dataclass(frozen=True, slots=True)
class Note:
    """Something that happened between messages.

    Attributes:
        kind: `lost` (messages fell off the ring before this reader came), `conflated` (messages were left out, because
            `key` or `limit` asked for it), `reset` (the topic began a new life), `truncated` (a part of the window
            asked for had left the ring), `ended` (the topic ended), `incomplete` (the patterns match more topics than
            one reader may read, and some are left out), `away` (the server does not answer, and is tried again).
        topic: its name; empty if the server named none because all topics are meant.
        count: of messages, for `lost` and `conflated`.
    """

    kind: str
    topic: str
    count: int = 0


UNREAD: Final = object()
"""In place of a message that cannot be decoded."""


def read_message(raw: str) -> tuple[str, object]:
    """A message's text and its value: `UNREAD` if it cannot be decoded, and an empty text if it is not JSON."""
    try:
        return raw, decode(raw)
    except json.JSONDecodeError:
        return "", UNREAD
    except (ValueError, RecursionError):
        return raw, UNREAD
