"""Checking that a message is JSON, without making anything of it.

A message travels as the bytes that were posted, so nothing is decoded: msgspec skips over the value and
says where it is wrong. Bounds come first, because a decoder is what hostile input is made for
(CVE-2024-27454, CVE-2020-10735).
"""

import re
from itertools import accumulate
from typing import Final

import msgspec

from slosh.errors import BadJson

WHITE_SPACE: Final = b" \t\n\r"
"""What may surround a JSON value (RFC 8259 §2)."""

_SPACE: Final = ord(" ")
"""The largest of the bytes of white space."""

_BACKSLASH: Final = ord("\\")

# Possessive, so there is nothing to backtrack into; and it takes a string that never ends too, so that it does
# not look for the end anew from each escaped quote.
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
# Half a character, as JSON.stringify writes it where a string was cut in the middle of an emoji: JSON by its
# grammar (RFC 8259 §8.2), though msgspec has it otherwise. Each escape is looked at, so that an escaped
# backslash before `ud83d` is not taken for the beginning of one.
_ESCAPE: Final = re.compile(rb"\\(?:u[dD][89a-fA-F][0-9a-fA-F]{2}|.)", re.DOTALL)
_NEUTRAL: Final = rb"\u0020"
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_STEPS: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_POSITION: Final = re.compile(r" \(byte ([0-9]+)\)")
_skip: Final = msgspec.json.Decoder(msgspec.Raw).decode


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
    if not value.isascii():
        _check_utf8(value, _indent(text))
    # What is shorter than the bound cannot be deeper.
    if len(value) > max_depth and value.count(b"[") + value.count(b"{") > max_depth:
        _check_depth(value, max_depth, _indent(text))
    try:
        # By number and by `find`, because `in` tries first whether bytes are a number, which costs ten times as much.
        if _BACKSLASH in value and (value.find(b"\\ud") >= 0 or value.find(b"\\uD") >= 0):
            _skip(_ESCAPE.sub(_neutral, value))
        else:
            _skip(value)
    except msgspec.DecodeError as error:
        raise _explain(str(error), len(value), _indent(text)) from None
    except RecursionError:  # msgspec's own, on the stack that whoever calls us has used a part of
        raise _too_deep(max_depth, _indent(text)) from None
    return value


def _indent(text: bytes) -> int:
    """Bytes of white space before the value."""
    return len(text) - len(text.lstrip(WHITE_SPACE))


def _check_utf8(value: bytes, before: int) -> None:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError as error:
        position = before + error.start
        raise BadJson(f"The body is not UTF-8: {error.reason} at byte {position}.", position) from None


def _neutral(escape: re.Match[bytes]) -> bytes:
    """The escape, or another of the same length in place of half a character."""
    return _NEUTRAL if len(escape[0]) == len(_NEUTRAL) else escape[0]


def _check_depth(value: bytes, max_depth: int, before: int) -> None:
    brackets = _STRING.sub(b"", value).translate(None, _NOT_BRACKETS)
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > max_depth:
        raise _too_deep(max_depth, before)


def _too_deep(max_depth: int, before: int) -> BadJson:
    return BadJson(f"The message is nested more than {max_depth} deep (max_depth).", before)


def _explain(message: str, length: int, before: int) -> BadJson:
    match = _POSITION.search(message)
    position = before + (int(match[1]) if match else length)
    what = _POSITION.sub("", message).removeprefix("JSON is malformed: ")
    if what == "trailing characters":
        position -= 1  # msgspec says where the second of them is
    if what.startswith("Input data was truncated"):
        what = "it ends too early"
    return BadJson(f"The body is not JSON: {what} at byte {position}.", position)
