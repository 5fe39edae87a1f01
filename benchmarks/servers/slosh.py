"""slosh itself, as `slosh serve` starts it, with its default settings; and the compiled build of it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from benchmarks.servers.base import ROOT, Server

BESIDE = Path(f"{sys.prefix}-compiled")
COMPILED = Path(os.environ.get("COMPILED") or (BESIDE if BESIDE.is_dir() else ROOT / ".venv-compiled")).absolute()
COMPILED /= "bin/python"
"""Python of the virtual environment in which the compiled wheel is: as the Makefile has it, beside this one."""
TOKEN = b"bench_5e1d0c9b8a7f6e5d4c3b2a19"
"""BENCH_TOKEN in benchmarks/load/load.h."""
TRANSPORTS = {"longpoll": "slosh", "gathered": "slosh", "sse": "slosh-sse", "websocket": "slosh-websocket"}


def _missing() -> str | None:
    if importlib.util.find_spec("slosh") is None or importlib.util.find_spec("slosh.__main__") is None:
        return f"slosh, installed for {sys.executable} (make bench does it; by hand: pip install -e .)"
    return None


def _command(_scratch: Path, port: int) -> list[str]:
    return [sys.executable, "-m", "slosh", "serve", "--port", str(port)]


def _guard(scratch: Path) -> list[str]:
    """Rules with which nothing is open, and the load generator's token reads and publishes everything."""
    path = scratch / "slosh.toml"
    rights = 'read = ["**"]\npublish = ["**"]\n'
    path.write_text(f'[[access.tokens]]\nname = "bench"\nsha256 = "{sha256(TOKEN).hexdigest()}"\n{rights}')
    return ["--config", str(path)]


def _compiled_missing() -> str | None:
    if COMPILED.exists():
        return None
    return f"the compiled slosh in {COMPILED.parents[1]} (make peers installs it)"


def _compiled_command(_scratch: Path, port: int) -> list[str]:
    # Isolated, so that it is not the checkout's source which runs, wherever PYTHONPATH points.
    return [str(COMPILED), "-I", "-m", "slosh", "serve", "--port", str(port)]


def _version(*python: str) -> str:
    words = [*python, "-m", "slosh", "--version"]
    told = subprocess.run(words, capture_output=True, text=True, check=False).stdout
    return told.strip().removeprefix("slosh ")


SLOSH = Server(
    name="slosh",
    title="slosh",
    configuration="`slosh serve --port N`, default settings (ring of 100 messages, all features on)",
    missing=_missing,
    command=_command,
    version=lambda: _version(sys.executable),
    transports=TRANSPORTS,
    guard=_guard,
    python=sys.executable,
)

SLOSH_COMPILED = Server(
    name="slosh-compiled",
    title="slosh, compiled",
    configuration="the same, from the compiled wheel (`make wheel`)",
    missing=_compiled_missing,
    command=_compiled_command,
    version=lambda: _version(str(COMPILED), "-I"),
    transports=TRANSPORTS,
    guard=_guard,
    python=str(COMPILED),
)
