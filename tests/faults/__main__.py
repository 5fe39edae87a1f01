"""`python -m tests.faults [name …]`: every fault under its full load, and the table for docs/operations.md.

A line of JSON for each fault comes as soon as it is over. With `--small` the loads of the test suite.
"""

import argparse
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.faults.chaos import chaos
from tests.faults.load import FULL, SMALL, Figures
from tests.faults.scenarios import FAULTS, LONG, SHORT
from tests.stores.found import KINDS, SYSTEM, choose

COLUMNS = (
    "what broke",
    "acknowledged",
    "delivered",
    "told as lost",
    "lost in silence",
    "doubled",
    "out of order",
    "`reset` told",
    "given again",
    "gone",
    "POSTs sent again",
    "polls that failed",
    "longest wait: message",
    "POST",
)


def row(figures: Figures) -> str:
    """One fault's row of the table."""
    totals, posts, requests = figures.totals, figures.posts, figures.requests
    cells = (
        figures.fault if figures.settled else f"{figures.fault} (never settled)",
        totals["acknowledged"],
        totals["delivered"],
        totals["lost"],
        totals["silent"],
        totals["doubled"],
        totals["swapped"],
        totals["reset"],
        totals["doubled_over_reset"],
        totals["gone"],
        posts.unknown,
        f"{requests.failed}, {requests.failed_again} twice" if requests.failed else 0,
        f"{requests.longest_pause:.1f} s",
        f"{posts.slowest:.1f} s",
    )
    return line(f"{cell:,}" if isinstance(cell, int) else cell for cell in cells)


def line(cells: Iterable[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Run what is asked for, and print the table."""
    names = {fault.__name__: fault for fault in (*FAULTS, chaos)}
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.split("\n")[0])
    parser.add_argument("fault", nargs="*", choices=[[], *names], help="which; all without")
    parser.add_argument("--small", action="store_true", help="the loads of the test suite")
    parser.add_argument("--store", choices=KINDS, default=SYSTEM, help="which Redis or Valkey")
    asked = parser.parse_args()
    choose(asked.store)
    size, times = (SMALL, SHORT) if asked.small else (FULL, LONG)
    rows = []
    for name in asked.fault or names:
        with tempfile.TemporaryDirectory(prefix="slosh-") as folder:
            rows.append(row(names[name](Path(folder, "it"), size, times)))
    print(line(COLUMNS), line(["---"] * len(COLUMNS)), *rows, sep="\n")  # noqa: T201  # what it is for


if __name__ == "__main__":
    main()
