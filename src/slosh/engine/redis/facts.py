"""What is told of single topics, wherever they are watched."""

from collections.abc import Callable
from typing import Any

from slosh.core.hub import Hub
from slosh.engine.base import RATE_WINDOW, TopicFacts
from slosh.engine.redis.scripts import FACTS
from slosh.engine.redis.view import View
from slosh.errors import SloshError


class Facts:
    """Asks for facts.

    Args:
        view: the store.
        hub: knows who watches here.
    """

    def __init__(self, view: View, hub: Hub) -> None:
        self._view = view
        self._hub = hub

    def find(
        self,
        name: str,
        done: Callable[[TopicFacts | int | SloshError], None],
        doubt: Callable[[int], None] | None = None,
    ) -> None:
        """Tell the facts of topic `name`, or if it is not active how many watch it nevertheless.

        Args:
            doubt: called instead if nobody seems to watch it, with the number of nodes that listen to it, which
                were asked to tell the store again.
        """

        def answered(reply: list[Any] | SloshError) -> None:
            if isinstance(reply, SloshError):
                done(reply)
                return
            topic = self._hub.find(name, self._view.now())
            watchers = reply[0] + (topic.count_watchers() if topic is not None else 0)
            if len(reply) == 2:
                if doubt is not None and not watchers:
                    doubt(reply[1])
                else:
                    done(watchers)
                return
            newest, age, recent, kept, oldest, ended = (int(each) for each in reply[1:])
            # As Topic.rate has it: a ring younger than the window, because messages fell off, speaks for its own age.
            # The ages are less than nothing if the store's clock was set back.
            is_short = recent == kept and newest > kept and oldest >= 0
            seconds = max(oldest / 1e6, 0.001) if is_short else RATE_WINDOW
            done(TopicFacts(name, watchers, newest, max(0, age) / 1e6, recent / seconds, bool(ended)))

        view, keys = self._view, self._view.keys.of_topic(name)
        channel = view.keys.channel(name) if doubt is not None else ""
        announcing = view.servers.announcing(keys[0])
        view.send(
            keys[0], FACTS.call(keys, view.clock(), view.node, int(RATE_WINDOW * 1e6), announcing, channel), answered
        )
