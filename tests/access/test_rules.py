"""`[access]` is taken as it stands, and each mistake is a sentence that names its place and no secret."""

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from slosh.access.rules import parse_access
from slosh.access.tokens import hash_token
from slosh.errors import SettingError
from tests.access.tokens import SECRET, jwk, write_jwks
from tests.cases import each_of

TOKEN = "slosh_0123456789abcdef"
DIGEST = hash_token(TOKEN).hex()
ROW: dict[str, Any] = {"name": "a", "sha256": DIGEST}


def test_an_empty_section_allows_nothing(tmp_path: Path) -> None:
    rules = parse_access({}, tmp_path)
    assert not rules.public.read
    assert not rules.public.publish
    assert not rules.tokens
    assert rules.jwt is None


def test_a_whole_section(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN + "1\n")
    (tmp_path / "secret").write_bytes(SECRET)
    write_jwks(tmp_path / "keys", jwk("ES256"))
    until = datetime(2027, 1, 1, tzinfo=UTC)
    rules = parse_access(
        {
            "public": {"read": ["open/**"]},
            "tokens": [
                ROW | {"read": ["a"], "publish": ["b/*"], "expires": until},
                {"name": "b", "file": "token", "expires": "2027-01-01T00:00:00Z"},
            ],
            "clients": [{"name": "sensor.example", "publish": ["s"]}],
            "jwt": {
                "algorithms": ["HS256", "ES256"],
                "secret_file": "secret",
                "jwks_file": "keys",
                "audience": "slosh",
                "issuer": "me",
            },
        },
        tmp_path,
    )
    first, second = rules.tokens
    assert rules.public.may_read("open/a")
    assert not rules.public.may_publish("open/a")
    assert first.rights.may_read("a")
    assert first.rights.may_publish("b/c")
    assert first.expires == until.timestamp()
    assert second.digest == hash_token(TOKEN + "1")
    assert second.expires == until.timestamp()
    assert rules.clients[0].expires == math.inf
    assert rules.jwt is not None
    assert rules.jwt.audience == "slosh"
    assert rules.jwt.secret is not None


@each_of(
    ("table", "told"),
    [
        ([], "is a table"),
        ({"publik": {}}, "Did you mean public"),
        ({"public": []}, "public in"),
        ({"public": {"reed": []}}, "Did you mean read"),
        ({"public": {"read": "**"}}, "list of patterns"),
        ({"public": {"read": ["a*"]}}, "whole segment"),
        ({"tokens": {}}, r"\[\[access.tokens\]\] above"),
        ({"tokens": [{"sha256": DIGEST}]}, "name is"),
        ({"tokens": [ROW | {"name": "a\n"}]}, "name is"),
        ({"tokens": [{"name": "a"}]}, "sha256, the hash"),
        ({"tokens": [ROW | {"file": "x"}]}, "sha256, the hash"),
        ({"tokens": [ROW | {"sha256": TOKEN}]}, "64 hexadecimal"),
        ({"tokens": [ROW | {"expires": "soon"}]}, "with its zone"),
        ({"tokens": [ROW | {"expires": "2027-01-01T00:00:00"}]}, "with its zone"),
        ({"tokens": [ROW, ROW | {"name": "b"}]}, "same token twice"),
        ({"tokens": [ROW, ROW | {"sha256": "0" * 64}]}, "same name"),
        ({"tokens": [{"name": "a", "file": "absent"}]}, "cannot be read"),
        ({"tokens": [{"name": "a", "file": "short"}]}, "holds no token"),
        ({"jwt": {}}, "need jwks_file"),
        ({"jwt": {"algorithms": ["none"], "secret_file": "secret"}}, r"algorithms=\['none'\]: write a list"),
        ({"jwt": {"algorithms": ["HS256"], "jwks_file": "keys"}}, "belong together"),
        ({"jwt": {"algorithms": ["ES256"], "secret_file": "secret"}}, "belong together"),
        ({"jwt": {"algorithms": ["HS256", "ES256"], "secret_file": "secret"}}, "need jwks_file"),
        ({"jwt": {"jwks_file": "absent"}}, "cannot be read"),
        ({"jwt": {"audience": 1}}, "is a text"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_without_a_secret(tmp_path: Path, table: Any, told: str) -> None:
    (tmp_path / "short").write_text("password1")
    (tmp_path / "secret").write_bytes(SECRET)
    write_jwks(tmp_path / "keys", jwk("ES256"))
    with pytest.raises(SettingError, match=told) as caught:
        parse_access(table, tmp_path)
    assert not any(secret in caught.value.detail for secret in (TOKEN, DIGEST, "password1", SECRET.decode()))
