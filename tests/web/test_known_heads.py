"""A head that is known with another cursor or name in it means what it means to a server that knows nothing."""

from contextlib import closing

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slosh.web.action import Action
from slosh.web.head import Head
from slosh.web.memory import HeadMemory, Latest
from tests.properties import PROPERTY
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
        site.edge.wall = lambda: 0.0  # for the same `Date` in all answers
        for name in "ab":
            site.get(f"/topics/{name}?wait=0")
        client = site.connect()
        for _ in range(2):
            client.send(before + GOOD[kind] + after)
        client.wire.arrived.clear()
        if not known:
            site.edge.heads = HeadMemory()
            site.edge.latest = Latest(Head(b"", "GET", b"/", 1, []), Action())
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
    """Whatever stands where the cursor or the name stood, also the end of one request and the beginning of the next."""
    assert what_comes(kind, part, known=True) == what_comes(kind, part, known=False)
