"""Print how a server on this machine does: `python -m tests.conformance PORT [--all]`.

The server must echo: any method 200 with the request's body back, and on /echo the request's field lines.
"""

import argparse
import sys
from collections import Counter

from tests.conformance.case import Case, Result, Verdict
from tests.conformance.tables import TABLES
from tests.conformance.wire import run


def score(cases: list[Case], port: int) -> list[Result]:
    """Run `cases` one after another against 127.0.0.1:`port`."""
    return [run(case, ("127.0.0.1", port), quiet=0.3) for case in cases]


def summary(results: list[Result]) -> str:
    """Count the verdicts as the public probe does: PASS and WARN are the score."""
    scored = Counter(result.verdict for result in results if result.case.scored)
    right = scored[Verdict.PASS] + scored[Verdict.WARN]
    return (
        f"{right}/{scored.total()} right ({scored[Verdict.PASS]} pass, {scored[Verdict.WARN]} warn, "
        f"{scored[Verdict.FAIL]} fail), {len(results) - scored.total()} not scored"
    )


def main() -> None:
    """Run the tables named on the command line, print what failed and the sums."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--table", choices=sorted(TABLES), action="append", help="default: all")
    parser.add_argument("--all", action="store_true", help="print every case, not only the wrong ones")
    options = parser.parse_args()
    for name in options.table or sorted(TABLES):
        results = score(TABLES[name], options.port)
        for result in results:
            if options.all or result.verdict is Verdict.FAIL:
                sys.stdout.write(f"{result}{'' if result.case.scored else ' [not scored]'}\n")
        sys.stdout.write(f"{name}: {summary(results)}\n\n")


main()
