"""A cursor travels as text and comes back as the same place; nothing else passes for one."""

import random
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.core.cursor import (
    EPOCH_LENGTH,
    MAX_OFFSET,
    Cursor,
    Vector,
    join_cursors,
    make_epoch,
    parse_cursor,
    spell,
    unspell,
)
from tests.cases import each_of
from tests.properties import PROPERTY

EPOCHS = st.text("0123456789abcdefghjkmnpqrstvwxyz", min_size=1, max_size=32)
OFFSETS = st.integers(0, MAX_OFFSET)


@PROPERTY
@given(EPOCHS, OFFSETS)
def test_a_cursor_comes_back_from_its_text_as_it_was(epoch: str, offset: int) -> None:
    assert parse_cursor(str(Cursor(epoch, offset))) == Cursor(epoch, offset)


@PROPERTY
@given(st.text() | st.from_regex(r"[0-9a-z]{1,9}\.[0-9]{1,18}"))
def test_one_place_has_one_spelling(text: str) -> None:
    """A text that is taken as a cursor is written just as it came: no leading zeros, no other digits."""
    cursor = parse_cursor(text)
    assert cursor is None or str(cursor) == text


@each_of(
    "text",
    [
        "",
        ".",
        "k3f9",
        "k3f9.",
        ".4",
        "k3f9.04",
        "k3f9.-1",
        "k3f9.+1",
        "k3f9.1_0",
        "k3f9.1.2",
        "K3F9.1",
        "k3f9.4\n",
        " k3f9.4",
        "k3f9.\u0664",
        f"k3f9.{MAX_OFFSET + 1}",
        "k3f9." + "9" * 5000,
        "a" * 33 + ".1",
        "k3;9.1",
        '"k3f9.4"',
    ],
)
def test_what_is_no_cursor_is_none(text: str) -> None:
    assert parse_cursor(text) is None


def test_the_largest_offset_is_the_largest_that_every_json_reader_holds() -> None:
    assert MAX_OFFSET == 2**53 - 1
    assert parse_cursor(f"k.{MAX_OFFSET}") == Cursor("k", MAX_OFFSET)


@PROPERTY
@given(st.integers(0, 2 ** (5 * EPOCH_LENGTH) - 1))
def test_an_epoch_is_a_cursors_beginning(bits: int) -> None:
    epoch = make_epoch(lambda _: bits)
    assert len(epoch) == EPOCH_LENGTH
    assert parse_cursor(f"{epoch}.7") == Cursor(epoch, 7)


@each_of("bit", range(5 * EPOCH_LENGTH))
def test_every_bit_makes_another_epoch(bit: int) -> None:
    bits = 0x5A5A5A5A5A
    assert make_epoch(lambda _: bits) != make_epoch(lambda _: bits ^ (1 << bit))


def test_an_epoch_uses_all_the_bits_that_it_asks_for() -> None:
    """40 bits, so that ten thousand lives of topics do not meet by chance."""
    asked: list[int] = []
    source = random.Random(1)

    def bits(count: int) -> int:
        asked.append(count)
        return source.getrandbits(count)

    assert len({make_epoch(bits) for _ in range(10_000)}) == 10_000
    assert set(asked) == {40}


# Names in a vector.

NAMES = st.text(st.characters(exclude_categories=["C"], exclude_characters=",*"), min_size=1, max_size=40)


@PROPERTY
@given(NAMES)
def test_a_name_travels_in_a_header_an_event_and_a_url_as_it_is(name: str) -> None:
    """Whether or not the client encodes the vector before it puts it into a URL."""
    spelled = spell(name)
    assert spelled.isascii()
    assert spelled.isprintable()
    assert not set(spelled) & set(" ,&+#")
    assert unspell(spelled) == name
    assert unspell(unquote(quote(spelled, safe=""))) == name
    if "%" not in name:
        assert unspell(unquote(spelled)) == name


@PROPERTY
@given(st.dictionaries(NAMES, OFFSETS), st.lists(st.tuples(NAMES, OFFSETS)), st.booleans())
def test_places_that_move_one_at_a_time_are_spelled_as_all_of_them_are(
    offsets: dict[str, int], moves: list[tuple[str, int]], starred: bool
) -> None:
    places = {name: Cursor("a", offset) for name, offset in offsets.items()}
    vector = Vector(places, starred=starred)
    for name, offset in moves:
        places[name] = Cursor("a", offset)
        vector.move(name, places[name])
        assert str(vector) == join_cursors(places, starred=starred)
    while places:
        assert str(vector) == join_cursors(places, starred=starred)
        name, _ = places.popitem()
        vector.leave(name)
    assert str(vector) == ("*" if starred else "")


@PROPERTY
@given(NAMES.filter(lambda name: "%" not in name))
def test_a_name_that_nobody_encoded_is_taken_as_it_is(name: str) -> None:
    assert unspell(name) == name


@pytest.mark.parametrize("text", ["%ff", "%C3", "a%e9"])
def test_what_is_no_encoding_is_a_name(text: str) -> None:
    assert unspell(text) == text
