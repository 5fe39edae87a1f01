"""What is put off is done in later turns, in its order, as far as each has room."""

from collections.abc import Callable

import pytest

from slosh.core.portions import WORK
from slosh.core.topic import Shared
from tests.core.hubs import HubOnLoop
from tests.core.loops import Loop


def test_each_turn_does_what_it_has_room_for() -> None:
    hub = HubOnLoop(Loop())
    done: list[int] = []

    def task(number: int) -> Callable[[Shared], None]:
        def run(_: Shared) -> None:
            done.append(number)
            hub.room -= WORK // 2

        return run

    for number in range(5):
        hub.put_off(task(number))
    turns = 0
    while len(done) < 5:
        before = len(done)
        hub.flushes_owed = 0
        hub.flush(0.0)
        turns += 1
        assert len(done) - before <= 2
    assert done == list(range(5))
    assert turns == 3


def test_one_that_fails_keeps_none_of_the_others_back(caplog: pytest.LogCaptureFixture) -> None:
    hub = HubOnLoop(Loop())
    done: list[int] = []
    hub.put_off(lambda _: done.append(1 // 0))
    hub.put_off(lambda _: done.append(2))
    hub.turn()
    assert done == [2]
    assert "put off" in caplog.text
