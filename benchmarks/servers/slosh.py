"""slosh itself, as `slosh serve` starts it, with its default settings."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

from benchmarks.servers.base import Server

if TYPE_CHECKING:
    from pathlib import Path


def _missing() -> str | None:
    if importlib.util.find_spec("slosh") is None or importlib.util.find_spec("slosh.__main__") is None:
        return f"slosh, installed for {sys.executable} (make bench does it; by hand: pip install -e .)"
    return None


def _command(_scratch: Path, port: int) -> list[str]:
    return [sys.executable, "-m", "slosh", "serve", "--port", str(port)]


SLOSH = Server(
    name="slosh",
    title="slosh",
    configuration="`slosh serve --port N`, default settings (ring of 100 messages, all features on)",
    missing=_missing,
    command=_command,
    transports={"longpoll": "slosh", "gathered": "slosh", "sse": "slosh-sse", "websocket": "slosh-websocket"},
)
