"""Finds a hub's topics: by name, by pattern, and in the order of names."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

from slosh.core.patterns import Tree, Walk
from slosh.core.topic import Topic


class Topics:
    """The topics that the hub holds. Some may have become inactive a moment ago.

    Attributes:
        by_name: in the order in which they were created. Change it by the methods here.
        names: all names, sorted; keeping them sorted costs some microseconds for each new topic.
    """

    __slots__ = ("_tree", "_walked", "by_name", "names")

    def __init__(self) -> None:
        self.by_name: dict[str, Topic] = {}
        self.names: list[str] = []
        self._tree: Tree[Topic] = Tree()
        self._walked: tuple[tuple[tuple[str, ...], float, int], list[Topic]] | None = None  # what `matching` found last

    def add(self, topic: Topic) -> None:
        """Add `topic`, whose name is new."""
        self.by_name[topic.name] = topic
        insort(self.names, topic.name)
        self._tree.add(topic.name, topic)
        self._walked = None

    def replace(self, topic: Topic, successor: Topic) -> None:
        """Replace `topic` by `successor`, which has the same name."""
        self.by_name[topic.name] = successor
        self._tree.remove(topic.name, topic)
        self._tree.add(topic.name, successor)
        self._walked = None

    def remove(self, topic: Topic) -> None:
        """Remove `topic`."""
        del self.by_name[topic.name]
        del self.names[bisect_left(self.names, topic.name)]
        self._tree.remove(topic.name, topic)
        self._walked = None

    def matching(self, patterns: tuple[str, ...], now: float, most: int, walk: Walk) -> list[Topic]:
        """The active topics that one of `patterns` matches at the time `now`, seconds, each once.

        Args:
            most: stop when there are more than this many, 0 for never.
            walk: bounds the search of the request.

        Raises:
            BadTopic: the search would take longer than one request may.
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

        Read what you need before topics are added or removed.
        """
        names = self.names
        for at in range(bisect_right(names, after), len(names)):
            topic = self.by_name[names[at]]
            if topic.watchers or now < topic.active_until:
                yield topic
