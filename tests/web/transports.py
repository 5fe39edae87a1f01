"""Readers on every transport, alike: what each framing says becomes the same list of events.

A reader is a client that keeps its place. It can be slow, be cut off in the middle of a word, and come back.
"""

import json
from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple
from urllib.parse import quote, unquote

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response as Handshake
from websockets.uri import parse_uri

from tests.web.harness import Client, Dechunker, Response, Site, request


class Event(NamedTuple):
    """One thing that a reader is told.

    Attributes:
        topic: of which topic; empty for a place in all of them, and for `incomplete`.
        kind: `message`, `lost`, `conflated`, `truncated`, `reset`, `ended`, `place`, or `incomplete`.
        value: the message; how many; true; or the cursor.
    """

    topic: str
    kind: str
    value: Any


class Reader(ABC):
    """A client that reads.

    Args:
        site: where.
        topics: as in the URL, percent-encoded.
        since: where it begins when it has no place yet.
        query: the other parameters.

    Attributes:
        events: all that it was told.
        place: the cursor that it comes back with.
        times: when the messages arrived, where it asked for that.
        beats: how many heartbeats it has seen.
        ended: whether the server has ended the present connection.
        over: whether it was told that nothing more will come.
    """

    transport: ClassVar[str]
    headers: ClassVar[dict[str, str]] = {}

    def __init__(self, site: Site, topics: str = "a", since: str = "now", **query: str) -> None:
        self.site = site
        self.topics = topics
        self.since = since
        self.query = query
        self.events: list[Event] = []
        self.place = ""
        self.times: list[int] = []
        self.beats = 0
        self.ended = False
        self.over = False
        self.client: Client | None = None
        self.connect()

    # What a test does with it.

    def connect(self) -> None:
        """Connect and ask, from the reader's place on."""
        self.ended = False
        self.client = self.site.connect()
        self.begin(self.client)

    def listen(self) -> "Reader":
        """Take in what has come."""
        assert self.client is not None
        self._take_arrived(self.client)
        return self

    def cut(self, seen: int | None = None) -> None:
        """Lose the connection, after the first `seen` bytes of what has come were read, all of it for None."""
        client, self.client = self.client, None
        assert client is not None
        if seen is not None:
            del client.wire.arrived[seen:]
        self._take_arrived(client, last=True)
        client.reset()

    def stall(self) -> None:
        """Take nothing from now on."""
        assert self.client is not None
        self.client.take_nothing()

    def drain(self, more: int | None = None) -> "Reader":
        """Take so many bytes more, or all."""
        assert self.client is not None
        self.client.take(more)
        return self.listen()

    def is_idle(self) -> bool:
        """Whether it is connected and has been given all that was written to it."""
        client = self.client
        return client is not None and not self.ended and client.wire.window is None

    # What a test looks at.

    def told(self, kind: str, topic: str = "a") -> list[Any]:
        """The values of all events of a kind in a topic."""
        return [event.value for event in self.events if event.kind == kind and event.topic == topic]

    @property
    def messages(self) -> list[Any]:
        """All messages of all topics, in their order."""
        return [event.value for event in self.events if event.kind == "message"]

    def story(self, topic: str = "a") -> list[tuple[str, Any]]:
        """What it was told of a topic, apart from places."""
        return [(event.kind, event.value) for event in self.events if event.topic == topic]

    # What each transport does.

    @abstractmethod
    def begin(self, client: Client) -> None:
        """Send the request."""

    @abstractmethod
    def take(self, data: bytes) -> None:
        """Take in bytes."""

    def target(self) -> str:
        """What it asks for."""
        query = {"since": self.place or self.since} | self.query
        return f"/topics/{self.topics}?" + "&".join(f"{name}={quote(value)}" for name, value in query.items())

    def tell(self, topic: str, kind: str, value: Any) -> None:
        """Note an event."""
        self.events.append(Event(topic, kind, value))

    def move(self, place: str) -> None:
        """Note a place."""
        self.place = place
        self.tell("", "place", place)

    def take_envelope(self, envelope: dict[str, Any]) -> None:
        """Note what an envelope says, of one topic or of several. `saw` is checked here, once for all tests."""
        several = "topics" in envelope
        for topic, part in envelope["topics"].items() if several else [(unquote(self.topics), envelope)]:
            lost, conflated = part.get("lost", 0), part.get("conflated", 0)
            assert part["delivering"] == len(part["res"])
            assert part["saw"] == part["delivering"] + lost + conflated
            counts = [(kind, part.get(kind, 0)) for kind in ("reset", "truncated", "lost", "conflated")]
            if "times" in part:
                assert len(part["times"]) == len(part["res"])
                self.times += part["times"]
            for kind, value in counts + [("message", message) for message in part["res"]]:
                if kind == "message" or value:
                    self.tell(topic, kind, value)
            if part.get("ended"):
                self.tell(topic, "ended", True)
        self.move(envelope["next"])
        if envelope.get("incomplete"):
            self.tell("", "incomplete", True)
        self.over = self.over or envelope.get("ended", False)

    def _take_arrived(self, client: Client, *, last: bool = False) -> None:
        while client.wire.arrived:
            data = bytes(client.wire.arrived)
            client.wire.arrived.clear()
            self._last = last
            self.take(data)
        self.ended = self.ended or not client.served()

    _last = False  # whether nothing can be sent any more


class LongPoll(Reader):
    """Asks again with each answer, on the same connection."""

    transport = "longpoll"

    def begin(self, client: Client) -> None:
        self._buffer = b""
        client.send(request("GET", self.target()))

    def take(self, data: bytes) -> None:
        self._buffer += data
        head, mark, rest = self._buffer.partition(b"\r\n\r\n")
        response = Response(head, b"") if mark else None
        if response is None or len(rest) < int(response["Content-Length"]):
            return
        length = int(response["Content-Length"])
        response.body, self._buffer = rest[:length], rest[length:]
        assert response.status == 200, response
        envelope = response.json
        if len(envelope["next"]) <= 2048:
            assert response["Slosh-Next"] == envelope["next"]
        else:
            assert "Slosh-Next" not in response
        self.take_envelope(envelope)
        if self.over or "Connection" in response:
            self.ended = True
        elif self.client is not None and not self._last:
            self.client.send(request("GET", self.target()))


class BodyReader(Reader):
    """Reads one answer without end."""

    def begin(self, client: Client) -> None:
        self.response: Response | None = None
        self._head = b""
        self._chunks = Dechunker()
        self._text = b""
        client.send(request("GET", self.target(), **self.headers, **self.resuming()))

    def resuming(self) -> dict[str, str]:
        """Fields that say where to go on."""
        return {}

    def take(self, data: bytes) -> None:
        if self.response is None:
            self._head += data
            head, mark, data = self._head.partition(b"\r\n\r\n")
            if not mark:
                return
            self.response = Response(head, b"")
            if self.response.status == 204:
                self.over = self.ended = True
                return
            assert self.response.status == 200, self._head
            self.take_head(self.response)
        self._text += self._chunks.feed(data)
        self._text = self.take_text(self._text)
        assert not self._chunks.behind
        self.ended = self._chunks.ended

    def take_head(self, response: Response) -> None:
        """Take in the head of the answer."""

    @abstractmethod
    def take_text(self, text: bytes) -> bytes:
        """Take in what is whole of a part of the body; what is not is given back."""


class EventSource(BodyReader):
    """Server-Sent Events, read as WHATWG HTML §9.2.6 says."""

    transport = "sse"
    headers: ClassVar[dict[str, str]] = {"Accept": "text/event-stream"}

    def resuming(self) -> dict[str, str]:
        return {"Last_Event_ID": self.place} if self.place else {}

    def target(self) -> str:
        query = {"since": self.since} | self.query  # the URL of an EventSource never changes
        return f"/topics/{self.topics}?" + "&".join(f"{name}={quote(value)}" for name, value in query.items())

    def take_text(self, text: bytes) -> bytes:
        assert b"\r" not in text
        *blocks, rest = text.split(b"\n\n")
        for block in blocks:
            self._take_block(block.decode())
        while rest.startswith(b":\n"):
            self.beats += 1
            rest = rest[2:]
        return rest

    def _take_block(self, block: str) -> None:
        place, kind, data = self.place, "message", []
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "id":
                place = value
            elif name == "event":
                kind = value
            elif name == "data":
                data.append(value)
            elif not name:
                self.beats += not value
            else:
                assert name == "retry"
                assert value.isdecimal()
        if data:
            self._take_event(kind, json.loads("\n".join(data)))
        if place != self.place:
            self.move(place)

    def _take_event(self, kind: str, told: Any) -> None:
        if kind == "place":
            assert isinstance(told["next"], str)
            return
        if kind == "incomplete":
            self.tell("", kind, told[kind])
            return
        several = "," in self.topics or "*" in self.topics
        topic = told["topic"] if several else unquote(self.topics)
        value = told
        if kind == "truncated":
            value = True
        elif kind == "end":
            kind, value = "ended", True
        elif kind != "message":
            value = told[kind]
        elif several or "times" in self.query:
            value = told["message"]
        if kind == "message" and "times" in self.query:
            self.times.append(told["time"])
        self.tell(topic, kind, value)


class Ndjson(BodyReader):
    """One envelope a line."""

    transport = "ndjson"
    headers: ClassVar[dict[str, str]] = {"Accept": "application/x-ndjson"}

    def take_head(self, response: Response) -> None:
        if "Slosh-Next" in response:
            self.move(response["Slosh-Next"])

    def take_text(self, text: bytes) -> bytes:
        *lines, rest = text.split(b"\n")
        for line in lines:
            if line:
                self.take_envelope(json.loads(line))
            else:
                self.beats += 1
        return rest


class WebSocket(Reader):
    """One envelope a message; the client's half of RFC 6455 is that of the library."""

    transport = "websocket"

    def begin(self, client: Client) -> None:
        self.errors: list[dict[str, Any]] = []
        self.protocol = ClientProtocol(parse_uri("ws://slosh.test" + self.target()), max_size=None)
        self.protocol.send_request(self.protocol.connect())
        self._flush(client)

    def take(self, data: bytes) -> None:
        self.protocol.receive_data(data)
        for event in self.protocol.events_received():
            if isinstance(event, Handshake):
                assert event.status_code == 101, event.body
                if "Slosh-Next" in event.headers:
                    self.move(event.headers["Slosh-Next"])
            elif isinstance(event, Frame) and event.opcode is Opcode.PING:
                self.beats += 1
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                said = json.loads(bytes(event.data))
                if "error" in said:
                    self.errors.append(said["error"])
                else:
                    self.take_envelope(said)
        if self.client is not None and not self._last:
            self._flush(self.client)

    def say(self, text: str) -> "WebSocket":
        """Send a text message."""
        self.listen()
        self.protocol.send_text(text.encode())
        assert self.client is not None
        self._flush(self.client)
        self.listen()
        return self

    def _flush(self, client: Client) -> None:
        for part in self.protocol.data_to_send():
            if part:
                client.send(part)


TRANSPORTS: tuple[type[Reader], ...] = (LongPoll, EventSource, Ndjson, WebSocket)
STREAMS: tuple[type[Reader], ...] = (EventSource, Ndjson, WebSocket)
