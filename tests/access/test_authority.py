"""A token gives its rights and the public ones, until it expires, is taken away, or its key is."""

import logging
from pathlib import Path

import pytest

from slosh.access.authority import Authority
from slosh.access.jwt import BadToken
from slosh.access.rights import Rights
from slosh.access.rules import AccessRules, ClientName, parse_access
from tests.access.tokens import jwk, sign, token_row, with_secret, write_jwks
from tests.timing import assert_quick

TOKEN = "slosh_reader"
PUBLIC = Rights(["open"], [])
NOW = 1_800_000_000.0


def authority(rules: AccessRules, skew: float = 0.0, most: int = 10_000) -> Authority:
    return Authority(rules, skew=skew, max_token=8192, most=most)


def test_a_token_gives_its_rights_and_those_that_are_public() -> None:
    known = authority(AccessRules(PUBLIC, (token_row(TOKEN, name="reader", read=["a"]),)))
    grant = known.identify(TOKEN, NOW)
    assert grant.name == "reader"
    assert grant.rights.may_read("a")
    assert grant.rights.may_read("open")
    assert not grant.rights.may_read("b")
    assert known.identify(TOKEN, NOW + 1) is grant
    assert not known.public.rights.may_read("a")


@pytest.mark.parametrize("token", ["slosh_other", "", "a b", "eyJhbGciOiJub25lIn0.e30.", "x" * 8193])
def test_another_token_gives_none(token: str) -> None:
    with pytest.raises(BadToken):
        authority(AccessRules(PUBLIC, (token_row(TOKEN),))).identify(token, NOW)


def test_a_token_ends_at_its_time_also_where_it_is_remembered() -> None:
    known = authority(AccessRules(tokens=(token_row(TOKEN, expires=NOW + 10),)))
    grant = known.identify(TOKEN, NOW + 9.9)
    assert known.is_current(grant, NOW + 9.9)
    assert not known.is_current(grant, NOW + 10)
    with pytest.raises(BadToken, match="expired"):
        known.identify(TOKEN, NOW + 10)


def test_new_rules_make_all_grants_old() -> None:
    known = authority(AccessRules(tokens=(token_row(TOKEN, read=["a"]),)))
    grant = known.identify(TOKEN, NOW)
    known.replace(AccessRules(), skew=0, max_token=8192)
    assert not known.is_current(grant, NOW)
    assert known.is_current(known.public, NOW)
    with pytest.raises(BadToken):
        known.identify(TOKEN, NOW)


def test_a_jwt_is_checked_once_and_ends_with_its_exp(tmp_path: Path) -> None:
    known = authority(with_secret(tmp_path), skew=5)
    token = sign(sub="ann", exp=NOW + 10)
    grant = known.identify(token, NOW)
    assert grant.name == "ann"
    assert grant.expires == NOW + 15
    assert known.identify(token, NOW) is grant
    with pytest.raises(BadToken):
        known.identify(token, NOW + 15)


def test_a_jwks_file_that_changed_is_read_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = write_jwks(tmp_path / "keys", jwk("ES256"))
    known = authority(parse_access({"jwt": {"jwks_file": "keys"}}, tmp_path))
    token = sign("ES256")
    grant = known.identify(token, NOW)
    write_jwks(file, jwk("EdDSA"), jwk("RS256"))
    assert known.identify(token, NOW + 0.5) is grant  # it is looked at once a second at most
    with pytest.raises(BadToken):
        known.identify(token, NOW + 1)
    assert not known.is_current(grant, NOW + 1)
    good = known.identify(sign("EdDSA"), NOW + 1)
    with caplog.at_level(logging.ERROR):
        file.write_text("broken")
        assert known.identify(sign("EdDSA"), NOW + 2) is good
        known.refresh(NOW + 4)
    assert caplog.text.count("the keys stay as they are") == 1


def test_the_oldest_grants_are_forgotten() -> None:
    tokens = [f"slosh_{number}" for number in range(50)]
    known = authority(AccessRules(tokens=tuple(token_row(each, name=each) for each in tokens)), most=10)
    for each in tokens:
        assert known.identify(each, NOW).name == each
    assert len(known._young) + len(known._old) <= 20


def test_a_token_of_a_megabyte_is_refused_before_anything_is_decoded(tmp_path: Path) -> None:
    known = authority(with_secret(tmp_path))
    token = sign(slosh={"read": ["a"]}, filler="x" * 1_000_000)

    def identify() -> None:
        with pytest.raises(BadToken, match="max_token"):
            known.identify(token, NOW)

    assert_quick(identify, 0.005)


def test_a_certificates_name_gives_rights_until_the_earlier_end() -> None:
    row = ClientName("sensor", Rights([], ["s"]), NOW + 10)
    known = authority(AccessRules(PUBLIC, clients=(row,)))
    grant = known.identify_client({"other", "sensor"}, NOW + 5, NOW)
    assert grant is not None
    assert grant.expires == NOW + 5
    assert grant.rights.may_publish("s")
    assert grant.rights.may_read("open")
    assert known.identify_client({"other"}, NOW + 5, NOW) is None
    assert known.identify_client({"sensor"}, NOW + 50, NOW + 10) is None
