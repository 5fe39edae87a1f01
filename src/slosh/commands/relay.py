"""`slosh relay`: publish the messages of a topic to others, also between servers.

The rules of this file:

* A message is published under a key made of where it comes from, its number in the life of its topic and where it goes,
  so one that is sent again after a cut or a restart is stored once, for as long as the target remembers keys. The
  reader's place is not part of the key: with several topics it depends on the order in which their messages came.
* A relay with a file asks for its place before it reads, so that it can continue from there. Only a `--since` that
  means the same after a restart, `earliest` or a place, needs none.
* The place in the source moves on only when each target has answered, and is in the file before the next message is
  published. So at most one message can be stored twice: the one that was being published when the relay ended, if the
  next relay starts after the targets have forgotten its key. That relay reports it.
* If a target refuses this relay (401, 403, 421), the relay ends before that message, because it may be published with
  another token. A message that is refused for itself is left out, and counted.
"""

import contextlib
import math
import time
from collections import Counter
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

import click

from slosh.client.addresses import UNIX, check_topic, find_url, topic_path
from slosh.client.answers import Published, is_passing, keeps_out
from slosh.client.errors import BadUse, ClientError, Refused
from slosh.client.items import Item, Note
from slosh.client.synchronous import Client
from slosh.commands.progress import Progress, count
from slosh.commands.relay_place import REMEMBERED, PlaceFile, find_begin, moves_on
from slosh.commands.shared import (
    EXIT_ENDED,
    EXIT_REFUSED,
    EXIT_TIMED_OUT,
    ClientCommand,
    keep_trying,
    parse_duration,
    printable,
    tell,
    url_option,
)
from slosh.commands.teaching import FILE
from slosh.commands.telling import Teller, is_read
from slosh.core.cursor import write_cursor

if TYPE_CHECKING:
    from slosh.client.request import WatchOptions

_SOON: Final = 0.001
"""Seconds that are left at least if a time was given."""
_REQUEST: Final = 10.0
"""Seconds that one request may take, if more are left."""
_STATE_HELP: Final = (
    "Keep the place in FILE, and continue there after a restart. Only the message that was being published may be "
    "stored twice, if the restart comes more than 5 minutes later."
)


class RelayCommand(ClientCommand):
    """The command, with its examples."""

    examples = (
        ("slosh relay http://pi:8000/topics/kitchen home/kitchen", "from another server to this one"),
        ("slosh relay 'sensors/**' https://example.org/topics/", "several topics, under their own names"),
        ("slosh relay orders audit backup --state r.place", "to two topics; continue after a restart"),
    )
    exits = ("0", "1", "2", "4", "6", "124", "130")


@dataclass(frozen=True, slots=True)
class Place:
    """A topic at a server.

    Attributes:
        url: the server's address.
        topic: its name or pattern; a name that ends with a slash, or an empty one, is put before the source's.
    """

    url: str
    topic: str

    def name(self, source: str) -> str:
        """The topic that a message of the topic `source` goes to."""
        return self.topic + source if not self.topic or self.topic.endswith("/") else self.topic


def parse_place(text: str, url: str | None) -> Place:
    """`kitchen`, `http://host:8000/topics/kitchen`, or `unix:/run/slosh.sock/topics/kitchen`.

    Raises:
        BadUse: it is an address of no topic.
    """
    if text.startswith(UNIX):
        front, mark, topic = text.partition("/topics/")
        if not mark:
            raise BadUse(f"A topic behind a Unix socket is unix:/run/slosh.sock/topics/x; {printable(text)!r} is none.")
        return Place(find_url(front), unquote(topic))
    if "://" not in text:
        return Place(find_url(url), text)
    parts = urlsplit(text)
    front, mark, topic = parts.path.partition("/topics/")
    if not mark or parts.query:
        raise BadUse(f"A topic's address looks like http://host:8000/topics/kitchen; {printable(text)!r} does not.")
    return Place(find_url(f"{parts.scheme}://{parts.netloc}{front}"), unquote(topic))


def _check_target(from_: Place, to: Place) -> None:
    """Check a target.

    Raises:
        BadUse: no topic has such a name, several topics would become one, or the relay would read its own messages.
    """
    if to.topic:
        check_topic(to.topic.removesuffix("/"))
    if "*" in from_.topic and to.topic and not to.topic.endswith("/"):
        raise BadUse("FROM is a pattern, so each TO must end with /, as in copy/: the topics' names are added to it.")
    if to.url == from_.url and can_meet(from_.topic, to.name(from_.topic)):
        again = printable(to.name(from_.topic))
        raise BadUse(
            f"FROM matches {again!r}, to which this relay would publish, so each message would be published again and "
            "again. Name a TO that FROM does not match."
        )


def can_meet(one: str, other: str) -> bool:
    """Whether there is a name that two names or patterns both match."""
    left, right = one.split("/"), other.split("/")
    for first, second in zip(left, right, strict=False):
        if "**" in (first, second):
            return True
        if first != second and "*" not in (first, second):
            return False
    return len(left) == len(right)


@click.command(cls=RelayCommand)
@click.argument("source", metavar="FROM")
@click.argument("targets", nargs=-1, required=True, metavar="TO...")
@click.option(
    "--since", metavar="TIME|PLACE", help="Start with messages of the last TIME (10m); or earliest, all that are kept."
)
@click.option("--state", type=FILE, help=_STATE_HELP)
@click.option(
    "--open", "opens", is_flag=True, help="Make each target active first: it stores messages before somebody watches."
)
@click.option("--count", "most", type=click.IntRange(1), metavar="N", help="End after N messages.")
@click.option("--timeout", metavar="TIME", callback=parse_duration, help="End after this long, with exit code 124.")
@url_option
@click.pass_context
def relay(  # noqa: PLR0913, PLR0917 - one for each option, which click gives by name
    ctx: click.Context,
    source: str,
    targets: tuple[str, ...],
    since: str | None,
    state: str | None,
    opens: bool,  # noqa: FBT001 - click's flags
    most: int | None,
    timeout: float | None,
    url: str | None,
) -> None:
    """Publish the messages of FROM, a topic or a pattern, to each TO. Either may be a topic of another server.

    A TO that ends with / is a prefix: the topic's own name is added to it. While nobody watches a target, messages to
    it are dropped, as for any publisher.
    """
    from_ = parse_place(source, url)
    to = [parse_place(each, url) for each in targets]
    for target in to:
        _check_target(from_, target)
    kept = PlaceFile(state)
    if kept.doubtful is not None and kept.doubtful > REMEMBERED:
        tell(
            f"the relay before this one began to publish a message {count(int(kept.doubtful / 60), 'minute')} ago, and "
            "was ended. This message may be stored twice, because servers remember a key for 5 minutes; no other is."
        )
    options: WatchOptions = {}
    if start := kept.place or since:
        options["since"] = start
    until = math.inf if timeout is None else time.monotonic() + timeout
    tally: Counter[str] = Counter()
    opened: set[tuple[str, str]] | None = set() if opens else None
    is_late = False
    with contextlib.ExitStack() as stack:
        clients = {each: stack.enter_context(Client(each)) for each in {from_.url, *(target.url for target in to)}}
        progress = stack.enter_context(Progress(lambda: f"{count(tally['read'], 'message')} carried, Ctrl-C ends"))
        teller = Teller(clients[from_.url].where, from_.topic)
        if state is not None and not kept.place and moves_on(since):
            _take_place(ctx, clients[from_.url], from_.topic, since or "now", kept, options, until, teller)
        if timeout is not None:
            options["deadline"] = _find_left(until)
        watch = stack.enter_context(clients[from_.url].watch(from_.topic, notes=True, **options))
        stack.callback(_tell, tally)
        stack.callback(teller.tell_missed)
        for each in watch:
            teller(each)
            if isinstance(each, Note) or not is_read(each):
                continue
            kept.begin(each.place)
            is_late = not all(
                _carry(clients[target.url], from_.url, each, target, tally, until, opened) for target in to
            )
            if is_late:
                break
            tally["read"] += 1
            kept.note(each.place)
            progress.update()
            if tally["read"] == most:
                break
        else:
            is_late = watch.timed_out
    ctx.exit(_find_exit(tally, is_late=is_late))


def _find_exit(tally: Counter[str], *, is_late: bool) -> int:
    """The exit code. Refused messages and ended topics take precedence over the time."""
    if tally["refused"]:
        return EXIT_REFUSED
    if tally["ended"]:
        return EXIT_ENDED
    return EXIT_TIMED_OUT if is_late else 0


def _find_left(until: float) -> float:
    """Seconds until then, on the monotonic clock."""
    return max(_SOON, until - time.monotonic())


def _bound(client: Client, until: float) -> None:
    """Have the next request take no longer than until then."""
    options = client._options  # noqa: SLF001 - our own
    client._options = replace(options, timeout=min(_REQUEST, _find_left(until)))  # noqa: SLF001


def _take_place(  # noqa: PLR0913, PLR0917 - what the command has, handed on
    ctx: click.Context,
    client: Client,
    topic: str,
    since: str,
    kept: PlaceFile,
    options: "WatchOptions",
    until: float,
    teller: Teller,
) -> None:
    """Ask for the place that `since` means now, start there, and note it.

    So no later message is missed, even if the relay is ended before it published one. Ends the command if no server
    answers within the time of --timeout.
    """
    path, query = f"/topics/{topic_path(topic)}", {"since": since, "wait": "0", "limit": "1"}

    def ask() -> tuple[str, list[str]]:
        _bound(client, until)
        return client._get(path, query, find_begin)  # noqa: SLF001 - our own

    try:
        place, truncated = keep_trying(ask, _find_left(until))
    except ClientError as error:
        if not is_passing(error):
            raise
        _tell(Counter())
        ctx.exit(EXIT_TIMED_OUT)
    for each in truncated:
        teller(Note("truncated", each or topic))
    if place:  # Otherwise the topics have ended, and there is nothing to miss.
        options["since"] = place
        kept.note(place)


def _carry(
    client: Client,
    from_: str,
    item: Item,
    target: Place,
    tally: Counter[str],
    until: float = math.inf,
    opened: set[tuple[str, str]] | None = None,
) -> bool:
    """Publish one message to one target; while no server answers there, try again.

    Args:
        until: when to stop trying, on the monotonic clock.
        opened: the topics that this relay has made active; None without --open.

    Returns:
        Whether the target answered in time.

    Raises:
        Refused: the target refuses this relay, not just the message.
    """
    topic = target.name(item.topic)
    number = write_cursor(item.epoch, item.offset) if item.offset is not None else item.place
    said = f"{from_}\n{item.topic}\n{number}\n{target.url}\n{topic}"
    key = blake2b(said.encode("utf-8", "surrogatepass"), digest_size=18).hexdigest()
    message = item.raw.replace("\r", " ").replace("\n", " ").encode()

    opens = opened is not None and (target.url, topic) not in opened

    def ask() -> Published:
        _bound(client, until)
        return client.publish_encoded(topic, [message], key=key, open=opens)

    try:
        # A proxy says 502 for as long as the server behind it is away.
        published = keep_trying(ask, _find_left(until))
    except ClientError as error:
        if is_passing(error):  # There was no time left.
            return False
        if keeps_out(error):
            tell(
                f"{client.where} does not let this relay publish to {printable(topic)}, so it ends. "
                "With --state the next one goes on with this message."
            )
        if keeps_out(error) or not isinstance(error, Refused):
            raise
        if not tally["refused"]:
            tell(f"{printable(topic)} does not take a message: {error.detail}")
        tally["refused"] += 1
    else:
        if opened is not None:
            opened.add((target.url, topic))
        tally["sent" if published.taken else "ended" if published.ended else "unwatched"] += 1
    return True


def _tell(tally: Counter[str]) -> None:
    parts = [f"{count(tally['read'], 'message')} read", f"{tally['sent']:,} published"]
    if tally["unwatched"]:
        parts.append(f"{tally['unwatched']:,} not, because nobody watched the target")
    if tally["ended"]:
        parts.append(f"{tally['ended']:,} not, because the target has ended")
    if tally["refused"]:
        parts.append(f"{tally['refused']:,} refused")
    tell(", ".join(parts))
