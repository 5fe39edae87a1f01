"""The kernel's floor: floor.c, a bare epoll server that does little but receive and send."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.building import build_floor, compiler
from benchmarks.servers.base import Server

if TYPE_CHECKING:
    from pathlib import Path


def _missing() -> str | None:
    return None if compiler() else "a C compiler (Debian: apt-get install gcc libc6-dev)"


def _command(_scratch: Path, port: int) -> list[str]:
    return [str(build_floor()), str(port)]


FLOOR = Server(
    name="floor",
    title="floor (C, epoll)",
    configuration=(
        "benchmarks/servers/floor.c: one thread, one recv and one send a delivery, hardly any parsing, "
        "rings of 100 messages"
    ),
    missing=_missing,
    version=lambda: "of this commit",
    command=_command,
    transports={"longpoll": "plain", "gathered": "plain", "sse": "slosh-sse", "websocket": "slosh-websocket"},
)
