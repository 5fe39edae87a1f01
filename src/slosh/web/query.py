"""Reading what comes in a request's query and in its preferences."""

import math
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from slosh.core.cursor import EPOCH_LENGTH, MAX_OFFSET, parse_cursor
from slosh.core.names import check_name
from slosh.core.reading import Age, Earliest, Last, Now, Since
from slosh.durations import FORMS, parse_duration
from slosh.errors import BadQuery, BadRequest, BadTopic
from slosh.http1.response import field

TOPICS: Final = "/topics/"
"""How the path of each topic begins."""
_LAST: Final = re.compile(r"-([0-9]{1,16})", re.ASCII)
READING: Final = frozenset({"since", "n", "wait", "limit", "every", "key", "format", "times", "watchers"})
"""The parameters of a GET of topics, all together: some mean something for polls alone, or for streams."""
COUNTING: Final = frozenset({"watchers", "wait"})
"""Those of a GET that asks how many watch."""
HISTORY: Final = frozenset({"history", "points", "path", "by", "format"})
"""Those of a GET of a topic's history."""
PUBLISHING: Final = frozenset({"batch", "end", "open"})
"""Those of a POST."""
PUBLISHING_SEVERAL: Final = frozenset({"batch"})
"""Those of a POST to several topics."""
ENDING: Final[frozenset[str]] = frozenset()
"""Those of a DELETE."""
LISTING: Final = frozenset({"watch", "limit", "after", "patterns", "every"})
"""Those of the list of topics, of its stream, and of the list of patterns."""

FLAGS: Final = frozenset({"times", "watchers", "watch", "patterns", "open", "end"})
"""Those that have no value."""

_YES: Final = frozenset({"", "1", "true"})
"""What a parameter may have for a value that needs none."""

TOKEN: Final = frozenset({"access_token"})
"""Where a token may stand (RFC 6750 §2.3)."""

MAX_PARAMETERS: Final = 64
"""Parameters of one query, known ones and others: each is an object in memory for as long as its reader is held."""
_LONGEST_NAME: Final = 64
_LONGEST_LIST: Final = 256
"""Characters of a name, and of the list of names, in `Slosh-Ignored`."""
_ENDLESS: Final = 1e9
"""Seconds that are as good as for ever."""


def decode(text: str, what: str) -> str:
    """Undo percent-encoding (RFC 3986 §2.1).

    Raises:
        BadRequest: the bytes are not UTF-8; `what` says of what.
    """
    if "%" not in text:
        return text
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest(f"The {what} is not UTF-8 when it is percent-decoded.") from None


def read_name(text: str) -> str:
    """The name of a topic as it stands in a path.

    Raises:
        BadTopic: it is not valid; the detail says why.
        BadRequest: it is not UTF-8.
    """
    if not text:
        raise BadTopic("A topic needs a name: /topics/<name>.")
    return check_name(decode(text, "topic's name"))


def parse_query(query: str) -> dict[str, str]:
    """The parameters by name. Of one that comes twice the first counts. `ignored_field` tells of unknown ones.

    Raises:
        BadRequest: it is not UTF-8 when decoded, or has too many.
    """
    parameters: dict[str, str] = {}
    pairs = query.split("&")
    if len(pairs) > MAX_PARAMETERS:
        raise BadRequest(f"A query has at most {MAX_PARAMETERS} parameters, and this one has {len(pairs)}.")
    for pair in pairs:
        name, _, value = pair.replace("+", " ").partition("=")
        if name:
            parameters.setdefault(decode(name, "query"), decode(value, "query"))
    return parameters


def read_flag(parameters: Mapping[str, str], name: str) -> bool:
    """Whether the query says `name`.

    Raises:
        BadQuery: it gives it a value, which may be meant to deny it.
    """
    if name not in parameters:
        return False
    if parameters[name].lower() not in _YES:
        raise BadQuery(name, f"{name} has no value: ?{name}. Leave it out where it is not meant.")
    return True


def ignored_field(parameters: Mapping[str, str], known: AbstractSet[str], with_token: str = "off") -> bytes:  # noqa: S107 - a switch
    """The `Slosh-Ignored` line, which names the parameters that are not `known`; nothing if there are none.

    Args:
        with_token: the setting `token_in_query`: with `on` a token is known too.

    The names are percent-encoded, and what does not fit is left out.
    """
    if parameters.keys() <= known:
        return b""
    if with_token == "on":  # noqa: S105 - a switch
        known |= TOKEN
    ignored: list[str] = []
    left = _LONGEST_LIST
    for name in parameters:
        if name not in known:
            text = quote(name[: _LONGEST_NAME if name.isascii() else _LONGEST_NAME // 4], safe="")
            left -= len(text) + 2
            if left < 0:
                break
            ignored.append(text)
    return field("Slosh-Ignored", ", ".join(ignored)) if ignored else b""


def parse_since(text: str) -> Since:
    """Read the query parameter `since`.

    Raises:
        BadQuery: `text` is no place; the detail lists the forms there are.
    """
    if text == "now":
        return Now()
    if text == "earliest":
        return Earliest()
    if match := _LAST.fullmatch(text):
        return Last(int(match[1]))
    cursor = parse_cursor(text)
    if cursor is not None and len(cursor.epoch) >= EPOCH_LENGTH:
        return cursor  # The letters of one epoch in some ten thousand are all digits: it looks like seconds.
    seconds = parse_duration(text)
    if seconds is not None:
        return Age(seconds)
    if cursor is not None:
        return cursor
    raise BadQuery(
        "since",
        "since is a cursor (next of an earlier answer), now, earliest, -50 for the last 50, or an age: 90s, 10m, 2h.",
    )


def parse_offset(parameter: str, text: str) -> int:
    """Read the offset in query parameter `parameter`.

    Raises:
        BadQuery: `text` is no whole number from 0 to 2**53 - 1.
    """
    offset = read_count(text)
    if offset < 0:
        raise BadQuery(parameter, f"{parameter} is an offset, a whole number from 0 on, as the answers' max is.")
    return offset


def read_count(text: str) -> int:
    """A whole number from 0 to 2**53 - 1; -1 if `text` is none."""
    # isdecimal() alone would take digits of other scripts, which int() takes too.
    if text.isascii() and text.isdecimal() and len(text) <= 16 and int(text) <= MAX_OFFSET:
        return int(text)
    return -1


def parse_wait(text: str) -> float:
    """The query parameter `wait` in seconds, 0 for an answer at once.

    Raises:
        BadQuery: it is no time.
    """
    seconds = parse_duration(text)
    if seconds is None:
        raise BadQuery("wait", f"wait is a time, {FORMS}; 0 asks for an answer at once.")
    return seconds


def parse_prefer(tokens: list[str]) -> tuple[float | None, bool]:
    """The preferences that are known here (RFC 7240 §4): how long to wait, and whether to keep it minimal.

    Args:
        tokens: members of all `Prefer` fields, lower case. Those that make no sense are ignored (RFC 7240 §2).

    Returns:
        Seconds of `wait`, or None; whether `return=minimal` was asked for.
    """
    wait: float | None = None
    minimal = False
    for token in tokens:
        name, _, value = (part.strip(" \t") for part in token.partition(";")[0].partition("="))
        value = value.strip('"')
        if name == "wait" and wait is None:
            wait = parse_duration(value)
        elif name == "return" and value == "minimal":
            minimal = True
    return wait, minimal


def bound_wait(wait: float | None, default_wait: float, max_wait: float) -> float:
    """How long a poll is held, seconds, `inf` for any time.

    Args:
        wait: what the client asked for, None when it did not say.
        default_wait: the setting, 0 for no bound.
        max_wait: the setting, 0 for no bound.
    """
    asked = wait if wait is not None else default_wait or math.inf
    return min(asked if asked < _ENDLESS else math.inf, max_wait or math.inf)
