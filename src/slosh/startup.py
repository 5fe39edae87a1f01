"""What every door does around a server's start: the ready line, the first hint, the limit on open files, memory."""

import gc
import logging
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from slosh import __version__
from slosh.settings import EXAMPLE, NO_FILES, Settings, is_local

_WILDCARDS: Final = (
    ("http://0.0.0.0:", socket.AF_INET, "192.0.2.1"),
    ("http://[::]:", socket.AF_INET6, "2001:db8::1"),
)
"""How addresses begin that mean all of this machine's, and one of the same family that is nobody's (RFC 5737, 3849)."""

log: Final = logging.getLogger("slosh.startup")

OWN_FILES: Final = 64
"""Descriptors that slosh holds besides its connections and downloads: listeners, the loop's own, logs, a store's, and
`SPARE_FILES`."""

SPARE_FILES: Final = 40
"""Those of them that are kept for connections beyond `max_connections`: `RESERVE` and `LEAVING` of `web/reserve.py`,
and a dozen that are being accepted or closed."""

ENOUGH_FILES: Final = 4096
"""Descriptors below which a limit is worth a word, also to somebody who has set nothing."""

COLLECT_AFTER: Final = (50_000, 20, 100)
"""Containers made and not freed between two looks of the garbage collector at the young, and how many such looks
come between two at the middle-aged and the old (`gc.set_threshold`)."""


def spare_collector() -> None:
    """Let Python's garbage collector look rarely, and never at what was there before the server began.

    For doors that have the process to themselves, once everything is imported: it holds for the whole process.
    Nothing that slosh makes for a request needs the collector, for its cycles are undone when it is answered;
    a held poll only lives for long enough to be looked at again and again. With Python's own threshold, 700, that
    is 7 % of the time of a fan-out to 10,000. What other code leaves behind in cycles is still found, later.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def open_files() -> int:
    """How many files this process may open; a number that is never reached where the system sets none."""
    if sys.platform == "win32":
        return sys.maxsize
    import resource  # noqa: PLC0415  # Unix only

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def hold_standard_descriptors() -> None:
    """Open /dev/null in place of standard input, output and error where this process was started without them.

    Call it before an event loop is made. Else the loop's own descriptors take their numbers, and what is printed goes
    there, which ends the process without a word.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the system gives the lowest number that is free
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    # Python has None in their place then, to which nothing can be written.
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for as long as the process
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def ready_line(settings: Settings, addresses: Sequence[str]) -> str:
    """The one line that says the server can be asked now, and where; programs may wait for its `is ready on`."""
    workers = f", with {settings.workers} workers" if settings.workers > 1 else ""
    where = " and ".join(reachable(addresses))
    return f"slosh {__version__} is ready on {where}, serving {_shown_root(settings)}{workers}"


def reachable(addresses: Sequence[str]) -> list[str]:
    """The addresses as another machine can open them: in place of 0.0.0.0 and :: stands what this machine is called."""
    found: dict[str, None] = {}
    for address in addresses:
        for wildcard, family, probe in _WILDCARDS:
            if address.startswith(wildcard):
                own = _own_address(family, probe)
                host = f"[{own}]" if ":" in own else own
                if own:
                    found[address.replace(wildcard, f"http://{host}:")] = None
                break
        else:
            found[address] = None
    return list(found) or list(addresses)


def _own_address(family: socket.AddressFamily, probe: str) -> str:
    """The address from which this machine reaches others; empty where it has none of this family. Nothing is sent."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as unsent:
            unsent.connect((probe, 9))
            return str(unsent.getsockname()[0])
    except OSError:
        return "127.0.0.1" if family == socket.AF_INET else ""


def _shown_root(settings: Settings) -> str:
    if settings.root == NO_FILES or (not settings.root and not is_local(settings)):
        return "no files"
    if settings.root in ("", EXAMPLE):
        return "example/"
    root = Path(settings.root).resolve()
    try:
        here = Path.cwd()
    except FileNotFoundError:  # The folder in which this process was started is gone.
        return f"{root}/"
    inside = root.relative_to(here) if root.is_relative_to(here) else root
    return f"{inside}".rstrip("/") + "/"  # the working directory itself is shown as ./


def first_hint(settings: Settings, addresses: Sequence[str]) -> str:
    """What to try first, for somebody who started slosh with nothing of his own yet; empty without a TCP address."""
    address = next((each for each in reachable(addresses) if each.startswith("http")), "")
    if not address:
        return ""
    pages = (f"  open    {address}/",) if _shown_root(settings) != "no files" else ()
    return "\n".join(
        (
            *pages,
            *([f"  chart   {address}/view/test"] if settings.view == "on" else []),
            f"  watch   curl {address}/topics/test",
            f'  post    curl -d \'{{"hello":"world"}}\' {address}/topics/test   (from another terminal)',
            "  stop    Ctrl-C",
        )
    )


def raise_file_limit(settings: Settings) -> str:
    """Let this process open as many files as the system grants it, since each connection is one.

    Returns:
        A sentence of warning when that is too few for max_connections, else nothing.
    """
    if sys.platform == "win32":  # it has no such limit
        return ""
    import resource  # noqa: PLC0415  # Unix only

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = settings.max_connections + OWN_FILES
    # Where there is no hard limit (macOS says so and refuses infinity all the same) ask for what is needed.
    wanted = needed if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (ValueError, OSError) as error:
            log.debug("the limit on open files stays at %d: %s", soft, error)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return ""
    if settings.max_connections == Settings().max_connections and soft >= ENOUGH_FILES:
        return ""  # Nobody has asked for so many: the server takes what fits, and answers 503 beyond that.
    return (
        f"this process may open {soft} files (ulimit -n), so about {max(soft - OWN_FILES, 0)} connections fit "
        f"and not the {settings.max_connections} of max_connections. "
        f"Raise the limit (ulimit -Hn, LimitNOFILE= in systemd) to {needed}, or lower max_connections."
    )
