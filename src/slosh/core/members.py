"""Finding one member of a message, for readers who want the newest message of each value.

The rules of this file:

* Each message that a publisher may post is read, with halves of characters, equal names and numbers of any length.
* Strings are equal as text, however they were escaped. Everything else is compared by its letters, so that no number
  loses precision.
* What looking costs is counted in `spent`, so that a reader of very much can go on in another turn.
"""

import json
import re
from collections.abc import Callable
from typing import Any, Final, cast

import msgspec

_EACH: Final = 128
"""Bytes that a message counts more, because each has its own cost."""
_SLOWER: Final = 8
"""How many times as long a message takes that msgspec does not accept."""
_REMEMBERED: Final = 64
"""Names whose decoders are kept; each takes some 2 KiB."""

_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_string: Final = msgspec.json.Decoder(str).decode
_decoder: Final = json.JSONDecoder(parse_int=str, parse_float=str)
_white_space: Final = re.compile(r"[ \t\n\r]*")
_unfit: Final = re.compile(r'[\x00-\x1f"\\]')
"""What msgspec does not allow in the name of a field."""

Step = Callable[[bytes], bytes]
"""Gives the letters of one member of an object, none where there is no such member."""

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
        """The member of a message, None where there is none; equal for equal values."""
        self.spent += len(message) * len(self._steps) + _EACH
        text = message
        try:
            for step in self._steps:
                text = step(text)
                if not text:
                    return None
            text = text.strip()
            return _string(text) if text.startswith(b'"') else text
        except msgspec.ValidationError:
            return None  # There is no object where the path goes on.
        except (msgspec.DecodeError, RecursionError):
            self.spent += len(message) * _SLOWER
            return _find_slowly(message, self._path)


def raw_member(message: bytes, name: str) -> bytes:
    """The member `name` of an object as it is written there, nothing where there is none. Of two the last counts."""
    try:
        return _step_to(name)(message).strip()
    except msgspec.ValidationError:
        return b""  # It is no object.
    except (msgspec.DecodeError, RecursionError):
        text = message.decode()
        at = _value_of(name, text, 0)
        return text[at : _decoder.raw_decode(text, at)[1]].encode() if at >= 0 else b""


def mend(value: bytes) -> bytes:
    r"""A JSON text of the same length and grammar that msgspec takes, though `value` may have halves of characters.

    JSON.stringify writes `\ud83d` alone where a string was cut in the middle of an emoji. That is JSON by its grammar
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


def _find_slowly(message: bytes, path: tuple[str, ...]) -> bytes | str | None:
    """As `Finder.find`, by the standard library, which takes halves of characters (RFC 8259 §8.2)."""
    text, at = message.decode(), 0
    try:
        for name in path:
            at = _value_of(name, text, at)
            if at < 0:
                return None
        value, end = _decoder.raw_decode(text, at)
    except RecursionError:
        return None
    return value if isinstance(value, str) and text[at] == '"' else text[at:end].encode()


def _value_of(name: str, text: str, at: int) -> int:
    """Where in the object that begins at `at` the value of the last member `name` begins, -1 where there is none."""
    found = -1
    at = _skip(text, at)
    if text[at] != "{":
        return found
    at = _skip(text, at + 1)
    while text[at] != "}":
        key, at = _decoder.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)  # over the colon
        if key == name:
            found = at
        at = _skip(text, _decoder.raw_decode(text, at)[1])
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found


def _skip(text: str, at: int) -> int:
    """Where the white space ends that begins at `at`, or none does."""
    match = _white_space.match(text, at)
    return match.end() if match else at
