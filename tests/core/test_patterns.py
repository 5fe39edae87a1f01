"""Patterns over topics' names: both trees against the plain rule, and the rule against a regular expression."""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.core.patterns import (
    MAX_SHAPES,
    MAX_STEPS,
    Shapes,
    Tree,
    Walk,
    check_pattern,
    covers,
    intersect,
    is_pattern,
    matches,
)
from slosh.errors import BadTopic, TooManyPatterns
from tests.cases import each_of
from tests.properties import PROPERTY

NAMES = st.lists(st.sampled_from(["a", "b", "cpu"]), min_size=1, max_size=4).map("/".join)
PATTERNS = st.tuples(
    st.lists(st.sampled_from(["a", "b", "*"]), max_size=3), st.sampled_from([["*"], ["**"], ["cpu"]])
).map(lambda parts: "/".join(parts[0] + parts[1]))


@each_of(
    ("pattern", "name", "is_in"),
    [
        ("*", "a", True),
        ("*", "a/b", False),
        ("**", "a", True),
        ("**", "a/b/c", True),
        ("a/*", "a/b", True),
        ("a/*", "a", False),
        ("a/*", "a/b/c", False),
        ("a/**", "a", False),
        ("a/**", "a/b/c", True),
        ("*/b", "a/b", True),
        ("*/b", "b", False),
        ("a/b", "a/b", True),
    ],
)
def test_the_rule_by_example(pattern: str, name: str, is_in: bool) -> None:
    assert matches(pattern, name) == is_in


@PROPERTY
@given(PATTERNS, NAMES)
def test_the_rule_as_a_regular_expression(pattern: str, name: str) -> None:
    expression = re.escape(pattern).replace(r"\*\*", ".+").replace(r"\*", "[^/]+")
    assert matches(pattern, name) == (re.fullmatch(expression, name) is not None)


@PROPERTY
@given(st.lists(st.tuples(PATTERNS, st.integers(0, 3)), max_size=12), st.data(), NAMES)
def test_the_patterns_that_take_in_a_name_are_found(entries: Any, data: Any, name: str) -> None:
    """In any order of adding and removing, beside a plain list."""
    tree: Tree[tuple[str, int]] = Tree()
    for entry in entries:
        tree.add(entry[0], entry)
    gone = data.draw(st.sets(st.sampled_from(entries))) if entries else set()
    for entry in gone:
        tree.remove(entry[0], entry)
    left = set(entries) - gone
    found = list(tree.patterns_for(name))
    assert len(found) == len(set(found))
    assert set(found) == {entry for entry in left if matches(entry[0], name)}
    assert bool(tree) == bool(left)


@PROPERTY
@given(st.sets(NAMES, max_size=12), st.data(), PATTERNS)
def test_the_names_that_a_pattern_takes_in_are_found(names: set[str], data: Any, pattern: str) -> None:
    tree: Tree[str] = Tree()
    for name in names:
        tree.add(name, name)
    gone = data.draw(st.sets(st.sampled_from(sorted(names)))) if names else set()
    for name in gone:
        tree.remove(name, name)
    found = list(tree.names_for(pattern, Walk()))
    assert len(found) == len(set(found))
    assert set(found) == {name for name in names - gone if matches(pattern, name)}


def test_removing_what_is_not_there_does_nothing() -> None:
    tree: Tree[int] = Tree()
    tree.add("a/b", 1)
    tree.remove("a/b/c", 1)
    tree.remove("x", 1)
    tree.remove("a/b", 2)
    assert list(tree.patterns_for("a/b")) == [1]


def test_an_emptied_tree_holds_nothing() -> None:
    tree: Tree[int] = Tree()
    for number in range(1000):
        tree.add(f"a/{number}/c", number)
    for number in range(1000):
        tree.remove(f"a/{number}/c", number)
    assert not tree
    assert not tree._branches


@each_of("pattern", ["*", "**", "a/*", "a/**", "*/b/**", "a/*/c"])
def test_a_pattern_within_the_rules_is_given_back(pattern: str) -> None:
    assert is_pattern(pattern)
    assert check_pattern(pattern) == pattern


@each_of("pattern", ["a*", "*a", "**/a", "a/**/b", "***", "a//*", "../*", "a,*", "$x/*", "a\n/*", "*/" * 200])
def test_a_pattern_that_breaks_a_rule_is_refused(pattern: str) -> None:
    with pytest.raises(BadTopic):
        check_pattern(pattern)


def test_a_name_is_no_pattern() -> None:
    assert not is_pattern("a/b.c")


@pytest.mark.parametrize("pattern", ["*/*/0", "**", "*/x/**", "*/*/*/*"])
def test_a_walk_over_very_many_names_ends_with_an_error_that_names_the_bound(pattern: str) -> None:
    """However few of them match."""
    tree: Tree[str] = Tree()
    for number in range(MAX_STEPS):
        tree.add(f"{number}/x/y", str(number))
    walk = Walk()
    with pytest.raises(BadTopic, match=str(MAX_STEPS)):
        list(tree.names_for(pattern, walk))
    assert walk.left == -1


def test_a_walk_looks_at_no_more_than_the_pattern_needs() -> None:
    tree: Tree[str] = Tree()
    for number in range(1000):
        tree.add(f"a/{number}/x", str(number))
    walk = Walk()
    assert list(tree.names_for("a/7/*", walk)) == ["7"]
    assert MAX_STEPS - walk.left <= 4
    first = next(tree.names_for("**", walk))
    assert first == "0"
    assert MAX_STEPS - walk.left <= 10


@PROPERTY
@given(PATTERNS, PATTERNS, st.lists(NAMES, max_size=8))
def test_a_pattern_that_covers_another_takes_in_all_that_the_other_does(wide: str, narrow: str, names: Any) -> None:
    if covers(wide, narrow):
        assert all(matches(wide, name) for name in names if matches(narrow, name))
    else:
        # A name that the other takes in and this one does not: its stars filled with what nobody else is called.
        fillings = (
            narrow.replace("**", rest).replace("*", "other") for rest in ("other", "other/other", "o/t/h/e/r/s")
        )
        assert not all(matches(wide, name) for name in fillings)


@each_of(
    ("one", "other", "both"),
    [
        ("a/*", "a/b", "a/b"),
        ("a/*", "*/b", "a/b"),
        ("**", "a/*", "a/*"),
        ("a/**", "*/b/**", "a/b/**"),
        ("a/**", "a/**", "a/**"),
        ("a/**", "*/*", "a/*"),
        ("a/**", "a", None),
        ("a/*", "a/b/c", None),
        ("a/*", "b/*", None),
        ("a/**", "b", None),
        ("a", "a", "a"),
    ],
)
def test_what_two_patterns_both_take_in(one: str, other: str, both: str | None) -> None:
    assert intersect(one, other) == both
    assert intersect(other, one) == both


def test_each_path_of_a_tree_is_told_once() -> None:
    tree: Tree[int] = Tree()
    for path, value in (("a/*", 1), ("a/*", 2), ("a", 3), ("a/b/**", 4), ("gone/*", 5)):
        tree.add(path, value)
    tree.remove("gone/*", 5)
    assert sorted(tree.paths()) == ["a", "a/*", "a/b/**"]


SHAPES = st.lists(
    st.builds(
        lambda stars, rest: "/".join(["*" if star else "a" for star in stars] + ["**"] * rest),
        st.lists(st.booleans(), min_size=1, max_size=16),
        st.booleans(),
    ),
    max_size=40,
)


@PROPERTY
@given(SHAPES, st.data())
def test_the_shapes_that_are_counted_are_those_of_the_patterns_that_are_left(patterns: list[str], data: Any) -> None:
    shapes = Shapes()
    for pattern in patterns:
        shapes.add(pattern)
    left = list(patterns)
    for pattern in data.draw(st.permutations(patterns))[: len(patterns) // 2]:
        shapes.remove(pattern)
        left.remove(pattern)
    counted = Counter(
        "/".join(segments[:length]).replace("a", "x").replace("/", "")
        for segments in ([each for each in pattern.split("/") if each != "**"] for pattern in left)
        for length in range(9, len(segments) + 1)
        if segments[:length].count("*") > 4
    )
    assert shapes._counts == dict(counted)


def test_no_name_takes_a_long_walk_whatever_patterns_there_are() -> None:
    """One of each shape there is, as many as are let in."""
    tree: Tree[str] = Tree()
    shapes = Shapes()
    refused = 0
    for number in range(1 << 15):
        pattern = "/".join("*" if number >> bit & 1 else "a" for bit in range(15)) + "/a"
        try:
            shapes.add(pattern)
        except TooManyPatterns:
            refused += 1
        else:
            tree.add(pattern, pattern)
    assert 0 < refused < 1 << 15
    walk = Walk()
    assert list(tree.patterns_for("a/" * 15 + "z", walk)) == []
    assert MAX_SHAPES < walk.taken <= 511 + 9020 + MAX_SHAPES


def test_a_pattern_that_is_refused_takes_nothing_of_the_room_for_others() -> None:
    shapes = Shapes()
    added = fill_shapes(shapes.add)
    with pytest.raises(TooManyPatterns, match=str(MAX_SHAPES)):
        shapes.add("*/a/" * 7 + "*/b")
    shapes.add(added[0])
    for each in (added[0], *added):
        shapes.remove(each)
    assert not shapes._counts


def test_shapes_of_other_nodes_count_until_they_are_read_no_more() -> None:
    """Each node walks through the patterns of all, so all together may have as many as one."""
    shapes = Shapes()
    added = fill_shapes(Shapes().add)
    shapes.add(added[0])
    shapes.note_elsewhere(added)
    shapes.add(added[1])
    with pytest.raises(TooManyPatterns):
        shapes.add("*/a/" * 7 + "*/b")
    shapes.note_elsewhere(added[2:4])
    shapes.add("*/a/" * 7 + "*/b")


def test_whatever_others_read_patterns_of_eight_segments_and_of_four_stars_are_taken() -> None:
    shapes = Shapes()
    fill_shapes(shapes.add)
    shapes.add("*/" * 7 + "*")
    shapes.add("org/*/a/b/c/*/d/e/*/f/g/h/i/*/j/k")
    shapes.add("org/*/a/b/c/*/d/e/*/f/g/h/i/*/j/**")


def fill_shapes(add: Callable[[str], object]) -> list[str]:
    """Call `add` with patterns until there is no room for another shape; gives them."""
    added: list[str] = []
    for number in range(1 << 11):
        added.append("/".join("*" if number >> bit & 1 else "a" for bit in range(11)) + "/**")
        try:
            add(added[-1])
        except TooManyPatterns:
            return added[:-1]
    raise AssertionError("no bound")
