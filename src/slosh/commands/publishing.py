"""The ways in which `slosh pub` publishes, and its reports: a value, lines, strictly, and with a spool.

The rules of this file:

* The outcome of every line is reported, on standard error and by the exit code.
* After Ctrl-C, lines that were read are published for up to `_PARTING` seconds, and the rest is counted. A second
  Ctrl-C ends those seconds, and nothing else.
"""

import contextlib
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NoReturn

import click

from slosh.client.answers import keeps_out
from slosh.client.batching import BatchSize, halve, may_be_one, place_in_batch
from slosh.client.errors import BadUse, ClientError, Refused
from slosh.client.publisher import Publisher
from slosh.client.synchronous import Client
from slosh.commands.lines import Encoder
from slosh.commands.progress import count, were
from slosh.commands.shared import (
    EXIT_ENDED,
    EXIT_REFUSED,
    EXIT_TIMED_OUT,
    EXIT_UNREACHABLE,
    EXIT_UNWATCHED,
    exit_of_refusal,
    tell,
    told_refusal,
    writing,
)
from slosh.commands.spool import Spool
from slosh.commands.spool_sender import SpoolSender, at_a_time

WAITING: Final = 16 * 1024 * 1024
"""Most bytes of lines that wait while the server does not answer; then standard input is left unread."""
_PARTING: Final = 2.0
"""Seconds after Ctrl-C in which lines that were read already are still published."""
_QUIET: Final = 1.5
"""Seconds until a server that does not answer is reported, while the request is repeated."""


def tell_text(form: str, value: str, message: bytes | None) -> None:
    """Warn of a value that begins like JSON and is not: a shell may have removed its quotes."""
    is_text = form == "auto" and message is not None and message.startswith(b'"')
    if is_text and value.lstrip().startswith(("{", "[")):
        tell("this is not JSON, so it is published as a text. --as json refuses it; --as text says it is meant")


def tell_replaced(number: int) -> None:
    """Say that a line, or the value if its number is 0, is no UTF-8, and how it is published."""
    which = f"line {number}" if number else "the value"
    tell(
        f"{which} is no UTF-8, so it is published with \N{REPLACEMENT CHARACTER} in place of such bytes; "
        "convert Latin-1 with: iconv -f latin1 -t utf-8"
    )


def _tell_unwatched(topic: str, number: int) -> None:
    tell(f"{count(number, 'message')} {were(number)} not published, because nobody watched {topic}")


def publish_one(
    ctx: click.Context, client: Client, topic: str, message: bytes | None, *, opens: bool, ends: bool
) -> None:
    """Publish one message. `message` is None if its form finds none in the value."""
    if message is None:
        raise BadUse(
            "This value holds no message in that form: with csv, give a heading and lines to standard input; with "
            "regex, the pattern was not found."
        )
    late = threading.Timer(_QUIET, tell, [f"no answer from {client.where} yet; trying again"])
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
        tell_ended(ctx, topic)
    tell(f"nobody watches {topic}, so nothing was published. Watch it with: slosh sub {shlex.quote(topic)}")
    ctx.exit(EXIT_UNWATCHED)


def end_topic(ctx: click.Context, client: Client, topic: str) -> None:
    """End the topic without a message."""
    if not client.end(topic):
        tell(f"nobody watches {topic} any more, so there was nothing to end")
        ctx.exit(EXIT_UNWATCHED)


def tell_ended(ctx: click.Context, topic: str) -> NoReturn:
    """Report that the topic accepts no more, and exit."""
    tell(f"{topic} has ended, so nothing was published")
    ctx.exit(EXIT_ENDED)


class PacedSource:
    """Lines, at most `rate` a second. Lines that are not read yet wait in the pipe.

    Args:
        lines: as they come.
        rate: lines a second; None for no bound.
        pause: called to wait for this many seconds; if it returns True, the source ends.

    Attributes:
        read: lines that were read so far, also those that wait for their time.
    """

    def __init__(self, lines: Iterator[list[bytes]], rate: float | None, pause: Callable[[float], object]) -> None:
        self._lines = lines
        self._rate = rate
        self._pause = pause
        self.read = 0

    def __iter__(self) -> Iterator[list[bytes]]:
        due = time.monotonic()
        for several in self._lines:
            self.read += len(several)
            if self._rate is None:
                yield several
                continue
            together = at_a_time(self._rate)
            for start in range(0, len(several), together):
                part = several[start : start + together]
                if self._pause(max(0.0, due - time.monotonic())):
                    return
                due = max(due, time.monotonic()) + len(part) / self._rate
                yield part


def _tell_left(source: PacedSource, encoder: Encoder, became: int) -> None:
    """Report how many lines were read and not published. Of `became` messages the outcome is known."""
    _tell_held(encoder)
    left = source.read - encoder.number + encoder.made - became
    if left > 0:
        tell(f"{count(left, 'message')} {were(left)} read and not published")


def _tell_held(encoder: Encoder) -> None:
    """Say that a row of CSV had not ended when the reading did."""
    if encoder.held:
        tell(f"the last row, {count(len(encoder.held), 'line')} so far, had no end yet, and was not published")


def publish_strictly(
    ctx: click.Context,
    client: Client,
    topic: str,
    encoder: Encoder,
    batch: int | None,
    source: PacedSource,
) -> None:
    """Publish lines, and stop at the first batch that nobody watches for."""
    size = BatchSize(batch)
    became = 0

    def publish(messages: Sequence[bytes], before: int = 0) -> None:
        nonlocal became
        try:
            published = client.publish_encoded(topic, messages)
        except Refused as error:
            if len(messages) == 1 or not may_be_one(error):
                raise place_in_batch(error, before) from None
            size.shrink(messages, error)
            for half, stand_before in halve(messages, before):
                publish(half, stand_before)
            return
        size.learn(topic, published)
        if published.ended:
            tell_ended(ctx, topic)
        if not published.taken:
            tell(f"nobody watches {topic}; stopped there")
            ctx.exit(EXIT_UNWATCHED)
        became += len(messages)

    try:
        for messages in encoder.encode_all(iter(source), _tell_broken):
            while messages:
                most = size.count(topic, messages)
                publish(messages[:most])
                del messages[:most]
    except KeyboardInterrupt:
        _tell_left(source, encoder, became)
        raise
    _tell_skipped(encoder)


class LinePublisher(Publisher):
    """A publisher that reports on standard error that its lines wait, and why some are refused, each once.

    Args:
        end_input: called if the server refuses this publisher (401, 403, 421), not just a line.
        batch, when_watched: of `Publisher`.

    Attributes:
        is_kept_out: whether the server refuses this publisher.
    """

    def __init__(self, client: Client, end_input: Callable[[], None], *, batch: int | None, when_watched: bool) -> None:
        self._end_input = end_input
        self.is_kept_out = self._waits = False
        self._reason = ""
        super().__init__(
            client, batch=batch, max_bytes=WAITING, when_full="wait", when_watched=when_watched, timeout=0.0, eager=True
        )

    def failed(self, error: ClientError) -> None:
        """Tell it once."""
        if not self._waits:
            self._waits = True
            tell(f"{error.detail} Lines wait meanwhile; trying again.")

    def not_taken(self, error: ClientError) -> None:
        """Report it at once, because the input may go on for months."""
        reason = error.reason if isinstance(error, Refused) else ""
        if reason != self._reason:
            self._reason = reason
            tell(f"the server refuses what is published: {told_refusal(error)}")
        if keeps_out(error) and not self.is_kept_out:
            self.is_kept_out = True
            self._end_input()

    def lost(self, count: int) -> None:
        """The command tells it."""


def publish_lines(
    ctx: click.Context,
    publisher: LinePublisher,
    topic: str,
    encoder: Encoder,
    source: PacedSource,
    timeout: float | None,
) -> None:
    """Publish lines in the background, and report their outcome at the end.

    If the server refuses this publisher, it ends at once, or with the next line of a command that it runs. The lines
    after that stay in the pipe.
    """
    try:
        for messages in encoder.encode_all(iter(source), _tell_broken):
            publisher.send_encoded(topic, messages)
            if publisher.is_kept_out:
                break
        in_time = publisher.flush(timeout)
    except BadUse:
        publisher.flush(timeout)  # the lines before it are published
        raise
    except KeyboardInterrupt:
        try:
            publisher.flush(_PARTING)
        finally:
            publisher.close()
            _tell_left(source, encoder, publisher.sent + publisher.unwatched + publisher.refused)
        raise
    finally:
        publisher.close()
    if not in_time:
        reason = f": {publisher.error.detail}" if publisher.error is not None else ""
        tell(f"{count(publisher.dropped, 'message')} could not be published within {timeout:g} s{reason}")
        ctx.exit(EXIT_UNREACHABLE if publisher.error is not None else EXIT_TIMED_OUT)
    _tell_skipped(encoder)
    if publisher.is_kept_out:
        _tell_left(source, encoder, publisher.sent + publisher.unwatched + publisher.refused)
    _tell_lines(ctx, publisher, topic)


def _tell_lines(ctx: click.Context, publisher: LinePublisher, topic: str) -> None:
    """Report the lines that were sent and not published, and exit with the code for that."""
    if publisher.refused:
        tell(f"the server refused {count(publisher.refused, 'message')}")
    if publisher.unwatched:
        _tell_unwatched(topic, publisher.unwatched)
    if publisher.refused:
        ctx.exit(exit_of_refusal(publisher.error))
    if publisher.unwatched and not publisher.sent:
        ctx.exit(EXIT_UNWATCHED)


def _tell_broken(first: int, last: int, error: BadUse) -> None:
    """Report which lines are left out. If there are very many, only the first are reported one by one."""
    which = f"line {first} is" if first == last else f"lines {first} to {last} are"
    tell(f"{which} left out: {error.detail}")


def _tell_skipped(encoder: Encoder) -> None:
    """Say how many lines were left out, and how many were changed."""
    if encoder.replaced > 1:
        tell(f"{count(encoder.replaced, 'line')} were no UTF-8")
    if encoder.broken:
        tell(f"{count(encoder.broken, 'line')} left out, because they do not have the form of --as")
    if encoder.skipped:
        tell(f"{count(encoder.skipped, 'line')} left out, because the pattern was not found there")


def publish_spooled(  # noqa: PLR0913, PLR0917 - the command's options
    ctx: click.Context,
    client: Client,
    topic: str,
    encoder: Encoder,
    batch: int | None,
    source: PacedSource,
    file: str,
    timeout: float | None,
    rate: float | None,
    end_input: Callable[[], None],
) -> None:
    """Publish lines through a file, which keeps each of them until the server has answered."""
    with writing(file), Spool(file) as spool:
        sender = SpoolSender(client, topic, spool, end_input, batch, rate)
        try:
            for messages in encoder.encode_all(iter(source), _tell_broken):
                sender.put(messages)
            in_time = sender.finish(timeout, at_its_rate=True)
        except KeyboardInterrupt:
            _tell_held(encoder)
            try:
                with contextlib.suppress(OSError, Refused):
                    sender.finish(_PARTING)
            finally:
                sender.stop()
                if spool.waiting:
                    tell(_told_waiting(spool, file))
            raise
        except BadUse:
            sender.finish(timeout, at_its_rate=True)
            raise
        except (OSError, Refused):
            _tell_left(source, encoder, spool.kept)
            if spool.waiting:
                tell(_told_waiting(spool, file))
            raise
        _tell_skipped(encoder)
        code = _tell_spooled(topic, sender)
        if not in_time:
            tell(_told_waiting(spool, file))
            ctx.exit(EXIT_UNREACHABLE)
        if code:
            ctx.exit(code)


def _tell_spooled(topic: str, sender: SpoolSender) -> int:
    """Report the outcome of lines that left the spool, and return the exit code for it."""
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
    spool.check()
    return f"{spool.waiting:,} bytes of messages wait in {file}; the next slosh pub --spool {file} sends them"
