"""Work that is done in portions, so that nothing that one client asks for keeps all others waiting.

The rules of this file:

* Work that could take long looks at `room` before each step, and takes off what the step cost. Work that a turn has no
  room for is put off (`put_off`), and goes on in the next turn, in the order in which it was put off.
* There is at most one flush on its way: it is asked for once, however many want it.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from slosh.compiled import mypyc_attr
from slosh.core.topic import Shared

logger = logging.getLogger(__name__)

WORK: Final = 1024 * 1024
"""Bytes that may be looked at or written in one turn for each kind of work; some 3 ms."""
WAKE: Final = 4096
"""Bytes that the waking of a watcher counts: an answer takes as long as the copying of so many."""
STEP: Final = 256
"""Bytes that a step of a walk through topics' names, or through patterns, counts."""
COPIES: Final = 4
"""How many times as quickly bytes that are made already are written for one more watcher as they are looked at."""
_TASK: Final = 1024
"""Bytes that a task counts at least."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Portions:
    """The room that a turn has left, and the tasks that wait for the next turns. `Waking.flush` makes a turn of them.

    Args:
        wake: called when there is something to flush; the caller must call `flush` soon.
    """

    def __init__(self, wake: Callable[[], object]) -> None:
        self._wake = wake
        self._asked = False
        self._tasks: deque[Callable[[Shared], None]] = deque()
        self.room = WORK
        """Bytes that may still be looked at or written in this turn; the code that does so takes them off."""
        self.portions = 0
        """Answers and parts of streams that were made since the start and left something for the next."""

    def ask_for_flush(self) -> None:
        """See that there is a flush soon."""
        if not self._asked:
            self._asked = True
            self._wake()

    def is_free(self) -> bool:
        """Whether work that takes its time may be done at once. If not, put it off."""
        return not self._tasks and self.room > 0

    def spend(self, size: int) -> None:
        """Count work outside of `flush` as this many bytes that were looked at or written."""
        self.room -= size
        if self.room <= 0:
            self.ask_for_flush()  # It makes room again.

    def put_off(self, task: Callable[[Shared], None]) -> None:
        """Call `task` in the next turn, or in a later one if the tasks before it leave no room."""
        self._tasks.append(task)
        self.ask_for_flush()

    def _go_on(self, shared: Shared, tasks: int) -> None:
        """Do so many things that were put off, as long as there is room in this turn."""
        shared.alone = False
        for _ in range(tasks):
            if self.room <= 0:
                break
            self.room -= _TASK
            try:
                self._tasks.popleft()(shared)
            except Exception:
                logger.exception("a task that was put off failed; the others go on")
