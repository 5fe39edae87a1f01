"""The tries of a publish. Times are numbers, answers are made here."""

import contextlib
from collections.abc import Callable

import httpx2
import pytest

from slosh.client.delivery import Delivery
from slosh.client.errors import ClientError, Refused, Unreachable
from slosh.client.request import Post, make_options, one_post
from tests.cases import each_of

OPTIONS = make_options("http://pi:8000", None, None, 10.0)


def answer(status: int, body: bytes = b"{}") -> httpx2.Response:
    return httpx2.Response(status, content=body)


@pytest.fixture
def post() -> Post:
    return one_post("kitchen", 1, {})


def test_each_try_has_the_time_that_is_left(post: Post) -> None:
    delivery = Delivery(post, OPTIONS, 100.0)
    assert [round(delivery.left(now), 3) for now in (100.0, 104.0, 110.0, 111.0)] == [10.0, 6.0, 0.001, 0.001]


def test_what_passes_is_tried_again_until_the_time_is_over(post: Post) -> None:
    delivery = Delivery(post, OPTIONS, 100.0)
    assert delivery.answered(answer(503, b'{"code":"draining"}'), 101.0) is None
    delivery.failed(httpx2.ConnectError("refused"), 102.0)
    assert delivery.pause > 0
    with pytest.raises(Refused) as refused:
        delivery.answered(answer(503, b'{"code":"draining"}'), 110.0)
    assert refused.value.status == 503
    with pytest.raises(Unreachable):
        delivery.failed(httpx2.ConnectError("refused"), 110.0)


def test_a_publish_that_was_taken_is_over(post: Post) -> None:
    delivery = Delivery(post, OPTIONS, 100.0)
    published = delivery.answered(answer(200, b'{"max":3,"next":"e.3","watchers":2}'), 200.0)
    assert published is not None
    assert (published.taken, published.max, published.watchers) == (True, 3, 2)


def pauses_of(timeout: float, answers: Callable[[Delivery, float], object]) -> tuple[list[float], float]:
    """The times at which tries are made, each of which fails at once, and when the last one gave up."""
    options = make_options("http://pi:8000", None, None, timeout)
    now = 100.0
    delivery = Delivery(one_post("kitchen", 1, {}), options, now)
    tries = [0.0]
    with contextlib.suppress(ClientError):
        while True:
            answers(delivery, now)
            now += delivery.pause
            tries.append(now - 100.0)
    return tries, now - 100.0


@each_of("timeout", [0.5, 2.0, 4.0, 10.0, 60.0])
@each_of(
    "fail",
    [
        lambda delivery, now: delivery.failed(httpx2.ConnectError("refused"), now),
        lambda delivery, now: delivery.answered(answer(502, b"Bad Gateway"), now),
    ],
    ids=["refused", "502"],
)
def test_tries_go_on_to_the_end_of_the_time_and_not_beyond(
    timeout: float, fail: Callable[[Delivery, float], object]
) -> None:
    """Whatever the pauses are, which grow and are random: who waits 10 s survives a restart of 9 s."""
    for _ in range(20):
        tries, end = pauses_of(timeout, fail)
        assert end == pytest.approx(timeout - min(0.5, timeout / 20))
        assert len(tries) >= 3
        assert tries == sorted(tries)


def test_a_server_that_says_when_to_come_back_is_not_asked_sooner() -> None:
    away = httpx2.Response(503, headers={"Retry-After": "4"}, content=b'{"code":"draining"}')
    tries, end = pauses_of(10.0, lambda delivery, now: delivery.answered(away, now))
    assert (tries, end) == ([0.0, 4.0, 8.0], 8.0)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_gateway_whose_server_is_away_is_tried_again_and_then_unreachable(post: Post, status: int) -> None:
    """Not refused: who tries later where nothing listens does so behind a proxy, too."""
    delivery = Delivery(post, OPTIONS, 100.0)
    assert delivery.answered(answer(status, b"<h1>Bad Gateway</h1>"), 101.0) is None
    with pytest.raises(Unreachable):
        delivery.answered(answer(status, b"<h1>Bad Gateway</h1>"), 110.0)
