"""The table tells what was measured: medians, ratios within a round, and no figure of a run that lost a message."""

from __future__ import annotations

from benchmarks.table import CROWDED_MARK, MARK, Cell, Row, markdown, ratio


def cell(*values: float, load: float = 10.0, waited: float = 0.0) -> Cell:
    return Cell(rounds=[{"cpu": value, "load": load, "waited": waited} for value in values])


def row(**cells: Cell) -> Row:
    return Row("one topic", "cpu", "CPU, µs", 1, compared=True, cells=cells)


def table(**cells: Cell) -> str:
    return markdown([row(**cells)], [(name, name) for name in cells], [("a", "b")]).splitlines()[-1]


def test_a_figure_is_the_median_of_the_rounds() -> None:
    assert cell(3.0, 1.0, 100.0).figure("cpu") == 3.0


def test_a_ratio_is_the_median_of_the_ratios_within_rounds_so_that_a_slow_minute_hits_both() -> None:
    assert ratio(cell(1.0, 10.0, 2.0), cell(2.0, 20.0, 4.0), "cpu") == 0.5


def test_the_table_has_a_column_for_each_server_and_each_ratio() -> None:
    assert table(a=cell(1.0, 2.0, 3.0), b=cell(4.0, 4.0, 4.0)) == "| one topic | CPU, µs | 2.0 | 4.0 | 0.50 |"


def test_a_refused_run_takes_the_figure_away_and_says_why() -> None:
    refused = cell(1.0, 1.0)
    refused.rounds.append(None)
    refused.refusals.append("7 doubled")
    assert refused.figure("cpu") is None
    assert table(a=refused, b=cell(4.0)) == "| one topic | CPU, µs | refused: 7 doubled (1 of 3 runs) | 4.0 |  |"


def test_a_busy_load_generator_and_a_crowded_core_are_marked() -> None:
    assert f"1.0 {MARK} |" in table(a=cell(1.0, load=95.0), b=cell(1.0))
    assert f"1.0 {CROWDED_MARK} |" in table(a=cell(1.0, waited=40.0), b=cell(1.0))


def test_a_server_that_was_left_out_has_an_empty_cell() -> None:
    assert table(a=Cell(), b=cell(4.0)) == "| one topic | CPU, µs | - | 4.0 |  |"


def test_servers_that_had_another_load_are_not_compared_where_the_load_counts() -> None:
    cells = {"a": cell(1.0), "b": cell(2.0)}
    apart = Row("one topic", "cpu", "p99", 1, compared=True, cells=cells, apart=frozenset("a"))
    assert markdown([apart], [("a", "a"), ("b", "b")], [("a", "b")]).endswith("| 1.0 | 2.0 |  |")
