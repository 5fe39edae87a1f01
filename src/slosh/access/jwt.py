"""JWTs (RFC 7519): what one allows, if it was signed by a key that counts.

The rules of this file:

* The head of a token chooses among our keys and nothing else: no key, address or certificate that stands
  in it is looked at, and each key has the one algorithm that it is for (RFC 8725 §3.1). So `none` has no key.
* A token has one spelling (RFC 7515 §2, RFC 4648 §3.5). With others its holder could fill the memory of grants.
* Time is an argument. The library checks the signature, `aud` and `iss`; the times are checked here.
* A token without `exp` is refused: it could never be taken back but with its key.
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
"""Members of a head that change how the rest is read (RFC 7515 §4.1.11, RFC 7797); none is understood here."""


class BadToken(Exception):
    """A token that does not count. Its text says why, in a sentence without anything of the token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtRules:
    """The table `[access.jwt]`.

    Attributes:
        algorithms: that are taken.
        secret: for HS256, None for none.
        jwks_file: where public keys stand, None for none.
        audience: what `aud` has to name; empty if it has to be absent.
        issuer: what `iss` has to be, empty for any.
    """

    algorithms: tuple[str, ...]
    secret: Key | None = None
    jwks_file: Path | None = None
    audience: str = ""
    issuer: str = ""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says.

    Attributes:
        name: of whom it speaks, for logs.
        rights: what it allows.
        expires: until when it counts, seconds since 1970, with the clock's tolerance.
    """

    name: str
    rights: Rights
    expires: float


def check_library() -> None:
    """Check that JWTs can be checked at all.

    Raises:
        SettingError: the library is missing.
    """
    try:
        import cryptography  # noqa: F401, PLC0415 - an extra that not everybody has
        import jwt  # noqa: F401, PLC0415 - as above
    except ModuleNotFoundError as error:
        raise SettingError(
            f"[access.jwt] needs the Python package {error.name}: pip install 'slosh-server[jwt]'"
        ) from None


def looks_like_jwt(token: str) -> bool:
    """Whether a token has the three parts of a JWT, the first of which is a JSON object."""
    return token.count(".") == 2 and token.startswith("eyJ")


def verify(token: str, rules: JwtRules, keys: Sequence[Key], now: float, skew: float) -> Claims:
    """What a token says, if it counts at the time `now`, seconds since 1970.

    Args:
        token: of bounded length.
        keys: that count.
        skew: seconds by which the clocks of issuer and server may differ.

    Raises:
        BadToken: it does not count.
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
            options={  # times are checked below, by our clock; a name is only shown
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
    """See that a signature, which nothing signs itself, is spelled as it was issued. The library passes over some."""
    signed = urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    if urlsafe_b64encode(signed).rstrip(b"=") != signature.encode("ascii"):
        raise BadToken("Its signature is not written in base64url without padding.")


def _choose(head: dict[str, Any], rules: JwtRules, keys: Sequence[Key]) -> Key:
    """The one key that a token may be signed with."""
    algorithm, kid = head.get("alg"), head.get("kid")
    if algorithm not in rules.algorithms or any(member in head for member in _REFUSED_MEMBERS):
        raise BadToken("Its algorithm is none that is taken here, or its head asks for what is not known here.")
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
