"""What the answer to a single request says: it was taken or refused, or it is worth another try. No I/O here.

The rules of this file:

* 400, 401, 403, 404 and the like are final. 429, 5xx, cuts and silence pass, and are tried again.
* A gateway's own 502, 503 or 504 is no answer of the server: `refusal_of` makes `Unreachable` of it.
* This file says how long to wait; the caller waits.
"""

import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import mktime_tz, parsedate_tz
from http import HTTPStatus
from typing import Any, Final, TypeVar, cast
from urllib.parse import urljoin, urlsplit

from slosh.client.errors import ClientError, Refused, Unreachable
from slosh.client.values import decode

Result = TypeVar("Result")

_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 30.0
_AT_ONCE: Final = 0.05
"""The first pause if the server says that there need be none."""
_PASSING: Final = frozenset({408, 425, 429})
_AWAY: Final = frozenset({502, 503, 504})
"""What a gateway answers if the server behind it does not (RFC 9110 §15.6.3 to §15.6.5)."""
_KEEPING_OUT: Final = frozenset({401, 403, 421})
THROUGH: Final = " (through the proxy "
"""What stands between a server's address and that of the proxy that is asked for it, if errors name both."""
_WANTS_TLS: Final = re.compile(
    rb"This port speaks HTTPS"  # slosh
    rb"|plain HTTP request was sent to HTTPS port"  # nginx
    rb"|speaking plain HTTP to an SSL-enabled"  # Apache
    rb"|HTTP request to an HTTPS server"  # Go, and so Caddy
)
"""What servers say to plain HTTP at a port of TLS."""


@dataclass(frozen=True, slots=True)
class Published:
    """What became of a publish. It is true if the message was taken.

    Attributes:
        taken: whether it was stored. False: nobody watches the topic, or it has ended, so nothing needs to be computed
            for it.
        max: the offset of the newest message in the topic, 0 if it was not taken.
        watchers: how many watch the topic now.
        next: the place after the message.
        ended: whether the topic has ended: with this message, or before it.
        queue: how many messages the topic keeps, as the answer to several messages says; 0 if it was not told.
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


def read_problem(body: bytes) -> Mapping[str, object]:
    """The problem document in an answer, empty if there is none."""
    try:
        said = decode(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def find_problem(status: int, headers: Mapping[str, str], body: bytes, where: str) -> Mapping[str, object]:
    """What an answer says that is none of a server's own: its problem document, or where it sends clients on to.

    A client follows no such answer: it would send its token, and its messages, to somebody it was not given.
    A port of TLS that is asked in plain HTTP says so in words of its own, which become a detail too.

    Args:
        where: the server's address, as `Options.where` gives it.
    """
    where = where.partition(THROUGH)[0]
    if status == HTTPStatus.BAD_REQUEST and _WANTS_TLS.search(body):
        secure = f"https:{where.removeprefix('http:')}"
        sentence = f"write {secure}" if where.startswith("http:") else "take TLS from its settings for this socket"
        return {"detail": f"What answers at {where} speaks TLS; {sentence}."}
    if not 300 <= status < 400 or "location" not in headers:
        return read_problem(body)
    try:
        parts = urlsplit(urljoin(where, headers["location"]))
    except ValueError:
        return {}
    front = parts.path.partition("/topics")[0].rstrip("/")
    there = f"{parts.scheme}://{parts.netloc}{front}"
    if there == where and parts.path.endswith("/topics/"):
        return {
            "detail": f"{where} sends clients on to {parts.path} there, so a proxy does not pass on all paths of slosh."
            " Have it pass on /topics itself, besides what is below: for nginx `location /topics`, without a slash."
        }
    return {"detail": f"{where} sends clients on to {there}; give that address."}


def read_answer(
    status: int, headers: Mapping[str, str], body: bytes, where: str, read: Callable[[Mapping[str, Any]], Result]
) -> Result:
    """What the answer to a GET says that asks for facts.

    Args:
        where: the server's address, as `Options.where` gives it.
        read: makes the result of the answer's members. Raises ArithmeticError (of a number too large), AttributeError,
            KeyError, TypeError or ValueError if they are not those of a slosh server.

    Raises:
        Refused: it is another answer, also one of something that is no slosh and says 200.
        Unreachable: a gateway says that the server is away.
    """
    if status == HTTPStatus.OK:
        with suppress(ArithmeticError, AttributeError, KeyError, TypeError, ValueError):
            return read(read_problem(body))
    raise refusal_of(status, headers, body, where)


def refusal_of(status: int, headers: Mapping[str, str], body: bytes, where: str) -> Refused | Unreachable:
    """The error for an answer that is none of those that were asked for.

    Args:
        where: the server's address, as `Options.where` gives it.
    """
    problem = find_problem(status, headers, body, where)
    if status in _AWAY and "code" not in problem:
        return Unreachable(
            f"No slosh server answered at {where}: what stands in front of it answers {status}, because it does not "
            "reach one."
        )
    return Refused(status, problem, where)


class TopicPages:
    """The list of topics, which comes in pages: ask with `query`, and give `take` the answer, until that is false.

    Attributes:
        found: the topics so far.
        query: of the next request.
    """

    def __init__(self) -> None:
        self.found: list[dict[str, object]] = []
        self.query: dict[str, str] = {}

    def take(self, said: Mapping[str, Any]) -> bool:
        """Add the topics of a page. Whether another follows."""
        self.found += [_check_topic(dict(each)) for each in said["topics"]]
        after = str(said.get("after", ""))
        self.query = {"after": after}
        return bool(after)


def _check_topic(topic: dict[str, object]) -> dict[str, object]:
    """A topic of the list, whose members are of the kinds that `Client.topics` promises."""
    if type(topic["name"]) is not str:
        raise TypeError
    for member in ("watchers", "max", "age", "rate"):
        float(cast("float", topic[member]))
    return topic


def read_watchers(said: Mapping[str, Any]) -> int:
    """How many watch a topic."""
    return int(said["watchers"])


def read_patterns(said: Mapping[str, Any]) -> list[str]:
    """The patterns that an answer lists; `**` stands for those for which there was no room."""
    if "patterns" not in said and "topics" not in said:  # The list of topics alone: this server lists no patterns.
        raise KeyError
    patterns = [str(each) for each in said.get("patterns", ())]
    return [*patterns, "**"] if said.get("more") is True and "**" not in patterns else patterns


def read_published(status: int, headers: Mapping[str, str], body: bytes, where: str) -> Published:
    """What the answer to a POST says.

    Raises:
        Refused: the message cannot be taken, and trying again would change nothing.
        Unreachable: a gateway says that the server is away.
    """
    said = read_problem(body)
    if status == 404 and said.get("code") == "no_watchers":
        return Published(taken=False)
    if status == 409 and said.get("code") == "ended":
        return Published(taken=False, ended=True)
    if status != 200 or "max" not in said:
        raise refusal_of(status, headers, body, where)
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


def keeps_out(error: ClientError) -> bool:
    """Whether the server refuses who asks, or where it was asked, whatever was asked: 401, 403, 421.

    Another token, or another row of the server's settings, and the same request is taken.
    """
    return isinstance(error, Refused) and error.status in _KEEPING_OUT


def is_passing(error: ClientError) -> bool:
    """Whether the same request may be answered otherwise later: none came, or one that is worth another try."""
    return passes(error.status) if isinstance(error, Refused) else isinstance(error, Unreachable)


def pause_before(attempt: int, headers: Mapping[str, str], jitter: float) -> float:
    """Seconds to wait before the attempt of this number, from 1 on."""
    return find_pause(attempt - 1, read_retry_after(headers), jitter)


def find_pause(failures: int, least: float | None, jitter: float) -> float:
    """Seconds to wait after `failures` failures and one more: longer with each, and never shorter than was asked for.

    A server that says to come back at once, because its successor serves already, is believed. The pauses
    grow from there too, so that a server that always says so is not asked in a circle.

    Args:
        least: how long to wait at least, as the server says; None if it says nothing.
        jitter: from 0 to 1.
    """
    first = _FIRST_PAUSE if least is None else min(_FIRST_PAUSE, max(_AT_ONCE, least))
    pause: float = min(first * 2**failures, _LONGEST_PAUSE)
    return max(least or 0.0, pause * (0.5 + jitter / 2))


def read_retry_after(headers: Mapping[str, str], clock: Callable[[], float] = time.time) -> float | None:
    """Seconds until an answer's Retry-After (RFC 9110 §10.2.3), at most `_LONGEST_PAUSE`; None if there is none.

    A date is compared with the server's own (`Date`), because this machine's clock may be hours off; a past one is
    none.

    Args:
        clock: gives seconds since 1970, for an answer that has no `Date`.
    """
    text = headers.get("retry-after", "").strip()
    if (then := _read_date(text)) is not None:
        now = _read_date(headers.get("date", ""))
        pause = then - (clock() if now is None else now)
        return min(pause, _LONGEST_PAUSE) if pause >= 0 else None
    return min(float(text), _LONGEST_PAUSE) if text.isascii() and text.isdigit() else None


def _read_date(text: str) -> float | None:
    """A date of HTTP (RFC 9110 §5.6.7) in any of its three forms, seconds since 1970; None if it is none."""
    found = parsedate_tz(text)
    try:
        return mktime_tz(found) if found is not None else None
    except (ValueError, OverflowError):
        return None


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
