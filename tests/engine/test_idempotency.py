"""Answers that are given again: for their time, for their topic and key, and no more of them than there may be."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from slosh.engine.base import Published
from slosh.engine.idempotency import REPLAY_SECONDS, Replays
from tests.properties import PROPERTY


def test_an_answer_is_given_again_and_marked() -> None:
    replays = Replays(10)
    answer = Published("k", 4, 2, 3)
    replays.keep("a", "key", 0.0, answer)
    assert replays.find("a", "key", 1.0) == answer.again()
    assert replays.find("a", "other", 1.0) is None
    assert replays.find("b", "key", 1.0) is None


def test_beyond_the_bound_the_oldest_go_and_are_counted() -> None:
    replays = Replays(2)
    for number in range(5):
        replays.keep("a", str(number), 0.0, Published("k", number, 0))
    assert [replays.find("a", str(number), 0.0) is not None for number in range(5)] == [False] * 3 + [True] * 2
    assert replays.forgotten == 3


@PROPERTY
@given(st.lists(st.tuples(st.integers(0, 200), st.sampled_from("abcd")), max_size=30), st.integers(1, 5))
def test_against_a_list_of_all_that_was_ever_kept(steps: Any, most: int) -> None:
    """Each key is looked up as a publish does, and kept when it is new."""
    replays = Replays(most)
    kept: list[tuple[float, str, Published]] = []
    now = 0.0
    for seconds, key in steps:
        now += seconds
        kept = [each for each in kept if each[0] + REPLAY_SECONDS > now]
        expected = next((answer for _, name, answer in kept if name == key), None)
        found = replays.find("a", key, now)
        assert found == (expected and expected.again())
        if found is None:
            answer = Published("k", len(kept), 0)
            replays.keep("a", key, now, answer)
            kept = [*kept, (now, key, answer)][-most:]


def test_it_is_given_again_for_five_minutes_and_no_longer() -> None:
    replays = Replays(10)
    replays.keep("a", "key", 100.0, Published("k", 1, 0))
    assert replays.find("a", "key", 100.0 + 299.999) is not None
    assert replays.find("a", "key", 100.0 + 300.0) is None
