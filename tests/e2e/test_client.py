"""The JavaScript client in a real browser: its place, its states, what it does when the connection drops."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import need
from tests.e2e.conftest import Slosh, until

need("module:playwright")

if TYPE_CHECKING:
    from playwright.sync_api import Page

#: Follow the topic `t`, and note down everything that the page is told.
FOLLOW = """async ({ topic = "t", throwing, ...options }) => {
  const { follow, publish } = await import("/-/slosh.js");
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
    follow(page)
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
    slosh.process.end()
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
