"""Server-Sent Events (WHATWG HTML §9.2), for the browser's own EventSource and for curl -N.

A message is an event without a name; its `id` is the reader's place after it, so a client whose connection broke
comes back with `Last-Event-ID` and continues there. Events named `lost`, `reset`, `truncated` and `conflated` report
missing messages, `end` the end of a topic, and `incomplete` that a reader of patterns does not have all topics.

The `id` is the last line of its event. An `EventSource` uses it when the event is complete (WHATWG HTML §9.2.6), but
some clients use it as soon as they have read that line, and would skip a message whose event was cut off.
"""

from typing import ClassVar, Final

from slosh.core.cursor import ENDED, Cursor, Vector
from slosh.core.reading import Reading
from slosh.core.subscription import Batch, Subscription
from slosh.http1.connection import Connection
from slosh.http1.response import EVENT_STREAM, NO_STORE
from slosh.web.jsontext import write_json
from slosh.web.readers.formats import AS_EVENTS, Format
from slosh.web.readers.shared import next_field
from slosh.web.readers.stream import FRAME, Stream, StreamAction
from slosh.web.refusals import find_retry

_NEXT_LINE: Final = b"\ndata: "
_AS_SPACES: Final = bytes.maketrans(b"\r\n", b"  ")
SOON: Final = 250
"""Milliseconds, up to twice as many, after which a client comes back and is told that the topic has ended."""


class EventSource(StreamAction):
    """The action of a GET that accepts `text/event-stream`."""

    __slots__ = ()

    format: ClassVar[Format] = AS_EVENTS
    overhead: ClassVar[int] = 48
    tells_places: ClassVar[bool] = True
    heartbeat: ClassVar[bytes] = b":\n"
    """Only a comment: many parsers read an empty line as an event."""
    content_type: ClassVar[bytes] = EVENT_STREAM

    def begin(self, connection: Connection, subscription: Subscription, now: float) -> None:
        """Begin to stream, unless the client was told the end before: then answer 204.

        That stops an `EventSource`, which would otherwise come back for ever (WHATWG HTML §9.2.3).
        """
        if self.asked.returns and subscription.has_all() and not subscription.is_unsettled():
            connection.respond(204, NO_STORE + self.fields + next_field(subscription.cursor()), b"")
        else:
            super().begin(connection, subscription, now)

    def preamble(self, stream: Stream) -> bytes:
        """The time after which the client comes back (`retry`), and its place."""
        subscription = stream.subscription
        first = b": slosh\nretry: %d\n" % find_retry(stream.connection.server)
        place = place_event(subscription.cursor())
        if not subscription.is_unsettled():
            return first + place
        # The place in the new life is told after the reset: who is cut between the two must hear of it again.
        if subscription.is_behind():
            return first
        batch = subscription.read(self.asked.wanted)
        subscription.advance(batch)
        return first + self.encode(batch) + place

    def farewell(self, connection: Connection) -> bytes:
        """A `retry` that allows for a restart, during which the server, or a proxy, does not answer for a moment."""
        return b"retry: %d\n" % find_retry(connection.server) if connection.server.draining else b""

    def last_farewell(self, connection: Connection) -> bytes:
        """A short `retry`: an `EventSource` comes back in any case, and is stopped if the topic still lingers."""
        return b"retry: %d\n" % int(SOON * (1.0 + connection.server.random()))

    def encode(self, batch: Batch) -> bytes:
        """The events of a batch."""
        return b"".join(_encode_one(batch) if not batch.several else _encode_several(batch))

    def encode_incomplete(self, subscription: Subscription) -> bytes:  # noqa: ARG002 - it says no place
        """An event without a place."""
        return b'event: incomplete\ndata: {"incomplete":true}\n\n'


def place_event(place: str) -> bytes:
    """An event with only the reader's place, before the first message.

    It has data and a name: many parsers ignore the `id` of an event without data, and pass an event without a name to
    the page as a message.
    """
    return b'event: place\ndata: {"next":%b}\nid: %b\n\n' % (write_json(place), place.encode())


def _encode_one(batch: Batch) -> list[bytes]:
    name, reading = batch.parts[0]
    events = [*_resets(batch), _control(name, reading, several=False)]
    epoch = reading.epoch.encode("ascii")
    if reading.times is None:
        for offset, message in zip(reading.offsets, reading.messages, strict=True):
            events.append(b"data: %b\nid: %b.%d\n\n" % (_data(message), epoch, offset))
    else:
        for offset, time, message in zip(reading.offsets, reading.times, reading.messages, strict=True):
            events.append(b'data: {"time":%d,"message":%b}\nid: %b.%d\n\n' % (time, _data(message), epoch, offset))
    if reading.ended:
        events.append(b"event: end\ndata: {}\nid: %b.%d\n\n" % (epoch, reading.place))
    return events


def _encode_several(batch: Batch) -> list[bytes]:
    """Events of several topics: each names its topic, and has the whole vector as its place."""
    events = _resets(batch)  # before the places in the new lives, which come with the first message
    places = Vector(batch.before, starred=batch.starred)
    for name, reading in batch.parts:
        events.append(_control(name, reading, several=True))
        topic = write_json(name)
        times = [b""] * len(reading.messages)
        if reading.times is not None:
            times = [b',"time":%d' % time for time in reading.times]
        for offset, time, message in zip(reading.offsets, times, reading.messages, strict=True):
            places.move(name, Cursor(reading.epoch, offset))
            place = str(places).encode()
            events.append(b'data: {"topic":%b%b,"message":%b}\nid: %b\n\n' % (topic, time, _data(message), place))
        if reading.ended:
            place = _place_behind_end(places, name, reading, batch).encode()
            events.append(b'event: end\ndata: {"topic":%b}\nid: %b\n\n' % (topic, place))
    return events


def _place_behind_end(places: Vector, name: str, reading: Reading, batch: Batch) -> str:
    """The places once the topic `name` has ended, as `SeveralTopics.read` tells them."""
    places.move(name, Cursor(reading.epoch, ENDED if batch.starred else reading.place))
    text = str(places)
    if batch.starred:
        return text
    places.leave(name)
    return str(places) or text


def _resets(batch: Batch) -> list[bytes]:
    """An event that names the topics that were reset; often empty."""
    return [_event(b"reset", b"true", name, several=batch.several) for name, reading in batch.parts if reading.reset]


def _control(name: str, reading: Reading, *, several: bool) -> bytes:
    """The events before the messages of a topic; often none."""
    words = ((b"lost", reading.lost), (b"conflated", reading.conflated))
    counts = b"".join(_event(word, b"%d" % count, name, several=several) for word, count in words if count)
    if not reading.truncated:
        return counts
    return b"event: truncated\ndata: {%b}\n\n%b" % (b'"topic":' + write_json(name) if several else b"", counts)


def _event(word: bytes, value: bytes, name: str, *, several: bool) -> bytes:
    topic = b',"topic":' + write_json(name) if several else b""
    return b'event: %b\ndata: {"%b":%b%b}\n\n' % (word, word, value, topic)


def _data(message: bytes) -> bytes:
    """A message as the value of data lines: a line's end inside JSON is white space, and begins a new data line.

    If that would make a large message more than twice as long, line ends become spaces, as in a line of NDJSON.
    """
    if b"\n" not in message and b"\r" not in message:
        return message
    ends = len(message) - len(message.translate(None, b"\r\n"))
    if len(message) > FRAME and ends * len(_NEXT_LINE) > len(message):
        return message.translate(_AS_SPACES)
    return message.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", _NEXT_LINE)
