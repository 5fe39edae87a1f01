"""Plots as SVG, from results: what a piece of work costs beside nchan, and how cost grows.

Drawn by hand, for two kinds of plot are no reason to ask for a library. Colours follow the reader's light or dark
scheme, differ in lightness as well as in hue, and each line has a dash of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from benchmarks.report import curve, spread
from benchmarks.scenarios import GROWTH, Growth
from benchmarks.servers import SERVERS
from benchmarks.table import ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.results import Results

STYLE = """
  svg { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
  .ground { fill: #ffffff; } text { fill: #1f2430; } .quiet { fill: #5b6270; }
  .title { font-weight: 600; font-size: 14px; } .head { font-weight: 600; font-size: 16px; }
  .small { font-size: 11.5px; }
  .grid { stroke: #e3e6eb; } .axis { stroke: #8b93a1; } .one { stroke: #5b6270; stroke-dasharray: 4 3; }
  .line { fill: none; stroke-width: 2; }
  .floor { stroke: #8b93a1; stroke-dasharray: 2 3; } .nchan { stroke: #c2620a; stroke-dasharray: 7 3; }
  .slosh { stroke: #1f5fd6; } .slosh-compiled { stroke: #0b8a6a; stroke-dasharray: 10 2 2 2; }
  .slosh-redis { stroke: #a626a4; stroke-dasharray: 3 2; }
  .dot { stroke-width: 0; } .dot.floor { fill: #8b93a1; } .dot.nchan { fill: #c2620a; } .dot.slosh { fill: #1f5fd6; }
  .dot.slosh-compiled { fill: #0b8a6a; } .dot.slosh-redis { fill: #a626a4; } .dot.other { fill: #5b6270; }
  .stem { stroke-width: 3; } .stem.other { stroke: #5b6270; } .stem.floor, .stem.nchan { stroke-dasharray: none; }
  .stem.slosh-compiled, .stem.slosh-redis { stroke-dasharray: none; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #12151c; } text { fill: #e6e9ef; } .quiet { fill: #a3abba; }
    .grid { stroke: #2a303c; } .axis { stroke: #6e7686; } .one { stroke: #a3abba; }
    .floor { stroke: #8b93a1; } .nchan { stroke: #f2a03d; } .slosh { stroke: #6ea8ff; }
    .slosh-compiled { stroke: #3ecf9f; } .slosh-redis { stroke: #d98cf0; }
    .dot.floor { fill: #8b93a1; } .dot.nchan { fill: #f2a03d; } .dot.slosh { fill: #6ea8ff; }
    .dot.slosh-compiled { fill: #3ecf9f; } .dot.slosh-redis { fill: #d98cf0; }
    .dot.other { fill: #a3abba; } .stem.other { stroke: #a3abba; }
  }
"""
KNOWN = ("floor", "nchan", "slosh", "slosh-compiled", "slosh-redis")
"""Servers with a colour of their own."""


@dataclass(frozen=True)
class Work:
    """One column of the plot of ratios."""

    title: str
    scenarios: tuple[str, ...]
    """The first of these that a server did."""
    metric: str


WORKS = (
    Work("one long-poll delivery", ("fanout-1000", "fanout-100"), "cpu"),
    Work("one publish", ("publish",), "cpu"),
    Work("500 topics: publish and delivery", ("topics",), "cpu"),
)


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _dot(x: float, y: float, kind: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" class="dot {kind}"/>'


def _svg(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="ground" width="{width}" height="{height}" rx="6"/>',
        *parts,
        "</svg>",
        "",
    ])  # fmt: skip


def _kind(server: str) -> str:
    return server if server in KNOWN else "other"


# What a piece of work costs beside nchan.

RATIOS_LEFT, COLUMN, GAP, ROW, RATIOS_TOP = 150, 230, 34, 27, 84


def ratios(runs: Sequence[Results]) -> dict[str, list[float | None]]:
    """Server -> its CPU by nchan's in each of WORKS, cheapest first; of several runs the first that measured it."""
    found: dict[str, list[float | None]] = {}
    for results in runs:
        for server in results.versions:
            if server not in found:
                found[server] = [_ratio(results, work, server) for work in WORKS]
    told = {server: values for server, values in found.items() if any(value is not None for value in values)}
    return dict(sorted(told.items(), key=lambda item: _order(item[1])))


def _order(values: list[float | None]) -> float:
    known = [math.log(value) for value in values if value is not None]
    return sum(known) / len(known)


def _ratio(results: Results, work: Work, server: str) -> float | None:
    for scenario in work.scenarios:
        cells = results.cells.get(scenario, {})
        if server in cells and "nchan" in cells:
            found = ratio(cells[server], cells["nchan"], work.metric)
            if found is not None:
                return found
    return None


def _ticks(most: float) -> list[float]:
    steps = [0.5, 1, 2, 5, 10, 20, 50, 100, 200]
    return [step for step in steps if step <= most * 1.01]


def ratio_plot(runs: Sequence[Results]) -> str:
    """A row for each server, a column for each work, on one logarithmic scale where nchan is 1."""
    told = ratios(runs)
    values = [value for of_server in told.values() for value in of_server if value is not None]
    least, most = min([0.5, *values]), max([2.0, *values])
    low, high = math.log(least * 0.9), math.log(most * 1.25)
    bottom = RATIOS_TOP + ROW * len(told)
    parts = [
        _text(16, 28, "CPU of the server, relative to nchan (nginx's C module)", "head"),
        _text(
            16,
            47,
            f"Less is better; the scale is logarithmic. {runs[0].date}, medians of {runs[0].repeats}.",
            "quiet small",
        ),
    ]
    for column, work in enumerate(WORKS):
        left = RATIOS_LEFT + column * (COLUMN + GAP)

        def across(value: float, left: float = left) -> float:
            return left + COLUMN * (math.log(value) - low) / (high - low)

        parts.append(_text(left, RATIOS_TOP - 14, work.title, "title"))
        for tick in _ticks(most):
            parts.append(_line(across(tick), RATIOS_TOP, across(tick), bottom, "one" if tick == 1 else "grid"))
            parts.append(_text(across(tick), bottom + 17, f"{tick:g}", "quiet small", "middle"))
        for row, (server, of_server) in enumerate(told.items()):
            y, value = RATIOS_TOP + ROW * (row + 0.5), of_server[column]
            if column == 0:
                parts.append(_text(RATIOS_LEFT - 14, y + 4, SERVERS[server].title, "", "end"))
            if value is None:
                parts.append(_text(across(1) + 6, y + 4, "no figure", "quiet small"))
                continue
            beside = max(across(value), across(1)) + 8
            parts.append(_line(across(1), y, across(value), y, f"stem {_kind(server)}"))
            parts.append(_dot(across(value), y, _kind(server)))
            parts.append(_text(beside, y + 4, f"{value:.2f}" if value < 10 else f"{value:.0f}", "small"))
    width = RATIOS_LEFT + len(WORKS) * (COLUMN + GAP) + 10
    return _svg(width, bottom + 32, "CPU relative to nchan", parts)


# How cost grows.

PANEL, HIGH, LEFT, TOP = 300, 190, 52, 108
SHOWN = ("crowd", "topics", "held")


def growth_plot(results: Results, servers: Sequence[str]) -> str:
    """A panel for each growth, a line for each server."""
    shown = [
        growth for growth in GROWTH if growth.name in SHOWN and any(curve(results, growth, one) for one in servers)
    ]
    parts = [_text(16, 28, "How cost grows", "head"), *_legend(servers)]
    for place, growth in enumerate(shown):
        parts += _panel(results, growth, servers, LEFT + place * (PANEL + LEFT + 14))
    return _svg(len(shown) * (PANEL + LEFT + 14) + 24, TOP + HIGH + 46, "How cost grows", parts)


def _legend(servers: Sequence[str]) -> list[str]:
    parts, x = [], 16.0
    for server in servers:
        title = SERVERS[server].title
        parts += [_line(x, 50, x + 30, 50, f"line {_kind(server)}"), _text(x + 37, 54, title)]
        x += 62 + 7.2 * len(title)
    return parts


def _round_up(value: float) -> float:
    power = float(10 ** math.floor(math.log10(value)))
    return next(power * step for step in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if power * step >= value)


def _panel(results: Results, growth: Growth, servers: Sequence[str], left: float) -> list[str]:
    curves = {server: curve(results, growth, server) for server in servers}
    first, last = growth.points[0][0], max(count for points in curves.values() for count, _ in points)
    most = _round_up(max(figure for points in curves.values() for _, figure in points))

    def across(count: int) -> float:
        return left + PANEL * math.log(count / first) / math.log(max(last / first, 2))

    def up(figure: float) -> float:
        return TOP + HIGH * (1 - figure / most)

    parts = [_text(left - 30, TOP - 16, growth.title.rpartition(", by ")[0], "title")]
    for step in range(5):
        figure = most * step / 4
        parts.append(_line(left, up(figure), left + PANEL, up(figure), "grid" if step else "axis"))
        parts.append(_text(left - 6, up(figure) + 4, f"{figure:,.{0 if most >= 8 else 1}f}", "quiet small", "end"))
    for count, _ in growth.points:
        if count <= last:
            parts.append(_text(across(count), TOP + HIGH + 17, _short(count), "quiet small", "middle"))
    parts.append(_text(left + PANEL / 2, TOP + HIGH + 36, growth.unit, "small", "middle"))
    for server, points in curves.items():
        if not points:
            continue
        path = " ".join(f"{across(count):.1f},{up(figure):.1f}" for count, figure in points)
        label = f"{SERVERS[server].title}: dearest by cheapest {spread(points):.2f}"
        parts.append(
            f'<polyline class="line {_kind(server)}" points="{path}"><title>{escape(label)}</title></polyline>'
        )
        parts += [_dot(across(count), up(figure), _kind(server)) for count, figure in points]
    return parts


def _short(count: int) -> str:
    return f"{count / 1000:g}k" if count >= 1000 else str(count)
