"""Minimal long-poll servers on twisted.web and on Starlette with uvicorn, written for the comparison.

They show what the frameworks themselves cost: a ring, cursors and waiting readers, and nothing else.
They get a tenth of the usual load, since at the full load they would only show that they drown.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

from benchmarks.servers.base import Server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _missing(*modules: str) -> Callable[[], str | None]:
    def missing() -> str | None:
        lacking = [module for module in modules if importlib.util.find_spec(module) is None]
        return f"{', '.join(lacking)} (pip install {' '.join(lacking)})" if lacking else None

    return missing


def _command(program: str) -> Callable[[Path, int], list[str]]:
    def command(_scratch: Path, port: int) -> list[str]:
        return [sys.executable, "-m", f"benchmarks.servers.{program}", str(port)]

    return command


STARLETTE = Server(
    name="starlette",
    title="Starlette on uvicorn",
    configuration="benchmarks/servers/starlette_app.py on uvicorn with uvloop and httptools, access log off",
    missing=_missing("starlette", "uvicorn", "uvloop", "httptools"),
    command=_command("starlette_app"),
    transports={"longpoll": "plain", "gathered": "plain"},
    share=0.1,
)
TWISTED_WEB = Server(
    name="twisted-web",
    title="twisted.web",
    configuration="benchmarks/servers/twisted_app.py on the epoll reactor, no access log",
    missing=_missing("twisted"),
    command=_command("twisted_app"),
    transports={"longpoll": "plain", "gathered": "plain"},
    share=0.1,
)
