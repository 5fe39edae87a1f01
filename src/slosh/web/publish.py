"""POST to a topic: one JSON value, whatever the Content-Type says; or one a line, all or none."""

import re
from typing import ClassVar, Final

from slosh.core.names import MAX_NAME_BYTES, check_name
from slosh.engine.base import Engine, Published
from slosh.errors import BadJson, BadQuery, BadRequest, SloshError, TooLarge, UnsupportedEncoding
from slosh.settings import Settings
from slosh.web.action import Action, Exchange
from slosh.web.connection import Connection
from slosh.web.head import Head
from slosh.web.jsontext import WHITE_SPACE, check_json
from slosh.web.query import parse_query
from slosh.web.response import JSON, NO_SNIFF, NO_STORE, render_head

_FIELDS: Final = JSON + NO_STORE + NO_SNIFF
_REPLAYED: Final = b"Idempotent-Replayed: true\r\n"
PLAIN_NAME: Final = rb"(?!\.{1,2}[/ ])[A-Za-z0-9._~-]+(?:/(?!\.{1,2}[/ ])[A-Za-z0-9._~-]+)*"
"""Names of topics that need no thought, as they stand in a request line, in front of a space."""
_plain_name: Final = re.compile(rb"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+)*")
_MAX_KEY: Final = 255
"""Characters of an `Idempotency-Key`."""


class Publish(Action):
    """The action of a POST with one message.

    Args:
        engine: takes the message.
        settings: the bounds of a message.
        topic: the topic's name.
        key: the idempotency key, or nothing.
        fields: header lines of every answer.
        others: actions for other topics than that of the head they were decided from. All of a server share it.
    """

    __slots__ = ("_engine", "_key", "_others", "_receipt", "_topic", "fields", "max_body", "settings")

    is_batch: ClassVar[bool] = False
    most_others: ClassVar[int] = 20_000
    """Topics that publishers' heads are remembered for, each with less than a kilobyte."""

    def __init__(
        self, engine: Engine, settings: Settings, topic: str, key: str, fields: bytes, others: "Others"
    ) -> None:
        self._engine = engine
        self._topic = topic
        self._key = key
        self._others = others
        self._receipt: Receipt | None = None
        self.fields = fields
        self.settings = settings
        self.max_body = settings.max_body if self.is_batch else settings.max_message

    def takes(self, part: bytes) -> bool:
        """The name of another topic."""
        return len(part) <= MAX_NAME_BYTES and _plain_name.fullmatch(part) is not None

    def at(self, part: bytes) -> Action:
        """The same for another topic."""
        other = self._others.get((self, part))
        if other is None:
            if len(self._others) >= self.most_others:
                self._others.clear()
            topic = check_name(part.decode("ascii"))
            other = type(self)(self._engine, self.settings, topic, self._key, self.fields, self._others)
            self._others[self, part] = other
        return other

    def run(self, connection: Connection, body: bytes) -> None:
        """Check what came and hand it to the engine."""
        messages = self.parse(body)
        now = connection.edge.now()
        pending = _Pending(connection, self, now)
        self._engine.publish(self._topic, messages, now, pending.done, self._key)
        if not pending.is_done:
            pending.now = 0.0  # It will be later.
            connection.hold(pending)

    def parse(self, body: bytes) -> tuple[bytes, ...]:
        """The messages in a body.

        Raises:
            BadJson, TooLarge: it cannot be taken.
        """
        return (check_json(body, self.settings.max_depth),)

    def answer(self, outcome: Published, connection: Connection) -> bytes:
        """The whole response."""
        edge = connection.edge
        date, closing = edge.date(), connection.connection_field()
        newest = b"%d" % outcome.newest
        receipt = self._receipt
        if receipt is None or not receipt.fits(outcome, date, closing, len(newest)):
            receipt = self._receipt = Receipt(outcome, date, closing, self.fields, batch=self.is_batch)
        return b"".join((receipt.before, newest, receipt.between, newest, receipt.after))


Others = dict[tuple[Publish, bytes], Publish]
"""Actions by the one that was decided from a head, and the name of the topic in another."""


class PublishBatch(Publish):
    """The action of a POST of NDJSON: one message a line. All are taken, next to each other, or none is."""

    __slots__ = ()

    is_batch: ClassVar[bool] = True

    def parse(self, body: bytes) -> tuple[bytes, ...]:
        """The messages in a body, whose empty lines mean nothing; errors name the line, from 1 on."""
        most = self.settings.max_batch
        if body.count(b"\n") + (not body.endswith(b"\n")) > most:
            raise TooLarge(f"A batch has at most {most} lines (max_batch).", most)
        lines = enumerate(body.split(b"\n"), start=1)
        messages = tuple(self._check(number, line) for number, line in lines if line.strip(WHITE_SPACE))
        if not messages:
            raise BadJson("The batch is empty; it has one JSON value a line.", 0)
        return messages

    def _check(self, number: int, line: bytes) -> bytes:
        limit = self.settings.max_message
        if len(line) > limit:
            raise TooLarge(f"Line {number} is larger than a message may be, {limit} bytes (max_message).", limit)
        try:
            return check_json(line, self.settings.max_depth)
        except BadJson as error:
            raise BadJson(f"Line {number}: {error.detail} Nothing was stored.", error.position, line=number) from None


def choose_publish(
    engine: Engine, settings: Settings, topic: str, head: Head, fields: bytes, others: "Others"
) -> Publish:
    """What is done for a POST to `topic`: whether it has one message, or one a line.

    Raises:
        BadQuery: it is asked for a batch of another kind.
        UnsupportedEncoding: the body comes in a content coding.
        BadRequest: the idempotency key is none.
    """
    batch = parse_query(head.query).get("batch")
    if batch not in (None, "ndjson"):
        raise BadQuery("batch", "batch is ndjson: one message a line.")
    if any(coding != "identity" for coding in head.tokens(b"content-encoding")):
        raise UnsupportedEncoding("A message is posted as it is, without a Content-Encoding.")
    kind = head.first(b"content-type").partition(";")[0].strip().lower()
    publish = PublishBatch if batch or kind == "application/x-ndjson" else Publish
    return publish(engine, settings, topic, _parse_key(head), fields, others)


def _parse_key(head: Head) -> str:
    keys = head.all(b"idempotency-key")
    if not keys:
        return ""
    key = keys[0].decode("latin-1").strip('"')
    if len(keys) > 1 or not 0 < len(key) <= _MAX_KEY:
        raise BadRequest(f"An Idempotency-Key is one text of 1 to {_MAX_KEY} characters.")
    return key


class Receipt:
    """The answer to a publish, apart from the offset, which alone changes from one to the next within a second."""

    __slots__ = ("_closing", "_date", "_digits", "_outcome", "after", "before", "between")

    def __init__(self, outcome: Published, date: bytes, closing: bytes, fields: bytes, *, batch: bool) -> None:
        self._outcome = outcome
        self._date = date
        self._closing = closing
        self._digits = len(str(outcome.newest))
        accepted = b',"accepted":%d' % outcome.accepted if batch else b""
        self.between = b',"next":"%b.' % outcome.epoch.encode("ascii")
        self.after = b'","watchers":%d%b}' % (outcome.watchers, accepted)
        start = b'{"max":'
        length = len(start) + len(self.between) + len(self.after) + 2 * self._digits
        fields = b"%bSlosh-Watchers: %d\r\n%b%b" % (
            _FIELDS,
            outcome.watchers,
            _REPLAYED if outcome.replayed else b"",
            fields,
        )
        self.before = render_head(200, date, fields, length, closing) + start

    def fits(self, outcome: Published, date: bytes, closing: bytes, digits: int) -> bool:
        """Whether `outcome` is answered in the same way, apart from its offset."""
        ours = self._outcome
        return (
            date is self._date
            and digits == self._digits
            and closing is self._closing
            and outcome.watchers == ours.watchers
            and outcome.epoch == ours.epoch
            and outcome.accepted == ours.accepted
            and outcome.replayed == ours.replayed
        )


class _Pending(Exchange):
    """A publish that the engine has not answered yet."""

    __slots__ = ("_action", "_connection", "is_done", "now")

    outlives_eof: ClassVar[bool] = True

    def __init__(self, connection: Connection, action: Publish, now: float) -> None:
        self._connection = connection
        self._action = action
        self.now = now
        self.is_done = False

    def done(self, outcome: Published | SloshError) -> None:
        """The engine has taken the message, or not."""
        self.is_done = True
        connection = self._connection
        if not connection.is_open:
            return
        if isinstance(outcome, SloshError):
            connection.refuse(outcome)
            return
        connection.finish(self._action.answer(outcome, connection), now=self.now)
