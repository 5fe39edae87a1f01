"""Readers who stand at one place and are woken together are given, byte for byte, what each is given alone.

Answers are made once for all who want the same bytes; so readers who differ in one thing are held beside each other, in
both orders, because an answer is shared with those who come after it.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import cache
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.web.readers.cookies import cookie_name
from tests.cases import each_of
from tests.properties import PROPERTY
from tests.web.frames import HANDSHAKE
from tests.web.harness import Site, request

SETTINGS: dict[str, Any] = {
    "origins": "https://one.example https://two.example",
    "compression": "websocket",
    "trusted_proxies": "192.0.2.1",
}
COOKIE = cookie_name("a") + "="


class Asks(NamedTuple):
    """How a reader asks.

    Attributes:
        fields: header fields, as `request` takes them.
        query: parameters beside the place.
        version: of HTTP.
        topics: as in the URL.
        place: how it says where it stands, with `{}` for the offset.
    """

    fields: tuple[tuple[str, str], ...] = ()
    query: str = ""
    version: str = "1.1"
    topics: str = "a"
    place: str = "since=epoch000.{}"

    def with_field(self, name: str, value: str) -> "Asks":
        return self._replace(fields=(*(each for each in self.fields if each[0] != name), (name, value)))

    def with_query(self, pair: str) -> "Asks":
        return self._replace(query=f"{self.query}&{pair}")

    def bytes(self, offset: int) -> bytes:
        """The request of one who has seen the messages up to `offset`."""
        fields = {name: value.format(offset) for name, value in self.fields}
        target = f"/topics/{self.topics}?{self.place.format(offset)}{self.query}"
        return request("GET", target, b"", self.version, **fields)


PLAIN = Asks()
BY_COOKIE = Asks(place="").with_field("Cookie", COOKIE + "epoch000.{}")
WAYS = {
    "json": PLAIN,
    "by cookie": BY_COOKIE,
    "sse": PLAIN.with_field("Accept", "text/event-stream"),
    "ndjson": PLAIN.with_field("Accept", "application/x-ndjson"),
    "websocket": PLAIN._replace(fields=tuple(HANDSHAKE.items())),
    "several": PLAIN._replace(topics="a,b", place="since=a=epoch000.{},b=epoch001.0"),
    "by pattern": PLAIN._replace(topics="*", place="since=*,a=epoch000.{},b=epoch001.0"),
}
"""Ways of reading, in each of which all that follows is tried."""

DIFFERENCES: dict[str, Callable[[Asks], Asks]] = {
    "in nothing": lambda asks: asks,
    "in origin": lambda asks: asks.with_field("Origin", "https://one.example"),
    "in another origin": lambda asks: asks.with_field("Origin", "https://two.example"),
    "in limit": lambda asks: asks.with_query("limit=1"),
    "in a larger limit": lambda asks: asks.with_query("limit=2"),
    "in key": lambda asks: asks.with_query("key=k"),
    "in another key": lambda asks: asks.with_query("key=j"),
    "in every": lambda asks: asks.with_query("every=1s"),
    "in Connection": lambda asks: asks.with_field("Connection", "close") if asks is not WAYS["websocket"] else asks,
    "in HTTP/1.0": lambda asks: asks._replace(version="1.0") if asks is not WAYS["websocket"] else asks,
    "in HTTP/1.0 that stays": lambda asks: (
        asks._replace(version="1.0").with_field("Connection", "keep-alive") if asks is not WAYS["websocket"] else asks
    ),
    "in prefix": lambda asks: asks.with_field("X_Forwarded_Prefix", "/slosh"),
    "in TLS": lambda asks: asks.with_field("X_Forwarded_Proto", "https"),
    "in minimal answers": lambda asks: asks.with_field("Prefer", "return=minimal, wait=3"),
    "in times": lambda asks: asks.with_query("times"),
    "in token": lambda asks: asks.with_field("Authorization", "Bearer xyz"),
    "in a session's cookie": lambda asks: asks.with_field("Cookie", "session=1; " + COOKIE + "epoch000.{}"),
    "in an unknown parameter": lambda asks: asks.with_query("foramt=sse"),
    "in compression": lambda asks: asks.with_field("Sec_WebSocket_Extensions", "permessage-deflate"),
    "in wait": lambda asks: asks.with_query("wait=3"),
    "in path": lambda asks: asks._replace(topics=asks.topics.replace("a", "%61")),
    "in offset alone": lambda asks: asks if asks.topics != "a" else asks._replace(place="n={}"),
    "in header resumption": lambda asks: asks.with_field("Last_Event_ID", "epoch000.{}"),
}
"""What a reader may do otherwise than the one beside it. A new parameter or field gets a line."""

ALL = {(way, what): change(asks) for way, asks in WAYS.items() for what, change in DIFFERENCES.items()}

SHOWN = {"in origin", "in another origin", "in limit", "in a larger limit", "in key", "in another key", "in every"}
"""What shows in the bytes that are sent, whichever the way."""
OF_POLLS = {"in Connection", "in HTTP/1.0", "in HTTP/1.0 that stays", "in wait"}
SHOWN_BY = {
    "json": OF_POLLS,
    "by cookie": OF_POLLS | {"in TLS", "in path"},
    "sse": {"in HTTP/1.0"},
    "ndjson": {"in HTTP/1.0"},
    "websocket": {"in compression"},
    "several": OF_POLLS,
    "by pattern": OF_POLLS,
}

MESSAGES = [b'{"k":1,"j":1}', b'{"k":1,"j":2}', b'{"k":2,"j":2}', b'"' + b"slosh " * 50 + b'"']
SEEN = 2
"""Messages that came before the readers."""
TOGETHER = 23
"""Pairs of readers in a row that one server is asked by."""


def heard(*readers: Asks) -> list[bytes]:
    """All that each of these readers is sent, who come one after another and are woken together, again and again."""
    with closing(Site(**SETTINGS)) as site:
        site.server.wall = lambda: 784111777.0
        site.server.random = lambda: 0.5
        for topic in "ab":
            site.get(f"/topics/{topic}?wait=0&since=now")
        for number in range(SEEN):
            site.post("/topics/a", b"%d" % number)
        clients = [site.connect().send(asks.bytes(SEEN)) for asks in readers]
        newest = SEEN
        for messages in (MESSAGES, [b'{"k":3}']):
            site.post("/topics/a?batch=ndjson", b"\n".join(messages))
            site.advance(0.5)
            site.post("/topics/a", b"0")  # while `every` gathers
            site.advance(0.6)
            newest += len(messages) + 1
            for asks, client in zip(readers, clients, strict=True):
                if client.served() and client.connection._exchange is None:
                    client.send(asks.bytes(newest))
        site.advance(4)  # for `wait`
        site.drain(1)
        site.advance(2)
        return [bytes(client.wire.arrived) for client in clients]


@cache
def alone(asks: Asks) -> bytes:
    return heard(asks)[0]


def each_beside_each(all_of_them: Sequence[Asks]) -> Iterator[Sequence[Asks]]:
    """Readers so that each stands right behind each other one, once; some of them at a time, as one server is asked."""
    readers = [each for pair in itertools.combinations(all_of_them, 2) for each in pair] + [all_of_them[0]]
    for start in range(0, len(readers) - 1, TOGETHER):
        yield readers[start : start + TOGETHER + 1]


def assert_each_is_told_as_if_alone(readers: Sequence[Asks]) -> None:
    for asks, answer in zip(readers, heard(*readers), strict=True):
        assert answer == alone(asks), f"{asks} beside {readers}"


@each_of("way", WAYS)
def test_what_a_reader_asks_for_shows_in_what_it_is_told(way: str) -> None:
    """Else the other tests of this file would prove nothing."""
    unlike = {what for what in DIFFERENCES if alone(ALL[way, what]) != alone(WAYS[way])}
    assert b"slosh slosh" in alone(WAYS[way])
    assert unlike >= SHOWN | SHOWN_BY[way]


@pytest.mark.parametrize("way", WAYS)
def test_readers_of_one_way_who_differ_in_one_thing(way: str) -> None:
    for readers in each_beside_each([ALL[way, what] for what in DIFFERENCES]):
        assert_each_is_told_as_if_alone(readers)


@pytest.mark.parametrize("what", DIFFERENCES)
def test_readers_of_two_ways_who_differ_in_nothing_else(what: str) -> None:
    for readers in each_beside_each([ALL[way, what] for way in WAYS]):
        assert_each_is_told_as_if_alone(readers)


def test_each_stands_behind_each_other_one() -> None:
    """Else the tests above would leave some out."""
    asks = [PLAIN.with_query(str(number)) for number in range(7)]
    beside = [pair for readers in each_beside_each(asks) for pair in itertools.pairwise(readers)]
    assert sorted(beside) == sorted(itertools.permutations(asks, 2))


@PROPERTY
@given(st.lists(st.sampled_from(sorted(ALL)), min_size=2, max_size=8))
def test_any_readers(readers: list[tuple[str, str]]) -> None:
    assert_each_is_told_as_if_alone([ALL[each] for each in readers])
