"""What the connections share: the Date of this second, the counts, and one call of the loop for many deadlines."""

import asyncio
from typing import Any, cast

import pytest

from slosh.http1.response import date_field
from slosh.http1.state import ServerState
from slosh.settings import Settings
from slosh.stalls import MOMENT
from tests.core.loops import Loop


class EdgeLoop(Loop):
    """As much of an event loop as a server's state asks of it."""

    def time(self) -> float:
        """As asyncio calls it."""
        return self.now()

    def stall(self, seconds: float) -> None:
        """Let time go on without making a call, and then all that are due."""
        self._now += seconds
        self.advance(0.0)


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


class Waiting:
    """A connection with a deadline, and when it was told that it has come."""

    def __init__(self, server: ServerState, deadline: float) -> None:
        self.told: list[float] = []
        self._server = server
        server.timers.add(cast("Any", self), deadline)

    def on_timer(self) -> None:
        self.told.append(round(self._server.now(), 3))


@pytest.mark.parametrize("second", [0.06, 2.0, 5.0, 5.01, 20.0])
def test_deadlines_that_a_stalled_process_comes_to_wait_until_what_came_meanwhile_is_read(
    server: ServerState, loop: EdgeLoop, second: float
) -> None:
    """All that have passed do, also where one of them came just now."""
    items = [Waiting(server, 1000.0 + each) for each in (0.05, second)]
    loop.stall(5.0)
    assert [each.told for each in items] == [[], []]
    loop.advance(MOMENT)
    come = [5.0 + MOMENT] if second <= 5.0 + MOMENT else []
    assert [each.told for each in items] == [[1005.0 + MOMENT], [1000.0 + each for each in come]]
    loop.advance(30.0)
    assert [len(each.told) for each in items] == [1, 1]


def test_a_second_stall_just_behind_the_first_passes_over_nothing_either(server: ServerState, loop: EdgeLoop) -> None:
    first, second = (Waiting(server, 1000.0 + each) for each in (0.05, 5.1))
    loop.stall(5.0)
    loop.stall(3.0)
    assert [first.told, second.told] == [[1008.0], []], "what the second has was not yet read"
    loop.advance(MOMENT)
    assert second.told == [1008.0 + MOMENT]


def test_a_transport_is_not_asked_for_its_socket_while_descriptors_are_free(server: ServerState) -> None:
    """The object that uvloop would make for the answer stays for as long as the connection lives."""
    asked: list[str] = []

    class Transport(asyncio.BaseTransport):
        def get_extra_info(self, name: str, default: object = None) -> object:
            asked.append(name)
            return default

    server.first_spare = 1 << 30  # No descriptor has the number before this one.
    assert not server.is_short_of_files(Transport())
    assert asked == []
    server.first_spare = 1  # That of standard input, which is open, is before it.
    assert not server.is_short_of_files(Transport())
    assert asked == ["socket"]
