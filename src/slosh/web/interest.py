"""Interest made visible: which topics are active, and whether somebody watches one.

A producer learns here when to start, instead of finding out with every POST that nobody looks.
"""

import json
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Final

from slosh.core.cursor import read_count
from slosh.core.topic import Shared
from slosh.engine.base import Engine, TopicFacts
from slosh.errors import BadQuery, Draining, SloshError
from slosh.settings import Settings
from slosh.web.action import Action, Exchange
from slosh.web.asking import Asked
from slosh.web.connection import Connection
from slosh.web.eventsource import place_event
from slosh.web.head import Head
from slosh.web.refusals import find_retry
from slosh.web.response import (
    EVENT_STREAM,
    JSON,
    LAST_CHUNK,
    NO_SNIFF,
    NO_STORE,
    STREAMING,
    chunk,
    render_stream_head,
)
from slosh.web.stream import end_of_life

_FIELDS: Final = JSON + NO_STORE + NO_SNIFF
_LISTED: Final = 1000
"""Topics in one answer of the list; `after` asks for the next."""
_HEARTBEAT: Final = 15.0
_ONE_WRITE: Final = 4096
"""Bytes that a write counts more, because each has its own cost."""
_PAGE: Final = 1024 * 1024
"""Bytes that a page of topics counts, for what it takes to make it."""
_RESET: Final = b'event: reset\ndata: {"reset":true}\n\n'
"""What the client knows of topics counts no more; all that are active follow."""


def describe(facts: TopicFacts) -> dict[str, object]:
    """What is told of a topic: watchers, newest offset, age in seconds, messages per second."""
    return {
        "name": facts.name,
        "watchers": facts.watchers,
        "max": facts.newest,
        "age": round(facts.age, 3),
        "rate": round(facts.rate, 3),
    }


class _Answer(Exchange):
    """An answer that the engine may give later."""

    __slots__ = ("connection", "is_done")

    outlives_eof: ClassVar[bool] = True

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.is_done = False

    def hold(self) -> None:
        """Leave the request unanswered until the engine has answered."""
        if not self.is_done:
            self.connection.hold(self)

    def settle(self, outcome: object) -> bool:
        """Take what the engine says. False where there is nothing more to do, because it refused or nobody listens."""
        self.is_done = True
        if not self.connection.is_open:
            return False
        if isinstance(outcome, SloshError):
            self.connection.refuse(outcome)
            return False
        return True


class ListTopics(Action):
    """The action of `GET /topics`: the active topics by name, from the query's `after` on, at most `limit`.

    Raises:
        BadQuery: `limit` is none.
    """

    __slots__ = ("_after", "_engine", "_limit", "fields", "max_body")

    def __init__(self, engine: Engine, settings: Settings, parameters: dict[str, str], fields: bytes) -> None:
        self._engine = engine
        self._after = parameters.get("after", "")
        self._limit = read_count(parameters["limit"]) if "limit" in parameters else _LISTED
        if not 0 < self._limit <= _LISTED:
            raise BadQuery("limit", f"limit is how many topics to list, 1 to {_LISTED}; after=<name> lists the next.")
        self.fields = fields
        self.max_body = settings.max_body

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002 - a GET's body means nothing
        """List them."""
        listing = _Listing(connection, self._limit)
        self._engine.list_topics(self._after, self._limit + 1, connection.edge.now(), listing.told)
        listing.hold()


class _Listing(_Answer):
    """A list of topics, of at most `limit`."""

    __slots__ = ("_limit",)

    def __init__(self, connection: Connection, limit: int) -> None:
        super().__init__(connection)
        self._limit = limit

    def told(self, found: Sequence[TopicFacts] | SloshError) -> None:
        """The engine has answered."""
        if not self.settle(found) or isinstance(found, SloshError):
            return
        listed = found[: self._limit]
        answer: dict[str, object] = {"topics": [describe(facts) for facts in listed]}
        if len(found) > len(listed):
            answer["after"] = listed[-1].name
        self.connection.respond(200, _FIELDS, json.dumps(answer, ensure_ascii=False).encode() + b"\n")


class TopicNews:
    """Tells all who watch which topics there are: each event is made once, and written to some of them in each turn.

    Args:
        engine: knows the topics.
    """

    __slots__ = ("_current", "_engine", "_events", "_waits", "_watching")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._watching: dict[_Watching, None] = {}
        self._events: list[bytes] = []  # that nobody was told yet
        self._current: tuple[bytes, bytes] = (b"", b"")  # what is being told, bare and as a chunk
        self._waits: deque[_Watching] = deque()  # that have still to be told it

    def observe(self, watching: "_Watching") -> None:
        """Tell `watching` of topics that come to life and end. Call `unobserve` at its end."""
        if not self._watching:
            self._engine.observe(self)
        self._watching[watching] = None

    def unobserve(self, watching: "_Watching") -> None:
        """Tell it no more."""
        if self._watching.pop(watching, self) is None and not self._watching:
            self._engine.unobserve(self)

    def topic_active(self, facts: TopicFacts) -> None:
        """As an onlooker: a topic is active."""
        self._add(_event(b"active", describe(facts)))

    def topic_inactive(self, name: str) -> None:
        """As an onlooker: it is no more."""
        self._add(_event(b"inactive", {"name": name}))

    def _add(self, event: bytes) -> None:
        if not self._events and not self._waits:
            self._engine.hub.put_off(self._spread)
        self._events.append(event)

    def _spread(self, shared: Shared) -> None:  # noqa: ARG002 - as the hub calls it
        """Write to as many as this turn has room for."""
        hub = self._engine.hub
        if not self._waits:
            events, self._events = b"".join(self._events), []
            self._current = events, chunk(events)
            self._waits.extend(self._watching)
        bare, chunked = self._current
        while self._waits and hub.room > 0:
            watching = self._waits.popleft()
            if watching in self._watching:
                hub.room -= len(bare) + _ONE_WRITE
                watching.tell(bare, chunked)
        if self._waits or self._events:
            hub.put_off(self._spread)


class WatchTopics(Action):
    """The action of `GET /topics?watch`: a stream of `active` and `inactive` events, all active topics first."""

    __slots__ = ("_engine", "_life", "_news", "_returns", "fields", "max_body")

    def __init__(self, engine: Engine, news: TopicNews, settings: Settings, head: Head, fields: bytes) -> None:
        self._engine = engine
        self._news = news
        self._life = settings.stream_life
        self._returns = bool(head.first(b"last-event-id"))
        self.fields = fields
        self.max_body = settings.max_body

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002 - a GET's body means nothing
        """Begin to stream.

        Raises:
            Draining: the server is shutting down; nothing new begins.
        """
        if connection.edge.draining:
            raise Draining("The server is shutting down.")
        watching = _Watching(connection, self._engine, self._news, self._life)
        connection.hold(watching)
        watching.begin(EVENT_STREAM + STREAMING + self.fields, returns=self._returns)


class _Watching(Exchange):
    """An open stream of which topics there are. A slow client is told all again when it has caught up.

    All topics are told a page in each turn, and while the client takes them.
    """

    __slots__ = ("_after", "_connection", "_ends_at", "_engine", "_is_behind", "_is_told_all", "_news", "_turns")

    def __init__(self, connection: Connection, engine: Engine, news: TopicNews, life: float) -> None:
        self._connection = connection
        self._engine = engine
        self._news = news
        self._is_behind = False
        self._is_told_all = False
        self._after = ""  # the last topic that it was told of, while it is told of all
        self._turns = 0  # how often that began; what comes of an earlier one counts no more
        self._ends_at = end_of_life(connection, connection.edge.now(), life)

    def begin(self, fields: bytes, *, returns: bool) -> None:
        connection = self._connection
        connection.write(render_stream_head(connection.edge.date(), fields, chunked=bool(connection.head.minor)))
        self._news.observe(self)
        # A client that comes back by itself says this id, and hears that topics may have ended meanwhile.
        self._write(b": slosh\nretry: %d\n" % find_retry(connection.edge) + place_event("topics"))
        if returns:
            self._write(_RESET)
        self._tell_all()
        self._rearm()

    def tell(self, events: bytes, chunked: bytes) -> None:
        """Write events, or note that they were missed."""
        if self._connection.is_stalled:
            self._is_behind = True
        else:
            self._connection.write(chunked if self._connection.head.minor else events)

    def deadline_passed(self) -> None:
        """A sign of life is due, or the end."""
        if self._connection.edge.now() >= self._ends_at:
            self._connection.edge.closed["stream_life"] += 1
            self.end()
            return
        self._write(b":\n")
        self._rearm()

    def writable(self) -> None:
        """The client has caught up; what it missed cannot be told one by one."""
        if self._is_behind:
            self._is_behind = False
            self._write(_RESET)
            self._tell_all()
        elif not self._is_told_all:
            self._turns += 1
            self._tell_more()
        self._rearm()

    def end(self) -> None:
        """End the stream."""
        self._news.unobserve(self)
        edge, chunked = self._connection.edge, bool(self._connection.head.minor)
        last = b"retry: %d\n" % find_retry(edge) if edge.draining else b""
        if chunked:
            last = (chunk(last) if last else b"") + LAST_CHUNK
        self._connection.finish(last, close=not chunked)

    def lost(self) -> None:
        """The client has gone."""
        self._news.unobserve(self)

    def _rearm(self) -> None:
        """Let the next sign of life come in its time; a client that has to catch up first has its own deadline."""
        if not self._connection.is_stalled:
            self._connection.set_deadline(min(self._connection.edge.now() + _HEARTBEAT, self._ends_at))

    def _tell_all(self) -> None:
        """Begin to tell of all topics."""
        self._after = ""
        self._is_told_all = False
        self._turns += 1
        self._tell_more()

    def _tell_more(self) -> None:
        # A topic that comes to life before the answer is told twice, which says the same.
        engine, edge = self._engine, self._connection.edge
        engine.list_topics(self._after, engine.page, edge.now(), partial(self._told, self._turns))

    def _told(self, turns: int, found: Sequence[TopicFacts] | SloshError) -> None:
        if not self._connection.is_held_by(self) or turns != self._turns:
            return
        if isinstance(found, SloshError):
            self.end()  # The client comes back, and asks again.
            return
        if found:
            self._after = found[-1].name
            self._write(b"".join(_event(b"active", describe(facts)) for facts in found))
        if len(found) < self._engine.page:
            self._is_told_all = True
        else:
            self._engine.hub.put_off(partial(self._go_on, turns))

    def _go_on(self, turns: int, shared: Shared) -> None:  # noqa: ARG002 - as the hub calls it
        """Tell of the next page, unless the client has to take the last one first: then `writable` does."""
        if self._connection.is_held_by(self) and turns == self._turns and not self._connection.is_stalled:
            self._engine.hub.room -= _PAGE
            self._tell_more()

    def _write(self, data: bytes) -> None:
        self._connection.write(chunk(data) if self._connection.head.minor else data)


def _event(name: bytes, facts: dict[str, object]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name, json.dumps(facts, ensure_ascii=False).encode())


class CountWatchers(Action):
    """The action of `GET /topics/<name>?watchers`: how many there are; with `wait`, once there is one.

    It watches nothing itself: a feeder that sleeps here does not keep its own topic active.

    Raises:
        BadQuery: several topics are asked for.
    """

    __slots__ = ("_engine", "_name", "_wait", "fields", "max_body")

    def __init__(self, engine: Engine, settings: Settings, asked: Asked, fields: bytes) -> None:
        if asked.several:
            raise BadQuery("watchers", "The watchers of one topic are told, not of several.")
        self._engine = engine
        self._name = asked.names[0]
        self._wait = asked.wait if asked.says_wait else 0.0
        self.fields = fields
        self.max_body = settings.max_body

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002 - a GET's body means nothing
        """Tell it now, or wait."""
        wait = self._wait if connection.head.method != "HEAD" else 0.0
        counting = _Counting(connection, self._engine, self._name, wait)
        self._engine.count_watchers(self._name, connection.edge.now(), counting.told)
        counting.hold()


def tell(connection: Connection, watchers: int) -> None:
    """Answer with a number of watchers."""
    connection.respond(200, _FIELDS, b'{"watchers":%d}\n' % watchers)


class _Counting(_Answer):
    """A feeder that asks how many watch; where it says `wait`, it is held until somebody does."""

    __slots__ = ("_engine", "_name", "_wait")

    def __init__(self, connection: Connection, engine: Engine, name: str, wait: float) -> None:
        super().__init__(connection)
        self._engine = engine
        self._name = name
        self._wait = wait

    def told(self, watchers: int | SloshError) -> None:
        """The engine has answered."""
        if not self.settle(watchers) or isinstance(watchers, SloshError):
            return
        if watchers or not self._wait:
            tell(self.connection, watchers)
            return
        expecting = _Expecting(self.connection, self._engine, self._name)
        self._engine.expect(self._name, expecting)
        self.connection.hold(expecting, self.connection.edge.now() + self._wait)


class _Expecting(Exchange):
    """A feeder that sleeps until it is needed."""

    __slots__ = ("_connection", "_engine", "_name")

    def __init__(self, connection: Connection, engine: Engine, name: str) -> None:
        self._connection = connection
        self._engine = engine
        self._name = name

    def topic_watched(self, watchers: int) -> None:
        """As an expectant: somebody watches."""
        self._engine.unexpect(self._name, self)
        tell(self._connection, watchers)

    def end(self) -> None:
        """Nobody came."""
        self._engine.unexpect(self._name, self)
        tell(self._connection, 0)

    def lost(self) -> None:
        """The feeder has gone."""
        self._engine.unexpect(self._name, self)
