"""`python -m benchmarks`: chooses scenarios and servers, lets them take turns, prints one Markdown table."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import machine
from benchmarks.building import BuildError, build_load
from benchmarks.loading import LoadError
from benchmarks.scenarios import QUICK, SCENARIOS, SPARE_FILES, Refused, Run, Scenario
from benchmarks.servers import DEFAULT, SERVERS, Server
from benchmarks.servers.base import StartError
from benchmarks.table import CROWDED, CROWDED_MARK, LOAD_BOUND, MARK, Cell, Row, markdown

if TYPE_CHECKING:
    from collections.abc import Sequence

BASES = ("nchan", "floor")
"""The servers that the others are compared with, when they ran."""
Results = dict[str, dict[str, Cell]]
"""Scenario -> server -> what it showed."""


def tell(text: str) -> None:
    """Progress, on stderr, so that the table alone is on stdout."""
    print(text, file=sys.stderr, flush=True)


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--scenarios", "-s", nargs="+", metavar="NAME", help=f"of {', '.join(SCENARIOS)}; a prefix is enough"
    )
    parser.add_argument(
        "--servers", "-S", nargs="+", metavar="NAME", help=f"of {', '.join(SERVERS)}; usually {', '.join(DEFAULT)}"
    )
    parser.add_argument(
        "--repeats",
        "-r",
        type=int,
        metavar="N",
        help="rounds; each server runs once in each (usually 3, 1 with --quick)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a short look: fewer scenarios, a quarter of the time, one round"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round's figures there too")
    parser.add_argument("--list", action="store_true", help="say what there is, and stop")
    chosen = parser.parse_args(words)
    named = chosen.scenarios or (QUICK if chosen.quick else SCENARIOS)
    meant = {
        word: [word] if word in SCENARIOS else [name for name in SCENARIOS if name.startswith(word)] for word in named
    }
    chosen.scenarios = [name for name in SCENARIOS if any(name in names for names in meant.values())]
    unknown = [word for word, names in meant.items() if not names]
    unknown += [name for name in chosen.servers or () if name not in SERVERS]
    if unknown:
        parser.error(f"nothing is named {', '.join(unknown)}; --list says what there is")
    chosen.servers = [SERVERS[name] for name in chosen.servers or DEFAULT]
    chosen.repeats = chosen.repeats or (1 if chosen.quick else 3)
    return chosen


def measure(
    server: Server, scenario: Scenario, run_cores: tuple[int, int], program: Path, *, quick: bool
) -> dict[str, float]:
    """Starts the server, measures it, stops it."""
    with server.running(run_cores[0]) as (pid, port):
        run = Run(pid, port, server.transports[scenario.kind], program, run_cores[1], server.share, quick)
        return scenario.measure(run)


def one_run(
    server: Server, scenario: Scenario, cell: Cell, run_cores: tuple[int, int], program: Path, *, quick: bool
) -> str:
    """Adds one round to the cell; gives what to say of it."""
    try:
        figures = measure(server, scenario, run_cores, program, quick=quick)
    except (Refused, LoadError, StartError) as error:
        cell.rounds.append(None)
        cell.refusals.append(str(error).splitlines()[0][:160])
        return f"refused: {error}"
    cell.rounds.append(figures)
    return ", ".join(f"{metric.title} {figures[metric.name]:,.{metric.digits}f}" for metric in scenario.metrics)


def takes_part(server: Server, scenario: Scenario) -> bool:
    """Whether this server is meant for this scenario."""
    return scenario.kind in server.transports and (server.share == 1.0 or not scenario.full_load_only)


def run_all(
    chosen: argparse.Namespace, servers: Sequence[Server], scenarios: Sequence[Scenario], program: Path
) -> Results:
    """Every scenario: rounds in which each server has one turn. Ctrl-C ends it with what there is."""
    results: Results = {}
    run_cores = machine.cores()
    began = time.monotonic()
    try:
        for place, scenario in enumerate(scenarios, 1):
            taking_part = [server for server in servers if takes_part(server, scenario)]
            cells = results.setdefault(scenario.name, {server.name: Cell() for server in taking_part})
            for turn in range(chosen.repeats):
                for server in taking_part:
                    said = one_run(server, scenario, cells[server.name], run_cores, program, quick=chosen.quick)
                    tell(
                        f"[{time.monotonic() - began:4.0f} s] {place}/{len(scenarios)} {scenario.title}, "
                        f"round {turn + 1}/{chosen.repeats}, {server.title}: {said}"
                    )
    except KeyboardInterrupt:
        tell("stopped; the table holds the rounds that were done")
    return results


def rows_of(results: Results, scenarios: Sequence[Scenario]) -> list[Row]:
    """The table's rows, in the order of the scenarios."""
    return [
        Row(scenario.title, metric.name, metric.title, metric.digits, metric.compared, results[scenario.name])
        for scenario in scenarios
        if scenario.name in results
        for metric in scenario.metrics
    ]


def report(
    chosen: argparse.Namespace, results: Results, servers: Sequence[Server], scenarios: Sequence[Scenario]
) -> str:
    """The table and what has to be known to read it."""
    names = [server.name for server in servers]
    ratios = [(one, base) for one in names for base in BASES if base in names and one != base and one not in BASES]
    if not ratios and set(BASES) <= set(names):
        ratios = [BASES]
    rows = rows_of(results, scenarios)
    method = (
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, {machine.description()}. Server on one core, load on another; "
        f"median of {chosen.repeats}; each ratio is the median of the ratios within a round. CPU is user and system "
        "time of the server and its workers from /proc. Every message was counted: none missing, doubled or out of "
        "order unless a cell says so."
    )
    lines = [markdown(rows, [(server.name, server.title) for server in servers], ratios), "", method, ""]
    cells = [cell for of_scenario in results.values() for cell in of_scenario.values()]
    if any(cell.load_bound() for cell in cells):
        lines.append(
            f"* {MARK}: the load generator used more than {LOAD_BOUND:g} % of its core; the server may do better."
        )
    if any(cell.crowded() for cell in cells):
        lines.append(
            f"* {CROWDED_MARK}: other processes held the server's core for more than {CROWDED:g} % of the time; "
            "do not trust latency and rates of this cell, and its CPU only as a ratio."
        )
    lines += [f"* {server.title}: {server.configuration}" for server in servers]
    lines += [f"* {server.title} gets {server.share:g} of the usual load." for server in servers if server.share < 1]
    return "\n".join(lines)


def available(chosen: argparse.Namespace) -> list[Server]:
    """The chosen servers that can run here; says what the others lack."""
    found = []
    for server in chosen.servers:
        missing = server.missing()
        if missing is None:
            found.append(server)
        else:
            tell(f"{server.title} is left out; it needs {missing}")
    return found


def possible(chosen: argparse.Namespace) -> list[Scenario]:
    """The chosen scenarios that this machine's limits allow; says what the others need."""
    files, found = machine.raise_file_limit(), []
    for name in chosen.scenarios:
        scenario = SCENARIOS[name]
        if scenario.files + SPARE_FILES > files:
            tell(
                f"{scenario.title}: left out; it needs {scenario.files + SPARE_FILES:,} open files in each process "
                f"and the hard limit is {files:,} (ulimit -Hn)"
            )
        else:
            found.append(scenario)
    return found


def write_json(path: Path, results: Results) -> None:
    """Every round's figures, for plots and for comparing commits."""
    told = {
        scenario: {name: {"rounds": cell.rounds, "refusals": cell.refusals} for name, cell in cells.items()}
        for scenario, cells in results.items()
    }
    path.write_text(json.dumps({"machine": machine.description(), "results": told}, indent=1) + "\n")


def main(words: Sequence[str] | None = None) -> int:
    """Exit status: 0 when something was measured, 1 when nothing could be."""
    chosen = parse(words)
    if chosen.list:
        print("\n".join(f"{name:15} {scenario.title}" for name, scenario in SCENARIOS.items()))
        print("\n".join(f"{name:15} {server.title}: {server.configuration}" for name, server in SERVERS.items()))
        return 0
    # In the background of a script SIGINT is ignored, and SIGTERM would leave the servers behind.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        program = build_load()
    except BuildError as error:
        tell(f"the load generator cannot be built: {error}")
        return 1
    if len(set(machine.cores())) == 1:
        tell("there is one core only: server and load share it, and ratios are less sure")
    servers, scenarios = available(chosen), possible(chosen)
    if not servers or not scenarios:
        tell("nothing is left to measure")
        return 1
    results = run_all(chosen, servers, scenarios, program)
    print(report(chosen, results, servers, scenarios))
    if chosen.json:
        write_json(chosen.json, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
