"""Which topics are active: the list. `topic_news.py` has its stream.

A producer learns here what to work out. `watcher_count.py` tells of a single topic.
"""

from collections import deque
from collections.abc import Sequence
from typing import ClassVar, Final

from slosh.access.rights import Rights
from slosh.core.classes import Classes
from slosh.core.topic import Shared
from slosh.engine.base import Engine, TopicFacts
from slosh.errors import CHALLENGE, BadQuery, SloshError
from slosh.http1.connection import Connection
from slosh.http1.exchange import Exchange
from slosh.http1.handler import Action
from slosh.http1.response import JSON_ANSWER, LAST_CHUNK, chunk, field, render_stream_head
from slosh.settings import Settings
from slosh.web.admission.gate import find_rights
from slosh.web.jsontext import write_json
from slosh.web.overview.pattern_list import tell_patterns
from slosh.web.query import read_count, read_flag

_CHALLENGE: Final = field("WWW-Authenticate", CHALLENGE)
_BEGIN: Final = b'{"topics": ['
_LISTED: Final = 1000
"""Topics in one answer of the list; `after` asks for the next."""
_PORTION: Final = 100
"""Topics of a list that are looked for and written in one turn."""
_ONE_TOPIC: Final = 4096
"""Bytes that each of them counts, for what it takes to do so."""


def describe(facts: TopicFacts, classes: Classes) -> dict[str, object]:
    """What is told of a topic: watchers, newest offset, age in seconds, messages a second, its class, and its end."""
    members: dict[str, object] = {
        "name": facts.name,
        "watchers": facts.watchers,
        "max": facts.newest,
        "age": round(facts.age, 3),
        "rate": round(facts.rate, 3),
        "class": classes.find(facts.name).pattern,
    }
    if facts.ended:
        members["ended"] = True
    return members


class ListTopics(Action):
    """The action of `GET /topics`: the active topics by name, from the query's `after` on, at most `limit`.

    With `patterns` those are told in their place by which somebody reads.

    Raises:
        BadQuery: `limit` is not valid, or stands beside `patterns`.
    """

    __slots__ = ("_after", "_engine", "_limit", "_tells_patterns", "fields", "max_body")

    takes_time: bool = True

    def __init__(self, engine: Engine, settings: Settings, parameters: dict[str, str], fields: bytes) -> None:
        self._engine = engine
        self._after = parameters.get("after", "")
        self._limit = read_count(parameters["limit"]) if "limit" in parameters else _LISTED
        if not 0 < self._limit <= _LISTED:
            raise BadQuery("limit", f"limit is how many topics to list, 1 to {_LISTED}; after=<name> lists the next.")
        self._tells_patterns = read_flag(parameters, "patterns")
        if self._tells_patterns and not parameters.keys().isdisjoint(("limit", "after")):
            raise BadQuery(
                "patterns", "The list of patterns is told as a whole; leave limit and after out.", tells_value=False
            )
        self.fields = fields
        self.max_body = settings.max_body

    def is_allowed(self, rights: Rights, variable: object | None) -> bool:  # noqa: ARG002 - it has no variable part
        """Whether anything may be seen at all; what it is, is chosen topic by topic."""
        return bool(rights.read or rights.publish)

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002 - a GET's body means nothing
        """List them."""
        if self._tells_patterns:
            tell_patterns(connection, self._engine)
            return
        listing = _TopicList(connection, self._engine, find_rights(connection), self._after, self._limit, self.fields)
        connection.hold(listing)
        listing.look()


class _TopicList(Exchange):
    """A list of the topics that a client may see, at most `limit`: some are looked for and written in each turn.

    What it may not see shows nowhere: not in `after`, nor in whether there are more. A list that takes several turns is
    written in chunks, each once the client has taken the one before, so no list is ever here as a whole.
    """

    __slots__ = (
        "_after",
        "_connection",
        "_count",
        "_engine",
        "_fields",
        "_found",
        "_has_begun",
        "_is_all",
        "_last",
        "_limit",
        "_rights",
        "_size",
        "_waits",
    )

    outlives_eof: ClassVar[bool] = True

    def __init__(
        self, connection: Connection, engine: Engine, rights: Rights, after: str, limit: int, fields: bytes
    ) -> None:
        self._connection = connection
        self._engine = engine
        self._rights = rights
        self._after = after  # the last topic that was looked at
        self._limit = limit
        self._fields = fields  # of every answer to this request
        # An engine that has to ask for its topics is asked once, if all that it gives may be seen.
        self._size = _PORTION if engine.page < _LISTED else limit + 1 if rights.sees_all else _LISTED
        self._is_all = False
        self._found: deque[TopicFacts] = deque()  # that may be seen and are not yet written
        self._count = 0  # topics that are written
        self._last = ""  # the last of them
        self._has_begun = False  # whether some are
        self._waits = False  # for its next turn

    def look(self) -> None:
        """Look at the next topics."""
        self._engine.list_topics(self._after, self._size, self._connection.server.now(), self._listed)

    def writable(self) -> None:
        """The client has taken what was written."""
        self._wait()

    def revoke(self, error: SloshError) -> None:
        """As the base says."""
        self._refuse(error)

    def _listed(self, found: Sequence[TopicFacts] | SloshError) -> None:
        if not self._connection.is_held_by(self):
            return
        if isinstance(found, SloshError):
            self._refuse(found)
            return
        self._is_all = len(found) < self._size
        if found:
            self._after = found[-1].name
        self._found.extend(found if self._rights.sees_all else filter(self._may_see, found))
        self._write()

    def _may_see(self, facts: TopicFacts) -> bool:
        return self._rights.may_see(facts.name)

    def _refuse(self, error: SloshError) -> None:
        """Answer that there is no list, or cut off one that is begun: its end must not look like one."""
        if self._has_begun:
            self._connection.abandon()
        else:
            self._connection.refuse(error)

    def _write(self) -> None:
        """Write some of what was found; go on in another turn, or end."""
        found, classes = self._found, self._engine.hub.classes
        parts: list[bytes] = []
        for _ in range(min(_PORTION, len(found), self._limit - self._count)):
            facts = found.popleft()
            self._last = facts.name
            parts.append(write_json(describe(facts, classes)))
        self._count += len(parts)
        more = bool(found) and self._count == self._limit
        text = b", ".join(parts)
        if more or (self._is_all and not found):
            self._end(text, b', "after": %b' % write_json(self._last) if more else b"")
            return
        if text:
            self._write_part(text)
        if self._connection.is_held_by(self):
            if self._connection.is_stalled and self._found:
                # Looked for again when the client has taken this: until then the rest costs nothing.
                self._found.clear()
                self._after = self._last
            self._wait()

    def _write_part(self, text: bytes) -> None:
        """Write a part of a list that is not at its end."""
        connection = self._connection
        if not self._has_begun:
            head = connection.head
            begin = render_stream_head(
                connection.server.date(),
                self._list_fields() + self._fields,
                chunked=head.minor > 0,
                connection=connection.connection_field(),
            )
            if head.method == "HEAD":
                connection.finish(begin, close=not head.minor)
                return
            connection.write(begin)
        text = (b", " if self._has_begun else _BEGIN) + text
        self._has_begun = True
        connection.write(chunk(text) if connection.head.minor else text)

    def _end(self, text: bytes, after: bytes) -> None:
        """Write the last part, which may be the only one and may be empty."""
        connection = self._connection
        if not self._has_begun:
            connection.respond(200, self._list_fields(), b"%b%b]%b}\n" % (_BEGIN, text, after))
            return
        last = b"%b%b]%b}\n" % (b", " if text else b"", text, after)
        chunked = connection.head.minor > 0
        connection.finish(chunk(last) + LAST_CHUNK if chunked else last, close=not chunked, status=200)

    def _list_fields(self) -> bytes:
        """With a challenge, if a token could show more (RFC 9110 §11.6.1): the viewer offers to sign in by it."""
        grant = self._connection.grant
        is_whole = grant is None or grant.key or self._rights.sees_all
        return JSON_ANSWER if is_whole else JSON_ANSWER + _CHALLENGE

    def _wait(self) -> None:
        """Go on in another turn."""
        if not self._waits:
            self._waits = True
            self._engine.hub.put_off(self._go_on)

    def _go_on(self, shared: Shared) -> None:  # noqa: ARG002 - as the hub calls it
        self._waits = False
        if not self._connection.is_held_by(self) or self._connection.is_stalled:
            return
        rights = find_rights(self._connection)
        if rights is not self._rights:  # They may have changed while the client took its time.
            self._rights = rights
            self._found = deque(filter(self._may_see, self._found))
        self._engine.hub.room -= _PORTION * _ONE_TOPIC
        if self._found and self._count < self._limit:
            self._write()
        else:
            self.look()
