"""HTTP/1.1 on the wire: order, pipelining, bodies, slow readers, ends."""

import logging
from collections.abc import Callable

import pytest

from slosh.http1.connection import MAX_PIPELINED, Connection
from slosh.http1.handler import Action, Application
from slosh.http1.head import Head
from slosh.http1.lingering import PAUSE
from tests.web.conftest import MakeSite
from tests.web.harness import Client, Response, Site, request

POLL = request("GET", "/topics/a")
FILE = request("GET", "/__init__.py")


# Order.


@pytest.mark.parametrize(
    ("behind", "status"),
    [
        (FILE, 200),
        (request("GET", "/nothing"), 404),
        (request("GET", "/topics/"), 400),
        (request("POST", "/topics/b", b"1"), 404),
        (request("PUT", "/topics/a", b"1"), 405),
        (request("HEAD", "/topics/a"), 200),
        (request("OPTIONS", "/topics/a"), 204),
        (b"rubbish\r\n\r\n", 400),
    ],
    ids=["file", "404", "400", "POST", "405", "HEAD", "OPTIONS", "no HTTP"],
)
@pytest.mark.parametrize("together", [True, False], ids=["one packet", "two packets"])
def test_what_comes_behind_a_held_poll_waits_for_its_answer(
    site: Site, behind: bytes, status: int, together: bool
) -> None:
    """CVE-2024-41671: else the client takes the answer of the second request for the poll's."""
    client = site.connect()
    client.send(*([POLL + behind] if together else [POLL, behind]))
    assert client.silent()
    site.post("/topics/a", b'"news"')
    assert client.next().json["res"] == ["news"]
    assert client.next("HEAD" if b"HEAD" in behind else "GET").status == status
    assert client.silent()


def test_several_polls_on_one_connection_are_answered_in_their_order(site: Site) -> None:
    """The second is asked only after the first is answered, so it sees what comes later."""
    client = site.connect().send(POLL + request("GET", "/topics/b") + POLL)
    assert (site.watchers("a"), site.watchers("b")) == (1, 0)
    site.post("/topics/a", b"1")
    assert client.next().json["res"] == [1]
    assert (site.watchers("a"), site.watchers("b"), client.silent()) == (0, 1, True)
    site.post("/topics/b", b"2")
    assert client.next().json["res"] == [2]
    site.post("/topics/a", b"3")
    assert client.next().json["res"] == [3]


def test_many_requests_in_one_packet_are_all_answered_in_their_order(site: Site) -> None:
    client = site.connect().send(b"".join(request("GET", f"/{number}") + FILE for number in range(100)))
    assert [client.next().status for _ in range(200)] == [404, 200] * 100
    assert client.silent()


def test_a_request_is_the_same_however_it_is_cut_into_packets(site: Site) -> None:
    site.connect().get("/topics/a")
    bytes_sent = b"\r\n" + request("POST", "/topics/a", b'{"a": [1, 2]}') + FILE
    for cut in range(1, len(bytes_sent)):
        client = site.connect().send(bytes_sent[:cut], bytes_sent[cut:])
        assert [client.next().status, client.next().status] == [200, 200]
        client.reset()
    drip = site.connect().send(*(bytes_sent[at : at + 1] for at in range(len(bytes_sent))))
    assert [drip.next().status, drip.next().status] == [200, 200]


# Too much at once.


def test_more_than_fits_behind_a_held_poll_answers_it_with_timeout(site: Site) -> None:
    """With its socket unread nobody would notice that its client left."""
    client = site.connect().send(POLL)
    client.send(FILE + request("GET", "/" + "x" * 100) * (MAX_PIPELINED // 100))
    assert client.next().json["timeout"] is True
    assert client.next().body == b""
    assert client.next().status == 404


def test_what_fits_behind_a_held_poll_leaves_it_held(site: Site) -> None:
    client = site.connect().send(POLL)
    client.send(FILE * (MAX_PIPELINED // len(FILE)))
    assert client.silent()
    assert client.wire.is_reading()


def test_a_flood_of_polls_is_read_no_faster_than_it_is_answered(site: Site) -> None:
    """What is kept of it stays bounded, and each of them is answered."""
    client = site.connect()
    polls = request("GET", "/topics/a?since=now") * 1000
    client.wire.unread += [polls] * 20
    client.wire.feed()
    assert not client.wire.is_reading()
    assert len(client.connection._pending) < MAX_PIPELINED + len(polls)
    site.loop.settle()
    held = site.watchers("a")
    assert client.wire.arrived.count(b"HTTP/1.1 200 OK") >= 20_000 - (MAX_PIPELINED // 50)
    assert client.wire.is_reading()
    assert held == 1


# Bodies.


def test_expect_100_continue_is_honoured(site: Site) -> None:
    site.connect().get("/topics/a")
    post = request("POST", "/topics/a", b'"body"', Expect="100-continue")
    client = site.connect().send(post[:-6])
    assert client.next().status == 100
    assert client.silent()
    assert client.send(post[-6:]).next().json["max"] == 1


def test_nobody_who_has_sent_the_body_already_is_told_to_go_on(site: Site) -> None:
    site.connect().get("/topics/a")
    client = site.connect().post("/topics/a", b'"body"', Expect="100-continue")
    assert client.next().status == 200
    assert client.silent()


def ask_first(site: Site, target: str, method: str = "POST", **fields: str) -> Response:
    """What a client hears that asks before it sends a body."""
    client = site.connect().send(request(method, target, Expect="100-continue", Content_Length="5", **fields))
    answer = client.next()
    assert client.wire.has_ended() == (answer.status != 100), "whether the body still comes nobody knows"
    return answer


@pytest.mark.parametrize("query", ["", "?batch=ndjson", "?end"])
def test_a_body_for_which_nobody_watches_is_not_asked_for(site: Site, query: str) -> None:
    for topic in "ab":
        answer = ask_first(site, f"/topics/{topic}{query}")
        assert (answer.status, answer.code) == (404, "no_watchers")
    site.connect().get("/topics/b")
    assert ask_first(site, f"/topics/b{query}").status == 100


def test_a_body_that_may_be_taken_is_asked_for(make_site: MakeSite) -> None:
    site = make_site(topics={"kept": {"unwatched": "keep"}})
    site.connect().get("/topics/followed/*?format=ndjson")
    assert ask_first(site, "/topics/kept").status == 100
    assert ask_first(site, "/topics/followed/a").status == 100
    assert ask_first(site, "/topics/a?open").status == 100
    assert ask_first(site, "/topics/a", Idempotency_Key="k").status == 100, "it may be sent a second time"
    assert ask_first(site, "/topics").status == 100, "its lines name the topics"


def test_a_body_for_what_takes_none_is_not_asked_for(site: Site) -> None:
    site.post("/topics/a?open&end", b"1")
    for query in ("", "?open", "?end"):
        assert (ask_first(site, f"/topics/a{query}").code) == "ended"
    assert ask_first(site, "/topics/b", "DELETE").code == "bad_request"


def test_a_process_that_has_handed_its_topics_over_does_not_say_that_nobody_watches(site: Site) -> None:
    site.engine.is_handed_over = True
    assert ask_first(site, "/topics/a").status == 100
    assert site.post("/topics/a", b'"' + b"x" * 300_000 + b'"').code == "draining"


def test_an_http_1_0_client_is_not_told_to_go_on(site: Site) -> None:
    site.connect().get("/topics/a")
    post = request("POST", "/topics/a", b'"body"', "1.0", Expect="100-continue")
    client = site.connect().send(post[:-6])
    assert client.silent()
    assert client.send(post[-6:]).next().status == 200


@pytest.mark.parametrize("expect", [{}, {"Expect": "100-continue"}], ids=["body follows", "asks first"])
def test_a_declared_length_past_the_bound_is_refused_before_the_body_is_read(
    make_site: MakeSite, expect: dict[str, str]
) -> None:
    site = make_site(max_message=1000)
    client = site.connect().send(request("POST", "/topics/a", Content_Length="1001", **expect))
    answer = client.next()
    assert (answer.status, answer.code, answer.json["limit"]) == (413, "too_large", 1000)
    assert answer["Connection"] == "close"
    assert client.wire.has_ended()
    client.send(b"x" * 1001 + FILE)
    assert client.silent()
    assert site.refused("too_large") == 1


def test_a_chunked_body_is_refused_as_soon_as_it_passes_the_bound(make_site: MakeSite) -> None:
    site = make_site(max_message=1000)
    client = site.connect().send(request("POST", "/topics/a", Transfer_Encoding="chunked"))
    client.send(b"3e8\r\n", b"1" * 1000, b"\r\n")
    assert client.silent()
    client.send(b"1\r\n1")
    answer = client.next()
    assert (answer.status, answer.code) == (413, "too_large")
    assert client.wire.has_ended()


def test_a_body_of_exactly_the_bound_is_taken_either_way(make_site: MakeSite) -> None:
    site = make_site(max_message=1000)
    site.connect().get("/topics/a")
    body = b"1" * 1000
    assert site.post("/topics/a", body).json["max"] == 1
    client = site.connect().send(request("POST", "/topics/a", Transfer_Encoding="chunked"))
    client.send(b"3e8\r\n" + body, b"\r\n0\r\n", b"\r\n" + FILE)
    assert client.next().json["max"] == 2
    assert client.next().status == 200


def test_a_refused_request_with_a_body_leaves_the_connection_usable(site: Site) -> None:
    client = site.connect().send(request("PUT", "/topics/a", b"GET / HTTP/1.1\r\n\r\n") + FILE)
    assert [client.next().status, client.next().status] == [405, 200]
    assert client.silent()


def test_the_body_of_a_get_means_nothing_but_has_an_end(site: Site) -> None:
    client = site.connect().send(request("GET", "/__init__.py", b"GET /a HTTP/1.1\r\n\r\n") + FILE)
    assert [client.next().status, client.next().status] == [200, 200]
    assert client.silent()


# The end of a connection.


def test_connection_close_is_obeyed_and_said(site: Site) -> None:
    client = site.connect().send(request("GET", "/__init__.py", Connection="close") + FILE)
    assert client.next()["Connection"] == "close"
    assert client.wire.has_ended()
    assert client.silent()  # what came behind the last request is dropped


def test_an_http_1_0_client_is_served_and_the_connection_closed(site: Site) -> None:
    client = site.connect().send(b"GET /__init__.py HTTP/1.0\r\n\r\n")
    answer = client.next()
    assert (answer.version, answer.status, answer["Connection"]) == ("HTTP/1.1", 200, "close")
    assert client.wire.has_ended()


def test_an_http_1_0_client_may_ask_to_stay(site: Site) -> None:
    client = site.connect().send(request("GET", "/__init__.py", b"", "1.0", Connection="keep-alive"))
    assert client.next()["Connection"] == "keep-alive"
    assert client.served()
    assert client.send(b"GET /nothing HTTP/1.0\r\n\r\n").next().status == 404
    assert client.wire.has_ended()


def test_a_poll_with_connection_close_is_held_like_any_other(site: Site) -> None:
    client = site.connect().get("/topics/a", Connection="close")
    assert client.served()
    site.post("/topics/a", b"1")
    assert client.next()["Connection"] == "close"
    assert client.wire.has_ended()


def test_after_the_last_answer_the_socket_is_read_for_a_moment(site: Site) -> None:
    """To close with bytes unread would send a reset, and the answer could be lost (RFC 9112 §9.6)."""
    client = site.connect().send(b"nonsense\r\n\r\n")
    assert client.next().status == 400
    assert client.wire.has_ended()
    site.advance(PAUSE - 0.1)
    client.send(b"more of it" * 10_000)
    site.advance(PAUSE - 0.1)
    assert client.wire.is_open()
    assert client.wire.is_reading()
    site.advance(0.2)
    assert not client.wire.is_open()
    assert client.silent()


@pytest.mark.parametrize("leave", [Client.half_close, Client.reset], ids=["FIN", "RST"])
def test_a_client_that_goes_stops_counting_at_once(site: Site, leave: Callable[[Client], Client]) -> None:
    client = site.connect().send(POLL)
    assert site.watchers("a") == 1
    leave(client)
    assert site.watchers("a") == 0
    assert not client.wire.is_open()
    assert not site.server.connections
    assert site.post("/topics/a", b"1").json["watchers"] == 0
    assert client.wire.wasted == 0


def test_a_client_that_goes_in_the_middle_of_a_request_leaves_nothing(site: Site) -> None:
    for part in (b"", b"GET", POLL[:-1], request("POST", "/topics/a", b"12345")[:-1]):
        site.connect().send(part).reset()
        site.connect().send(part).half_close()
    assert not site.server.connections
    site.advance(200)
    assert site.server.closed == {}


def test_a_client_that_leaves_with_requests_behind_its_poll_is_not_answered(site: Site) -> None:
    client = site.connect().send(POLL + FILE)
    site.post("/topics/a", b"1")
    assert [client.next().status, client.next().status] == [200, 200]
    late = site.connect().send(POLL + FILE).half_close()
    assert late.silent()
    assert late.wire.wasted == 0


# What goes wrong inside.


class Broken(Application):
    """An application whose every action fails, each in its own way."""

    def route(self, head: Head) -> Action:  # noqa: ARG002
        return Fail()


class Fail(Action):
    """An action that raises, or forgets to answer."""

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002
        if connection.head.path == "/raises":
            raise ZeroDivisionError


@pytest.mark.parametrize("path", ["/raises", "/does-not-answer"])
def test_a_mistake_of_ours_is_a_500_and_harms_nobody_else(
    make_site: MakeSite, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    site = make_site(application=Broken())
    other = site.connect()
    with caplog.at_level(logging.ERROR, "slosh"):
        client = site.connect().get(path)
        answer = client.next()
    assert (answer.status, answer.code, answer["Connection"]) == (500, "internal", "close")
    assert "ZeroDivisionError" not in answer.body.decode()
    assert ("ZeroDivisionError" in caplog.text) == (path == "/raises")
    assert client.wire.has_ended()
    assert site.server.refused["internal"] == 1
    assert other.get(path).next().status == 500
