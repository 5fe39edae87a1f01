"""In which framing a GET is answered, from the head of its request alone."""

import re

import pytest

from slosh.errors import BadQuery
from slosh.http1.head import Head, parse_head
from slosh.web.query import parse_query
from slosh.web.readers.formats import AS_EVENTS, AS_JSON, AS_WEBSOCKET, Format
from slosh.web.readers.ndjson import NdjsonStream
from slosh.web.routes import FORMATS, TRANSPORTS
from tests.cases import each_of


def head_of(target: str, *fields: str, method: str = "GET") -> Head:
    lines = "".join(f"{field}\r\n" for field in fields)
    return parse_head(f"{method} {target} HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode(), 64)


def choose(query: str, *fields: str) -> Format:
    head = head_of(f"/topics/a{query}", *fields)
    return FORMATS.choose(head, parse_query(head.query))


class TestFormat:
    """In which framing."""

    @each_of(
        ("query", "fields", "expected"),
        [
            ("", (), AS_JSON),
            ("", ("Accept: */*",), AS_JSON),
            ("", ("Accept: text/event-stream",), AS_EVENTS),
            ("", ("Accept: application/json;q=0.5, application/x-ndjson",), NdjsonStream.format),
            ("", ("Accept: application/json, application/x-ndjson;q=0.5",), AS_JSON),
            ("?format=sse", (), AS_EVENTS),
            ("?format=json", ("Accept: text/event-stream",), AS_JSON),
            ("?format=ndjson", ("Accept: text/event-stream",), NdjsonStream.format),
            ("", ("Upgrade: websocket", "Connection: keep-alive, Upgrade"), AS_WEBSOCKET),
            ("", ("Upgrade: websocket",), AS_JSON),
            ("", ("Upgrade: h2c", "Connection: Upgrade"), AS_JSON),
        ],
    )
    def test_what_was_asked_for(self, query: str, fields: tuple[str, ...], expected: Format) -> None:
        assert choose(query, *fields) is expected

    @pytest.mark.parametrize("text", ["xml", "websocket", ""])
    def test_a_format_that_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(BadQuery):
            choose(f"?format={text}")


@pytest.mark.parametrize("transport", TRANSPORTS, ids=lambda each: each.format.name)
def test_each_transport_of_the_table_is_had_by_the_name_and_the_type_that_it_says_itself(transport: type) -> None:
    """So a transport is one class, and one line in the table."""
    wanted: Format = transport.format  # type: ignore[attr-defined]
    if wanted is AS_WEBSOCKET:
        assert choose("", "Upgrade: websocket", "Connection: Upgrade") is wanted
        return
    assert choose(f"?format={wanted.name}") is wanted
    assert choose("", f"Accept: {wanted.media_type}") is wanted
    assert choose("", f"Accept: {wanted.media_type.upper()};q=0.2, text/html") is wanted


def test_the_refusal_of_a_format_names_those_that_there_are() -> None:
    *names, last = (each.format.name for each in TRANSPORTS if each.format is not AS_WEBSOCKET)
    told = f"format is {', '.join(names)} or {last}; a WebSocket is asked for with Upgrade."
    with pytest.raises(BadQuery, match=re.escape(told)):
        choose("?format=xml")


@each_of(
    ("target", "fields", "expected"),
    [
        ("/topics/a", ("Accept: text/event-stream",), True),
        ("/topics/a?format=sse", (), True),
        ("/topics?watch", (), True),
        ("/topics", ("Accept: text/event-stream",), False),
        ("/topics/a?watchers", ("Accept: text/event-stream",), False),
        ("/topics/a?format=xml", ("Accept: text/event-stream",), False),
        ("/elsewhere", ("Accept: text/event-stream",), False),
    ],
)
def test_whose_refusals_are_told_as_events(target: str, fields: tuple[str, ...], expected: bool) -> None:
    assert FORMATS.asks_for_events(head_of(target, *fields)) is expected


def test_a_post_is_never_answered_with_events() -> None:
    assert not FORMATS.asks_for_events(head_of("/topics/a", "Accept: text/event-stream", method="POST"))
