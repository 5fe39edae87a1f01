"""Which names a topic may have.

A name is one or more segments joined by `/`, 1 to 255 bytes of UTF-8 in all. It ends up in URLs, in
cookies' paths and in the keys of engines, so what could mean something there is refused here, once.
"""

import unicodedata
from typing import Final

from slosh.errors import BadTopic

MAX_NAME_BYTES: Final = 255
"""Bytes of UTF-8; the same bound as of a file name in most file systems."""

MAX_SEGMENTS: Final = 16
"""Segments of a name or a pattern. Each is a node in a tree, which takes some 300 bytes."""

_REFUSED_CATEGORIES: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Control characters, lone surrogates, and the separators that some programs take for a line's end."""


def check_name(name: str) -> str:
    """Give `name` back when it is a topic's name.

    Raises:
        BadTopic: it is not; the detail says which rule it breaks.
    """
    if not name:
        raise BadTopic("A topic needs a name: /topics/<name>.")
    is_plain = name.isascii() and name.isprintable()
    if not is_plain and any(unicodedata.category(character) in _REFUSED_CATEGORIES for character in name):
        raise BadTopic("A topic's name has no control characters.")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise BadTopic(f"A topic's name has at most {MAX_NAME_BYTES} bytes of UTF-8.")
    if "," in name or "*" in name:
        raise BadTopic("A topic's name has no comma and no '*'.")
    if any(segment in ("", ".", "..") for segment in name.split("/")):
        raise BadTopic("No segment of a topic's name is empty, '.' or '..'.")
    if name.count("/") >= MAX_SEGMENTS:
        raise BadTopic(f"A topic's name has at most {MAX_SEGMENTS} segments, with '/' between them.")
    if name.startswith("$"):
        raise BadTopic("Topics that begin with '$' are the server's own.")
    return name
