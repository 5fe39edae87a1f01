"""How a reader's topics are found before it begins: at once, in its turn, or once the engine has them all."""

from collections.abc import Callable
from typing import ClassVar, Final

from slosh.core.reading import Since
from slosh.core.subscription import Subscription
from slosh.core.topic import Shared, Topic
from slosh.engine.base import Engine
from slosh.errors import Draining, EngineUnreachable, SloshError
from slosh.http1.connection import Connection
from slosh.http1.exchange import Exchange
from slosh.http1.handler import Action
from slosh.settings import Settings
from slosh.web.readers.cookies import find_place
from slosh.web.readers.request import ReadRequest

_ATTEMPTS: Final = 3
"""How often several topics are looked for again because one of them ended meanwhile."""
_NOT_FOUND: Final = "The messages' store is out of reach, and this topic is not known here. It is worth trying again."


class Opener(Action):
    """The action of a request that reads topics, as far as these have to be found first.

    Args:
        engine: knows the topics.
        settings: the bounds.
        asked: what the reader asks for.
        fields: header lines of every answer, often none.
    """

    __slots__ = ("asked", "engine", "fields", "max_body", "settings")

    def __init__(self, engine: Engine, settings: Settings, asked: ReadRequest, fields: bytes) -> None:
        self.engine = engine
        self.settings = settings
        self.asked = asked
        self.fields = fields
        self.max_body = settings.max_body

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002 - a GET's body means nothing
        """Find the topics, then begin.

        To find what patterns match takes its time. So very many readers that come at a time wait for their turns.
        """
        if self.asked.patterns and not self.engine.hub.is_free():
            waiting = (
                _WaitingToAnswer(connection, self)
                if self.is_answered_at_once(connection)
                else _WaitingReader(connection, self)
            )
            connection.hold(waiting)
            self.engine.hub.put_off(waiting.go_on)
            return
        name = self.asked.cookie_name
        self.start(connection, find_place(connection.head.late(b"cookie"), name) if name else None)

    def may_be_held(self) -> bool:
        """As the base says; it is, as a stream."""
        return True

    def is_answered_at_once(self, connection: Connection) -> bool:  # noqa: ARG002 - of others
        """Whether the request is answered with what there is, so that a client that half-closes gets its answer."""
        return False

    def start(self, connection: Connection, since: Since | None) -> None:
        """Find the topics, then begin.

        Args:
            since: where to start in the one topic, when it is not what was asked for.
        """
        raise NotImplementedError

    def subscribe(
        self, topics: list[Topic], connection: Connection, now: float, since: Since | None = None
    ) -> Subscription:
        """The reader's places in `topics`, which are those that it named, in that order, and by its patterns.

        Args:
            since: where to start in the one topic, when it is not what was asked for.

        Raises:
            BadTopic: the patterns match too many topics.
        """
        raise NotImplementedError

    def stale(self, topics: list[Topic], now: float, since: Since | None) -> list[str]:
        """The names of those of `topics`, and of those that its patterns match, if its place means nothing."""
        raise NotImplementedError

    def open_all(self, connection: Connection, since: Since | None) -> None:
        """Have the engine find what is not open yet, then begin."""
        opening = _OpeningReader(connection, self, since)
        opening.open()
        if not opening.is_done:
            # A reader without `wait` waits for the engine as long as for a message.
            wait = max(self.asked.find_wait(connection.head), self.settings.engine_timeout)
            connection.hold(opening, connection.server.now() + wait)

    def find(self, name: str, now: float, found: Callable[[Topic | SloshError], None], *, fresh: bool) -> None:
        """Ask the engine for a topic."""
        self.engine.open(name, now, found, fresh=fresh)

    def are_held(self, topics: list[Topic]) -> bool:
        """Whether all of `topics`, which were found one after another, are there still."""
        return all(map(self.engine.hub.holds, topics))

    def begin(self, connection: Connection, subscription: Subscription, now: float) -> None:
        """Answer, or hold what will answer."""
        raise NotImplementedError

    def names_to_open(self, now: float) -> tuple[str, ...]:
        """The topics that the reader names, apart from those whose end it was given: these linger without it."""
        asked, find = self.asked, self.engine.hub.find
        if not asked.several:
            return asked.names
        names = [name for name in asked.names if (topic := find(name, now)) is None or not asked.has_left(topic)]
        return tuple(names) if names or asked.patterns else asked.names


class _Start(Action):
    """Begins to read, whatever else waits."""

    __slots__ = ("_reader", "fields", "max_body")

    def __init__(self, reader: Opener) -> None:
        self._reader = reader
        self.fields = reader.fields
        self.max_body = reader.max_body

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002 - a GET's body means nothing
        """Find the topics, then begin."""
        self._reader.start(connection, None)


class _WaitingReader(Exchange):
    """A reader of patterns that waits for its turn to begin."""

    __slots__ = ("_action", "_connection")

    def __init__(self, connection: Connection, action: Opener) -> None:
        self._connection = connection
        self._action = action

    def go_on(self, shared: Shared) -> None:  # noqa: ARG002 - as the hub calls it
        """Begin, unless the client has gone."""
        if self._connection.is_held_by(self):
            self._connection.resume(_Start(self._action))

    def end(self) -> None:
        """The server is shutting down, or the client has sent much more; it is answered in its turn."""
        if self._connection.server.draining:
            self._connection.refuse(Draining())

    def revoke(self, error: SloshError) -> None:
        """As the base says. Otherwise it would begin in its turn, and nothing would look at it again."""
        self._connection.refuse(error)


class _WaitingToAnswer(_WaitingReader):
    """The same for one that is answered with what there is."""

    __slots__ = ()

    outlives_eof: ClassVar[bool] = True


class _OpeningReader(Exchange):
    """A reader whose topics the engine has not all found yet."""

    __slots__ = (
        "_action",
        "_asks",
        "_attempts",
        "_connection",
        "_is_over",
        "_is_put_off",
        "_names",
        "_since",
        "_stale",
        "_topics",
        "is_done",
    )

    def __init__(self, connection: Connection, action: Opener, since: Since | None) -> None:
        self._connection = connection
        self._action = action
        self._since = since
        self._names = action.names_to_open(connection.server.now())
        self._topics: list[Topic] = []
        self._stale: list[str] = []  # topics that have to be asked for as they are now
        self._asks = False
        self._is_over = False
        self._is_put_off = False  # until the next turn, with the topics that are missing
        self._attempts = _ATTEMPTS
        self.is_done = False

    def open(self) -> None:
        """Ask for the topics that are missing, then for those that the patterns match, then begin."""
        now = self._connection.server.now()
        hub = self._action.engine.hub
        self._asks = True
        while len(self._topics) < len(self._names) and not self.is_done:
            before = len(self._topics)
            if before and hub.room <= 0:  # A topic that is created is told to very many readers of patterns.
                self._asks, self._is_put_off = False, True
                hub.put_off(self._open_more)
                return
            name = self._names[before]
            self._action.find(name, now, self._opened, fresh=name in self._stale)
            if len(self._topics) == before:
                self._asks = False
                return  # The engine answers later, or has refused.
        # Last, because a reader of patterns has to begin in the turn in which they were gathered.
        if self._action.asked.patterns:
            self._action.engine.gather(self._action.asked.patterns, now, self._gathered)
        else:
            self._gathered(None)

    def _open_more(self, shared: Shared) -> None:  # noqa: ARG002 - as the hub calls it
        self._is_put_off = False
        if not self._is_over and self._connection.is_open:
            self.open()

    def _gathered(self, refusal: SloshError | None) -> None:
        connection = self._connection
        self.is_done = True
        if self._is_over or not connection.is_open:
            return
        try:
            if refusal is not None:
                raise refusal
            if self._attempts and not self._action.are_held(self._topics):
                # While one was waited for another ended: the store may be out of reach for longer than `linger`.
                self._attempts -= 1
                self._open_again()
                return
            now = connection.server.now()
            subscription = self._action.subscribe(self._topics, connection, now, self._since)
            if subscription.is_reset() and not self._stale:
                # Its places may be newer than what this process has heard: nobody is told of a loss that was none.
                self._stale = self._action.stale(self._topics, now, self._since)
                if self._stale:  # A look does not ask again for what patterns match.
                    self._names = tuple(dict.fromkeys([*self._names, *self._stale]))
                    self._open_again()
                    return
            self._action.begin(connection, subscription, now)
        except SloshError as error:
            connection.refuse(error)

    def _open_again(self) -> None:
        self.is_done, self._topics = False, []
        self.open()

    def _opened(self, topic: Topic | SloshError) -> None:
        connection = self._connection
        if self._is_over or not connection.is_open:
            return
        if isinstance(topic, SloshError):
            self.is_done = True
            connection.refuse(topic)
            return
        self._topics.append(topic)
        if not self._asks:
            self.open()

    def deadline_passed(self) -> None:
        """The engine has not answered in time. If it is this process that has no time, it is waited on."""
        if self._is_put_off:
            self._connection.set_deadline(self._connection.server.now() + self._action.settings.engine_timeout)
        else:
            self.revoke(EngineUnreachable(_NOT_FOUND))

    def end(self) -> None:
        """The server is shutting down, or the client has sent much more; it is answered in its turn."""
        if self._connection.server.draining:
            self.revoke(Draining())

    def revoke(self, error: SloshError) -> None:
        """As the base says."""
        self.lost()
        self._connection.refuse(error)

    def lost(self) -> None:
        """The client has gone: nobody waits for the topics any more."""
        self._is_over = True
        if len(self._topics) < len(self._names) and not self._is_put_off:
            self._action.engine.unopen(self._names[len(self._topics)], self._opened)
