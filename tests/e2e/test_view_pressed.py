"""What a person is doing while messages come: no drawing takes a press, the focus, a selection or a place away."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

from tests.conftest import need
from tests.e2e.conftest import Slosh, trying, until
from tests.e2e.test_chart_element import PAGE
from tests.e2e.test_view import still, view

need("module:playwright")
from playwright.sync_api import expect  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

Open: TypeAlias = "Callable[[str], Page]"
#: Milliseconds after which all that has come is drawn, texts too, unless something holds it up.
DUE = 600
LATER = "time => performance.now() > time"


def pass_time(page: "Page", time: float = DUE) -> None:
    """Let what is due happen."""
    page.wait_for_function(LATER, arg=page.evaluate("performance.now()") + time)


def drawings(page: "Page") -> None:
    """Wait until all that has come would have been drawn, and until the page was."""
    pass_time(page)
    drawn = page.evaluate("sloshView.drawings()")
    page.wait_for_function("count => sloshView.drawings() > count", arg=drawn + 2)


def hold(page: "Page", place: "Locator") -> None:
    """Press the pointer down in the middle of something, and hold it there."""
    place.scroll_into_view_if_needed()
    place.hover()
    page.mouse.down()


def post_and_draw(page: "Page", slosh: Slosh, topic: str, message: object) -> None:
    """Publish something, and wait until it has come and would have been drawn."""
    before = page.evaluate("sloshView.feed.received")
    slosh.post(topic, message)
    page.wait_for_function("count => sloshView.feed.received > count", arg=before)
    drawings(page)


@pytest.fixture
def page(slosh: Slosh, new_page: Open) -> "Page":
    """A page with nine numbers of one topic, in two charts: with three more all are still drawn."""
    page = view(new_page, slosh, "m")
    slosh.post("m", {**{f"n{number}": 10 + number for number in range(8)}, "huge": 5e6})
    expect(page.locator(".key")).to_have_count(9)
    expect(page.locator("#rows tr")).to_have_count(9)
    return page


def test_a_click_counts_though_a_message_with_a_new_number_comes_while_it_is_held(slosh: Slosh, page: "Page") -> None:
    """Keys and rows move then; the one that was pressed is meant."""
    key = page.locator(".key", has_text="huge")
    hold(page, key)
    # Its key has no room in the row of those above the first chart, which makes the second one move.
    post_and_draw(page, slosh, "m", {"a" * 100: 12})
    page.mouse.up()
    expect(key).to_have_attribute("aria-pressed", "false")
    expect(page.locator(".key")).to_have_count(10)
    with trying("a row that another one comes before"):
        line = page.locator("#rows tr", has_text="n5")
        line.hover()
        hold(page, line.get_by_role("button", name="pin"))
        post_and_draw(page, slosh, "m", {"aab": 13})
        page.mouse.up()
        expect(line.get_by_role("button", name="pinned")).to_be_visible()
        expect(page.locator(".pin[aria-pressed=true]")).to_have_count(1)
    with trying("a chart that is dragged over"):
        page.locator(".u-over").first.scroll_into_view_if_needed()
        over = still(page.locator(".u-over").first)
        page.mouse.move(over["x"] + 100, over["y"] + 20)
        page.mouse.down()
        page.mouse.move(over["x"] + 200, over["y"] + 20)
        post_and_draw(page, slosh, "m", {"aac": 14})
        page.mouse.move(over["x"] + 300, over["y"] + 20)
        page.mouse.up()
        expect(page.locator("#zoomed")).to_be_visible()
        expect(page.locator(".key")).to_have_count(12)


def test_the_focus_stays_where_it_is_when_a_number_comes_that_is_new(slosh: Slosh, page: "Page") -> None:
    key = page.locator(".key", has_text="n3")
    key.focus()
    post_and_draw(page, slosh, "m", {"aaa": 12, "huge": 50_000_000})
    expect(key).to_be_focused()
    page.keyboard.down("Space")
    post_and_draw(page, slosh, "m", {"aab": 12})
    page.keyboard.up("Space")
    expect(key).to_have_attribute("aria-pressed", "false")
    expect(page.locator(".key")).to_have_count(11)
    expect(key).to_be_focused()
    line = page.locator("#rows tr", has_text="n7")
    pin = line.locator(".pin")
    line.get_by_role("checkbox").focus()
    page.keyboard.press("Tab")
    expect(pin).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#rows tr").first).to_contain_text("n7")
    expect(pin).to_be_focused()
    page.keyboard.press("Enter")
    expect(pin).to_have_text("pin")
    expect(pin).to_be_focused()


def test_what_is_scrolled_stays_there_when_a_number_comes_that_is_new(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "m")
    page.set_viewport_size({"width": 360, "height": 640})
    slosh.post("m", {f"long-name-of-a-number-{number}": 10 + number for number in range(10)})
    keys = page.locator(".keys").first
    expect(keys.locator(".key")).to_have_count(10)
    until(lambda: keys.evaluate("(each) => (each.scrollTop = 70, each.scrollTop)"), lambda top: top == 70)
    expect(page.locator("#rows tr")).to_have_count(10)
    drawings(page)
    to_end = "(scrollTo(0, document.documentElement.scrollHeight), scrollY)"
    until(lambda: page.evaluate(to_end), lambda top: top > 500)
    drawings(page)
    post = page.locator("#post")
    before = post.evaluate("(each) => each.getBoundingClientRect().top")
    slosh.post("m", {"another": 15, "tiny": 0.001})
    expect(page.locator(".chart")).to_have_count(2)
    drawings(page)
    assert page.locator(".keys").first.evaluate("(each) => each.scrollTop") == 70
    assert abs(post.evaluate("(each) => each.getBoundingClientRect().top") - before) < 260
    assert page.evaluate("scrollY") > 300


def test_what_is_selected_of_the_newest_message_stays_while_others_come(slosh: Slosh, page: "Page") -> None:
    selected = "() => String(getSelection())"
    page.locator("#message").evaluate("(each) => getSelection().selectAllChildren(each)")
    before = page.evaluate(selected)
    assert '"n3": 13' in before
    post_and_draw(page, slosh, "m", {"n1": 12})
    assert page.evaluate(selected) == before
    page.evaluate("getSelection().empty()")
    expect(page.locator("#message")).to_have_text('{ "n1": 12 }')
    # What is the same as before is not written again: it can be selected too.
    page.evaluate("getSelection().selectAllChildren(document.getElementById('state-words'))")
    drawings(page)
    assert page.evaluate(selected) == "live"


def test_a_chart_in_a_page_keeps_a_press_and_the_focus(
    serve: Callable[..., Slosh], new_page: Open, tmp_path: Path
) -> None:
    (tmp_path / "index.html").write_text(PAGE.format(url="", elements='<slosh-chart topic="m"></slosh-chart>'))
    slosh = serve(root=tmp_path)
    page = new_page(f"{slosh.url}/")
    slosh.post_when_watched("m", {"a": 1, "bee": 2})
    key = page.locator("slosh-chart .key", has_text="bee")
    hold(page, key)
    slosh.post("m", {"c": 1.5, "d": 1e9})
    page.wait_for_function("count => document.querySelector('slosh-chart').view.lines.all.size === count", arg=4)
    pass_time(page)
    page.mouse.up()
    expect(key).to_have_attribute("aria-pressed", "false")
    expect(page.locator("slosh-chart .key")).to_have_count(4)
    expect(key).to_be_focused()
    slosh.post("m", {"e": 1.5})
    expect(page.locator("slosh-chart .key")).to_have_count(5)
    expect(key).to_be_focused()


def test_a_topic_of_the_list_is_opened_though_another_one_comes_before_it(
    serve: Callable[..., Slosh], new_page: Open
) -> None:
    slosh = serve(unwatched="keep", linger="1h")
    slosh.post("kitchen", 1)
    page = new_page(f"{slosh.url}/view/")
    hold(page, page.get_by_role("link", name="kitchen"))
    for number in range(3):
        slosh.post(f"attic/{number}", 1)
    pass_time(page, 3000)
    page.mouse.up()
    page.wait_for_url(f"{slosh.url}/view/kitchen")
