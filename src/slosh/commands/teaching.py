"""The parts of a command's help after its options: examples, environment, exit codes. It imports no client."""

from typing import ClassVar, Final

import click

EXIT_FOUND: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNWATCHED: Final = 3
EXIT_REFUSED: Final = 4
EXIT_UNREACHABLE: Final = 5
EXIT_ENDED: Final = 6
EXIT_TIMED_OUT: Final = 124  # as timeout(1) does
EXIT_INTERRUPTED: Final = 130  # 128 + SIGINT, as shells say it

EXITS: Final = (
    ("0", "done"),
    ("1", "doctor found a fault, a line had another form, the command of --exec failed, or a file was not written"),
    ("2", "the command line or a setting is wrong"),
    ("3", "nobody watches the topic, so nothing was published"),
    ("4", "the server refused it"),
    ("5", "no server answered"),
    ("6", "the topic has ended: it accepts no more, or fewer than --count came"),
    ("124", "the time of --timeout ran out"),
    ("130", "Ctrl-C"),
)
"""Every exit code of a command, and what it means."""


class _FileName(click.types.StringParamType):
    """The name of a file. It may not be empty, as a shell's variable that is not set is."""

    name = "file"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Convert, as click asks."""
        if not value:
            self.fail("this is empty; give the name of a file.", param, ctx)
        return str(super().convert(value, param, ctx))


FILE: Final = _FileName()


class TeachingCommand(click.Command):
    """A command whose help ends with examples, environment variables, and exit codes."""

    examples: ClassVar[tuple[tuple[str, str], ...]] = ()
    environment: ClassVar[tuple[tuple[str, str], ...]] = ()
    exits: ClassVar[tuple[str, ...]] = ("0", "2")

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write them."""
        del ctx
        rows = [row for row in EXITS if row[0] in self.exits]
        for title, lines in (("Examples", self.examples), ("Environment", self.environment), ("Exit codes", rows)):
            if lines:
                with formatter.section(title):
                    formatter.write_dl(lines)


class SettingsCommand(click.Command):
    """A command with an option for each setting."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line. In `--view=-1` the value is `-1`, which click alone would read as another option."""
        from slosh.settings.table import TABLE  # noqa: PLC0415 - what no other command needs

        switches = {row.option: row.name for row in TABLE if row.is_switch}
        end = args.index("--") if "--" in args else len(args)
        found = [
            (each, switches[name], value)
            for each in args[:end]
            for name, mark, value in [each.partition("=")]
            if mark and name in switches and value.startswith("-")
        ]
        left = [each for each in args[:end] if each not in {words for words, _, _ in found}]
        rest = super().parse_args(ctx, left + args[end:])
        for _, name, value in found:
            ctx.params[name] = value
        return rest
