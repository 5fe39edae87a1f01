"""Answers that are given again: for their time, for their topic and key, and no more of them than there may be."""

import gc
import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from slosh.compiled import is_compiled
from slosh.engine.base import Published
from slosh.engine.idempotency import REPLAY_SECONDS, Replays, join
from tests.properties import PROPERTY


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
@given(st.lists(st.tuples(st.sampled_from([0, 0, 1, 150]), st.sampled_from("abcd")), max_size=60), st.integers(1, 6))
def test_no_client_pushes_out_what_another_has_that_has_less(steps: Any, most: int) -> None:
    """Each of many publishes has a key of its own, and is kept for its client."""
    replays = Replays(most)
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
    began = time.thread_time()
    for number in range(10_000):
        replays.keep(join("a", f"more {number}"), 0.0, Published("k", 1, 0), f"another {number}")
    assert time.thread_time() - began < 0.5
    assert replays.forgotten == 10_000
    assert all(replays.find(join("a", f"each {number}"), 0.0) for number in range(1, 10_000, 100))


def test_it_is_given_again_for_five_minutes_and_no_longer() -> None:
    replays = Replays(10)
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
