"""Which topics are active, as a stream: all of them first, then each that is created or ends.

With `every` a stream also tells, so often, of those whose counts have changed. The last that was seen of each
topic's counts is kept once for all such streams, so the memory does not grow with how many there are.
"""

from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Final

from slosh.access.rights import Rights
from slosh.core.topic import Shared
from slosh.durations import FORMS, parse_duration
from slosh.engine.base import Engine, TopicFacts
from slosh.errors import BadQuery, Draining, SloshError
from slosh.http1.connection import Connection
from slosh.http1.exchange import Exchange
from slosh.http1.handler import Action
from slosh.http1.head import Head
from slosh.http1.response import EVENT_STREAM, LAST_CHUNK, STREAMING, chunk, render_stream_head
from slosh.settings import Settings
from slosh.web.admission.gate import find_rights
from slosh.web.jsontext import write_json
from slosh.web.overview.topic_list import describe
from slosh.web.readers.eventsource import place_event
from slosh.web.readers.stream import end_of_life
from slosh.web.refusals import find_retry

_HEARTBEAT: Final = 15.0
_ONE_WRITE: Final = 4096
"""Bytes that a write counts more, because each has its own cost."""
_PAGE: Final = 128
"""Topics of which a stream is told in one turn."""
_PER_TOPIC: Final = 2048
"""Bytes that a topic in a page counts, for what it takes to make it."""
_ONE_LOOK: Final = 200
"""Bytes that it counts to see whether an event may be told."""
_RESET: Final = b'event: reset\ndata: {"reset":true}\n\n'
"""What the client knows of topics counts no more; all that are active follow."""
_COUNTED: Final = b"event: counted\ndata: {}\n\n"
"""With `every`: all that are active have been told, and those that are told no more have not changed."""
_SOONEST: Final = 1.0
_LATEST: Final = 3600.0
"""Bounds of `every`, seconds."""
_NEVER: Final = float("inf")


class TopicNews:
    """Tells all who watch which topics there are: each event is made once, and written to some of them in each turn.

    Args:
        engine: knows the topics.
    """

    __slots__ = ("_counting", "_counts", "_current", "_engine", "_events", "_made", "_waits", "_watching")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._watching: dict[_NewsStream, None] = {}
        self._events: list[tuple[str, bytes]] = []  # that nobody was told yet, with their topics' names
        self._current: list[tuple[str, bytes]] = []  # what is being told
        self._made: dict[Rights, tuple[bytes, bytes]] = {}  # the same for who may see so much, bare and as a chunk
        self._waits: deque[_NewsStream] = deque()  # that have still to be told it
        self._counting = 0  # streams with `every`
        self._counts: dict[str, tuple[tuple[int, int, float, bool], float]] = {}  # and since when they are so

    def observe(self, watching: "_NewsStream") -> None:
        """Tell `watching` of topics that are created and end. Call `unobserve` at its end."""
        if not self._watching:
            self._engine.observe(self)
        self._watching[watching] = None
        self._counting += watching.counts

    def unobserve(self, watching: "_NewsStream") -> None:
        """Tell it no more."""
        if self._watching.pop(watching, self) is not None:
            return
        self._counting -= watching.counts
        if not self._counting:
            self._counts = {}
        if not self._watching:
            self._engine.unobserve(self)

    def changed_at(self, facts: TopicFacts, now: float) -> float:
        """When it was first seen that a topic's counts are these, by the server's clock: `now`, if nobody knew."""
        counts = (facts.watchers, facts.newest, round(facts.rate, 3), facts.ended)
        known = self._counts.get(facts.name)
        if known is None or known[0] != counts:
            known = self._counts[facts.name] = (counts, now)
        return known[1]

    def topic_active(self, facts: TopicFacts) -> None:
        """As a listener: a topic is active."""
        self._add(facts.name, _event(b"active", describe(facts, self._engine.hub.classes)))

    def topic_ended(self, name: str) -> None:
        """As a listener: it has ended, and is active until nobody has read it for a while."""
        self._add(name, _event(b"ended", {"name": name}))

    def topic_inactive(self, name: str) -> None:
        """As a listener: it is no more."""
        self._counts.pop(name, None)
        self._add(name, _event(b"inactive", {"name": name}))

    def _add(self, name: str, event: bytes) -> None:
        if not self._events and not self._waits:
            self._engine.hub.put_off(self._spread)
        self._events.append((name, event))

    def _spread(self, shared: Shared) -> None:  # noqa: ARG002 - as the hub calls it
        """Write to as many as this turn has room for."""
        hub = self._engine.hub
        if not self._waits:
            self._current, self._events = self._events, []
            self._made = {}
            self._waits.extend(self._watching)
        while self._waits and hub.room > 0:
            watching = self._waits.popleft()
            if watching in self._watching:
                bare, chunked = self._make(watching.find_rights())
                hub.room -= len(bare) + _ONE_WRITE
                if bare:
                    watching.tell(bare, chunked)
        if self._waits or self._events:
            hub.put_off(self._spread)

    def _make(self, rights: Rights) -> tuple[bytes, bytes]:
        """What is told of the topics that may be seen, made once for all who may see the same."""
        made = self._made.get(rights)
        if made is None:
            if rights.sees_all:
                events = b"".join([event for _, event in self._current])
            else:
                events = b"".join([event for name, event in self._current if rights.may_see(name)])
                self._engine.hub.room -= _ONE_LOOK * len(self._current)
            made = self._made[rights] = events, chunk(events)
        return made


class WatchTopics(Action):
    """The action of `GET /topics?watch`: a stream of `active` and `inactive` events, all active topics first.

    Raises:
        BadQuery: `every` is not valid.
    """

    __slots__ = ("_engine", "_every", "_life", "_news", "_returns", "fields", "max_body")

    takes_time: bool = True

    def __init__(
        self,
        engine: Engine,
        news: TopicNews,
        settings: Settings,
        head: Head,
        parameters: dict[str, str],
        fields: bytes,
    ) -> None:
        self._engine = engine
        self._every = _parse_every(parameters)
        self._news = news
        self._life = settings.stream_life
        self._returns = bool(head.first(b"last-event-id"))
        self.fields = fields
        self.max_body = settings.max_body

    def may_be_held(self) -> bool:
        """As the base says; it is, as a stream."""
        return True

    def is_allowed(self, rights: Rights, variable: object | None) -> bool:  # noqa: ARG002 - it has no variable part
        """Whether anything may be seen at all; what it is, is chosen topic by topic."""
        return bool(rights.read or rights.publish)

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002 - a GET's body means nothing
        """Begin to stream.

        Raises:
            Draining: the server is shutting down; nothing new begins.
        """
        if connection.server.draining:
            raise Draining
        watching = _NewsStream(connection, self._engine, self._news, self._life, self._every)
        connection.hold(watching)
        watching.begin(EVENT_STREAM + STREAMING + self.fields, returns=self._returns)


def _parse_every(parameters: dict[str, str]) -> float:
    """Seconds between two tellings of the counts; infinite for none."""
    if "every" not in parameters:
        return _NEVER
    seconds = parse_duration(parameters["every"])
    if seconds is None or not _SOONEST <= seconds <= _LATEST:
        raise BadQuery("every", f"every is how often to tell whose counts have changed, {FORMS}, 1s to 1h.")
    return seconds


class _NewsStream(Exchange):
    """An open stream of which topics there are. A slow client is told all again when it has caught up.

    All topics are told a page in each turn, and while the client takes them.

    Attributes:
        counts: whether it also tells whose counts have changed.
    """

    __slots__ = (
        "_after",
        "_began",
        "_changed_since",
        "_connection",
        "_counts_at",
        "_ends_at",
        "_engine",
        "_every",
        "_found",
        "_is_asking",
        "_is_behind",
        "_is_told_all",
        "_news",
        "_turns",
        "counts",
    )

    def __init__(self, connection: Connection, engine: Engine, news: TopicNews, life: float, every: float) -> None:
        self._connection = connection
        self.counts = every < _NEVER
        self._every = every
        self._counts_at = connection.server.now() + every
        self._began = -_NEVER  # this telling of all
        self._changed_since = -_NEVER  # and what has not changed since then is left out
        self._engine = engine
        self._news = news
        self._is_behind = False
        self._is_told_all = False
        self._after = ""  # the last topic that it was told of, while it is told of all
        self._found: Sequence[TopicFacts] = ()  # and not yet told
        self._is_asking = False  # the engine
        self._turns = 0  # how often that began; what comes of an earlier one counts no more
        self._ends_at = end_of_life(connection, connection.server.now(), life)

    def begin(self, fields: bytes, *, returns: bool) -> None:
        connection = self._connection
        connection.write(render_stream_head(connection.server.date(), fields, chunked=bool(connection.head.minor)))
        self._news.observe(self)
        # A client that comes back by itself says this id, and hears that topics may have ended meanwhile.
        self._write(b": slosh\nretry: %d\n" % find_retry(connection.server) + place_event("topics"))
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

    def find_rights(self) -> Rights:
        """What the client may see just now."""
        return find_rights(self._connection)

    def deadline_passed(self) -> None:
        """A heartbeat is due, or the end."""
        now = self._connection.server.now()
        if now >= self._ends_at:
            self._connection.server.closed["stream_life"] += 1
            self.end()
            return
        if now >= self._counts_at:
            self._counts_at = now + self._every
            if self._is_told_all:
                self._tell_all(changed_since=self._began)
        else:
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
            self._engine.hub.put_off(partial(self._go_on, self._turns))
        self._rearm()

    def end(self) -> None:
        """End the stream."""
        self._news.unobserve(self)
        server, chunked = self._connection.server, bool(self._connection.head.minor)
        last = b"retry: %d\n" % find_retry(server) if server.draining else b""
        if chunked:
            last = (chunk(last) if last else b"") + LAST_CHUNK
        self._connection.finish(last, close=not chunked)

    def revoke(self, error: SloshError) -> None:  # noqa: ARG002 - the client comes back, and is told then
        """As the base says."""
        self.end()

    def lost(self) -> None:
        """The client has gone."""
        self._news.unobserve(self)

    def _rearm(self) -> None:
        """Let the next heartbeat come in its time; a client that has to catch up first has its own deadline."""
        if not self._connection.is_stalled:
            next_word = min(self._connection.server.now() + _HEARTBEAT, self._counts_at)
            self._connection.set_deadline(min(next_word, self._ends_at))

    def _tell_all(self, changed_since: float = -_NEVER) -> None:
        """Begin to tell of all topics, or of those that have changed, in a later turn: many may begin at a time."""
        self._began = self._connection.server.now()
        self._changed_since = changed_since
        self._after = ""
        self._found = ()
        self._is_told_all = False
        self._turns += 1
        self._engine.hub.put_off(partial(self._go_on, self._turns))

    def _go_on(self, turns: int, shared: Shared) -> None:
        """Tell of the next page, unless the client has to take the last one first: then `writable` does."""
        if not self._connection.is_held_by(self) or turns != self._turns or self._connection.is_stalled:
            return
        if self._found:
            self._tell_page(shared)
            return
        # A topic that is created before the answer is told twice, which says the same.
        engine, server = self._engine, self._connection.server
        self._is_asking = True
        engine.list_topics(self._after, engine.page, server.now(), partial(self._listed, turns))
        self._is_asking = False
        if self._found:
            self._tell_page(shared)

    def _listed(self, turns: int, found: Sequence[TopicFacts] | SloshError) -> None:
        """The engine has answered, at once or later."""
        if not self._connection.is_held_by(self) or turns != self._turns:
            return
        if isinstance(found, SloshError):
            self.end()  # The client comes back, and asks again.
            return
        self._found = found
        if not found:
            self._finish()
        if found and not self._is_asking:
            self._engine.hub.put_off(partial(self._go_on, turns))

    def _tell_page(self, shared: Shared) -> None:
        """Write a part of what was found. Those who are told of the same topics in this turn share the text."""
        found = self._found
        page, self._found = found[:_PAGE], found[_PAGE:]
        is_last = len(found) < self._engine.page and not self._found
        self._after = page[-1].name
        rights, classes = self.find_rights(), self._engine.hub.classes
        seen = [facts for facts in page if rights.may_see(facts.name)]
        if self.counts:
            self._engine.hub.room -= _ONE_LOOK * len(page)
            seen = self._find_changed(seen)
        key = ("topics", tuple(facts.name for facts in seen))
        events: bytes | None = shared.made.get(key)
        if events is None:
            self._engine.hub.room -= _PER_TOPIC * len(seen if self.counts else page)
            events = shared.made[key] = b"".join(_event(b"active", describe(facts, classes)) for facts in seen)
        if events:
            self._write(events)
        if is_last:
            self._finish()
        else:
            self._engine.hub.put_off(partial(self._go_on, self._turns))

    def _find_changed(self, page: Sequence[TopicFacts]) -> list[TopicFacts]:
        now = self._connection.server.now()
        changed = [(facts, self._news.changed_at(facts, now)) for facts in page]
        return [facts for facts, at in changed if at > self._changed_since or at == now]

    def _finish(self) -> None:
        """All are told."""
        self._is_told_all = True
        if self.counts:
            self._write(_COUNTED)

    def _write(self, data: bytes) -> None:
        self._connection.write(chunk(data) if self._connection.head.minor else data)


def _event(name: bytes, facts: dict[str, object]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name, write_json(facts))
