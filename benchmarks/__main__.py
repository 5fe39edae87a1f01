"""`python -m benchmarks`: chooses scenarios and servers, lets them take turns, prints Markdown tables."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import machine, report, results
from benchmarks.building import BuildError, build_load
from benchmarks.scenarios import GROWTH, QUICK, SCENARIOS, VARIED
from benchmarks.servers import DEFAULT, PEERS, SERVERS, STORE
from benchmarks.turns import Turns, available, possible, tell, tell_plain_pythons

if TYPE_CHECKING:
    from collections.abc import Sequence

PEERS_WORK = ("fanout-100", "fanout-1000", "topics", "saturation", "idle-10000", "publish")
"""What --peers measures when no scenario is named."""
STORE_WORK = ("fanout-100", "fanout-1000", "fanout-10000", "latency", "topics", "saturation", "publish", "sse")
"""What --redis measures when no scenario is named."""


def parser_of_words() -> argparse.ArgumentParser:
    """The command line's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--scenarios", "-s", nargs="+", metavar="NAME", help=f"of {', '.join(SCENARIOS)}; a prefix is enough"
    )
    parser.add_argument(
        "--servers", "-S", nargs="+", metavar="NAME", help=f"of {', '.join(SERVERS)}; usually {', '.join(DEFAULT)}"
    )
    parser.add_argument("--peers", action="store_true", help=f"instead of these servers {', '.join(PEERS)}")
    parser.add_argument("--redis", action="store_true", help=f"instead of these servers {', '.join(STORE)}")
    parser.add_argument("--varied", action="store_true", help="only requests that differ from each other")
    parser.add_argument("--growth", action="store_true", help="only what shows how cost grows")
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
    parser.add_argument("--brief", action="store_true", help="half of the usual time for each run")
    parser.add_argument(
        "--first", action="store_true", help="server and load at the highest priority (root), on a busy machine"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round's figures there too")
    parser.add_argument("--more", action="store_true", help="keep what FILE has of other scenarios")
    parser.add_argument("--list", action="store_true", help="say what there is, and stop")
    return parser


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line, with the names of scenarios and the servers that it means."""
    parser = parser_of_words()
    chosen = parser.parse_args(words)
    usual = VARIED if chosen.varied else QUICK if chosen.quick else SCENARIOS
    usual = PEERS_WORK if chosen.peers else STORE_WORK if chosen.redis else usual
    named = chosen.scenarios or ([name for each in GROWTH for _, name in each.points] if chosen.growth else usual)
    meant = {
        word: [word] if word in SCENARIOS else [name for name in SCENARIOS if name.startswith(word)] for word in named
    }
    chosen.scenarios = [name for name in SCENARIOS if any(name in names for names in meant.values())]
    unknown = [word for word, names in meant.items() if not names]
    unknown += [name for name in chosen.servers or () if name not in SERVERS]
    if unknown:
        parser.error(f"nothing is named {', '.join(unknown)}; --list says what there is")
    usual_servers = PEERS if chosen.peers else STORE if chosen.redis else DEFAULT
    chosen.servers = [SERVERS[name] for name in chosen.servers or usual_servers]
    chosen.repeats = chosen.repeats or (1 if chosen.quick else 3)
    chosen.brevity = 0.25 if chosen.quick else 0.5 if chosen.brief else 1.0
    return chosen


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
    servers, scenarios = available(chosen.servers), possible([SCENARIOS[name] for name in chosen.scenarios])
    if not servers or not scenarios:
        tell("nothing is left to measure")
        return 1
    tell_plain_pythons(servers)
    found = results.begun(servers, chosen.repeats)
    if chosen.more and chosen.json and chosen.json.exists():
        found.cells = results.read(chosen.json).cells
        for scenario in scenarios:
            found.cells.pop(scenario.name, None)
    turns = Turns(
        servers, scenarios, program, chosen.brevity, foremost=chosen.first, scenarios_take_turns=chosen.growth
    )
    turns.run(found, keep=chosen.json)
    print(report.whole(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
