"""What the head of a POST says: what is read of it in short is what the long way reads, or nothing."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.core.names import check_name
from slosh.errors import BadTopic
from slosh.web.publishing.post_head import read_plain_name
from tests.properties import PROPERTY
from tests.web.harness import Site


@PROPERTY
@given(
    st.lists(
        st.sampled_from([b"a", b"7", b"/", b".", b"..", b"-", b"~", b"_", b"$", b",", b"*", b"%", b" ", b"\xc3\xa9"])
    )
    .map(b"".join)
    .flatmap(lambda part: st.sampled_from([part, part * 40]))
)
def test_what_is_read_as_a_plain_name_is_a_name(part: bytes) -> None:
    """It is asked for a part of a request line that has not been checked, and may say no, but never a wrong yes."""
    name = read_plain_name(part)
    if name is not None:
        assert check_name(name) == name == part.decode("ascii")
    elif re.fullmatch(rb"[a7/._~-]+", part):
        with pytest.raises(BadTopic):
            check_name(part.decode("ascii"))


@pytest.mark.parametrize("key", ["", "a" * 256, '""'])
def test_an_idempotency_key_that_is_none_is_refused_with_its_bound(site: Site, key: str) -> None:
    site.get("/topics/a?wait=0")
    refused = site.ask("POST", "/topics/a", b"1", Idempotency_Key=key)
    assert (refused.status, refused.json["code"]) == (400, "bad_request")
    assert "1 to 255 characters" in refused.json["detail"]
