"""Finding one member of a message, for readers who want the newest message of each value.

The rules of this file:

* Every message that a publisher may post can be read, also with lone surrogates ("halves" of characters), repeated
  names and numbers of any length.
* Strings are compared as text, however they were escaped. All other values are compared byte by byte, so that no
  number loses precision.
* A path has one name for each level. If that finds nothing, names with dots are tried, such as those of OpenTelemetry
  (`{"host.name": "a"}`): at each level the longest name counts.
* The cost of the search is counted in `spent`, so that a reader of very many messages can continue in another turn.
* Only the member that is searched for becomes an object, even in a message that msgspec does not accept.
"""

import json
import re
import secrets
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final, cast

import msgspec

_EACH: Final = 128
"""Bytes that are added to the size of each message, for its fixed cost."""
_PAIR: Final = 48
"""The same for each two names of the path that may stand with a dot between them."""
_SLOWER: Final = 3
"""By how much longer a message takes that msgspec does not accept, as a factor."""
_DEAREST: Final = 12
"""The same factor for a search for names with dots, which makes an object of each member."""
_REMEMBERED: Final = 64
"""Names whose decoders are kept; each takes some 2 KiB."""

_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_string: Final = msgspec.json.Decoder(str).decode
_unfit: Final = re.compile(r'[\x00-\x1f"\\]')
"""Characters that msgspec does not allow in the name of a field."""
_escaped: Final = re.compile(r'[\x00-\x1f"\\/]')
"""Characters of a name with an escape other than their number."""

_half: Final = re.compile(
    rb"\\u(?=[dD](?:[89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..\\u[dD])[c-fC-F]))", re.DOTALL
)
"""The beginning of an escaped lone surrogate: a high one without a low one after it, or the reverse."""
_large: Final = re.compile("[\U00010000-\U0010ffff]")
"""A character that is escaped as a pair of surrogates."""
_MARK: Final = secrets.token_hex(6).encode()
"""Stands for the `\\u` of an escaped surrogate, so that msgspec accepts the text."""
_TWO: Final = b"\x01\x01"
"""Two backslashes, for a moment: no JSON text has these bytes."""

Step = Callable[[bytes], bytes]
"""Returns the JSON text of one member of an object; empty if there is no such member."""

_steps: Final[dict[str, Step]] = {}


class Finder:
    """Finds the member at a path.

    Args:
        path: the names that lead from a message to the member.

    Attributes:
        spent: the cost so far: bytes searched, slow ones counted several times.
    """

    __slots__ = ("_dotted", "_escape", "_path", "_steps", "spent")

    def __init__(self, path: tuple[str, ...]) -> None:
        self._path = path
        # Two names that follow each other, as they stand in a name with dots.
        self._dotted = [f"{one}.{other}".encode("utf-8", "surrogatepass") for one, other in pairwise(path)]
        # Some writers escape everything outside ASCII; the others escape nothing in a name without special characters.
        self._escape = b"\\" if any(map(_escaped.search, path)) else b"\\u"
        self._steps = [_step_to(name) for name in path]
        self.spent = 0

    def find(self, message: bytes) -> bytes | str | None:
        """The value at the path, None if there is none. Equal for equal values."""
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
        """The value at the path, with names that have dots."""
        text = self._find_longest(message)
        return _string(text) if text.startswith(b'"') else text or None

    def _find_beside_halves(self, message: bytes) -> bytes | str | None:
        """As `find`, for a message that has lone surrogates."""
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
        """The JSON text at the path, with names that have dots; empty if there is no such member."""
        path, at = self._path, 0
        self.spent += (len(text) + _PAIR) * len(self._dotted)
        if not self._may_have_dots(text):
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

    def _may_have_dots(self, text: bytes) -> bool:
        """Whether `text` may have two names with a dot. Nearly none has, and a full search costs 25 times more."""
        return bool(self._dotted) and (self._escape in text or any(dotted in text for dotted in self._dotted))


def raw_member(message: bytes, name: str) -> bytes:
    """The JSON text of the member `name` of an object, empty if there is none. Of two the last counts."""
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
    """The JSON text of a member of a message with marked surrogates; empty if there is no such member."""
    try:
        for step in steps:
            marked = step(marked)
            if not marked:
                return b""
    except (msgspec.DecodeError, RecursionError):
        return b""  # There is no object where the path goes on.
    return _replace_halves(marked.strip())


def _mark_halves(message: bytes, names: str) -> bytes:
    """A message with a mark in each escaped lone surrogate, so that msgspec accepts it.

    A client that knew the mark could give a member the name of another, so each process has its own random mark.

    Args:
        names: are searched for. If none of them has a character beyond U+FFFF, escaped pairs are marked like lone
            surrogates, because to distinguish them takes several times as long.
    """
    text = message.replace(b"\\\\", _TWO)
    if _large.search(names):
        text = _half.sub(_MARK, text)
    else:
        text = text.replace(b"\\ud", _MARK + b"d").replace(b"\\uD", _MARK + b"D")
    return text.replace(_TWO, b"\\\\")


def _replace_halves(text: bytes) -> bytes:
    """The text without the marks."""
    return text.replace(_MARK, b"\\u")
