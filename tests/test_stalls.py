"""A deadline that a process comes to late waits until what came meanwhile is read."""

from typing import Any, cast

import pytest

from slosh.stalls import LATE, MOMENT, AfterReading
from tests.core.loops import Loop


class TimedLoop(Loop):
    """As much of an event loop as is asked for, whose handles can be cancelled."""

    def time(self) -> float:
        return self.now()

    def call_at(self, when: float, call: Any) -> Any:
        super().call_at(when, call)
        made = self.calls[-1]

        class Handle:
            def cancel(_) -> None:  # noqa: N805 - the loop is meant by self
                if made in self.calls:
                    self.calls.remove(made)

        return Handle()


def begin(loop: Loop) -> tuple[AfterReading, list[float]]:
    """A call in a second, and the times at which it was made."""
    made: list[float] = []
    return AfterReading(cast("Any", loop), loop.now() + 1.0, lambda: made.append(loop.now() - 1001.0)), made


@pytest.mark.parametrize("late", [0.0, 0.001, LATE - 0.01])
def test_in_time_it_is_made_at_once(late: float) -> None:
    loop = TimedLoop(late=late)
    _, made = begin(loop)
    loop.advance(0.99 + late)
    assert not made
    loop.advance(5.0)
    assert made == [pytest.approx(late)]


def test_late_it_is_made_once_and_a_moment_later() -> None:
    loop = TimedLoop(late=3.0)
    _, made = begin(loop)
    loop.advance(100.0)
    assert made == [pytest.approx(3.0 + MOMENT + 3.0)]  # and that call came late too, and was not put off again


@pytest.mark.parametrize("passed", [0.5, 4.0, 4.0 + MOMENT / 2])
def test_it_can_be_cancelled_also_where_it_was_put_off(passed: float) -> None:
    loop = TimedLoop(late=3.0)
    call, made = begin(loop)
    loop.advance(passed)
    call.cancel()
    loop.advance(100.0)
    assert not made
