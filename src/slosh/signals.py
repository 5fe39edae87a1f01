"""What signals mean to a server that runs.

| signal | what happens |
| --- | --- |
| SIGTERM, SIGINT, SIGQUIT | it drains and ends; a second one ends it at once |
| SIGHUP | it reads its settings again, and takes those that need no restart |
| SIGUSR1 | it writes what it is doing to the log; see `dump.py` |
| SIGUSR2 | nothing: tools that rotate logs send it, and no request may suffer for that |
"""

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from slosh.dump import dump
from slosh.errors import SettingError
from slosh.logs import event
from slosh.settings.row import hide_login
from slosh.supervisor import READY, notify, notify_reloading

if TYPE_CHECKING:
    from slosh.server import Server
    from slosh.settings import Settings

log: Final = logging.getLogger("slosh.signals")

Again = Callable[[], "Settings"]
"""Reads the settings again, from all the places where they were read first. It raises SettingError for a mistake."""


def _named(*names: str) -> tuple[signal.Signals, ...]:
    """The signals of these names that this system has; Windows lacks most."""
    return tuple(signal.Signals[name] for name in names if name in signal.Signals.__members__)


ENDING: Final = _named("SIGTERM", "SIGINT", "SIGQUIT")
RELOADING: Final = _named("SIGHUP")
DUMPING: Final = _named("SIGUSR1")
IGNORED: Final = _named("SIGUSR2")


def handle(number: signal.Signals, call: Callable[[], object]) -> None:
    """Have `call` made on the running event loop when the signal comes."""
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(number, call)
    except NotImplementedError:  # asyncio's loops on Windows
        signal.signal(number, lambda _, __: loop.call_soon_threadsafe(call))


def stay_up(server: "Server", again: Again) -> None:
    """Let no signal end `server` that is not there for it, SIGHUP read its settings again, SIGUSR1 tell its state."""
    for number in RELOADING:
        handle(number, lambda: reload(server, again))
    for number in DUMPING:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.SIG_IGN):  # as below; a worker ignores it until here
            handle(number, lambda: write_dump(server))
    for number in IGNORED:
        if signal.getsignal(number) is signal.SIG_DFL:  # twistd rotates its log on SIGUSR1
            signal.signal(number, signal.SIG_IGN)


def write_dump(server: "Server") -> None:
    """Log what `server` is doing."""
    where = f" in worker {os.getpid()}" if server.settings.workers > 1 else ""
    for line in dump(server):
        log.info("SIGUSR1%s: %s", where, line)


def reload(server: "Server", again: Again) -> None:
    """Read the settings again, and log what came of it. A mistake changes nothing."""
    where = f" in worker {os.getpid()}" if server.settings.workers > 1 else ""
    if not where:  # else the parent tells it
        notify_reloading()
    try:
        taken, waiting = server.reload(again())
    except SettingError as error:
        mistake = hide_login(error.detail)
        _tell_reloaded(where)
        log.error(  # noqa: TRY400 - the sentence is all
            "SIGHUP%s: the settings stay as they are, because of a mistake in them: %s",
            where,
            mistake,
            extra=event("reload_failed", mistake=mistake),
        )
        return
    _tell_reloaded(where)
    names = ", ".join(taken) or "none that a running server takes has changed"
    later = f"; these need a restart: {', '.join(waiting)}" if waiting else ""
    log.info(
        "SIGHUP%s: the settings were read again: %s%s",
        where,
        names,
        later,
        extra=event("reloaded", changed=taken, need_restart=waiting),
    )


def _tell_reloaded(where: str) -> None:
    if not where:
        notify(READY)
