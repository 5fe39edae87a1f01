"""Each module's tests run so much of it: `python -m tests.floors FILE`, with the JSON that coverage wrote.

Processes that tests start are counted too, where they end by themselves: what is killed tells nothing.
A module without a row has the usual floor, so a new one needs none, and one that nothing imports is below it.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

USUAL: Final = 80.0
"""Per cent of a module's lines and branches. All of slosh together stand at 95."""
OTHERS: Final[Mapping[str, tuple[float, str]]] = {
    "cli.py": (85.0, "its tests start it as a process, and wait for its end"),
    "commands/poll.py": (75.0, "tests end it by a signal"),
    "commands/progress.py": (65.0, "it draws on a terminal"),
    "descriptors.py": (70.0, "some of it needs a system without room"),
    "service.py": (75.0, "some of it runs in a twistd that is killed"),
    "testing/echo.py": (65.0, "conformance suites kill it"),
    "workers.py": (85.0, "its tests start it as a process, and wait for its end"),
}
"""Modules with another floor, and why."""


def missing(covered: Mapping[str, float]) -> Iterator[str]:
    """A line for each module that is below its floor, and for each exception whose module is gone.

    Args:
        covered: per cent by module, as paths below the package.
    """
    for module, share in sorted(covered.items()):
        floor, _ = OTHERS.get(module, (USUAL, ""))
        if share < floor:
            yield f"{module}: its tests run {share:.1f} % of it, and the floor is {floor:g} %"
    for module in sorted(OTHERS.keys() - covered.keys()):
        yield f"{module} is gone; take it off the exceptions"


def read(file: Path) -> dict[str, float]:
    """Per cent by module, of the JSON that coverage wrote."""
    files = json.loads(file.read_text(encoding="utf-8"))["files"]
    return {name.partition("/slosh/")[2]: each["summary"]["percent_covered"] for name, each in files.items()}


def main() -> int:
    """Print what is below its floor; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.floors", description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path, help="the JSON that coverage wrote")
    lines = list(missing(read(parser.parse_args().file)))
    print("\n".join(lines) or "Each module's tests run enough of it.")
    return 1 if lines else 0


if __name__ == "__main__":
    raise SystemExit(main())
