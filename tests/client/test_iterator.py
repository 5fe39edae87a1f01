"""Watches that several threads or tasks meet in: each message is given once, and who comes too early is told."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator

import pytest

from slosh.client import AsyncClient, BadUse, Client
from slosh.client.protocol import POLL_WAIT
from tests.client.scripted import Scripted
from tests.e2e.server import Serving, until
from tests.running import PATIENCE


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Serving(tmp_path_factory.mktemp("server"), "--linger=10m") as serving:
        yield serving.url


def test_a_second_thread_is_told_at_once_and_nothing_is_lost_or_doubled(server: str) -> None:
    with Client(server) as client, client.watch("threads", deadline=PATIENCE) as watch:
        given: list[object] = []
        first = threading.Thread(target=lambda: given.append(next(watch).message))
        first.start()
        assert client.watchers("threads", wait=PATIENCE) == 1
        until(lambda: watch.place, bool)  # the server counts a watcher before that hears where it stands
        for _ in range(3):
            with pytest.raises(BadUse, match="Another thread waits for the next item of this watch already"):
                next(watch)
        client.publish_many("threads", [1, 2])
        first.join()
        assert [*given, next(watch).message] == [1, 2]


def test_threads_that_take_turns_are_given_each_message_once(server: str) -> None:
    with Client(server) as client, client.watch("turns", since="earliest", deadline=PATIENCE) as watch:
        client.open("turns")
        client.publish_many("turns", range(90))
        given: list[object] = []

        def work() -> None:
            while len(given) < 90:
                with contextlib.suppress(BadUse):
                    given.extend(item.message for item in [next(watch, None)] if item is not None)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for each in threads:
            each.start()
        until(lambda: len(given), lambda count: count == 90)
        watch.close()
        for each in threads:
            each.join()
        assert sorted(given) == list(range(90))  # type: ignore[type-var]  # they are numbers


def test_a_second_task_is_told_at_once_and_nothing_is_lost_or_doubled(server: str) -> None:
    async def work() -> list[object]:
        async with AsyncClient(server) as client, client.watch("tasks", deadline=PATIENCE) as watch:
            first = asyncio.ensure_future(anext(watch))
            assert await client.watchers("tasks", wait=PATIENCE) == 1
            while not watch.place:  # noqa: ASYNC110 - the server counts a watcher before that hears where it stands
                await asyncio.sleep(0)
            for _ in range(3):
                with pytest.raises(BadUse, match="Another task waits for the next item of this watch already"):
                    await anext(watch)
            await client.publish_many("tasks", [1, 2, 3])
            return [(await first).message, (await anext(watch)).message, (await anext(watch)).message]

    assert asyncio.run(work()) == [1, 2, 3]


@pytest.mark.parametrize("closes", [False, True], ids=["deadline", "close"])
def test_a_poll_that_is_held_keeps_no_watch_from_its_end(server: str, *, closes: bool) -> None:
    """Where streams are kept back, so that the head of an answer comes with the end of the wait."""
    began = time.monotonic()
    with Client(server) as client, client.watch("held", deadline=POLL_WAIT if closes else POLL_WAIT / 6) as watch:
        watch._reader.watching.polls = True
        reader = threading.Thread(target=lambda: list(watch))
        reader.start()
        assert client.watchers("held", wait=PATIENCE) == 1
        if closes:
            watch.close()
        reader.join()
        assert watch.timed_out is not closes
        until(lambda: client.watchers("held"), lambda count: count == 0)
    assert time.monotonic() - began < POLL_WAIT / 2


def test_another_task_can_end_a_watch_that_waits_for_a_message(server: str) -> None:
    async def work() -> list[object]:
        async with AsyncClient(server) as client:
            watch = client.watch("closed", notes=True)
            reading = asyncio.ensure_future(_read(watch))
            assert await client.watchers("closed", wait=PATIENCE) == 1
            await watch.aclose()
            return await asyncio.wait_for(reading, PATIENCE)

    assert asyncio.run(work()) == []


def test_another_task_can_end_a_watch_that_pauses_before_its_next_request() -> None:
    """It asks no more then, and does not wait until the pause is over."""
    busy = {"status": 503, "fields": {"Retry-After": "30"}, "body": ""}

    async def work(url: str, used: threading.Event) -> list[object]:
        async with AsyncClient(url) as client:
            watch = client.watch("a")
            reading = asyncio.ensure_future(_read(watch))
            await asyncio.to_thread(used.wait, PATIENCE)
            while not watch._rests:  # noqa: ASYNC110 - there is no other sign of the pause
                await asyncio.sleep(0)
            await watch.aclose()
            return await asyncio.wait_for(reading, PATIENCE / 2)

    with Scripted([busy]) as scripted:
        assert asyncio.run(work(scripted.url, scripted.used)) == []
        assert len(scripted.requests) == 1


async def _read(watch: object) -> list[object]:
    return [each async for each in watch]  # type: ignore[attr-defined]  # of either kind
