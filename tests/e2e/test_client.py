"""The JavaScript client in a real browser: its place, its states, what it does when the connection drops."""

import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import slosh as slosh_package
from slosh.web.pages.assets import load
from tests.conftest import need
from tests.e2e.conftest import Slosh, until

need("module:playwright")

if TYPE_CHECKING:
    from playwright.sync_api import Page

#: What is no poll.
STREAMS = re.compile(r"/topics/(?!.*[?&]wait=)")

#: Follow the topic `t`, and note down everything that the page is told.
FOLLOW = """async ({ topic = "t", throwing, polls, ...options }) => {
  const { follow, longPoll, publish } = await import("/-/slosh.js");
  if (polls) options.transport = longPoll;
  const note = { answers: [], states: [], messages: [] };
  const controller = new AbortController();
  const following = follow(topic, {
    ...options,
    signal: controller.signal,
    onAnswer: (answer) => {
      note.answers.push(answer);
      note.messages.push(...(answer.res ?? []));
      if (throwing) throw new Error("a mistake in the page");
    },
    onState: (state) => note.states.push(state),
  });
  Object.assign(window, { note, following, controller, publish });
}"""


@pytest.fixture
def page(slosh: Slosh, new_page: "Callable[[str], Page]") -> "Page":
    """Something of the server's that follows nothing by itself."""
    return new_page(f"{slosh.url}/favicon.svg")


def follow(page: "Page", **options: Any) -> None:
    """Follow a topic, and wait until the server answered."""
    page.evaluate(FOLLOW, options)
    page.wait_for_function("following.state.name === 'live'")


def messages(page: "Page", count: int) -> list[Any]:
    """Wait for so many messages; return all that came."""
    page.wait_for_function("count => note.messages.length >= count", arg=count)
    found: list[Any] = page.evaluate("note.messages")
    return found


def test_messages_of_every_kind_arrive_once_and_in_order(slosh: Slosh, page: "Page") -> None:
    follow(page)
    sent = [None, True, 0, -1.5, "", "grün 🎉", [], [1, [2]], {}, {"a": {"b": None}}]
    slosh.post("t", *sent)
    assert messages(page, len(sent)) == sent


def test_the_page_gets_the_whole_answer(serve: Callable[..., Slosh], new_page: "Callable[[str], Page]") -> None:
    slosh = serve(queue=10)
    page = new_page(f"{slosh.url}/favicon.svg")
    follow(page)
    place = page.evaluate("following.place")
    page.evaluate("following.close()")
    slosh.post("t", *range(25))
    follow(page, since=place)
    answer = page.evaluate("note.answers[0]")
    assert {name: answer[name] for name in ("max", "saw", "delivering", "lost", "res")} == {
        "max": 25,
        "saw": 25,
        "delivering": 10,
        "lost": 15,
        "res": list(range(15, 25)),
    }


def test_the_place_is_the_page_s_own_and_no_cookie_is_ever_set(slosh: Slosh, page: "Page") -> None:
    follow(page)
    slosh.post("t", 1)
    messages(page, 1)
    assert page.context.cookies() == []


def test_what_comes_while_the_network_is_away_comes_after_without_gap_or_double(slosh: Slosh, page: "Page") -> None:
    follow(page, polls=True)  # this browser, told to be offline, cuts no stream
    slosh.post("t", 0)
    messages(page, 1)
    page.context.set_offline(True)
    slosh.post("t", *range(1, 30))
    page.wait_for_function("following.state.name === 'offline'")
    page.context.set_offline(False)
    slosh.post("t", 30)
    assert messages(page, 31) == list(range(31))
    assert page.evaluate("note.answers.some((answer) => answer.reset || answer.lost)") is False


def test_states_tell_the_reason_and_when_the_next_try_is(slosh: Slosh, page: "Page") -> None:
    follow(page)
    slosh.process.end(signal.SIGKILL)
    page.wait_for_function("note.states.filter((state) => state.name === 'offline').length >= 3")
    slosh.start()
    page.wait_for_function("following.state.name === 'live'")
    states = page.evaluate("note.states")
    names = [state["name"] for state in states]
    assert names[:2] == ["connecting", "live"]
    assert names[-2:] == ["connecting", "live"]
    offline = [state for state in states if state["name"] == "offline"]
    assert {state["reason"] for state in offline} == {"the server cannot be reached"}
    for tries, state in enumerate(offline):
        pause = min(20_000, 500 * 2**tries)
        assert pause / 2 <= state["retryIn"] <= pause, "each pause is longer, and never the same for two clients"
    assert page.evaluate("note.answers.at(-1).reset") is True


def test_a_server_that_shuts_down_says_so_and_another_is_asked_soon(slosh: Slosh, page: "Page") -> None:
    follow(page)
    slosh.process.end()
    page.wait_for_function("note.states.some(({ name }) => name === 'waiting')")
    told = page.evaluate("note.states.find(({ name }) => name === 'waiting')")
    assert told["reason"] == "the server is shutting down"
    assert told["retryIn"] <= 500


def test_a_refusal_for_good_is_told_once_and_not_tried_again(slosh: Slosh, page: "Page") -> None:
    page.evaluate(FOLLOW, {"topic": "$server"})
    page.wait_for_function("following.state.name === 'failed'")
    assert page.evaluate("note.states.map((state) => state.name)") == ["connecting", "failed"]
    assert page.evaluate("following.state.reason")


@pytest.mark.parametrize("topic", ["house/a,house/b", "house/*"])
def test_several_topics_and_patterns_are_followed_like_one(slosh: Slosh, page: "Page", topic: str) -> None:
    page.evaluate(FOLLOW, {"topic": topic})
    page.wait_for_function("following.state.name === 'live'")
    for name, value in (("house/a", 1), ("house/b", 2), ("house/a", 3)):
        slosh.post_when_watched(name, value)
        page.wait_for_function(
            "(v) => note.answers.some(({ topics }) => topics[v[0]]?.res.includes(v[1]))", arg=[name, value]
        )
    seen = page.evaluate("note.answers.flatMap(({ topics }) => Object.values(topics).flatMap(({ res }) => res))")
    assert seen == [1, 2, 3]


@pytest.mark.parametrize("end", ["following.close()", "controller.abort()"])
def test_who_closes_stops_counting_as_a_watcher_at_once(slosh: Slosh, page: "Page", end: str) -> None:
    follow(page)
    until(lambda: slosh.post("t", 1)["watchers"], lambda watchers: watchers == 1)
    page.evaluate(end)
    until(lambda: slosh.post("t", 1)["watchers"], lambda watchers: watchers == 0)
    assert page.evaluate("following.state.name") == "closed"


def test_a_mistake_in_the_page_s_handler_does_not_end_the_following(slosh: Slosh, page: "Page") -> None:
    page.evaluate("window.reportError = () => {}")
    follow(page, throwing=True)
    slosh.post("t", 1)
    messages(page, 1)
    slosh.post("t", 2)
    assert messages(page, 2) == [1, 2]


def test_publish_tells_nobody_watches_apart_from_errors(slosh: Slosh, page: "Page") -> None:
    publish = """async ([topic, value]) => {
      const { publish } = await import("/-/slosh.js");
      return publish(topic, value).catch((error) => ({ name: error.name, status: error.status, code: error.code }));
    }"""
    assert page.evaluate(publish, ["nobody", 1]) == {"taken": False, "code": "no_watchers"}
    follow(page)
    taken = page.evaluate(publish, ["t", {"a": 1}])
    assert (taken["taken"], taken["max"]) == (True, 1)
    assert messages(page, 1) == [{"a": 1}]
    refused = page.evaluate(publish, ["no,comma", 1])
    assert (refused["name"], refused["status"]) == ("SloshError", 400)
    slosh.process.end()
    assert page.evaluate(publish, ["t", 1])["name"] == "TypeError"


@pytest.mark.parametrize("options", [{}, {"polls": True}, {"shared": True}], ids=["stream", "polls", "shared"])
def test_a_topic_that_ends_ends_the_following(slosh: Slosh, page: "Page", options: dict[str, bool]) -> None:
    follow(page, **options)
    assert page.evaluate("publish('t', 'one')")["taken"] is True
    assert page.evaluate("publish('t', 'last', { end: true })")["taken"] is True
    page.wait_for_function("following.state.name === 'ended'")
    assert messages(page, 2) == ["one", "last"]
    assert page.evaluate("publish('t', 'late')") == {"taken": False, "code": "ended"}
    page.evaluate(FOLLOW, {"since": "earliest", **options})
    page.wait_for_function("following.state.name === 'ended'")
    assert messages(page, 2) == ["one", "last"]


def test_a_producer_opens_a_topic_that_nobody_watches(page: "Page") -> None:
    script = """async () => {
      const { publish } = await import("/-/slosh.js");
      return [await publish("new", 1), await publish("new", 1, { open: true })].map(({ taken }) => taken);
    }"""
    assert page.evaluate(script) == [False, True]


def test_what_is_published_twice_under_one_key_is_there_once(slosh: Slosh, page: "Page") -> None:
    follow(page)
    again = "key => publish('t', 'once', { idempotencyKey: key })"
    first, second = page.evaluate(again, "a-key"), page.evaluate(again, "a-key")
    assert first["max"] == second["max"] == 1
    slosh.post("t", "after")
    assert messages(page, 2) == ["once", "after"]


def test_a_topic_with_every_kind_of_letter_is_found(slosh: Slosh, page: "Page") -> None:
    follow(page, topic="house/küche & bad/100 %?#")
    slosh.post("house/k%C3%BCche%20%26%20bad/100%20%25%3F%23", "here")
    assert messages(page, 1) == ["here"]


def test_a_page_in_any_folder_finds_the_topics(serve: Callable[..., Slosh], new_page: Any, tmp_path: Any) -> None:
    folder = tmp_path / "deep" / "down"
    folder.mkdir(parents=True)
    (folder / "page.html").write_text(
        '<!doctype html><script type="module">import { follow } from "/-/slosh.js";'
        'follow("t", { onAnswer: ({ res }) => (document.title = res[0]) });</script>',
        encoding="utf-8",
    )
    slosh = serve(root=tmp_path)
    page = new_page(f"{slosh.url}/deep/down/page.html")
    slosh.post_when_watched("t", "found")
    page.wait_for_function("document.title === 'found'")


MISTAKES = {
    "follow(undefined)": 'follow needs a topic\'s name, not undefined: follow("kitchen", …)',
    "follow('')": 'follow needs a topic\'s name, not "": follow("kitchen", …)',
    "follow(7)": "follow needs a topic's name, not 7:",
    "follow('t', () => {})": "follow takes its options as an object, not a function:",
    "follow('t', null)": "follow takes its options as an object, not null:",
    "follow('t', { onMessage() {} })": 'follow has no option "onMessage"; it takes since, limit,',
    "follow('t', { onAnswer: 'draw' })": 'onAnswer is to be a function, not "draw"',
    "follow('t', { onState: {} })": "onState is to be a function, not {}",
    "follow('t', { wait: -1 })": "wait is a number of seconds above 0, not -1",
    "follow('t', { patience: 0 })": "patience is a number of milliseconds above 0, not 0",
    "follow('t', { whenHidden: 'no' })": 'whenHidden is "rest", "less" or "keep", not "no"',
    "follow('t', { token: 7 })": "token is a text, or a function that gives one",
    "follow('t', { headers: [] })": "headers is an object of names and texts, not []",
    "follow(['t', undefined])": "follow needs a topic's name, not undefined",
    "watch('t', { onAnswer() {} })": 'watch has no option "onAnswer"; it takes since, limit,',
    "await publish('t', 1, { retry: 3 })": 'publish has no option "retry"; it takes idempotencyKey, retries,',
    "await publishBatch('t', [1, undefined])": "only a JSON value can be published, not undefined",
    "follow('t', { server: 'localhost:8000' })": '"localhost:8000"; write "http://localhost:8000"',
    "follow('t', { server: 'example.org/slosh' })": '"example.org/slosh"; write "http://example.org/slosh"',
    "follow('t', { server: '' })": '""; write "http://localhost:8000"',
    "follow('t', { server: 'ws://a' })": '"ws://a"; write "http://localhost:8000"',
    "follow('t', { server: 'http://a:b c' })": '"http://a:b c"; write "http://localhost:8000"',
    "follow('t', { server: 'http://u:secret@a' })": "server holds a user name or password; write the address",
    "await publish(undefined, 1)": 'publish needs a topic\'s name, not undefined: publish("kitchen", …)',
    "await publish('t')": "only a JSON value can be published, not undefined; send null for nothing",
    "await publish('t', 1, { server: 'localhost:8000' })": 'write "http://localhost:8000"',
}


def test_a_mistake_of_the_caller_is_an_error_at_once_that_says_what_to_write(page: "Page") -> None:
    for call, what in MISTAKES.items():
        name, message = page.evaluate(f"""async () => {{
          const {{ follow, publish, publishBatch, watch }} = await import("/-/slosh.js");
          try {{ {call}; }} catch (error) {{ return [error.name, error.message]; }}
          return ["nothing", ""];
        }}""")
        assert (call, name) == (call, "TypeError")
        assert what in message, call
        assert "secret" not in message, call


def test_a_refusal_is_told_with_its_detail(page: "Page") -> None:
    page.evaluate(FOLLOW, {"since": "yesterday"})
    page.wait_for_function("following.state.name === 'failed'")
    assert "since is " in page.evaluate("following.state.reason")


def test_a_page_that_may_not_read_is_told_apart_from_a_server_that_is_away(
    slosh: Slosh, serve: Callable[..., Slosh], page: "Page"
) -> None:
    other = serve()
    page.evaluate(FOLLOW, {"server": other.url})
    page.wait_for_function("following.state.name === 'offline'")
    allowed = (
        f"{other.url} answers, but does not allow pages of {slosh.url} to read it; start it with --origins {slosh.url}"
    )
    assert page.evaluate("following.state.reason") == allowed
    publish = """server => import("/-/slosh.js")
      .then(({ publish }) => publish("t", 1, { server })).catch((error) => error.message)"""
    assert page.evaluate(publish, other.url) == allowed
    other.process.end()
    assert page.evaluate(publish, other.url) == f"{other.url} cannot be reached"
    page.evaluate("following.retry()")
    page.wait_for_function("reason => following.state.reason === reason", arg=f"{other.url} cannot be reached")


@pytest.mark.parametrize(
    ("field", "least", "most"), [("7", 7000, 7000), ("Thu, 01 Jan 1970 00:00:00 GMT", 0, 500), ("soon", 0, 500)]
)
def test_the_server_is_left_alone_for_as_long_as_it_asks(page: "Page", field: str, least: int, most: int) -> None:
    page.route("**/topics/**", lambda route: route.fulfill(status=503, headers={"Retry-After": field}, body="{}"))
    page.evaluate(FOLLOW, {})
    page.wait_for_function("note.states.some(({ name }) => name === 'waiting')")
    assert least <= page.evaluate("note.states.find(({ name }) => name === 'waiting').retryIn") <= most


def test_a_date_to_come_back_at_is_kept(page: "Page") -> None:
    later = page.evaluate("new Date(Date.now() + 60_000).toUTCString()")
    page.route("**/topics/**", lambda route: route.fulfill(status=429, headers={"Retry-After": later}, body="{}"))
    page.evaluate(FOLLOW, {})
    page.wait_for_function("note.states.some(({ name }) => name === 'waiting')")
    assert 50_000 < page.evaluate("note.states.find(({ name }) => name === 'waiting').retryIn") <= 60_000


def test_a_pattern_is_followed_without_a_moment_in_which_nothing_watches(slosh: Slosh, page: "Page") -> None:
    follow(page, topic="new/*", times=True)
    for number in range(50):
        assert slosh.post(f"new/{number}", number)["status"] == 200
    page.wait_for_function("note.answers.flatMap(({ topics }) => Object.values(topics)).length >= 50")
    times = page.evaluate("note.answers.flatMap(({ topics }) => Object.values(topics).flatMap(({ times }) => times))")
    assert len(times) == 50
    assert times == sorted(times)
    assert abs(times[-1] - page.evaluate("Date.now()")) < 60_000


def test_where_no_stream_comes_through_polls_take_its_place(slosh: Slosh, page: "Page") -> None:
    page.route(STREAMS, lambda _: None)  # a proxy that collects: nothing ever comes
    page.clock.install()
    page.evaluate(FOLLOW, {"topic": "house/*"})
    page.wait_for_function("note.states.length === 1")
    page.clock.fast_forward(20_000)
    page.wait_for_function("following.state.name === 'live'")
    slosh.post_when_watched("house/a", 1)
    page.wait_for_function("note.answers.some(({ topics }) => topics['house/a']?.res[0] === 1)")


def test_where_a_stream_is_refused_polls_take_its_place(slosh: Slosh, page: "Page") -> None:
    page.route(STREAMS, lambda route: route.fulfill(status=406, body="no"))
    follow(page, topic="house/*")
    slosh.post_when_watched("house/a", 1)
    page.wait_for_function("note.answers.some(({ topics }) => topics['house/a']?.res[0] === 1)")
    assert "offline" not in page.evaluate("note.states.map(({ name }) => name)")


def test_a_stream_that_the_server_cannot_serve_now_is_asked_for_again(slosh: Slosh, page: "Page") -> None:
    """A restart behind a proxy is a 502 for a moment; after it no POST to a new topic may be refused between polls."""
    page.route("**/topics/**", lambda route: route.fulfill(status=502, body="no"), times=1)
    page.evaluate(FOLLOW, {"topic": "house/*"})
    page.wait_for_function("following.state.name === 'live'")
    assert "waiting" in page.evaluate("note.states.map(({ name }) => name)")
    assert [slosh.post(f"house/{number}", number)["status"] for number in range(30)] == [200] * 30


def test_a_connection_that_takes_long_says_what_may_be_the_reason(page: "Page") -> None:
    page.route("**/topics/**", lambda _: None)
    page.clock.install()
    page.evaluate(FOLLOW, {})
    page.wait_for_function("note.states.length === 1")
    page.clock.fast_forward(5000)
    page.wait_for_function("note.states.length === 2")
    assert "six connections" in page.evaluate("following.state.reason")


def test_the_client_is_small() -> None:
    """Nothing but its comments is taken out. What shares a connection with other tabs is loaded by those who ask."""
    folder = Path(slosh_package.__file__).parent / "web" / "static"
    assert sum(len(load(folder / name).packed) for name in ("slosh.js", "slosh/wire.js")) <= 8192
