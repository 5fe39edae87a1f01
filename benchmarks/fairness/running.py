"""One kind of attack at one server: what the healthy client waited without the attacker, and beside it.

The server has a core of its own; the attacker and the healthy client share the other, where the client comes first.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from benchmarks.building import build
from benchmarks.machine import put_first, waited_seconds
from benchmarks.processes import ProcessGroup

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from benchmarks.fairness.kinds import Crew, Kind
    from benchmarks.fairness.targets import Target

HERE = Path(__file__).parent
PATIENCE = 30.0
"""Seconds that the healthy client waits for what is still open when its time is over."""
PREPARING = 120.0
"""Seconds that the server may take for all that an attack needs before it begins."""
ATTACKER = "127.0.100.1"
"""The attacker's address; the healthy client has 127.0.0.1."""
PRIORITY = 50
"""Of the healthy client, among SCHED_FIFO."""


class FairnessError(Exception):
    """A run gives no figure; the text says why."""


@dataclass(frozen=True)
class Programs:
    """The C programs."""

    healthy: Path
    attack: Path


def build_programs() -> Programs:
    """Compile them; raises BuildError."""
    return Programs(*(build(f"fairness-{name}", [HERE / f"{name}.c"]) for name in ("healthy", "attack")))


class Talker:
    """A child that says `ready`, and answers a line with a line."""

    def __init__(self, command: list[str], core: int | None) -> None:
        self._name = Path(command[0]).name
        self.child: ProcessGroup[str] = ProcessGroup(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        if core is not None:
            os.sched_setaffinity(self.child.pid, {core})

    def hear(self) -> str:
        """The next line; raises FairnessError when there is none."""
        assert self.child.stdout is not None
        line = self.child.stdout.readline()
        if not line:
            assert self.child.stderr is not None
            raise FairnessError(f"{self._name}: {self.child.stderr.read().strip() or 'it ended'}")
        return line.strip()

    def say(self, word: str) -> None:
        """The next word for it."""
        assert self.child.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.child.stdin.write(word + "\n")
            self.child.stdin.flush()

    def finish(self) -> str:
        """Have it end; its last line."""
        assert self.child.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.child.stdin.close()
        return self.hear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.child.end()
        for stream in (self.child.stdin, self.child.stdout, self.child.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


def ask_all(port: int, data: bytes, source: str) -> bytes:
    """Send requests, pipelined, and read until the server closes; the last one asks it to."""
    with socket.create_connection(("127.0.0.1", port), PREPARING, source_address=(source, 0)) as connection:
        last = b"GET /-/healthy HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        sending = threading.Thread(target=_send, args=(connection, data + last), daemon=True)
        sending.start()
        answers = bytearray()
        while some := connection.recv(1 << 20):
            answers += some
        sending.join()
        return bytes(answers)


def _send(connection: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):  # the reader sees that too
        connection.sendall(data)


def prepare(port: int, requests: Iterable[bytes]) -> None:
    """Ask for all that an attack needs before it begins, from many addresses; raises FairnessError if refused."""
    for number, data in enumerate(requests):
        try:
            answers = ask_all(port, data, f"127.1.{number // 250}.{number % 250 + 1}")
        except OSError as error:
            raise FairnessError(f"while preparing: {error}") from None
        refused = re.findall(rb"HTTP/1\.1 ([345]\d\d .*?\r\n.*?)\r\n\r\n(.{0,300})", answers, re.DOTALL)
        if refused:
            raise FairnessError(f"while preparing: {b' '.join(refused[0]).decode(errors='replace')}")
        if answers.count(b"HTTP/1.1 200 ") < 1:
            raise FairnessError(f"while preparing: no answer but {answers[:200]!r}")


def options_of(crew: Crew, folder: Path, number: int) -> list[str]:
    """A crew as the options of attack.c; its bytes go into files."""
    words = []
    for name, value in vars(crew).items():
        if isinstance(value, bytes):
            path = folder / f"{name}-{number}"
            path.write_bytes(value)
            words += [f"--{name}", str(path)]
        else:
            words += [f"--{name}", str(int(value) if isinstance(value, bool) else value)]
    return words


@contextlib.contextmanager
def crews(program: Path, port: int, crew_list: Sequence[Crew], core: int | None) -> Iterator[list[Talker]]:
    """The attacker, with all its connections open, and not yet attacking."""
    with tempfile.TemporaryDirectory(prefix="slosh-fairness-") as folder, contextlib.ExitStack() as ends:
        talkers = []
        for number, crew in enumerate(crew_list):
            words = [str(program), "--port", str(port), "--source", ATTACKER, *options_of(crew, Path(folder), number)]
            talkers.append(ends.enter_context(Talker(words, core)))
        for talker in talkers:
            talker.hear()
        yield talkers


def memory(pid: int) -> tuple[float, float]:
    """Resident MB of a process, now and at the most since `forget_peak`."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    now, peak = (int(re.findall(rf"{name}:\s+(\d+) kB", status)[0]) / 1000 for name in ("VmRSS", "VmHWM"))
    return now, peak


def forget_peak(pid: int) -> None:
    """Let the most that `memory` tells begin again (proc(5), clear_refs)."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


@dataclass(frozen=True)
class Rules:
    """How to run."""

    programs: Programs
    seconds: float
    server_core: int | None
    load_core: int | None
    foremost: bool = False
    patience: float = PATIENCE


def put_before(pid: int) -> None:
    """Let the healthy client run whenever it is ready; as far as one may."""
    try:
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except OSError:
        with contextlib.suppress(OSError):
            put_first(pid)


def run_one(target: Target, kind: Kind, rules: Rules) -> dict[str, Any]:
    """The figures of one kind at one server; raises FairnessError, StartError."""
    server = target.server(() if target.peer else ("--linger=10m", *kind.settings))
    # Behind nginx the server that is measured stands where others have their store.
    core, store_core = (rules.load_core, rules.server_core) if target.behind else (rules.server_core, None)
    with server.running(core, store_core=store_core, foremost=rules.foremost) as started:
        pid = started.pid if started.store is None else started.store
        if not target.peer:
            prepare(started.port, kind.prepare())
        words = [str(rules.programs.healthy), str(started.port), str(rules.patience)]
        with Talker(words, rules.load_core) as healthy:
            put_before(healthy.child.pid)
            healthy.hear()
            idle = ask(healthy, min(1.0, rules.seconds))
            forget_peak(pid)
            before = memory(pid)[0]
            with crews(rules.programs.attack, started.port, kind.crews(), rules.load_core) as attackers:
                waited = waited_seconds(pid)
                for attacker in attackers:
                    attacker.say("go")
                time.sleep(0.05)
                began = time.monotonic()
                healthy.say(str(rules.seconds))
                time.sleep(rules.seconds)
                did = [json.loads(attacker.finish()) for attacker in attackers]
                attacked = json.loads(healthy.hear())
                took = time.monotonic() - began
                now, peak = memory(pid)
                waited = waited_seconds(pid) - waited
    return {
        "idle": idle,
        "attacked": attacked,
        "attackers": did,
        "memory": {"before": before, "peak": peak, "after": now},
        "waited": waited,
        "took": took,
    }


def ask(healthy: Talker, seconds: float) -> dict[str, Any]:
    """What the healthy client sees in so many seconds."""
    healthy.say(str(seconds))
    told: dict[str, Any] = json.loads(healthy.hear())
    return told
