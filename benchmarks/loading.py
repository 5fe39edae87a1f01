"""The load generator as a child process: its options, the words exchanged with it, its result."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from benchmarks.machine import put_first
from benchmarks.processes import ProcessGroup

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


class LoadError(Exception):
    """The load generator could not do its work; the text is what it said."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What the load generator is to do; the fields are its options (benchmarks/load/main.c)."""

    mode: str = "steady"
    readers: int = 0
    topics: int = 1
    idle_readers: int = 0
    """In mode mixed: readers that wait beside the others, on `idle_topics` topics of their own."""
    idle_topics: int = 0
    publishers: int = 1
    rate: float = 0.0
    """Messages a second over all topics, on a fixed schedule; 0 = each publisher sends again once it is answered."""
    seconds: float = 1.0
    size: int = 100
    """Bytes of a message."""
    most: int = 0
    """Where it is larger than `size`: lengths are between them, by chance."""
    source: int = 0
    """Which address of 127.0.0.0/8 the first readers come from, for several load generators at one server."""
    way: str = "since"
    """How slosh's readers name their place: `since`, `cookie`, `number` (n), `among` (since among other parameters), or
    `event` (Last-Event-ID)."""
    keys: bool = False
    """Each publish has an Idempotency-Key of its own."""
    ids: bool = False
    """Each request has an X-Request-ID and a traceparent of its own, as a proxy adds them."""
    token: bool = False
    """Each request has a token."""
    mix: bool = False
    """Keys, ids and ways by chance."""
    browser: bool = False
    patience: float = 3.0

    def options(self) -> list[str]:
        """As command-line words."""
        words: list[str] = []
        for name, value in vars(self).items():
            if isinstance(value, bool):
                words += [f"--{name}"] if value else []
            else:
                words += [f"--{name}", str(value)]
        return words


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the load generator saw. Latencies are in microseconds, from the moment a thing was due."""

    published: int
    failed: int
    expected: int
    delivered: int
    missing: int
    doubled: int
    swapped: int
    strangers: int
    damaged: int
    answers: int
    connections_lost: int
    seconds: float
    until_last: float
    load_cpu: float
    delivery_p50: float
    delivery_p99: float
    publish_p50: float
    publish_p99: float
    reconnect_p50: float
    reconnect_p99: float
    late_p50: float
    late_p99: float

    def refusal(self) -> str | None:
        """Why this run gives no figure, in a few words; None when every message came once, whole and in order."""
        faults = [
            (self.failed, "publishes refused"),
            (self.missing, f"of {self.expected:,} messages missing"),
            (self.doubled, "doubled"),
            (self.swapped, "out of order"),
            (self.strangers, "of another topic"),
            (self.damaged, "damaged"),
            (self.connections_lost, "connections closed by the server"),
        ]
        told = [f"{count:,} {what}" for count, what in faults if count]
        return ", ".join(told) if told else None


class Load:
    """A running load generator. Use it in a `with` block; call the methods in the order that the mode speaks them."""

    def __init__(
        self, program: Path, transport: str, port: int, work: Work, core: int | None = None, *, foremost: bool = False
    ) -> None:
        """Starts it on that core. It connects at once, except in mode idle, which connects on `go`."""
        self._child: ProcessGroup[str] = ProcessGroup(
            [str(program), "--transport", transport, "--port", str(port), *work.options()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",  # it shows an answer that it cannot use, which may be a frame
        )
        if core is not None:
            os.sched_setaffinity(self._child.pid, {core})
        if foremost:
            put_first(self._child.pid)

    @property
    def pid(self) -> int:
        """Of the child."""
        return self._child.pid

    def hear(self, word: str | None = None) -> str:
        """The next line it says, which must be `word` if one is given; raises LoadError when it gave up."""
        assert self._child.stdout is not None
        line = self._child.stdout.readline().strip()
        if not line or (word is not None and line != word):
            self._child.kill()
            assert self._child.stderr is not None
            raise LoadError(
                self._child.stderr.read().strip() or f"the load generator said {line!r} instead of {word!r}"
            )
        return line

    def tell(self, word: str) -> None:
        """Says the next word to it."""
        assert self._child.stdin is not None
        self._child.stdin.write(word + "\n")
        self._child.stdin.flush()

    def result(self) -> Outcome:
        """Waits for the result."""
        return Outcome(**json.loads(self.hear()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.tell("bye")
            self._child.wait(20)
        except (OSError, subprocess.TimeoutExpired):
            pass
        self._child.end()
        for stream in (self._child.stdin, self._child.stdout, self._child.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):  # what was left to say to a child that is gone
                    stream.close()
