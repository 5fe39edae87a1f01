"""The common parts of commands that talk to a server: options, exit codes, and output.

The rules of this file:

* Standard output has only the result; every remark goes to standard error.
* On a terminal, characters that are not printable are escaped, so that no message moves the cursor or sets the title.
* A mistake is one sentence that says what to type instead, never a traceback.
"""

import codecs
import contextlib
import io
import json
import math
import os
import select
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Final, TypeVar

import click

from slosh import durations
from slosh.client.answers import is_passing
from slosh.client.errors import BadUse, ClientError, Refused, Unreachable
from slosh.client.synchronous import Client
from slosh.commands.teaching import (
    EXIT_ENDED,
    EXIT_FOUND,
    EXIT_REFUSED,
    EXIT_TIMED_OUT,
    EXIT_UNREACHABLE,
    EXIT_UNWATCHED,
    EXIT_USAGE,
    FILE,
    TeachingCommand,
)
from slosh.settings.sources import CLIENT_VARIABLES

__all__ = [
    "EXIT_ENDED",
    "EXIT_FOUND",
    "EXIT_REFUSED",
    "EXIT_TIMED_OUT",
    "EXIT_UNREACHABLE",
    "EXIT_UNWATCHED",
    "EXIT_USAGE",
    "FILE",
    "MORE_TO_LIST",
    "ClientCommand",
    "Failed",
    "Number",
    "TeachingCommand",
    "complete_topics",
    "ending_unread",
    "exit_of_refusal",
    "has_colour",
    "keep_trying",
    "lists_more",
    "open_client",
    "parse_duration",
    "printable",
    "tell",
    "told_refusal",
    "url_option",
    "writing",
]

Command = TypeVar("Command", bound=Callable[..., Any])
Answer = TypeVar("Answer")
_ARGUMENTS: Final = frozenset({"bad_topic", "bad_query"})
"""Refusals because of the command line, whatever the state of the server."""
MORE_TO_LIST: Final = "this server may list more topics for a token: set SLOSH_TOKEN"
_PAUSE: Final = 0.5
"""Seconds before a request is repeated, after the client's own tries have failed."""


class Failed(click.ClickException):
    """An error of the client, shown as one sentence."""

    def __init__(self, error: ClientError) -> None:
        super().__init__(told_refusal(error))
        if isinstance(error, BadUse):
            self.exit_code = EXIT_USAGE  # type: ignore[misc]  # click reads it from the instance
        elif isinstance(error, Unreachable):
            self.exit_code = EXIT_UNREACHABLE  # type: ignore[misc]
        else:
            self.exit_code = exit_of_refusal(error)  # type: ignore[misc]


class ClientCommand(TeachingCommand):
    """A command that talks to a server. Its help ends with examples, the environment, and the exit codes."""

    exits: ClassVar[tuple[str, ...]] = ("0", "2", "4", "5", "130")
    environment = (*CLIENT_VARIABLES.items(), ("NO_COLOR", "no colours"))

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own signature
        """Run the command; what the client refuses becomes one sentence and an exit code."""
        if isinstance(sys.stdout, io.TextIOWrapper):  # a program that is tested may have put another one there
            sys.stdout.reconfigure(errors=_ESCAPES)
        try:
            return super().invoke(ctx)
        except ClientError as error:
            raise Failed(error) from error
        except BrokenPipeError:
            # Our output is not read any more, as after `| head`: that is a normal end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(128 + signal.SIGPIPE)


_ESCAPES: Final = "slosh.escapes"
"""The error handler of standard output: characters that its encoding lacks are escaped as in JSON."""


def _escape_as_json(error: UnicodeError) -> tuple[str, int]:
    """An error handler of `codecs`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


codecs.register_error(_ESCAPES, _escape_as_json)


def url_option(command: Command) -> Command:
    """The option for the address of the server."""
    return click.option(
        "-u", "--url", metavar="URL", help="The server's address.  [default: SLOSH_URL, else http://127.0.0.1:8000]"
    )(command)


_COMPLETING: Final = 1.0
"""Seconds that a person waits for names when they press Tab."""


def complete_topics(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The names of active topics that begin so; none if no server tells them soon."""
    del param
    with contextlib.suppress(ClientError), Client(ctx.params.get("url"), timeout=_COMPLETING) as client:
        names = [str(each["name"]) for each in client.topics()]
        return [name for name in names if name.startswith(incomplete) and name.isprintable()]
    return []


@contextlib.contextmanager
def open_client(url: str | None, timeout: float = 10.0) -> Iterator[Client]:
    """The client for a command."""
    with Client(url, timeout=timeout) as client:
        client.connect()  # so that a mistake in the environment is told before anything waits
        yield client


def keep_trying(ask: Callable[[], Answer], within: float = math.inf) -> Answer:
    """Call `ask` until it returns. A server that is away, or busy, is reported once.

    Args:
        within: seconds after which it is not called again.

    Raises:
        ClientError: another try would not help, or the time is over.
    """
    is_told = False
    until = time.monotonic() + within
    while True:
        try:
            return ask()
        except ClientError as error:
            if not is_passing(error) or time.monotonic() + _PAUSE > until:
                raise
            if not is_told:
                tell(f"{error.detail} Trying again.")
            is_told = True
            time.sleep(_PAUSE)


def lists_more(client: Client) -> bool:
    """Whether the server says of the list of topics that it has more for a client with a token."""
    return client._lists_more  # noqa: SLF001 - our own


@contextlib.contextmanager
def writing(file: str) -> Iterator[None]:
    """Report an error of writing a file, such as a full disk, in one sentence that names the file."""
    try:
        yield
    except OSError as error:
        if isinstance(error, (BrokenPipeError, ClientError)):
            raise
        raise click.ClickException(f"{file} cannot be written: {error.strerror or error}.") from None


@contextlib.contextmanager
def ending_unread(end: Callable[[], None]) -> Iterator[None]:
    """Call `end`, from a thread, as soon as nobody can read standard output any more, as after `| head -1`.

    A write would fail, but the next message may be hours away. At its end the block then raises `BrokenPipeError`.
    """
    is_unread = threading.Event()
    try:
        output = sys.stdout.fileno()
        is_pipe = stat.S_ISFIFO(os.fstat(output).st_mode)
    except (OSError, ValueError, AttributeError):  # a program that is tested may have put something else there
        is_pipe = False

    def wait() -> None:
        poll = select.poll()
        poll.register(output, 0)  # an end is told of in any case
        poll.poll()
        is_unread.set()
        end()

    if is_pipe:
        threading.Thread(target=wait, name="slosh output", daemon=True).start()
    yield
    if is_unread.is_set():
        raise BrokenPipeError


def tell(text: str) -> None:
    """Write a remark to standard error."""
    with contextlib.suppress(OSError, ValueError):  # Standard error may be closed.
        click.echo(f"slosh: {text}", err=True)


def printable(text: str) -> str:
    """`text` with every character that is not printable escaped, so that a terminal obeys none."""
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
    """A duration of the command line, seconds, above 0."""
    del ctx
    if value is None:
        return None
    seconds = durations.parse_duration(value)
    if not seconds:
        raise click.BadParameter(f"{value!r} is no duration; write {durations.FORMS}.", param=param)
    if seconds > durations.LONGEST:
        raise click.BadParameter(f"{value!r} is too long; write at most {durations.LONGEST / 86400:.0f}d.", param=param)
    return seconds


class Number(click.FloatRange):
    """A finite number of the command line within bounds. click's own check lets NaN pass, and may let infinity.

    Args:
        least: the lowest.
        unbounded: what to write instead of `inf`, for the error.
    """

    def __init__(self, least: float, *, unbounded: str) -> None:
        super().__init__(min=least)
        self._unbounded = unbounded

    def convert(self, value: float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Convert, as click asks."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is no number; {self._unbounded}.", param, ctx)
        return number


def exit_of_refusal(error: ClientError | None) -> int:
    """The exit code for a refusal; that of a usage error if an argument was wrong, such as a topic's name."""
    if isinstance(error, Refused) and error.reason == "ended":
        return EXIT_ENDED
    return EXIT_USAGE if isinstance(error, Refused) and error.reason in _ARGUMENTS else EXIT_REFUSED


def told_refusal(error: ClientError) -> str:
    """The text of an error of the client; one about the token names the variable that it came from."""
    if not isinstance(error, Refused) or error.reason != "unauthorized":
        return error.detail  # A bridge's upstream, or a proxy, wants something else than a token.
    where = next((name for name in ("SLOSH_TOKEN", "SLOSH_TOKEN_FILE") if os.environ.get(name)), "")
    if where:
        return f"{error.detail} The token came from {where}."
    return "This needs a token: set SLOSH_TOKEN to it, or SLOSH_TOKEN_FILE to the name of a file that holds it."
