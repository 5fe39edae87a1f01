"""A message is taken exactly when the standard library's strict decoder takes it, but for the listed differences."""

import json
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.errors import BadJson
from slosh.web.jsontext import WHITE_SPACE, check_json
from tests.cases import each_of
from tests.properties import PROPERTY
from tests.timing import assert_quick

DEPTH = 512

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text('ab"\\[{', max_size=3), inside, max_size=3),
    max_leaves=8,
)
SPACES = st.text(" \t\n\r", max_size=3).map(str.encode)
PIECES = b"\" \\ , : [ ] { } 0 1 00 - . e E+ \\u d83d \\ude00 null tru NaN -Infinity \x00 \x1f \x7f ' /".split(b" ")
UTF_8 = b"\xef\xbb\xbf \xc3\xa9 \xc3 \xff \xed\xa0\x80 \xc0\xaf \xe2\x80\xa8 \xf4\x90\x80\x80".split(b" ")
FRAGMENTS = st.sampled_from([*PIECES, *UTF_8, b"", b" ", b"\n", b"\x0b"])
"""What hurts: pieces of JSON, of other dialects, and of UTF-8 that is none."""


def refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def standard_takes(text: bytes) -> bool:
    """What the standard library makes of it: strict UTF-8, no NaN; numbers stay text, so that none is too long."""
    try:
        json.loads(text.decode("utf-8"), parse_constant=refuse, parse_int=str, parse_float=str)
    except ValueError:
        return False
    return True


def is_taken(text: bytes, max_depth: int = DEPTH) -> bool:
    try:
        assert check_json(text, max_depth) == text.strip(WHITE_SPACE)
    except BadJson as error:
        position = error.position
    else:
        return True
    assert 0 <= position <= len(text)
    return False


@PROPERTY
@given(VALUES, st.booleans(), SPACES, SPACES)
def test_every_value_is_taken_less_the_white_space_around_it(
    value: Any, escape: bool, before: bytes, after: bytes
) -> None:
    text = json.dumps(value, ensure_ascii=escape).encode()
    assert check_json(before + text + after, DEPTH) == text


@PROPERTY
@given(VALUES, st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), FRAGMENTS), min_size=1, max_size=3))
def test_a_mutated_text_is_judged_as_the_standard_library_does(value: Any, edits: Any) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=1).encode()
    for where, cut, fragment in edits:
        at = round(where * len(text))
        text = text[:at] + fragment + text[at + cut :]
    assert is_taken(text) == standard_takes(text)


@PROPERTY
@given(st.lists(FRAGMENTS, min_size=1, max_size=8).map(b"".join) | st.binary(max_size=12))
def test_a_heap_of_fragments_is_judged_as_the_standard_library_does(text: bytes) -> None:
    assert is_taken(text) == standard_takes(text)


@PROPERTY
@given(st.from_regex(rb"-?[0-9]{0,3}\.?[0-9]{0,3}([eE][+-]?[0-9]{0,2})?", fullmatch=True))
def test_numbers_are_judged_as_the_standard_library_does(text: bytes) -> None:
    assert is_taken(text) == standard_takes(text)
    assert is_taken(b"[%b]" % text) == standard_takes(b"[%b]" % text)


@each_of(
    "text",
    [
        b"null",
        b"0",
        b"-0",
        b"1E400",
        b"123456789012345678901234567890.5",
        b'""',
        b'"\\u0000"',
        b'"\\ud83d\\ude00"',
        b'"\x7f\xe2\x80\xa8"',
        b'{"a":1,"a":2}',
        b"[]",
        b"{}",
    ],
)
def test_unusual_but_valid(text: bytes) -> None:
    assert check_json(text, DEPTH) == text


@each_of(
    ("text", "position"),
    [
        (b"", 0),
        (b" \r\n\t", 0),
        (b"NaN", 0),
        (b" Infinity", 1),
        (b"[1,]", 3),
        (b"  [1 2]", 5),
        (b"{'a':1}", 1),
        (b"1 2", 2),
        (b'"abc', 4),
        (b'  "abc', 6),
        (b'"\xff"', 1),
        (b'  "a\xc3"', 4),
        (b'"\x01"', 1),
        (b"response=1", 0),
        (b"------WebKitFormBoundary\r\n", 1),
    ],
)
def test_what_is_no_json_is_refused_with_its_position(text: bytes, position: int) -> None:
    with pytest.raises(BadJson) as caught:
        check_json(text, DEPTH)
    assert caught.value.position == position


@each_of(
    "text", [b'"\\ud800"', b'"\\udc00"', b'"\\uD800\\u0041"', b'{"\\ud800":1}', b'"\\ud800\\ud800"', b'"\\\\ud800"']
)
def test_half_a_character_is_taken_as_browsers_write_it(text: bytes) -> None:
    """JSON.stringify of a string that was cut in the middle of an emoji must not be refused."""
    assert check_json(text, DEPTH) == text


@pytest.mark.parametrize("text", [b'"\\ud8"', b'"\\ud80x"', b'"\\\\ud800\\x"', b"\\ud800", b'"\\ud800'])
def test_what_only_looks_like_half_a_character_is_refused(text: bytes) -> None:
    assert not is_taken(text)


class TestDepth:
    """How deep arrays and objects may stand inside one another, and no recursion whatever comes."""

    @each_of("depth", [1, 2, 3, 400])
    @each_of(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"]":', b"}]")])
    def test_as_deep_as_allowed_and_one_more(self, depth: int, opening: bytes, closing: bytes) -> None:
        each = 2 if opening.startswith(b"[{") else 1
        text = opening * depth + b"1" + closing * depth
        assert is_taken(text, depth * each)
        with pytest.raises(BadJson, match=rf"nested more than {depth * each - 1} deep \(max_depth\)"):
            check_json(text, depth * each - 1)

    def test_a_parser_that_runs_out_of_stack_refuses_too(self) -> None:
        """Deep in somebody else's calls there may be less room than the setting allows."""
        with pytest.raises(BadJson, match="nested"):
            check_json(b"[" * 50_000 + b"]" * 50_000, 100_000)

    def test_side_by_side_is_not_inside(self) -> None:
        assert is_taken(b"[" + b",".join([b"[]"] * 10_000) + b"]", 2)

    def test_brackets_in_strings_do_not_count(self) -> None:
        assert is_taken(b'["' + b"[{" * 10_000 + b'","\\"[[[[","\\\\"]', 1)

    @PROPERTY
    @given(VALUES, st.integers(0, 4))
    def test_against_an_obvious_depth(self, value: Any, max_depth: int) -> None:
        def depth(value: Any) -> int:
            if isinstance(value, (list, dict)):
                return 1 + max(map(depth, value.values() if isinstance(value, dict) else value), default=0)
            return 0

        assert is_taken(json.dumps(value).encode(), max_depth) == (depth(value) <= max_depth)

    @pytest.mark.parametrize(
        "text", [b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000, b"]" * 100_000]
    )
    def test_a_hundred_thousand_deep_is_refused_without_recursion(self, text: bytes) -> None:
        assert not is_taken(text)


class TestBoundedWork:
    """What is large or hostile takes time in proportion to its length, seen as CPU time of this process.

    The bounds are fifty times what was measured, and a hundredth of what quadratic work would take.
    """

    @each_of(
        "text",
        [
            b"9" * 50_000,
            b"-" + b"9" * 50_000,
            b"0." + b"9" * 50_000,
            b"1e" + b"9" * 50_000,
            b'"' + b"\\u00e9" * 170_000 + b'"',
            b"[" + b"1," * 500_000 + b"1]",
        ],
    )
    def test_long_numbers_and_strings_are_taken_at_once(self, text: bytes) -> None:
        """No number is made of the digits (CVE-2020-10735)."""
        assert is_taken(text)
        assert_quick(lambda: is_taken(text), 1.0)

    @each_of(
        "text",
        [
            b"[" * 600 + b'"' + b'\\"' * 500_000,  # a string that never ends, full of escaped quotes
            b"[" * 600 + b'"' + b"\\" * 1_000_000,
            b"[" * 600 + b'"a"' * 300_000,
            b"[" * 600 + b'"\\' * 500_000,
            b"[" * 600 + b'"' * 1_000_000,
            b"[]" * 500_000,
        ],
    )
    def test_hostile_texts_are_refused_at_once(self, text: bytes) -> None:
        assert not is_taken(text)
        assert_quick(lambda: is_taken(text), 1.0)


@each_of(
    ("text", "advice"),
    [
        (b'{"loss": NaN}', "send null"),
        (b"[-Infinity]", "send null"),
        (b"{'a': 1}", "double quotes"),
        (b"{a: 1}", "double quotes"),
        (b'{"a": True}', "true, false and null"),
        (b"None", "true, false and null"),
        (b"[1,2,]", "No comma"),
        (b'{"a":1,}', "No comma"),
        (b'{"a":1}{"b":2}', "?batch=ndjson"),
        (b"1\n2\n", "--data-binary"),
        (b"a=1&b=2", "looks like a form"),
        (b'--x\r\nContent-Disposition: form-data; name="a"', "form with files"),
        (b"hello", "double quotes"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"@readings.json", "-d @file"),
    ],
)
def test_a_usual_mistake_is_told_with_what_to_send_instead(text: bytes, advice: str) -> None:
    with pytest.raises(BadJson) as caught:
        check_json(text, 100)
    assert advice in caught.value.detail


@pytest.mark.parametrize("text", [b'{"a":1', b"[1 2]", b"01", b"nul", b'"a'])
def test_no_advice_is_given_that_does_not_fit(text: bytes) -> None:
    with pytest.raises(BadJson) as caught:
        check_json(text, 100)
    assert "ndjson" not in caught.value.detail
    assert "send null" not in caught.value.detail
