"""Patterns over topics' names: `*` stands for one segment, `**` at the end for one or more.

Names and patterns are kept as trees of segments, so that a new topic need not be compared with all patterns, nor a new
pattern with all topics. A publish to an active topic compares nothing: readers of its patterns watch it already.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final, Generic, TypeVar

from slosh.core.names import check_name
from slosh.errors import BadTopic, TooManyPatterns

MAX_MATCHES: Final = 256
"""Topics that one reader may read through its patterns: it sends the cursors of all of them with each request."""

ONE: Final = "*"
REST: Final = "**"

MAX_STEPS: Final = 10_000
"""Segments of names that one request may search; some 5 ms."""

MAX_SHAPES: Final = 1000
"""Counted shapes of patterns in use at a time, at all nodes together. Like `MAX_STEPS` it bounds a search. It is not a
setting, because no useful patterns come near it."""

_UNCOUNTED: Final = 8
"""Patterns with at most this many segments are not counted."""
_UNCOUNTED_STARS: Final = 4
"""Longer patterns with at most this many stars are not counted."""

V = TypeVar("V")


def is_pattern(text: str) -> bool:
    """Whether this is a pattern rather than a name."""
    return "*" in text


def check_pattern(text: str) -> str:
    """Return `text` if it is a valid pattern.

    Raises:
        BadTopic: it is not; the detail says which rule it breaks.
    """
    segments = text.split("/")
    if REST in segments[:-1] or any("*" in segment and segment not in (ONE, REST) for segment in segments):
        raise BadTopic("In a pattern '*' stands for a whole segment, and '**' for the rest, at the end.")
    check_name(text.replace("*", "x"))
    return text


def matches(pattern: str, name: str) -> bool:
    """Whether `pattern` matches the topic `name`."""
    wanted, segments = pattern.split("/"), name.split("/")
    if wanted[-1] == REST:
        wanted = wanted[:-1]
        if len(segments) <= len(wanted):
            return False
        segments = segments[: len(wanted)]
    return len(wanted) == len(segments) and all(w in (ONE, s) for w, s in zip(wanted, segments, strict=True))


def covers(pattern: str, other: str) -> bool:
    """Whether `pattern` matches every topic that `other` (a pattern or a name) matches."""
    wide, narrow = pattern.split("/"), other.split("/")
    for at, segment in enumerate(wide):
        if at == len(narrow):
            return False
        if segment == REST:
            return True
        if narrow[at] == REST or segment not in (ONE, narrow[at]):
            return False
    return len(wide) == len(narrow)


def intersect(one: str, other: str) -> str | None:
    """The pattern or name that matches exactly the topics that both match; None if there are none."""
    left, right = one.split("/"), other.split("/")
    found: list[str] = []
    for at in range(max(len(left), len(right))):
        if at >= min(len(left), len(right)):
            return None
        if left[at] == REST:
            found += right[at:]
            break
        if right[at] == REST:
            found += left[at:]
            break
        if left[at] != right[at] and ONE not in (left[at], right[at]):
            return None
        found.append(right[at] if left[at] == ONE else left[at])
    return "/".join(found)


class Walk:
    """Bounds the steps of one request through a tree, for all its patterns together.

    Attributes:
        left: steps that it may still take.
    """

    __slots__ = ("_most", "left")

    def __init__(self, most: int = MAX_STEPS) -> None:
        self._most = most
        self.left = most

    @property
    def taken(self) -> int:
        """Steps that it has taken."""
        return self._most - self.left

    def count(self, steps: int) -> None:
        """Count `steps` of a search that has another bound."""
        self.left -= steps

    def step(self) -> None:
        """Take one step.

        Raises:
            BadTopic: there were too many.
        """
        self.left -= 1
        if self.left < 0:
            raise BadTopic(
                f"To see what these patterns take in, more than {MAX_STEPS} segments of topics' names would have to be "
                f"looked at. Begin the patterns with segments that are no '*', or ask for fewer patterns at a time."
            )


class Tree(Generic[V]):
    """Values at paths of segments; both names and patterns are paths."""

    __slots__ = ("_branches", "_values")

    def __init__(self) -> None:
        self._branches: dict[str, Tree[V]] = {}
        self._values: dict[V, None] = {}

    def __bool__(self) -> bool:
        return bool(self._branches or self._values)

    def add(self, path: str, value: V) -> None:
        """Add `value` at `path`, beside any others there."""
        node = self
        for segment in path.split("/"):
            node = node._branches.setdefault(segment, Tree())
        node._values[value] = None  # noqa: SLF001 - a node of this tree, here and below

    def remove(self, path: str, value: V) -> None:
        """Remove `value` from `path`, and branches that become empty."""
        self._remove(path.split("/"), value)

    def _remove(self, segments: list[str], value: V) -> None:
        if not segments:
            self._values.pop(value, None)
            return
        branch = self._branches.get(segments[0])
        if branch is not None:
            branch._remove(segments[1:], value)  # noqa: SLF001
            if not branch:
                del self._branches[segments[0]]

    def paths(self, before: str = "") -> Iterator[str]:
        """Each path that has a value."""
        for segment, branch in self._branches.items():
            path = before + segment
            if branch._values:  # noqa: SLF001
                yield path
            yield from branch.paths(path + "/")

    def patterns_for(self, name: str, walk: Walk | None = None) -> Iterator[V]:
        """The values at all patterns that match `name`. The paths of this tree are patterns.

        Args:
            walk: counts the steps, all of which are taken before this returns: some 10,000 at most, if `Shapes` bounds
                the patterns.
        """
        found: list[dict[V, None]] = []
        nodes = [self]
        for segment in name.split("/"):
            if walk is not None:
                walk.count(len(nodes))
            found += [rest._values for node in nodes if (rest := node._branches.get(REST)) is not None]  # noqa: SLF001
            nodes = [
                branch
                for node in nodes
                for key in (segment, ONE)
                if (branch := node._branches.get(key)) is not None  # noqa: SLF001
            ]
        found += [node._values for node in nodes]  # noqa: SLF001
        return chain.from_iterable(found)

    def names_for(self, pattern: str, walk: Walk) -> Iterator[V]:
        """The values at all names that `pattern` matches. The paths of this tree are names.

        Raises:
            BadTopic: `walk` has reached its bound.
        """
        return self._names_for(pattern.split("/"), 0, walk)

    def _names_for(self, wanted: list[str], at: int, walk: Walk) -> Iterator[V]:
        walk.step()
        if at == len(wanted):
            yield from self._values
        elif wanted[at] == REST:
            for branch in self._branches.values():
                yield from branch._all(walk)  # noqa: SLF001
        elif wanted[at] == ONE:
            for branch in self._branches.values():
                yield from branch._names_for(wanted, at + 1, walk)  # noqa: SLF001
        elif (found := self._branches.get(wanted[at])) is not None:
            yield from found._names_for(wanted, at + 1, walk)  # noqa: SLF001

    def _all(self, walk: Walk) -> Iterator[V]:
        walk.step()
        yield from self._values
        for branch in self._branches.values():
            yield from branch._all(walk)  # noqa: SLF001


class Shapes:
    """Which shapes the patterns of a tree have, so that no name takes a long walk through it.

    The shape of a pattern says which of its segments are `*`. `Tree.patterns_for` comes at each segment of a name to
    no more places than there are shapes of this many segments, because what is no `*` has to be that segment itself. Up
    to the eighth segment there are 510 of them, and 9,020 longer ones with four `*` at most, whatever the patterns are.
    They are always taken, so that nobody can use up what others need; the others are counted here.
    """

    __slots__ = ("_counts", "_elsewhere")

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._elsewhere: frozenset[str] = frozenset()

    def note_elsewhere(self, patterns: Iterable[str]) -> None:
        """Count the shapes of just these patterns as well, which other nodes have taken already."""
        self._elsewhere = frozenset(each for pattern in patterns for each in _shapes(pattern))

    def add(self, pattern: str) -> None:
        """Count the shapes of `pattern`.

        Raises:
            TooManyPatterns: there would be too many of them.
        """
        shapes = _shapes(pattern)
        if any(each not in self._counts and each not in self._elsewhere for each in shapes) and (
            len(self._elsewhere.union(self._counts, shapes)) > MAX_SHAPES
        ):
            wider = "/".join([*pattern.split("/")[:_UNCOUNTED], REST])
            raise TooManyPatterns(
                f"Of patterns with more than {_UNCOUNTED} segments and {_UNCOUNTED_STARS} '*' there are as many shapes "
                f"as may be ({MAX_SHAPES}); the shape is which segments are '*'. Write '*' for fewer segments, ask for "
                f"{wider}, or try again in some seconds."
            )
        for each in shapes:
            self._counts[each] = self._counts.get(each, 0) + 1

    def remove(self, pattern: str) -> None:
        """Stop counting the shapes of `pattern`, which was added."""
        for each in _shapes(pattern):
            self._counts[each] -= 1
            if not self._counts[each]:
                del self._counts[each]


def _shapes(pattern: str) -> list[str]:
    """The shapes of the beginnings of `pattern` that are counted."""
    if pattern.count("/") < _UNCOUNTED:
        return []
    shape = "".join("*" if segment == ONE else "x" for segment in pattern.removesuffix("/" + REST).split("/"))
    lengths = range(_UNCOUNTED + 1, len(shape) + 1)
    return [shape[:length] for length in lengths if shape.count("*", 0, length) > _UNCOUNTED_STARS]
