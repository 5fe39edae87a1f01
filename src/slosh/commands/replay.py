"""`slosh replay`: publish a recording again, with the pauses that it had."""

import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Final

import click

from slosh.client.addresses import check_topic, one_topic_path
from slosh.client.answers import keeps_out
from slosh.client.batching import halve, may_be_one, place_in_batch
from slosh.client.errors import BadUse, ClientError, Refused
from slosh.client.synchronous import Client
from slosh.commands.progress import Progress, count, were
from slosh.commands.recording import RecordedMessage, read_line
from slosh.commands.shared import (
    EXIT_ENDED,
    EXIT_FOUND,
    EXIT_REFUSED,
    EXIT_UNWATCHED,
    ClientCommand,
    Number,
    keep_trying,
    open_client,
    printable,
    tell,
    told_refusal,
    url_option,
)
from slosh.commands.teaching import FILE

_TOGETHER: Final = 0.02
"""Seconds: messages of one topic that are due within this are published in one request."""
_BATCH: Final = 50
"""Messages of one request; half of what a topic keeps by default."""
_TOLD: Final = 10
"""Lines that are told one by one if they are left out."""
_AWAY: Final = 0.1
"""Seconds for one request beyond which the server was away; what follows is later by as much."""
_WATCHED_WAIT: Final = 25.0
"""Seconds that one question whether a topic is watched may take."""


class ReplayCommand(ClientCommand):
    """The command, with its examples."""

    examples = (
        ("slosh replay kitchen.jsonl", "as fast as it was recorded"),
        ("slosh replay s.jsonl --speed 10 --loop", "ten times as fast, again and again"),
        ("slosh replay s.jsonl --speed 0", "without pauses"),
        ("slosh replay k.jsonl --to test/kitchen", "to another topic"),
        ("slosh replay k.jsonl --when-watched", "begin when somebody watches"),
    )
    exits = ("0", "1", "2", "3", "4", "6", "130")


@click.command(cls=ReplayCommand)
@click.argument("file", type=FILE)
@click.option(
    "--speed",
    type=Number(0, unbounded="write 0 for no pauses"),
    default=1.0,
    show_default=True,
    help="How many times as fast; 0 for no pauses.",
)
@click.option("--loop", is_flag=True, help="Start again at the end, until Ctrl-C.")
@click.option(
    "--to", metavar="TOPIC", help="Publish everything to this topic; if it ends with /, it is a prefix of the names."
)
@click.option(
    "--open", "opens", is_flag=True, help="Make each topic active first: it stores messages before somebody watches."
)
@click.option("--when-watched", is_flag=True, help="Wait until somebody watches the first topic.")
@url_option
@click.pass_context
def replay(  # noqa: PLR0913, PLR0917 - one for each option, which click gives by name
    ctx: click.Context,
    file: str,
    speed: float,
    loop: bool,  # noqa: FBT001 - click's flags
    to: str | None,
    opens: bool,  # noqa: FBT001
    when_watched: bool,  # noqa: FBT001
    url: str | None,
) -> None:
    """Publish the messages in FILE, which `slosh record` wrote, with their original pauses. - is standard input.

    While the server is away or busy, the replay tries again and leaves nothing out. A message that the server refuses
    is left out and counted. A server that refuses this publisher (401, 403, 421) ends the replay.
    """
    if loop and file == "-":
        raise BadUse("Standard input can be read once only; --loop needs a file.")
    if to is not None:
        check_topic(to.removesuffix("/"))
    tally: Counter[str] = Counter()
    with open_client(url) as client, Progress(lambda: _describe(tally)) as progress:
        player = _Player(client, speed, to, tally, progress, opens=opens, when_watched=when_watched)
        try:
            while True:
                with _open(file) as source:
                    player.play(source)
                if not loop or not tally["read"]:
                    break
        except Refused:  # which says why; this says how far it came
            _tell(tally, player)
            raise
    _tell(tally, player)
    for became, code in (("refused", EXIT_REFUSED), ("ended", EXIT_ENDED), ("broken", EXIT_FOUND)):
        if tally[became]:
            ctx.exit(code)
    if tally["unwatched"] and not tally["sent"]:
        ctx.exit(EXIT_UNWATCHED)


def _tell(tally: Counter[str], player: "_Player") -> None:
    """Say what became of the messages that were read."""
    unwatched = f", {tally['unwatched']} not: nobody watched their topics" if tally["unwatched"] else ""
    ended = f", {tally['ended']} not: their topics have ended" if tally["ended"] else ""
    tell(f"{count(tally['sent'], 'message')} published{unwatched}{ended}")
    if tally["refused"]:
        tell(f"{count(tally['refused'], 'message')} {were(tally['refused'])} refused, the last one of {player.refusal}")
    if tally["broken"]:
        tell(f"{count(tally['broken'], 'line')} left out")


class _Player:
    """Publishes messages when they are due."""

    def __init__(
        self,
        client: Client,
        speed: float,
        to: str | None,
        tally: Counter[str],
        progress: Progress,
        *,
        opens: bool,
        when_watched: bool,
    ) -> None:
        self._client = client
        self._speed = speed
        self._to = to
        self._tally = tally
        self._progress = progress
        self._waits = when_watched
        self._opened: set[str] | None = set() if opens else None
        self._late = 0.0  # seconds for which the server was away
        self.refusal = ""

    def play(self, source: IO[bytes]) -> None:
        """Publish all that is in a file.

        Raises:
            Refused: the server keeps this publisher out, whatever the messages are.
        """
        began = first = None
        self._late = 0.0
        for topic, batch in self._batches(source):
            try:
                one_topic_path(topic)
                while self._waits:
                    self._progress.update()
                    self._waits = not keep_trying(partial(self._client.watchers, topic, wait=_WATCHED_WAIT))
            except (BadUse, Refused) as error:
                self._refuse(topic, len(batch), error)
                continue
            if began is None or first is None:
                began, first = time.monotonic(), batch[0].time
            if self._speed:
                self._sleep(began + self._late + (batch[0].time - first) / self._speed)
            self._publish(topic, [each.message for each in batch])

    def _sleep(self, until: float) -> None:
        while (left := until - time.monotonic()) > 0:
            self._progress.update()
            time.sleep(min(left, 0.2))
        self._progress.update()

    def _batches(self, source: IO[bytes]) -> Iterator[tuple[str, list[RecordedMessage]]]:
        """What is published together: messages of one topic, next to each other in the file and in time."""
        batch: list[RecordedMessage] = []
        together = _TOGETHER * self._speed
        for number, line in enumerate(source, 1):
            try:
                each = read_line(line, number)
            except BadUse as error:
                self._tally["broken"] += 1
                if self._tally["broken"] <= _TOLD:
                    tell(f"{error.detail} It is left out.")
                continue
            if each is None:
                continue
            self._tally["read"] += 1
            if batch and (
                len(batch) == _BATCH
                or each.topic != batch[0].topic
                or (self._speed and not 0 <= each.time - batch[0].time <= together)
            ):
                yield self._name(batch[0].topic), batch
                batch = []
            batch.append(each)
        if batch:
            yield self._name(batch[0].topic), batch

    def _name(self, topic: str) -> str:
        if self._to is None:
            return topic
        return self._to + topic if self._to.endswith("/") else self._to

    def _publish(self, topic: str, messages: Sequence[bytes]) -> None:
        began = time.monotonic()
        self._send(topic, messages)
        took = time.monotonic() - began
        if took > _AWAY:
            self._late += took

    def _send(self, topic: str, messages: Sequence[bytes], before: int = 0) -> None:
        """Publish messages of one topic. A batch that is refused for one of them, or its size, is sent in halves."""
        key = secrets.token_urlsafe(12)
        opens = self._opened is not None and topic not in self._opened
        try:
            published = keep_trying(lambda: self._client.publish_encoded(topic, messages, key=key, open=opens))
        except Refused as error:
            if len(messages) == 1 or not may_be_one(error):
                self._refuse(topic, len(messages), place_in_batch(error, before))
                return
            for half, stand_before in halve(messages, before):
                self._send(topic, half, stand_before)
        else:
            if self._opened is not None:
                self._opened.add(topic)
            became = "sent" if published.taken else "ended" if published.ended else "unwatched"
            self._tally[became] += len(messages)

    def _refuse(self, topic: str, number: int, error: ClientError) -> None:
        """Leave messages out that are not taken, by their topic's name or by the server.

        Raises:
            Refused: it is this publisher that the server refuses, so all that follows would be refused too.
        """
        if keeps_out(error):
            tell(f"{self._client.where} does not let this replay publish to {printable(topic)}, so it ends.")
            raise error
        self.refusal = f"{printable(topic)}: {told_refusal(error)}"
        self._tally["refused"] += number


def _describe(tally: Counter[str]) -> str:
    not_taken = tally["unwatched"] + tally["ended"]
    if not tally["sent"] and not not_taken:
        return "waiting until somebody watches, Ctrl-C ends"
    return f"{count(tally['sent'], 'message')} published, {not_taken:,} not watched or ended, Ctrl-C ends"


def _open(file: str) -> IO[bytes]:
    if file == "-":
        return open(sys.stdin.fileno(), "rb", closefd=False)
    try:
        return Path(file).open("rb")
    except OSError as error:
        raise BadUse(f"{file} cannot be read: {error.strerror}.") from None
