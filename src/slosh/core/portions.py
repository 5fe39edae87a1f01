"""Work that is done in portions, so that no request of one client makes all others wait.

The rules of this file:

* Work that could take long checks `room` before each step, and subtracts the cost of the step. Work for which a turn
  has no room is postponed (`put_off`), and continues in the next turn, in the order of these calls.
* At most one flush is scheduled at a time, however often it is asked for.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from slosh.compiled import mypyc_attr
from slosh.core.topic import Shared

logger = logging.getLogger(__name__)

WORK: Final = 1024 * 1024
"""Room of one turn, for each kind of work: bytes that may be read or written, some 3 ms."""
WAKE: Final = 4096
"""Room that waking a watcher takes: an answer takes as long as copying this many bytes."""
STEP: Final = 256
"""Room that one step of a search through topics' names, or through patterns, takes."""
COPIES: Final = 4
"""Writing bytes that exist already for one more watcher is this many times as fast as reading them."""
_TASK: Final = 1024
"""Room that a postponed task takes at least."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Portions:
    """The room that this turn has left, and the postponed tasks. `Waking.flush` runs a turn.

    Args:
        wake: called when there is something to flush; the caller must call `flush` soon.
    """

    def __init__(self, wake: Callable[[], object]) -> None:
        self._wake = wake
        self._asked = False
        self._tasks: deque[Callable[[Shared], None]] = deque()
        self.room = WORK
        """Bytes that may still be read or written in this turn. Code that does so must subtract them."""
        self.portions = 0
        """Answers and stream writes since the start that left messages for the next one."""

    def ask_for_flush(self) -> None:
        """Have `flush` called soon."""
        if not self._asked:
            self._asked = True
            self._wake()

    def is_free(self) -> bool:
        """Whether long work may be done at once. If not, postpone it with `put_off`."""
        return not self._tasks and self.room > 0

    def spend(self, size: int) -> None:
        """Take `size` bytes of room for work outside of `flush`."""
        self.room -= size
        if self.room <= 0:
            self.ask_for_flush()  # The flush makes room again.

    def put_off(self, task: Callable[[Shared], None]) -> None:
        """Postpone `task` to the next turn, or to a later one if the tasks before it leave no room."""
        self._tasks.append(task)
        self.ask_for_flush()

    def _go_on(self, shared: Shared, tasks: int) -> None:
        """Run the first `tasks` postponed tasks, as long as there is room in this turn."""
        shared.alone = False
        for _ in range(tasks):
            if self.room <= 0:
                break
            self.room -= _TASK
            try:
                self._tasks.popleft()(shared)
            except Exception:
                logger.exception("a task that was put off failed; the others go on")
