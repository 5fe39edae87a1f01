"""What the connections share: the Date of this second, the counts, and one call of the loop for many deadlines."""

from typing import Any, cast

import pytest

from slosh.core.reading import Place, read
from slosh.core.subscription import Batch
from slosh.core.topic import Topic
from slosh.settings import Settings
from slosh.web.action import Application
from slosh.web.edge import Edge
from slosh.web.response import date_field
from tests.core.loops import Loop


class EdgeLoop(Loop):
    """As much of an event loop as an edge asks of it."""

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
def wall(edge: Edge) -> Wall:
    wall = Wall()
    edge.wall = wall.time
    return wall


@pytest.fixture
def loop() -> EdgeLoop:
    return EdgeLoop()


@pytest.fixture
def edge(loop: EdgeLoop) -> Edge:
    return Edge(Settings(), Application(), cast("Any", loop))


@pytest.mark.parametrize("step", [0.001, 0.999, 1.0, 59.5, -0.5, -1.0, -3600.0, 0.25])
def test_the_date_is_that_of_the_present_second_whichever_way_the_clock_goes(
    edge: Edge, wall: Wall, step: float
) -> None:
    for _ in range(8):
        assert edge.date() == date_field(wall.now)
        wall.now += step


def test_the_date_is_written_once_a_second(edge: Edge, wall: Wall) -> None:
    first = edge.date()
    wall.now += 0.9
    assert edge.date() is first


def test_what_readers_were_told_is_counted(edge: Edge) -> None:
    topic = Topic("a", "k", 0.0)
    topic.append([b"1"] * 5, 0.0, 3, 100)
    reading = read(topic, Place(0))
    edge.count_batch(Batch("k.5", {}, (("a", reading),), several=False))
    edge.count_batch(Batch("a=k.5,b=k.5", {}, (("a", reading), ("b", reading)), several=True))
    assert (edge.answers, edge.delivered, edge.lost) == (2, 9, 6)


def test_connections_whose_time_has_come_are_told(edge: Edge, loop: EdgeLoop) -> None:
    told: list[str] = []

    class Told:
        def __init__(self, name: str) -> None:
            self.name = name

        def on_timer(self) -> None:
            told.append(self.name)

    for name, seconds in (("b", 20.0), ("a", 10.0), ("c", 30.0)):
        edge.timers.add(cast("Any", Told(name)), loop.now() + seconds)
    loop.advance(20.1)
    assert told == ["a", "b"]
    loop.advance(10.0)
    assert told == ["a", "b", "c"]
