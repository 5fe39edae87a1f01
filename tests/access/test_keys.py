"""A JWKS gives each key one algorithm, and what would weaken all is refused by name."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from slosh.access.keys import read_jwks, read_secret, stamp
from slosh.errors import SettingError
from tests.access.tokens import PRIVATE, jwk, write_jwks


def test_keys_are_read_with_the_algorithm_that_each_is_for(tmp_path: Path) -> None:
    file = write_jwks(tmp_path / "k", *(jwk(each, kid=each.lower()) for each in ("RS256", "ES256", "EdDSA")))
    assert [(key.algorithm, key.kid) for key in read_jwks(file)] == [
        ("RS256", "rs256"),
        ("ES256", "es256"),
        ("EdDSA", "eddsa"),
    ]


def test_keys_for_other_uses_are_passed_over(tmp_path: Path) -> None:
    others = [jwk("RS256", use="enc"), jwk("RS256", alg="PS256"), {"kty": "EC", "crv": "P-521"}, {"kty": "new"}]
    assert len(read_jwks(write_jwks(tmp_path / "k", *others, jwk("ES256")))) == 1
    with pytest.raises(SettingError, match="no key for"):
        read_jwks(write_jwks(tmp_path / "k", *others))


@pytest.mark.parametrize(
    "members",
    [
        [{"kty": "oct", "k": "c2VjcmV0"}],
        [jwk("RS256", d="c2VjcmV0")],
        [{"kty": "EC", "crv": "P-256", "x": "a", "y": "b"}],
        [{"kty": "OKP", "crv": "Ed25519"}],
        ["no key"],
        [jwk("ES256")] * 65,
    ],
)
def test_secrets_private_keys_and_unsound_keys_are_refused(tmp_path: Path, members: list[Any]) -> None:
    with pytest.raises(SettingError) as caught:
        read_jwks(write_jwks(tmp_path / "k", *members))
    assert "c2VjcmV0" not in caught.value.detail


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"keys": 1}', "[" * 100_000])
def test_what_is_no_jwks_is_refused_in_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "k").write_text(text)
    with pytest.raises(SettingError, match="jwks_file"):
        read_jwks(tmp_path / "k")


def test_a_short_rsa_key_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRIVATE, "RS256", rsa.generate_private_key(public_exponent=65537, key_size=1024))
    with pytest.raises(SettingError, match="2048"):
        read_jwks(write_jwks(tmp_path / "k", jwk("RS256")))


def test_a_secret_has_256_bits_and_no_line_end(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"x" * 32 + b"\r\n")
    assert read_secret(tmp_path / "s").material == b"x" * 32
    (tmp_path / "s").write_bytes(b"x" * 31 + b"\n")
    with pytest.raises(SettingError, match="32"):
        read_secret(tmp_path / "s")


def test_a_stamp_changes_with_the_file(tmp_path: Path) -> None:
    assert stamp(tmp_path / "k") == (0, 0, 0)
    (tmp_path / "k").write_text("a")
    before = stamp(tmp_path / "k")
    (tmp_path / "l").write_text("a")
    (tmp_path / "l").replace(tmp_path / "k")
    assert stamp(tmp_path / "k") != before
