"""The example of a generated answer, in a browser: it survives a reload, and its model stops when nobody reads."""

import importlib.util
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from slosh.client import Client
from tests.conftest import need
from tests.e2e.conftest import address, until
from tests.running import SLOSH, Running, clean_environment

need("module:playwright")
from playwright.sync_api import expect  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

EXAMPLE = Path(__file__).parents[2] / "examples" / "generation"
FAILS = """def write(prompt, pace):
    yield "once "
    raise ValueError("no memory")
"""
ASKS = "from producer import Client, answer; answer(Client(), 'answer/fails', 'a question')"
LINGER = 2.0
"""Seconds, for what ends with it; for what must not end a reload on a busy machine has a minute."""
PACE = 0.01


def whole(prompt: str) -> str:
    """The answer that the model writes."""
    spec = importlib.util.spec_from_file_location("model", EXAMPLE / "model.py")
    assert spec is not None
    assert spec.loader is not None
    model = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(model)
    return "".join(model.write(prompt, pace=0.0))


@pytest.fixture
def running(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[str, Running]]:
    """A server with the example's own settings but another `linger`, and the producer."""
    linger = getattr(request, "param", 60.0)
    folder = tmp_path / "generation"
    shutil.copytree(EXAMPLE, folder)
    settings = folder / "slosh.toml"
    settings.write_text(settings.read_text(encoding="utf-8").replace('linger = "5s"', f'linger = "{linger:g}s"'))
    with Running([*SLOSH, "serve", "--port", "0", "--config", "slosh.toml"], folder) as server:
        url = server.hear(r"is ready on (\S+?),?( |$)")[1]
        command = [sys.executable, "producer.py", str(PACE)]
        with Running(command, folder, clean_environment(SLOSH_URL=url)) as producer, Client(url) as client:
            assert client.watchers("prompts", wait=30.0), "the producer listens"
            yield url, producer


def ask(page: "Page", url: str, prompt: str) -> None:
    page.goto(url)
    page.get_by_label("Your question").fill(prompt)
    page.get_by_role("button", name="Ask").click()


def test_a_reload_in_the_middle_loses_and_doubles_nothing(
    running: tuple[str, Running], new_context: "Callable[[], BrowserContext]"
) -> None:
    url, producer = running
    page = new_context().new_page()
    ask(page, url, "once")
    expect(page.locator("#answer")).to_contain_text("[24]")
    page.reload()
    expect(page.locator("#answer")).to_contain_text("[24]")
    second = page.context.new_page()  # and another tab at the same address
    second.goto(address(page))
    for each in (page, second):
        expect(each.locator("#state")).to_have_text("done")
        assert each.locator("#answer").inner_text().split() == whole("once").split()
    producer.hear("written")
    page.reload()
    expect(page.locator("#state")).to_have_text("done")
    assert page.locator("#answer").inner_text().split() == whole("once").split(), "it lingers"


@pytest.mark.parametrize("running", [LINGER], indirect=True)
def test_the_model_stops_when_the_tab_is_closed(
    running: tuple[str, Running], new_context: "Callable[[], BrowserContext]"
) -> None:
    url, producer = running
    page = new_context().new_page()
    ask(page, url, "closed")
    expect(page.locator("#answer")).to_contain_text("[24]")
    page.close()
    closed = time.monotonic()
    producer.hear(r"stopped after \d+ tokens?, because nobody reads")
    took = time.monotonic() - closed
    assert took < LINGER + 5, "within linger, and what a busy machine needs"


def test_a_reader_may_stop_it(running: tuple[str, Running], new_context: "Callable[[], BrowserContext]") -> None:
    url, producer = running
    page = new_context().new_page()
    ask(page, url, "stopped")
    expect(page.locator("#answer")).to_contain_text("[24]")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#state")).to_have_text("done")
    producer.hear("stopped after .* its reader ended it")


def test_a_model_that_fails_is_told_as_that_and_not_as_an_answer_that_is_done(
    running: tuple[str, Running], new_context: "Callable[[], BrowserContext]", tmp_path: Path
) -> None:
    url, _ = running
    folder = tmp_path / "failing"
    shutil.copytree(EXAMPLE, folder)
    (folder / "model.py").write_text(FAILS)
    page = new_context().new_page()
    with Client(url) as client:
        topic = "answer/fails"
        client.open(topic)
        page.goto(f"{url}/#{topic}")
        with Running([sys.executable, "-c", ASKS], folder, clean_environment(SLOSH_URL=url)) as producer:
            assert producer.end() == 1, producer.output
    expect(page.locator("#answer")).to_have_text("once ")
    expect(page.locator("#state")).to_have_text("failed: no memory")
    page.route("**/topics/prompts", lambda route: route.abort())
    page.get_by_label("Your question").fill("another")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#state")).to_contain_text(re.compile("fetch|reach", re.IGNORECASE))


def test_a_question_with_the_topic_of_an_answer_that_has_ended_costs_the_model_nothing(
    running: tuple[str, Running],
) -> None:
    url, producer = running
    with Client(url) as client:
        client.publish("answer/used", "the first", open=True, end=True)
        client.publish("prompts", {"topic": "answer/used", "prompt": "the second"})
        producer.hear("answer/used: this topic has ended")


def test_an_event_source_stops_at_the_end(
    running: tuple[str, Running], new_context: "Callable[[], BrowserContext]"
) -> None:
    """The browser's own: it comes back once by itself, and is told by a 204 that this was the end."""
    url, _ = running
    with Client(url) as client:
        client.publish("answer/native", 1, open=True)
        client.publish("answer/native", 2, end=True)
    page = new_context().new_page()
    page.goto(url)
    page.evaluate(
        """() => {
          window.told = [];
          window.source = new EventSource("/topics/answer/native?since=earliest");
          source.onmessage = ({ data }) => told.push(data);
          source.addEventListener("end", () => told.push("end"));
        }"""
    )
    assert until(lambda: page.evaluate("source.readyState"), lambda state: state == 2) == 2
    assert page.evaluate("told") == ["1", "2", "end"]
