"""A reader's place in a topic, as the text that travels: `epoch.offset`; in several, a vector of `name=epoch.offset`.

Why an epoch: a stream had messages [1, 2, 3] and was lost; a new one of the same name has [1, 2, 3, 4].
A reader that comes with offset 3 alone would be given message 4 and never learn that it missed three
others. With the epoch its cursor is recognised as one of another life of the topic, and it is told so.
"""

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import quote, unquote

from slosh.compiled import mypyc_attr
from slosh.errors import BadQuery

MAX_OFFSET: Final = 2**53 - 1
"""The largest integer that every JSON reader holds exactly (RFC 8259 §6)."""

EPOCH_LENGTH: Final = 8
"""Characters of an epoch: 40 bits, so that two lives of a topic do not meet by chance."""

_PLAIN: Final = "=/:;@!$'()*"
"""What needs no encoding in a vector, beside letters, digits and `_.-~`."""
_IS_PLAIN: Final = re.compile(rf"[A-Za-z0-9_.~{re.escape(_PLAIN)}-]*", re.ASCII)
_DIGITS: Final = 8
"""Digits that an offset has in no time at all."""

_EPOCH_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_CURSOR: Final = re.compile(r"([0-9a-z]{1,32})\.(0|[1-9][0-9]{0,15})", re.ASCII)


@mypyc_attr(acyclic=True, free_list_len=1)
class Cursor:
    """The place after the message `offset` in the life `epoch` of a topic. Never changed.

    A plain class, because one is made for each poll, and compiled it costs a tenth of a NamedTuple.
    """

    __slots__ = ("epoch", "offset")

    def __init__(self, epoch: str, offset: int) -> None:
        self.epoch = epoch
        self.offset = offset

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cursor) and self.offset == other.offset and self.epoch == other.epoch

    def __hash__(self) -> int:
        return hash((self.epoch, self.offset))

    def __repr__(self) -> str:
        return f"Cursor({self.epoch!r}, {self.offset})"

    def __str__(self) -> str:
        return f"{self.epoch}.{self.offset}"


def parse_cursor(text: str) -> Cursor | None:
    """Read a cursor, or None when `text` is none. An unknown epoch is still a cursor: it resets."""
    match = _CURSOR.fullmatch(text)
    if match is None:
        return None
    offset = int(match[2])
    return Cursor(match[1], offset) if offset <= MAX_OFFSET else None


def spell(name: str) -> str:
    """A topic's name as it stands in a vector, so that it travels unharmed in a header, an event's `id`, and a URL.

    White space at the beginning of a header's value is no part of it (RFC 9110 §5.5), letters other than those of
    ASCII mean something else to each client there, and whoever pastes a vector into a URL forgets about `&` and `+`.
    """
    return name if _IS_PLAIN.fullmatch(name) else quote(name, safe=_PLAIN)


def unspell(text: str) -> str:
    """The name that `text` in a vector stands for, spelled as `spell` does or just as it is."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return text


def length_in_url(name: str, cursor: Cursor) -> int:
    """Characters that a topic's place has in a URL at most, until the reader asks again.

    Clients encode a vector once more when they put it into a URL, and its offset may have become longer by then.
    """
    digits = max(_DIGITS, len(str(cursor.offset)) + 2)
    return len(quote(spell(name), safe="")) + len("%3D.%2C") + len(cursor.epoch) + digits


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
    """A whole number from 0 to 2**53 - 1; -1 where `text` is none."""
    # isdecimal() alone would take digits of other scripts, which int() takes too.
    if text.isascii() and text.isdecimal() and len(text) <= 16 and int(text) <= MAX_OFFSET:
        return int(text)
    return -1


def make_epoch(random_bits: Callable[[int], int]) -> str:
    """A new epoch from `random_bits`, which gives a number of that many random bits."""
    bits = random_bits(5 * EPOCH_LENGTH)
    return "".join(_EPOCH_ALPHABET[(bits >> (5 * place)) & 31] for place in range(EPOCH_LENGTH))
