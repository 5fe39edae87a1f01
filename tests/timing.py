"""How much CPU something takes."""

import time
from collections.abc import Callable
from typing import Final

TRIES: Final = 5


def least_cpu(work: Callable[[], object]) -> float:
    """The seconds of CPU that the cheapest of some tries takes.

    What a garbage collection in between takes, of all that the tests before have left, is no part of it, nor what more
    it takes where another program has the core's other half.
    """

    def cost() -> float:
        began = time.thread_time()
        work()
        return time.thread_time() - began

    return min(cost() for _ in range(TRIES))
