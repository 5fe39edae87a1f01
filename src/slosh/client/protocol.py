"""What a client of topics has to know, without any I/O.

The rules of this file:

* A reader's place is what the server gave with the last message that the reader was given. It is sent back as it is,
  so nothing comes twice and nothing is missed in silence, over however many connections.
* A message and the place after it move together: `Watching` moves its place when it hands the message over.
* Waiting is somebody else's work: this file says for how long.
* 400, 401, 403, 404 and the like are final. 429, 5xx, cuts and silence pass, and are tried again.
* What cannot be read is asked for once more, because it may have broken on its way. If it comes again, the reader is
  told and goes on behind it: one message never keeps back what follows.

It is longer than other files because somebody who writes a client in another language finds all of it here.
"""

import json
import math
import os
import random
import re
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import quote, unquote_to_bytes, urlencode, urljoin, urlsplit, urlunsplit

from slosh.client.errors import BadUse, Refused, Unreadable
from slosh.client.pieces import elements, members
from slosh.client.values import decode
from slosh.core.cursor import STAR, unspell

DEFAULT_URL: Final = "http://127.0.0.1:8000"
"""Where `slosh serve` listens when nothing else is said."""

SILENCE: Final = 45.0
"""Seconds without a byte after which a stream counts as cut: three heartbeats of the server."""
POLL_WAIT: Final = 25.0
"""Seconds that a poll is held, where something on the way keeps streams back. Proxies often give up after 30."""

LEEWAY: Final = 1.0
"""Seconds before the first request from which messages are asked for again, where its answer was lost: the first
request may have reached the server sooner than the second one did."""

_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 30.0
_AT_ONCE: Final = 0.05
"""The first pause where the server says that there need be none."""
_PASSING: Final = frozenset({408, 425, 429})

_DOTS: Final = frozenset({".", ".."})
_LONGEST_COUNT: Final = 18
"""Digits of the largest number of messages that is believed; it fits into 64 bits."""

_SAFE: Final = "/-._~"
_SEVERAL: Final = re.compile(r'\{(?:"topic":("(?:[^"\\]|\\.)*"),)?(?:"time":([0-9]+),)?"message":(.*)\}', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Item:
    """One message.

    Attributes:
        message: what it says, as Python values. Asking for it raises `Unreadable` where that cannot be had.
        topic: the name of its topic.
        offset: its number in its topic's life, from 1 on; None where the server left messages out (`key`, `limit`)
            and the connection was a poll.
        time: when the server took it, seconds since 1970; None where the server did not say.
        place: the reader's place after it. Give it as `since` to go on behind this message.
        lost: how many messages this reader missed just before this one.
        reset: whether the topic began a new life just before this one.
        raw: the message as its JSON text; empty where what came is no JSON.
    """

    message: object
    topic: str
    offset: int | None
    time: float | None
    place: str
    lost: int = 0
    reset: bool = False
    raw: str = field(default="", repr=False)

    if not TYPE_CHECKING:  # a type checker would take every misspelt name for one that is found here

        def __getattr__(self, name: str) -> object:
            """The message, of an item that has none yet: it could not be read when it came."""
            if name != "message":
                raise AttributeError(f"an item has no {name!r}")
            return _read_again(self)


def _read_again(item: Item) -> object:
    """What an item's message says, if it can be read here."""
    try:
        return decode(item.raw)
    except RecursionError:
        reason = "it is nested too deep for what is left of Python's stack; its text is in item.raw"
    except ValueError as error:
        reason = f"{error}; its text is in item.raw" if item.raw else "what came is no JSON"
    raise Unreadable(
        f"The message of {item.topic} before the place {item.place} cannot be read: {reason}.", item.topic, item.place
    )


@dataclass(frozen=True, slots=True)
class Note:
    """Something that happened between messages.

    Attributes:
        kind: `lost` (messages fell off the ring before this reader came), `conflated` (messages were left out, because
            `key` or `limit` asked for it), `reset` (the topic began a new life), `truncated` (a part of the window
            asked for had left the ring), `ended` (the topic ended), `incomplete` (the patterns take in more topics than
            one reader may come to, and some are left out), `away` (the server does not answer, and is asked again).
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
        taken: whether it was stored. False: nobody watches the topic, or it has ended, so nothing needs to be computed
            for it.
        max: the offset of the newest message in the topic, 0 where it was not taken.
        watchers: how many watch the topic now.
        next: the place behind the message.
        ended: whether the topic has ended: with this message, or before it.
        queue: how many messages the topic keeps, as the answer to several messages says; 0 where it was not told.
        queue_bytes: bytes that it keeps, in the same way.
    """

    taken: bool
    max: int = 0
    watchers: int = 0
    next: str = ""
    ended: bool = False
    queue: int = field(default=0, repr=False)  # told with several messages alone
    queue_bytes: int = field(default=0, repr=False)

    def __bool__(self) -> bool:
        return self.taken


def find_url(url: str | None) -> str:
    """The server's address, without a slash at its end: `url`, else SLOSH_URL, else this machine's port 8000.

    Raises:
        BadUse: it is no address; the detail says what to write.
    """
    told = url if url is not None else os.environ.get("SLOSH_URL", "") or DEFAULT_URL
    # The value itself is not repeated where it could hold a password.
    shown = repr(told) if "@" not in told else "this address"
    try:
        parts = urlsplit(told)
        host, _ = parts.hostname or "", parts.port
        told.encode()
        host.encode("idna")
    except ValueError:
        raise BadUse(f"A server's address looks like {DEFAULT_URL}; {shown} cannot be read.") from None
    if parts.scheme not in ("http", "https") or not host:
        raise BadUse(f"A server's address begins with http:// or https://, as in {DEFAULT_URL}; {shown} does not.")
    if parts.query or parts.fragment:
        raise BadUse(f"A server's address has no query; write the one under which /topics/ is found, as {DEFAULT_URL}.")
    if "/topics/" in f"{parts.path}/":
        raise BadUse(f"A server's address ends in front of /topics, as {DEFAULT_URL}; {shown} goes on behind it.")
    return told.rstrip("/")


def split_login(url: str) -> tuple[str, str]:
    """An address without the login in it, and that login as a value of `Authorization`; empty where it has none.

    So an address may be shown. A proxy in front of a server may ask for such a login (RFC 7617).
    """
    parts = urlsplit(url)
    login, mark, _ = parts.netloc.rpartition("@")
    if not mark:
        return url, ""
    secret = b64encode(unquote_to_bytes(login)).decode()
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])), f"Basic {secret}"


def topic_path(topic: object) -> str:
    """The path of one topic, or of one pattern.

    Raises:
        BadUse: it is no name.
    """
    if not isinstance(topic, str) or not topic:
        raise BadUse(f"A topic's name is a text such as 'kitchen' or 'sensors/kitchen', not {topic!r}.")
    if "," in topic:
        raise BadUse(f"A topic's name has no comma; name several topics one by one, not as {topic!r}.")
    if not _DOTS.isdisjoint(topic.split("/")):  # what makes requests would go up a folder, to another topic
        raise BadUse(f"No segment of a topic's name is '.' or '..'; this one is {topic!r}.")
    try:
        return quote(topic, safe=_SAFE + "*$!'()+;=@:&")
    except UnicodeEncodeError:
        raise BadUse(f"A topic's name is a text of Unicode, and {topic!r} has bytes that are none.") from None


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
        clock: gives seconds, and is never set.

    Attributes:
        place: behind the last message given; empty before the server told one.
        pause: seconds to wait before the next request.
        is_over: whether the topics ended, so that no request follows.
        failures: requests one after another from which nothing came.
        lost: messages missed so far.
        truncated: whether a part of the window that `since` asked for had left the ring.
        incomplete: whether topics are left out that the patterns take in, because one reader may not come to so many.
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
        self._jitter = jitter
        self._clock = clock
        self._first_asked: float | None = None  # when the first request was made, where it was for `now`
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
            # Where the first answer was lost, `now` still means the moment of the first request.
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
            Unreadable: it makes no sense, and did not when it came before.
            ValueError: it makes no sense. Ask for it again.
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
            told = members(said["topics"]).items() if "topics" in said else [(self._only, body.decode())]
            parts = [_Part(topic, members(part)) for topic, part in told]
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
        if status < 500 and status not in _PASSING:
            raise Refused(status, problem, where)
        self._back_off(_seconds(headers.get("retry-after", "")))

    def cut(self, *, silent: bool = False) -> None:
        """The connection ended or could not be made.

        Args:
            silent: because nothing came for `SILENCE` seconds: something on the way keeps streams back.
        """
        self.polls = self.polls or silent
        self._back_off(None)

    def _back_off(self, told: float | None) -> None:
        """Pause as `_find_pause` says.

        Args:
            told: what the answer's Retry-After says, seconds; None for nothing. Without it the last `retry` counts.
        """
        if self._retry and told is None:
            told = self._retry
        self.pause = _find_pause(self.failures, told, self._jitter())
        self.failures = min(self.failures + 1, 16)

    def _left_out(self) -> Iterator[Note]:
        """The server has left topics out. Each connection says so again, and it is told once."""
        if not self.incomplete:
            self.incomplete = True
            yield Note("incomplete", "")

    def _refused(self, problem: Mapping[str, object]) -> None:
        status = problem.get("status")
        if isinstance(status, int) and status < 500 and status not in _PASSING:
            raise Refused(status, problem, "the server")

    def _item(self, data: str, place: str) -> Item:
        match = _SEVERAL.fullmatch(data.strip())
        topic, time, raw = (match[1], match[2], match[3]) if match is not None else (None, None, data)
        name = self._only if topic is None else str(json.loads(topic))
        raw, message = _read(raw)
        if not raw and self._asks_again():
            raise ValueError("what came is no JSON")
        self.place = place or self.place
        return self._give(name, raw, message, _offset_of(self.place, name), time)

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

    def _give(self, topic: str, raw: str, message: object, offset: int | None, time: str | None) -> Item:
        lost = self._missed.pop(topic, 0)
        reset = topic in self._begun
        self._begun.discard(topic)
        seconds = int(time) / 1000 if time is not None else None
        item = Item(message, topic, offset, seconds, self.place, lost, reset, raw)
        if message is _UNREAD:
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
                self.place = f"{epoch}.{offset}"
            yield self._give(part.topic, raw, message, offset, arrived)
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
        self.messages = [_read(each) for each in elements(said.get("res", "[]"))]
        times: Sequence[str | None] = [time if time.isdigit() else None for time in elements(said.get("times", "[]"))]
        self.times = times if len(times) == len(self.messages) else [None] * len(self.messages)


_UNREAD: Final = object()
"""In place of a message that cannot be read."""


def _read(raw: str) -> tuple[str, object]:
    """A message's text and what it says: `_UNREAD` where that cannot be had, and no text where it is no JSON."""
    try:
        return raw, decode(raw)
    except json.JSONDecodeError:
        return "", _UNREAD
    except (ValueError, RecursionError):
        return raw, _UNREAD


def _text_in(said: Mapping[str, str], name: str) -> str:
    text = json.loads(said.get(name, "null"))
    if not isinstance(text, str):
        raise ValueError(f"it has no {name}")  # noqa: TRY004 - of what came, as everything here
    return text


def _count_in(said: Mapping[str, str], name: str) -> int:
    digits = said.get(name, "")
    return int(digits) if digits.isdecimal() and len(digits) <= _LONGEST_COUNT else 0


def read_problem(body: bytes) -> Mapping[str, object]:
    """The problem document in an answer, empty where there is none."""
    try:
        said = decode(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def find_problem(status: int, headers: Mapping[str, str], body: bytes, where: str) -> Mapping[str, object]:
    """What an answer says that is none of a server's own: its problem document, or where it sends clients on to.

    A client follows no such answer: it would send its token, and its messages, to somebody it was not given.
    """
    if not 300 <= status < 400 or "location" not in headers:
        return read_problem(body)
    try:
        parts = urlsplit(urljoin(where, headers["location"]))
    except ValueError:
        return {}
    front = parts.path.partition("/topics")[0].rstrip("/")
    there = "".join(each if each.isprintable() else "?" for each in f"{parts.scheme}://{parts.netloc}{front}")
    return {"detail": f"{where} sends clients on to {there}; give that address."}


def read_answer(
    status: int, headers: Mapping[str, str], body: bytes, where: str, *members: str
) -> Mapping[str, object]:
    """What the answer to a GET says that asks for facts.

    Args:
        members: one of which it has.

    Raises:
        Refused: it is another answer, also one of something that is no slosh and says 200.
    """
    said = read_problem(body)
    if status != 200 or not any(member in said for member in members):
        raise Refused(status, find_problem(status, headers, body, where), where)
    return said


def read_patterns(said: Mapping[str, object]) -> list[str]:
    """The patterns that an answer lists; `**` stands for those for which there was no room."""
    listed = said.get("patterns")
    patterns = [str(each) for each in listed] if isinstance(listed, list) else []
    return [*patterns, "**"] if said.get("more") is True and "**" not in patterns else patterns


def read_published(status: int, headers: Mapping[str, str], body: bytes, where: str) -> Published:
    """What the answer to a POST says.

    Raises:
        Refused: the message cannot be taken, and trying again would change nothing.
    """
    said = read_problem(body)
    if status == 404 and said.get("code") == "no_watchers":
        return Published(taken=False)
    if status == 409 and said.get("code") == "ended":
        return Published(taken=False, ended=True)
    if status != 200 or "max" not in said:
        raise Refused(status, find_problem(status, headers, body, where), where)
    return Published(
        taken=True,
        max=_count(said["max"]),
        watchers=_count(said.get("watchers")),
        next=str(said.get("next", "")),
        ended=said.get("ended") is True,
        queue=_count(said.get("queue")),
        queue_bytes=_count(said.get("queue_bytes")),
    )


def passes(status: int) -> bool:
    """Whether an answer with this status is worth another try."""
    return status >= 500 or status in _PASSING


def pause_before(attempt: int, headers: Mapping[str, str], jitter: float) -> float:
    """Seconds to wait before the attempt of this number, from 1 on."""
    return _find_pause(attempt - 1, _seconds(headers.get("retry-after", "")), jitter)


def _find_pause(failures: int, told: float | None, jitter: float) -> float:
    """Seconds to wait after `failures` failures and one more: longer with each, and never shorter than was asked for.

    A server that says to come back at once, because its successor serves already, is taken at its word. The pauses
    grow from there too, so that a server that always says so is not asked in a circle.

    Args:
        told: how long to wait at least, as the server says; None where it says nothing.
        jitter: from 0 to 1.
    """
    first = _FIRST_PAUSE if told is None else min(_FIRST_PAUSE, max(_AT_ONCE, told))
    pause: float = min(first * 2**failures, _LONGEST_PAUSE)
    return max(told or 0.0, pause * (0.5 + jitter / 2))


def _seconds(text: str) -> float | None:
    """The seconds of a Retry-After (RFC 9110 §10.2.3), at most `_LONGEST_PAUSE`; None for a date or nothing."""
    return min(float(text), _LONGEST_PAUSE) if text.isascii() and text.isdigit() else None


def _offset_of(place: str, topic: str) -> int | None:
    """The offset of a topic in a cursor, or in a vector of them."""
    for part in place.split(","):
        name, mark, cursor = part.rpartition("=")
        if (not mark and cursor != STAR) or (mark and unspell(name) == topic):
            digits = cursor.rpartition(".")[2]
            return int(digits) if digits.isdecimal() and len(digits) <= _LONGEST_COUNT else None
    return None


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
