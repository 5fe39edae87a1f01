"""Readers of one topic, as cheap as Python has them: long-polls and EventSources straight on the bytes.

They do what a sensible client does: ask with their place, come back when they are cut, again after a moment and then
ever more slowly when that fails. 200 of them take 200,000 messages a second on a part of one core, since what one of
them was given is compared with what another was given before, and taken apart only once.
"""

import asyncio
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

import msgspec

from tests.faults.ledger import Account, Ledger, Place

FIRST_PAUSE: Final = 0.05
"""Seconds before the first retry; each further one waits twice as long."""
LONGEST_PAUSE: Final = 1.0
PATIENCE: Final = 40.0
"""Seconds after which a request that is not answered counts as failed; polls ask for less."""
HOLD: Final = 25
"""Seconds that a poll asks to be held."""


@dataclass
class Requests:
    """What became of the readers' requests, all readers together."""

    answered: int = 0
    failed: int = 0
    """Refused, cut before an answer came, or answered with an error."""
    failed_again: int = 0
    """Failed although they were the retry of a failed one."""
    longest_pause: float = 0.0
    """Seconds between two deliveries to one reader, at most."""


class Envelope(msgspec.Struct):
    """A long-poll's answer."""

    next: str
    res: list[str]
    lost: int = 0
    reset: bool = False


_decode: Final = msgspec.json.Decoder(Envelope).decode
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_CLOSE: Final = re.compile(rb"\r\nconnection: *close\r\n", re.IGNORECASE)
_BREAK: Final = b"\r\n\r\n"


class Reader(asyncio.Protocol):
    """What both kinds have in common: their account, their retries.

    Args:
        target: path of the topic.
        port: where to connect, on 127.0.0.1.
    """

    def __init__(self, ledger: Ledger, requests: Requests, target: str, port: int) -> None:
        self.account: Account | None = None
        self._ledger = ledger
        self._requests = requests
        self._target = target
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._failures = 0
        self._stopped = False
        self._waiting: asyncio.TimerHandle | None = None
        self._delivered_at = 0.0
        self._loop = asyncio.get_running_loop()
        self._connecting: asyncio.Task[None] | None = None
        self.connect()

    def connect(self) -> None:
        """Go to the server, at once."""
        self._waiting = None
        self._connecting = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        try:
            await self._loop.create_connection(lambda: self, "127.0.0.1", self._port)
        except OSError:
            self.fail()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by their class
        self._buffer = b""
        self.ask()

    def stop(self) -> None:
        """Go away."""
        self._stopped = True
        if self._waiting:
            self._waiting.cancel()
        if self._transport:
            self._transport.abort()

    def fail(self) -> None:
        """What was asked for did not come: try again, a moment later each time."""
        self._close()
        if self._stopped:
            return
        self._requests.failed += 1
        self._requests.failed_again += self._failures > 0
        pause = min(FIRST_PAUSE * 2**self._failures, LONGEST_PAUSE) * random.uniform(0.75, 1.25)
        self._failures += 1
        self._wait(pause, self.connect)

    def succeed(self) -> None:
        """What was asked for came."""
        self._requests.answered += 1
        self._failures = 0

    def came(self) -> None:
        """Messages came; measure the pause before them."""
        now = self._loop.time()
        if self._delivered_at:
            self._requests.longest_pause = max(self._requests.longest_pause, now - self._delivered_at)
        self._delivered_at = now

    def ask(self) -> None:
        """Send a request."""
        raise NotImplementedError

    def _wait(self, seconds: float, then: Callable[[], None]) -> None:
        if self._waiting:
            self._waiting.cancel()
        self._waiting = None if self._stopped else self._loop.call_later(seconds, then)

    def _send(self, query: str, fields: str = "", version: str = "1.1") -> None:
        assert self._transport
        head = f"GET {self._target}?{query} HTTP/{version}\r\nHost: faults\r\n{fields}\r\n"
        self._transport.write(head.encode())

    def _close(self) -> None:
        if self._transport:
            transport, self._transport = self._transport, None
            transport.abort()


class LongPoll(Reader):
    """Polls, each with the place of the answer before."""

    def ask(self) -> None:
        """Ask for what comes after its place; the first time, only for the place."""
        place = f"since={self.account.place}&wait={HOLD}" if self.account else "since=now&wait=0"
        self._send(place)
        self._wait(PATIENCE, self.fail)

    def connection_lost(self, _: Exception | None) -> None:
        """A connection that is cut while a request is on it has failed; one is always."""
        if self._transport:
            self.fail()

    def data_received(self, data: bytes) -> None:
        """Take an answer when it is here as a whole."""
        self._buffer = self._buffer + data if self._buffer else data
        end = self._buffer.find(_BREAK)
        if end < 0:
            return
        head = self._buffer[: end + 2]
        length = _LENGTH.search(head)
        if length is None or head[9:12] != b"200":
            self.fail()
            return
        body = self._buffer[end + 4 :]
        if len(body) < int(length[1]):
            return
        self._buffer = b""
        self.succeed()
        self._take(_decode(body))
        if self._stopped:
            return
        if _CLOSE.search(head):
            self._close()
            self.connect()
        else:
            self.ask()

    def _take(self, answer: Envelope) -> None:
        place = Place.parse(answer.next)
        if self.account is None:
            self.account = self._ledger.open(place)
        elif answer.res:
            self.came()
            first = place.offset - len(answer.res) + 1
            self.account.give(place.epoch, first, answer.res, lost=answer.lost, reset=answer.reset)
        elif answer.reset:
            self.account.moved(place.epoch)


class EventSource(Reader):
    """An EventSource: one answer without an end, events parted by empty lines, Last-Event-ID after a cut."""

    def __init__(self, ledger: Ledger, requests: Requests, target: str, port: int) -> None:
        self._open = False
        self._told_lost = 0
        self._told_reset = False
        super().__init__(ledger, requests, target, port)

    def ask(self) -> None:
        """Ask for a stream from its place on. HTTP/1.0, so that nginx sends it as it is and not in chunks."""
        self._open = False
        self._told_lost, self._told_reset = 0, False
        place = f"Last-Event-ID: {self.account.place}\r\n" if self.account else ""
        self._send("since=now", f"{place}Accept: text/event-stream\r\n", "1.0")
        self._wait(PATIENCE, self.fail)

    def connection_lost(self, _: Exception | None) -> None:
        """A stream that ends has done its work; before its first bytes it has failed."""
        if self._transport and self._open and not self._stopped:
            self._transport = None
            self._wait(FIRST_PAUSE * random.uniform(0.75, 1.25), self.connect)
        elif self._transport:
            self.fail()

    def data_received(self, data: bytes) -> None:
        """Take the events that are here as a whole."""
        data = self._buffer + data if self._buffer else data
        if not self._open:
            end = data.find(_BREAK)
            if end < 0:
                self._buffer = data
                return
            if data[9:12] != b"200":
                self.fail()
                return
            self._open = True
            self.succeed()
            self._wait(PATIENCE, self.fail)
            data = data[end + 4 :]
        self._wait(PATIENCE, self.fail)
        whole, _, self._buffer = data.rpartition(b"\n\n")
        if whole:
            self._take(whole.decode().split("\n\n"))

    def _take(self, events: list[str]) -> None:
        messages: list[str] = []
        last = ""
        for each in events:
            event = re.sub(r"\A(?::\n)+", "", each)  # heartbeats
            if event.startswith('data: "'):
                text, _, last = event.partition("\n")
                messages.append(text[7:-1])  # what stands in data: "…"
            else:
                self._give(last, messages)
                messages = []
                self._control(event)
        self._give(last, messages)

    def _give(self, last: str, messages: list[str]) -> None:
        if not messages:
            return
        place = Place.parse(last[4:])
        assert self.account
        self.came()
        lost, reset, self._told_lost, self._told_reset = self._told_lost, self._told_reset, 0, False
        first = place.offset - len(messages) + 1
        self.account.give(place.epoch, first, messages, lost=lost, reset=reset)

    def _control(self, event: str) -> None:
        if event.startswith("event: lost"):
            self._told_lost += msgspec.json.decode(event.partition("data: ")[2], type=dict[str, int])["lost"]
        elif event.startswith("event: reset"):
            self._told_reset = True
        elif found := re.search(r"^id: (\S+)$", event, re.MULTILINE):
            place = Place.parse(found[1])
            if self.account is None:
                self.account = self._ledger.open(place)
            elif self._told_reset:
                self._told_reset = False
                self.account.moved(place.epoch)
