"""`python -m benchmarks.fairness`: one attacker at full speed beside a healthy client, and how long that waits."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import machine
from benchmarks.building import BuildError
from benchmarks.fairness import KINDS, found
from benchmarks.fairness.running import FairnessError, Rules, build_programs, run_one
from benchmarks.fairness.targets import TARGETS, TITLES
from benchmarks.servers.base import StartError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.fairness.kinds import Kind
    from benchmarks.fairness.targets import Target


def tell(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line, with the kinds and targets that it means."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fairness", description=__doc__)
    parser.add_argument("--kinds", "-k", nargs="+", metavar="NAME", help="usually all; a prefix is enough")
    parser.add_argument("--servers", "-S", nargs="+", metavar="NAME", help=f"of {', '.join(TARGETS)}; usually all")
    parser.add_argument("--seconds", "-s", type=float, default=2.0, help="of each attack (usually 2)")
    parser.add_argument("--first", action="store_true", help="the server at the highest priority too (root)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--more", action="store_true", help="keep what FILE has of other kinds and servers")
    parser.add_argument("--list", action="store_true", help="say which kinds there are, and stop")
    chosen = parser.parse_args(words)
    meant = {word: [word] if word in KINDS else [name for name in KINDS if name.startswith(word)]
             for word in chosen.kinds or KINDS}  # fmt: skip
    unknown = [word for word, names in meant.items() if not names]
    unknown += [name for name in chosen.servers or () if name not in TARGETS]
    if unknown:
        parser.error(f"nothing is named {', '.join(unknown)}; --list says what there is")
    chosen.kinds = [kind for name, kind in KINDS.items() if any(name in names for names in meant.values())]
    chosen.servers = [TARGETS[name] for name in chosen.servers or TARGETS]
    return chosen


def available(targets: Sequence[Target]) -> list[Target]:
    """Those for which nothing is missing; the others are told."""
    kept = []
    for target in targets:
        missing = target.server(()).missing()
        if missing is None:
            kept.append(target)
        else:
            tell(f"{target.title} IS LEFT OUT; it needs {missing}")
    return kept


def cell(target: Target, kind: Kind, rules: Rules) -> dict[str, Any]:
    """What one kind showed at one server, or why nothing."""
    try:
        shown = run_one(target, kind, rules)
    except (FairnessError, StartError, OSError) as error:
        tell(f"{kind.name:26} {target.name:15} no figure: {str(error)[:600]}")
        return {"failed": str(error)[:600]}
    phase, memory = shown["attacked"], shown["memory"]
    sent = sum(crew["sent"] for crew in shown["attackers"]) / 1e6 / rules.seconds
    tell(
        f"{kind.name:26} {target.name:15} worst {found.most(phase, 'worst'):9.1f} ms, "
        f"p99 {found.most(phase, 'p99'):8.1f}, idle p99 {found.most(shown['idle'], 'p99'):5.1f}, "
        f"late {phase['late']['worst']:5.1f}; refused {found.refused(shown)}; "
        f"memory {memory['before']:.0f} to {memory['peak']:.0f} MB; "
        f"attacker {sent:.1f} MB/s; server without a core {1000 * shown['waited']:.0f} ms"
    )
    return shown


def main(words: Sequence[str] | None = None) -> int:
    """Exit status: 0 when something was measured, 1 when nothing could be."""
    chosen = parse(words)
    if chosen.list:
        print("\n".join(f"{name:26} {kind.title}" for name, kind in KINDS.items()))
        return 0
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    machine.raise_file_limit()
    try:
        programs = build_programs()
    except BuildError as error:
        tell(f"the attacker cannot be built: {error}")
        return 1
    server_core, load_core = machine.cores()
    rules = Rules(programs, chosen.seconds, server_core, load_core, chosen.first)
    targets = available(chosen.servers)
    if not targets:
        return 1
    told = found.begun(chosen.seconds)
    if chosen.more and chosen.json and chosen.json.exists():
        before = found.read(chosen.json)
        told.cells, told.versions = before.cells, before.versions
    told.versions |= {target.name: target.server(()).version() for target in targets}
    told.titles = {name: kind.title for name, kind in KINDS.items()}
    for kind in chosen.kinds:
        for target in targets:
            if kind.peers or not target.peer:
                told.cells.setdefault(kind.name, {})[target.name] = cell(target, kind, rules)
        if chosen.json:
            told.write(chosen.json)
    told.cells = {name: told.cells[name] for name in KINDS if name in told.cells}
    if chosen.json:
        told.write(chosen.json)
    print(found.table(told, TITLES), found.notes(told), sep="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
