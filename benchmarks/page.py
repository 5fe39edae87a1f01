"""`python -m benchmarks.page`: writes the tables of docs/performance.md and its plots anew, from benchmarks/results.

A table stands between `<!-- main -->` and `<!-- /main -->`, where main is the name of its results, with `.growth`
behind it for the tables of growth and `.notes` for what is to be known to read them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import plot, report
from benchmarks.results import FOLDER, Results, read

if TYPE_CHECKING:
    from collections.abc import Callable

TOP = Path(__file__).parent.parent
PAGE = TOP / "docs" / "performance.md"
RATIOS, GROWTH = TOP / "docs" / "img" / "ratios.svg", TOP / "docs" / "img" / "growth.svg"
PARTS: dict[str, Callable[[Results], str]] = {
    "": report.main_table,
    ".growth": report.growth_tables,
    ".notes": report.notes,
}


def all_results() -> dict[str, Results]:
    """Those that are kept, by the names of their files."""
    return {path.stem: read(path) for path in sorted(FOLDER.glob("*.json"))}


def filled(text: str, runs: dict[str, Results]) -> str:
    """The page with its tables as the results have them."""
    for name, results in runs.items():
        for suffix, part in PARTS.items():
            before, opens, rest = text.partition(f"<!-- {name}{suffix} -->\n")
            _, closes, after = rest.partition(f"<!-- /{name}{suffix} -->")
            if opens and closes:
                text = f"{before}{opens}\n{part(results)}\n\n{closes}{after}"
    return text


def plots(runs: dict[str, Results]) -> dict[Path, str]:
    """File -> plot, as far as there are results for it."""
    made = {}
    shown = [runs[name] for name in ("main", "peers") if name in runs]
    if shown and plot.ratios(shown):
        made[RATIOS] = plot.ratio_plot(shown)
    if "main" in runs:
        made[GROWTH] = plot.growth_plot(runs["main"], list(runs["main"].versions))
    return made


def main() -> None:
    """Write them."""
    runs = all_results()
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), runs), encoding="utf-8")
    for path, drawn in plots(runs).items():
        path.write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
