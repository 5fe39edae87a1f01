"""A pattern covers another if and only if each name that the other matches is matched by it."""

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from slosh.access.patterns import covers
from slosh.core.patterns import matches
from tests.properties import PROPERTY

LONGEST = 4
# "z" stands in no pattern, so that a `*` is not taken to be covered by the words that patterns have.
NAMES = ["/".join(each) for length in range(1, LONGEST + 2) for each in product("abz", repeat=length)]
SEGMENTS = st.sampled_from(["a", "b", "*"])


@st.composite
def patterns(draw: st.DrawFn) -> str:
    segments = draw(st.lists(SEGMENTS, min_size=0, max_size=LONGEST - 1))
    rest = draw(st.booleans()) or not segments
    return "/".join([*segments, "**"] if rest else segments)


@given(patterns(), patterns())
@settings(PROPERTY, max_examples=500)
def test_covering_is_what_enumeration_of_all_names_says(granted: str, asked: str) -> None:
    every_name = all(matches(granted, name) for name in NAMES if matches(asked, name))
    assert covers(granted, asked) == every_name
