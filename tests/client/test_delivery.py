"""The tries of a publish. Times are numbers, answers are made here."""

import httpx2
import pytest

from slosh.client.delivery import Delivery
from slosh.client.errors import Refused, Unreachable
from slosh.client.request import Post, make_options, one_post

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
    assert post.pause > 0
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
