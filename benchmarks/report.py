"""The Markdown of a run: the main table, what is to be known to read it, and how cost grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.scenarios import GROWTH, ONLY_GROWTH, SCENARIOS, Growth
from benchmarks.servers import SERVERS
from benchmarks.table import CROWDED, CROWDED_MARK, LOAD_BOUND, MARK, Cell, Row, lines_of, markdown, number, ratio

if TYPE_CHECKING:
    from benchmarks.results import Results

BASES = ("nchan", "floor")
"""The servers that the others are compared with, when they ran."""
ALSO = (
    ("slosh-redis", "slosh"),
    ("slosh-compiled-redis", "slosh-compiled"),
    ("slosh-workers", "slosh"),
    ("slosh-compiled-workers", "slosh-compiled"),
)
"""Compared as well, when they ran."""
LATENCIES = frozenset({"p50", "p99"})
"""Figures that say nothing about servers which had different loads."""


def titles(results: Results) -> dict[str, str]:
    """Server's name -> its title, in the order in which they ran."""
    return {name: SERVERS[name].title for name in results.versions}


def rows(results: Results) -> list[Row]:
    """The main table's rows, in the order of the scenarios."""
    light = frozenset(name for name in results.versions if SERVERS[name].share < 1)
    alone = not set(results.cells) - ONLY_GROWTH
    return [
        Row(
            scenario.title,
            metric.name,
            metric.title,
            metric.digits,
            metric.compared,
            results.cells[scenario.name],
            light if metric.name in LATENCIES else frozenset(),
        )
        for scenario in SCENARIOS.values()
        if scenario.name in results.cells and (alone or scenario.name not in ONLY_GROWTH)
        for metric in scenario.metrics
        if metric.name != "store" or any(_has_store(cell) for cell in results.cells[scenario.name].values())
    ]


def _has_store(cell: Cell) -> bool:
    return any(figures is not None and figures.get("store", 0.0) > 0 for figures in cell.rounds)


def main_table(results: Results) -> str:
    """Figures of every server, and ratios of the interesting ones."""
    names = list(results.versions)
    ratios = [(one, base) for base in BASES for one in names if base in names and one not in BASES]
    ratios += [pair for pair in ALSO if set(pair) <= set(names)]
    if not ratios and set(BASES) <= set(names):
        ratios = [BASES]
    return markdown(rows(results), list(titles(results).items()), ratios)


def notes(results: Results) -> str:
    """How it was measured, the marks, and each server's configuration."""
    cells = [cell for of_scenario in results.cells.values() for cell in of_scenario.values()]
    method = (
        f"{results.date}, commit {results.commit}, {results.machine}. Server on one core, load on another; median of "
        f"{results.repeats}; each ratio is the median of the ratios within a round. CPU is user and system time of the "
        "server and its workers from /proc. Every message was counted: none missing, doubled or out of order unless a "
        "cell says so."
    )
    lines = [method, ""]
    if any(cell.load_bound() for cell in cells):
        lines.append(
            f"* {MARK}: the load generator used more than {LOAD_BOUND:g} % of its core; the server may do better."
        )
    if any(cell.crowded() for cell in cells):
        lines.append(
            f"* {CROWDED_MARK}: other processes held the server's core for more than {CROWDED:g} % of the time; "
            "do not trust latency and rates of this cell, and its CPU only as a ratio."
        )
    for name, version in results.versions.items():
        server = SERVERS[name]
        share = f" It gets {server.share:g} of the usual load." if server.share < 1 else ""
        lines.append(f"* {server.title} ({version}): {server.configuration}.{share}")
    return "\n".join(lines)


def curve(results: Results, growth: Growth, server: str) -> list[tuple[int, float]]:
    """(number, figure) of one server along one growth, as far as it was measured and accepted."""
    found = []
    for count, scenario in growth.points:
        cell = results.cells.get(scenario, {}).get(server)
        figure = cell.figure(growth.metric.name) if cell is not None else None
        if figure is not None:
            found.append((count, figure))
    return found


def spread(points: list[tuple[int, float]]) -> float:
    """The dearest by the cheapest of a curve."""
    figures = [figure for _, figure in points]
    return max(figures) / min(figures)


def growth_tables(results: Results) -> str:
    """For each growth a table with a column for each number, and what the dearest is by the cheapest."""
    return "\n\n".join(_growth_table(results, growth) for growth in GROWTH if _measured(results, growth))


def _measured(results: Results, growth: Growth) -> bool:
    return any(len(curve(results, growth, server)) > 1 for server in results.versions)


def _growth_table(results: Results, growth: Growth) -> str:
    counts = [count for count, scenario in growth.points if scenario in results.cells]
    head = [growth.title, *(f"{count:,}" for count in counts), "max ÷ min", "the same, of ratios to the floor"]
    table = [head, ["---", *["---:"] * (len(head) - 1)]]
    for server, title in titles(results).items():
        points = dict(curve(results, growth, server))
        told = [number(points[count], growth.metric.digits) if count in points else "-" for count in counts]
        grown = f"{spread(list(points.items())):.2f}" if len(points) > 1 else "-"
        table.append([title, *told, grown, _beside_floor(results, growth, server)])
    return lines_of(table)


def _beside_floor(results: Results, growth: Growth, server: str) -> str:
    """How a curve grows apart from what the kernel and the machine add, which the floor shows."""
    cells = [results.cells.get(scenario, {}) for _, scenario in growth.points]
    ratios = [ratio(of[server], of["floor"], growth.metric.name) for of in cells if server in of and "floor" in of]
    known = [(0, value) for value in ratios if value is not None]
    return f"{spread(known):.2f}" if server != "floor" and growth.metric.name != "bytes" and len(known) > 1 else "-"


def whole(results: Results) -> str:
    """All of it, as `python -m benchmarks` prints it."""
    growth = growth_tables(results)
    return "\n\n".join(filter(None, (main_table(results), growth, notes(results))))
