"""Reads the keys that JWTs are checked with: a shared secret, and public keys from a JWKS file (RFC 7517)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from slosh.errors import SettingError

_MOST_BYTES: Final = 1024 * 1024
_MOST_KEYS: Final = 64
_FEWEST_SECRET: Final = 32
"""Bytes (RFC 7518 §3.2: a key must be as long as the hash, or longer)."""
_FEWEST_RSA: Final = 2048
"""Bits (RFC 7518 §3.3)."""
_FAMILIES: Final[Mapping[tuple[str, str], str]] = {
    ("RSA", ""): "RS256",
    ("EC", "P-256"): "ES256",
    ("OKP", "Ed25519"): "EdDSA",
}
"""The algorithm of a public key, by its `kty` and `crv`."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key and the one algorithm that it is for. So a public key is never used as a secret.

    Attributes:
        algorithm: as `alg` in a JWT's head (RFC 7518 §3.1, RFC 8037 §3.1).
        kid: its name in a JWKS; empty for none.
        material: bytes of a secret, or a public key of the library `cryptography`.
    """

    algorithm: str
    kid: str
    material: Any


def read_secret(path: Path) -> Key:
    """The secret for HS256 from its file, without line ends at its end, because editors add one.

    Raises:
        SettingError: the file cannot be read or is too large, or the secret is too short.
    """
    secret = _read(path, "secret_file").rstrip(b"\r\n")
    if len(secret) < _FEWEST_SECRET:
        raise SettingError(
            f"secret_file in [access.jwt]: {path} has {len(secret)} bytes, and a secret for HS256 has {_FEWEST_SECRET} "
            f"or more (RFC 7518 §3.2). Write one with: openssl rand -hex 32"
        )
    return Key("HS256", "", secret)


def read_jwks(path: Path) -> tuple[Key, ...]:
    """The public keys of a JWKS file. Keys for another use or another algorithm are ignored.

    Raises:
        SettingError: the file cannot be read or is no JWKS, has no key that can be used, or contains a secret, a
            private key, a weak key or a broken one.
    """
    from jwt import PyJWK, PyJWKError  # noqa: PLC0415 - an extra that not everybody has
    from jwt.exceptions import InvalidKeyError  # noqa: PLC0415 - as above

    try:
        members = json.loads(_read(path, "jwks_file"))["keys"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise SettingError(
            f'jwks_file in [access.jwt]: {path} is no JWKS; write {{"keys": […]}} (RFC 7517 §5).'
        ) from None
    if not isinstance(members, list) or len(members) > _MOST_KEYS:
        raise SettingError(
            f"jwks_file in [access.jwt]: {path} has no list, or too long a one; write at most {_MOST_KEYS} keys."
        )
    found = []
    for member in members:
        algorithm = _find_algorithm(member, path)
        if algorithm:
            try:
                material = PyJWK(member, algorithm=algorithm).key
            except (PyJWKError, InvalidKeyError, ValueError, TypeError):
                raise SettingError(_no_key(path)) from None
            if algorithm == "RS256" and material.key_size < _FEWEST_RSA:
                raise SettingError(
                    f"jwks_file in [access.jwt]: {path} has an RSA key of {material.key_size} bits; use one of "
                    f"{_FEWEST_RSA} or more."
                )
            kid = member.get("kid", "")
            found.append(Key(algorithm, kid if isinstance(kid, str) else "", material))
    if not found:
        raise SettingError(f"jwks_file in [access.jwt]: {path} has no key for RS256, ES256 or EdDSA. Add one.")
    return tuple(found)


def _find_algorithm(member: object, path: Path) -> str:
    """The algorithm that a key is for; empty if it is not used here.

    Raises:
        SettingError: it is a secret or a private key, or no key at all.
    """
    if not isinstance(member, dict):
        raise SettingError(_no_key(path))
    kind = member.get("kty")
    if kind == "oct" or "d" in member:
        raise SettingError(
            f"jwks_file in [access.jwt]: {path} holds a secret or a private key, and public ones are enough. A secret "
            f"for HS256 stands in a file of its own: secret_file."
        )
    curve = member.get("crv", "") if kind != "RSA" else ""
    algorithm = _FAMILIES.get((kind, curve), "") if isinstance(kind, str) and isinstance(curve, str) else ""
    if member.get("use", "sig") != "sig" or member.get("alg", algorithm) != algorithm:
        return ""
    return algorithm


def _no_key(path: Path) -> str:
    return f"jwks_file in [access.jwt]: {path} has a key that cannot be used. Write public keys as RFC 7517 has them."


def _read(path: Path, setting: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SettingError(
            f"{setting} in [access.jwt]: {path} cannot be read: {reason}. Name a file that can."
        ) from None
    if len(data) > _MOST_BYTES:
        raise SettingError(
            f"{setting} in [access.jwt]: {path} is larger than {_MOST_BYTES} bytes. Leave out keys that are not used."
        )
    return data


def stamp(path: Path) -> tuple[int, int, int]:
    """A file's time of change (ns), size and inode, which differ once it has changed; zeros if it is gone."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_mtime_ns, found.st_size, found.st_ino
