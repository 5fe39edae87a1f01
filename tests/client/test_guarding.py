"""A generator is published, and stops when nobody reads."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from slosh.client import AsyncClient, Client, guard
from slosh.client.errors import BadUse, NotTaken
from slosh.testing.server import TestingServer
from tests.running import PATIENCE


class Model:
    """Writes numbers until it is told to stop."""

    def __init__(self, most: int = 10**9) -> None:
        self.most = most
        self.closed = False

    def __iter__(self) -> Iterator[int]:
        try:
            yield from range(self.most)
        finally:
            self.closed = True


def test_all_of_it_is_published_from_the_first_item_on_and_then_it_ends(slosh: TestingServer) -> None:
    assert list(guard(range(5), "answer")) == list(range(5))  # SLOSH_URL names the server
    with slosh.client.watch("answer", since="earliest") as watch:
        assert [item.message for item in watch] == list(range(5))
        assert watch.ended


@pytest.mark.slosh(linger=0.2)
def test_a_generator_is_closed_when_nobody_has_read_for_the_time_of_lingering(slosh: TestingServer) -> None:
    model = Model()
    tick = threading.Event()
    for _ in guard(iter(model), "unread", client=slosh.client):
        tick.wait(0.01)
    assert model.closed


@pytest.mark.slosh(unwatched="keep")
def test_a_topic_that_takes_messages_anyway_needs_no_opening(slosh: TestingServer) -> None:
    assert list(guard([1, 2], "kept", client=slosh.client)) == [1, 2]


@pytest.mark.parametrize("topic", ["opened", "kept"])
@pytest.mark.slosh(linger=60, topics={"kept": {"unwatched": "keep"}})
def test_a_topic_that_has_ended_already_is_an_error_and_no_empty_answer(slosh: TestingServer, topic: str) -> None:
    assert list(guard([1, 2], topic, client=slosh.client)) == [1, 2]
    model = Model()
    with pytest.raises(NotTaken, match="has ended"):
        list(guard(iter(model), topic, client=slosh.client))

    async def main() -> None:
        async with AsyncClient(slosh.url) as client:
            async for _ in guard(tokens(), topic, client=client):
                pass

    async def tokens() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(NotTaken, match="has ended"):
        asyncio.run(main())
    with slosh.client.watch(topic, since="earliest") as watch:
        assert [item.message for item in watch] == [1, 2]


def test_a_reader_that_ends_the_topic_stops_it(slosh: TestingServer) -> None:
    model = Model()
    given = 0
    for given in guard(iter(model), "stopped", client=slosh.client):
        if given == 3:
            slosh.client.end("stopped")
    assert (model.closed, given) == (True, 3)


def test_readers_do_not_wait_for_more_when_the_caller_stops_or_the_items_raise(slosh: TestingServer) -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        list(guard(broken(), "raises", client=slosh.client))
    items = guard(iter(Model()), "left", client=slosh.client)
    next(items)
    items.close()
    for topic in ("raises", "left"):
        with slosh.client.watch(topic, since="earliest", deadline=PATIENCE) as watch:
            list(watch)
            assert watch.ended


def test_an_asynchronous_generator_likewise(slosh: TestingServer) -> None:
    closed = []

    async def tokens() -> AsyncIterator[str]:
        try:
            for number in range(10**9):
                yield str(number)
        finally:
            closed.append(True)

    async def main() -> list[str]:
        given = []
        async with AsyncClient(slosh.url) as client:
            async for token in guard(tokens(), "async", client=client):
                given.append(token)
                if len(given) == 3:
                    await client.end("async")
        return given

    assert asyncio.run(main()) == ["0", "1", "2"]
    assert closed == [True]


def test_items_and_client_have_to_go_together(slosh: TestingServer) -> None:
    async def tokens() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(BadUse, match="AsyncClient"):
        guard(tokens(), "x", client=Client(slosh.url))  # type: ignore[call-overload]  # that is the mistake
    with pytest.raises(BadUse, match="asynchronous items"):
        guard([1], "x", client=AsyncClient(slosh.url))  # type: ignore[call-overload]  # likewise
