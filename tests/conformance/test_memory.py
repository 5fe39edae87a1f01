"""Heads that are remembered are answered as if they were read again, whatever was asked before and by whom.

A memory that takes one request for another is a cache that a stranger can poison: so each request is asked of a
server that has answered many like it, and of one that has just been started, and the answers are the same.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cases import each_of
from tests.conformance.wire import parse
from tests.properties import STORIES
from tests.web.harness import Site

CURSORS = (
    "",
    "epoch000.0",
    "epoch000.1",
    "epoch000.3",
    "epoch000.99",
    "epoch001.1",
    "other.2",
    "x.1",
    "a" * 32 + ".1",
    "a" * 33 + ".1",
    "epoch000.01",
    "epoch000.1.2",
    "epoch000.-1",
    "epoch000.",
    ".1",
    "epoch000.999999999999999",
    "epoch000.9999999999999999",
    "epoch000.99999999999999999",
    "EPOCH000.1",
    "epoch000.1\0",
    "\0",
    "epoch000.1%00",
    "epoch000%2e1",
    "%65poch000.1",
    "epoch000.1+",
    "epoch000.1;x",
    "epoch000.1#",
    "a=epoch000.1",
    "now",
    "earliest",
    "-2",
    "90s",
    "nonsense",
)
QUERIES = (
    "since={}",
    "since={}&wait=0",
    "wait=0&since={}",
    "wait=0&since={}&limit=1",
    "n=1&wait=0&since={}",
    "wait=0&since={}&n=1",
    "wait=0&since={}&since=epoch000.2",
    "since=epoch000.2&wait=0&since={}",
    "since=&wait=0&since={}",
    "wait=0&Since={}",
    "wait=0&sinc%65={}",
    "wait=0&xsince={}",
    "wait=0&x=since={}",
    "wait=0&&since={}",
    "wait=0&since={}&key=v",
    "wait=0?since={}",
    "wait=0&since={}&format=json",
)
# Only of topics that are there from the start: a new one would be another server than before, and rightly.
PATHS = ("/topics/a", "/topics/b", "/topics/a,b", "/topics/%61", "/topics//a", "/view/a", "/")
METHODS = ("GET", "GET", "GET", "HEAD", "OPTIONS", "PUT")
VERSIONS = ("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "http/1.1")
FIELDS = (
    "",
    "",
    "Last-Event-ID: epoch000.1\r\n",
    "Cookie: a=b\r\n",
    "Prefer: wait=0\r\n",
    "Origin: http://other.test\r\n",
    "X : v\r\n",
    "Content-Length: 0\r\n",
    "Connection: close\r\n",
)


@contextmanager
def loaded() -> Iterator[Site]:
    """Make a server with three messages in each of two topics."""
    site = Site(unwatched="keep", max_wait=0.5)
    try:
        for topic in ("a", "b"):
            for number in range(3):
                assert site.post(f"/topics/{topic}", b'{"v":%d}' % number).status == 200
        yield site
    finally:
        site.close()


class Said(NamedTuple):
    """What a server said to one request."""

    status: int
    fields: list[tuple[bytes, bytes]]
    """Less the date."""
    body: bytes
    alive: bool


def answer(site: Site, sent: bytes) -> Said:
    """Ask on a connection of its own."""
    client = site.connect().send(sent)
    site.advance(1.0)  # a poll that was held is answered by now
    (only,) = parse(bytes(client.wire.arrived), head=sent.startswith(b"HEAD "), ended=not client.served())
    alive = client.served()
    client.reset()
    return Said(only.status, [field for field in only.fields if field[0] != b"date"], only.body, alive)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    query = draw(st.sampled_from(QUERIES)).format(draw(st.sampled_from(CURSORS)))
    path = draw(st.sampled_from(PATHS))
    line = f"{draw(st.sampled_from(METHODS))} {path}?{query} {draw(st.sampled_from(VERSIONS))}\r\n"
    return f"{line}Host: slosh.test\r\n{draw(st.sampled_from(FIELDS))}\r\n".encode("latin-1")


@cache
def answer_of_a_new_server(sent: bytes) -> Said:
    with loaded() as new:
        return answer(new, sent)


def same_as_first(asked: list[bytes]) -> None:
    with loaded() as old:
        for sent in asked:
            assert answer(old, sent) == answer_of_a_new_server(sent), sent


def poll(since: str, query: str = "wait=0&since={}") -> bytes:
    return f"GET /topics/a?{query.format(since)} HTTP/1.1\r\nHost: slosh.test\r\n\r\n".encode("latin-1")


@each_of("query", QUERIES)
def test_every_cursor_after_every_other_is_read_as_if_it_were_the_first(query: str) -> None:
    usual = "epoch000.1"
    same_as_first([poll(since, query) for other in CURSORS for since in (other, usual)])
    same_as_first([poll(usual, query), *(poll(since, query) for since in CURSORS)])


@settings(deadline=None, max_examples=STORIES)
@given(st.lists(requests(), min_size=1, max_size=8))
def test_what_was_asked_before_changes_no_answer(asked: list[bytes]) -> None:
    same_as_first(asked)


@settings(deadline=None, max_examples=STORIES)
@given(st.lists(requests(), min_size=2, max_size=8))
def test_nor_does_it_on_one_connection(asked: list[bytes]) -> None:
    with loaded() as site:
        client = site.connect()
        for sent in asked:
            if not client.served():
                break
            client.wire.arrived.clear()
            client.send(sent)
            site.advance(1.0)
            (only,) = parse(bytes(client.wire.arrived), head=sent.startswith(b"HEAD "), ended=not client.served())
            alone = answer_of_a_new_server(sent)
            assert (only.status, only.body, client.served()) == (alone.status, alone.body, alone.alive), sent
        client.reset()
