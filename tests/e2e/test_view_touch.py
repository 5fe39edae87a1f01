"""The viewer under a finger, on a sharp screen and on paper."""

import base64
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.conftest import need
from tests.e2e.conftest import Slosh, trying, until

need("module:playwright")
from playwright.sync_api import expect  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import BrowserContext, JSHandle, Page

#: A phone, as Chromium is told of one.
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
WEATHER = {"temp_max": 21.5, "temp_min": 12.3, "precipitation": 3.5, "row": 5, "of": 1461, "wind": 4.7}
#: What is pressed and is smaller than WCAG 2.2 wants (2.5.8): a label is hit for what stands in it.
SMALL = """() => [...document.querySelectorAll("button, input, select, summary, a, [tabindex='0']")]
  .filter((each) => each.checkVisibility({ visibilityProperty: true }) && !each.matches(".skip"))
  .map((each) => [each, (each.closest("label") ?? each).getBoundingClientRect()])
  .filter(([, { width, height }]) => width < 24 || height < 24)
  .map(([each, { width, height }]) => `${each.outerHTML.slice(0, 90)} ${width} x ${height}`)"""


@pytest.fixture
def kept(serve: "Callable[..., Slosh]") -> Slosh:
    return serve(unwatched="keep", linger="1h")


@pytest.fixture
def open_phone(new_context: "Callable[..., BrowserContext]", kept: Slosh) -> "Callable[..., Page]":
    """Open the view of a topic on a phone, with a row for each of its numbers."""

    def open_page(topic: str, rows: int, **options: object) -> "Page":
        page = new_context(**{**PHONE, **options}).new_page()
        page.goto(f"{kept.url}/view/{topic}")
        expect(page.locator("#rows tr:visible")).to_have_count(rows)
        return page

    return open_page


def test_a_finger_pins_a_row_and_draws_one_alone(kept: Slosh, open_phone: "Callable[..., Page]") -> None:
    kept.post("weather", WEATHER, WEATHER)
    page = open_phone("weather", 6)
    wind = page.locator("#rows tr").filter(has=page.get_by_role("cell", name="wind", exact=True))
    expect(wind.get_by_role("button", name="pin")).to_be_visible()
    expect(wind.get_by_role("button", name="only")).to_be_visible()
    wind.get_by_role("button", name="pin").tap()
    expect(page.locator("#rows .name").first).to_have_text("wind")
    wind.get_by_role("button", name="only").tap()
    expect(page.locator(".key span")).to_have_text(["wind"])


def test_what_is_pressed_is_as_large_as_a_finger_needs_and_a_phone_is_told_no_keys(
    kept: Slosh, open_phone: "Callable[..., Page]"
) -> None:
    kept.post("weather", WEATHER, WEATHER)
    kept.post("many", {f"n{number}": 10 + number for number in range(15)})
    sizes: tuple[dict[str, object], ...] = ({}, {"viewport": {"width": 1200, "height": 800}, "is_mobile": False})
    for options in sizes:
        page = open_phone("weather", 6, **options)
        for topic, rows in (("weather", 6), ("many", 15)):
            with trying((topic, options)):
                if topic == "many":
                    page.goto(f"{kept.url}/view/{topic}")
                    expect(page.locator("#rows tr:visible")).to_have_count(rows)
                page.locator("#menu summary").tap()
                expect(page.locator("#png")).to_be_visible()
                until(partial(page.evaluate, SMALL), lambda found: not found)
                if not options:
                    expect(page.locator(".keys-help")).to_be_attached()
                    expect(page.locator(".keys-help"), "a phone is told no keys").to_be_hidden()


def test_on_a_phone_no_row_hides_in_a_box_of_its_own(kept: Slosh, open_phone: "Callable[..., Page]") -> None:
    """Its scroll bar is invisible there."""
    kept.post("weather", {**WEATHER, "humidity": 70, "pressure": 1013.2, "gust": 9.5})
    page = open_phone("weather", 9)
    box = page.locator("#values .scroll")
    until(lambda: box.evaluate("(box) => box.scrollHeight - box.clientHeight"), lambda hidden: hidden <= 0)


#: How dark the darkest pixel of a picture is beside its ground, in the rows and columns at its edge: 0 is not at all.
DARKEST = """async (text) => {
  const image = await createImageBitmap(new Blob([Uint8Array.from(atob(text), (each) => each.charCodeAt(0))]));
  const context = new OffscreenCanvas(image.width, image.height).getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, image.width, image.height);
  let least = 255;
  for (let i = 0; i < data.length; i += 4) least = Math.min(least, data[i]);
  return 255 - least;
}"""


def test_no_hairline_stands_around_the_keys_of_a_chart(kept: Slosh, open_phone: "Callable[..., Page]") -> None:
    kept.post("weather", WEATHER, WEATHER)
    for scale in (1, 2, 3):
        with trying(scale):
            page = open_phone("weather", 6, device_scale_factor=scale, color_scheme="light")
            page.evaluate("for (const key of document.querySelectorAll('.key')) key.style.visibility = 'hidden'")
            for number in range(page.locator(".keys").count()):
                keys = page.locator(".keys").nth(number)
                keys.scroll_into_view_if_needed()
                box = keys.bounding_box()
                assert box is not None
                clip = {"x": box["x"], "y": box["y"] - 3, "width": box["width"], "height": box["height"] + 6}
                assert darkest(page, clip) < 8  # a shadow that is covered may shine through, as nobody can see


def darkest(page: "Page", clip: "dict[str, float]") -> int:
    picture = base64.b64encode(page.screenshot(clip=clip)).decode()  # type: ignore[arg-type]
    return int(page.evaluate(DARKEST, picture))


def test_on_paper_stands_what_is_read_and_nothing_that_is_pressed(
    kept: Slosh, open_phone: "Callable[..., Page]"
) -> None:
    kept.post("weather", WEATHER, WEATHER)
    page = open_phone("weather", 6)
    pressed = (".bar", ".tools >> nth=0", "#post", ".tool >> nth=0")
    for there in pressed:
        expect(page.locator(there)).to_be_visible()
    page.emulate_media(media="print")
    for gone in pressed:
        expect(page.locator(gone)).to_be_hidden()
    for there in ("#topic", ".plot >> nth=0", "#rows tr >> nth=0"):
        expect(page.locator(there)).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgba(0, 0, 0, 0)"


#: How far charts, maps and bands end before the right of what they stand in, where that is 500 pixels wide all at once.
ENDS = """(root) => {
  document.body.style.width = "500px";
  return [...root.querySelectorAll("canvas")].map((canvas) => {
    const place = canvas.closest(".plot, .band, .paths, figure div").getBoundingClientRect();
    const { right, height } = canvas.getBoundingClientRect();
    return [place.right - right, height - (canvas.height / canvas.width) * canvas.clientWidth];
  });
}"""
PLACES = {"on": False, "temp": 21.5, "lat": 48.1, "lon": 11.5}


@pytest.fixture
def open_both(
    chart_page: "Callable[..., tuple[Slosh, Page]]", new_context: "Callable[..., BrowserContext]"
) -> "Callable[..., Iterator[tuple[Page, JSHandle, int]]]":
    """Open the viewer, and an element with the same numbers: the page, what has the canvases, and how many."""
    slosh, empty = chart_page('<slosh-chart topic="m"></slosh-chart>', unwatched="keep", linger="1h")
    empty.close()

    def open_pages(**options: object) -> "Iterator[tuple[Page, JSHandle, int]]":
        slosh.post("m", PLACES, PLACES)
        for path, root, count in (
            ("view/m", "document", 3),
            ("", "document.querySelector('slosh-chart').shadowRoot", 2),
        ):
            with trying(path):
                page = new_context(**options).new_page()
                page.goto(f"{slosh.url}/{path}")
                expect(page.locator("canvas:visible")).to_have_count(count)
                yield page, page.evaluate_handle(root), count

    return open_pages


def test_a_chart_is_as_wide_as_the_paper(open_both: "Callable[..., Iterator[tuple[Page, JSHandle, int]]]") -> None:
    """It was cut at its right, where the newest is: nothing tells a page how wide its paper is."""
    for page, root, count in open_both():
        page.emulate_media(media="print")
        found = page.evaluate(ENDS, root)
        assert len(found) == count
        for free, stretched in found:
            assert 0 <= free < 16
            assert abs(stretched) < 2


#: The shadow of keys, which says on a screen that there are more. And of each canvas: how many are in the least of what
#: has a name and stands on one page.
HELD_TOGETHER = """(root) => [
  [...root.querySelectorAll(".keys")].map((each) => getComputedStyle(each).backgroundImage),
  [...root.querySelectorAll("canvas")].map((canvas) => {
    let each = canvas;
    const isWhole = () => each.querySelector("span, b") && getComputedStyle(each).breakInside === "avoid";
    while (each && !isWhole()) each = each.parentElement;
    return each?.querySelectorAll("canvas").length;
  }),
]"""


def test_on_paper_a_chart_stands_below_its_name_and_keys_have_no_shadow(
    open_both: "Callable[..., Iterator[tuple[Page, JSHandle, int]]]",
) -> None:
    """A paper with backgrounds had a grey bar over the names; a name at the end of a page had its chart on the next."""
    for page, root, count in open_both():
        page.emulate_media(media="print")
        shadows, together = page.evaluate(HELD_TOGETHER, root)
        assert shadows == ["none", "none"], "of a chart, and of a map"
        assert together == [1] * count


#: Whether each canvas has the grid or the ground of a state in the colours for light, and for dark.
DRAWN = """(root) => {
  const told = (globalThis.told = {});
  const look = () => [...root.querySelectorAll("canvas")].map((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const found = new Map();
    for (let i = 0; i < data.length; i += 4) {
      const colour = data.subarray(i, i + 3).join();
      found.set(colour, (found.get(colour) ?? 0) + 1);
    }
    // A pixel where a letter ends may have any colour by chance.
    const has = (...colours) => colours.some((colour) => found.get(colour) > 50);
    return [has("230,237,239", "219,228,231"), has("29,42,49", "35,49,57")];
  });
  for (const type of ["beforeprint", "afterprint"]) addEventListener(type, () => (told[type] = look()));
}"""


def test_what_is_dark_on_a_screen_is_printed_with_the_colours_of_paper(
    open_both: "Callable[..., Iterator[tuple[Page, JSHandle, int]]]",
) -> None:
    for page, root, count in open_both(color_scheme="dark"):
        page.keyboard.press("p")
        page.evaluate(DRAWN, root)
        page.pdf()
        told = page.evaluate("told")
        assert told == {"beforeprint": [[True, False]] * count, "afterprint": [[False, True]] * count}


def test_on_paper_all_charts_are_made_smaller_alike_and_nothing_is_ticked_or_filtered(
    kept: Slosh, new_context: "Callable[..., BrowserContext]"
) -> None:
    """An odd chart is as wide as two on a screen, and its words were half the size of the others' on paper."""
    numbers = {f"n{size}": 10 * 100**size for size in range(5)}
    kept.post("m", {"lat": 48.1, "lon": 11.5, "on": True, **numbers, "a": 10, "b": 11, "c": 12})
    page = new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.goto(f"{kept.url}/view/m")
    expect(page.locator(".chart")).to_have_count(5)
    for there in ("#filter", "td input >> nth=0", "#messages"):
        expect(page.locator(there)).to_be_visible()
    page.evaluate("""() => {
      const widths = () => [...document.querySelectorAll("canvas")].map((canvas) => canvas.width);
      globalThis.told = [];
      for (const type of ["beforeprint", "afterprint"]) addEventListener(type, () => told.push(widths()));
    }""")
    page.pdf()
    on_paper, on_screen = page.evaluate("told")
    assert max(on_screen) > 1.8 * min(on_screen)
    assert len(on_paper) == 7
    assert 600 < min(on_paper) <= max(on_paper) < 720
    assert max(on_paper) - min(on_paper) < 20
    page.emulate_media(media="print")
    for gone in ("#filter", "td input >> nth=0", "#messages"):
        expect(page.locator(gone)).to_be_hidden()
    page.emulate_media(media="screen")
    page.locator("#messages summary").click()
    page.emulate_media(media="print")
    expect(page.locator("#list li")).to_be_visible()


def test_on_paper_a_key_has_its_colour(kept: Slosh, open_phone: "Callable[..., Page]") -> None:
    kept.post("weather", WEATHER, WEATHER)
    page = open_phone("weather", 6)
    style = "getComputedStyle(document.querySelector('.key'), '::before').printColorAdjust"
    assert page.evaluate(style) == "exact"
