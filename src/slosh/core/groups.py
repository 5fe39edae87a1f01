"""The series of a history, in trees that have the shape of the messages; and reading values from messages.

A group is all series that one field tells apart, with a tree for each value of that field.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from slosh.core.buckets import Series

DEEPEST: Final = 16
"""Levels of objects in which numbers are found, and names in a path."""

NOT_KNOWN: Final = 1 << 62
"""For a time, Unix milliseconds: messages are missing, and none has arrived since. Later than any time."""

Ways = Sequence[Sequence[tuple[str, int]]]
"""The ways to divide a path into names; see `find_ways`."""

_decode: Final = msgspec.json.Decoder().decode


class Node:
    """A member of the messages.

    Attributes:
        path: the names that lead to it, joined by dots.
        by_path: all series of the tree. If another member has the path of one of them, because a name has dots, its
            numbers are added there and it gets no node: a path can be divided into names in very many ways.
        series: of its numbers; None if it has had none.
        members: its own members, by name.
    """

    __slots__ = ("by_path", "members", "path", "series")

    def __init__(self, path: str, by_path: dict[str, Series]) -> None:
        self.path = path
        self.by_path = by_path
        self.series: Series | None = None
        self.members: dict[str, Node] = {}


class Group:
    """All series that one field tells apart, or that no field does.

    Attributes:
        by: the field's path; empty for none.
        since: all messages from this time on are in the series, Unix milliseconds; 0 if all are, `NOT_KNOWN` if the
            next message will be the first.
        ways: of `by`, for `find_value`.
        trees: by the field's value; None stands for no field.
    """

    __slots__ = ("by", "since", "trees", "ways")

    def __init__(self, by: str, since: int) -> None:
        self.by = by
        self.since = since
        self.ways = find_ways(by)
        self.trees: dict[str | None, Node] = {}

    def series(self) -> Iterator[Series]:
        """All series."""
        for _, series in self.named_series():
            yield series

    def named_series(self) -> Iterator[tuple[list[str], Series]]:
        """All series, each with the names that lead to its numbers."""
        none: list[str] = []
        waiting = [(none, node) for node in self.trees.values()][::-1]
        while waiting:
            names, node = waiting.pop()
            if node.series is not None:
                yield names, node.series
            waiting.extend([([*names, name], member) for name, member in node.members.items()][::-1])


def read_value(message: bytes) -> object:
    """The value of a message; None if it cannot be decoded."""
    try:
        return _decode(message)
    except RecursionError:
        return None
    except msgspec.DecodeError:
        # Unpaired surrogates (RFC 8259 §8.2), and numbers with too many digits.
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
    """For each name of a path, counted from 0: the names that a member may have there, and the next name after each.

    `a.b` is `[[("a.b", 2), ("a", 1)], [("b", 2)]]`: the longest first. Call this once for many messages.
    """
    names = path.split(".", DEEPEST - 1)
    count = len(names)
    return [[(".".join(names[at:end]), end) for end in range(count, at, -1)] for at in range(count)]


def find_value(value: object, ways: Ways) -> str | None:
    """The value at a path, as text; None if there is none, or it is no string, number or boolean.

    A member's name may contain dots. The longest name that exists is used, without trying the others.

    Args:
        value: of a message.
        ways: the path, as `find_ways` returns it.
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
