"""A JWT counts if a key of ours signed it with its own algorithm, now, for us; else it does not."""

import base64
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from slosh.access.jwt import BadToken, JwtRules, looks_like_jwt, verify
from slosh.access.keys import Key
from tests.access.tokens import EC, ED, PRIVATE, RSA, SECRET, sign
from tests.cases import each_of
from tests.timing import assert_quick

NOW = 1_800_000_000.0
RULES = JwtRules(algorithms=("HS256", "RS256", "ES256", "EdDSA"))
KEYS = (
    Key("HS256", "", SECRET),
    Key("RS256", "r", RSA.public_key()),
    Key("ES256", "e", EC.public_key()),
    Key("EdDSA", "d", ED.public_key()),
)


def check(token: str, rules: JwtRules = RULES, keys: tuple[Key, ...] = KEYS, skew: float = 0.0) -> Any:
    return verify(token, rules, keys, NOW, skew)


def encode(part: object) -> str:
    text = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def forge(head: object, claims: object, secret: bytes = SECRET) -> str:
    signed = f"{encode(head)}.{encode(claims)}"
    return f"{signed}.{encode(hmac.digest(secret, signed.encode(), 'sha256'))}"


GOOD = {"exp": NOW + 60, "slosh": {"read": ["**"]}}


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_each_algorithm_is_taken_with_its_own_key(algorithm: str) -> None:
    claims = check(sign(algorithm, sub="ann", exp=NOW + 60))
    assert claims.name == "ann"
    assert claims.expires == NOW + 60
    assert claims.rights.may_read("mine/a")
    assert not claims.rights.may_read("a")


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_an_algorithm_that_is_not_listed_is_refused(algorithm: str) -> None:
    others = tuple(each for each in PRIVATE if each != algorithm)
    with pytest.raises(BadToken):
        check(sign(algorithm), JwtRules(algorithms=others))


@each_of("name", ["none", "None", "NONE", "", None, "HS384", "ES512", "PS256", ["HS256"], 1])
def test_none_and_unknown_algorithms_are_refused(name: object) -> None:
    for token in (forge({"alg": name, "typ": "JWT"}, GOOD), f"{encode({'alg': name})}.{encode(GOOD)}."):
        with pytest.raises(BadToken):
            check(token)


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_a_token_has_one_spelling(algorithm: str) -> None:
    """Nothing signs the signature's own text: with many of them one token would be many, each with its own grant."""
    token = sign(algorithm)
    signed, _, signature = token.rpartition(".")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = letters[letters.index(signature[-1]) ^ 1]  # a bit that stands for nothing
    others = [
        signature + "=",
        signature + "==",
        signature + "====",
        signature[:-1] + last,
        f"{signature[:9]}~~~~{signature[9:]}",
    ]
    for other in others:
        with pytest.raises(BadToken):
            check(f"{signed}.{other}")
    assert check(token).rights.may_read("mine/a")


def test_a_public_key_is_never_taken_for_a_secret() -> None:
    """Key confusion: an attacker signs HS256 with the public key that the server checks RS256 with."""
    for key in (RSA, EC, ED):
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        with pytest.raises(BadToken):
            check(forge({"alg": "HS256"}, GOOD, public))
        with pytest.raises(BadToken):
            check(forge({"alg": "HS256"}, GOOD, public), keys=KEYS[1:])
    with pytest.raises(BadToken):
        check(sign("ES256", headers={"kid": "r"}))


@pytest.mark.parametrize(
    "head",
    [
        {"alg": "HS256", "crit": ["exp"]},
        {"alg": "HS256", "b64": False},
        {"alg": "HS256", "kid": 1},
        {"alg": "RS256", "jwk": {"kty": "oct", "k": "YQ"}},
        {"alg": "RS256", "kid": "r", "jku": "https://evil.example/"},
    ],
)
def test_what_the_head_brings_along_is_never_used(head: object) -> None:
    with pytest.raises(BadToken):
        check(forge(head, GOOD))


@each_of(
    "claims",
    [
        {"exp": None},
        {"exp": NOW},
        {"exp": NOW - 1},
        {"exp": "later"},
        {"exp": True},
        {"exp": 1e400},
        {"nbf": NOW + 1},
        {"nbf": [1]},
        {"aud": "somebody else"},
        {"slosh": None},
        {"slosh": ["**"]},
        {"slosh": {"read": "**"}},
        {"slosh": {"read": ["**/a"]}},
        {"slosh": {"read": ["**"], "write": ["**"]}},
        {"slosh": {"read": ["a"] * 129}},
    ],
)
def test_claims_that_do_not_count_now_or_say_nothing_sound_are_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(BadToken):
        check(sign(**claims))


def test_audience_and_issuer_have_to_be_ours_where_they_are_set() -> None:
    rules = JwtRules(algorithms=("HS256",), audience="slosh", issuer="https://id.example")
    assert check(sign(aud=["other", "slosh"], iss="https://id.example"), rules)
    wrong: list[dict[str, Any]] = [
        {},
        {"aud": "slosh"},
        {"iss": "https://id.example"},
        {"aud": "slosh", "iss": "https://id.example/"},
    ]
    for claims in wrong:
        with pytest.raises(BadToken):
            check(sign(**claims), rules)


def test_clocks_may_differ_by_the_skew() -> None:
    assert check(sign(exp=NOW - 5, nbf=NOW + 5), skew=6).expires == NOW + 1
    with pytest.raises(BadToken):
        check(sign(exp=NOW - 5), skew=5)
    with pytest.raises(BadToken):
        check(sign(nbf=NOW + 5), skew=4)


@pytest.mark.parametrize("position", range(3))
def test_a_token_that_was_changed_anywhere_is_refused(position: int) -> None:
    parts = sign("EdDSA").split(".")
    parts[position] = parts[position][:-2] + ("AA" if parts[position][-2:] != "AA" else "BB")
    with pytest.raises(BadToken):
        check(".".join(parts))


@each_of(
    "token",
    [
        "eyJ..",
        "eyJ.eyJ.eyJ",
        f"{encode(b'[' * 4000)}.{encode(b'{}')}.",
        f"{encode(b'[]')}.{encode(b'{}')}.",
        f"{encode(b'null')}.{encode(b'{}')}.",
        forge({"alg": "HS256"}, b"[" * 4000),
        forge({"alg": "HS256"}, b'{"exp":' + b"9" * 5000 + b"}"),
        forge({"alg": "HS256"}, [1]),
        forge({"alg": "HS256"}, b"\xff"),
    ],
)
def test_nonsense_is_refused_quickly_and_says_nothing_of_the_token(token: str) -> None:
    with pytest.raises(BadToken) as caught:
        check(token)

    def refuse() -> None:
        with pytest.raises(BadToken):
            check(token)

    assert_quick(refuse, 0.02)
    assert token[:20] not in str(caught.value)
    assert caught.value.__cause__ is None


def test_only_three_parts_with_a_json_head_look_like_a_jwt() -> None:
    assert looks_like_jwt(sign())
    assert not any(map(looks_like_jwt, ["a.b.c", "eyJ.a", "slosh_abc", "eyJ.a.b.c"]))


def test_without_the_library_the_setting_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from slosh.errors import SettingError
    from tests.access.tokens import with_secret

    monkeypatch.setitem(__import__("sys").modules, "jwt", None)
    with pytest.raises(SettingError, match=r"slosh-server\[jwt\]"):
        with_secret(tmp_path)
