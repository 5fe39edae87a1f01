"""What is told of a run: its tables, its plots and the page that shows them are made from its figures alone."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from benchmarks import page, plot, report, results
from benchmarks.results import Results
from benchmarks.scenarios import GROWTH, SCENARIOS
from benchmarks.table import Cell

if TYPE_CHECKING:
    from pathlib import Path

SERVERS = {"floor": "1", "nchan": "2", "slosh": "3"}


def cell(value: float, **others: float) -> Cell:
    return Cell(rounds=[{"cpu": value, "bytes": value, "accept": value, "load": 10.0, **others}] * 3)


def run(**cells: dict[str, Cell]) -> Results:
    named = {name.replace("_", "-"): of_scenario for name, of_scenario in cells.items()}
    return Results("a machine", "2026-01-02", "abc", 3, SERVERS, named)


FAN_OUT = {"floor": cell(8, p99=1.0), "nchan": cell(16, p99=2.0), "slosh": cell(12, p99=1.5)}
GROWING = run(fanout_100=FAN_OUT, fanout_1000={**FAN_OUT, "slosh": cell(15, p99=1.5)})


def test_results_come_back_from_their_file_as_they_went_in(tmp_path: Path) -> None:
    refused = Cell(rounds=[None, {"cpu": 1.5}], refusals=["1 doubled"])
    written = run(fanout_100={"floor": refused})
    written.write(tmp_path / "deep" / "x.json")
    assert results.read(tmp_path / "deep" / "x.json") == written


def test_growth_tells_the_dearest_by_the_cheapest() -> None:
    assert "| slosh | 12.0 | 15.0 | 1.25 | 1.25 |" in report.growth_tables(GROWING)
    assert "| nchan | 16.0 | 16.0 | 1.00 | 1.00 |" in report.growth_tables(GROWING)


def test_a_refused_run_is_missing_from_the_curve() -> None:
    growing = run(fanout_100=FAN_OUT, fanout_1000={**FAN_OUT, "slosh": Cell(rounds=[None], refusals=["7 missing"])})
    assert "| slosh | 12.0 | - | - | - |" in report.growth_tables(growing)


def test_every_growth_names_scenarios_and_a_figure_that_they_measure() -> None:
    for growth in GROWTH:
        for _, name in growth.points:
            assert growth.metric in SCENARIOS[name].metrics


def test_the_notes_tell_machine_date_commit_and_versions() -> None:
    told = report.notes(GROWING)
    assert all(word in told for word in ("a machine", "2026-01-02", "commit abc", "nchan (2)"))


@pytest.mark.parametrize(
    "drawn", [plot.ratio_plot([GROWING]), plot.growth_plot(GROWING, list(SERVERS))], ids=["ratios", "growth"]
)
def test_plots_are_well_formed_for_light_and_dark_and_stay_within_their_bounds(drawn: str) -> None:
    root = ET.fromstring(drawn)
    assert "prefers-color-scheme: dark" in drawn
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    for circle in root.iter("{http://www.w3.org/2000/svg}circle"):
        assert 0 < float(circle.get("cx", 0)) < width
        assert 0 < float(circle.get("cy", 0)) < height


def test_the_plot_of_ratios_has_each_servers_figure_by_nchans() -> None:
    drawn = plot.ratio_plot([run(fanout_1000=FAN_OUT)])
    assert ">0.75<" in drawn
    assert ">0.50<" in drawn
    assert drawn.count(">no figure<") == 6, "three servers, two works without figures"


def test_the_page_and_its_plots_are_what_the_kept_results_give() -> None:
    """Run `python -m benchmarks.page` after a new measurement; nobody edits a figure by hand."""
    runs = page.all_results()
    for each in page.PAGES:
        told = each.read_text(encoding="utf-8")
        assert page.filled(told, page.blocks(runs)) == told, each
    for path, drawn in page.plots(runs).items():
        assert path.read_text(encoding="utf-8") == drawn, path
