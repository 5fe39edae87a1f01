"""A topic ends: what each reader is told, and what a publisher may do then."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.core.patterns import MAX_MATCHES
from tests.properties import STORY
from tests.web.conftest import MakeSite
from tests.web.frames import CLOSE, frames, open_socket
from tests.web.harness import Site
from tests.web.posting import kept, post
from tests.web.transports import STREAMS, TRANSPORTS, EventSource, LongPoll, Ndjson, Reader, WebSocket


def end(site: Site, last: bytes | None = None, topic: str = "a") -> None:
    """End a topic, with a last message where there is one."""
    answer = site.ask("DELETE", f"/topics/{topic}") if last is None else site.post(f"/topics/{topic}?end", last)
    assert answer.status == 200, answer
    assert answer.json["ended"] is True


def reader_of(site: Site, transport: type[Reader], topics: str = "a", since: str = "now", **query: str) -> Reader:
    return transport(site, topics, since, **query).listen()


# One topic.


@pytest.mark.parametrize("last", [b"3", None])
def test_a_reader_gets_all_that_is_left_then_the_end(site: Site, transport: type[Reader], last: bytes | None) -> None:
    reader = reader_of(site, transport)
    post(site, 1, 2)
    end(site, last)
    reader.listen()
    assert reader.messages == [1, 2, 3][: 3 if last else 2]
    assert reader.story()[-1] == ("ended", True)
    assert reader.told("ended") == [True]
    assert reader.ended
    assert site.watchers("a") == 0


def test_a_reader_that_comes_late_gets_the_whole_of_what_is_kept(site: Site, transport: type[Reader]) -> None:
    kept(site, 1, 2)
    end(site, b"3")
    site.advance(29.0)
    reader = reader_of(site, transport, since="earliest")
    assert reader.story() == [("message", 1), ("message", 2), ("message", 3), ("ended", True)]
    site.advance(29.0)
    assert reader_of(site, transport, since="earliest").messages == [1, 2, 3], "it lingers after its last reader"


def test_a_reader_at_the_end_is_told_at_once(site: Site, transport: type[Reader]) -> None:
    kept(site, 1)
    end(site)
    reader = reader_of(site, transport)
    assert reader.story() == [("ended", True)]


def test_a_reader_from_another_life_is_told_of_that_and_of_the_end_once(site: Site, transport: type[Reader]) -> None:
    kept(site)
    end(site)
    reader = transport(site, since="nowhere.7").listen()
    assert reader.story() == [("reset", True), ("ended", True)]
    if isinstance(reader, EventSource):
        reader.connect()
        assert reader.listen().over, "its place is the end now"


def test_a_gathering_reader_is_not_kept_waiting_for_what_cannot_come(site: Site, transport: type[Reader]) -> None:
    reader = reader_of(site, transport, every="60")
    post(site, 1)
    assert reader.listen().messages == []
    end(site)
    site.advance(0.1)
    assert reader.listen().story() == [("message", 1), ("ended", True)]


def test_a_portion_before_the_end_does_not_say_that_it_ended(make_site: MakeSite, transport: type[Reader]) -> None:
    site = make_site(portion=1024)
    kept(site, *["x" * 700 for _ in range(4)])
    end(site)
    reader = reader_of(site, transport, since="earliest")
    assert len(reader.messages) == 4
    assert reader.story().index(("ended", True)) == 4


def test_a_slow_reader_is_given_the_end_when_it_has_caught_up(site: Site, stream: type[Reader]) -> None:
    reader = reader_of(site, stream)
    reader.stall()
    for _ in range(8):
        post(site, "x" * 40_000)
    end(site, b"8")
    site.advance(1.0)
    assert reader.drain().messages[-1] == 8
    assert reader.told("ended") == [True]
    assert site.watchers("a") == 0


def test_filters_do_not_hide_the_end(site: Site, transport: type[Reader]) -> None:
    kept(site, {"k": 1}, {"k": 1}, {"k": 1})
    end(site)
    for query in ({"limit": "1"}, {"key": "k"}, {"times": ""}):
        reader = reader_of(site, transport, since="earliest", **query)
        assert reader.told("ended") == [True]
        assert reader_of(site, transport, **query).story() == [("ended", True)]


def test_of_several_topics_a_filter_does_not_hide_the_end_of_one(site: Site, transport: type[Reader]) -> None:
    reader = reader_of(site, transport, "a,b", key="k")
    end(site)
    assert reader.listen().story() == [("ended", True)]


def test_nobody_who_waits_is_kept_and_all_are_told_once(site: Site) -> None:
    readers = [site.connect().get("/topics/a") for _ in range(300)]
    end(site)
    assert {client.next().body for client in readers} == {
        b'{"max":0,"saw":0,"delivering":0,"res":[],"next":"epoch000.0","ended":true}\n'
    }
    assert site.watchers("a") == 0


# What each transport says.


def test_a_poll_at_the_end_is_no_timeout(site: Site) -> None:
    kept(site, 1)
    end(site)
    expected = {"max": 1, "saw": 0, "delivering": 0, "res": [], "next": "epoch000.1", "ended": True}
    assert site.get("/topics/a?since=epoch000.1").json == expected
    assert site.get("/topics/a?since=epoch000.1&wait=0", Prefer="return=minimal").json == expected
    assert site.ask("HEAD", "/topics/a?since=epoch000.1", b"", Prefer="return=minimal").status == 200
    assert site.metrics()["slosh_timeouts_total"] == 0


def test_an_event_source_that_comes_back_is_stopped_by_204(site: Site) -> None:
    """WHATWG HTML §9.2.3: "HTTP 204 No Content responses tell the client to stop reconnecting"."""
    reader = reader_of(site, EventSource)
    end(site, b"1")
    assert reader.listen().ended
    assert not reader.over
    reader.connect()
    assert reader.listen().over
    for query in ("lastEventId=epoch000.1", "since=epoch000.1"):
        answer = site.get(f"/topics/a?format=sse&{query}")
        assert (answer.status, answer.body, answer["Slosh-Next"]) == (204, b"", "epoch000.1")


def test_an_event_source_that_was_cut_before_the_end_gets_what_is_left(site: Site) -> None:
    reader = reader_of(site, EventSource)
    post(site, 1)
    reader.cut()
    end(site, b"2")
    reader.connect()
    assert reader.listen().story() == [("message", 1), ("message", 2), ("ended", True)]


def test_the_event_is_named_end_and_has_the_place(site: Site) -> None:
    client = site.connect().get("/topics/a?format=sse")
    end(site, b"1")
    written = bytes(client.wire.arrived)
    assert b"event: end\ndata: {}\nid: epoch000.1\n\n" in written
    assert re.search(rb"\nretry: [2-4]..\n\r\n0\r\n\r\n$", written), "it comes back soon, while the topic lingers"
    assert client.served()


def test_a_websocket_is_closed_with_1000(site: Site) -> None:
    client = open_socket(site)
    end(site, b"1")
    *_, (opcode, payload) = frames(client)
    assert (opcode, payload) == (CLOSE, (1000).to_bytes(2, "big"))


def test_the_last_line_of_ndjson_says_so(site: Site) -> None:
    reader = reader_of(site, Ndjson)
    end(site, b"1")
    assert reader.listen().over


# Publishers.


def test_the_answer_to_an_end(site: Site) -> None:
    site.connect().get("/topics/a")
    answer = site.post("/topics/a?end", b"1")
    assert answer.body == b'{"max":1,"next":"epoch000.1","watchers":1,"ended":true}\n'
    assert answer["Slosh-Watchers"] == "1"
    site.connect().get("/topics/b")
    assert site.post("/topics/b?end&batch=ndjson", b"1\n2\n").json["accepted"] == 2


def test_what_comes_after_the_end_is_409_and_changes_nothing(site: Site) -> None:
    kept(site, 1)
    end(site)
    for target in ("/topics/a", "/topics/a?end", "/topics/a?open", "/topics/a?batch=ndjson"):
        answer = site.post(target, b"2")
        assert (answer.status, answer.code) == (409, "ended")
    assert site.get("/topics/a?since=earliest").json["res"] == [1]
    assert site.refused("ended") == 4


def test_a_delete_may_be_repeated(site: Site) -> None:
    """RFC 9110 §9.2.2."""
    kept(site, 1)
    answers = [site.ask("DELETE", "/topics/a") for _ in range(2)]
    assert [answer.json for answer in answers] == [{"max": 1, "next": "epoch000.1", "watchers": 0, "ended": True}] * 2
    assert site.metrics()["slosh_finished_topics_total"] == 1


def test_the_name_is_free_again_after_linger(site: Site) -> None:
    kept(site, 1)
    end(site)
    site.advance(30.5)
    assert site.post("/topics/a", b"2").code == "no_watchers"
    answer = site.get("/topics/a?wait=0")
    assert answer.json == {"max": 0, "saw": 0, "delivering": 0, "res": [], "next": "epoch001.0", "timeout": True}
    assert site.post("/topics/a", b"2").status == 200


def test_what_is_not_active_cannot_end(site: Site) -> None:
    assert (site.ask("DELETE", "/topics/a").status, site.post("/topics/a?end", b"1").status) == (404, 404)
    assert len(site.hub) == 0


def test_with_keep_a_last_message_is_kept_too(make_site: MakeSite) -> None:
    site = make_site(unwatched="keep")
    assert site.ask("DELETE", "/topics/a").status == 404
    assert site.post("/topics/a?end", b"1").status == 200
    assert site.post("/topics/a", b"2").code == "ended"
    site.advance(29.0)
    assert site.post("/topics/a", b"2").code == "ended"
    site.advance(2.0)
    assert site.post("/topics/a", b"2").status == 200, "what is refused does not let it linger on"


@pytest.mark.parametrize(
    ("method", "target", "body", "code"),
    [
        ("POST", "/topics/a?end", b"", "bad_json"),
        ("POST", "/topics/a?end", b"{", "bad_json"),
        ("POST", "/topics/a?end", b'"' + b"x" * 2_000_000 + b'"', "too_large"),
        ("POST", "/topics/a?end&batch=ndjson", b"1\n{", "bad_json"),
        ("POST", "/topics/a?end&batch=ndjson", b"", "bad_json"),
        ("POST", "/topics/a?end=no", b"1", "bad_query"),
        ("POST", "/topics/a,b?end", b"1", "bad_topic"),
        ("POST", "/topics/*?end", b"1", "bad_topic"),
        ("DELETE", "/topics/a,b", b"", "bad_topic"),
        ("DELETE", "/topics/**", b"", "bad_topic"),
        ("DELETE", "/topics/a", b"1", "bad_request"),
    ],
)
def test_what_is_refused_has_not_ended_the_topic(site: Site, method: str, target: str, body: bytes, code: str) -> None:
    kept(site, 1)
    answer = site.ask(method, target, body)
    assert answer.code == code
    post(site, 2)
    assert "ended" not in site.get("/topics/a?since=earliest").json


def test_a_delete_of_a_foreign_page_is_refused(site: Site) -> None:
    kept(site, 1)
    assert site.ask("DELETE", "/topics/a", Origin="https://elsewhere.example").code == "foreign_origin"
    post(site, 2)


def test_an_end_that_comes_again_with_its_key_is_answered_again(site: Site) -> None:
    kept(site)
    first = site.post("/topics/a?end", b"1", Idempotency_Key="k")
    again = site.post("/topics/a?end", b"1", Idempotency_Key="k")
    assert (again.body, again["Idempotent-Replayed"]) == (first.body, "true")


def test_an_end_with_the_key_of_a_message_does_not_say_that_the_topic_has_ended(site: Site) -> None:
    kept(site)
    first = site.post("/topics/a", b"1", Idempotency_Key="k")
    by_post = site.post("/topics/a?end", b'"last"', Idempotency_Key="k")
    by_delete = site.ask("DELETE", "/topics/a", Idempotency_Key="k")
    assert [(each.body, each["Idempotent-Replayed"]) for each in (by_post, by_delete)] == [(first.body, "true")] * 2
    post(site, 2)


def test_a_message_with_the_key_of_an_end_is_answered_that_the_topic_has_ended(site: Site) -> None:
    kept(site)
    first = site.ask("DELETE", "/topics/a", Idempotency_Key="k")
    again = site.post("/topics/a", b"1", Idempotency_Key="k")
    assert (again.body, again["Idempotent-Replayed"]) == (first.body, "true")


def test_a_publisher_on_a_websocket_is_told(site: Site) -> None:
    reader = reader_of(site, WebSocket)
    assert reader.client is not None
    end(site)
    assert reader.listen().ended


# Opening.


@pytest.mark.parametrize(
    ("query", "body", "newest"), [("open", b"", 0), ("open", b"1", 1), ("open&batch=ndjson", b"1\n2\n", 2)]
)
def test_a_producer_may_begin_first(site: Site, query: str, body: bytes, newest: int) -> None:
    answer = site.post(f"/topics/a?{query}", body)
    assert (answer.status, answer.json["max"], answer.json["next"]) == (200, newest, f"epoch000.{newest}")
    post(site, 9)
    assert site.get("/topics/a?since=earliest").json["res"] == [*range(1, newest + 1), 9]
    assert site.metrics()["slosh_opened_topics_total"] == 1


def test_a_producer_that_is_never_read_learns_it(site: Site) -> None:
    site.post("/topics/a?open", b"")
    site.advance(29.0)
    post(site, 1)
    site.advance(1.5)
    assert site.post("/topics/a", b"2").code == "no_watchers"


def test_open_and_end_in_one_step(site: Site) -> None:
    assert site.post("/topics/a?open&end", b"1").json["ended"] is True
    assert site.get("/topics/a?since=earliest").json["ended"] is True
    assert site.post("/topics/b?open&end", b"").code == "bad_json"
    assert site.post("/topics/b", b"1").code == "no_watchers", "it was not opened"


def test_opened_topics_are_bounded_and_what_is_refused_is_counted(make_site: MakeSite) -> None:
    site = make_site(max_topics=3, max_topics_per_address=2)
    answers = [site.post(f"/topics/{name}?open", b"1") for name in "abc"]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert (answers[2].code, site.refused("share_used_up")) == ("share_used_up", 1)
    elsewhere = ("192.0.2.9", 1)
    for name, status in (("d", 200), ("e", 503)):
        client = site.connect(elsewhere).post(f"/topics/{name}?open", b"1")
        assert client.next().status == status
    assert site.refused("too_many_topics") == 1
    site.advance(31.0)
    assert site.post("/topics/c?open", b"1").status == 200, "what was opened counts as long as it lingers"


def test_what_there_is_no_memory_for_opens_and_ends_nothing(make_site: MakeSite) -> None:
    site = make_site(max_bytes=1_048_576, max_message=1_000_000, queue_bytes=1_048_576)
    site.connect().get("/topics/w")
    site.connect().get("/topics/a")
    assert site.post("/topics/w", b'"' + b"x" * 900_000 + b'"').status == 200
    site.connect().get("/topics/w?since=now")  # so that its ring is not cut
    large = b'"' + b"y" * 500_000 + b'"'
    assert site.post("/topics/b?open", large).code == "memory"
    assert site.post("/topics/b", b"1").code == "no_watchers"
    assert site.post("/topics/a?end", large).code == "memory"
    post(site, 1)
    assert "ended" not in site.get("/topics/a?since=earliest").json


@pytest.mark.parametrize(
    ("query", "body", "newest"),
    [("open", b"", 0), ("open", b"1", 1), ("open&batch=ndjson", b"1\n2\n", 2), ("open&end", b"1", 1)],
)
def test_where_messages_are_kept_anyway_a_producer_may_open_all_the_same(
    make_site: MakeSite, query: str, body: bytes, newest: int
) -> None:
    site = make_site(topics={"kept": {"unwatched": "keep"}})
    for topic in ("kept", "other"):
        answer = site.post(f"/topics/{topic}?{query}", body)
        assert (answer.status, answer.json["max"]) == (200, newest)
        assert len(site.get(f"/topics/{topic}?since=earliest&wait=0").json["res"]) == newest


# Several topics, and patterns.


def test_a_topic_that_ended_leaves_the_vector_and_the_others_go_on(site: Site, transport: type[Reader]) -> None:
    reader = reader_of(site, transport, "a,b")
    post(site, 1)
    end(site)
    assert reader.listen().story("a") == [("message", 1), ("ended", True)]
    assert reader.place.startswith("b=epoch")
    assert "," not in reader.place
    assert not reader.over
    post(site, 2, topic="b")
    assert reader.listen().story("b") == [("message", 2)]
    assert reader.told("ended") == [True], "told once"
    reader.cut()
    reader.connect()
    post(site, 3, topic="b")
    end(site, topic="b")
    assert reader.listen().story("b") == [("message", 2), ("message", 3), ("ended", True)]
    assert reader.told("ended") == [True]
    assert reader.ended
    assert site.watchers("a") == site.watchers("b") == 0


def test_when_all_have_ended_the_last_place_is_the_end(site: Site, transport: type[Reader]) -> None:
    reader = reader_of(site, transport, "a,b")
    end(site)
    end(site, topic="b")
    assert reader.listen().ended
    assert (reader.told("ended"), reader.told("ended", "b")) == ([True], [True])
    reader.connect()
    if isinstance(reader, EventSource):
        assert reader.listen().over
    else:
        assert reader.listen().told("ended", "b") == [True, True], "asked again, and answered again"
        assert reader.told("ended") == [True]


def test_a_topic_that_a_reader_has_left_does_not_linger_for_it(site: Site, transport: type[Reader]) -> None:
    reader = reader_of(site, transport, "a,b")
    end(site)
    for number in range(8):
        site.advance(10.0)
        post(site, number, topic="b")
        reader.listen()
    assert site.hub.find("a", site.loop.time()) is None or site.get("/topics/a?since=earliest&wait=0").json["max"] == 0


def test_a_pattern_reader_goes_on_and_is_told_once(site: Site, transport: type[Reader]) -> None:
    reader = reader_of(site, transport, "gen/*", since="*")
    kept(site, 1, topic="gen/1")
    end(site, b"2", topic="gen/1")
    kept(site, 3, topic="gen/2")
    assert reader.listen().story("gen/1") == [("message", 1), ("message", 2), ("ended", True)]
    assert reader.story("gen/2") == [("message", 3)]
    assert not reader.ended
    for _ in range(2):
        reader.cut()
        reader.connect()
        reader.listen()
    assert reader.told("message", "gen/1") == [1, 2]
    assert reader.told("ended", "gen/1") == [True]
    site.advance(31.0)
    kept(site, 4, topic="gen/1")
    assert reader.listen().story("gen/1")[3:] == [("message", 4)], "a new life is new as a whole, and no reset"


@pytest.mark.parametrize("topics", ["job,q/**", "q/**,job"])
def test_a_reader_of_a_name_and_a_pattern_is_told_of_its_end_once(
    site: Site, transport: type[Reader], topics: str
) -> None:
    """The pattern does not take the name in. When the topic lingers no more, a new life of it is new as a whole."""
    kept(site, 1, 2, topic="job")
    end(site, b"3", topic="job")
    life = site.hub.find("job", site.loop.time())
    reader = reader_of(site, transport, topics, since="earliest")
    for number in range(5):
        reader.listen()
        site.advance(5.0)
        reader.cut()
        reader.connect()
        kept(site, number, topic="q/1")
        assert reader.listen().story("job") == [*(("message", each) for each in (1, 2, 3)), ("ended", True)]
        assert reader.told("message", "q/1") == list(range(number + 1))
    assert ",job=" in reader.place
    assert site.hub.find("job", site.loop.time()) is life
    site.advance(10.0)
    assert site.hub.find("job", site.loop.time()) is not life, "a reader that has left it does not let it linger"
    reader.cut()
    reader.connect()
    kept(site, 4, topic="job")
    assert reader.listen().story("job")[4:] == [("message", 4)]


def test_a_reader_that_names_what_its_patterns_took_in_is_given_nothing_twice(
    site: Site, transport: type[Reader]
) -> None:
    """The place that it had as a reader of patterns is good for names too."""
    for topic in ("a", "b"):
        kept(site, 1, topic=topic)
        end(site, topic=topic)
    reader = reader_of(site, transport, "*", since="earliest")
    assert reader.messages == [1, 1]
    reader.cut()
    reader.topics = "a,b"
    reader.connect()
    assert reader.listen().messages == [1, 1]
    assert reader.over or isinstance(reader, EventSource)


def test_an_end_in_a_vector_of_what_was_not_asked_for_means_nothing(site: Site, transport: type[Reader]) -> None:
    """Whether it may be read was not looked at: it is not read, however much there is, nor told whether it lingers."""
    kept(site, "of another", topic="secret")
    life = site.hub.find("secret", site.loop.time())
    assert life is not None
    kept(site, topic="open/0")
    for most in (1, MAX_MATCHES + 1):
        for number in range(most):
            kept(site, topic=f"open/{number}")
        for epoch in (life.epoch, "epoch999"):
            reader = transport(site, "open/*", since=f"*,secret={epoch}.end").listen()
            post(site, "and more", topic="secret")
            post(site, "open", topic="open/0")
            assert set(reader.listen().messages) == {"open"}
            assert "secret" not in reader.place


@pytest.mark.parametrize("transport", TRANSPORTS, ids=lambda each: each.__name__.lower())
def test_a_pattern_reader_forgets_what_is_gone(site: Site, transport: type[Reader]) -> None:
    """A stream too, which asks once and is told of all that come after."""
    reader = reader_of(site, transport, "gen/*", since="*")
    for number in range(80):
        kept(site, number, topic=f"gen/{number}")
        end(site, topic=f"gen/{number}")
        reader.listen()
        site.advance(1.0)
    assert len(reader.messages) == 80
    assert reader.place.count("=") < 40
    assert len(site.hub) < 40


@STORY
@given(data=st.data(), transport=st.sampled_from(TRANSPORTS), topics=st.sampled_from(["a", "a,b", "a,*", "a,q/**"]))
def test_wherever_a_reader_is_cut_nothing_is_lost_or_doubled_and_it_hears_of_the_end(
    data: st.DataObject, transport: type[Reader], topics: str
) -> None:
    site = Site()
    try:
        reader = transport(site, topics, since="earliest" if "*" not in topics else "*").listen()
        for number in range(data.draw(st.integers(0, 4))):
            post(site, number)
        is_last = data.draw(st.booleans())
        end(site, b"9" if is_last else None)
        sent = site.get("/topics/a?since=earliest").json["res"]
        for _ in range(data.draw(st.integers(1, 3))):
            if reader.client is None:
                reader.connect()
            waiting = len(reader.client.wire.arrived) if reader.client is not None else 0
            reader.cut(data.draw(st.integers(0, waiting)))
        if not reader.over:
            reader.connect()
            reader.listen()
        assert reader.told("message") == sent
        assert reader.over or reader.told("ended")
        assert not reader.told("reset")
    finally:
        site.close()


def test_all_transports_are_here() -> None:
    assert {*STREAMS, LongPoll} == set(TRANSPORTS)
