"""slosh with a Redis of its own beside it: what it costs that messages live in a store that nodes share."""

from __future__ import annotations

import dataclasses
import http.client
import importlib.util
import shutil
import subprocess
from typing import TYPE_CHECKING

from benchmarks.ports import free_port
from benchmarks.servers.slosh import SLOSH, SLOSH_COMPILED

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.servers.base import Server

REDIS = "redis-server"


def store_command(scratch: Path) -> list[str]:
    """Redis on a TCP port, which the file `port` tells, and on the socket `store`, which shows that it is there."""
    port = free_port()
    (scratch / "port").write_text(str(port))
    return [REDIS, "--port", str(port), "--bind", "127.0.0.1", "--unixsocket", str(scratch / "store"), "--save", "",
            "--appendonly", "no", "--dir", str(scratch)]  # fmt: skip


def store_address(scratch: Path) -> str:
    """Where nodes find it."""
    return f"redis://127.0.0.1:{(scratch / 'port').read_text()}/0"


def store_version() -> str:
    """Which Redis it is."""
    told = subprocess.run([REDIS, "--version"], capture_output=True, text=True, check=False).stdout
    return told.partition("v=")[2].partition(" ")[0]


def _redis_missing() -> str | None:
    if shutil.which(REDIS) is None:
        return f"{REDIS} (Debian: apt-get install redis-server)"
    if importlib.util.find_spec("redis") is None:
        return "Python's redis (pip install 'slosh-server[redis]')"
    return None


def _with_store(server: Server) -> Server:
    return dataclasses.replace(
        server,
        name=f"{server.name}-redis",
        title=f"{server.title}, with Redis",
        configuration=f"{server.configuration}, and `--engine redis://…` to a Redis of its own on the load's core, "
        "without persistence, over TCP; its CPU is told apart",
        missing=lambda: _redis_missing() or server.missing(),
        command=lambda scratch, port: [*server.command(scratch, port), "--engine", store_address(scratch)],
        version=lambda: f"{server.version()}, Redis {store_version()}",
        store=store_command,
    )


def answers(port: int) -> bool:
    """Whether each worker serves: the system shares connections out among them, and these come to all but surely."""
    for _ in range(8):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", "/-/ready")
            if connection.getresponse().status != 200:
                return False
        except OSError:
            return False
        finally:
            connection.close()
    return True


def _with_workers(server: Server) -> Server:
    return dataclasses.replace(
        server,
        name=f"{server.name}-workers",
        title=f"{server.title}, 2 workers",
        configuration=f"{server.configuration}, `--workers 2`: two processes and their private store, all on one core, "
        "and their CPU together",
        missing=lambda: _redis_missing() or server.missing(),
        command=lambda scratch, port: [*server.command(scratch, port), "--workers", "2"],
        version=lambda: f"{server.version()}, Redis {store_version()}",
        ready=answers,
    )


SLOSH_REDIS = _with_store(SLOSH)
SLOSH_COMPILED_REDIS = _with_store(SLOSH_COMPILED)
SLOSH_WORKERS = _with_workers(SLOSH)
SLOSH_COMPILED_WORKERS = _with_workers(SLOSH_COMPILED)
