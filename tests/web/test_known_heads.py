"""A head that is known with another cursor or name in it means what it means to a server that knows nothing."""

import itertools
from contextlib import closing
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slosh.http1.fields import scan
from slosh.http1.phases import CLOSING
from tests.cases import each_of
from tests.properties import PROPERTY, QUICK
from tests.web.conftest import MakeSite
from tests.web.frames import HANDSHAKE
from tests.web.harness import Site, request

POLL = (b"GET /topics/a?wait=0&since=", b" HTTP/1.1\r\nHost: h\r\n\r\n")
POST = (b"POST /topics/", b" HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n1")
GOOD = {POLL: b"epoch000.1", POST: b"a"}
"""What stands in the two requests that are known."""
PIECES = [b"epoch000", b"other", b".", b"0", b"1", b"2", b"a", b"b", b"/", b"..", b" ", b"\t", b"\0", b"%61", b"?"]
PIECES += [b"&", b"#", b"=", b"now", b"wait=0", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" HTTP/1.1", b" HTTP/1.0"]
PIECES += [b"Host: h", POLL[1], POST[1], request("GET", "/topics/b?wait=0"), POLL[0], POST[0] + b"b"]


def what_comes(kind: tuple[bytes, bytes], part: bytes, *, known: bool) -> object:
    """All that a client sees of a request with `part` in it, and what has become of the topics."""
    before, after = kind
    with closing(Site()) as site:
        site.server.wall = lambda: 0.0  # for the same `Date` in all answers
        for name in "ab":
            site.get(f"/topics/{name}?wait=0")
        client = site.connect()
        for _ in range(2):
            client.send(before + GOOD[kind] + after)
        client.wire.arrived.clear()
        if not known:
            site.heads.forget(site.server)
            client = site.connect()
        client.send(before + part + after)
        return bytes(client.wire.arrived), client.served(), site.get("/topics").body


@pytest.mark.parametrize("kind", [POLL, POST], ids=["poll", "post"])
@PROPERTY
@given(part=st.lists(st.sampled_from(PIECES), max_size=7).map(b"".join))
@example(part=b"epoch000.2")
@example(part=b"epoch000.02")
@example(part=b"epoch000.9999999999999999999999")
@example(part=b"epoch001.1")
@example(part=b".1")
@example(part=b"b")
@example(part=b"b HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n1POST /topics/a")
@example(part=b"epoch000.1 HTTP/1.1\r\nHost: h\r\n\r\nGET /topics/b?wait=0&since=epoch001.0")
def test_it_is_read_as_by_a_server_that_knows_nothing(kind: tuple[bytes, bytes], part: bytes) -> None:
    """Any text where the cursor or the name stood, also the end of one request and the beginning of the next."""
    assert what_comes(kind, part, known=True) == what_comes(kind, part, known=False)


MAX_HEAD = 420
BOUNDS: dict[str, Any] = {
    "max_head": MAX_HEAD,
    "max_fields": 12,
    "max_message": 12,
    "max_body": 40,
    "origins": "https://one.example",
}
"""Small, so that a real request is just within them, and a little more passes them."""
BROWSER = (
    b"\r\nHost: slosh.test\r\nsec-ch-ua-platform: Linux\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)"
    b"\r\nAccept: */*\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nReferer: https://slosh.test/"
    b"\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: en-US,en;q=0.9"
)
CURL = b"\r\nHost: slosh.test\r\nUser-Agent: curl/7.88.1\r\nAccept: */*"
END = b"\r\n\r\n"


def pad(line: bytes) -> bytes:
    """A head that is as large as it may be, of a request whose body, if it has one, is a byte long."""
    fields = CURL + b"\r\nContent-Length: 1" * line.startswith(b"POST") + b"\r\nX-Pad: "
    return line + fields + b"x" * (MAX_HEAD - len(line + fields + END)) + END


def post(target: bytes, body: bytes, fields: bytes = CURL) -> bytes:
    return b"POST %b HTTP/1.1%b\r\nContent-Length: %d\r\n\r\n%b" % (target, fields, len(body), body)


NEW = b" HTTP/1.1" + CURL
COMES_BACK = b"GET /topics/a?since=epoch000.%d HTTP/1.1" + CURL + b"\r\nLast-Event-ID: epoch000.0"
COMES_BACK += b"\r\nAccept: text/event-stream" + END
POLL_A = b"GET /topics/a?wait=0&since=epoch000.0"
CHUNKED = b"POST /topics/a" + NEW + b"\r\nTransfer-Encoding: chunked\r\n\r\n"


def in_one_line(block: bytes) -> bytes:
    """No request: the fields of one that are read, behind its request line with line feeds in between."""
    read: list[bytes] = []
    assert scan(block, 64, read, [])
    return b"\n".join([block.partition(b"\r\n")[0], *read]) + b"\r\n\r\n"


LIST = b"GET /topics?after=b HTTP/1.1" + CURL + END
PREFLIGHT = b"OPTIONS /topics/a HTTP/1.1" + CURL + b"\r\nOrigin: https://one.example"
PREFLIGHT += b"\r\nAccess-Control-Request-Method: POST" + END

REQUESTS = {
    "curl polls": POLL_A + NEW + END,
    "curl polls elsewhere": b"GET /topics/a?wait=0&since=epoch000.1 HTTP/1.1" + CURL + END,
    "curl polls with a zero too many": b"GET /topics/a?wait=0&since=epoch000.01 HTTP/1.1" + CURL + END,
    "curl polls another life": b"GET /topics/a?wait=0&since=epoch001.1 HTTP/1.1" + CURL + END,
    "curl polls another topic": b"GET /topics/b?wait=0&since=epoch001.0 HTTP/1.1" + CURL + END,
    "curl polls with a limit": b"GET /topics/a?wait=0&since=epoch000.0&limit=1 HTTP/1.1" + CURL + END,
    "curl polls with two places": b"GET /topics/a?wait=0&since=epoch000.0&since=epoch000.1 HTTP/1.1" + CURL + END,
    "a browser polls": POLL_A + b" HTTP/1.1" + BROWSER + END,
    "a browser polls by cookie": b"GET /topics/a?wait=0 HTTP/1.1" + BROWSER + END,
    "a page elsewhere polls": b"GET /topics/a?wait=0 HTTP/1.1" + BROWSER + b"\r\nOrigin: https://one.example" + END,
    "a strange page polls": b"GET /topics/a?wait=0 HTTP/1.1" + BROWSER + b"\r\nOrigin: https://two.example" + END,
    "an old client polls": POLL_A + b" HTTP/1.0" + CURL + END,
    "an old client stays": POLL_A + b" HTTP/1.0" + CURL + b"\r\nConnection: keep-alive" + END,
    "a client that closes": POLL_A + NEW + b"\r\nConnection: close" + END,
    "a look": b"HEAD /topics/a?since=epoch000.0 HTTP/1.1" + CURL + END,
    "an event source": b"GET /topics/a?since=epoch000.0 HTTP/1.1" + CURL + b"\r\nLast-Event-ID: epoch000.1"
    b"\r\nAccept: text/event-stream" + END,
    "an event source that comes back": COMES_BACK % 0,
    "another that comes back": COMES_BACK % 1,
    "ndjson": b"GET /topics/a?since=epoch000.0&format=ndjson HTTP/1.1" + CURL + END,
    "a websocket": request("GET", "/topics/a?since=epoch000.0", **HANDSHAKE),
    "a post": post(b"/topics/a", b"1"),
    "a post of another length": post(b"/topics/a", b"22"),
    "a post elsewhere": post(b"/topics/b", b"1"),
    "a post to nobody": post(b"/topics/nobody", b"1"),
    "a post that closes": post(b"/topics/a", b"1", CURL + b"\r\nConnection: close"),
    "a post of a browser": post(b"/topics/a", b"1", BROWSER + b"\r\nOrigin: https://slosh.test"),
    "a post of a strange page": post(b"/topics/a", b"1", BROWSER + b"\r\nOrigin: https://two.example"),
    "a post with a key": post(b"/topics/a", b"1", CURL + b"\r\nIdempotency-Key: k"),
    "a post as large as may be": post(b"/topics/a", b"1" * 12),
    "a post that is too large": post(b"/topics/a", b"1" * 13),
    "a post that is no JSON": post(b"/topics/a", b"{"),
    "a post in chunks": b"POST /topics/a HTTP/1.1"
    + CURL
    + b"\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n",
    "a post in chunks that are too large": b"POST /topics/a HTTP/1.1"
    + CURL
    + b"\r\nTransfer-Encoding: chunked\r\n\r\nd\r\n"
    b"1111111111111\r\n0\r\n\r\n",
    "a post with another key": post(b"/topics/a", b"1", CURL + b"\r\nIdempotency-Key: l"),
    "a post with two keys": post(b"/topics/a", b"1", CURL + b"\r\nIdempotency-Key: k\r\nIdempotency-Key: l"),
    "a post with an empty key": post(b"/topics/a", b"1", CURL + b'\r\nIdempotency-Key: ""'),
    "a post that a proxy passes on": post(b"/topics/a", b"1", CURL + b"\r\nX-Request-ID: 1\r\nX-Forwarded-For: ::1"),
    "another that it passes on": post(b"/topics/a", b"22", CURL + b"\r\nX-Request-ID: 2\r\nX-Forwarded-For: ::2"),
    "a poll that may wait": b"GET /topics/a?wait=7&since=epoch000.1" + NEW + END,
    "another that may wait": b"GET /topics/a?wait=11&since=epoch000.1" + NEW + END,
    "a poll that may wait, by its last parameter": b"GET /topics/a?since=epoch000.1&wait=7" + NEW + END,
    "a poll that says twice how long": b"GET /topics/a?wait=7.5&since=epoch000.1&wait=7" + NEW + END,
    "a count of watchers from a place": b"GET /topics/b?watchers=1&wait=7&since=epoch000.1" + NEW + END,
    "a poll by an offset": b"GET /topics/a?wait=0&n=0" + NEW + END,
    "a poll by another": b"GET /topics/a?wait=0&n=1" + NEW + END,
    "a poll by an offset that is none": b"GET /topics/a?wait=0&n=x.1" + NEW + END,
    "a poll by an offset beyond all": b"GET /topics/a?wait=0&n=99999999999999999999" + NEW + END,
    "a poll by two offsets": b"GET /topics/a?wait=0&n=0&n=1" + NEW + END,
    "a poll by an offset and a place": b"GET /topics/a?wait=0&n=0&since=epoch000.1" + NEW + END,
    "a poll by a cookie": b"GET /topics/a?wait=0" + NEW + b"\r\nCookie: slosh_433911c6eb0d=epoch000.0" + END,
    "a poll by another cookie": b"GET /topics/a?wait=0" + NEW + b"\r\nCookie: slosh_433911c6eb0d=epoch000.1" + END,
    "a poll with a cookie of others": b"GET /topics/a?wait=0" + NEW + b"\r\nCookie: a=epoch000.1" + END,
    "a poll of several": b"GET /topics/a,b?wait=0" + NEW + b"\r\nX-Request-ID: 1" + END,
    "a post that expects": post(b"/topics/a", b"1", CURL + b"\r\nExpect: 100-continue"),
    "a batch as large as may be": post(b"/topics/a?batch=ndjson", b"1234567\n" * 5),
    "a batch that is too large": post(b"/topics/a?batch=ndjson", b"1234567\n" * 5 + b"1"),
    "a get with a body that is too large": POLL_A + b" HTTP/1.1" + CURL + b"\r\nContent-Length: 41\r\n\r\n" + b"x" * 41,
    "a name that is too long": post(b"/topics/" + b"x" * 256, b"1"),
    "a name that is wrong": post(b"/topics/a/../b", b"1"),
    "a head that is too large": post(b"/topics/a", b"1", CURL + b"\r\nX-Pad: " + b"x" * 400),
    "a poll's head that is too large": POLL_A + b" HTTP/1.1" + CURL + b"\r\nX: " + b"x" * 400 + END,
    "a poll's head as large as may be": pad(b"GET /topics/a?wait=0&since=epoch000.0 HTTP/1.1"),
    "the same with a longer place": pad(b"GET /topics/a?wait=0&since=epoch000.0 HTTP/1.1").replace(b"0.0 ", b"0.10 "),
    "a post's head as large as may be": pad(b"POST /topics/a HTTP/1.1") + b"1",
    "the same with a longer name": pad(b"POST /topics/a HTTP/1.1").replace(b"/a ", b"/aa ") + b"1",
    "too many fields": post(b"/topics/a", b"1", CURL + b"\r\nX: y" * 12),
    "a field that is none": post(b"/topics/a", b"1", CURL + b"\r\nX Y: z"),
    "two lengths": post(b"/topics/a", b"1", CURL + b"\r\nContent-Length: 2"),
    "a time with a fraction": b"GET /topics/a?wait=0&since=1.5 HTTP/1.1" + CURL + END,
    "another time with a fraction": b"GET /topics/a?wait=0&since=2.5 HTTP/1.1" + CURL + END,
    "a wrong place": b"GET /topics/a?wait=0&since=nonsense HTTP/1.1" + CURL + END,
    "a place with a letter": b"GET /topics/a?wait=0&since=epoch000.1a HTTP/1.1" + CURL + END,
    "a place beyond all": b"GET /topics/a?wait=0&since=epoch000.999999999999999999999999 HTTP/1.1" + CURL + END,
    "a list": LIST,
    "a file": b"GET /nothing" + NEW + END,
    "a file with a body that is too large": b"GET /nothing HTTP/1.1"
    + CURL
    + b"\r\nContent-Length: 41\r\n\r\n"
    + b"x" * 41,
    "a preflight": PREFLIGHT,
    "a method that there is not": b"PATCH /topics/a HTTP/1.1" + CURL + END,
}
"""As clients send them, and each bound from both sides. A head is new, known, or known but for its changing part."""


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
"""Comes only where the head came before its body (RFC 9110 §10.1.1), so a cut between them makes the difference."""

Sent = tuple[int, tuple[bytes, ...], tuple[bytes, ...]]


class Server:
    """A server, and two connections to it that are opened again when it has closed them.

    Args:
        forgets: whether it forgets all heads and places before each request.
    """

    def __init__(self, site: Site, *, forgets: bool) -> None:
        self.site = site
        self.forgets = forgets
        self.said = b""
        site.server.wall = lambda: 784111777.0
        site.server.random = lambda: 0.5
        for name in "ab":
            site.get(f"/topics/{name}?wait=0")
        site.post("/topics/a", b"1")
        self.clients = [site.connect(), site.connect()]

    def ask(self, place: int, *parts: bytes) -> None:
        """Send requests on one of the connections, as these packets."""
        site, client = self.site, self.clients[place]
        for part in parts:
            if self.forgets:
                site.heads.forget(site.server)
                site.routes.readers.latest_place = None
                site.routes.readers.latest_since = None
                for each in self.clients:
                    each.connection._known = None
            client.send(part)
        self.said += bytes(client.wire.arrived) + b"<end>" * (not client.served())
        if client.connection._exchange is not None:
            self.said += b"<held until %.1f>" % client.connection._deadline
        client.wire.arrived.clear()
        if client.connection._exchange is not None or not client.served() or client.connection.phase >= CLOSING:
            client.reset()
            self.clients[place] = site.connect()


def tell_apart(requests: list[Sent]) -> None:
    """Check that all answers are those of a server that has seen nothing.

    Args:
        requests: on which connection; the packets in which the server that remembers is sent them; the requests one by
            one, as the other one gets them.
    """
    with closing(Site(**BOUNDS)) as one, closing(Site(**BOUNDS)) as other:
        knows, forgets = Server(one, forgets=False), Server(other, forgets=True)
        is_cut = False
        for place, packets, each in requests:
            knows.ask(place, *packets)
            forgets.ask(place, *each)
            is_cut = is_cut or packets != each
            said = [server.said.replace(CONTINUE, b"") if is_cut else server.said for server in (knows, forgets)]
            assert said[0] == said[1], packets
            knows.said = forgets.said = b""
        assert one.get("/topics/a?since=earliest&wait=0").body == other.get("/topics/a?since=earliest&wait=0").body


@pytest.mark.parametrize("name", REQUESTS)
@each_of(
    ("first", "second", "cut"),
    [(0, 0, 0), (0, 1, 0), (0, 0, 30)],
    ids=["on one connection", "on two connections", "in two packets"],
)
def test_a_request_is_answered_the_second_time_as_the_first_and_after_any_other(
    name: str, first: int, second: int, cut: int
) -> None:
    sent = REQUESTS[name]
    requests: list[Sent] = []
    others = list(REQUESTS.values())
    if QUICK:
        # Each after each other is tried here or in the test of the other one: all pairs on one connection, and one in
        # three otherwise.
        here = list(REQUESTS).index(name)
        others = [*others[here:], *others[:here]][: len(others) // 2 + 1 : 3 if second or cut else 1]
    for other in others:
        for place, each in ((first, sent), (second, sent), (first, other)):
            requests.append((place, (each[:cut], each[cut:]) if cut else (each,), (each,)))
    tell_apart(requests)


@pytest.mark.parametrize("known", [LIST, PREFLIGHT], ids=["a list", "a preflight"])
def test_a_known_head_does_not_let_in_its_own_words_in_one_line(known: bytes) -> None:
    """Neither on another connection nor on its own, whose last head it is."""
    sound, broken = (0, (known,), (known,)), in_one_line(known)
    tell_apart([sound, (1, (broken,), (broken,)), sound, (0, (broken,), (broken,))])


@each_of(
    "query", ["wait=%d&since=epoch000.0", "limit=9&since=epoch000.0&wait=%d", "wait=%d&n=0&limit=9", "n=0&a=b&wait=%d"]
)
def test_a_poll_is_held_as_long_as_it_says_itself_and_all_that_differ_in_this_are_one_head(
    make_site: MakeSite, query: str
) -> None:
    site = make_site(max_wait=50.0)
    site.get("/topics/a?wait=0")
    client = site.connect()
    heads = 0
    for asked, held in ((3, 3), (7, 7), (3, 3), (7, 7), (7, 7), (999_999_999, 50)):
        client.get("/topics/a?" + query % asked)
        site.advance(held - 1)
        assert client.silent()
        site.advance(1.1)
        assert client.next().json["timeout"]
        heads = heads or len(site.heads.memory)
    assert len(site.heads.memory) == heads


@each_of("query", ["wait=2.0&since=epoch000.0&wait=5", "wait=02&n=0&wait=5", "n=0&wait=2&wait=5", "wait=2s&n=0"])
def test_a_poll_that_says_twice_how_long_is_held_as_it_says_first(make_site: MakeSite, query: str) -> None:
    site = make_site()
    site.get("/topics/a?wait=0")
    client = site.connect()
    for _ in range(2):
        client.get(f"/topics/a?{query}")
        site.advance(1)
        assert client.silent()
        site.advance(1.1)
        assert client.next().json["timeout"]


@each_of("name", [name for name in REQUESTS if "too large" in name])
@each_of("cut", [0, 30], ids=["at once", "in two packets"])
def test_what_passes_a_bound_is_refused_each_time(make_site: MakeSite, name: str, cut: int) -> None:
    """The tests above would not see a bound that is never looked at."""
    site = make_site(**BOUNDS)
    site.get("/topics/a?wait=0")
    sent = REQUESTS[name]
    for _ in range(3):
        client = site.connect().send(*((sent[:cut], sent[cut:]) if cut else (sent,)))
        answer = client.next()
        assert (answer.status, answer["Connection"]) in {(413, "close"), (431, "close")}
    assert site.get("/topics/a?since=earliest&wait=0").json["max"] == 0


CHANGES = [
    (b"epoch000.0", b"epoch000.1"),
    (b"epoch000.0", b"epoch000." + b"1" * 200),
    (b"epoch000.0", b"epoch0.0"),
    (b"epoch000.0", b"epoch000.00"),
    (b"epoch000.0", b"now"),
    (b"wait=7", b"wait=70"),
    (b"wait=7", b"wait=0"),
    (b"wait=7", b"wait=999999999999"),
    (b"wait=7", b"wait=1m"),
    (b"wait=7", b"wait="),
    (b"wait=7", b"wait=9&wait=7"),
    (b"/topics/a", b"/topics/b"),
    (b"/topics/a", b"/topics/" + b"b" * 200),
    (b"/topics/a", b"/topics/" + b"b" * 255),
    (b"/topics/a", b"/topics/%61"),
    (b"/topics/a", b"/topics/a,b"),
    (b"/topics/a", b"/topics/*"),
    (b"slosh.test", b"SLOSH.test"),
    (b"HTTP/1.1", b"HTTP/1.0"),
    (b"curl/7", b"curl/8"),
    (b"\r\n\r\n", b"\r\nX: y\r\n\r\n"),
    (b"", b""),
]
"""What may be otherwise in a request that is like one that came before."""

one_request = st.tuples(st.sampled_from(sorted(REQUESTS)), st.sampled_from(CHANGES)).map(
    lambda chosen: REQUESTS[chosen[0]].replace(*chosen[1], 1)
)


@st.composite
def some_requests(draw: st.DrawFn) -> Sent:
    """Some requests on one of the connections, cut into packets anywhere."""
    place = draw(st.integers(0, 1))
    drawn = draw(st.lists(one_request, min_size=1, max_size=3))
    # What comes behind a handshake is no HTTP, and is answered in the turn in which it comes.
    each = (*itertools.takewhile(lambda sent: b"Upgrade" not in sent, drawn[:-1]), drawn[-1])
    whole = b"".join(each)
    cuts = sorted({0, len(whole), *draw(st.lists(st.integers(1, len(whole) - 1), max_size=2))})
    return place, tuple(whole[start:end] for start, end in itertools.pairwise(cuts)), each


@PROPERTY
@given(st.lists(some_requests(), min_size=1, max_size=6))
def test_any_requests_in_any_packets_are_answered_as_if_nothing_had_come_before(
    requests: list[Sent],
) -> None:
    tell_apart(requests)
