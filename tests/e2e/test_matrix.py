"""Clients of event streams that people use, each cut off in every way: nothing is lost in silence, nothing doubled.

The cuts are: before the first message, in mid-event, at a heartbeat, and a restart of the server. The client's first
place is given by `since`, the cookie, the query's `lastEventId`, or not at all (`now`).
"""

import contextlib
import json
import shutil
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from slosh.web.readers.eventsource import EventSource
from tests.conftest import need
from tests.e2e.conftest import PATIENCE, Process, Slosh, until
from tests.e2e.cutting import CuttingProxy, cutting

if TYPE_CHECKING:
    from playwright.sync_api import Page

CLIENTS = Path(__file__).with_name("clients")
WAYS = ("now", "since", "cookie", "lastEventId")
CUTS = ("before the first message", "in mid-event", "at a heartbeat", "restart")
PLACE = rb"event: place\n(?:[^\n]+\n)+\n\r\n"
"""With the end of its chunk: before that some clients have not read its last byte."""
HEAD = rb"Slosh-Next: [^\r]*\r\n(?:[^\r]+\r\n)*\r\n"
"""Behind the head of an answer, for a client that reads no event stream: it gets nothing of the body."""

EVENT_SOURCE = """(url) => {
    const source = new EventSource(url);
    source.onmessage = ({ data }) => got.push(data);
    for (const name of ["place", "lost", "reset", "refused"]) {
        source.addEventListener(name, ({ data }) => got.push(`${name} ${data}`));
    }
}"""
SLOSH_JS = """async (url) => {
    const { follow, TRANSPORT: transport } = await import("/-/slosh.js");
    const { pathname, searchParams } = new URL(url);
    follow(pathname.split("/").pop(), {
        since: searchParams.get("since") ?? "now",
        transport,
        onAnswer: (answer) => {
            if (answer.lost || answer.reset) got.push(answer.reset ? "reset" : `lost ${answer.lost}`);
            got.push(...(answer.res ?? []).map((message) => JSON.stringify(message)));
        },
    });
}"""


class Count(NamedTuple):
    """What became of the messages of one cut."""

    lost: int
    doubled: int


class Follower:
    """One client of one topic, behind a proxy of its own that can cut it off."""

    def __init__(self, slosh: Slosh, proxy: CuttingProxy, way: str) -> None:
        self.slosh, self.proxy, self.way = slosh, proxy, way
        with urllib.request.urlopen(f"{slosh.url}/topics/{way}?wait=0", timeout=PATIENCE) as answer:
            place = json.load(answer)["next"]
            cookie = str(answer.headers["Set-Cookie"]).partition(";")[0]
        self.cookie = cookie if way == "cookie" else ""
        query = f"?{way}={place}" if way in ("since", "lastEventId") else ""
        self.url = f"http://127.0.0.1:{proxy.port}/topics/{way}{query}"
        self.lines: list[str] = []
        self.look: Callable[[], list[str]] = list

    def numbers(self) -> list[int]:
        """Of the messages that came, in their order."""
        self.lines.extend(self.look())
        return [json.loads(line)["n"] for line in self.lines if line.startswith("{")]

    def knows_place(self) -> bool:
        """Whether the client has told that it was told its place."""
        self.numbers()
        return any(line.startswith("place ") for line in self.lines)

    def post(self, *numbers: int) -> None:
        """Publish, whether or not the client is there."""
        assert self.slosh.post(self.way, *({"n": number} for number in numbers))["status"] == 200

    def until_cut(self, cuts: int) -> None:
        """Wait until the proxy has cut so often."""
        until(lambda: self.proxy.cuts, lambda seen: seen >= cuts)

    def count(self, *numbers: int) -> Count:
        """Wait for the last of these, then count."""
        seen = until(self.numbers, lambda seen: numbers[-1] in seen)
        here = [number for number in seen if number in numbers]
        return Count(len(numbers) - len(set(here)), len(here) - len(set(here)))


Counts = dict[tuple[str, str], Count]


def begin(
    followers: list[Follower], start: Callable[[Follower], None], first: bytes, heartbeat: bytes, *, tells: bool
) -> None:
    """Start all clients, and cut each off when it knows its place and has no message yet.

    Chromium forgets what it has not yet given to its page when the connection breaks, and so does a stream of fetch
    (WHATWG Streams, ReadableStreamDefaultControllerError): a client that tells the place that it has from the stream
    alone is cut only then.
    """
    for each in followers:
        if each.way != "now":
            each.post(1, 2, 3)
        if each.way != "now" or not tells:
            each.proxy.cut_behind(first)
        start(each)
    for each in followers:
        if each.way == "now" and tells:
            until(each.knows_place, bool)
            until(lambda: each.proxy.say(heartbeat), bool)  # noqa: B023 - asked at once
        each.until_cut(1)
        if each.way == "now":
            each.post(1, 2, 3)


def cut_in_every_way(
    slosh: Slosh,
    followers: list[Follower],
    start: Callable[[Follower], None],
    first: bytes,
    heartbeat: bytes,
    *,
    tells: bool,
) -> Counts:
    """Let all of them go through all cuts; what became of the messages."""
    counts: Counts = {}

    def note(cut: str, *numbers: int) -> None:
        counts.update({(cut, each.way): each.count(*numbers) for each in followers})

    begin(followers, start, first, heartbeat, tells=tells)
    note("before the first message", 1, 2, 3)
    for each in followers:
        each.proxy.cut_behind(rb'"n": ?5')
        each.post(4, 5, 6)
    for each in followers:
        each.until_cut(2)
    note("in mid-event", 4, 5, 6)
    for each in followers:
        # The proxy says it, because the server's next one may be 15 seconds away.
        until(lambda: each.proxy.say(heartbeat), lambda cuts: cuts >= 3)  # noqa: B023 - asked at once
        each.post(7, 8, 9)
    note("at a heartbeat", 7, 8, 9)
    slosh.process.end()
    slosh.start()
    for each in followers:
        each.post(10, 11, 12)
    note("restart", 10, 11, 12)
    for each in followers:
        assert any("reset" in line for line in each.lines), (each.way, each.lines)  # what may be lost is told
        seen = each.numbers()
        assert seen == sorted(set(seen)), each.way  # nothing of one cut came again after another
    return counts


@pytest.fixture
def matrix(serve: Callable[..., Slosh]) -> Iterator[Callable[..., None]]:
    """Put one client through the matrix: `matrix(client, start, ways)`; `tells`: it prints its place, too."""
    with contextlib.ExitStack() as stack:

        def run(
            client: str,
            start: Callable[[Follower], None],
            ways: tuple[str, ...] = WAYS,
            first: bytes = PLACE,
            heartbeat: bytes = EventSource.heartbeat,
            *,
            tells: bool = True,
        ) -> None:
            slosh = serve(unwatched="keep", linger="2m", drain="500ms")
            proxies = [stack.enter_context(cutting(slosh.port, hurried=True)) for _ in ways]
            followers = [Follower(slosh, proxy, way) for proxy, way in zip(proxies, ways, strict=True)]
            counts = cut_in_every_way(slosh, followers, start, first, heartbeat, tells=tells)
            assert counts == {(cut, way): Count(0, 0) for cut in CUTS for way in ways}, client

        yield run


@pytest.mark.long
@pytest.mark.parametrize(
    "client", ["eventsource", "event-source-polyfill", "eventsource-client", "@microsoft/fetch-event-source"]
)
def test_a_client_from_npm(matrix: Callable[..., None], npm_folder: Path, client: str) -> None:
    program = shutil.copy(CLIENTS / "matrix.mjs", npm_folder)
    with contextlib.ExitStack() as stack:

        def start(each: Follower) -> None:
            command = (need("node"), program, client, each.url, each.cookie)
            each.look = stack.enter_context(Process(*command)).lines_so_far

        matrix(client, start)


@pytest.mark.parametrize(
    ("client", "ways"),
    [
        pytest.param("sseclient", WAYS, marks=pytest.mark.long),
        ("httpx_sse", WAYS),
        pytest.param("requests", WAYS, marks=pytest.mark.long),
        ("slosh", ("now", "since")),
    ],
)
def test_a_client_in_python(matrix: Callable[..., None], client: str, ways: tuple[str, ...]) -> None:
    need(f"module:{client}")
    with contextlib.ExitStack() as stack:

        def start(each: Follower) -> None:
            command = (sys.executable, CLIENTS / "matrix_client.py", client, each.url, each.way, each.cookie)
            each.look = stack.enter_context(Process(*command)).lines_so_far

        matrix(client, start, ways, tells=client != "slosh")


def in_a_page(new_page: "Callable[[str], Page]", script: str) -> Callable[[Follower], None]:
    """Start a client on a page; the page's own jar has the cookie."""

    def start(each: Follower) -> None:
        page = new_page(f"http://127.0.0.1:{each.proxy.port}/favicon.svg")
        if each.cookie:
            name, _, value = each.cookie.partition("=")
            page.context.add_cookies([{"name": name, "value": value, "url": each.url}])
        page.evaluate("window.got = []")
        page.evaluate(script, each.url)
        each.look = lambda: page.evaluate("got.splice(0)")

    return start


@pytest.mark.long
def test_chromium(matrix: Callable[..., None], new_page: "Callable[[str], Page]") -> None:
    matrix("EventSource", in_a_page(new_page, EVENT_SOURCE))


@pytest.mark.long
@pytest.mark.parametrize("transport", ["longPoll", "stream"])
def test_slosh_js(matrix: Callable[..., None], new_page: "Callable[[str], Page]", transport: str) -> None:
    script = SLOSH_JS.replace("TRANSPORT", transport)
    matrix("slosh.js", in_a_page(new_page, script), ("now", "since"), HEAD, b"\n", tells=False)
