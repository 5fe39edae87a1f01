"""Which URL does what."""

from pathlib import Path

import pytest

from tests.web.conftest import MakeSite
from tests.web.harness import Site, request


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_a_topic_refuses_other_methods_and_says_which_it_takes(site: Site, method: str) -> None:
    answer = site.ask(method, "/topics/a")
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert {"GET", "HEAD", "POST"} <= set(answer["Allow"].split(", "))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_file_is_only_looked_at(site: Site, method: str) -> None:
    answer = site.ask(method, "/__init__.py", b"1")
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert {"GET", "HEAD"} <= set(answer["Allow"].split(", "))
    assert "POST" not in answer["Allow"]


@pytest.mark.parametrize(("target", "post"), [("/topics/a", True), ("/", False), ("/nothing", False), ("*", True)])
def test_options_says_which_methods_there_are(site: Site, target: str, post: bool) -> None:
    answer = site.ask("OPTIONS", target)
    assert (answer.status, answer.body) == (204, b"")
    methods = set(answer["Allow"].split(", "))
    assert {"GET", "HEAD", "OPTIONS"} <= methods
    assert ("POST" in methods) is post


@pytest.mark.parametrize("target", ["/topicsx", "/Topics/a", "/topics.json", "/xtopics/a", "/index.html/topics/a"])
def test_what_only_looks_like_a_topic_is_a_file(site: Site, target: str) -> None:
    assert site.get(target).code == "not_found"
    assert site.post(target, b"1").code == "method_not_allowed"


def test_an_absolute_target_is_the_same_as_its_path(site: Site) -> None:
    site.get("/topics/a?wait=0")
    answer = site.ask("POST", "http://slosh.test/topics/a", b"1")
    assert answer.json["max"] == 1
    assert site.ask("GET", "http://slosh.test/__init__.py").status == 200


def test_a_topic_wins_over_a_file_of_its_name(make_site: MakeSite, tmp_path: Path) -> None:
    (tmp_path / "topics").mkdir()
    (tmp_path / "topics" / "a").write_text("file")
    assert make_site(tmp_path).get("/topics/a?wait=0").json["timeout"] is True


def test_the_same_head_means_the_same_again_and_again(site: Site) -> None:
    """A head is judged once and remembered by its bytes; what it asks for is done each time anew."""
    site.connect().get("/topics/a")
    post, get = request("POST", "/topics/a", b"1"), request("GET", "/topics/a?since=-1&wait=0")
    client = site.connect()
    for number in range(1, 2000):
        client.send(post + get)
        assert client.next().json["max"] == number
        assert client.next().json["max"] == number


def test_heads_that_differ_in_one_byte_are_told_apart(site: Site) -> None:
    """Also when very many of them were seen, and the first are forgotten again."""
    client = site.connect()
    for number in [*range(4500), *range(100)]:
        client.get(f"/topics/t{number:04}?wait=0")
        assert b'"next":"epoch%03d.0"' % number in client.next().body


@pytest.mark.parametrize(
    "since",
    [
        "epoch000.0",
        "epoch000.1",
        "epoch000.2",
        "another.1",
        "epoch000.01",
        "epoch000.999999999999999",
        "epoch000.99999999999999999",
        "now",
        "earliest",
        "-1",
        "10m",
        "",
        "epoch000.0&since=epoch000.1",
        "epoch000.0&limit=1",
        "epoch000.0%20",
        "epoch000.0\r\nX: y",
        "epoch000.0 HTTP/1.1\r\nHost: a\r\n\r\nGET /topics/a?since=epoch000.1",
        "epoch000\x00.1",
        "epoch000.1\n",
        "époch000.1",
    ],
)
def test_what_a_client_asked_before_changes_nothing_in_how_it_is_understood(site: Site, since: str) -> None:
    """Heads that differ in their cursor alone are not judged anew, and only those."""
    keeper = site.connect().get("/topics/a")
    for message in (b"1", b"2"):
        site.post("/topics/a", message)
    keeper.next()
    before = site.connect().get("/topics/a?since=epoch000.1&wait=0")
    before.next()
    fresh = site.connect()
    for client in (before, fresh):
        client.send(request("GET", f"/topics/a?since={since}&wait=0", Host="slosh.test"))
    assert bytes(before.wire.arrived) == bytes(fresh.wire.arrived) != b""
