"""Which names a topic may have.

A name is one or more segments joined by `/`, 1 to 255 bytes of UTF-8 in all. A character that could mean something
where names end up, such as in paths and in the keys of engines, is refused here, once.
"""

import unicodedata
from typing import Final

from slosh.errors import BadTopic

MAX_NAME_BYTES: Final = 255
"""Bytes of UTF-8; the same bound as of a file name in most file systems."""

_LONGEST_SHOWN: Final = 60
"""Characters of a name that an error repeats."""
MAX_SEGMENTS: Final = 16
"""Segments of a name or a pattern. Each is a node in a tree, which takes some 300 bytes."""

_REFUSED: Final = {
    "Cc": "control characters",
    "Cs": "lone surrogates, which are no text",
    "Zl": "line separators",  # some programs take these for a line's end
    "Zp": "paragraph separators",
}
"""Categories of Unicode, and what an error calls them."""


def _show(name: str) -> str:
    """A name as an error repeats it: printable, and not too long."""
    return ascii(name) if len(name) <= _LONGEST_SHOWN else ascii(name[: _LONGEST_SHOWN - 3] + "...")


def check_name(name: str) -> str:
    """Give `name` back when it is a topic's name.

    Raises:
        BadTopic: it is not; the detail says which rule it breaks.
    """
    if not name:
        raise BadTopic("A topic needs a name: /topics/<name>.")
    is_plain = name.isascii() and name.isprintable()
    if not is_plain:
        refused = next((sentence for each in name if (sentence := _REFUSED.get(unicodedata.category(each)))), "")
        if refused:
            raise BadTopic(f"A topic's name has no {refused}; this one is {_show(name)}.")
    if len(name.encode()) > MAX_NAME_BYTES:
        size = len(name.encode())
        raise BadTopic(f"A topic's name has at most {MAX_NAME_BYTES} bytes of UTF-8, and this one has {size}.")
    if "," in name or "*" in name:
        raise BadTopic(
            f"A topic's name has no comma and no '*', and this one is {_show(name)}. Only readers name several topics, "
            f"or patterns."
        )
    if any(segment in ("", ".", "..") for segment in name.split("/")):
        raise BadTopic(f"No segment of a topic's name is empty, '.' or '..'; this one is {_show(name)}.")
    if name.count("/") >= MAX_SEGMENTS:
        count = name.count("/") + 1
        raise BadTopic(
            f"A topic's name has at most {MAX_SEGMENTS} segments, with '/' between, and this one has {count}."
        )
    if name.startswith("$"):
        raise BadTopic(f"Topics that begin with '$' are the server's own, and this one is {_show(name)}.")
    return name
