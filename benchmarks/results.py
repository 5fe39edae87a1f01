"""What a run showed, and the file it is kept in: machine, date, commit, versions, and the figures of every round."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import machine
from benchmarks.interpreter import interpreter
from benchmarks.table import Cell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.servers import Server

FOLDER = Path(__file__).parent / "results"
"""Where the figures that docs/performance.md tells are kept."""


@dataclass
class Results:
    """The figures of one run, and what has to be known to read them."""

    machine: str
    date: str
    commit: str
    repeats: int
    versions: dict[str, str]
    """Server -> its version, and which Python it ran on, in the table's order."""
    cells: dict[str, dict[str, Cell]] = field(default_factory=dict)
    """Scenario -> server -> what it showed."""

    def write(self, path: Path) -> None:
        """Keep it as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> Results:
    """The results in this file, as `write()` left them."""
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    cells = {
        scenario: {server: Cell(**cell) for server, cell in of_scenario.items()}
        for scenario, of_scenario in told.pop("cells").items()
    }
    return Results(cells=cells, **told)


def commit() -> str:
    """The commit that is checked out, with a + when files differ from it."""
    words = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+", "--abbrev=8", "--exclude=*"]
    told = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    return told or "no checkout"


def begun(servers: Sequence[Server], repeats: int) -> Results:
    """Results without figures yet, of these servers, here and now."""
    return Results(
        machine=machine.description(),
        date=f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
        commit=commit(),
        repeats=repeats,
        versions={server.name: version(server) for server in servers},
    )


def version(server: Server) -> str:
    """Which one it is; of one on Python also which Python, and how that was built."""
    return server.version() + (f" on {interpreter(server.python)}" if server.python is not None else "")
