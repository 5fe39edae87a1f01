"""One break: a line of the source, what it becomes, and the tests that must fail then."""

from pathlib import Path
from typing import NamedTuple, Self

SOURCE = Path(__file__).parents[2] / "src" / "slosh"


class StaleRowError(Exception):
    """A row does not fit the source any more."""


class Row(NamedTuple):
    """A break.

    Attributes:
        file: below `src/slosh`.
        line: the whole line, without the white space around it. It stands in the file exactly once; where it would
            not, it is given with the line before it or behind it, and a line feed between them.
        becomes: what stands there instead, at the same indentation; not more lines.
        tests: as pytest names them; at least one of them must fail.
    """

    file: str
    line: str
    becomes: str
    tests: tuple[str, ...]

    @classmethod
    def of(cls, file: str, line: str, becomes: str, *tests: str) -> Self:
        """A row as the tables write it: names of tests go without `tests/` in front."""
        return cls(file, line, becomes, tuple(f"tests/{test}" for test in tests))

    def __str__(self) -> str:
        return f"{self.file}: {self.line!r} becomes {self.becomes!r}"

    def apply(self, text: str) -> str:
        """The file's text, broken.

        Raises:
            StaleRowError: the line does not stand there exactly once.
        """
        lines = text.split("\n")
        bare = [each.strip() for each in lines]
        wanted = self.line.split("\n")
        places = [place for place in range(len(lines)) if bare[place : place + len(wanted)] == wanted]
        if len(places) != 1:
            raise StaleRowError(f"{self}: the line stands there {len(places)} times, not once")
        (place,) = places
        indented = [each.removesuffix(each.lstrip()) for each in lines[place : place + len(wanted)]]
        become = self.becomes.split("\n")
        broken = [f"{space}{each}" for space, each in zip(indented, become, strict=False)]
        lines[place : place + len(wanted)] = broken
        return "\n".join(lines)
