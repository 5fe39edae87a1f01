"""JWTs (RFC 7519): checks the signature and the claims of a token, and reads its rights.

The rules of this file:

* The head of a token only chooses among our own keys: a key, an address or a certificate in it is ignored. Each key is
  for one algorithm (RFC 8725 §3.1). So no key fits the algorithm `none`.
* A token has one spelling (RFC 7515 §2, RFC 4648 §3.5). With more its holder could fill the cache of grants.
* Time is an argument. The library checks the signature, `aud` and `iss`; the times are checked here.
* A token without `exp` is refused, because the only way to revoke it would be to replace its key.
"""

import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from slosh.access.keys import Key
from slosh.access.rights import Rights, parse_patterns
from slosh.errors import BadTopic, SettingError

ALGORITHMS: Final = ("HS256", "RS256", "ES256", "EdDSA")
CLAIM: Final = "slosh"
_LONGEST_NAME: Final = 64
_REFUSED_MEMBERS: Final = ("crit", "b64")
"""Members of a head that change how the rest is read (RFC 7515 §4.1.11, RFC 7797); none is supported here."""


class BadToken(Exception):
    """A token is not valid. The text says why, and contains nothing of the token, so it may be shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtRules:
    """The table `[access.jwt]`.

    Attributes:
        algorithms: those that are accepted.
        secret: the key for HS256; None for none.
        jwks_file: the file of public keys; None for none.
        audience: the audience that `aud` must name; empty if `aud` must be absent.
        issuer: the text that `iss` must be; empty for any.
    """

    algorithms: tuple[str, ...]
    secret: Key | None = None
    jwks_file: Path | None = None
    audience: str = ""
    issuer: str = ""


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a valid token.

    Attributes:
        name: its subject, for logs.
        rights: as its claim `slosh` lists them.
        expires: when it expires, seconds since 1970, with the tolerance for the clocks.
    """

    name: str
    rights: Rights
    expires: float


def check_library() -> None:
    """Check that the libraries for JWTs are installed.

    Raises:
        SettingError: one is missing.
    """
    try:
        import cryptography  # noqa: F401, PLC0415 - an extra that not everybody has
        import jwt  # noqa: F401, PLC0415 - as above
    except ModuleNotFoundError as error:
        raise SettingError(
            f"[access.jwt] needs the Python package {error.name}: pip install 'slosh-server[jwt]'"
        ) from None


def looks_like_jwt(token: str) -> bool:
    """Whether a token has three parts, the first of which begins as a JSON object in base64url does."""
    return token.count(".") == 2 and token.startswith("eyJ")


def verify(token: str, rules: JwtRules, keys: Sequence[Key], now: float, skew: float) -> Claims:
    """The claims of a token, if it is valid at the time `now`, seconds since 1970.

    Args:
        token: ASCII. The caller must bound its length.
        rules: the algorithms, the audience and the issuer to accept.
        keys: those that may have signed it.
        skew: seconds by which the clocks of issuer and server may differ.

    Raises:
        BadToken: it is not valid.
    """
    import jwt  # noqa: PLC0415 - an extra that not everybody has

    try:
        _check_spelling(token.rpartition(".")[2])
        head = jwt.get_unverified_header(token)
        key = _choose(head, rules, keys)
        claims = jwt.decode(
            token,
            key.material,
            algorithms=[key.algorithm],
            audience=rules.audience or None,
            issuer=rules.issuer or None,
            options={  # times are checked below, by our clock; a subject is only shown
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_sub": False,
                "verify_jti": False,
                "verify_iss": bool(rules.issuer),
            },
        )
    except (jwt.InvalidAudienceError, jwt.InvalidIssuerError):
        raise BadToken("It was issued for another audience, or by another issuer.") from None
    except jwt.MissingRequiredClaimError:
        raise BadToken("It names no audience or no issuer.") from None
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise BadToken("It is no JWT that is signed with a key of this server.") from None
    return _read_claims(claims, now, skew)


def _check_spelling(signature: str) -> None:
    """Check that a signature, which unlike the rest is not signed itself, has its only spelling in base64url.

    The library ignores padding, characters outside the alphabet, and bits beyond the last byte.
    """
    signed = urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    if urlsafe_b64encode(signed).rstrip(b"=") != signature.encode("ascii"):
        raise BadToken("Its signature is not written in base64url without padding.")


def _choose(head: dict[str, Any], rules: JwtRules, keys: Sequence[Key]) -> Key:
    """The one key that a token with this `head` may be signed with."""
    algorithm, kid = head.get("alg"), head.get("kid")
    if algorithm not in rules.algorithms or any(member in head for member in _REFUSED_MEMBERS):
        raise BadToken("Its algorithm is not accepted here, or its head needs an extension that is not supported here.")
    fitting = [key for key in keys if key.algorithm == algorithm]
    if kid is not None and algorithm != "HS256":
        fitting = [key for key in fitting if key.kid == kid]
    if len(fitting) != 1:
        raise BadToken("It names no key of this server.")
    return fitting[0]


def _read_claims(claims: dict[str, Any], now: float, skew: float) -> Claims:
    expires = _read_time(claims, "exp")
    if expires is None:
        raise BadToken("It has no exp, so it would count for ever.")
    begins = _read_time(claims, "nbf")
    if now >= expires + skew:
        raise BadToken("It has expired.")
    if begins is not None and now < begins - skew:
        raise BadToken("It does not count yet (nbf).")
    granted = claims.get(CLAIM)
    if not isinstance(granted, dict) or not granted.keys() <= {"read", "publish"}:
        raise BadToken(f'It has no claim {CLAIM}: {{"read": […], "publish": […]}}.')
    try:
        rights = Rights(parse_patterns(granted.get("read", ())), parse_patterns(granted.get("publish", ())))
    except BadTopic:
        raise BadToken(f"Its claim {CLAIM} has something that is no pattern of topics.") from None
    subject = claims.get("sub")
    name = subject[:_LONGEST_NAME] if isinstance(subject, str) and subject else "a JWT"
    return Claims(name, rights, expires + skew)


def _read_time(claims: dict[str, Any], name: str) -> float | None:
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e15 < value < 1e15 or math.isnan(value):
        raise BadToken(f"Its {name} is no time.")
    return float(value)
