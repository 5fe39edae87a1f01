"""`Expect: 100-continue` (RFC 9110 §10.1.1): asked for when it helps, never out of turn, never in vain."""

import pytest

from slosh.errors import MethodNotAllowed
from slosh.http1.handler import Action, Application, Refusal
from slosh.http1.head import Head
from slosh.settings import Settings
from slosh.testing.echo import EchoBody
from tests.conformance.case import chunked, get, post
from tests.conformance.fake import FakeClient
from tests.conformance.wire import parse

EXPECT = b"Expect: 100-continue"
HEAD = post(b"Content-Length: 5", EXPECT)


def statuses(client: FakeClient) -> list[int]:
    return [answer.status for answer in parse(client.output, ended=client.hung_up())]


def test_the_body_is_asked_for_once_and_answered_once() -> None:
    client = FakeClient()
    client.feed(HEAD)
    assert statuses(client) == [100]
    client.feed(b"he", b"llo")
    assert statuses(client) == [100, 200]


def test_a_chunked_body_is_asked_for_too() -> None:
    client = FakeClient()
    client.feed(get(b"Transfer-Encoding: chunked", EXPECT, method=b"POST"), b"5\r\nhello\r\n", b"0\r\n\r\n")
    assert statuses(client) == [100, 200]


def test_a_body_that_is_there_already_needs_no_100() -> None:
    client = FakeClient()
    client.feed(HEAD + b"hello")
    assert statuses(client) == [200]


@pytest.mark.parametrize("sent", [get(EXPECT), post(b"Content-Length: 0", EXPECT)])
def test_where_there_is_no_body_there_is_no_100(sent: bytes) -> None:
    client = FakeClient()
    client.feed(sent)
    assert statuses(client) == [200]


def test_a_body_that_is_too_large_is_never_asked_for() -> None:
    client = FakeClient(Settings(max_message=1000, max_body=1000))
    client.feed(post(b"Content-Length: 1001", EXPECT))
    assert statuses(client) == [413]
    assert client.hung_up()


class Closed(Application):
    """An application in which every address is refused by its head alone."""

    def route(self, head: Head) -> Action:  # noqa: ARG002 - all the same
        return Refusal(MethodNotAllowed("GET"), 1000, b"")


def test_a_body_that_would_be_thrown_away_is_not_asked_for() -> None:
    client = FakeClient(application=Closed())
    client.feed(HEAD)
    (answer,) = parse(client.output, ended=client.hung_up())
    assert answer.status == 405
    assert answer.says_close, "whether the body still comes nobody knows"
    assert client.hung_up()


def test_without_an_expectation_the_same_body_is_read_and_the_connection_lives_on() -> None:
    client = FakeClient(application=Closed())
    client.feed(post(b"Content-Length: 5"), b"hello")
    assert statuses(client) == [405]
    assert not client.hung_up()


class Open(Application):
    """An application that lets other origins read its answers."""

    def route(self, head: Head) -> Action:  # noqa: ARG002 - all the same
        action = EchoBody(max_body=1000)
        action.fields = b"Access-Control-Allow-Origin: *\r\n"
        return action


def test_a_refusal_that_closes_has_the_fields_of_every_answer_too() -> None:
    small = Settings(max_message=1000, max_body=1000)
    client = FakeClient(small, Open())
    client.feed(post(b"Content-Length: 1001"))
    (answer,) = parse(client.output, ended=client.hung_up())
    assert answer.status == 413
    assert answer.all(b"access-control-allow-origin") == [b"*"]


def test_an_old_client_is_not_sent_a_100_it_does_not_know() -> None:
    client = FakeClient()
    client.feed(post(b"Content-Length: 5", EXPECT, version=b"HTTP/1.0"))
    assert statuses(client) == []
    client.feed(b"hello")
    assert statuses(client) == [200]


def test_the_100_waits_for_the_answers_before_it() -> None:
    client = FakeClient()
    client.feed(get() + chunked(b"3\r\none\r\n0\r\n\r\n") + HEAD)
    assert statuses(client) == [200, 200, 100]


def test_the_same_head_again_asks_again() -> None:
    client = FakeClient()
    for _ in range(3):
        client.feed(HEAD, b"hello")
    assert statuses(client) == [100, 200] * 3
