"""Whether nobody watches a topic, if the store says so.

The rules of this file:

* The store knows watchers by leases. It may have lost them (FLUSHALL, a deleted or evicted key, a restart without
  persistence, a replica that lacked them), or take them for over because its clock was set. A node that watches a topic
  is connected and listens to it even then, because a connection depends on no key and no clock.
* So the script that finds a topic inactive asks all that listen to it to tell again, and gives their number, in the
  same round trip. If none listens, nobody watches: the usual case costs nothing more.
* If some listen they are given a moment, and the store is asked again. Nothing was stored meanwhile.
* After this node's own connection to the store broke, others may not be back yet. Until as many nodes listen as
  before, or a lease is over, it cannot be known that nobody watches, and nobody is told so.
"""

from collections.abc import Callable
from typing import Final

from slosh.engine.redis.view import View
from slosh.errors import EngineUnreachable, SloshError

ASKED: Final = b"-.0"
"""What `ask_listeners` in common.lua announces."""
_PATIENCE: Final = 1.0
"""Seconds that nodes which listen have to tell the store again. One that has no reader left tells nothing."""
_SHORTEST: Final = 0.01
_LONGEST: Final = 0.1
"""Seconds between two questions to the store; the longer it takes, the longer."""
_CENSUS: Final = b"."
"""News that means nothing; those who hear it are counted."""


class Doubts:
    """Decides what becomes of a request for a topic that the store takes for inactive.

    Args:
        view: the store.

    Attributes:
        waiting: how many requests will have the store asked again; for tests.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._nodes = 0  # that listened to the news when they were last counted
        self._settled_at = 0.0  # since when it is known who is there, or from when on
        self.waiting = 0

    def start(self) -> None:
        """Begin to count nodes from time to time."""
        if not self._view.is_stopped:
            self._view.call_at(self._view.now() + self._view.times.visit, self.start)
            if self._is_settled():
                self._count(self._view.keys.news, self._counted)

    def came_up(self) -> None:
        """A server can be reached again: others may need longer."""
        self._settled_at = self._view.now() + self._view.times.lease_ms / 1000

    def weigh(
        self,
        name: str,
        since: float,
        listening: int,
        ask: Callable[[], None],
        done: Callable[[SloshError | None], None],
    ) -> None:
        """Have the store asked again by `ask`, or tell that nobody watches topic `name`, or that nobody can know.

        Args:
            since: when it was asked first, seconds.
            listening: how many nodes listen to the topic.
            done: called with None, or with the error that is the answer.
        """
        view, now = self._view, self._view.now()
        timeout = view.settings.engine_timeout
        # Nodes that have just come back have their time from then on.
        patience_over = max(since, self._settled_at) + min(_PATIENCE, timeout)
        if self._is_settled() and (not listening or now >= patience_over):
            done(None)
        elif now >= since + timeout and not self._is_settled():
            done(EngineUnreachable("The messages' store was away, and it is not known yet who watches; try again."))
        elif listening:
            self._ask_later(now - since, ask)
        else:

            def counted(nodes: object) -> None:
                if isinstance(nodes, int) and nodes >= self._nodes:
                    self._settled_at = min(self._settled_at, view.now())
                    ask()
                else:
                    self._ask_later(now - since, ask)

            # At the server of this topic, because a cluster's may come back one after the other.
            self._count(view.keys.of_topic(name)[0], counted)

    def _ask_later(self, waited: float, ask: Callable[[], None]) -> None:
        self.waiting += 1

        def ask_again() -> None:
            self.waiting -= 1
            ask()

        self._view.call_at(self._view.now() + min(max(waited, _SHORTEST), _LONGEST), ask_again)

    def _is_settled(self) -> bool:
        return self._view.now() >= self._settled_at

    def _count(self, key: str, counted: Callable[[object], None]) -> None:
        """Count the nodes that listen at the server that has `key`."""
        self._view.send(key, ("PUBLISH", self._view.keys.news, _CENSUS), counted)

    def _counted(self, nodes: object) -> None:
        if isinstance(nodes, int) and self._is_settled():
            self._nodes = nodes
