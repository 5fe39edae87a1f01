"""`slosh bridge`: publish messages of an MQTT broker, a Redis or a PostgreSQL, while somebody watches.

The rules of this file:

* A name is subscribed to upstream while its topic is watched, and for `--linger` after that.
* Nothing is kept for topics that nobody watches. A lost connection is reported, because messages are missed meanwhile:
  none of the three keeps messages for a subscriber that was away.
* While no slosh answers, messages wait in memory up to a bound; beyond it they are dropped, counted and reported.
"""

import asyncio
import base64
import contextlib
import json
import signal
from collections import Counter
from collections.abc import Coroutine
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import click

from slosh.client.addresses import check_pattern
from slosh.client.asynchronous import AsyncClient
from slosh.client.errors import BadUse, ClientError, Refused, Unreachable
from slosh.commands.follower import Follower, find_pause
from slosh.commands.lines import encode_line
from slosh.commands.progress import Progress, count
from slosh.commands.screen import need
from slosh.commands.shared import (
    EXIT_REFUSED,
    EXIT_TIMED_OUT,
    EXIT_UNREACHABLE,
    FILE,
    ClientCommand,
    parse_duration,
    printable,
    tell,
    url_option,
)
from slosh.commands.telling import TellingPublisher
from slosh.commands.upstream import LIBRARIES, Address, LoginDenied, Upstream, UpstreamLost, parse_address
from slosh.commands.watched import WatchedTopics

_GATHER: Final = 0.01
"""Seconds for which messages are gathered, to go together."""
_WAITING: Final = 16 * 1024 * 1024
"""Bytes of messages that wait while no slosh answers."""
_ENDING: Final = 0.1
"""Seconds until a task that goes on is told again to end."""
_LAST: Final = 10.0
"""Seconds that the messages under way may still take at the end."""


class BridgeCommand(ClientCommand):
    """The command, with its examples."""

    examples = (
        ("slosh bridge mqtt://broker 'sensors/**'", "MQTT topics, each while somebody watches it"),
        ("slosh bridge redis://localhost prices --to market/", "the channel prices as the topic market/prices"),
        ("slosh bridge postgres://app@db/shop orders", "messages of NOTIFY orders; password from ~/.pgpass"),
        ("slosh bridge mqtts://ann@broker 'home/*' --password-file pw", "with TLS and a login"),
    )
    exits = ("0", "2", "4", "5", "124", "130")


@click.command(cls=BridgeCommand)
@click.argument("upstream", metavar="UPSTREAM")
@click.argument("patterns", nargs=-1, required=True, metavar="PATTERN...")
@click.option("--to", "prefix", metavar="PREFIX", default="", help="Put this prefix before each name, as in home/.")
@click.option(
    "--as",
    "form",
    type=click.Choice(["auto", "json", "text", "base64"]),
    default="auto",
    show_default=True,
    help="Form of a message: auto, JSON if it is JSON, else text; json; text, which becomes a JSON string; base64, for "
    "bytes that are not text.",
)
@click.option(
    "--linger",
    metavar="TIME",
    default="30s",
    show_default=True,
    callback=parse_duration,
    help="Stay subscribed for this long after the last watcher left.",
)
@click.option("--password-file", type=FILE, help="Read the upstream's password from FILE.")
@click.option("--count", "most", type=click.IntRange(1), metavar="N", help="End after N messages.")
@click.option("--timeout", metavar="TIME", callback=parse_duration, help="End after this long, with exit code 124.")
@url_option
@click.pass_context
def bridge(  # noqa: PLR0913, PLR0917 - one for each option, which click gives by name
    ctx: click.Context,
    upstream: str,
    patterns: tuple[str, ...],
    prefix: str,
    form: str,
    linger: float,
    password_file: str | None,
    most: int | None,
    timeout: float | None,
    url: str | None,
) -> None:
    """Publish the messages of UPSTREAM whose names match PATTERN, each to the topic of that name, while it is watched.

    UPSTREAM is mqtt://host (topics), redis://host (channels) or postgres://user@host/database (NOTIFY); mqtts:// and
    rediss:// use TLS. The bridge subscribes to a name only while somebody watches its topic, and to a pattern while
    somebody reads by one. PostgreSQL has no patterns: there, readers must name their topics.

    A message that the server refuses is left out and counted, and the exit code is 4 at the end. A server that accepts
    nothing from the bridge (401, 421) ends it.
    """
    address = parse_address(upstream, password_file)
    for pattern in patterns:
        _check(pattern)
    if prefix and not prefix.endswith("/"):
        raise BadUse(f"--to is a prefix of names, so it ends with a slash: --to {printable(prefix)}/")
    if find_spec(LIBRARIES[address.kind]) is None:
        raise need("bridges", LIBRARIES[address.kind])
    tally: Counter[str] = Counter()
    publisher = TellingPublisher(url, every=_GATHER, max_bytes=_WAITING, timeout=0.0)
    topics = WatchedTopics(patterns, prefix, linger)
    try:
        with Progress(lambda: f"{count(tally['read'], 'message')} carried, Ctrl-C ends") as progress:
            carrier = Carrier(address, topics, publisher, tally, form=form, prefix=prefix, most=most, progress=progress)
            in_time = asyncio.run(_run(url, topics, carrier, publisher, timeout))
    finally:
        publisher.flush(_LAST)
        publisher.close()
        if tally["connections"]:
            _tell(tally, publisher)
    for is_so, code in (
        (publisher.refused, EXIT_REFUSED),
        (publisher.dropped, EXIT_UNREACHABLE),
        (not in_time, EXIT_TIMED_OUT),
    ):
        if is_so:
            ctx.exit(code)


def _check(pattern: str) -> None:
    """Check that this is a pattern.

    Raises:
        BadUse: it is not valid; it may be one of MQTT or of Redis.
    """
    if pattern.endswith("#") or "+" in pattern.split("/"):
        meant = pattern.replace("#", "**").replace("+", "*")
        raise BadUse(f"{pattern!r} is a pattern of MQTT; here * is one level and ** the rest: {meant!r}.")
    check_pattern(pattern)


async def _run(
    url: str | None, topics: WatchedTopics, carrier: "Carrier", publisher: TellingPublisher, seconds: float | None
) -> bool:
    """Carry until there were enough messages, or SIGTERM. False if this many seconds ended it.

    Raises:
        Refused: the server takes nothing from the publisher.
    """
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[None] = loop.create_future()
    with contextlib.suppress(NotImplementedError):  # not everywhere has a loop signals
        loop.add_signal_handler(signal.SIGTERM, _end, stop)

    def keep_out(error: ClientError) -> None:
        with contextlib.suppress(RuntimeError):  # The loop has ended, and the last messages are refused.
            loop.call_soon_threadsafe(_end, stop, error)

    publisher.kept_out = keep_out
    async with AsyncClient(url) as client:
        follower = Follower(client, topics, carrier.changed)
        return await _first_of(
            seconds, carrier.carry(), follower.follow(), follower.look(), asyncio.wait_for(stop, None)
        )


def _end(stop: "asyncio.Future[None]", error: ClientError | None = None) -> None:
    if not stop.done():
        stop.set_result(None) if error is None else stop.set_exception(error)


async def _first_of(seconds: float | None, *works: Coroutine[Any, Any, object]) -> bool:
    """Do these at a time until one has ended, and give its error on. False if time ran out first."""
    tasks = [asyncio.ensure_future(each) for each in works]
    try:
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        left = {task for task in tasks if not task.done()}
        while left:  # redis takes a cancellation for its own time-out, now and then, and goes on
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=_ENDING)
        ended = [task for task in tasks if not task.cancelled() and task.exception() is not None]
    for task in ended:
        task.result()
    return bool(done)


class Carrier:
    """Publishes what an upstream sends of the names that are wanted. It connects again as long as it takes.

    Args:
        topics: says what is wanted.
        publisher: takes the messages.
        tally: counts `connections`, messages `read`, and those that `broke` the form, were `bytes` and no text, or
            were `named` as no topic can be.
        form: what a message is: auto, json, text, base64.
        most: messages after which it ends; None for no end.

    Attributes:
        changed: set it when `topics` may want something else.
    """

    def __init__(  # noqa: PLR0913 - the command's options
        self,
        address: Address,
        topics: WatchedTopics,
        publisher: TellingPublisher,
        tally: Counter[str],
        *,
        form: str,
        prefix: str,
        most: int | None,
        progress: Progress,
    ) -> None:
        self._address = address
        self._topics = topics
        self._publisher = publisher
        self._tally = tally
        self._form = form
        self._prefix = prefix
        self._most = most
        self._progress = progress
        self._told: Counter[str] = Counter()
        self._unseen: list[str] = []  # patterns that somebody reads by, and that this upstream has no word for
        self._bad_name = ""  # what was wrong with the last name that no topic can have
        self.changed = asyncio.Event()

    async def carry(self) -> None:
        """Connect, and carry until there were enough messages.

        Raises:
            Unreachable: nothing answered the first time.
            Refused: the login is refused.
        """
        shown = self._address.shown
        failures = 0
        while True:
            upstream = make_upstream(self._address)
            try:
                await upstream.connect()
                if failures:
                    tell(f"{shown} answers again")
                failures = 0
                self._tally["connections"] += 1
                await _first_of(None, self._read(upstream), self._subscribe(upstream))
            except LoginDenied as error:
                raise Refused(
                    401, {"detail": f"{shown} refuses this login: {printable(str(error))}."}, shown
                ) from error
            except UpstreamLost as error:
                if not self._tally["connections"]:
                    raise Unreachable(f"No answer from {shown}: {printable(str(error))}.") from error
                if not failures:
                    tell(f"{shown} is lost: {printable(str(error))}; trying again. Its messages are missed meanwhile")
            else:
                return
            finally:
                await upstream.close()
            failures += 1
            await asyncio.sleep(find_pause(failures))

    async def _read(self, upstream: Upstream) -> None:
        async for name, payload in upstream.messages():
            if not self._topics.is_wanted(name):
                continue  # A pattern of the upstream's is wider than what is read, or nobody reads it any more.
            message = self._encode(payload)
            if message is not None:
                try:
                    self._publisher.send_encoded(self._prefix + name, [message])
                except BadUse as error:  # no topic can have this name
                    self._tally["named"] += 1
                    self._bad_name = error.detail
            self._tally["read"] += 1
            self._progress.update()
            self._tell_trouble()
            if self._tally["read"] == self._most:
                return

    async def _subscribe(self, upstream: Upstream) -> None:
        """Keep the upstream's subscriptions to what is wanted."""
        subscribed: set[str] = set()
        while True:
            self.changed.clear()
            wanted = self._topics.wanted if upstream.takes_patterns else self._topics.names
            self._unseen = sorted(self._topics.wanted - wanted)
            for name in wanted - subscribed:
                await upstream.subscribe(name)
            for name in subscribed - wanted:
                await upstream.unsubscribe(name)
            subscribed = wanted
            self._tell_trouble()
            await self.changed.wait()

    def _encode(self, payload: bytes) -> bytes | None:
        """The message of an upstream's; None if it has another form, which is counted."""
        if self._form == "base64":
            return json.dumps(base64.b64encode(payload).decode()).encode()
        try:
            payload.decode()
            return encode_line(payload, self._form)
        except UnicodeDecodeError:
            self._tally["bytes"] += 1
        except BadUse:
            self._tally["broke"] += 1
        return None

    def _tell_trouble(self) -> None:
        """Say once that messages are dropped or left out; the numbers are told at the end."""
        error = self._publisher.error.detail if self._publisher.error is not None else ""
        for kind, number, text in (
            ("dropped", self._publisher.dropped, f"messages are dropped, because too many wait: {error}"),
            (
                "patterns",
                len(self._unseen),
                f"{self._address.kind} has no patterns, so readers of {', '.join(self._unseen)} see what others watch",
            ),
            ("named", self._tally["named"], f"a message is left out, for its name: {printable(self._bad_name)}"),
            ("bytes", self._tally["bytes"], "a message that is no text is left out; --as base64 carries those"),
            ("broke", self._tally["broke"], "a message that is no JSON is left out; --as auto carries those as texts"),
        ):
            if number and not self._told[kind]:
                tell(text)
                self._told[kind] = number


def make_upstream(address: Address) -> Upstream:
    """The upstream at an address. Its library is imported here, because each is an extra."""
    module = import_module(f"slosh.commands.upstream_{address.kind}")
    made = getattr(module, f"{address.kind.capitalize()}Upstream")(address, tell)
    assert isinstance(made, Upstream)  # noqa: S101 - of the classes above, by their names
    return made


def _tell(tally: Counter[str], publisher: TellingPublisher) -> None:
    parts = [f"{count(tally['read'], 'message')} read", f"{publisher.sent:,} published"]
    for number, why in (
        (publisher.unwatched, "not, because nobody watched the topic"),
        (publisher.refused, "refused"),
        (publisher.dropped, "dropped, because too many waited or no server answered at the end"),
        (tally["bytes"] + tally["broke"], "left out, because of their form"),
        (tally["named"], "left out, because no topic can have their names"),
    ):
        if number:
            parts.append(f"{number:,} {why}")
    tell(", ".join(parts))
