"""Taking arrays and objects of JSON apart, without changing a letter of what stands in them.

A message is passed on as the text that was posted, so no number loses precision, and no text is too deep or too long
to be passed on. Nothing here recurses, and the time grows with the length alone. The inside is not checked.
"""

import json
import re
from collections.abc import Iterator
from typing import Final

_TOKEN: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{},]', re.DOTALL)
_NAME: Final = re.compile(r'[ \t\n\r]*+("[^"\\]*+(?:\\.[^"\\]*+)*+")[ \t\n\r]*+:', re.DOTALL)
_WHITE_SPACE: Final = " \t\n\r"
"""What may surround a value (RFC 8259 §2); `str.strip` alone would take more."""


def elements(text: str) -> list[str]:
    """The elements of an array, each as it is written there.

    Raises:
        ValueError: it is no array.
    """
    return [piece.strip(_WHITE_SPACE) for piece in _pieces(text, "[", "]")]


def members(text: str) -> dict[str, str]:
    """The members of an object, each as it is written there. Of equal names the last one counts.

    Raises:
        ValueError: it is no object.
    """
    found: dict[str, str] = {}
    for piece in _pieces(text, "{", "}"):
        name = _NAME.match(piece)
        if name is None:
            raise ValueError(f"a member of an object begins with {piece[:40]!r}")
        found[json.loads(name[1])] = piece[name.end() :].strip(_WHITE_SPACE)
    return found


def _pieces(text: str, first: str, last: str) -> Iterator[str]:
    """What stands between the commas of the outermost array or object."""
    text = text.strip(_WHITE_SPACE)
    if text[:1] != first or text[-1:] != last:
        raise ValueError(f"it begins with {text[:40]!r}")
    depth = 0
    start = 1
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if mark in ("[", "{"):
            depth += 1
        elif mark in ("]", "}"):
            depth -= 1
        elif mark == "," and depth == 1:
            yield text[start : token.start()]
            start = token.end()
        if not depth and token.end() != len(text):
            raise ValueError("it ends too early")
    if depth:
        raise ValueError("it is cut short")
    if start > 1 or text[1:-1].strip(_WHITE_SPACE):
        yield text[start:-1]
