"""The command `slosh`: the group of its commands, which are in `commands/`, one file each.

Exit codes: 0 done; 1 could not start or failed; 2 the command line or a setting is wrong; 130 Ctrl-C. The commands that
talk to a server have more: `commands/teaching.py` lists them. SIGTERM does what Ctrl-C does, and then ends the
process by that signal, as a service manager expects.
"""

import contextlib
import errno
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from importlib import import_module
from typing import Any, ClassVar, Final

import click
from click.shell_completion import CompletionItem

from slosh.commands.teaching import EXIT_FOUND, EXIT_INTERRUPTED, TeachingCommand
from slosh.compiled import describe_version
from slosh.standard_files import hold_standard_descriptors

_UNWRITTEN: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})
"""Why standard output cannot be written: a disk is full, for instance, or there is none (`>&-`)."""


@contextlib.contextmanager
def without_secrets() -> Iterator[None]:
    """Have click's complaints repeat nothing that may be a piece of an address with a password.

    A shell cuts an address with a space or an `&` in its password into several words.
    """
    try:
        yield
    except click.UsageError as error:
        if error.ctx is not None and error.ctx.command.name in Commands.elsewhere.keys() - Commands.with_logins:
            raise  # Those are given no secret; a token comes from the environment.
        if "extra argument" in error.message:
            sentence = (
                "There is an unexpected extra argument: all is set by options, such as --port 8001. Quote spaces and &."
            )
            raise click.UsageError(sentence, ctx=error.ctx) from None
        if re.search("[/@:]", error.message.partition(":")[2] or error.message):
            raise click.UsageError("There is no such command or option.", ctx=error.ctx) from None
        raise


class Terminated(KeyboardInterrupt):
    """The process is told to end: `slosh pub` publishes first what it read, and `slosh record` writes what it got."""


@contextlib.contextmanager
def ending_as_by_ctrl_c() -> Iterator[None]:
    """Have each SIGTERM raise `Terminated`, as Ctrl-C raises. Servers have their own handlers.

    A second one does so too, and interrupts what the first one has begun: a process that it ended on the spot would
    leave a command of `slosh pub --exec` behind, and say nothing of what was not published.
    """

    def end(number: int, frame: object) -> None:  # noqa: ARG001 - Python's
        raise Terminated

    if threading.current_thread() is not threading.main_thread():  # Only that one may have handlers.
        yield
        return
    former = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


class Commands(click.Group):
    """The command `slosh`. Each of its commands is loaded when it is called, so that the others cost it nothing."""

    elsewhere: ClassVar[dict[str, str]] = {
        "bridge": "Publish what MQTT, Redis or PostgreSQL send, while somebody watches.",
        "check": "Check slosh.toml, the environment and options, and start nothing.",
        "completion": "Print a shell's completion of slosh.",
        "doctor": "Find what in front of a server keeps live data back.",
        "plot": "Draw the numbers of topics in the terminal.",
        "poll": "Publish the answers of a web address, while somebody watches.",
        "pub": "Publish a value, or each line of standard input.",
        "record": "Write the messages of topics to a file.",
        "relay": "Copy the messages of a topic to others.",
        "replay": "Publish a recording again.",
        "serve": "Serve topics at /topics/<name>, and a folder of files at every other URL.",
        "sub": "Print the messages of topics as they come.",
        "token": "Make a token for a server's rules, or tell what one allows.",
        "top": "Show the active topics, live.",
        "topics": "List the active topics.",
    }
    with_logins: ClassVar[frozenset[str]] = frozenset({"bridge", "check", "serve"})
    """Those of them that are given addresses with passwords."""
    modules: ClassVar[dict[str, str]] = {"token": "mint"}
    """Where a command stands whose name is not its module's: token is a module of Python's own."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all of them."""
        return sorted([*super().list_commands(ctx), *self.elsewhere])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command."""
        if cmd_name in self.elsewhere:
            module = import_module(f"slosh.commands.{self.modules.get(cmd_name, cmd_name)}")
            command = getattr(module, cmd_name)
            return command if isinstance(command, click.Command) else None
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a line for each, without loading any."""
        ours = {name: command.get_short_help_str(90) for name, command in self.commands.items()}
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(sorted((ours | self.elsewhere).items()))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the first steps."""
        del ctx
        with formatter.section("Examples"):
            formatter.write_dl(
                [
                    ("slosh serve", "a server on http://127.0.0.1:8000, with pages to try"),
                    ("slosh sub kitchen", "print messages of the topic kitchen; leave it running"),
                    ("slosh pub kitchen '{\"t\":21.5}'", "publish to it, from another terminal"),
                    ("slosh pub --help", "the options and examples of a command"),
                ]
            )

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands that begin so, without loading any."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        ours = {name: command.get_short_help_str(90) for name, command in self.commands.items()}
        options = sorted((ours | self.elsewhere).items())
        return [CompletionItem(name, help=about) for name, about in options if name.startswith(incomplete)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read what stands before the command's name."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help())
            ctx.exit()
        with without_secrets():
            return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is named; for one that is none tell which has nearly that name."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            from difflib import get_close_matches  # noqa: PLC0415 - for mistakes alone

            near = get_close_matches(args[0], self.list_commands(ctx), 1)
            if not near:
                raise
            raise click.UsageError(f"No such command {args[0]!r}. Did you mean {near[0]!r}?", ctx=ctx) from None

    def main(self, *args: Any, **extra: Any) -> Any:  # noqa: ANN401 - click's
        """Run the command line. Standard output that cannot be written is told in one sentence."""
        try:
            return super().main(*args, **extra)
        except OSError as error:
            if error.filename is not None or error.errno not in _UNWRITTEN:
                raise
            with contextlib.suppress(OSError, ValueError):
                click.echo(f"Error: standard output cannot be written: {error.strerror}.", err=True)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left in its buffer is written nowhere
            sys.exit(EXIT_FOUND)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's
        """Find the command, read its options, and run it."""
        try:
            with without_secrets(), ending_as_by_ctrl_c():
                return super().invoke(ctx)
        except Terminated:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        except KeyboardInterrupt:
            ctx.exit(EXIT_INTERRUPTED)


class VersionCommand(TeachingCommand):
    """The command, with its examples."""

    examples = (("slosh version", "as slosh --version; says so if this is the compiled build"),)
    exits = ("0",)


@click.group(
    cls=Commands,
    context_settings={
        "help_option_names": ["-h", "--help"],
        # --max_body is --max-body: the names are the same in every source, but for what the habits of each ask.
        "token_normalize_func": lambda name: name.replace("_", "-"),
        "max_content_width": 110,
    },
)
@click.version_option(describe_version(), "--version", prog_name="slosh", message="%(prog)s %(version)s")
def main() -> None:
    """Live topics over plain HTTP: GET waits, POST delivers."""
    hold_standard_descriptors(os.O_RDONLY)


@main.command(cls=VersionCommand)
def version() -> None:
    """Tell the version."""
    click.echo(f"slosh {describe_version()}")
