"""One connection for all tabs of a browser: each gets what it wants while others come, die and freeze."""

import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import need
from tests.e2e.conftest import Slosh, until
from tests.e2e.tabs import Tabs

need("module:playwright")
if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

#: Follow topics over the connection of all tabs, and note down all that comes.
SHARE = """async ({ topics, ...options }) => {
  const { follow } = await import("/-/slosh.js");
  window.got ??= Object.create(null);
  window.lost ??= 0;
  window.followings ??= [];
  const note = (topic, { res = [], lost = 0, reset }) => {
    (got[topic] ??= []).push(...res);
    window.lost += lost + (reset ? 1 : 0);
  };
  followings.push(follow(topics, {
    ...options,
    shared: true,
    onAnswer: (answer) => {
      for (const [topic, part] of answer.topics ? Object.entries(answer.topics) : [[topics, answer]]) note(topic, part);
    },
  }));
}"""
LIVE = "followings.every(({ state }) => state.name === 'live')"


@pytest.fixture(name="slosh")
def slosh_with_long_rings(serve: Callable[..., Slosh]) -> Slosh:
    """A server whose rings hold what comes while tabs find another that leads, also on a busy machine."""
    return serve(queue=100_000)


@pytest.fixture
def context(new_context: "Callable[[], BrowserContext]") -> "BrowserContext":
    """One person's browser."""
    return new_context()


def tab(context: "BrowserContext", slosh: Slosh, *topics: str, **options: Any) -> "Page":
    """A tab that follows topics and is connected."""
    page = context.new_page()
    page.goto(f"{slosh.url}/favicon.svg")
    for each in topics:
        page.evaluate(SHARE, {"topics": each, **options})
    page.wait_for_function(LIVE)
    return page


def until_got(page: "Page", topic: str, count: int) -> list[Any]:
    """What a tab was given of a topic, once it is so much."""
    return until(lambda: got(page, topic), lambda messages: len(messages) >= count)


def got(page: "Page", topic: str) -> list[Any]:
    """What a tab was given of a topic so far."""
    found: list[Any] = page.evaluate("topic => got[topic] ?? []", topic)
    return found


@pytest.fixture
def feeding(slosh: Slosh) -> Iterator[Callable[..., "Feeder"]]:
    feeders: list[Feeder] = []

    def start(*topics: str) -> Feeder:
        feeders.append(Feeder(slosh, topics))
        return feeders[-1]

    yield start
    for feeder in feeders:
        feeder.stop()


class Feeder(threading.Thread):
    """Posts whole numbers to topics, one after another, until it is told to stop."""

    def __init__(self, slosh: Slosh, topics: tuple[str, ...]) -> None:
        super().__init__(daemon=True)
        self._slosh, self._topics, self._over = slosh, topics, threading.Event()
        self.sent = 0
        self.start()

    def run(self) -> None:
        while not self._over.is_set():
            for topic in self._topics:
                assert self._slosh.post(topic, self.sent)["status"] == 200
            self.sent += 1
            time.sleep(0.01)

    def stop(self) -> int:
        self._over.set()
        self.join()
        return self.sent


def test_tabs_have_one_connection_and_each_all_that_it_wants(slosh: Slosh, context: "BrowserContext") -> None:
    pages = [
        tab(context, slosh, "a"),
        tab(context, slosh, "a,b"),
        tab(context, slosh, "b", "c/*"),
        tab(context, slosh, "a"),
    ]
    until(lambda: slosh.post("a", 1)["watchers"], lambda count: count == 1)
    sent = slosh.post("a", "last")["max"]
    for page in (pages[0], pages[1], pages[3]):
        assert until_got(page, "a", sent)[-1] == "last"
    slosh.post("b", 1, 2)
    slosh.post("c/x", 3)
    assert until_got(pages[2], "b", 2) == [1, 2]
    assert until(lambda: got(pages[2], "c/x"), bool) == [3]
    assert until_got(pages[1], "b", 2) == [1, 2]
    assert got(pages[0], "b") == []


@pytest.mark.long
def test_ten_tabs_of_which_three_die_count_every_message(
    slosh: Slosh, tmp_path: Path, feeding: Callable[..., Feeder]
) -> None:
    """The first to die leads; two more go at random. All but the newest are hidden, as a person's are."""
    chosen = random.Random(7)
    with Tabs(tmp_path) as browser:
        tabs = []
        for number in range(10):
            tabs.append(browser.open(f"{slosh.url}/favicon.svg"))
            options = json.dumps({"topics": "t0" if number % 2 else "t0,t1", "since": "earliest"})
            begin = f"({SHARE})({options}).then(() => true)"
            until(partial(tabs[-1].evaluate, begin), bool)
            until(partial(tabs[-1].evaluate, LIVE), bool)
        feeder = feeding("t0", "t1")
        for victim in (0, chosen.randrange(9), chosen.randrange(8)):
            time.sleep(0.5)  # what is posted meanwhile is the point
            tabs.pop(victim).crash()
        time.sleep(0.5)
        sent = feeder.stop()
        for each in tabs:
            messages = until(partial(each.evaluate, "got.t0 ?? []"), lambda found: len(found) >= sent)
            assert messages == list(range(sent)), "in their order, none missing, none twice"
            assert each.evaluate("lost") == 0
        assert until(lambda: slosh.post("t0", "last")["watchers"], lambda count: count == 1)


def test_a_leader_that_is_frozen_hands_over_and_catches_up_when_it_thaws(
    slosh: Slosh, context: "BrowserContext", feeding: Callable[..., Feeder]
) -> None:
    leader, other = tab(context, slosh, "t"), tab(context, slosh, "t")
    feeder = feeding("t")
    until(lambda: got(other, "t"), bool)
    session = context.new_cdp_session(leader)
    session.send("Page.setWebLifecycleState", {"state": "frozen"})
    time.sleep(1)  # what it was passing on is through
    frozen = len(got(other, "t"))
    until(lambda: len(got(other, "t")), lambda count: count > frozen + 50)
    session.send("Page.setWebLifecycleState", {"state": "active"})
    sent = feeder.stop()
    for page in (leader, other):
        assert until_got(page, "t", sent) == list(range(sent))
        assert page.evaluate("lost") == 0


def test_the_union_of_topics_changes_without_losing(
    slosh: Slosh, context: "BrowserContext", feeding: Callable[..., Feeder]
) -> None:
    page = tab(context, slosh, "t")
    feeder = feeding("t")
    for number in range(7 if os.environ.get("QUICK") else 15):
        other = tab(context, slosh, f"other/{number}", "t")
        if number % 2:
            other.close()
    sent = feeder.stop()
    assert until_got(page, "t", sent) == list(range(sent))
    assert page.evaluate("lost") == 0


#: A browser that is slow to give a tab the lock by which others know that it lives.
SLOW_LOCKS = """
const request = navigator.locks.request.bind(navigator.locks);
navigator.locks.request = async (name, ...rest) => {
  if (name.startsWith("slosh tab")) await new Promise((resolve) => setTimeout(resolve, 300));
  return request(name, ...rest);
};
"""


def test_a_tab_whose_lock_comes_late_is_not_taken_for_gone(slosh: Slosh, context: "BrowserContext") -> None:
    tab(context, slosh, "t")
    page = context.new_page()
    page.add_init_script(SLOW_LOCKS)
    page.goto(f"{slosh.url}/favicon.svg")
    page.evaluate(SHARE, {"topics": "other"})
    page.wait_for_function(LIVE)
    assert slosh.post("other", 1)["status"] == 200
    assert until(lambda: got(page, "other"), bool) == [1]


def test_a_restart_is_told_to_each_tab_once(slosh: Slosh, context: "BrowserContext") -> None:
    pages = [tab(context, slosh, "t") for _ in range(3)]
    slosh.post("t", 1)
    for page in pages:
        assert until_got(page, "t", 1) == [1]
    slosh.process.end(signal.SIGKILL)
    for page in pages:
        page.wait_for_function("followings[0].state.name === 'offline'")
    slosh.start()
    for page in pages:
        page.wait_for_function(LIVE)
    slosh.post_when_watched("t", 2)
    for page in pages:
        assert until_got(page, "t", 2) == [1, 2]
        assert page.evaluate("lost") == 1


def test_a_topic_that_is_refused_is_refused_to_its_tab_alone(slosh: Slosh, context: "BrowserContext") -> None:
    page = tab(context, slosh, "t")
    page.evaluate(SHARE, {"topics": "$server"})
    page.wait_for_function("followings[1].state.name === 'failed'")
    slosh.post("t", 1)
    until(lambda: got(page, "t"), lambda messages: messages == [1])


def test_a_page_without_locks_shares_what_it_follows_itself_and_says_so(
    slosh: Slosh, context: "BrowserContext"
) -> None:
    """Only pages over HTTPS or on localhost have locks."""
    context.add_init_script("Object.defineProperty(Navigator.prototype, 'locks', { value: undefined })")
    first, second = tab(context, slosh, "t", "t,u"), tab(context, slosh, "t")
    assert [page.evaluate("followings[0].sharing") for page in (first, second)] == ["page", "page"]
    until(lambda: slosh.post("t", 1)["watchers"], lambda count: count == 2)
    sent = slosh.post("t", "last")["max"]
    for page, count in ((first, 2 * sent), (second, sent)):
        assert len(until_got(page, "t", count)) == count


def test_a_topic_that_is_gone_leaves_the_place_of_a_pattern(
    serve: Callable[..., Slosh], context: "BrowserContext"
) -> None:
    """Else the place grows with each topic there was, until the server refuses to read it."""
    slosh = serve(linger=1)
    page = tab(context, slosh, "builds/*")
    slosh.post("builds/1?end", "done")
    until_got(page, "builds/1", 1)

    def place() -> str:
        slosh.post("builds/2", "on")
        found: str = page.evaluate("followings[0].place")
        return found

    until(place, lambda told: "builds/2=" in told and "builds/1=" not in told)
    # Of both each message came once.
    other = tab(context, slosh, "other")
    sent = slosh.post("builds/2", "last")["max"]
    assert got(page, "builds/1") == ["done"]
    assert until(lambda: got(page, "builds/2"), lambda messages: "last" in messages) == [*["on"] * (sent - 1), "last"]
    assert page.evaluate("[window.lost, followings[0].state.name]") == [0, "live"]
    assert other.evaluate("followings[0].sharing") == "browser"


def test_without_the_script_for_sharing_a_page_has_a_connection_of_its_own(
    slosh: Slosh, context: "BrowserContext"
) -> None:
    """It is loaded behind the page, and the network may be away just then."""
    context.route("**/slosh/tabs.js", lambda route: route.abort())
    page = tab(context, slosh, "a")
    slosh.post("a", 1)
    until_got(page, "a", 1)
    assert page.evaluate("followings[0].sharing") == "none"
