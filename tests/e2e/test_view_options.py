"""What the viewer draws beyond plain lines, and what can be chosen on it: states, units, past, address, files, keys."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.request import urlopen

from tests.conftest import need
from tests.e2e.conftest import Slosh, address, trying, until
from tests.e2e.test_view import column, press, row, still, view

need("module:playwright")
from playwright.sync_api import expect  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open: TypeAlias = "Callable[[str], Page]"


def test_booleans_and_states_are_bands_and_texts_are_not(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "boiler")
    modes = ["idle", "heating", "heating", "idle", "idle", "heating"]
    slosh.post("boiler", *({"on": n > 2, "mode": mode, "note": f"text {n}"} for n, mode in enumerate(modes)))
    expect(page.locator(".band-head")).to_have_text(["ontrue", "modeheating"])
    script = """() => [...sloshView.lines.states.all.values()].filter(({ isText }) => !isText)
      .map(({ changes }) => changes.map(({ text }) => text))"""
    found = until(lambda: page.evaluate(script), lambda states: states[0] == ["false", "true"])
    assert found[1] == ["idle", "heating", "idle", "heating"]
    band = """() => {
      const canvas = document.querySelector(".band canvas");
      const { data } = canvas.getContext("2d").getImageData(0, 5, canvas.width, 1);
      return [canvas.width, data.filter((value, i) => i % 4 === 3 && value > 0).length];
    }"""
    # From where it is known on, and not left of the axis.
    until(lambda: page.evaluate(band), lambda seen: 0 < seen[1] < seen[0])


def test_what_is_missing_now_is_told_neither_by_a_band_nor_by_a_key(slosh: Slosh, new_page: Open) -> None:
    """The band ends where another kind of value comes, and the key has no number where none came."""
    page = view(new_page, slosh, "meter?span=15")
    page.evaluate("""() => {
      const now = sloshView.feed.now * 1000;
      const xs = [1, 1, 1, "n/a", "n/a", "n/a", 2, null];
      const res = xs.map((x, i) => ({ x, v: 3, on: i < 6 ? true : null }));
      sloshView.feed.take({ res, times: xs.map((_, i) => now - 8000 + 1000 * i) });
    }""")
    expect(page.locator(".band-head")).to_have_text(["on\u2013", "x\u2013"])
    expect(page.locator(".key")).to_have_text(["x\u2013", "v3"])
    expect(row(page, "x").nth(1)).to_have_text("\u2013")
    inked = """() => [...document.querySelectorAll(".band canvas")].map((canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 5, canvas.width, 1);
      const at = (part) => data[4 * Math.round(canvas.width * part) + 3];
      return [at(0.999), data.filter((value, i) => i % 4 === 3 && value).length / canvas.width];
    })"""
    found = until(lambda: page.evaluate(inked), lambda bands: all(ink > 0 for _, ink in bands))
    assert all(right == 0 and ink < 0.8 for right, ink in found), found
    page.evaluate("sloshView.feed.take({ res: [{ x: 4, v: 3, on: false }], times: [sloshView.feed.now * 1000] })")
    expect(page.locator(".band-head")).to_have_text(["onfalse", "x\u2013"])
    expect(page.locator(".key")).to_have_text(["x4", "v3"])


def test_units_are_told_by_names_and_by_the_address(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "m?unit.load=%25")
    slosh.post("m", {"latency_ms": 12.5, "sent_bytes": 3 * 2**20, "load": 40})
    expect(row(page, "latency_ms").nth(1)).to_have_text("12.5\u202fms")
    expect(row(page, "sent_bytes").nth(1)).to_have_text("3\u202fMiB")
    expect(row(page, "load").nth(1)).to_have_text("40%")
    expect(page.locator(".chart")).to_have_count(3)  # each unit has an axis of its own


def test_the_numbers_of_a_line_stand_still(serve: Callable[..., Slosh], new_page: Open) -> None:
    """They have the same digits, zeros at the end too, so that nothing beside them moves."""
    slosh = serve(unwatched="keep", linger="1h")
    slosh.post("m", {"cpu": 50.90654321, "temp": 21.5}, {"cpu": 51.2, "temp": 22.0}, {"cpu": 50.5, "temp": 21.0})
    page = view(new_page, slosh, "m?from=1&to=9999999999")
    expect(page.locator("#rows td:not(.tool)")).to_have_text(
        ["cpu", "50.50", "50.50", "50.87", "51.20", "temp", "21.0", "21.0", "21.5", "22.0"]
    )
    expect(page.locator(".key b")).to_have_text(["50.50", "21.0"])
    only = view(new_page, slosh, "m?from=1&to=9999999999&only=cpu")
    expect(only.locator(".key b")).to_have_text(["50.50"])
    expect(only.locator("#rows td:not(.tool)")).to_have_text(
        ["cpu", "50.50", "50.50", "50.87", "51.20", "temp", "21.0", "21.0", "21.5", "22.0"]
    )


def test_nothing_is_offered_to_be_posted_to_what_has_ended(serve: Callable[..., Slosh], new_page: Open) -> None:
    slosh = serve(unwatched="keep", linger="1h")
    slosh.post("build", {"step": 1.5})
    page = view(new_page, slosh, "build")
    expect(page.locator("#post")).to_be_visible()
    slosh.post("build?end", {"step": 2.5})
    expect(page.locator("#state")).to_have_attribute("data-state", "ended")
    expect(page.locator("#post")).to_be_hidden()


def test_what_is_chosen_is_in_the_address_and_a_link_shows_the_same(
    serve: Callable[..., Slosh], new_page: Open
) -> None:
    slosh = serve(unwatched="keep", linger="1h")
    page = view(new_page, slosh, "kitchen")
    slosh.post("kitchen", {"temp": 21, "rain": 0.4}, {"temp": 22, "rain": 0.5})
    page.get_by_role("button", name="temp").click()
    page.locator("#span").select_option("300")
    page.locator("#menu summary").click()
    page.get_by_label("Logarithmic").check()
    page.get_by_label("Axis from zero").check()
    assert address(page) == f"{slosh.url}/view/kitchen?hide=temp&span=300&log&zero"
    page.goto(f"{slosh.url}/view/kitchen?hide=temp&span=300&log&zero")
    expect(page.locator(".key[aria-pressed=false]")).to_contain_text("temp")
    expect(page.locator("#span")).to_have_value("300")
    assert page.evaluate("[sloshView.shown.isLog, sloshView.shown.isZero]") == [True, True]


def test_one_line_can_be_drawn_alone_and_all_again(serve: Callable[..., Slosh], new_page: Open) -> None:
    slosh = serve(unwatched="keep", linger="1h")
    page = view(new_page, slosh, "many")
    slosh.post("many", {f"n{number}": 10 + number for number in range(12)})
    expect(page.locator(".key")).to_have_count(12)
    page.locator("#filter").fill("N7")
    expect(page.locator("#rows tr:visible")).to_have_count(1)
    press(page.locator("#rows tr:visible"), "only")
    expect(page.locator(".key span")).to_have_text(["n7"])
    assert address(page).endswith("?only=n7")
    page.get_by_role("button", name="only", exact=True).click()
    expect(page.locator(".key")).to_have_count(12)
    with trying("what was chosen by hand"):
        page.locator("#filter").fill("")
        for name in ("n1", "n2", "n3"):
            page.get_by_role("checkbox", name=name, exact=True).uncheck()
        expect(page.locator(".key")).to_have_count(9)
        chosen = address(page)
        for name in ("n5", "n3", "n3"):
            line = page.locator("#rows tr", has=page.get_by_role("checkbox", name=name, exact=True))
            press(line, "only")
        expect(page.locator(".key")).to_have_count(9)
        assert address(page) == chosen
    with trying("a link to one"):
        page.goto(f"{slosh.url}/view/many?only=n7")
        expect(page.locator(".key span")).to_have_text(["n7"])


def test_a_pattern_of_many_draws_them_together(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "house/*/temp")
    for number in range(40):
        slosh.post_when_watched(f"house/{number}/temp", number + 0.5)
    expect(page.locator("#rows tr")).to_have_count(40)
    expect(page.locator(".chart")).to_have_count(1)
    assert until(lambda: page.evaluate("sloshView.plots()[0].data.length"), lambda count: count == 41)
    with trying("all of them again after one alone"):
        line = page.locator("#rows tr", has=page.get_by_role("checkbox", name="house/7/temp", exact=True))
        press(line, "only")
        expect(page.locator(".key")).to_have_count(1)
        press(line, "only")
        assert until(lambda: page.evaluate("sloshView.plots()[0].data.length"), lambda count: count == 41)


def test_a_run_is_drawn_over_its_steps_and_goes_on_where_it_was_resumed(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "run?x=step")
    steps = [0, 10, 20, 30, 20, 30, 40]
    slosh.post("run", *({"step": step, "loss": 10 - i} for i, step in enumerate(steps)), {"loss": 1})
    expect(page.locator("#rest")).to_contain_text("1 message had no number where the axis is.")
    assert column(page) == [10, 9, 6, 5, 4], "what came after the step that it went back to is gone"
    assert page.evaluate("[...sloshView.plots()[0].data[0]]") == [0, 10, 20, 30, 40]


def test_what_is_shown_is_saved_as_a_table_and_as_a_picture(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "house/kitchen")
    slosh.post("house/kitchen", {"temp": 21.25, "x": 1}, {"temp": 22.5, "x": 2})
    expect(page.locator("#received")).to_have_text("2")
    expect(page.locator(".chart").first).to_be_visible()
    page.locator("#menu summary").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV").click()
    assert download.value.suggested_filename == "house-kitchen.csv"
    lines = download.value.path().read_text(encoding="utf-8").splitlines()
    assert lines[0] == "time,temp,x"
    assert [line.partition(",")[2] for line in lines[1:]] == ["21.25,1", "22.5,2"]
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as picture").click()
    assert download.value.suggested_filename == "house-kitchen.png"
    assert download.value.path().read_bytes().startswith(b"\x89PNG")


def test_the_past_that_the_server_kept_comes_before_what_the_ring_holds(
    serve: Callable[..., Slosh], new_page: Open
) -> None:
    """The history knows of a spike that the ring has forgotten, for each host, and of no states, as the page says."""
    slosh = serve(queue=4)
    first = view(new_page, slosh, "load")
    spike = {"host": "a", "load": 60, "on": True}
    slosh.post("load", {"host": "a", "load": 1}, spike, {"host": "b", "load": 2})
    expect(first.locator("#received")).to_have_text("3")
    expect(first.locator(".key")).to_have_count(2)
    until(lambda: first.evaluate("sloshView.feed.now - sloshView.lines.last"), lambda age: age > 2)
    slosh.post("load", *({"host": host, "load": 3, "on": False} for host in "abab"))
    late = view(new_page, slosh, "load")
    expect(late.locator("#received")).to_have_text("4")
    expect(row(late, "a: load")).to_have_text(["a: load", "3", "1", "60"])
    expect(row(late, "b: load")).to_have_text(["b: load", "3", "2", "3"])
    expect(late.locator("#rest")).to_have_text(
        re.compile(r"^Bands begin at \d\d:\d\d:\d\d: of the time before, the server kept numbers alone\.$")
    )
    until(lambda: first.evaluate("sloshView.lines.all.size"), lambda size: size == 2)
    expect(first.locator("#bands b").first).to_have_text("false")
    expect(first.locator("#rest")).to_be_hidden()


def test_no_bands_are_missing_where_all_messages_are_in_the_ring(serve: Callable[..., Slosh], new_page: Open) -> None:
    """The middle of a step, which is the time of its point, may lie before the first message of all."""
    slosh = serve(unwatched="keep", linger="1h", history="1h")
    page = view(new_page, slosh, "w/*?span=all")
    page.locator("#pause").click()
    slosh.post("other", 1)
    with urlopen(f"{slosh.url}/topics/other?history=1h,all") as answer:
        step = json.load(answer)["step"] / 1000
    until(time.time, lambda now: now % step > 0.6 * step)
    # The page has its history, and its messages not yet.
    with page.expect_response(lambda answer: "w/a?history=" in answer.url):
        slosh.post("w/a", {"n": 1, "on": True})
    slosh.post("w/a", {"n": 2, "on": False})
    expect(page.locator("#notice")).to_contain_text("2 messages")
    page.locator("#pause").click()
    expect(page.locator("#bands b")).to_have_text("false")
    expect(row(page, "w/a: n")).to_have_text(["w/a: n", "2", "1", "2"])
    expect(page.locator("#rest")).to_be_hidden()


def test_what_is_too_large_to_be_drawn_is_not_drawn_of_the_past_either(
    serve: Callable[..., Slosh], new_page: Open
) -> None:
    slosh = serve(unwatched="keep", linger="1h", history="1h", queue=1)
    slosh.post("t", {"x": 1e300, "y": -1e300, "n": 1}, {"n": 2})
    page = view(new_page, slosh, "t?span=all")
    for path in "xy":
        expect(row(page, path)).to_have_text([path, *["\u2013"] * 3])
    expect(page.locator("#rest")).to_contain_text("Numbers beyond 10³⁰ are not drawn.")


def test_so_many_series_as_a_server_may_keep_have_a_past_too(serve: Callable[..., Slosh], new_page: Open) -> None:
    slosh = serve(queue=1, history="10m", max_series=120, unwatched="keep", linger="1h")
    slosh.post("t", {f"n{number}": number for number in range(120)})
    page = new_page(f"{slosh.url}/favicon.svg")
    with page.expect_response(lambda answer: "history=" in answer.url) as answer:
        page.goto(f"{slosh.url}/view/t")
    assert answer.value.status == 200
    assert len(answer.value.json()["series"]) == 120


def test_a_span_that_the_server_does_not_keep_shows_what_it_does(serve: Callable[..., Slosh], new_page: Open) -> None:
    slosh = serve(queue=1)
    view(new_page, slosh, "t")
    slosh.post("t", 7)
    page = view(new_page, slosh, "t?span=24h")
    slosh.post("t", 5)
    expect(row(page, "value")).to_have_text(["value", "5", "5", "7"])


def test_no_question_of_a_page_is_refused_however_little_the_server_keeps(
    chart_page: "Callable[..., tuple[Slosh, Page]]",
) -> None:
    """A refusal would be in the browser's console, and in the server's log, where it looks like a client at fault."""
    slosh, page = chart_page('<slosh-chart topic="t" span="250ms"></slosh-chart>', history="1m")
    refused: list[str] = []
    page.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)
    for path in ("view/t?span=all", "view/t?span=24h", "view/t", ""):
        with page.expect_response(lambda answer: "history=" in answer.url):
            page.goto(f"{slosh.url}/{path}")
            slosh.post_when_watched("t", 5)
    assert not refused


def test_the_keyboard_does_what_the_pointer_does(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "kitchen")
    slosh.post("kitchen", *({"temp": 20 + n} for n in range(5)))
    expect(row(page, "temp").nth(1)).to_have_text("24")
    page.keyboard.press("+")
    expect(page.locator("#span")).to_have_value("300")
    page.keyboard.press("z")
    assert page.evaluate("sloshView.shown.isZero") is True
    page.keyboard.press("Shift+ArrowLeft")
    expect(page.locator("#zoomed")).to_be_visible()
    assert re.search(r"from=\d+\.\d{3}&to=\d+\.\d{3}", address(page))
    page.keyboard.press("0")
    expect(page.locator("#zoomed")).to_be_hidden()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".at").first).to_have_text(re.compile(r"\d\d:\d\d:\d\d"))
    page.keyboard.press("Escape")
    expect(page.locator(".at").first).to_be_hidden()
    for place in ("summary", "#by"):
        with trying(place):
            menu = page.locator("#menu")
            if menu.get_attribute("open") is None:
                menu.locator("summary").click()
            menu.locator(place).focus()
            page.keyboard.press("Escape")
            expect(menu.locator(".sheet")).to_be_hidden()
            expect(menu.locator("summary")).to_be_focused()


def test_a_key_does_one_thing(slosh: Slosh, new_page: Open) -> None:
    """The space bar ticks a box that has the focus and does not pause; a key that does something is not typed."""
    page = view(new_page, slosh, "t")
    page.set_viewport_size({"width": 800, "height": 400})
    slosh.post("t", {f"n{number}": 10 + number for number in range(10)})
    box = page.get_by_role("checkbox", name="n4")
    box.focus()
    page.keyboard.press("Space")
    expect(box).not_to_be_checked()
    expect(page.locator("#pause")).to_have_attribute("aria-pressed", "false")
    box.blur()
    page.keyboard.press("f")
    filtered = page.locator("#filter")
    expect(filtered).to_be_focused()
    expect(filtered).to_have_value("")
    page.keyboard.type("fpzl 0+")
    expect(filtered).to_have_value("fpzl 0+")
    filtered.blur()
    page.evaluate("scrollTo(0, 0)")
    page.keyboard.press("Space")
    expect(page.locator("#pause")).to_have_attribute("aria-pressed", "true")
    assert page.evaluate("scrollY") == 0


def test_the_labels_of_a_logarithmic_axis_have_room(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "t?log")
    page.evaluate("""() => {
      const written = (globalThis.written = []);
      const write = CanvasRenderingContext2D.prototype.fillText;
      CanvasRenderingContext2D.prototype.fillText = function (text, x, ...rest) {
        if (this.textAlign === "right") written.push([text, x - this.measureText(text).width]);
        return write.call(this, text, x, ...rest);
      };
    }""")
    slosh.post("t", 1, 900_000)
    until(lambda: dict(page.evaluate("written.splice(0)")), lambda seen: seen.get("100,000", -1) >= 0)


def test_the_pointer_shows_the_time_and_each_value_on_all_charts(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "kitchen")
    slosh.post("kitchen", {"temp": 20, "bytes": 5000}, {"temp": 20, "bytes": 5000})
    expect(page.locator("#received")).to_have_text("2")
    expect(page.locator(".chart")).to_have_count(2)
    page.keyboard.press("p")  # else what is pointed at moves on
    expect(page.locator("#notice")).to_be_visible()
    box = still(page.locator(".u-over").first)
    last, left, right = page.evaluate("[sloshView.lines.last, sloshView.shown.from, sloshView.shown.to]")
    page.mouse.move(box["x"] + box["width"] * (last - left) / (right - left) - 2, box["y"] + 30)
    for chart in range(2):
        expect(page.locator(".at").nth(chart)).to_have_text(re.compile(r"\d\d:\d\d:\d\d\.\d{3}"))
    expect(page.locator(".key b")).to_have_text(["20", "4.8828\u202fKiB"])


def test_silence_and_a_restart_stand_where_they_were(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "kitchen")
    slosh.post("kitchen", 1, 2)
    expect(page.locator("#received")).to_have_text("2")
    page.evaluate("() => { const now = performance.now.bind(performance); performance.now = () => now() + 66_000; }")
    mark = until(lambda: page.evaluate("sloshView.shown.marks.at(-1)"), bool)
    assert mark["kind"] == "silent"
    assert mark["until"] - mark["time"] > 60
    assert mark["time"] == page.evaluate("sloshView.lines.last")


def test_in_a_frame_only_the_charts_are_seen(serve: Callable[..., Slosh], new_page: Open, tmp_path: Path) -> None:
    """A page of another origin may show it where the setting says so."""
    board = serve(root=tmp_path)
    shown = serve(frame_origins=board.url)
    frame = f'<!doctype html><iframe src="{shown.url}/view/kitchen?embed" width="600" height="400"></iframe>'
    (tmp_path / "index.html").write_text(frame, encoding="utf-8")
    inside = new_page(f"{board.url}/").frame_locator("iframe")
    expect(inside.locator("#state")).to_have_attribute("data-state", "live")
    shown.post("kitchen", {"temp": 21})
    expect(inside.locator(".key b")).to_have_text("21")
    for hidden in (".bar", "#post", ".facts", "#details", "#messages"):
        expect(inside.locator(hidden)).to_be_attached()  # else it would count as hidden, whatever it is called by now
        expect(inside.locator(hidden)).to_be_hidden()


REFUSALS = [
    (401, "unauthorized", "The server refused: Not for you. It wants a token"),
    (403, "forbidden", "The server refused: Not for you. This reader has no right to it"),
    (404, "not_found", "The server refused: Not for you. There is no slosh server"),
    (503, "unavailable", "The server asks to wait: Not for you."),
]


def test_a_refusal_says_the_way_out(slosh: Slosh, new_page: Open) -> None:
    page = new_page(f"{slosh.url}/favicon.svg")
    answers: list[tuple[int, str]] = []
    page.route("**/topics/**", lambda route: route.fulfill(status=answers[-1][0], body=answers[-1][1]))
    for status, code, words in REFUSALS:
        with trying(status):
            answers.append((status, json.dumps({"status": status, "code": code, "detail": "Not for you."})))
            page.goto(f"{slosh.url}/view/kitchen")
            expect(page.locator("#why")).to_contain_text(words)
            expect(page.locator("#retry")).to_be_visible(visible=status == 503)


def test_longitude_and_latitude_are_a_path_that_breaks_where_something_is_missing(slosh: Slosh, new_page: Open) -> None:
    page = view(new_page, slosh, "bus")
    stops = [(52.50, 13.40), (52.51, 13.42), None, (52.52, 13.42), (52.53, 13.40)]
    slosh.post("bus", *({"gps": {"lat": s and s[0], "lng": s and s[1]}, "speed_kmh": 30} for s in stops))
    expect(page.locator("#paths .key")).to_have_text("gps52.5300°, 13.4000°")
    expect(page.locator("#paths canvas")).to_have_attribute("aria-label", re.compile("gps is at 52.5300°, 13.4000°"))
    expect(page.locator("#charts .key span")).to_have_text(["speed_kmh"])
    expect(page.locator("#rest")).not_to_contain_text("lat")
    script = """async () => {
      const { placesOf } = await import("/-/states.js");
      const [track] = sloshView.lines.tracks.whole;
      return placesOf(track, 0, Infinity).map((place) => place && [place.latitude, place.longitude]);
    }"""
    assert page.evaluate(script) == [list(stop) if stop else None for stop in stops]
    inked = """() => {
      const canvas = document.querySelector("#paths canvas");
      const colour = getComputedStyle(document.documentElement).getPropertyValue("--s1");
      const wanted = colour.match(/\\w\\w/g).map((c) => parseInt(c, 16));
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      let count = 0;
      for (let i = 0; i < data.length; i += 4) if (wanted.every((c, k) => Math.abs(c - data[i + k]) < 40)) count++;
      return count;
    }"""
    until(lambda: page.evaluate(inked), lambda count: count > 50)
    page.locator("#paths .key").click()
    until(lambda: page.evaluate(inked), lambda count: count == 0)
    assert address(page).endswith("?hide=gps")


DRAWN = """() => {
  const canvas = document.querySelector("#paths canvas");
  const colour = getComputedStyle(document.documentElement).getPropertyValue("--s1");
  const wanted = colour.match(/\\w\\w/g).map((c) => parseInt(c, 16));
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  const isInk = (x, y) => {
    const [at, alpha] = [4 * (y * width + x), 3];
    return data[at + alpha] > 40 && wanted.every((c, k) => Math.abs(c - data[at + k]) < 40);
  };
  const [columns, rows] = [new Set(), new Set()];
  for (let x = 0; x < width; x++) for (let y = 0; y < height; y++) if (isInk(x, y)) columns.add(x);
  for (let y = 0; y < height; y++) if (isInk(width >> 1, y)) rows.add(y);
  return [columns.size / width, Math.max(...rows) - Math.min(...rows)];
}"""
"""How much of the plan's width has some of the path in it, and how far apart the path is from itself in its middle."""

LABELS = """async () => {
  const texts = new Set();
  const { fillText } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
    if (this.canvas.closest("#paths") && this.textAlign === "center") texts.add(text);
    fillText.call(this, text, ...place);
  };
  while (!texts.size) await new Promise(requestAnimationFrame);
  CanvasRenderingContext2D.prototype.fillText = fillText;
  return [...texts];
}"""


def test_a_path_goes_the_shorter_way_round_the_world(serve: Callable[..., Slosh], new_page: Open) -> None:
    """Also across 180°, and across 0° where longitudes go up to 360°; what is all around it stands as on any map."""
    slosh = serve(unwatched="keep", linger="1h")
    page = new_page("about:blank")
    for name, longitudes, labels, rest in (
        ("east", [179.9 + n / 100 - 360 * (n > 10) for n in range(40)], ["179", "-179"], {}),
        ("west", [-179.9 - n / 100 + 360 * (n > 10) for n in range(40)], ["179", "-179"], {}),
        ("greenwich", [(359.9 + n / 100) % 360 for n in range(40)], ["-0.", "0."], {}),
        ("pacific", [140, -120], ["160", "-160"], {}),
        ("world", [-165 + 30 * n for n in range(12)], ["-150", "0", "150"], {170: 0, -170: 40}),
    ):
        places = [{"lat": -60 if rest else 52 + n / 100, "lon": longitude} for n, longitude in enumerate(longitudes)]
        slosh.post(name, *places, *({"lat": latitude, "lon": longitude} for longitude, latitude in rest.items()))
        with trying(name):
            page.goto(f"{slosh.url}/view/{name}")
            expect(page.locator("#paths .key")).to_be_visible()
            found = page.evaluate(LABELS)
            assert all(any(text.startswith(label) for text in found) for label in labels), found
            assert all(abs(float(text.rstrip("°"))) <= 180 for text in found)
            share, apart = page.evaluate(DRAWN)
            assert share > 0.15
            assert name != "world" or apart < 10


#: Milliseconds for each of the next ten drawings, or a few less for the first of them; and how wide what is drawn is.
PACE = """async () => {
  const [before, began] = [sloshView.drawings(), performance.now()];
  while (sloshView.drawings() < before + 11) await new Promise((done) => setTimeout(done, 5));
  const count = sloshView.drawings() - before - 1;
  const widths = [...document.querySelectorAll("canvas")].map((canvas) => canvas.clientWidth);
  return [(performance.now() - began) / count, Math.max(...widths)];
}"""

LEAP = """() => new Promise((done) => {
  let seen = Infinity;
  const look = () => {
    if (sloshView.drawings() <= seen) return void ((seen = sloshView.drawings()), requestAnimationFrame(look));
    const now = performance.now.bind(performance);
    performance.now = () => now() + 230_000;
    done();
  };
  look();
})"""
#: Let 230 s pass at once, as where a machine sleeps, and that between a drawing and the look at what it cost.


def test_charts_beside_each_other_are_drawn_as_often_as_one_of_them_goes_on(slosh: Slosh, new_page: Open) -> None:
    """Once for half a pixel, and not for half a pixel of all of them together."""
    page = view(new_page, slosh, "m?span=10m")
    sizes = {f"n{size}": 10 * 100**size for size in range(4)}
    slosh.post("m", sizes, sizes)
    expect(page.locator(".chart")).to_have_count(4)
    page.evaluate(LEAP)
    until(lambda: page.evaluate("sloshView.shown.to - sloshView.shown.from"), lambda seconds: seconds > 230)
    pace, width = page.evaluate(PACE)
    assert 500 < width < 600
    half = 230 * 500 / width
    assert pace > half - 25, "no more often than that, but for what frames and the gaps of the page take"

    def wait(is_right: Callable[[float], bool]) -> None:
        until(lambda: page.evaluate(PACE)[0], is_right)

    with trying("the last one of an odd number is as wide as two"):
        slosh.post("m", sizes | {"n4": 1e9})
        expect(page.locator(".chart")).to_have_count(5)
        wait(lambda pace: pace < 0.75 * half)
        page.get_by_role("checkbox", name="n4").uncheck()
        expect(page.locator(".chart")).to_have_count(4)
        wait(lambda pace: pace > half - 25)
    with trying("and so is a band"):
        slosh.post("m", sizes | {"on": True})
        expect(page.locator(".band")).to_be_visible()
        wait(lambda pace: pace < 0.75 * half)


def test_what_is_pinned_stays_on_top_and_drawn(serve: Callable[..., Slosh], new_page: Open) -> None:
    slosh = serve(unwatched="keep", linger="1h")
    page = view(new_page, slosh, "many")
    slosh.post("many", {f"n{number}": 10 + number for number in range(15)})
    expect(page.locator("#rows tr")).to_have_count(15)
    names = page.locator("#rows .name:visible")
    last = page.locator("#rows tr").filter(has=page.get_by_role("cell", name="n14", exact=True))
    press(last, "pin")
    expect(names.first).to_have_text("n14")
    expect(page.locator(".key span").first).to_have_text("n14")
    page.locator("#filter").fill("n3")
    expect(names).to_have_text(["n14", "n3"])
    press(page.locator("#rows tr:visible").nth(1), "only")
    expect(page.locator(".key span")).to_have_text(["n14", "n3"])
    with trying("a link to it"):
        page.goto(address(page))
        expect(page.locator(".key span")).to_have_text(["n14", "n3"])
        page.get_by_role("button", name="pinned").click()
        expect(page.locator("#rows .name").first).to_have_text("n0")


def test_what_is_ticked_in_the_table_is_in_the_address(serve: Callable[..., Slosh], new_page: Open) -> None:
    slosh = serve(unwatched="keep", linger="1h")
    page = view(new_page, slosh, "kitchen")
    slosh.post("kitchen", {"temp": 21, "rain": 0.4, "step": 7})
    page.get_by_role("checkbox", name="rain").uncheck()
    page.get_by_role("checkbox", name="step").check()
    assert address(page).endswith("?only=temp&only=step")
    page.goto(f"{slosh.url}/view/kitchen?only=temp&only=step")
    expect(page.locator(".key span")).to_have_text(["temp", "step"])
    for name in ("temp", "step"):
        page.get_by_role("checkbox", name=name).uncheck()
    assert address(page).endswith("?only")
    page.goto(f"{slosh.url}/view/kitchen?only")
    expect(page.locator("#rows tr")).to_have_count(3)
    expect(page.locator(".chart")).to_have_count(0)


def test_all_that_is_kept_can_be_shown(serve: Callable[..., Slosh], new_page: Open) -> None:
    """The history reaches further back than the ring; how far, the server says."""
    slosh = serve(queue=2, history="10m")
    first = view(new_page, slosh, "t")
    slosh.post("t", 7)
    expect(first.locator("#received")).to_have_text("1")
    until(lambda: first.evaluate("sloshView.feed.now - sloshView.lines.last"), lambda age: age > 2)
    slosh.post("t", 5, 6)
    page = view(new_page, slosh, "t?span=all")
    expect(page.locator("#span option:checked")).to_have_text("All that is kept")
    expect(row(page, "value")).to_have_text(["value", "6", "5", "7"])
    expect(page.locator("#rest")).to_be_hidden()
