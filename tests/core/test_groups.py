"""Trees of series by the names that lead to them, and the values in messages."""

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slosh.core.buckets import Series
from slosh.core.budget import Budget
from slosh.core.groups import Group, Node, find_value, find_ways, read_value
from tests.cases import each_of


def test_the_series_of_a_group_come_with_the_names_that_lead_to_them_in_the_order_of_the_members() -> None:
    group, budget = Group("", 0), Budget(1 << 30)
    root = group.trees[None] = Node("", {})
    for names in (["cpu", "load"], ["cpu", "temp"], ["disk"]):
        node = root
        for name in names:
            node = node.members.setdefault(name, Node(f"{node.path}.{name}".strip("."), root.by_path))
        node.series = Series(node.path, None, 60.0, budget)
    assert [names for names, _ in group.named_series()] == [["cpu", "load"], ["cpu", "temp"], ["disk"]]
    assert [series.path for series in group.series()] == ["cpu.load", "cpu.temp", "disk"]


@each_of(
    ("message", "value"),
    [
        (b'{"t":21.5}', {"t": 21.5}),
        (b'"\\ud800"', "\ud800"),
        (b"1e400", float("inf")),
        (b"[-1e400, -" + b"1" * 5000 + b"]", [-math.inf, -math.inf]),
        (b"[" * 5000 + b"]" * 5000, None),
        (b"{", None),
    ],
)
def test_a_message_has_a_value_wherever_python_has_one(message: bytes, value: object) -> None:
    assert read_value(message) == value


@pytest.mark.parametrize("beside", [b"1e999", b'"\\ud83d"', b"-" + b"1" * 5000])
@given(number=st.integers() | st.floats(allow_nan=False, allow_infinity=False))
@example(7)
@example(7.0)
@example(12345678901234567890)
@example(10**4000)
def test_a_number_is_the_same_value_whatever_stands_beside_it(beside: bytes, number: float) -> None:
    """So `by` has one series for it."""
    alone = b'{"rack":%b}' % json.dumps(number).encode()
    both = alone[:-1] + b',"s":%b}' % beside
    expected = find_value(read_value(alone), find_ways("rack"))
    assert expected is not None
    assert find_value(read_value(both), find_ways("rack")) == expected


@each_of(
    ("value", "path", "found"),
    [
        ({"host": "web1"}, "host", "web1"),
        ({"a": {"b": 3}}, "a.b", "3"),
        ({"a.b": {"c": True}}, "a.b.c", "true"),
        ({"a": {"b": 1}, "a.b": 2}, "a.b", "2"),
        ({"a": {"b": [1]}}, "a.b", None),
        ({"a": 1}, "a.b", None),
        (None, "a", None),
    ],
)
def test_a_value_is_found_by_the_longest_name_that_is_there(value: Any, path: str, found: str | None) -> None:
    assert find_value(json.loads(json.dumps(value)), find_ways(path)) == found
