"""What the synchronous and the asynchronous client have in common: their options, checked and spelled for the wire."""

import math
import os
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import Final, TypedDict

import httpx2

from slosh.client.addresses import (
    DEFAULT_URL,
    UNIX_BASE,
    check_text,
    find_url,
    one_topic_path,
    socket_path,
    split_login,
)
from slosh.client.answers import THROUGH, Published, passes, pause_before, read_problem, read_published
from slosh.client.errors import BadUse, NotTaken, show
from slosh.client.protocol import Ask
from slosh.client.proxies import find_proxy, shown_proxy
from slosh.client.values import encode, encode_many
from slosh.durations import LONGEST, write_duration

EVENTS: Final = "text/event-stream"
"""The media type of a stream of events."""
_HIGHEST: Final = 10**100
"""The highest whole number that an argument may be. Python writes none of more than 4,300 digits."""
_FIELD_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110 §5.1."""
_DURATION: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Options:
    """How a client reaches its server.

    Attributes:
        url: the server's address, without a login and without a slash at its end. For people; requests go to `base`.
        base: what the address of each request begins with.
        headers: of every request.
        timeout: seconds that a request other than a watch may take in all, retries included.
        proxy: that requests go through, empty for none. It may have a login in it.
    """

    url: str
    base: str
    headers: Mapping[str, str] = field(repr=False)
    timeout: float
    proxy: str = field(default="", repr=False)

    @property
    def where(self) -> str:
        """The server's address as errors tell it: with the proxy that is asked for it."""
        return f"{self.url}{THROUGH}{shown_proxy(self.proxy)})" if self.proxy else self.url


def make_options(url: str | None, token: str | None, headers: Mapping[str, str] | None, timeout: float) -> Options:
    """Check what a client was made with.

    Args:
        url: the server's address; None for SLOSH_URL, else this machine's port 8000.
        token: sent as `Authorization: Bearer`; None for SLOSH_TOKEN, else what stands in the file that
            SLOSH_TOKEN_FILE names, if one of them is set.
    """
    timeout = check_seconds("timeout", timeout)
    all_headers = {"User-Agent": "slosh-client"} | _check_headers(headers or {})
    secret = token if token is not None else os.environ.get("SLOSH_TOKEN", "") or _read_token()
    if secret:
        if not _is_text(secret) or not secret.isascii() or not secret.isprintable() or " " in secret:
            raise BadUse(
                "A token is printable ASCII without spaces; that of token, SLOSH_TOKEN or SLOSH_TOKEN_FILE is not."
            )
        all_headers["Authorization"] = f"Bearer {secret}"
    address, login = split_login(find_url(url))
    base = UNIX_BASE if socket_path(address) else address
    try:
        httpx2.URL(base)
    except httpx2.InvalidURL as error:
        raise BadUse(f"A server's address looks like {DEFAULT_URL}; {show(address)} cannot be used: {error}.") from None
    if login and secret:
        raise BadUse(
            "The server's address has a login and there is a token too, and a request has room for one. Take one out."
        )
    if login:
        all_headers["Authorization"] = login
    proxy = "" if socket_path(address) else find_proxy(base)
    return Options(address, base, all_headers, timeout, proxy)


def _is_text(value: object) -> bool:
    """As `isinstance`, of what an annotation calls a text: not every program is checked for its types."""
    return isinstance(value, str)


def is_several(values: object) -> bool:
    """Whether these are several, and not one text."""
    return isinstance(values, Iterable) and not isinstance(values, (str, bytes))


def _check_headers(headers: object) -> dict[str, str]:
    """The header fields that a program gives.

    Raises:
        BadUse: one of them can be sent by no request (RFC 9110 §5).
    """
    if not isinstance(headers, Mapping):
        raise BadUse(f"headers is a dict of names and values, not {show(headers)}.")
    checked = {}
    for name, value in headers.items():
        if not isinstance(name, str) or _FIELD_NAME.fullmatch(name) is None:
            raise BadUse(f"The name of a header field is letters, digits and '-', not {show(name)}.")
        # The value itself is not repeated: it may be a secret.
        if not isinstance(value, str) or not value.isascii() or not value.replace("\t", " ").isprintable():
            raise BadUse(f"The value of a header field is a text of printable ASCII; that of {name} is not.")
        checked[name] = value
    return checked


def _read_token() -> str:
    """What stands in the file that SLOSH_TOKEN_FILE names; empty if it names none.

    Raises:
        BadUse: it cannot be read, or is empty: a request without its token would be another one.
    """
    file = os.environ.get("SLOSH_TOKEN_FILE", "")
    if not file:
        return ""
    try:
        token = Path(file).read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text of ASCII"
        raise BadUse(f"SLOSH_TOKEN_FILE names {file}, which cannot be read: {reason}.") from None
    if not token:
        raise BadUse(f"SLOSH_TOKEN_FILE names {file}, which is empty; it holds a token.")
    return token


class WatchOptions(TypedDict, total=False):
    """What a watch can be told; see `Client.watch`."""

    since: str | float
    last: int
    limit: int
    every: str | float
    key: str
    deadline: float


def watch_query(options: WatchOptions) -> dict[str, str]:
    """The query of a watch.

    Raises:
        BadUse: an option is not valid, or has a value that it cannot have.
    """
    unknown = [name for name in options if name not in WatchOptions.__annotations__]
    if unknown:
        raise BadUse(f"{unknown[0]} is no option of watch; there are {', '.join(WatchOptions.__annotations__)}.")
    since, last = options.get("since"), options.get("last")
    if since is not None and last is not None:
        raise BadUse("Give since or last, not both: each says where to start.")
    query: dict[str, str] = {}
    if since is not None:
        query["since"] = check_text("since", since if isinstance(since, str) else f"{write_seconds('since', since)}s")
    if last is not None:
        query["since"] = f"-{check_number('last', last)}"
    if (limit := options.get("limit")) is not None:
        query["limit"] = str(check_number("limit", limit))
    if (every := options.get("every")) is not None:
        query["every"] = _duration("every", every)
    if (key := options.get("key")) is not None:
        query["key"] = check_text("key", key)
    return query


def watchers_query(wait: float) -> dict[str, str]:
    """The query of a request for the number of watchers.

    Raises:
        BadUse: `wait` is no time to wait.
    """
    waits = write_seconds("wait", wait)
    return {"watchers": ""} | ({"wait": waits} if wait else {})


def write_seconds(name: str, value: object) -> str:
    """The number of seconds that the argument `name` is, as a query has it.

    Raises:
        BadUse: it is not valid.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= LONGEST:
        raise BadUse(f"{name} is a number of seconds, or a text such as '90s' or '10m', not {show(value)}.")
    return write_duration(value)


def check_deadline(deadline: float | None) -> float | None:
    """Give `deadline` back when it is a time to go on.

    Raises:
        BadUse: it is not valid.
    """
    return None if deadline is None else check_seconds("deadline", deadline)


def check_seconds(name: str, value: object, *, least: float | None = None) -> float:
    """Give back the seconds that the argument `name` is, if it is a time that can be waited.

    Args:
        least: what it may be at least; None for anything above 0.

    Raises:
        BadUse: it is not valid. Infinity is none either, because neither a thread nor a socket can wait for that.
    """
    bound = "above 0" if least is None else f"from {least:g} on"
    if not isinstance(value, bool) and isinstance(value, Real):
        try:
            seconds = float(value)
        except (ArithmeticError, ValueError):  # it has more digits than a float takes, or is none
            seconds = math.nan
        if (seconds > 0 if least is None else seconds >= least) and seconds <= LONGEST:
            return seconds
    raise BadUse(f"{name} is a number of seconds {bound}, at most {LONGEST:.0f}, not {show(value)}.")


def is_stream(answer: httpx2.Response, ask: Ask) -> bool:
    """Whether this is the event stream that was asked for."""
    return answer.status_code == 200 and ask.streams and kind_of(answer) == EVENTS


def is_envelope(answer: httpx2.Response, ask: Ask) -> bool:
    """Whether this is the answer to a poll."""
    return answer.status_code == 200 and not ask.streams and kind_of(answer) == "application/json"


def kind_of(answer: httpx2.Response) -> str:
    """The media type of an answer, without its parameters; empty if it names none."""
    kind: str = answer.headers.get("content-type", "").partition(";")[0]
    return kind.strip().lower()


def check_number(name: str, value: object) -> int:
    """Give back the whole number that the argument `name` is, if it is 1 or more.

    Raises:
        BadUse: it is not valid.
    """
    if not isinstance(value, bool) and isinstance(value, Integral) and 1 <= int(value) <= _HIGHEST:
        return int(value)
    raise BadUse(f"{name} is a whole number from 1 on, not {show(value)}.")


def _duration(name: str, value: str | float) -> str:
    if isinstance(value, str):
        if _DURATION.fullmatch(value) is None:
            raise BadUse(f"{name} is a duration such as '250ms' or '1s', not {show(value)}.")
        return value if value[-1].isalpha() else f"{value}s"
    return f"{write_seconds(name, value)}s"


@dataclass(slots=True)
class Post:
    """One publish and its tries. Every try has the same idempotency key, so that the message is stored once.

    Call `failed` or `answered` with what comes of each request; wait for `pause` seconds and send it again while
    `answered` gives None.

    Attributes:
        path: below the server's address.
        body: the message, or one a line.
        headers: of the request.
        strict: whether a topic that nobody watches, or that has ended, is an error.
        method: of the request.
        pause: seconds to wait before the next try.
    """

    path: str
    body: bytes
    headers: dict[str, str]
    strict: bool = False
    method: str = "POST"
    pause: float = 0.0
    _tries: int = 0

    def answered(self, answer: httpx2.Response, where: str) -> Published | None:
        """What became of it; None if it is worth another try.

        Args:
            where: the server's address, as `Options.where` gives it.

        Raises:
            Refused, NotTaken: it was not taken, and will not be.
        """
        if passes(answer.status_code):
            self._again(answer.headers)
            return None
        published = read_published(answer.status_code, answer.headers, answer.content, where)
        if self.strict and published.ended and not published.taken:
            raise NotTaken(409, read_problem(answer.content), "")
        if self.strict and not published.taken:
            raise NotTaken(404, {"code": "no_watchers", "detail": _nobody(self.path)}, "")
        return published

    def failed(self, error: httpx2.TransportError) -> None:
        """No answer came."""
        del error  # Each is worth another try: the key makes sure that nothing is stored twice.
        self._again({})

    def _again(self, headers: Mapping[str, str]) -> None:
        self._tries += 1
        self.pause = pause_before(self._tries, headers, secrets.randbelow(1000) / 1000)


class PublishOptions(TypedDict, total=False):
    """What a publish can be told; see `Client.publish`."""

    key: str | None
    strict: bool
    open: bool
    end: bool


def one_post(topic: str, value: object, options: PublishOptions) -> Post:
    """The publish of one message."""
    return _post(topic, encode(value), "application/json", options)


def batch_post(topic: str, values: Iterable[object], options: PublishOptions) -> Post:
    """The publish of several messages, all or none."""
    if not isinstance(values, Iterable):
        raise BadUse(f"values is several values, such as a list; this one is published with publish: {show(values)}.")
    return encoded_post(topic, encode_many(list(values)), options)


def encoded_post(topic: str, lines: Sequence[bytes], options: PublishOptions) -> Post:
    """The publish of several messages, each the bytes of one JSON value without a line's end."""
    lines = _check_lines(lines)
    if not lines:
        raise BadUse("There is nothing to publish: give at least one value.")
    return _post(topic, b"\n".join(lines) + b"\n", "application/x-ndjson", options)


def _check_lines(lines: object) -> list[bytes]:
    """Give back what are encoded messages.

    Raises:
        BadUse: they are not valid.
    """
    if isinstance(lines, Iterable):
        given = list(lines)
        checked = [each for each in given if isinstance(each, bytes)]
        if len(checked) == len(given):
            return checked
    raise BadUse("What is encoded already is a list of bytes, a message in each.")


def open_post(topic: str) -> Post:
    """The request that makes a topic active, without a message."""
    return _post(topic, b"", "application/json", {"open": True})


def end_post(topic: str) -> Post:
    """The request that ends a topic without a message. It may be repeated (RFC 9110 §9.2.2), so it needs no key."""
    return Post(f"/topics/{one_topic_path(topic)}", b"", {}, method="DELETE")


def _post(topic: str, body: bytes, kind: str, options: PublishOptions) -> Post:
    unknown = [name for name in options if name not in PublishOptions.__annotations__]
    if unknown:
        raise BadUse(f"{unknown[0]} is no option of publish; there are {', '.join(PublishOptions.__annotations__)}.")
    flags = "&".join(["open"] * bool(options.get("open")) + ["end"] * bool(options.get("end")))
    headers = {"Content-Type": kind, "Idempotency-Key": _key(options.get("key"))}
    path = f"/topics/{one_topic_path(topic)}" + (f"?{flags}" if flags else "")
    return Post(path, body, headers, options.get("strict", False))


def _key(key: str | None) -> str:
    if key is None:
        return secrets.token_urlsafe(12)
    if not _is_text(key) or not 0 < len(key) <= 255 or not key.isascii() or not key.isprintable():
        raise BadUse("An idempotency key is 1 to 255 printable ASCII characters.")
    return key


def _nobody(path: str) -> str:
    topic = path.partition("?")[0]
    return f"No one watches {topic}, so the message was not stored. It is stored as soon as somebody does."
