"""The viewer in a real browser against a real server: what it promises of any topic."""

import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import pytest

from tests.conftest import need
from tests.e2e.conftest import Slosh, until

need("module:playwright")
from playwright.sync_api import expect  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

Open: TypeAlias = "Callable[[str], Page]"
Serve: TypeAlias = Callable[..., Slosh]


def view(open_page: Open, slosh: Slosh, topic: str) -> "Page":
    """Open the viewer and wait until it is connected."""
    page = open_page(f"{slosh.url}/view/{topic}")
    expect(page.locator("#state")).to_have_attribute("data-state", "live")
    return page


def row(page: "Page", name: str) -> "Locator":
    """The cells of a number in the table, by its path."""
    return page.locator("#rows tr").filter(has=page.get_by_role("cell", name=name, exact=True)).locator("td")


def ink(page: "Page") -> int:
    """How many pixels of the charts are of the first line's colour, as far as the eye can tell."""
    count: int = page.evaluate("""() => {
      const colour = getComputedStyle(document.documentElement).getPropertyValue("--s1");
      const wanted = colour.match(/\\w\\w/g).map((c) => parseInt(c, 16));
      let count = 0;
      for (const canvas of document.querySelectorAll("#charts canvas")) {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        for (let i = 0; i < data.length; i += 4) {
          if (data[i + 3] > 200 && wanted.every((c, k) => Math.abs(c - data[i + k]) < 12)) count++;
        }
      }
      return count;
    }""")
    return count


def test_numbers_that_are_posted_become_lines_that_grow(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "kitchen")
    expect(page.locator("#empty")).to_be_visible()
    slosh.post("kitchen", {"temp": 21.5, "fan": {"speed": [700, 720]}, "note": "x"})
    expect(page.locator("#empty")).to_be_hidden()
    expect(row(page, "temp")).to_have_text(["temp", "21.5", "21.5", "21.5"])
    expect(row(page, "fan.speed[1]")).to_have_text(["fan.speed[1]", "720", "720", "720"])
    expect(page.locator("#rows tr")).to_have_count(3)
    expect(page.locator(".chart")).to_have_count(2)  # what is thirty times as large has a chart of its own
    until(lambda: ink(page), lambda count: count > 0)
    page.locator("#span").select_option("15")
    few = until(lambda: ink(page), lambda count: count > 0)
    for temp in (25, 18, 24, 19):
        slosh.post("kitchen", {"temp": temp})
        expect(row(page, "temp").nth(1)).to_have_text(str(temp))
    until(lambda: ink(page), lambda count: count > few)
    expect(row(page, "temp")).to_have_text(["temp", "19", "18", "25"])
    expect(page.locator("#message")).to_have_text('{\n  "temp": 19\n}')


def test_what_was_there_before_shows_at_once(slosh: Slosh, new_page: Open) -> None:
    view(new_page, slosh, "kitchen")
    slosh.post("kitchen", *range(1, 41))
    page = view(new_page, slosh, "kitchen")
    expect(row(page, "value")).to_have_text(["value", "40", "1", "40"])
    expect(page.locator("#received")).to_have_text("40")
    expect(page.locator("#missed")).to_have_text("0")
    expect(page.locator("#rest")).to_contain_text("Shaded: came before this page opened")


def test_a_time_that_a_message_tells_is_no_line_but_its_place(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "kitchen")
    now = page.evaluate("Date.now()")
    slosh.post("kitchen", {"t": now / 1000 - 5, "value": 1}, {"time": now - 3000, "value": 2})
    slosh.post("kitchen", {"timestamp": "1970-01-01T00:00:00Z", "t": 21.5, "value": 3})
    expect(page.locator("#rows tr td:first-child")).to_have_text(["value", "t"])
    expect(row(page, "t").nth(1)).to_have_text("21.5")


@pytest.mark.parametrize(
    "text", ["<script>window.ran = 1</script>", '<img src="x" onerror="window.ran = 1">', "<b>&amp;</b>"]
)
def test_markup_in_a_message_or_a_name_shows_as_text_and_never_runs(slosh: Slosh, new_page: Open, text: str) -> None:
    page = view(new_page, slosh, "kitchen")
    slosh.post("kitchen", {text: 1, "said": text})
    expect(page.locator("#message")).to_contain_text(text.replace('"', '\\"'))
    expect(page.locator("#rows td").first).to_have_text(text)
    expect(page.locator(".key")).to_contain_text(text)
    page.locator("summary").click()
    expect(page.locator("#list li")).to_contain_text(text.replace('"', '\\"'))
    assert page.locator("main script, main img, main td b, main li b, main pre *").count() == 0
    assert page.evaluate("window.ran") is None


def test_a_name_with_markup_is_text_too(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "%3Cb%3Eit's%3C%2Fb%3E%20%C3%BC%25")
    expect(page.locator("#topic")).to_have_text("<b>it's</b> ü%")
    command = page.locator("#curl").inner_text()
    assert command == f"curl -d '{{\"value\": 21.5}}' '{slosh.url}/topics/%3Cb%3Eit%27s%3C/b%3E%20%C3%BC%25'"
    slosh.post("%3Cb%3Eit%27s%3C/b%3E%20%C3%BC%25", 5)
    expect(row(page, "value").nth(1)).to_have_text("5")


def test_what_was_missed_is_told(serve: Serve, new_page: Open) -> None:
    slosh = serve(queue=10)
    page = view(new_page, slosh, "kitchen")
    slosh.post("kitchen", 1)
    expect(page.locator("#received")).to_have_text("1")
    page.context.set_offline(True)  # and posts go on meanwhile
    expect(page.locator("#state")).to_have_attribute("data-state", "offline")
    slosh.post("kitchen", *range(2, 38))
    page.context.set_offline(False)
    expect(page.locator("#missed")).to_have_text("26")
    expect(page.locator("#received")).to_have_text("11")
    expect(page.locator("#state")).to_have_attribute("data-state", "live")


def test_a_topic_that_began_anew_is_told(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "kitchen")
    slosh.post("kitchen", 1)
    expect(page.locator("#received")).to_have_text("1")
    slosh.process.end(signal.SIGKILL)
    expect(page.locator("#state")).to_have_attribute("data-state", "offline")
    slosh.start()
    expect(page.locator("#state")).to_have_attribute("data-state", "live")
    slosh.post_when_watched("kitchen", 2)
    expect(page.locator("#resets-box")).to_have_text("began anew 1 time")


def test_a_topic_without_numbers_is_a_list(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "words")
    slosh.post("words", "hello", None, {"from": "Ada", "text": "hi"}, [])
    expect(page.locator("#list li .json")).to_have_text(["[]", '{"from":"Ada","text":"hi"}', "null", '"hello"'])
    expect(page.locator("#values")).to_be_hidden()
    expect(page.locator(".chart")).to_have_count(0)


def test_numbers_beyond_twelve_are_named(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "many")
    slosh.post("many", {f"n{number}": number for number in range(15)})
    expect(page.locator("#rows tr")).to_have_count(12)
    expect(page.locator("#rest")).to_have_text("3 more are not drawn: n12, n13, n14.")


def test_strange_messages_leave_it_working(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "odd")
    strange = ["1e400", "-1e308", "1e-310", '{"__proto__":{"x":1}}', "[" * 400 + "1" + "]" * 400, '{"":{"":2}}']
    for text in [*strange, "[" + "0," * 30_000 + "0]", '"' + "x" * 60_000 + '"']:
        assert "max" in slosh.curl("odd", text)
    slosh.post("odd", {"last": 7})
    expect(page.locator("#message")).to_contain_text('"last": 7')
    expect(page.locator("#rest")).to_contain_text("Numbers beyond 10³⁰ are not drawn.")
    expect(page.locator("#rest")).to_contain_text("too large to be searched")


def test_pause_holds_the_picture_and_loses_nothing(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "kitchen")
    slosh.post("kitchen", 1)
    expect(row(page, "value").nth(1)).to_have_text("1")
    page.keyboard.press("p")
    expect(page.locator("#pause")).to_have_attribute("aria-pressed", "true")
    slosh.post("kitchen", 2, 3)
    expect(page.locator("#notice")).to_contain_text("2 messages came meanwhile")
    expect(page.locator("#received")).to_have_text("3")
    expect(row(page, "value").nth(1)).to_have_text("1")
    page.get_by_role("button", name="Go on").click()
    expect(row(page, "value")).to_have_text(["value", "3", "1", "3"])
    expect(page.locator("#notice")).to_be_hidden()


@pytest.mark.parametrize("name", ["house/*", "house/kitchen,house/cellar"])
def test_several_topics_share_the_page(slosh: Slosh, new_page: Open, name: str) -> None:
    page = view(new_page, slosh, name)
    for topic, value in (("house/kitchen", 21), ("house/cellar", 12)):
        slosh.post_when_watched(topic, {"temp": value})
        expect(row(page, f"{topic}: temp").nth(1)).to_have_text(str(value))
        expect(page.locator("#from")).to_have_text(topic)


def test_a_line_can_be_hidden_with_the_keyboard(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "kitchen")
    slosh.post("kitchen", {"temp": 21}, {"temp": 22})
    key = page.get_by_role("button", name="temp")
    expect(key).to_have_attribute("aria-pressed", "true")
    until(lambda: ink(page), lambda count: count > 0)
    key.focus()
    page.keyboard.press("Enter")
    expect(key).to_have_attribute("aria-pressed", "false")
    until(lambda: ink(page), lambda count: count == 0)


def test_another_topic_is_a_name_and_enter_away(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "kitchen")
    page.get_by_label("View").fill("house/*/temp")
    page.keyboard.press("Enter")
    expect(page.locator("#topic")).to_have_text("house/*/temp")
    assert page.url == f"{slosh.url}/view/house/*/temp"


def test_it_fits_a_phone(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "house/" + "x" * 200)
    page.set_viewport_size({"width": 360, "height": 740})
    slosh.post("house/" + "x" * 200, {"a-name-of-some-length" * 8: 25276514304, "b": "y" * 500})
    expect(page.locator("#rows tr")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
