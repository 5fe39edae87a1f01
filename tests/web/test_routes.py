"""Which URL does what."""

from pathlib import Path

import pytest

from tests.cases import each_of
from tests.web.conftest import MakeSite
from tests.web.frames import HANDSHAKE
from tests.web.harness import Site, request


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_topic_refuses_other_methods_and_says_which_it_takes(site: Site, method: str) -> None:
    answer = site.ask(method, "/topics/a")
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert {"GET", "HEAD", "POST", "DELETE"} <= set(answer["Allow"].split(", "))
    assert answer.json["detail"].endswith(" A message is published with POST.")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_file_is_only_looked_at(site: Site, method: str) -> None:
    answer = site.ask(method, "/__init__.py", b"1")
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert {"GET", "HEAD"} <= set(answer["Allow"].split(", "))
    assert "POST" not in answer["Allow"]


@each_of("target", ["/topic/kitchen", "/kitchen", "/", "/__init__.py", "/view/kitchen", "/-/healthy"])
def test_who_posts_beside_the_topics_learns_where_they_are(site: Site, target: str) -> None:
    """The same whether a file is there or not."""
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = site.ask(method, target, b"1")
        assert answer.status == 405
        assert answer.json["detail"] == "This address takes GET, HEAD, OPTIONS. Messages are posted to /topics/<name>."


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
    """A head is judged once and remembered by its bytes; what it asks for is done each time again."""
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
    """Heads that differ in their cursor alone are not parsed again, and only those."""
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


@each_of(
    ("method", "target", "fields", "told"),
    [
        ("GET", "/topics/a?wait=0&foramt=sse", {}, "foramt"),
        ("GET", "/topics/a,b?wait=0&x=1&y", {}, "x, y"),
        ("GET", "/topics/a?wait=0&lastEventId=epoch000.1", {}, "lastEventId"),
        ("GET", "/topics/a?since=nonsense&x=1", {}, "x"),
        ("GET", "/topics/a//b?x=1", {}, "x"),
        ("GET", "/topics/a?watchers&x=1", {}, "x"),
        ("GET", "/topics?x=1&limit=2", {}, "x"),
        ("GET", "/topics?watch&x=1", {}, "x"),
        ("HEAD", "/topics/a?x=1", {}, "x"),
        ("POST", "/topics/a?since=now&batch=ndjson", {}, "since"),
        ("POST", "/topics/nobody?x=1", {}, "x"),
        ("GET", "/topics/a?x=1", {"Accept": "text/event-stream"}, "x"),
        ("GET", "/topics/a?x=1", {"Accept": "application/x-ndjson"}, "x"),
        ("GET", "/topics/a?x=1", HANDSHAKE, "x"),
    ],
)
def test_parameters_that_mean_nothing_are_named_on_every_way(
    site: Site, method: str, target: str, fields: dict[str, str], told: str
) -> None:
    site.connect().get("/topics/a")
    answer = site.connect().send(request(method, target, b"1" if method == "POST" else b"", **fields)).next(method)
    assert answer["Slosh-Ignored"] == told


def test_where_all_parameters_are_known_none_is_named(site: Site) -> None:
    query = "since=now&wait=0&limit=1&every=0&key=a&format=json&times"
    assert "Slosh-Ignored" not in site.get(f"/topics/a?{query}")
    assert "Slosh-Ignored" not in site.get("/topics?limit=1&after=a")
    stream = site.connect().get("/topics/a?format=sse&lastEventId=epoch000.0").next()
    assert "Slosh-Ignored" not in stream


def test_an_answer_that_names_a_parameter_is_never_given_to_who_did_not_send_it(site: Site) -> None:
    """They wait at the same place, and the answer is made once for all who want the same."""
    clients = [site.connect().get(f"/topics/a?since=now{query}") for query in ("&x=1", "", "&y=1", "")]
    site.post("/topics/a", b"1")
    answers = [client.next() for client in clients]
    assert [dict(answer.fields).get("slosh-ignored") for answer in answers] == ["x", None, "y", None]


@each_of(
    ("method", "target"),
    [
        ("GET", "/topics/a?since=earliest"),
        ("GET", "/topics/a?wait=0"),
        ("GET", "/topics/a"),
        ("GET", "/topics/a,b?since=earliest"),
        ("GET", "/topics/a,b?wait=0"),
        ("GET", "/topics/a?watchers"),
        ("GET", "/topics"),
        ("GET", "/topics/a?since=nonsense"),
        ("GET", "/nothing"),
        ("POST", "/topics/a"),
        ("POST", "/topics/a?batch=ndjson"),
        ("POST", "/topics/nobody"),
    ],
)
def test_json_ends_with_a_newline(site: Site, method: str, target: str) -> None:
    """So that in a terminal the prompt begins a line, and a shell reads it line by line."""
    site.connect().get("/topics/a?since=now&wait=0")
    site.post("/topics/a", b"1")
    cookie = site.get("/topics/a?wait=0").cookie
    site.post("/topics/a", b"2")
    client = site.connect().send(request(method, target, b"1" if method == "POST" else b"", Cookie=cookie))
    answer = client.next()
    assert answer.body.endswith(b"}\n")
    assert answer.body.count(b"\n") == 1
    assert client.silent()
