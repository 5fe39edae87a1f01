"""The browser's own EventSource and WebSocket: what they hear of losses, of a new life, and of the end."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.conftest import Slosh, until
from tests.e2e.cutting import CuttingProxy, cutting

if TYPE_CHECKING:
    from playwright.sync_api import Page

EVENT_SOURCE = """() => {
  Object.assign(window, { seen: [], lost: 0, resets: 0 });
  window.source = new EventSource("/topics/t");
  source.onmessage = (event) => seen.push(JSON.parse(event.data));
  source.addEventListener("lost", (event) => { window.lost += JSON.parse(event.data).lost; });
  source.addEventListener("reset", () => { window.resets += 1; });
  return new Promise((resolve) => { source.onopen = () => resolve(); });
}"""

WEB_SOCKET = """() => {
  Object.assign(window, { seen: [], codes: [] });
  window.socket = new WebSocket(`ws://${location.host}/topics/t`);
  socket.onmessage = (event) => seen.push(...JSON.parse(event.data).res);
  socket.onclose = (event) => codes.push([event.code, event.wasClean]);
  return new Promise((resolve) => { socket.onopen = () => resolve(); });
}"""


@pytest.fixture
def proxy(slosh: Slosh) -> Iterator[CuttingProxy]:
    """In front of the server."""
    with cutting(slosh.port) as proxy:
        yield proxy


def seen(page: "Page", count: int) -> list[Any]:
    """Wait for so many messages; all that came."""

    def look() -> list[Any]:
        found: list[Any] = page.evaluate("window.seen")
        return found

    return until(look, lambda found: len(found) >= count)


def test_an_event_source_hears_how_much_it_missed(
    slosh: Slosh, proxy: CuttingProxy, new_page: "Callable[[str], Page]"
) -> None:
    """While it is away more comes than the ring of 100 holds."""
    page = new_page(f"http://127.0.0.1:{proxy.port}/favicon.svg")
    page.evaluate(EVENT_SOURCE)
    assert slosh.post("t", *range(10))["status"] == 200
    seen(page, 10)
    with proxy.away():
        assert slosh.post("t", *range(10, 160))["status"] == 200  # it lingers
    found = seen(page, 110)
    lost = page.evaluate("window.lost")
    assert lost == 160 - len(found) == 50
    assert found == [*range(10), *range(60, 160)]
    assert page.evaluate("window.resets") == 0


def test_an_event_source_hears_of_a_new_life(slosh: Slosh, new_page: "Callable[[str], Page]") -> None:
    page = new_page(f"{slosh.url}/favicon.svg")
    page.evaluate(EVENT_SOURCE)
    assert slosh.post("t", 1, 2)["status"] == 200
    seen(page, 2)
    slosh.process.end()
    slosh.start()  # on the same port, with nothing of before
    until(lambda: page.evaluate("window.resets"), lambda resets: resets == 1)
    assert slosh.post("t", 3)["status"] == 200
    assert seen(page, 3) == [1, 2, 3]


def test_an_event_source_goes_on_at_once_after_a_takeover_though_the_browser_has_connections_to_the_old_server(
    serve: Callable[..., Slosh], new_page: "Callable[[str], Page]", tmp_path: Path
) -> None:
    """The browser sends it there over each of them, and is refused once for each. The drain is longer than the test."""
    options = {"takeover": tmp_path / "takeover", "drain": "120", "linger": "10m"}
    old = serve(**options)
    page = new_page(f"{old.url}/favicon.svg")
    page.evaluate(EVENT_SOURCE)
    # At a time, so that each has a connection of its own, which is kept.
    page.evaluate("() => Promise.all(Array.from({ length: 4 }, (_, i) => fetch(`/topics/other${i}?wait=1`)))")
    assert old.post("t", 1)["status"] == 200
    seen(page, 1)
    new = serve(**options, port=old.port)
    assert new.post("t", 2, 3)["status"] == 200
    assert seen(page, 3) == [1, 2, 3]
    assert page.evaluate("[lost, resets]") == [0, 0]
    assert page.evaluate("source.readyState") == 1


def test_a_websocket_publishes_and_is_closed_with_1001(slosh: Slosh, new_page: "Callable[[str], Page]") -> None:
    page = new_page(f"{slosh.url}/favicon.svg")
    page.evaluate(WEB_SOCKET)
    page.evaluate("socket.send('\"from the page\"')")
    assert seen(page, 1) == ["from the page"]
    slosh.process.end()
    assert until(lambda: page.evaluate("codes"), bool) == [[1001, True]]


def test_an_event_source_of_oddly_named_topics_goes_on_where_it_was_cut(
    slosh: Slosh, proxy: CuttingProxy, new_page: "Callable[[str], Page]"
) -> None:
    """The browser says the places in all of them as `Last-Event-ID`, of which a space at the beginning is no part."""
    page = new_page(f"http://127.0.0.1:{proxy.port}/favicon.svg")
    odd = ["%20first", "caf%C3%A9%20%26%20b%C3%A9b%C3%A9", "100%25"]
    script = EVENT_SOURCE.replace('"/topics/t"', f'"/topics/{",".join(odd)}"')
    page.evaluate(script.replace("JSON.parse(event.data)", "JSON.parse(event.data).message", 1))
    for number, topic in enumerate(odd):
        assert slosh.post(topic, number)["status"] == 200
    seen(page, 3)
    proxy.cut()
    for number, topic in enumerate(odd):
        assert slosh.post(topic, 10 + number)["status"] == 200
    assert seen(page, 6) == [0, 1, 2, 10, 11, 12]
    assert page.evaluate("[lost, resets]") == [0, 0]


def test_its_web_socket_takes_and_sends_compressed_messages(
    serve: Callable[..., Slosh], new_page: "Callable[[str], Page]"
) -> None:
    slosh = serve(compression="websocket")
    page = new_page(f"{slosh.url}/favicon.svg")
    page.evaluate(WEB_SOCKET)
    assert page.evaluate("socket.extensions").startswith("permessage-deflate")
    long = "slosh " * 1000
    assert slosh.post("t", long)["status"] == 200
    page.evaluate("text => socket.send(JSON.stringify(text))", long)
    assert seen(page, 2) == [long, long]


def test_a_page_from_elsewhere_may_listen_where_the_operator_says_so(
    serve: Callable[..., Slosh], slosh: Slosh, new_page: "Callable[[str], Page]"
) -> None:
    """The browser itself enforces what the answers' fields say."""
    script = """async (url) => {
      const tried = {};
      tried.get = await fetch(`${url}/topics/t?wait=0`)
        .then((answer) => answer.headers.get("Slosh-Next") !== null, () => false);
      tried.post = await fetch(`${url}/topics/t`, { method: "POST", body: "1" })
        .then((answer) => answer.ok, () => false);
      tried.keyed = await fetch(`${url}/topics/t`, {
        method: "POST", body: "2", headers: { "Content-Type": "application/json", "Idempotency-Key": "k" },
      }).then((answer) => answer.ok, () => false);
      tried.refusal = await fetch(`${url}/topics/nobody`, { method: "POST", body: "1" })
        .then((answer) => answer.status === 404, () => false);
      tried.socket = await new Promise((resolve) => {
        const socket = new WebSocket(`${url.replace("http", "ws")}/topics/t`);
        socket.onopen = () => resolve(true);
        socket.onerror = () => resolve(false);
      });
      tried.source = await new Promise((resolve) => {
        const source = new EventSource(`${url}/topics/t`);
        source.onopen = () => resolve(true);
        source.onerror = () => resolve(false);
      });
      return tried;
    }"""
    open_one, closed_one = serve(origins=slosh.url), serve()
    page = new_page(f"{slosh.url}/favicon.svg")
    kinds = ("get", "post", "keyed", "refusal", "socket", "source")
    assert page.evaluate(script, open_one.url) == dict.fromkeys(kinds, True)
    assert page.evaluate(script, closed_one.url) == dict.fromkeys(kinds, False)


def test_a_page_from_elsewhere_imports_the_client_and_follows(
    serve: Callable[..., Slosh], slosh: Slosh, new_page: "Callable[[str], Page]"
) -> None:
    script = """async (url) => {
      window.seen = [];
      const { follow } = await import(`${url}/-/slosh.js`);
      follow("t", { onAnswer: ({ res }) => seen.push(...res) });
    }"""
    other = serve(origins=slosh.url)
    page = new_page(f"{slosh.url}/favicon.svg")
    page.evaluate(script, other.url)
    assert other.post_when_watched("t", 7)["status"] == 200
    assert seen(page, 1) == [7]
