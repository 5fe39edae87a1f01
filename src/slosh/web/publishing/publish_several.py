"""POST to several topics: NDJSON, one topic and one message a line.

The rules of this file:

* A line that is not valid refuses the whole request, before anything is stored.
* The messages of one topic are accepted together, in the order of their lines, or refused together. The outcome for one
  topic does not affect the others.
* Lines are checked in portions (`checking.py`), and topics are published to in portions, each in another turn of the
  loop, so that no other client waits for all of them.
* Of a long line only the message is checked in portions. The rest of the line is short, and is found from both ends.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Final

from slosh.access.rights import Rights
from slosh.core.cursor import write_cursor
from slosh.core.members import raw_member
from slosh.core.names import check_name
from slosh.core.topic import Shared
from slosh.engine.base import Engine, Published
from slosh.errors import BadJson, BadQuery, BadTopic, Forbidden, SloshError, TooLarge
from slosh.http1.connection import Connection
from slosh.http1.handler import Action
from slosh.http1.head import Head
from slosh.http1.response import JSON_ANSWER
from slosh.settings import Settings
from slosh.web.admission.gate import find_rights
from slosh.web.admission.shares import find_client, give_share, take_share
from slosh.web.jsontext import WHITE_SPACE, check_json, write_json
from slosh.web.publishing.checking import Checking, check_count
from slosh.web.publishing.longtext import LONG, LongText, blank
from slosh.web.publishing.post_head import KEY, REPLAYED, check_coding, parse_key
from slosh.web.query import PUBLISHING_SEVERAL, ignored_field, parse_query

BESIDE: Final = 4096
"""Bytes that a line may have beside its message: the topic's name may be written in escapes."""
_TOPICS: Final = 64
"""Topics that are published to in one turn, and that an engine with a store is asked to take at a time."""
_TOPIC: Final = 4096
"""Bytes of other work that a turn does less for each of them."""
_NO_OBJECT: Final = 'It is no object with a topic and a message, as {"topic": "a", "message": 1} is.'
_find_marks: Final = re.compile(rb'["\[\]{},:]').finditer
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

    def is_allowed(self, rights: Rights, variable: object | None) -> bool:  # noqa: ARG002 - it has no variable part
        """Whether anything may be published at all; the lines say what, and each topic is looked at."""
        return bool(rights.publish)

    def count_messages(self, body: bytes) -> int:
        """Each line."""
        return body.count(b"\n") + 1

    def run(self, connection: Connection, body: bytes) -> None:
        """Check all lines, then publish.

        Raises:
            BadJson, BadTopic, TooLarge: a line cannot be accepted.
            BadRequest: the idempotency key is not valid.
        """
        check_count(body, self.settings.max_batch)
        _SeveralTopicsBatch(connection, self, body.split(b"\n")).start()

    def find_key(self, connection: Connection) -> str:
        """The idempotency key of the current request, apart from those of single topics; often none.

        Raises:
            BadRequest: it is not valid.
        """
        return _OF_SEVERAL + parse_key(connection.head) if self._is_keyed else ""

    def longest_line(self) -> int:
        """Bytes that a line may have."""
        classes = self.engine.hub.classes
        return max(each.max_message for each in (classes.default, *classes.rules)) + BESIDE

    def check_message(self, number: int, line: bytes, name: str, message: bytes) -> None:
        """Check that a line, counted from 1 on, has no more bytes than its message for the topic `name` may have.

        If there is no name the message is the line, which is no JSON.

        Raises:
            TooLarge: it has.
        """
        if len(line) - len(message) > BESIDE:
            beside = len(line) - len(message)
            raise TooLarge(f"Line {number} has {beside} bytes beside its message, and may have {BESIDE}.", BESIDE)
        limit = self.engine.hub.classes.find(name).max_message if name else len(message)
        if len(message) > limit:
            raise TooLarge(
                f"Line {number} has a message of {len(message)} bytes, and it may have {limit} (max_message).", limit
            )


class _SeveralTopicsBatch(Checking):
    """A batch for several topics that is on its way."""

    __slots__ = (
        "_accepted",
        "_action",
        "_at",
        "_client",
        "_key",
        "_longest",
        "_messages",
        "_name",
        "_names",
        "_refused",
        "_replayed",
        "_revoked",
        "_taken",
        "_waiting",
    )

    def __init__(self, connection: Connection, action: PublishSeveral, lines: list[bytes]) -> None:
        super().__init__(connection, lines)
        self._action = action
        self._key = action.find_key(connection)
        self._client = find_client(connection) if self._key else ""
        self._longest = action.longest_line()
        self._name = ""  # of the topic in the current line
        self._messages: dict[str, list[bytes]] = {}
        self._names: list[str] = []  # once all lines are checked
        self._at = 0  # topics that were begun
        self._waiting = 0  # topics of which the engine has not told yet
        self._accepted = 0
        self._taken: list[bytes] = []  # what the answer says of each topic that took its messages
        self._refused: list[bytes] = []  # and of each that did not
        self._replayed = False
        self._revoked: SloshError | None = None  # why its token does not count any more

    def check_line(self, line: bytes) -> LongText | None:
        """As the base says."""
        if len(line) > self._longest:
            raise TooLarge(
                f"Line {self.number} has {len(line)} bytes, and may have {self._longest} (max_message, and {BESIDE}).",
                self._longest,
            )
        depth = self._action.settings.max_depth
        text: LongText | None = None
        try:
            if len(line) > LONG:
                self._name, text = take_out(line, depth)
                message = text.value if text is not None else b""
            else:
                self._name, message = take_apart(check_json(line, depth + 1))
        except BadJson as error:
            raise self.explain(error) from None
        except BadTopic as error:
            raise BadTopic(f"Line {self.number}: {error.detail} Nothing was stored.") from None
        self._action.check_message(self.number, line, self._name, message)
        if text is None:
            self.take_text(message)
        return text

    def take_text(self, text: bytes) -> None:
        """As the base says."""
        if not self._name:
            self._action.check_message(self.number, text, *take_apart(text))
            raise BadJson(_NO_OBJECT, 0)
        self._messages.setdefault(self._name, []).append(text)

    def explain(self, error: BadJson) -> BadJson:
        """As the base says: with the line."""
        return BadJson(f"Line {self.number}: {error.detail} Nothing was stored.", error.position, line=self.number)

    def finish(self) -> None:
        """Publish to the first topics."""
        if not self._messages:
            raise BadJson("The batch is empty; it has one object with a topic and a message a line.", 0)
        self._names = list(self._messages)
        self._publish_more()

    def refuse(self, error: SloshError) -> None:
        """As the base says."""
        self.connection.refuse(error)

    def lost(self) -> None:
        """The client has gone; nothing is stored unless that has begun."""
        self.stop()

    def revoke(self, error: SloshError) -> None:
        """As the base says; nothing is stored. If some topics were begun the others are refused, in the answer."""
        self._revoked = error
        if not self._names:
            self.stop()
            self.refuse(error)

    def _publish_more(self, shared: Shared | None = None) -> None:  # noqa: ARG002 - as the hub calls it
        """Publish to the next topics. Nothing is left out any more, even if the client has gone."""
        hub = self._action.engine.hub
        self._waiting += 1  # so that an engine that answers at once does not end it before all are begun
        for name in self._names[self._at : self._at + _TOPICS]:
            self._at += 1
            self._waiting += 1
            self._publish(name, tuple(self._messages.pop(name)))
            if hub.room <= 0:  # A topic that is created is told to very many readers of patterns.
                break
        self._settled()

    def _publish(self, name: str, messages: tuple[bytes, ...]) -> None:
        connection, action = self.connection, self._action
        engine, now = action.engine, connection.server.now()
        hub = engine.hub

        def done(outcome: Published | SloshError) -> None:
            self._note(name, len(messages), outcome)

        try:
            if self._revoked is not None:
                raise self._revoked
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
            place = write_cursor(outcome.epoch, outcome.newest)
            facts = {"max": outcome.newest, "next": place, "watchers": outcome.watchers}
            self._taken.append(write_json({name: facts})[1:-1])
        else:
            self._refused.append(write_json({name: {"code": outcome.code, "count": count}})[1:-1])
        self._settled()

    def _settled(self) -> None:
        """One thing less to wait for."""
        self._waiting -= 1
        if self._waiting:
            return
        if self._at < len(self._names):
            hub = self._action.engine.hub
            hub.spend(_TOPICS * _TOPIC)
            hub.put_off(self._publish_more)
            return
        if self.is_done:
            return  # The client has gone.
        self.is_done = True
        if self.connection.is_open:
            answer = b'{"accepted": %d, "topics": {%b}, "refused": {%b}}\n'
            answer %= self._accepted, b", ".join(self._taken), b", ".join(self._refused)
            self.connection.respond(200, JSON_ANSWER + (REPLAYED if self._replayed else b""), answer)


def take_apart(line: bytes) -> tuple[str, bytes]:
    """The topic and the message in a line, which is JSON.

    Raises:
        BadJson, BadTopic: it has none.
    """
    topic, message = raw_member(line, "topic"), raw_member(line, "message")
    if not topic.startswith(b'"') or not message:
        raise BadJson(_NO_OBJECT, 0)
    return check_name(json.loads(topic)), message


def take_out(line: bytes, max_depth: int) -> tuple[str, LongText | None]:
    """The topic in a long line, and its message, which is still to be checked; None if it has too much beside that.

    A line is JSON if its message is, and if it is JSON with a 0 in place of the message. If it is not, the topic is
    empty, and the whole line is to be checked, to tell the mistake.

    Raises:
        BadJson, BadTopic: it is no object, or its topic none.
    """
    if not line.lstrip(WHITE_SPACE).startswith(b"{"):
        raise BadJson(_NO_OBJECT, 0)
    begin, end = find_long_value(line)
    if not begin:
        return "", None
    try:
        name, message = take_apart(check_json(line[:begin] + b"0" + line[end:], max_depth + 1))
    except BadJson:
        return "", LongText(line, max_depth + 1)
    # Another member may be the message, also one that is 0.
    if message != b"0" or raw_member(line[:begin] + b"1" + line[end:], "message") != b"1":
        return name, None
    return name, LongText(line[begin:end], max_depth, before=begin)


def find_long_value(line: bytes) -> tuple[int, int]:
    """Where the value of a member begins and ends, in an object that has no more than `BESIDE` bytes beside it.

    From both ends that is behind the last colon, and before the first comma, which stand in no other value. In what is
    no JSON, or has more beside it, that may be anywhere: behind a colon, before a comma or a closing brace, or
    at (0, 0).
    """
    begin = 0
    for mark, at in _find_outermost(_find_marks(blank(line[: BESIDE + 1])), b"[{"):
        begin = at + 1 if mark == b":" else 0
    start = max(begin, len(line) - BESIDE - 1)
    # If that cuts a row of backslashes, a quote behind it may be taken for another, but nothing stands before that.
    end = len(line.rstrip(WHITE_SPACE)) - 1  # at the closing brace
    for mark, at in _find_outermost(reversed(list(_find_marks(blank(line[start:])))), b"]}"):
        if mark == b",":
            end = start + at
    return (begin, end) if 0 < begin < end else (0, 0)


def _find_outermost(marks: Iterable[re.Match[bytes]], opening: bytes) -> Iterator[tuple[bytes, int]]:
    """Those of `marks` that are a colon or a comma of the outermost object, and where each stands.

    Args:
        marks: from either end of a text.
        opening: the brackets that open when they come from there.
    """
    depth, is_inside = 0, False
    for match in marks:
        mark = match[0]
        if mark == b'"':
            is_inside = not is_inside
        elif not is_inside:
            if mark not in b":,":
                depth += 1 if mark in opening else -1
            elif depth == 1:
                yield mark, match.start()


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
