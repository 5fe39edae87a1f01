"""How many watch a topic, and a wait until somebody does.

A producer learns here when to start, instead of finding out with each POST that nobody looks.
"""

from slosh.access.rights import Rights
from slosh.engine.base import Engine, WatcherCount
from slosh.errors import BadQuery, SloshError
from slosh.http1.connection import Connection
from slosh.http1.exchange import Exchange
from slosh.http1.handler import Action
from slosh.http1.response import JSON_ANSWER
from slosh.settings import Settings
from slosh.web.later import LaterAnswer
from slosh.web.readers.request import ReadRequest


class CountWatchers(Action):
    """The action of `GET /topics/<name>?watchers`: how many there are; with `wait`, once there is one.

    It watches nothing itself: a feeder that sleeps here does not keep its own topic active.

    Raises:
        BadQuery: several topics are asked for.
    """

    __slots__ = ("_engine", "_name", "_wait", "fields", "max_body")

    def __init__(self, engine: Engine, settings: Settings, asked: ReadRequest, fields: bytes) -> None:
        if asked.several:
            raise BadQuery(
                "watchers",
                "watchers counts those of one topic, and several or a pattern are named here. Ask for one topic at a "
                "time: /topics/kitchen?watchers.",
                tells_value=False,
            )
        self._engine = engine
        self._name = asked.names[0]
        self._wait = asked.wait if asked.says_wait else 0.0
        self.fields = fields
        self.max_body = settings.max_body

    def is_allowed(self, rights: Rights, variable: object | None) -> bool:  # noqa: ARG002 - it has no variable part
        """Whether the topic may be read or published to."""
        return rights.may_see(self._name)

    def may_be_held(self) -> bool:
        """As the base says."""
        return self._wait > 0

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002 - a GET's body means nothing
        """Tell it now, or wait."""
        counting = _CountAnswer(connection, self._engine, self._name, self._wait)
        self._engine.count_watchers(self._name, connection.server.now(), counting.answered)
        counting.hold()


def tell(connection: Connection, watchers: int, *, ended: bool = False) -> None:
    """Answer with a number of watchers, and if the topic has ended with that."""
    connection.respond(200, JSON_ANSWER, b'{"watchers":%d%b}\n' % (watchers, b',"ended":true' if ended else b""))


class _CountAnswer(LaterAnswer):
    """A feeder that asks how many watch; if it says `wait`, it is held until somebody does."""

    __slots__ = ("_engine", "_name", "_wait")

    def __init__(self, connection: Connection, engine: Engine, name: str, wait: float) -> None:
        super().__init__(connection)
        self._engine = engine
        self._name = name
        self._wait = wait

    def answered(self, watched: WatcherCount | SloshError) -> None:
        """The engine has answered."""
        if not self.settle(watched) or isinstance(watched, SloshError):
            return
        # Readers of an ended topic need no feeder; one may come to the next life of the topic.
        if not self._wait or (watched.watchers and not watched.ended):
            tell(self.connection, watched.watchers, ended=watched.ended)
            return
        expecting = _SleepingFeeder(self.connection, self._engine, self._name)
        self._engine.expect(self._name, expecting)
        self.connection.hold(expecting, self.connection.server.now() + self._wait)


class _SleepingFeeder(Exchange):
    """A feeder that sleeps until it is needed."""

    __slots__ = ("_connection", "_engine", "_name")

    def __init__(self, connection: Connection, engine: Engine, name: str) -> None:
        self._connection = connection
        self._engine = engine
        self._name = name

    def topic_watched(self, watchers: int) -> None:
        """As a listener: somebody watches."""
        if self._connection.is_held_by(self):
            self._engine.unexpect(self._name, self)
            tell(self._connection, watchers)

    def end(self) -> None:
        """No watcher came."""
        self._engine.unexpect(self._name, self)
        tell(self._connection, 0)

    def revoke(self, error: SloshError) -> None:
        """As the base says."""
        self.lost()
        self._connection.refuse(error)

    def lost(self) -> None:
        """The feeder has gone."""
        self._engine.unexpect(self._name, self)
