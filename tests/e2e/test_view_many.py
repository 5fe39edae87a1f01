"""Very many lines in one chart: each looks as its key and its row in the table say, and no colour has most of them."""

import itertools
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from tests.conftest import need
from tests.e2e.conftest import Slosh, trying, until
from tests.e2e.test_view import press, still, view
from tests.e2e.test_view_touch import darkest

need("module:playwright")
from playwright.sync_api import expect  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

pytestmark = pytest.mark.long  # each draws hundreds of lines, and test_view.py is the quick look at it

Open: TypeAlias = "Callable[[str], Page]"
COLOURS = 12
#: Lines of one path that are drawn before anybody chooses; more than that are not told apart by dashes.
DRAWN, DASHED = 60, 24
LOOKS = """() => sloshView.plots().flatMap(({ lines }) => lines.map(({ label, colour, dash }) => {
  const key = [...document.querySelectorAll(".key")].find(({ firstChild }) => firstChild.textContent === label);
  const rows = [...document.querySelectorAll("#rows tr")];
  const row = rows.find((each) => each.querySelector(".name").textContent === label);
  const painted = (it) => it && `${it.style.getPropertyValue("--colour")} ${it.classList.contains("dashed")}`;
  const isSeen = row && getComputedStyle(row).display !== "none";
  return [label, colour, dash ? dash.join() : "", painted(key), isSeen ? painted(row.querySelector(".swatch")) : null];
}))"""
PIXELS = """() => {
  const style = getComputedStyle(document.documentElement);
  const colours = new Map(Array.from({ length: 12 }, (_, i) => {
    const text = style.getPropertyValue(`--s${i + 1}`).trim();
    return [text.match(/\\w\\w/g).map((each) => parseInt(each, 16)).join(), `--s${i + 1}`];
  }));
  const found = {};
  for (const canvas of document.querySelectorAll(".chart canvas")) {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < data.length; i += 4) {
      const name = data[i + 3] === 255 && colours.get([data[i], data[i + 1], data[i + 2]].join());
      if (name) found[name] = (found[name] ?? 0) + 1;
    }
  }
  return found;
}"""


def view_many(slosh: Slosh, new_page: Open, count: int, query: str = "") -> "Page":
    for number in range(count):
        slosh.post(f"g/{number}", number * 2 + 100)
    page = new_page(f"{slosh.url}/view/g/*?span=5m{query}")
    expect(page.locator("#received")).to_have_text(str(count))
    expect(page.locator("#rows tr")).to_have_count(count)
    return page


def looks(page: "Page", count: int) -> list[Any]:
    """How each line is drawn, and how its key and its row say so, once so many are drawn and the table is drawn too."""

    def is_drawn(found: list[Any]) -> bool:
        return len(found) == count and any(each[4] for each in found) and "transparent" not in str(found)

    return until(lambda: page.evaluate(LOOKS), is_drawn)


def check(found: list[Any]) -> None:
    """Each key and row looks as its line, and the colours have as many lines each."""
    for label, colour, dash, key, swatch in found:
        for told in (key, swatch):
            assert told in (None, f"var({colour}) {str(bool(dash)).lower()}"), label
    used = Counter(colour for _, colour, *_ in found)
    if len(found) > DASHED:
        assert len(used) == COLOURS
        assert max(used.values()) <= -(-len(found) // COLOURS), used
        assert not any(dash for _, _, dash, *_ in found), "a crowd has no dashes"
    else:
        assert len({(colour, dash) for _, colour, dash, *_ in found}) == len(found), "no two look alike"


@pytest.fixture
def kept(serve: "Callable[..., Slosh]") -> Slosh:
    return serve(unwatched="keep", linger="1h")


@pytest.mark.parametrize(
    "count", [12, 25, 60, *(pytest.param(count, marks=pytest.mark.long) for count in (24, 30, 100))]
)
def test_each_of_many_lines_is_drawn_in_the_colour_of_its_key(kept: Slosh, new_page: Open, count: int) -> None:
    page = view_many(kept, new_page, count)
    drawn = min(count, DRAWN)
    check(looks(page, drawn))
    # The canvas itself: each line is a dot here, as there is one message of each.
    pixels = until(lambda: page.evaluate(PIXELS), lambda found: len(found) == COLOURS)
    assert len(pixels) == COLOURS, pixels
    assert max(pixels.values()) < 5 * min(pixels.values()), pixels


def test_few_lines_have_bands_from_their_lowest_to_their_highest_and_of_many_these_are_joined(
    kept: Slosh, new_page: Open
) -> None:
    """A line jumps up and down at once, beside lines that are straight."""
    # Whether it is painted evenly, and how much of 255.
    painted = """() => {
      const [{ canvas }] = sloshView.plots();
      const [left, right] = [0.3, 0.7].map((part) => Math.round(part * canvas.width));
      const context = canvas.getContext("2d");
      const { data } = context.getImageData(left, Math.round(0.3 * canvas.height), right - left, 1);
      const found = Array.from({ length: right - left }, (_, i) => data[4 * i + 3]);
      const isEven = found.filter((each) => each > 40 && each < 62).length > 0.9 * found.length;
      return [isEven, found.reduce((sum, each) => sum + each) / found.length];
    }"""
    fill = """(straight) => {
      const begin = sloshView.feed.now - 30;
      const others = Object.fromEntries(Array.from({ length: straight }, (_, i) => [`straight${i}`, 50 + i / 10]));
      const times = Array.from({ length: 15_000 }, (_, i) => 1000 * begin + 2 * i);
      sloshView.feed.take({ res: times.map((_, i) => ({ jumps: i % 2 ? 100 : 0, ...others })), times });
    }"""

    def is_painted(is_even: bool, found: list[Any]) -> bool:
        return bool(found[0] == is_even and found[1] > 40)

    for count, is_banded in ((1, True), (8, True), (9, False)):
        with trying(count):
            page = view(new_page, kept, f"jumps{count}")
            page.evaluate(fill, count - 1)
            page.keyboard.press("z")
            expect(page.locator(".key")).to_have_count(count)
            # A faint area of many would be half as much.
            until(partial(page.evaluate, painted), partial(is_painted, is_banded))


def test_of_a_band_no_text_is_measured_that_has_no_room(kept: Slosh, new_page: Open) -> None:
    """To measure them was the most of what a page with many bands cost."""
    page = view(new_page, kept, "switch")
    measured = """(count) => {
      const { measureText } = CanvasRenderingContext2D.prototype;
      const texts = [];
      CanvasRenderingContext2D.prototype.measureText = function (text) {
        texts.push(text);
        return measureText.call(this, text);
      };
      const times = Array.from({ length: count }, (_, i) => 1000 * sloshView.feed.now - 10 * (count - i));
      sloshView.feed.take({ res: times.map((_, i) => ({ on: i % 2 === 0 })), times });
      globalThis.measured = () => texts.filter((each) => each === "true").length;
    }"""
    page.evaluate(measured, 1500)
    drawn = page.evaluate("sloshView.drawings()")
    page.keyboard.press("z")
    expect(page.locator(".band")).to_have_count(1)
    until(lambda: page.evaluate("sloshView.drawings()"), lambda seen: seen > drawn)
    assert page.evaluate("measured()") < 10 * page.evaluate("sloshView.drawings()")


@pytest.mark.long  # three hundred rows and lines
def test_three_hundred_that_are_all_chosen_have_their_colours_evenly(
    serve: "Callable[..., Slosh]", new_page: Open
) -> None:
    kept = serve(unwatched="keep", linger="1h", queue=1000)
    kept.post("hosts", *({"host": f"h{number}", "load": number + 100} for number in range(300)))
    page = new_page(f"{kept.url}/view/hosts?span=5m&since=earliest")
    expect(page.locator("#rows tr")).to_have_count(300)
    page.get_by_role("button", name="Draw all", exact=True).click()
    check(looks(page, 300))


def test_colours_stay_even_and_apart_when_lines_are_ticked_pinned_and_hidden(kept: Slosh, new_page: Open) -> None:
    page = view_many(kept, new_page, 30)
    before = looks(page, 30)
    check(before)
    ticks = page.locator("#rows tr input[type=checkbox]")
    ticks.nth(5).uncheck()
    after = looks(page, 29)
    check(after)
    assert {name: colour for name, colour, *_ in after}.items() <= {name: colour for name, colour, *_ in before}.items()
    for number in range(10):  # a crowd becomes few, which are told apart by dashes
        ticks.nth(number).uncheck()
    check(looks(page, 20))
    for number in (0, 1, 2):
        ticks.nth(number).check()
    check(looks(page, 23))
    row = page.locator("#rows tr").nth(5)
    press(row, "pin")
    check(looks(page, 24))
    for number in (15, 17, 19, 21):
        ticks.nth(number).uncheck()
    check(looks(page, 20))
    for number in range(30):
        ticks.nth(number).check()
    check(looks(page, 30))


def test_a_key_that_scrolls_shows_that_there_is_more(kept: Slosh, new_page: Open) -> None:
    """A row is cut in its middle, and a shadow lies at the end where more is."""
    page = view_many(kept, new_page, 60)
    keys = page.locator(".keys").first
    looks_cut = """(keys) => {
          const rows = [...new Set([...keys.children].map(({ offsetTop }) => offsetTop - keys.offsetTop))];
          const height = keys.firstChild.offsetHeight;
          const end = keys.clientHeight;
          return [keys.scrollHeight > end, rows.some((top) => top < end - 4 && top + height > end + 4)];
        }"""
    for width in (390, 800, 1400):
        page.set_viewport_size({"width": width, "height": 800})
        expect(keys.locator(".key")).to_have_count(24)
        until(lambda: keys.evaluate(looks_cut), lambda found: found[1] or not found[0])
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.set_viewport_size({"width": 390, "height": 800})
    page.keyboard.press("p")
    expect(page.locator("#notice")).to_be_visible()
    page.evaluate("for (const key of document.querySelectorAll('.keys > *')) key.style.visibility = 'hidden'")
    box = still(keys)
    clip = {"x": box["x"], "y": box["y"], "width": box["width"], "height": 6}
    ends = (clip, {**clip, "y": box["y"] + box["height"] - 6})
    for place, shadows in (("0", [False, True]), ("keys.scrollHeight", [True, False])):
        with trying(place):
            keys.evaluate(f"(keys) => {{ keys.scrollTop = {place}; }}")
            assert [darkest(page, end) > 20 for end in ends] == shadows


def test_on_a_phone_what_can_be_chosen_stands_in_one_row_from_edge_to_edge(slosh: Slosh, new_page: Open) -> None:
    page = new_page(f"{slosh.url}/view/kitchen?span=31d")
    expect(page.locator("#state")).to_have_attribute("data-state", "live")

    def box(name: str) -> dict[str, float]:
        found: dict[str, float] = page.locator(name).evaluate("(each) => each.getBoundingClientRect().toJSON()")
        return found

    for width in (360, 390):
        page.set_viewport_size({"width": width, "height": 700})
        span, pause, menu, heading = map(box, ("#span", "#pause", "#menu", "#topic"))
        assert abs(span["y"] - menu["y"]) < 4, "one row"
        assert abs(span["y"] - pause["y"]) < 4
        assert abs(span["x"] - heading["x"]) < 2, "not indented"
        assert menu["x"] + menu["width"] <= width
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_times_with_parts_of_a_second_do_not_touch(kept: Slosh, new_page: Open) -> None:
    kept.post("kitchen", {"a": 1}, {"a": 2})
    now = time.time()
    page = new_page(f"{kept.url}/view/kitchen?from={now - 0.6:.3f}&to={now + 0.3:.3f}")
    expect(page.locator(".chart")).to_have_count(1)
    listen = """() => {
      const found = [];
      const write = CanvasRenderingContext2D.prototype.fillText;
      CanvasRenderingContext2D.prototype.fillText = function (text, x, ...rest) {
        if (/^\\d\\d:\\d\\d:\\d\\d/.test(text)) found.push([text, x, this.measureText(text).width]);
        return write.call(this, text, x, ...rest);
      };
      globalThis.taken = () => found.splice(0);
    }"""
    page.evaluate(listen)

    def is_drawn(found: list[Any]) -> bool:
        return len({text for text, *_ in found}) > 1

    for width in (600, 900, 1350):  # wherever the labels stand close
        page.set_viewport_size({"width": width, "height": 700})
        found = until(lambda: page.evaluate("(sloshView.plots()[0].redraw(), taken())"), is_drawn)
        between = [right - left - size for (_, left, size), (_, right, _) in itertools.pairwise(found) if right > left]
        assert min(between) > 16, (width, found)
