"""The pictures of the README, of pages as they run: `python -m tests.e2e.pictures` writes them into `docs/img`.

It takes a minute and a half. Look at them: a machine that does other things shows in them too.
"""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import expect, sync_playwright

from tests.conftest import need
from tests.e2e.conftest import CHROMIUM, FEEDERS, Process, Slosh

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TOP = Path(__file__).parents[2]
#: Seconds for which the charts are fed.
FED = 64
TALK = (
    ("Ada", "Is this thing on?"),
    ("Grace", "Loud and clear."),
    ("Grace", "My train went through a tunnel just now, and everything you said came after all."),
    ("Linus", '<script>alert("hi")</script>'),
    ("Linus", "… shows as text. Good."),
    ("Ada", "So the server remembers where you were?"),
    ("Grace", "No, my page does. Each answer says where to go on from, and what was lost, if anything was."),
    ("Ada", "And if everybody leaves, the room is gone. I like that."),
)


def talk(browser: "Browser", url: str) -> "Page":
    """Three people in a room; gives the page of the first."""
    people: dict[str, Page] = {}
    for name in dict.fromkeys(name for name, _ in TALK):
        page = browser.new_context(viewport={"width": 900, "height": 810}, locale="en-GB").new_page()
        page.goto(f"{url}/chat.html")
        expect(page.locator("#state")).to_have_attribute("data-state", "live")
        page.get_by_label("Your name").fill(name)
        people[name] = page
    for number, (name, text) in enumerate(TALK, 1):
        people[name].get_by_label("Your message").fill(text)
        people[name].get_by_role("button", name="Send").click()
        for page in people.values():
            expect(page.locator(".line")).to_have_count(number)
    return people["Ada"]


def take(browser: "Browser", slosh: Slosh, folder: Path) -> None:
    """Take the pictures."""
    pages = {}
    for name, path, width, height in (("live", "live.html", 1200, 850), ("view", "view/replay", 1120, 900)):
        page = browser.new_context(viewport={"width": width, "height": height}).new_page()
        page.goto(f"{slosh.url}/{path}")
        pages[name] = page
    feeders = [Process(sys.executable, FEEDERS / f"{name}.py", "--url", slosh.url) for name in ("machine", "replay")]
    with feeders[0], feeders[1]:
        talk(browser, slosh.url).screenshot(path=folder / "chat.png")
        time.sleep(FED)
        for name, page in pages.items():
            page.bring_to_front()
            page.screenshot(path=folder / f"{name}.png", full_page=name == "view")


def main() -> None:
    """Take all of them."""
    slosh = Slosh(root=TOP / "example")
    with slosh.process, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=need("chromium"), args=CHROMIUM)
        take(browser, slosh, TOP / "docs" / "img")
        browser.close()


if __name__ == "__main__":
    main()
