"""The shared store as one node sees it: where it is, how its keys are called, how long things hold, what time it is."""

from collections.abc import Callable
from typing import Any

from slosh.core.cursor import make_epoch
from slosh.engine.redis_keys import Keys
from slosh.engine.redis_scripts import PUBLISH, Command
from slosh.engine.redis_servers import Told, make_servers
from slosh.engine.redis_time import Times
from slosh.settings import Settings


class View:
    """What the parts of a node's engine share.

    Args:
        settings: where the store is, and the bounds.
        told: who is told what happens there.
        now: gives the time of the hub's clock, seconds.
        call_at: has a function called at such a time.
        random_bits: gives a number of that many random bits, which nobody can guess.
        clock: gives the time on the store's clock, microseconds, as text; the store's own where empty.

    Attributes:
        servers: of the store.
        keys: how its keys are called.
        times: how long things hold.
        node: this node's name among the others.
        is_stopped: whether the node has stopped: nobody is told of anything any more.

    Raises:
        SettingError: `engine` is no address of a store.
    """

    def __init__(
        self,
        settings: Settings,
        told: Told,
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
        self.times = Times(settings.linger)
        self.keys = Keys(settings.engine_prefix)
        self.servers = make_servers(
            settings.engine,
            told,
            timeout=settings.engine_timeout,
            most=settings.engine_queue,
            news=self.keys.news,
            probe=self._make_probe,
        )
        self.is_stopped = False

    def new_epoch(self) -> str:
        """The text of a new life."""
        return make_epoch(self._random_bits)

    def _make_probe(self, number: int, announcing: str) -> Command:
        """What publishes a message to nobody, to see whether the store takes messages. No reader can name its topic.

        It takes the way of every publish, and the store keeps one such message, for a minute.
        """
        name = f"$probe/{number}"
        keys, channel = self.keys.of_topic(name), self.keys.channel(name)
        bounds = (1, int(True), self.times.spare_ms, 1, 64, announcing, channel, 1)
        return PUBLISH.call(keys, "", self.node, 0, self.new_epoch(), *bounds, b"null")

    def send(self, key: str, command: Command, done: Callable[[Any], None], *, must: bool = False) -> None:
        """Have the server that has `key` do `command`; `done` gets its reply or a `SloshError`, never after the end.

        Args:
            must: send it also where `engine_queue` is reached.
        """

        def answered(reply: object) -> None:
            if not self.is_stopped:
                done(reply)

        self.servers.send(key, command, answered, must=must)
