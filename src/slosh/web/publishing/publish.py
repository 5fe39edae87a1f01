"""POST to a topic: one JSON value, whatever the Content-Type; or a batch with one a line. It may also end the topic.

The rules of this file:

* A large body is parsed only if the topic has a watcher, as far as the engine knows that at once. A client that asks
  before it sends such a body is refused then, and need not send it.
* A large batch is checked in portions, so that no other client waits for all of it (`checking.py`).
* A topic ends in one step with the messages of the same request. A refused request has changed nothing: the topic was
  neither ended nor opened.
* A topic that a publisher opens counts like one that a reader created (`max_topics`, `max_topics_per_address`),
  and is active for as long (`linger`).

`post_head.py` reads the header fields of a POST; DELETE is an action of its own (`ends.py`).
"""

from collections.abc import Sequence
from typing import ClassVar, Final

from slosh.access.rights import Rights
from slosh.engine.base import Engine, Published
from slosh.errors import BadJson, BadQuery, BadRequest, InternalError, NoWatchers, SloshError, TooLarge, TopicEnded
from slosh.http1.connection import Connection
from slosh.http1.exchange import Exchange
from slosh.http1.handler import Action
from slosh.http1.head import Head
from slosh.http1.response import JSON_ANSWER, render_start
from slosh.settings import Settings
from slosh.web.admission.shares import find_client, give_share, take_share
from slosh.web.jsontext import check_json
from slosh.web.publishing.checking import Checking, check_count
from slosh.web.publishing.longtext import LONG, LongText
from slosh.web.publishing.post_head import KEY, REPLAYED, check_coding, parse_key, read_plain_name
from slosh.web.query import PUBLISHING, ignored_field, parse_query, read_flag

_BODY: Final = len(b'{"max":,"next":".","watchers":}\n')
"""Bytes of an answer's body without the values in it."""
_ENDED: Final = b',"ended":true'


class Publish(Action):
    """The action of a POST with one message.

    Args:
        engine: stores the message.
        settings: the bounds of a message.
        topic: the topic's name.
        is_keyed: whether the requests have an idempotency key.
        fields: header lines of every answer.
        opens: whether the topic is made active first, as by a GET.
        ends: whether the topic ends after the message.
    """

    __slots__ = (
        "_closing",
        "_date",
        "_ends",
        "_engine",
        "_fixed",
        "_is_keyed",
        "_is_special",
        "_opens",
        "_rest",
        "_size",
        "_start",
        "_topic",
        "_watchers",
        "body_bound",
        "fields",
        "max_body",
        "max_message",
        "settings",
    )

    is_batch: ClassVar[bool] = False

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        topic: str,
        fields: bytes,
        *,
        is_keyed: bool = False,
        opens: bool = False,
        ends: bool = False,
    ) -> None:
        self._engine = engine
        self._topic = topic
        self._is_keyed = is_keyed
        self._opens = opens
        self._ends = ends
        self._is_special = opens or ends or not engine.knows_all
        self._fixed = b""  # the head of an answer, up to the first field that differs
        self._date = b""  # the date in `_fixed`
        self._closing = b""  # the `Connection` line in `_fixed`
        self._start = b""  # the last answer up to its first offset
        self._rest = b""  # the last answer after its place
        self._watchers = 0  # in the last answer
        self._size = 0  # bytes of its place, see `_prepare`; 0 to make it again
        self.fields = fields
        self.settings = settings
        self.max_message = engine.hub.classes.find(topic).max_message
        self.max_body = settings.max_body if self.is_batch else self.max_message
        self.body_bound = "max_body" if self.is_batch else "max_message"

    def is_allowed(self, rights: Rights, variable: object | None) -> bool:
        """Whether the topic may be published to."""
        return rights.may_publish(variable if isinstance(variable, str) else self._topic)

    def count_messages(self, body: bytes) -> int:
        """One, or each line of a batch."""
        return body.count(b"\n") + 1 if self.is_batch else 1

    def understand(self, part: bytes) -> object | None:
        """The name of another topic, if it has the same `max_message`."""
        name = read_plain_name(part)
        classes = self._engine.hub.classes
        if name is not None and classes.rules and classes.find(name).max_message != self.max_message:
            return None
        return name

    def refuse_early(self, connection: Connection, variable: object | None, *, asks_first: bool) -> SloshError | None:
        """As the base says: for an invalid idempotency key, and for a topic known to have ended or to have no watcher.

        A request with a valid key is not refused early: it may be a repetition, which is answered as the first time.
        """
        try:
            key = self._find_key(connection)
        except BadRequest as error:
            return error
        if key or not asks_first:
            return None
        engine, now = self._engine, connection.server.now()
        topic = variable if isinstance(variable, str) else self._topic
        if not self._opens and engine.is_unwatched(topic, now):
            return NoWatchers()
        known = engine.hub.find(topic, now) if engine.knows_all else None
        return TopicEnded() if known is not None and known.ended else None

    def find_path(self, variable: object) -> str:
        """The path of the topic with the name `variable`."""
        return f"/topics/{variable}"

    def run(self, connection: Connection, body: bytes) -> None:
        """Check the body, and hand its message to the engine."""
        self.run_with(connection, body, self._topic)

    def run_with(self, connection: Connection, body: bytes, variable: object) -> None:
        """The same for the topic with the name `variable`."""
        if not isinstance(variable, str):
            raise InternalError
        if 0 < len(body) <= LONG:
            self.check(connection, body, variable)
        elif body:
            if not (self._is_keyed or self._opens) and self._engine.is_unwatched(variable, connection.server.now()):
                raise NoWatchers
            self.check(connection, body, variable)
        elif self._opens and not self._ends:
            self.publish(connection, (), variable)
        elif self._ends:
            raise BadJson("The last message is missing: the body is empty. DELETE ends a topic without a message.", 0)
        else:
            self.check(connection, body, variable)

    def check(self, connection: Connection, body: bytes, topic: str) -> None:
        """Check the body, and publish its message to `topic`.

        Raises:
            BadJson: it is not JSON.
        """
        if len(body) > LONG:
            self.check_lines(connection, [body], topic)
        else:
            self.publish(connection, (check_json(body, self.settings.max_depth),), topic)

    def check_lines(self, connection: Connection, lines: list[bytes], topic: str) -> None:
        """Check messages that may take more than one turn, and publish them to `topic`.

        Raises:
            SloshError: the first ones cannot be accepted.
        """
        _OneTopicBatch(connection, self, lines, topic).start()

    def check_size(self, number: int, line: bytes) -> None:
        """Check the size of line `number` of a batch, counted from 1. A single message was checked by `max_body`.

        Raises:
            TooLarge: it is larger than a message may be.
        """

    def explain(self, number: int, error: BadJson) -> BadJson:  # noqa: ARG002 - of a batch
        """The error to answer with, if `error` was found in line `number`."""
        return error

    def publish(self, connection: Connection, messages: Sequence[bytes], topic: str) -> None:
        """Hand `messages`, which were checked, to the engine for `topic`."""
        now = connection.server.now()
        hub = self._engine.hub
        key = self._find_key(connection)
        client = find_client(connection) if key else ""
        if self._is_special or hub.classes.keeps_some or hub.listeners.has_followers:
            if hub.find(topic, now) is None and (self._opens or self._engine.may_begin(topic)):
                take_share(connection, self._engine, 1, publishes=True)
            is_slow = self._opens or self._ends
            outcome = None if is_slow else self._engine.accept(topic, messages, now, key, client)
            if outcome is None:
                self._publish_slowly(connection, messages, topic, now, key, client)
            give_share(self._engine)
            if outcome is not None:
                self.settle(outcome, connection, topic, now)
            return
        outcome = self._engine.accept(topic, messages, now, key, client)
        if outcome is not None:
            self.settle(outcome, connection, topic, now)
        else:
            self._publish_slowly(connection, messages, topic, now, key, client)

    def _find_key(self, connection: Connection) -> str:
        """The idempotency key of the current request; empty for none.

        Raises:
            BadRequest: it is not valid.
        """
        return parse_key(connection.head) if self._is_keyed else ""

    def _publish_slowly(
        self, connection: Connection, messages: Sequence[bytes], topic: str, now: float, key: str, client: str
    ) -> None:
        """Publish with a callback, and hold the request if the engine does not answer at once."""
        pending = _PendingPublish(connection, self, topic)
        self._engine.publish(topic, messages, now, pending.done, key, client, opens=self._opens, ends=self._ends)
        if not pending.is_done:
            connection.hold(pending)

    def settle(self, outcome: Published | SloshError, connection: Connection, topic: str, now: float = 0.0) -> None:
        """Answer with the result of a publish to `topic`, at the time `now`, seconds; 0.0 if not known."""
        if isinstance(outcome, Published):
            connection.finish(self.answer(outcome, connection, topic), now=now)
        else:
            connection.refuse(outcome, topic)

    def answer(self, outcome: Published, connection: Connection, topic: str) -> bytes:
        """The whole response to a publish to `topic`."""
        date, closing = connection.server.date(), connection.connection_field()
        newest, epoch = b"%d" % outcome.newest, outcome.epoch.encode("ascii")
        size = 2 * len(newest) + len(epoch)
        if date is not self._date or closing is not self._closing:
            self._date, self._closing = date, closing
            self._fixed = render_start(200, date, JSON_ANSWER + self.fields, closing)
            self._size = 0
        # Within a second nearly all answers differ only in the place, so the text around it is kept.
        if size != self._size or outcome.watchers != self._watchers or self.is_batch or outcome.replayed:
            self._prepare(outcome, size, topic)
        return b'%b%b,"next":"%b.%b%b' % (self._start, newest, epoch, newest, self._rest)

    def _prepare(self, outcome: Published, size: int, topic: str) -> None:
        """Make the text around the place in answers to publishes like `outcome`.

        Args:
            size: bytes of the offset, which occurs twice, and of the epoch.
            topic: the topic's name.
        """
        fixed = self._fixed + REPLAYED if outcome.replayed else self._fixed
        watchers = b"%d" % outcome.watchers
        accepted = self._tell_batch(outcome, topic) if self.is_batch else b""
        ended = _ENDED if outcome.ended else b""
        self._rest = b'","watchers":%b%b%b}\n' % (watchers, accepted, ended)
        length = _BODY + size + len(watchers) + len(accepted) + len(ended)
        self._start = b'%bSlosh-Watchers: %b\r\nContent-Length: %d\r\n\r\n{"max":' % (fixed, watchers, length)
        self._watchers = outcome.watchers
        self._size = 0 if outcome.replayed else size

    def _tell_batch(self, outcome: Published, topic: str) -> bytes:
        """The further members in the answer to a batch: how many were accepted, and how many the topic keeps."""
        kept = self._engine.hub.classes.find(topic)
        return b',"accepted":%d,"queue":%d,"queue_bytes":%d' % (outcome.accepted, kept.queue, kept.queue_bytes)


class PublishBatch(Publish):
    """The action of a POST of NDJSON: one message a line. All are accepted, next to each other, or none is."""

    __slots__ = ()

    is_batch: ClassVar[bool] = True

    def check(self, connection: Connection, body: bytes, topic: str) -> None:
        """As the base says. Empty lines are ignored, and errors name the line, counted from 1.

        Raises:
            BadJson, TooLarge: it cannot be accepted.
        """
        check_count(body, self.settings.max_batch)
        self.check_lines(connection, body.split(b"\n"), topic)

    def check_size(self, number: int, line: bytes) -> None:
        """As the base says."""
        limit = self.max_message
        if len(line) > limit:
            raise TooLarge(f"Line {number} has {len(line)} bytes, and a message may have {limit} (max_message).", limit)

    def explain(self, number: int, error: BadJson) -> BadJson:
        """As the base says: with the line."""
        return BadJson(f"Line {number}: {error.detail} Nothing was stored.", error.position, line=number)


class _OneTopicBatch(Checking):
    """Messages for one topic that are being checked, to be published together."""

    __slots__ = ("_action", "_messages", "_topic")

    def __init__(self, connection: Connection, action: Publish, lines: list[bytes], topic: str) -> None:
        super().__init__(connection, lines)
        self._action = action
        self._topic = topic
        self._messages: list[bytes] = []

    def check_line(self, line: bytes) -> LongText | None:
        """As the base says."""
        depth = self._action.settings.max_depth
        self._action.check_size(self.number, line)
        if len(line) > LONG:
            return LongText(line, depth)
        try:
            self._messages.append(check_json(line, depth))
        except BadJson as error:
            raise self.explain(error) from None
        return None

    def take_text(self, text: bytes) -> None:
        """As the base says."""
        self._messages.append(text)

    def explain(self, error: BadJson) -> BadJson:
        """As the base says."""
        return self._action.explain(self.number, error)

    def finish(self) -> None:
        """Publish all."""
        self.is_done = True
        if not self._messages:
            raise BadJson("The batch is empty; it has one JSON value a line.", 0)
        self._action.publish(self.connection, tuple(self._messages), self._topic)

    def topic(self) -> str:
        """As the base says."""
        return self._topic

    def refuse(self, error: SloshError) -> None:
        """As the base says."""
        self.connection.refuse(error, self._topic)

    def revoke(self, error: SloshError) -> None:
        """As the base says; nothing is stored."""
        self.lost()
        self.refuse(error)


def choose_publish(engine: Engine, settings: Settings, topic: str, head: Head, fields: bytes) -> Publish:
    """The action for a POST to `topic`: one message, or a batch with one a line.

    Raises:
        BadQuery: `batch` names another format.
        UnsupportedEncoding: the body has a content coding.
    """
    parameters = parse_query(head.query)
    batch = parameters.get("batch")
    if batch not in (None, "ndjson"):
        raise BadQuery("batch", "batch is ndjson: one message a line.")
    check_coding(head)
    kind = head.first(b"content-type").partition(";")[0].strip().lower()
    publish = PublishBatch if batch or kind == "application/x-ndjson" else Publish
    opens, ends = read_flag(parameters, "open"), read_flag(parameters, "end")
    fields += ignored_field(parameters, PUBLISHING, settings.token_in_query)
    return publish(engine, settings, topic, fields, is_keyed=head.has(KEY), opens=opens, ends=ends)


class _PendingPublish(Exchange):
    """A publish that the engine has not answered yet."""

    __slots__ = ("_action", "_connection", "_topic", "is_done")

    outlives_eof: ClassVar[bool] = True

    def __init__(self, connection: Connection, action: Publish, topic: str) -> None:
        self._connection = connection
        self._action = action
        self._topic = topic
        self.is_done = False

    def topic(self) -> str:
        """As the base says."""
        return self._topic

    def done(self, outcome: Published | SloshError) -> None:
        """The engine has accepted or refused the message."""
        self.is_done = True
        if self._connection.is_open:
            self._action.settle(outcome, self._connection, self._topic)
