"""Which topics are active: the list. `topic_news.py` has its stream.

A producer learns here what to work out. `watcher_count.py` tells of a single topic.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

from slosh.access.rights import Rights
from slosh.core.classes import Classes
from slosh.core.topic import Shared
from slosh.engine.base import Engine, TopicFacts
from slosh.errors import CHALLENGE, BadQuery, SloshError
from slosh.http1.connection import Connection
from slosh.http1.handler import Action
from slosh.http1.response import JSON_ANSWER, field
from slosh.settings import Settings
from slosh.web.gate import find_rights
from slosh.web.jsontext import write_json
from slosh.web.later import LaterAnswer
from slosh.web.pattern_list import tell_patterns
from slosh.web.query import read_count, read_flag

_CHALLENGE: Final = field("WWW-Authenticate", CHALLENGE)
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
        BadQuery: `limit` is none, or stands beside `patterns`.
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
        listing = _TopicList(connection, self._engine, find_rights(connection), self._after, self._limit)
        listing.look()
        listing.hold()


class _TopicList(LaterAnswer):
    """A list of the topics that a client may see, at most `limit`: some are looked for and written in each turn.

    What it may not see shows nowhere: not in `after`, nor in whether there are more.
    """

    __slots__ = ("_after", "_engine", "_found", "_is_all", "_last", "_limit", "_parts", "_rights", "_size")

    def __init__(self, connection: Connection, engine: Engine, rights: Rights, after: str, limit: int) -> None:
        super().__init__(connection)
        self._engine = engine
        self._rights = rights
        self._after = after  # the last topic that was looked at
        self._limit = limit
        # An engine that has to ask for its topics is asked once, where all that it gives may be seen.
        self._size = _PORTION if engine.page < _LISTED else limit + 1 if rights.sees_all else _LISTED
        self._is_all = False
        self._found: deque[TopicFacts] = deque()  # that may be seen and are not yet written
        self._parts: list[bytes] = []
        self._last = ""  # the last topic that was written

    def look(self) -> None:
        """Look at the next topics."""
        self._engine.list_topics(self._after, self._size, self.connection.server.now(), self._listed)

    def _listed(self, found: Sequence[TopicFacts] | SloshError) -> None:
        if isinstance(found, SloshError):
            self.settle(found)
            return
        self._is_all = len(found) < self._size
        if found:
            self._after = found[-1].name
        self._found.extend(found if self._rights.sees_all else filter(self._may_see, found))
        self._write()

    def _may_see(self, facts: TopicFacts) -> bool:
        return self._rights.may_see(facts.name)

    def _write(self) -> None:
        """Write some of what was found; go on in another turn, or answer."""
        found, parts, classes = self._found, self._parts, self._engine.hub.classes
        for _ in range(min(_PORTION, len(found), self._limit - len(parts))):
            facts = found.popleft()
            self._last = facts.name
            parts.append(write_json(describe(facts, classes)))
        is_full = len(parts) == self._limit
        if (is_full and found) or (self._is_all and not found):
            if self.settle(None):
                after = b', "after": ' + write_json(self._last) if found else b""
                # Joined once: copies of so many bytes, of many clients at a time, would stay with the process.
                parts[:1] = [b'{"topics": [' + b"".join(parts[:1])]
                parts[-1] += b"]%b}\n" % after
                body = b", ".join(parts)
                parts.clear()
                self.connection.respond(200, self._fields(), body)
        else:
            self._engine.hub.put_off(self._go_on)

    def _fields(self) -> bytes:
        """With a challenge, where a token could show more (RFC 9110 §11.6.1): the viewer offers to sign in by it."""
        grant = self.connection.grant
        is_whole = grant is None or grant.key or self._rights.sees_all
        return JSON_ANSWER if is_whole else JSON_ANSWER + _CHALLENGE

    def _go_on(self, shared: Shared) -> None:  # noqa: ARG002 - as the hub calls it
        if not self.connection.is_held_by(self):
            return
        self._engine.hub.room -= _PORTION * _ONE_TOPIC
        if self._found and len(self._parts) < self._limit:
            self._write()
        else:
            self.look()
