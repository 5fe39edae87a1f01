"""The history of a topic, against a slow version that keeps every message."""

import json
from collections.abc import Iterator
from fractions import Fraction
from functools import reduce
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from slosh.core.budget import Budget
from slosh.core.rollups import LARGEST, Rollups
from slosh.core.window import Window, known_since, work_out_columns
from tests.properties import PROPERTY

ENDLESS = 1 << 60
NUMBERS = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
OBJECTS: Any = st.recursive(
    NUMBERS | st.sampled_from([True, None, "7", [1, 2], {}]),
    lambda inner: st.dictionaries(st.sampled_from(["a", "b", "cpu", "a.b", ""]), inner, max_size=3),
    max_leaves=6,
)
MESSAGES = st.builds(
    lambda value, host: json.dumps(value | {"host": host} if isinstance(value, dict) and host is not None else value),
    OBJECTS,
    st.sampled_from(["web1", "web2", 3, None]),
).map(str.encode)
STEPS = st.lists(
    st.tuples(
        st.lists(MESSAGES, max_size=3),
        st.sampled_from([0, 1, 40, 999, 1000, 1001, 59_000, 600_000, 3_700_000, -5000, 86_400_000]),
    ),
    max_size=7,
)
"""What comes together, and how far the clock that people set goes on after it, milliseconds."""


def walk(value: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """All numbers in a message, with their paths."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from walk(member, f"{path}.{name}" if path else name)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, float(value)


class Slow:
    """Keeps every message."""

    def __init__(self) -> None:
        self.messages: list[tuple[int, Any]] = []

    def columns(self, window: Window, by: str) -> dict[tuple[str, str | None], list[list[float]]]:
        """Of each series the numbers in each step."""
        found: dict[tuple[str, str | None], list[list[float]]] = {}
        for wall, value in self.messages:
            key = None
            if by:
                key = value.get(by) if isinstance(value, dict) else None
                if not isinstance(key, str | int | float):
                    continue
                key = key if isinstance(key, str) else json.dumps(key)
            for path, number in walk(value):
                steps = found.setdefault((path, key), [[] for _ in range(window.points)])
                if window.start <= wall < window.end:
                    steps[(wall - window.start) // window.step].append(number)
        return found


def read(rollups: Rollups, by: str, window: Window) -> dict[tuple[str, str | None], dict[str, Any]]:
    group = rollups.group(by)
    assert group is not None
    found = list(group.series())
    assert len({(series.path, series.value) for series in found}) == len(found), "each path has one series"
    return {(series.path, series.value): work_out_columns(series, window)[1] for series in found}


def assert_same(slow: Slow, rollups: Rollups, by: str, window: Window) -> None:
    expected = slow.columns(window, by)
    found = read(rollups, by, window)
    assert set(found) == set(expected)
    for series, steps in expected.items():
        told = found[series]
        assert told["count"] == [len(step) for step in steps]
        assert told["min"] == [min(step) if step else None for step in steps]
        assert told["max"] == [max(step) if step else None for step in steps]
        for mean, step in zip(told["mean"], steps, strict=True):
            if not step:
                assert mean is None
            else:
                exact = float(sum(map(Fraction, step)) / len(step))  # A sum of floats may overflow.
                # The least floats of all cannot be divided: 5e-324 / 2 is 0.
                assert mean == pytest.approx(exact, rel=1e-9, abs=max(1e-300, 1e-9 * max(map(abs, step))))


@settings(PROPERTY, max_examples=80)
@given(STEPS, st.sampled_from([("", 60.0), ("host", 60.0), ("", 4000.0), ("", 86_400.0)]), st.data())
def test_every_number_is_in_its_step_whatever_the_schedule(steps: Any, kind: Any, data: Any) -> None:
    """Over any schedule, borders of buckets, and steps of the clock; times of arrival never go back, as in a topic."""
    by, span = kind
    rollups, slow, now, wall, offset = Rollups(86_400.0, ENDLESS, Budget(ENDLESS), 0), Slow(), 1_795_899_600_000, 0, 0
    rollups.begin(by, [], 0)
    for messages, step in steps:
        wall = max(wall, now)
        offset += len(messages)
        rollups.add(messages, wall, offset)
        slow.messages += [(wall, json.loads(message)) for message in messages]
        if data.draw(st.booleans()):
            while rollups.work(1) >= 1:
                pass
            assert (rollups.rolled, rollups.waiting) == (offset, 0)
            points = data.draw(st.sampled_from([1, 7, 40]))
            assert_same(slow, rollups, by, Window(span, points, max(now, wall)))
        now += step
    assert rollups.work(ENDLESS) < ENDLESS
    assert_same(slow, rollups, by, Window(span, 40, max(now, wall)))
    budget = rollups._budget
    rollups.release()
    assert budget.held == 0


@settings(PROPERTY, max_examples=80)
@given(STEPS, st.integers(0, 7))
@example([([b'{"b":1.7976931348623157e+308,"host":"web1"}'] * 3, 0)], 0)
def test_a_field_that_is_asked_for_later_has_all_that_came_as_if_it_had_been_asked_for_first(
    steps: Any, at: int
) -> None:
    rollups, now, offset, slow = Rollups(86_400.0, ENDLESS, Budget(ENDLESS), 0), 1_795_899_600_000, 0, Slow()
    rollups.begin("", [], 0)
    for number, (messages, step) in enumerate([*steps, ([], 0)]):
        if number == min(at, len(steps)):
            rollups.work(700)  # a part of what waits
            kept = list(slow_with_bytes(slow))[: rollups.rolled]
            rollups.begin("host", [message for _, _, message in kept], 0, [wall for wall, _, _ in kept])
        offset += len(messages)
        rollups.add(messages, now, offset)
        slow.messages += [(now, json.loads(message)) for message in messages]
        now += abs(step)
    rollups.work(ENDLESS)
    for by in ("host", ""):
        assert_same(slow, rollups, by, Window(86_400.0, 40, now))


def slow_with_bytes(slow: Slow) -> Iterator[tuple[int, Any, bytes]]:
    for wall, value in slow.messages:
        yield wall, value, json.dumps(value).encode()


def make(*messages: str, most: int = 64, by: str = "", budget: Budget | None = None) -> Rollups:
    rollups = Rollups(60.0, most, budget or Budget(ENDLESS), 0)
    rollups.begin(by, [], 0)
    rollups.add([message.encode() for message in messages], 1_795_899_600_000, len(messages))
    rollups.work(ENDLESS)
    return rollups


def paths(rollups: Rollups, by: str = "") -> list[tuple[str, str | None]]:
    group = rollups.group(by)
    assert group is not None
    return [(series.path, series.value) for series in group.series()]


def test_series_that_are_gone_are_not_made_longer() -> None:
    """They would take memory that nothing gives back."""
    budget = Budget(ENDLESS)
    rollups = make('{"a":1,"b":2,"c":"x"}', budget=budget)
    assert rollups.resize(86_400.0, 64)
    for by in ("c", "d", "e", "f"):
        rollups.begin(by, [], 0)
    assert rollups.group("") is None
    rollups.work(ENDLESS)
    assert budget.held == 0
    rollups.add([b'{"a":1,"c":"x"}'], 1_795_899_600_000, 2)
    rollups.work(ENDLESS)
    assert budget.held > 0
    assert rollups.resize(60.0, 64)
    rollups.release()
    rollups.work(ENDLESS)
    assert budget.held == 0


def test_what_is_a_number_and_what_is_none() -> None:
    rollups = make('{"a":1,"b":{"c":2.5,"d":{"e":-1e3}},"t":true,"n":null,"s":"1","l":[1,{"x":1}],"big":1e999}', "7")
    assert paths(rollups) == [("", None), ("a", None), ("b.c", None), ("b.d.e", None)]


@pytest.mark.parametrize(
    "message",
    ['{"x":"\\ud83d","a":1}', '{"x":%s,"a":1}' % ("9" * 5000), '{"a":7,"a":1}', '{"x":1e400,"a":1}'],
)
def test_every_message_that_may_be_posted_is_read(message: str) -> None:
    rollups = make(message)
    window = Window(60.0, 60, 1_795_899_600_000)
    assert read(rollups, "", window)["a", None]["min"][-1] == 1.0


def test_members_with_one_path_are_one_series_however_it_is_divided_into_names() -> None:
    rollups = make('{"a.b":1}', '{"a":{"b":2}}', '{"":{"a.b":3}}', '{"":{"":4}}', "5", '{"a":{"b":6},"a.b":7}', most=2)
    found = read(rollups, "", Window(60.0, 1, 1_795_899_600_000))
    assert {path: (told["count"], told["max"]) for (path, _), told in found.items()} == {
        "a.b": ([5], [7.0]),
        "": ([2], [5.0]),
    }
    assert rollups.unlisted == 0


def test_members_with_one_path_take_the_memory_of_one() -> None:
    names = ["a"] * 12
    ways = [[*names[:cut], ".".join(names[cut:])] for cut in range(11)]
    messages = [json.dumps(reduce(lambda value, name: {name: value}, reversed(way), 1)) for way in ways]  # type: ignore[arg-type, return-value]
    rollups = make(*messages)
    group = rollups.group("")
    assert group is not None
    nodes, waiting = 0, list(group.trees.values())
    while waiting:
        nodes += 1
        waiting.extend(waiting.pop().members.values())
    assert (nodes, len(paths(rollups))) == (2, 1)


@pytest.mark.parametrize("message", ['{"host.name":"web1","a":1}', '{"host":{"name":"web1"},"host.name.x":3,"a":1}'])
def test_the_field_that_tells_series_apart_may_have_a_dot_in_its_name(message: str) -> None:
    assert ("a", "web1") in paths(make(message, by="host.name"), "host.name")


def test_what_is_beyond_the_series_that_may_be_is_counted() -> None:
    rollups = make(*(json.dumps({f"p{number}": number, "deep": {"x": 1}}) for number in range(10)), most=4)
    assert len(paths(rollups)) == 4
    assert rollups.unlisted == 7
    assert make(json.dumps({"x" * 300: 1, "a": 1})).unlisted == 1
    assert make('{"%s":1,"a":1}' % ("€" * 100)).unlisted == 1, "bytes count"
    assert make('{"host":"%s","a":1}' % ("x" * 300), by="host").unlisted == 1


@settings(PROPERTY, max_examples=80)
@given(st.lists(MESSAGES, max_size=6), st.integers(1, 5))
def test_each_number_is_in_a_series_or_counted_as_unlisted(messages: list[bytes], most: int) -> None:
    rollups = make(*map(bytes.decode, messages), most=most)
    expected = [number for message in messages for number in walk(json.loads(message))]
    listed = list(dict.fromkeys(path for path, _ in expected))[:most]
    found = read(rollups, "", Window(60.0, 1, 1_795_899_600_000))
    assert {path: told["count"] for (path, _), told in found.items()} == {
        path: [sum(each == path for each, _ in expected)] for path in listed
    }
    assert rollups.unlisted == sum(path not in listed for path, _ in expected)


def test_values_tell_series_apart_and_messages_without_the_field_are_in_none() -> None:
    rollups = make('{"host":"web1","a":1}', '{"host":"web2","a":2}', '{"host":3,"a":1}', '{"a":9}', "4", by="host")
    assert paths(rollups, "host") == [("a", "web1"), ("a", "web2"), ("host", "3"), ("a", "3")]


def test_a_message_that_is_too_large_is_missed_and_told_so() -> None:
    rollups = make('{"x":"%s","a":1}' % ("y" * LARGEST), '{"a":2}')
    assert (rollups.missed, rollups.rolled, paths(rollups)) == (1, 2, [("a", None)])


def test_without_memory_there_is_no_new_series_and_a_full_one_forgets_its_oldest_buckets() -> None:
    budget = Budget(3072 + 64 * 45)
    rollups = make('{"a":1}', '{"b":1}', budget=budget)
    assert (paths(rollups), rollups.unlisted) == ([("a", None)], 1)
    for number in range(100):
        rollups.add([b'{"a":%d}' % number], 1_795_899_600_000 + number * 1000, number + 3)
    rollups.work(ENDLESS)
    assert budget.held == budget.most
    (series,) = rollups.group("").series()  # type: ignore[union-attr]
    window = Window(60.0, 60, 1_795_899_699_000)
    assert work_out_columns(series, window)[1]["min"] == [float(number) for number in range(40, 100)]
    assert known_since(series, window) == 1_795_899_600_000 + 36_000


def test_of_the_fields_that_were_asked_for_those_of_late_are_kept() -> None:
    rollups = make('{"a":1,"b":2,"c":3,"d":4}')
    for by in ("a", "b", "c"):
        rollups.begin(by, [], 0)
    assert rollups.group("") is not None
    rollups.begin("d", [], 0)
    assert rollups.group("a") is None
    assert all(rollups.group(by) is not None for by in ("", "b", "c", "d"))


def test_what_still_waits_of_a_field_that_is_not_kept_is_not_looked_into() -> None:
    rollups = make('{"a":1}')
    for by in ("a", "b", "c"):
        rollups.begin(by, [b'{"a":1,"x":1}'] * 3, 0, [1_795_899_600_000] * 3)
    for by in ("d", "e", "f"):  # for which a and b give way
        rollups.begin(by, [], 0)
    alone = make('{"a":1}')
    alone.begin("c", [b'{"a":1,"x":1}'] * 3, 0, [1_795_899_600_000] * 3)
    assert rollups.work(ENDLESS) == alone.work(ENDLESS)
    assert rollups.waiting == 0


def test_what_the_ring_holds_is_looked_into_in_its_order() -> None:
    rollups = Rollups(3600.0, 64, Budget(1 << 40), 3)
    rollups.begin("", [b"1", b"2", b"3"], 0, [1_000, 2_000, 3_000])
    rollups.work(ENDLESS)
    (series,) = rollups.group("").series()  # type: ignore[union-attr]
    series.close()
    assert list(series.levels[0].since(0).numbers) == [1, 2, 3]


def test_how_far_it_has_come_is_told_to_the_message() -> None:
    """A reader goes on behind it."""
    rollups = Rollups(3600.0, 64, Budget(1 << 40), 0)
    rollups.begin("", [], 0)
    rollups.add([b"1", b"2", b"3"], 1_000, 3)
    told = []
    while rollups.rolled < 3:
        rollups.work(1)
        told.append(rollups.rolled)
    assert told == [1, 2, 3]


def test_messages_that_were_not_looked_into_are_counted_and_passed_over() -> None:
    rollups = make('{"a":1}')
    rollups.miss(5, 6)
    rollups.add([b'{"a":2}'], 1_795_899_600_000, 7)
    rollups.work(ENDLESS)
    assert (rollups.missed, rollups.rolled) == (5, 7)
