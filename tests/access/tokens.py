"""Keys, JWTs and rules for tests."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from slosh.access.rights import Rights
from slosh.access.rules import AccessRules, parse_access
from slosh.access.tokens import StaticToken, hash_token

SECRET = b"0123456789abcdef0123456789abcdef"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
PRIVATE: Mapping[str, Any] = {"HS256": SECRET, "RS256": RSA, "ES256": EC, "EdDSA": ED}


def jwk(algorithm: str, kid: str = "", **more: str) -> dict[str, Any]:
    """The public half of a key, as a member of a JWKS."""
    made = jwt.get_algorithm_by_name(algorithm)
    told: dict[str, Any] = json.loads(made.to_jwk(PRIVATE[algorithm].public_key()))
    told.pop("key_ops", None)
    return told | ({"kid": kid} if kid else {}) | more


def write_jwks(path: Path, *members: Mapping[str, Any]) -> Path:
    """A JWKS file."""
    path.write_text(json.dumps({"keys": members}))
    return path


def sign(algorithm: str = "HS256", key: Any = None, headers: dict[str, Any] | None = None, **claims: Any) -> str:
    """A JWT that lets its bearer read `mine/**`, until the year 33658 where `exp` is not said."""
    told = {"slosh": {"read": ["mine/**"], "publish": []}, "exp": 10**12} | claims
    told = {name: value for name, value in told.items() if value is not None}
    return jwt.encode(told, PRIVATE[algorithm] if key is None else key, algorithm=algorithm, headers=headers)


def token_row(
    token: str, *, name: str = "", read: Any = (), publish: Any = (), expires: float = math.inf
) -> StaticToken:
    """A row of `[[access.tokens]]`."""
    return StaticToken(name or token[:8], hash_token(token), Rights(read, publish), expires)


def with_secret(folder: Path, **jwt_table: Any) -> AccessRules:
    """Rules with HS256."""
    (folder / "secret").write_bytes(SECRET)
    return parse_access({"jwt": {"secret_file": "secret"} | jwt_table}, folder)
