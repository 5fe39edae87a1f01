"""The patterns by which somebody reads at other nodes.

A pattern is believed for the time that it was listed for, on this node's clock, unless it is withdrawn: a list that was
lost, or whose times are over because the store's clock was set, does not end it.
"""

from collections.abc import Iterator

from slosh.core.hub import Hub
from slosh.core.listeners import find_patterns
from slosh.core.patterns import Tree
from slosh.engine.redis.scripts import LISTED
from slosh.engine.redis.view import View
from slosh.errors import SloshError


class ForeignPatterns:
    """What this node knows of them.

    Args:
        view: the store, which has the list.
        hub: is told of them, for those who wait until a topic is watched.
    """

    def __init__(self, view: View, hub: Hub) -> None:
        self._view = view
        self._hub = hub
        self._tree: Tree[str] = Tree()  # the patterns, with "node pattern"
        self._until: dict[str, float] = {}  # "node pattern", and until when it is believed
        self._withdrawn: set[str] = set()  # nodes that have taken some back since the list was asked for last
        self._is_fetching = False
        self._fetches_again = False  # once that is answered

    def find(self, name: str) -> Iterator[str]:
        """Those that match the topic `name`, each once for each node; see `find_patterns`."""
        return find_patterns(self._tree, name, self._hub)

    def paths(self) -> Iterator[str]:
        """All of them, each once."""
        return self._tree.paths()

    def keep_for_a_lease(self) -> None:
        """Believe all for a lease more: until then each node has listed its own again."""
        self._until = dict.fromkeys(self._until, self._view.now() + self._view.times.lease_ms / 1000)

    def fetch(self, withdrawn: str = "") -> None:
        """See which there are. One list is asked for at a time, however much news comes meanwhile.

        Args:
            withdrawn: the node of which those are believed no more that are not listed.
        """
        if withdrawn:
            self._withdrawn.add(withdrawn)
        if self._is_fetching:
            self._fetches_again = True
            return
        self._is_fetching, self._fetches_again = True, False
        gone, self._withdrawn = self._withdrawn, set()

        def listed(reply: list[bytes] | SloshError) -> None:
            self._is_fetching = False
            if isinstance(reply, SloshError):
                self._withdrawn |= gone
            else:
                self._believe(reply, gone)
            if self._fetches_again:
                self.fetch()

        key = self._view.keys.patterns
        self._view.send(key, LISTED.call([key], self._view.clock(), 1), listed)

    def _believe(self, reply: list[bytes], gone: set[str]) -> None:
        """Take the list, and what is not in it and is still believed, but for the nodes that are `gone`."""
        now, lease = self._view.now(), self._view.times.lease_ms
        until = {
            entry.decode(): now + min(int(left), lease) / 1000
            for entry, left in zip(reply[::2], reply[1::2], strict=True)
        }
        for entry, end in self._until.items():
            if entry not in until and end > now and entry.partition(" ")[0] not in gone:
                until[entry] = end
        self._until = until
        self._tree = Tree()
        for entry in until:
            node, _, pattern = entry.partition(" ")
            if node != self._view.node:
                self._tree.add(pattern, entry)
                self._hub.listeners.tell_count_listeners_of(pattern)
        self._hub.listeners.note_elsewhere(self._tree.paths())
