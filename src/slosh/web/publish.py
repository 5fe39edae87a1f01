"""POST to a topic: one JSON value, whatever the Content-Type says; or one a line, all or none.

The rules of this file:

* A large body is looked into only where somebody watches, if the engine knows that at once.
* A large batch is checked in portions, one in each turn of the loop, so that nobody else waits for all of it.
"""

import re
from collections.abc import Sequence
from typing import ClassVar, Final

from slosh.core.names import MAX_NAME_BYTES, MAX_SEGMENTS
from slosh.engine.base import Engine, Published
from slosh.errors import (
    BadJson,
    BadQuery,
    BadRequest,
    InternalError,
    NoWatchers,
    SloshError,
    TooLarge,
    UnsupportedEncoding,
)
from slosh.settings import Settings
from slosh.web.action import Action, Exchange
from slosh.web.connection import Connection
from slosh.web.head import Head
from slosh.web.jsontext import WHITE_SPACE, check_json
from slosh.web.query import PUBLISHING, ignored_field, parse_query
from slosh.web.response import JSON, NO_SNIFF, NO_STORE, render_start
from slosh.web.shares import take_share

_FIELDS: Final = JSON + NO_STORE + NO_SNIFF
_BODY: Final = len(b'{"max":,"next":".","watchers":}\n')
"""Bytes of an answer's body, without what differs from one to the next."""
_REPLAYED: Final = b"Idempotent-Replayed: true\r\n"
PLAIN_NAME: Final = rb"(?!\.{1,2}[/ ])[A-Za-z0-9._~-]+(?:/(?!\.{1,2}[/ ])[A-Za-z0-9._~-]+){0,%d}" % (MAX_SEGMENTS - 1)
"""Names of topics that need no thought, as they stand in a request line, in front of a space."""
_plain_name: Final = re.compile(
    rb"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+){0,%d}" % (MAX_SEGMENTS - 1)
)
_PORTION: Final = 256 * 1024
"""Bytes of a batch that are checked in one turn, which takes some 2 ms; lines are not divided."""
_LINE: Final = 200
"""Bytes that a line counts more, because each has its own cost."""
_MAX_KEY: Final = 255
"""Characters of an `Idempotency-Key`."""


def read_plain_name(part: bytes) -> str | None:
    """The topic's name that `part` of a request line spells; None where that needs more thought.

    To read it costs less than to look it up among thousands, and nothing need be remembered.
    """
    if len(part) > MAX_NAME_BYTES or not (part.isalnum() or _plain_name.fullmatch(part)):
        return None
    return part.decode("ascii")


class Publish(Action):
    """The action of a POST with one message.

    Args:
        engine: takes the message.
        settings: the bounds of a message.
        topic: the topic's name.
        key: the idempotency key, or nothing.
        fields: header lines of every answer.
    """

    __slots__ = ("_closing", "_date", "_engine", "_keeps", "_key", "_start", "_topic", "fields", "max_body", "settings")

    is_batch: ClassVar[bool] = False

    def __init__(self, engine: Engine, settings: Settings, topic: str, key: str, fields: bytes) -> None:
        self._engine = engine
        self._topic = topic
        self._key = key
        self._keeps = settings.unwatched == "keep"  # so that a publish may bring its topic to life
        self._start = b""  # how an answer begins
        self._date = b""  # that stands in it
        self._closing = b""  # that stands in it too
        self.fields = fields
        self.settings = settings
        self.max_body = settings.max_body if self.is_batch else settings.max_message

    def understand(self, part: bytes) -> object | None:
        """The name of another topic."""
        return read_plain_name(part)

    def run(self, connection: Connection, body: bytes) -> None:
        """Check what came and hand it to the engine."""
        self.run_with(connection, body, self._topic)

    def run_with(self, connection: Connection, body: bytes, said: object) -> None:
        """The same for the topic `said`."""
        if not isinstance(said, str):
            raise InternalError
        if len(body) > _PORTION and not self._key and self._engine.is_unwatched(said, connection.edge.now()):
            raise NoWatchers
        self.check(connection, body, said)

    def check(self, connection: Connection, body: bytes, said: str) -> None:
        """Check the body, and publish what it holds to the topic `said`.

        Raises:
            BadJson: it is not JSON.
        """
        self.publish(connection, (check_json(body, self.settings.max_depth),), said)

    def publish(self, connection: Connection, messages: Sequence[bytes], said: str) -> None:
        """Hand `messages`, which were checked, to the engine for the topic `said`."""
        now = connection.edge.now()
        hub = self._engine.hub
        if (self._keeps or hub.has_followers) and hub.find(said, now) is None:
            if not self._engine.is_unwatched(said, now):
                take_share(connection, hub, 1)
            outcome = self._engine.take(said, messages, now, self._key)
            hub.opener = ""
        else:
            outcome = self._engine.take(said, messages, now, self._key)
        if outcome is not None:
            self.settle(outcome, connection, now)
            return
        pending = _Pending(connection, self)
        self._engine.publish(said, messages, now, pending.done, self._key)
        if not pending.is_done:
            connection.hold(pending)

    def settle(self, outcome: Published | SloshError, connection: Connection, now: float = 0.0) -> None:
        """Answer with what became of it, at the time `now`, seconds, where that is known."""
        if isinstance(outcome, Published):
            connection.finish(self.answer(outcome, connection), now=now)
        else:
            connection.refuse(outcome)

    def answer(self, outcome: Published, connection: Connection) -> bytes:
        """The whole response."""
        date, closing = connection.edge.date(), connection.connection_field()
        if date is not self._date or closing is not self._closing:
            self._date, self._closing = date, closing
            self._start = render_start(200, date, _FIELDS + self.fields, closing)
        start = self._start + _REPLAYED if outcome.replayed else self._start
        epoch, newest, watchers = outcome.epoch.encode("ascii"), b"%d" % outcome.newest, b"%d" % outcome.watchers
        accepted = b',"accepted":%d' % outcome.accepted if self.is_batch else b""
        return b'%bSlosh-Watchers: %b\r\nContent-Length: %d\r\n\r\n{"max":%b,"next":"%b.%b","watchers":%b%b}\n' % (
            start,
            watchers,
            _BODY + 2 * len(newest) + len(epoch) + len(watchers) + len(accepted),
            newest,
            epoch,
            newest,
            watchers,
            accepted,
        )


class PublishBatch(Publish):
    """The action of a POST of NDJSON: one message a line. All are taken, next to each other, or none is."""

    __slots__ = ()

    is_batch: ClassVar[bool] = True

    def check(self, connection: Connection, body: bytes, said: str) -> None:
        """As the base says; empty lines mean nothing, and errors name the line, from 1 on.

        Raises:
            BadJson, TooLarge: it cannot be accepted.
        """
        most = self.settings.max_batch
        if body.count(b"\n") + (not body.endswith(b"\n")) > most:
            raise TooLarge(f"A batch has at most {most} lines (max_batch).", most)
        checking = _Checking(connection, self, body.split(b"\n"), said)
        checking.go_on()
        if not checking.is_done:
            connection.hold(checking)

    def check_line(self, number: int, line: bytes) -> bytes:
        """The message in a line.

        Raises:
            BadJson, TooLarge: it is none.
        """
        limit = self.settings.max_message
        if len(line) > limit:
            raise TooLarge(f"Line {number} is larger than a message may be, {limit} bytes (max_message).", limit)
        try:
            return check_json(line, self.settings.max_depth)
        except BadJson as error:
            raise BadJson(f"Line {number}: {error.detail} Nothing was stored.", error.position, line=number) from None


class _Checking(Exchange):
    """A batch that is being checked, a portion in each turn of the loop."""

    __slots__ = ("_action", "_checked", "_connection", "_lines", "_messages", "_topic", "is_done")

    outlives_eof: ClassVar[bool] = True

    def __init__(self, connection: Connection, action: PublishBatch, lines: list[bytes], topic: str) -> None:
        self._connection = connection
        self._action = action
        self._lines = lines
        self._topic = topic
        self._checked = 0  # lines
        self._messages: list[bytes] = []
        self.is_done = False

    def go_on(self) -> None:
        """Check the next portion; publish all after the last.

        Raises:
            BadJson, TooLarge: a line cannot be accepted.
        """
        lines, left = self._lines, _PORTION
        while left > 0 and self._checked < len(lines):
            line = lines[self._checked]
            self._checked += 1
            left -= len(line) + _LINE
            if line.strip(WHITE_SPACE):
                self._messages.append(self._action.check_line(self._checked, line))
        if self._checked < len(lines):
            self._connection.edge.loop.call_soon(self._go_on_later)
            return
        self.is_done = True
        if not self._messages:
            raise BadJson("The batch is empty; it has one JSON value a line.", 0)
        self._action.publish(self._connection, tuple(self._messages), self._topic)

    def lost(self) -> None:
        """The client has gone; nothing is stored."""
        self.is_done = True
        self._lines = []

    def _go_on_later(self) -> None:
        if self.is_done:
            return
        try:
            self.go_on()
        except SloshError as error:
            self.is_done = True
            self._connection.refuse(error)


def choose_publish(engine: Engine, settings: Settings, topic: str, head: Head, fields: bytes) -> Publish:
    """What is done for a POST to `topic`: whether it has one message, or one a line.

    Raises:
        BadQuery: it is asked for a batch of another kind.
        UnsupportedEncoding: the body comes in a content coding.
        BadRequest: the idempotency key is none.
    """
    parameters = parse_query(head.query)
    batch = parameters.get("batch")
    if batch not in (None, "ndjson"):
        raise BadQuery("batch", "batch is ndjson: one message a line.")
    if any(coding != "identity" for coding in head.tokens(b"content-encoding")):
        raise UnsupportedEncoding("A message is posted as it is, without a Content-Encoding.")
    kind = head.first(b"content-type").partition(";")[0].strip().lower()
    publish = PublishBatch if batch or kind == "application/x-ndjson" else Publish
    return publish(engine, settings, topic, _parse_key(head), fields + ignored_field(parameters, PUBLISHING))


def _parse_key(head: Head) -> str:
    keys = head.all(b"idempotency-key")
    if not keys:
        return ""
    key = keys[0].decode("latin-1").strip('"')
    if len(keys) > 1 or not 0 < len(key) <= _MAX_KEY:
        raise BadRequest(f"An Idempotency-Key is one text of 1 to {_MAX_KEY} characters.")
    return key


class _Pending(Exchange):
    """A publish that the engine has not answered yet."""

    __slots__ = ("_action", "_connection", "is_done")

    outlives_eof: ClassVar[bool] = True

    def __init__(self, connection: Connection, action: Publish) -> None:
        self._connection = connection
        self._action = action
        self.is_done = False

    def done(self, outcome: Published | SloshError) -> None:
        """The engine has taken the message, or not."""
        self.is_done = True
        if self._connection.is_open:
            self._action.settle(outcome, self._connection)
