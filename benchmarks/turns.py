"""Servers take turns at the scenarios: in each round each of them runs once."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks import machine
from benchmarks.interpreter import Interpreter, interpreter
from benchmarks.loading import LoadError
from benchmarks.measuring import Refused, Run
from benchmarks.scenarios import SPARE_FILES, Scenario
from benchmarks.servers.base import StartError
from benchmarks.table import Cell

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.results import Results
    from benchmarks.servers import Server


def tell(text: str) -> None:
    """Progress, on stderr, so that the table alone is on stdout."""
    print(text, file=sys.stderr, flush=True)


def takes_part(server: Server, scenario: Scenario) -> bool:
    """Whether this server is meant for this scenario."""
    return scenario.kind in server.transports and (server.share == 1.0 or not scenario.full_load_only)


def available(servers: Sequence[Server]) -> list[Server]:
    """Those that can run here; says what the others lack."""
    found = []
    for server in servers:
        missing = server.missing()
        if missing is None:
            found.append(server)
        else:
            tell(f"{server.title} IS LEFT OUT; it needs {missing}")
    return found


def tell_plain_pythons(servers: Sequence[Server]) -> None:
    """Says of each Python that servers run on whether it is built without what makes it quick."""
    titles: dict[Interpreter, list[str]] = {}
    for server in servers:
        if server.python is not None and interpreter(server.python).plain():
            titles.setdefault(interpreter(server.python), []).append(server.title)
    for build, names in titles.items():
        tell(
            f"{'; '.join(names)}: MEASURED ON {build} ({build.program}), WHICH COSTS MORE than one with both. "
            "Distributions usually build theirs so, and make bench takes the one in /usr/bin where it fits"
        )


def possible(scenarios: Sequence[Scenario]) -> list[Scenario]:
    """Those that this machine's limits allow; says what the others need."""
    files, found = machine.raise_file_limit(), []
    for scenario in scenarios:
        if scenario.files + SPARE_FILES > files:
            tell(
                f"{scenario.title}: LEFT OUT; it needs {scenario.files + SPARE_FILES:,} open files in each process "
                f"and the hard limit is {files:,} (ulimit -Hn)"
            )
        else:
            found.append(scenario)
    return found


@dataclass(frozen=True)
class Turns:
    """Which server runs what, with which program as load, and for what part of the usual time."""

    servers: Sequence[Server]
    scenarios: Sequence[Scenario]
    program: Path
    brevity: float = 1.0
    foremost: bool = False
    """Whether server and load go before all other processes of the machine."""
    scenarios_take_turns: bool = False
    """Whether a round is of all scenarios, because these will be compared with one another."""

    def run(self, results: Results, keep: Path | None = None) -> None:
        """Every scenario, as often as the results want rounds. Ctrl-C ends it with what there is.

        With `keep` the results are written there after each scenario.
        """
        began = time.monotonic()
        try:
            for turn, place in self._order(results.repeats):
                scenario = self.scenarios[place]
                taking_part = [server for server in self.servers if takes_part(server, scenario)]
                cells = results.cells.setdefault(scenario.name, {server.name: Cell() for server in taking_part})
                for server in taking_part:
                    said = self._one(server, scenario, cells[server.name])
                    tell(
                        f"[{time.monotonic() - began:4.0f} s] {place + 1}/{len(self.scenarios)} {scenario.title}, "
                        f"round {turn + 1}/{results.repeats}, {server.title}: {said}"
                    )
                if keep is not None:
                    results.write(keep)
        except KeyboardInterrupt:
            tell("stopped; the table holds the rounds that were done")

    def _order(self, repeats: int) -> list[tuple[int, int]]:
        """(round, scenario) one after the other."""
        places = range(len(self.scenarios))
        if self.scenarios_take_turns:
            return [(turn, place) for turn in range(repeats) for place in places]
        return [(turn, place) for place in places for turn in range(repeats)]

    def _one(self, server: Server, scenario: Scenario, cell: Cell) -> str:
        """Adds one round to the cell; gives what to say of it."""
        try:
            figures = self._measure(server, scenario)
        except (Refused, LoadError, StartError) as error:
            cell.rounds.append(None)
            cell.refusals.append(str(error).splitlines()[0].removeprefix("load: ")[:160])
            return f"refused: {error}"
        cell.rounds.append(figures)
        return ", ".join(f"{metric.title} {figures[metric.name]:,.{metric.digits}f}" for metric in scenario.metrics)

    def _measure(self, server: Server, scenario: Scenario) -> dict[str, float]:
        server_core, load_core = machine.cores()
        with server.running(server_core, store_core=load_core, foremost=self.foremost, guarded=scenario.guarded) as (
            pid,
            port,
            store,
        ):
            return scenario.measure(
                Run(
                    pid=pid,
                    port=port,
                    transport=server.transports[scenario.kind],
                    program=self.program,
                    load_core=load_core,
                    share=server.share,
                    brevity=self.brevity,
                    store=store,
                    foremost=self.foremost,
                )
            )
