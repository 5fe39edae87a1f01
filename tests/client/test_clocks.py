"""A reader's place while the server's clock is set back: nothing is lost and nothing doubled."""

import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from slosh.client import Client, Item
from slosh.engine import snapshot
from slosh.engine.memory import MemoryEngine
from slosh.testing.server import TestingServer
from tests.e2e.server import until

HOUR = 3600.0


@pytest.fixture(name="path")
def path_fixture(tmp_path: Path) -> Path:
    return tmp_path / "slosh.sock"


def serve(path: Path) -> TestingServer:
    return TestingServer(uds=str(path), port=8000, linger=60)


def engine_of(server: TestingServer) -> MemoryEngine:
    engine = server._server.engine
    assert isinstance(engine, MemoryEngine)
    return engine


def set_back(server: TestingServer, seconds: float) -> None:
    """Set the clock that people see back, as an administrator does. The one that counts seconds goes on."""
    wall = lambda: time.time() - seconds  # noqa: E731

    def do() -> None:
        engine_of(server)._wall = wall
        server._state.wall = wall

    server._do(do)


def check_order(items: list[Item], last: int) -> None:
    assert [item.message for item in items] == list(range(1, last + 1))
    assert [item.offset for item in items] == list(range(1, last + 1))
    assert not [item for item in items if item.lost or item.reset]
    times = [item.time or 0.0 for item in items]
    assert times == sorted(times)


@pytest.mark.parametrize(
    ("others", "polls"),
    [((), False), (("b",), False), (("c/*",), False), ((), True)],
    ids=["one", "several", "pattern", "polls"],
)
def test_a_watch_goes_on_and_so_does_one_that_comes_again(path: Path, others: tuple[str, ...], *, polls: bool) -> None:
    with serve(path) as server, server.watch("a", *others) as seen:
        seen._watch._reader.watching.polls = polls
        server.client.publish("a", 1)
        until(lambda: len(seen.items), lambda count: count == 1)
        set_back(server, HOUR)
        server.client.publish("a", 2)
        server.cut()
        server.client.publish_many("a", [3, 4])
        seen.wait(4)
        check_order(seen.items, 4)
        for place, behind in ((seen.items[1].place, [3, 4]), ("10m", [1, 2, 3, 4])):
            with server.client.watch("a", *others, since=place) as again:
                assert [next(again).message for _ in behind] == behind
        set_back(server, 0.0)
        server.client.publish("a", 5)
        seen.wait(5)
        check_order(seen.items, 5)
        for each in ("a", "b", "c/d"):
            server.client.end(each)  # a poll that is held ends with its topics


def test_a_successor_with_an_earlier_clock_goes_on_with_the_same_lives(path: Path) -> None:
    beside = path.with_name("next.sock")
    first, second = serve(path), serve(beside)
    first.start()
    with first.watch("a") as seen:
        first.client.publish_many("a", [1, 2])
        seen.wait(2)
        parts = first._do(lambda: list(snapshot.take(engine_of(first), first._now())))
        second.start()
        set_back(second, HOUR)
        left_out = second._do(lambda: [snapshot.put_back(engine_of(second), each, second._now()) for each in parts])
        assert not any(left_out)
        beside.rename(path)  # those who come again come here
        first.cut()
        with Client(f"unix:{path}") as client:
            client.publish("a", 3)
            seen.wait(3)
        check_order(seen.items, 3)
    second.stop()
    first.stop()


def test_a_restart_with_an_earlier_clock_is_a_new_life_and_doubles_nothing(path: Path) -> None:
    with ExitStack() as stack, serve(path) as first:
        seen = stack.enter_context(first.watch("a"))
        first.client.publish_many("a", [1, 2])
        seen.wait(2)
        place = seen.items[-1].place
        first.stop()
        with serve(path) as second:
            set_back(second, HOUR)
            assert second.client.watchers("a", wait=30)
            second.client.publish("a", 3)
            assert seen.wait(3) == [1, 2, 3]
            assert [item.reset for item in seen.items] == [False, False, True]
            assert (seen.items[2].time or 0.0) < (seen.items[1].time or 0.0)  # the clock, as it is now
            with second.client.watch("a", since=place) as again:
                item = next(again)
            assert (item.message, item.reset, item.lost) == (3, True, 0)
