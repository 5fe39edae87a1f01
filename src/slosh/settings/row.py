"""What one setting is: a row of the table in `table.py`, the check of one value, and how a value is shown."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
DAY: Final = 86_400.0
"""Seconds in a day, the longest time that any setting takes: above it the unit was mistaken."""


SWITCH: Final = ("on", "off")
"""The choices of a setting that is on or off."""


class Kind(Enum):
    """What a setting's value is, and so how text for it is read and shown."""

    TEXT = "text"
    PATH = "path"
    CHOICE = "choice"
    NUMBER = "number"
    SECONDS = "seconds"
    BYTES = "bytes"


class Group(Enum):
    """The headings of --help and of docs/settings.md, in their order."""

    LISTEN = "Where to listen, what to serve"
    ACCESS = "Access"
    TOPICS = "Topics and their messages"
    MESSAGES = "What a publisher may send"
    WAITING = "How long a reader is held"
    HTTP = "Requests and connections"
    CAPACITY = "How much of everything"
    NODES = "More than one node"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One row of the table.

    Attributes:
        name: as in slosh.toml and in a .tac; `--name` and `SLOSH_NAME` are made from it.
        kind: how text for it is read.
        unit: what a number counts, in words ("messages"); empty for texts.
        default: the value if nobody says anything.
        about: what it does and, for a bound, what a client sees when it is reached.
        group: the heading it stands under.
        lowest, highest: the bounds of a number, both allowed.
        zero: what 0, or an empty text, means if that is not plain ("no bound").
        choices: the words of a CHOICE.
        is_secret: whether a value may hold a password, so that no message repeats it.
        reloads: whether a running server takes a new value on SIGHUP; the others need a restart.
        of_class: whether a class of topics may have a value of its own.
    """

    name: str
    kind: Kind
    unit: str
    default: str | int | float
    about: str
    group: Group
    lowest: float = 0
    highest: float = 0
    zero: str = ""
    choices: tuple[str, ...] = ()
    is_secret: bool = False
    reloads: bool = False
    of_class: bool = False

    @property
    def is_switch(self) -> bool:
        """Whether it is on or off, so that its name alone, and true in slosh.toml, mean on."""
        return self.choices == SWITCH

    @property
    def option(self) -> str:
        """The name on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """The name in the environment."""
        return "SLOSH_" + self.name.upper()


_TYPES: Final[Mapping[Kind, tuple[type, ...]]] = {
    Kind.TEXT: (str,),
    Kind.PATH: (str,),
    Kind.CHOICE: (str,),
    Kind.NUMBER: (int,),
    Kind.BYTES: (int,),
    Kind.SECONDS: (float, int),
}

# sun_path is 108 bytes on Linux with its closing NUL (unix(7)), 104 on BSD and macOS.
_LONGEST_UDS: Final = 103


def wrong_value(row: Setting, value: object) -> str:
    """Say what is wrong with a value by itself and what would be right, as half a sentence; empty when it is sound."""
    # bool is an int to Python, but true is no port.
    if isinstance(value, bool) or not isinstance(value, _TYPES[row.kind]):
        is_list = row.kind is Kind.TEXT and isinstance(value, list | tuple)
        return f"is not {_several(row) if is_list else _expected(row)}."
    if isinstance(value, str):
        return _wrong_text(row, value)
    assert isinstance(value, int | float)  # noqa: S101 - for the type checker; _TYPES said so
    if not row.lowest <= value <= row.highest:  # NaN is refused here too
        return f"is out of bounds; {row.name} goes from {show(row, row.lowest)} to {show(row, row.highest)}."
    return ""


_NEVER_EMPTY: Final[Mapping[str, str]] = {
    "host": "an address, for instance 127.0.0.1, or 0.0.0.0 for all",
    "trusted_proxies": "the addresses of proxies, for instance 10.0.0.0/8, or none",
    "engine": "memory, or the address of a store, redis://host:6379/0",
}


def _wrong_text(row: Setting, value: str) -> str:
    if row.kind is Kind.CHOICE and value not in row.choices:
        return f"is unknown; write {' or '.join(row.choices)}."
    if "\0" in value or not value.isprintable():
        return "holds a character that cannot be printed."
    if not value and row.name in _NEVER_EMPTY:
        return f"is empty; write {_NEVER_EMPTY[row.name]}."
    if row.name == "engine_prefix" and not re.fullmatch(r"[A-Za-z0-9._:-]{1,64}", value):
        return "is no prefix; write 1 to 64 letters, digits and any of . _ : -, such as slosh:blue."
    if row.name in ("uds", "takeover") and len(value.encode()) > _LONGEST_UDS:
        return f"is too long for a socket's path, which has at most {_LONGEST_UDS} bytes; choose a shorter one."
    return ""


def _several(row: Setting) -> str:
    """What to write in place of a list."""
    return "a text but a list; write one text: " + ('"a,b"' if row.name == "host" else '"a b"')


def _expected(row: Setting) -> str:
    """What a value of this kind looks like, with an example."""
    return {
        Kind.TEXT: "a text; write it in quotes",
        Kind.PATH: "a path; write it in quotes",
        Kind.CHOICE: "one of " + ", ".join(row.choices),
        Kind.NUMBER: "a whole number",
        Kind.SECONDS: 'a time; write seconds, or a number with ms, s, m, h or d as in "500ms", "30s", "2m"',
        Kind.BYTES: "a size; write whole bytes, or a number with k, m, g, KiB, MiB, GiB, kB, MB or GB "
        'as in "64k", "8MiB"',
    }[row.kind]


_LOGIN: Final = re.compile(r"(?<=:)/+\S*@")


def hide_login(text: str) -> str:
    """A text without the user names and passwords of addresses in it, for what people gave in the wrong place."""
    return _LOGIN.sub("//…@", text)


def write_refusal(row: Setting, value: object, called: str, wrong: str) -> str:
    """The sentence that refuses a value, such as `port='x' in slosh.toml: is not a whole number`.

    Args:
        called: the setting's name in its source: "--port", "SLOSH_PORT", "port in slosh.toml".
        wrong: as `wrong_value` gives it.
    """
    name, mark, place = called.partition(" in ")
    return f"{name}{refused_value(row, value)}{mark}{place}: {wrong}"


def refused_value(row: Setting, value: object) -> str:
    """What a refusal shows of a value behind the setting's name: `=8001`, cut if nobody reads on.

    Nothing of a setting that may hold a password.
    """
    if row.is_secret and value != "":
        return "=…"
    shown = repr(value)
    if "//" in shown and "@" in shown:  # an address that was meant for another setting, with whatever in its password
        shown = f"{shown.partition('//')[0]}//…@{shown.rpartition('@')[2]}"
    return f"={shown}" if len(shown) <= 80 else f"={shown[:77]}..."


def show(row: Setting, value: float | str) -> str:
    """Write a value the way a person would, so that it can be read back: 30s, 8MiB, 100000."""
    if isinstance(value, str):
        return value
    if row.kind is Kind.SECONDS:
        if value and value % DAY == 0:
            return f"{value / DAY:.15g}d"
        return f"{value * 1000:.15g}ms" if 0 < value < 1 else f"{value:.15g}s"
    if row.kind is Kind.BYTES:
        for unit, size in (("GiB", KIB * MIB), ("MiB", MIB), ("KiB", KIB)):
            if value >= size and value % size == 0:
                return f"{int(value) // size}{unit}"
    return str(int(value))


def describe_default(row: Setting) -> str:
    """The default and the meaning of 0 in a few words, for help and docs: "default 10s; 0: closes at once"."""
    if row.default in ("", -1):
        return f"default {row.zero or 'none'}"
    if row.default == 0 and row.zero:
        return f"default 0: {row.zero}"
    default = f"default {show(row, row.default)}"
    return f"{default}; 0: {row.zero}" if row.zero else default
