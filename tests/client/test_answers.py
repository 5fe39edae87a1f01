"""What the answer to a single request says, and how long to wait before the next try."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest

from slosh.client.answers import (
    TopicPages,
    pause_before,
    read_answer,
    read_patterns,
    read_published,
    read_retry_after,
    read_watchers,
)
from slosh.client.errors import NotTaken, Refused, Unreachable
from slosh.client.history import read_history
from slosh.client.protocol import WatchState
from slosh.commands.relay_place import find_begin
from tests.cases import each_of

HUGE = b"9" * 400
"""A whole number that no float takes."""
SERVER = 784111777.0
"""06 Nov 1994 08:49:37 GMT, the example of RFC 9110 §5.6.7."""


class TestRetryAfter:
    """A date to come back at is compared with the server's clock, because this machine's may be hours off."""

    @pytest.mark.parametrize(
        "later", ["Sun, 06 Nov 1994 08:49:44 GMT", "Sunday, 06-Nov-94 08:49:44 GMT", "Sun Nov  6 08:49:44 1994"]
    )
    def test_a_date_in_each_of_its_forms(self, later: str) -> None:
        headers = {"retry-after": later, "date": "Sun, 06 Nov 1994 08:49:37 GMT"}
        assert read_retry_after(headers, clock=lambda: SERVER + 7200) == 7
        assert read_retry_after({"retry-after": later}, clock=lambda: SERVER) == 7
        assert pause_before(1, headers, 0.0) == 7

    def test_a_date_far_away_is_bounded_and_a_past_one_is_none(self) -> None:
        now = {"date": "Sun, 06 Nov 1994 08:49:37 GMT"}
        assert read_retry_after({"retry-after": "Mon, 07 Nov 1994 08:49:37 GMT"} | now) == 30
        assert read_retry_after({"retry-after": "Sun, 06 Nov 1994 08:49:36 GMT"} | now) is None
        assert read_retry_after({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"} | now) == 0

    @each_of("text", ["", "soon", "-5", "1.5", "\u0663", "Sun, 99 Foo 9999 99:99:99 GMT"])
    def test_anything_else_is_none(self, text: str) -> None:
        assert read_retry_after({"retry-after": text}, clock=lambda: SERVER) is None

    def test_a_watch_waits_as_long(self) -> None:
        reader = WatchState(["a"], {}, jitter=lambda: 0.0)
        headers = {"retry-after": "Sun, 06 Nov 1994 08:49:44 GMT", "date": "Sun, 06 Nov 1994 08:49:37 GMT"}
        reader.answered(503, headers, b"", "x")
        assert reader.pause == 7


class TestPublished:
    """What the answer to a POST says."""

    def test_a_topic_that_nobody_watches_is_a_result(self) -> None:
        published = read_published(404, {}, b'{"code":"no_watchers"}', "x")
        assert not published
        assert not published.taken

    def test_another_404_is_not(self) -> None:
        """A wrong address must not look like a topic that nobody watches."""
        with pytest.raises(Refused) as caught:
            read_published(404, {}, b"<html>", "http://x")
        assert not isinstance(caught.value, NotTaken)
        assert "http://x answered 404" in str(caught.value)

    def test_what_was_taken(self) -> None:
        published = read_published(200, {}, b'{"max":3,"next":"aaaaaaaa.3","watchers":2}', "x")
        assert published
        assert (published.max, published.watchers, published.next) == (3, 2, "aaaaaaaa.3")
        assert (published.queue, published.queue_bytes) == (0, 0)
        published = read_published(200, {}, b'{"max":3,"accepted":3,"queue":100,"queue_bytes":4096}', "x")
        assert (published.queue, published.queue_bytes) == (100, 4096)

    @pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"ok"])
    def test_200_from_something_else_is_no_success(self, body: bytes) -> None:
        with pytest.raises(Refused):
            read_published(200, {}, body, "x")


@pytest.mark.parametrize(
    ("said", "patterns"),
    [
        ({"patterns": ["a/*"]}, ["a/*"]),
        ({"patterns": ["a/*"], "more": True}, ["a/*", "**"]),
        ({"patterns": ["**"], "more": True}, ["**"]),
        ({"topics": []}, []),
    ],
    ids=["all", "more", "more-known", "old-server"],
)
def test_patterns_that_are_read(said: dict[str, object], patterns: list[str]) -> None:
    assert read_patterns(said) == patterns


@each_of("status", [502, 503, 504])
@each_of("body", [b"<h1>Bad Gateway</h1>", b"", b'{"message":"no upstream"}'])
def test_a_gateway_whose_server_is_away_is_no_answer_of_the_server(status: int, body: bytes) -> None:
    with pytest.raises(Unreachable, match=f"answers {status}"):
        read_answer(status, {}, body, "http://pi", dict)
    own = b'{"code":"draining","detail":"The server is shutting down."}'
    with pytest.raises(Refused, match="shutting down"):
        read_answer(status, {}, own, "http://pi", dict)


@each_of(
    ("status", "headers", "body"),
    [
        (400, {}, b'{"detail":"\\u001b]0;title\\u0007 \\u009b2J\\u202e","code":"bad_topic"}'),
        (302, {"location": "http://x/\x1b]0;title\x07/topics"}, b""),
        (302, {"location": "/\u009b2J/topics/"}, b""),
    ],
)
def test_words_of_a_server_do_nothing_to_a_terminal(status: int, headers: dict[str, str], body: bytes) -> None:
    """The commands print an error as it is, and so does Python itself."""
    for read in (read_published, partial(read_answer, read=dict)):
        with pytest.raises(Refused) as caught:
            read(status, headers, body, "http://pi")
        assert (str(caught.value).isprintable(), caught.value.detail.isprintable()) == (True, True)


@pytest.mark.parametrize("status", [500, 501, 404, 429])
def test_other_answers_of_a_gateway_are_answers(status: int) -> None:
    with pytest.raises(Refused):
        read_answer(status, {}, b"no", "http://pi", dict)


def test_a_server_that_sends_clients_on_to_itself_is_told_with_what_to_pass_on() -> None:
    """As nginx does where only `location /topics/` is passed on. It said to give the address that was given."""
    for location in ("http://pi/topics/", "/topics/"):
        with pytest.raises(Refused) as refused:
            read_answer(301, {"location": location}, b"", "http://pi", dict)
        assert "to /topics/ there, so a proxy" in refused.value.detail
        assert "give that address" not in refused.value.detail
    with pytest.raises(Refused, match="to http://there; give that address"):
        read_answer(301, {"location": "http://there/topics/"}, b"", "http://pi", dict)


@each_of(
    ("read", "body"),
    [
        (TopicPages().take, b"[]"),
        (TopicPages().take, b"{}"),
        (TopicPages().take, b'{"topics":7}'),
        (TopicPages().take, b'{"topics":["a"]}'),
        (TopicPages().take, b'{"topics":[{"name":"a","watchers":"two","max":1,"age":1,"rate":1}]}'),
        (TopicPages().take, b'{"topics":[{"name":null,"watchers":2,"max":1,"age":1,"rate":1}]}'),
        (TopicPages().take, b'{"topics":[{"name":"a","watchers":2,"max":1,"age":1}]}'),
        (TopicPages().take, b'{"topics":[{"name":"a","watchers":%b,"max":1,"age":1,"rate":1}]}' % HUGE),
        (read_watchers, b'{"watchers":"two"}'),
        (read_watchers, b'{"watchers":null}'),
        (read_patterns, b'{"patterns":7}'),
        (read_patterns, b'{"watchers":7}'),
        (read_history, b'{"series":[]}'),
        (read_history, b'{"from":0,"to":"x","step":1,"next":"e.0","series":[]}'),
        (read_history, b'{"from":0,"to":1e3,"step":1,"next":"e.0","series":[]}'),
        (read_history, b'{"from":0,"to":10,"step":0,"next":"e.0","series":[]}'),
        (read_history, b'{"from":0,"to":1000000000000000,"step":1,"next":"e.0","series":[]}'),
        (read_history, b'{"from":0,"to":%b,"step":1,"next":"e.0","series":[]}' % HUGE),
        (read_history, b'{"from":0,"to":1,"step":1,"next":"e.0","series":["a"]}'),
        (
            read_history,
            b'{"from":0,"to":1,"step":1,"next":"e.0","series":[{"path":"a","count":[],"min":[],"max":[],"mean":[]}]}',
        ),
        (find_begin, b'{"next":"e.0","topics":{"a":7}}'),
        (find_begin, b'{"max":7}'),
    ],
)
def test_something_else_that_answers_in_json_is_told_as_no_slosh(
    read: Callable[[Mapping[str, Any]], object], body: bytes
) -> None:
    """A program got a KeyError of ours, and a command ended with a traceback; a history of some bytes filled memory."""
    with pytest.raises(Refused):
        read_answer(200, {}, body, "http://pi", read)


def test_a_list_of_a_server_is_read() -> None:
    pages = TopicPages()
    topic = {"name": "a", "watchers": 2, "max": 1, "age": 0.5, "rate": 0.0, "ended": True}
    assert read_answer(200, {}, json.dumps({"topics": [topic], "after": "a"}).encode(), "http://pi", pages.take)
    assert not read_answer(200, {}, b'{"topics":[]}', "http://pi", pages.take)
    assert (pages.found, pages.query) == ([topic], {"after": ""})
