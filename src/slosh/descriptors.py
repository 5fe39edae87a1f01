"""How many files the system lets this process open, and how they are shared out: each connection is one."""

import logging
import sys
from typing import Final, NamedTuple

from slosh.errors import TooFewFiles
from slosh.settings.table import Settings

log: Final = logging.getLogger("slosh.descriptors")

OWN_FILES: Final = 64
"""Descriptors that slosh holds besides its connections and downloads: listeners, the loop's own, logs, a store's, and
`SPARE_FILES`."""

SPARE_FILES: Final = 40
"""Those of them that are kept for connections beyond `max_connections`: `RESERVE` and `LEAVING` of `http1/reserve.py`,
and a dozen that are being accepted or closed."""

ENOUGH_FILES: Final = 4096
"""Descriptors below which a limit is worth a word, also to somebody who has set nothing."""

FEWEST_FILES: Final = 32
"""Descriptors with which a server starts at all: the loop's own, logs, listeners, a few connections."""


class Shares(NamedTuple):
    """How the files that the system grants are shared.

    Attributes:
        connections: that may be open at a time.
        downloads: large files that may be sent at a time.
        first_spare: the number from which on descriptors are kept for connections beyond those.
    """

    connections: int
    downloads: int
    first_spare: int


def open_files() -> int:
    """How many files this process may open; a number that is never reached if the system sets none."""
    if sys.platform == "win32":
        return sys.maxsize
    import resource  # noqa: PLC0415 - Unix only

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def share_files(settings: Settings, limit: int) -> Shares:
    """Share out this many files: without one for it a client would hang in the system's queue."""
    free = max(2, limit - OWN_FILES)
    downloads = min(settings.max_downloads, max(1, free // 4))
    return Shares(
        connections=min(settings.max_connections, free - downloads),
        downloads=downloads,
        first_spare=max(limit - SPARE_FILES, limit // 2),
    )


def enough_files(settings: Settings) -> int:
    """The least limit with which `max_connections` fit."""
    wanted = settings.max_connections
    beside_a_quarter = max(4 * (wanted - 1) // 3 + 1, wanted + 1)
    return OWN_FILES + min(wanted + settings.max_downloads, beside_a_quarter)


def check_file_limit() -> None:
    """Check that a server can work at all.

    Raises:
        TooFewFiles: the system lets this process open too few files; the detail says how many it needs.
    """
    limit = open_files()
    if limit < FEWEST_FILES:
        raise TooFewFiles(
            f"The system lets this process open {limit} files (ulimit -n), and slosh needs {FEWEST_FILES} to start, "
            f"and one more for each connection. Raise the limit: ulimit -n {ENOUGH_FILES}, or "
            f"LimitNOFILE={ENOUGH_FILES} in systemd."
        )


def raise_file_limit(settings: Settings) -> str:
    """Let this process open as many files as the system grants it, since each connection is one.

    Returns:
        A sentence of warning when that is too few for max_connections, else nothing.

    Raises:
        TooFewFiles: it is too few to start.
    """
    if sys.platform == "win32":  # it has no such limit
        return ""
    import resource  # noqa: PLC0415 - Unix only

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = enough_files(settings)
    # If there is no hard limit (macOS says so and refuses infinity all the same) ask for what is needed.
    all_together = OWN_FILES + settings.max_connections + settings.max_downloads
    wanted = all_together if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (ValueError, OSError) as error:
            log.debug("the limit on open files stays at %d: %s", soft, error)
    check_file_limit()
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return ""
    if settings.max_connections == Settings().max_connections and soft >= ENOUGH_FILES:
        return ""  # This many were not asked for: the server takes what fits, and answers 503 beyond that.
    shares = share_files(settings, soft)
    return (
        f"this process may open {soft} files (ulimit -n). That is room for {shares.connections} of the "
        f"{settings.max_connections} connections of max_connections, beside {shares.downloads} for max_downloads. "
        f"Raise the limit (ulimit -Hn, LimitNOFILE= in systemd) to {needed}, or lower max_connections."
    )
