"""`slosh token`: make a token for a server's rules, or tell what one allows.

The rules of this file:

* Standard output has the token and nothing else, once. The lines for slosh.toml go to standard error, and hold
  only the token's hash.
* No complaint repeats what was typed: it may be a token.
"""

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from slosh.access.authority import Authority
from slosh.access.jwt import CLAIM, BadToken, check_library
from slosh.access.rights import parse_patterns
from slosh.access.tokens import hash_token, make_token
from slosh.commands.teaching import FILE
from slosh.durations import parse_duration
from slosh.errors import BadTopic, SettingError
from slosh.settings.sources import load

if TYPE_CHECKING:
    from slosh.access.rules import AccessRules

EXIT_BAD: Final = 1
EXIT_USAGE: Final = 2
_LIFE: Final = 30 * 86_400.0
"""Seconds for which a JWT is valid by default; it must expire."""


class TokenCommand(click.Command):
    """The command, with its examples, and without what was typed in its complaints."""

    examples = (
        ("slosh token --name station --publish 'weather/**'", "a static token, and the lines for slosh.toml"),
        ("slosh token --jwt --name ann --read 'users/ann/**' --expires 1h", "a JWT, signed with secret_file"),
        ("slosh token --key private.pem --name ann --read 'users/ann/**'", "a JWT, signed with a private key"),
        ("slosh token --check -", "show what the token on standard input allows"),
    )

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples and the exit codes."""
        del ctx
        with formatter.section("Examples"):
            formatter.write_dl(self.examples)
        with formatter.section("Exit codes"):
            formatter.write_dl([("0", "done"), ("1", "the token does not count"), ("2", "the command line is wrong")])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options; a complaint names none of their values."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise click.UsageError("There is no such option.", ctx=ctx) from error
        except click.UsageError as error:
            if "extra argument" in error.message:
                raise click.UsageError("All is set by options; quote patterns: --read 'a/*'.", ctx=ctx) from None
            raise


@click.command(cls=TokenCommand)
@click.option("--name", metavar="TEXT", default="", help="Name of the holder, for logs; sub of a JWT.")
@click.option("--read", metavar="PATTERN", multiple=True, help="Topics that it may read; give it again for more.")
@click.option(
    "--publish", metavar="PATTERN", multiple=True, help="Topics that it may publish to; give it again for more."
)
@click.option("--expires", metavar="TIME", help="How long it is valid, 1h or 30d, or until when: 2027-01-01T00:00:00Z.")
@click.option("--jwt", "as_jwt", is_flag=True, help="Make a JWT, signed with the secret_file of [access.jwt].")
@click.option("--key", type=FILE, help="Make a JWT, signed with this private key (PEM): RS256, ES256 or EdDSA.")
@click.option("--kid", metavar="TEXT", help="The key's name in the JWKS file, for a JWT.")
@click.option("--check", metavar="TOKEN", help="Tell what a token allows; - reads it from standard input.")
@click.option("--config", type=FILE, help="Settings file with [access].  [default: slosh.toml here]")
def token(  # noqa: PLR0913, PLR0917 - one for each option, which click gives by name
    name: str,
    read: tuple[str, ...],
    publish: tuple[str, ...],
    expires: str | None,
    as_jwt: bool,  # noqa: FBT001 - click's flag
    key: str | None,
    kid: str | None,
    check: str | None,
    config: str | None,
) -> None:
    """Make a token for the rules in [access] of slosh.toml, or tell what one allows.

    Without --jwt and --key it is a static token: a random text, whose hash goes into slosh.toml.
    """
    try:
        if check is not None:
            text = sys.stdin.readline().strip() if check == "-" else check
            tell(text, config)
            return
        rights = {"read": list(parse_patterns(read)), "publish": list(parse_patterns(publish))}
        until = _parse_end(expires)
        if not any(rights.values()):
            click.echo("This token allows nothing: say --read or --publish, as in --publish 'weather/**'.", err=True)
        if as_jwt or key:
            click.echo(make_jwt(name, rights, until, key, kid, config))
        else:
            made = make_token()
            click.echo(make_row(name or "a token", made, rights, until), err=True)
            click.echo(made)
    except (SettingError, BadTopic) as error:
        raise click.UsageError(error.detail) from error


def tell(text: str, config: str | None) -> None:
    """Print what a token allows, and until when.

    Raises:
        SettingError: there are no rules.
    """
    settings = load({}, config=config).settings
    if settings.access is None:
        raise SettingError(
            "There is no section [access] in slosh.toml, so no token is needed. Write one, or leave the token out."
        )
    known = Authority(settings.access, skew=settings.clock_skew, max_token=settings.max_token)
    try:
        grant = known.identify(text, time.time())
    except BadToken as error:
        click.echo(f"The token does not count. {error}", err=True)
        sys.exit(EXIT_BAD)
    end = "no end" if grant.expires == float("inf") else _spell(grant.expires)
    rows = (("name", ascii(grant.name)[1:-1]), ("read", ", ".join(grant.rights.read) or "nothing"))
    for label, value in (*rows, ("publish", ", ".join(grant.rights.publish) or "nothing"), ("until", end)):
        click.echo(f"{label:<8} {value}")


def make_row(name: str, made: str, rights: dict[str, list[str]], until: float | None) -> str:
    """The lines for slosh.toml."""
    lines = ["[[access.tokens]]", f"name = {json.dumps(name)}", f'sha256 = "{hash_token(made).hex()}"']
    lines += [f"{right} = {json.dumps(patterns, ensure_ascii=False)}" for right, patterns in rights.items() if patterns]
    if until is not None:
        lines.append(f"expires = {_spell(until)}")
    return "\n".join(
        ["Write this into slosh.toml, and send the server SIGHUP. The token is shown only now:", "", *lines, ""]
    )


def make_jwt(
    name: str,
    rights: dict[str, list[str]],
    until: float | None,
    key: str | None,
    kid: str | None,
    config: str | None,
) -> str:
    """A JWT for the rules of the settings file.

    Raises:
        SettingError: there is no key to sign it with.
    """
    check_library()
    import jwt  # noqa: PLC0415 - an extra that not everybody has

    rules = load({}, config=config).settings.access
    secret, algorithm = _find_key(key, rules)
    now = time.time()
    claims: dict[str, Any] = {"iat": int(now), "exp": int(now + _LIFE if until is None else until), CLAIM: rights}
    if name:
        claims["sub"] = name
    if rules is not None and rules.jwt is not None:
        named = {"aud": rules.jwt.audience, "iss": rules.jwt.issuer}
        claims |= {claim: value for claim, value in named.items() if value}
    return jwt.encode(claims, secret, algorithm=algorithm, headers={"kid": kid} if kid else None)


def _find_key(key: str | None, rules: "AccessRules | None") -> tuple[Any, str]:
    """What a JWT is signed with, and how."""
    if key is None:
        if rules is None or rules.jwt is None or rules.jwt.secret is None:
            raise SettingError(
                "There is no secret_file in [access.jwt] to sign it with. Name a private key with --key, or leave out "
                "--jwt."
            )
        return rules.jwt.secret.material, "HS256"
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 - as above

    try:
        private = load_pem_private_key(Path(key).read_bytes(), None)
    except (OSError, ValueError, TypeError):
        raise SettingError("--key names no file with a private key in PEM, without a password. Name one.") from None
    if isinstance(private, rsa.RSAPrivateKey):
        return private, "RS256"
    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name == "secp256r1":
        return private, "ES256"
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return private, "EdDSA"
    raise SettingError("--key is of a kind that is not taken here; name an RSA, P-256 or Ed25519 key.")


def _parse_end(text: str | None) -> float | None:
    """Until when, seconds since 1970."""
    if text is None:
        return None
    seconds = parse_duration(text)
    if seconds is not None:
        return time.time() + seconds
    try:
        until = datetime.fromisoformat(text)
    except ValueError:
        until = None
    if until is None or until.tzinfo is None:
        raise SettingError(
            f"--expires={text[:40]!r}: write a time span, 1h or 30d, or a time with its zone: 2027-01-01T00:00:00Z."
        )
    return until.timestamp()


def _spell(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
