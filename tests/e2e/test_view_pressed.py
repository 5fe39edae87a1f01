"""What a person is doing while messages come: no drawing takes a press, the focus, a selection or a place away."""

import re
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

from tests.conftest import need
from tests.e2e.conftest import Slosh, trying, until
from tests.e2e.test_signin import TOKEN, rules
from tests.e2e.test_view import still, view

need("module:playwright")
from playwright.sync_api import expect  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page, Route

pytestmark = pytest.mark.long  # each watches a page for a second and more, and test_view.py is the quick look at it

Open: TypeAlias = "Callable[[str], Page]"
ChartPage: TypeAlias = "Callable[..., tuple[Slosh, Page]]"
#: Milliseconds after which all that has come is drawn, texts too, unless something holds it up.
DUE = 600
LATER = "time => performance.now() > time"


def pass_time(page: "Page", time: float = DUE) -> None:
    """Let what is due happen."""
    page.wait_for_function(LATER, arg=page.evaluate("performance.now()") + time)
    go_on_pressing(page)


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


def go_on_pressing(page: "Page") -> None:
    """Move the pointer a little where it is down: what is pressed is held for five seconds more."""
    page.evaluate("dispatchEvent(new PointerEvent('pointermove', { buttons: 1 }))")


def press_while(page: "Page", place: "Locator", happens: Callable[[], None]) -> None:
    """Press something, let something happen, and see that it is at the same place when it is released."""
    place.scroll_into_view_if_needed()
    pass_time(page)
    before = still(place)
    hold(page, place)
    assert place.evaluate("(each) => each.matches(':hover')")
    happens()
    go_on_pressing(page)
    after = place.bounding_box()
    page.mouse.up()
    assert after == before


def note_clicks(place: "Locator") -> None:
    """Let something tell in its title that it was clicked. A link is not followed."""
    place.evaluate("""(each) => each.addEventListener("click", (event) => {
      event.preventDefault();
      each.title = "clicked";
    })""")


def lose_connection(page: "Page", slosh: Slosh) -> None:
    """End the server, and wait until the page has tried in vain to reach it again."""
    failed: list[str] = []
    page.on("requestfailed", lambda request: failed.append(request.url))
    slosh.process.end(signal.SIGKILL)

    def failures() -> int:
        go_on_pressing(page)
        return len(failed)

    until(failures, lambda count: count >= 2)
    pass_time(page)


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


def test_a_press_counts_though_a_band_and_a_map_come_or_go(slosh: Slosh, page: "Page") -> None:
    tick = page.locator("#rows tr", has_text="n5").get_by_role("checkbox")
    for message, shown, is_checked in (
        ({"on": True, "lat": 48.1, "lon": 11.5}, {"#bands": True, "#paths": True}, False),
        ({"also": False}, {".band >> nth=1": True}, True),
        # A text of very many letters is no state.
        ({"on": "x" * 50, "also": "x" * 50}, {"#bands": False, "#paths": True}, False),
    ):
        with trying(message):
            press_while(page, tick, partial(post_and_draw, page, slosh, "m", message))
            expect(tick).to_be_checked(checked=is_checked)
            for name, is_shown in shown.items():
                expect(page.locator(name)).to_be_visible(visible=is_shown)


def test_a_press_counts_though_the_first_message_comes(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "m")
    copy = page.locator("#copy")
    note_clicks(copy)
    press_while(page, copy, lambda: post_and_draw(page, slosh, "m", {"a": 1, "on": True, "lat": 48.1, "lon": 11.5}))
    expect(copy).to_have_attribute("title", "clicked")
    for name in (".chart", "#bands", "#paths", "#rows tr >> nth=0"):
        expect(page.locator(name)).to_be_visible()


def test_a_press_counts_though_the_connection_is_lost(slosh: Slosh, page: "Page") -> None:
    tick = page.locator("#rows tr", has_text="n5").get_by_role("checkbox")
    press_while(page, tick, lambda: lose_connection(page, slosh))
    expect(tick).not_to_be_checked()
    expect(page.locator("#why")).to_be_visible()
    expect(page.locator("#state-words")).to_have_text("connection lost")


def test_a_press_in_the_list_of_topics_stays_though_the_connection_is_lost(
    serve: Callable[..., Slosh], new_page: Open
) -> None:
    slosh = serve(unwatched="keep", linger="1h")
    slosh.post("kitchen", 1)
    page = new_page(f"{slosh.url}/view/")
    link = page.get_by_role("link", name="kitchen")
    note_clicks(link)
    press_while(page, link, lambda: lose_connection(page, slosh))
    expect(link).to_have_attribute("title", "clicked")
    expect(page.locator("#why")).to_be_visible()


@pytest.mark.parametrize(("path", "pressed"), [("", ".topics a"), ("kitchen", "#copy")])
def test_a_press_counts_though_the_server_says_late_that_a_token_is_wanted(
    serve: Callable[..., Slosh], new_page: Open, tmp_path: Path, path: str, pressed: str
) -> None:
    """A button in the list, and a question over the whole page where the topic is not public."""
    (tmp_path / "slosh.toml").write_text(rules((TOKEN, "kitchen"), public="open"))
    slosh = serve(config=tmp_path / "slosh.toml", linger="1h")
    page = new_page(f"{slosh.url}/topics/open?wait=0")
    page.set_viewport_size({"width": 320, "height": 568})
    late: list[Route] = []
    page.route(re.compile("/topics"), lambda it: late.append(it) if it.request.method == "HEAD" else it.continue_())

    def answer() -> None:
        with page.expect_response(lambda answer: answer.request.method == "HEAD"):
            late[0].continue_()
        pass_time(page)

    with page.expect_request(lambda request: request.method == "HEAD"):
        page.goto(f"{slosh.url}/view/{path}")
    place = page.locator(pressed)
    note_clicks(place)
    press_while(page, place, answer)
    expect(place).to_have_attribute("title", "clicked")
    expect(page.locator("#sign-in")).to_be_visible()
    page.emulate_media(media="print")
    expect(page.locator("#sign-in")).to_be_hidden()


def test_no_value_at_the_pointer_of_the_keyboard_changes_while_a_key_is_pressed(slosh: Slosh, page: "Page") -> None:
    """A chart moves below its pointer, and what stands there becomes wider and narrower, which moves keys."""
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".at").first).not_to_be_empty()
    key = page.locator(".key", has_text="n7")
    key.focus()
    page.keyboard.down("Space")
    before = page.locator(".chart-head").all_text_contents()
    post_and_draw(page, slosh, "m", {"n0": 10.123456789})
    assert page.locator(".chart-head").all_text_contents() == before
    page.keyboard.up("Space")
    expect(key).to_have_attribute("aria-pressed", "false")
    until(page.locator(".chart-head").all_text_contents, lambda texts: texts != before)


def test_the_focus_goes_with_a_key_to_another_chart(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "m")
    slosh.post("m", {"a": 1, "b": 2, "huge": 5e9})
    expect(page.locator(".chart")).to_have_count(2)
    key = page.locator(".key", has_text=re.compile("^b"))
    key.focus()
    slosh.post("m", {"a": 1, "b": 20_000, "huge": 5e9})
    expect(page.locator(".chart")).to_have_count(3)
    expect(page.locator(".chart").nth(1)).to_contain_text("b")
    expect(key).to_be_focused()


def test_the_filter_that_a_key_shows_stays_while_it_is_used(slosh: Slosh, new_page: Open) -> None:
    """Where there are few lines there is none: the letters that are typed would be keys of the page."""
    page = view(new_page, slosh, "m")
    slosh.post("m", {"pump": 1, "fan": 2})
    expect(page.locator("#rows tr")).to_have_count(2)
    filter_ = page.locator("#filter")
    page.keyboard.press("f")
    expect(filter_).to_be_focused()
    post_and_draw(page, slosh, "m", {"pump": 2, "fan": 2})
    page.keyboard.type("p")
    expect(page.locator("#rows tr >> visible=true")).to_have_count(1)
    expect(page.locator("#pause")).to_have_text("Pause")
    with trying("the focus elsewhere"):
        page.locator("#message").focus()
        post_and_draw(page, slosh, "m", {"pump": 3, "fan": 2})
        expect(filter_).to_be_visible()
        filter_.fill("")
        page.locator("#message").focus()
        expect(filter_).to_be_hidden()
        expect(page.locator("#rows tr >> visible=true")).to_have_count(2)


def test_a_button_keeps_its_words_while_it_is_pressed(slosh: Slosh, page: "Page") -> None:
    copy = page.locator("#copy")
    # On a busy machine the time would be over before the button is pressed.
    page.evaluate("""() => {
      const { setTimeout } = globalThis;
      globalThis.setTimeout = (call, ms, ...rest) => {
        if (ms !== 1500) return setTimeout(call, ms, ...rest);
        globalThis.due = () => call(...rest);
      };
    }""")
    copy.click()
    expect(copy).not_to_have_text("Copy")
    words = copy.text_content()

    def wait() -> None:
        page.evaluate("due()")
        pass_time(page)
        assert copy.text_content() == words

    press_while(page, copy, wait)

    def later() -> str | None:
        page.evaluate("due()")
        return copy.text_content()

    until(later, lambda text: text == "Copy")


def test_a_key_of_a_chart_in_a_page_stays_where_it_is_pressed(chart_page: ChartPage) -> None:
    element = '<slosh-chart topic="m" heading="What the two pumps in the cellar do"></slosh-chart>'
    slosh, page = chart_page(f'<div style="width: 300px">{element}</div><p>After it.</p>')
    slosh.post_when_watched("m", {"a": 1, "bee": 2})
    key = page.locator("slosh-chart .key", has_text="bee")
    expect(key).to_be_visible()
    messages = ({"a": 1.234567}, {"lat": 48.1, "lon": 11.5}, {f"n{number}": 1 + number for number in range(12)})
    came = "count => document.querySelector('slosh-chart').view.feed.received === count"

    def post() -> None:
        for number, message in enumerate(messages):
            slosh.post("m", message)
            page.wait_for_function(came, arg=number + 2)
            go_on_pressing(page)
        pass_time(page)

    with trying("what comes"):
        press_while(page, key, post)
        expect(key).to_have_attribute("aria-pressed", "false")
        expect(page.locator("slosh-chart .waiting")).to_be_visible()
        expect(page.locator("slosh-chart canvas[role=img]")).to_be_visible()
    with trying("the connection is lost"):
        state = page.locator("slosh-chart .state")
        expect(state).to_have_attribute("data-state", "live")
        press_while(page, key, lambda: lose_connection(page, slosh))
        expect(key).to_have_attribute("aria-pressed", "true")
        expect(state).to_have_attribute("data-state", "offline")


def test_a_chart_in_a_page_keeps_a_press_and_the_focus(chart_page: ChartPage) -> None:
    slosh, page = chart_page('<slosh-chart topic="m"></slosh-chart>')
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
