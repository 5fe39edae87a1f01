"""The series of a history, as trees of the names that lead to their numbers; and the values of messages.

Series are told apart by a field's value, one tree for each of them; those of one field are a group.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from slosh.core.buckets import Series

DEEPEST: Final = 16
"""Levels of objects that are looked into; as many as a path has names."""

NOT_KNOWN: Final = 1 << 62
"""In place of a time, Unix milliseconds: messages are missing, and none has come since. Later than any time."""

Ways = Sequence[Sequence[tuple[str, int]]]
"""How a path can be divided into names; see `find_ways`."""

_decode: Final = msgspec.json.Decoder().decode


class Node:
    """A member of the messages: the series at its path, and its own members.

    Attributes:
        by_path: all series of the tree. The number of another member with the path of one of them is counted there, and
            that member is not kept: each path can be divided into names in very many ways.
    """

    __slots__ = ("by_path", "members", "path", "series")

    def __init__(self, path: str, by_path: dict[str, Series]) -> None:
        self.path = path
        self.by_path = by_path
        self.series: Series | None = None
        self.members: dict[str, Node] = {}


class Group:
    """The series that are told apart by one field, or by none.

    Attributes:
        by: the field's path; empty for none.
        since: from when on all messages are in it, Unix milliseconds; 0 for the topic's creation, `NOT_KNOWN` for the
            next message.
        ways: to the field, as `find_value` takes them.
    """

    __slots__ = ("by", "since", "trees", "ways")

    def __init__(self, by: str, since: int) -> None:
        self.by = by
        self.since = since
        self.ways = find_ways(by)
        self.trees: dict[str | None, Node] = {}

    def series(self) -> Iterator[Series]:
        """All of them."""
        for _, series in self.named_series():
            yield series

    def named_series(self) -> Iterator[tuple[list[str], Series]]:
        """The same, each with the names that lead to it."""
        none: list[str] = []
        waiting = [(none, node) for node in self.trees.values()][::-1]
        while waiting:
            names, node = waiting.pop()
            if node.series is not None:
                yield names, node.series
            waiting.extend([([*names, name], member) for name, member in node.members.items()][::-1])


def read_value(message: bytes) -> object:
    """The value of a message; None if that cannot be had."""
    try:
        return _decode(message)
    except RecursionError:
        return None
    except msgspec.DecodeError:
        # Halves of characters (RFC 8259 §8.2), and numbers beyond all bounds.
        try:
            return json.loads(message, parse_int=_read_integer)
        except (ValueError, RecursionError):
            return None


def _read_integer(text: str) -> int | float:
    """An integer of JSON; infinite if it has more digits than Python reads (4,300)."""
    try:
        return int(text)
    except ValueError:
        return float(text)


def read_number(value: Any) -> float | None:  # noqa: ANN401 - a number of JSON
    """A number as a float; None if it is beyond what a float holds."""
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if number - number == 0.0 else None


def find_ways(path: str) -> Ways:
    """The names that a member may have from each place in a path on, the longest first, and the place behind each.

    Made once, because each message is searched for them.
    """
    names = path.split(".", DEEPEST - 1)
    count = len(names)
    return [[(".".join(names[at:end]), end) for end in range(count, at, -1)] for at in range(count)]


def find_value(value: object, ways: Ways) -> str | None:
    """The value at a path, as text; None if there is none, or no string, number or truth value.

    A member's name may have dots itself. The longest that is there counts, so that no message is searched twice.

    Args:
        ways: to it, from `find_ways`.
    """
    at = 0
    while at < len(ways):
        if not isinstance(value, dict):
            return None
        for name, end in ways[at]:
            if name in value:
                value, at = value[name], end
                break
        else:
            return None
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return None
