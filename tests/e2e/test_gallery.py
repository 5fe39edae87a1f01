"""The examples, each as its README says, in a browser; and the page that shows them."""

import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from tests.conftest import need
from tests.e2e.conftest import trying, until
from tests.running import SLOSH, Running, clean_environment

need("module:playwright")
from playwright.sync_api import expect  # noqa: E402

from tests.e2e.gallery import EXAMPLES, program, serving, vote, wait_for  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open: TypeAlias = "Callable[[str], Page]"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("server")) as address:
        yield address


def settings(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def test_each_example_has_a_readme_a_row_and_a_card(url: str, new_page: Open) -> None:
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir()} - {"img"}
    assert all((EXAMPLES / folder / "README.md").is_file() for folder in folders)
    rows = set(
        re.findall(r"^\| \[([\w-]+)\]\(\1/README\.md\)", (EXAMPLES / "README.md").read_text("utf-8"), re.MULTILINE)
    )
    assert rows == folders
    page = new_page(f"{url}/")
    cards = page.locator("main a").evaluate_all("links => links.map((link) => link.getAttribute('href'))")
    with_page = {folder for folder in folders if (EXAMPLES / folder / "index.html").is_file()}
    assert {card.rstrip("/") for card in cards} == with_page
    for card in with_page - {"chat"}:  # which needs no program
        command = page.locator(f"main a[href='{card}/'] code").inner_text()
        file = re.match(r"python examples/(\S+)", command)
        readme = (EXAMPLES / card / "README.md").read_text("utf-8")
        assert file[1].startswith(f"{card}/") and (EXAMPLES / file[1]).is_file() if file else "slosh pub" in command
        assert (file[1].partition("/")[2] if file else "slosh pub log/") in readme
    without = folders - with_page
    assert set(page.locator("body > p code").all_inner_texts()) >= without, "and those that have no page"
    widths = page.locator("main img").evaluate_all(
        "async (all) => (await Promise.all(all.map((each) => each.decode())), all.map((each) => each.naturalWidth))"
    )
    assert all(widths), "each has its picture"


def test_no_example_scrolls_sideways_on_a_phone(url: str, new_page: Open) -> None:
    page = new_page(f"{url}/")
    for name in ("", *sorted(f"{path.parent.name}/" for path in EXAMPLES.glob("*/index.html"))):
        with trying(name):
            page.goto(f"{url}/{name}")
            for width in (320, 390):
                page.set_viewport_size({"width": width, "height": 640})
                page.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=width)


def test_all_together_have_the_settings_of_each() -> None:
    each = [settings(path) for path in EXAMPLES.glob("*/slosh.toml")]
    topics = {pattern: values for one in each for pattern, values in one.get("topics", {}).items()}
    together = settings(EXAMPLES / "slosh.toml")["topics"]
    assert topics.items() >= together.items()
    assert together.keys() >= topics.keys() - {"build/**"}, "a build has no page"


def test_machines_are_measured_while_somebody_looks(url: str, new_page: Open) -> None:
    page = new_page(f"{url}/machine/")
    with program(url, "machine/measure.py", "kitchen", "0.1") as kitchen:
        with program(url, "machine/measure.py", "cellar", "0.1"):
            for heading in ("Processor", "Load", "Memory", "Disk", "Received", "Sent"):
                chart = page.locator(f"slosh-chart[heading={heading}]")
                expect(chart.locator(".key")).to_have_count(2)
                expect(chart.locator(".key b").first).to_have_text(re.compile(r"\d"))
        page.close()
        kitchen.hear("nobody looks")
        new_page(f"{url}/machine/")
        kitchen.hear("somebody looks")


def test_a_log_shows_what_was_kept_what_comes_and_what_is_missing(url: str, new_page: Open, tmp_path: Path) -> None:
    def log(text: str) -> None:
        script = f"printf '{text}' | {SLOSH[0]} -m slosh pub log/app --as text"
        with Running(["/bin/sh", "-c", script], tmp_path, clean_environment(SLOSH_URL=url)) as pub:
            assert pub.end() == 0

    log("one\\nWARN two\\n")
    page = new_page(f"{url}/log-tail/#log/app")
    expect(page.locator("li")).to_contain_text(["one", "WARN two"])
    log("<b>three</b>\\nERROR four\\n")
    expect(page.locator("li")).to_contain_text(["one", "WARN two", "<b>three</b>", "ERROR four"])
    assert page.locator("li b").count() == 0, "text, never HTML"
    assert page.locator("li").evaluate_all("rows => rows.map(({ className }) => className)") == ["", "warn", "", "bad"]
    page.get_by_label("Filter").fill("error")
    expect(page.locator("li:visible")).to_have_count(1)


def test_training_runs_are_drawn_over_their_steps(url: str, new_page: Open) -> None:
    page = new_page(f"{url}/training/")
    with (
        program(url, "training/train.py", "a", "0.3", "40", "0.01") as first,
        program(url, "training/train.py", "b", "0.1", "30", "0.01") as second,
    ):
        loss = page.locator("slosh-chart[fields=loss]")
        expect(loss.locator(".key span")).to_have_count(2)
        assert (first.end(), second.end()) == (0, 0)
    ends = """(chart) => [...chart.view.lines.all.values()]
      .filter(({ path }) => path === "loss").map(({ series }) => series.last)"""
    assert sorted(until(lambda: loss.evaluate(ends), lambda found: sorted(found) == [29, 39])) == [29, 39]
    shown = "chart => [chart.view.shown.from, chart.view.shown.to, chart.view.shown.isLog]"
    until(lambda: loss.evaluate(shown), lambda found: found == [0, 39, True])  # with the next frame


def test_a_vote_moves_the_bars_of_all_and_may_be_changed(url: str, new_page: Open) -> None:
    with program(url, "poll/count.py"):
        wait_for(url, "poll/votes")
        ada, ben = new_page(f"{url}/poll/"), new_page(f"{url}/poll/")
        vote(ada, "Tea", 1)
        vote(ben, "Tea", 2)
        expect(ada.locator("#said")).to_have_text("2 votes")
        vote(ben, "Coffee", 1)
        expect(ada.get_by_role("button", name="Tea").locator("b")).to_have_text("1")
        expect(ben.get_by_role("button", name="Coffee")).to_have_attribute("aria-pressed", "true")
        late = new_page(f"{url}/poll/")
        expect(late.locator("#said")).to_have_text("2 votes")
        share = late.get_by_role("button", name="Tea").evaluate("(each) => each.style.getPropertyValue('--share')")
        assert share == "0.5"


def test_earthquakes_come_onto_the_map(url: str, new_page: Open) -> None:
    page = new_page(f"{url}/earthquakes/")
    with program(url, "earthquakes/replay_quakes.py", "1000000"):
        expect(page.locator("#strongest li")).to_have_count(12)
        sizes = [float(text) for text in page.locator("#strongest b").all_inner_texts()]
        assert sizes == sorted(sizes, reverse=True)
        red = """() => {
          const map = document.querySelector("#map");
          const { data } = map.getContext("2d").getImageData(0, 0, map.width, map.height);
          return data.filter((value, i) => i % 4 === 0 && value > data[i + 2] + 60).length;
        }"""
        until(lambda: page.evaluate(red), lambda count: count > 20)
        late = new_page(f"{url}/earthquakes/")
        until(lambda: late.evaluate("quakes().length"), lambda count: count > 12)
    # Once no more come, what is selected of the list stays.
    select = """async () => {
      const list = document.querySelector("#strongest");
      getSelection().selectAllChildren(list);
      const before = String(getSelection());
      await new Promise((done) => setTimeout(done, 300));
      return Boolean(before) && String(getSelection()) === before;
    }"""
    until(lambda: page.evaluate(select), lambda stays: stays)


def test_the_earthquakes_are_those_that_their_program_makes(tmp_path: Path) -> None:
    with Running([SLOSH[0], str(EXAMPLES / "earthquakes" / "make_quakes.py")], tmp_path) as maker:
        assert maker.end() == 0
    assert maker.lines == (EXAMPLES / "earthquakes" / "quakes.csv").read_text(encoding="utf-8").splitlines()


def test_people_chat_and_who_comes_later_reads_it(url: str, new_page: Open) -> None:
    ada, ben = new_page(f"{url}/chat/#garden"), new_page(f"{url}/chat/#garden")
    for page, name, text in ((ada, "Ada", "<b>Hello</b>"), (ben, "Ben", "Hi")):
        page.get_by_label("Your name").fill(name)
        page.get_by_label("Your message").fill(text)
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_label("Your message")).to_have_value("")
    late = new_page(f"{url}/chat/#garden")
    for page in (ada, ben, late):
        expect(page.locator("#log p")).to_have_text(["Ada<b>Hello</b>", "BenHi"])
    lobby = new_page(f"{url}/chat/")
    lobby.get_by_label("Your name").fill("Eve")
    lobby.get_by_label("Your message").fill("Who is here?")
    lobby.get_by_role("button", name="Send").click()
    expect(lobby.locator("#log p")).to_have_text(["EveWho is here?"])
