"""A token that was made is one that counts, says what was asked for, and shows in no complaint."""

import re
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from slosh.cli import main
from slosh.settings.sources import load
from tests.access.tokens import PRIVATE, SECRET, jwk, write_jwks
from tests.cases import each_of

SECRET_LOOKING = "slosh_do_not_show_me"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SLOSH_CONFIG", raising=False)
    return tmp_path


def run(*words: str, given: str = "") -> Result:
    return CliRunner().invoke(main, ["token", *words], input=given)


def test_a_static_token_and_its_lines_belong_together(folder: Path) -> None:
    made = run("--name", "station", "--publish", "weather/**", "--read", "a", "--expires", "1h")
    assert made.exit_code == 0
    token = made.stdout.strip()
    assert re.fullmatch(r"slosh_[\w-]{43}", token)
    assert token not in made.stderr
    (folder / "slosh.toml").write_text(made.stderr.partition("\n\n")[2])
    assert load({}, environ={}).settings.access is not None
    told = run("--check", "-", given=token + "\n")
    assert told.exit_code == 0
    assert re.search(r"^name +station\nread +a\npublish +weather/\*\*\nuntil +20\d\d-", told.stdout)
    assert token not in told.output


def test_a_jwt_is_signed_with_the_configured_secret(folder: Path) -> None:
    (folder / "secret").write_bytes(SECRET)
    (folder / "slosh.toml").write_text('[access.jwt]\nsecret_file = "secret"\naudience = "slosh"\nissuer = "me"\n')
    token = run("--jwt", "--name", "ann", "--read", "users/ann/**").stdout.strip()
    told = run("--check", token)
    assert told.exit_code == 0, told.output
    assert "users/ann/**" in told.stdout
    assert "until    2" in told.stdout


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_jwt_is_signed_with_a_private_key(folder: Path, algorithm: str) -> None:
    pem = PRIVATE[algorithm].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "private.pem").write_bytes(pem)
    write_jwks(folder / "keys", jwk(algorithm, kid="one"), jwk("ES256", kid="two"))
    (folder / "slosh.toml").write_text('[access.jwt]\njwks_file = "keys"\n')
    token = run("--key", "private.pem", "--kid", "one", "--name", "ann", "--publish", "a").stdout.strip()
    assert run("--check", token).exit_code == 0


def test_a_token_that_does_not_count_is_told_with_exit_code_1(folder: Path) -> None:
    (folder / "slosh.toml").write_text("[access]\n")
    told = run("--check", SECRET_LOOKING)
    assert told.exit_code == 1
    assert "does not count" in told.stderr
    assert SECRET_LOOKING not in told.output


def test_one_that_has_expired_is_told_so(folder: Path) -> None:
    made = run("--name", "a", "--expires", "2020-01-01T00:00:00Z")
    (folder / "slosh.toml").write_text(made.stderr.partition("\n\n")[2])
    assert "expired" in run("--check", made.stdout.strip()).stderr
    assert time.time() > 0


@each_of(
    ("words", "told"),
    [
        (["--check", SECRET_LOOKING, SECRET_LOOKING], "All is set by options"),
        ([f"--{SECRET_LOOKING}"], "no such option"),
        (["--check", SECRET_LOOKING], "no section"),
        (["--jwt"], "no secret_file"),
        (["--key", "absent.pem"], "no file with a private key"),
        (["--read", "**/a"], "whole segment"),
        (["--expires", "tomorrow"], "--expires='tomorrow'"),
    ],
)
def test_a_mistake_is_a_sentence_without_the_token(words: list[str], told: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert told in " ".join(result.output.split())
    assert SECRET_LOOKING not in result.output


def test_a_token_that_allows_nothing_is_told() -> None:
    for words in ((), ("--name", "ann")):
        made = run(*words)
        assert (made.exit_code, "allows nothing: say --read or --publish" in made.stderr) == (0, True)
    assert "allows nothing" not in run("--read", "a").stderr
