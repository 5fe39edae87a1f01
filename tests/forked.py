"""The program that forks others for tests; `tests/forking.py` starts it.

Its words are the number of the socket on which it is asked, and which modules it imports. Each order forks twice, so
that what is started loses its parent and becomes a child of the tests' process, which waits for that. The program that
was asked for then runs at the end of this file, where Python would run it, so that it ends as a Python does.
"""

import contextlib
import fcntl
import gc
import io
import os
import pickle
import resource
import runpy
import signal
import socket
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any, Final

BEFORE: Final = {
    "serve": (
        "slosh.cli",
        "slosh.commands.serve",
        "slosh.server",
        "slosh.signals",
        "slosh.takeover",
        "uvloop",
        "encodings.idna",
        "slosh.engine.redis.engine",  # whose library takes longer than all else
    ),
    "others": (
        "slosh.cli",
        "slosh.client",
        "slosh.commands.pub",
        "slosh.commands.sub",
        "slosh.commands.bridge",
        "slosh.commands.upstream_redis",
        "anyio.streams.tls",
        "encodings.idna",
        "httpcore2",
        "truststore",
    ),
    "tests": (
        "cryptography.hazmat.primitives.serialization",
        "cryptography.x509",
        "hypothesis.stateful",
        "msgspec.json",
        "prometheus_client.openmetrics.exposition",
        "psutil",
        "pytest",
        "unittest.mock",
        "uvloop",
    ),
}
"""The modules that are imported before anything is asked for: those of a server, those of the other commands, and what
many tests and slosh import, but no slosh."""


def pack_own_files() -> None:
    """Read and pack the files of a server's pages, which takes as long as three starts, and which it keeps."""
    pages, assets = import_module("slosh.web.pages.reserved"), import_module("slosh.web.pages.assets")
    for path in pages.FILES.values():
        assets.load(path)


def main() -> list[str]:
    """Fork whatever is asked for. Returns in what was forked, with its words, and never here."""
    del sys.path[0]  # the folder of this file
    asked = socket.socket(fileno=int(sys.argv[1]))
    for name in BEFORE[sys.argv[2]]:
        with contextlib.suppress(ModuleNotFoundError):  # The library of an extra that is not installed.
            import_module(name)
    if sys.argv[2] == "serve":
        pack_own_files()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The process of the tests decides when this one ends.
    gc.collect()
    gc.freeze()  # Else each of those that are forked copies all of this to look for what is garbage.
    while True:
        head, files, _, _ = socket.recv_fds(asked, 8, 64)
        if not head:
            os._exit(0)
        order = pickle.loads(asked.recv(int.from_bytes(head), socket.MSG_WAITALL))
        reading, writing = os.pipe()
        if (between := os.fork()) == 0:
            if os.fork() != 0:
                os._exit(0)
            try:
                asked.detach()
                return become(order, files, writing)
            except BaseException:  # noqa: BLE001 - it is started afresh then, which tells the error
                os._exit(1)
        os.close(writing)
        for file in files:
            os.close(file)
        os.waitpid(between, 0)
        asked.sendall(os.read(reading, 8) or bytes(8))
        os.close(reading)


def become(order: dict[str, Any], files: list[int], told: int) -> list[str]:
    """Turn this process into what was ordered, tell its number, and return its words."""
    if order["session"]:
        os.setsid()
    elif order["group"] != -1:
        os.setpgid(0, order["group"])
    os.chdir(order["folder"])
    os.umask(order["umask"])
    told = put_files(order["files"], files, told)
    for each, limits in order["limits"].items():
        if resource.getrlimit(each) != limits:
            resource.setrlimit(each, limits)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environb.clear()
    os.environb.update(order["environment"])
    make_standard_files()
    time.tzset()
    sys.orig_argv = [os.fsdecode(word) for word in order["words"]]
    os.write(told, os.getpid().to_bytes(8))
    os.close(told)
    return sys.orig_argv


def put_files(numbers: list[int], files: list[int], told: int) -> int:
    """Give the files the numbers that they are to have, and close all others but one, whose new number is returned."""
    *above, told = (fcntl.fcntl(file, fcntl.F_DUPFD, max(numbers) + 1) for file in (*files, told))
    for file, number in zip(above, numbers, strict=True):
        os.dup2(file, number)
    for number in [int(each.name) for each in Path("/proc/self/fd").iterdir()]:
        if number not in {*numbers, told}:
            with contextlib.suppress(OSError):  # that by which they were listed
                os.close(number)
    return told


def make_standard_files() -> None:
    """Make standard input, output and error as Python does when it starts."""
    unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        former = getattr(sys, f"__{name}__")
        writes = name != "stdin"
        raw = io.FileIO(number, "w" if writes else "r", closefd=False)
        buffer: Any = raw
        if not writes:
            buffer = io.BufferedReader(raw)
        elif not unbuffered:
            buffer = io.BufferedWriter(raw)
        text = io.TextIOWrapper(
            buffer,
            encoding=former.encoding,
            errors=former.errors,
            newline="\n" if writes else None,
            line_buffering=not (writes and unbuffered) and (name == "stderr" or raw.isatty()),
            write_through=writes and unbuffered,
        )
        setattr(sys, name, text)
        setattr(sys, f"__{name}__", text)


if __name__ == "__main__":
    _, *sys.argv = main()
    if sys.argv[0] == "-m":
        del sys.argv[0]
        sys.path.insert(0, str(Path.cwd()))
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, str(Path(sys.argv[0]).resolve().parent))
        runpy.run_path(sys.argv[0], run_name="__main__")
