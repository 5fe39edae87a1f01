"""The topics of a hub by their names: one by its name, those that a pattern matches, those behind a name in order."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

from slosh.core.patterns import Tree, Walk
from slosh.core.topic import Topic


class Topics:
    """Those that the hub holds, some of which may have run out a moment ago.

    Attributes:
        by_name: in the order in which they were created. Change it by the methods here.
        names: all names, sorted; to keep them in order costs each new topic some microseconds.
    """

    __slots__ = ("_tree", "_walked", "by_name", "names")

    def __init__(self) -> None:
        self.by_name: dict[str, Topic] = {}
        self.names: list[str] = []
        self._tree: Tree[Topic] = Tree()
        self._walked: tuple[tuple[tuple[str, ...], float, int], list[Topic]] | None = None  # what `matching` found last

    def add(self, topic: Topic) -> None:
        """Add `topic`, of whose name there is none."""
        self.by_name[topic.name] = topic
        insort(self.names, topic.name)
        self._tree.add(topic.name, topic)
        self._walked = None

    def replace(self, topic: Topic, successor: Topic) -> None:
        """Have `successor`, of the same name, in place of `topic`."""
        self.by_name[topic.name] = successor
        self._tree.remove(topic.name, topic)
        self._tree.add(topic.name, successor)
        self._walked = None

    def remove(self, topic: Topic) -> None:
        """Take away `topic`, which is here."""
        del self.by_name[topic.name]
        del self.names[bisect_left(self.names, topic.name)]
        self._tree.remove(topic.name, topic)
        self._walked = None

    def matching(self, patterns: tuple[str, ...], now: float, most: int, walk: Walk) -> list[Topic]:
        """The active topics that one of `patterns` matches at the time `now`, seconds, each once.

        Args:
            most: stop when there are more than this many, 0 for never.
            walk: what the request may walk.

        Raises:
            BadTopic: to see that takes a longer walk than one request may have.
        """
        walked, wanted = self._walked, (patterns, now, most)
        if walked is not None and walked[0] == wanted:  # One request asks several times.
            return walked[1]
        found: dict[Topic, None] = {}
        for pattern in patterns:
            for topic in self._tree.names_for(pattern, walk):
                if topic.watchers or now < topic.active_until:
                    found[topic] = None
                    if 0 < most < len(found):
                        return list(found)
        topics = list(found)
        self._walked = (wanted, topics)
        return topics

    def listed(self, after: str, now: float) -> Iterator[Topic]:
        """The active topics after the name `after`, in the order of their names, at the time `now`, seconds.

        Take what you want of it before anything else happens here.
        """
        names = self.names
        for at in range(bisect_right(names, after), len(names)):
            topic = self.by_name[names[at]]
            if topic.watchers or now < topic.active_until:
                yield topic
