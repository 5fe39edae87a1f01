"""What stands on the viewer's axes, and which value is under the pointer: its functions without a page, in Chromium."""

import itertools
import os
import re
from typing import TYPE_CHECKING, Any

import pytest

from slosh.client import Client
from tests.conftest import need
from tests.e2e.conftest import Slosh, trying, until

need("module:playwright")
from playwright.sync_api import expect  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

RANGES: list[tuple[float, float]] = [
    (low * factor, high * factor)
    for factor in (1e-9, 1e-6, 1e-3, 1, 1e3, 1e6, 1e9, 1e12, 1e15)
    for low, high in ((-1, 1), (0, 2.5), (-10, -7.5), (0.99, 1.01))
] + [
    (1_000_003, 1_000_009),
    (1e9, 1e9 + 3),
    (1e15, 1e15 + 4),
    (5, 5),
    (0, 0),
    (-1e-9, 0),
    (0.1, 0.3),
    (123456.25, 123456.75),
    # What differs by rounding alone, as what was added up beside what was written.
    (0.3, 0.1 + 0.2),
    (-0.1 - 0.2, -0.3),
    (100, 100.00000000000001),
    (20, 20.000000000000004),
    (1, 1.0000000000000002),
    (1700000000.1234567, 1700000000.1234569),
    (1e15, 1e15 + 0.125),
    (2**53, 2**53 + 2),
    (0, 5e-324),
    (1e300, 1.0000000000000002e300),
]

AXIS = """async ([low, high, most]) => {
  const { labels, notation, resolution, span, stepFor, ticks } = await import("/-/numbers.js");
  const [from, to] = span(low, high);
  const step = stepFor(from, to, most);
  const found = ticks(from, to, step);
  const how = notation(Math.max(Math.abs(low), Math.abs(high)), resolution(low, high));
  return [found, labels(found, step, how), from, to];
}"""


@pytest.fixture(scope="module")
def page(browser: "Browser") -> "Iterator[Page]":
    """Something of a server's, from which its modules can be imported. The functions leave nothing there."""
    slosh = Slosh()
    with slosh.process, browser.new_context() as context:
        errors: list[str] = []
        context.on("weberror", lambda event: errors.append(str(event.error)))
        page = context.new_page()
        page.goto(f"{slosh.url}/favicon.svg")
        yield page
        assert not errors


SAME = (
    (0.3, 0.1 + 0.2),
    (100, 100.00000000000001),
    (1700000000.1234567, 1700000000.1234569),
    (1e29, 1.0000000000000002e29),
    (1e-29, 1.0000000000000002e-29),
    (0, 5e-324),
)
"""Numbers that differ by rounding alone."""


def test_numbers_that_differ_by_rounding_alone_do_not_stop_the_page(
    slosh: Slosh, new_page: "Callable[[str], Page]"
) -> None:
    """As axes, as the other axis, and on a scale of powers of ten; in quick runs each pair in one of these ways."""
    ways = ["", "?x=v", "?embed", "?log"]
    page = new_page(f"{slosh.url}/favicon.svg")
    with Client(slosh.url) as client:
        for number, values in enumerate(SAME):
            topic = f"rounding/{number}"
            client.open(topic)
            for count, value in enumerate(values):
                client.publish(topic, {"v": value, "w": count})
            for query in ways[number % 4 :][:1] if os.environ.get("QUICK") else ways:
                with trying((values, query)):
                    page.goto(f"{slosh.url}/view/{topic}{query}")
                    expect(page.locator("canvas").first).to_be_visible()
                    client.publish(topic, {"v": values[0], "w": 3})
                    # Some pictures more, each of which would not end.
                    page.evaluate(
                        "async () => { for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame); }"
                    )


def number_of(label: str) -> float:
    """What a label says."""
    units = {"T": 1e12, "B": 1e9, "M": 1e6}
    return float(label.rstrip("TBM").replace(",", "")) * units.get(label[-1], 1)


def test_an_axis_tells_the_truth_and_nothing_twice(page: "Page") -> None:
    for low, high in RANGES:
        for most in (2, 3, 4, 5, 6, 8):
            ticks, labels, bottom, top = page.evaluate(AXIS, [low, high, most])
            step = min((b - a for a, b in itertools.pairwise(ticks)), default=top - bottom)
            where = f"{low} to {high}: {labels} for {ticks}"
            assert 1 <= len(ticks) <= most + 1, where
            assert len(set(labels)) == len(labels), where
            for tick, label in zip(ticks, labels, strict=True):
                assert bottom - step / 100 <= tick <= top + step / 100, where
                assert abs(number_of(label) - tick) <= max(step / 1000, abs(tick) * 1e-15), where


@pytest.mark.parametrize(
    ("low", "high", "most"),
    [
        (774996450527.599, 774996450527.6007, 20),  # several multiples of the step are one number
        (20.276365008365115, 20.27636500836517, 8),  # the digits of the step do not tell two numbers apart
    ],
)
def test_a_high_axis_of_numbers_that_hardly_differ_tells_nothing_twice(
    page: "Page", low: float, high: float, most: int
) -> None:
    ticks, labels, *_ = page.evaluate(AXIS, [low, high, most])
    assert len(set(labels)) == len(labels) == len(set(ticks)) == len(ticks) > 6


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (-10, 5, ["-10.0", "-7.5", "-5.0", "-2.5", "0", "2.5", "5.0"]),
        (1_000_001, 1_000_009, ["1,000,002.5", "1,000,005.0", "1,000,007.5"]),
        (21, 22.4, ["21.0", "21.5", "22.0", "22.5"]),
        (0, 1e-9, ["0", "2.5e-10", "5e-10", "7.5e-10", "1e-9"]),
        (1e15, 1e15 + 4, [f"1{rest}e15" for rest in ("", *(f".{n:015}" for n in range(1, 5)))]),
        (0, 25_276_514_304, ["0", "10B", "20B"]),
    ],
)
def test_an_axis_has_the_digits_of_its_step(page: "Page", low: float, high: float, labels: list[str]) -> None:
    found = [page.evaluate(AXIS, [low, high, most])[1] for most in range(2, 9)]
    assert labels in found, found


@pytest.mark.parametrize(
    ("column", "time", "row"),
    [
        ([1, 2, 3], 104, 0),
        ([1, 2, 3], 106, 1),
        ([1, None, 3], 105, None),
        ([1, None, 3], 100.4, 0),
        ([1, "", 3], 109, 0),
        ([1, "", 3], 111, 2),
        ([1, 2, 3], 121, None),
        ([1, 2, 3], 120.4, 2),
        ([1, 2, 3], 99, None),
        (["", "", ""], 105, None),
    ],
)
def test_the_pointer_shows_a_value_only_where_there_is_a_line(
    page: "Page", column: list[Any], time: float, row: int | None
) -> None:
    """Points at 100, 110 and 120; half a second is near; an empty text stands for what was not told."""
    script = """async ([column, time]) => (await import("/-/lines.js")).rowAt(
      [100, 110, 120], column.map((value) => (value === "" ? undefined : value)), time, 0.5)"""
    assert page.evaluate(script, [column, time]) == row


#: Notes what is written on canvases: each text that is centred with its left and its right end, and the canvas's width.
WRITTEN = """
  const write = CanvasRenderingContext2D.prototype.fillText;
  globalThis.written = [];
  CanvasRenderingContext2D.prototype.fillText = function (text, x, y, ...rest) {
    const half = this.measureText(text).width / 2;
    if (this.textAlign === "center") written.push([text, x - half, x + half, this.canvas.width]);
    return write.call(this, text, x, y, ...rest);
  };
"""
#: Messages so many days ago, and two days ago; drawn with the next key.
OLD = """(days) => {
  const { feed } = sloshView;
  feed.take({ res: [{ t: 1 }, { t: 2 }], times: [days, 2].map((ago) => 1000 * (feed.now - 86_400 * ago)) });
  written.length = 0;
}"""


def test_where_days_are_shown_a_time_is_told_with_its_day_and_no_label_is_cut(
    slosh: Slosh, new_context: "Callable[..., BrowserContext]"
) -> None:
    context = new_context(timezone_id="Europe/Berlin", viewport={"width": 390, "height": 800})
    context.add_init_script(WRITTEN)
    page = context.new_page()
    a_day = r"\d\d? [A-Z][a-z]{2,3}"
    for days, label in ((20, rf"{a_day}"), (2.5, rf"{a_day}|\d\d:\d\d")):
        with trying(days):
            page.goto(f"{slosh.url}/view/t?span=all")
            expect(page.locator("#state")).to_have_attribute("data-state", "live")
            page.evaluate(OLD, days)
            page.keyboard.press("z")
            found = until(lambda: page.evaluate("written"), lambda found: len(found) > 1)
            assert all(re.fullmatch(label, text) for text, *_ in found), found
            assert any(re.fullmatch(a_day, text) for text, *_ in found), found
            assert all(right <= width for _, _, right, width in found), found
            assert all(one[2] < other[1] or one[1] >= other[1] for one, other in itertools.pairwise(found)), found
            expect(page.locator("#newest")).to_have_text(re.compile(rf"^newest at {a_day}, \d\d:\d\d:\d\d$"))
            page.keyboard.press("ArrowLeft")
            expect(page.locator(".at")).to_have_text(re.compile(rf"^{a_day}, \d\d:\d\d:\d\d$"))
            page.keyboard.press("Shift+ArrowLeft")
            told = re.compile(rf"^Zoomed: {a_day}, \d\d:\d\d:\d\d.\d to \d")
            expect(page.locator("#zoomed-words")).to_have_text(told)
            page.locator("#messages summary").click()
            expect(page.locator("#list .quiet").first).to_have_text(re.compile(rf"^{a_day}, \d\d:\d\d:\d\d$"))


def test_what_comes_too_fast_is_merged_to_its_lowest_and_highest_and_counted(page: "Page") -> None:
    """Six minutes at 1,000 a second: no spike is lost, what is kept stays bounded, and the breaks stay."""
    script = """async () => {
      const { Lines } = await import("/-/lines.js");
      const { MAX_POINTS } = await import("/-/series.js");
      const lines = new Lines(false, null, 600);
      let most = 0;
      for (let i = 0; i < 360_000; i++) {
        lines.add("t", { a: i === 12_345 ? -1e6 : i === 123_456 ? 1e6 : i % 10 }, 1000 + i / 1000);
        if (i === 200_000) lines.breakLines(undefined, 1000 + i / 1000, "3 missed");
        most = Math.max(most, [...lines.all.values()][0].series.length);
      }
      const [{ series }] = lines.all.values();
      const times = [...series.times.subarray(0, series.length)];
      return { most, bound: MAX_POINTS, peak: series.facts(0, Infinity).high, low: series.facts(0, Infinity).low,
        breaks: series.values.filter((value) => value === null).length, first: times[0],
        sum: series.merged + times.length,
        isSorted: times.every((time, i) => i === 0 || times[i - 1] <= time),
        widest: Math.max(...times.map((time, i) => (i ? time - times[i - 1] : 0))) };
    }"""
    found = page.evaluate(script)
    assert found["most"] <= found["bound"]
    assert (found["peak"], found["low"], found["breaks"], found["first"]) == (1e6, -1e6, 1, 1000)
    assert found["sum"] == 360_001
    assert found["isSorted"]
    assert found["widest"] <= 2 * 600 / 4000


def test_a_line_breaks_where_nothing_came_for_long(page: "Page") -> None:
    script = """async (times) => {
      const { Lines } = await import("/-/lines.js");
      const lines = new Lines(false, null, 600);
      for (const time of times) lines.add("t", { v: 1 }, time);
      return [...lines.all.values()][0].series.values;
    }"""
    assert page.evaluate(script, [*range(100, 106), 171, 172]) == [1] * 6 + [None, 1, 1]
    assert page.evaluate(script, [100, 160, 220, 290]) == [1] * 4, "an hourly rate has no silence of a minute"
    assert page.evaluate(script, [*[100 + i / 1000 for i in range(20)], 110]) == [1] * 20 + [None, 1]


@pytest.mark.parametrize("others", [[1, 5], []])
def test_a_number_that_is_nearly_nothing_leaves_an_axis(
    serve: "Callable[..., Slosh]", new_page: "Callable[[str], Page]", others: list[float]
) -> None:
    """A subnormal number: its power of ten is 0, which has no place on a logarithmic axis and divides nothing."""
    slosh = serve(unwatched="keep", linger="1h")
    values = [5e-324, 1e-310, *others]
    beside = (7, 8, 9, 8)  # above the others, so that no line lies over another one
    slosh.post(
        "t", *({"y": y, "beside": b, "x": x} for y, b, x in zip(values, beside, [5e-324, 1, 2, 3], strict=False))
    )
    page = new_page(f"{slosh.url}/favicon.svg")
    for query in ("", "?log", "?x=x", "?log&x=x"):
        with trying(query):
            page.goto(f"{slosh.url}/view/t{query}")
            check_axes(page, query, are_drawn=bool(others))


def check_axes(page: "Page", query: str, *, are_drawn: bool) -> None:
    """Each axis has labels that differ, and where lines are drawn, both are seen."""
    expect(page.locator("#rest")).to_contain_text("Numbers nearer to 0 than 10⁻³⁰⁰ are drawn as 0.")
    expect(page.locator("#rows .name")).to_have_text(["y", "beside"] if "x=" in query else ["y", "beside", "x"])
    labels = page.evaluate("sloshView.plots().map(({ labels }) => labels)")
    assert all(len(set(each)) == len(each) > 1 for each in labels), labels
    drawn = """() => sloshView.plots().flatMap(({ canvas }) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const colours = ["--s1", "--s2"].map((name) => getComputedStyle(document.documentElement).getPropertyValue(name));
      return colours.map((text) => {
        const wanted = text.match(/\\w\\w/g).map((part) => parseInt(part, 16));
        let count = 0;
        for (let i = 0; i < data.length; i += 4) count += wanted.every((c, k) => Math.abs(c - data[i + k]) < 12);
        return count;
      });
    }).reduce((sums, count, i) => ((sums[i % 2] += count), sums), [0, 0])"""
    if are_drawn:  # two equal numbers of one millisecond have no line between them
        until(lambda: page.evaluate(drawn), lambda seen: min(seen) > 0)
