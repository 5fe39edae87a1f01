"""A page of a server with rules asks for a token, and shows its topic with it; it is never just empty."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

from slosh.access.tokens import hash_token
from tests.conftest import need
from tests.e2e.conftest import Slosh

need("module:playwright")
from playwright.sync_api import expect  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open: TypeAlias = "Callable[[str], Page]"
TOKEN, OTHER = "slosh_of_the_kitchen_000", "slosh_of_the_cellar_0000"
ROW = '[[access.tokens]]\nname = "{}"\nsha256 = "{}"\nread = ["{}"]\npublish = ["{}"]\n'


def rules(*rows: tuple[str, str]) -> str:
    return "[access]\n" + "".join(ROW.format(name, hash_token(token).hex(), name, name) for token, name in rows)


@pytest.fixture
def server(tmp_path: Path, serve: Callable[..., Slosh]) -> Slosh:
    (tmp_path / "slosh.toml").write_text(rules((TOKEN, "kitchen"), (OTHER, "cellar")))
    return serve(config=tmp_path / "slosh.toml")


def sign_in(page: "Page", token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def test_the_viewer_asks_for_a_token_and_shows_the_topic_with_it(server: Slosh, new_page: Open, tmp_path: Path) -> None:
    page = new_page(f"{server.url}/view/kitchen")
    expect(page.get_by_role("dialog")).to_contain_text("asks for a token")
    sign_in(page, "slosh_nobody_knows_me")
    expect(page.get_by_role("alert").filter(visible=True).last).to_contain_text("does not count")
    sign_in(page, OTHER)
    expect(page.get_by_role("dialog")).to_contain_text("does not allow this page")
    sign_in(page, TOKEN)
    expect(page.locator('[data-state="live"]').first).to_be_attached()
    expect(page.get_by_role("dialog")).to_have_count(0)
    kept = page.evaluate("[document.cookie, ...Object.values(localStorage), ...Object.values(sessionStorage)].join()")
    assert TOKEN not in kept
    assert TOKEN not in page.content()
    # Taken out of the file: what is open ends, and the page asks again.
    (tmp_path / "slosh.toml").write_text(rules((OTHER, "cellar")))
    server.process.tell(signal.SIGHUP)
    expect(page.get_by_role("dialog")).to_contain_text("asks for a token")


def test_a_page_of_ones_own_asks_too(server: Slosh, new_page: Open) -> None:
    page = new_page(f"{server.url}/live.html")
    expect(page.get_by_role("dialog")).to_contain_text("asks for a token")
    sign_in(page, TOKEN)
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_without_rules_nothing_is_asked(slosh: Slosh, new_page: Open) -> None:
    page = new_page(f"{slosh.url}/view/kitchen")
    expect(page.locator('[data-state="live"]').first).to_be_attached()
    expect(page.get_by_role("dialog")).to_have_count(0)
