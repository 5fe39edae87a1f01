"""How long a client may take, in virtual time: slow heads, slow bodies, idle connections, readers that stall."""

import pytest

from slosh.core.timers import TICK
from slosh.http1.lingering import PAUSE
from slosh.settings import Settings
from tests.cases import each_of
from tests.conformance.case import chunked, get, post
from tests.conformance.fake import FakeClient
from tests.conformance.wire import parse

SETTINGS = Settings(head_timeout=10.0, body_timeout=30.0, idle_timeout=75.0, write_timeout=60.0)
HEAD = get(b"X-Long: " + b"v" * 200)
BODY = b"hello"


def statuses(client: FakeClient) -> list[int]:
    return [answer.status for answer in parse(client.output, ended=client.hung_up())]


def drip(client: FakeClient, data: bytes, seconds: float) -> float:
    """Send byte after byte, one each `seconds`, until the server hangs up. Gives the time that took."""
    start = client.loop.now
    for at in range(len(data)):
        client.feed(data[at : at + 1])
        client.pass_time(seconds)
        if client.hung_up():
            break
    return client.loop.now - start


@pytest.mark.parametrize("seconds", [0.1, 1.0, 9.0])
def test_a_dripping_head_gets_408_when_head_timeout_is_over_and_no_byte_puts_it_off(seconds: float) -> None:
    client = FakeClient(SETTINGS)
    took = drip(client, HEAD, seconds)
    assert statuses(client) == [408]
    assert 10.0 <= took <= 10.0 + TICK + seconds


@each_of("seconds", [0.1, 5.0, 29.0])
@each_of(
    "sent",
    [
        post(b"Content-Length: 1000", body=b"a" * 999),
        chunked(b"1\r\na\r\n" * 200),
        chunked(b"0\r\nX: " + b"v" * 999),
    ],
    ids=["length", "chunks", "trailers"],
)
def test_a_dripping_body_gets_408_when_body_timeout_is_over(sent: bytes, seconds: float) -> None:
    head, _, body = sent.partition(b"\r\n\r\n")
    client = FakeClient(SETTINGS)
    client.feed(head + b"\r\n\r\n")
    took = drip(client, body, seconds)
    assert statuses(client) == [408]
    assert 30.0 <= took <= 30.0 + TICK + seconds


def test_empty_lines_do_not_keep_a_connection_for_ever() -> None:
    client = FakeClient(SETTINGS)
    took = drip(client, b"\r\n" * 100, 1.0)
    assert statuses(client) == [408]
    assert took <= 75.0 + 10.0 + 2 * TICK + 2


def test_a_408_says_that_the_connection_closes_and_nothing_sent_later_is_answered() -> None:
    client = FakeClient(SETTINGS)
    client.feed(b"GET / HT")
    client.pass_time(10.0 + TICK)
    (answer,) = parse(client.output, ended=client.hung_up())
    assert answer.says_close
    client.feed(b"TP/1.1\r\nHost: a\r\n\r\n", get())
    assert statuses(client) == [408]


def test_each_request_has_its_time_again() -> None:
    client = FakeClient(SETTINGS)
    for _ in range(3):
        client.feed(HEAD[:20])
        client.pass_time(9.0)
        client.feed(HEAD[20:])
    assert statuses(client) == [200] * 3
    assert not client.hung_up()


def test_the_head_may_take_its_time_and_the_body_then_its_own() -> None:
    client = FakeClient(SETTINGS)
    client.feed(b"POST / HTTP/1.1\r\nHost: a\r\n")
    client.pass_time(9.0)
    client.feed(b"Content-Length: 5\r\n\r\n")
    client.pass_time(29.0)
    client.feed(BODY)
    assert statuses(client) == [200]


def test_an_idle_connection_is_closed_without_a_word() -> None:
    client = FakeClient(SETTINGS)
    client.pass_time(75.0 - TICK)
    assert not client.hung_up()
    client.pass_time(2 * TICK)
    assert client.hung_up()
    assert client.output == b""


def test_an_idle_connection_is_closed_after_its_last_answer_plus_idle_timeout() -> None:
    client = FakeClient(SETTINGS)
    client.pass_time(70.0)
    client.feed(get())
    client.pass_time(75.0 - TICK)
    assert not client.hung_up()
    client.pass_time(2 * TICK)
    assert client.hung_up()
    assert statuses(client) == [200]


def test_after_a_refusal_the_socket_is_closed_soon_even_if_the_client_stays() -> None:
    client = FakeClient(SETTINGS)
    client.feed(b"BAD\r\n\r\n")
    assert client.hung_up()
    assert not client.transport.is_closing(), (
        "what the client still sends is read, so that the answer is not lost to a reset"
    )
    client.feed(b"more" * 1000)
    client.pass_time(PAUSE + TICK)
    assert client.transport.is_closing()


def test_a_reader_that_takes_nothing_is_cut_off_when_write_timeout_is_over() -> None:
    client = FakeClient(SETTINGS)
    client.transport.untaken = 100_000
    client.connection.pause_writing()
    client.feed(get())
    assert client.output == b"", "nothing more is written to a full socket"
    client.pass_time(60.0 + TICK)
    client.pass_time(60.0 + TICK)
    assert client.transport.aborted


def test_a_reader_that_takes_a_little_is_kept() -> None:
    client = FakeClient(SETTINGS)
    client.transport.untaken = 100_000
    client.connection.pause_writing()
    for _ in range(5):
        client.pass_time(59.0)
        client.transport.untaken -= 1000
    assert not client.transport.aborted
    client.transport.untaken = 0
    client.connection.resume_writing()
    client.feed(get())
    assert statuses(client) == [200]
