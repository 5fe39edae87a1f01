"""How a time span is written: one grammar for queries, `Prefer`, the command line, the environment and slosh.toml."""

import re
from fractions import Fraction
from typing import Final

_UNITS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
"""Milliseconds in each unit."""
# Bounded, so that no text makes a number that takes long to build (CVE-2020-10735).
_DURATION: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)(?: ?(ms|s|m|h|d))?", re.ASCII)

LONGEST: Final = 1e9
"""Seconds that a command or a program may ask to wait or to look back: more than 31 years."""

FORMS: Final = "250ms, 90s, 10m, 2h, 1d, or a bare number of seconds"
"""The grammar by example, for the sentences of errors."""


def parse_duration(text: str) -> float | None:
    """The seconds that `text` stands for, None if it is no duration: `250ms`, `90s`, `1.5m`, `2h`, `1d`, `25`."""
    if text.isdecimal() and text.isascii() and len(text) <= 15:
        return float(text)  # The usual one. Fractions are exact, and cost much more.
    match = _DURATION.fullmatch(text)
    return float(Fraction(match[1]) * _UNITS[match[2] or "s"] / 1000) if match else None


def write_duration(seconds: float) -> str:
    """The same the other way round, as a query has it: `25`, `0.25`, `1728000`. It is from 0 to `LONGEST`."""
    return f"{seconds:.6f}".rstrip("0").rstrip(".")
