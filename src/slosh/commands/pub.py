"""`slosh pub`: publish a value, or each line of standard input.

It is longer than other files because a publish has four ways (a value, lines, strictly, with a spool), and each tells
what became of what it was given.
"""

import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NoReturn

import click

from slosh.client.batching import BatchSize, halve, may_be_one
from slosh.client.errors import BadUse, ClientError, Refused
from slosh.client.publisher import Publisher
from slosh.client.synchronous import Client
from slosh.commands.lines import Encoder
from slosh.commands.progress import count, were
from slosh.commands.shared import (
    EXIT_ENDED,
    EXIT_FOUND,
    EXIT_REFUSED,
    EXIT_TIMED_OUT,
    EXIT_UNREACHABLE,
    EXIT_UNWATCHED,
    ClientCommand,
    complete_topics,
    open_client,
    parse_duration,
    printable,
    tell,
    told_refusal,
    url_option,
    writing,
)
from slosh.commands.shell import ShellCommand, read_lines
from slosh.commands.spool import Spool, SpoolSender

_TOGETHER: Final = 0.05
"""Seconds: lines that are due within this go together where --rate bounds them."""
_NEGATIVE: Final = re.compile(r"-\.?[0-9]")
"""How a negative number begins; no option does."""
_WAITING: Final = 16 * 1024 * 1024
"""Bytes of lines that are kept while the server does not answer; standard input is left unread beyond that."""
_PARTING: Final = 2.0
"""Seconds after Ctrl-C in which lines that were read already are still published."""


class PubCommand(ClientCommand):
    """The command, with its examples."""

    examples = (
        ("slosh pub kitchen '{\"t\":21.5}'", "one message"),
        ("slosh pub kitchen 21.5", "a number is a message too"),
        ("tail -f app.log | slosh pub log", "each line, as it comes: JSON as it is, anything else as a text"),
        ("vmstat -n 1 | slosh pub vm --as text --when-watched", "work for nobody is dropped"),
        ("make 2>&1 | slosh pub build --as text --open --end", "a stream with an end, stored before somebody watches"),
        ("slosh pub vm --exec 'vmstat -n 1' --as text --when-watched", "a program that runs while somebody watches"),
        ("seq 100000 | slosh pub numbers --timeout 30s", "give up when the server is away for so long"),
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
            hint = "A VALUE that begins with - stands behind --, as in: slosh pub kitchen -- -x"
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
    help="What a line is: json; text, which becomes a JSON string; auto, JSON where it is JSON and else text; "
    "csv, after a line that names the columns; logfmt; influx; or regex:PATTERN, whose named groups are the values.",
)
@click.option(
    "--batch",
    type=click.IntRange(1),
    metavar="N",
    help="Lines that are sent together at most. More than a topic keeps (queue) lose some to every reader.  [default: "
    "as many as wait, up to half of what the topic keeps]",
)
@click.option("--when-watched", is_flag=True, help="While nobody watches, drop lines without asking each time.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), metavar="N", help="At most N lines a second.")
@click.option("--spool", metavar="FILE", help="Keep lines in FILE until they are published, also over restarts.")
@click.option("--open", "opens", is_flag=True, help="Make the topic active first, so that nobody need watch it yet.")
@click.option("--end", "ends", is_flag=True, help="End the topic behind the last message.")
@click.option("--strict", is_flag=True, help="Stop with exit code 3 at the first message that nobody watches for.")
@click.option(
    "--exec",
    "command",
    metavar="COMMAND",
    help="Run this in a shell, and publish the lines that it prints in place of standard input. With --when-watched it "
    "runs while somebody watches.",
)
@click.option("--timeout", metavar="TIME", callback=parse_duration, help="Give up when the end takes longer than this.")
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
    """Publish VALUE to TOPIC, or each line of standard input where there is no VALUE.

    Both are taken in the same way: as JSON where they are JSON, and else as a text. --as json refuses what is none,
    --as text makes a text of all. A line that has another form than --as says is left out, and told with its number;
    the exit code is 1 then.

    A topic takes messages while somebody watches it. A line is sent as it comes, and those that come faster are sent
    together, in their order. What got no answer is sent again under the same key, so nothing is stored twice.
    """
    encoder = Encoder(form)
    _check_together(ctx.params)
    shell = ShellCommand(command) if command is not None else None
    if shell is not None:
        ctx.call_on_close(shell.stop)
    with open_client(url, timeout or 10.0) as client:
        if value is not None:
            message = encoder.encode(value.encode("utf-8", "surrogateescape"))
            _tell_text(form, value, message)
            _publish_one(ctx, client, topic, message, opens=opens, ends=ends)
            return
        if opens and client.open(topic).ended:
            _tell_ended(ctx, topic)
        source = paced(shell.lines() if shell is not None else read_lines(), rate)
        if strict:
            _publish_strictly(ctx, client, topic, encoder, batch, source)
        elif spool is not None:
            _publish_spooled(ctx, client, topic, encoder, batch, source, spool, timeout)
        else:
            sleeps = when_watched and shell is None
            publisher = _LinePublisher(
                client, batch=batch, max_bytes=_WAITING, when_full="wait", when_watched=sleeps, timeout=0.0, eager=True
            )
            if shell is not None and when_watched:
                source = paced(shell.lines_while_watched(client, topic, lambda: publisher.unwatched), rate)
            _publish_lines(ctx, publisher, topic, encoder, source, timeout)
        if shell is not None and shell.code:
            tell(f"the command ended with {shell.code}")
            ctx.exit(EXIT_FOUND)
        if ends:
            _end(ctx, client, topic)
        if encoder.broken:
            ctx.exit(EXIT_FOUND)


def _check_together(given: Mapping[str, object]) -> None:
    """See that these options may stand together.

    Raises:
        BadUse: two of them contradict each other.
    """
    spool, value, command, when_watched, strict = (
        given[name] for name in ("spool", "value", "command", "when_watched", "strict")
    )
    if spool and (strict or when_watched or value is not None):
        raise BadUse("--spool is for lines of standard input, and goes without --strict and --when-watched.")
    if spool and (given["opens"] or given["ends"]):
        raise BadUse("--spool may publish long after its program has ended, so it goes without --open and --end.")
    if command is not None and value is not None:
        raise BadUse("--exec publishes what a command prints, so it goes without a VALUE.")
    if command is not None and when_watched and (given["opens"] or given["ends"] or strict):
        raise BadUse(
            "--exec with --when-watched runs its command again and again, so without --open, --end and --strict."
        )


_QUIET: Final = 1.5
"""Seconds until a server that does not answer is told of, while it is tried again."""


def _tell_text(form: str, value: str, message: bytes | None) -> None:
    """Say that a value which begins as JSON does is none: a shell may have taken its quotes away."""
    is_text = form == "auto" and message is not None and message.startswith(b'"')
    if is_text and value.lstrip().startswith(("{", "[")):
        tell("this is not JSON, so it is published as a text; --as json refuses that, and --as text says it is meant")


def _tell_unwatched(topic: str, number: int) -> None:
    tell(f"{count(number, 'message')} {were(number)} not published, because nobody watched {topic}")


def _publish_one(
    ctx: click.Context, client: Client, topic: str, message: bytes | None, *, opens: bool, ends: bool
) -> None:
    if message is None:
        raise BadUse("This value holds no message in that form: csv needs a heading, and a pattern has to be found.")
    late = threading.Timer(_QUIET, tell, [f"no answer from {client.url} yet; trying again"])
    late.daemon = True
    late.start()
    try:
        published = client.publish_encoded(topic, [message], open=opens, end=ends)
    finally:
        late.cancel()
    if published.taken:
        watchers = published.watchers
        tell(f"published as {published.max} to {topic}, watched by {watchers}") if sys.stderr.isatty() else None
        return
    if published.ended:
        _tell_ended(ctx, topic)
    tell(f"nobody watches {topic}, so nothing was published. Watch it with: slosh sub {topic}")
    ctx.exit(EXIT_UNWATCHED)


def _end(ctx: click.Context, client: Client, topic: str) -> None:
    if not client.end(topic):
        tell(f"nobody watches {topic} any more, so there was nothing to end")
        ctx.exit(EXIT_UNWATCHED)


def _tell_ended(ctx: click.Context, topic: str) -> NoReturn:
    tell(f"{topic} has ended, so nothing was published")
    ctx.exit(EXIT_ENDED)


def _publish_strictly(
    ctx: click.Context,
    client: Client,
    topic: str,
    encoder: Encoder,
    batch: int | None,
    source: Iterator[list[bytes]],
) -> None:
    size = BatchSize(batch)

    def publish(messages: Sequence[bytes]) -> None:
        try:
            published = client.publish_encoded(topic, messages)
        except Refused as error:
            if len(messages) == 1 or not may_be_one(error):
                raise
            size.shrink(messages, error)
            for half in halve(messages):
                publish(half)
            return
        size.learn(topic, published)
        if published.ended:
            _tell_ended(ctx, topic)
        if not published.taken:
            tell(f"nobody watches {topic}; stopped there")
            ctx.exit(EXIT_UNWATCHED)

    for messages in encoder.encode_all(source, tell_broken):
        while messages:
            most = size.count(topic, messages)
            publish(messages[:most])
            del messages[:most]
    tell_skipped(encoder)


class _LinePublisher(Publisher):
    """A publisher that tells on standard error when its lines have to wait, and when they go on."""

    _waits = False

    def failed(self, error: ClientError) -> None:
        """Tell it once."""
        if not self._waits:
            self._waits = True
            tell(f"{error.detail} Lines wait meanwhile, and it is tried again.")


def _publish_lines(
    ctx: click.Context,
    publisher: Publisher,
    topic: str,
    encoder: Encoder,
    source: Iterator[list[bytes]],
    timeout: float | None,
) -> None:
    try:
        for messages in encoder.encode_all(source, tell_broken):
            publisher.send_encoded(topic, messages)
        in_time = publisher.flush(timeout)
    except BadUse:
        publisher.flush(timeout)  # the lines before it are published
        raise
    except KeyboardInterrupt:
        publisher.flush(_PARTING)
        publisher.close()
        if publisher.dropped:
            tell(f"{count(publisher.dropped, 'message')} {were(publisher.dropped)} read and not published")
        raise
    finally:
        publisher.close()
    if not in_time:
        reason = f": {publisher.error.detail}" if publisher.error is not None else ""
        tell(f"{count(publisher.dropped, 'message')} could not be published within {timeout:g} s{reason}")
        ctx.exit(EXIT_UNREACHABLE if publisher.error is not None else EXIT_TIMED_OUT)
    tell_skipped(encoder)
    if publisher.refused:
        reason = told_refusal(publisher.error) if publisher.error else ""
        tell(f"the server refused {count(publisher.refused, 'message')}: {reason}")
    if publisher.unwatched:
        _tell_unwatched(topic, publisher.unwatched)
    if publisher.refused:
        is_ended = isinstance(publisher.error, Refused) and publisher.error.reason == "ended"
        ctx.exit(EXIT_ENDED if is_ended else EXIT_REFUSED)
    if publisher.unwatched and not publisher.sent:
        ctx.exit(EXIT_UNWATCHED)


def paced(lines: Iterator[list[bytes]], rate: float | None) -> Iterator[list[bytes]]:
    """Lines at no more than so many a second. What is not read waits in the pipe."""
    if rate is None:
        yield from lines
        return
    due = time.monotonic()
    together = max(1, int(rate * _TOGETHER))
    for several in lines:
        for start in range(0, len(several), together):
            part = several[start : start + together]
            time.sleep(max(0.0, due - time.monotonic()))
            due = max(due, time.monotonic()) + len(part) / rate
            yield part


def tell_broken(number: int, error: BadUse) -> None:
    """Say which line is left out. Of very many the first ones are told, and all are counted at the end."""
    tell(f"line {number} is left out: {printable(error.detail)}")


def tell_skipped(encoder: Encoder) -> None:
    """Say how many lines were left out."""
    if encoder.broken:
        tell(f"{count(encoder.broken, 'line')} left out, because the form was another one")
    if encoder.skipped:
        tell(f"{count(encoder.skipped, 'line')} left out, because the pattern was not found there")


def _publish_spooled(  # noqa: PLR0913, PLR0917 - the command's options
    ctx: click.Context,
    client: Client,
    topic: str,
    encoder: Encoder,
    batch: int | None,
    source: Iterator[list[bytes]],
    file: str,
    timeout: float | None,
) -> None:
    with writing(file), Spool(file) as spool:
        sender = SpoolSender(client, topic, spool, batch)
        try:
            for messages in encoder.encode_all(source, tell_broken):
                sender.put(messages)
        except KeyboardInterrupt:
            sender.finish(_PARTING)
            if spool.waiting:
                tell(_told_waiting(spool, file))
            raise
        except BadUse:
            sender.finish(timeout)
            raise
        in_time = sender.finish(timeout)
        tell_skipped(encoder)
        code = _tell_spooled(topic, sender)
        if not in_time:
            tell(_told_waiting(spool, file))
            ctx.exit(EXIT_UNREACHABLE)
        if code:
            ctx.exit(code)


def _tell_spooled(topic: str, sender: SpoolSender) -> int:
    """Say what became of lines that are in a spool no more, and give the exit code of that."""
    became = sender.tally
    if became["unwatched"]:
        _tell_unwatched(topic, became["unwatched"])
    if sender.refusal is not None:
        tell(f"the server refused {count(became['refused'], 'message')}: {told_refusal(sender.refusal)}")
    if became["ended"]:
        tell(f"{topic} has ended, so {count(became['ended'], 'message')} {were(became['ended'])} not published")
        return EXIT_ENDED
    if became["refused"]:
        return EXIT_REFUSED
    return EXIT_UNWATCHED if became["unwatched"] and not became["sent"] else 0


def _told_waiting(spool: Spool, file: str) -> str:
    return f"{spool.waiting:,} bytes of messages wait in {file}; the next slosh pub --spool {file} sends them"
