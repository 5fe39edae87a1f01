"""Nodes of slosh, each a process on a port that it keeps over restarts, and nginx in front of them."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Self

from benchmarks.ports import free_port
from benchmarks.processes import ProcessGroup
from tests.conftest import need
from tests.running import clean_environment
from tests.stores.server import PATIENCE, tied, until

NGINX: Final = """
{user}
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr notice;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000;
    upstream nodes {{
        {servers}
        keepalive 256;
        keepalive_requests 1000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://nodes;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_read_timeout 60s;
            # A GET that a node did not answer, or answered 503, is put to the next one. A POST is not: nginx cannot
            # know whether it was taken, so its publisher repeats it, with its key.
            proxy_next_upstream error timeout http_502 http_503;
        }}
    }}
}}
"""


class Process:
    """A program with a log, in a process group of its own, that ends with the tests at the latest.

    Args:
        command: the program and its words.
        log: the file that what it says is added to.
        port: where it listens, on `host`, once it runs.
    """

    def __init__(self, command: Sequence[str], log: Path, port: int, host: str = "127.0.0.1") -> None:
        self.command = list(command)
        self.port = port
        self.host = host
        self._log = log
        self._process: ProcessGroup[bytes] | None = None
        self._cpu_before = 0.0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Start it, and wait for nothing."""
        # A command of slosh itself can be forked where tests run (tests/forking.py), and nothing else can.
        prefix = () if self.command[0] == sys.executable else tied()
        with self._log.open("ab") as log:
            self._process = ProcessGroup(
                [*prefix, *self.command],
                cwd=self._log.parent,
                env=clean_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.launch()
        self.wait()

    def wait(self) -> None:
        """Wait until it is ready; one that is not in time is ended."""
        try:
            until(self.ready, f"{self.command[:3]} was ready")
        except BaseException as error:
            error.add_note(self.log[-3000:])
            self.kill()
            raise

    def ready(self) -> bool:
        """Whether it says 200 where its readiness is asked for."""
        assert self.running, f"{self.command} ended:\n{self.log[-3000:]}"
        return self.status("/-/ready") == 200

    def status(self, path: str) -> int:
        """The status of a GET; OSError where nobody answers."""
        try:
            with urllib.request.urlopen(f"http://{self.host}:{self.port}{path}", timeout=PATIENCE) as answer:
                status: int = answer.status
                return status
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    @property
    def log(self) -> str:
        """All that it has said."""
        return self._log.read_text(errors="replace")

    def kill(self) -> None:
        """SIGKILL, to it and its children."""
        if self._process is None:
            return
        self._cpu_before = self.cpu()
        self._process.end()
        self._process = None

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """SIGSTOP: its connections stay open, and nothing is answered; SIGCONT at the end."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def drain(self) -> None:
        """SIGTERM, and wait until it has gone quietly."""
        assert self._process is not None
        self._cpu_before = self.cpu()
        self._process.terminate()
        until(lambda: not self.running, "the node had gone")
        code = self._process.returncode
        assert code == 0, f"exit code {code}:\n{self.log[-3000:]}"
        self._process = None

    def cpu(self) -> float:
        """Seconds of CPU that it has used in all its lives so far, near enough."""
        if self._process is None:
            return self._cpu_before
        try:
            words = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return self._cpu_before
        return self._cpu_before + (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


class Node(Process):
    """A node of slosh.

    Args:
        folder: where its log is.
        number: which of the nodes it is.
        options: of `slosh serve`.
        host: the address to listen on.
        inside: words in front of the command, for instance those that put it into a network namespace.
    """

    def __init__(
        self, folder: Path, number: int, options: Sequence[str], host: str = "127.0.0.1", inside: Sequence[str] = ()
    ) -> None:
        port = free_port()
        listen = (f"--host={host}", f"--port={port}", "--open=on")
        command = [*inside, sys.executable, "-m", "slosh", "serve", *listen, *options]
        super().__init__(command, folder / f"node-{number}.log", port, host)

    def watchers(self, target: str) -> int:
        """How many watch a topic at all nodes, as this one knows."""
        with urllib.request.urlopen(f"http://{self.host}:{self.port}{target}?watchers", timeout=PATIENCE) as answer:
            told: dict[str, int] = json.loads(answer.read())
        return told["watchers"]

    def workers(self) -> list[int]:
        """The process ids of its workers, where it has some."""
        assert self._process is not None
        pid = self._process.pid
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Front(Process):
    """nginx before nodes, with the passive checks that it has without a licence."""

    def __init__(self, folder: Path, nodes: Sequence[Node]) -> None:
        nginx = need("nginx")
        port = free_port()
        place = folder / "nginx"
        place.mkdir()
        servers = "\n        ".join(f"server {node.host}:{node.port} max_fails=1 fail_timeout=1s;" for node in nodes)
        # As root its workers would run as somebody who may not look into a test's folder.
        user = "user root;" if os.geteuid() == 0 else ""
        configuration = place / "nginx.conf"
        configuration.write_text(NGINX.format(user=user, folder=place, servers=servers, port=port))
        super().__init__(
            (nginx, "-e", "stderr", "-p", str(place), "-c", str(configuration)), folder / "nginx.log", port
        )
