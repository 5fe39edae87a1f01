"""The query and the preferences: what is taken, and what is refused rather than guessed."""

import math
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.core.cursor import EPOCH_LENGTH, MAX_OFFSET, Cursor
from slosh.core.reading import Age, Earliest, Last, Now, Since
from slosh.errors import BadQuery, BadRequest
from slosh.web.query import (
    MAX_PARAMETERS,
    READING,
    bound_wait,
    decode,
    ignored_field,
    parse_offset,
    parse_prefer,
    parse_query,
    parse_since,
    parse_wait,
)
from tests.cases import each_of
from tests.properties import PROPERTY
from tests.web.harness import Site

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@PROPERTY
@given(TEXTS)
def test_decoding_undoes_encoding(text: str) -> None:
    assert decode(quote(text, safe=""), "path") == text


@pytest.mark.parametrize("text", ["%ff", "%c3", "a%80", "%ed%a0%80", "%c0%af"])
def test_what_is_not_utf_8_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(BadRequest, match="topic's name is not UTF-8"):
        decode(text, "topic's name")


@PROPERTY
@given(st.lists(st.tuples(TEXTS.filter(bool), TEXTS), max_size=5))
def test_a_query_is_read_as_forms_write_it(pairs: Any) -> None:
    query = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs)
    assert parse_query(query) == dict(reversed(pairs))  # of one that comes twice the first counts


@PROPERTY
@given(
    st.lists(st.sampled_from(["x", "y", "=", "&", "+", "%26", "%3D", "%", "%2", ";", "."]), max_size=12).map("".join)
)
def test_odd_queries_are_read_as_the_standard_library_reads_them(query: str) -> None:
    expected: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name:
            expected.setdefault(name, value)
    assert parse_query(query) == expected


def test_a_query_has_a_bounded_number_of_parameters() -> None:
    """Those that mean nothing too: 3,000 of them in one head took 285 kB for as long as its poll was held."""
    most = "&".join(f"p{number}" for number in range(MAX_PARAMETERS))
    assert len(parse_query(most)) == MAX_PARAMETERS
    for more in (most + "&x", "&" * MAX_PARAMETERS, "a=1&" * MAX_PARAMETERS):
        with pytest.raises(BadRequest, match="at most 64 parameters, and this one has 65"):
            parse_query(more)


@each_of(
    ("query", "parameters"),
    [
        ("", {}),
        ("&&", {}),
        ("=x", {}),
        ("wait", {"wait": ""}),
        ("wait=5&wait=6", {"wait": "5"}),
        ("since=a=k.4,b=x.9", {"since": "a=k.4,b=x.9"}),
    ],
)
def test_odd_ends(query: str, parameters: dict[str, str]) -> None:
    assert parse_query(query) == parameters


@each_of(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("25", 25.0),
        ("0.5", 0.5),
        ("007", 7.0),
        ("5s", 5.0),
        ("250ms", 0.25),
        ("2m", 120.0),
        ("1d", 86400.0),
    ],
)
def test_wait_is_a_time(text: str, seconds: float) -> None:
    assert parse_wait(text) == seconds


@each_of(
    "text", ["", "-1", "+1", "1e3", "inf", "nan", ".5", "5.", "1_0", "5x", " 5", "\u0665", "9" * 400, "1." + "0" * 400]
)
def test_any_other_wait_is_refused(text: str) -> None:
    with pytest.raises(BadQuery) as caught:
        parse_wait(text)
    assert caught.value.parameter == "wait"


@each_of(
    ("tokens", "wait", "minimal"),
    [
        ([], None, False),
        (["wait=25"], 25.0, False),
        (['wait="25"'], 25.0, False),
        (["wait = 25"], 25.0, False),
        (["wait=25;x=y"], 25.0, False),
        (["wait=5", "wait=6"], 5.0, False),
        (["wait=1m"], 60.0, False),
        (["wait=500ms"], 0.5, False),
        (["return=minimal"], None, True),
        (['return="minimal"', "wait=1"], 1.0, True),
        (["return=representation"], None, False),
        (["wait=soon", "wait=2"], 2.0, False),
        (["wait=-1"], None, False),
        (["respond-async", "handling=lenient", "wait"], None, False),
    ],
)
def test_preferences_that_make_sense_count_and_others_are_ignored(
    tokens: list[str], wait: float | None, minimal: bool
) -> None:
    assert parse_prefer(tokens) == (wait, minimal)


@each_of(
    ("asked", "default", "most", "held"),
    [
        (None, 0.0, 0.0, math.inf),
        (None, 30.0, 0.0, 30.0),
        (None, 0.0, 60.0, 60.0),
        (None, 30.0, 60.0, 30.0),
        (25.0, 30.0, 60.0, 25.0),
        (90.0, 30.0, 60.0, 60.0),
        (90.0, 30.0, 0.0, 90.0),
        (0.0, 30.0, 60.0, 0.0),
        (0.0, 0.0, 0.0, 0.0),
        (1e14, 0.0, 0.0, math.inf),
        (1e14, 0.0, 60.0, 60.0),
    ],
)
def test_a_poll_is_held_as_long_as_asked_within_the_bound(
    asked: float | None, default: float, most: float, held: float
) -> None:
    assert bound_wait(asked, default, most) == held


@each_of(
    ("query", "told"),
    [
        ("", b""),
        ("since=now&wait=0", b""),
        ("foramt=sse", b"Slosh-Ignored: foramt\r\n"),
        ("a=1&since=now&b=2&a=3", b"Slosh-Ignored: a, b\r\n"),
        ("Since=now", b"Slosh-Ignored: Since\r\n"),
        ("a%0d%0aSet-Cookie:%20x=y", b"Slosh-Ignored: a%0D%0ASet-Cookie%3A%20x\r\n"),
        ("a,b=1", b"Slosh-Ignored: a%2Cb\r\n"),
        ("%C3%BC=1", b"Slosh-Ignored: %C3%BC\r\n"),
        ("x" * 99 + "=1", b"Slosh-Ignored: " + b"x" * 64 + b"\r\n"),
    ],
)
def test_parameters_that_are_not_known_are_named(query: str, told: bytes) -> None:
    assert ignored_field(parse_query(query), READING) == told


@PROPERTY
@given(st.lists(TEXTS.filter(bool), max_size=60))
def test_the_names_are_bounded_and_never_end_the_line(names: list[str]) -> None:
    line = ignored_field(dict.fromkeys(names, ""), READING)
    assert len(line) <= len("Slosh-Ignored: \r\n") + 256
    assert b"\r" not in line[:-2]
    assert line.isascii()


@PROPERTY
@given(st.integers(0, MAX_OFFSET))
def test_an_offset_is_read_as_the_number_it_is(offset: int) -> None:
    assert parse_offset("n", str(offset)) == offset


@each_of(
    "text", ["", "-1", "+1", "1.0", "1e3", " 1", "1_0", "0x1", "\u0661", "\u00b2", str(MAX_OFFSET + 1), "9" * 5000]
)
def test_what_is_no_offset_is_refused_with_the_parameters_name(text: str) -> None:
    with pytest.raises(BadQuery) as caught:
        parse_offset("n", text)
    assert caught.value.parameter == "n"


class TestParseSince:
    """The query parameter `since`."""

    @each_of(
        ("text", "since"),
        [
            ("now", Now()),
            ("earliest", Earliest()),
            ("-50", Last(50)),
            ("-0", Last(0)),
            ("90s", Age(90.0)),
            ("1.5s", Age(1.5)),
            ("250ms", Age(0.25)),
            ("1.5", Age(1.5)),
            ("1234567.5", Age(1234567.5)),
            ("12345678.5", Cursor("12345678", 5)),
            ("12345678", Age(12345678.0)),
            ("10m", Age(600.0)),
            ("2h", Age(7200.0)),
            ("k3f9.4", Cursor("k3f9", 4)),
            ("now.4", Cursor("now", 4)),
        ],
    )
    def test_each_form_is_read(self, text: str, since: Since) -> None:
        assert parse_since(text) == since

    @PROPERTY
    @given(st.text("0123456789", min_size=EPOCH_LENGTH, max_size=EPOCH_LENGTH), st.integers(0, MAX_OFFSET))
    def test_a_place_in_a_life_whose_name_has_no_letter_is_no_age(self, epoch: str, offset: int) -> None:
        """Such lives are rare, and their readers would be given everything again with each answer."""
        assert parse_since(f"{epoch}.{offset}") == Cursor(epoch, offset)

    @each_of(
        "text",
        ["", "Now", "later", "-", "--5", "-5.0", "-1e3", "-\u0661", "5w", "5D", "s", ".5s", "-5s", "1e3s"],
    )
    def test_anything_else_is_refused_and_the_forms_are_told(self, text: str) -> None:
        with pytest.raises(BadQuery, match=r"cursor.*now.*earliest.*-50.*90s") as caught:
            parse_since(text)
        assert caught.value.parameter == "since"


def test_a_missing_name_is_told_with_the_path_that_has_one(site: Site) -> None:
    for answer in (site.get("/topics/"), site.post("/topics/", b"1")):
        assert "/topics/<name>" in answer.json["detail"]
