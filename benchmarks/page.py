"""`python -m benchmarks.page`: writes the tables of docs/performance.md, scaling.md, fairness.md, and the plots.

They come from benchmarks/results. What is between `<!-- main -->` and `<!-- /main -->` is the table of the results
called main, with `.growth` behind the name the tables of growth, with `.notes` what is to be known to read them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks import held, nodes, plot, report, scaling
from benchmarks.fairness import found as fairness
from benchmarks.fairness.targets import TITLES
from benchmarks.results import FOLDER, Results, read

TOP = Path(__file__).parent.parent
PAGES = tuple(TOP / "docs" / f"{name}.md" for name in ("performance", "scaling", "fairness"))
RATIOS, GROWTH = TOP / "docs" / "img" / "ratios.svg", TOP / "docs" / "img" / "growth.svg"
NODES, FAIRNESS, HELD = FOLDER / "nodes.json", FOLDER / "fairness.json", FOLDER / "held.json"
OTHERS = (NODES, FAIRNESS, HELD, FOLDER / "viewing.json")


def all_results() -> dict[str, Results]:
    """Those that are kept, by the names of their files; not those of nodes, attackers, idle readers and the viewer."""
    return {path.stem: read(path) for path in sorted(FOLDER.glob("*.json")) if path not in OTHERS}


def growing(runs: dict[str, Results]) -> Results:
    """How cost grows: from `growth`, where all points of a curve took turns, else from `main`."""
    main = runs["main"]
    if "growth" not in runs:
        return main
    return replace(runs["growth"], cells={**main.cells, **runs["growth"].cells})


def blocks(runs: dict[str, Results]) -> dict[str, str]:
    """Mark -> what stands there."""
    told = {}
    for name, results in runs.items():
        told[name] = report.main_table(results)
        told[f"{name}.notes"] = report.notes(results)
    if "main" in runs:
        told["main.growth"] = report.growth_tables(growing(runs))
    if NODES.exists():
        told["nodes"] = nodes.table(nodes.read(NODES))
    if HELD.exists():
        told["held"] = held.table(held.read(HELD))
    if FAIRNESS.exists():
        attacks = fairness.read(FAIRNESS)
        told["fairness"] = fairness.table(attacks, TITLES)
        told["fairness.notes"] = fairness.notes(attacks)
    if "main" in runs and "redis" in runs:
        costs = scaling.costs(runs["main"], runs["redis"])
        told["costs"] = scaling.inputs(costs)
        told["plan"] = scaling.table(costs, scaling.loads(costs))
    return told


def filled(text: str, told: dict[str, str]) -> str:
    """A page with what stands at its marks."""
    for mark, block in told.items():
        before, opens, rest = text.partition(f"<!-- {mark} -->\n")
        _, closes, after = rest.partition(f"<!-- /{mark} -->")
        if opens and closes:
            text = f"{before}{opens}\n{block}\n\n{closes}{after}"
    return text


def plots(runs: dict[str, Results]) -> dict[Path, str]:
    """File -> plot, once there are results for them."""
    if "main" not in runs:
        return {}
    shown = [runs[name] for name in ("main", "peers") if name in runs]
    return {
        RATIOS: plot.ratio_plot(shown),
        GROWTH: plot.growth_plot(growing(runs), list(runs["main"].versions)),
    }


def main() -> None:
    """Write them."""
    runs = all_results()
    told = blocks(runs)
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8"), told), encoding="utf-8")
    for path, drawn in plots(runs).items():
        path.write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
