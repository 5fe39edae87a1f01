"""An exception to a rule of ruff or mypy says why it is one, the first time that a file makes it."""

import re
from collections.abc import Iterator
from pathlib import Path

import slosh
from tests.cases import each_of

PACKAGE = Path(slosh.__file__).parent
EXCEPTION = re.compile(r"# (?:noqa: (?P<ruff>[A-Z0-9, ]*[0-9])|type: ignore\[(?P<mypy>[a-z, -]+)\])(?P<rest>.*)")


def unexplained(text: str) -> Iterator[str]:
    """Lines that make an exception for the first time, without a reason behind it."""
    explained: set[str] = set()
    for line in text.splitlines():
        if found := EXCEPTION.search(line):
            rules = set((found["ruff"] or found["mypy"]).split(", "))
            if re.match(r" +[-#] +\S", found["rest"]):
                explained |= rules
            elif not rules <= explained:
                yield line.strip()


def test_each_exception_has_its_reason() -> None:
    found = {str(file): list(unexplained(file.read_text(encoding="utf-8"))) for file in PACKAGE.rglob("*.py")}
    assert not {file: lines for file, lines in found.items() if lines}


@each_of(
    ("text", "found"),
    [
        ("f(x)  # noqa: S101", 1),
        ("f(x)  # noqa: S101 - the type checker's", 0),
        ("f(x)  # noqa: S101 - as below\ng(x)  # noqa: S101", 0),
        ("f(x)  # noqa: S101 - as below\ng(x)  # noqa: S101, ARG002", 1),
        ("f(x)  # type: ignore[misc]", 1),
        ("f(x)  # type: ignore[arg-type]  # it was read as such", 0),
    ],
)
def test_one_without_a_reason_is_found(text: str, found: int) -> None:
    assert len(list(unexplained(text))) == found
