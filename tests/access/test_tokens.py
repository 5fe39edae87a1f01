"""Only the token itself is found, and a new one travels wherever a token may stand."""

import math
import re

from slosh.access.rights import NOTHING
from slosh.access.tokens import SHORTEST, StaticToken, TokenTable, hash_token, is_token, make_token
from tests.cases import each_of


def test_a_token_is_found_by_its_text_and_not_by_its_hash() -> None:
    token = make_token()
    row = StaticToken("a", hash_token(token), NOTHING, math.inf)
    table = TokenTable([row])
    assert table.find(token) is row
    for other in (token[:-1], token + "a", make_token(), hash_token(token).hex(), ""):
        assert table.find(other) is None


def test_a_new_token_fits_into_a_cookie_a_url_and_a_subprotocol() -> None:
    made = {make_token() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"slosh_[A-Za-z0-9_-]{43}", each) for each in made)
    assert all(is_token(each) and len(each) >= SHORTEST for each in made)


@each_of("text", ["", "a b", "a,b", 'a"', "a=b", "\u00e4", "a\n", "a;b"])
def test_what_could_end_a_header_or_a_cookie_is_no_token(text: str) -> None:
    assert not is_token(text)
