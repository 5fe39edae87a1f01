"""Static tokens: secret texts, of which the server keeps only a hash.

The tokens that `make_token` makes have 256 random bits, so a plain SHA-256 without salt hides them. They are looked up
by a hash that is keyed with a secret of this process, so the time that this takes reveals nothing about any token.
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
"""Programs that search repositories for leaked secrets find tokens by it."""
SHORTEST: Final = 20
"""The least characters of a token in a file, which a person may have chosen."""
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)
"""RFC 6750 §2.1, `b64token`."""


@dataclass(frozen=True, slots=True)
class StaticToken:
    """A row of `[[access.tokens]]`.

    Attributes:
        name: for logs.
        digest: SHA-256 of the token.
        rights: those that it gives.
        expires: when it expires, seconds since 1970; `inf` for never.
    """

    name: str
    digest: bytes
    rights: Rights
    expires: float


def is_token(text: str) -> bool:
    """Whether a text has the form of a token."""
    return _TOKEN.fullmatch(text) is not None


def hash_token(token: str) -> bytes:
    """SHA-256 of a token."""
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


def make_token() -> str:
    """A new random token. It can stand in a URL, a cookie and a WebSocket subprotocol as it is."""
    return PREFIX + secrets.token_urlsafe(32)


class TokenTable:
    """Finds a static token by its text. It does not check whether the token has expired."""

    __slots__ = ("_rows", "_secret")

    def __init__(self, tokens: Iterable[StaticToken]) -> None:
        self._secret = secrets.token_bytes(32)
        self._rows = {self._key(each.digest): each for each in tokens}

    def find(self, token: str) -> StaticToken | None:
        """The row of a token, or None."""
        return self._rows.get(self._key(hash_token(token)))

    def _key(self, digest: bytes) -> bytes:
        return hmac.digest(self._secret, digest, "sha256")
