"""The client with a loop, against a real server."""

import asyncio
from collections.abc import Iterator

import pytest

from slosh.client import AsyncClient, NotTaken, Refused, Unreachable
from tests.e2e.server import Serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Serving(tmp_path_factory.mktemp("server"), "--linger=60s") as serving:
        yield serving.url


def test_what_is_published_is_watched(server: str) -> None:
    async def work() -> list[object]:
        async with AsyncClient(server) as client:
            await client.http.get(f"{server}/topics/a?wait=0")
            assert (await client.publish("a", 1)).max == 1
            assert (await client.publish_many("a", [2, 3])).max == 3
            given = []
            async with client.watch("a", since="earliest") as watch:
                async for item in watch:
                    given.append(item.message)
                    if len(given) == 3:
                        return given
        return []

    assert asyncio.run(work()) == [1, 2, 3]


def test_a_step_that_is_cancelled_loses_nothing(server: str) -> None:
    async def work() -> object:
        async with AsyncClient(server) as client, client.watch("cancelled") as watch:
            step = asyncio.ensure_future(anext(watch))
            assert await client.watchers("cancelled", wait=10) == 1
            while not watch.place:  # noqa: ASYNC110 - the server counts a watcher before that hears where it stands
                await asyncio.sleep(0)
            step.cancel()
            await asyncio.wait({step})
            await client.publish("cancelled", "meanwhile")
            return (await asyncio.wait_for(anext(watch), 10)).message

    assert asyncio.run(work()) == "meanwhile"


def test_a_deadline_ends_the_iteration(server: str) -> None:
    async def work() -> tuple[list[object], bool]:
        async with AsyncClient(server) as client, client.watch("deadline", deadline=0.2) as watch:
            return [item async for item in watch], watch.timed_out

    assert asyncio.run(work()) == ([], True)


def test_refusals_and_a_server_that_is_not_there(server: str) -> None:
    async def work() -> None:
        async with AsyncClient(server) as client:
            assert not await client.publish("nobody", 1)
            with pytest.raises(NotTaken):
                await client.publish("nobody", 1, strict=True)
            with pytest.raises(Refused):
                await anext(client.watch("a", since="yesterday"))
            assert "a" in [each["name"] for each in await client.topics()]
        async with AsyncClient("http://127.0.0.1:1", timeout=0.2) as nowhere:
            with pytest.raises(Unreachable):
                await nowhere.publish("a", 1)

    asyncio.run(work())
