"""Parses the section `[access]` of slosh.toml. Each mistake in it is reported in a sentence that says what to write."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, Final

from slosh.access.jwt import ALGORITHMS, JwtRules, check_library
from slosh.access.keys import read_jwks, read_secret
from slosh.access.rights import NOTHING, Rights, parse_patterns
from slosh.access.tokens import SHORTEST, StaticToken, hash_token, is_token
from slosh.errors import BadTopic, SettingError

_DIGEST: Final = re.compile(r"[0-9a-fA-F]{64}")
_NAME: Final = re.compile(r"[!-~](?:[ -~]{0,62}[!-~])?")
_LONGEST_SHOWN: Final = 40
"""Characters of a value that an error repeats at most."""
_MOST_FILE: Final = 64 * 1024
"""Bytes that are read of a file that contains a token."""

_SECTION: Final = ("public", "tokens", "clients", "jwt")
_RIGHTS: Final = ("read", "publish")
_TOKEN: Final = ("name", "sha256", "file", *_RIGHTS, "expires")
_CLIENT: Final = ("name", *_RIGHTS, "expires")
_JWT: Final = ("algorithms", "secret_file", "jwks_file", "audience", "issuer")


@dataclass(frozen=True, slots=True)
class ClientName:
    """A row of `[[access.clients]]`: a client that shows a certificate over TLS.

    Attributes:
        name: the certificate's common name, or one of its alternative names.
        rights: the rights of the client.
        expires: when they expire, seconds since 1970; `inf` for when the certificate does.
    """

    name: str
    rights: Rights
    expires: float


@dataclass(frozen=True, slots=True)
class AccessRules:
    """All of `[access]`.

    Attributes:
        public: the rights of every client, with or without a token.
        tokens: the rows of `[[access.tokens]]`.
        clients: the rows of `[[access.clients]]`.
        jwt: how JWTs are checked; None if none is accepted.
    """

    public: Rights = NOTHING
    tokens: tuple[StaticToken, ...] = ()
    clients: tuple[ClientName, ...] = ()
    jwt: JwtRules | None = None


def parse_access(table: object, folder: Path) -> AccessRules:
    """The rules in the section, checked. The files that it names are read.

    Args:
        table: the section, as the TOML parser returns it.
        folder: relative paths in it begin here.

    Raises:
        SettingError: something in it is wrong, or a file cannot be read. The error contains no token and no hash.
    """
    where = "[access]"
    section = _check_table(table, where, _SECTION)
    public = _check_table(section.get("public", {}), "public in [access]", _RIGHTS)
    tokens = tuple(_parse_token(row, folder, at) for row, at in _rows(section, "tokens"))
    clients = tuple(_parse_client(row, at) for row, at in _rows(section, "clients"))
    for kind, names in (("tokens", [each.name for each in tokens]), ("clients", [each.name for each in clients])):
        if len(set(names)) != len(names):
            raise SettingError(f"[[access.{kind}]] has two of the same name. Give each a name of its own.")
    if len({each.digest for each in tokens}) != len(tokens):
        raise SettingError("[[access.tokens]] has the same token twice. Join the two rows.")
    jwt = _parse_jwt(section["jwt"], folder) if "jwt" in section else None
    return AccessRules(_parse_rights(public, "public in [access]"), tokens, clients, jwt)


def find_access_mistakes(table: object, folder: Path) -> list[str]:
    """The mistakes in the section, each as a sentence; none if `parse_access` accepts it.

    Only the first mistake in the values of `[access.jwt]` is listed. Mistakes that only all parts together show, such
    as two tokens of the same name, are listed once there are no others.

    Args:
        table, folder: as of `parse_access`.
    """
    mistakes: list[str] = []
    for check in _checks(table, folder):
        try:
            check()
        except SettingError as error:
            mistakes.append(error.detail)
    if not mistakes:
        try:
            parse_access(table, folder)
        except SettingError as error:
            mistakes.append(error.detail)
    return mistakes


def _checks(table: object, folder: Path) -> Iterator[Callable[[], object]]:
    """Functions that each check one part of the section. They raise `SettingError`."""
    yield from _checks_of_names(table, "[access]", _SECTION)
    if not isinstance(table, Mapping):
        return
    if "public" in table:
        where = "public in [access]"
        yield from _checks_of_names(table["public"], where, _RIGHTS)
        yield from _checks_of_rights(table["public"], where)
    for kind, known in (("tokens", _TOKEN), ("clients", _CLIENT)):
        try:
            rows = list(_rows(table, kind))
        except SettingError:
            yield partial(list, _rows(table, kind))
            continue
        for row, where in rows:
            yield from _checks_of_names(row, where, known)
            if isinstance(row, Mapping):
                yield partial(_parse_name, row, where)
                if kind == "tokens":
                    yield partial(_parse_digest, row, folder, where)
                yield from _checks_of_rights(row, where)
                yield partial(_parse_expires, row, where)
    if "jwt" in table:
        yield from _checks_of_names(table["jwt"], "[access.jwt]", _JWT)
        if isinstance(table["jwt"], Mapping):
            yield partial(_parse_jwt, {name: value for name, value in table["jwt"].items() if name in _JWT}, folder)


def _checks_of_names(table: object, where: str, known: Sequence[str]) -> Iterator[Callable[[], object]]:
    parts = [{name: value} for name, value in table.items()] if isinstance(table, Mapping) else [table]
    for part in parts:
        yield partial(_check_table, part, where, known)


def _checks_of_rights(table: object, where: str) -> Iterator[Callable[[], object]]:
    if isinstance(table, Mapping):
        for right in _RIGHTS:
            if right in table:
                yield partial(_parse_rights, {right: table[right]}, where)


def _rows(section: Mapping[str, Any], kind: str) -> Iterator[tuple[object, str]]:
    rows = section.get(kind, [])
    if not isinstance(rows, Sequence) or isinstance(rows, str | bytes):
        raise SettingError(f"{kind} in [access] is a list of tables. Write [[access.{kind}]] above each.")
    for number, row in enumerate(rows, 1):
        name = row.get("name") if isinstance(row, Mapping) else None
        told_name = f" ({name})" if isinstance(name, str) and _NAME.fullmatch(name) else ""
        yield row, f"[[access.{kind}]] number {number}{told_name}"


def _check_table(table: object, where: str, known: Sequence[str]) -> Mapping[str, Any]:
    if not isinstance(table, Mapping):
        raise SettingError(f"{where} is a table, with {', '.join(known)} in it.")
    for name in table:
        if name not in known:
            near = get_close_matches(str(name), known, n=1)
            raise SettingError(
                f"{where}: {str(name)[:_LONGEST_SHOWN]!r} is unknown; it has {', '.join(known)}."
                + (f" Did you mean {near[0]}?" if near else "")
            )
    return table


def _parse_rights(table: Mapping[str, Any], where: str) -> Rights:
    lists = []
    for right in _RIGHTS:
        try:
            lists.append(parse_patterns(table.get(right, ())))
        except BadTopic as error:
            raise SettingError(f"{right} of {where}{_shown(table[right])}: {error.detail}") from None
    return Rights(*lists)


def _parse_name(table: Mapping[str, Any], where: str) -> str:
    name = table.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SettingError(f"{where}: name is a text of 1 to 64 printable ASCII characters. Logs show it.")
    return name


def _shown(value: object) -> str:
    shown = str(value) if isinstance(value, date) else repr(value)
    return f"={shown}" if len(shown) <= _LONGEST_SHOWN else f"={shown[:_LONGEST_SHOWN]}..."


def _parse_expires(table: Mapping[str, Any], where: str) -> float:
    value = table.get("expires")
    if value is None:
        return math.inf
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise SettingError(
            f"{where}: expires{_shown(table['expires'])}: write a time with its zone, such as 2027-01-01T00:00:00Z."
        )
    return value.timestamp()


def _parse_token(row: object, folder: Path, where: str) -> StaticToken:
    table = _check_table(row, where, _TOKEN)
    name, digest = _parse_name(table, where), _parse_digest(table, folder, where)
    return StaticToken(name, digest, _parse_rights(table, where), _parse_expires(table, where))


def _parse_digest(table: Mapping[str, Any], folder: Path, where: str) -> bytes:
    if ("sha256" in table) == ("file" in table):
        raise SettingError(f"{where}: write sha256, the hash of the token, or file, where the token stands.")
    if "file" in table:
        return hash_token(_read_token(table["file"], folder, where))
    text = table["sha256"]
    if not isinstance(text, str) or not _DIGEST.fullmatch(text):
        raise SettingError(f"{where}: sha256 is 64 hexadecimal digits. `slosh token` writes the line.")
    return bytes.fromhex(text)


def _read_token(path: object, folder: Path, where: str) -> str:
    if not isinstance(path, str) or not path:
        raise SettingError(f"{where}: file is the path of a file with the token in it.")
    try:
        with (folder / path).open("rb") as file:
            token = file.read(_MOST_FILE).strip().decode("ascii")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SettingError(f"{where}: {folder / path} cannot be read: {reason}. Name a file that can.") from None
    except UnicodeDecodeError:
        token = ""
    if not is_token(token) or len(token) < SHORTEST:
        raise SettingError(
            f"{where}: {folder / path} holds no token: {SHORTEST} or more of the characters A-Z a-z 0-9 . _ ~ + / - "
            f"(RFC 6750 §2.1). `slosh token` makes one."
        )
    return token


def _parse_client(row: object, where: str) -> ClientName:
    table = _check_table(row, where, _CLIENT)
    return ClientName(_parse_name(table, where), _parse_rights(table, where), _parse_expires(table, where))


def _parse_jwt(value: object, folder: Path) -> JwtRules:
    where = "[access.jwt]"
    table = _check_table(value, where, _JWT)
    texts = {name: table.get(name, "") for name in ("secret_file", "jwks_file", "audience", "issuer")}
    for name, text in texts.items():
        if not isinstance(text, str):
            raise SettingError(f"{where}: {name} is a text; write it in quotation marks.")
    default = ["HS256"] if texts["secret_file"] and not texts["jwks_file"] else list(ALGORITHMS[1:])
    algorithms = table.get("algorithms", default)
    if not isinstance(algorithms, list) or not algorithms or not set(algorithms) <= set(ALGORITHMS):
        raise SettingError(f"{where}: algorithms{_shown(algorithms)}: write a list of some of {', '.join(ALGORITHMS)}.")
    if ("HS256" in algorithms) != bool(texts["secret_file"]):
        raise SettingError(f"{where}: HS256 and secret_file belong together: write both, or neither.")
    if (set(algorithms) != {"HS256"}) != bool(texts["jwks_file"]):
        raise SettingError(f"{where}: RS256, ES256 and EdDSA need jwks_file, with the public keys; HS256 does not.")
    check_library()
    secret = read_secret(folder / texts["secret_file"]) if texts["secret_file"] else None
    jwks_file = folder / texts["jwks_file"] if texts["jwks_file"] else None
    if jwks_file is not None:
        read_jwks(jwks_file)  # so that a mistake in it is reported with the others
    return JwtRules(
        algorithms=tuple(algorithms),
        secret=secret,
        jwks_file=jwks_file,
        audience=texts["audience"],
        issuer=texts["issuer"],
    )
