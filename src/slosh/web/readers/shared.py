"""The base of all ways of reading: find the topics, find the reader's places, and begin."""

import re
from collections.abc import Callable
from functools import partial
from typing import ClassVar, Final

from slosh.access.rights import Rights
from slosh.compiled import mypyc_attr
from slosh.core.cursor import EPOCH_LENGTH, LONGEST_EPOCH, Cursor
from slosh.core.hub import Hub
from slosh.core.patterns import MAX_MATCHES
from slosh.core.reading import Offset, Place, Sift, Since, locate
from slosh.core.several import PatternSubscription, Room, SeveralTopics
from slosh.core.subscription import Batch, OneTopic, Subscription
from slosh.core.topic import Shared, Topic
from slosh.engine.base import Engine
from slosh.errors import BadTopic
from slosh.http1.connection import Connection
from slosh.http1.heads import InternTable
from slosh.settings import Settings
from slosh.web.admission.shares import take_share
from slosh.web.readers.formats import AS_EVENTS, AS_JSON, Format
from slosh.web.readers.opening import Opener
from slosh.web.readers.request import ReadRequest
from slosh.web.readers.room import check_room, find_room, length_in_url
from slosh.web.readers.state import ReaderState

_PLAIN_DIGITS: Final = 15
_ZERO: Final = ord("0")
PLAIN_CURSOR: Final = rb"[0-9a-z]{%d,%d}\.(?:0|[1-9][0-9]{0,%d})" % (EPOCH_LENGTH, LONGEST_EPOCH, _PLAIN_DIGITS - 1)
"""Cursors in the variable part of a head. Longer offsets are left to `parse_cursor`; a shorter epoch may be seconds."""
PLAIN_OFFSET: Final = rb"[0-9]{1,%d}" % _PLAIN_DIGITS
"""Offsets in the variable part of a head."""
_cursor: Final = re.compile(PLAIN_CURSOR)
_LONGEST_FIELD: Final = 2048
"""Characters of `Slosh-Next` at most. nginx accepts 4 KiB of header fields in total (proxy_buffer_size) and answers 502
if there are more, so a longer vector is only in the body."""
_TIME: Final = 24
"""Bytes that `times` adds for each message."""
_PLACE: Final = 512
"""Room of a turn that each topic of a reader of several takes when its messages are read and encoded."""
_SAME_PLACE: Final = 64
"""The same if the answer of another reader at the same places is reused."""

_TOO_MANY: Final = f"These patterns take in more than {MAX_MATCHES} topics; ask for fewer topics at a time."
_SOME_CURSOR: Final = Cursor("0" * EPOCH_LENGTH, 0)
"""In place of the cursor of a topic that is still to be created."""

keys: Final = InternTable(10_000)
"""The keys of readers' actions, bounded because clients determine their contents."""


def next_field(cursor: str) -> bytes:
    """The `Slosh-Next` line; empty if the cursor is too long for it."""
    return b"Slosh-Next: %b\r\n" % cursor.encode("ascii") if fits_field(cursor) else b""


def fits_field(cursor: str) -> bool:
    """Whether a cursor is short enough for `Slosh-Next`."""
    return len(cursor) <= _LONGEST_FIELD


class Reader(Opener):
    """The action of a GET on topics; the base class of each framing.

    Args:
        engine: knows the topics.
        settings: the bounds.
        asked: the parsed request.
        fields: header lines of every answer, often none.
        state: the state that all readers share.

    Attributes:
        key: the same object for actions that write the same bytes for the same messages, as far as `keys` remembers.
        sifts: whether messages have to be searched for a `key`, which may take several turns.
    """

    __slots__ = (
        "_by_offset",
        "_epoch",
        "_epoch_part",
        "_most",
        "_overhead",
        "key",
        "sifts",
        "state",
        "takes_time",
    )

    format: ClassVar[Format] = AS_JSON
    """The framing, for classes in the table of `web/routes.py`."""
    portion: ClassVar[int] = 1 << 60
    """Bytes of messages in one answer or line at most, besides the setting `portion`."""
    overhead: ClassVar[int] = 1
    """Bytes that are written with each message."""
    tells_places: ClassVar[bool] = False
    """Whether the whole vector is written with each message."""

    def __init__(
        self, engine: Engine, settings: Settings, asked: ReadRequest, fields: bytes, state: ReaderState
    ) -> None:
        super().__init__(engine, settings, asked, fields)
        self.state = state
        self._by_offset = "n" in asked.parameters and "since" not in asked.parameters  # whether `n` says where to start
        self._epoch = ""  # of the cursor that came last
        self._epoch_part = b""  # that and the dot behind it, as in a cursor
        self._most = min(settings.portion, self.portion)  # bytes of messages in one answer or line
        self._overhead = self.overhead + _TIME if asked.wanted.times else self.overhead
        self.sifts = bool(asked.wanted.key)
        self.takes_time = asked.several or self.sifts
        wanted = asked.wanted
        said = (asked.format.name, wanted.limit, wanted.key, wanted.times, asked.cookie, asked.minimal, fields)
        self.key = keys.find(repr(said))

    def is_allowed(self, rights: Rights, variable: object | None) -> bool:  # noqa: ARG002 - another cursor, the same topics
        """Whether the client may read all named topics, and every topic that the patterns could match."""
        asked = self.asked
        return all(map(rights.may_read, asked.names)) and all(map(rights.may_follow, asked.patterns))

    def understand(self, part: bytes) -> object | None:
        """Another cursor, or another offset."""
        if self._by_offset:
            number = _read_number(part, 0)
            return Offset(number) if number >= 0 else None
        if not self._epoch or not part.startswith(self._epoch_part):
            # It has another epoch than the last cursor, if it is a cursor at all.
            if _cursor.fullmatch(part) is None:
                return None
            epoch = part[: part.index(b".")]
            self._epoch = epoch.decode("ascii")
            self._epoch_part = epoch + b"."
        at = len(self._epoch_part)
        number = _read_number(part, at)
        if number < 0 or (part[at] == _ZERO and len(part) > at + 1):
            return None
        return Cursor(self._epoch, number)

    def run_with(self, connection: Connection, body: bytes, variable: object) -> None:
        """Begin at the place `variable`, unless `Last-Event-ID` says where."""
        since: Since | None = None
        if isinstance(variable, Cursor) or isinstance(variable, Offset):  # noqa: SIM101 - a union would be made for each poll
            since = variable
        if since is not None and not self.asked.several and not self.asked.resumes:
            self.start(connection, since)
        else:
            self.run(connection, body)

    def start(self, connection: Connection, since: Since | None) -> None:
        """Find the topics, then begin.

        Args:
            since: the place to start from in the one topic; None for the one in the parsed request.
        """
        now = connection.server.now()
        self.check_request(connection)
        if not self.asked.several:
            topic = self.engine.find_open(self.asked.names[0], now)
            if topic is not None:
                subscription = self.subscribe_to(topic, now, since)
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

    def subscribe_to(self, topic: Topic, now: float, since: Since | None) -> OneTopic:
        """The reader's place in the one topic that it named.

        Args:
            since: the place to start from; None for the one in the parsed request.
        """
        place = locate(topic, self.asked.since(topic.name) if since is None else since, now)
        return OneTopic(self.engine.hub, topic, self.state.share_start(self, topic, place))

    def subscribe(
        self, topics: list[Topic], connection: Connection, now: float, since: Since | None = None
    ) -> Subscription:
        """The reader's places in `topics`, which it named, in that order, and in those that its patterns match.

        Args:
            since: the place to start from in the one topic; None for the one in the parsed request.

        Raises:
            BadTopic: the patterns match too many topics.
        """
        hub, asked = self.engine.hub, self.asked
        if not asked.several:
            return self.subscribe_to(topics[0], now, since)
        longest = self._find_room(connection)
        found = asked.in_order(list(dict.fromkeys([*topics, *self.matched(now)])))
        incomplete = False
        if asked.goes_on:
            found, incomplete = _choose(found, longest)
        over = {topic: None for topic in found if asked.has_left(topic)}
        if len(over) == len(found) and not asked.patterns:
            # All of them have ended, and the reader is told so again.
            return _check_room(SeveralTopics(hub, {topic: Place(topic.last) for topic in found}), longest)
        places = {topic: locate(topic, asked.since(topic.name), now) for topic in found if topic not in over}
        if asked.patterns:
            if len(found) > MAX_MATCHES:
                raise BadTopic(_TOO_MANY)
            room = Room(MAX_MATCHES, longest, length_in_url)
            following = PatternSubscription(hub, places, asked.patterns, room, over, incomplete=incomplete)
            return _check_room(following, longest)
        return _check_room(SeveralTopics(hub, places), longest)

    def read(self, subscription: Subscription, shared: Shared, sift: Sift | None = None) -> Batch | None:
        """The next portion for a reader. None if this turn has no room to read it: call `put_off` then."""
        hub, wanted = self.engine.hub, self.asked.wanted
        has_room = hub.room > 0
        if self.sifts:
            # Readers at one place share the sift, so that each message is searched once for all of them.
            key = (subscription.key(), wanted.key)
            sift = sift or shared.made.get(key) or Sift(wanted.key)
            has_room = has_room and subscription.look(sift, self._most)
            if not has_room:
                shared.made[key] = sift
        if not has_room:
            return None
        batch = subscription.read(wanted, self._most, sift, self._overhead, tells_places=self.tells_places)
        if batch.is_part:
            hub.portions += 1
        if batch.several:
            hub.room -= _PLACE * len(batch.before)
        return batch

    def put_off(self, subscription: Subscription, shared: Shared, go_on: "GoOn") -> None:
        """Call `go_on` in a later turn, with the sift for the next call of `read`."""
        sift = shared.made.get((subscription.key(), self.asked.wanted.key)) if self.sifts else None
        self.engine.hub.put_off(partial(go_on, sift))

    def matched(self, now: float) -> list[Topic]:
        """The topics that a reader of patterns reads besides those that it opens, as far as they are known here.

        These are the topics whose end it was given, also those that it named, because without them its cursor would
        forget that they have ended, and they would be new once more. Then those that its patterns match; of a reader
        that goes on, enough to say whether it can have all.

        Raises:
            BadTopic: they are too many for one that begins, or to find them takes too much.
        """
        asked, hub = self.asked, self.engine.hub
        if not asked.patterns:
            return []
        found = hub.matching(asked.patterns, now, MAX_MATCHES)
        if len(found) > MAX_MATCHES and not asked.goes_on:
            raise BadTopic(_TOO_MANY)
        left = [topic for name in asked.left if (topic := hub.find(name, now)) is not None]
        return list(dict.fromkeys([*left, *found]))

    def _find_room(self, connection: Connection) -> int:
        """Characters that the reader's places in several topics may have in its next request.

        In the URL, or in `Last-Event-ID`, for that request is bounded as the current one is.
        """
        return find_room(connection.head, self.settings.max_head, in_field=self.asked.format is AS_EVENTS)

    def check_request(self, connection: Connection) -> None:
        """See, before anything else, whether this framing can be had for the current request.

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
            take_share(connection, self.engine, 1)

    def _check_topics(self, connection: Connection, now: float) -> None:
        hub, asked = self.engine.hub, self.asked
        known = {topic.name: topic for topic in self.matched(now)}
        new_topics = 0
        for name in asked.names:
            topic = hub.find(name, now)
            if topic is not None:
                known[name] = topic
            else:
                new_topics += 1
        names = dict.fromkeys(asked.names if asked.goes_on else [*asked.names, *known])
        if asked.patterns and len(names) > MAX_MATCHES:
            raise BadTopic(_TOO_MANY)
        check_room(sum(length_in_url(name, _SOME_CURSOR) for name in names), self._find_room(connection))
        hub.check_room(known.values() if asked.wait or asked.format is not AS_JSON else (), new_topics, now)
        if new_topics:
            take_share(connection, self.engine, new_topics)

    def stale(self, topics: list[Topic], now: float, since: Since | None) -> list[str]:
        """The names of those of `topics`, and of those that its patterns match, if its place means nothing."""
        asked = self.asked
        return [
            topic.name
            for topic in dict.fromkeys([*topics, *self.matched(now)])
            if locate(topic, asked.since(topic.name) if since is None else since, now).reset
        ]


GoOn = Callable[[Sift | None, Shared], None]
"""Calls `read` again, with the sift from before."""


@mypyc_attr(acyclic=True, free_list_len=1)
class SharedAnswer:
    """An answer that is made once and written to all readers at one place that want the same bytes.

    Attributes:
        place: of the readers in their one topic; None for several topics.
        key: of the readers' action.
        variant: everything else that the bytes depend on.
        data: the bytes.
        batch: the messages in them.
        delivered: the number of messages.
        lost: the number of messages that are reported as lost.
        ends: whether it has the end of a topic.
        is_all: whether nothing is left for a next portion.
    """

    __slots__ = ("batch", "data", "delivered", "ends", "is_all", "key", "lost", "place", "variant")

    def __init__(self, subscription: Subscription, key: str, variant: object, batch: Batch, data: bytes) -> None:
        self.place = None if batch.several else subscription.place
        self.key = key
        self.variant = variant
        self.batch = batch
        self.data = data
        self.delivered = 0
        self.lost = 0
        self.ends = False
        self.is_all = not batch.is_part
        for _, reading in batch.parts:
            self.delivered += len(reading.messages)
            self.lost += reading.lost
            self.ends = self.ends or reading.ended


def recall(hub: Hub, shared: Shared, subscription: Subscription, key: str, variant: object) -> SharedAnswer | None:
    """The answer that another reader has made in this wake-up, if it fits this one; otherwise None."""
    if shared.alone:
        return None
    made: SharedAnswer | None = shared.made.get((subscription.key(), key, variant))
    if made is not None:
        shared.latest = made
        if made.batch.several:
            hub.room -= _SAME_PLACE * len(made.batch.before)
    return made


def remember(shared: Shared, subscription: Subscription, made: SharedAnswer) -> None:
    """Keep `made` for the other readers of this wake-up."""
    shared.latest = made
    if not shared.alone:
        shared.made[subscription.key(), made.key, made.variant] = made


def _read_number(text: bytes, at: int) -> int:
    """The number whose digits are `text` from `at` on, at most 15; -1 if it is none.

    Digit by digit, because to cut them out, to look at them and to have them read costs much more if it is compiled.
    """
    if not at < len(text) <= at + _PLAIN_DIGITS:
        return -1
    number = 0
    for place in range(at, len(text)):
        digit = text[place] - _ZERO
        if not 0 <= digit <= 9:
            return -1
        number = 10 * number + digit
    return number


def _choose(found: list[Topic], room: int) -> tuple[list[Topic], bool]:
    """The first topics of `found` that a reader of patterns has room for, and whether some are left out."""
    chosen: list[Topic] = []
    for topic in found:
        length = length_in_url(topic.name, Cursor(topic.epoch, topic.last))
        if len(chosen) < MAX_MATCHES and length <= room:
            chosen.append(topic)
            room -= length
    return chosen, len(chosen) < len(found)


def _check_room(subscription: SeveralTopics, room: int) -> SeveralTopics:
    """Check that the reader's vector will fit into its next request."""
    check_room(subscription.measure(length_in_url), room)
    return subscription
