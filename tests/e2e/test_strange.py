"""Names, messages, pages and browsers that are out of the ordinary: nothing runs, nothing stops, nothing is lost."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from tests.conftest import need
from tests.e2e.conftest import Slosh, trying, until
from tests.e2e.test_shared import LIVE, SHARE, tab, until_got

need("module:playwright")
from playwright.sync_api import expect  # noqa: E402

from tests.e2e.gallery import serving  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page, Route

Open: TypeAlias = "Callable[[str], Page]"
Serve: TypeAlias = Callable[..., Slosh]

PAGES = Path(__file__).parents[2] / "example"
#: Watch the topic `t` and note what comes; `handler` is the body of the page's own handler.
WATCH = """async (handler) => {
  const { watch } = await import("/-/slosh.js");
  const handle = new Function("item", "watching", handler);
  window.got = [];
  const onMessage = (item) => (got.push(item.message), handle(item, watching));
  const watching = watch("t", { every: "200ms", onMessage });
  window.watching = watching;
}"""
DENIED = """
const denied = () => Promise.reject(new DOMException("Access to the Locks API is denied.", "SecurityError"));
if (navigator.locks) Object.assign(navigator.locks, { request: denied, query: denied });
"""
NO_STORAGE = """
for (const name of ["localStorage", "sessionStorage"]) {
  Object.defineProperty(window, name, { get() { throw new DOMException("Access is denied.", "SecurityError"); } });
}
"""


#: A proxy that breaks one message, in streams and in what is asked for, and leaves all others.
BREAKING = """
const real = fetch;
globalThis.fetch = async (...asked) => {
  const response = await real(...asked);
  if (!response.ok || !/json|event-stream/.test(response.headers.get("Content-Type"))) return response;
  const breaks = (text) => text.replace('"message":2}', '"mess<html>').replace(/("res":\\[(?:1,)?)2/, "$1<html>");
  const broken = new TransformStream({ transform: (text, out) => out.enqueue(breaks(text)) });
  const texts = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(broken);
  const body = texts.pipeThrough(new TextEncoderStream());
  return new Response(body, { status: response.status, headers: response.headers });
};
"""


@pytest.fixture
def context(new_context: "Callable[[], BrowserContext]") -> "BrowserContext":
    """One person's browser."""
    return new_context()


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with all examples."""
    with serving(tmp_path_factory.mktemp("server")) as url:
        yield url


def test_a_topic_named_like_something_of_the_language_is_a_topic(slosh: Slosh, context: "BrowserContext") -> None:
    of_all = tab(context, slosh, "*")
    for name in ("__proto__", "constructor", "toString"):
        with trying(name):
            pages = [tab(context, slosh, name), tab(context, slosh, f"{name},other"), of_all]
            for count in (1, 2):
                slosh.post_when_watched(name, count)
                for page in pages:
                    assert until_got(page, name, count) == [1, 2][:count]
            assert pages[0].evaluate("Object.keys(Object.prototype)") == []
            for page in pages[:2]:
                page.close()


def test_a_mistake_in_a_pages_handler_costs_no_other_message(slosh: Slosh, new_page: Open) -> None:
    page = new_page(f"{slosh.url}/favicon.svg")
    page.evaluate("window.addEventListener('error', (event) => event.preventDefault())")
    page.evaluate(WATCH, 'if (item.message === 2) throw new Error("a mistake in the page");')
    page.wait_for_function("watching.state.name === 'live'")
    slosh.post("t", 1, 2, 3, 4)
    assert until(lambda: page.evaluate("got"), lambda found: 4 in found) == [1, 2, 3, 4]


def test_a_page_that_closes_within_its_handler_is_given_nothing_more(slosh: Slosh, new_page: Open) -> None:
    page = new_page(f"{slosh.url}/favicon.svg")
    page.evaluate(WATCH, "if (item.message === 2) watching.close();")
    page.wait_for_function("watching.state.name === 'live'")
    slosh.post("t", 1, 2, 3, 4)
    page.wait_for_function("watching.state.name === 'closed'")
    until(lambda: slosh.post("t", 5)["watchers"], lambda count: count == 0)
    assert page.evaluate("got") == [1, 2]


def test_a_past_that_is_larger_than_an_answer_is_read_and_followed(serve: Serve, context: "BrowserContext") -> None:
    slosh = serve(queue=2000, queue_bytes="4MiB", unwatched="keep")
    slosh.post("t", *("x" * 2000 for _ in range(400)))
    page = tab(context, slosh, "t", since="earliest")
    slosh.post("t", "new")
    assert until_got(page, "t", 401)[-1] == "new"
    assert page.evaluate("lost") == 0


def test_a_page_goes_into_the_back_forward_cache_and_comes_back(slosh: Slosh, context: "BrowserContext") -> None:
    """Chromium under a test keeps no pages there: the events come as they would."""
    page, other = tab(context, slosh, "t"), tab(context, slosh, "t")
    slosh.post("t", 1)
    assert until_got(page, "t", 1) == [1]
    page.evaluate("""() => {
      dispatchEvent(new PageTransitionEvent("pagehide", { persisted: true }));
      document.dispatchEvent(new Event("visibilitychange"));
    }""")
    slosh.post("t", 2)
    assert until_got(other, "t", 2) == [1, 2], "another tab leads"
    page.evaluate("""() => {
      document.dispatchEvent(new Event("visibilitychange"));
      dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }));
    }""")
    assert until_got(page, "t", 2) == [1, 2]
    slosh.post("t", 3)
    for each in (page, other):
        assert until_got(each, "t", 3) == [1, 2, 3]


def test_a_page_that_is_refused_locks_shares_what_it_follows_itself(slosh: Slosh, context: "BrowserContext") -> None:
    """As in a frame in a sandbox, or where storage is turned off: the locks are there, and may not be used."""
    context.add_init_script(DENIED)
    page = tab(context, slosh, "t", "t,u")
    assert page.evaluate("followings[0].sharing") == "page"
    # The connection that it had before it followed the second may be counted for a moment.
    until(lambda: slosh.watchers("t"), lambda count: count == 1)
    assert slosh.post("t", 1)["watchers"] == 1
    assert until_got(page, "t", 2) == [1, 1]


def test_a_frame_in_a_sandbox_follows(serve: Serve, new_page: Open, tmp_path: Path) -> None:
    frame = """<!doctype html><script type="module">
      import { follow } from "/-/slosh.js";
      const following = follow("t", { shared: true, onAnswer: ({ res }) => document.body.append(JSON.stringify(res)),
        onState: ({ name }) => (document.title = name) });
    </script><body>"""
    (tmp_path / "frame.html").write_text(frame, encoding="utf-8")
    (tmp_path / "page.html").write_text('<iframe sandbox="allow-scripts" src="/frame.html"></iframe>', encoding="utf-8")
    slosh = serve(root=tmp_path, origins="*")
    inside = new_page(f"{slosh.url}/page.html").frame_locator("iframe")
    slosh.post_when_watched("t", 7)
    expect(inside.locator("body")).to_contain_text("[7]")


def test_tokens_of_two_functions_that_look_alike_are_two_tokens(slosh: Slosh, context: "BrowserContext") -> None:
    page = context.new_page()
    asked: list[str] = []

    def note(route: "Route") -> None:
        if "event-stream" in route.request.headers["accept"]:
            asked.append(route.request.headers["authorization"])
        route.continue_()

    page.route("**/topics/**", note)
    page.goto(f"{slosh.url}/favicon.svg")
    page.evaluate("""async () => {
      const { follow } = await import("/-/slosh.js");
      const of = (text) => () => text;
      window.followings = ["one", "two"].map((text) => follow("t", { shared: true, token: of(text) }));
    }""")
    page.wait_for_function(LIVE)
    assert sorted(asked) == ["Bearer one", "Bearer two"], "a connection for each"


def test_a_leader_that_dies_in_the_middle_of_a_handover_costs_nothing(slosh: Slosh, context: "BrowserContext") -> None:
    """The connection to the new union of topics is never answered, and then its tab is gone."""
    leader, other = tab(context, slosh, "t"), tab(context, slosh, "t")
    held: list[str] = []
    leader.route("**/topics/t,u*", lambda route: held.append(route.request.url))
    other.evaluate(SHARE, {"topics": "u"})
    until(lambda: other.evaluate("0") or held, bool)
    slosh.post("t", 1)
    slosh.post("u", 1)
    leader.close()
    other.wait_for_function(LIVE)
    slosh.post("t", 2)
    slosh.post("u", 2)
    assert until_got(other, "t", 2) == [1, 2]
    assert until_got(other, "u", 2) == [1, 2]
    assert other.evaluate("lost") == 0


MARKUP = "<img src=x onerror=ran=1>\"'&amp;"


def test_a_topics_name_is_text_in_the_list_and_leads_to_its_page(serve: Serve, new_page: Open) -> None:
    slosh = serve(linger="10m")  # as long as all of them are looked at
    page = new_page(f"{slosh.url}/view/")
    names = [MARKUP, "javascript:alert(1)", "a?b#c", "100%", "ü/ß"]
    from urllib.parse import quote

    for name in names:
        slosh.curl(f"{quote(name)}?open", "1")
    rows = page.locator(".topic-name")
    expect(rows).to_have_text(sorted(names))
    assert page.locator("main img").count() == 0
    assert page.evaluate("window.ran") is None
    links = {name: page.locator("li", has=page.get_by_text(name, exact=True)).locator("a") for name in names}
    addresses = {name: link.evaluate("(link) => link.href") for name, link in links.items()}
    for name in names:
        with trying(name):
            if name == MARKUP:
                links[name].click()
            else:  # where the browser goes by a click, without the list again for each
                page.goto(addresses[name])
            expect(page.locator("#topic")).to_have_text(name)
            assert page.title() == f"{name} · slosh"
            expect(page.locator("#state")).to_have_attribute("data-state", "live")
            if name == MARKUP:
                page.go_back()
                expect(rows).to_have_count(len(names))


HOSTILE: list[Any] = [
    None,
    [],
    "text",
    7,
    {"votes": None},
    {"votes": {"Tea": "9", "__proto__": 3}},
    {"magnitude": "5", "seconds": "x", "place": {}},
    {"magnitude": 5, "seconds": 1, "longitude": 0, "latitude": 0, "depth_km": 5, "place": {"a": 1}},
    {"from": {"x": 1}, "text": None},
    {"date": 1, "over": True},
]


#: Of an example: its address, a topic, a message that it is for, and where what of it shows.
EXAMPLES: list[tuple[str, str, Any, str, str]] = [
    ("poll/", "poll/result", {"votes": {"Tea": 2}}, "#said", "2 votes"),
    ("chat/#garden", "chat/garden", {"from": "Ada", "text": "Hello"}, "#log p >> nth=-1", "AdaHello"),
    ("log-tail/#log/a", "log/a", "the last line", "li >> nth=-1", "the last line"),
    (
        "earthquakes/",
        "quakes",
        {"magnitude": 9, "seconds": 5, "longitude": 1, "latitude": 1, "depth_km": 1, "place": "here"},
        "#strongest li >> nth=0",
        "9.0here",
    ),
    ("generation/#answer/a", "answer/a", "the end", "#answer", "the end"),
]


def test_an_example_takes_whatever_is_posted_and_goes_on(
    examples: str, new_context: "Callable[[], BrowserContext]"
) -> None:
    """In a browser that keeps nothing for pages."""
    from slosh.client import Client

    context = new_context()
    context.add_init_script(NO_STORAGE)
    page = context.new_page()
    with Client(examples) as client:
        for path, topic, good, place, shown in EXAMPLES:
            with trying(path):
                page.goto(f"{examples}/{path}")
                assert client.watchers(topic, wait=30.0)
                for message in (*HOSTILE, good):
                    client.publish(topic, message)
                expect(page.locator(place)).to_contain_text(shown)


#: The left edges of the name in a line, and of the first and the last letter of the words beside it.
LAID = """(line, words) => {
  const walker = document.createTreeWalker(line, NodeFilter.SHOW_TEXT);
  while (walker.nextNode() && !walker.currentNode.data.includes(words));
  const range = document.createRange();
  const begin = walker.currentNode.data.indexOf(words);
  const letters = [begin, begin + words.length - 1].map((at) => {
    range.setStart(walker.currentNode, at);
    range.setEnd(walker.currentNode, at + 1);
    return range.getBoundingClientRect().left;
  });
  return [line.querySelector("bdi").getBoundingClientRect().left, ...letters];
}"""


@pytest.mark.parametrize("name", ["\u202eevil", "\u05e9\u05dc\u05d5\u05dd", "\u05e9\u2069\u202eevil"])
def test_no_strangers_name_turns_what_stands_beside_it_in_an_example(
    examples: str, serve: Serve, new_page: Open, name: str
) -> None:
    from urllib.parse import quote

    from slosh.client import Client

    topic = f"log/{name.replace(chr(0x2069), '')}"
    cases: list[tuple[str, str, Any, str]] = [
        ("chat/#turned", "chat/turned", {"from": name, "text": "12 eggs"}, "#log p >> nth=-1"),
        ("log-tail/#log/**", topic, "12 eggs", "li >> nth=-1"),
    ]
    with Client(examples) as client:
        for path, topic, message, place in cases:
            with trying(path):
                client.publish(topic, message, open=True)
                page = new_page(f"{examples}/{path}")
                line = page.locator(place)
                expect(line).to_contain_text("12 eggs")
                before, first, last = line.evaluate(LAID, "12 eggs")
                assert before < first < last
    pages = serve(root=PAGES)
    page = new_page(f"{pages.url}/replay.html?topic={quote(name)}")
    line = page.locator(".head p", has_text="a public data set")
    expect(line).to_contain_text(name)
    before, first, last = line.evaluate(LAID, "a public data")
    assert before < first < last


@pytest.mark.parametrize("path", ["chat/#100%", "log-tail/#100%"])
def test_an_address_that_was_typed_by_hand_is_taken_as_it_stands(examples: str, new_page: Open, path: str) -> None:
    page = new_page(f"{examples}/{path}")
    expect(page.locator("body")).to_contain_text("100%")


def test_what_is_no_json_twice_is_told_and_passed_over(slosh: Slosh, context: "BrowserContext") -> None:
    """The viewer goes on behind it, with a gap that it counts, and says so."""
    context.add_init_script(BREAKING)
    page = context.new_page()
    for topic, topics in (("t", "t"), ("u", "u,v")):
        with trying(topics):
            page.goto(f"{slosh.url}/view/{topics}")
            expect(page.locator("#state")).to_have_attribute("data-state", "live")
            slosh.post(topic, 1)
            expect(page.locator("#received")).to_have_text("1")
            slosh.post(topic, 2)
            expect(page.locator("#why")).to_have_text("Not all is shown: a message that is no JSON was passed over")
            slosh.post(topic, 4)
            expect(page.locator("#received")).to_have_text("2")
            expect(page.locator("#missed")).to_have_text("1")
            expect(page.locator("#state")).to_have_attribute("data-state", "live")
            expect(page.locator("#message")).to_have_text("4")
