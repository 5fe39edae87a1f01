"""The memory engine keeps every engine's promises, and answers before it returns."""

import asyncio
from typing import Any

import pytest

from slosh.engine.base import Engine, Published
from slosh.engine.memory import MemoryEngine
from slosh.errors import NoWatchers
from tests.core.hubs import HubOnLoop
from tests.core.loops import Loop
from tests.engine.contract import Harness, Poller
from tests.engine.ends import EndsContract


class MemoryHarness(Harness):
    """Memory answers at once; only the flushes have to be made."""

    def __init__(self, *, keep: bool = False, **bounds: Any) -> None:
        self.loop = Loop()
        self.hub = HubOnLoop(self.loop, keeps=keep, **bounds)
        self.engine: Engine = MemoryEngine(self.hub, max_keys=10_000)
        asyncio.run(self.engine.start())
        self.stopped = False

    @property
    def now(self) -> float:  # type: ignore[override]
        """What the loop's clock shows."""
        return self.loop.now()

    def settle(self) -> None:
        """Make the flushes that were asked for."""
        self.hub.turn()

    def advance(self, seconds: float) -> None:
        """Let the loop's time go on."""
        self.settle()
        self.loop.advance(seconds)
        self.settle()

    def stop(self) -> None:
        """Stop the engine."""
        if not self.stopped:
            self.stopped = True
            asyncio.run(self.engine.stop())


class TestMemory(EndsContract):
    """The contract."""

    def make(self, **bounds: Any) -> Harness:
        return MemoryHarness(**bounds)


class TestAnswersAtOnce:
    """A held poll or a publish costs no task and no second turn of the loop."""

    @pytest.fixture
    def harness(self) -> MemoryHarness:
        return MemoryHarness()

    def test_opening(self, harness: MemoryHarness) -> None:
        answers: list[object] = []
        harness.engine.open("a", harness.now, answers.append)
        assert answers == [harness.hub.find("a", harness.now)]

    def test_an_active_topic_is_open_already_and_none_is_created_by_that(self, harness: MemoryHarness) -> None:
        assert harness.engine.find_open("a", harness.now) is None
        assert len(harness.hub) == 0
        harness.opened("a")
        assert harness.engine.find_open("a", harness.now) is harness.hub.find("a", harness.now) is not None

    def test_a_topic_open_already_lingers_from_then_on(self) -> None:
        """As after any GET."""
        harness = MemoryHarness(linger=30.0)
        harness.opened("a")
        assert harness.engine.find_open("a", harness.now + 29) is not None
        assert harness.hub.find("a", harness.now + 58) is not None
        assert harness.hub.find("a", harness.now + 60) is None

    def test_publishing(self, harness: MemoryHarness) -> None:
        epoch = harness.opened("a").epoch
        assert harness.publish_soon("a", b"1", b"2") == [Published(epoch, 2, 0, accepted=2)]

    def test_refusing(self, harness: MemoryHarness) -> None:
        (answer,) = harness.publish_soon("a", b"1")
        assert isinstance(answer, NoWatchers)
        assert len(harness.hub) == 0

    def test_but_watchers_are_woken_by_the_flush(self, harness: MemoryHarness) -> None:
        reader = Poller(harness, "a")
        harness.publish_soon("a", b"1")
        assert reader.readings == []
        harness.settle()
        assert reader.got == [b"1"]


def test_readers_and_their_topics_leave_nothing_behind() -> None:
    harness = MemoryHarness(linger=1.0)
    for number in range(100):
        reader = Poller(harness, f"topic {number}")
        harness.taken(f"topic {number}", b"1")
        reader.go()
    harness.advance(2.0)
    assert len(harness.hub) == 0
    assert harness.hub.watching == 0
    assert not harness.loop.calls
