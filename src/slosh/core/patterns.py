"""Patterns over topics' names: `*` stands for one segment, `**` at the end for one or more.

Both sides are kept as trees of segments, so that neither a new topic has to look at all patterns nor a new
pattern at all topics. A topic that lives costs a publish nothing: its pattern's watchers are its own then.
"""

from collections.abc import Iterator
from typing import Final, Generic, TypeVar

from slosh.core.names import check_name
from slosh.errors import BadTopic

MAX_MATCHES: Final = 256
"""Topics that one reader may come to by its patterns: it sends the cursors of all of them with each request."""

ONE: Final = "*"
REST: Final = "**"

MAX_STEPS: Final = 10_000
"""Segments of names that are looked at for one request; some 5 ms."""

V = TypeVar("V")


def is_pattern(text: str) -> bool:
    """Whether this is to be a pattern and no name."""
    return "*" in text


def check_pattern(text: str) -> str:
    """Give `text` back when it is a pattern.

    Raises:
        BadTopic: it is not; the detail says which rule it breaks.
    """
    segments = text.split("/")
    if REST in segments[:-1] or any("*" in segment and segment not in (ONE, REST) for segment in segments):
        raise BadTopic("In a pattern '*' stands for a whole segment, and '**' for the rest, at the end.")
    check_name(text.replace("*", "x"))
    return text


def matches(pattern: str, name: str) -> bool:
    """Whether `pattern` takes in the topic `name`."""
    wanted, segments = pattern.split("/"), name.split("/")
    if wanted[-1] == REST:
        wanted = wanted[:-1]
        if len(segments) <= len(wanted):
            return False
        segments = segments[: len(wanted)]
    return len(wanted) == len(segments) and all(w in (ONE, s) for w, s in zip(wanted, segments, strict=True))


def covers(pattern: str, other: str) -> bool:
    """Whether `pattern` takes in every topic that `other`, a pattern or a name, takes in."""
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
    """The pattern, or the name, of just those topics that both take in; None where there are none."""
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
    """How far one request may walk through a tree, with all its patterns together.

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

    def step(self) -> None:
        """Take one step.

        Raises:
            BadTopic: there have been too many.
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
        """Put `value` at `path`, beside others that are there."""
        node = self
        for segment in path.split("/"):
            node = node._branches.setdefault(segment, Tree())
        node._values[value] = None  # noqa: SLF001

    def remove(self, path: str, value: V) -> None:
        """Take `value` away from `path`, and the branches that hold nothing any more."""
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

    def patterns_for(self, name: str) -> Iterator[V]:
        """The values at all patterns that take in `name`. The paths of this tree are patterns."""
        nodes = [self]
        for segment in name.split("/"):
            for node in nodes:
                if rest := node._branches.get(REST):  # noqa: SLF001
                    yield from rest._values  # noqa: SLF001
            nodes = [
                branch
                for node in nodes
                for key in (segment, ONE)
                if (branch := node._branches.get(key)) is not None  # noqa: SLF001
            ]
        for node in nodes:
            yield from node._values  # noqa: SLF001

    def names_for(self, pattern: str, walk: Walk) -> Iterator[V]:
        """The values at all names that `pattern` takes in. The paths of this tree are names.

        Raises:
            BadTopic: `walk` is over.
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
