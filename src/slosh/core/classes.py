"""Classes of topics, which give a topic its settings by its name, and the bounds of all topics together.

The first pattern that matches a name decides, and all other names have the default class. A topic is given its
class once, when it is created, so that no message has to look it up.
"""

from collections.abc import Sequence
from typing import Final

from slosh.compiled import mypyc_attr
from slosh.core.patterns import Tree

DEFAULT: Final = "default"
"""The name of the class without a pattern."""


@mypyc_attr(acyclic=True)
class ClassCounts:
    """Counts of the messages of a class since the start.

    Attributes:
        published: messages that were accepted.
        fell_off: messages that fell off a ring.
    """

    __slots__ = ("fell_off", "published")

    def __init__(self) -> None:
        self.published = 0
        self.fell_off = 0


@mypyc_attr(acyclic=True)
class TopicClass:
    """The settings of some topics. Never changed, except for its counts.

    Args:
        pattern: that takes their names in; `DEFAULT` for those that no pattern does.

    Attributes:
        queue: messages that a topic keeps at most.
        queue_bytes: bytes that a topic keeps at most.
        age: seconds after which a message leaves the ring, 0 for never.
        linger: seconds that a topic stays active after its last watcher.
        keeps: whether a publish creates a topic (`unwatched = keep`).
        max_message: bytes of the largest message.
        history: seconds of history that are kept from a topic's creation on; 0 if it begins when a client asks for it.
        counts: of its messages.
    """

    __slots__ = ("age", "counts", "history", "keeps", "linger", "max_message", "pattern", "queue", "queue_bytes")

    def __init__(  # noqa: PLR0913 - settings, each by its name
        self,
        pattern: str = DEFAULT,
        *,
        queue: int,
        queue_bytes: int,
        linger: float,
        age: float = 0.0,
        keeps: bool = False,
        max_message: int = 1 << 60,
        history: float = 0.0,
    ) -> None:
        self.pattern = pattern
        self.queue = queue
        self.queue_bytes = queue_bytes
        self.age = age
        self.linger = linger
        self.keeps = keeps
        self.max_message = max_message
        self.history = history
        self.counts = ClassCounts()


UNBOUNDED: Final = TopicClass("", queue=1 << 60, queue_bytes=1 << 60, linger=0.0)
"""For topics that no hub holds."""


class Classes:
    """All classes of a server. Never changed: a server that reads its settings again makes new ones.

    Args:
        default: the class of topics that no rule matches.
        rules: the other classes, in their order.

    Attributes:
        default: as above.
        rules: as above.
        every: all of them.
        keeps_some: whether a publish may create a topic of any class.
        longest_linger: seconds, of all classes.
        former: counts of classes that no longer exist after a reload.
    """

    __slots__ = ("_leaving", "_places", "default", "every", "former", "keeps_some", "longest_linger", "rules")

    def __init__(self, default: TopicClass, rules: Sequence[TopicClass] = ()) -> None:
        self.default = default
        self.rules = tuple(rules)
        self.every = (default, *self.rules)
        self.keeps_some = any(each.keeps for each in self.every)
        self.longest_linger = max(each.linger for each in self.every)
        self.former = ClassCounts()
        self._leaving: list[ClassCounts] = []  # the same, while some topics may still be of those classes
        self._places: Tree[int] = Tree()
        for place, rule in enumerate(self.rules):
            self._places.add(rule.pattern, place)

    @property
    def published(self) -> int:
        """Messages that were accepted since the start."""
        counts = [self.former, *self._leaving, *(each.counts for each in self.every)]
        return sum(each.published for each in counts)

    @property
    def fell_off(self) -> int:
        """Messages that fell off a ring since the start."""
        counts = [self.former, *self._leaving, *(each.counts for each in self.every)]
        return sum(each.fell_off for each in counts)

    def count_on(self, former: "Classes") -> None:
        """Take over the counts of the `former` classes, by pattern and in the sums.

        The caller must call `settle` when no topic is of a former class any more.
        """
        counts = {each.pattern: each.counts for each in former.every}
        for each in self.every:
            each.counts = counts.pop(each.pattern, each.counts)
        self.former = former.former
        self._leaving = [*former._leaving, *counts.values()]  # noqa: SLF001 - of the same kind

    def settle(self) -> None:
        """No topic is of a former class any more."""
        leaving, self._leaving = self._leaving, []
        for gone in leaving:
            self.former.published += gone.published
            self.former.fell_off += gone.fell_off

    def find(self, name: str) -> TopicClass:
        """The class of the topic `name`: that of the first rule which takes it in. Not every rule is looked at."""
        if self.rules:
            place = min(self._places.patterns_for(name), default=-1)
            if place >= 0:
                return self.rules[place]
        return self.default


@mypyc_attr(acyclic=True)
class Bounds:
    """The bounds of a hub. Never changed: a server that reloads its settings makes new ones.

    Attributes:
        classes: the settings of each topic, by its name.
        max_topics: how many may be active at a time.
        max_watchers: how many watchers one topic may have, 0 for any number.
        max_bytes: how much all rings and histories take together, bytes.
        max_series: how many series the history of one topic has.
    """

    __slots__ = ("classes", "max_bytes", "max_series", "max_topics", "max_watchers")

    def __init__(
        self, classes: Classes, *, max_topics: int, max_watchers: int, max_bytes: int, max_series: int
    ) -> None:
        self.classes = classes
        self.max_topics = max_topics
        self.max_watchers = max_watchers
        self.max_bytes = max_bytes
        self.max_series = max_series
