"""What every entry point does around a server's start: the ready line, the first hint, memory."""

import asyncio
import gc
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from slosh.compiled import describe_build
from slosh.settings.meanings import EXAMPLE, NO_FILES, is_local
from slosh.settings.table import Settings
from slosh.version import __version__

_WILDCARDS: Final = (
    ("http://0.0.0.0:", socket.AF_INET, "192.0.2.1"),
    ("http://[::]:", socket.AF_INET6, "2001:db8::1"),
)
"""How addresses begin that mean all of this machine's, and one of the same family that no host has (RFC 5737, 3849)."""

COLLECT_AFTER: Final = (50_000, 20, 100)
"""Containers made and not freed between two looks of the garbage collector at the young, and how many such looks
come between two at the middle-aged and the old (`gc.set_threshold`)."""


def spare_collector() -> None:
    """Let Python's garbage collector look rarely, and never at what was there before the server began.

    For entry points that have the process to themselves, once everything is imported: it holds for the whole process.
    Nothing that slosh makes for a request needs the collector, for its cycles are undone when it is answered;
    a held poll only lives for long enough to be looked at again and again. With Python's own threshold, 700, that
    is 7 % of the time of a fan-out to 10,000. Cycles that other code leaves behind are still found, later.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def ready_line(settings: Settings, addresses: Sequence[str]) -> str:
    """The line that says where the server can be asked now, and which build it is.

    Programs may wait for its `is ready on`.
    """
    workers = f", with {settings.workers} workers" if settings.workers > 1 else ""
    where = " and ".join(reachable(addresses))
    return f"slosh {__version__} is ready on {where}, serving {_shown_root(settings)}{workers} ({describe_build()})"


def reachable(addresses: Sequence[str]) -> list[str]:
    """The addresses as another machine can open them: in place of 0.0.0.0 and :: stands what this machine is called."""
    found: dict[str, None] = {}
    for address in addresses:
        for wildcard, family, probe in _WILDCARDS:
            scheme, _, rest = address.partition("://")
            if f"http://{rest}".startswith(wildcard):
                own = _own_address(family, probe)
                host = f"[{own}]" if ":" in own else own
                if own:
                    found[f"{scheme}://{host}:{rest.rpartition(':')[2]}"] = None
                break
        else:
            found[address] = None
    return list(found) or list(addresses)


def _own_address(family: socket.AddressFamily, probe: str) -> str:
    """The address from which this machine reaches others; empty if it has none of this family. Nothing is sent."""
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


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Uvloop's event loop, or asyncio's own if uvloop is not to be had (Windows, PyPy)."""
    try:
        import uvloop  # noqa: PLC0415 - if it is to be had
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
