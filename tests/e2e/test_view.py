"""The viewer in a real browser against a real server: what it promises of any topic."""

import contextlib
import itertools
import re
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from tests.conftest import need
from tests.e2e.conftest import Slosh, address, trying, until
from tests.e2e.cutting import cutting
from tests.web.pages.test_assets import viewer_files

need("module:playwright")
from playwright.sync_api import TimeoutError as NotInTime  # noqa: E402
from playwright.sync_api import expect  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import FloatRect, Locator, Page, Route

Open: TypeAlias = "Callable[[str], Page]"
Serve: TypeAlias = Callable[..., Slosh]


#: The times of the first line.
TIMES = "(({ series }) => [...series.times.subarray(0, series.length)])([...sloshView.lines.all.values()][0])"


def view(open_page: Open, slosh: Slosh, topic: str) -> "Page":
    """Open the viewer and wait until it is connected."""
    page = open_page(f"{slosh.url}/view/{topic}")
    expect(page.locator("#state")).to_have_attribute("data-state", "live")
    return page


def row(page: "Page", name: str) -> "Locator":
    """The cells of a number in the table, by its path."""
    return (
        page.locator("#rows tr")
        .filter(has=page.get_by_role("cell", name=name, exact=True))
        .locator("td:not(:nth-child(4), .tool)")
    )


def press(line: "Locator", name: str) -> None:
    """Press a button that a line of the table shows to a pointer. The line may move while the pointer is on its way."""
    line.evaluate(
        "(each) => ((each.wasPressed = false), each.addEventListener('click', () => (each.wasPressed = true)))"
    )
    for _ in range(30):
        line.hover()
        with contextlib.suppress(NotInTime):
            line.get_by_role("button", name=name, exact=True).click(timeout=1_000)  # ms
            return
        # On a busy machine what is told too late may have happened, and another press would take it back.
        if line.evaluate("(each) => each.wasPressed"):
            return
    raise AssertionError(f"{name} was never there to be pressed")


def still(place: "Locator") -> "FloatRect":
    """Where something is, once it does not move any more: the page around it may still be drawn."""
    seen = place.bounding_box()
    while (now := place.bounding_box()) != seen or now is None:
        seen = now
        place.page.wait_for_timeout(100)
    return now


def column(page: "Page", line: int = 0) -> list[float | None]:
    """The values of a line in their order, None where it breaks."""
    script = "line => [...sloshView.lines.all.values()][line].series.values"
    found: list[float | None] = page.evaluate(script, line)
    return found


def test_the_page_loads_what_its_size_is_counted_of(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "kitchen")
    slosh.post("kitchen", {"t": 1})
    expect(page.locator(".chart")).to_have_count(1)
    names = page.evaluate("performance.getEntriesByType('resource').map(({ name }) => new URL(name).pathname)")
    loaded = {name.rpartition("/")[2] for name in names if name.startswith("/-/")}
    assert loaded == {path.name for path in viewer_files()}


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
        expect(row(page, "temp").nth(1)).to_have_text(f"{temp}.0")
    until(lambda: ink(page), lambda count: count > few)
    expect(row(page, "temp")).to_have_text(["temp", "19.0", "18.0", "25.0"])
    expect(page.locator("#message")).to_have_text('{\n  "temp": 19\n}')


def test_what_was_there_before_shows_at_once(slosh: Slosh, new_page: Open) -> None:
    view(new_page, slosh, "kitchen")
    slosh.post("kitchen", *range(1, 41))
    page = view(new_page, slosh, "kitchen")
    expect(row(page, "value")).to_have_text(["value", "40", "1", "40"])
    expect(page.locator("#received")).to_have_text("40")
    expect(page.locator("#missed")).to_have_text("0")
    expect(page.locator("#rest")).to_be_hidden()


def test_what_only_counts_or_tells_the_time_is_a_line_when_it_is_asked_for(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "kitchen")
    now = page.evaluate("Date.now()")
    slosh.post("kitchen", {"ts": now / 1000 - 5, "train": {"global_step": 7}, "loss": 1})
    slosh.post("kitchen", {"time": now - 3000, "t": 21.5, "epoch": 3, "loss": 2})
    expect(page.locator("#rest")).to_contain_text("only count or tell the time: ts, train.global_step, time, epoch.")
    expect(page.locator(".key span")).to_have_text(["loss", "t"])
    page.get_by_role("checkbox", name="epoch").check()
    expect(page.locator(".key span")).to_have_text(["loss", "t", "epoch"])
    page.get_by_role("checkbox", name="loss").uncheck()
    expect(page.locator(".key span")).to_have_text(["t", "epoch"])


def test_markup_in_a_message_or_a_name_shows_as_text_and_never_runs(slosh: Slosh, new_page: Open) -> None:
    page = new_page(f"{slosh.url}/favicon.svg")
    for text in ("<script>window.ran = 1</script>", '<img src="x" onerror="window.ran = 1">', "<b>&amp;</b>"):
        with trying(text):
            page.goto(f"{slosh.url}/view/{len(text)}")
            expect(page.locator("#state")).to_have_attribute("data-state", "live")
            slosh.post(str(len(text)), {text: 1, "said": text})
            expect(page.locator("#message")).to_contain_text(text.replace('"', '\\"'))
            expect(page.locator("#rows td").first).to_have_text(text)
            expect(page.locator(".key")).to_contain_text(text)
            page.locator("#messages summary").click()
            expect(page.locator("#list li")).to_contain_text(text.replace('"', '\\"'))
            assert page.locator("main script, main img, main td b, main li b, main pre *").count() == 0
            assert page.evaluate("window.ran") is None


def test_lines_of_a_build_are_shown_as_text(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "build")
    slosh.post("build", "\x1b[31mred <b>error</b>\x1b[0m", "\tindent", "\a")
    expect(page.locator("#message")).to_have_text("\u2407")
    expect(page.locator("#messages")).to_have_attribute("open", "")
    assert page.locator("#list .json").evaluate_all("(all) => all.map((each) => each.textContent)") == [
        "\u2407",
        "\tindent",
        "red <b>error</b>",
    ]


def test_a_name_with_markup_is_text_too(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "%3Cb%3Eit's%3C%2Fb%3E%20%C3%BC%25")
    expect(page.locator("#topic")).to_have_text("<b>it's</b> ü%")
    command = page.locator("#curl").inner_text()
    assert command == f"curl -d '{{\"value\": 21.5}}' '{slosh.url}/topics/%3Cb%3Eit%27s%3C/b%3E%20%C3%BC%25'"
    slosh.post("%3Cb%3Eit%27s%3C/b%3E%20%C3%BC%25", 5)
    expect(row(page, "value").nth(1)).to_have_text("5")


def test_what_was_missed_is_told_and_breaks_the_line(serve: Serve, new_page: Open) -> None:
    slosh = serve(queue=10)
    with cutting(slosh.port) as proxy:
        page = new_page(f"http://127.0.0.1:{proxy.port}/view/kitchen")
        expect(page.locator("#state")).to_have_attribute("data-state", "live")
        slosh.post("kitchen", 1)
        expect(page.locator("#received")).to_have_text("1")
        page.context.set_offline(True)  # and posts go on meanwhile
        proxy.cut()
        expect(page.locator("#state")).to_have_attribute("data-state", "offline")
        slosh.post("kitchen", *range(2, 38))
        page.context.set_offline(False)
        expect(page.locator("#missed")).to_have_text("26")
        expect(page.locator("#received")).to_have_text("11")
        expect(page.locator("#state")).to_have_attribute("data-state", "live")
        assert column(page) == [1, None, *range(28, 38)]
        assert page.evaluate("sloshView.lines.marks.map(({ kind, count }) => [kind, count])") == [["lost", 26]]


def test_the_words_on_a_chart_come_to_all_that_was_missed(slosh: Slosh, new_page: Open) -> None:
    """Where there is no room for the words of each loss, those of the first say what all of them come to."""
    page = view(new_page, slosh, "kitchen?span=5m")
    page.evaluate("""() => {
      const written = (globalThis.written = []);
      const write = CanvasRenderingContext2D.prototype.fillText;
      CanvasRenderingContext2D.prototype.fillText = function (text, x, y, ...rest) {
        if (/missed|again/.test(text)) written.push([text, x, x + this.measureText(text).width, y]);
        return write.call(this, text, x, y, ...rest);
      };
      const now = sloshView.feed.now * 1000;
      for (let n = 0; n < 80; n++) {
        const times = [now - 250_000 + n * 3000];
        sloshView.feed.take({ res: [n], times, ...(n % 20 ? { lost: 900 } : { reset: true }) });
      }
    }""")
    expect(page.locator(".chart")).to_have_count(1)
    # One drawing: uPlot draws in a microtask.
    draw = "async () => { written.length = 0; sloshView.plots()[0].redraw(); await 0; return [...written]; }"

    def all_of(found: list[list[Any]]) -> int:
        return sum(int(text.split()[0].replace(",", "")) for text, *_ in found if "missed" in text)

    found = until(lambda: page.evaluate(draw), lambda seen: all_of(seen) == 76 * 900)
    expect(page.locator("#missed")).to_have_text("68,400")
    assert 2 < len(found) < 40
    assert any(text == "began again" for text, *_ in found)
    for (_, left, right, y), (_, other_left, other_right, other_y) in itertools.combinations(found, 2):
        assert y != other_y or right <= other_left or other_right <= left, "no words lie over others"


def test_a_topic_that_began_again_is_told(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "kitchen")
    slosh.post("kitchen", 1)
    expect(page.locator("#received")).to_have_text("1")
    slosh.process.end(signal.SIGKILL)
    expect(page.locator("#state")).to_have_attribute("data-state", "offline")
    slosh.start()
    expect(page.locator("#state")).to_have_attribute("data-state", "live")
    slosh.post_when_watched("kitchen", 2)
    expect(page.locator("#resets-box")).to_have_text("began again 1 time")
    expect(page.locator("#received")).to_have_text("2")
    assert column(page) == [1, None, 2]
    # The mark stands where the connection was lost, not where the next message came.
    marked, times = page.evaluate(f"[sloshView.lines.marks[0].time, {TIMES}]")
    assert times[0] <= marked < times[-1]


def test_a_topic_without_numbers_is_a_list(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "words")
    slosh.post("words", "hello", None, {"from": "Ada", "text": "hi"}, [])
    expect(page.locator("#list li .json")).to_have_text(["[]", '{"from":"Ada","text":"hi"}', "null", "hello"])
    expect(page.locator("#values")).to_be_hidden()
    expect(page.locator(".chart")).to_have_count(0)


def test_numbers_beyond_twelve_are_named_and_can_be_chosen(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "many")
    slosh.post("many", {f"n{number}": 10 + number for number in range(15)})
    slosh.post("many", {f"n{number}": 11 + number for number in range(15)})
    expect(page.locator("#rows tr")).to_have_count(15)
    expect(page.locator("#rest")).to_contain_text("3 more are not drawn: n12, n13, n14.")
    page.get_by_role("checkbox", name="n3").uncheck()
    page.get_by_role("checkbox", name="n14").check()
    expect(page.locator(".key span")).to_have_text([f"n{number}" for number in [0, 1, 2, *range(4, 12), 14]])
    drawn = page.evaluate("sloshView.plots().flatMap((chart) => chart.data.slice(1).map((column) => column.at(-1)))")
    assert sorted(drawn) == [11 + number for number in [0, 1, 2, *range(4, 12), 14]], (
        "with what came before it was chosen"
    )
    page.get_by_role("checkbox", name="n13").check()
    expect(page.locator(".key span").last).to_have_text("n14")
    slosh.post("many", {f"x{number}": number for number in range(300)})
    expect(page.locator("#rest")).to_contain_text("15 beyond 300 lines are not kept: x285, x286,")


def test_strange_messages_leave_it_working(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "odd")
    strange = ["1e400", "-1e308", "1e-310", '{"__proto__":{"x":1}}', "[" * 400 + "1" + "]" * 400, '{"":{"":2}}']
    for text in [*strange, "[" + "0," * 30_000 + "0]", '"' + "x" * 60_000 + '"']:
        assert "max" in slosh.curl("odd", text)
    assert "max" in slosh.curl("odd", '{"last":7,"toString":{"valueOf":null},"far":[1e400,-1e400]}')
    expect(page.locator("#message")).to_contain_text('"last": 7')
    expect(page.locator("#message")).to_contain_text(re.compile(r'"∞",\s+"-∞"'))
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


def drag(page: "Page", left: float, right: float) -> None:
    """Drag over the first chart, between these parts of its width."""
    box = still(page.locator(".u-over").first)
    page.mouse.move(box["x"] + box["width"] * left, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * right, box["y"] + 50, steps=4)
    page.mouse.up()


def span(page: "Page") -> float:
    """Seconds from the left end of the charts to the right one, as they are drawn."""
    found: float = page.evaluate("sloshView.shown.to - sloshView.shown.from")
    return found


def test_while_paused_what_is_chosen_is_drawn_and_what_comes_is_not(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "kitchen")
    slosh.post("kitchen", *({"a": n, "far": 1000 + n, "lat": 52 + n / 9, "lng": 13.4} for n in (1, 2, 3)))
    expect(row(page, "a").nth(1)).to_have_text("3")
    expect(page.locator(".chart")).to_have_count(2)
    until(lambda: page.evaluate("sloshView.shown.to - sloshView.lines.first"), lambda age: age > 0.5)
    page.keyboard.press("p")
    expect(page.locator("#notice")).to_be_visible()
    whole, end = until(lambda: (span(page), page.evaluate("sloshView.shown.to")), lambda seen: seen[0] > 0)
    slosh.post("kitchen", {"a": 4, "far": 1004})
    expect(page.locator("#notice")).to_contain_text("1 message came meanwhile")
    drag(page, 0.25, 0.75)
    expect(page.locator("#zoomed-words")).to_have_text(re.compile(r"^Zoomed: [\d:.]+ to [\d:.]+\.$"))
    until(lambda: span(page), lambda seen: 0.4 * whole < seen < 0.6 * whole)
    zoomed = page.evaluate("sloshView.shown.from")
    page.keyboard.press("Shift+ArrowLeft")
    until(lambda: page.evaluate("sloshView.shown.from"), lambda seen: seen < zoomed)
    page.keyboard.press("0")
    expect(page.locator("#zoomed")).to_be_hidden()
    until(lambda: page.evaluate("sloshView.shown.to"), lambda seen: seen == end)
    page.get_by_role("checkbox", name="far").uncheck()
    expect(page.locator(".chart")).to_have_count(1)
    page.keyboard.press("l")
    labels = "sloshView.plots()[0].labels"
    until(lambda: page.evaluate(labels), lambda seen: seen == ["1", "10"])
    page.locator("#span").select_option("10")
    until(lambda: page.evaluate("sloshView.shown.to"), lambda seen: seen == end)
    assert column(page) == [1, 2, 3]
    page.keyboard.press("p")
    expect(page.locator("#notice")).to_be_hidden()
    until(lambda: page.evaluate("sloshView.shown.to"), lambda seen: seen > end)
    assert column(page) == [1, 2, 3, 4]


def test_while_paused_a_chart_that_is_scrolled_into_sight_is_drawn(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "many")
    page.set_viewport_size({"width": 500, "height": 200})
    slosh.post("many", *({f"n{size}": n * 100**size for size in range(8)} for n in (10, 11)))
    expect(page.locator(".chart")).to_have_count(8)
    page.keyboard.press("p")
    expect(page.locator("#notice")).to_be_visible()
    until(lambda: page.evaluate("sloshView.plots().at(-1).panel.isSeen"), lambda seen: seen is False)
    lowest = "sloshView.plots().map(({ labels }) => labels[0])"
    page.keyboard.press("z")
    until(lambda: page.evaluate(lowest), lambda seen: seen[0] == "0")
    page.locator(".chart").last.scroll_into_view_if_needed()
    until(lambda: page.evaluate(lowest), lambda seen: seen[-1] == "0")


def newest_drawn(page: "Page", charts: str) -> float:
    """The time of the newest point that the last chart shows, which is out of sight; 0 where it has none."""
    until(lambda: page.evaluate(f"{charts}.plots().at(-1)?.panel.isSeen"), lambda seen: seen is False)
    found: float = page.evaluate(f"{charts}.plots().at(-1).data[0].at(-1) ?? 0")
    return found


def test_on_paper_no_chart_is_stale(slosh: Slosh, new_page: Open) -> None:
    """One that is out of sight is drawn for a printer alone."""
    page = view(new_page, slosh, "many")
    page.set_viewport_size({"width": 500, "height": 200})
    first, second = ({f"n{size}": n * 100**size for size in range(8)} for n in (10, 11))
    slosh.post("many", first)
    expect(page.locator(".chart")).to_have_count(8)
    before = newest_drawn(page, "sloshView")
    slosh.post("many", second)
    expect(page.locator("#received")).to_have_text("2")
    assert newest_drawn(page, "sloshView") == before
    page.pdf()
    assert newest_drawn(page, "sloshView") > before


def test_while_paused_the_ring_of_a_path_goes_with_the_pointer(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "bus")
    slosh.post("bus", *({"speed": n, "lat": 52 + n / 9, "lng": 13.4} for n in (1, 2, 3)))
    expect(page.locator("#paths .key b")).to_have_text("52.3333°, 13.4000°")
    # That a chart has come into sight draws all too, and may come late.
    until(lambda: page.evaluate("sloshView.plots()[0].data[0].length"), bool)
    page.keyboard.press("p")
    expect(page.locator("#notice")).to_be_visible()
    picture = "document.querySelector('#paths canvas').toDataURL()"
    still_seen = until(lambda: [page.evaluate(picture) for _ in range(2)], lambda seen: seen[0] == seen[1])[0]
    # To the right end of the chart: a step to the left of it the places may not have been there yet.
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowRight")
    until(lambda: page.evaluate(picture), lambda seen: seen != still_seen)


def test_nothing_stays_selected_after_a_drag(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "kitchen")
    slosh.post("kitchen", {"a": 1, "far": 1000}, {"a": 2, "far": 2000})
    expect(page.locator(".chart")).to_have_count(2)
    selected = "[...document.querySelectorAll('.u-select')].map(({ clientWidth }) => clientWidth)"
    drag(page, 0.25, 0.75)
    expect(page.locator("#zoomed")).to_be_visible()
    assert page.evaluate(selected) == [0, 0]
    zoomed = address(page)
    drag(page, 0.5, 0.505)  # too little to be meant
    assert page.evaluate(selected) == [0, 0]
    assert address(page) == zoomed


#: What is dragged over, as each chart shows it: from which pixel, and how many.
SELECTED = "[...document.querySelectorAll('.u-select')].map(({ style }) => [style.left, style.width].map(parseFloat))"


def draw(page: "Page") -> None:
    """Wait until the charts were drawn once more, whatever moved before."""
    before = page.evaluate("sloshView.drawings()")
    until(lambda: page.evaluate("sloshView.drawings()"), lambda seen: seen > before + 1)


def test_a_press_and_a_drag_mean_where_the_pointer_is_though_the_charts_have_moved_since(
    slosh: Slosh, new_page: Open
) -> None:
    """All charts show what is dragged over one of them, and it alone zooms."""
    page = view(new_page, slosh, "kitchen?span=10")
    slosh.post("kitchen", {"a": 1, "far": 1000}, {"a": 2, "far": 2000})
    expect(page.locator(".chart")).to_have_count(2)
    expect(page.locator("#empty")).to_be_hidden()

    def rest(place: float, seconds: int) -> None:
        page.mouse.move(box["x"] + box["width"] * place, box["y"] + 50)
        page.evaluate(
            f"() => {{ const now = performance.now.bind(performance); performance.now = () => now() + {seconds}e3; }}"
        )
        draw(page)

    for chart in (0, 1):
        with trying(chart):
            box = still(page.locator(".u-over").nth(chart))
            rest(0.4, 12)
            page.mouse.down()
            draw(page)
            page.mouse.up()
            assert "from=" not in address(page), "nothing was dragged"
            rest(0.25, 3)
            page.mouse.down()
            page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 50, steps=4)
            draw(page)
            one, other = page.evaluate(SELECTED)
            assert other == pytest.approx(one, abs=1)
            page.mouse.up()
            zoomed = [float(each) for each in re.findall(r"(?:from|to)=([\d.]+)", address(page))]
            assert zoomed[1] - zoomed[0] == pytest.approx(5, abs=0.1)
            page.keyboard.press("0")
            expect(page.locator("#zoomed")).to_be_hidden()


def test_a_drag_means_where_a_chart_is_though_the_page_has_moved_below_the_pointer(
    slosh: Slosh, new_page: Open
) -> None:
    """As when the words of an empty page go, or those of a pause."""
    page = view(new_page, slosh, f"kitchen?from={time.time() - 10:.3f}&to={time.time() + 10:.3f}")
    slosh.post("kitchen", {"a": 1, "far": 1000}, {"a": 2, "far": 2000})
    expect(page.locator(".chart")).to_have_count(2)
    expect(page.locator("#zoomed")).to_be_visible()
    zoomed = address(page)
    page.evaluate("document.body.style.paddingTop = '100px'")
    box = still(page.locator(".u-over").first)
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 20)
    page.mouse.down()
    page.mouse.up()
    draw(page)
    page.evaluate("document.body.style.paddingTop = '0'")
    box = still(page.locator(".u-over").first)
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 50)
    page.mouse.down()
    for part in (0.502, 0.505):
        page.mouse.move(box["x"] + box["width"] * part, box["y"] + 50)
        draw(page)
        one, other = page.evaluate(SELECTED)
        assert other == pytest.approx(one, abs=1)
    page.mouse.up()
    assert address(page) == zoomed, "too little to be meant"


def test_a_drag_with_shift_moves_the_time_until_the_pointer_is_gone(slosh: Slosh, new_page: Open) -> None:
    """A browser may take it away, to scroll or to show a menu, and tells no release then."""
    page = view(new_page, slosh, f"kitchen?from={time.time() - 10:.3f}&to={time.time() + 10:.3f}")
    slosh.post("kitchen", 1, 2)
    expect(page.locator("#zoomed")).to_be_visible()
    box = still(page.locator(".u-over"))

    def go_to(part: float) -> float:
        page.mouse.move(box["x"] + box["width"] * part, box["y"] + 50)
        found: float = page.evaluate("Number(new URLSearchParams(location.search).get('from'))")
        return found

    before = go_to(0.5)
    page.keyboard.down("Shift")
    page.mouse.down()
    assert go_to(0.25) - before == pytest.approx(5, abs=0.1)
    page.evaluate("document.querySelector('.u-over').releasePointerCapture(1)")  # the mouse
    lost = go_to(0.3)
    assert go_to(0.75) == lost
    page.mouse.up()
    assert go_to(0.5) == lost


def test_several_topics_share_the_page(slosh: Slosh, new_page: Open) -> None:
    page = new_page(f"{slosh.url}/favicon.svg")
    for name in ("house/*", "flat/kitchen,flat/cellar"):
        with trying(name):
            page.goto(f"{slosh.url}/view/{name}")
            expect(page.locator("#state")).to_have_attribute("data-state", "live")
            for room, value in (("kitchen", 21), ("cellar", 12)):
                topic = f"{name.partition('/')[0]}/{room}"
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
    assert address(page) == f"{slosh.url}/view/house/*/temp"


def test_it_fits_a_phone(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "house/" + "x" * 200)
    page.set_viewport_size({"width": 360, "height": 740})
    slosh.post("house/" + "x" * 200, {"a-name-of-some-length" * 8: 25276514304, "b": "y" * 500, "ts": time.time()})
    slosh.post("house/" + "x" * 200, {"c": 1e15}, {"c": 1e15 + 1})
    expect(page.locator("#rows tr")).to_have_count(3)
    page.wait_for_function("document.documentElement.scrollWidth <= 360")
    table = page.locator("#values .scroll")
    assert table.evaluate("(element) => element.scrollWidth <= element.clientWidth"), "the highest values are seen"
    page.set_viewport_size({"width": 1200, "height": 740})
    assert table.evaluate("(element) => element.scrollWidth <= element.clientWidth")


GAPS = {
    "a null": [{"a": 1, "b": 1}, {"a": None, "b": 2}, {"a": 3, "b": 3}],
    "a text": [{"a": 1, "b": 1}, {"a": "n/a", "b": 2}, {"a": 3, "b": 3}],
    "a number that cannot be drawn": [{"a": 1, "b": 1}, {"a": 1e300, "b": 2}, {"a": 3, "b": 3}],
}


def test_a_value_that_is_not_there_leaves_a_gap(slosh: Slosh, new_page: Open) -> None:
    page = new_page(f"{slosh.url}/favicon.svg")
    for topic, (kind, messages) in enumerate(GAPS.items()):
        with trying(kind):
            page.goto(f"{slosh.url}/view/{topic}")
            expect(page.locator("#state")).to_have_attribute("data-state", "live")
            slosh.post(str(topic), *messages)
            expect(page.locator("#received")).to_have_text("3")
            assert (column(page, 0), column(page, 1)) == ([1, None, 3], [1, 2, 3])


def test_a_member_that_is_missing_leaves_a_gap_unless_messages_take_turns(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "kitchen")
    slosh.post("kitchen", {"a": 1, "b": 1}, {"a": 2, "b": 2}, {"b": 3}, {"a": 4, "b": 4}, {"event": 1})
    slosh.post("kitchen", {"x": 1, "id": 1}, {"y": 1, "id": 2}, {"x": 2, "id": 3}, {"y": 2, "id": 4})
    expect(page.locator("#received")).to_have_text("9")
    assert column(page, 0) == [1, 2, None, 4]
    assert column(page, 1) == [1, 2, 3, 4]
    assert column(page, 3) == [1, 2], "messages that tell x and y in turn are no gaps"


def test_who_opens_it_later_sees_the_past_at_its_true_times(serve: Serve, new_page: Open) -> None:
    slosh = serve(queue=3600, queue_bytes="8MiB")
    first = view(new_page, slosh, "kitchen")
    slosh.post("kitchen", 1)
    expect(first.locator("#received")).to_have_text("1")
    time.sleep(0.5)  # nothing is waited for: the past is to be this old
    slosh.post("kitchen", *range(2, 1002))
    expect(first.locator("#received")).to_have_text("1,001")
    late = view(new_page, slosh, "kitchen")
    expect(late.locator("#received")).to_have_text("1,001")
    expect(late.locator("#rest")).to_be_hidden()
    times = [page.evaluate(f"{TIMES}.filter((time, i, all) => time !== all[i - 1])") for page in (first, late)]
    assert times[1] == times[0], "both see each message when it arrived"
    assert times[1][1] - times[1][0] > 0.4


def test_what_the_server_does_not_keep_is_told(serve: Serve, new_page: Open) -> None:
    slosh = serve(queue=10)
    view(new_page, slosh, "kitchen")
    slosh.post("kitchen", *range(30))
    late = view(new_page, slosh, "kitchen")
    expect(late.locator("#rest")).to_contain_text(
        "The server keeps 10 messages of what was before this page: the last "
    )
    expect(late.locator("#rest")).to_contain_text("of 60 s are here.")


def test_silence_is_told_with_its_age_and_the_line_does_not_run_on(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "kitchen")
    expect(page.locator("#state-words")).to_have_text("connected, nothing yet")
    slosh.post("kitchen", 1, 2)
    expect(page.locator("#state-words")).to_have_text("live")
    page.evaluate("() => { const now = performance.now.bind(performance); performance.now = () => now() + 66_000; }")
    told = "Number(/nothing for (\\d+) s/.exec(document.getElementById('state-words').textContent)?.[1] ?? NaN)"
    silent = until(
        lambda: page.evaluate(f"[{told}, sloshView.feed.now - sloshView.lines.last]"),
        lambda found: found[0] >= 66 and abs(found[0] - found[1]) < 3,
    )
    server, last = page.evaluate("[sloshView.shown.to, sloshView.lines.last]")
    assert 65 < server - last < silent[1] + 10, "the right server is now"
    # Each second of it is another text, which nobody wants to hear.
    expect(page.locator("#state")).to_have_attribute("aria-live", "off")


def test_hosts_in_one_topic_have_a_line_each(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "load")
    slosh.post("load", {"host": "web1", "load": 1}, {"host": "web2", "load": 5}, {"host": "web1", "load": 2})
    expect(page.locator("#received")).to_have_text("3")
    expect(page.locator(".key span")).to_have_text(["web1: load", "web2: load"])
    assert (column(page, 0), column(page, 1)) == ([1, 2], [5])


def test_the_address_says_by_what_lines_are_told_apart_and_how_much_is_shown(serve: Serve, new_page: Open) -> None:
    slosh = serve(unwatched="keep", linger="1h")
    page = view(new_page, slosh, "load?by=at.rack&span=90s")
    expect(page.locator("#span")).to_have_value("90")
    slosh.post("load", {"host": "a", "at": {"rack": 7}, "load": 1}, {"host": "b", "at": {"rack": 8}, "load": 5})
    expect(page.locator(".key span")).to_have_text(["7: load", "8: load"])
    page.goto(f"{slosh.url}/view/load?by=")
    expect(page.locator("#state")).to_have_attribute("data-state", "live")
    slosh.post("load", {"host": "a", "load": 1}, {"host": "b", "load": 5})
    expect(page.locator("#received")).to_have_text("4")
    expect(page.locator(".key span")).to_have_text(["at.rack", "load"])
    page.goto(f"{slosh.url}/view/load?key=host")
    expect(page.locator("#received")).to_have_text("2")


def test_a_name_that_the_server_refuses_is_told_in_words(slosh: Slosh, new_page: Open) -> None:
    page = new_page(f"{slosh.url}/view/load?key=a..b")
    expect(page.locator("body")).to_contain_text("key is a dotted path into the messages")


def test_what_is_dragged_over_is_zoomed_and_a_double_click_leads_back(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "kitchen")
    slosh.post("kitchen", 1, 2, 3)
    expect(row(page, "value").nth(1)).to_have_text("3")
    box = still(page.locator(".u-over"))
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 50, steps=4)
    page.mouse.up()
    expect(page.locator("#zoomed")).to_be_visible()
    box = still(page.locator(".u-over"))
    before = page.evaluate("sloshView.shown.from")
    slosh.post("kitchen", 4)
    expect(row(page, "value").nth(1)).to_have_text("4")
    assert page.evaluate("sloshView.shown.from") == before, "it stands still"
    page.mouse.dblclick(box["x"] + 100, box["y"] + 50)
    expect(page.locator("#zoomed")).to_be_hidden()
    page.wait_for_function("before => sloshView.shown.from !== before", arg=before)


def test_nothing_is_refused_below_a_pattern_that_is_looked_at(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "slow/*/t")
    answers = [slosh.post(f"slow/{number}/t", number) for number in range(100)]
    assert {answer["status"] for answer in answers} == {200}
    expect(page.locator("#received")).to_have_text("100")
    expect(page.locator("#missed")).to_have_text("0")


@pytest.mark.parametrize(("path", "script"), [("kitchen", "series.js"), ("kitchen", "view.js"), ("", "numbers.js")])
def test_a_script_that_did_not_come_is_asked_for_again(slosh: Slosh, new_page: Open, path: str, script: str) -> None:
    """A browser drops what it is loading when its network changes, and by itself does not ask again."""
    page = new_page(f"{slosh.url}/favicon.svg")
    dropped: list[str] = []

    def drop(route: "Route") -> None:
        if len(dropped) < 2:
            dropped.append(route.request.url)
            route.abort("internetdisconnected")
        else:
            route.continue_()

    page.route(f"**/-/{script}", drop)
    page.goto(f"{slosh.url}/view/{path}")
    expect(page.locator("#state")).to_have_attribute("data-state", "live")
    assert len(dropped) == 2
    assert page.evaluate("history.state") is None, "a later failure has all tries again"


@pytest.mark.long
def test_a_pattern_of_too_many_topics_says_so_goes_on_and_is_tried_again(serve: Serve, new_page: Open) -> None:
    """It draws what it has, and a page that begins while there are too many waits until there are fewer."""
    slosh = serve(linger="20s", unwatched="keep")
    page = view(new_page, slosh, "q/*")
    for number in range(257):
        slosh.post(f"q/{number}", {"v": number})
    expect(page.locator("#why")).to_contain_text("Not all is shown")
    expect(page.locator("#state")).to_have_attribute("data-state", "live")
    expect(page.locator("#received")).to_have_text("256")
    slosh.post("q/0", {"v": 1})
    expect(page.locator("#received")).to_have_text("257")
    page.close()
    late = new_page(f"{slosh.url}/view/q/*")
    expect(late.locator("#why")).to_contain_text("tries again")
    expect(late.locator("#state")).to_have_attribute("data-state", "live", timeout=60_000)
