"""The cookie is the session: it is found among others, in linear time, and never written so that it could harm."""

import re
from http.cookies import SimpleCookie
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from slosh.core.cursor import Cursor
from slosh.core.reading import Unknown
from slosh.web.readers.cookies import cookie_name, find_cookie, find_place, set_cookie
from tests.cases import each_of
from tests.properties import PROPERTY
from tests.timing import assert_quick

NAME = cookie_name("test")


def cookie(text: str) -> bytes:
    return text.replace("NAME", NAME).encode("latin-1")


def test_topics_have_names_of_their_own_and_always_the_same() -> None:
    """A cookie's path covers the topics below it too: `a` must not be moved by `a/b`."""
    names = {cookie_name(topic) for topic in ("a", "a/b", "b", "k\u00fcche", "a b", "A")}
    assert len(names) == 6
    assert cookie_name("test") == NAME
    assert re.fullmatch("slosh_[0-9a-f]{12}", NAME)


@each_of(
    "text",
    [
        "NAME=k3f9.4",
        "a=b; NAME=k3f9.4",
        "NAME=k3f9.4; a=b",
        "a;NAME=k3f9.4",
        "=x;NAME=k3f9.4",
        "==NAME=x; NAME=k3f9.4",
        "xNAME=z.1; NAME=k3f9.4",
        "NAMEx=z.1; NAME=k3f9.4",
        " \tNAME=k3f9.4 ;",
        "NAME=k3f9.4; NAME=z.9",
        'b="\\"; NAME=k3f9.4',
        "b=\xe9; NAME=k3f9.4",
    ],
)
def test_the_place_is_found_among_others(text: str) -> None:
    assert find_place([cookie(text)], NAME) == Cursor("k3f9", 4)


PIECES = [b"slosh_1", b"=", b";", b" ", b"\t", b"a", b"k.1", b'"', b"_slosh_1", b"slosh_1=k.1"]


@PROPERTY
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join), max_size=2))
def test_a_cookie_is_found_as_by_taking_all_pairs_apart(values: list[bytes]) -> None:
    pairs = [pair.strip(b" \t").partition(b"=") for value in values for pair in value.split(b";")]
    found = [text.decode() for name, mark, text in pairs if mark and name == b"slosh_1"]
    assert find_cookie(values, "slosh_1") == (found[0] if found else None)


def test_all_cookie_fields_are_looked_at_and_the_first_counts() -> None:
    assert find_place([b"a=b", cookie("NAME=k.1"), cookie("NAME=k.2")], NAME) == Cursor("k", 1)


@each_of("text", ["", ";", "=", "==NAME", "NAME", "=NAME=k.4", "a=NAME", "NAM=k.4", "slosh=k.4"])
def test_where_there_is_none_there_is_none(text: str) -> None:
    """A pair without a name cannot stand in for another (CVE-2023-23934)."""
    assert find_place([cookie(text)], NAME) is None


@each_of("value", ["", "k", "4", '"k3f9.4"', "k3f9.4 x", "\xff\xfe", "k3f9." + "9" * 100, "k3f9.4=5"])
def test_a_cookie_that_is_no_cursor_any_more_starts_again_and_says_so(value: str) -> None:
    assert find_place([cookie(f"NAME={value}")], NAME) == Unknown()


@PROPERTY
@given(st.lists(st.binary(max_size=20), max_size=4))
def test_any_bytes_are_taken_without_complaint(values: Any) -> None:
    assert find_place(values, NAME) is None


@each_of("filling", [b";", b"=", b'"', b"\\", b"a=b;", b'a="\\";', b" ", b"; "])
def test_a_cookie_of_60_kilobytes_takes_milliseconds(filling: bytes) -> None:
    """Others' unquoting was quadratic (CVE-2024-52804). CPU time, with room for a slow machine."""
    value = filling * (60_000 // len(filling)) + b";" + cookie("NAME=k.1")
    assert find_place([value], NAME) == Cursor("k", 1)
    assert_quick(lambda: find_place([value], NAME), 0.1)


def line(path: str, cursor: bytes = b"k3f9.4", *, secure: bool = False) -> bytes:
    return cursor.join(set_cookie(NAME, path, secure=secure))


def test_the_line_is_what_the_protocol_says() -> None:
    assert line("/topics/test") == cookie("Set-Cookie: NAME=k3f9.4; Path=/topics/test; HttpOnly; SameSite=Lax\r\n")
    assert line("/topics/test", secure=True).endswith(b"; SameSite=Lax; Secure\r\n")


def test_the_path_is_told_as_the_client_wrote_it() -> None:
    assert b"Path=/topics/k%C3%BCche%2fx;" in line("/topics/k%C3%BCche%2fx")


def test_a_semicolon_in_the_path_cannot_begin_an_attribute() -> None:
    """`/topics/a;Domain=evil.example` is a path, and stays one."""
    written = line("/topics/a;Domain=evil.example;Secure")
    assert written.count(b";") == 3
    assert b"Path=/topics/a%3BDomain=evil.example%3BSecure;" in written


def test_what_is_written_is_read_again() -> None:
    jar = SimpleCookie(line("/topics/test").decode().partition(": ")[2])
    assert jar[NAME]["path"] == "/topics/test"
    assert jar[NAME]["httponly"]
    assert find_place([f"{NAME}={jar[NAME].value}".encode()], NAME) == Cursor("k3f9", 4)
