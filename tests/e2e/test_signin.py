"""A page of a server with rules asks for a token, and shows its topic with it; it is never just empty."""

import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

from slosh.access.tokens import hash_token
from tests.conftest import need
from tests.e2e.conftest import Slosh, trying

need("module:playwright")
from playwright.sync_api import expect  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

Open: TypeAlias = "Callable[[str], Page]"
TOKEN, OTHER = "slosh_of_the_kitchen_000", "slosh_of_the_cellar_0000"
ROW = '[[access.tokens]]\nname = "{}"\nsha256 = "{}"\nread = ["{}"]\npublish = ["{}"]\n'


def rules(*rows: tuple[str, str], public: str = "") -> str:
    begin = f'[access]\npublic = {{ read = ["{public}"] }}\n' if public else "[access]\n"
    return begin + "".join(ROW.format(name, hash_token(token).hex(), name, name) for token, name in rows)


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
    expect(page.locator("#curl")).to_have_text(
        f"""curl -H "Authorization: Bearer $SLOSH_TOKEN" -d '{{"value": 21.5}}' '{server.url}/topics/kitchen'"""
    )
    # Taken out of the file: what is open ends, and the page asks again.
    (tmp_path / "slosh.toml").write_text(rules((OTHER, "cellar")))
    server.process.tell(signal.SIGHUP)
    expect(page.get_by_role("dialog")).to_contain_text("asks for a token")
    page.reload()
    expect(page.get_by_role("dialog")).to_contain_text("asks for a token")
    assert "Bearer" not in page.locator("#curl").inner_text()


def test_the_form_looks_as_the_panels_of_the_viewer(
    server: Slosh, new_context: Callable[..., "BrowserContext"]
) -> None:
    look = """(it) => {
      const { backgroundColor, color, borderTopColor, borderTopLeftRadius } = getComputedStyle(it);
      return [backgroundColor, color, borderTopColor, borderTopLeftRadius];
    }"""
    for scheme, accent in (("light", "rgb(11, 111, 117)"), ("dark", "rgb(76, 207, 196)")):
        page = new_context(color_scheme=scheme).new_page()
        page.goto(f"{server.url}/view/kitchen")
        with trying(scheme):
            dialog = page.get_by_role("dialog")
            expect(dialog.get_by_role("heading")).to_have_text("Sign in")
            assert dialog.evaluate(look) == page.locator("#empty").evaluate(look)
            sends = dialog.get_by_role("button", name="Sign in").evaluate(look)
            assert sends[:2] == [accent, dialog.evaluate(look)[0]]


def test_the_form_is_used_by_keyboard_and_read_aloud_and_fits_a_small_phone(
    server: Slosh, new_context: Callable[..., "BrowserContext"]
) -> None:
    page = new_context(viewport={"width": 320, "height": 568}).new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{server.url}/view/kitchen?span=10m")
    dialog, field = page.get_by_role("dialog", name="Sign in"), page.get_by_label("Token")
    expect(field).to_be_focused()
    expect(field).to_have_attribute("type", "password")
    expect(page.locator("#why")).to_contain_text("sign in")
    expect(page.locator("#why")).not_to_contain_text("Bearer")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert dialog.evaluate("(it) => [it.scrollWidth <= it.clientWidth, it.getBoundingClientRect().right <= 320]") == [
        True,
        True,
    ]
    page.keyboard.type("slosh_nobody_knows_me")
    page.keyboard.press("Enter")
    expect(field).to_have_accessible_description(
        "This server asks for a token. Its operator gives you one. "
        "This token does not count: it is not known here, or has expired."
    )
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    # A person who closes it can open it again.
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("button", name="Sign in")).to_be_focused()
    page.keyboard.press("Enter")
    expect(field).to_be_focused()
    page.keyboard.type(TOKEN)
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_have_attribute("data-state", "live")
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("button", name="Sign in")).to_have_count(0)
    assert page.url == f"{server.url}/view/kitchen?span=10m"
    assert not [url for url in asked if TOKEN in url]


def test_a_frame_of_the_same_site_asks_and_one_of_another_site_says_why_not(
    serve: Callable[..., Slosh], new_page: Open, tmp_path: Path
) -> None:
    """A browser keeps no cookie of ours in a frame whose page is of another site (SameSite)."""
    board = serve(root=tmp_path)
    other = board.url.replace("127.0.0.1", "localhost")
    settings = tmp_path / "slosh.toml"
    settings.write_text(rules((TOKEN, "kitchen")))
    shown = serve(config=settings, frame_origins=f"{board.url},{other}")
    frame = f'<!doctype html><iframe src="{shown.url}/view/kitchen?embed" width="320" height="400"></iframe>'
    (tmp_path / "index.html").write_text(frame, encoding="utf-8")
    for url, says in ((other, "Open this page in a tab of its own"), (board.url, "")):
        inside = new_page(f"{url}/").frame_locator("iframe")
        inside.get_by_label("Token").fill(TOKEN)
        inside.get_by_role("button", name="Sign in").click()
        if says:
            expect(inside.get_by_role("alert").filter(visible=True).last).to_contain_text(says)
        else:
            expect(inside.locator("#state")).to_have_attribute("data-state", "live")


def test_a_list_that_is_public_in_part_offers_to_sign_in(
    serve: Callable[..., Slosh], new_page: Open, tmp_path: Path
) -> None:
    (tmp_path / "slosh.toml").write_text(rules((TOKEN, "kitchen"), public="open"))
    server = serve(config=tmp_path / "slosh.toml")
    kitchen = new_page(f"{server.url}/view/kitchen")
    sign_in(kitchen, TOKEN)
    expect(kitchen.locator("#state")).to_have_attribute("data-state", "live")
    page = new_page(f"{server.url}/view/")
    expect(page.locator("#state")).to_have_attribute("data-state", "live")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("dialog")).to_contain_text("not public")
    page.get_by_role("button", name="Not now").click()
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    expect(page.locator(".topic-name")).to_have_text(["kitchen"])
    expect(page.locator(".facts")).to_contain_text("1 watcher")
    expect(page.locator(".facts")).not_to_contain_text("watchers")
    expect(page.get_by_role("button", name="Sign in")).to_have_count(0)


def test_a_page_of_ones_own_asks_too(server: Slosh, new_page: Open) -> None:
    page = new_page(f"{server.url}/live.html")
    expect(page.get_by_role("dialog")).to_contain_text("asks for a token")
    sign_in(page, TOKEN)
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_login_of_the_docs_signs_in_and_out(serve: Callable[..., Slosh], new_page: Open, tmp_path: Path) -> None:
    page_of_docs = (Path(__file__).parents[2] / "docs" / "access.md").read_text(encoding="utf-8")
    (login,) = re.findall(r"```html\n(<form.*?)```", page_of_docs, flags=re.DOTALL)
    (tmp_path / "index.html").write_text(f"<!doctype html>\n{login}", encoding="utf-8")
    (tmp_path / "slosh.toml").write_text(rules((TOKEN, "kitchen")))
    server = serve(config=tmp_path / "slosh.toml", root=tmp_path)
    page = new_page(f"{server.url}/")
    name = "fetch('/-/session').then((answer) => answer.json()).then(({ name }) => name)"
    sign_in(page, "slosh_nobody_knows_me")
    expect(page.get_by_role("status")).to_contain_text("does not count")
    assert page.evaluate(name) == "public"
    with page.expect_navigation():
        sign_in(page, TOKEN)
    assert page.evaluate(name) == "kitchen"
    assert page.url == f"{server.url}/"
    with page.expect_navigation():
        page.get_by_role("button", name="Sign out").click()
    assert page.evaluate(name) == "public"


def test_without_rules_nothing_is_asked(slosh: Slosh, new_page: Open) -> None:
    page = new_page(f"{slosh.url}/view/kitchen")
    expect(page.locator('[data-state="live"]').first).to_be_attached()
    # The page has looked by then: this is the same question, which it asked before.
    assert (
        page.evaluate("fetch('../topics/kitchen', { method: 'HEAD', cache: 'no-store' }).then(({ status }) => status)")
        == 200
    )
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Sign in")).to_have_count(0)
