"""What the attacks showed: kept as JSON, told as a Markdown table."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks import machine, results
from benchmarks.table import lines_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

ASKED = ("publish", "healthy", "connect", "birth", "poll", "sse", "websocket")
"""What the healthy client does."""
FEW = 0.01
"""Share of its requests that may be refused without a mark."""


@dataclass
class Found:
    """The figures, and what has to be known to read them."""

    machine: str
    date: str
    commit: str
    seconds: float
    versions: dict[str, str] = field(default_factory=dict)
    """Target -> its version."""
    titles: dict[str, str] = field(default_factory=dict)
    """Kind -> what the attacker does."""
    cells: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    """Kind -> target -> what `run_one` gave, or `{"failed": why}`."""

    def write(self, path: Path) -> None:
        """Keep it as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> Found:
    """What `write` left there."""
    return Found(**json.loads(path.read_text(encoding="utf-8")))


def begun(seconds: float) -> Found:
    """No figures yet, here and now."""
    return Found(machine.description(), f"{dt.datetime.now(dt.UTC):%Y-%m-%d}", results.commit(), seconds)


def most(phase: dict[str, dict[str, float]], figure: str, asked: Iterable[str] = ASKED) -> float:
    """The most of a figure over all that the healthy client did, milliseconds."""
    return max(phase[name][figure] for name in asked)


def refused(cell: dict[str, Any]) -> int:
    """Requests of the healthy client that were refused or never answered, and messages that it lost."""
    phase = cell["attacked"]
    return int(sum(phase[name][what] for name in ASKED for what in ("refused", "lost", "unanswered")))


def text_of(cell: dict[str, Any] | None) -> str:
    """A cell: worst wait, p99."""
    if cell is None:
        return ""
    if "failed" in cell:
        return "no figure"
    phase = cell["attacked"]
    worst, p99 = most(phase, "worst"), most(phase, "p99")
    text = f"{short(worst)} · {short(p99)}"
    count = sum(phase[name]["count"] for name in ASKED)
    return f"{text} ✗" if refused(cell) > FEW * count else text


def short(milliseconds: float) -> str:
    """Three digits are enough."""
    return f"{milliseconds:,.0f}" if milliseconds >= 10 else f"{milliseconds:.1f}"


def grown(cell: dict[str, Any] | None) -> str:
    """MB that the server took more at the most."""
    if cell is None or "failed" in cell:
        return ""
    return f"{cell['memory']['peak'] - cell['memory']['before']:,.0f}"


def idle_row(found: Found, targets: list[str]) -> list[str]:
    """What the healthy client waits alone: medians over all runs of a target."""
    row = ["nobody attacks"]
    for target in targets:
        phases = [cells[target]["idle"] for cells in found.cells.values() if "idle" in cells.get(target, {})]
        figures = [median(most(phase, figure) for phase in phases) if phases else 0.0 for figure in ("worst", "p99")]
        row.append(" · ".join(map(short, figures)))
    return [*row, ""]


def table(found: Found, names: dict[str, str]) -> str:
    """Worst wait and p99 of the healthy client, milliseconds; a row for each kind.

    Args:
        names: targets, and how each is called in the table's head.
    """
    targets = [name for name in names if any(name in cells for cells in found.cells.values())]
    memory = "slosh-compiled" if "slosh-compiled" in targets else targets[0]
    lines = [["the attacker", *(names[target] for target in targets), f"MB more ({names[memory]})"]]
    lines += [["---", *["---:"] * (len(targets) + 1)], idle_row(found, targets)]
    for kind, cells in found.cells.items():
        row = [text_of(cells.get(target)) for target in targets]
        lines.append([found.titles[kind], *row, grown(cells.get(memory))])
    return lines_of(lines)


def notes(found: Found) -> str:
    """Where, when, and of what."""
    told = "; ".join(f"{name}: {version}" for name, version in found.versions.items())
    return f"{found.date}, commit {found.commit}, {found.machine}, {found.seconds:g} s for each kind. {told}."
