"""Reading what comes in a request's query and in its preferences."""

import math
import re
from typing import Final
from urllib.parse import unquote_to_bytes

from slosh.errors import BadQuery, BadRequest

_SECONDS: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", re.ASCII)


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
    """The parameters by name. Of one that comes twice the first counts; unknown ones are nobody's business.

    Raises:
        BadRequest: it is not UTF-8 when decoded.
    """
    parameters: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, value = pair.replace("+", " ").partition("=")
        if name:
            parameters.setdefault(decode(name, "query"), decode(value, "query"))
    return parameters


def parse_wait(text: str) -> float:
    """The query parameter `wait`: seconds, 0 for an answer at once.

    Raises:
        BadQuery: it is no such number.
    """
    if _SECONDS.fullmatch(text):
        return float(text)
    raise BadQuery("wait", "wait is a number of seconds, for instance 25 or 0.5; 0 asks for an answer at once.")


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
        if name == "wait" and wait is None and _SECONDS.fullmatch(value):
            wait = float(value)
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
    return min(asked, max_wait or math.inf)
