"""The examples as they run, for their tests; and their pictures: `python -m tests.e2e.gallery`.

The pictures go to `examples/img`, for the page that shows them all.
"""

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import expect, sync_playwright

from slosh.client import Client
from tests.conftest import need
from tests.e2e.conftest import CHROMIUM
from tests.running import SLOSH, Running, clean_environment

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

EXAMPLES = Path(__file__).parents[2] / "examples"
#: Seconds for which a page is fed before its picture.
FED = 15
LINES = (
    "INFO  GET /orders/{} 200 in 12 ms",
    "INFO  GET /orders/{} 200 in 9 ms",
    "INFO  POST /orders/{} 201 in 31 ms",
    "INFO  GET /orders/{} 200 in 11 ms",
    "WARN  payment of {} took 2.4 s",
    "INFO  GET /orders/{} 304 in 2 ms",
    "INFO  POST /orders/{} 201 in 28 ms",
    "ERROR order {}: no connection to the warehouse, trying again in 5 s",
)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A server with all examples, run in `folder`; gives its address."""
    config = ("--root", str(EXAMPLES), "--config", str(EXAMPLES / "slosh.toml"), "--linger", "2s")
    with Running([*SLOSH, "serve", "--port", "0", *config], folder) as server:
        yield server.hear(r"is ready on (\S+?),?( |$)")[1]


def program(url: str, path: str, *arguments: str) -> Running:
    """A program of an example, for a server."""
    command = [sys.executable, str(EXAMPLES / path), *arguments]
    return Running(command, EXAMPLES / path.partition("/")[0], clean_environment(SLOSH_URL=url))


def wait_for(url: str, topic: str) -> None:
    """Wait until somebody watches a topic."""
    with Client(url) as client:
        assert client.watchers(topic, wait=30.0), topic


def vote(page: "Page", choice: str, count: int) -> None:
    """Vote, and see the vote counted."""
    button = page.get_by_role("button", name=choice)
    button.click()
    expect(button.locator("b")).to_have_text(str(count))


def take(browser: "Browser", url: str) -> None:
    """Take the pictures, one example after the other."""

    def shoot(name: str, page: "Page") -> None:
        page.wait_for_function("document.getAnimations().every(({ playState }) => playState !== 'running')")
        page.screenshot(path=EXAMPLES / "img" / f"{name}.png")
        page.close()

    def opened(path: str) -> "Page":
        page = browser.new_context(viewport={"width": 880, "height": 660}).new_page()
        page.goto(f"{url}/{path}")
        return page

    page = opened("machine/")
    with program(url, "machine/measure.py", "kitchen", "0.3"), program(url, "machine/measure.py", "cellar", "0.4"):
        time.sleep(FED)
        shoot("machine", page)
    page = opened("training/")
    runs = [program(url, "training/train.py", name, rate) for name, rate in (("fast", "0.3"), ("slow", "0.03"))]
    with runs[0], runs[1]:
        time.sleep(FED)
        shoot("training", page)
    page = opened("earthquakes/")
    with program(url, "earthquakes/replay_quakes.py", "100000"):
        time.sleep(FED)
        shoot("earthquakes", page)
    with program(url, "poll/count.py"):
        wait_for(url, "poll/votes")
        voters = [opened("poll/") for _ in range(6)]
        for number, (voter, choice) in enumerate(zip(voters, ["Tea"] * 3 + ["Coffee"] * 2 + ["Water"], strict=True)):
            vote(voter, choice, (1, 2, 3, 1, 2, 1)[number])
        shoot("poll", voters[0])
    with Client(url) as client:
        for number in range(60):
            client.publish("log/shop", LINES[number * 7 // 3 % len(LINES)].format(4700 + number))
        for who, text in (("Ada", "Is the oven on?"), ("Ben", "Since ten."), ("Ada", "Then I bring the bread.")):
            client.publish("chat/lobby", {"from": who, "text": text})
    for name, path in (("log-tail", "log-tail/#log/shop"), ("chat", "chat/")):
        page = opened(path)
        time.sleep(2)
        shoot(name, page)
    with program(url, "generation/producer.py"):
        wait_for(url, "prompts")
        page = opened("generation/")
        page.get_by_role("button", name="Ask").click()
        time.sleep(4)
        shoot("generation", page)


def main() -> None:
    """Take all of them."""
    (EXAMPLES / "img").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=need("chromium"), args=CHROMIUM)
        take(browser, url)
        browser.close()


if __name__ == "__main__":
    main()
