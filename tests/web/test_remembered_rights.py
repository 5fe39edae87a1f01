"""Where there are rules, what is remembered of heads gives nobody another client's rights, cookie, address or prefix.

Each request is asked of a server that has answered many like it, and of one that forgets all before each request.
"""

from contextlib import closing

from hypothesis import example, given
from hypothesis import strategies as st

from slosh.http1.phases import CLOSING
from tests.properties import PROPERTY
from tests.web.admission.test_gate import ALMIGHTY, NOW, OTHER, READER, RULES, WRITER
from tests.web.conftest import MakeSite
from tests.web.frames import HANDSHAKE
from tests.web.harness import Client, Site, request

TOKENS = (READER, WRITER, OTHER, ALMIGHTY, "slosh_unknown")
TOPICS = ("mine/a", "mine/b", "theirs/a", "open/a", "mine%2Fa", "mine/*", "mine/a,open/a")
PLACES = ("epoch000.0", "epoch000.1", "epoch001.1", "now")
LINES = (
    "GET /topics/{topic}?wait=0&since={place}",
    "GET /topics/{topic}?since={place}&wait=0&access_token={token}",
    "GET /topics/{topic}?wait=0",
    "GET /topics/{topic}?wait=0&n=1",
    "GET /topics/{topic}?format=sse&since={place}",
    "GET /topics/{topic}?watchers&wait=0",
    "GET /topics/{topic}?history=1h",
    "HEAD /topics/{topic}",
    "POST /topics/{topic}",
    "DELETE /topics/{topic}",
    "OPTIONS /topics/{topic}",
    "GET /topics",
    "GET /-/session",
    "POST /-/session",
    "GET /nothing",
)
FIELDS = (
    *(f"Authorization: Bearer {token}" for token in TOKENS),
    "Authorization: Basic eDp5",
    *(f"Cookie: slosh_session={token}" for token in TOKENS),
    f"Cookie: a=b; slosh_session={READER}",
    f"Cookie: slosh_session={READER}; slosh_433911c6eb0d=epoch000.1",
    f"Cookie: slosh_433911c6eb0d=epoch000.0; slosh_session={OTHER}",
    "Cookie: slosh_session=",
    "Cookie: slosh_433911c6eb0d=epoch000.0",
    "Origin: http://slosh.test",
    "Origin: https://one.example",
    "Origin: https://two.example",
    "Sec-Fetch-Site: same-origin",
    "Sec-Fetch-Site: cross-site",
    "X-Forwarded-Prefix: /p",
    "X-Forwarded-Prefix: /q",
    "X-Forwarded-For: 198.51.100.1",
    "X-Forwarded-For: 198.51.100.2",
    "Forwarded: for=198.51.100.3;proto=https",
    "X-Forwarded-Proto: https",
    "Accept: text/event-stream",
    "Last-Event-ID: epoch000.1",
    "Connection: close",
    "X-Request-ID: 1",
)
PEERS = ("192.0.2.1", "10.0.0.1", "10.0.0.2")
"""One that is no proxy, and two that are."""


class Server:
    """A server, and a connection of each peer to it that is opened again when it was closed.

    Args:
        forgets: whether it forgets all heads and places before each request.
    """

    def __init__(self, *, forgets: bool) -> None:
        self.site = Site(
            access=RULES,
            token_in_query="on",
            origins="https://one.example",
            trusted_proxies="10.0.0.0/8",
            unwatched="keep",
            max_wait=0.5,
            request_rate=5,
            rate_burst=10,
        )
        self.forgets = forgets
        self.site.server.wall = lambda: NOW
        self.site.server.random = lambda: 0.5
        for topic in ("mine/a", "mine/b", "theirs/a", "open/a"):
            self.site.ask("POST", f"/topics/{topic}", b"1", Authorization=f"Bearer {ALMIGHTY}")
        self.clients: dict[str, Client] = {}

    def ask(self, peer: str, sent: bytes) -> bytes:
        """All that comes back for a request."""
        site = self.site
        client = self.clients.pop(peer, None) or site.connect((peer, 40000))
        if self.forgets:
            site.heads.forget(site.server)
            site.routes.readers.latest_place = site.routes.readers.latest_since = None
            client.connection._known = None
        client.send(sent)
        site.advance(1.0)
        said = bytes(client.wire.arrived) + b"<end>" * (not client.served())
        client.wire.arrived.clear()
        if client.connection._exchange is not None or not client.served() or client.connection.phase >= CLOSING:
            client.reset()
        else:
            self.clients[peer] = client
        return said


def write(line: str, fields: list[str]) -> bytes:
    body = b"1" if line.startswith("POST /topics") else b""
    length = [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([f"{line} HTTP/1.1", "Host: slosh.test", *fields, *length, "", ""]).encode() + body


@st.composite
def alike(draw: st.DrawFn) -> list[tuple[str, bytes]]:
    """Requests that differ in little, each with the peer that sends it."""
    line = draw(st.sampled_from(LINES))
    fields = draw(st.lists(st.sampled_from(FIELDS), max_size=4, unique=True))
    found = []
    for _ in range(draw(st.integers(2, 8))):
        mine = list(fields)
        if draw(st.booleans()):
            other = draw(st.sampled_from(FIELDS))
            name = other.partition(":")[0]
            mine = [each for each in mine if not each.startswith(name)] + draw(st.sampled_from([[], [other]]))
        topic, place, token = (draw(st.sampled_from(each)) for each in (TOPICS, PLACES, TOKENS))
        found.append((draw(st.sampled_from(PEERS)), write(line.format(topic=topic, place=place, token=token), mine)))
    return found


def session(token: str) -> tuple[str, bytes]:
    return PEERS[0], write("GET /topics/mine/a?wait=0", [f"Cookie: slosh_session={token}"])


def subprotocol(token: str) -> tuple[str, bytes]:
    return PEERS[0], request("GET", "/topics/mine/a", Sec_WebSocket_Protocol=f"slosh, bearer.{token}", **HANDSHAKE)


@PROPERTY
@given(alike())
@example([session(READER), session(OTHER), session(READER)])
@example([subprotocol(READER), subprotocol(OTHER), subprotocol("slosh_unknown")])
@example([(peer, write("GET /topics/open/a?wait=0", ["X-Forwarded-Prefix: /p"])) for peer in PEERS])
def test_requests_with_any_tokens_are_answered_as_if_nothing_had_come_before(
    requests: list[tuple[str, bytes]],
) -> None:
    knows, forgets = Server(forgets=False), Server(forgets=True)
    with closing(knows.site), closing(forgets.site):
        for peer, sent in requests:
            assert knows.ask(peer, sent) == forgets.ask(peer, sent), sent


def test_a_place_in_a_cookie_beside_the_session_is_not_routed_again(make_site: MakeSite) -> None:
    """Every poll of a browser that is signed in brings another place."""
    site = make_site(access=RULES, unwatched="keep")
    site.ask("POST", "/topics/mine/a", b"1", Authorization=f"Bearer {ALMIGHTY}")
    place = site.get("/topics/mine/a?wait=0", Authorization=f"Bearer {READER}").cookie
    name = place.partition("=")[0]
    known = []
    for cookie in (place, f"{name}=epoch000.0", f"{name}=epoch000.9"):
        client = site.connect().get("/topics/mine/a?wait=0", Cookie=f"a=b; {cookie}; slosh_session={READER}")
        assert client.next().status == 200
        known.append(site.heads.latest.action)
    assert known[0] is known[1] is known[2]
    client = site.connect().get("/topics/mine/a?wait=0", Cookie=f"{place}; slosh_session={OTHER}")
    assert client.next().status == 403
    assert site.heads.latest.action is not known[0]
