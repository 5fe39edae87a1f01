"""The configurations for nginx and HAProxy that docs/operations.md gives, with the places of a test in them."""

import contextlib
import os
import queue
import re
import signal
import time
from pathlib import Path

from benchmarks.ports import free_port
from tests.conftest import need
from tests.running import PATIENCE, Running

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
NAMES = ("nginx", "haproxy")
READY = {"nginx": ("start worker process ",), "haproxy": ("New worker", "Loading success")}
"""What each says until it serves, in this order, also after it was told to read its configuration again."""


def documented(name: str) -> str:
    """The recipe, as it stands in the page."""
    found = re.search(rf"```{name}\n(.*?)```", OPERATIONS.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert found
    return found[1]


class Recipe(Running):
    """A proxy as the page sets it up.

    Args:
        name: one of `NAMES`.
        folder: for its files.
        upstream: the port of the slosh behind it.
        changes: what stands there, and what instead.

    Attributes:
        port: where it listens.
    """

    def __init__(self, name: str, folder: Path, upstream: int, *changes: tuple[str, str]) -> None:
        self.name = name
        self.port = free_port()
        everywhere: dict[str, tuple[tuple[str, str], ...]] = {
            "nginx": (
                ("server unix:/run/slosh.sock;", f"server 127.0.0.1:{upstream};"),
                ("listen 80;", f"listen 127.0.0.1:{self.port};"),
            ),
            "haproxy": (
                ("maxconn 20000", "maxconn 200"),
                ("127.0.0.1:8000", f"127.0.0.1:{upstream}"),
                ("bind :80", f"bind 127.0.0.1:{self.port}"),
            ),
        }
        text = documented(name)
        for there, here in (*everywhere[name], *changes):
            assert there in text, there
            text = text.replace(there, here)
        file = folder / f"{name}.conf"
        if name == "nginx":
            kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
            folders = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
            user = "user root;" if os.geteuid() == 0 else ""
            text = (
                f"{user}\ndaemon off;\npid {folder}/pid;\nerror_log stderr notice;\nevents {{}}\n"
                f"http {{\naccess_log off;\n{folders}{text}}}\n"
            )
            words: tuple[str, ...] = ("-e", "stderr", "-p", str(folder), "-c", str(file))
        else:
            words = ("-W", "-db", "-f", str(file))
        file.write_text(text)
        super().__init__((need(name), *words), folder)
        self._await_ready()

    def reload(self) -> None:
        """Have it read its configuration again, and serve on."""
        if self.name == "nginx":
            self.tell(signal.SIGHUP)
        else:
            self._tell_haproxy()
        self._await_ready()

    def _tell_haproxy(self) -> None:
        # HAProxy starts itself afresh just after "Loading success", and a signal that comes meanwhile is lost.
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            self.tell(signal.SIGUSR2)
            with contextlib.suppress(queue.Empty):
                self.hear("Reloading HAProxy", 1.0)
                return
        raise AssertionError(f"HAProxy was never reloaded:\n{self.output}")

    def _await_ready(self) -> None:
        for said in READY[self.name]:
            self.hear(said)
