"""Processes that leave nothing behind: each leads a process group of its own, which is ended as a whole.

A server starts workers, a shell starts programs. To end only the process that was started would leave those running,
and where a test fails half-way the process itself too. So all of them are started here.
"""

import atexit
import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, AnyStr

PATIENCE = 30.0
"""Seconds that the system may take to end a process that was killed."""


class ProcessGroup(subprocess.Popen[AnyStr]):
    """A process and all that it starts. At the end of its with block, or of this program, all of them are gone.

    Args:
        command: the program and its words.
        options: of `subprocess.Popen`.
    """

    def __init__(self, command: Sequence[str | Path], **options: Any) -> None:  # noqa: ANN401 - what Popen takes
        super().__init__(command, **options, start_new_session=True)
        _not_ended[self] = None

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()
        super().__exit__(kind, value, traceback)

    def end(self) -> None:
        """End the process and its group by SIGKILL, also where the process has ended by itself. Call it at any time."""
        if self in _not_ended:
            del _not_ended[self]
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self.wait(PATIENCE)


_not_ended: dict[ProcessGroup[Any], None] = {}
"""Process groups that may have members. Kept in the order of their start."""


@contextlib.contextmanager
def ending_all() -> Iterator[None]:
    """End all process groups that are started within the block, at the end of it."""
    before = set(_not_ended)
    try:
        yield
    finally:
        for process in [each for each in _not_ended if each not in before]:
            process.end()


def run_group(
    command: Sequence[str | Path],
    *,
    check: bool = False,
    timeout: float = PATIENCE,
    **options: Any,  # noqa: ANN401 - what Popen takes
) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run` with `capture_output` and `text`; nothing that the command started outlives it."""
    process: ProcessGroup[str]
    with ProcessGroup(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options) as process:
        output, errors = process.communicate(timeout=timeout)
    done = subprocess.CompletedProcess(process.args, process.returncode, output, errors)
    if check:
        done.check_returncode()
    return done


def _end_all() -> None:
    for process in list(_not_ended):
        process.end()


atexit.register(_end_all)
