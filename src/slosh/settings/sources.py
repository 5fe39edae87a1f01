"""Reads `Settings` from the command line, the environment, slosh.toml or a .tac.

The rules of this file:

* Command line (or .tac keyword) over environment over slosh.toml over default.
* Every refusal names the setting, its value, the source it came from, and what to write instead.
* An unknown name is an error where only slosh's own settings can stand (command line, slosh.toml, .tac): a limit with
  a typing error in it would be no limit. In the environment it is a warning, because others write there too:
  Kubernetes sets SLOSH_SERVICE_HOST and more for a Service that is called slosh.
* Paths in slosh.toml are taken from the folder of that file, other paths from the working directory.
"""

import codecs
import contextlib
import os
import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Final

from slosh.access.rules import AccessRules, find_access_mistakes, parse_access
from slosh.durations import parse_duration
from slosh.errors import SettingError
from slosh.settings.classes import TOPICS, called, check_place, read_table, read_tables
from slosh.settings.meanings import EXAMPLE, NO_FILES, no_such_root
from slosh.settings.relations import contradictions
from slosh.settings.row import KIB, MIB, SWITCH, Kind, Setting, write_refusal, wrong_value
from slosh.settings.table import BY_NAME, TABLE, Settings

FILE_NAME: Final = "slosh.toml"
"""Read from the working directory if no other file is named."""

ACCESS: Final = "access"
"""The section of slosh.toml, and the keyword of a .tac, that is no row of the table."""

CONFIG_VARIABLE: Final = "SLOSH_CONFIG"
"""The environment's word for --config."""
CLIENT_VARIABLES: Final[Mapping[str, str]] = {
    "SLOSH_URL": "the server's address, where --url is not given; unix:PATH for a Unix socket",
    "SLOSH_TOKEN": "a token, sent as Authorization: Bearer; it is never shown",
    "SLOSH_TOKEN_FILE": "a file that holds the token, where SLOSH_TOKEN is not set",
}
"""What the client and the commands that use it read, each with its help. They may stand in a shell's profile, and are
no mistake here."""

# A bare letter is 1024 as in nginx and Apache; the longer words are what the standards say (IEC 80000-13, SI).
_SIZES: Final[Mapping[str, Fraction]] = {
    "": Fraction(1),
    "b": Fraction(1),
    "k": Fraction(KIB),
    "m": Fraction(MIB),
    "g": Fraction(KIB * MIB),
    "kib": Fraction(KIB),
    "mib": Fraction(MIB),
    "gib": Fraction(KIB * MIB),
    "kb": Fraction(1000),
    "mb": Fraction(1000**2),
    "gb": Fraction(1000**3),
}
# Bounded, so that no text makes a number that takes long to build (CVE-2020-10735).
_AMOUNT: Final = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,20})?) ?([A-Za-z]{0,3})", re.ASCII)
_WHOLE: Final = re.compile(r"-?[0-9]{1,20}(?:_[0-9]{1,20}){0,6}", re.ASCII)

_LINE: Final = re.compile(r"line ([0-9]{1,9})", re.ASCII)
"""Where a `TOMLDecodeError` says that it is."""
_UNQUOTED: Final = re.compile(r"\s*(\w{1,40})\s*=\s*([\w./:*-]{1,80})\s*(?:#.*)?", re.ASCII)
"""A setting with a value that has no quotes. An address with a password is none of these: it has an @."""


@dataclass(frozen=True, slots=True)
class GivenValue:
    """One value, as a source gave it.

    Attributes:
        row: the setting.
        value: text, or what TOML or a .tac had in its place.
        called: the setting's name in that source ("--port", "SLOSH_PORT", "port in slosh.toml").
    """

    row: Setting
    value: object = field(repr=False)  # it may hold a password
    called: str


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """The result of reading all sources.

    Attributes:
        settings: the settings to run with.
        warnings: sentences about names that were ignored.
        sources: for every setting that is not at its default, its name in the source that set it.
        tables: the names of the tables of topics and access that were read.
    """

    settings: Settings
    warnings: tuple[str, ...]
    sources: Mapping[str, str]
    tables: tuple[str, ...] = ()


def load(
    said: Mapping[str, object],
    *,
    environ: Mapping[str, str] | None = None,
    config: str | None = None,
    keywords: bool = False,
) -> LoadedSettings:
    """Gather the settings of all sources.

    Args:
        said: values from the command line or the .tac, by the settings' plain names; None means not given.
        environ: the environment; that of this process if left out.
        config: path of the TOML file; if None, SLOSH_CONFIG or a slosh.toml in the working directory.
        keywords: `said` are keywords of a .tac rather than options of the command line.

    Raises:
        SettingError: a name, a value or a relation that cannot stand, or a file that cannot be read.
    """
    environ = os.environ if environ is None else environ
    chosen: dict[str, GivenValue] = {}
    warnings: list[str] = []
    values: dict[str, object] = {row.name: row.default for row in TABLE}
    table = _load_file(config or environ.get(CONFIG_VARIABLE))
    tables = [f"[{ACCESS}] in {table.path}"] * (ACCESS in table.values)
    if TOPICS in table.values:
        values[TOPICS] = classes = read_tables(table.values.pop(TOPICS), BY_NAME, _read_one, f" in {table.path}")
        tables = [*(f"{called(pattern)} in {table.path}" for pattern in classes), *tables]
    values[ACCESS] = _find_access(table, said)
    for given in _from_file(table):
        chosen[given.row.name] = given
    for given in _from_environment(environ, warnings):
        chosen[given.row.name] = given
    words = dict(said)
    if keywords and TOPICS in words:
        values[TOPICS] = read_tables(words.pop(TOPICS), BY_NAME, _read_one)
    for given in _from_words(words, keywords=keywords):
        chosen[given.row.name] = given
    values |= {name: read(given) for name, given in chosen.items()}
    sources = {name: given.called for name, given in chosen.items()}
    for wrong in contradictions(values, sources, BY_NAME):
        raise SettingError(wrong)
    settings = Settings(**values)  # type: ignore[arg-type]  # read() gave each its type
    # The server checks this too; here it can still be told by the name of the source.
    if settings.root not in ("", EXAMPLE, NO_FILES) and not Path(settings.root).is_dir():
        raise no_such_root(settings.root, sources["root"])
    return LoadedSettings(settings, tuple(warnings), sources, tuple(tables))


def find_mistakes(said: Mapping[str, object], *, config: str | None = None) -> list[str]:
    """Every mistake in the settings of all sources, each as a sentence; none if `load` takes them.

    Args:
        said, config: as of `load`.
    """
    environ = os.environ
    mistakes: list[str] = []
    file = _File(Path(FILE_NAME), {})
    with _noting(mistakes):
        file = _load_file(config or environ.get(CONFIG_VARIABLE))
    tables, rules = file.values.pop(TOPICS, {}), file.values.pop(ACCESS, None)
    for check in _checks_of_tables(tables, f" in {file.path}"):
        with _noting(mistakes):
            check()
    if rules is not None:
        mistakes += find_access_mistakes(rules, file.path.parent)
    sound: dict[str, object] = {row.name: row.default for row in TABLE}
    names: dict[str, str] = {}
    given = [
        *(_from_file(_File(file.path, {name: value})) for name, value in file.values.items()),
        *(_from_environment({variable: text}, []) for variable, text in environ.items()),
        *(_from_words({name: word}, keywords=False) for name, word in said.items()),
    ]
    for one in given:
        with _noting(mistakes):
            for each in one:
                sound[each.row.name] = read(each)
                names[each.row.name] = each.called
    mistakes += contradictions(sound, names, BY_NAME)
    if not mistakes:  # what only all of them together show
        with _noting(mistakes):
            load(said, config=config)
    return mistakes


@contextlib.contextmanager
def _noting(mistakes: list[str]) -> Iterator[None]:
    """Note a mistake, and go on after the block."""
    try:
        yield
    except SettingError as error:
        mistakes.append(error.detail)


def _checks_of_tables(tables: object, where: str) -> Iterator[Callable[[], object]]:
    """What to call for each class, its place, and each of its settings, so that one mistake hides no other."""
    if not isinstance(tables, Mapping):
        yield partial(read_tables, tables, BY_NAME, _read_one, where)
        return
    before: list[str] = []
    for pattern, table in tables.items():
        yield partial(check_place, pattern, tuple(before), where)
        before.append(pattern)
        parts = [{name: value} for name, value in table.items()] if isinstance(table, Mapping) else [table]
        for part in parts:
            yield partial(read_table, pattern, part, BY_NAME, _read_one, where)


def from_keywords(said: Mapping[str, object], base: Settings) -> Settings:
    """Make settings from keywords, text with units included; all others are as in `base`.

    Raises:
        SettingError: a name, a value or a relation that cannot stand.
    """
    words = dict(said)
    values: dict[str, object] = {}
    if TOPICS in words:
        values[TOPICS] = read_tables(words.pop(TOPICS), BY_NAME, _read_one)
    if ACCESS in words:
        values[ACCESS] = _read_access(words.pop(ACCESS))
    values |= {given.row.name: read(given) for given in _from_words(words, keywords=True)}
    return replace(base, **values)  # type: ignore[arg-type]  # read() gave each its type


def read(given: GivenValue) -> str | int | float:
    """Make a value of the setting's type from what was given, text with units included.

    Raises:
        SettingError: it cannot be read, or is out of bounds.
    """
    row, value = given.row, given.value
    if row.is_switch and isinstance(value, bool):  # as TOML and Python write it
        value = SWITCH[0] if value else SWITCH[1]
    amount = _amount(row, value) if isinstance(value, str) else value
    if wrong := wrong_value(row, amount):
        raise SettingError(f"{write_refusal(row, value, given.called, wrong)}{_hint(given)}")
    if row.kind is Kind.SECONDS:
        return float(amount)  # type: ignore[arg-type]  # wrong_value() saw to its type
    return amount  # type: ignore[return-value]  # the same


def _read_one(row: Setting, value: object, called: str) -> str | int | float:
    return read(GivenValue(row, value, called))


def _amount(row: Setting, text: str) -> str | int | float:
    """The number that a text with a unit stands for; the text itself if it is none."""
    if row.kind is Kind.NUMBER:
        return int(text) if _WHOLE.fullmatch(text.strip()) else text
    if row.kind not in (Kind.SECONDS, Kind.BYTES):
        return text
    if row.kind is Kind.SECONDS:
        seconds = parse_duration(text.strip())
        return text if seconds is None else seconds
    found = _AMOUNT.fullmatch(text.strip())
    if found is None or found[2].lower() not in _SIZES:
        return text
    amount = Fraction(found[1]) * _SIZES[found[2].lower()]
    return int(amount) if amount.denominator == 1 else text


def _hint(given: GivenValue) -> str:
    """A hint about a likely cause of such a value; often empty."""
    if given.called == "SLOSH_PORT" and str(given.value).startswith("tcp://"):
        return (
            " Kubernetes sets this for a Service that is called slosh: "
            "write enableServiceLinks: false in the pod, or give the Service another name."
        )
    return ""


def _from_words(said: Mapping[str, object], *, keywords: bool) -> Iterator[GivenValue]:
    for name, value in said.items():
        if name == ACCESS:
            continue
        row = BY_NAME.get(name)
        if row is None:
            raise SettingError(f"{name}: is no setting of slosh.{_did_you_mean(name)}")
        if value is not None:
            yield GivenValue(row, value, name if keywords else row.option)


def _from_environment(environ: Mapping[str, str], warnings: list[str]) -> Iterator[GivenValue]:
    rows = {row.variable: row for row in TABLE}
    for variable, value in sorted(environ.items()):
        if variable in rows:
            yield GivenValue(rows[variable], value, variable)
        elif variable.startswith("SLOSH_") and variable not in (CONFIG_VARIABLE, *CLIENT_VARIABLES):
            warnings.append(f"{variable} in the environment is no setting of slosh.{_near_variable(variable)}")


@dataclass(frozen=True, slots=True)
class _File:
    """The path and the contents of a settings file."""

    path: Path
    values: dict[str, object]


def _load_file(config: str | None) -> _File:
    path = Path(config or FILE_NAME)
    if not config and not path.exists():
        return _File(path, {})
    text = ""
    try:
        text = _decode(path.read_bytes())
        return _File(path, tomllib.loads(text))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SettingError(f"the settings file {path} cannot be read: {reason}.") from error
    except UnicodeDecodeError as error:  # its own words repeat a byte of the file
        raise SettingError(
            f"the settings file {path} is not UTF-8, at byte {error.start}. Save it as UTF-8, which TOML asks for."
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"the settings file {path} is not TOML: {error}.{_missing_quotes(text, error)}") from None


def _missing_quotes(text: str, error: tomllib.TOMLDecodeError) -> str:
    """The line of a settings file whose value lacks its quotes, as it has to be; empty if that is not the mistake."""
    place = _LINE.search(str(error))
    lines = text.split("\n")  # as TOML counts them
    found = _UNQUOTED.fullmatch(lines[int(place[1]) - 1]) if place and int(place[1]) <= len(lines) else None
    row = BY_NAME.get(found[1]) if found else None
    if found is None or row is None or row.is_secret or row.kind is Kind.NUMBER or _is_toml(found[0]):
        return ""
    return f' Texts, times and sizes stand in quotes: {found[1]} = "{found[2]}".'


def _is_toml(line: str) -> bool:
    """Whether a line is sound by itself, so that another one is the mistake: a setting that comes twice."""
    try:
        tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _from_file(file: _File) -> Iterator[GivenValue]:
    path = file.path
    for name, value in file.values.items():
        row = BY_NAME.get(name)
        if row is None and isinstance(value, Mapping):
            raise SettingError(f"[{name}] in {path}: is no table of slosh.{_which_table(name)}")
        if row is None:
            raise SettingError(f"{name} in {path}: is no setting of slosh.{_did_you_mean(name)}")
        if row.kind is Kind.PATH and isinstance(value, str) and value not in ("", EXAMPLE, NO_FILES):
            value = str(path.parent / value)  # noqa: PLW2901 - the same value, told from where we are
        yield GivenValue(row, value, f"{name} in {path}")


def _read_access(value: object) -> AccessRules | None:
    """The rules that a program gives: a table as slosh.toml has it, or what was made of one."""
    return value if value is None or isinstance(value, AccessRules) else parse_access(value, Path())


def _find_access(file: _File, said: Mapping[str, object]) -> AccessRules | None:
    """The rules of `[access]`, None if there is no such section. A .tac's keyword wins, as elsewhere."""
    table = file.values.pop(ACCESS, None)
    if said.get(ACCESS) is not None:
        return _read_access(said[ACCESS])
    return parse_access(table, file.path.parent) if table is not None else None


def _decode(data: bytes) -> str:
    """The text of a settings file. Editors on Windows put a byte order mark before it."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UnicodeDecodeError("utf-8", data, 0, 2, "UTF-16")
    return data.decode("utf-8-sig")


def _near_variable(variable: str) -> str:
    known = {each.removeprefix("SLOSH_").lower(): each for each in CLIENT_VARIABLES}
    known |= {row.name: row.variable for row in TABLE}
    near = _near(variable.removeprefix("SLOSH_").lower(), known)
    return f" Did you mean {known[near]}?" if near else " It is left aside."


def _did_you_mean(name: str) -> str:
    near = _near(name.replace("-", "_").lower(), BY_NAME)
    return f" Did you mean {near}?" if near else " `slosh serve --help` lists them all."


def _which_table(name: str) -> str:
    near = _near(name.lower(), (ACCESS, TOPICS))
    return f" Did you mean [{near}]?" if near else f' There are [{ACCESS}] and [{TOPICS}."gen/**"].'


def _near(name: str, known: Collection[str]) -> str | None:
    swapped = [each for each in known if sorted(each) == sorted(name)]  # prot is port, and not root
    near = swapped or get_close_matches(name, known, n=1, cutoff=0.7)
    return near[0] if near else None
