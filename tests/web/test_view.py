"""The viewer's routes: one page for every topic, and the files that it is made of."""

import re
from pathlib import Path
from urllib.parse import quote, urljoin

import pytest

import slosh.web
from slosh.errors import SettingError
from slosh.web.pages.assets import load
from tests.cases import each_of
from tests.web.conftest import MakeSite
from tests.web.harness import Site

FOLDER = Path(slosh.web.__file__).with_name("view")
STATIC = FOLDER.with_name("static")
FILES = {
    "/-/chart.js": "text/javascript; charset=utf-8",
    "/-/lines.js": "text/javascript; charset=utf-8",
    "/-/page.js": "text/javascript; charset=utf-8",
    "/-/plot.js": "text/javascript; charset=utf-8",
    "/-/signin.js": "text/javascript; charset=utf-8",
    "/-/topics.css": "text/css; charset=utf-8",
    "/-/topics.js": "text/javascript; charset=utf-8",
    "/-/numbers.js": "text/javascript; charset=utf-8",
    "/-/slosh.svg": "image/svg+xml",
    "/-/view.css": "text/css; charset=utf-8",
    "/-/view.js": "text/javascript; charset=utf-8",
    "/-/uplot/uPlot.min.js": "text/javascript; charset=utf-8",
    "/-/uplot/uPlot.min.css": "text/css; charset=utf-8",
    "/-/uplot/LICENSE": "application/octet-stream",
}


@each_of(
    "name",
    [
        "kitchen",
        "house/kitchen/temp",
        "cpu.load",
        "a,b,c",
        "house/*/temp",
        "house/**",
        "*",
        "k%C3%BCche",
        "a%20b",
        "topics/a",
    ],
)
def test_the_page_is_the_same_for_each_topic_but_for_the_way_up(site: Site, name: str) -> None:
    """Its links are relative, so a proxy may serve it below any prefix."""
    answer = site.get(f"/view/{name}")
    up = "../" * (1 + name.count("/"))
    assert (answer.status, answer.body) == (
        200,
        re.sub(r"(?m)^\s+", "", (FOLDER / "view.html").read_text(encoding="utf-8"))
        .replace('="../', f'="{up}')
        .encode(),
    )
    assert answer["Content-Type"] == "text/html; charset=utf-8"
    page = answer.body.decode()
    named = {part.partition('"')[0] for mark in ('href="', 'src="') for part in page.split(mark)[1:]} - {"#main"}
    assert {urljoin(f"http://x/a/prefix/view/{name}", path) for path in named} >= {
        "http://x/a/prefix/",
        "http://x/a/prefix/-/view.js",
        "http://x/a/prefix/-/view.css",
    }


def test_no_script_or_page_names_an_address_from_the_root() -> None:
    """What begins with a slash leads out of a proxy's prefix."""
    example = Path(__file__).parents[2] / "example"
    for path in (*FOLDER.glob("*.*"), *example.glob("*.html"), *example.glob("js/*.js")):
        code = re.sub(r"/\*.*?\*/|<code>.*?</code>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not re.findall(r"""(?:from |href=|src=|import\(|assign\()["'`]/.*""", code), path


def test_without_a_name_it_is_the_list_of_topics(site: Site) -> None:
    answer = site.get("/view/")
    assert (answer.status, answer.body) == (200, re.sub(rb"(?m)^\s+", b"", (FOLDER / "topics.html").read_bytes()))


@pytest.mark.parametrize(
    ("setting", "ancestors"),
    [
        ("", "'self'"),
        ("https://board.example", "'self' https://board.example"),
        ("HTTPS://Board.example:443, http://b.example:8080", "'self' https://board.example http://b.example:8080"),
        ("*", "'self' *"),
    ],
)
def test_the_setting_says_which_pages_may_show_it_in_a_frame(make_site: MakeSite, setting: str, ancestors: str) -> None:
    site = make_site(frame_origins=setting)
    for path in ("/view/kitchen", "/view/"):
        assert site.get(path)["Content-Security-Policy"].endswith(f"; frame-ancestors {ancestors}")


def test_what_no_page_has_for_an_origin_may_not_show_it(make_site: MakeSite) -> None:
    with pytest.raises(SettingError, match=r"frame_origins: board\.example is no origin"):
        make_site(frame_origins="board.example")


def test_a_query_is_the_scripts_business(site: Site) -> None:
    assert site.get("/view/kitchen?anything=1").status == 200


def test_the_page_runs_nothing_but_this_servers_files(site: Site) -> None:
    answer = site.get("/view/kitchen")
    policy = dict(part.strip().split(" ", 1) for part in answer["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert answer["X-Content-Type-Options"] == "nosniff"
    page = answer.body.decode()
    assert " style=" not in page
    assert "<style" not in page
    again = site.get("/view/kitchen", If_None_Match=answer["ETag"])
    assert (again.status, again["Content-Security-Policy"]) == (304, answer["Content-Security-Policy"])


def test_head_tells_the_length_and_the_same_fields(site: Site) -> None:
    page, head = site.get("/view/kitchen"), site.ask("HEAD", "/view/kitchen")
    assert (head.status, head.body, head.fields) == (200, b"", page.fields)
    assert head["Content-Length"] == str(len(page.body))


@each_of(
    "name",
    [
        "a//b",
        "/topics/x",
        "a/",
        "../a",
        "a/./b",
        "$sys",
        "a%00b",
        "a,,b",
        "a*",
        "**/a",
        "%2C",
        "a" * 256,
        ",".join("a" * 65),
    ],
)
def test_what_is_no_topic_has_no_page(site: Site, name: str) -> None:
    answer = site.get(f"/view/{name}")
    assert (answer.status, answer.code) == (400, "bad_topic")
    assert "Content-Security-Policy" not in answer


def test_a_name_that_is_not_utf8_is_refused(site: Site) -> None:
    assert site.get("/view/%FF").code == "bad_request"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_it_is_only_looked_at(site: Site, method: str) -> None:
    answer = site.ask(method, "/view/kitchen", b"1")
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert "POST" not in answer["Allow"]
    assert site.ask("OPTIONS", "/view/kitchen")["Allow"] == answer["Allow"]


def test_the_page_alone_makes_no_topic_active(site: Site) -> None:
    site.get("/view/kitchen")
    assert site.post("/topics/kitchen", b"1").code == "no_watchers"
    assert not len(site.hub)


def test_without_its_slash_it_leads_to_the_list_of_topics(site: Site) -> None:
    """Also behind a proxy that cuts a prefix off, and to no other host."""
    for target, location in (
        ("/view", "view/"),
        ("/view?q=a", "view/?q=a"),
        ("/view?//evil.example", "view/?//evil.example"),
    ):
        answer = site.get(target)
        assert (answer.status, answer["Location"]) == (301, location), target
        assert urljoin("http://h/live/view", location).startswith("http://h/live/view/")
    assert site.ask("POST", "/view", b"1").status == 405


def test_it_wins_over_the_document_root_but_only_below_its_slash(make_site: MakeSite, tmp_path: Path) -> None:
    (tmp_path / "view").mkdir()
    (tmp_path / "view" / "kitchen").write_text("file")
    (tmp_path / "viewer").write_text("file")
    site = make_site(tmp_path)
    assert site.get("/view/kitchen").body.startswith(b"<!doctype html>")
    assert site.get("/viewer").body == b"file"


@each_of("path", FILES)
def test_the_pages_files_come_with_the_package(site: Site, path: str) -> None:
    answer = site.get(path)
    assert (answer.status, answer["Content-Type"]) == (200, FILES[path])
    assert answer.body == load(FOLDER / path.removeprefix("/-/")).plain
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert site.ask("HEAD", path)["Content-Length"] == str(len(answer.body))
    assert site.post(path, b"1").code == "method_not_allowed"


@pytest.mark.parametrize(
    ("name", "some"),
    [
        ("view.html", {"../-/view.js", "../-/view.css"}),
        ("topics.html", {"../-/topics.js", "../-/view.css", "../-/topics.css"}),
    ],
)
def test_every_file_that_a_page_names_is_served(site: Site, name: str, some: set[str]) -> None:
    page = (FOLDER / name).read_text(encoding="utf-8")
    named = {part.partition('"')[0] for mark in ('href="', 'src="') for part in page.split(mark)[1:]}
    assert some <= named
    for path in named - {"../", "#main"}:
        assert site.get(path.removeprefix("..")).status == 200, path


@pytest.mark.parametrize("path", ["view.html", "uplot/", "uplot", "uplot/../slosh.js", quote("uplot/LICENSE", safe="")])
def test_nothing_else_of_the_folder_is_served(site: Site, path: str) -> None:
    assert site.get(f"/-/{path}").code == "not_found"
