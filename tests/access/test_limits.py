"""In any span of time a key gets what its rate and its burst allow, and nothing more than one batch beyond."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slosh.access import limits
from slosh.access.limits import RateLimit, address_key
from tests.cases import each_of
from tests.properties import PROPERTY


class SlowBucket:
    """The obvious one: a level that rises with time."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.most = rate, max(rate * burst, 1.0)
        self.level, self.at = self.most, 0.0

    def take(self, amount: int, now: float) -> bool:
        self.level = min(self.most, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level < 1 - 1e-6:
            return False
        self.level -= amount
        return True


@given(
    st.sampled_from([0.5, 1, 4, 100]),
    st.sampled_from([0.0, 0.25, 1, 10]),
    st.lists(st.tuples(st.sampled_from([0.0, 0.125, 0.25, 1, 2, 50]), st.integers(1, 5)), max_size=60),
)
@settings(PROPERTY)
def test_a_bucket_is_what_a_level_that_rises_with_time_is(
    rate: float, burst: float, story: list[tuple[float, int]]
) -> None:
    limit, slow, now = RateLimit(rate, burst), SlowBucket(rate, burst), 0.0
    for pause, amount in story:
        now += pause
        wait = limit.take("a", amount, now)
        assert (wait == 0) == slow.take(amount, now)
        if wait:
            assert RateLimit.take(limit, "b", 1, now) == 0  # another key has its own
            limit._young.pop("b")


def test_after_the_wait_that_was_told_it_is_taken() -> None:
    limit = RateLimit(10, 1)
    assert [limit.take("a", 1, 0.0) for _ in range(10)] == [0.0] * 10
    wait = limit.take("a", 1, 0.0)
    assert wait == pytest.approx(0.1)
    assert limit.take("a", 1, wait) == 0
    assert limit.take("a", 100, 2 * wait + 0.1) == 0
    assert limit.take("a", 1, 1.0) > 9


def test_another_rate_lets_nobody_start_again() -> None:
    limit = RateLimit(10, 1)
    limit.take("a", 30, 0.0)
    limit.rate = 100
    assert limit.take("a", 1, 1.0) == pytest.approx(1.01)
    assert limit.take("a", 1, 2.1) == 0
    assert [limit.take("a", 1, 10.0) for _ in range(101)].count(0.0) == 100
    limit.burst = 2
    assert [limit.take("a", 1, 10.0) for _ in range(101)].count(0.0) == 100


def test_keys_are_bounded_and_the_newest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REMEMBERED", 10)
    limit = RateLimit(1, 1)
    for number in range(100):
        assert limit.take(str(number), 1, 0.0) == 0
        assert limit.take(str(number), 1, 0.0) > 0
    assert len(limit) <= 20


@each_of(
    ("address", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("", "unix"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::1", "::/64"),
    ],
)
def test_a_client_of_ipv6_counts_by_its_network(address: str, key: str) -> None:
    assert address_key(address) == key
