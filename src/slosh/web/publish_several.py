"""POST to several topics: NDJSON, one topic and one message a line.

The rules of this file:

* A line that is not valid refuses the whole request, before anything is stored.
* The messages of one topic are taken together, in the order of their lines, or refused together. What becomes of one
  topic is nothing to the others.
* Lines are checked, and topics published to, in portions, one in each turn of the loop, so that nobody else waits for
  all of them.
"""

import json
from typing import ClassVar, Final

from slosh.access.rights import Rights
from slosh.core.members import raw_member
from slosh.core.names import check_name
from slosh.engine.base import Engine, Published
from slosh.errors import BadJson, BadQuery, BadTopic, Forbidden, SloshError, TooLarge
from slosh.http1.connection import Connection
from slosh.http1.exchange import Exchange
from slosh.http1.handler import Action
from slosh.http1.head import Head
from slosh.http1.response import JSON, NO_SNIFF, NO_STORE
from slosh.settings import Settings
from slosh.web.gate import find_rights
from slosh.web.jsontext import WHITE_SPACE, check_json
from slosh.web.publish import KEY, check_coding, parse_key
from slosh.web.query import PUBLISHING_SEVERAL, ignored_field, parse_query
from slosh.web.shares import find_client, give_share, take_share

_FIELDS: Final = JSON + NO_STORE + NO_SNIFF
_REPLAYED: Final = b"Idempotent-Replayed: true\r\n"
_PORTION: Final = 128 * 1024
"""Bytes of lines that are checked in one turn, which takes some 2 ms; lines are not divided."""
_LINE: Final = 400
"""Bytes that a line counts more, because each has its own cost."""
_BESIDE: Final = 4096
"""Bytes that a line may have beside its message: the topic's name may be written in escapes."""
_TOPICS: Final = 64
"""Topics that are published to in one turn, and that an engine with a store is asked to take at a time."""
_OF_SEVERAL: Final = "\n"
"""Begins the idempotency keys of this file, so that they are none of a POST to one topic: no header's value has it."""


class PublishSeveral(Action):
    """The action of a POST to several topics.

    Args:
        engine: takes the messages.
        settings: the bounds of a batch.
        is_keyed: whether the requests have an idempotency key.
        fields: header lines of every answer.
    """

    __slots__ = ("_is_keyed", "engine", "fields", "max_body", "settings")

    def __init__(self, engine: Engine, settings: Settings, fields: bytes, *, is_keyed: bool) -> None:
        self.engine = engine
        self.settings = settings
        self._is_keyed = is_keyed
        self.fields = fields
        self.max_body = settings.max_body

    def is_allowed(self, rights: Rights, said: object | None) -> bool:  # noqa: ARG002 - it has no changing part
        """Whether anything may be published at all; the lines say what, and each topic is looked at."""
        return bool(rights.publish)

    def count_messages(self, body: bytes) -> int:
        """Each line."""
        return body.count(b"\n") + 1

    def run(self, connection: Connection, body: bytes) -> None:
        """Check all lines, then publish.

        Raises:
            BadJson, BadTopic, TooLarge: a line cannot be accepted.
            BadRequest: the idempotency key is none.
        """
        most = self.settings.max_batch
        if body.count(b"\n") + (not body.endswith(b"\n")) > most:
            raise TooLarge(f"A batch has at most {most} lines (max_batch).", most)
        publishing = _Publishing(connection, self, body.split(b"\n"))
        publishing.go_on()
        if not publishing.is_done:
            connection.hold(publishing)

    def find_key(self, connection: Connection) -> str:
        """The idempotency key of the present request, apart from those of single topics; often none.

        Raises:
            BadRequest: it is none.
        """
        return _OF_SEVERAL + parse_key(connection.head) if self._is_keyed else ""

    def longest_line(self) -> int:
        """Bytes that a line may have."""
        classes = self.engine.hub.classes
        return max(each.max_message for each in (classes.default, *classes.rules)) + _BESIDE

    def read_line(self, number: int, line: bytes, longest: int) -> tuple[str, bytes]:
        """The topic and the message in a line.

        Raises:
            BadJson, BadTopic, TooLarge: it has none.
        """
        if len(line) > longest:
            raise TooLarge(f"Line {number} has more than {longest} bytes (max_message, and {_BESIDE}).", longest)
        try:
            text = check_json(line, self.settings.max_depth + 1)
            name, message = _take_apart(text)
        except BadJson as error:
            raise BadJson(f"Line {number}: {error.detail} Nothing was stored.", error.position, line=number) from None
        except BadTopic as error:
            raise BadTopic(f"Line {number}: {error.detail} Nothing was stored.") from None
        if len(line) - len(message) > _BESIDE:
            raise TooLarge(f"Line {number} has more than {_BESIDE} bytes beside its message.", _BESIDE)
        limit = self.engine.hub.classes.find(name).max_message
        if len(message) > limit:
            raise TooLarge(f"Line {number} has a message of more than {limit} bytes (max_message).", limit)
        return name, message


class _Publishing(Exchange):
    """A batch for several topics that is on its way."""

    __slots__ = (
        "_accepted",
        "_action",
        "_at",
        "_checked",
        "_client",
        "_connection",
        "_key",
        "_lines",
        "_longest",
        "_messages",
        "_names",
        "_refused",
        "_replayed",
        "_taken",
        "_waiting",
        "is_done",
    )

    outlives_eof: ClassVar[bool] = True

    def __init__(self, connection: Connection, action: PublishSeveral, lines: list[bytes]) -> None:
        self._connection = connection
        self._action = action
        self._key = action.find_key(connection)
        self._client = find_client(connection) if self._key else ""
        self._lines = lines
        self._longest = action.longest_line()
        self._checked = 0  # lines
        self._messages: dict[str, list[bytes]] = {}
        self._names: list[str] = []  # once all lines are checked
        self._at = 0  # topics that were begun
        self._waiting = 0  # topics of which the engine has not told yet
        self._accepted = 0
        self._taken: dict[str, dict[str, object]] = {}
        self._refused: dict[str, dict[str, object]] = {}
        self._replayed = False
        self.is_done = False

    def go_on(self) -> None:
        """Do the next portion.

        Raises:
            BadJson, BadTopic, TooLarge: a line cannot be accepted.
        """
        lines, left = self._lines, _PORTION
        while left > 0 and self._checked < len(lines):
            line = lines[self._checked]
            self._checked += 1
            left -= len(line) + _LINE
            if line.strip(WHITE_SPACE):
                name, message = self._action.read_line(self._checked, line, self._longest)
                self._messages.setdefault(name, []).append(message)
        if self._checked < len(lines):
            self._connection.server.loop.call_soon(self._go_on_later)
            return
        if not self._messages:
            raise BadJson("The batch is empty; it has one object with a topic and a message a line.", 0)
        self._lines, self._names = [], list(self._messages)
        self._publish_more()

    def lost(self) -> None:
        """The client has gone; nothing is stored unless that has begun."""
        self.is_done = True

    def revoke(self, error: SloshError) -> None:
        """As the base says; nothing is stored. What has begun to be stored ends, and is told of."""
        if not self._names:
            self.is_done = True
            self._connection.refuse(error)

    def _go_on_later(self) -> None:
        if self.is_done:
            return
        try:
            self.go_on()
        except SloshError as error:
            self.is_done = True
            self._connection.refuse(error)

    def _publish_more(self) -> None:
        """Publish to the next topics. Nothing is left out any more, also where the client has gone."""
        self._waiting += 1  # so that an engine that answers at once does not end it before all are begun
        for name in self._names[self._at : self._at + _TOPICS]:
            self._at += 1
            self._waiting += 1
            self._publish(name, tuple(self._messages.pop(name)))
        self._settled()

    def _publish(self, name: str, messages: tuple[bytes, ...]) -> None:
        connection, action = self._connection, self._action
        engine, now = action.engine, connection.server.now()
        hub = engine.hub

        def done(outcome: Published | SloshError) -> None:
            self._note(name, len(messages), outcome)

        try:
            if not find_rights(connection).may_publish(name):
                raise Forbidden
            if hub.find(name, now) is None and engine.may_begin(name):
                take_share(connection, engine, 1, publishes=True)
            engine.publish(name, messages, now, done, self._key, self._client)
        except SloshError as error:
            done(error)
        finally:
            give_share(engine)

    def _note(self, name: str, count: int, outcome: Published | SloshError) -> None:
        """Note what became of the messages for one topic."""
        if isinstance(outcome, Published):
            self._accepted += outcome.accepted
            self._replayed = self._replayed or outcome.replayed
            place = f"{outcome.epoch}.{outcome.newest}"
            self._taken[name] = {"max": outcome.newest, "next": place, "watchers": outcome.watchers}
        else:
            self._refused[name] = {"code": outcome.code, "count": count}
        self._settled()

    def _settled(self) -> None:
        """One thing less to wait for."""
        self._waiting -= 1
        if self._waiting:
            return
        if self._at < len(self._names):
            self._connection.server.loop.call_soon(self._publish_more)
            return
        if self.is_done:
            return  # The client has gone.
        self.is_done = True
        if self._connection.is_open:
            answer = {"accepted": self._accepted, "topics": self._taken, "refused": self._refused}
            fields = _FIELDS + (_REPLAYED if self._replayed else b"")
            self._connection.respond(200, fields, json.dumps(answer, ensure_ascii=False).encode() + b"\n")


def _take_apart(line: bytes) -> tuple[str, bytes]:
    """The topic and the message in a line, which is JSON.

    Raises:
        BadJson, BadTopic: it has none.
    """
    topic, message = raw_member(line, "topic"), raw_member(line, "message")
    if not topic.startswith(b'"') or not message:
        raise BadJson('It is no object with a topic and a message, as {"topic": "a", "message": 1} is.', 0)
    return check_name(json.loads(topic)), message


def choose_publish_several(engine: Engine, settings: Settings, head: Head, fields: bytes) -> PublishSeveral:
    """What is done for a POST to `/topics`.

    Raises:
        BadQuery: it is asked for what can be done to one topic alone.
        UnsupportedEncoding: the body comes in a content coding.
    """
    parameters = parse_query(head.query)
    for name in ("end", "open"):
        if name in parameters:
            raise BadQuery(name, f"{name} is for one topic: POST /topics/<name>?{name}.", tells_value=False)
    if parameters.get("batch", "ndjson") != "ndjson":
        raise BadQuery("batch", "batch is ndjson: one topic and one message a line.")
    check_coding(head)
    fields += ignored_field(parameters, PUBLISHING_SEVERAL, settings.token_in_query)
    return PublishSeveral(engine, settings, fields, is_keyed=head.has(KEY))
