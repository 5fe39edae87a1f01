"""How much CPU something takes."""

import time
from collections.abc import Callable
from typing import Final

Clock = Callable[[], float]

TRIES: Final = 10
USUAL: Final = 0.0008
"""Seconds of CPU that `_loop` takes on the machine on which the bounds were measured, where nothing else runs."""


def cost(work: Callable[[], object], clock: Clock = time.thread_time) -> float:
    """The seconds of CPU that `work` takes by `clock`, this once. Use `assert_quick` to bound them."""
    began = clock()
    work()
    return clock() - began


def assert_quick(work: Callable[[], object], seconds: float, clock: Clock = time.thread_time) -> None:
    """Check that `work` takes less than so many seconds of CPU on a machine that does nothing else.

    One try in time is enough. What a garbage collection in between takes, of all that the tests before have left, is no
    part of it, nor what more it takes where another program has the core's other half. A machine that is slow for
    seconds is slow for a loop of Python too, which runs by turns with `work`.
    """
    least = pace = float("inf")
    for _ in range(TRIES):
        least = min(least, cost(work, clock))
        if least < seconds:
            return
        pace = min(pace, cost(_loop))
        if least * USUAL / pace < seconds:
            return
    raise AssertionError(f"{least:.3g} s of CPU, where a loop took {pace / USUAL:.1f} times as long as usual")


def _loop() -> None:
    for number in range(20_000):
        hash(number)
