"""What a reader asks for, from the head of its request alone."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.core.cursor import Cursor
from slosh.core.patterns import MAX_MATCHES
from slosh.core.reading import Age, Earliest, Filter, Last, Now, Offset, Since, Unknown
from slosh.errors import BadQuery, BadRequest, BadTopic, SloshError
from slosh.http1.head import parse_head
from slosh.settings import Settings
from slosh.web.readers.cookies import cookie_name
from slosh.web.readers.request import MAX_TOPICS, ReadRequest
from slosh.web.routes import FORMATS
from tests.cases import each_of
from tests.properties import PROPERTY


def ask(target: str, *fields: str, settings: Settings | None = None) -> ReadRequest:
    lines = "".join(f"{field}\r\n" for field in fields)
    block = f"GET /topics/{target} HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode()
    return ReadRequest(parse_head(block, 64), settings or Settings(), FORMATS)


class TestNames:
    """Which topics."""

    def test_one_several_and_each_once(self) -> None:
        assert ask("a").names == ("a",)
        assert not ask("a").several
        assert ask("a/b,c,a/b").names == ("a/b", "c")
        assert ask("a,a").names == ("a",)
        assert ask("a,b").several

    def test_names_are_decoded_as_utf_8(self) -> None:
        assert ask("gr%C3%BC%C3%9Fe").names == ("grüße",)
        with pytest.raises(BadRequest):
            ask("%FF")

    def test_at_most_so_many(self) -> None:
        names = [f"t{number}" for number in range(MAX_TOPICS + 1)]
        assert len(ask(",".join(names[:-1])).names) == MAX_TOPICS
        with pytest.raises(BadTopic):
            ask(",".join(names))

    @each_of("bad", ["", "a,", ",a", "a//b", "..", "a/%2e", "$x", "a%2Cb", "%00", "a/**/b", "x*", "*x/y"])
    def test_what_is_no_name_and_no_pattern_is_refused(self, bad: str) -> None:
        with pytest.raises(BadTopic):
            ask(bad)

    def test_patterns_stand_beside_names(self) -> None:
        asked = ask("a,b/*,c/**")
        assert (asked.names, asked.patterns, asked.several) == (("a",), ("b/*", "c/**"), True)
        assert ask("*").several, "a pattern may come to several topics"


class TestPlace:
    """From where."""

    @each_of(
        ("query", "since"),
        [
            ("", Now()),
            ("since=now", Now()),
            ("since=earliest", Earliest()),
            ("since=-50", Last(50)),
            ("since=90s", Age(90)),
            ("since=10m", Age(600)),
            ("since=1.5h", Age(5400)),
            ("since=250ms", Age(0.25)),
            ("since=k3f9.4", Cursor("k3f9", 4)),
            ("n=4", Offset(4)),
            ("n=4&since=k3f9.5", Cursor("k3f9", 5)),
        ],
    )
    def test_every_form(self, query: str, since: Since) -> None:
        assert ask(f"a?{query}").since("a") == since

    @each_of(
        "query",
        ["since=", "since=x", "since=-", "since=5w", "since=k.01", "since=1D", "n=-1", "n=", "n=1.5", "n=%D9%A1"],
    )
    def test_what_is_no_place_is_refused_and_named(self, query: str) -> None:
        with pytest.raises(BadQuery) as caught:
            ask(f"a?{query}")
        assert caught.value.parameter == query.partition("=")[0]

    def test_the_cookie_counts_where_nothing_is_named(self) -> None:
        cookie = f"Cookie: other=1; {cookie_name('a')}=k3f9.4"
        asked = ask("a", cookie)
        assert (asked.cookie_name, asked.since("a")) == (cookie_name("a"), Now())
        assert ask("a?since=now", cookie).since("a") == Now()
        assert ask("b", cookie).since("b") == Now()

    def test_a_cookie_goes_only_to_one_topic_that_named_no_place(self) -> None:
        assert ask("a").cookie is not None
        for target in ("a?since=now", "a?n=0", "a,b", "*"):
            assert ask(target).cookie is None

    def test_a_vector_has_the_places_of_several(self) -> None:
        asked = ask("a,b,c?since=a=k.1,b=x.2,elsewhere=y.3")
        assert [asked.since(name) for name in "abc"] == [Cursor("k", 1), Cursor("x", 2), Now()]

    def test_a_plain_form_counts_for_all_and_a_plain_cursor_for_none(self) -> None:
        asked = ask("a,b?since=-5")
        assert [asked.since(name) for name in "ab"] == [Last(5), Last(5)]
        for query in ("since=k3f9.4", "n=4"):
            with pytest.raises(BadQuery):
                ask(f"a,b?{query}")

    def test_what_a_pattern_read_before_is_read_on_and_what_is_new_from_its_beginning(self) -> None:
        asked = ask("s/*?since=*,s/a=k.4,elsewhere=x.1")
        assert asked.names == ("s/a",)
        assert asked.since("s/a") == Cursor("k", 4)
        assert asked.since("s/new") == Offset(0)
        assert ask("s/*?since=*").since("s/new") == Offset(0)

    def test_a_vector_is_bounded(self) -> None:
        vector = ",".join(f"t{number}=k.1" for number in range(MAX_MATCHES + 1))
        with pytest.raises(BadQuery):
            ask(f"a,b?since={vector}")


class TestLastEventId:
    """Where a stream that was cut goes on: it wins over all else, and is never an error."""

    STREAM = "Accept: text/event-stream"

    def test_it_wins_over_since(self) -> None:
        asked = ask("a?since=now", self.STREAM, "Last-Event-ID: k3f9.4")
        assert asked.since("a") == Cursor("k3f9", 4)
        assert asked.resumes

    @each_of("text", ["x", "=x", "a=", "k3f9.99999999999999999", "\xff"])
    @each_of("target", ["a", "a,b", "*"])
    def test_one_that_means_nothing_any_more_is_a_reset(self, target: str, text: str) -> None:
        block = f"GET /topics/{target} HTTP/1.1\r\nHost: x\r\n{self.STREAM}\r\nLast-Event-ID: ".encode()
        asked = ReadRequest(parse_head(block + text.encode("latin-1") + b"\r\n\r\n", 64), Settings(), FORMATS)
        assert asked.since("a") == Unknown()

    def test_it_counts_on_streams_alone(self) -> None:
        assert ask("a?since=now", "Last-Event-ID: k3f9.4").since("a") == Now()


class TestHowMuch:
    """limit, key and every."""

    def test_what_can_be_done_without(self) -> None:
        assert ask("a").wanted == Filter()
        assert ask("a?limit=3&key=host.name").wanted == Filter(3, ("host", "name"))

    @pytest.mark.parametrize("key", ["a" * 256, "%C3%A9" * 128])
    def test_a_key_of_256_bytes_is_taken_and_a_longer_one_is_not(self, key: str) -> None:
        assert ask(f"a?key={key}").wanted.key
        with pytest.raises(BadQuery, match="at most 256 bytes, and this one has 257"):
            ask(f"a?key={key}a")

    @each_of("query", ["limit=0", "limit=-1", "limit=x", "key=", "key=a..b", "key=." + ".a" * 17])
    def test_what_makes_no_sense_is_refused(self, query: str) -> None:
        with pytest.raises(BadQuery) as caught:
            ask(f"a?{query}")
        assert caught.value.parameter == query.partition("=")[0]

    @each_of(
        ("text", "seconds"),
        [("250ms", 0.25), ("1s", 1.0), ("1", 1.0), ("0s", 0.0), ("0.5s", 0.5), ("1m", 60.0), ("1h", 3600.0)],
    )
    def test_every_is_a_time(self, text: str, seconds: float) -> None:
        assert ask(f"a?every={text}").every == seconds

    @each_of("text", ["x", "s", "-1s", "1d", "3601s", "3601", "1e3s", ""])
    def test_every_is_nothing_else(self, text: str) -> None:
        with pytest.raises(BadQuery):
            ask(f"a?every={text}")


class TestWait:
    """For how long."""

    def test_the_query_wins_over_the_preference(self) -> None:
        assert ask("a").wait == math.inf
        assert ask("a", "Prefer: wait=25").wait == 25
        assert ask("a?wait=5", "Prefer: wait=25").wait == 5
        assert ask("a?wait=0").wait == 0

    def test_the_settings_bound_it(self) -> None:
        settings = Settings(default_wait=10, max_wait=20)
        assert ask("a", settings=settings).wait == 10
        assert ask("a?wait=60", settings=settings).wait == 20

    def test_it_is_known_whether_the_request_says_how_long(self) -> None:
        assert [ask(target).says_wait for target in ("a", "a?wait=3")] == [False, True]

    def test_minimal_is_a_preference(self) -> None:
        assert ask("a", "Prefer: return=minimal, wait=1").minimal
        assert not ask("a").minimal


def test_parameters_that_nobody_knows_are_nobodys_business() -> None:
    assert ask("a?_=123&since=now&utm=x").since("a") == Now()


def test_a_vector_says_where_in_each_topic() -> None:
    asked = ask("a,b,x=y,c?since=a=k.1,x=y=m.2,other=z.9,b=nonsense")
    assert [asked.since(name) for name in asked.names] == [Cursor("k", 1), Unknown(), Cursor("m", 2), Now()]
    assert asked.names == ("a", "b", "x=y", "c")


@pytest.mark.parametrize("query", ["since=k3f9.4", "n=3", "since=a", "since==k.1", "since=//=k.1"])
def test_what_is_a_place_in_one_topic_is_none_in_several(query: str) -> None:
    with pytest.raises(BadRequest):
        ask(f"a,b?{query}")


def test_last_event_id_is_for_event_streams_and_wins() -> None:
    accept = "text/event-stream"
    asked = ask("a?since=earliest", f"Accept: {accept}", "Last-Event-ID: k.3")
    assert asked.since("a") == Cursor("k", 3)
    assert asked.resumes
    assert ask("a?since=earliest", "Last-Event-ID: k.3").since("a") == Earliest()
    assert ask("a", f"Accept: {accept}", "Last-Event-ID: nonsense").since("a") == Unknown()
    several = ask("a,b,c", f"Accept: {accept}", "Last-Event-ID: a=k.1,b=nonsense")
    assert [several.since(name) for name in "abc"] == [Cursor("k", 1), Unknown(), Now()]


@pytest.mark.parametrize(("topics", "place"), [("a,b", "*"), ("a,*", "a=k.1")])
def test_a_last_event_id_that_names_no_place_in_a_topic_is_unknown_there(topics: str, place: str) -> None:
    """So the reader is told `reset`, where `now` would hide that something may be missing."""
    asked = ask(topics, "Accept: text/event-stream", f"Last-Event-ID: {place}")
    assert asked.since("b") == Unknown()
    assert ask(topics, "Accept: text/event-stream", "Last-Event-ID: now").since("b") == Now()


@pytest.mark.parametrize("field", ["Last-Event-ID: b=k.2", ""])
def test_a_vector_means_the_same_wherever_it_stands(field: str) -> None:
    """Topics that it does not have start at `now`."""
    query = "" if field else "since=b=k.2"
    for accept in ("text/event-stream", "application/x-ndjson"):
        asked = ask(f"a,b?{query}", f"Accept: {accept}", *([field] if field else []))
        assert [asked.since(name) for name in "ab"] == [Now(), Cursor("k", 2)]
    asked = ask("a,b?lastEventId=b=k.2", "Accept: text/event-stream")
    assert [asked.since(name) for name in "ab"] == [Now(), Cursor("k", 2)]


@PROPERTY
@given(
    garbage=st.text(st.characters(codec="latin-1", exclude_categories=["Cc"])),
    topics=st.sampled_from(["a", "a,b", "*"]),
)
def test_no_last_event_id_is_an_error(garbage: str, topics: str) -> None:
    ask(topics, "Accept: text/event-stream", f"Last-Event-ID: {garbage}")


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
