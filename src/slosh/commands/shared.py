"""What the commands that talk to a server have in common: their options, their exit codes, and how they speak.

The rules of this file:

* Standard output is for what was asked for; everything said about it goes to standard error.
* Whatever a topic holds may be shown on a terminal: what is not printable there is escaped, so that no message
  moves the cursor or sets the title.
* A mistake is told in one sentence that says what to type instead, and never with a traceback.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import click

from slosh.client.errors import BadUse, ClientError, Refused, Unreachable
from slosh.client.synchronous import Client

EXIT_USAGE: Final = 2
EXIT_UNWATCHED: Final = 3
EXIT_REFUSED: Final = 4
EXIT_UNREACHABLE: Final = 5
EXIT_TIMED_OUT: Final = 124  # as timeout(1) does

EXITS: Final = (
    ("0", "done: all was published, or the reading ended as asked"),
    ("2", "the command line is wrong"),
    ("3", "nobody watches the topic, so nothing was published"),
    ("4", "the server refused it"),
    ("5", "no server answered"),
    ("124", "the time given with --timeout ran out"),
    ("130", "Ctrl-C"),
)

Command = TypeVar("Command", bound=Callable[..., Any])


class Failed(click.ClickException):
    """An error of the client, shown as one sentence."""

    def __init__(self, error: ClientError) -> None:
        super().__init__(error.detail)
        if isinstance(error, BadUse):
            self.exit_code = EXIT_USAGE  # type: ignore[misc]  # click reads it from the instance
        elif isinstance(error, Unreachable):
            self.exit_code = EXIT_UNREACHABLE  # type: ignore[misc]
        else:
            self.exit_code = EXIT_REFUSED  # type: ignore[misc]


class ClientCommand(click.Command):
    """A command that talks to a server. Its help ends with examples and the exit codes."""

    examples: tuple[tuple[str, str], ...] = ()
    exits: tuple[str, ...] = ("0", "2", "4", "5", "130")

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, what the environment says, and the exit codes."""
        del ctx
        with formatter.section("Examples"):
            formatter.write_dl(self.examples)
        with formatter.section("Environment"):
            formatter.write_dl(
                [
                    ("SLOSH_URL", "the server's address, where --url is not given"),
                    ("SLOSH_TOKEN", "a token, sent as Authorization: Bearer; it is never shown"),
                    ("NO_COLOR", "no colours"),
                ]
            )
        with formatter.section("Exit codes"):
            formatter.write_dl([row for row in EXITS if row[0] in self.exits])

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own signature
        """Run the command; what the client refuses becomes one sentence and an exit code."""
        try:
            return super().invoke(ctx)
        except ClientError as error:
            raise Failed(error) from error
        except BrokenPipeError:
            # Nobody reads our output any more, as behind `| head`: that is the end, and no mistake.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(128 + signal.SIGPIPE)


def url_option(command: Command) -> Command:
    """The option that says which server is meant."""
    return click.option(
        "-u", "--url", metavar="URL", help="The server's address.  [default: SLOSH_URL, else http://127.0.0.1:8000]"
    )(command)


@contextlib.contextmanager
def open_client(url: str | None, timeout: float = 10.0) -> Iterator[Client]:
    """The client for a command."""
    with Client(url, timeout=timeout) as client:
        yield client


def tell(text: str) -> None:
    """Say something about what is done, on standard error."""
    with contextlib.suppress(OSError, ValueError):  # Standard error may be closed.
        click.echo(f"slosh: {text}", err=True)


def printable(text: str) -> str:
    """`text` without anything that a terminal would obey: what is not printable is escaped."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escape(each) for each in text)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def has_colour() -> bool:
    """Whether standard output is a terminal that may be coloured (NO_COLOR and TERM=dumb are obeyed)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def parse_duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """A duration of the command line, seconds: `250ms`, `90s`, `10m`, `2h`, `1d`, or a bare number of seconds."""
    del ctx
    if value is None:
        return None
    for unit, seconds in (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86400.0), ("", 1.0)):
        digits = value.removesuffix(unit) if value.endswith(unit) else ""
        if digits.replace(".", "", 1).isdigit() and digits.isascii() and float(digits) > 0:
            return float(digits) * seconds
    raise click.BadParameter(
        f"{value!r} is no duration; write 250ms, 90s, 10m, 2h, or a number of seconds.", param=param
    )


def told_refusal(error: Refused) -> str:
    """A refusal, as it is told beside other results."""
    return f"the server refused it: {error.detail}"
