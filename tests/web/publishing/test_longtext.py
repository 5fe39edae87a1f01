"""A long message is checked a portion at a time, and judged as if it had been looked at as a whole."""

import json
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from slosh.errors import BadJson
from slosh.web.jsontext import check_json
from slosh.web.publishing.longtext import LongText
from tests.cases import each_of
from tests.properties import MANY, PROPERTY
from tests.web.test_jsontext import FRAGMENTS, SPACES, VALUES

DEPTH = 12


def judge(text: bytes, portion: int) -> bytes | BadJson:
    """The value, or the mistake."""
    try:
        checking = LongText(text, DEPTH, portion)
        while not checking.go_on():
            pass
    except BadJson as error:
        return error
    return checking.value


def judge_whole(text: bytes) -> bytes | BadJson:
    try:
        return check_json(text, DEPTH)
    except BadJson as error:
        return error


def assert_same(text: bytes, portion: int) -> None:
    found, expected = judge(text, portion), judge_whole(text)
    if isinstance(expected, BadJson):
        assert isinstance(found, BadJson), (text, portion, expected.detail)
        assert 0 <= found.position <= len(text)
    else:
        assert found == expected, (text, portion, getattr(found, "detail", ""))


LISTS = st.lists(VALUES, min_size=2, max_size=6) | st.dictionaries(
    st.text('ab"\\[{,:é', max_size=4), VALUES, min_size=2
)


@settings(PROPERTY, max_examples=MANY)
@given(LISTS, st.booleans(), st.sampled_from([None, 1]), SPACES, st.integers(1, 40))
def test_every_value_is_taken_wherever_it_is_cut(
    value: Any, escape: bool, indent: Any, space: bytes, portion: int
) -> None:
    text = json.dumps(value, ensure_ascii=escape, indent=indent).encode("utf-8", "replace")
    assert judge(space + text + space, portion) == text


@settings(PROPERTY, max_examples=MANY)
@given(
    LISTS,
    st.booleans(),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), FRAGMENTS), min_size=1, max_size=3),
    st.integers(1, 40),
)
def test_a_mutated_text_is_judged_as_the_whole(value: Any, escape: bool, edits: Any, portion: int) -> None:
    text = json.dumps(value, ensure_ascii=escape).encode()
    for where, cut, fragment in edits:
        at = round(where * len(text))
        text = text[:at] + fragment + text[at + cut :]
    assert_same(text, portion)


@settings(PROPERTY, max_examples=MANY)
@given(st.lists(FRAGMENTS, min_size=1, max_size=24).map(b"".join) | st.binary(max_size=40), st.integers(1, 12))
@example(b"[1,]", 3)
@example(b"[,1]", 2)
@example(b'{"a":1,}', 7)
@example(b'{"a",1}', 5)
@example(b'{"a":1,2:3}', 7)
@example(b'{"a":1 "b,":2}', 9)
@example(b"1,2", 2)
@example(b'["\\\\","\\""]', 3)
@example(b'"\\ud83d\\ude00\\n"', 7)
@example(b"[[[[[[[[[[[[[1,2]]]]]]]]]]]]]", 14)
@example(b"[1,2}", 3)
def test_a_heap_of_fragments_is_judged_as_the_whole(text: bytes, portion: int) -> None:
    assert_same(text, portion)


@each_of("portion", [1, 7, 30, 1000])
@each_of(
    "text",
    [
        b"  [1, 2 3, 4]",
        b'{"a": [1, {"b": "x, y"}, tru, 5]}',
        b'["one", "t\\wo", "three"]',
        b'["one", "\xc3\xa9\xc3\xa9\xc3", "three"]',
        b"[1, 2, [3, 4, 5",
        b"[1, 2], 3",
        b"[1, 2, ]",
        b"[" * 13 + b"]" * 13,
        b"   ",
    ],
)
def test_the_place_of_a_mistake_is_told_in_the_whole(text: bytes, portion: int) -> None:
    expected = judge_whole(text)
    found = judge(text, portion)
    assert isinstance(expected, BadJson)
    assert isinstance(found, BadJson)
    assert (found.detail, found.position) == (expected.detail, expected.position)


MIB = 1 << 20
LARGE = {
    "numbers": b"[" + b"1," * (4 * MIB - 2) + b"1]",
    "one string": b'"' + b"x" * (8 * MIB) + b'"',
    "escapes": b'"\\ud83d' + b"\\n" * (4 * MIB) + b'"',
    "characters": b'"' + "é".encode() * (4 * MIB) + b'"',
    "a long name": b'{"' + b"n," * (4 * MIB) + b'":1}',
    "objects": b"[" + b'{"a":1,"b":"x,y"},' * 400_000 + b"1]",
    "arrays in one another": b"[" + (b"[" * 400 + b"]" * 400 + b",") * 10_000 + b"1]",
    "commas in strings": b"[" + b'",",' * 2_000_000 + b"1]",
    "quotes": b'"' + b'\\",' * 2_700_000 + b'"',
    "many levels open": b"[" * 400 + b"1," * 4_000_000 + b"1" + b"]" * 400,
}


@pytest.mark.cpu
@each_of("kind", LARGE)
@each_of("is_sound", [True, False])
def test_no_portion_takes_long(kind: str, is_sound: bool) -> None:
    text = LARGE[kind] if is_sound else LARGE[kind] + b"x"
    least = portions(text, is_sound=is_sound)
    for _ in range(9):
        if max(least) < 0.02:
            break
        # What a garbage collection takes in the midst of one, of all that the tests have left, is no part of it.
        least = list(map(min, least, portions(text, is_sound=is_sound)))
    assert max(least) < 0.02, "some 2 ms where nothing else runs"
    assert len(least) > 40


def portions(text: bytes, *, is_sound: bool) -> list[float]:
    """The seconds of CPU that each takes."""
    checking = LongText(text, 512)
    took: list[float] = []
    is_done = False
    while not is_done:
        began = time.thread_time()
        try:
            is_done = checking.go_on()
        except BadJson:
            assert not is_sound
            is_done = True
        took.append(time.thread_time() - began)
    return took
