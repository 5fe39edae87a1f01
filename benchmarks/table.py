"""Medians, ratios and the Markdown table. Pure: figures in, text out."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

LOAD_BOUND = 90.0
"""Per cent of its core above which the load generator may have been the bottleneck; such cells get a mark."""
CROWDED = 10.0
"""Per cent of the time that a server waited for its core above which its cells get the other mark."""
MARK = "†"
CROWDED_MARK = "‡"


@dataclass
class Cell:
    """What one server showed in one scenario: figures of each round, in order, and why a round gave none."""

    rounds: list[dict[str, float] | None] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    def figure(self, metric: str) -> float | None:
        """The median of the rounds; None when any of them was refused or there was none."""
        values = [figures[metric] for figures in self.rounds if figures is not None]
        return median(values) if values and not self.refusals else None

    def load_bound(self) -> bool:
        """Whether the load generator was so busy that it may have been the bottleneck."""
        return any(figures is not None and figures.get("load", 0.0) > LOAD_BOUND for figures in self.rounds)

    def crowded(self) -> bool:
        """Whether in most rounds other processes held the server's core for a good part of the time."""
        shares = [figures.get("waited", 0.0) for figures in self.rounds if figures is not None]
        return bool(shares) and median(shares) > CROWDED

    def marks(self) -> str:
        """The marks that belong behind its figures."""
        marks = (MARK if self.load_bound() else "") + (CROWDED_MARK if self.crowded() else "")
        return f" {marks}" if marks else ""


def ratio(one: Cell, other: Cell, metric: str) -> float | None:
    """The median over the rounds of one server's figure by the other's in the same round; None when either has none."""
    if one.figure(metric) is None or other.figure(metric) is None:
        return None
    pairs = [
        a[metric] / b[metric]
        for a, b in zip(one.rounds, other.rounds, strict=False)
        if a is not None and b is not None and b[metric] > 0
    ]
    return median(pairs) if pairs else None


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    scenario: str
    metric: str
    title: str
    digits: int
    compared: bool
    cells: dict[str, Cell]
    """Server's name -> what it showed; servers left out are missing."""
    apart: frozenset[str] = frozenset()
    """Servers whose figure cannot be compared in this row, for they had another load."""


def number(value: float, digits: int) -> str:
    """With thousands separated."""
    return f"{value:,.{digits}f}"


def _value(row: Row, server: str, *, first: bool) -> str:
    cell = row.cells.get(server)
    if cell is None or not (cell.rounds or cell.refusals):
        return "-"
    if cell.refusals:
        told = f"refused: {cell.refusals[0]}" if first else "refused"
        return told + (f" ({len(cell.refusals)} of {len(cell.rounds)} runs)" if first else "")
    figure = cell.figure(row.metric)
    if figure is None:
        return "-"
    return number(figure, row.digits) + (cell.marks() if row.compared else "")


def _ratio(row: Row, one: str, other: str) -> str:
    if not row.compared or one not in row.cells or other not in row.cells or {one, other} & row.apart:
        return ""
    value = ratio(row.cells[one], row.cells[other], row.metric)
    return "" if value is None else f"{value:.2f}"


def markdown(rows: Sequence[Row], servers: Sequence[tuple[str, str]], ratios: Sequence[tuple[str, str]]) -> str:
    """The table: a column for each server (name, title), then one for each ratio (server ÷ server, by name)."""
    titles = dict(servers)
    head = ["scenario", "figure", *titles.values(), *(f"{titles[one]} ÷ {titles[other]}" for one, other in ratios)]
    lines = [head, ["---", "---", *["---:"] * (len(head) - 2)]]
    previous = None
    for row in rows:
        first = row.scenario != previous
        previous = row.scenario
        lines.append([
            row.scenario if first else "",
            row.title,
            *(_value(row, name, first=first) for name in titles),
            *(_ratio(row, one, other) for one, other in ratios),
        ])  # fmt: skip
    return lines_of(lines)


def lines_of(table: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines of Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in table)
