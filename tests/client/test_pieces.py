"""Arrays and objects are taken apart without a letter of them changed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.client.pieces import elements, members
from tests.cases import each_of

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
)
INDENTS = st.sampled_from([None, 0, 3])
SPACED = st.sampled_from(["", " ", "\n\t"])


@given(st.lists(VALUES), INDENTS, SPACED, st.booleans())
def test_the_elements_of_any_array(value: list[object], indent: int | None, space: str, escapes: bool) -> None:
    text = space + json.dumps(value, indent=indent, ensure_ascii=escapes) + space
    assert [json.loads(each) for each in elements(text)] == value


@given(st.dictionaries(st.text(), VALUES), INDENTS, SPACED, st.booleans())
def test_the_members_of_any_object(value: dict[str, object], indent: int | None, space: str, escapes: bool) -> None:
    text = space + json.dumps(value, indent=indent, ensure_ascii=escapes) + space
    assert {name: json.loads(each) for name, each in members(text).items()} == value


def test_each_is_as_it_was_written() -> None:
    assert elements('[ 1.50 ,{"a":1,"a":2}, "\\ud800" , 1e400]') == ["1.50", '{"a":1,"a":2}', '"\\ud800"', "1e400"]
    assert members('{"a": 1.50 , "b":"]}\\"," }') == {"a": "1.50", "b": '"]}\\","'}
    assert members('{"a":1,"\\u0061":2}') == {"a": "2"}


def test_no_depth_is_too_deep_and_no_number_too_long() -> None:
    deep = "[" * 100_000 + "]" * 100_000
    digits = "9" * 1_000_000
    assert elements(f"[{deep},{digits}]") == [deep, digits]


@each_of("text", ["", "1", "[", "[1", "[1]]", "[1][2]", "[[1]", "{}"])
def test_what_is_no_array_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="it "):
        elements(text)


@each_of("text", ["", "1", "{", '{"a":1', "[1]", '{"a":1}}', "{1}", "{a:1}", '{"a"}'])
def test_what_is_no_object_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"it |begins with"):
        members(text)
