"""The shared store as one node sees it: where it is, how its keys are called, how long things hold, what time it is."""

from collections.abc import Callable
from typing import Any

from slosh.core.classes import TopicClass
from slosh.core.cursor import make_epoch
from slosh.core.hub import Hub
from slosh.engine.redis.client.cluster import make_servers
from slosh.engine.redis.client.command import Command
from slosh.engine.redis.client.servers import StoreEvents, StoreTerms
from slosh.engine.redis.keys import Keys
from slosh.engine.redis.scripts import PUBLISH, SCRIPTS
from slosh.engine.redis.time import Times
from slosh.settings import Settings


class View:
    """What the parts of a node's engine share.

    Args:
        settings: where the store is, and the bounds.
        events: notified of what happens there.
        hub: knows the classes of topics.
        now: gives the time of the hub's clock, seconds.
        call_at: has a function called at such a time.
        random_bits: gives a number of that many random bits, which nobody can guess.
        clock: gives the time on the store's clock, microseconds, as text; the store's own if empty.

    Attributes:
        servers: of the store.
        keys: how its keys are called.
        node: this node's name among the others.
        is_stopped: whether the node has stopped: nobody is told of anything any more.

    Raises:
        SettingError: `engine` is no address of a store.
    """

    def __init__(
        self,
        settings: Settings,
        events: StoreEvents,
        hub: Hub,
        *,
        now: Callable[[], float],
        call_at: Callable[[float, Callable[[], None]], object],
        random_bits: Callable[[int], int],
        clock: Callable[[], str],
    ) -> None:
        self.settings = settings
        self.now = now
        self.call_at = call_at
        self.clock = clock
        self._random_bits = random_bits
        self.node = make_epoch(random_bits)
        self._hub = hub
        self._times: dict[float, Times] = {}
        self.keys = Keys(settings.engine_prefix)
        terms = StoreTerms(
            timeout=settings.engine_timeout,
            most=settings.engine_queue,
            news=self.keys.news,
            scripts=SCRIPTS,
            probe=self._make_probe,
        )
        self.servers = make_servers(settings.engine, events, terms)
        self.is_stopped = False

    @property
    def times(self) -> Times:
        """How long things hold that are of no topic alone."""
        return self._times_for(self._hub.classes.longest_linger)

    def times_of(self, name: str) -> Times:
        """How long things hold that are of the topic `name`."""
        return self._times_for(self._hub.classes.find(name).linger)

    def kind_of(self, name: str) -> TopicClass:
        """The class of the topic `name`."""
        return self._hub.classes.find(name)

    def _times_for(self, linger: float) -> Times:
        times = self._times.get(linger)
        if times is None:  # There are as many as classes, and those of before a SIGHUP.
            times = self._times[linger] = Times(linger)
        return times

    def new_epoch(self) -> str:
        """The text of a new life."""
        return make_epoch(self._random_bits)

    def _make_probe(self, number: int, announcing: str) -> Command:
        """What publishes a message to nobody, to see whether the store takes messages. No reader can name its topic.

        It takes the way of every publish, and the store keeps one such message, for a minute.
        """
        name = f"$probe/{number}"
        keys, channel = self.keys.of_topic(name), self.keys.channel(name)
        bounds = (1, int(True), self.times.spare_ms, 1, 64, 0, announcing, channel, 1, int(False))
        return PUBLISH.call(keys, "", self.node, 0, self.new_epoch(), *bounds, b"null")

    def send(self, key: str, command: Command, done: Callable[[Any], None], *, must: bool = False) -> None:
        """Have the server that has `key` do `command`; `done` gets its reply or a `SloshError`, never after the end.

        Args:
            must: send it even if `engine_queue` is reached.
        """

        def answered(reply: object) -> None:
            if not self.is_stopped:
                done(reply)

        self.servers.send(key, command, answered, must=must)
