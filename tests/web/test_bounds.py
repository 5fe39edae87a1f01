"""Each bound of the HTTP server: what the client sees, and which counter counts (docs/protocol.md, Limits)."""

from itertools import takewhile

import pytest

from slosh import errors
from slosh.errors import SloshError
from slosh.http1.connection import Connection
from slosh.http1.handler import Action, Application
from slosh.http1.head import Head
from tests.cases import each_of
from tests.test_errors import KINDS, example
from tests.web.conftest import MakeSite
from tests.web.harness import Client, Response, Site, request

POST = request("POST", "/topics/a", b"12345")
CHUNKED = request("POST", "/topics/a", Transfer_Encoding="chunked")


# Deadlines.


def test_a_head_that_takes_too_long_is_refused_though_it_drips(make_site: MakeSite) -> None:
    """Each byte in time does not count; the head as a whole does."""
    site = make_site(head_timeout=10)
    client = site.connect()
    site.advance(30)  # to be idle before is no fault
    for byte in b"GET / HTTP/1.1":
        client.send(bytes([byte]))
        site.advance(0.7)
    assert client.silent()
    site.advance(0.3)
    answer = client.next()
    assert (answer.status, answer.code, answer["Connection"]) == (408, "request_timeout", "close")
    assert client.wire.has_ended()
    assert site.refused("request_timeout") == 1


def test_the_clock_of_a_head_begins_when_its_turn_comes(make_site: MakeSite) -> None:
    """A part of a request behind a held poll is not late: nobody has looked at it yet."""
    site = make_site(head_timeout=10)
    client = site.connect().send(request("GET", "/topics/a") + b"GET / HT")
    site.advance(60)
    assert client.silent()
    site.post("/topics/a", b"1")
    assert client.next().status == 200
    site.advance(9)
    assert client.silent()
    client.send(b"TP/1.1\r\nHost: a\r\n\r\n")
    assert client.next().status == 404


@pytest.mark.parametrize(
    "begun",
    [POST[:-5], POST[:-1], CHUNKED, CHUNKED + b"5\r\n1", CHUNKED + b"1\r\n1\r\n0\r\nX: y\r\n"],
    ids=["no byte of it", "a part of it", "no chunk", "a part of a chunk", "in the trailers"],
)
def test_a_body_that_takes_too_long_is_refused(make_site: MakeSite, begun: bytes) -> None:
    site = make_site(body_timeout=30)
    client = site.connect().send(begun)
    site.advance(29.9)
    assert client.silent()
    site.advance(0.2)
    answer = client.next()
    assert (answer.status, answer.code, answer["Connection"]) == (408, "request_timeout", "close")
    assert client.wire.has_ended()


def test_a_body_that_drips_is_not_given_more_time(make_site: MakeSite) -> None:
    site = make_site(body_timeout=30)
    client = site.connect().send(request("POST", "/topics/a", Content_Length="1000"))
    for _ in range(29):
        client.send(b"1")
        site.advance(1)
    assert client.silent()
    site.advance(1.1)
    assert client.next().status == 408


def test_an_idle_connection_is_closed_without_a_word_and_counted(make_site: MakeSite) -> None:
    site = make_site(idle_timeout=75)
    fresh = site.connect()
    used = site.connect()
    site.advance(50)
    assert used.get("/nothing").next().status == 404
    site.advance(25.1)
    assert not fresh.wire.is_open()
    assert fresh.silent()
    assert used.wire.is_open()
    site.advance(50)
    assert not used.wire.is_open()
    assert used.silent()
    assert site.closed("idle_timeout") == 2


def test_a_held_poll_is_not_idle(make_site: MakeSite) -> None:
    """And does no harm to the deadlines of others, which come due in the same tick as its own did."""
    site = make_site(idle_timeout=75)
    polls = [site.connect().get("/topics/a") for _ in range(3)]
    idle = [site.connect() for _ in range(3)]
    bounded = site.connect().get("/topics/a?wait=75")
    site.advance(76)
    assert all(each.served() and each.silent() for each in polls)
    assert not any(each.wire.is_open() for each in idle)
    assert bounded.next().json["timeout"] is True
    site.advance(10_000)
    assert site.watchers("a") == 3


# Room.


def assert_no_room(answer: Response, code: str) -> None:
    assert (answer.status, answer.code) == (503, code)
    assert int(answer["Retry-After"]) > 0


def test_one_connection_more_than_max_connections_is_told_so_and_closed(make_site: MakeSite) -> None:
    site = make_site(max_connections=2)
    polls = [site.connect().get("/topics/a"), site.connect().get("/topics/a")]
    third = site.connect().get("/topics/a")
    assert_no_room(third.next(), "too_many_connections")
    assert third.wire.has_ended()
    third.send(request("GET", "/topics/a")).reset()
    assert site.watchers("a") == 2
    polls[0].reset()
    assert site.connect().get("/nothing").next().status == 404
    polls[1].reset()
    assert site.refused("too_many_connections") == 1


def test_connections_per_address_are_counted_by_address(make_site: MakeSite) -> None:
    site = make_site(max_connections_per_address=2)
    here = [site.connect(("192.0.2.1", port)) for port in (1, 2)]
    third = site.connect(("192.0.2.1", 3))
    assert_no_room(third.next(), "too_many_connections")
    assert site.connect(("192.0.2.2", 1)).silent()
    assert site.connect(("2001:db8::1", 1, 0, 0)).silent()
    third.reset()
    here[0].reset()
    assert site.connect(("192.0.2.1", 4)).get("/nothing").next().status == 404


def test_clients_of_a_unix_socket_have_no_address(make_site: MakeSite) -> None:
    site = make_site(max_connections_per_address=1)
    assert all(site.connect("").silent() for _ in range(5))


def test_nothing_is_remembered_of_addresses_that_have_gone(make_site: MakeSite) -> None:
    site = make_site(max_connections_per_address=1)
    for number in range(50):
        site.connect((f"192.0.2.{number}", 1)).reset()
        refused = [site.connect(("198.51.100.1", port)) for port in (1, 2)]
        for each in refused:
            each.reset()
    assert not site.server.per_address


def test_one_topic_more_than_max_topics_is_refused_until_one_has_gone(make_site: MakeSite) -> None:
    site = make_site(max_topics=2, linger=10)
    assert site.get("/topics/a?wait=0").status == 200
    site.connect().get("/topics/b")
    client = site.connect().get("/topics/c")
    assert_no_room(client.next(), "too_many_topics")
    assert client.served()
    assert site.refused("too_many_topics") == 1
    assert site.get("/topics/a?wait=0").status == 200
    site.advance(11)
    assert client.get("/topics/c?wait=0").next().status == 200


def test_with_keep_a_post_counts_against_max_topics_too(make_site: MakeSite) -> None:
    site = make_site(max_topics=1, unwatched="keep")
    assert site.post("/topics/a", b"1").json["max"] == 1
    assert_no_room(site.post("/topics/b", b"1"), "too_many_topics")


def test_one_watcher_more_than_max_watchers_is_refused(make_site: MakeSite) -> None:
    site = make_site(max_watchers=2)
    polls = [site.connect().get("/topics/a") for _ in range(2)]
    third = site.connect().get("/topics/a")
    assert_no_room(third.next(), "too_many_watchers")
    assert third.served()
    assert site.get("/topics/a?wait=0").status == 200  # it does not wait, so it does not watch
    assert site.get("/topics/b?wait=0").status == 200
    polls[0].reset()
    assert third.get("/topics/a").silent()
    assert site.refused("too_many_watchers") == 1


def test_one_shape_of_long_patterns_more_than_there_may_be_is_refused(make_site: MakeSite) -> None:
    """All of the reader is refused, and what it has of others is as it was."""
    site = make_site()
    patterns = ["/".join("*" if number >> bit & 1 else "a" for bit in range(11)) for number in range(1 << 11)]
    patterns = [each for each in patterns if each.count("*") > 5]
    parts = [",".join(patterns[at : at + 60]) for at in range(0, len(patterns), 60)]
    held = list(takewhile(Client.silent, (site.connect().get(f"/topics/{part}") for part in parts)))
    more = parts[len(held)]
    assert site.refused("too_many_patterns") == 1
    late = site.connect().get(f"/topics/x,b/*,{more}?since=now")
    assert_no_room(late.next(), "too_many_patterns")
    assert site.refused("too_many_patterns") == 2
    stream = site.get(f"/topics/{more}?format=sse")
    assert b"event: refused\ndata: " in stream.body
    assert b'"too_many_patterns"' in stream.body
    assert site.post("/topics/b/c", b"1").status == 404, "no pattern of it is read by"
    assert site.get("/topics/x?watchers").json["watchers"] == 0
    held[0].reset()
    held[1].reset()
    assert late.get(f"/topics/x,b/*,{more}").silent()


def test_heads_past_their_bounds_are_refused(make_site: MakeSite) -> None:
    site = make_site(max_head=1000, max_fields=10)
    long = request("GET", "/nothing", X="y" * (1000 - len(request("GET", "/nothing", X=""))))
    assert len(long) == 1000
    assert site.connect().send(long).next().status == 404
    for too_long in (long.replace(b"yyy", b"yyyy", 1), long[:-4] + b"y" * 5):
        client = site.connect().send(too_long)
        answer = client.next()
        assert (answer.status, answer.code, answer["Connection"]) == (431, "head_too_large", "close")
    many = {f"X{number}": "" for number in range(9)}  # and Host
    assert site.get("/nothing", **many).status == 404
    assert site.get("/nothing", **many, X9="").code == "head_too_large"
    assert site.refused("head_too_large") == 3


# Every error, as the client and the metrics see it.


NO_ANSWERS = (SloshError, errors.SettingError, errors.CannotListen)
EVERY_ERROR = sorted((example(kind) for kind in KINDS if kind not in NO_ANSWERS), key=lambda error: error.code)
"""One of each class of the tree that a request can be refused with."""


class Refusing(Application):
    """An application that refuses everything with one error."""

    def __init__(self, error: SloshError) -> None:
        self._action = Raise(error)

    def route(self, head: Head) -> Action:  # noqa: ARG002
        return self._action


class Raise(Action):
    """An action that refuses with an error."""

    def __init__(self, error: SloshError) -> None:
        self.error = error
        self.max_body = 100

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002
        raise self.error


@each_of("error", EVERY_ERROR, ids=lambda error: type(error).__name__)
@each_of("method", ["GET", "HEAD", "POST"])
def test_every_error_is_a_problem_document_and_counted_by_its_code(
    make_site: MakeSite, error: SloshError, method: str
) -> None:
    site = make_site(application=Refusing(error))
    client = site.connect().send(request(method, "/"), request(method, "/"))
    answer = client.next(method)
    assert answer.status == error.status >= 400
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["Cache-Control"] == "no-store"
    assert all(answer[name] == value for name, value in error.fields if name != "Connection")
    assert (answer.body == b"") == (method == "HEAD")
    if method != "HEAD":
        assert answer.code == error.code
        assert answer.json["title"]
        assert error.facts().items() <= answer.json.items()
    assert client.wire.has_ended() == error.closes
    assert client.silent() == error.closes
    assert site.server.refused[error.code] == (1 if error.closes else 2)


def test_metrics_tell_each_refusal_by_its_code(site: Site) -> None:
    assert site.refused("not_found") == 0
    for error in EVERY_ERROR:
        site.server.refused[error.code] += 3
    assert all(site.refused(error.code) == 3 for error in EVERY_ERROR)


@each_of(
    ("method", "target", "names"),
    [
        ("POST", "/topics/a", "(max_message)"),
        ("POST", "/topics/a?batch=ndjson", "(max_body)"),
        ("GET", "/topics/a?wait=0", "(max_body)"),
        ("GET", "/nothing", "(max_body)"),
        ("OPTIONS", "/topics/a", "leave it out"),
    ],
)
@each_of("chunked", [False, True])
def test_a_body_that_is_too_large_is_told_which_bound_it_passed(
    make_site: MakeSite, method: str, target: str, names: str, chunked: bool
) -> None:
    site = make_site(max_message=10, max_body=20, queue_bytes=100)
    framing = "Transfer-Encoding: chunked" if chunked else "Content-Length: 40"
    body = "28\r\n" + "1" * 40 + "\r\n0\r\n\r\n" if chunked else "1" * 40
    asked = f"{method} {target} HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{body}"
    answer = site.connect().send(asked.encode()).next()
    assert (answer.status, answer.code) == (413, "too_large")
    assert names in answer.json["detail"]
    assert ("this one has 40" in answer.json["detail"]) == (not chunked and names != "leave it out")
