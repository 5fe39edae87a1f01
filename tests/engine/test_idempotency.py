"""Answers that are given again: for their time, for their topic and key, and no more of them than there may be."""

import gc
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.compiled import is_compiled
from slosh.engine.base import Published
from slosh.engine.idempotency import REPLAY_SECONDS, Replays, join
from tests.properties import PROPERTY
from tests.timing import assert_quick


def test_an_answer_is_given_again_and_marked() -> None:
    replays = Replays(10)
    answer = Published("k", 4, 2, 3)
    replays.keep(join("a", "key"), 0.0, answer)
    assert replays.find(join("a", "key"), 1.0) == answer.again()
    assert replays.find(join("a", "other"), 1.0) is None
    assert replays.find(join("b", "key"), 1.0) is None


def test_beyond_the_bound_the_oldest_go_and_are_counted() -> None:
    replays = Replays(2)
    for number in range(5):
        replays.keep(join("a", str(number)), 0.0, Published("k", number, 0))
    assert [replays.find(join("a", str(number)), 0.0) is not None for number in range(5)] == [False] * 3 + [True] * 2
    assert replays.forgotten == 3


@PROPERTY
@given(
    st.lists(st.tuples(st.integers(0, 200), st.sampled_from("abcd")), max_size=30), st.integers(1, 5), st.integers(0, 2)
)
def test_against_a_list_of_all_that_was_ever_kept(steps: Any, most: int, at_once: int) -> None:
    """Each key is looked up as a publish does, and kept when it is new, also where what is too old is there still."""
    replays = Replays(most, at_once)
    kept: list[tuple[float, str, Published]] = []
    now = 0.0
    for seconds, key in steps:
        now += seconds
        kept = [each for each in kept if each[0] + REPLAY_SECONDS > now]
        expected = next((answer for _, name, answer in kept if name == key), None)
        found = replays.find(join("a", key), now)
        assert found == (expected and expected.again())
        if found is None:
            answer = Published("k", len(kept), 0)
            replays.keep(join("a", key), now, answer)
            kept = [*kept, (now, key, answer)][-most:]


def test_the_client_that_has_the_most_loses_its_oldest() -> None:
    replays = Replays(4)
    replays.keep(join("a", "theirs"), 0.0, Published("k", 1, 0), "one")
    for number in range(20):
        replays.keep(join("a", str(number)), 0.0, Published("k", number, 0), "other")
    assert replays.find(join("a", "theirs"), 0.0) is not None
    assert [replays.find(join("a", str(number)), 0.0) is not None for number in range(20)] == [False] * 17 + [True] * 3
    assert replays.forgotten == 17


@PROPERTY
@given(
    st.lists(st.tuples(st.sampled_from([0, 0, 1, 150]), st.sampled_from("abcd")), max_size=60),
    st.integers(1, 6),
    st.integers(0, 2),
)
def test_no_client_pushes_out_what_another_has_that_has_less(steps: Any, most: int, at_once: int) -> None:
    """Each of many publishes has a key of its own, and is kept for its client. What is too old pushes out nothing."""
    replays = Replays(most, at_once)
    kept: dict[str, list[tuple[float, str]]] = {client: [] for client in "abcd"}
    now, forgotten = 0.0, 0
    for number, (seconds, client) in enumerate(steps):
        now += seconds
        for name, keys in kept.items():
            kept[name] = [each for each in keys if each[0] + REPLAY_SECONDS > now]
        assert replays.find(join("a", ""), now) is None
        replays.keep(join("a", str(number)), now, Published("k", number, 0), client)
        kept[client].append((now, str(number)))
        greatest = max(map(len, kept.values()))
        for keys in kept.values():
            there = [each for each in keys if replays.find(join("a", each[1]), now) is not None]
            if there != keys:
                assert len(keys) == greatest
                assert there == keys[1:]
                keys.pop(0)
                forgotten += 1
        assert replays.forgotten == forgotten
        assert sum(map(len, kept.values())) <= most
        assert [each[1] for each in replays.all_kept(now)] == sorted(
            (key for keys in kept.values() for _, key in keys), key=int
        )


def test_it_costs_the_same_however_many_are_kept() -> None:
    """Very many clients, and one that has very many keys: none is looked for among all."""
    replays = Replays(20_000)
    for number in range(10_000):
        replays.keep(join("a", f"one {number}"), 0.0, Published("k", 1, 0), "one")
        replays.keep(join("a", f"each {number}"), 0.0, Published("k", 1, 0), f"client {number}")
    numbers = itertools.count()

    def keep_more() -> None:
        for number in itertools.islice(numbers, 1000):
            replays.keep(join("a", f"more {number}"), 0.0, Published("k", 1, 0), f"another {number}")

    assert_quick(keep_more, 0.05)
    while replays.forgotten < 10_000:
        keep_more()
    assert all(replays.find(join("a", f"each {number}"), 0.0) for number in range(1, 10_000, 100))


@PROPERTY
@given(
    st.lists(
        st.tuples(st.sampled_from([0, 1, 150, 300]), st.sampled_from("abcde"), st.sampled_from("xyz")), max_size=60
    )
)
def test_a_key_that_is_kept_again_counts_for_its_new_client_alone(steps: Any) -> None:
    """Also where the answer before is there still, too old, and counted for another."""
    replays = Replays(3, at_once=0)
    now = 0.0
    kept: list[tuple[float, str, str]] = []
    for number, (seconds, key, client) in enumerate(steps):
        now += seconds
        kept = [each for each in kept if each[0] + REPLAY_SECONDS > now]
        if replays.find(join("a", key), now) is None:
            replays.keep(join("a", key), now, Published("k", number, 0), client)
            kept.append((now, key, client))
        if len(kept) > 3:
            most = max([each[2] for each in kept], key=[each[2] for each in kept].count)
            greatest = [each[2] for each in kept].count(most)
            there = [(each[1], each[4]) for each in replays.all_kept(now)]
            (gone,) = [each for each in kept if each[1:] not in there]
            assert [each[2] for each in kept].count(gone[2]) == greatest
            assert gone == next(each for each in kept if each[2] == gone[2])
            kept.remove(gone)
        assert [(each[1], each[4]) for each in replays.all_kept(now)] == [each[1:] for each in kept]


def test_very_many_that_grow_old_together_are_no_work_of_one_publish() -> None:
    """A hundred thousand were a seventh of a second for everybody. All of them are gone after some more publishes."""
    replays = Replays(100_000)
    for number in range(100_000):
        replays.keep(join("a", f"key {number}"), 0.0, Published("k", 1, 0), f"client {number % 7}")
    now = REPLAY_SECONDS + 1.0
    for number in range(100):
        before = len(replays._answers)
        assert replays.find(join("a", f"key {number * 1000}"), now) is None
        replays.keep(join("a", f"key {number * 1000}"), now, Published("k", number, 0), "client")
        assert before - len(replays._answers) < 100
    assert len(replays._answers) < 99_000
    for number in range(7000):
        assert replays.find(join("a", f"more {number}"), now) is None
    assert [each[1] for each in replays.all_kept(now)] == [f"key {number * 1000}" for number in range(100)]
    assert (len(replays._answers), len(replays._clients), replays.forgotten) == (100, 1, 0)


@pytest.mark.parametrize("at_once", [0, 16])
def test_it_is_given_again_for_five_minutes_and_no_longer(at_once: int) -> None:
    replays = Replays(10, at_once)
    replays.keep(join("a", "key"), 100.0, Published("k", 1, 0))
    assert replays.find(join("a", "key"), 100.0 + 299.999) is not None
    assert replays.find(join("a", "key"), 100.0 + 300.0) is None


def test_very_many_keys_are_little_for_the_garbage_collector_to_look_at() -> None:
    """A look at 50,000 objects is a pause of milliseconds for everybody. Compiled, a key adds none to them."""
    replays = Replays(10_000)
    gc.collect()
    before = len(gc.get_objects())
    for number in range(1000):
        replays.keep(join("a", f"key {number}"), 0.0, Published("k", number, 0), "client")
    added = len(gc.get_objects()) - before
    assert added < (100 if is_compiled() else 2100), "in plain Python the answer, and what is kept with it"


def test_keys_of_topics_are_told_apart_wherever_a_name_ends() -> None:
    replays = Replays(10)
    replays.keep(join("a", "b/c"), 0.0, Published("k", 1, 0))
    replays.keep(join("a/b", "\nc"), 0.0, Published("k", 2, 0))
    assert replays.find(join("a/b", "c"), 0.0) is None
    assert [each[:2] for each in replays.all_kept(0.0)] == [("a", "b/c"), ("a/b", "\nc")]


def test_all_that_is_kept_is_given_key_by_key_so_that_very_many_are_no_work_of_one_turn() -> None:
    replays = Replays(10)
    for key in ("1", "2", "3"):
        replays.keep(join("a", key), 0.0, Published("k", 1, 0))
    kept = replays.all_kept(0.0)
    assert next(kept)[1] == "1"
    assert [each[1] for each in kept] == ["2", "3"]


@pytest.mark.parametrize("then", [0.186, 0.5, 1234.567])
def test_a_key_that_comes_again_in_the_moment_in_which_it_grew_too_old_counts_once(then: float) -> None:
    """A time plus 300 less 300 may be a hair less than it was: its message was stored, and its publish failed."""
    replays, answer = Replays(1000, at_once=1), Published("k", 1, 1)
    for key in ("a", "b"):
        replays.keep(join("t", key), then, answer, "client")
    now = then + REPLAY_SECONDS
    assert replays.find(join("t", "b"), now) is None
    replays.keep(join("t", "b"), now, answer, "client")
    for number in range(3):
        now += 400.0
        assert replays.find(join("t", str(number)), now) is None
        replays.keep(join("t", str(number)), now, answer, "client")
    assert [key for _, key, *_ in replays.all_kept(now)] == ["2"]
