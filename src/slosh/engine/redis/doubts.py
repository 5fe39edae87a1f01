"""Decides whether a topic really has no watcher when the store says so.

The rules of this file:

* The store knows watchers by leases. It may have lost them (FLUSHALL, a deleted or evicted key, a restart without
  persistence, a replica that lacked them), or consider them expired because its clock was set. A node that watches a
  topic is still subscribed to its channel then, because a connection depends on no key and no clock.
* So a script that finds a topic inactive asks all subscribers of its channel to report again, and returns their
  number, in the same round trip. If there are none, nobody watches: the usual case costs nothing extra.
* If there are some, they are given a moment, and the store is asked again. Nothing was stored in between.
* After this node's own connection to the store broke, other nodes may not be back yet. Until as many nodes are
  subscribed as before, or a lease has passed, it is not certain that nobody watches, and no client is told so.
"""

from collections.abc import Callable
from typing import Final

from slosh.engine.redis.view import View
from slosh.errors import EngineUnreachable, SloshError

ASKED: Final = b"-.0"
"""What `ask_listeners` in common.lua announces."""
_PATIENCE: Final = 1.0
"""Seconds that subscribed nodes have to report to the store again. A node without readers reports nothing."""
_SHORTEST: Final = 0.01
_LONGEST: Final = 0.1
"""Seconds between two requests to the store; the pause grows."""
_CENSUS: Final = b"."
"""News without a meaning; its receivers are counted."""


class Doubts:
    """Decides how to answer a request for a topic that is inactive according to the store.

    Args:
        view: the store.

    Attributes:
        waiting: how many requests wait to ask the store again; for tests.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._nodes = 0  # subscribed to the news when they were last counted
        self._settled_at = 0.0  # from this time on all nodes are expected to be back
        self.waiting = 0

    def start(self) -> None:
        """Count the nodes now, and again at intervals."""
        if not self._view.is_stopped:
            self._view.call_at(self._view.now() + self._view.times.visit, self.start)
            if self._is_settled():
                self._count(self._view.keys.news, self._counted)

    def came_up(self) -> None:
        """A server can be reached again; other nodes may need longer."""
        self._settled_at = self._view.now() + self._view.times.lease_ms / 1000

    def weigh(
        self,
        name: str,
        since: float,
        listening: int,
        ask: Callable[[], None],
        done: Callable[[SloshError | None], None],
    ) -> None:
        """Either ask the store again with `ask`, now or later, or decide and call `done`.

        Args:
            since: the time of the first request, seconds.
            listening: how many nodes are subscribed to the topic.
            done: called with None if topic `name` has no watcher, or with the error if that is not certain in time.
        """
        view, now = self._view, self._view.now()
        timeout = view.settings.engine_timeout
        # The time of nodes that have just come back begins then.
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
        """Count the nodes that are subscribed to news at the server of `key`."""
        self._view.send(key, ("PUBLISH", self._view.keys.news, _CENSUS), counted)

    def _counted(self, nodes: object) -> None:
        if isinstance(nodes, int) and self._is_settled():
            self._nodes = nodes
