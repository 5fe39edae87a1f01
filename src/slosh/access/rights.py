"""The rights of a client: to read and to publish, each a list of patterns of topics. Nothing else is allowed."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from slosh.access.patterns import covers
from slosh.core.names import check_name
from slosh.core.patterns import REST, Tree, check_pattern, intersect, is_pattern
from slosh.errors import BadTopic

MAX_PATTERNS: Final = 128
"""Patterns of each right. A request with 64 patterns is compared with each of them, some 10 ms at the worst."""


class Rights:
    """The topics that a client may read and publish to. Immutable.

    Args:
        read: patterns and names of the topics that it may read, as `parse_patterns` returns them.
        publish: the same of those that it may publish to.

    Attributes:
        read, publish: as above, without repetitions.
        reads_all, publishes_all: whether all topics may be read, and published to.
        sees_all: whether either.
    """

    __slots__ = ("_publishable", "_readable", "publish", "publishes_all", "read", "reads_all", "sees_all")

    def __init__(self, read: Iterable[str] = (), publish: Iterable[str] = ()) -> None:
        self.read = tuple(dict.fromkeys(read))
        self.publish = tuple(dict.fromkeys(publish))
        self.reads_all = REST in self.read
        self.publishes_all = REST in self.publish
        self.sees_all = self.reads_all or self.publishes_all
        self._readable = _make_tree(self.read)
        self._publishable = _make_tree(self.publish)

    def __repr__(self) -> str:
        return f"Rights(read={list(self.read)}, publish={list(self.publish)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rights) and self.read == other.read and self.publish == other.publish

    def __hash__(self) -> int:
        return hash((self.read, self.publish))

    def joined(self, other: "Rights") -> "Rights":
        """The rights that either gives."""
        return Rights(self.read + other.read, self.publish + other.publish)

    def may_read(self, name: str) -> bool:
        """Whether the topic `name` may be read."""
        return self.reads_all or _has(self._readable, name)

    def may_publish(self, name: str) -> bool:
        """Whether the topic `name` may be published to, ended and opened."""
        return self.publishes_all or _has(self._publishable, name)

    def may_see(self, name: str) -> bool:
        """Whether the client may learn that the topic `name` is active, and how many watch it."""
        return self.sees_all or _has(self._readable, name) or _has(self._publishable, name)

    def may_follow(self, pattern: str) -> bool:
        """Whether all topics that `pattern` matches may be read, because one granted pattern covers it."""
        return self.reads_all or any(covers(granted, pattern) for granted in self.read)

    def visible_parts(self, pattern: str) -> Iterator[str]:
        """The parts of another reader's `pattern` that the client may learn of: patterns of topics that it may see."""
        if self.sees_all:
            yield pattern
            return
        for granted in self.read + self.publish:
            if (part := intersect(granted, pattern)) is not None:
                yield part


class Grant:
    """The rights that a client has until they expire. Immutable.

    Attributes:
        name: for logs and for people, never the token itself.
        rights: the topics that it may read and publish to.
        expires: seconds since 1970; `inf` for never.
        key: stands for the token, or the name in a certificate, in rate limits; empty if there is neither.
        generation: of the rules that gave them; see `Authority`.
    """

    __slots__ = ("expires", "generation", "key", "name", "rights")

    def __init__(
        self, name: str, rights: Rights, *, expires: float = math.inf, key: str = "", generation: int = 0
    ) -> None:
        self.name = name
        self.rights = rights
        self.expires = expires
        self.key = key
        self.generation = generation


def parse_patterns(value: object) -> tuple[str, ...]:
    """The patterns of one right, checked.

    Args:
        value: as read from a settings file or a claim.

    Raises:
        BadTopic: it is no list of texts, is too long, or contains a text that is neither a name nor a pattern.
    """
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise BadTopic('A right is a list of patterns, such as ["sensors/**"].')
    if len(value) > MAX_PATTERNS:
        raise BadTopic(f"A right has at most {MAX_PATTERNS} patterns.")
    for each in value:
        if not isinstance(each, str):
            raise BadTopic('A right is a list of patterns, each a text, such as ["sensors/**"].')
        (check_pattern if is_pattern(each) else check_name)(each)
    return tuple(value)


def _make_tree(patterns: Iterable[str]) -> Tree[str]:
    tree: Tree[str] = Tree()
    for each in patterns:
        tree.add(each, each)
    return tree


def _has(tree: Tree[str], name: str) -> bool:
    return next(tree.patterns_for(name), None) is not None


NOTHING: Final = Rights()
ALL: Final = Rights([REST], [REST])
