"""Finding one member of a message, for readers who want the newest message of each value.

The rules of this file:

* Each message that a publisher may post is read, with halves of characters, equal names and numbers of any length.
* Strings are equal as text, however they were escaped. Everything else is compared by its letters, so that no number
  loses precision.
* A path leads through levels, and if it leads to nothing so, through members whose names have dots themselves, as
  those of OpenTelemetry do (`{"host.name": "a"}`): at each level the longest name counts.
* The cost of looking is counted in `spent`, so that a reader of very much can go on in another turn.
* Of a message nothing is made but the member that is looked for, even if msgspec does not accept the message.
"""

import json
import re
import secrets
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final, cast

import msgspec

_EACH: Final = 128
"""Bytes that a message counts more, because each has its own cost."""
_SLOWER: Final = 3
"""How many times as long a message takes that msgspec does not accept."""
_DEAREST: Final = 12
"""How many times as long one takes in which names with dots are looked for: something is made of each member."""
_REMEMBERED: Final = 64
"""Names whose decoders are kept; each takes some 2 KiB."""

_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_string: Final = msgspec.json.Decoder(str).decode
_unfit: Final = re.compile(r'[\x00-\x1f"\\]')
"""What msgspec does not allow in the name of a field."""
_escaped: Final = re.compile(r'[\x00-\x1f"\\/]')
"""What a name has that may be escaped by other means than its number."""

_half: Final = re.compile(
    rb"\\u(?=[dD](?:[89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..\\u[dD])[c-fC-F]))", re.DOTALL
)
"""What begins the escape of half a character: of a first one without the second behind it, or the other way round."""
_large: Final = re.compile("[\U00010000-\U0010ffff]")
"""A character that is written as two halves if it is escaped."""
_MARK: Final = secrets.token_hex(6).encode()
"""Stands for the backslash and the letter with which the escape of half a character begins."""
_TWO: Final = b"\x01\x01"
"""Two backslashes, for a moment: no JSON text has these bytes."""

Step = Callable[[bytes], bytes]
"""Gives the letters of one member of an object, none if there is no such member."""

_steps: Final[dict[str, Step]] = {}


class Finder:
    """Finds the member at a path.

    Args:
        path: names that lead from a message to the member.

    Attributes:
        spent: bytes looked at, slow ones several times.
    """

    __slots__ = ("_path", "_steps", "spent")

    def __init__(self, path: tuple[str, ...]) -> None:
        self._path = path
        self._steps = [_step_to(name) for name in path]
        self.spent = 0

    def find(self, message: bytes) -> bytes | str | None:
        """The member of a message, None if there is none; equal for equal values."""
        self.spent += len(message) * len(self._steps) + _EACH
        text = message
        try:
            for step in self._steps:
                text = step(text)
                if not text:
                    return self._find_dotted(message)
            text = text.strip()
            return _string(text) if text.startswith(b'"') else text
        except msgspec.ValidationError:
            return self._find_dotted(message)  # There is no object where the path goes on.
        except (msgspec.DecodeError, RecursionError):
            return self._find_beside_halves(message)

    def _find_dotted(self, message: bytes) -> bytes | str | None:
        """The member of a message, by names that have dots themselves."""
        text = self._find_longest(message)
        return _string(text) if text.startswith(b'"') else text or None

    def _find_beside_halves(self, message: bytes) -> bytes | str | None:
        """As `find`, for a message that has halves of characters."""
        self.spent += len(message) * _SLOWER
        marked = _mark_halves(message, "".join(self._path))
        text = _find_letters(marked, self._steps)
        if not text:
            try:
                text = _replace_halves(self._find_longest(marked))
            except (msgspec.DecodeError, RecursionError):
                return None
        if text.startswith(b'"'):
            return cast("str", json.loads(text))
        return text or None

    def _find_longest(self, text: bytes) -> bytes:
        """The letters of the member by names that have dots themselves; none if there is no such member."""
        path, at = self._path, 0
        self.spent += len(text)
        if not _may_have_dots(text, path):
            return b""
        self.spent += len(text) * _DEAREST
        try:
            while at < len(path):
                members = _members(text)
                end = len(path)
                while end > at and ".".join(path[at:end]) not in members:
                    end -= 1
                if end == at:
                    return b""
                text = bytes(members[".".join(path[at:end])])
                at = end
        except msgspec.ValidationError:
            return b""  # The path goes on where no object stands.
        return text.strip()


def _may_have_dots(text: bytes, path: tuple[str, ...]) -> bool:
    """Whether a name with a dot in it may lead on, which nearly no text has: to look for one takes 25 times as long."""
    if len(path) == 1:
        return False
    # Some writers escape what is not ASCII; the others escape nothing of a name that has nothing unfit.
    escape = b"\\" if any(map(_escaped.search, path)) else b"\\u"
    return escape in text or any(f"{one}.{other}".encode() in text for one, other in pairwise(path))


def raw_member(message: bytes, name: str) -> bytes:
    """The member `name` of an object as it is written there, nothing if there is none. Of two the last counts."""
    try:
        return _step_to(name)(message).strip()
    except msgspec.ValidationError:
        return b""  # It is no object.
    except (msgspec.DecodeError, RecursionError):
        return _find_letters(_mark_halves(message, name), [_step_to(name)])


def mend(value: bytes) -> bytes:
    r"""A JSON text of the same length and grammar that msgspec takes, though `value` may have halves of characters.

    JSON.stringify writes `\ud83d` alone if a string was cut in the middle of an emoji. That is JSON by its grammar
    (RFC 8259 §8.2). Escaped backslashes are out of the way first, so that what follows one is not taken for an escape.
    """
    return value.replace(b"\\\\", b"\\/").replace(b"\\ud", b"\\u0").replace(b"\\uD", b"\\u0")


def _step_to(name: str) -> Step:
    step = _steps.get(name)
    if step is None:
        if len(_steps) >= _REMEMBERED:
            _steps.clear()
        step = _steps[name] = _make_step(name)
    return step


def _make_step(name: str) -> Step:
    if _unfit.search(name):
        return lambda text: bytes(_members(text).get(name, b""))
    # A decoder that knows the one field skips all others in C, and makes nothing of them.
    field: tuple[str, Any, Any] = ("value", msgspec.Raw, msgspec.Raw(b""))
    kind = msgspec.defstruct("Member", [field], rename={"value": name})
    decode = cast("Callable[[bytes], Any]", msgspec.json.Decoder(kind).decode)
    return lambda text: bytes(decode(text).value)


def _find_letters(marked: bytes, steps: list[Step]) -> bytes:
    """The letters of a member of a message whose halves are marked; none if there is no such member."""
    try:
        for step in steps:
            marked = step(marked)
            if not marked:
                return b""
    except (msgspec.DecodeError, RecursionError):
        return b""  # There is no object where the path goes on.
    return _replace_halves(marked.strip())


def _mark_halves(message: bytes, names: str) -> bytes:
    """A message with marks in the escapes of halves, which are text that msgspec takes then.

    A client that knew the mark could give a member the name that another has; so each process has its own, at random.

    Args:
        names: that are looked for. If none of them has a large character, escaped ones are marked like halves:
            to tell them apart takes several times as long.
    """
    text = message.replace(b"\\\\", _TWO)
    if _large.search(names):
        text = _half.sub(_MARK, text)
    else:
        text = text.replace(b"\\ud", _MARK + b"d").replace(b"\\uD", _MARK + b"D")
    return text.replace(_TWO, b"\\\\")


def _replace_halves(text: bytes) -> bytes:
    """What a part of such a message is without the marks."""
    return text.replace(_MARK, b"\\u")
