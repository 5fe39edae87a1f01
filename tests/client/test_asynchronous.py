"""The client with a loop, against a real server."""

import asyncio
import re
import signal
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from benchmarks.ports import free_port
from slosh.client import AsyncClient, Client, Note, NotTaken, Refused, Unreachable, Unreadable
from tests.client.scripted import Scripted
from tests.e2e.server import Serving, until
from tests.running import PATIENCE, Running, clean_environment


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Serving(tmp_path_factory.mktemp("server"), "--linger=10m") as serving:
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
            assert await client.watchers("cancelled", wait=PATIENCE) == 1
            while not watch.place:  # noqa: ASYNC110 - the server counts a watcher before that hears where it stands
                await asyncio.sleep(0)
            step.cancel()
            await asyncio.wait({step})
            await client.publish("cancelled", "meanwhile")
            return (await asyncio.wait_for(anext(watch), PATIENCE)).message

    assert asyncio.run(work()) == "meanwhile"


def test_steps_that_are_cancelled_keep_their_connection() -> None:
    """As with a bound on each step, or in a `select` over several sources."""
    stream = "event: place\nid: aaaaaaaa.0\ndata: {}\n\nid: aaaaaaaa.1\ndata: 1\n\n"

    async def work(url: str) -> list[object]:
        async with AsyncClient(url) as client, client.watch("a", since="earliest") as watch:
            given: list[object] = [(await anext(watch)).message]
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(watch), 0.05)
            return [*given, watch.place]

    with Scripted([{"stream": stream, "then": "hang"}]) as scripted:
        assert asyncio.run(work(scripted.url)) == [1, "aaaaaaaa.1"]
        assert len(scripted.requests) == 1


def test_a_deadline_ends_the_iteration(server: str) -> None:
    async def work() -> tuple[list[object], bool]:
        async with AsyncClient(server) as client, client.watch("deadline", deadline=0.2) as watch:
            return [item async for item in watch], watch.timed_out

    assert asyncio.run(work()) == ([], True)


CTRL_C = """if True:
    import asyncio, slosh

    async def main():
        async with slosh.AsyncClient() as client:
            async for item in client.watch("ctrl-c"):
                pass

    asyncio.run(main())
"""


def test_ctrl_c_ends_a_program_that_watches_without_a_word_of_tasks(server: str, tmp_path: Path) -> None:
    command = (sys.executable, "-W", "default", "-c", CTRL_C)
    with Running(command, tmp_path, clean_environment(SLOSH_URL=server)) as running, Client(server) as client:
        assert client.watchers("ctrl-c", wait=PATIENCE) == 1
        running.tell(signal.SIGINT)
        assert running.end() == -signal.SIGINT
        assert running.lines[-1] == "KeyboardInterrupt"
        assert not re.search("Warning|destroyed|never retrieved", running.output), running.output
        until(lambda: client.watchers("ctrl-c"), lambda count: count == 0)


LET_GO = """if True:
    import asyncio, gc, slosh

    async def main():
        async with slosh.AsyncClient() as client:
            watch = client.watch("let-go", since="earliest")
            print("given", (await anext(watch)).message)
            del watch
            gc.collect()
            while await client.watchers("let-go"):
                await asyncio.sleep(0)
            print("left")
            watch = client.watch("let-go", since="earliest")
            await anext(watch)

    asyncio.run(main())
"""


def test_a_half_read_iterator_that_is_dropped_is_no_watcher_and_leaves_no_task(server: str, tmp_path: Path) -> None:
    """Dropped while the loop goes on, and with the loop."""
    with Client(server) as client:
        client.open("let-go")
        client.publish("let-go", 1)
        command = (sys.executable, "-W", "error", "-c", LET_GO)
        with Running(command, tmp_path, clean_environment(SLOSH_URL=server)) as running:
            assert running.end() == 0
            assert running.lines == ["given 1", "left"]


def test_refusals_and_a_server_that_is_not_there(server: str) -> None:
    async def work() -> None:
        async with AsyncClient(server) as client:
            assert not await client.publish("nobody", 1)
            with pytest.raises(NotTaken):
                await client.publish("nobody", 1, strict=True)
            with pytest.raises(Refused):
                await anext(client.watch("a", since="yesterday"))
            await client.http.get(f"{server}/topics/listed?wait=0")
            assert "listed" in [each["name"] for each in await client.topics()]
        async with AsyncClient("http://127.0.0.1:1", timeout=0.2) as nowhere:
            with pytest.raises(Unreachable):
                await nowhere.publish("a", 1)

    asyncio.run(work())


def test_a_topic_is_opened_and_ended(server: str) -> None:
    async def story() -> list[object]:
        async with AsyncClient(server) as client:
            await client.open("async/ends")
            await client.publish("async/ends", 1)
            assert (await client.end("async/ends")).ended
            async with client.watch("async/ends", since="earliest") as watch:
                given = [item.message async for item in watch]
            assert watch.ended
            return given

    assert asyncio.run(story()) == [1]


def test_what_cannot_be_read_is_told_and_keeps_back_nothing(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    digits = "9" * 4301

    async def work() -> list[object]:
        async with AsyncClient(server) as client:
            await client.open("unread")
            async with client.watch("unread", since="earliest", deadline=PATIENCE) as watch:
                with Client(server) as other:
                    other.publish_encoded("unread", [digits.encode(), b"2"])
                given = [(await anext(watch)).message for _ in range(2)]
            monkeypatch.setattr("slosh.client.async_iterator.MAX_EVENT", 1000)
            async with client.watch("unread", since="earliest", deadline=PATIENCE) as watch:
                with pytest.raises(Unreadable, match="What comes next of /topics/unread"):
                    await anext(watch)
            return given

    assert asyncio.run(work()) == [Decimal(digits), 2]


def test_a_watch_of_a_server_that_is_not_there_says_so_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for as long as that takes, so a script with a wrong port waited for ever in silence."""
    monkeypatch.setattr("slosh.client.protocol.find_pause", lambda *_: 0.01)
    url = f"http://127.0.0.1:{free_port()}"

    async def watch() -> None:
        async with AsyncClient(url) as client, client.watch("a") as watch, asyncio.timeout(PATIENCE):
            reader = asyncio.create_task(anext(watch, None))
            await asyncio.to_thread(until, lambda: watch._watching.failures, lambda failures: failures > 4)
            await watch.aclose()
            assert await reader is None
            assert len(caplog.messages) == 1
            async with client.watch("a", notes=True) as noted:
                for _ in range(3):
                    note = await anext(noted)
                    assert isinstance(note, Note)
                    assert note.kind == "away"

    asyncio.run(watch())
    assert [each for each in caplog.messages if "No answer" in each] == [
        f"No answer from {url}. It is asked again until one comes; watch(deadline=…) bounds the time."
    ]


def test_a_watch_that_is_cut_once_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """It is the usual end of a stream's life."""
    first = "event: message\nid: e.1\ndata: 1\n\n"
    second = "event: message\nid: e.2\ndata: 2\n\n"
    script = [{"stream": first, "then": "cut"}, {"stream": second, "then": "hang"}]

    async def watch() -> list[object]:
        async with AsyncClient(scripted.url) as client, client.watch("a") as watch, asyncio.timeout(PATIENCE):
            return [(await anext(watch)).message, (await anext(watch)).message]

    with Scripted(script) as scripted:
        assert asyncio.run(watch()) == [1, 2]
    assert not caplog.messages


@pytest.mark.parametrize("pause", [0.1, PATIENCE + 5])
def test_a_publish_is_tried_until_its_time_is_nearly_over(pause: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not longer, however long the pause between two tries would be."""
    monkeypatch.setattr("slosh.client.request.pause_before", lambda *_: pause)

    async def publish() -> None:
        async with AsyncClient(f"http://127.0.0.1:{free_port()}", timeout=2) as client:
            begun = time.monotonic()
            with pytest.raises(Unreachable):
                await client.publish("a", 1)
            assert 1.9 <= time.monotonic() - begun < PATIENCE

    asyncio.run(publish())
