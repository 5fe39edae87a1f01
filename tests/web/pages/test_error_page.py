"""An error as a page, for a person whose browser went to a wrong address."""

import re
from html import escape
from urllib.parse import urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.web.pages.error_page import likely_addresses
from tests.cases import each_of
from tests.properties import PROPERTY
from tests.web.conftest import MakeSite
from tests.web.harness import Site

CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


def test_a_browser_gets_a_page_with_the_facts_of_the_problem(site: Site) -> None:
    answer = site.get("/topics/a?since=yesterday", Accept=CHROMIUM)
    assert answer.status == 400
    assert answer["Content-Type"] == "text/html; charset=utf-8"
    assert answer["Vary"] == "Accept"
    assert answer["Cache-Control"] == "no-store"
    page = answer.body.decode()
    problem = site.get("/topics/a?since=yesterday").json
    for fact in ("400 Bad Request", problem["detail"], problem["code"], problem["parameter"]):
        assert escape(fact) in page


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/json",
        "application/json, text/html",
        "text/html;q=0.5, */*",
        "text/html;q=0",
        "text/plain",
    ],
)
def test_everybody_else_gets_the_problem_document(site: Site, accept: str) -> None:
    answer = site.get("/nothing", **({"Accept": accept} if accept else {}))
    assert answer.code == "not_found"
    assert answer["Vary"] == "Accept"


def test_who_posts_gets_the_problem_document(site: Site) -> None:
    answer = site.post("/topics/nobody", b"1", Accept=CHROMIUM)
    assert answer.code == "no_watchers"
    assert "Vary" not in answer


@pytest.mark.parametrize("target", ["/topics/a", "/topics/a,b", "/topics/*"])
def test_a_refusal_that_passes_is_a_page_too(make_site: MakeSite, target: str) -> None:
    site = make_site(max_topics=1, max_watchers=1)
    site.connect().get("/topics/a")
    answer = site.get(target, Accept=CHROMIUM)
    assert (answer.status, answer["Content-Type"]) == (503, "text/html; charset=utf-8")
    assert answer["Retry-After"]


def test_a_head_is_answered_as_the_get_would_be(site: Site) -> None:
    get, head = (site.ask(method, "/nothing", Accept=CHROMIUM) for method in ("GET", "HEAD"))
    assert head.status == 404
    assert head["Content-Length"] == get["Content-Length"] == str(len(get.body))


@each_of(
    ("path", "likely"),
    [
        ("/topcis/kitchen", ["/topics/kitchen", "/view/kitchen"]),
        ("/topic/kitchen", ["/topics/kitchen", "/view/kitchen"]),
        ("/Topics/house/kitchen", ["/topics/house/kitchen", "/view/house/kitchen"]),
        ("/topics/kitchen/", ["/topics/kitchen", "/view/kitchen"]),
        ("/topics//kitchen", ["/topics/kitchen", "/view/kitchen"]),
        ("/views/kitchen", ["/view/kitchen"]),
        ("/view", ["/view/"]),
        ("/views", ["/view/"]),
        ("/kitchen", ["/view/kitchen", "/topics"]),
        ("/healthz", ["/-/healthy"]),
        ("/metrics", ["/-/metrics"]),
        ("/-/metric", ["/-/metrics"]),
        ("/-/anything", ["/topics"]),
        ("/topics/", ["/topics"]),
        ("/", ["/topics"]),
        ("/" + "a" * 600, ["/topics"]),
    ],
)
def test_the_address_that_was_meant_is_offered(path: str, likely: list[str]) -> None:
    assert likely_addresses(path) == likely


@each_of("prefix", ["", "/slosh", "/a/b"])
@each_of("path", ["/nothing", "/topcis/a/b", "/topics/a/", "/-/metric", "/a/b/c/"])
def test_links_hold_under_a_prefix_that_a_proxy_cut_off(site: Site, prefix: str, path: str) -> None:
    page = site.get(path, Accept=CHROMIUM).body.decode()
    found = re.findall(r'<a href="([^"]*)">([^<]*)</a>', page)
    assert found
    for link, target in found:
        assert urljoin(f"http://host{prefix}{path}", link) == f"http://host{prefix}{target}"


def test_nothing_that_comes_from_the_request_is_markup(site: Site) -> None:
    for target in ('/"><script>alert(1)</script>', "/topics/a?since=<b>", "/topics/%3Cb%3E//x", "/topics/'%22%3Cb%3E/"):
        answer = site.connect().get(target.replace("<", "%3C").replace(">", "%3E"), Accept=CHROMIUM).next()
        page = answer.body.decode()
        assert "<script" not in page
        assert "<b>" not in page
        assert "default-src 'none'" in answer["Content-Security-Policy"]


@PROPERTY
@given(st.text(st.sampled_from("/.-%2Ftopicsvew\"'&<"), max_size=30).map("/".__add__))
def test_whatever_the_path_there_are_addresses(path: str) -> None:
    found = likely_addresses(path)
    assert found
    assert all(each.startswith(("/topics", "/view/", "/-/")) for each in found)
    assert not any(part in (".", "..") for each in found for part in each.split("/"))


@pytest.mark.parametrize(
    ("path", "likely"),
    [
        ("/topics/a,,b", "/topics/a,b"),
        ("/topics/,a", "/topics/a"),
        ("/topics/a,", "/topics/a"),
        ("/topics/a,/b", "/topics/a/b"),
    ],
)
def test_a_comma_too_many_is_left_out_of_the_address_that_is_offered(path: str, likely: str) -> None:
    assert likely in likely_addresses(path)


def test_the_address_that_was_refused_is_not_offered_again(site: Site) -> None:
    page = site.get("/topics/a,,b", Accept="text/html").body.decode()
    assert "/topics/a,b<" in page
    assert "/topics/a,,b<" not in page
    assert "a name is missing" in page


@pytest.mark.parametrize(
    "path", ["/kitchen", "/veiw/kitchen", "/view/kitchen", "/topics/a%20b/../c", "/nothing/at/all"]
)
def test_without_a_viewer_no_page_offers_it(make_site: MakeSite, path: str) -> None:
    answer = make_site(view="off").get(path, Accept=CHROMIUM)
    assert answer.status >= 400
    assert b"/view" not in answer.body
    assert not [each for each in likely_addresses(path, has_view=False) if each.startswith("/view")]
