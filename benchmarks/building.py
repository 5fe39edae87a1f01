"""Compiles the load generator and the floor into build/benchmarks, when they are older than their source."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
BUILD = HERE.parent / "build" / "benchmarks"
"""What the benchmark makes and installs for itself."""
FLAGS = ["-O2", "-std=gnu11", "-Wall", "-Wextra"]


class BuildError(Exception):
    """A C program could not be built; the text says why and what to install."""


def compiler() -> str | None:
    """The C compiler's path, or None."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def build(name: str, sources: list[Path]) -> Path:
    """The program `name` made of these C files and of the headers beside them; raises BuildError."""
    program = BUILD / name
    depends = [*sources, *{header for source in sources for header in source.parent.glob("*.h")}]
    if program.exists() and program.stat().st_mtime > max(path.stat().st_mtime for path in depends):
        return program
    cc = compiler()
    if cc is None:
        raise BuildError("no C compiler: install one (Debian: apt-get install gcc libc6-dev)")
    BUILD.mkdir(parents=True, exist_ok=True)
    unfinished = BUILD / f"{name}.{os.getpid()}"  # so that no other process starts half of it
    made = subprocess.run(
        [cc, *FLAGS, "-o", str(unfinished), *map(str, sources)], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        raise BuildError(f"{cc} could not build {name}:\n{made.stderr}")
    return unfinished.replace(program)


def build_load() -> Path:
    """The load generator."""
    return build("load", sorted((HERE / "load").glob("*.c")))


def build_floor() -> Path:
    """The bare epoll server."""
    return build("floor", [HERE / "servers" / "floor.c"])
