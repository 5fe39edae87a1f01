"""A reader's place in a topic as text, `epoch.offset`; for several topics a vector of `name=epoch.offset`.

Why an epoch: suppose a topic had messages [1, 2, 3] and was lost, and a new one of the same name has [1, 2, 3, 4].
A reader that came back with offset 3 alone would be given message 4, and never learn that it missed three
others. With the epoch its cursor is recognised as belonging to another life of the topic, and it is told `reset`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote, unquote

from slosh.compiled import mypyc_attr

MAX_OFFSET: Final = 2**53 - 1
"""The largest integer that every JSON reader holds exactly (RFC 8259 §6)."""

EPOCH_LENGTH: Final = 8
"""Characters of an epoch: 40 bits, so that two lives of a topic hardly ever have the same one."""

ENDED: Final = -1
"""In place of the offset in the vector of a reader of patterns that was told that the topic has ended."""

_PLAIN: Final = "=/:;@!$'()*"
"""Characters that need no encoding in a vector, besides letters, digits and `_.-~`."""
_IS_PLAIN: Final = re.compile(rf"[A-Za-z0-9_.~{re.escape(_PLAIN)}-]*", re.ASCII)
_EPOCH_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
LONGEST_EPOCH: Final = 32
"""Characters of the longest epoch that is read."""
EPOCH: Final = rf"[0-9a-z]{{1,{LONGEST_EPOCH}}}"
"""A regular expression for epochs, also those of other versions."""
_CURSOR: Final = re.compile(rf"({EPOCH})\.(0|[1-9][0-9]{{0,15}})", re.ASCII)
_END: Final = re.compile(rf"({EPOCH})\.end", re.ASCII)

STAR: Final = "*"
"""Begins the vector of a reader of patterns."""


@mypyc_attr(acyclic=True, free_list_len=1)
class Cursor:
    """The place after the message `offset` in the life `epoch` of a topic. Never changed.

    The offset `ENDED` is the place after the end of the topic, `epoch.end` as text; it only occurs in vectors. A plain
    class, because one is made for each poll: compiled, it costs a tenth of a NamedTuple.
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
        return write_cursor(self.epoch, self.offset) if self.offset >= 0 else f"{self.epoch}.end"


def write_cursor(epoch: str, offset: int) -> str:
    """The text of the cursor of a place in one topic. `Publish.answer` writes the same as bytes."""
    return f"{epoch}.{offset}"


def parse_cursor(text: str) -> Cursor | None:
    """Parse a cursor; None if `text` is not one. An unknown epoch is valid here: its reader is told `reset`."""
    match = _CURSOR.fullmatch(text)
    if match is None:
        return None
    offset = int(match[2])
    return Cursor(match[1], offset) if offset <= MAX_OFFSET else None


def parse_end(text: str) -> Cursor | None:
    """Parse a place after the end of a topic, as in a vector; None if `text` is not one."""
    match = _END.fullmatch(text)
    return Cursor(match[1], ENDED) if match is not None else None


def spell(name: str) -> str:
    """Encode a topic's name for a vector, so that it survives wherever a client puts it.

    Clients lose white space at the ends, decode letters outside ASCII in different ways, and forget that
    `&` and `+` have a meaning in a query.
    """
    return name if _IS_PLAIN.fullmatch(name) else quote(name, safe=_PLAIN)


def unspell(text: str) -> str:
    """The name for `text` in a vector, whether or not `spell` encoded it."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return text


class Vector:
    """Places in several topics, of which one moves at a time: the others are not spelled again for that.

    Args:
        cursors: the places, by the names of the topics.
        starred: whether the reader reads patterns. The star tells such a vector from no cursor at all if
            nothing matched yet: what is created later is new to that reader from its first message on.
    """

    __slots__ = ("_first", "_pairs")

    def __init__(self, cursors: Mapping[str, Cursor], *, starred: bool) -> None:
        self._first = [STAR] if starred else []
        self._pairs = {name: f"{spell(name)}={cursor}" for name, cursor in cursors.items()}

    def move(self, name: str, cursor: Cursor) -> None:
        """Set the place in the topic `name` to `cursor`."""
        self._pairs[name] = f"{spell(name)}={cursor}"

    def leave(self, name: str) -> None:
        """Remove the place in the topic `name`."""
        del self._pairs[name]

    def __str__(self) -> str:
        """The vector as text."""
        return ",".join([*self._first, *self._pairs.values()])


def join_cursors(cursors: Mapping[str, Cursor], *, starred: bool) -> str:
    """The vector of places in several topics, as text; see `Vector`."""
    return str(Vector(cursors, starred=starred))


def make_epoch(random_bits: Callable[[int], int]) -> str:
    """A new epoch. `random_bits` returns a number of that many random bits."""
    bits = random_bits(5 * EPOCH_LENGTH)
    return "".join(_EPOCH_ALPHABET[(bits >> (5 * place)) & 31] for place in range(EPOCH_LENGTH))
