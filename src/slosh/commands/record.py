"""`slosh record`: write the messages of topics into a file, for `slosh replay`."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import click

from slosh.client.errors import BadUse, ClientError
from slosh.client.items import Item, Note
from slosh.client.iterator import Watch
from slosh.commands.progress import Progress, count
from slosh.commands.recording import write_item, write_note
from slosh.commands.shared import (
    EXIT_TIMED_OUT,
    ClientCommand,
    complete_topics,
    ending_unread,
    open_client,
    parse_duration,
    tell,
    url_option,
    writing,
)
from slosh.commands.teaching import FILE
from slosh.commands.telling import Teller, is_read

if TYPE_CHECKING:
    from slosh.client.request import WatchOptions


class RecordCommand(ClientCommand):
    """The command, with its examples."""

    examples = (
        ("slosh record kitchen -o kitchen.jsonl", "messages from now on, until Ctrl-C"),
        ("slosh record 'sensors/**' --since 10m -o s.jsonl", "also those of the last ten minutes"),
        ("slosh record '**' --timeout 1h -o all.jsonl", "an hour of everything"),
        ("slosh record kitchen -o - | gzip > k.jsonl.gz", "into a pipe"),
    )
    exits = ("0", "1", "2", "4", "124", "130")


@click.command(cls=RecordCommand)
@click.argument("topics", nargs=-1, required=True, metavar="TOPIC...", shell_complete=complete_topics)
@click.option("-o", "--output", required=True, type=FILE, help="The file to write; - for standard output.")
@click.option("--append", is_flag=True, help="Append to the file.")
@click.option(
    "--since", metavar="TIME|PLACE", help="Start with messages of the last TIME (10m); or earliest, all that are kept."
)
@click.option("--last", type=click.IntRange(1), metavar="N", help="Start with the last N messages.")
@click.option("--count", "most", type=click.IntRange(1), metavar="N", help="End after N messages.")
@click.option("--timeout", metavar="TIME", callback=parse_duration, help="End after this long, with exit code 124.")
@url_option
@click.pass_context
def record(  # noqa: PLR0913, PLR0917 - one for each option, which click gives by name
    ctx: click.Context,
    topics: tuple[str, ...],
    output: str,
    append: bool,  # noqa: FBT001 - click's flag
    since: str | None,
    last: int | None,
    most: int | None,
    timeout: float | None,
    url: str | None,
) -> None:
    """Write the messages of TOPICs to FILE, one JSON object a line, with their times of arrival.

    Losses, resets and ends are lines of their own, so a recording says which messages it misses. After a lost
    connection it continues where it was.
    """
    options = {"since": since, "last": last, "deadline": timeout}
    asked = cast("WatchOptions", {name: value for name, value in options.items() if value is not None})
    written = lost = 0
    with writing("standard output" if output == "-" else output), ExitStack() as stack:
        client = stack.enter_context(open_client(url))
        watch = stack.enter_context(client.watch(*topics, notes=True, **asked))
        file = stack.enter_context(_open(output, append=append))
        if output == "-":
            stack.enter_context(ending_unread(watch.close))
        ctx.call_on_close(lambda: tell(f"{count(written, 'message')} recorded" + (f", {lost} lost" if lost else "")))
        progress = stack.enter_context(Progress(lambda: f"{count(written, 'message')}, Ctrl-C ends"))
        progress.update()
        teller = Teller(client.where, " ".join(topics))
        for each in _or_nothing(watch, file, output):
            if isinstance(each, Note):
                if each.kind == "away":
                    teller(each)
                else:
                    lost += each.count if each.kind == "lost" else 0
                    _write(file, write_note(each, time.time()))
            elif is_read(each):
                _write(file, write_item(each, time.time()))
                written += 1
            else:
                _write(file, write_note(Note("unreadable", each.topic, 1), time.time()))
            progress.update()
            if written == most:
                return
        if watch.timed_out:
            ctx.exit(EXIT_TIMED_OUT)


def _or_nothing(watch: Watch[Item | Note], file: IO[str], output: str) -> Iterator[Item | Note]:
    """The messages and notes of a watch. If it is refused at once, the empty file is removed."""
    try:
        yield from watch
    except ClientError:
        if output != "-" and not file.tell():
            Path(output).unlink(missing_ok=True)
        raise


def _write(file: IO[str], line: str) -> None:
    """Write a line, and flush it, so that a full disk raises here."""
    file.write(line)
    file.flush()


def _open(output: str, *, append: bool) -> IO[str]:
    """Open the file to write to; an existing one is not overwritten."""
    if output == "-":
        return open(sys.stdout.fileno(), "w", encoding="utf-8", closefd=False)
    if Path(output).is_dir():
        raise BadUse(f"{output} is a directory. Name a file in it.")
    is_torn = append and _is_torn(Path(output))
    try:
        file = Path(output).open("a" if append else "x", encoding="utf-8")  # noqa: SIM115 - the caller closes it
    except FileExistsError:
        raise BadUse(f"{output} exists already. Append to it with --append, or name another file.") from None
    except OSError as error:
        raise BadUse(f"{output} cannot be written: {error.strerror}.") from None
    if is_torn:
        tell(f"{output} ends within a line, as after a full disk; the recording begins on a new line")
        _write(file, "\n")
    return file


def _is_torn(path: Path) -> bool:
    """Whether the last line of the file has no end: a line appended to it would be unreadable."""
    try:
        if not path.is_file() or not path.stat().st_size:
            return False
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except OSError:  # it may be written, and not be read
        return False
