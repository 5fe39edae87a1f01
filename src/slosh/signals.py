"""What signals mean to a server that runs.

| signal | what happens |
| --- | --- |
| SIGTERM, SIGINT, SIGQUIT | it drains and ends; a second one ends it at once |
| SIGHUP | it reads its settings again, and takes those that need no restart |
| SIGUSR1, SIGUSR2 | nothing: tools that rotate logs send them, and no request may suffer for that |
"""

import asyncio
import logging
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from slosh.errors import SettingError
from slosh.setting import hide_login

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
IGNORED: Final = _named("SIGUSR1", "SIGUSR2")


def handle(number: signal.Signals, call: Callable[[], object]) -> None:
    """Have `call` made on the running event loop when the signal comes."""
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(number, call)
    except NotImplementedError:  # asyncio's loops on Windows
        signal.signal(number, lambda _, __: loop.call_soon_threadsafe(call))


def stay_up(server: "Server", again: Again) -> None:
    """Let no signal end `server` that is not there for it, and SIGHUP read its settings again."""
    for number in RELOADING:
        handle(number, lambda: reload(server, again))
    for number in IGNORED:
        if signal.getsignal(number) is signal.SIG_DFL:  # twistd rotates its log on SIGUSR1
            signal.signal(number, signal.SIG_IGN)


def reload(server: "Server", again: Again) -> None:
    """Read the settings again, and log what came of it. A mistake changes nothing."""
    try:
        settings = again()
    except SettingError as error:
        log.error("SIGHUP: the settings stay as they are, because of a mistake in them: %s", hide_login(error.detail))  # noqa: TRY400 - the sentence is all
        return
    waiting = server.reload(settings)
    told = f"; these need a restart: {', '.join(waiting)}" if waiting else ""
    log.info("SIGHUP: the settings were read again%s", told)
