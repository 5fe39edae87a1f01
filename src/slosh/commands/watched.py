"""Which topics are wanted from an upstream: those that somebody watches, and that were watched a moment ago."""

from collections.abc import Iterable, Mapping

from slosh.core.patterns import covers, intersect, matches


class WatchedTopics:
    """What a server told of its topics, and what follows for an upstream. It asks nothing itself.

    A topic is wanted from when somebody watches it until it is inactive, has ended, or nobody has watched it for
    `linger`. So is a pattern, from when somebody reads by one that matches some of the same topics. Times are of one
    clock, seconds.

    Args:
        patterns: of the upstream's names; only these are looked at.
        prefix: stands before an upstream's name in the name of its topic.
        linger: seconds for which a topic stays wanted without a watcher. A reader that polls is away between its polls.
    """

    def __init__(self, patterns: Iterable[str], prefix: str, linger: float) -> None:
        self._patterns = tuple(patterns)
        self._prefix = prefix
        self._linger = linger
        self._active: dict[str, float] = {}  # since when
        self._watched: dict[str, float] = {}  # when last
        self._read: dict[str, float] = {}  # patterns by which topics are read, and when last

    @property
    def names(self) -> set[str]:
        """The upstream's names of the topics that are wanted by their names."""
        return {name.removeprefix(self._prefix) for name in self._watched}

    @property
    def wanted(self) -> set[str]:
        """The upstream's names of the topics that are wanted, and patterns. None is matched by another one."""
        patterns: set[str] = set()
        for mine in self._patterns:
            patterns |= self._find_read(mine)
        return {
            each for each in self.names | patterns if not any(covers(wide, each) for wide in patterns if wide != each)
        }

    def is_wanted(self, own: str) -> bool:
        """Whether somebody watches the topic of this name of the upstream's, by its name or by a pattern."""
        name = self._prefix + own
        return name in self._watched or any(matches(pattern, name) for pattern in self._read)

    def _find_read(self, mine: str) -> set[str]:
        """What is read of the names that a pattern of the upstream's matches: the whole, or parts without overlap."""
        seen = {found for read in self._read if (found := intersect(read, self._prefix + mine)) is not None}
        parts = {found.removeprefix(self._prefix) for found in seen}
        parts = {each for each in parts if not any(covers(wide, each) for wide in parts if wide != each)}
        if any(one < other and intersect(one, other) is not None for one in parts for other in parts):
            return {mine}
        return parts

    @property
    def any_active(self) -> bool:
        """Whether there is any topic that may be watched."""
        return bool(self._active)

    def active(self, name: str, watchers: int, now: float) -> None:
        """A topic is active, with this many watchers."""
        if self._is_mine(name):
            self._active[name] = now
            if watchers:
                self._watched[name] = now

    def inactive(self, name: str) -> None:
        """A topic is inactive, or has ended and takes no more messages."""
        self._active.pop(name, None)
        self._watched.pop(name, None)

    def listed(self, watchers: Mapping[str, int], asked: float, now: float) -> None:
        """All active topics that have not ended, as a list said that was asked for at `asked`."""
        for name in [name for name, since in self._active.items() if name not in watchers and since < asked]:
            self.inactive(name)
        for name, count in watchers.items():
            if self._is_mine(name):
                self._active.setdefault(name, asked)
                if count:
                    self._watched[name] = now
        for name in [name for name, last in self._watched.items() if now - last >= self._linger]:
            del self._watched[name]

    def read_by(self, patterns: Iterable[str], now: float) -> None:
        """These are all the patterns by which somebody reads at this time."""
        self._read.update(dict.fromkeys(patterns, now))
        for pattern in [pattern for pattern, last in self._read.items() if now - last >= self._linger]:
            del self._read[pattern]

    def _is_mine(self, name: str) -> bool:
        if not name.startswith(self._prefix):
            return False
        own = name.removeprefix(self._prefix)
        return any(matches(pattern, own) for pattern in self._patterns)
