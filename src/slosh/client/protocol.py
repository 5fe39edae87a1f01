"""What a client of topics has to know, without any I/O.

The rules of this file:

* A reader's place is what the server gave with the last message that the reader was given. It is sent back as it is,
  so nothing comes twice and nothing is missed in silence, over however many connections.
* A message and the place after it move together: `Watching` moves its place when it hands the message over.
* Waiting is somebody else's work: this file says for how long.
* 400, 401, 403, 404 and the like are final. 429, 5xx, cuts and silence pass, and are tried again.
"""

import json
import os
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

from slosh.client.errors import BadUse, Refused
from slosh.client.values import decode
from slosh.core.cursor import unspell
from slosh.core.subscription import STAR

DEFAULT_URL: Final = "http://127.0.0.1:8000"
"""Where `slosh serve` listens when nothing else is said."""

SILENCE: Final = 45.0
"""Seconds without a byte after which a stream counts as cut: three heartbeats of the server."""
POLL_WAIT: Final = 25.0
"""Seconds that a poll is held, where something on the way keeps streams back. Proxies often give up after 30."""

_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 30.0
_PASSING: Final = frozenset({408, 425, 429})

_SAFE: Final = "/-._~"
_SEVERAL: Final = re.compile(r'\{(?:"topic":("(?:[^"\\]|\\.)*"),)?(?:"time":([0-9]+),)?"message":(.*)\}', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Item:
    """One message.

    Attributes:
        message: what it says, as Python values.
        topic: the name of its topic.
        offset: its number in its topic's life, from 1 on; None where the server left messages out (`key`, `limit`)
            and the connection was a poll.
        time: when the server took it, seconds since 1970; None where the server did not say.
        place: the reader's place after it. Give it as `since` to go on behind this message.
        lost: how many messages this reader missed just before this one.
        reset: whether the topic began a new life just before this one.
        raw: the message as its JSON text.
    """

    message: object
    topic: str
    offset: int | None
    time: float | None
    place: str
    lost: int = 0
    reset: bool = False
    raw: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Note:
    """Something that happened between messages.

    Attributes:
        kind: `lost` (messages fell off the ring before this reader came), `conflated` (messages were left out, because
            `key` or `limit` asked for it), `reset` (the topic began a new life), `truncated` (a part of the window
            asked for had left the ring), `ended` (the topic ended), `away` (the server does not answer,
            and is asked again).
        topic: its name; empty where the server named none because all topics are meant.
        count: of messages, for `lost` and `conflated`.
    """

    kind: str
    topic: str
    count: int = 0


@dataclass(frozen=True, slots=True)
class Published:
    """What became of a publish. It is true where the message was taken.

    Attributes:
        taken: whether it was stored. False: nobody watches the topic, so nothing needs to be computed for it.
        max: the offset of the newest message in the topic, 0 where it was not taken.
        watchers: how many watch the topic now.
        next: the place behind the message.
    """

    taken: bool
    max: int = 0
    watchers: int = 0
    next: str = ""

    def __bool__(self) -> bool:
        return self.taken


def find_url(url: str | None) -> str:
    """The server's address, without a slash at its end: `url`, else SLOSH_URL, else this machine's port 8000.

    Raises:
        BadUse: it is no address; the detail says what to write.
    """
    told = url if url is not None else os.environ.get("SLOSH_URL", "") or DEFAULT_URL
    parts = urlsplit(told)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        # The value itself is not repeated where it could hold a password.
        shown = told if "@" not in told else "this address"
        raise BadUse(f"A server's address begins with http:// or https://, as in {DEFAULT_URL}; {shown!r} does not.")
    if parts.query or parts.fragment:
        raise BadUse(f"A server's address has no query; write the one under which /topics/ is found, as {DEFAULT_URL}.")
    return told.rstrip("/")


def topic_path(topic: object) -> str:
    """The path of one topic, or of one pattern.

    Raises:
        BadUse: it is no name.
    """
    if not isinstance(topic, str) or not topic:
        raise BadUse(f"A topic's name is a text such as 'kitchen' or 'sensors/kitchen', not {topic!r}.")
    if "," in topic:
        raise BadUse(f"A topic's name has no comma; name several topics one by one, not as {topic!r}.")
    return quote(topic, safe=_SAFE + "*$!'()+;=@:&")


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


class Watching:
    """A reader of topics: where it stands, and what it was told. It makes no request itself.

    Ask for `ask()`, make that request, and call `event`, `envelope`, `answered` or `cut` with what comes of it. Do
    that again after `pause` seconds, until `is_over`.

    Args:
        topics: names and patterns.
        options: `since`, `limit`, `every`, `key`, as in a query.
        jitter: gives numbers from 0 to 1.

    Attributes:
        place: behind the last message given; empty before the server told one.
        pause: seconds to wait before the next request.
        is_over: whether the topics ended, so that no request follows.
        failures: requests one after another from which nothing came.
        lost: messages missed so far.
        polls: whether polls are made, because something on the way keeps streams back.
    """

    def __init__(
        self, topics: Sequence[str], options: Mapping[str, str], jitter: Callable[[], float] = random.random
    ) -> None:
        if not topics:
            raise BadUse("Name at least one topic to watch, as in watch('kitchen').")
        self._path = "/topics/" + ",".join(topic_path(topic) for topic in topics)
        self._only = topics[0] if len(topics) == 1 and "*" not in topics[0] else ""
        self._options = dict(options)
        self._jitter = jitter
        self.failures = 0
        self._retry = 0.0
        self._missed: dict[str, int] = {}
        self._begun: set[str] = set()
        self.place = ""
        self.pause = 0.0
        self.is_over = False
        self.lost = 0
        self.polls = False

    def ask(self) -> Ask:
        """The next request."""
        query = dict(self._options)
        headers = {}
        if self.place:
            query["since"] = self.place
        if self.polls:
            query["wait"] = f"{POLL_WAIT:g}"
        else:
            headers["Accept"] = "text/event-stream"
            if self.place:
                headers["Last-Event-ID"] = self.place
        text = urlencode(query, quote_via=quote, safe=".,=*:-~")
        return Ask(f"{self._path}?times&{text}" if text else f"{self._path}?times", headers, streams=not self.polls)

    def event(self, name: str, data: str, place: str, retry: int | None = None) -> Iterator[Item | Note]:
        """An event of the stream has come.

        Args:
            name: its type, `message` where it has none.
            data: its data.
            place: the last event id, empty where none came yet.
            retry: milliseconds, where the event says so.

        Raises:
            Refused: the server will not serve this reader.
        """
        if retry is not None:
            self._retry = retry / 1000
        if name == "message" and data:
            self.failures = 0
            yield self._item(data, place)
            return
        if place and name != "refused":
            self.failures = 0
            self.place = place
        if name == "refused":
            self._refused(json.loads(data))
        elif name in ("lost", "conflated", "reset", "truncated", "end"):
            said = json.loads(data)
            topic = str(said.get("topic", self._only))
            yield self._note("ended" if name == "end" else name, topic, _count(said.get(name)))
            if name == "end" and (self._only or "topic" not in said):
                self.is_over = True

    def envelope(self, body: bytes) -> Iterator[Item | Note]:
        """The answer to a poll has come."""
        self.failures = 0
        self.pause = 0.0
        said = json.loads(body)
        several = "topics" in said
        parts: Mapping[str, Mapping[str, object]] = said["topics"] if several else {self._only: said}
        for topic, part in parts.items():
            yield from self._part(topic, part, several=several)
        self.place = str(said["next"])
        if said.get("ended") is True:
            self.is_over = True

    def answered(self, status: int, headers: Mapping[str, str], body: bytes, where: str) -> None:
        """An answer has come that is neither an event stream nor an envelope.

        Raises:
            Refused: trying again would change nothing.
        """
        if status == 204:  # WHATWG HTML §9.2.3: the reader is not to come back
            self.is_over = True
            return
        problem = read_problem(body)
        if status < 500 and status not in _PASSING:
            raise Refused(status, problem, where)
        self._back_off(_seconds(headers.get("retry-after", "")))

    def cut(self, *, silent: bool = False) -> None:
        """The connection ended or could not be made.

        Args:
            silent: because nothing came for `SILENCE` seconds: something on the way keeps streams back.
        """
        self.polls = self.polls or silent
        self._back_off(0.0)

    def _back_off(self, least: float) -> None:
        """Pause longer with each failure, and never shorter than the server asked for."""
        pause = min(_FIRST_PAUSE * 2**self.failures, _LONGEST_PAUSE)
        self.pause = max(least, self._retry, pause * (0.5 + self._jitter() / 2))
        self.failures = min(self.failures + 1, 16)

    def _refused(self, problem: Mapping[str, object]) -> None:
        status = problem.get("status")
        if isinstance(status, int) and status < 500 and status not in _PASSING:
            raise Refused(status, problem, "the server")

    def _item(self, data: str, place: str) -> Item:
        match = _SEVERAL.fullmatch(data.strip())
        topic, time, raw = (match[1], match[2], match[3]) if match is not None else (None, None, data)
        name = self._only if topic is None else str(json.loads(topic))
        self.place = place or self.place
        return self._give(name, raw, _offset_of(self.place, name), time)

    def _give(self, topic: str, raw: str, offset: int | None, time: str | int | None) -> Item:
        lost = self._missed.pop(topic, 0)
        reset = topic in self._begun
        self._begun.discard(topic)
        seconds = int(time) / 1000 if time is not None else None
        return Item(decode(raw), topic, offset, seconds, self.place, lost, reset, raw)

    def _note(self, kind: str, topic: str, count: int) -> Note:
        if kind == "lost":
            self.lost += count
            self._missed[topic] = self._missed.get(topic, 0) + count
        elif kind == "reset":
            self._begun.add(topic)
        return Note(kind, topic, count)

    def _part(self, topic: str, part: Mapping[str, object], *, several: bool) -> Iterator[Item | Note]:
        """What an envelope says of one topic.

        The place in one topic moves with each message. The places in several move together, when all was given.
        """
        for kind in ("reset", "truncated", "lost", "conflated"):
            if part.get(kind):
                yield self._note(kind, topic, _count(part[kind]))
        messages, times = part.get("res"), part.get("times")
        messages = messages if isinstance(messages, list) else []
        times = times if isinstance(times, list) else [None] * len(messages)
        epoch, _, last = str(part["next"]).rpartition(".")
        first = int(last) - len(messages) + 1 if last.isdigit() and not part.get("conflated") else None
        for index, (message, time) in enumerate(zip(messages, times, strict=False)):
            offset = first + index if first is not None else None
            if not several and offset is not None:
                self.place = f"{epoch}.{offset}"
            yield self._give(topic, json.dumps(message, ensure_ascii=False), offset, time)
        if part.get("ended"):
            yield self._note("ended", topic, 0)


def read_problem(body: bytes) -> Mapping[str, object]:
    """The problem document in an answer, empty where there is none."""
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def read_published(status: int, body: bytes, where: str) -> Published:
    """What the answer to a POST says.

    Raises:
        Refused: the message cannot be taken, and trying again would change nothing.
    """
    said = read_problem(body)
    if status == 404 and said.get("code") == "no_watchers":
        return Published(taken=False)
    if status != 200 or "max" not in said:
        raise Refused(status, said, where)
    return Published(True, _count(said["max"]), _count(said.get("watchers")), str(said.get("next", "")))  # noqa: FBT003 - the result's first fact


def passes(status: int) -> bool:
    """Whether an answer with this status is worth another try."""
    return status >= 500 or status in _PASSING


def pause_before(attempt: int, headers: Mapping[str, str], jitter: float) -> float:
    """Seconds to wait before the attempt of this number, from 1 on."""
    pause: float = min(_FIRST_PAUSE * 2 ** (attempt - 1), _LONGEST_PAUSE)
    return max(_seconds(headers.get("retry-after", "")), pause * (0.5 + jitter / 2))


def _seconds(text: str) -> float:
    """The seconds of a Retry-After (RFC 9110 §10.2.3); 0 for a date or nothing, at most `_LONGEST_PAUSE`."""
    return min(float(text), _LONGEST_PAUSE) if text.isdigit() else 0.0


def _offset_of(place: str, topic: str) -> int | None:
    """The offset of a topic in a cursor, or in a vector of them."""
    for part in place.split(","):
        name, mark, cursor = part.rpartition("=")
        if (not mark and cursor != STAR) or (mark and unspell(name) == topic):
            digits = cursor.rpartition(".")[2]
            return int(digits) if digits.isdigit() else None
    return None


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
