"""Streams: readers whose response stays open, in any framing.

The rules of this file:

* While a client does not read what was written, nothing more is written to it, and nothing is queued for it.
  When its socket drains, it is served from its place in the ring, and told what it has `lost`. So a
  slow reader needs no queue, and delays no other.
* The bytes to write are made once for all readers at the same places in the same framing.
* One stream is given at most `portion` bytes of messages in a turn, and the rest in later turns: however far behind
  one stream is, the others wait only for a portion.
* A stream has one deadline: the earliest of the end of its gathering, its heartbeat and its own end.
* When a stream ends, gathered messages are written first. Otherwise a stream that gathers for longer than its life
  would never deliver anything.
"""

import math
from abc import abstractmethod
from typing import ClassVar, Final

from slosh.core.portions import COPIES, WAKE
from slosh.core.reading import Sift
from slosh.core.subscription import Batch, Subscription
from slosh.core.topic import Shared, Topic
from slosh.errors import Draining, SloshError
from slosh.http1.connection import Connection
from slosh.http1.exchange import Exchange
from slosh.http1.response import LAST_CHUNK, STREAMING, chunk, render_stream_head
from slosh.web.readers.envelope import encode_place
from slosh.web.readers.shared import Reader, SharedAnswer, next_field, recall, remember

FRAME: Final = 16 * 1024
"""Bytes of a line of NDJSON, or of a WebSocket message, unless it has only one message: asyncio's `readline` and
several WebSocket libraries accept at most 64 KiB by default, some 32 KiB."""

_LIFE_JITTER: Final = 0.2
"""Fraction of its life by which a stream may end earlier, so that streams opened together do not end together."""


_LAST: Final = 1.0
"""Seconds for which a stream continues after its end, if writing what it has gathered takes more than one turn."""


def end_of_life(connection: Connection, now: float, life: float) -> float:
    """The end of a stream that begins `now`, seconds on the loop's clock. `life` is the setting, 0 for no end."""
    return now + life * (1.0 - _LIFE_JITTER * connection.server.random()) if life else math.inf


class StreamAction(Reader):
    """The action of a GET that stays open, as a base for each framing.

    Attributes:
        heartbeat: the bytes written to an idle stream.
        heartbeat_every: seconds between two heartbeats; proxies commonly give up after 60.
        content_type: a header line.
    """

    __slots__ = ()

    heartbeat: ClassVar[bytes] = b""
    heartbeat_every: ClassVar[float] = 15.0
    content_type: ClassVar[bytes] = b""

    def check_request(self, connection: Connection) -> None:
        """As the base says.

        Raises:
            Draining: the server is shutting down; nothing new begins.
        """
        if connection.server.draining:
            raise Draining

    def begin(self, connection: Connection, subscription: Subscription, now: float) -> None:
        """Begin to stream.

        Raises:
            Draining: the server has begun to shut down in the meantime.
        """
        if connection.server.draining:
            raise Draining
        self.hold(Stream(connection, self, subscription), now)

    def hold(self, stream: "Stream", now: float) -> None:
        """Register `stream`, and begin it."""
        stream.subscription.watch(stream, now)
        stream.connection.hold(stream)
        stream.connection.buffer_nothing()
        stream.begin(now)

    def preamble(self, stream: "Stream") -> bytes:
        """The bytes before all messages, after the response's head."""
        raise NotImplementedError

    def farewell(self, connection: Connection) -> bytes:  # noqa: ARG002 - most have nothing to say
        """The last bytes of a stream that ends."""
        return b""

    def last_farewell(self, connection: Connection) -> bytes:  # noqa: ARG002 - as above
        """The last bytes of a stream whose topics have all ended."""
        return b""

    @abstractmethod
    def encode(self, batch: Batch) -> bytes:
        """The bytes for a batch."""

    def encode_incomplete(self, subscription: Subscription) -> bytes:
        """The bytes that say `incomplete`: an envelope with nothing else.

        Empty if the reader has still to be told of a reset or a truncated window: the next envelope says both.
        """
        return b"" if subscription.is_unsettled() else encode_place(subscription.cursor(), incomplete=True)


class Stream(Exchange):
    """An open stream: a watcher of its topics.

    Args:
        connection: of the client.
        action: encodes what is written.
        subscription: the reader's places.
    """

    __slots__ = (
        "_ends_at",
        "_gathers_until",
        "_goes_on",
        "_heartbeat_at",
        "_is_outliving",
        "_minor",
        "_must_tell",
        "_sift",
        "action",
        "connection",
        "subscription",
    )

    def __init__(self, connection: Connection, action: StreamAction, subscription: Subscription) -> None:
        self.connection = connection
        self.action = action
        self.subscription = subscription
        self._minor = connection.head.minor
        self._is_outliving = False  # past its end, to write what it has gathered
        self._must_tell = False  # `incomplete`, once the client reads
        self._goes_on = False  # whether the rest is written in a later turn
        self._sift: Sift | None = None  # the search for `key` while it catches up
        self._gathers_until = math.inf
        self._heartbeat_at = math.inf
        self._ends_at = math.inf

    def begin(self, now: float) -> None:
        """Write the head and the preamble, and set the deadlines."""
        self._ends_at = end_of_life(self.connection, now, self.action.settings.stream_life)
        self._heartbeat_at = now + self.action.heartbeat_every
        preamble = self.make_preamble()
        if self.subscription.is_incomplete():
            self._must_tell = True
            self.connection.write_seldom(preamble)
            self._tell_incomplete()
        else:
            self.subscription.on_incomplete(self._became_incomplete)
            self._write_first(preamble, now)
        self._rearm()

    def wake(self, topic: Topic, shared: Shared) -> None:  # noqa: ARG002 - whichever topic it was
        """Write the new messages, unless the client has to catch up first, or the stream gathers."""
        every = self.action.asked.every
        if not every or self.subscription.is_over():
            self._write(shared)
        elif self._gathers_until == math.inf and self.connection.is_held_by(self) and self.subscription.is_behind():
            self._gathers_until = shared.now + every
            self._rearm()

    def moved(self, topic: Topic, successor: Topic) -> None:
        """Wait at the successor."""
        self.subscription.move(topic, successor, self)

    def writable(self) -> None:
        """The client has received what was written; continue from its place."""
        self._tell_incomplete()
        if self._gathers_until == math.inf:
            self._write(Shared(self.connection.server.now()))
        if self.connection.is_held_by(self):
            self._rearm()

    def _became_incomplete(self) -> None:
        """The first topic is left out. Very many streams may have to say so, so each does in a turn with room."""
        self._must_tell = True
        self.action.engine.hub.put_off(self._tell_in_turn)

    def _tell_in_turn(self, shared: Shared) -> None:  # noqa: ARG002 - as the hub calls it
        if self.connection.is_held_by(self):
            self._tell_incomplete()

    def _tell_incomplete(self) -> None:
        """Say `incomplete` once, as soon as the client reads."""
        if self._must_tell and self.connection.is_writable:
            self._must_tell = False
            data = self.action.encode_incomplete(self.subscription)
            if data:
                self.connection.write(self.frame(data))

    def deadline_passed(self) -> None:
        """One of the three deadlines has come."""
        now = self.connection.server.now()
        if now >= self._ends_at:
            if self.give_gathered(now):
                self._end_life(now)
            return
        if now >= self._gathers_until:
            self._gathers_until = math.inf
            self._write(Shared(now))
            if not self.connection.is_held_by(self):
                return  # All that it reads has ended.
        if now >= self._heartbeat_at:
            self._heartbeat_at = now + self.action.heartbeat_every
            self.write_heartbeat()
        if self.connection.is_open:
            self._rearm()

    def _end_life(self, now: float) -> None:
        if self._goes_on and not self._is_outliving:
            self._is_outliving = True
            self._ends_at = now + _LAST
            self._rearm()
            return
        self.connection.server.closed["stream_life"] += 1
        self.end()

    def give_gathered(self, now: float) -> bool:
        """Write what is gathered, as far as the client reads. Returns whether the stream is still open afterwards."""
        if self._gathers_until < math.inf:
            self._gathers_until = math.inf
            self._write(Shared(now))
        return self.connection.is_held_by(self)

    def end(self) -> None:
        """Write what is gathered, and end the body; the client comes back with its cursor."""
        if self.give_gathered(self.connection.server.now()):
            self._finish(self.action.farewell(self.connection))

    def end_for_good(self) -> None:
        """End the body after all topics have ended and the client was told so."""
        self._finish(self.action.last_farewell(self.connection))

    def _finish(self, farewell: bytes) -> None:
        self.leave()
        chunked = bool(self._minor)
        last = self.frame(farewell) if farewell else b""
        self.connection.finish(last + LAST_CHUNK if chunked else last, close=not chunked)

    def revoke(self, error: SloshError) -> None:  # noqa: ARG002 - the client comes back, and is told then
        """As the base says. Nothing more is written, because the client may not read it."""
        self._finish(self.action.farewell(self.connection))

    def lost(self) -> None:
        """The client has disconnected: stop watching, now or soon. Nothing is gathered or written meanwhile."""
        self.subscription.leave_soon(self, self.connection.server.now())

    def leave(self) -> None:
        """Stop watching."""
        self.subscription.leave(self, self.connection.server.now())

    def frame(self, data: bytes) -> bytes:
        """`data` in the transfer coding of this response."""
        return chunk(data) if self._minor else data

    def make_preamble(self) -> bytes:
        """The response's head and all bytes before the messages."""
        connection, action = self.connection, self.action
        fields = action.content_type + STREAMING + action.fields
        if (
            not self.subscription.is_unsettled()
        ):  # Otherwise who is cut before it is told would go on as if nothing were lost.
            fields += next_field(self.subscription.cursor())
        head = render_stream_head(connection.server.date(), fields, chunked=bool(self._minor))
        first = action.preamble(self)
        return head + self.frame(first) if first else head

    def write_heartbeat(self) -> None:
        """Write a heartbeat, so that no proxy takes the connection for dead."""
        if not self.connection.is_stalled:
            self.connection.write_seldom(self.frame(self.action.heartbeat))

    def _write_first(self, preamble: bytes, now: float) -> None:
        """Write `preamble`, together with the first portion of missed messages if this turn has room for it.

        Two writes would be two system calls, and would wake the client twice. For the rest the hub wakes the stream in
        this turn, or when there is room.
        """
        connection, subscription, hub = self.connection, self.subscription, self.action.engine.hub
        made = None
        if not self.action.asked.every and hub.room > 0 and connection.is_writable and subscription.is_behind():
            made = self._make(hub.share(now))
        if made is None or made.ends:
            connection.write_seldom(preamble)
            return
        connection.write_seldom(preamble + made.data)
        hub.room -= WAKE
        self._give(made)

    def _give(self, made: SharedAnswer) -> None:
        """Move the places behind `made`, and count its messages and the room that writing it takes."""
        state, size = self.action.state, len(made.data)
        self.subscription.advance(made.batch)
        state.answers += 1
        state.delivered += made.delivered
        state.lost += made.lost
        if not made.is_all:
            self.action.engine.hub.room -= size
        elif size > WAKE:
            self.action.engine.hub.room -= size // COPIES

    def _write(self, shared: Shared) -> None:
        connection, subscription = self.connection, self.subscription
        written = 0
        while connection.is_writable and subscription.is_behind():
            if written >= self.action.settings.portion:
                self._put_off(shared)
                return
            made: SharedAnswer | None = shared.latest
            # Streams share a place object only if they were given the same bytes, so the next bytes are the same too.
            if made is None or made.place is not subscription.place:
                made = self._make(shared)
                if made is None:
                    return
            self._give(made)
            connection.write(made.data)
            if made.ends:
                subscription.leave_ended(made.batch, self, shared.now)
                if made.batch.ended:
                    self.end_for_good()
                    return
            if made.is_all:
                break
            written += len(made.data)
        sift = self._sift
        if sift is not None and (not subscription.is_behind() or (not connection.is_writable and sift.is_large())):
            self._sift = None  # If more is left it is looked at again.

    def _make(self, shared: Shared) -> SharedAnswer | None:
        """The next portion, made now unless another stream has made it; None if that takes another turn."""
        action, subscription = self.action, self.subscription
        if self._goes_on and action.asked.several:
            return None  # Comparing many places with those of others costs as much as reading does.
        made = recall(action.engine.hub, shared, subscription, action.key, self._minor)
        if made is None and not self._goes_on:
            batch = action.read(subscription, shared, self._sift)
            if batch is None:
                action.put_off(subscription, shared, self._look_on)
                self._goes_on = True
                return None
            made = SharedAnswer(subscription, action.key, self._minor, batch, self.frame(action.encode(batch)))
            if batch.several:
                action.engine.hub.room -= len(made.data)
            remember(shared, subscription, made)
        return made

    def _put_off(self, shared: Shared) -> None:  # noqa: ARG002 - of this turn
        if not self._goes_on:
            self._goes_on = True
            self.action.engine.hub.put_off(self._go_on)

    def _look_on(self, sift: Sift | None, shared: Shared) -> None:
        """Continue in another turn, with the search so far."""
        self._sift = sift
        self._go_on(shared)

    def _go_on(self, shared: Shared) -> None:
        """Write what earlier turns had no room for."""
        self._goes_on = False
        if self.connection.is_held_by(self):
            self._write(shared)

    def _rearm(self) -> None:
        """Set the deadline to the earliest of the three. A stalled client has a deadline of its own."""
        if self.connection.is_stalled:
            return
        self.connection.set_deadline(min(self._gathers_until, self._heartbeat_at, self._ends_at))
