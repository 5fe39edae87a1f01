"""Which names a topic may have: PROTOCOL's rules, each with the names on both sides of it."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.core.names import check_name
from slosh.errors import BadTopic
from tests.cases import each_of
from tests.properties import PROPERTY


@each_of(
    "name",
    [
        "test",
        "a/b/c",
        "cpu.load",
        "...",
        ".hidden",
        "a..b",
        "price$",
        "a/$b",
        "k\u00fcche/\u6e29\u5ea6",
        "with space",
        "100%",
        "<script>",
        "a;b=c",
        "a" * 255,
        "\u00e9" * 127,
        "\U0001f600",
    ],
)
def test_a_name_within_the_rules_is_given_back(name: str) -> None:
    assert check_name(name) == name


def test_a_name_is_not_kept_by_the_interpreter() -> None:
    """Clients choose them, and what is interned stays for ever in Python 3.12."""
    first, equal = (f"{part}/not/kept" for part in ("name", "name"))
    check_name(first)
    assert sys.intern(equal) is equal


@each_of(
    "name",
    [
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "a/./b",
        "a/../b",
        "a/..",
        "a,b",
        "a*",
        "*",
        "$SYS",
        "$SYS/a",
        "a\nb",
        "a\r\nSet-Cookie: b",
        "a\0",
        "a\x7f",
        "a\x85b",
        "a\u2028b",
        "a\u2029b",
        "a\ud800",
        "a" * 256,
        "\u00e9" * 128,
    ],
)
def test_a_name_that_breaks_a_rule_is_refused(name: str) -> None:
    with pytest.raises(BadTopic):
        check_name(name)


def follows_the_rules(name: str) -> bool:
    """PROTOCOL section 2, word for word."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return False
    return (
        1 <= size <= 255
        and all(segment not in ("", ".", "..") for segment in name.split("/"))
        and not any(unicodedata.category(each) in ("Cc", "Zl", "Zp") for each in name)
        and "," not in name
        and "*" not in name
        and not name.startswith("$")
    )


@PROPERTY
@given(st.text("ab./,*$\n\u2028\u00e9", max_size=8) | st.text(st.characters(), max_size=300))
def test_every_text_is_taken_or_refused_just_as_the_rules_say(name: str) -> None:
    try:
        taken = check_name(name) == name
    except BadTopic:
        taken = False
    assert taken == follows_the_rules(name)


def test_a_name_has_at_most_16_segments() -> None:
    name = "/".join("a" * 16)
    assert check_name(name) == name
    with pytest.raises(BadTopic, match="16 segments"):
        check_name(name + "/a")


@pytest.mark.parametrize(
    ("character", "told"),
    [
        ("\x07", "no control characters"),
        ("\u2028", "no line separators"),
        ("\u2029", "no paragraph separators"),
        ("\ud800", "no lone surrogates"),
    ],
)
def test_the_error_names_what_is_wrong_with_a_character(character: str, told: str) -> None:
    with pytest.raises(BadTopic, match=told):
        check_name(f"a{character}b")


@pytest.mark.parametrize("character", ["\u202e", "\u200b", "\ufeff"])
def test_a_character_that_is_not_seen_is_one_of_a_name(character: str) -> None:
    assert check_name(f"a{character}b") == f"a{character}b"
