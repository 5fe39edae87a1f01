"""What a reader's request asks for: topics, places, how much, how long, in which framing."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.core.cursor import Cursor
from slosh.core.reading import Age, Earliest, Filter, Last, Now, Offset, Since, Unknown
from slosh.errors import BadQuery, BadRequest, BadTopic, SloshError
from slosh.settings import Settings
from slosh.web.asking import MAX_MATCHES, MAX_TOPICS, Asked, Format
from slosh.web.head import parse_head
from tests.properties import PROPERTY
from tests.web.harness import request


def ask(target: str, settings: Settings | None = None, /, **fields: str) -> Asked:
    return Asked(parse_head(request("GET", f"/topics/{target}", **fields), 64), settings or Settings())


# Which topics.


@pytest.mark.parametrize(
    ("path", "names", "patterns"),
    [
        ("a", ("a",), ()),
        ("a/b/c", ("a/b/c",), ()),
        ("cpu.load", ("cpu.load",), ()),
        ("a%20b%2Fc", ("a b/c",), ()),
        ("caf%C3%A9", ("café",), ()),
        ("b,a,b", ("b", "a"), ()),
        ("a,%61", ("a",), ()),
        ("a,s/*/t,**", ("a",), ("s/*/t", "**")),
        ("*", (), ("*",)),
    ],
)
def test_the_path_names_topics_and_patterns_each_once(
    path: str, names: tuple[str, ...], patterns: tuple[str, ...]
) -> None:
    asked = ask(path)
    assert (asked.names, asked.patterns) == (names, patterns)
    assert asked.several == (len(names) > 1 or bool(patterns))


@pytest.mark.parametrize(
    "path", ["", ",", "a,", ",a", "a,,b", "a//b", "a,$x", "a,..", "a,b*", "s/**/x", "a%2Cb", "%ff"]
)
def test_one_wrong_name_refuses_all(path: str) -> None:
    with pytest.raises(BadRequest):
        ask(path)


def test_a_request_names_at_most_64() -> None:
    assert len(ask(",".join(f"t{n}" for n in range(MAX_TOPICS))).names) == 64
    with pytest.raises(BadTopic, match="64"):
        ask(",".join(f"t{n}" for n in range(MAX_TOPICS + 1)))


# From where.


@pytest.mark.parametrize(
    ("query", "since"),
    [
        ("", Now()),
        ("since=now", Now()),
        ("since=earliest", Earliest()),
        ("since=-50", Last(50)),
        ("since=90s", Age(90.0)),
        ("since=1.5m", Age(90.0)),
        ("since=2h", Age(7200.0)),
        ("since=250ms", Age(0.25)),
        ("since=k3f9.4", Cursor("k3f9", 4)),
        ("n=7", Offset(7)),
        ("n=7&since=earliest", Earliest()),
        ("since=now&since=earliest", Now()),
    ],
)
def test_all_the_forms_of_since(query: str, since: Since) -> None:
    assert ask(f"a?{query}").since("a") == since


@pytest.mark.parametrize(
    "query",
    ["since=", "since=x", "since=-", "since=--5", "since=5", "since=1d", "since=-1s", "since=k3f9.04", "since=K.1",
     "since=k.9007199254740992", "n=-1", "n=", "n=1.0", "n=%D9%A1", "n=9007199254740992"],
)  # fmt: skip
def test_what_is_no_place_is_refused(query: str) -> None:
    with pytest.raises(BadQuery):
        ask(f"a?{query}")


def test_a_vector_says_where_in_each_topic() -> None:
    asked = ask("a,b,x=y,c?since=a=k.1,x=y=m.2,other=z.9,b=nonsense")
    assert [asked.since(name) for name in asked.names] == [Cursor("k", 1), Unknown(), Cursor("m", 2), Now()]
    assert asked.names == ("a", "b", "x=y", "c")


def test_one_explicit_form_counts_for_all() -> None:
    asked = ask("a,b,s/*?since=-5")
    assert [asked.since(name) for name in ("a", "b", "s/1")] == [Last(5)] * 3


def test_a_starred_vector_names_what_was_read_and_the_rest_is_new() -> None:
    asked = ask("s/*?since=*,s/1=k.4,elsewhere=m.2")
    assert asked.names == ("s/1",)
    assert asked.since("s/1") == Cursor("k", 4)
    assert asked.since("s/2") == Offset(0)
    assert ask("s/*?since=*").since("s/1") == Offset(0)
    assert ask("s/*?since=s/1=k.4").since("s/2") == Now(), "without the star nothing is said of the others"


@pytest.mark.parametrize("query", ["since=k3f9.4", "n=3", "since=a", "since==k.1", "since=//=k.1"])
def test_what_is_a_place_in_one_topic_is_none_in_several(query: str) -> None:
    with pytest.raises(BadRequest):
        ask(f"a,b?{query}")


def test_a_vector_has_a_bound() -> None:
    def vector(count: int) -> str:
        return ",".join(f"t{n}=k.1" for n in range(count))

    ask(f"a,b?since={vector(MAX_MATCHES)}")
    with pytest.raises(BadQuery, match="256"):
        ask(f"a,b?since={vector(MAX_MATCHES + 1)}")


def test_the_cookie_counts_only_where_nothing_else_does() -> None:
    asked = ask("a")
    assert asked.cookie is not None
    name = asked.cookie[0].decode().removeprefix("Set-Cookie: ").removesuffix("=")
    assert ask("a", Cookie=f"{name}=k.3").since("a") == Cursor("k", 3)
    assert ask("a", Cookie=f"{name}=broken").since("a") == Unknown()
    for target in ("a?since=now", "a?n=0", "a,b", "*"):
        asked = ask(target, Cookie=f"{name}=k.3")
        assert asked.cookie is None
        assert asked.since("a") != Cursor("k", 3)


def test_last_event_id_is_for_event_streams_and_wins() -> None:
    accept = "text/event-stream"
    asked = ask("a?since=earliest", Accept=accept, Last_Event_ID="k.3")
    assert asked.since("a") == Cursor("k", 3)
    assert asked.resumes
    assert ask("a?since=earliest", Last_Event_ID="k.3").since("a") == Earliest()
    assert ask("a", Accept=accept, Last_Event_ID="nonsense").since("a") == Unknown()
    several = ask("a,b,c", Accept=accept, Last_Event_ID="a=k.1,b=nonsense")
    assert [several.since(name) for name in "abc"] == [Cursor("k", 1), Unknown(), Unknown()]


@PROPERTY
@given(
    garbage=st.text(st.characters(codec="latin-1", exclude_categories=["Cc"])),
    topics=st.sampled_from(["a", "a,b", "*"]),
)
def test_no_last_event_id_is_an_error(garbage: str, topics: str) -> None:
    ask(topics, Accept="text/event-stream", Last_Event_ID=garbage)


# How much and how long.


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", Filter()),
        ("limit=5", Filter(5)),
        ("key=host", Filter(0, ("host",))),
        ("key=a.b.c&limit=1", Filter(1, ("a", "b", "c"))),
        ("key=%C3%A9+x", Filter(0, ("é x",))),
    ],
)
def test_what_a_reader_can_do_without(query: str, wanted: Filter) -> None:
    assert ask(f"a?{query}").wanted == wanted


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=-1", "limit=x", "limit=", "key=", "key=.", "key=a..b", "key=a.", "key=" + "a." * 16 + "a"],
)
def test_what_makes_no_sense_is_refused_by_its_name(query: str) -> None:
    with pytest.raises(BadQuery) as caught:
        ask(f"a?{query}")
    assert caught.value.parameter == query.partition("=")[0]


@pytest.mark.parametrize(("text", "seconds"), [("250ms", 0.25), ("1s", 1), ("0.5s", 0.5), ("3600s", 3600), ("0s", 0)])
def test_every(text: str, seconds: float) -> None:
    assert ask(f"a?every={text}").every == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "1", "s", "-1s", "3601s", "1m", "1e3s", "1.s", "\u0661s", "nan"])
def test_every_has_a_unit_and_a_bound(text: str) -> None:
    with pytest.raises(BadRequest):
        ask("a?every=" + "".join(f"%{byte:02x}" for byte in text.encode()))


@pytest.mark.parametrize(
    ("target", "fields", "settings", "wait"),
    [
        ("a", {}, {}, math.inf),
        ("a?wait=5", {}, {}, 5),
        ("a", {"Prefer": "wait=7"}, {}, 7),
        ("a?wait=5", {"Prefer": "wait=7"}, {}, 5),
        ("a", {}, {"default_wait": 9.0}, 9),
        ("a?wait=50", {}, {"max_wait": 20.0}, 20),
        ("a", {}, {"max_wait": 20.0}, 20),
    ],
)
def test_how_long_it_is_held(target: str, fields: dict[str, str], settings: dict[str, Any], wait: float) -> None:
    asked = ask(target, Settings(**settings), **fields)
    assert asked.wait == wait
    assert asked.says_wait == ("wait" in target or bool(fields))


# In which framing.


@pytest.mark.parametrize(
    ("target", "fields", "chosen"),
    [
        ("a", {}, Format.JSON),
        ("a", {"Accept": "*/*"}, Format.JSON),
        ("a", {"Accept": "application/json, text/event-stream"}, Format.SSE),
        ("a", {"Accept": "text/html, application/x-ndjson;q=0.5"}, Format.NDJSON),
        ("a", {"Accept": "application/x-ndjson, text/event-stream"}, Format.NDJSON),
        ("a?format=json", {"Accept": "text/event-stream"}, Format.JSON),
        ("a?format=sse", {}, Format.SSE),
        ("a?format=ndjson", {}, Format.NDJSON),
        ("a?format=sse", {"Upgrade": "websocket", "Connection": "upgrade"}, Format.WEBSOCKET),
        ("a", {"Upgrade": "websocket"}, Format.JSON),
        ("a", {"Connection": "upgrade"}, Format.JSON),
    ],
)
def test_the_framing(target: str, fields: dict[str, str], chosen: Format) -> None:
    assert ask(target, **fields).format is chosen


@pytest.mark.parametrize("text", ["", "xml", "SSE", "websocket"])
def test_an_unknown_format_is_refused(text: str) -> None:
    with pytest.raises(BadQuery, match="json, sse or ndjson"):
        ask(f"a?format={text}")


@PROPERTY
@given(
    path=st.text(st.sampled_from("ab/*,.$=%20"), max_size=12),
    query=st.text(st.sampled_from("since=&n.-5k*,%2"), max_size=20),
)
def test_whatever_comes_is_understood_or_refused(path: str, query: str) -> None:
    try:
        asked = ask(f"{path}?{query}")
    except SloshError:
        return
    assert asked.names or asked.patterns
    assert all(asked.since(name) is not None for name in asked.names)
