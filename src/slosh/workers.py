"""Several processes on one port: a parent that starts them, starts those again that die, and serves nobody itself.

The rules of this file:

* The parent makes all the sockets and keeps them, so that a worker which dies takes no waiting connection with it:
  the next worker accepts from the same socket. Over TCP each worker has a socket of its own, and the system shares the
  connections out between them (SO_REUSEPORT in socket(7)); one socket for all gives most of them to the idle one.
* The parent never runs an event loop, nor threads: a fork of it is a clean process.
* Workers end with their parent, whatever ended that: each holds the reading end of a pipe that only the parent writes.
* A private store, if they have one, is kept by one more child. It is started before them and ends after them; see
  private_store.py.
* A worker that cannot even start ends the whole: what is wrong there is wrong for all. One that dies later is begun
  again, after a pause that grows when it happens again and again.
"""

import asyncio
import contextlib
import logging
import math
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Final

from slosh.errors import SloshError
from slosh.private_store import PrivateStore
from slosh.signals import DUMPING, ENDING, IGNORED, RELOADING
from slosh.supervisor import ALIVE, READY, notify, notify_reloading, watchdog_interval

if TYPE_CHECKING:
    import socket

logger = logging.getLogger(__name__)

_QUICK: Final = 10.0
"""Seconds. A worker that dies sooner after its start is started again only after a pause."""
_LONGEST_PAUSE: Final = 10.0
"""Seconds between two starts of a worker that dies again and again, at most."""

Serve = Callable[[list["socket.socket"], Callable[[], None]], int]
"""What a worker does: serve the sockets, call the function when it is ready, and give the exit code."""


class Worker:
    """A place for one process.

    Attributes:
        name: for the log.
        sockets: that it serves, whichever process it is.
        run: what the process does, until its exit code; it calls its argument when it is ready.
        is_keeper: whether it keeps the private store, which the others need until their end.
        pid: of the process, 0 for none.
        ready: the end of a pipe that tells when it can be asked; -1 once it was.
        began: when it was started, seconds.
        pause: seconds until it is started after its next death, if that comes soon.
        due: when it is to be started, seconds.
    """

    def __init__(
        self, name: str, sockets: list["socket.socket"], run: Callable[[Callable[[], None]], int], *, is_keeper: bool
    ) -> None:
        self.name = name
        self.sockets = sockets
        self.run = run
        self.is_keeper = is_keeper
        self.pid = 0
        self.ready = -1
        self.began = 0.0
        self.pause = 0.0
        self.due = 0.0


class Workers:
    """The parent.

    Args:
        places: the sockets of each worker.
        serve: what each does.
        ready: called once, when all can be asked.
        stopping: called when they are told to stop.
        store: that they share, if it is theirs alone.
    """

    def __init__(
        self,
        places: list[list["socket.socket"]],
        serve: Serve,
        ready: Callable[[], None],
        stopping: Callable[[], None],
        store: PrivateStore | None = None,
    ) -> None:
        self._workers = [Worker("a worker", sockets, partial(serve, sockets), is_keeper=False) for sockets in places]
        self._store = store
        if store is not None:
            self._workers.insert(0, Worker("the private store's keeper", [], store.keep, is_keeper=True))
        self._ready = ready
        self._stopping = stopping
        self._is_ready = False
        self._signals: list[int] = []
        self._life, self._lives = os.pipe()
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self._code = 0
        self._watchdog = watchdog_interval()

    def run(self) -> int:
        """Start all, and come back when all have ended; gives the exit code, as for a single process."""
        with self._signals_caught():
            for worker in self._workers[1:]:
                worker.due = math.inf  # If the first cannot start, the others need not say so too.
            self._start(self._workers[0])
            while any(worker.pid for worker in self._workers) or not self._signals:
                self._wait()
                self._bury()
                if self._signals:
                    self._end_all()
                else:
                    self._begin_due()
        return self._code

    # Processes.

    def _start(self, worker: Worker) -> None:
        ours, theirs = os.pipe()
        worker.began = time.monotonic()
        worker.ready = ours
        worker.pid = os.fork()
        if not worker.pid:
            os.close(ours)
            os._exit(self._be_worker(worker, theirs))
        os.close(theirs)

    def _be_worker(self, worker: Worker, ready: int) -> int:
        """What the child does, up to its exit code; nothing of the parent's is run on the way out."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            # The terminal's Ctrl-C goes to all; the parent alone says when to stop, and `life` tells that as well.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            for ignored in (signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, *DUMPING):
                signal.signal(ignored, signal.SIG_IGN)  # until it can drain, and read its settings again
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for other in self._workers:
                if other is not worker and other.sockets is not worker.sockets:
                    for each in other.sockets:
                        each.close()
                if other is not worker and other.ready >= 0:
                    os.close(other.ready)
            for number in (self._lives, self._wake, self._woken):
                os.close(number)
            code = worker.run(lambda: _tell(ready))
        except KeyboardInterrupt:
            code = 130
        except SloshError as error:
            logger.error("%s", error.detail)  # noqa: TRY400 - the sentence is all
        except BaseException:
            logger.exception("a worker failed")
        return code

    def _bury(self) -> None:
        for worker in self._workers:
            if not worker.pid:
                continue
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if not pid:
                continue
            worker.pid = 0
            never_ready = worker.ready >= 0
            self._close_ready(worker)
            code = os.waitstatus_to_exitcode(status)
            if self._signals:
                self._code = max(self._code, code if code >= 0 else 128 - code)
            elif never_ready and not self._is_ready:
                self._code = code if code > 0 else 1
                self._signals.append(signal.SIGTERM)
            else:
                self._plan(worker, code)

    def _plan(self, worker: Worker, code: int) -> None:
        now = time.monotonic()
        lived = now - worker.began
        pause = 0.0 if lived > _QUICK else worker.pause  # none after the first quick death: who waits is served soon
        worker.pause = min(_LONGEST_PAUSE, 2 * pause or 0.5)
        worker.due = now + pause
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        logger.error("%s %s after %.0f s; the next one takes its place", worker.name, how, lived)

    def _begin_due(self) -> None:
        now = time.monotonic()
        for worker in self._workers:
            if not worker.pid and worker.due <= now:
                self._start(worker)

    def _end_all(self) -> None:
        """Tell all to stop; those that are told again quit at once."""
        while len(self._signals) > 1 or self._lives >= 0:
            first = self._lives >= 0
            if first:
                os.close(self._lives)  # a worker that is just being forked learns it this way
                self._lives = -1
                if self._store is not None:
                    self._store.leave()
                if self._is_ready:
                    self._stopping()
                for worker in self._workers:
                    for each in worker.sockets:
                        each.close()
            else:
                self._code = max(self._code, 128 + self._signals.pop())
            for worker in self._workers:
                if worker.pid and not worker.is_keeper:  # which ends when the others have
                    os.kill(worker.pid, signal.SIGTERM if first else signal.SIGKILL)

    def _pass_on(self, number: int) -> None:
        """Tell each worker what we were told."""
        reloads = number in RELOADING
        if reloads:
            notify_reloading()
        for worker in self._workers:
            if worker.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.pid, number)
        if reloads:
            notify(READY)

    # Waiting.

    def _wait(self) -> None:
        """Wait for a signal, for a worker that is ready, or until one is due to be started."""
        listened = {worker.ready: worker for worker in self._workers if worker.ready >= 0}
        next_start = min((worker.due for worker in self._workers if not worker.pid), default=math.inf)
        is_waiting = next_start < math.inf and not self._signals
        timeout = max(0.0, next_start - time.monotonic()) if is_waiting else None
        if self._watchdog:
            notify(ALIVE)
            timeout = self._watchdog if timeout is None else min(timeout, self._watchdog)
        poll = select.poll()  # select() takes no descriptor above 1023
        for number in (self._woken, *listened):
            poll.register(number, select.POLLIN)
        for number, _ in poll.poll(None if timeout is None else math.ceil(timeout * 1000)):
            if number == self._woken:
                os.read(number, 1024)
            elif os.read(number, 1):
                self._close_ready(listened[number])
                if self._is_ready and not self._signals:
                    worker = listened[number]
                    logger.warning("%s is ready again, as process %d", worker.name, worker.pid)
                waiting = [worker for worker in self._workers if worker.due == math.inf]
                for worker in waiting[:1] if listened[number].is_keeper else waiting:
                    worker.due = 0.0
                self._tell_if_all_are_ready()
            else:
                # It has died; the signal for that comes too.
                time.sleep(0.01)

    def _close_ready(self, worker: Worker) -> None:
        if worker.ready >= 0:
            os.close(worker.ready)
            worker.ready = -1

    def _tell_if_all_are_ready(self) -> None:
        if not self._is_ready and all(worker.pid and worker.ready < 0 for worker in self._workers):
            self._is_ready = True
            self._ready()

    @contextlib.contextmanager
    def _signals_caught(self) -> Iterator[None]:
        def caught(number: int, _: FrameType | None) -> None:
            if number in (*RELOADING, *DUMPING):
                self._pass_on(number)
            elif number != signal.SIGCHLD:
                self._signals.append(number)

        numbers = (*ENDING, *RELOADING, *DUMPING, signal.SIGCHLD)
        before = {number: signal.signal(number, caught) for number in numbers}
        before |= {number: signal.signal(number, signal.SIG_IGN) for number in IGNORED}
        woken_before = signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(woken_before)
            for number, handler in before.items():
                signal.signal(number, handler)

    @property
    def life(self) -> int:
        """In a worker, the descriptor that comes to its end when the parent has gone, or wants it to stop."""
        return self._life


def _tell(ready: int) -> None:
    with contextlib.suppress(OSError):
        os.write(ready, b"1")
    os.close(ready)


def when_parent_goes(life: int, call: Callable[[], None]) -> None:
    """Have `call` made, on the running event loop, when the parent has gone or wants this worker to stop."""
    loop = asyncio.get_running_loop()

    def ended() -> None:
        loop.remove_reader(life)
        call()

    loop.add_reader(life, ended)
