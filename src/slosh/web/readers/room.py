"""How long a vector may be: a reader has to be able to come back with the cursors that it was given.

They travel in the URL of its next request, or in a header field, and both are bounded: by `max_head` here, and by the
proxies in between.
"""

from functools import lru_cache
from typing import Final
from urllib.parse import quote

from slosh.core.cursor import Cursor, spell
from slosh.errors import BadTopic
from slosh.http1.head import Head

MAX_LINE: Final = 8000
"""Octets of a request line that intermediaries are sure to pass on (RFC 9112 §3). Many bound each other line so too."""
_BESIDE_A_PLACE: Final = 64
"""Bytes of a request that come with a place: `?since=*` or the name of a field, and a little more."""
_DIGITS: Final = 8
"""Digits that an offset has in no time at all."""


def length_in_url(name: str, cursor: Cursor) -> int:
    """Characters that the cursor of one of several topics has in a URL at most, until the reader asks again.

    Clients encode a vector once more when they put it into a URL, and its offset may have become longer by then.
    """
    digits = max(_DIGITS, len(str(cursor.offset)) + 2)
    return _spelled_length(name) + len("%3D.%2C") + len(cursor.epoch) + digits


@lru_cache(maxsize=256)  # A topic that is created is measured for all readers of patterns that take it in.
def _spelled_length(name: str) -> int:
    return len(quote(spell(name), safe=""))


def check_room(length: int, room: int) -> None:
    """Check that places of this length fit into a request.

    Raises:
        BadTopic: they do not.
    """
    if length > room:
        raise BadTopic(
            f"The places in these topics take up to {length} bytes, and the next request has room for {max(room, 0)} "
            f"(max_head, and the {MAX_LINE} bytes of a request line that proxies pass on). Ask for fewer topics at a "
            f"time, or for such with shorter names."
        )


def find_room(head: Head, max_head: int, *, in_field: bool) -> int:
    """How long the cursor in a request like this one may be, so that it still is within the bounds.

    Args:
        in_field: whether the cursor comes in a field of its own, and not in the query.
    """
    others = len(head.raw) + _BESIDE_A_PLACE
    if in_field:
        place = head.first(b"last-event-id")
        if place:  # The next place comes instead of this line.
            others -= len("Last-Event-ID: \r\n") + len(place)
        return min(max_head - others, MAX_LINE - _BESIDE_A_PLACE)
    line = len(head.method) + len(head.path) + len(head.query) + len("  HTTP/1.1\r\n") + _BESIDE_A_PLACE
    since = sum(len(pair) for pair in head.query.split("&") if pair.startswith("since="))
    return min(max_head - others, MAX_LINE - line) + since
