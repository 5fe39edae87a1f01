"""The command `slosh`.

Exit codes: 0 stopped cleanly; 1 could not start or failed; 2 the command line or a setting is wrong;
128 + the signal's number when a second signal cut the drain short.
"""

import asyncio
import contextlib
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any, ClassVar, Final

import click

from slosh.compiled import told_version
from slosh.doors import load
from slosh.errors import SettingError, SloshError
from slosh.setting import Group, Setting, hide_login, told_default
from slosh.settings import TABLE, Settings
from slosh.startup import hold_standard_descriptors

if TYPE_CHECKING:
    import socket

    from slosh.server import Server
    from slosh.signals import Again

EXIT_NOT_STARTED: Final = 1
EXIT_SETTING: Final = 2

EXAMPLES: Final = (
    ("slosh serve", "on http://127.0.0.1:8000, with the example pages"),
    ("slosh serve --root site --host 0.0.0.0", "your own pages, for everybody"),
    ("slosh serve --port 0", "on a free port; the ready line says which"),
    ("slosh serve --queue 1000 --linger 5m", "longer memories"),
    ("slosh serve --uds /run/slosh.sock --max-wait 50s", "behind nginx"),
    ("SLOSH_PORT=9000 slosh serve", "the same from the environment"),
    ("slosh serve --workers 4 --engine redis://localhost", "four processes on one port"),
)


class Refused(click.ClickException):
    """An error that a person can mend, shown as one sentence and never as a traceback."""

    def __init__(self, error: SloshError, advice: str = "") -> None:
        super().__init__(hide_login(f"{error.detail}\n{advice}" if advice else error.detail))
        self.exit_code = EXIT_SETTING if isinstance(error, SettingError) else EXIT_NOT_STARTED  # type: ignore[misc]  # click reads it from the instance


@contextlib.contextmanager
def without_secrets() -> Iterator[None]:
    """Have click's complaints repeat nothing that may be a piece of an address with a password.

    A shell cuts an address with a space or an `&` in its password into several words.
    """
    try:
        yield
    except click.UsageError as error:
        if error.ctx is not None and error.ctx.command.name in Commands.elsewhere:
            raise  # Those are given no secret; a token comes from the environment.
        if "extra argument" in error.message:
            told = (
                "There is an unexpected extra argument: all is set by options, such as --port 8001. Quote spaces and &."
            )
            raise click.UsageError(told, ctx=error.ctx) from None
        if re.search("[/@:]", error.message.partition(":")[2] or error.message):
            raise click.UsageError("There is no such command or option.", ctx=error.ctx) from None
        raise


class Commands(click.Group):
    """The command `slosh`. The commands of the client have libraries of their own, so they are loaded when called."""

    elsewhere: ClassVar[dict[str, str]] = {
        "pub": "Publish a value, or each line of standard input.",
        "sub": "Print the messages of topics as they come.",
        "topics": "List the active topics.",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all of them."""
        return sorted([*super().list_commands(ctx), *self.elsewhere])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command."""
        if cmd_name in self.elsewhere:
            command = getattr(import_module(f"slosh.commands.{cmd_name}"), cmd_name)
            return command if isinstance(command, click.Command) else None
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a line for each, without loading any."""
        ours = {name: command.get_short_help_str(90) for name, command in self.commands.items()}
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(sorted((ours | self.elsewhere).items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read what stands before the command's name."""
        with without_secrets():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  # click's
        """Find the command, read its options, and run it."""
        with without_secrets():
            return super().invoke(ctx)


class ServeCommand(click.Command):
    """`slosh serve`, whose help is grouped as the table of settings is."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options under the headings of their groups, and the examples after them."""
        rows = {row.name: row for row in TABLE}
        for group in Group:
            lines = [
                record
                for param in self.get_params(ctx)
                if param.name in rows and rows[param.name].group is group and (record := param.get_help_record(ctx))
            ]
            with formatter.section(group.value):
                formatter.write_dl(lines)
        others = [param.get_help_record(ctx) for param in self.get_params(ctx) if param.name not in rows]
        with formatter.section("Other options"):
            formatter.write_dl([record for record in others if record])
        with formatter.section("Times and sizes"):
            formatter.write_text(
                "A time is a number of seconds, or a number with ms, s, m, h or d: 500ms, 30s, 2m. "
                "A size is a number of bytes, or a number with k, m, g or KiB, MiB, GiB (1024) or kB, MB, GB (1000): "
                "64k, 8MiB."
            )
        with formatter.section("Examples"):
            formatter.write_dl(EXAMPLES)


def option_of(row: Setting) -> click.Option:
    """The command line's option for a setting. It takes text; doors.py reads it, as for every other door."""
    about = f"{row.about}  [{told_default(row)}]"
    metavar = "|".join(row.choices) or row.kind.value.upper()
    return click.Option([row.option], metavar=metavar, help=about, default=None)


@click.group(
    cls=Commands,
    context_settings={
        "help_option_names": ["-h", "--help"],
        # --max_body is --max-body: the names are the same in every door, but for what each door's habits ask.
        "token_normalize_func": lambda name: name.replace("_", "-"),
        "max_content_width": 110,
    },
)
@click.version_option(told_version(), "--version", prog_name="slosh", message="%(prog)s %(version)s")
def main() -> None:
    """Live topics over plain HTTP: GET waits, POST delivers."""
    hold_standard_descriptors()


@main.command()
def version() -> None:
    """Tell the version."""
    click.echo(f"slosh {told_version()}")


@main.command(cls=ServeCommand, params=[option_of(row) for row in TABLE])
@click.option("--config", metavar="FILE", help="Settings file, TOML.  [default: slosh.toml here, where there is one]")
def serve(config: str | None, **said: Any) -> None:  # noqa: ANN401  # one keyword for each row of the table
    """Serve topics at /topics/<name>, and a folder of files at every other URL.

    Every option is also an environment variable (--max-body is SLOSH_MAX_BODY) and a line in slosh.toml
    (max_body = "16MiB"). The command line wins over the environment, the environment over slosh.toml.
    """
    from slosh.startup import raise_file_limit

    try:
        loaded = load(said, config=config)
    except SloshError as error:
        raise Refused(error) from error
    log_to_stderr()
    for warning in (*loaded.warnings, raise_file_limit(loaded.settings)):
        if warning:
            click.echo(f"Warning: {warning}", err=True)
    sys.exit(run(loaded.settings, lambda: load(said, config=config).settings))


def log_to_stderr() -> None:
    """Show what slosh logs, from INFO up, on stderr: stdout is for the ready line."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logger = logging.getLogger("slosh")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Uvloop's event loop, or asyncio's own where uvloop is not to be had (Windows, PyPy)."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def run(settings: Settings, again: "Again") -> int:
    """Serve until a signal; return the exit code.

    Args:
        again: reads the settings again, on SIGHUP.

    Raises:
        Refused: the server could not start.
    """
    if settings.workers > 1:
        return run_workers(settings, again)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_serve(settings, again))


def run_workers(settings: Settings, again: "Again") -> int:
    """The same with several processes on one port.

    Raises:
        Refused: the addresses could not be had.
    """
    from slosh.listening import describe, listen_for_workers, release
    from slosh.workers import Workers

    if not hasattr(os, "fork"):
        raise Refused(
            SettingError("workers: this system cannot have several processes on one port; start several servers.")
        )
    try:
        places = listen_for_workers(settings)
    except SloshError as error:
        raise Refused(error, advice_for(settings, error)) from error
    addresses = [describe(each) for each in places[0]]

    def serve(sockets: "list[socket.socket]", ready: Callable[[], None]) -> int:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            try:
                return runner.run(_work(settings, again, sockets, ready, workers.life))
            except Refused as refused:
                refused.show()
                return refused.exit_code

    workers = Workers(places, serve, lambda: _say_ready(settings, addresses), lambda: _say_stopping(settings))
    try:
        return workers.run()
    finally:
        release([each for place in places for each in place], settings)


async def _serve(settings: Settings, again: "Again") -> int:
    from slosh.server import Server
    from slosh.signals import ENDING, handle, stay_up

    try:
        server = Server(settings)
        server.bind()
    except SloshError as error:
        raise Refused(error, advice_for(settings, error)) from error
    await _start(server)
    signals: asyncio.Queue[int] = asyncio.Queue()
    for number in ENDING:
        handle(number, partial(signals.put_nowait, number))
    stay_up(server, again)
    _say_ready(settings, server.addresses)
    await signals.get()
    _say_stopping(settings)
    stopping = asyncio.ensure_future(server.stop())
    second = asyncio.ensure_future(signals.get())
    await asyncio.wait({stopping, second}, return_when=asyncio.FIRST_COMPLETED)
    if stopping.done():
        second.cancel()
        stopping.result()
        return 0
    stopping.cancel()
    return 128 + second.result()


async def _work(
    settings: Settings, again: "Again", sockets: "list[socket.socket]", ready: Callable[[], None], life: int
) -> int:
    """What one of several workers does."""
    from slosh.server import Server
    from slosh.signals import handle, stay_up
    from slosh.workers import when_parent_goes

    try:
        server = Server(settings)
    except SloshError as error:
        raise Refused(error) from error
    server.use(sockets)
    await _start(server)
    stop = asyncio.Event()
    handle(signal.SIGTERM, stop.set)
    stay_up(server, again)
    when_parent_goes(life, stop.set)
    ready()
    await stop.wait()
    await server.stop()
    return 0


async def _start(server: "Server") -> None:
    from slosh.startup import spare_collector

    try:
        await server.start()
    except SloshError as error:
        raise Refused(error) from error
    spare_collector()


def _say_ready(settings: Settings, addresses: list[str]) -> None:
    from slosh.startup import first_hint, ready_line

    say(ready_line(settings, addresses), sys.stdout)
    if not settings.root:
        say(first_hint(settings, addresses), sys.stderr)


def _say_stopping(settings: Settings) -> None:
    say(f"stopping within {settings.drain:g} seconds; once more quits at once", sys.stderr)


def advice_for(settings: Settings, error: SloshError) -> str:
    """What to type instead when a TCP port could not be had; empty when it was something else."""
    if not error.detail.startswith(f"{settings.host}:{settings.port} ") or "is no address" in error.detail:
        return ""
    free = settings.port + 1 if settings.port < 65_535 else 0
    if os.environ.get("MAKE_RUN"):  # the Makefile says so
        return f"Try another port: make run PORT={free}"
    return f"Try another port: slosh serve --port {free}   (0: any free one)"


def say(text: str, stream: IO[str]) -> None:
    """Print a line at once, with its addresses in bold on a terminal (NO_COLOR and TERM=dumb are obeyed)."""
    if stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb":
        text = " ".join(
            click.style(word, bold=True) if word.startswith(("http://", "unix:")) else word for word in text.split(" ")
        )
    # Who closed our output does not want to read it; the server serves all the same.
    with contextlib.suppress(OSError, ValueError):
        print(text, file=stream, flush=True)  # this is the place that prints
