"""What all ways of reading have in common: find the topics, find the places, and begin."""

import re
from collections.abc import Callable
from functools import partial
from typing import ClassVar, Final

from slosh.compiled import mypyc_attr
from slosh.core.cursor import EPOCH_LENGTH, Cursor, length_in_url
from slosh.core.reading import Sift, Since, locate
from slosh.core.subscription import Batch, Following, OneTopic, SeveralTopics, Subscription
from slosh.core.topic import Shared, Topic
from slosh.engine.base import Engine
from slosh.errors import BadTopic, Draining, EngineUnreachable, SloshError
from slosh.settings import Settings
from slosh.web.action import Action, Exchange
from slosh.web.asking import MAX_LINE, MAX_MATCHES, Asked, Format
from slosh.web.connection import Connection
from slosh.web.memory import Texts
from slosh.web.shares import take_share

_PLAIN_DIGITS: Final = 15
PLAIN_CURSOR: Final = rb"[0-9a-z]{1,32}\.(?:0|[1-9][0-9]{0,%d})" % (_PLAIN_DIGITS - 1)
"""Cursors that need no thought; those with longer offsets are read with more."""
_cursor: Final = re.compile(PLAIN_CURSOR)
_LONGEST_FIELD: Final = 2048
"""Characters of a `Slosh-Next`. nginx takes 4 KiB of header fields in all from us (proxy_buffer_size) and says 502 to
more, so a longer vector stands in the body alone."""
_TIME: Final = 24
"""Bytes of the time of a message."""
_ATTEMPTS: Final = 3
"""How often several topics are looked for again because one of them ended meanwhile."""
_NOT_FOUND: Final = "The messages' store is out of reach, and this topic is not known here. It is worth trying again."

_TOO_MANY: Final = f"These patterns take in more than {MAX_MATCHES} topics; ask for fewer topics at a time."
_SOME_CURSOR: Final = Cursor("0" * EPOCH_LENGTH, 0)
"""In place of that of a topic which is not there yet."""

keys: Final = Texts(10_000)
"""The keys of readers' actions. Clients say what stands in them."""


def next_field(cursor: str) -> bytes:
    """The `Slosh-Next` line, if it is not too long for one."""
    return b"Slosh-Next: %b\r\n" % cursor.encode("ascii") if fits_field(cursor) else b""


def fits_field(cursor: str) -> bool:
    """Whether a place is told in `Slosh-Next`."""
    return len(cursor) <= _LONGEST_FIELD


class Reader(Action):
    """The action of a GET on topics, as a base for each framing.

    Args:
        engine: knows the topics.
        settings: the bounds.
        asked: what the reader asks for.
        fields: header lines of every answer, often none.

    Attributes:
        key: the same for actions that write the same bytes for the same messages, as far as `keys` remembers.
    """

    __slots__ = (
        "_besides",
        "_epoch",
        "_epoch_part",
        "_most",
        "_sifts",
        "asked",
        "engine",
        "fields",
        "key",
        "max_body",
        "settings",
    )

    portion: ClassVar[int] = 1 << 60
    """Bytes of messages that are given together at most, apart from the setting."""
    besides: ClassVar[int] = 1
    """Bytes that are written with each message."""
    tells_places: ClassVar[bool] = False
    """Whether the places in all topics are written with each message."""

    def __init__(self, engine: Engine, settings: Settings, asked: Asked, fields: bytes) -> None:
        self.engine = engine
        self.settings = settings
        self.asked = asked
        self.fields = fields
        self.max_body = settings.max_body
        self._epoch = ""  # of the cursor that came last
        self._epoch_part = b""  # that and the dot behind it, as in a cursor
        self._most = min(settings.portion, self.portion)  # bytes of messages in one answer or line
        self._besides = self.besides + _TIME if asked.wanted.times else self.besides
        self._sifts = bool(asked.wanted.key)
        self.key = keys.find(repr((asked.format, asked.wanted, asked.cookie, asked.minimal, fields)))

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002 - a GET's body means nothing
        """Find the topics, then begin."""
        self.start(connection, None)

    def understand(self, part: bytes) -> object | None:
        """Another cursor."""
        if not self._epoch or not part.startswith(self._epoch_part):
            # Of another life than the cursor before, if it is one at all.
            if _cursor.fullmatch(part) is None:
                return None
            epoch = part[: part.index(b".")]
            self._epoch = epoch.decode("ascii")
            self._epoch_part = epoch + b"."
        digits = part[len(self._epoch_part) :]
        if not digits.isdigit() or len(digits) > _PLAIN_DIGITS or (digits[:1] == b"0" and len(digits) > 1):
            return None
        return Cursor(self._epoch, int(digits))

    def run_with(self, connection: Connection, body: bytes, said: object) -> None:
        """Begin at the cursor `said`, unless something else says where."""
        if isinstance(said, Cursor) and not self.asked.several and not self.asked.resumes:
            self.start(connection, said)
        else:
            self.run(connection, body)

    def start(self, connection: Connection, since: Since | None) -> None:
        """Find the topics, then begin.

        Args:
            since: where to start in the one topic, when it is not what was asked for.
        """
        now = connection.edge.now()
        self.check_request(connection)
        if not self.asked.several:
            topic = self.engine.at_hand(self.asked.names[0], now)
            if topic is not None:
                subscription = self.subscribe_to(topic, connection, now, since)
                if not subscription.is_reset():
                    self.begin(connection, subscription, now)
                    return
        self.check(connection, now)
        hub = self.engine.hub
        if not hub.opener:
            self.open_all(connection, since)
            return
        try:
            self.open_all(connection, since)
        finally:
            hub.opener = ""

    def open_all(self, connection: Connection, since: Since | None) -> None:
        """Have the engine find what is not at hand, then begin."""
        opening = _Opening(connection, self, since)
        opening.open()
        if not opening.is_done:
            # A reader without `wait` waits for the engine as long as for a message.
            wait = max(self.asked.wait, self.settings.engine_timeout)
            connection.hold(opening, connection.edge.now() + wait)

    def find(self, name: str, now: float, found: Callable[[Topic | SloshError], None], *, fresh: bool) -> None:
        """Ask the engine for a topic."""
        self.engine.open(name, now, found, fresh=fresh)

    def are_held(self, topics: list[Topic]) -> bool:
        """Whether all of `topics`, which were found one after another, are there still."""
        return all(map(self.engine.hub.holds, topics))

    def begin(self, connection: Connection, subscription: Subscription, now: float) -> None:
        """Answer, or hold what will answer."""
        raise NotImplementedError

    def subscribe_to(self, topic: Topic, connection: Connection, now: float, since: Since | None) -> OneTopic:  # noqa: ARG002 - others remember places there
        """The reader's place in the one topic that it named.

        Args:
            since: where to start, when it is not what was asked for.
        """
        place = locate(topic, self.asked.since(topic.name) if since is None else since, now)
        return OneTopic(self.engine.hub, topic, place)

    def subscribe(
        self, topics: list[Topic], connection: Connection, now: float, since: Since | None = None
    ) -> Subscription:
        """The reader's places in `topics`, which are those that it named, in that order, and by its patterns.

        Args:
            since: where to start in the one topic, when it is not what was asked for.

        Raises:
            BadTopic: the patterns take in too many topics.
        """
        hub, asked = self.engine.hub, self.asked
        if not asked.several:
            return self.subscribe_to(topics[0], connection, now, since)
        found = asked.in_order([*topics, *self.matched(now)])
        places = {topic: locate(topic, asked.since(topic.name), now) for topic in found}
        if asked.patterns:
            if len(places) > MAX_MATCHES:
                raise BadTopic(_TOO_MANY)
            following = Following(hub, places, asked.patterns, MAX_MATCHES, asked.room, connection.end_exchange)
            return _check_room(following, asked.room)
        return _check_room(SeveralTopics(hub, places), asked.room)

    def read(self, subscription: Subscription, shared: Shared, go_on: "GoOn", sift: Sift | None = None) -> Batch | None:
        """The next portion for a reader.

        None where this turn has no room for what that takes: `go_on` is called in a later one, with the sift for the
        next try.
        """
        hub, wanted = self.engine.hub, self.asked.wanted
        has_room = hub.room > 0
        if self._sifts:
            # Readers at one place share the sift, so that each message is looked at once for all of them.
            key = (subscription.key(), wanted.key)
            sift = sift or shared.made.get(key) or Sift(wanted.key)
            has_room = has_room and subscription.look(sift, self._most)
            if not has_room:
                shared.made[key] = sift
        if not has_room:
            hub.put_off(partial(go_on, sift))
            return None
        batch = subscription.read(wanted, self._most, sift, self._besides, tells_places=self.tells_places)
        if batch.is_part:
            hub.portions += 1
        return batch

    def matched(self, now: float) -> list[Topic]:
        """The topics that the reader's patterns take in, as far as they are known here.

        Raises:
            BadTopic: they are too many, or to find them takes too much.
        """
        if not self.asked.patterns:
            return []
        found = self.engine.hub.matching(self.asked.patterns, now, MAX_MATCHES)
        if len(found) > MAX_MATCHES:
            raise BadTopic(_TOO_MANY)
        return found

    def check_request(self, connection: Connection) -> None:
        """See, before anything else, whether this framing can be had for the present request.

        Raises:
            SloshError: it cannot.
        """

    def check(self, connection: Connection, now: float) -> None:
        """See, before anything is changed, that the request will not be refused for what it asks.

        Raises:
            SloshError: it will.
        """
        if self.asked.several:
            self._check_topics(connection, now)
        elif self.engine.hub.find(self.asked.names[0], now) is None:
            take_share(connection, self.engine.hub, 1)

    def _check_topics(self, connection: Connection, now: float) -> None:
        hub, asked = self.engine.hub, self.asked
        known = {topic.name: topic for topic in self.matched(now)}
        births = 0
        for name in asked.names:
            topic = hub.find(name, now)
            if topic is not None:
                known[name] = topic
            else:
                births += 1
        names = dict.fromkeys([*asked.names, *known])
        if asked.patterns and len(names) > MAX_MATCHES:
            raise BadTopic(_TOO_MANY)
        check_room(sum(length_in_url(name, _SOME_CURSOR) for name in names), asked.room)
        hub.check_room(known.values() if asked.wait or asked.format is not Format.JSON else (), births, now)
        if births:
            take_share(connection, hub, births)

    def stale(self, topics: list[Topic], now: float, since: Since | None) -> list[str]:
        """The names of those of `topics`, and of those that its patterns take in, where its place means nothing."""
        asked = self.asked
        return [
            topic.name
            for topic in dict.fromkeys([*topics, *self.matched(now)])
            if locate(topic, asked.since(topic.name) if since is None else since, now).reset
        ]


GoOn = Callable[[Sift | None, Shared], None]
"""Tries once more to read, with what was found before."""


@mypyc_attr(acyclic=True, free_list_len=1)
class Made:
    """What was made once and is written to all readers who stand at one place and want the same bytes.

    Attributes:
        place: that of the readers in their one topic, None where there are several.
        key: of the readers' action.
        variant: what else the bytes depend on.
        data: the bytes.
        batch: what they say.
        delivered: messages in it.
        lost: messages that it says are lost.
        is_all: whether it is known to leave nothing for a next portion.
    """

    __slots__ = ("batch", "data", "delivered", "is_all", "key", "lost", "place", "variant")

    def __init__(self, subscription: Subscription, key: str, variant: object, batch: Batch, data: bytes) -> None:
        self.place = None if batch.several else subscription.place
        self.key = key
        self.variant = variant
        self.batch = batch
        self.data = data
        self.delivered = 0
        self.lost = 0
        self.is_all = not batch.is_part
        for _, reading in batch.parts:
            self.delivered += len(reading.messages)
            self.lost += reading.lost


def recall(shared: Shared, subscription: Subscription, key: str, variant: object) -> Made | None:
    """What another reader has made in this wake-up that does for this one too, or None."""
    if shared.alone:
        return None
    made: Made | None = shared.made.get((subscription.key(), key, variant))
    if made is not None:
        shared.latest = made
    return made


def remember(shared: Shared, subscription: Subscription, made: Made) -> None:
    """Keep `made` for the other readers of this wake-up."""
    shared.latest = made
    if not shared.alone:
        shared.made[subscription.key(), made.key, made.variant] = made


def _check_room(subscription: SeveralTopics, room: int) -> SeveralTopics:
    """See that the reader can come back with what it is given."""
    check_room(subscription.length_in_url(), room)
    return subscription


def check_room(length: int, room: int) -> None:
    """See that places of this length fit into a request.

    Raises:
        BadTopic: they do not.
    """
    if length > room:
        raise BadTopic(
            f"The places in these topics take up to {length} bytes, and the next request has room for {max(room, 0)} "
            f"(max_head, and the {MAX_LINE} bytes of a request line that proxies pass on). Ask for fewer topics at a "
            f"time, or for such with shorter names."
        )


class _Opening(Exchange):
    """A reader whose topics the engine has not all found yet."""

    __slots__ = (
        "_action",
        "_asks",
        "_attempts",
        "_connection",
        "_is_over",
        "_names",
        "_since",
        "_stale",
        "_topics",
        "is_done",
    )

    def __init__(self, connection: Connection, action: Reader, since: Since | None) -> None:
        self._connection = connection
        self._action = action
        self._since = since
        self._names = action.asked.names
        self._topics: list[Topic] = []
        self._stale: list[str] = []  # topics that have to be asked for as they are now
        self._asks = False
        self._is_over = False
        self._attempts = _ATTEMPTS
        self.is_done = False

    def open(self) -> None:
        """Ask for the topics that are missing, then for those that the patterns take in, then begin."""
        now = self._connection.edge.now()
        self._asks = True
        while len(self._topics) < len(self._names) and not self.is_done:
            before = len(self._topics)
            name = self._names[before]
            self._action.find(name, now, self._opened, fresh=name in self._stale)
            if len(self._topics) == before:
                self._asks = False
                return  # The engine answers later, or has refused.
        # Last, because whoever follows patterns has to begin in the turn in which they were gathered.
        if self._action.asked.patterns:
            self._action.engine.gather(self._action.asked.patterns, now, self._gathered)
        else:
            self._gathered(None)

    def _gathered(self, refusal: SloshError | None) -> None:
        connection = self._connection
        self.is_done = True
        if self._is_over or not connection.is_open:
            return
        try:
            if refusal is not None:
                raise refusal
            if self._attempts and not self._action.are_held(self._topics):
                # While one was waited for another ended: the store may be out of reach for longer than `linger`.
                self._attempts -= 1
                self._anew()
                return
            now = connection.edge.now()
            subscription = self._action.subscribe(self._topics, connection, now, self._since)
            if subscription.is_reset() and not self._stale:
                # Its places may be newer than what this process has heard: nobody is told of a loss that was none.
                self._stale = self._action.stale(self._topics, now, self._since)
                if self._stale:  # A look does not ask anew for what patterns take in.
                    self._names = tuple(dict.fromkeys([*self._names, *self._stale]))
                    self._anew()
                    return
            self._action.begin(connection, subscription, now)
        except SloshError as error:
            connection.refuse(error)

    def _anew(self) -> None:
        self.is_done, self._topics = False, []
        self.open()

    def _opened(self, topic: Topic | SloshError) -> None:
        connection = self._connection
        if self._is_over or not connection.is_open:
            return
        if isinstance(topic, SloshError):
            self.is_done = True
            connection.refuse(topic)
            return
        self._topics.append(topic)
        if not self._asks:
            self.open()

    def end(self) -> None:
        """The engine has not answered in time, or the server goes down."""
        self.lost()
        draining = self._connection.edge.draining
        gone = Draining("This server is going down.") if draining else EngineUnreachable(_NOT_FOUND)
        self._connection.refuse(gone)

    def lost(self) -> None:
        """The client has gone: nobody waits for the topics any more."""
        self._is_over = True
        if len(self._topics) < len(self._names):
            self._action.engine.unopen(self._names[len(self._topics)], self._opened)
