"""How long things hold: nothing that is renewed runs out before it is."""

import pytest

from slosh.engine.redis.time import Times
from tests.cases import each_of


@each_of("linger", [0.0, 0.1, 1.0, 3.0, 30.0, 300.0, 86_400.0])
def test_leases_and_lingering_are_renewed_twice_before_they_run_out(linger: float) -> None:
    times = Times(linger)
    assert 2 * times.visit * 1000 <= times.lease_ms
    assert 2 * times.visit <= max(linger, 0.5)


@pytest.mark.parametrize(("linger", "lease"), [(0.0, 3000), (10.0, 10_000), (30.0, 30_000), (3600.0, 30_000)])
def test_a_node_that_died_counts_for_as_long_as_a_topic_lingers_within_bounds(linger: float, lease: int) -> None:
    assert Times(linger).lease_ms == lease
