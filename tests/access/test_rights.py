"""What is not granted is not allowed, and a right is what its patterns match."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.access.rights import ALL, MAX_PATTERNS, NOTHING, Rights, parse_patterns
from slosh.core.patterns import matches
from slosh.errors import BadTopic
from tests.access.test_patterns import NAMES, patterns
from tests.cases import each_of


def test_nothing_allows_nothing_and_all_allows_all() -> None:
    for name in ("a", "a/b"):
        assert not (NOTHING.may_read(name))
        assert not (NOTHING.may_publish(name))
        assert not (NOTHING.may_see(name))
        assert ALL.may_read(name)
        assert ALL.may_publish(name)
        assert ALL.may_see(name)
    assert not NOTHING.may_follow("a/*")
    assert ALL.may_follow("**")


@given(st.lists(patterns(), max_size=4), st.lists(patterns(), max_size=4), st.sampled_from(NAMES))
def test_each_right_is_what_its_own_patterns_match(read: list[str], publish: list[str], name: str) -> None:
    rights = Rights(read, publish)
    reads = any(matches(each, name) for each in read)
    publishes = any(matches(each, name) for each in publish)
    assert rights.may_read(name) == reads
    assert rights.may_publish(name) == publishes
    assert rights.may_see(name) == (reads or publishes)


def test_a_right_to_publish_lets_nobody_follow_a_pattern() -> None:
    rights = Rights(["a/*"], ["**"])
    assert rights.may_follow("a/*")
    assert not rights.may_follow("a/**")
    assert rights.sees_all
    assert not rights.reads_all


def test_equal_rights_are_equal() -> None:
    assert Rights(["a"], ["b"]) == Rights(["a", "a"], ["b"])
    assert len({Rights(["a"]), Rights(["a"]), Rights([], ["a"])}) == 2
    assert Rights(["a"]) != ["a"]


def test_joined_rights_are_those_of_both() -> None:
    rights = Rights(["a"], []).joined(Rights(["b"], ["c"]))
    assert [rights.may_read(each) for each in "abc"] == [True, True, False]
    assert rights.may_publish("c")


@each_of("value", ["**", {"read": 1}, [1], ["a//b"], ["**/a"], ["a*"], ["$x"], ["a"] * (MAX_PATTERNS + 1), None])
def test_what_is_no_list_of_patterns_is_refused(value: Any) -> None:
    with pytest.raises(BadTopic):
        parse_patterns(value)
