"""What a POST's head says beside its parameters: a topic's name in its usual form, the idempotency key, the coding."""

import re
from typing import Final

from slosh.core.names import MAX_NAME_BYTES, MAX_SEGMENTS
from slosh.errors import BadRequest, UnsupportedEncoding
from slosh.http1.head import Head

PLAIN_NAME: Final = rb"(?!\.{1,2}[/ ])[A-Za-z0-9._~-]+(?:/(?!\.{1,2}[/ ])[A-Za-z0-9._~-]+){0,%d}" % (MAX_SEGMENTS - 1)
"""Names of topics that need no thought, as they stand in a request line, in front of a space."""
_plain_name: Final = re.compile(
    rb"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+){0,%d}" % (MAX_SEGMENTS - 1)
)
KEY: Final = b"idempotency-key"
_MAX_KEY: Final = 255
"""Characters of an `Idempotency-Key`."""
REPLAYED: Final = b"Idempotent-Replayed: true\r\n"
"""The line of an answer that an earlier publish with the same key had already."""


def read_plain_name(part: bytes) -> str | None:
    """The topic's name that `part` of a request line spells; None if that needs more thought.

    To read it costs less than to look it up among thousands, and nothing need be remembered.
    """
    if len(part) > MAX_NAME_BYTES or not (part.isalnum() or _plain_name.fullmatch(part)):
        return None
    return part.decode("ascii")


def check_coding(head: Head) -> None:
    """Check that the body comes as it is.

    Raises:
        UnsupportedEncoding: it does not.
    """
    if any(coding != "identity" for coding in head.tokens(b"content-encoding")):
        raise UnsupportedEncoding("A message is posted as it is, without a Content-Encoding.")


def parse_key(head: Head) -> str:
    """The idempotency key of a request, or nothing.

    Raises:
        BadRequest: it is not valid.
    """
    keys = head.late(KEY)
    if not keys:
        return ""
    key = keys[0].decode("latin-1").strip('"')
    if len(keys) > 1 or not 0 < len(key) <= _MAX_KEY:
        raise BadRequest(f"An Idempotency-Key is one text of 1 to {_MAX_KEY} characters.")
    return key
