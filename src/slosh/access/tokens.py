"""Static tokens: random texts, of which the server keeps a hash.

A token has 256 random bits, so a plain SHA-256 of it tells nothing, and it needs no salt. Tokens are looked up by a
hash that is keyed with a secret of this process: how long that takes says nothing of any token.
"""

import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from slosh.access.rights import Rights

PREFIX: Final = "slosh_"
"""Makes a token that leaked into a repository easy to find for programs that look for such."""
SHORTEST: Final = 20
"""Characters of a token that somebody has chosen, at least."""
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)
"""RFC 6750 §2.1, `b64token`."""


@dataclass(frozen=True, slots=True)
class StaticToken:
    """A row of `[[access.tokens]]`.

    Attributes:
        name: for logs.
        digest: SHA-256 of the token.
        rights: what it allows.
        expires: until when, seconds since 1970, `inf` for no end.
    """

    name: str
    digest: bytes
    rights: Rights
    expires: float


def is_token(text: str) -> bool:
    """Whether a text could be a token at all."""
    return _TOKEN.fullmatch(text) is not None


def hash_token(token: str) -> bytes:
    """What is kept of a token."""
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


def make_token() -> str:
    """A new one, of letters that a URL, a cookie and a WebSocket subprotocol can have."""
    return PREFIX + secrets.token_urlsafe(32)


class TokenTable:
    """Finds a token among those that count."""

    __slots__ = ("_rows", "_secret")

    def __init__(self, tokens: Iterable[StaticToken]) -> None:
        self._secret = secrets.token_bytes(32)
        self._rows = {self._key(each.digest): each for each in tokens}

    def find(self, token: str) -> StaticToken | None:
        """The row of a token, or None."""
        return self._rows.get(self._key(hash_token(token)))

    def _key(self, digest: bytes) -> bytes:
        return hmac.digest(self._secret, digest, "sha256")
