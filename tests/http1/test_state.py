"""What the connections share: the Date of this second, the counts, and one call of the loop for many deadlines."""

from typing import Any, cast

import pytest

from slosh.http1.response import date_field
from slosh.http1.state import ServerState
from slosh.settings import Settings
from tests.core.loops import Loop


class EdgeLoop(Loop):
    """As much of an event loop as a server's state asks of it."""

    def time(self) -> float:
        """As asyncio calls it."""
        return self.now()


class Wall:
    """The wall clock, which a test sets."""

    def __init__(self) -> None:
        self.now = 784111777.0

    def time(self) -> float:
        """Seconds since 1970."""
        return self.now


@pytest.fixture
def wall(server: ServerState) -> Wall:
    wall = Wall()
    server.wall = wall.time
    return wall


@pytest.fixture
def loop() -> EdgeLoop:
    return EdgeLoop()


@pytest.fixture
def server(loop: EdgeLoop) -> ServerState:
    return ServerState(Settings(), cast("Any", loop))


@pytest.mark.parametrize("step", [0.001, 0.999, 1.0, 59.5, -0.5, -1.0, -3600.0, 0.25])
def test_the_date_is_that_of_the_present_second_whichever_way_the_clock_goes(
    server: ServerState, wall: Wall, step: float
) -> None:
    for _ in range(8):
        assert server.date() == date_field(wall.now)
        wall.now += step


def test_the_date_is_written_once_a_second(server: ServerState, wall: Wall) -> None:
    first = server.date()
    wall.now += 0.9
    assert server.date() is first


def test_connections_whose_time_has_come_are_told(server: ServerState, loop: EdgeLoop) -> None:
    told: list[str] = []

    class Told:
        def __init__(self, name: str) -> None:
            self.name = name

        def on_timer(self) -> None:
            told.append(self.name)

    for name, seconds in (("b", 20.0), ("a", 10.0), ("c", 30.0)):
        server.timers.add(cast("Any", Told(name)), loop.now() + seconds)
    loop.advance(20.1)
    assert told == ["a", "b"]
    loop.advance(10.0)
    assert told == ["a", "b", "c"]
