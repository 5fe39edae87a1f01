"""A network namespace with two cables to this machine: one for clients, one to the store, which can be cut.

Cut means silence, as of a switch that died: the inner end of the cable stays up, so whoever is inside sends into
nothing and is told nothing.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from typing import Final, Self

from benchmarks.ports import claim
from tests.conftest import lacking, need

NETWORK: Final = "10.203"
CLAIMS: Final = range(14_000, 14_120)
"""A number that is claimed stands for two networks."""


class Namespace:
    """A context manager; root only.

    Attributes:
        address: of a node inside, for clients outside.
        outside: of this machine, for the node, on the cable that can be cut.
    """

    def __init__(self) -> None:
        if os.geteuid() != 0:
            lacking("only root can make a network namespace")
        self._ip = need("ip")
        mark = 2 * CLAIMS.index(next(filter(claim, CLAIMS)))
        self._name = f"slosh{os.getpid()}"
        self._cables = (f"sc{os.getpid()}", f"ss{os.getpid()}")
        self._networks = (f"{NETWORK}.{mark}", f"{NETWORK}.{mark + 1}")
        self.address = f"{self._networks[0]}.2"
        self.outside = f"{self._networks[1]}.1"

    def __enter__(self) -> Self:
        self.__exit__()  # of a process with this number that was killed
        try:
            self._run("netns", "add", self._name)
            self._inside("link", "set", "lo", "up")
            for cable, network in zip(self._cables, self._networks, strict=True):
                self._run("link", "add", cable, "type", "veth", "peer", "name", "inner", "netns", self._name)
                self._inside("link", "set", "inner", "name", f"in-{cable}")
                self._run("addr", "add", f"{network}.1/30", "dev", cable)
                self._run("link", "set", cable, "up")
                self._inside("addr", "add", f"{network}.2/30", "dev", f"in-{cable}")
                self._inside("link", "set", f"in-{cable}", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # The cables end with their inner ends.
        with contextlib.suppress(subprocess.CalledProcessError):
            self._run("netns", "del", self._name)

    @property
    def words(self) -> tuple[str, ...]:
        """In front of a command: it runs inside."""
        return (self._ip, "netns", "exec", self._name)

    @contextlib.contextmanager
    def cut(self) -> Iterator[None]:
        """No packet goes between the inside and the store."""
        self._run("link", "set", self._cables[1], "down")
        try:
            yield
        finally:
            self._run("link", "set", self._cables[1], "up")

    def _inside(self, *words: str) -> None:
        self._run("-n", self._name, *words)

    def _run(self, *words: str) -> None:
        subprocess.run([self._ip, *words], check=True, capture_output=True, timeout=30)
