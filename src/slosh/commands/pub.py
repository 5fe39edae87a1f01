"""`slosh pub`: publish a value, or each line of standard input."""

import json
import os
import sys
from collections.abc import Iterator
from typing import Final

import click
import msgspec

from slosh.client.errors import BadUse
from slosh.client.publisher import BATCH, Publisher
from slosh.client.synchronous import Client
from slosh.commands.shared import (
    EXIT_REFUSED,
    EXIT_TIMED_OUT,
    EXIT_UNREACHABLE,
    EXIT_UNWATCHED,
    ClientCommand,
    open_client,
    parse_duration,
    tell,
    url_option,
)

_READ: Final = 256 * 1024
_LONGEST_LINE: Final = 64 * 1024 * 1024
"""Bytes of a line of standard input; one without an end would fill the memory."""
_WAITING: Final = 16 * 1024 * 1024
"""Bytes of lines that are kept while the server does not answer; standard input is left unread beyond that."""


class PubCommand(ClientCommand):
    """The command, with its examples."""

    examples = (
        ("slosh pub kitchen '{\"t\":21.5}'", "one message"),
        ("slosh pub kitchen 21.5", "a number is a message too"),
        ("tail -f app.log | slosh pub log", "each line, as it comes: JSON as it is, anything else as a text"),
        ("vmstat -n 1 | slosh pub vm --as text --when-watched", "work for nobody is let go"),
        ("seq 100000 | slosh pub numbers --timeout 30s", "give up when the server is away for so long"),
    )
    exits = ("0", "2", "3", "4", "5", "124", "130")


@click.command(cls=PubCommand)
@click.argument("topic")
@click.argument("value", required=False)
@click.option(
    "--as",
    "form",
    type=click.Choice(["auto", "json", "text"]),
    default="auto",
    show_default=True,
    help="What a line is: json; text, which becomes a JSON string; auto, JSON where it is JSON and else text.",
)
@click.option(
    "--batch",
    type=click.IntRange(1),
    default=BATCH,
    show_default=True,
    metavar="N",
    help="Lines that are sent together at most. More than a topic keeps (queue) lose some to every reader.",
)
@click.option("--when-watched", is_flag=True, help="While nobody watches, let go of lines without asking each time.")
@click.option("--strict", is_flag=True, help="Stop with exit code 3 at the first message that nobody watches for.")
@click.option("--timeout", metavar="TIME", callback=parse_duration, help="Give up when the end takes longer than this.")
@url_option
@click.pass_context
def pub(  # noqa: PLR0913, PLR0917 - one for each option, which click gives by name
    ctx: click.Context,
    topic: str,
    value: str | None,
    form: str,
    batch: int,
    when_watched: bool,  # noqa: FBT001 - click's flags
    strict: bool,  # noqa: FBT001
    timeout: float | None,
    url: str | None,
) -> None:
    """Publish VALUE to TOPIC, or each line of standard input where there is no VALUE.

    A topic takes messages while somebody watches it. Lines are sent in batches, in their order, and a batch that got
    no answer is sent again under the same key, so nothing is stored twice.
    """
    with open_client(url, timeout or 10.0) as client:
        if value is not None:
            _publish_one(ctx, client, topic, read_value(value, form))
        elif strict:
            _publish_strictly(ctx, client, topic, form, batch)
        else:
            publisher = Publisher(
                client, batch=batch, max_bytes=_WAITING, when_full="wait", when_watched=when_watched, timeout=0.0
            )
            _publish_lines(ctx, publisher, topic, form, timeout)


def read_value(text: str, form: str) -> bytes:
    """The message that a VALUE or a line means.

    Raises:
        BadUse: it is to be JSON and is not.
    """
    return encode_line(text.encode("utf-8", "surrogateescape"), form)


def encode_line(line: bytes, form: str) -> bytes:
    """One line as a message, without a line's end in it.

    Raises:
        BadUse: it is to be JSON and is not.
    """
    if form != "text":
        try:
            _check(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if form == "json":
                shown = line[:60].decode("utf-8", "replace")
                raise BadUse(f"This is not JSON: {shown!r} ({error}). With --as text it is sent as a text.") from error
        else:
            return line.strip().replace(b"\n", b" ").replace(b"\r", b" ")
    return json.dumps(line.decode("utf-8", "replace"), ensure_ascii=False).encode()


def read_lines() -> Iterator[list[bytes]]:
    """The lines of standard input, without their ends, as many at a time as have come. Empty lines are skipped.

    Raises:
        BadUse: a line is too long.
    """
    rest = b""
    source = sys.stdin.fileno()
    while data := os.read(source, _READ):
        *lines, rest = (rest + data).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            raise BadUse(f"A line of standard input is longer than {_LONGEST_LINE} bytes.")
        if kept := [line.removesuffix(b"\r") for line in lines if line.strip()]:
            yield kept
    if rest.strip():
        yield [rest]


def _publish_one(ctx: click.Context, client: Client, topic: str, message: bytes) -> None:
    published = client.publish_encoded(topic, [message])
    if published.taken:
        watchers = published.watchers
        tell(f"published as {published.max} to {topic}, watched by {watchers}") if sys.stderr.isatty() else None
        return
    tell(f"nobody watches {topic}, so nothing was published. Watch it with: slosh sub {topic}")
    ctx.exit(EXIT_UNWATCHED)


def _publish_strictly(ctx: click.Context, client: Client, topic: str, form: str, batch: int) -> None:
    for lines in read_lines():
        for start in range(0, len(lines), batch):
            messages = [encode_line(line, form) for line in lines[start : start + batch]]
            published = client.publish_encoded(topic, messages)
            if not published.taken:
                tell(f"nobody watches {topic}; stopped there")
                ctx.exit(EXIT_UNWATCHED)


def _publish_lines(ctx: click.Context, publisher: Publisher, topic: str, form: str, timeout: float | None) -> None:
    try:
        for lines in read_lines():
            publisher.send_encoded(topic, [encode_line(line, form) for line in lines])
        in_time = publisher.flush(timeout)
    finally:
        publisher.close()
    if not in_time:
        reason = f": {publisher.error.detail}" if publisher.error is not None else ""
        tell(f"{publisher.dropped} messages could not be published within {timeout:g} s{reason}")
        ctx.exit(EXIT_UNREACHABLE if publisher.error is not None else EXIT_TIMED_OUT)
    if publisher.refused:
        tell(f"the server refused {publisher.refused} messages: {publisher.error.detail if publisher.error else ''}")
    if publisher.unwatched:
        tell(f"{publisher.unwatched} messages were not published, because nobody watched {topic}")
    if publisher.refused:
        ctx.exit(EXIT_REFUSED)
    if publisher.unwatched and not publisher.sent:
        ctx.exit(EXIT_UNWATCHED)


_check: Final = msgspec.json.Decoder(msgspec.Raw).decode
