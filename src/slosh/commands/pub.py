"""`slosh pub`: publish a value, or each line of standard input."""

import re
from collections.abc import Mapping
from typing import Final

import click

from slosh.client.addresses import check_topic
from slosh.client.errors import BadUse
from slosh.commands.lines import Encoder
from slosh.commands.publishing import (
    LinePublisher,
    PacedSource,
    end_topic,
    publish_lines,
    publish_one,
    publish_spooled,
    publish_strictly,
    tell_ended,
    tell_replaced,
    tell_text,
)
from slosh.commands.shared import (
    EXIT_FOUND,
    ClientCommand,
    Number,
    complete_topics,
    open_client,
    parse_duration,
    tell,
    url_option,
)
from slosh.commands.shell import Input, ShellCommand
from slosh.commands.teaching import FILE

_SLOWEST: Final = 1e-6
"""Lines a second: one in eleven days. Smaller numbers would ask for waits that no system allows."""
_NEGATIVE: Final = re.compile(r"-\.?[0-9]")
"""How a negative number begins; no option does."""


class PubCommand(ClientCommand):
    """The command, with its examples."""

    examples = (
        ("slosh pub kitchen '{\"t\":21.5}'", "publish one message"),
        ("slosh pub kitchen 21.5", "a number is a message too"),
        ("tail -f app.log | slosh pub log", "publish each line as it comes: JSON as it is, anything else as text"),
        ("vmstat -n 1 | slosh pub vm --as text --when-watched", "drop lines while nobody watches"),
        ("make 2>&1 | slosh pub build --as text --open --end", "a stream that ends, stored before somebody watches"),
        ("slosh pub vm --exec 'vmstat -n 1' --as text --when-watched", "run a program while somebody watches"),
        ("seq 100000 | slosh pub numbers --timeout 30s", "wait at most 30 seconds at the end"),
    )
    exits = ("0", "1", "2", "3", "4", "5", "6", "124", "130")

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line. A negative number is a value, though it begins as an option does."""
        takes = {
            name for each in self.params if isinstance(each, click.Option) and not each.is_flag for name in each.opts
        }
        words: list[str] = []
        numbers: list[str] = []
        end = args.index("--") if "--" in args else len(args)
        for number, word in enumerate(args[:end]):
            is_value = number and args[number - 1] in takes
            (numbers if _NEGATIVE.match(word) and not is_value else words).append(word)
        try:
            return super().parse_args(
                ctx, [*words, *(["--"] if numbers or end < len(args) else []), *numbers, *args[end + 1 :]]
            )
        except click.NoSuchOption as error:
            hint = "Write a VALUE that begins with - after --, as in: slosh pub kitchen -- -x"
            raise click.UsageError(f"{error.format_message()} {hint}", ctx=ctx) from error


@click.command(cls=PubCommand)
@click.argument("topic", shell_complete=complete_topics)
@click.argument("value", required=False)
@click.option(
    "--as",
    "form",
    metavar="FORM",
    default="auto",
    show_default=True,
    help="Form of a line: auto, JSON if it is JSON, else text; json; text, which becomes a JSON string; csv, whose "
    "first line names the columns; logfmt; influx; or regex:PATTERN, whose named groups are the values.",
)
@click.option(
    "--batch",
    type=click.IntRange(1),
    metavar="N",
    help="Most lines in one request. If a topic keeps fewer (queue), every reader misses some.  [default: as many as "
    "wait, up to half of what the topic keeps]",
)
@click.option("--when-watched", is_flag=True, help="While nobody watches, drop lines without sending them.")
@click.option(
    "--rate",
    type=Number(_SLOWEST, unbounded="leave the option out for no bound"),
    metavar="N",
    help="Send at most N lines a second.",
)
@click.option("--spool", type=FILE, help="Keep lines in FILE until they are published, also over restarts.")
@click.option(
    "--open", "opens", is_flag=True, help="Make the topic active first: it stores lines before somebody watches."
)
@click.option("--end", "ends", is_flag=True, help="End the topic after the last message, and so its readers.")
@click.option("--strict", is_flag=True, help="Stop with exit code 3 at the first message that nobody watches for.")
@click.option(
    "--exec",
    "command",
    metavar="COMMAND",
    help="Run this in a shell, and publish the lines that it prints instead of standard input. With --when-watched it "
    "runs only while somebody watches.",
)
@click.option(
    "--timeout", metavar="TIME", callback=parse_duration, help="At the end, wait this long for answers at most."
)
@url_option
@click.pass_context
def pub(  # noqa: PLR0913, PLR0917 - one for each option, which click gives by name
    ctx: click.Context,
    topic: str,
    value: str | None,
    form: str,
    batch: int | None,
    when_watched: bool,  # noqa: FBT001 - click's flags
    rate: float | None,
    spool: str | None,
    opens: bool,  # noqa: FBT001
    ends: bool,  # noqa: FBT001
    strict: bool,  # noqa: FBT001
    command: str | None,
    timeout: float | None,
    url: str | None,
) -> None:
    """Publish VALUE to TOPIC, or each line of standard input if there is no VALUE.

    A topic stores messages while somebody watches it; --open makes it do so before.

    Each is published as JSON if it is JSON, otherwise as a text. Empty lines are left out, except with --as text. A
    line that does not have the form of --as is left out and reported with its number, and the exit code is 1.

    Each line is sent as it comes; lines that come faster are sent together, in order. Lines without an answer are sent
    again under the same key, so nothing is stored twice.
    """
    encoder = Encoder(form, tell_replaced)
    check_topic(topic)
    _check_together(ctx.params)
    shell = ShellCommand(command) if command is not None else None
    if shell is not None:
        ctx.call_on_close(shell.stop)
    with open_client(url, timeout or 10.0) as client:
        if value is not None:
            message = encoder.encode(value.encode("utf-8", "surrogateescape"))
            tell_text(form, value, message)
            publish_one(ctx, client, topic, message, opens=opens, ends=ends)
            return
        if opens and client.open(topic).ended:
            tell_ended(ctx, topic)
        # A spool keeps the lines that --rate delays, so all of them are read at once.
        given = Input()
        ctx.call_on_close(given.close)
        lines = shell.lines() if shell is not None else given.lines()
        source = PacedSource(lines, rate if spool is None else None, given.pause)
        if strict:
            publish_strictly(ctx, client, topic, encoder, batch, source)
        elif spool is not None:
            publish_spooled(ctx, client, topic, encoder, batch, source, spool, timeout, rate, given.end)
        else:
            sleeps = when_watched and shell is None
            publisher = LinePublisher(client, given.end, batch=batch, when_watched=sleeps)
            if shell is not None and when_watched:
                source = PacedSource(
                    shell.lines_while_watched(client, topic, lambda: publisher.unwatched), rate, given.pause
                )
            publish_lines(ctx, publisher, topic, encoder, source, timeout)
        if shell is not None and shell.code:
            tell(f"the command ended with {shell.code}")
            ctx.exit(EXIT_FOUND)
        if ends:
            end_topic(ctx, client, topic)
        if encoder.broken:
            ctx.exit(EXIT_FOUND)


def _check_together(given: Mapping[str, object]) -> None:
    """Check that these options may stand together.

    Raises:
        BadUse: two of them contradict each other.
    """
    spool, value, command, when_watched, strict = (
        given[name] for name in ("spool", "value", "command", "when_watched", "strict")
    )
    if spool and (strict or when_watched or value is not None):
        raise BadUse("--spool keeps lines of standard input: leave out VALUE, --strict and --when-watched.")
    if spool and (given["opens"] or given["ends"]):
        raise BadUse("--spool may publish long after its program has ended: leave out --open and --end.")
    if command is not None and value is not None:
        raise BadUse("--exec publishes the lines that a command prints: leave out VALUE.")
    if command is not None and when_watched and (given["opens"] or given["ends"] or strict):
        raise BadUse(
            "--exec with --when-watched runs its command again and again: leave out --open, --end and --strict."
        )
