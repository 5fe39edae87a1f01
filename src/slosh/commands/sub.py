"""`slosh sub`: print the messages of topics as they come."""

import json
import math
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Final, cast

import click

from slosh.client.protocol import Item, Note
from slosh.commands.shared import (
    EXIT_TIMED_OUT,
    ClientCommand,
    has_colour,
    open_client,
    parse_duration,
    printable,
    tell,
    url_option,
)

if TYPE_CHECKING:
    from slosh.client.asking import WatchOptions

_NOTES: Final = {
    "reset": "{topic} began a new life",
    "truncated": "{topic} keeps less than the time span asked for",
    "ended": "{topic} ended",
    "away": "no answer from {url}; trying again",
}


class SubCommand(ClientCommand):
    """The command, with its examples."""

    examples = (
        ("slosh sub kitchen", "what comes from now on"),
        ("slosh sub kitchen --last 10", "the last ten messages, then what comes"),
        ("slosh sub 'sensors/*' --since 10m --times", "the last ten minutes of several topics"),
        ("slosh sub kitchen --count 1 --timeout 30s", "wait for one message, for half a minute at most"),
        ("slosh sub load --every 1s --key host | jq .", "the newest message of each host, once a second"),
        (
            "slosh sub builds --exec 'notify-send slosh'",
            "run a command for each message, which it reads from its input",
        ),
    )
    exits = ("0", "2", "4", "124", "130")


@click.command(cls=SubCommand)
@click.argument("topics", nargs=-1, required=True, metavar="TOPIC...")
@click.option(
    "--since", metavar="TIME|PLACE", help="Start with what is not older than this (10m), earliest, or a place."
)
@click.option("--last", type=click.IntRange(1), metavar="N", help="Start with the last N messages.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Of what waits, give only the newest N at a time.")
@click.option("--every", metavar="TIME", help="Gather for this long, then give all that came.")
@click.option("--key", metavar="PATH", help="Of what waits, give only the newest of each value at this dotted path.")
@click.option("--raw", is_flag=True, help="Print messages alone, also on a terminal and for several topics.")
@click.option("--envelope", is_flag=True, help="Print an object a line: topic, offset, time, message, lost.")
@click.option("--times", is_flag=True, help="Print the time of arrival before each message.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after N messages.")
@click.option("--timeout", metavar="TIME", callback=parse_duration, help="End after this long, with exit code 124.")
@click.option("--exec", "command", metavar="COMMAND", help="Run this in a shell for each message, its standard input.")
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

    A line is the message's JSON; where several topics are read, or on a terminal with --times, their name or the time
    stands before it. What was missed is told on standard error. After a cut it goes on where it was, so no message
    comes twice.
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
    with (
        open_client(url) as client,
        client.watch(*topics, notes=True, **options) as watch,
    ):
        given = 0
        teller = _Teller(client.url, " ".join(topics))
        ctx.call_on_close(teller.tell_missed)
        for each in watch:
            teller(each)
            if isinstance(each, Note):
                continue
            if command is not None:
                _run(command, each)
            else:
                show(each)
            given += 1
            if given == count:
                return
        if watch.timed_out:
            ctx.exit(EXIT_TIMED_OUT)


class _Printer:
    """Prints messages, each in a line of its own, at once."""

    def __init__(self, *, several: bool, times: bool, envelope: bool) -> None:
        self._several = several
        self._times = times
        self._envelope = envelope
        self._colours = has_colour()
        self._terminal = sys.stdout.isatty()

    def __call__(self, item: Item) -> None:
        if self._envelope:
            text = json.dumps(
                {
                    "topic": item.topic,
                    "offset": item.offset,
                    "time": item.time,
                    "message": item.message,
                    **({"lost": item.lost} if item.lost else {}),
                    **({"reset": True} if item.reset else {}),
                },
                ensure_ascii=self._terminal,
            )
        else:
            text = item.raw.replace("\r", " ").replace("\n", " ")
        # On a terminal nothing in a message is obeyed; a program gets it as it was posted.
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
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(seconds)) + f".{int(seconds * 1000) % 1000:03d}"


class _Teller:
    """Says on standard error what happened between the messages. Losses are added up, and told once a second."""

    def __init__(self, url: str, topics: str) -> None:
        self._url = url
        self._topics = topics
        self._missed: Counter[str] = Counter()
        self._told = -math.inf  # when, seconds

    def __call__(self, each: Item | Note) -> None:
        if isinstance(each, Note):
            if each.kind == "lost":
                self._missed[each.topic] += each.count
            elif each.kind in _NOTES and (each.kind != "away" or each.count == 2):  # once for each time it is away
                tell(_NOTES[each.kind].format(topic=printable(each.topic or self._topics), url=self._url))
        if self._missed and time.monotonic() >= self._told + 1.0:
            self.tell_missed()

    def tell_missed(self) -> None:
        """Tell what was missed and not yet told."""
        self._told = time.monotonic()
        for topic, count in self._missed.items():
            name = printable(topic or self._topics)
            tell(f"{count} messages of {name} were missed: they left the ring before they were read (setting queue)")
        self._missed.clear()


def _run(command: str, item: Item) -> None:
    """Run `command` with a message as its standard input, and its topic in the environment."""
    ended = subprocess.run(["/bin/sh", "-c", command], input=item.raw.encode() + b"\n", check=False)  # noqa: S603 - the user's own command
    if ended.returncode:
        tell(f"the command ended with {ended.returncode}")
