"""Server-Sent Events (WHATWG HTML §9.2), for the browser's own EventSource and for curl -N.

A message is an event without a name; its `id` is the reader's place after it, so that a client that was cut
off comes back with `Last-Event-ID` and goes on there. What the reader has missed is told by events named
`lost`, `reset`, `truncated` and `conflated`.
"""

import json
from typing import ClassVar

from slosh.core.cursor import Cursor
from slosh.core.reading import Reading
from slosh.core.subscription import Batch, join_cursors
from slosh.web.connection import Connection
from slosh.web.refusals import find_retry
from slosh.web.response import EVENT_STREAM
from slosh.web.stream import Stream, StreamAction


class EventSource(StreamAction):
    """The action of a GET that accepts `text/event-stream`."""

    __slots__ = ()

    besides: ClassVar[int] = 48
    tells_places: ClassVar[bool] = True
    heartbeat: ClassVar[bytes] = b":\n"
    """A comment alone: many parsers take an empty line without an event before it for one."""
    content_type: ClassVar[bytes] = EVENT_STREAM

    def preamble(self, stream: Stream) -> bytes:
        """How to come back, and to where."""
        subscription = stream.subscription
        first = b": slosh\nretry: %d\n" % find_retry(stream.connection.edge)
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
        """When to come back: behind a restart there is nobody for a moment, or a proxy that says so."""
        return b"retry: %d\n" % find_retry(connection.edge) if connection.edge.draining else b""

    def encode(self, batch: Batch) -> bytes:
        """The events of a batch."""
        return b"".join(_encode_one(batch) if not batch.several else _encode_several(batch))


def place_event(place: str) -> bytes:
    """The place that a client comes back with, before there is a message.

    It has data and a name: many parsers forget the `id` of an event without data, and give one without a name to the
    page as a message.
    """
    return b'event: place\nid: %b\ndata: {"next":%b}\n\n' % (place.encode(), _json(place))


def _encode_one(batch: Batch) -> list[bytes]:
    name, reading = batch.parts[0]
    events = [*_resets(batch), _control(name, reading, several=False)]
    epoch = reading.epoch.encode("ascii")
    if reading.times is None:
        for offset, message in zip(reading.offsets, reading.messages, strict=True):
            events.append(b"id: %b.%d\ndata: %b\n\n" % (epoch, offset, _data(message)))
        return events
    for offset, time, message in zip(reading.offsets, reading.times, reading.messages, strict=True):
        data = b'{"time":%d,"message":%b}' % (time, _data(message))
        events.append(b"id: %b.%d\ndata: %b\n\n" % (epoch, offset, data))
    return events


def _encode_several(batch: Batch) -> list[bytes]:
    """Events that say of which topic they are, each with the places in all of them."""
    events = _resets(batch)  # before the places in the new lives, which come with the first message
    places = dict(batch.before)
    for name, reading in batch.parts:
        events.append(_control(name, reading, several=True))
        topic = _json(name)
        times = [b""] * len(reading.messages)
        if reading.times is not None:
            times = [b',"time":%d' % time for time in reading.times]
        for offset, time, message in zip(reading.offsets, times, reading.messages, strict=True):
            places[name] = Cursor(reading.epoch, offset)
            place = join_cursors(places, starred=batch.starred).encode()
            events.append(b'id: %b\ndata: {"topic":%b%b,"message":%b}\n\n' % (place, topic, time, _data(message)))
    return events


def _resets(batch: Batch) -> list[bytes]:
    """Which topics begin anew, often none."""
    return [_event(b"reset", b"true", name, several=batch.several) for name, reading in batch.parts if reading.reset]


def _control(name: str, reading: Reading, *, several: bool) -> bytes:
    """What has to be said before the messages of a topic, often nothing."""
    told = ((b"lost", reading.lost), (b"conflated", reading.conflated))
    counts = b"".join(_event(word, b"%d" % count, name, several=several) for word, count in told if count)
    if not reading.truncated:
        return counts
    return b"event: truncated\ndata: {%b}\n\n%b" % (b'"topic":' + _json(name) if several else b"", counts)


def _event(word: bytes, value: bytes, name: str, *, several: bool) -> bytes:
    topic = b',"topic":' + _json(name) if several else b""
    return b'event: %b\ndata: {"%b":%b%b}\n\n' % (word, word, value, topic)


def _data(message: bytes) -> bytes:
    """A message as the value of data lines: a line's end inside JSON is white space, and begins a new data line."""
    if b"\n" in message or b"\r" in message:
        return message.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\ndata: ")
    return message


def _json(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode()
