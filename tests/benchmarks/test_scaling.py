"""The plan follows from the costs: a load that needs more of one thing is planned with more of it."""

from __future__ import annotations

from benchmarks.scaling import READERS, Costs, Load, loads, table

COSTS = Costs(poll=12, event=9, publish=70, store=20, heard=100, told=40, held=1_700)


def test_few_messages_are_bounded_by_connections() -> None:
    plan = Load("x", 1, 0.01, COSTS.poll).plan(COSTS)
    assert (plan.nodes, plan.shards) == (10, 1)
    assert plan.wall == "100,000 connections a node"


def test_ten_times_the_messages_need_ten_times_the_nodes_where_deliveries_count() -> None:
    few, many = (Load("x", 1, rate, COSTS.poll).plan(COSTS) for rate in (1, 10))
    assert 19 <= few.nodes <= 22, "1,000,000 deliveries of 12 µs, each core used at 60 %"
    assert 9 < many.nodes / few.nodes < 11
    assert many.wall == "CPU of deliveries"


def test_every_node_is_told_of_a_topic_that_all_of_them_have_readers_of() -> None:
    shared, homed = (Load("x", 10_000, 1, COSTS.poll, homed=homed) for homed in (False, True))
    assert shared.told(50) == 50 * homed.told(50)
    assert homed.plan(COSTS).shards < shared.plan(COSTS).shards


def test_one_topic_cannot_be_on_two_shards() -> None:
    assert "one shard" in Load("x", 1, 1_000, COSTS.event, gathered=1_000).plan(Costs(12, 9, 70, 20, 100, 400, 1)).wall


def test_the_table_has_a_line_for_each_load() -> None:
    planned = loads(COSTS)
    assert len(table(COSTS, planned).splitlines()) == 2 + len(planned)
    assert all(load.topics <= READERS for load in planned)
