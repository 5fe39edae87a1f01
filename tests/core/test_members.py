"""What publish accepts, every filter reads: a member of a message, whatever else the message holds."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.core.members import Finder, raw_member
from slosh.web.jsontext import check_json
from tests.cases import each_of
from tests.core.members import find_member
from tests.properties import PROPERTY
from tests.timing import assert_quick

HALVES = [b"\\ud83d", b"\\uD83D", b"\\udc00", b"\\uDC00x", b"\\\\\\ud83d", b"\\ud83d\\ud83d\\ude00"]
"""Halves of characters, alone or beside a whole one (RFC 8259 §8.2)."""


@each_of("half", HALVES)
@each_of(
    "around",
    [
        b'{"host":"a","x":"%b"}',
        b'{"x":"%b","host":"a"}',
        b'{"%b":1,"host":"a"}',
        b'{"x":[{"y":"%b"}], "\\u0068ost" : "\\u0061" }',
        b'{"host":"%b","host":"a"}',
    ],
)
def test_half_a_character_elsewhere_changes_nothing(half: bytes, around: bytes) -> None:
    message = around % half
    assert check_json(message, 512) == message
    assert find_member(message, ("host",)) == "a"
    assert find_member(message, ("nobody",)) is None


@each_of("half", HALVES)
def test_half_a_character_in_the_value_itself_is_text_like_any_other(half: bytes) -> None:
    assert find_member(b'{"host":"%b"}' % half, ("host",)) == json.loads(b'"%b"' % half)
    assert find_member(b'{"r":{"host":"%b"}}' % half, ("r", "host")) == json.loads(b'"%b"' % half)


def test_the_same_half_is_the_same_value_and_another_is_another() -> None:
    small, large, other, whole = (
        find_member(b'{"k":"%b"}' % text, ("k",)) for text in (b"\\ud83d", b"\\uD83D", b"\\udc00", b"\\ud83d\\ude00")
    )
    assert small == large != other
    assert whole == "\N{GRINNING FACE}"


@each_of("value", [b"1", b"1.0", b"-0", b"1E400", b"9" * 50_000, b"null", b"true", b"[1, 2]", b'{"a" :1}'])
def test_what_is_no_string_is_compared_by_its_letters(value: bytes) -> None:
    """Also beside half a character, which another parser has to read."""
    assert find_member(b'{"k": %b }' % value, ("k",)) == value
    assert find_member(b'{"x":"\\ud800","k": %b }' % value, ("k",)) == value


@each_of("name", ['a"b', "a\\b", "\x01", "", "é", "a" * 200, "\N{GRINNING FACE}", "a b"])
def test_a_name_may_be_any_text(name: str) -> None:
    message = json.dumps({"x": 1, name: "v"}).encode()
    assert find_member(message, (name,)) == "v"
    assert find_member(message[:-1] + b',"y":"\\ud800"}', (name,)) == "v"


@each_of("text", [b"1", b"null", b'"k"', b"[]", b"{}", b'{"K":1}', b'["\\ud800"]', b'{"k":{"x":"\\ud800"}}'])
def test_without_the_member_there_is_none(text: bytes) -> None:
    assert find_member(text, ("k", "y")) is None


@pytest.mark.parametrize("depth", [1, 100, 500])
def test_deep_messages_are_read(depth: int) -> None:
    deep = b"[" * depth + b'"\\ud800"' + b"]" * depth
    assert find_member(b'{"x":%b,"k":1}' % deep, ("k",)) == b"1"
    assert find_member(b'{"k":%b}' % deep, ("k",)) == deep


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(), max_size=4),
    lambda inside: (
        st.lists(inside, max_size=2) | st.dictionaries(st.sampled_from(["k", "x", "k\ud800"]), inside, max_size=3)
    ),
    max_leaves=6,
)


@PROPERTY
@given(VALUES, VALUES, st.sampled_from([("k",), ("k", "k"), ("x", "k")]))
def test_two_values_are_equal_exactly_when_the_standard_library_says_so(
    one: Any, other: Any, path: tuple[str, ...]
) -> None:
    def obvious(value: Any) -> object:
        for name in path:
            if not isinstance(value, dict) or name not in value:
                return None
            value = value[name]
        return json.dumps(value)

    found = [find_member(json.dumps(value).encode(), path) for value in (one, other)]
    assert [value is None for value in found] == [obvious(value) is None for value in (one, other)]
    assert (found[0] == found[1]) == (obvious(one) == obvious(other))


@each_of(
    ("message", "letters"),
    [
        (b'{"k":1}', b"1"),
        (b'{ "x" : [1], "k" :  {"z":1.0, "a":1e999}  , "y":2}', b'{"z":1.0, "a":1e999}'),
        (b'{"k":"\\ud83d","x":1}', b'"\\ud83d"'),
        (b'{"k":1,"k":2}', b"2"),
        (b'{"K":1}', b""),
        (b'{"x":"\\ud83d"}', b""),
        (b"[1]", b""),
        (b'"k"', b""),
        (b'"\\ud800"', b""),
        (b'["\\ud800"]', b""),
    ],
)
def test_a_member_is_given_as_it_is_written(message: bytes, letters: bytes) -> None:
    assert raw_member(message, "k") == letters


def test_what_looking_costs_is_counted_and_more_where_it_takes_longer() -> None:
    quick, slow = Finder(("k",)), Finder(("k",))
    quick.find(b'{"k":1,"x":"%b"}' % (b"y" * 1000))
    slow.find(b'{"k":1,"x":"%b\\ud800"}' % (b"y" * 1000))
    assert 1000 < quick.spent < 1500
    assert 3000 < slow.spent < 6000


MIB = 1 << 20
HARD = {
    "empty arrays": b'["\\ud83d"' + b",[]" * (MIB // 3) + b"]",
    "numbers": b'["\\ud83d"' + b",1" * (MIB // 2) + b"]",
    "one half after the other": b'"' + b"\\ud83d" * (MIB // 6) + b'"',
    "whole characters in escapes": b'"\\ud83d' + b"\\ud83d\\ude00" * (MIB // 12) + b'"',
    "backslashes": b'"\\udc00' + b"\\\\" * (MIB // 2) + b'"',
}


@pytest.mark.parametrize("kind", HARD)
def test_half_a_character_in_a_large_message_takes_no_long_look(kind: str) -> None:
    """Nothing is made of the message: 350,000 empty arrays would take a tenth of a second and 30 MB."""
    value = HARD[kind]
    message = b'{"k":%b,"x":1}' % value
    assert find_member(message, ("x",)) == b"1"
    tracemalloc.start()
    try:
        assert raw_member(message, "k") == value
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    finally:
        tracemalloc.stop()
    assert_quick(lambda: raw_member(message, "k"), 0.08)  # some 5 ms, 20 where one half stands after the other


def test_a_whole_character_in_escapes_is_the_same_name_and_value_beside_half_a_one() -> None:
    message = b'{"\\ud83d\\ude00":"\\uD83D\\uDE00","x":"\\ude00\\ud83d"}'
    assert find_member(message, ("\N{GRINNING FACE}",)) == "\N{GRINNING FACE}"
    assert raw_member(message, "x") == b'"\\ude00\\ud83d"'


def test_half_a_character_is_no_other_name() -> None:
    message = b'{"\\u0e01":1,"\\uc83d":2,"\\ude01":3,"\\ud83d":4}'
    assert find_member(message, ("\u0e01",)) == b"1"
    assert find_member(message, ("\uc83d",)) == b"2"


TEXTS = st.text(st.sampled_from(["k", "\ud83d", "\ude00", "\\", '"', "u", "d"]), max_size=4)


@PROPERTY
@given(
    st.recursive(
        TEXTS | st.integers() | st.none(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS | st.just("k"), inner, max_size=3),
        max_leaves=8,
    )
)
def test_a_member_beside_halves_of_characters_is_what_json_finds_in_any_value(value: Any) -> None:
    found = raw_member(json.dumps(value).encode(), "k")
    assert found.decode() == (json.dumps(value["k"]) if isinstance(value, dict) and "k" in value else "")


@each_of(
    ("message", "value"),
    [
        (b'{"host.name":"a"}', "a"),
        (b'{"host":{"name":"a"}}', "a"),
        (b'{"host":{"name":"a"},"host.name":"b"}', "a"),
        (b'{"host":{"other":1},"host.name":"b"}', "b"),
        (b'{"host":5,"host.name": 1.50 }', b"1.50"),
        (b'{"x":"\\ud83d","host.name":"\\ud83d"}', "\ud83d"),
        (b'{"host.name":""}', ""),
        (b'{"host.nam":1,"host":"name"}', None),
        (b'["host.name"]', None),
    ],
)
def test_a_member_whose_own_name_has_dots_is_found_where_none_stands_at_the_levels(message: bytes, value: Any) -> None:
    """As the history and the viewer find it: OpenTelemetry and ECS name members so."""
    assert find_member(message, ("host", "name")) == value


def test_levels_and_names_with_dots_may_take_turns() -> None:
    message = b'{"resource.attributes":{"service.name":"a","x":{"y.z":[1]}}}'
    assert find_member(message, ("resource", "attributes", "service", "name")) == "a"
    assert find_member(message, ("resource", "attributes", "x", "y", "z")) == b"[1]"
    assert find_member(message, ("resource", "attributes", "service")) is None


def test_looking_for_names_with_dots_is_counted() -> None:
    plain, dotted = Finder(("host", "name")), Finder(("host", "name"))
    plain.find(b'{"host":{"name":"a"}}')
    dotted.find(b'{"host.name":"abcdefg"}')
    assert dotted.spent > plain.spent


@each_of(
    ("message", "path"),
    [
        (rb'{"host\u002ename":1}', ("host", "name")),
        (rb'{"h\u006fst.name":1}', ("host", "name")),
        (rb'{"h\u00f6st.name":1}', ("höst", "name")),
        ('{"höst.name":1}'.encode(), ("höst", "name")),
        (rb'{"a\/b.c":1}', ("a/b", "c")),
        (rb'{"a\"b.c":1}', ('a"b', "c")),
        (rb'{"a\\b.c":1}', ("a\\b", "c")),
        (rb'{"x":"\ud800","h\u006fst.name":1}', ("host", "name")),
    ],
)
def test_a_name_with_dots_is_found_however_it_is_escaped(message: bytes, path: tuple[str, ...]) -> None:
    assert find_member(message, path) == b"1"


def test_a_message_that_can_have_no_such_name_costs_a_look() -> None:
    """To make something of each member takes 25 times as long, and one message is not divided."""
    members = b",".join(b'"%d":1' % number for number in range(1000))
    without, dotted = Finder(("q", "r")), Finder(("q", "r"))
    assert without.find(b"{%b}" % members) is None
    assert without.spent <= 4 * len(members)
    assert dotted.find(b'{%b,"q.r":2}' % members) == b"2"
    assert dotted.spent >= 12 * len(members)
    one = Finder(("q",))
    assert one.find(rb'{%b,"\u00e4":2}' % members) is None
    assert one.spent <= 4 * len(members), "one name has no dots, whatever is escaped"


def test_each_name_that_a_small_message_has_not_counts() -> None:
    """16 of them took ten times as long as one and counted twice, so a turn was over too late."""
    one, many = Finder(("x",)), Finder(tuple(f"name{number}" for number in range(16)))
    for finder in (one, many):
        assert finder.find(b'{"t":21.5}') is None
    assert many.spent >= 5 * one.spent
