"""`slosh poll`: request a web address again and again, and publish its answers, while somebody watches.

An answer that is not UTF-8 is decoded with the character set that it names. If that fails too, bytes that cannot be
decoded become U+FFFD, which is reported.
"""

import contextlib
import time
from functools import partial
from typing import Final, NamedTuple

import click
import httpx2
import msgspec

from slosh.client.addresses import check_topic
from slosh.client.answers import THROUGH, is_passing
from slosh.client.batching import may_be_one
from slosh.client.connections import Bounds, bound_steps, open_transport
from slosh.client.errors import BadUse, ClientError, Refused
from slosh.client.proxies import find_proxy, shown_proxy
from slosh.client.synchronous import Client
from slosh.commands.lines import encode_line
from slosh.commands.progress import Progress, count
from slosh.commands.shared import ClientCommand, keep_trying, open_client, parse_duration, tell, url_option

_LONGEST: Final = 8 * 1024 * 1024
"""Bytes of an answer that are read."""
_PATIENCE: Final = 10.0
"""Seconds that an answer may take, with its redirects."""
_WATCHED_WAIT: Final = 25.0
"""Seconds that one question whether a topic is watched may take."""


class PollCommand(ClientCommand):
    """The command, with its examples."""

    examples = (
        ("slosh poll http://printer/status.json printer --every 5s", "JSON, every five seconds"),
        ("slosh poll http://10.0.0.7/metrics node --as text", "a page as one text"),
        ("slosh poll https://api.example/rate rate --changed", "only answers that differ from the one before"),
    )
    exits = ("0", "2", "4", "5", "130")


@click.command(cls=PollCommand)
@click.argument("address", metavar="URL")
@click.argument("topic")
@click.option(
    "--every",
    metavar="TIME",
    default="5s",
    show_default=True,
    callback=parse_duration,
    help="Time from one request to the next.",
)
@click.option(
    "--as",
    "form",
    type=click.Choice(["auto", "json", "text"]),
    default="auto",
    show_default=True,
    help="Form of an answer: auto, JSON if it is JSON, else text; json; text, which becomes a JSON string.",
)
@click.option("--changed", is_flag=True, help="Publish an answer only if it differs from the one before.")
@click.option("--count", "most", type=click.IntRange(1), metavar="N", help="End after N published messages.")
@url_option
def poll(
    address: str,
    topic: str,
    every: float,
    form: str,
    changed: bool,  # noqa: FBT001 - click's flag
    most: int | None,
    url: str | None,
) -> None:
    """Request URL again and again and publish its answers to TOPIC, while somebody watches the topic.

    While nobody watches, URL is not requested at all. An answer that is too large for a message, or does not have the
    form of --as, is reported and left out. An answer that is not UTF-8 is read in the character set that its
    Content-Type names.
    """
    check_topic(topic)
    shown = _checked(address)
    if proxy := find_proxy(address):
        shown += f"{THROUGH}{shown_proxy(proxy)})"
    published = 0
    before: bytes | None = None
    trouble = ""
    is_told = False
    with (
        open_client(url) as client,
        httpx2.Client(follow_redirects=True, transport=_ByProxy()) as source,
        Progress(lambda: f"{count(published, 'answer')} published, Ctrl-C ends") as progress,
    ):
        client.watchers(topic)  # A fault of the server ends this at the start; later the command waits.
        _wait_for_watchers(client, topic, progress)
        while published != most:
            began = time.monotonic()
            message, failure, is_replaced = _ask(source, address, shown, form)
            if is_replaced and not is_told:
                is_told = True
                tell(
                    f"{shown} answered what is no UTF-8, and names no character set that fits, so it is "
                    "published with \N{REPLACEMENT CHARACTER} in place of such bytes"
                )
            is_new = message is not None and not (changed and message == before)
            is_taken = False
            if message is not None and is_new:
                is_taken, failure = _publish(client, topic, message, shown)
                before = message
            if failure and failure != trouble:
                tell(failure)
            trouble = failure
            if is_new and not failure:
                if is_taken:
                    published += 1
                else:
                    before = None
                    _wait_for_watchers(client, topic, progress)
                    continue  # at once, because somebody has just begun to watch
            elif not keep_trying(partial(client.watchers, topic)):
                before = None
                _wait_for_watchers(client, topic, progress)
                continue
            progress.update()
            if published != most:
                time.sleep(max(0.0, began + every - time.monotonic()))


class _ByProxy(httpx2.BaseTransport):
    """Asks each address through the proxy that the environment names for it: one may send on to others."""

    def __init__(self) -> None:
        self._open: dict[str, httpx2.HTTPTransport] = {}

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Ask.

        Raises:
            BadUse: the proxy cannot be used.
        """
        proxy = find_proxy(str(request.url))
        if proxy not in self._open:
            self._open[proxy] = open_transport(proxy)
        return self._open[proxy].handle_request(request)

    def close(self) -> None:
        """Close all connections."""
        for each in self._open.values():
            each.close()


def _checked(address: str) -> str:
    """The address to show: without user name, password and query. Raises `BadUse` if it cannot be requested."""
    try:
        url = httpx2.URL(address)
    except httpx2.InvalidURL as error:
        raise _cannot_be_asked(error) from None
    except UnicodeEncodeError:
        raise _cannot_be_asked("it has bytes that are no text") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise _cannot_be_asked("it names no host on the web")
    return f"{url.scheme}://{url.netloc.decode('ascii')}{url.path}"


def _cannot_be_asked(reason: object) -> BadUse:
    return BadUse(f"This address cannot be requested: {reason}. Write one such as http://printer/status.json.")


class _Answer(NamedTuple):
    """What came of asking.

    Attributes:
        message: the answer as a message.
        failure: why there is none.
        is_replaced: whether U+FFFD stands in it for bytes that are no UTF-8.
    """

    message: bytes | None
    failure: str = ""
    is_replaced: bool = False


def _ask(source: httpx2.Client, address: str, shown: str, form: str, within: float = _PATIENCE) -> _Answer:
    """The answer as a message, or why there is none; within this many seconds."""
    extensions = {"timeout": Bounds(time.monotonic() + within), "trace": bound_steps}
    try:
        with source.stream("GET", address, extensions=extensions) as answer:
            if answer.status_code != 200:
                return _Answer(None, f"{shown} answered {answer.status_code}; trying again")
            body = b""
            for part in answer.iter_bytes():
                body += part
                if len(body) > _LONGEST:
                    return _Answer(None, f"{shown} answered more than {_LONGEST} bytes; trying again")
            charset = answer.charset_encoding
    except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
        raise _cannot_be_asked(error) from None
    except httpx2.HTTPError as error:
        return _Answer(None, f"{shown} did not answer ({error}); trying again")
    text = _decode(body, charset)
    try:
        return _Answer(encode_line((body if text is None else text.encode()).strip(), form), is_replaced=text is None)
    except BadUse as error:
        return _Answer(None, error.detail)


def _decode(body: bytes, charset: str | None) -> str | None:
    """The text of an answer; None if it is in no character set that is known.

    UTF-8 comes first, whatever the answer names: other bytes are hardly ever UTF-8 by chance, and a server that says
    iso-8859-1 of all its files has many that are. The mark of byte order is no part of the text.
    """
    for each in ("utf-8-sig", charset or ""):
        with contextlib.suppress(LookupError, UnicodeError):
            text = body.decode(each)
            text.encode()  # which some sets of characters do not give
            return text
    return None


def _publish(client: Client, topic: str, message: bytes, shown: str) -> tuple[bool, str]:
    """Whether it was taken, and why the server takes no such message, which the next answer need not be.

    If the server is away it is dropped: it would be old when the server is back.

    Raises:
        ClientError: the server takes no message of this topic from us.
    """
    try:
        return client.publish(topic, msgspec.Raw(message)).taken, ""
    except ClientError as error:
        if isinstance(error, Refused) and may_be_one(error):
            return False, f"{shown} gave an answer that is left out: {error.detail} Trying again."
        if not is_passing(error):
            raise
        return False, ""


def _wait_for_watchers(client: Client, topic: str, progress: Progress) -> None:
    while not keep_trying(partial(client.watchers, topic, wait=_WATCHED_WAIT)):
        progress.update()
