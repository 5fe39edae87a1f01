"""How the viewer looks on phones, with long numbers, and with numbers of very different size."""

import base64
import json
from functools import partial
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import quote

import pytest

from tests.conftest import need
from tests.e2e.conftest import Slosh, trying, until
from tests.e2e.test_view import press, still, view

need("module:playwright")
from playwright.sync_api import expect  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import BrowserContext, Locator, Page

pytestmark = pytest.mark.long  # each looks at a page drawn in many ways, and test_view.py is the quick look at it

Open: TypeAlias = "Callable[[str], Page]"

#: Something of each kind that the viewer draws, with long names and long numbers.
WIDE = {
    "temp": 21.5,
    "memory": {"used": 2_147_483_648, "total": 8_589_934_592},
    "a_name_that_is_longer_than_a_phone_is_wide_and_then_longer": 123_456_789_012_345.5,
    "gps": {"lat": 52.5, "lng": 13.4},
    "is_on": True,
    "mode": "heating",
    "url": "https://example.org/" + "x" * 200,
}
#: The views of one topic and of several, as a frame, zoomed, across a number, and the one of a refusal.
VIEWS = (
    *("", "house/wide", "nothing", "house/*", "house/wide?embed", "house/wide?from=1&to=2", "house/wide?x=temp"),
    *("house/wide,house/other", "a-long-name-without-any-space/" * 7 + "x", "%20"),
)
#: Names of the lines of each chart, in their order.
CHARTS = """() => sloshView.plots().map(({ lines }) => lines.map(({ label }) => label).join())"""


@pytest.fixture
def kept(serve: "Callable[..., Slosh]") -> Slosh:
    return serve(unwatched="keep", linger="1h")


def test_nothing_is_wider_than_a_phone(kept: Slosh, new_page: Open) -> None:
    kept.post("house/wide", WIDE, WIDE, WIDE)
    kept.post("house/other", {"temp": 5})
    page = new_page(f"{kept.url}/favicon.svg")
    for path in VIEWS:
        with trying(path):
            page.goto(f"{kept.url}/view/{path}")
            expect(page.locator("#state")).not_to_have_attribute("data-state", "connecting")
            if "wide" in path or "*" in path:
                expect(page.locator("#empty")).to_be_hidden()
            page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
            for width in (320, 360, 390):
                page.set_viewport_size({"width": width, "height": 700})
                page.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=width)


def test_a_long_number_stands_on_one_line_and_over_no_other(kept: Slosh, new_page: Open) -> None:
    kept.post("wide", WIDE, {**WIDE, "temp": -123_456.789})
    page = view(new_page, kept, "wide")
    expect(page.locator("#rows tr")).to_have_count(6)
    lines = """() => [...document.querySelectorAll("#rows td:not(:first-child):not(.tool)")].map((cell) => {
      const range = document.createRange();
      range.selectNodeContents(cell);
      return [range.getClientRects().length, range.getBoundingClientRect().width <= cell.clientWidth];
    })"""
    box = page.locator(".scroll").filter(has=page.locator("#rows"))
    for width in (320, 390, 1200, 2000, 900):
        page.set_viewport_size({"width": width, "height": 800})
        if (
            width == 2000
        ):  # It has room. So what is right at 900, where the table has half of the window, was found there.
            expect(page.locator("table.long")).to_have_count(0)
        until(lambda: page.evaluate(lines), lambda found: len(found) == 24 and {*map(tuple, found)} == {(1, True)})
        # No row is wider than its box: half a pixel is rounding.
        until(lambda: box.evaluate("(it) => it.scrollWidth - it.clientWidth"), lambda beyond: beyond <= 1)
        names = page.locator("#rows td:first-child label").evaluate_all(
            "(all) => all.map(({ clientWidth }) => clientWidth)"
        )
        assert min(names) > 100
        assert max(names) <= width


def test_a_number_has_the_precision_of_its_chart_wherever_it_stands(kept: Slosh, new_page: Open) -> None:
    """Beside an axis of billions nobody reads the last digits, and 8.59B stands beside 2.147B."""
    used = [{"memory": {"used": 2_147_483_648 + n * 1_234_567, "total": 8_589_934_592}} for n in range(4)]
    kept.post("machine", *used)
    page = view(new_page, kept, "machine?from=1&to=9999999999&only=memory.used&only=memory.total")
    expect(page.locator(".key b")).to_have_text(["2.151B", "8.59B"])
    cells = page.locator("#rows td:not(:nth-child(4), .tool)")
    expect(cells).to_have_text(["memory.used", "2.151B", "2.147B", "2.151B", "memory.total", *["8.59B"] * 3])
    assert page.evaluate("sloshView.plots()[0].labels.every((label) => /^[0-9.]+B?$/.test(label))")
    alone = view(new_page, kept, "machine?from=1&to=9999999999&only=memory.used")
    expect(alone.locator(".key b")).to_have_text(["2.15119B"])
    until(lambda: alone.evaluate("sloshView.plots()[0].labels"), lambda labels: labels[:1] == ["2.148B"])


def test_what_is_much_larger_or_has_nothing_to_do_with_it_flattens_no_other_line(kept: Slosh, new_page: Open) -> None:
    kept.post("replay", {"of": 1461, "rain": 54.1, "wind": 9.5})
    kept.post("machine", {"cpu": 100, "cores": [100, 3]})
    page = view(new_page, kept, "replay,machine")
    expect(page.locator(".key")).to_have_count(6)
    charts = until(lambda: page.evaluate(CHARTS), lambda found: len(found) == 3)
    assert sorted(charts) == [
        "machine: cpu,machine: cores[0],machine: cores[1]",
        "replay: of",
        "replay: rain,replay: wind",
    ]


def test_numbers_of_a_list_share_a_chart_if_the_list_has_a_name(kept: Slosh, new_page: Open) -> None:
    """Those of a message that is a list have none: they may be a temperature and a pressure."""
    kept.post("list", [1, 1000])
    kept.post("named", {"cores": [1, 1000]})
    page = view(new_page, kept, "list,named")
    expect(page.locator(".key")).to_have_count(4)
    charts = until(lambda: page.evaluate(CHARTS), lambda found: len(found) == 3)
    assert sorted(charts) == ["list: [0]", "list: [1]", "named: cores[0],named: cores[1]"]


def test_what_has_one_name_is_compared_however_different(kept: Slosh, new_page: Open) -> None:
    """Of hosts of which one is idle, and of topics that are a number alone, by the last part of their names."""
    for host, load in (("a", 60), ("b", 0.01)):
        kept.post(f"{host}/load", load)
        kept.post(f"{host}/water", 5000 * load)
    page = view(new_page, kept, "*/load,*/water")
    expect(page.locator(".key")).to_have_count(4)
    assert sorted(page.evaluate(CHARTS)) == ["a/load,b/load", "a/water,b/water"]


def test_a_time_among_the_numbers_reads_as_a_time(kept: Slosh, new_page: Open) -> None:
    page = view(new_page, kept, "t")
    now = page.evaluate("Date.now()")
    expected = page.evaluate("(now) => new Date(now).toLocaleTimeString('en-GB')", now)
    kept.post("t", {"at": now, "temp": 3})
    cells = page.locator("#rows tr").filter(has_text="at").first.locator("td:not(:first-child):not(.tool)")
    expect(cells).to_have_text([expected] * 4)


def test_charts_beside_each_other_end_at_one_line(kept: Slosh, new_page: Open) -> None:
    """However many keys one has."""
    kept.post("m", {"load": 0.2, **{f"a_quite_long_name_{n}": 100 + n for n in range(9)}, "huge": 1e7})
    page = view(new_page, kept, "m")
    page.set_viewport_size({"width": 1200, "height": 800})
    expect(page.locator(".chart")).to_have_count(3)
    ends = "(all) => all.slice(0, 2).map((each) => each.getBoundingClientRect().bottom)"
    until(lambda: page.locator(".chart canvas").evaluate_all(ends), lambda found: abs(found[0] - found[1]) < 1)


def test_nothing_on_a_page_moves_for_ever_by_itself(slosh: Slosh, new_page: Open) -> None:
    """A dot that pulses has a browser make sixty frames a second, for as long as the page is open."""
    page = new_page(f"{slosh.url}/favicon.svg")
    moves = "document.getAnimations().map(({ effect }) => effect.getComputedTiming().iterations)"
    for path in ("view/", "view/kitchen", "", "chat.html", "live.html", "replay.html"):
        with trying(path):
            page.goto(f"{slosh.url}/{path}")
            expect(page.locator("#state")).to_have_attribute("data-state", "live")
            assert [each for each in page.evaluate(moves) if each is None or each > 10] == []


def test_many_rows_stand_in_the_order_of_their_names_however_they_came(kept: Slosh, new_page: Open) -> None:
    for number in (5, 12, 8, 1, 10, 3, 11, 2, 9, 4, 7, 6):
        kept.post(f"g/{number}", number)
    page = view(new_page, kept, "g/*?span=5m")
    expect(page.locator("#rows .name")).to_have_text([f"g/{number}" for number in range(1, 13)])
    row = page.locator("#rows tr").nth(6)
    press(row, "pin")
    expect(page.locator("#rows .name").first).to_have_text("g/7")
    row = page.locator("#rows tr").first
    press(row, "pinned")
    expect(page.locator("#rows .name")).to_have_text([f"g/{number}" for number in range(1, 13)])


def test_two_buses_are_two_paths(kept: Slosh, new_page: Open) -> None:
    """And not one that jumps between them."""
    kept.post("buses", *({"bus": "AB"[n % 2], "lat": 52 + n % 2, "lon": 13 + n / 10} for n in range(8)))
    page = view(new_page, kept, "buses")
    expect(page.locator("#paths .key span")).to_have_text(["A: position", "B: position"])


def test_an_axis_of_a_share_ends_at_all_of_it(kept: Slosh, new_page: Open) -> None:
    kept.post("busy", {"cpu_percent": 100}, {"cpu_percent": 100})
    kept.post("over", {"cpu_percent": 100}, {"cpu_percent": 180})
    for topic, is_over in (("busy", False), ("over", True)):
        page = view(new_page, kept, topic)
        expect(page.locator(".key b")).to_be_visible()
        page.wait_for_function("sloshView.plots()[0]?.labels.includes('100')")
        labels = page.evaluate("sloshView.plots()[0].labels")
        assert any(float(label) > 100 for label in labels) is is_over


#: How many pixels of a picture are of a colour, `#0b8a83` or `rgb(11, 138, 131)`, as far as the eye can tell.
TINTED = """async ([text, name]) => {
  const image = await createImageBitmap(new Blob([Uint8Array.from(atob(text), (each) => each.charCodeAt(0))]));
  const context = new OffscreenCanvas(image.width, image.height).getContext("2d", { willReadFrequently: true });
  context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name).trim() || name;
  context.fillRect(0, 0, 1, 1);
  const wanted = [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, image.width, image.height);
  let count = 0;
  for (let i = 0; i < data.length; i += 4) count += wanted.every((c, k) => Math.abs(c - data[i + k]) < 12);
  return count;
}"""


def tinted(place: "Locator", colour: str) -> int:
    """How many pixels of a place are of this colour."""
    picture = base64.b64encode(place.screenshot(animations="disabled")).decode()
    found: int = place.page.evaluate(TINTED, [picture, colour])
    return found


def until_tinted(place: "Locator", colour: str) -> None:
    """Wait until something of this colour is seen there."""
    until(partial(tinted, place, colour), lambda count: count > 10)


def test_the_ring_of_the_focus_is_whole_around_a_key(kept: Slosh, new_page: Open) -> None:
    """What is around the keys scrolls, and cut it off but for a piece at the right."""
    kept.post("t", {"temp": 1, "load": 2}, {"temp": 2, "load": 1})
    page = new_page(f"{kept.url}/view/t")
    key = page.locator(".key").first
    page.keyboard.press("Tab")
    key.focus()
    page.keyboard.press("p")
    box = still(key)
    until(lambda: tinted(key, "--accent"), lambda count: count > 2 * (box["width"] + box["height"]))


def test_with_colours_that_are_forced_lines_and_states_are_told_apart(
    serve: "Callable[..., Slosh]", new_context: "Callable[..., BrowserContext]", tmp_path: "Path"
) -> None:
    """As with the high contrast of Windows, which takes away each background."""
    script = '<!doctype html><script type="module" src="/-/chart.js"></script><slosh-chart topic="t"></slosh-chart>'
    (tmp_path / "index.html").write_text(script, encoding="utf-8")
    slosh = serve(root=tmp_path, unwatched="keep", linger="1h")
    slosh.post("t", {"a": 1, "b": 2}, {"a": 2, "b": 1})
    page = new_context(forced_colors="active", color_scheme="light").new_page()
    page.goto(f"{slosh.url}/view/t")
    expect(page.locator("#rows tr")).to_have_count(2)
    page.keyboard.press("p")
    expect(page.locator("#notice")).to_be_visible()
    for number, colour in enumerate(("--s1", "--s2")):
        with trying(colour):
            until_tinted(page.locator(".key").nth(number), colour)
            until_tinted(page.locator("#rows label").nth(number), colour)
    silent = page.locator("#state").get_attribute("data-silent") == "true"
    until_tinted(page.locator("#state"), "--s2" if silent else "--good")
    over = page.locator(".u-over")
    before = over.screenshot()
    box = still(over)
    page.mouse.move(box["x"] + 50, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 250, box["y"] + 50, steps=4)
    selected = page.locator(".u-select").evaluate("(each) => getComputedStyle(each).backgroundColor")
    assert selected == "rgba(19, 35, 43, 0.2)"
    assert over.screenshot() != before
    page.mouse.up()
    page.goto(f"{slosh.url}/")
    expect(page.locator(".key")).to_have_count(2)
    for number, colour in enumerate(("#0b8a83", "#d9772b")):
        with trying(colour):
            until_tinted(page.locator(".key").nth(number), colour)
    page.goto(f"{slosh.url}/view/")
    expect(page.locator("#state")).to_have_attribute("data-state", "live")
    until_tinted(page.locator("#state"), "--good")


#: States that have the twelve colours.
TWELVE = tuple(f"{letter}HH" for letter in "ABCDEFHIJKLM")
#: How much the words in each band differ from what is around them, as WCAG 2.2 counts it (1.4.3).
CONTRASTS = """() => [...document.querySelectorAll(".band canvas")].map((canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const part = (value) => (value <= 10 ? value / 3294 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  const behind = getComputedStyle(document.querySelector("#bands")).backgroundColor.match(/[0-9.]+/g);
  const seen = new Map();
  for (let i = 0; i < data.length; i += 4) {
    const alpha = data[i + 3] / 255;
    const [red, green, blue] = [0, 1, 2].map((k) => part(data[i + k] * alpha + behind[k] * (1 - alpha)));
    const light = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    if (alpha) seen.set(light, (seen.get(light) ?? 0) + 1);
  }
  const [ground] = [...seen].sort((a, b) => b[1] - a[1])[0];
  const contrast = (light) => (Math.max(light, ground) + 0.05) / (Math.min(light, ground) + 0.05);
  return Math.max(...[...seen.keys()].map(contrast));
})"""


def test_the_words_in_a_band_can_be_read_on_each_colour(
    serve: "Callable[..., Slosh]", new_context: "Callable[..., BrowserContext]"
) -> None:
    slosh = serve(unwatched="keep", linger="1h")
    slosh.post("t", *[{**dict(zip("abcdefghijkl", TWELVE, strict=True)), "off": False}] * 2)
    for scheme in ("light", "dark"):
        page = new_context(color_scheme=scheme).new_page()
        page.goto(f"{slosh.url}/view/t")
        expect(page.locator(".band")).to_have_count(13)
        with trying(scheme):
            until(partial(page.evaluate, CONTRASTS), lambda found: min(found) >= 4.5)


def test_the_sentence_on_a_line_knows_its_newest_number_where_nothing_was_drawn(
    kept: Slosh, new_page: "Callable[[str], Page]"
) -> None:
    """As in a tab that is hidden."""
    kept.post("risen", {"n": 171}, {"n": 1})
    page = new_page(f"{kept.url}/favicon.svg")
    page.add_init_script(
        "const set = setInterval; setInterval = (call, ms) => set(ms === 15000 ? (globalThis.sayIt = call) : call, ms);"
    )
    page.goto(f"{kept.url}/view/risen")
    expect(page.locator(".key b")).to_have_text("1")
    page.evaluate("globalThis.requestAnimationFrame = () => 0")
    kept.post("risen", {"n": 186})
    until(lambda: page.evaluate("[...sloshView.lines.all.values()][0].newest"), lambda newest: newest == 186)
    page.evaluate("sayIt()")
    expect(page.locator("#summary")).to_contain_text("n is 186, between 1 and 186")


def test_on_a_wide_screen_the_charts_are_wide(kept: Slosh, new_page: Open) -> None:
    kept.post("t", 1, 2)
    page = new_page(f"{kept.url}/view/t")
    for width, least in ((1440, 1150), (2560, 1750)):
        page.set_viewport_size({"width": width, "height": 1300})
        with trying(width):
            assert still(page.locator(".plot"))["width"] > least


#: The words of the page itself in a place whose last letter stands left of their first one.
ORDER = """(place) => {
  const walker = document.createTreeWalker(place, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  const turned = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (node.parentElement.closest("bdi")) continue;
    for (const { 0: word, index } of node.data.matchAll(/[A-Za-z0-9]{2,}/g)) {
      const at = (i) => {
        range.setStart(node, index + i);
        range.setEnd(node, index + i + 1);
        return range.getBoundingClientRect();
      };
      const [first, last] = [at(0), at(word.length - 1)];
      if (first.top === last.top && first.left > last.left) turned.push(word);
    }
  }
  return turned;
}"""
#: It turns the direction of writing, and is not closed; the others leave the isolation first.
TURNS = ["\u202eevil", "\u2069\u202eevil", "\u2029\u202eevil", "\x85\u202eevil", "\x1c\u202eevil"]


def test_no_name_turns_what_stands_beside_it(serve: "Callable[..., Slosh]", new_page: "Callable[[str], Page]") -> None:
    slosh = serve(unwatched="keep", linger="1h")
    names = [*TURNS, "long" * 60, "plain"]
    message = {f"{name}{number}": 10 + number for number, name in enumerate(names)}
    host, topic = "\u2069\u202ehost", quote("house/\u202eevil")
    for each in (host, "other"):
        slosh.post(topic, {"host": each, "drawn": 1, "step": 3, "on": True, **message})
        slosh.post(topic, {"host": each, "drawn": 2, "step": 4, "on": False, "lat": 52, "lng": 13, **message})
    page = new_page(f"{slosh.url}/view/house/*?only=drawn&log")
    expect(page.locator("#rest")).to_contain_text("Tick what you want to see in the table.")
    expect(page.locator("#rest")).to_contain_text("are not drawn: ")
    page.locator("#messages summary").click()
    expect(page.locator("#list li")).to_have_count(4)
    expect(page.locator("#paths .key")).to_have_count(2)
    for place in (
        "#rest",
        "#list li:first-child .quiet",
        "#rows",
        "#charts .keys",
        "#paths .keys",
        "#bands",
        "#newest-panel h2",
    ):
        with trying(place):
            found = page.locator(place)
            expect(found.locator("bdi").first).to_be_attached()
            assert found.evaluate(ORDER) == []
    for width in (1200, 360):
        page.set_viewport_size({"width": width, "height": 740})
        page.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=width)
        assert page.locator("#rest").evaluate("(each) => each.scrollWidth <= each.clientWidth")
    named = new_page(f"{slosh.url}/view/{topic}")
    expect(named.locator("#state")).to_have_attribute("data-state", "live")
    assert named.title() == "\u2068house/\u202eevil\u2069 · slosh"


def test_a_message_reads_as_it_is_whatever_it_says_of_the_direction_of_writing(
    serve: "Callable[..., Slosh]", new_page: "Callable[[str], Page]"
) -> None:
    slosh = serve(unwatched="keep", linger="1h")
    message = {"\u202eevil": 129, "\u05e9\u05dc\u05d5\u05dd": 250, "\u2069x": 'a"\u202e'}
    slosh.post("t", message)
    page = new_page(f"{slosh.url}/view/t")
    shown = page.locator("#message")
    expect(shown).to_contain_text('"\\u202eevil": 129')
    assert json.loads(shown.text_content() or "") == message
    where = """(place) => {
      const walker = document.createTreeWalker(place, NodeFilter.SHOW_TEXT);
      const range = document.createRange();
      const left = {};
      for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        for (const { 0: number, index } of node.data.matchAll(/129|250/g)) {
          range.setStart(node, index);
          range.setEnd(node, index + 3);
          left[number] = range.getBoundingClientRect().left;
        }
      }
      return [left["250"] - place.getBoundingClientRect().left, left["129"] - place.getBoundingClientRect().left];
    }"""
    found = shown.evaluate(where)
    assert found[0] > 50, "behind its name of four letters, not before it"
    assert found[1] > 50


def test_an_error_has_the_look_of_the_other_pages_by_day_and_by_night(
    kept: Slosh, new_context: "Callable[..., BrowserContext]"
) -> None:
    look = "() => [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    for scheme in ("light", "dark"):
        page = new_context(color_scheme=scheme).new_page()
        page.goto(f"{kept.url}/view/")
        expect(page.locator("h1")).to_be_visible()
        expected = page.evaluate(look)
        for path in ("view/a%20b,,*c", "nofile.html"):
            page.goto(f"{kept.url}/{path}")
            assert page.evaluate(look) == expected
            assert "system-ui" in page.evaluate("getComputedStyle(document.body).fontFamily")
