"""How a row of the table of settings is written: a field of `Settings` with its default, and the rest as metadata.

Each function gives the field under the type of its value, as `dataclasses.field` does.
"""

from dataclasses import field
from typing import Any

from slosh.settings.row import DAY, SWITCH, Group, Kind


def text(  # noqa: PLR0913 - a row of the table, each by its name
    default: str,
    group: Group,
    about: str,
    *,
    kind: Kind = Kind.TEXT,
    choices: tuple[str, ...] = (),
    empty: str = "",
    secret: bool = False,
    reloads: bool = False,
    of_class: bool = False,
) -> str:
    """A text of a row; `empty` says what an empty one means."""
    row: dict[str, Any] = {"kind": kind, "unit": "", "about": about, "group": group, "choices": choices}
    row |= {"zero": empty, "is_secret": secret, "reloads": reloads, "of_class": of_class}
    value: str = field(default=default, metadata=row, repr=not secret)
    return value


def number(  # noqa: PLR0913 - a row of the table, each by its name
    default: int,
    group: Group,
    about: str,
    *,
    unit: str,
    lowest: int,
    highest: int,
    zero: str = "",
    reloads: bool = False,
    of_class: bool = False,
) -> int:
    """A whole number of a row, or a size if `unit` is bytes."""
    kind = Kind.BYTES if unit == "bytes" else Kind.NUMBER
    row = {"kind": kind, "unit": unit, "about": about, "group": group, "reloads": reloads}
    row |= {"lowest": lowest, "highest": highest, "zero": zero, "of_class": of_class}
    value: int = field(default=default, metadata=row)
    return value


def seconds(
    default: float,
    group: Group,
    about: str,
    *,
    lowest: float = 0.0,
    zero: str = "",
    reloads: bool = False,
    of_class: bool = False,
) -> float:
    """A time of a row."""
    row = {"kind": Kind.SECONDS, "unit": "seconds", "about": about, "group": group, "reloads": reloads}
    row |= {"lowest": lowest, "highest": DAY, "zero": zero, "of_class": of_class}
    value: float = field(default=default, metadata=row)
    return value


def switch(default: str, group: Group, about: str, *, reloads: bool = False) -> str:
    """A row that is on or off."""
    return text(default, group, about, kind=Kind.CHOICE, choices=SWITCH, reloads=reloads)
