"""A vector is never longer than was reckoned with."""

from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from slosh.core.cursor import MAX_OFFSET, Cursor, spell
from slosh.web.readers.room import length_in_url
from tests.properties import PROPERTY

NAMES = st.text(st.characters(exclude_categories=["C"], exclude_characters=",*"), min_size=1, max_size=40)


@PROPERTY
@given(NAMES, st.integers(0, MAX_OFFSET // 100))
def test_a_place_is_never_longer_in_a_url_than_was_said_before(name: str, offset: int) -> None:
    """Also when a hundred times as much has come in meanwhile, and the client encodes all that can be."""
    said = length_in_url(name, Cursor("k3f9c2aa", offset))
    for later in (offset, max(offset, 99_999_999), offset * 100 + 99):
        assert len(quote(f"{spell(name)}=k3f9c2aa.{later},", safe="")) <= said
