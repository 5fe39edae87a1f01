"""Checking that a message is JSON, without making anything of it; and writing what the server itself tells.

A message travels as the bytes that were posted, so nothing is decoded: msgspec skips over the value and
says where it is wrong. Bounds come first, because a decoder is what hostile input is made for
(CVE-2024-27454, CVE-2020-10735).
"""

import json
import re
from itertools import accumulate
from operator import add
from typing import Final

import msgspec

from slosh.core.members import mend
from slosh.errors import BadJson

WHITE_SPACE: Final = b" \t\n\r"
"""What may surround a JSON value (RFC 8259 §2)."""

_SPACE: Final = ord(" ")
"""The largest of the bytes of white space."""

_BACKSLASH: Final = ord("\\")

_NEITHER_QUOTE_NOR_BRACKET: Final = bytes(set(range(256)) - set(b'"[]{}'))
_AS_DIGITS: Final = bytes.maketrans(b"[{]}", b"1100")
OCTET: Final = 8
_POSITION: Final = re.compile(r" \(byte ([0-9]+)\)")
_is_ascii: Final = bytes.isascii
_skip: Final = msgspec.json.Decoder(msgspec.Raw).decode


def write_json(value: object) -> bytes:
    """JSON in UTF-8, with each character as itself."""
    return json.dumps(value, ensure_ascii=False).encode()


def check_json(text: bytes, max_depth: int) -> bytes:
    """Give `text` back without the white space around it when it is one JSON value in UTF-8.

    Args:
        text: as it came.
        max_depth: how many arrays and objects may stand inside one another.

    Raises:
        BadJson: it is not; the position counts from the beginning of `text`, in bytes.
    """
    # Most have none, and to look at both ends costs less than to strip them.
    value = text.strip(WHITE_SPACE) if text and (text[0] <= _SPACE or text[-1] <= _SPACE) else text
    if not value:
        raise BadJson("The body is empty; a message is one JSON value, for instance null.", 0)
    if not _is_ascii(value):
        check_utf8(value, indent_of(text))
    # A text that is shorter than the bound cannot be deeper.
    if len(value) > max_depth and _has_brackets(value, max_depth):
        _check_depth(value, max_depth, indent_of(text))
    try:
        # By number and by `find`, because `in` tries first whether bytes are a number, which costs ten times as much.
        if _BACKSLASH in value and (value.find(b"\\ud") >= 0 or value.find(b"\\uD") >= 0):
            _skip(mend(value))
        else:
            _skip(value)
    except msgspec.DecodeError as error:
        raise _explain(str(error), value, indent_of(text)) from None
    except RecursionError:  # msgspec's own, on the stack, of which the caller has used a part
        raise too_deep(max_depth, indent_of(text)) from None
    return value


def _has_brackets(value: bytes, number: int) -> bool:
    """Whether more than `number` brackets open in `value`, also within strings."""
    # By what is left without them: if there are few that takes a tenth of the time of `count`, which looks at
    # each byte by itself before Python 3.13.
    most = number + 1
    return 2 * len(value) - len(value.replace(b"[", b"", most)) - len(value.replace(b"{", b"", most)) > number


def check_portion(portion: bytes, value: bytes, at: int, before: int, max_depth: int) -> None:
    """Check that a portion of `value`, made a text of its own, is JSON; it is UTF-8, and not too deep, already.

    Args:
        at: where the portion would begin in `value`; less than 0 if something was put before it.
        before: bytes of white space before `value`.

    Raises:
        BadJson: it is not; as by `check_json` for the whole.
    """
    try:
        _skip(mend(portion) if _BACKSLASH in portion else portion)
    except msgspec.DecodeError as error:
        raise _explain(str(error), value, before, at, len(portion)) from None
    except RecursionError:
        raise too_deep(max_depth, before) from None


def indent_of(text: bytes) -> int:
    """Bytes of white space before the value."""
    return len(text) - len(text.lstrip(WHITE_SPACE))


def check_utf8(value: bytes, before: int) -> None:
    """Check that `value` is UTF-8. Before it there are this many bytes.

    Raises:
        BadJson: it is not.
    """
    try:
        value.decode("utf-8")
    except UnicodeDecodeError as error:
        position = before + error.start
        packed = " It looks compressed with gzip; send it as it is." if value.startswith(b"\x1f\x8b") else ""
        raise BadJson(f"The body is not UTF-8: {error.reason} at byte {position}.{packed}", position) from None


def _check_depth(value: bytes, max_depth: int, before: int) -> None:
    if deepest(find_brackets(value.replace(b"\\\\", b"").replace(b'\\"', b""))) > max_depth:
        raise too_deep(max_depth, before)


def find_brackets(value: bytes) -> bytes:
    """The brackets outside strings, in a JSON text that has no escaped backslashes and quotes."""
    marks = value.translate(None, _NEITHER_QUOTE_NOR_BRACKET)
    # Two quotes side by side close a string and open the next, or are a string without brackets.
    return b"".join(marks.replace(b'""', b"").split(b'"')[::2])


def as_octets(brackets: bytes) -> bytes:
    """A byte for each eight brackets, with a bit for each that opens; if some are missing at the end they close."""
    digits = brackets.translate(_AS_DIGITS).ljust(-(-len(brackets) // OCTET) * OCTET, b"0")
    return int(digits or b"0", 2).to_bytes(len(digits) // OCTET, "big")


def deepest(brackets: bytes) -> int:
    """How many of these brackets are open inside one another, in time that grows with their number alone.

    Eight brackets make one byte, because a look at each bracket from Python takes some 40 ns.
    """
    octets = as_octets(brackets)
    depths = accumulate(map(_STEPS.__getitem__, octets), initial=0)
    return max(map(add, depths, map(_PEAKS.__getitem__, octets)), default=0)


def climb(octet: int) -> list[int]:
    """The depths behind each of the eight brackets of an octet, an opening one for each 1."""
    return list(accumulate(1 if octet >> bit & 1 else -1 for bit in reversed(range(OCTET))))


_STEPS: Final = [climb(octet)[-1] for octet in range(256)]
_PEAKS: Final = [max(climb(octet)) for octet in range(256)]


def too_deep(max_depth: int, before: int) -> BadJson:
    """The error for a message that is nested too deep, with this many bytes of white space before it."""
    return BadJson(f"The message is nested more than {max_depth} deep (max_depth).", before)


def _explain(message: str, value: bytes, before: int, start: int = 0, length: int = -1) -> BadJson:
    """What is wrong with `value`, by the decoder's message on what begins at `start` and has such a length, or all."""
    match = _POSITION.search(message)
    at = start + (int(match[1]) if match else length if length >= 0 else len(value))
    what = _POSITION.sub("", message).removeprefix("JSON is malformed: ")
    if what == "trailing characters":
        at -= 1  # msgspec says where the second of them is
    if what.startswith("Input data was truncated"):
        what = "it ends too early"
    advice = _SEVERAL if what == "trailing characters" else _advise(value, at)
    return BadJson(f"The body is not JSON: {what} at byte {before + at}.{advice}", before + at)


def _advise(value: bytes, at: int) -> str:
    """What to write instead, for the usual mistakes; often nothing.

    Args:
        value: what is no JSON.
        at: where it goes wrong, bytes.
    """
    for found, advice in _AT_THE_PLACE:
        if found.match(value, at) or (at and found.match(value, at - 1)):
            return advice
    return next((advice for found, advice in _AS_A_WHOLE if found.match(value)), "")


_SEVERAL: Final = (
    " Several messages go one a line, with ?batch=ndjson; curl keeps the lines apart with --data-binary, not with -d."
)
_AT_THE_PLACE: Final = (
    (re.compile(rb"-?(?:NaN|Infinity|nan|inf)"), " NaN and Infinity are not JSON; send null."),
    (re.compile(rb"'|[A-Za-z_$][\w$]*\s*:"), " Strings and names have double quotes in JSON."),
    (re.compile(rb"(?:True|False|None|undefined)"), " JSON has true, false and null."),
    (re.compile(rb"[}\]]"), " No comma stands before a closing bracket in JSON."),
)
_AS_A_WHOLE: Final = (
    (re.compile(rb"--[^\r\n]+\r?\n[Cc]ontent-"), " A form with files is no message; send JSON alone."),
    (re.compile(rb"[\w.%+\[\]-]+="), ' This looks like a form; send JSON, as in {"name": "value"}.'),
    (re.compile(rb"\xef\xbb\xbf"), " It begins with a byte order mark; leave that out (RFC 8259 §8.1)."),
    (re.compile(rb"@"), " curl reads a file's content with -d @file; the name must be that of a file which is there."),
    (re.compile(rb"[A-Za-z]"), ' A text has double quotes in JSON: "like this".'),
)
