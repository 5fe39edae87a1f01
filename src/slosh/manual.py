"""The pages of the manual, made of the commands' own parsers: `python -m slosh.manual FOLDER` writes them.

The pages are in the form of man(7), which groff and mandoc read.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from slosh.cli import Commands, main

DATE: Final = "2026-11-29"
"""When the pages got their present form; what they say belongs to the version that they came with."""
_WIDE: Final[dict[str, Any]] = {"max_content_width": 1000, "terminal_width": 1000}
"""Nothing is cut if a terminal would end."""


def pages(group: Commands) -> Iterator[tuple[str, str]]:
    """Each page: the name of its file, and its text.

    Args:
        group: the command `slosh`.
    """
    top = click.Context(group, info_name="slosh", **{**group.context_settings, **_WIDE})
    names = group.list_commands(top)
    yield "slosh.1", _page(top, "", [f"slosh-{name}" for name in names])
    for name in names:
        command = group.get_command(top, name)
        if command is not None:
            context = click.Context(command, parent=top, info_name=name, **_WIDE)
            yield f"slosh-{name}.1", _page(context, group.elsewhere.get(name, ""), ["slosh"])


def _page(context: click.Context, about: str, see: list[str]) -> str:
    """One page. Parts of its command's help beyond options, such as examples, become a section each."""
    command = context.command
    name = context.command_path.replace(" ", "-")
    first, _, rest = _paragraphs(command.help).partition("\n\n")
    lines = [
        f'.TH "{name.upper()}" "1" "{DATE}" "slosh" "slosh manual"',
        ".SH NAME",
        f"{_plain(name)} \\- {_plain((about or first).rstrip('.'))}",
        ".SH SYNOPSIS",
        f".B {_plain(context.command_path)}",
        _plain(" ".join(command.collect_usage_pieces(context))),
        ".SH DESCRIPTION",
        *_text(first),
    ]
    for paragraph in filter(None, rest.split("\n\n")):
        lines += [".PP", *_text(paragraph)]
    formatter = _Sections()
    command.format_options(context, formatter)
    command.format_epilog(context, formatter)
    for title, rows in formatter.sections:
        lines.append(f'.SH "{title.upper()}"')
        for term, text in rows:
            lines += _text(term) if text is None else [".TP", f".B {_plain(term)}", *_text(text)]
    lines += [".SH SEE ALSO", ",\n".join(f".BR {_plain(other)} (1)" for other in see).replace("(1),", "(1) ,")]
    return "\n".join(lines) + "\n"


class _Sections(click.HelpFormatter):
    """Gathers what help is made of, instead of laying it out: titles, and rows of a term and what is said of it."""

    def __init__(self) -> None:
        super().__init__(width=1000)
        self.sections: list[tuple[str, list[tuple[str, str | None]]]] = []

    def write_heading(self, heading: str) -> None:
        """A section begins."""
        self.sections.append((heading, []))

    def write_dl(self, rows: object, col_max: int = 30, col_spacing: int = 2) -> None:
        """Rows of a section."""
        del col_max, col_spacing
        assert isinstance(rows, (list, tuple))  # noqa: S101 - as all of ours and click's are
        self.sections[-1][1].extend((str(term), str(about)) for term, about in rows)

    def write_text(self, text: str) -> None:
        """A paragraph of a section."""
        self.sections[-1][1].append((text, None))


def _paragraphs(text: str | None) -> str:
    """A docstring with each paragraph in one line."""
    parts = re.split(r"\n\s*\n", (text or "").strip())
    return "\n\n".join(" ".join(part.split()) for part in parts)


def _text(text: str) -> list[str]:
    """A paragraph, as lines of which none is too long to read in the source."""
    words = text.split()
    lines, line = [], ""
    for word in words:
        if line and len(line) + len(word) > 78:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [_plain(each) for each in [*lines, line]]


def _plain(text: str) -> str:
    """Text of which nothing is taken for a request, a dash of typography, or a quote that it is not."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    text = text.replace("^", "\\(ha").replace("~", "\\(ti")
    text = "".join(each if each.isascii() else f"\\[u{ord(each):04X}]" for each in text)
    return f"\\&{text}" if text.startswith((".", "\\(aq")) else text


def write(group: Commands, folder: Path) -> None:
    """Write all pages into a folder, and remove those of commands that are no more."""
    folder.mkdir(parents=True, exist_ok=True)
    made = dict(pages(group))
    for file in folder.glob("*.1"):
        if file.name not in made:
            file.unlink()
    for name, text in made.items():
        (folder / name).write_text(text, encoding="ascii")


if __name__ == "__main__":
    if isinstance(main, Commands):
        write(main, Path(sys.argv[1]))
