"""What is promised while something breaks, each fault with a small load; `python -m tests.faults` has the full one.

Always: nothing that was acknowledged is lost without a word, nothing comes twice except over a `reset`, the order is
kept, and all is well again without anybody's help. The rest depends on what broke.
"""

from pathlib import Path

import pytest

from tests.conftest import need
from tests.faults import scenarios
from tests.faults.chaos import chaos
from tests.faults.load import SMALL, Figures
from tests.faults.scenarios import SHORT
from tests.stores.found import KINDS, SYSTEM, program
from tests.stores.server import Store
from tests.stores.sets import Cluster, Watched


def kept(figures: Figures) -> None:
    """The promises that hold whatever breaks."""
    totals = figures.totals
    assert figures.settled, "some readers never came to the newest message"
    assert totals["silent"] == 0
    assert totals["doubled"] == 0
    assert totals["swapped"] == 0
    assert figures.posts.unwatched == 0, "readers wait all the time, whatever the store has forgotten"
    assert totals["acknowledged"] == figures.posts.sent
    assert totals["acknowledged"] > 0
    assert totals["delivered"] > 0


def nothing_gone(figures: Figures) -> None:
    """The store kept its data, so the topic's life went on, and the ring held all of it."""
    totals = figures.totals
    assert totals["reset"] == totals["lost"] == totals["gone"] == totals["doubled_over_reset"] == 0
    assert figures.posts.unwatched == 0
    assert totals["delivered"] == totals["acknowledged"] * SMALL.readers


def all_is_well(figures: Figures) -> None:
    """Nothing was broken, and nobody noticed anything."""
    kept(figures)
    nothing_gone(figures)
    assert figures.posts.unknown == figures.requests.failed == 0


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[pytest.mark.long] * (kind != SYSTEM)) for kind in KINDS])
def test_with_nothing_broken_all_is_delivered(tmp_path: Path, kind: str) -> None:
    with Store(tmp_path / "store", program(kind)) as store:
        all_is_well(scenarios.at_peace(f"nothing, {store.program}", tmp_path, SMALL, store.url))


@pytest.mark.long
def test_through_sentinels(tmp_path: Path) -> None:
    with Watched(tmp_path / "stores") as watched:
        all_is_well(scenarios.at_peace("nothing, Sentinels", tmp_path, SMALL, watched.url))


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_in_a_cluster(tmp_path: Path, kind: str) -> None:
    with Cluster(tmp_path / "stores", program(kind)) as cluster:
        all_is_well(scenarios.at_peace(f"nothing, Cluster of {program(kind)}", tmp_path, SMALL, cluster.url))


def test_a_node_that_is_killed_takes_nothing_with_it(tmp_path: Path) -> None:
    figures = scenarios.killed_node(tmp_path, SMALL, SHORT)
    kept(figures)
    nothing_gone(figures)
    assert figures.requests.failed_again == 0


@pytest.mark.long
def test_a_worker_that_is_killed_is_replaced_and_takes_nothing_with_it(tmp_path: Path) -> None:
    figures = scenarios.killed_worker(tmp_path, SMALL, SHORT)
    kept(figures)
    nothing_gone(figures)
    assert figures.requests.failed_again == 0


def test_a_store_that_forgot_everything_is_told_as_reset(tmp_path: Path) -> None:
    figures = scenarios.restarted_store(tmp_path, SMALL, SHORT)
    kept(figures)
    assert figures.totals["reset"] == SMALL.readers


@pytest.mark.long
def test_a_store_with_aof_goes_on_where_it_was(tmp_path: Path) -> None:
    figures = scenarios.restarted_store_with_aof(tmp_path, SMALL, SHORT)
    kept(figures)
    nothing_gone(figures)


@pytest.mark.long
def test_a_store_that_was_restored_is_told_as_reset_where_it_forgot_something(tmp_path: Path) -> None:
    """Never the same place for two messages: what was acknowledged since the snapshot is gone, and that is told."""
    figures = scenarios.restored_store(tmp_path, SMALL, SHORT)
    kept(figures)
    assert figures.totals["reset"] >= SMALL.readers


@pytest.mark.long
def test_a_store_that_somebody_empties_is_told_as_reset(tmp_path: Path) -> None:
    figures = scenarios.emptied_store(tmp_path, SMALL, SHORT)
    kept(figures)
    assert figures.totals["reset"] >= SMALL.readers


def test_a_store_that_stands_still_delays_and_loses_nothing(tmp_path: Path) -> None:
    """Publishers hear 503 within a bounded time, and what the store takes up late is stored once all the same."""
    figures = scenarios.paused_store(tmp_path, SMALL, SHORT)
    kept(figures)
    nothing_gone(figures)
    assert figures.posts.refused > 0
    assert figures.posts.slowest < SHORT.pause
    assert figures.requests.failed_again == 0


@pytest.mark.long
def test_connections_to_the_store_that_are_cut_again_and_again(tmp_path: Path) -> None:
    figures = scenarios.dropped_connections(tmp_path, SMALL, SHORT)
    kept(figures)
    nothing_gone(figures)
    assert figures.notes["connections_cut"] > 0


@pytest.mark.long
def test_sentinels_that_elect_another_master(tmp_path: Path) -> None:
    """What the old master acknowledged and its replica had not yet may be gone: then the topic's life is a new one."""
    figures = scenarios.sentinel_failover(tmp_path, SMALL, SHORT)
    kept(figures)


def test_sentinels_that_elect_a_master_which_lacks_what_was_acknowledged(tmp_path: Path) -> None:
    figures = scenarios.failover_that_forgets(tmp_path, SMALL, SHORT)
    kept(figures)
    assert figures.totals["reset"] >= SMALL.readers


@pytest.mark.long
def test_a_node_that_stands_still_delays_its_own_readers_and_loses_nothing(tmp_path: Path) -> None:
    figures = scenarios.paused_node(tmp_path, SMALL, SHORT)
    kept(figures)
    nothing_gone(figures)


def test_a_replica_that_takes_over_in_a_cluster(tmp_path: Path) -> None:
    """As with Sentinels, and the nodes find the new master by themselves."""
    figures = scenarios.cluster_failover(tmp_path, SMALL, SHORT)
    kept(figures)


@pytest.mark.long
def test_keys_that_move_to_another_master_of_a_cluster_are_noticed_by_nobody(tmp_path: Path) -> None:
    figures = scenarios.moved_slot(tmp_path, SMALL, SHORT)
    kept(figures)
    nothing_gone(figures)


@pytest.mark.long
def test_a_rolling_restart_is_noticed_by_nobody(tmp_path: Path) -> None:
    figures = scenarios.rolling_restart(tmp_path, SMALL, SHORT)
    kept(figures)
    nothing_gone(figures)
    assert figures.requests.failed_again == 0


@pytest.mark.long
def test_a_node_that_is_cut_from_the_store_says_so_and_catches_up(tmp_path: Path) -> None:
    need("ip")
    figures = scenarios.cut_node(tmp_path, SMALL, SHORT)
    kept(figures)
    nothing_gone(figures)
    assert figures.requests.failed_again == 0
    assert figures.notes["ready_while_cut"] == 503


@pytest.mark.long
def test_one_fault_after_another_by_chance(tmp_path: Path) -> None:
    """The seed is among the figures' notes."""
    figures = chaos(tmp_path, SMALL, SHORT)
    kept(figures)
    nothing_gone(figures)
