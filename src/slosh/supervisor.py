"""Tell systemd how this process is doing (sd_notify(3)): a datagram to the socket that NOTIFY_SOCKET names.

Under `Type=notify` a unit counts as started when the server can be asked, and as reloading until it has taken its
settings; under `Type=notify-reload` a reload is over then. With `WatchdogSec=` a server whose event loop stands still
is restarted. Elsewhere all this does nothing.
"""

import asyncio
import os
import socket
import time
from typing import Final

SOCKET: Final = "NOTIFY_SOCKET"
READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"
ALIVE: Final = "WATCHDOG=1"


def notify(*facts: str) -> bool:
    """Tell the supervisor; whether there is one that heard it."""
    path = os.environ.get(SOCKET, "")
    if not path.startswith(("/", "@")):
        return False
    address = f"\0{path[1:]}" if path.startswith("@") else path  # a socket without a file, as containers have
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sending:
            sending.sendto("\n".join(facts).encode(), address)
    except OSError:
        return False
    return True


def notify_reloading() -> bool:
    """Tell that the settings are read again. Call `notify(READY)` when they were taken, or a mistake was logged."""
    return notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def watchdog_interval() -> float:
    """Seconds between two heartbeats: half of what the unit's WatchdogSec allows; 0 if it asks for none."""
    interval, process = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not interval.isascii() or not interval.isdigit() or (process and process != str(os.getpid())):
        return 0.0
    return int(interval) / 2_000_000


def keep_watchdog(loop: asyncio.AbstractEventLoop) -> None:
    """Tell the watchdog, again and again, that `loop` goes round."""
    interval = watchdog_interval()
    if interval:
        notify(ALIVE)
        loop.call_later(interval, keep_watchdog, loop)
