"""One real server: started on a free port in its own folder, hurt in several ways, ended whatever happens."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Self

from benchmarks.ports import free_port
from benchmarks.processes import ProcessGroup
from tests.stores.found import Program, program
from tests.stores.resp import RefusedError, Reply, Wire
from tests.stores.tls import Authority

PATIENCE: Final = 30.0
GLANCE: Final = 0.01
"""Seconds between two looks at something that is waited for."""


def until(true: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Wait until something is true. A connection that is refused or cut while it is looked at means: not yet."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, RefusedError):
            if true():
                return
        assert time.monotonic() < deadline, f"it took longer than {seconds} s until {what}"
        time.sleep(GLANCE)


def tied() -> tuple[str, ...]:
    """The words in front of a command that end it with this process, also when that is killed. Linux only."""
    return (path, "--pdeathsig", "KILL") if (path := shutil.which("setpriv")) else ()


class Store:
    """A server of Redis or Valkey.

    Args:
        folder: where its data and its log are kept; made when missing.
        server: which binary; the system's by default.
        options: more of its options, as words of a command line.
        host: the address to listen on.
        aof: whether each write is on the disk before it is answered (appendonly, appendfsync always).
        password: what clients must say who do not name a user.
        users: a line of its ACL file for each other user, without the word `user`.
        tls: who vouches for it; then TLS is all that it speaks.
        path: a Unix socket to listen on as well.
        port: 0 for a free one. It stays the same over restarts.
    """

    def __init__(
        self,
        folder: Path,
        server: Program | None = None,
        *options: str,
        host: str = "127.0.0.1",
        aof: bool = False,
        password: str = "",
        users: tuple[str, ...] = (),
        tls: Authority | None = None,
        path: Path | None = None,
        port: int = 0,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.program = server or program()
        self.host = host
        self.port = port or free_port()
        self.path = path
        self._password = password
        self._tls = tls
        self._process: ProcessGroup[bytes] | None = None
        if users:
            default = f"default on {f'>{password}' if password else 'nopass'} ~* &* +@all"
            (folder / "users").write_text("".join(f"user {line}\n" for line in (default, *users)))
        self._options = [
            *("--bind", host, "--dir", str(folder), "--save", "", "--daemonize", "no", "--protected-mode", "no"),
            # A replica of a test is the only one: its master need not wait for others to copy to at the same time.
            *("--repl-diskless-sync-delay", "0"),
            *(("--appendonly", "yes", "--appendfsync", "always") if aof else ("--appendonly", "no")),
            *(("--masterauth", password) if password else ()),
            *(("--requirepass", password) if password and not users else ()),
            *(("--aclfile", str(folder / "users")) if users else ()),
            *(("--unixsocket", str(path)) if path else ()),
            *(tls.options(self.port) if tls else ("--port", str(self.port))),
            *options,
        ]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def url(self) -> str:
        """Its address as slosh's setting `engine` takes it."""
        scheme = "rediss" if self._tls else "redis"
        login = f":{self._password}@" if self._password else ""
        trust = f"?ssl_ca_certs={self._tls.certificate}" if self._tls else ""
        return f"{scheme}://{login}{self.host}:{self.port}/0{trust}"

    @property
    def running(self) -> bool:
        """Whether its process lives, also stopped."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, on its port and with the data of its folder, and wait until it answers."""
        assert not self.running, "it runs already"
        with (self.folder / "log").open("ab") as log:
            self._process = ProcessGroup(
                [*tied(), *self._command()],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            until(self._answers, f"{self.program} answered")
        except BaseException:
            self.kill()
            raise

    def _command(self) -> list[str]:
        return [self.program.path, *self._options]

    def _answers(self) -> bool:
        assert self.running, f"{self.program} ended at once:\n{self.log[-2000:]}"
        with contextlib.suppress(RefusedError):  # LOADING
            return self.ask("PING") == b"PONG"
        return False

    @property
    def log(self) -> str:
        """All that it has said."""
        return (self.folder / "log").read_text(errors="replace")

    @contextlib.contextmanager
    def wire(self, patience: float = PATIENCE) -> Iterator[Wire]:
        """A connection to it, logged in where that is needed."""
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(socket.create_connection((self.host, self.port), patience))
            if self._tls:
                connection = stack.enter_context(
                    self._tls.trusting().wrap_socket(connection, server_hostname=self.host)
                )
            wire = stack.enter_context(Wire(connection))
            if self._password:
                wire.ask("AUTH", self._password)
            yield wire

    def ask(self, *words: str | int) -> Reply:
        """Give it one command, on a connection of its own, and give its reply."""
        with self.wire() as wire:
            return wire.ask(*words)

    def kill(self) -> None:
        """SIGKILL, as a crash. What it had not written to its disk is gone."""
        if self._process is None:
            return
        self._process.end()
        self._process = None

    def stop(self) -> None:
        """SIGTERM, as a person or systemd ends it; it saves what it is set to save."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(PATIENCE)
        self._process = None

    def restart(self) -> None:
        """Stop it and start it again."""
        self.stop()
        self.start()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """SIGSTOP: its connections stay open, and nothing is answered; SIGCONT at the end."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def drop_clients(self) -> int:
        """Cut every client's connection, those of pub/sub too; how many there were."""
        cut = 0
        with self.wire() as wire:
            for kind in ("normal", "pubsub"):
                reply = wire.ask("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
                assert isinstance(reply, int)
                cut += reply
        return cut

    def cpu(self) -> float:
        """Seconds of CPU that it has used in this life."""
        assert self._process is not None
        words = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
