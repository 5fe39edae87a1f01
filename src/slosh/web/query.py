"""Reading what comes in a request's query and in its preferences."""

import math
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from slosh.durations import FORMS, parse_duration
from slosh.errors import BadQuery, BadRequest
from slosh.web.response import field

READING: Final = frozenset({"since", "n", "wait", "limit", "every", "key", "format", "times", "watchers"})
"""The parameters of a GET of topics."""
PUBLISHING: Final = frozenset({"batch"})
"""Those of a POST."""
LISTING: Final = frozenset({"watch", "limit", "after"})
"""Those of the list of topics."""

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


def ignored_field(parameters: Mapping[str, str], known: frozenset[str]) -> bytes:
    """The `Slosh-Ignored` line, which names the parameters that are not `known`; nothing where there are none.

    The names are percent-encoded, and what does not fit is left out.
    """
    if parameters.keys() <= known:
        return b""
    told: list[str] = []
    left = _LONGEST_LIST
    for name in parameters:
        if name not in known:
            text = quote(name[: _LONGEST_NAME if name.isascii() else _LONGEST_NAME // 4], safe="")
            left -= len(text) + 2
            if left < 0:
                break
            told.append(text)
    return field("Slosh-Ignored", ", ".join(told)) if told else b""


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
        tokens: members of all `Prefer` fields, lower case. What makes no sense is ignored (RFC 7240 §2).

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
