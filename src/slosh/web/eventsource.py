"""Server-Sent Events (WHATWG HTML §9.2), for the browser's own EventSource and for curl -N.

A message is an event without a name; its `id` is the reader's place after it, so that a client that was cut
off comes back with `Last-Event-ID` and goes on there. What the reader has missed is told by events named
`lost`, `reset` and `conflated`.
"""

import json
from typing import Final

from slosh.core.reading import Reading
from slosh.core.subscription import Batch, join_cursors
from slosh.web.stream import Stream, StreamAction

RETRY: Final = 2000
"""Milliseconds that a client waits before it comes back."""
_RETRY_JITTER: Final = 1000
"""Milliseconds more at most, different for each client, so that a restart does not bring all back at once."""


class EventSource(StreamAction):
    """The action of a GET that accepts `text/event-stream`."""

    __slots__ = ()

    heartbeat = b":\n\n"
    content_type = b"Content-Type: text/event-stream\r\n"

    def preamble(self, stream: Stream) -> bytes:
        """How to come back, and to where: an `id` without data moves the client's place and is no event."""
        retry = RETRY + int(_RETRY_JITTER * stream.connection.edge.random())
        place = stream.subscription.cursor().encode()
        first = b": slosh\nretry: %d\nid: %b\n\n" % (retry, place)
        batch = stream.subscription.read(self.asked.wanted)
        if not batch.saw:
            # Nothing will bring these along, so whoever has to be told is told now.
            first += b"".join(_control(name, reading, several=batch.several) for name, reading in batch.parts)
            stream.subscription.advance(batch)
        return first

    def encode(self, batch: Batch) -> bytes:
        """The events of a batch."""
        return b"".join(_encode_one(batch) if not batch.several else _encode_several(batch))


def _encode_one(batch: Batch) -> list[bytes]:
    name, reading = batch.parts[0]
    events = [_control(name, reading, several=False)]
    epoch = reading.epoch.encode("ascii")
    for offset, message in zip(reading.offsets, reading.messages, strict=True):
        events.append(b"id: %b.%d\ndata: %b\n\n" % (epoch, offset, _data(message)))
    return events


def _encode_several(batch: Batch) -> list[bytes]:
    """Events that say of which topic they are, each with the places in all of them."""
    events: list[bytes] = []
    places = dict(batch.before)
    for name, reading in batch.parts:
        events.append(_control(name, reading, several=True))
        topic = _json(name)
        for offset, message in zip(reading.offsets, reading.messages, strict=True):
            places[name] = reading.cursor._replace(offset=offset)
            place = join_cursors(places, starred=batch.starred).encode()
            events.append(b'id: %b\ndata: {"topic":%b,"message":%b}\n\n' % (place, topic, _data(message)))
    return events


def _control(name: str, reading: Reading, *, several: bool) -> bytes:
    """What has to be said before the messages, often nothing."""
    told = (
        (b"reset", b"true" if reading.reset else b""),
        (b"lost", b"%d" % reading.lost if reading.lost else b""),
        (b"conflated", b"%d" % reading.conflated if reading.conflated else b""),
    )
    topic = b',"topic":' + _json(name) if several else b""
    return b"".join(b'event: %b\ndata: {"%b":%b%b}\n\n' % (word, word, value, topic) for word, value in told if value)


def _data(message: bytes) -> bytes:
    """A message as the value of data lines: a line's end inside JSON is white space, and begins a new data line."""
    if b"\n" in message or b"\r" in message:
        return message.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\ndata: ")
    return message


def _json(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode()
