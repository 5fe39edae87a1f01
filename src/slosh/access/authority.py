"""Which rights a token, or the name in a client's certificate, gives now.

The rules of this file:

* The `Grant` of a token is cached, so a JWT's signature is not checked again with each request.
* New rules, or a JWKS file that has changed, begin a new generation of grants. A grant is valid until it expires or
  its generation ends. After that the caller must call `identify` again.
* A token that never existed and one that was revoked get the same error.
"""

import logging
import math
import secrets
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from hashlib import blake2b
from pathlib import Path
from typing import ClassVar, Final

from slosh.access.jwt import BadToken, looks_like_jwt, verify
from slosh.access.keys import Key, read_jwks, stamp
from slosh.access.rights import Grant, Rights, parse_patterns
from slosh.access.rules import AccessRules
from slosh.access.tokens import TokenTable, is_token
from slosh.errors import SettingError

log: Final = logging.getLogger("slosh.access")

REMEMBERED: Final = 10_000
"""Grants in each of the two halves of the cache; some 500 bytes each, and more if a token lists many patterns."""
_LOOK_EVERY: Final = 1.0
"""The least seconds between two checks whether the JWKS file has changed."""
_UNKNOWN: Final = "This token is not known here, or is not any more."

Stamp = Callable[[Path], tuple[int, int, int]]
ReadKeys = Callable[[Path], tuple[Key, ...]]
_AccessKey = tuple[str, tuple[str, ...], tuple[str, ...]]


class Authority:
    """Finds the rights of clients by the rules of `[access]` and the keys for JWTs.

    Args:
        rules: the section `[access]`.
        skew: seconds by which the clocks of issuers and this server may differ.
        max_token: bytes of the longest token that is accepted.
        look: returns a value that differs once a file has changed; see `stamp`.
        read: reads a JWKS file.
        most: grants in each of the two halves of the cache.

    Raises:
        SettingError: the JWKS file is not valid.

    Attributes:
        rules, max_token: as above. Change them with `replace`.
        public: the rights of clients without a token.
        generation: raised whenever earlier grants become invalid.
    """

    __slots__ = (
        "_keys",
        "_look",
        "_looked",
        "_most",
        "_old",
        "_read",
        "_skew",
        "_stamp",
        "_table",
        "_young",
        "generation",
        "max_token",
        "public",
        "rules",
    )

    has_sessions: ClassVar[bool] = True
    """Whether clients know their tokens, so that `/-/session` may keep one in a cookie."""

    def __init__(
        self,
        rules: AccessRules,
        *,
        skew: float,
        max_token: int,
        look: Stamp = stamp,
        read: ReadKeys = read_jwks,
        most: int = REMEMBERED,
    ) -> None:
        self._most = most
        self._look = look
        self._read = read
        self.generation = 0
        self._young: dict[bytes, Grant] = {}
        self._old: dict[bytes, Grant] = {}
        self.replace(rules, skew=skew, max_token=max_token)

    def replace(self, rules: AccessRules, *, skew: float, max_token: int) -> None:
        """Apply new rules. Earlier grants become invalid.

        Raises:
            SettingError: the JWKS file is not valid; nothing has changed.
        """
        stamped: tuple[int, int, int] = (0, 0, 0)
        keys: tuple[Key, ...] = ()
        if rules.jwt is not None and rules.jwt.jwks_file is not None:
            stamped = self._look(rules.jwt.jwks_file)
            keys = self._read(rules.jwt.jwks_file)
        self.rules = rules
        self.max_token = max_token
        self._skew = skew
        self._stamp = stamped
        self._keys = keys
        self._looked = -math.inf
        self._table = TokenTable(rules.tokens)
        self._begin()

    @property
    def has_key_file(self) -> bool:
        """Whether there is a JWKS file, which may change at any time."""
        return self.rules.jwt is not None and self.rules.jwt.jwks_file is not None

    def is_current(self, grant: Grant, now: float) -> bool:
        """Whether a grant is valid at the time `now`, seconds since 1970."""
        return grant.generation == self.generation and now < grant.expires

    def identify(self, token: str, now: float) -> Grant:
        """The rights that a token gives at the time `now`, seconds since 1970, joined with the public ones.

        Raises:
            BadToken: the token is malformed, unknown, not valid yet, or has expired.
        """
        if len(token) > self.max_token:
            raise BadToken(f"A token has at most {self.max_token} bytes (max_token).")
        if not is_token(token):
            raise BadToken("A token has the characters A-Z a-z 0-9 . _ ~ + / - (RFC 6750 §2.1).")
        self.refresh(now)
        digest = _digest(token)
        grant = self._young.get(digest) or self._old.get(digest)
        if grant is None:
            grant = self._find(token, digest.hex(), now)
        if now >= grant.expires:
            raise BadToken("This token has expired.")
        if len(self._young) >= self._most:
            self._old, self._young = self._young, {}
        self._young[digest] = grant
        return grant

    def identify_client(self, names: Collection[str], expires: float, now: float) -> Grant | None:
        """The rights of a client by its certificate, joined with the public ones; None if no row applies.

        The first row of `[[access.clients]]` that applies decides, even if others name the certificate too.

        Args:
            names: in the certificate.
            expires: when the certificate does, seconds since 1970.
            now: seconds since 1970.
        """
        for each in self.rules.clients:
            if each.name in names and now < min(each.expires, expires):
                return Grant(
                    each.name,
                    each.rights.joined(self.rules.public),
                    expires=min(each.expires, expires),
                    key=f"client {each.name}",
                    generation=self.generation,
                )
        return None

    def refresh(self, now: float) -> None:
        """Read the JWKS file again if it has changed. If it is not valid, the earlier keys stay in use."""
        rules = self.rules.jwt
        if rules is None or rules.jwks_file is None or 0 <= now - self._looked < _LOOK_EVERY:
            return
        self._looked = now
        stamped = self._look(rules.jwks_file)
        if stamped == self._stamp:
            return
        self._stamp = stamped
        try:
            self._keys = self._read(rules.jwks_file)
        except SettingError as error:
            log.error("the keys stay as they are, because of a mistake: %s", error.detail)  # noqa: TRY400 - the sentence is all
            return
        log.info("the keys in %s were read again", rules.jwks_file)
        self._begin()

    def _begin(self) -> None:
        self.generation += 1
        self._young = {}
        self._old = {}
        self.public = Grant("public", self.rules.public, generation=self.generation)

    def _find(self, token: str, key: str, now: float) -> Grant:
        row = self._table.find(token)
        rules = self.rules
        if row is not None:
            rights, expires, name = row.rights, row.expires, row.name
        elif rules.jwt is not None and looks_like_jwt(token):
            keys = self._keys if rules.jwt.secret is None else (*self._keys, rules.jwt.secret)
            claims = verify(token, rules.jwt, keys, now, self._skew)
            rights, expires, name = claims.rights, claims.expires, claims.name
            key = _digest(token.rpartition(".")[0]).hex()  # Some algorithms have several signatures for one text.
        else:
            raise BadToken(_UNKNOWN)
        return Grant(name, rights.joined(rules.public), expires=expires, key=key, generation=self.generation)


class ProgramAuthority(Authority):
    """Gives the rights that the program around slosh has decided on (`slosh.asgi`).

    Each set of rights has a random token, which this process puts into the client's requests and never sends to it.

    Args:
        skew, max_token: as of `Authority`.
    """

    __slots__ = ("_granted", "_tokens")

    has_sessions: ClassVar[bool] = False
    """Else a client could get the token in a cookie, and keep rights that the program has taken away."""

    def __init__(self, *, skew: float, max_token: int) -> None:
        self._granted: OrderedDict[str, tuple[_AccessKey, Rights]] = OrderedDict()  # the least recently used first
        self._tokens: dict[_AccessKey, str] = {}
        super().__init__(AccessRules(public=Rights()), skew=skew, max_token=max_token)

    def admit(self, name: str, read: Iterable[str], publish: Iterable[str]) -> str:
        """The token of a client with these rights. It stays the same until very many others have been given one.

        Raises:
            BadTopic: a pattern is not valid.
        """
        key = (name, tuple(read), tuple(publish))
        token = self._tokens.get(key)
        if token is None:
            rights = Rights(parse_patterns(key[1]), parse_patterns(key[2]))
            token = self._tokens[key] = secrets.token_urlsafe(24)
            self._granted[token] = (key, rights)
            if len(self._granted) > REMEMBERED:
                _, (oldest, _) = self._granted.popitem(last=False)
                del self._tokens[oldest]
        else:
            self._granted.move_to_end(token)
        return token

    def _find(self, token: str, key: str, now: float) -> Grant:
        granted = self._granted.get(token)
        if granted is None:
            return super()._find(token, key, now)
        (name, _, _), rights = granted
        return Grant(name, rights, key=key, generation=self.generation)


def _digest(text: str) -> bytes:
    return blake2b(text.encode("ascii"), digest_size=20).digest()
