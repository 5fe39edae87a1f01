"""Interest made visible: which topics are active, and whether somebody watches one.

A producer learns here when to start, instead of finding out with every POST that nobody looks.
"""

import heapq
import json
import math
from typing import Final

from slosh.core.cursor import parse_offset
from slosh.core.hub import Hub
from slosh.core.topic import Topic
from slosh.engine.base import Engine
from slosh.errors import BadQuery, Draining
from slosh.settings import Settings
from slosh.web.action import Action, Exchange
from slosh.web.asking import Asked
from slosh.web.connection import Connection
from slosh.web.response import JSON, LAST_CHUNK, NO_SNIFF, NO_STORE, chunk, render_stream_head
from slosh.web.stream import NO_BUFFERING

_FIELDS: Final = JSON + NO_STORE + NO_SNIFF
_RATE_WINDOW: Final = 10.0
"""Seconds over which messages per second are counted."""
_LISTED: Final = 1000
"""Topics in one answer of the list; `after` asks for the next."""
_HEARTBEAT: Final = 15.0


def describe(topic: Topic, now: float) -> dict[str, object]:
    """What is told of a topic: watchers, newest offset, age in seconds, messages per second."""
    return {
        "name": topic.name,
        "watchers": len(topic.watchers),
        "max": topic.last,
        "age": round(now - topic.born, 3),
        "rate": round(topic.rate(now, _RATE_WINDOW), 3),
    }


class ListTopics(Action):
    """The action of `GET /topics`: the active topics by name, from the query's `after` on, at most `limit`.

    Raises:
        BadQuery: `limit` is none.
    """

    __slots__ = ("_after", "_engine", "_limit", "fields", "max_body")

    def __init__(self, engine: Engine, settings: Settings, parameters: dict[str, str], fields: bytes) -> None:
        self._engine = engine
        self._after = parameters.get("after", "")
        self._limit = parse_offset("limit", parameters["limit"]) if "limit" in parameters else _LISTED
        if not 0 < self._limit <= _LISTED:
            raise BadQuery("limit", f"limit is how many topics to list, 1 to {_LISTED}; after=<name> lists the next.")
        self.fields = fields
        self.max_body = settings.max_body

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002 - a GET's body means nothing
        """List them."""
        now = connection.edge.now()
        active = (t for t in self._engine.hub if t.name > self._after and (t.watchers or now < t.active_until))
        found = heapq.nsmallest(self._limit + 1, active, key=lambda topic: topic.name)
        listed = found[: self._limit]
        answer: dict[str, object] = {"topics": [describe(topic, now) for topic in listed]}
        if len(found) > len(listed):
            answer["after"] = listed[-1].name
        connection.respond(200, _FIELDS, json.dumps(answer, ensure_ascii=False).encode() + b"\n")


class WatchTopics(Action):
    """The action of `GET /topics?watch`: a stream of `active` and `inactive` events, all active topics first."""

    __slots__ = ("_engine", "fields", "max_body")

    def __init__(self, engine: Engine, settings: Settings, fields: bytes) -> None:
        self._engine = engine
        self.fields = fields
        self.max_body = settings.max_body

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002 - a GET's body means nothing
        """Begin to stream.

        Raises:
            Draining: the server goes down; nothing new begins.
        """
        if connection.edge.draining:
            raise Draining("This server is going down.")
        watching = _Watching(connection, self._engine.hub)
        connection.hold(watching)
        watching.begin(b"Content-Type: text/event-stream\r\n" + NO_STORE + NO_SNIFF + NO_BUFFERING + self.fields)


class _Watching(Exchange):
    """An open stream of which topics there are. A slow client is told all anew when it has caught up."""

    __slots__ = ("_connection", "_hub", "_is_behind")

    def __init__(self, connection: Connection, hub: Hub) -> None:
        self._connection = connection
        self._hub = hub
        self._is_behind = False

    def begin(self, fields: bytes) -> None:
        connection = self._connection
        connection.write(render_stream_head(connection.edge.date(), fields, chunked=bool(connection.head.minor)))
        self._hub.observe(self)
        self._tell_all()
        self._rearm()

    def topic_born(self, topic: Topic) -> None:
        """As the hub's observer: a topic is active."""
        self._tell(b"active", describe(topic, self._connection.edge.now()))

    def topic_dropped(self, topic: Topic) -> None:
        """As the hub's observer: it is no more."""
        self._tell(b"inactive", {"name": topic.name})

    def deadline_passed(self) -> None:
        """A sign of life is due."""
        self._write(b":\n\n")
        self._rearm()

    def writable(self) -> None:
        """The client has caught up; what it missed cannot be told one by one."""
        if self._is_behind:
            self._is_behind = False
            self._write(b'event: reset\ndata: {"reset":true}\n\n')
            self._tell_all()
        self._rearm()

    def end(self) -> None:
        """End the stream."""
        self._hub.unobserve(self)
        chunked = bool(self._connection.head.minor)
        self._connection.finish(LAST_CHUNK if chunked else b"", close=not chunked)

    def lost(self) -> None:
        """The client has gone."""
        self._hub.unobserve(self)

    def _rearm(self) -> None:
        """Let the next sign of life come in its time; a client that has to catch up first has its own deadline."""
        if not self._connection.is_stalled:
            self._connection.set_deadline(self._connection.edge.now() + _HEARTBEAT)

    def _tell_all(self) -> None:
        now = self._connection.edge.now()
        self._write(b": slosh\n\n" + b"".join(_event(b"active", describe(topic, now)) for topic in self._hub))

    def _tell(self, event: bytes, facts: dict[str, object]) -> None:
        if self._connection.is_stalled:
            self._is_behind = True
        else:
            self._write(_event(event, facts))

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
        now = connection.edge.now()
        watchers = self._engine.hub.interest(self._name, now)
        if watchers or not self._wait or connection.head.method == "HEAD":
            tell(connection, watchers)
            return
        hub = self._engine.hub
        expecting = _Expecting(connection, hub, self._name)
        hub.expect(self._name, expecting)
        connection.hold(expecting, now + self._wait if self._wait < math.inf else math.inf)


def tell(connection: Connection, watchers: int) -> None:
    """Answer with a number of watchers."""
    connection.respond(200, _FIELDS, b'{"watchers":%d}\n' % watchers)


class _Expecting(Exchange):
    """A feeder that sleeps until it is needed."""

    __slots__ = ("_connection", "_hub", "_name")

    def __init__(self, connection: Connection, hub: Hub, name: str) -> None:
        self._connection = connection
        self._hub = hub
        self._name = name

    def topic_watched(self, watchers: int) -> None:
        """As the hub's expectant: somebody watches."""
        tell(self._connection, watchers)

    def end(self) -> None:
        """Nobody came."""
        self._hub.unexpect(self._name, self)
        tell(self._connection, 0)

    def lost(self) -> None:
        """The feeder has gone."""
        self._hub.unexpect(self._name, self)
