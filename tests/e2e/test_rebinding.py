"""A page whose DNS name was pointed at this machine, in a real browser (DNS rebinding)."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.conftest import need
from tests.e2e.conftest import CHROMIUM, PATIENCE, Slosh

if TYPE_CHECKING:
    from playwright.sync_api import Page

ATTACK = """async () => {
  const status = async (method, headers) => (await fetch("/topics/t?wait=0", { method, headers })).status;
  const socket = new WebSocket(`ws://${location.host}/topics/t`);
  const opened = new Promise((resolve) => {
    socket.onopen = () => resolve(true);
    socket.onerror = () => resolve(false);
  });
  const lie = { "X-Forwarded-Host": "localhost:8000", "Host": "localhost" };
  return [await status("GET", {}), await status("GET", lie), await status("POST", lie), await opened];
}"""


@pytest.fixture(scope="module")
def rebound() -> "Iterator[Page]":
    """A browser for which every name of *.example is this machine."""
    need("module:playwright")
    from playwright.sync_api import sync_playwright

    rules = "--host-resolver-rules=MAP *.example 127.0.0.1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=need("chromium"), args=[*CHROMIUM, rules])
        page = browser.new_page(bypass_csp=True)  # the attacker's page has no policy, as our error page does
        page.set_default_timeout(PATIENCE * 1000)
        yield page
        browser.close()


def test_it_reads_and_posts_nothing(serve: Callable[..., Slosh], rebound: "Page") -> None:
    """The browser takes it for the same origin, so nobody but the server can tell."""
    slosh = serve(unwatched="keep")
    answer = rebound.goto(f"http://evil.example:{slosh.port}/topics/t?wait=0")
    assert answer is not None
    assert answer.status == 421
    assert rebound.evaluate(ATTACK) == [421, 421, 421, False]


def test_the_same_page_under_a_name_of_ours_may_do_all(serve: Callable[..., Slosh], rebound: "Page") -> None:
    slosh = serve(unwatched="keep", hosts="good.example")
    assert slosh.post("t", 1)["status"] == 200
    rebound.goto(f"http://good.example:{slosh.port}/topics/t?wait=0")
    attempt = ATTACK.replace("{ method, headers }", '{ method, headers, body: method === "POST" ? "1" : undefined }')
    assert rebound.evaluate(attempt) == [200, 200, 200, True]
