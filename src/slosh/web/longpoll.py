"""GET of a topic as a long-poll: hang until there is something, then give all of it at once.

The rules of this file:

* The place of a reader comes with its request and is never moved here: an answer that is lost on the wire
  is asked for again and given again.
* A reader for whom something waits already goes the same way as one that is woken: it registers, and the
  hub wakes it in the same turn. So answers are made once for all readers at one place, also in a storm.
* A held poll is one small object and one entry in its topic, and nothing else.
"""

import math
from typing import Final

from slosh.core.cursor import EPOCH_LENGTH, parse_offset
from slosh.core.reading import Now, Offset, Place, Reading, Since, locate, parse_since, read
from slosh.core.topic import Shared, Topic
from slosh.engine.base import Engine
from slosh.errors import SloshError
from slosh.settings import Settings
from slosh.web.connection import Connection, Exchange
from slosh.web.cookies import cookie_name, find_place, set_cookie
from slosh.web.envelope import cursor_of, encode_envelope
from slosh.web.head import Head
from slosh.web.query import bound_wait, parse_prefer, parse_query, parse_wait
from slosh.web.response import JSON, NO_SNIFF, NO_STORE, render

_FIELDS: Final = JSON + NO_STORE + NO_SNIFF


class Framing:
    """How a long-poll's answer is written, apart from what is in it.

    Args:
        cookie: what stands before and after the cursor in the `Set-Cookie` line; None for no cookie.
        minimal: whether an answer without messages is 204 (`Prefer: return=minimal`).

    Attributes:
        key: equal for framings that write the same.
    """

    __slots__ = ("_cookie", "_minimal", "key")

    def __init__(self, cookie: tuple[bytes, bytes] | None, *, minimal: bool) -> None:
        self._cookie = cookie
        self._minimal = minimal
        self.key = (cookie, minimal)

    def render(self, reading: Reading, connection: Connection, *, timed_out: bool = False) -> bytes:
        """The whole response."""
        cursor = cursor_of(reading)
        fields = _FIELDS + b"Slosh-Next: %b\r\n" % cursor
        if self._cookie is not None:
            fields += cursor.join(self._cookie)
        status, body = 200, b""
        if timed_out and self._minimal:
            status = 204
        else:
            body = encode_envelope(reading, timed_out=timed_out)
        bodiless = connection.head.method == "HEAD"
        date, field = connection.edge.date(), connection.connection_field()
        return render(status, date, fields, body, field, bodiless=bodiless)


class LongPoll:
    """The action of a GET or HEAD.

    Args:
        engine: knows the topic.
        settings: how long a poll may be held.
        topic: the topic's name.
        head: of the request.

    Raises:
        BadQuery: a parameter makes no sense.
    """

    __slots__ = ("_engine", "_is_head", "_since", "_topic", "_wait", "framing", "max_body")

    def __init__(self, engine: Engine, settings: Settings, topic: str, head: Head) -> None:
        parameters = parse_query(head.query)
        preferred_wait, minimal = parse_prefer(head.tokens(b"prefer"))
        wait = parse_wait(parameters["wait"]) if "wait" in parameters else preferred_wait
        self._engine = engine
        self._topic = topic
        self._wait = bound_wait(wait, settings.default_wait, settings.max_wait)
        self._is_head = head.method == "HEAD"
        self.max_body = settings.max_body
        cookie = None
        if "since" in parameters:
            self._since: Since = parse_since(parameters["since"])
        elif "n" in parameters:
            self._since = Offset(parse_offset("n", parameters["n"]))
        else:
            name = cookie_name(topic)
            self._since = find_place(head.all(b"cookie"), name) or Now()
            # Whoever stands in front says whether the client came over TLS. A lie harms the liar alone.
            secure = head.first(b"x-forwarded-proto").lower() == "https"
            cookie = set_cookie(name, head.path, secure=secure)
        self.framing = Framing(cookie, minimal=minimal)

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002 - a GET's body means nothing
        """Find the topic and wait there."""
        if self._is_head:
            self._peek(connection)
        else:
            opening = _Opening(connection, self)
            self._engine.open(self._topic, connection.edge.now(), opening.opened)
            if not opening.is_done:
                connection.hold(opening)

    def wait_at(self, topic: Topic, connection: Connection) -> None:
        """Answer at once where that was asked for, else wait for what comes after the reader's place."""
        now = connection.edge.now()
        place = locate(topic, self._since, now)
        if self._wait == 0:
            reading = read(topic, place)
            connection.edge.count_reading(reading)
            connection.finish(self.framing.render(reading, connection, timed_out=not reading.saw))
            return
        poll = Poll(connection, self, topic, place)
        self._engine.hub.watch(topic, poll, place.offset)
        connection.hold(poll, now + self._wait if self._wait < math.inf else math.inf)

    def leave(self, topic: Topic, poll: "Poll", now: float) -> None:
        """Let a poll go."""
        self._engine.hub.leave(topic, poll, now)

    def _peek(self, connection: Connection) -> None:
        """HEAD: what a GET with `wait=0` would say, without making the topic active."""
        now = connection.edge.now()
        topic = self._engine.hub.find(self._topic, now)
        if topic is None:
            # A life that will never be: its envelope has the right length, but its cursor is not told.
            blank = Topic(self._topic, "0" * EPOCH_LENGTH, now)
            reading = read(blank, locate(blank, self._since, now))
            connection.respond(200, _FIELDS, encode_envelope(reading, timed_out=True))
            return
        reading = read(topic, locate(topic, self._since, now))
        connection.finish(self.framing.render(reading, connection, timed_out=not reading.saw))


class _Opening(Exchange):
    """A poll whose topic the engine has not found yet."""

    __slots__ = ("_action", "_connection", "is_done")

    def __init__(self, connection: Connection, action: LongPoll) -> None:
        self._connection = connection
        self._action = action
        self.is_done = False

    def opened(self, topic: Topic | SloshError) -> None:
        """The engine has found it, or not."""
        self.is_done = True
        connection = self._connection
        if not connection.is_open:
            return
        if isinstance(topic, SloshError):
            connection.refuse(topic)
            return
        try:
            self._action.wait_at(topic, connection)
        except SloshError as error:
            connection.refuse(error)


class Poll(Exchange):
    """A held long-poll: a watcher of its topic."""

    __slots__ = ("_action", "_connection", "_place", "_topic")

    def __init__(self, connection: Connection, action: LongPoll, topic: Topic, place: Place) -> None:
        self._connection = connection
        self._action = action
        self._topic = topic
        self._place = place

    def wake(self, topic: Topic, shared: Shared) -> None:
        """Answer with what has come in; the answer is made once for all who wait at the same place."""
        connection = self._connection
        action = self._action
        key = (topic, self._place, action.framing.key, connection.connection_field())
        answer = shared.get(key)
        if answer is None:
            reading = read(topic, self._place)
            answer = shared[key] = (action.framing.render(reading, connection), reading)
        response, reading = answer
        edge = connection.edge
        action.leave(topic, self, edge.now())
        edge.count_reading(reading)
        connection.finish(response)

    def end(self) -> None:
        """Answer now, with what there is, most likely nothing."""
        connection = self._connection
        self._action.leave(self._topic, self, connection.edge.now())
        reading = read(self._topic, self._place)
        connection.edge.count_reading(reading)
        connection.finish(self._action.framing.render(reading, connection, timed_out=not reading.saw))

    def lost(self) -> None:
        """The client has gone: it is no watcher any more."""
        self._action.leave(self._topic, self, self._connection.edge.now())
