"""Attempts come at once, then later and later; what waits is ended even if it does not want to."""

import asyncio

import pytest

from slosh.engine.redis.client.backoff import Pause, end_all


def test_pauses_grow_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("asyncio.sleep", sleep)

    async def story(longest: float) -> list[float]:
        pauses.clear()
        pause = Pause(longest)
        pause.works()
        await pause.take()
        assert not pauses, "the first is none"
        for _ in range(9):
            pause.works()  # for a moment, which is not enough
            await pause.take()
        return pauses

    assert all(0.01 <= each <= 0.05 for each in asyncio.run(story(0.05)))
    assert len(set(pauses)) > 1
    for number, each in enumerate(asyncio.run(story(1.0)), 1):
        assert 0.2 <= each / min(1.0, 0.05 * 2**number) <= 1.0


def test_a_task_that_swallows_a_cancellation_is_ended_all_the_same() -> None:
    swallowed: list[int] = []

    async def stubborn() -> None:
        while True:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                if len(swallowed) == 2:
                    raise
                swallowed.append(1)

    async def story() -> None:
        task = asyncio.ensure_future(stubborn())
        await asyncio.sleep(0)
        await end_all([task])
        assert task.cancelled()

    asyncio.run(story())
    assert len(swallowed) == 2


def test_who_is_cancelled_while_it_ends_others_ends_them_first() -> None:
    """Else they would be left behind, with nobody who knows of them."""

    async def slow(never: asyncio.Future[None], free: asyncio.Future[None]) -> None:
        try:
            await never
        finally:
            await asyncio.shield(free)

    async def story() -> None:
        loop = asyncio.get_running_loop()
        never, free = loop.create_future(), loop.create_future()
        inner = asyncio.ensure_future(slow(never, free))
        await asyncio.sleep(0)
        outer = asyncio.ensure_future(end_all([inner]))
        await asyncio.sleep(0)
        outer.cancel()
        await asyncio.sleep(0)
        assert not outer.done()
        free.set_result(None)
        await asyncio.wait([inner, outer])
        assert (inner.cancelled(), outer.cancelled()) == (True, True)

    asyncio.run(story())
