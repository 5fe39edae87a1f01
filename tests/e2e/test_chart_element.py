"""`<slosh-chart>` on anybody's page, and the list of topics."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from tests.conftest import need
from tests.e2e.conftest import PAGE, Slosh, address, trying, until
from tests.e2e.test_view import newest_drawn, still

need("module:playwright")
from playwright.sync_api import expect  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open: TypeAlias = "Callable[[str], Page]"
ChartPage: TypeAlias = "Callable[..., tuple[Slosh, Page]]"


def test_a_page_with_charts_has_one_connection(chart_page: ChartPage) -> None:
    elements = "".join(f'<slosh-chart topic="{name}" height="90"></slosh-chart>' for name in "abcdefgh")
    slosh, page = chart_page(elements)
    for number, name in enumerate("abcdefgh"):
        slosh.post_when_watched(name, {"temp": number + 0.5})
    for number, name in enumerate("abcdefgh"):
        expect(page.locator(f"slosh-chart[topic={name}] .key b")).to_have_text(str(number + 0.5))
    assert slosh.post("a", {"temp": 2})["watchers"] == 1
    expect(page.locator("slosh-chart[topic=a] .key b")).to_have_text("2.0")


def test_a_page_of_another_origin_shows_a_chart_and_changes_it(
    serve: Callable[..., Slosh], new_page: Open, tmp_path: Path
) -> None:
    mine = serve(root=tmp_path)
    other = serve(origins=mine.url)
    element = '<slosh-chart topic="kitchen" fields="temp" heading="Kitchen"></slosh-chart>'
    (tmp_path / "index.html").write_text(PAGE.format(url=other.url, elements=element), encoding="utf-8")
    page = new_page(f"{mine.url}/")
    other.post_when_watched("kitchen", {"temp": 21, "rain": 3})
    expect(page.locator("figcaption")).to_contain_text("Kitchen")
    expect(page.locator(".key")).to_have_text("temp21")
    page.evaluate("document.querySelector('slosh-chart').setAttribute('topic', 'cellar')")
    other.post_when_watched("cellar", {"temp": 12})
    expect(page.locator(".key")).to_have_text("temp12")
    page.evaluate("document.querySelector('slosh-chart').remove()")
    until(lambda: other.post("cellar", 1)["watchers"], lambda count: count == 0)


def test_a_chart_without_a_topic_or_a_server_says_so(slosh: Slosh, new_page: Open) -> None:
    page = new_page(f"{slosh.url}/favicon.svg")
    elements = '<slosh-chart></slosh-chart><slosh-chart topic="t" server="localhost:8000"></slosh-chart>'
    page.route(
        "**/mine", lambda route: route.fulfill(body=PAGE.format(url="", elements=elements), content_type="text/html")
    )
    page.goto(f"{slosh.url}/mine")
    expect(page.locator(".state").nth(0)).to_have_text("slosh-chart needs a topic")
    expect(page.locator(".state").nth(1)).to_contain_text('write "http://localhost:8000"')


def test_a_chart_of_a_page_is_not_stale_on_paper(chart_page: ChartPage) -> None:
    """One that is out of sight is drawn for a printer alone; one that was taken away is not missed."""
    chart = '<slosh-chart topic="t"></slosh-chart>'
    slosh, page = chart_page(f'{chart}<p style="height: 9999px"></p>{chart}')
    slosh.post_when_watched("t", {"n": 10})
    expect(page.locator(".key")).to_have_count(2)
    page.evaluate("document.querySelector('slosh-chart').remove()")
    before = newest_drawn(page, "document.querySelector('slosh-chart').view")
    slosh.post("t", {"n": 11})
    expect(page.locator(".key b")).to_have_text("11")
    assert newest_drawn(page, "document.querySelector('slosh-chart').view") == before
    page.pdf()
    assert newest_drawn(page, "document.querySelector('slosh-chart').view") > before


def test_a_drag_over_a_chart_of_a_page_selects_nothing(chart_page: ChartPage) -> None:
    """It has no zoom, so there is nothing to select."""
    slosh, page = chart_page('<slosh-chart topic="t"></slosh-chart>')
    slosh.post_when_watched("t", {"temp": 21})
    expect(page.locator(".key b")).to_have_text("21")
    box = still(page.locator(".u-over"))
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 50, steps=4)
    seen = page.locator(".u-select").evaluate("({ clientWidth }) => clientWidth")
    page.mouse.up()
    assert [seen, page.locator(".u-select").evaluate("({ clientWidth }) => clientWidth")] == [0, 0]


def test_a_path_that_no_message_has_is_told_with_what_there_is(
    serve: Callable[..., Slosh], new_page: Open, tmp_path: Path
) -> None:
    asked = ('fields="nope"', 'x="host"', 'fields="temp,nope"', 'fields="temp"')
    elements = "".join(f'<slosh-chart topic="t" {more}></slosh-chart>' for more in asked)
    elements += "<slosh-chart topic='words'></slosh-chart><slosh-chart topic='counts'></slosh-chart>"
    (tmp_path / "index.html").write_text(PAGE.format(url="", elements=elements), encoding="utf-8")
    slosh = serve(root=tmp_path, unwatched="keep", linger="1h")
    slosh.post("t", {"temp": 21, "fan": {"speed": 700}, "host": "a"})
    slosh.post("words", "hello")
    slosh.post("counts", {"step": 7})
    page = new_page(f"{slosh.url}/")
    there = " There is: temp, fan.speed."
    told = page.locator(".waiting")
    expect(told).to_have_text(
        [
            "No message has had a number at nope." + there,
            "No message has had a number at host." + there,
            "No message has had a number at nope.",
            "Nothing has come yet",
            "No message has had a number.",
            "Nothing is drawn by itself; name what is, in fields. There is: step.",
        ]
    )
    for number, is_seen in enumerate([True, True, True, False, True, True]):
        expect(told.nth(number)).to_be_visible(visible=is_seen)
    expect(page.locator(".key")).to_have_text(["temp21", "temp21"])
    slosh.post("t", {"nope": 5})
    expect(told.nth(0)).to_be_hidden()
    expect(told.nth(2)).to_be_hidden()


def test_all_paths_of_the_span_are_told_where_a_chart_names_another_one(
    serve: Callable[..., Slosh], new_page: Open, tmp_path: Path
) -> None:
    elements = "".join(f'<slosh-chart topic="{topic}" fields="nothere"></slosh-chart>' for topic in ("t", "many"))
    (tmp_path / "index.html").write_text(PAGE.format(url="", elements=elements), encoding="utf-8")
    slosh = serve(root=tmp_path, unwatched="keep", linger="1h")
    slosh.post("t", {"a": 1, "b": 2}, {"c": 2}, {"a": 3})
    slosh.post("many", *({f"n{number}": number} for number in range(13)))
    page = new_page(f"{slosh.url}/")
    first = ", ".join(f"n{number}" for number in range(12))
    expect(page.locator(".waiting")).to_have_text(
        [f"No message has had a number at nothere. There is: {paths}" for paths in ("a, b, c.", f"{first}, …")]
    )


def test_the_list_shows_what_is_alive_and_watches_nothing(slosh: Slosh, new_page: Open) -> None:
    page = new_page(f"{slosh.url}/view/")
    expect(page.locator("#empty")).to_be_visible()
    new_page(f"{slosh.url}/view/house/kitchen")
    slosh.post_when_watched("house/kitchen", 1)
    expect(page.locator(".topics li")).to_have_count(1)
    expect(page.locator(".topics li")).to_contain_text("house/kitchen")
    expect(page.locator(".topics li")).to_contain_text("1 watching")
    expect(page.locator("#empty")).to_be_hidden()
    page.locator("#filter").fill("cellar")
    expect(page.locator(".topics li")).to_be_hidden()
    page.locator("#filter").fill("KITCHEN")
    page.locator(".topics a").click()
    expect(page.locator("#topic")).to_have_text("house/kitchen")
    assert address(page) == f"{slosh.url}/view/house/kitchen"


def test_a_key_that_scrolls_shows_that_there_is_more(chart_page: ChartPage) -> None:
    """Twelve names in a narrow column: the chart stays below them, and a shadow lies where more of them are."""
    slosh, page = chart_page('<div style="width: 220px"><slosh-chart topic="t"></slosh-chart></div>')
    slosh.post_when_watched("t", {f"a_name_of_some_length_{n}": 100 + n for n in range(12)})
    keys = page.locator(".keys")
    expect(keys.locator(".key")).to_have_count(12)
    scrolls = "(keys) => [keys.scrollHeight > keys.clientHeight, keys.clientHeight]"
    assert keys.evaluate(scrolls)[0] is True
    assert keys.evaluate(scrolls)[1] < 100

    def shade(edge: str) -> int:
        """How much darker the last row of pixels of the key is than a row without one."""
        keys.evaluate("(keys, edge) => keys.scrollTo(0, edge === 'end' ? 1e6 : 0)", edge)
        shown = keys.evaluate("""(keys) => {
          for (const key of keys.children) key.style.visibility = "hidden";
          return keys.getBoundingClientRect().toJSON();
        }""")
        from_png = """async (text) => {
          const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${text}`)).blob());
          const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
          context.drawImage(image, 0, 0);
          return 255 - context.getImageData(0, 0, 1, 1).data[0];
        }"""
        picture = page.screenshot(clip={"x": shown["x"] + 40, "y": shown["bottom"] - 2, "width": 20, "height": 1})
        found: int = page.evaluate(from_png, base64.b64encode(picture).decode())
        return found

    assert shade("start") > 10
    assert shade("end") == 0


def test_a_chart_of_very_many_says_how_many_it_leaves_out(chart_page: ChartPage) -> None:
    slosh, page = chart_page('<slosh-chart topic="many/*"></slosh-chart><slosh-chart topic="one"></slosh-chart>')
    one, many = page.locator("slosh-chart[topic=one]"), page.locator("slosh-chart[topic='many/*']")
    slosh.post_when_watched("one", {f"n{number}": number + 10 for number in range(13)})
    expect(one.locator(".waiting")).to_have_text("1 more is not drawn; name what is, in fields.")
    for number in range(50):
        slosh.post_when_watched(f"many/{number}", number + 10)
    plot = "() => document.querySelector('slosh-chart').view.plots()[0]?.data.length"
    until(lambda: page.evaluate(plot), lambda count: count == 51)
    expect(many.locator(".waiting")).to_be_hidden()


def test_a_long_number_leaves_room_for_its_name_in_a_narrow_chart(
    serve: Callable[..., Slosh], new_page: Open, tmp_path: Path
) -> None:
    (tmp_path / "index.html").write_text(
        '<meta name="viewport" content="width=device-width">'
        + PAGE.format(url="", elements='<slosh-chart topic="t"></slosh-chart>')
    )
    slosh = serve(root=tmp_path)
    for path in ("/", "/view/t"):
        with trying(path):
            page = new_page(f"{slosh.url}{path}")
            page.set_viewport_size({"width": 320, "height": 640})
            slosh.post_when_watched("t", {"neg": -(10**15)})
            slosh.post("t", {"neg": -(10**15) - 7})
            expect(page.locator(".key b")).to_have_text("-1.000000000000007e15")
            cut = "(each) => each.scrollWidth - each.clientWidth"
            for part in ("span", "b"):
                assert page.locator(f".key {part}").evaluate(cut) <= 0, part
