"""GET of a topic's history: what its numbers were, in columns that are ready to plot.

The rules of this file:

* An answer is of one moment, though a few of its series are worked out in each turn: until all are, messages that come
  in are put by (`Rollups.readers`).
* Answers are made one after the other.
* `next` is the place after the last message that the series have: a reader that goes on from there gets each message
  that is not in them, and none that is.
"""

import json
import math
from collections import deque
from typing import Any, ClassVar, Final

import msgspec

from slosh.core.buckets import Series
from slosh.core.cursor import Cursor
from slosh.core.histories import Histories
from slosh.core.reading import Now
from slosh.core.rollups import ASKED, LONGEST, Rollups
from slosh.core.subscription import OneTopic, Subscription
from slosh.core.topic import Topic
from slosh.core.window import MOST_POINTS, NO_WINDOW, Window, known_since, work_out_columns
from slosh.durations import FORMS, parse_duration
from slosh.engine.base import Engine
from slosh.errors import BadQuery, Draining, InternalError, SloshError
from slosh.http1.connection import Connection
from slosh.http1.exchange import Exchange
from slosh.http1.response import JSON_ANSWER
from slosh.settings.table import Settings
from slosh.web.query import read_count
from slosh.web.readers.formats import AS_JSON
from slosh.web.readers.request import ReadRequest
from slosh.web.readers.shared import Reader, next_field
from slosh.web.readers.state import ReaderState

_ALL: Final = "all"
_POINTS: Final = 600
_CELLS: Final = 65_536
"""Elements of all arrays of one kind in an answer: an answer has four of each series, some 20 bytes each at most."""
_PATHS: Final = 64
_BUCKET: Final = 100
_POINT: Final = 900
"""Bytes that a bucket to be gone over, and a step to be written, count, by the time that they take."""

_encoder: Final = msgspec.json.Encoder()


class HistoryRequest:
    """What is asked of a history.

    Args:
        asked: the request.

    Attributes:
        span: seconds; infinite for all that is kept.
        is_bounded: whether it is all that is kept that is wanted if that is less than `span`.
        points: steps, at most; 0 if nothing is said of them.
        paths: of the series that are wanted; None for all.
        by: the path of the field that tells series apart; empty for none.

    Raises:
        BadQuery: it makes no sense.
    """

    __slots__ = ("by", "is_bounded", "paths", "points", "span")

    def __init__(self, asked: ReadRequest) -> None:
        parameters = asked.parameters
        if asked.several:
            raise BadQuery(
                "history",
                "A history is of one topic, and several or a pattern are named here; ask for one after the other.",
                tells_value=False,
            )
        if asked.format is not AS_JSON:
            raise BadQuery(
                "history",
                "A history is answered at once, as JSON. Read on with a stream from its next.",
                tells_value=False,
            )
        text, comma, less = parameters["history"].partition(",")
        self.is_bounded = _ALL in (text, less)
        span = math.inf if text == _ALL else parse_duration(text)
        if not span or (comma and less != _ALL):
            raise BadQuery("history", f"history is how far to look back, {FORMS}; or all, for all that is kept.")
        self.span = span
        self.points = read_count(parameters["points"]) if "points" in parameters else 0
        if "points" in parameters and not 1 <= self.points <= MOST_POINTS:
            raise BadQuery("points", f"points is how many steps there are to be at most, 1 to {MOST_POINTS}.")
        self.by = parameters.get("by", "")
        if len(self.by.encode()) > LONGEST:
            raise BadQuery("by", f"by is the path of a member, of at most {LONGEST} bytes.")
        self.paths: frozenset[str] | None = None
        if "path" in parameters:
            self.paths = frozenset(parameters["path"].split(","))
            if len(self.paths) > _PATHS:
                raise BadQuery("path", f"path names at most {_PATHS} numbers, with commas between.")


class History(Reader):
    """The action of a GET with `history`."""

    __slots__ = ("wanted",)

    def __init__(
        self, engine: Engine, settings: Settings, asked: ReadRequest, fields: bytes, state: ReaderState
    ) -> None:
        super().__init__(engine, settings, asked, fields, state)
        self.wanted = HistoryRequest(asked)
        self.takes_time = True

    def may_be_held(self) -> bool:
        """As the base says; it is not, for it waits for nothing but its turn."""
        return False

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002 - a GET's body means nothing
        """Find the topic, then begin. If the reader was before does not count."""
        self.start(connection, Now())

    def run_with(self, connection: Connection, body: bytes, variable: object) -> None:  # noqa: ARG002 - as above
        """The same."""
        self.run(connection, body)

    def check_request(self, connection: Connection) -> None:  # noqa: ARG002 - whichever it comes on
        """As the base says: a class keeps so much and no more.

        Raises:
            BadQuery: it is asked for more.
        """
        if not self.wanted.is_bounded:
            check_span(self.engine, self.asked.names[0], self.wanted.span)

    def begin(self, connection: Connection, subscription: Subscription, now: float) -> None:  # noqa: ARG002 - the base's
        """Wait for the turn of this answer."""
        assert isinstance(subscription, OneTopic)  # noqa: S101 - of one topic, which was checked
        topic = subscription.topic
        hub = self.engine.hub
        rollups = hub.histories.open(topic)
        if hub.histories.has_room and not rollups.is_catching_up:  # else it begins in its turn
            hub.begin_history(topic, self.wanted.by)
        answer = _Answer(connection, self, topic, rollups)
        connection.hold(answer)
        self.state.backlog.add(answer, hub)


class _Answer(Exchange):
    """An answer that is being made."""

    __slots__ = ("_action", "_connection", "_facts", "_parts", "_rollups", "_series", "_topic", "_upto", "_window")

    outlives_eof: ClassVar[bool] = True

    def __init__(self, connection: Connection, action: History, topic: Topic, rollups: Rollups) -> None:
        self._connection = connection
        self._action = action
        self._topic = topic
        self._rollups = rollups
        self._upto = topic.last  # All that came before it was asked is in it.
        self._window: Window | None = None
        self._series: deque[Series] = deque()
        self._parts: list[bytes] = []
        self._facts: dict[str, Any] = {}

    def go_on(self, room: int) -> int:
        """Do a part of the work that costs about `room` bytes, and give what it cost; -1 if it has to wait."""
        if not self._connection.is_held_by(self):  # The client has gone.
            self._leave()
            return 0
        window = self._window
        if window is None:
            if self._waits():
                return -1
            try:
                window = self._begin()
            except SloshError as error:
                self._leave()
                self._connection.refuse(error)
                return 0
        spent = work_out(self._series, window, room, self._parts)
        if not self._series:
            self._leave()
            self._finish()
        return spent

    def _waits(self) -> bool:
        """Whether the series have still to come to what is asked for.

        If other fields are asked for at the same time they begin here, one after the other: each that begins may be
        the end of another.
        """
        topic, rollups, hub, by = self._topic, self._rollups, self._action.engine.hub, self._action.wanted.by
        if topic.rollups is not rollups:
            return False  # The topic's life is over, or there was no memory for its history.
        if rollups.readers or rollups.is_catching_up:
            return True
        if rollups.group(by) is None:
            if not hub.histories.has_room:
                return True
            hub.begin_history(topic, by)
        return not rollups.has(self._upto)

    def fail(self) -> None:
        """As the base says."""
        self._leave()
        if self._connection.is_held_by(self):
            self._connection.refuse(InternalError())

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return self._window is not None and not self._series

    def _begin(self) -> Window:
        """Choose what the answer is made of, and let nothing new come into it."""
        topic, rollups, wanted, server = self._topic, self._rollups, self._action.wanted, self._connection.server
        now = max(int(server.wall() * 1000), topic.latest_wall)
        span = min(wanted.span, Histories.span_of(topic)) if wanted.is_bounded else wanted.span
        group = rollups.group(wanted.by)
        every = group.series() if group is not None else ()
        self._series.extend(each for each in every if wanted.paths is None or each.path in wanted.paths)
        count = len(self._series)
        self._window = window = Window(span, wanted.points or min(_POINTS, _CELLS // max(count, 1)), now)
        rollups.readers += 1
        if count * window.points > _CELLS:
            raise BadQuery(
                "points",
                f"There are {count} series; with points={wanted.points} that is more than {_CELLS} elements of each "
                f"array. Ask for points={_CELLS // count} or fewer, or for some series with path.",
            )
        known_from = max(
            [group.since if group is not None else now, *(known_since(each, window) for each in self._series)]
        )
        known_from = min(now, max(known_from, now - int((server.now() - topic.created_at) * 1000)))
        self._facts = {
            "from": window.start,
            "to": window.end,
            "step": window.step,
            "max": topic.last,
            "next": str(Cursor(topic.epoch, rollups.rolled)),
            **({"known_from": known_from} if known_from > window.start else {}),
            **({"unlisted": rollups.unlisted} if rollups.unlisted else {}),
            **({"missed": rollups.missed} if rollups.missed else {}),
        }
        return window

    def _leave(self) -> None:
        """Let what waits come into the series. Calling it again does nothing."""
        if self._window is not None and self._window is not NO_WINDOW:
            self._rollups.readers -= 1
        self._window = NO_WINDOW
        self._series.clear()

    def _finish(self) -> None:
        place = next_field(str(self._facts["next"]))
        body = b'%b,"series":[%b]}\n' % (_encode(self._facts)[:-1], b",".join(self._parts))
        self._parts = []
        self._connection.respond(200, JSON_ANSWER + place, body)

    def end(self) -> None:
        """The server is shutting down."""
        self._connection.refuse(Draining())


def work_out(series: deque[Series], window: Window, room: int, parts: list[bytes]) -> int:
    """Write the first of `series` into `parts`, as many as cost about `room` bytes. Returns what they cost."""
    spent = 0
    while series and spent < room:
        columns, column = work_out_columns(series.popleft(), window)
        parts.append(_encode(column))
        spent += _BUCKET * columns + _POINT * window.points
    return spent


def _encode(facts: dict[str, Any]) -> bytes:
    """JSON. Halves of characters, that names and values of messages may have, are escaped, as they were there."""
    try:
        return _encoder.encode(facts)
    except UnicodeEncodeError:
        return json.dumps(facts, separators=(",", ":")).encode()


def check_span(engine: Engine, name: str, span: float) -> None:
    """Check that the class of the topic `name` keeps a history that reaches back so far.

    Raises:
        BadQuery: it does not.
    """
    kind = engine.hub.classes.find(name)
    most = kind.history or ASKED
    if span > most:
        reason = (
            "which is what its class keeps (the setting history)"
            if kind.history
            else "because its class does not say how long a history it keeps (the setting history)"
        )
        raise BadQuery("history", f"The history of this topic reaches back {most:g} s at most, {reason}.")
