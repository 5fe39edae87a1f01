"""`slosh sub`: print the messages of topics as they come."""

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, cast

import click

from slosh.client.items import Item, Note
from slosh.commands.shared import (
    EXIT_ENDED,
    EXIT_FOUND,
    EXIT_TIMED_OUT,
    ClientCommand,
    complete_topics,
    ending_unread,
    has_colour,
    open_client,
    parse_duration,
    printable,
    tell,
    url_option,
)
from slosh.commands.shell import end_group
from slosh.commands.telling import Teller, is_read

if TYPE_CHECKING:
    from slosh.client.request import WatchOptions


class SubCommand(ClientCommand):
    """The command, with its examples."""

    examples = (
        ("slosh sub kitchen", "messages from now on"),
        ("slosh sub kitchen --last 10", "the last ten messages, then the new ones"),
        ("slosh sub 'sensors/*' --since 10m --times", "the last ten minutes of several topics"),
        ("slosh sub kitchen --count 1 --timeout 30s", "wait for one message, for half a minute at most"),
        ("slosh sub build --since earliest", "all of a topic that a publisher ends, then exit"),
        ("slosh sub load --every 1s --key host | jq .", "the newest message of each host, once a second"),
        (
            "slosh sub builds --exec 'notify-send slosh'",
            "run a command for each message, which is its standard input",
        ),
    )
    exits = ("0", "1", "2", "4", "6", "124", "130")


@click.command(cls=SubCommand)
@click.argument("topics", nargs=-1, required=True, metavar="TOPIC...", shell_complete=complete_topics)
@click.option(
    "--since",
    metavar="TIME|PLACE",
    help="Start with messages of the last TIME (10m); or earliest, all that are kept; or a place.",
)
@click.option("--last", type=click.IntRange(1), metavar="N", help="Start with the last N messages.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="If more messages wait, print only the newest N.")
@click.option("--every", metavar="TIME", help="Print at most once in this time: all messages since the last time.")
@click.option(
    "--key", metavar="PATH", help="Of messages that wait, print only the newest for each value at this dotted path."
)
@click.option("--raw", is_flag=True, help="Print messages alone, also on a terminal and for several topics.")
@click.option(
    "--envelope",
    is_flag=True,
    help="Print a JSON object a line: topic, offset, time, message, and lost or reset if so.",
)
@click.option("--times", is_flag=True, help="Print the time of arrival before each message.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after N messages.")
@click.option("--timeout", metavar="TIME", callback=parse_duration, help="End after this long, with exit code 124.")
@click.option(
    "--exec", "command", metavar="COMMAND", help="Run this in a shell for each message, which is its standard input."
)
@url_option
@click.pass_context
def sub(  # noqa: PLR0913, PLR0917 - one for each option, which click gives by name
    ctx: click.Context,
    topics: tuple[str, ...],
    since: str | None,
    last: int | None,
    limit: int | None,
    every: str | None,
    key: str | None,
    raw: bool,  # noqa: FBT001 - click's flags
    envelope: bool,  # noqa: FBT001
    times: bool,  # noqa: FBT001
    count: int | None,
    timeout: float | None,
    command: str | None,
    url: str | None,
) -> None:
    """Print the messages of topics as they come, one a line.

    A line is the message's JSON. The topic's name comes before it if several topics are read, and the time with
    --times. Losses are reported on standard error. After a lost connection it continues where it was, so no message
    comes twice.

    If the command of --exec fails, that is reported, the next message is read, and the exit code is 1 at the end. A
    command that still runs when --timeout is over is ended.
    """
    given_options = {
        "since": since,
        "last": last,
        "limit": limit,
        "every": every,
        "key": key,
        "deadline": timeout,
    }
    options = cast("WatchOptions", {name: value for name, value in given_options.items() if value is not None})
    several = len(topics) > 1 or "*" in topics[0]
    show = _Printer(several=several and not raw, times=times and not raw, envelope=envelope)
    with open_client(url) as client, client.watch(*topics, notes=True, **options) as watch:
        given = failed = 0
        until = None if timeout is None else time.monotonic() + timeout
        is_late = False
        teller = Teller(client.where, " ".join(topics))
        ctx.call_on_close(teller.tell_missed)
        with ending_unread(watch.close):  # After it, the topic or the time has ended, not the pipe.
            for each in watch:
                teller(each)
                if isinstance(each, Note) or not is_read(each):
                    continue
                if command is not None:
                    ended_well = _run(command, each, until)
                    is_late = ended_well is None
                    failed += not ended_well
                else:
                    show(each)
                given += 1
                if given == count or is_late:
                    break
            if failed:
                tell(f"the command failed for {failed:,} of {given:,} {'message' if given == 1 else 'messages'}")
        if given != count or is_late:
            if watch.timed_out or is_late:
                ctx.exit(EXIT_TIMED_OUT)
            if count is not None:
                tell(f"the topics ended after {given} of {count} {'message' if count == 1 else 'messages'}")
                ctx.exit(EXIT_ENDED)
        if failed:
            ctx.exit(EXIT_FOUND)


class _Printer:
    """Prints messages, each in a line of its own, at once."""

    def __init__(self, *, several: bool, times: bool, envelope: bool) -> None:
        self._several = several
        self._times = times
        self._envelope = envelope
        self._colours = has_colour()
        self._terminal = sys.stdout.isatty()

    def __call__(self, item: Item) -> None:
        text = item.raw.replace("\r", " ").replace("\n", " ")
        if self._envelope:
            said = {"topic": item.topic, "offset": item.offset, "time": item.time}
            missed = f', "lost": {item.lost}' * bool(item.lost) + ', "reset": true' * item.reset
            text = f'{json.dumps(said, ensure_ascii=self._terminal)[:-1]}, "message": {text}{missed}}}'
        # On a terminal control characters are escaped; a program gets the message as it was posted.
        parts = [printable(text) if self._terminal else text]
        if self._several and not self._envelope:
            parts.insert(0, self._style(printable(item.topic), "cyan"))
        if self._times and not self._envelope:
            parts.insert(0, self._style(_clock(item.time), "bright_black"))
        sys.stdout.write("\t".join(parts) + "\n")
        sys.stdout.flush()

    def _style(self, text: str, colour: str) -> str:
        return click.style(text, fg=colour) if self._colours else text


def _clock(seconds: float | None) -> str:
    """A time of arrival in this machine's time zone, with its milliseconds."""
    if seconds is None:
        return "-"
    milliseconds = round(seconds * 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(milliseconds // 1000)) + f".{milliseconds % 1000:03d}"


def _run(command: str, item: Item, until: float | None) -> bool | None:
    """Run `command` with a message as its standard input.

    Args:
        until: when to end it, on the monotonic clock; None for never.

    Returns:
        Whether its exit code was 0; None if it was ended because of the time. Any other outcome is reported.
    """
    # In a session of its own, so that `end_group` ends all its processes, also if only slosh got the signal.
    process = subprocess.Popen(["/bin/sh", "-c", command], stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603 - the user's own command
    try:
        left = None if until is None else max(0.0, until - time.monotonic())
        process.communicate(item.raw.encode() + b"\n", timeout=left)
    except BaseException as error:
        end_group(process)
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        tell("the command was ended, because the time ran out")
        return None
    if process.returncode:
        tell(f"the command ended with {process.returncode}")
    return not process.returncode
