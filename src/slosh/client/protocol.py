"""A reader of topics: what it asks for, and what it makes of whatever comes. No I/O here.

The rules of this file:

* A reader's place is what the server gave with the last message that the reader was given. It is sent back as it is,
  so nothing comes twice and nothing is missed in silence, over however many connections.
* A message and the place after it move together: `WatchState` moves its place when it hands the message over.
* `pause` says how long to wait; the caller waits.
* A message that cannot be read is asked for once more, because it may have broken on its way. If it comes again, the
  reader is told and goes on behind it: one message never keeps back what follows.

A client in another language needs to know what stands here and in `answers.py` (single requests, pauses),
`addresses.py` and `items.py`.
"""

import json
import math
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from slosh.client.addresses import topic_path, write_target
from slosh.client.answers import find_pause, find_problem, passes, read_problem, read_retry_after
from slosh.client.errors import BadUse, Refused, Unreadable
from slosh.client.items import UNREAD, Item, Note, read_message
from slosh.client.pieces import elements, members
from slosh.core.cursor import STAR, unspell, write_cursor

SILENCE: Final = 45.0
"""Seconds without a byte after which a stream counts as cut: three heartbeats of the server."""
POLL_WAIT: Final = 25.0
"""Seconds that a poll is held, if something on the way keeps streams back. Proxies often give up after 30."""

LEEWAY: Final = 1.0
"""Seconds before the first request from which messages are asked for again, if its answer was lost: the first
request may have reached the server sooner than the second one did."""

_LONGEST_COUNT: Final = 18
"""Digits of the largest number, of messages or of a time, that is believed; it fits into 64 bits."""
_LONGEST_RETRY: Final = 86_400_000
"""Milliseconds of the longest `retry` that is obeyed: a day. A server's own is a little longer than its `drain`."""

_SEVERAL: Final = re.compile(r'\{(?:"topic":("(?:[^"\\]|\\.)*"),)?(?:"time":([0-9]+),)?"message":(.*)\}', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that is to be made.

    Attributes:
        path: with the query, below the server's address.
        headers: besides the client's own.
        streams: whether the answer is an event stream; else it is one envelope.
    """

    path: str
    headers: Mapping[str, str]
    streams: bool


class WatchState:
    """A reader of topics: where it stands, and what it was told. It makes no request itself.

    Ask for `ask()`, make that request, and call `event`, `envelope`, `answered` or `cut` with what comes of it. Do
    that again after `pause` seconds, until `is_over`.

    Args:
        topics: names and patterns.
        options: `since`, `limit`, `every`, `key`, as in a query.
        jitter: gives numbers from 0 to 1.
        clock: gives seconds, and is never set.

    Attributes:
        place: after the last message given; empty before the server told one.
        pause: seconds to wait before the next request.
        is_over: whether the topics ended, so that no request follows.
        failures: requests one after another from which nothing came.
        lost: messages missed so far.
        truncated: whether a part of the window that `since` asked for had left the ring.
        incomplete: whether topics are left out that the patterns match, because one reader may not come to so many.
        polls: whether polls are made, because something on the way keeps streams back.
    """

    def __init__(
        self,
        topics: Sequence[str],
        options: Mapping[str, str],
        jitter: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not topics:
            raise BadUse("Name at least one topic to watch, as in watch('kitchen').")
        self._path = "/topics/" + ",".join(topic_path(topic) for topic in topics)
        self._only = topics[0] if len(topics) == 1 and "*" not in topics[0] else ""
        self._options = dict(options)
        write_target(self._path, self._options)  # so that what cannot be asked for is told before anything is
        self._jitter = jitter
        self._clock = clock
        self._first_asked: float | None = None  # when the first request was made, if it was for `now`
        self.failures = 0
        self._retry = 0.0
        self._broken: str | None = None  # the place behind which something came that cannot be read
        self._missed: dict[str, int] = {}
        self._begun: set[str] = set()
        self.place = ""
        self.pause = 0.0
        self.is_over = False
        self.lost = 0
        self.truncated = False
        self.incomplete = False
        self.polls = False

    def ask(self) -> Ask:
        """The next request."""
        query = dict(self._options)
        headers = {}
        if self.place:
            query["since"] = self.place
        elif query.get("since", "now") == "now":
            # If the first answer was lost, `now` still means the moment of the first request.
            if self._first_asked is None:
                self._first_asked = self._clock()
            else:
                query["since"] = f"{math.ceil((self._clock() - self._first_asked + LEEWAY) * 1000)}ms"
        if self.polls:
            query["wait"] = f"{POLL_WAIT:g}"
        else:
            headers["Accept"] = "text/event-stream"
            if self.place:
                headers["Last-Event-ID"] = self.place
        return Ask(write_target(f"{self._path}?times", query), headers, streams=not self.polls)

    def event(self, name: str, data: str, place: str, retry: int | None = None) -> Iterator[Item | Note]:
        """An event of the stream has come.

        Args:
            name: its type, `message` if it has none.
            data: its data.
            place: the last event id, empty if none came yet.
            retry: milliseconds, if the event says so.

        Raises:
            Refused: the server will not serve this reader.
            Unreadable: it makes no sense, and did not when it came before.
            ValueError: it makes no sense. Ask for it again.
        """
        if retry is not None:
            self._retry = min(retry, _LONGEST_RETRY) / 1000
        if name == "message" and data:
            self.failures = 0
            yield self._item(data, place)
            return
        if place and name != "refused":
            self.failures = 0
            self.place = place
        if name == "refused":
            self._refused(read_problem(data.encode()))
        elif name == "incomplete":
            yield from self._left_out()
        elif name in ("lost", "conflated", "reset", "truncated", "end"):
            try:
                said = members(data)
                topic = str(json.loads(said["topic"])) if "topic" in said else self._only
            except ValueError as error:
                self._break(f"The event {name}", error)
                raise
            yield self._note("ended" if name == "end" else name, topic, _count_in(said, name))
            if name == "end" and (self._only or "topic" not in said):
                self.is_over = True

    def envelope(self, body: bytes) -> Iterator[Item | Note]:
        """The answer to a poll has come.

        Raises:
            Unreadable: it makes no sense, and did not when it came before.
            ValueError: it makes no sense. Ask for it again.
        """
        try:
            said = members(body.decode())
            place = _text_in(said, "next")
            topics = members(said["topics"]).items() if "topics" in said else [(self._only, body.decode())]
            parts = [_Part(topic, members(part)) for topic, part in topics]
        except ValueError as error:
            self._break("The answer", error)
            raise
        if any(not raw for part in parts for raw, _ in part.messages) and self._asks_again():
            raise ValueError("a message is no JSON")
        self.failures = 0
        self.pause = 0.0
        for part in parts:
            yield from self._part(part, several="topics" in said)
        self.place = place
        if said.get("incomplete") == "true":
            yield from self._left_out()
        if said.get("ended") == "true":
            self.is_over = True

    def answered(self, status: int, headers: Mapping[str, str], body: bytes, where: str) -> None:
        """An answer has come that is neither an event stream nor an envelope.

        Raises:
            Refused: trying again would change nothing.
        """
        if status == 204:  # WHATWG HTML §9.2.3: the reader is not to come back
            self.is_over = True
            return
        problem = find_problem(status, headers, body, where)
        if not passes(status):
            raise Refused(status, problem, where)
        self._back_off(read_retry_after(headers))

    def cut(self, *, silent: bool = False) -> None:
        """The connection ended or could not be made.

        Args:
            silent: because nothing came for `SILENCE` seconds: something on the way keeps streams back.
        """
        self.polls = self.polls or silent
        self._back_off(None)

    def _back_off(self, least: float | None) -> None:
        """Pause as `find_pause` says.

        Args:
            least: what the answer's Retry-After says, seconds; None for nothing. Without it the last `retry` counts.
        """
        if self._retry and least is None:
            least = self._retry
        self.pause = find_pause(self.failures, least, self._jitter())
        self.failures = min(self.failures + 1, 16)

    def _left_out(self) -> Iterator[Note]:
        """The server has left topics out. Each connection says so again, and it is told once."""
        if not self.incomplete:
            self.incomplete = True
            yield Note("incomplete", "")

    def _refused(self, problem: Mapping[str, object]) -> None:
        status = problem.get("status")
        if isinstance(status, int) and not passes(status):
            raise Refused(status, problem, "the server")

    def _item(self, data: str, place: str) -> Item:
        match = _SEVERAL.fullmatch(data.strip())
        topic, time, raw = (match[1], match[2], match[3]) if match is not None else (None, None, data)
        name = self._only if topic is None else str(json.loads(topic))
        raw, message = read_message(raw)
        if not raw and self._asks_again():
            raise ValueError("what came is no JSON")
        self.place = place or self.place
        return self._give(name, raw, message, _cursor_of(self.place, name), time)

    def _asks_again(self) -> bool:
        """Whether a message that is no JSON is asked for once more. It may have broken on its way."""
        first = self._broken != self.place
        self._broken = self.place if first else None
        return first

    def _break(self, what: str, error: Exception) -> None:
        """Something came that makes no sense, besides a message. Once it is asked for again.

        Raises:
            Unreadable: it is the second time.
        """
        if self._broken == self.place:
            raise Unreadable(
                f"{what} of {self._path} behind the place {self.place or 'of the beginning'} cannot be read: {error}.",
                self._only,
                self.place,
            ) from error
        self._broken = self.place

    def too_large(self, error: Exception) -> NoReturn:
        """The next event or answer is larger than the client takes.

        Raises:
            Unreadable: in any case, because it would be as large the next time.
        """
        self._broken = self.place
        self._break("What comes next", error)
        raise AssertionError  # `_break` has raised

    def _give(self, topic: str, raw: str, message: object, cursor: tuple[str, int | None], time: str | None) -> Item:
        lost = self._missed.pop(topic, 0)
        reset = topic in self._begun
        self._begun.discard(topic)
        seconds = int(time) / 1000 if time is not None and len(time) <= _LONGEST_COUNT else None
        epoch, offset = cursor
        item = Item(message, topic, offset, seconds, self.place, lost, reset, raw, epoch)
        if message is UNREAD:
            object.__delattr__(item, "message")  # asking for it tells why; see `Item.__getattr__`
        return item

    def _note(self, kind: str, topic: str, count: int) -> Note:
        if kind == "lost":
            self.lost += count
            self._missed[topic] = self._missed.get(topic, 0) + count
        elif kind == "reset":
            self._begun.add(topic)
        elif kind == "truncated":
            self.truncated = True
        return Note(kind, topic, count)

    def _part(self, part: "_Part", *, several: bool) -> Iterator[Item | Note]:
        """What an envelope says of one topic.

        The place in one topic moves with each message. The places in several move together, when all was given.
        """
        for kind in ("reset", "truncated", "lost", "conflated"):
            if part.said.get(kind, "false") not in {"false", "0", "null"}:
                yield self._note(kind, part.topic, _count_in(part.said, kind))
        epoch, _, last = part.next.rpartition(".")
        first = int(last) - len(part.messages) + 1 if last.isdecimal() and "conflated" not in part.said else None
        for index, ((raw, message), arrived) in enumerate(zip(part.messages, part.times, strict=True)):
            offset = first + index if first is not None else None
            if not several and offset is not None:
                self.place = write_cursor(epoch, offset)
            yield self._give(part.topic, raw, message, (epoch, offset), arrived)
        if part.said.get("ended") == "true":
            yield self._note("ended", part.topic, 0)


class _Part:
    """What an envelope says of one topic.

    Raises:
        ValueError: it makes no sense.
    """

    def __init__(self, topic: str, said: Mapping[str, str]) -> None:
        self.topic = topic
        self.said = said
        self.next = _text_in(said, "next")
        self.messages = [read_message(each) for each in elements(said.get("res", "[]"))]
        times: Sequence[str | None] = [time if time.isdigit() else None for time in elements(said.get("times", "[]"))]
        self.times = times if len(times) == len(self.messages) else [None] * len(self.messages)


def _text_in(said: Mapping[str, str], name: str) -> str:
    text = json.loads(said.get(name, "null"))
    if not isinstance(text, str):
        raise ValueError(f"it has no {name}")  # noqa: TRY004 - of what came, as everything here
    return text


def _count_in(said: Mapping[str, str], name: str) -> int:
    digits = said.get(name, "")
    return int(digits) if digits.isdecimal() and len(digits) <= _LONGEST_COUNT else 0


def _cursor_of(place: str, topic: str) -> tuple[str, int | None]:
    """The epoch and the offset of a topic in a cursor, or in a vector of them."""
    for part in place.split(","):
        name, mark, cursor = part.rpartition("=")
        if (not mark and cursor != STAR) or (mark and unspell(name) == topic):
            epoch, _, digits = cursor.rpartition(".")
            return epoch, int(digits) if digits.isdecimal() and len(digits) <= _LONGEST_COUNT else None
    return "", None
