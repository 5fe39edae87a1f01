"""What a kind of attack is, and all of them, in the order of the table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


@dataclass(frozen=True, kw_only=True)
class Crew:
    """Connections of an attacker that do the same (the options of attack.c)."""

    opening: bytes = b""
    """Sent once on each connection."""
    burst: bytes = b""
    """Sent again and again, once there is an answer to the opening."""
    connections: int = 1
    deaf: bool = False
    """Whether it leaves all that comes in the socket."""
    eager: bool = False
    """Whether it sends its burst without an answer to the opening."""
    reopen: int = 0
    """Bursts after which a connection is cut and replaced; 0 is never."""
    write: int = 1 << 20
    """Bytes of a single write at most."""
    pause: float = 0.0
    """Seconds between two bursts of a connection."""


def nothing() -> Iterable[bytes]:
    """No preparation."""
    return ()


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of attack."""

    name: str
    """As on the command line."""
    title: str
    """As in the table: what the attacker does."""
    crews: Callable[[], Sequence[Crew]]
    prepare: Callable[[], Iterable[bytes]] = field(default=nothing)
    """Requests for which the server is asked before, each item on a connection and from an address of its own."""
    settings: tuple[str, ...] = ()
    """Options of `slosh serve`."""
    peers: bool = False
    """Whether it makes sense for any web server, not for slosh alone."""


def one(burst: Callable[[], bytes], **options: bool | float) -> Callable[[], Sequence[Crew]]:
    """A single crew without an opening."""
    return lambda: [Crew(burst=burst(), **options)]  # type: ignore[arg-type] # each option has the type of its field
