"""Clients that nobody here wrote follow a topic while their connections are cut.

Nothing is lost, doubled or out of order within what the ring holds.
"""

import http.client
import json
import shutil
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import slosh as slosh_package
from tests.conftest import need
from tests.e2e.conftest import PATIENCE, Process, Slosh, until
from tests.e2e.cutting import CuttingProxy, cutting

if TYPE_CHECKING:
    from playwright.sync_api import Page

CLIENTS = Path(__file__).with_name("clients")
MESSAGES = 60
BETWEEN_CUTS = 15
"""Messages; well within the ring of 100, also for a client that takes seconds to come back."""


@pytest.fixture
def proxy(slosh: Slosh) -> Iterator[CuttingProxy]:
    """In front of the server."""
    with cutting(slosh.port) as proxy:
        yield proxy


@pytest.fixture
def express(slosh: Slosh, npm_folder: Path) -> Iterator[int]:
    """The port of a proxy in front of the server that compresses what passes through."""
    with Process(need("node"), shutil.copy(CLIENTS / "proxy.cjs", npm_folder), slosh.url) as process:
        yield int(process.line("port ").split()[1])


def watchers(slosh: Slosh) -> int:
    with urllib.request.urlopen(f"{slosh.url}/topics/foreign?watchers", timeout=PATIENCE) as answer:
        found: int = json.loads(answer.read())["watchers"]
    return found


def publish_with_cuts(slosh: Slosh, proxy: CuttingProxy, got: Callable[[], list[int]]) -> list[int]:
    """Post numbers, and cut the line again and again once some have come through; what the client has in the end."""
    until(lambda: watchers(slosh), bool)
    for number in range(1, MESSAGES + 1):
        assert slosh.post("foreign", number)["status"] == 200
        if number % BETWEEN_CUTS == 0:
            # It has something of these, so it is connected; the rest may be anywhere on the way.
            until(got, lambda numbers: numbers[-1:] > [number - BETWEEN_CUTS])  # noqa: B023 - asked at once
            proxy.cut()
    return until(got, lambda numbers: MESSAGES in numbers)


def numbers_of(process: Process) -> Callable[[], list[int]]:
    """What a client has printed; anything but numbers fails the comparison."""
    gathered: list[int] = []

    def got() -> list[int]:
        gathered.extend(int(line) if line.isdigit() else -1 for line in process.lines_so_far())
        return gathered

    return got


EXPECTED = list(range(1, MESSAGES + 1))


@pytest.mark.parametrize("script", ["websockets_client.py", "aiohttp_client.py", "sseclient_client.py"])
def test_a_client_from_pypi(slosh: Slosh, proxy: CuttingProxy, script: str) -> None:
    need(f"module:{script.partition('_')[0]}")
    scheme = "ws" if script.startswith("websockets") else "http"
    url = f"{scheme}://127.0.0.1:{proxy.port}/topics/foreign"
    with Process(sys.executable, CLIENTS / script, url) as client:
        assert publish_with_cuts(slosh, proxy, numbers_of(client)) == EXPECTED
    assert proxy.cuts >= 3


def test_a_client_that_takes_text_for_latin_1_reads_a_stream(slosh: Slosh) -> None:
    """It looks at the charset of the head, as the standard for `text/*` once had it."""
    need("module:sseclient")
    with Process(sys.executable, CLIENTS / "sseclient_client.py", f"{slosh.url}/topics/foreign") as client:
        until(lambda: watchers(slosh), bool)
        slosh.curl("foreign", '{"t":"Zürich \N{CJK UNIFIED IDEOGRAPH-65E5}"}')
        assert client.line("t") == '{"t":"Zürich \N{CJK UNIFIED IDEOGRAPH-65E5}"}'


@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson"])
def test_a_proxy_that_compresses_holds_no_stream_back(slosh: Slosh, express: int, accept: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", express, timeout=PATIENCE)
    connection.request("GET", "/topics/foreign", headers={"Accept": accept, "Accept-Encoding": "gzip"})
    until(lambda: watchers(slosh), bool)
    with connection.getresponse() as stream:
        assert stream.headers["Content-Encoding"] is None
        slosh.post("foreign", "here")
        said = b""
        while b'"here"' not in said:
            said += stream.read1()


def test_the_websockets_package_with_compression(serve: Callable[..., Slosh]) -> None:
    """It offers that by itself; its messages go there and back."""
    need("module:websockets")
    from websockets.sync.client import connect

    slosh = serve(compression="websocket")
    long = json.dumps("slosh " * 1000)
    with connect(f"ws://127.0.0.1:{slosh.port}/topics/t", open_timeout=PATIENCE) as socket:
        assert socket.protocol.extensions
        for number in range(1, 4):
            socket.send(long)
            envelope = json.loads(socket.recv(PATIENCE))
            assert (envelope["max"], envelope["res"]) == (number, [json.loads(long)])


def test_curl_on_a_stream(slosh: Slosh, proxy: CuttingProxy) -> None:
    need("curl")
    url = f"http://127.0.0.1:{proxy.port}/topics/foreign"
    with Process("sh", CLIENTS / "curl_stream.sh", url) as client:
        assert publish_with_cuts(slosh, proxy, numbers_of(client)) == EXPECTED
        client.end()
    assert proxy.cuts >= 3


def test_the_eventsource_package_of_npm(slosh: Slosh, proxy: CuttingProxy, npm_folder: Path) -> None:
    program = shutil.copy(CLIENTS / "eventsource.mjs", npm_folder)
    with Process(need("node"), program, f"http://127.0.0.1:{proxy.port}/topics/foreign") as client:
        assert publish_with_cuts(slosh, proxy, numbers_of(client)) == EXPECTED
    assert proxy.cuts >= 3


BROWSER_EVENT_SOURCE = """(url) => {
    window.got = [];
    window.source = new EventSource(url);
    source.onmessage = (event) => got.push(JSON.parse(event.data));
    for (const name of ["lost", "reset"]) source.addEventListener(name, () => got.push(-1));
}"""

BROWSER_WEB_SOCKET = """(url) => {
    window.got = [];
    let place = null;
    const open = () => {
        const socket = new WebSocket(`${url}?since=${place}`);
        socket.onmessage = (event) => {
            const envelope = JSON.parse(event.data);
            got.push(...envelope.res);
            if (envelope.lost || envelope.reset) got.push(-1);
            place = envelope.next;
        };
        socket.onclose = () => setTimeout(open, 50);
    };
    // A browser does not show the headers of a handshake, so the first place comes from a poll.
    return fetch(url.replace("ws:", "http:") + "?since=now&wait=0")
        .then((answer) => answer.json())
        .then((envelope) => { place = envelope.next; open(); });
}"""


@pytest.mark.parametrize(
    ("script", "scheme"), [(BROWSER_EVENT_SOURCE, "http"), (BROWSER_WEB_SOCKET, "ws")], ids=["EventSource", "WebSocket"]
)
def test_the_browsers_own(
    slosh: Slosh, proxy: CuttingProxy, new_page: "Callable[[str], Page]", script: str, scheme: str
) -> None:
    page = new_page(f"http://127.0.0.1:{proxy.port}/")
    page.evaluate(script, f"{scheme}://127.0.0.1:{proxy.port}/topics/foreign")

    def got() -> list[int]:
        found: list[int] = page.evaluate("() => window.got")
        return found

    assert publish_with_cuts(slosh, proxy, got) == EXPECTED
    assert proxy.cuts >= 3


def test_the_charts_that_the_viewer_ships_are_those_of_npm(npm_folder: Path) -> None:
    folder = Path(slosh_package.__file__).parent / "web" / "view" / "uplot"
    package = npm_folder / "node_modules" / "uplot"
    own = (folder / "uPlot.min.js").read_text(encoding="utf-8")
    made = (package / "dist" / "uPlot.iife.min.js").read_text(encoding="utf-8")
    assert own.startswith(made)
    assert own.removeprefix(made).splitlines()[1:] == ["export default uPlot;"]
    for name in ("dist/uPlot.min.css", "LICENSE"):
        assert (folder / Path(name).name).read_bytes() == (package / name).read_bytes()
