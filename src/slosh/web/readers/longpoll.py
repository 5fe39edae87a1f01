"""GET of topics as a long-poll: wait until there is something to read, then answer with all of it.

The rules of this file:

* A reader's place comes with its request and is not stored here: a client whose answer was lost asks again with the
  same place, and is given the same messages.
* A reader that has something to read already takes the same path as one that is woken: it registers, and the
  hub wakes it in the same turn. So answers are made once for all readers at one place, however many come at once.
* An answer has at most a portion of the messages, like a stream's write; the next poll gets the rest at once. So
  clients that do not read their answers keep no more messages in memory than streams would.
* A held poll consists of one small object and one entry in its topic; it shares its place with others there.
"""

from collections.abc import Callable
from typing import Final

from slosh.compiled import mypyc_attr
from slosh.core.cursor import EPOCH_LENGTH
from slosh.core.portions import COPIES, WAKE
from slosh.core.reading import Sift, Since, locate
from slosh.core.subscription import Batch, OneTopic, Subscription
from slosh.core.topic import Shared, Topic
from slosh.engine.base import Engine
from slosh.errors import SloshError
from slosh.http1.connection import Connection
from slosh.http1.exchange import Exchange
from slosh.http1.response import JSON_ANSWER, render, render_start
from slosh.settings import Settings
from slosh.web.readers.envelope import encode_envelope
from slosh.web.readers.request import ReadRequest
from slosh.web.readers.shared import Reader, SharedAnswer, next_field, recall, remember
from slosh.web.readers.state import ReaderState

_NO_EPOCH: Final = "0" * EPOCH_LENGTH
"""The epoch of a topic that is not active."""


class LongPoll(Reader):
    """The action of a GET that is answered once."""

    __slots__ = ("_closing", "_date", "_start")

    def __init__(
        self, engine: Engine, settings: Settings, asked: ReadRequest, fields: bytes, state: ReaderState
    ) -> None:
        super().__init__(engine, settings, asked, fields, state)
        self._start = b""  # the head of a usual answer
        self._date = b""  # the date in `_start`
        self._closing = b""  # the `Connection` line in `_start`

    def may_be_held(self) -> bool:
        """As the base says."""
        return self.asked.wait > 0

    def is_answered_at_once(self, connection: Connection) -> bool:
        """As the base says."""
        return self.asked.wait == 0 or connection.head.method == "HEAD"

    def begin(self, connection: Connection, subscription: Subscription, now: float) -> None:
        """Answer at once for `wait=0`; otherwise wait until there is something after the reader's places."""
        poll = Poll(connection, self, subscription)
        if self.asked.wait == 0:
            poll.answer_now(Shared(now))
            return
        subscription.watch(poll, now)
        asked = self.asked
        connection.hold(poll, now + (asked.find_wait(connection.head) if asked.says_wait else asked.wait))

    def subscribe_to(self, topic: Topic, now: float, since: Since | None) -> OneTopic:
        """As the base says; consecutive polls at one place share the subscription, because a poll never moves it."""
        state = self.state
        latest = state.latest_place
        if latest is not None and latest.topic is topic:
            if since is not None and since is state.latest_since:
                return latest  # A cursor stays valid as long as the epoch does.
            place = locate(topic, self.asked.since(topic.name) if since is None else since, now)
            if place != latest.place:
                latest = OneTopic(self.engine.hub, topic, place)
        else:
            place = locate(topic, self.asked.since(topic.name) if since is None else since, now)
            latest = OneTopic(self.engine.hub, topic, place)
        if not latest.place.reset:  # The engine may be behind, and know this cursor in a moment.
            state.latest_place = latest
            state.latest_since = since
        return latest

    def answer(self, batch: Batch, connection: Connection) -> None:
        """Answer with what there is, often nothing."""
        self.state.count_batch(batch)
        connection.finish(self.render(batch, connection, timed_out=not (batch.saw or batch.ends)))

    def render(self, batch: Batch, connection: Connection, *, timed_out: bool = False) -> bytes:
        """The whole response."""
        date, closing = connection.server.date(), connection.connection_field()
        cursor = batch.cursor.encode("ascii")
        cookie = b"" if self.asked.cookie is None else cursor.join(self.asked.cookie)
        if timed_out or batch.several:
            fields = JSON_ANSWER + self.fields + next_field(batch.cursor) + cookie
            if timed_out and self.asked.minimal:
                return render(204, date, fields, b"", closing)
            return render(200, date, fields, encode_envelope(batch, timed_out=timed_out) + b"\n", closing)
        if date is not self._date or closing is not self._closing:
            self._date, self._closing = date, closing
            self._start = render_start(200, date, JSON_ANSWER + self.fields, closing)
        body = encode_envelope(batch, cursor=cursor)
        length = len(body) + 1
        return b"%bSlosh-Next: %b\r\n%bContent-Length: %d\r\n\r\n%b\n" % (self._start, cursor, cookie, length, body)


class Peek(LongPoll):
    """The action of a HEAD: the answer of a GET with `wait=0`, without making a topic active."""

    __slots__ = ()

    def start(self, connection: Connection, since: Since | None) -> None:
        """Look at the topics, and answer."""
        self.open_all(connection, since)

    def find(self, name: str, now: float, found: Callable[[Topic | SloshError], None], *, fresh: bool) -> None:
        """Look at a topic. If it is not active, an empty one with the epoch `_NO_EPOCH` stands in."""

        def looked(topic: Topic | SloshError | None) -> None:
            found(Topic(name, _NO_EPOCH, now) if topic is None else topic)

        self.engine.look(name, now, looked, fresh=fresh)

    def are_held(self, topics: list[Topic]) -> bool:  # noqa: ARG002 - a look holds none
        """As the base says; always true here, because a HEAD does not wait at topics."""
        return True

    def stale(self, topics: list[Topic], now: float, since: Since | None) -> list[str]:
        """As the base says, but only named topics: those that patterns match are read as they are known here."""
        return [name for name in super().stale(topics, now, since) if name in self.asked.names]

    def begin(self, connection: Connection, subscription: Subscription, now: float) -> None:
        """Answer at once."""
        Poll(connection, self, subscription).answer_now(Shared(now))

    def answer(self, batch: Batch, connection: Connection) -> None:
        """As the base says."""
        # If there is no topic, the answer has the right length, but no `Slosh-Next`, because the cursor is not real.
        # There is no cookie either, because a HEAD moves no reader's place.
        fields = JSON_ANSWER if _NO_EPOCH in batch.cursor else JSON_ANSWER + next_field(batch.cursor)
        if self.asked.minimal and not (batch.saw or batch.ends) and _NO_EPOCH not in batch.cursor:
            connection.respond(204, fields, b"")
        else:
            envelope = encode_envelope(batch, timed_out=not (batch.saw or batch.ends))
            connection.respond(200, fields, envelope + b"\n")


@mypyc_attr(free_list_len=1)
class Poll(Exchange):
    """A held long-poll: a watcher of its topics."""

    __slots__ = ("_action", "_connection", "_ignores_wakes", "_subscription")

    def __init__(self, connection: Connection, action: LongPoll, subscription: Subscription) -> None:
        self._connection = connection
        self._action = action
        self._subscription = subscription
        self._ignores_wakes = False  # a slow answer is being made, or the client has gone

    def wake(self, topic: Topic, shared: Shared) -> bool:  # noqa: ARG002 - whichever topic it was
        """Answer with the new messages; the answer is made once for all polls at the same places."""
        if self._ignores_wakes:
            # Nothing more will come, so it need not gather any longer. Its client may have gone.
            if self._subscription.is_over() and self._connection.is_held_by(self):
                self._connection.bring_forward(shared.now)
            return False
        every = self._action.asked.every
        if every and not self._subscription.fills(self._action.settings.portion):  # Else there is nothing to wait for.
            self._ignores_wakes = True
            self._connection.bring_forward(shared.now + every)
            return False
        return self._answer(shared, None)

    def _answer(self, shared: Shared, sift: Sift | None) -> bool:
        connection, action, subscription = self._connection, self._action, self._subscription
        state = action.state
        made: SharedAnswer | None = shared.latest
        if (
            made is None
            or made.place is not subscription.place
            or made.key is not action.key
            or made.variant is not connection.closing
        ):
            made = self._make(shared, sift)
            if made is None:
                self._ignores_wakes = True
                return False
        if made.place is None:
            subscription.leave(self, shared.now)  # of the other topics
        state.answers += 1
        state.delivered += made.delivered
        state.lost += made.lost
        if len(made.data) > WAKE:
            action.engine.hub.room -= len(made.data) // COPIES
        connection.finish(made.data, now=shared.now)
        return True

    def _make(self, shared: Shared, sift: Sift | None) -> SharedAnswer | None:
        """The answer, made now unless another poll has made it; None if it takes another turn."""
        action, subscription = self._action, self._subscription
        variant = self._connection.connection_field()
        made = recall(action.engine.hub, shared, subscription, action.key, variant)
        if made is None:
            batch = action.read(subscription, shared, sift)
            if batch is None:
                action.put_off(subscription, shared, self._go_on)
                return None
            made = SharedAnswer(subscription, action.key, variant, batch, action.render(batch, self._connection))
            action.engine.hub.room -= len(made.data)
            remember(shared, subscription, made)
        return made

    def _go_on(self, sift: Sift | None, shared: Shared) -> None:
        """Continue, in a later turn, an answer that did not fit into the turn of `wake`."""
        if self._connection.is_held_by(self) and self._answer(shared, sift):
            self._subscription.leave(self, shared.now)

    def moved(self, topic: Topic, successor: Topic) -> None:
        """Wait at the successor."""
        subscription = self._subscription
        if isinstance(subscription, OneTopic):  # Other polls share it, and are moved separately.
            subscription = self._subscription = OneTopic(self._action.engine.hub, topic, subscription.place)
        subscription.move(topic, successor, self)

    def deadline_passed(self) -> None:
        """The time for waiting, or for gathering, is over."""
        if not self._ignores_wakes:
            self._action.state.timeouts += 1
        self.end()

    def end(self) -> None:
        """Answer now with what there is, often nothing."""
        now = self._connection.server.now()
        self._subscription.leave(self, now)
        self.answer_now(Shared(now))

    def answer_now(self, shared: Shared, sift: Sift | None = None) -> None:
        """Answer with what there is. If that takes several turns, only a disconnecting client stops it."""
        connection, action = self._connection, self._action
        batch = action.read(self._subscription, shared, sift)
        if batch is not None:
            action.answer(batch, connection)
            return
        action.put_off(self._subscription, shared, self._answer_later)
        if not connection.is_held_by(self):
            connection.hold(self)

    def _answer_later(self, sift: Sift | None, shared: Shared) -> None:
        if self._connection.is_held_by(self):
            self.answer_now(shared, sift)

    def revoke(self, error: SloshError) -> None:
        """As the base says."""
        self._subscription.leave(self, self._connection.server.now())
        self._connection.refuse(error)

    def lost(self) -> None:
        """The client has disconnected: stop watching, now or soon, and write no answer meanwhile."""
        self._ignores_wakes = True
        self._subscription.leave_soon(self, self._connection.server.now())
