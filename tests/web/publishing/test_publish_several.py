"""POST to several topics: all lines are checked before anything is stored, and each topic has its own answer."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slosh.engine.base import Published
from slosh.errors import EngineUnreachable, SloshError
from slosh.web.jsontext import check_json
from slosh.web.publishing.checking import Checking
from slosh.web.publishing.publish_several import BESIDE, take_apart, take_out
from tests.cases import each_of
from tests.properties import PROPERTY, STORY
from tests.web.conftest import MakeSite
from tests.web.harness import Response, Site, SiteEngine
from tests.web.posting import kept
from tests.web.test_portions import slow_down, turn


def lines(*pairs: tuple[object, object]) -> bytes:
    return b"".join(json.dumps({"topic": topic, "message": message}).encode() + b"\n" for topic, message in pairs)


def publish(site: Site, *pairs: tuple[object, object], **fields: str) -> Response:
    return site.post("/topics", lines(*pairs), **fields)


def kept_in(site: Site, topic: str) -> list[object]:
    found: list[object] = site.get(f"/topics/{topic}?since=earliest&wait=0").json["res"]
    return found


def test_each_topic_gets_its_messages_in_the_order_of_the_lines(site: Site) -> None:
    kept(site, topic="a")
    kept(site, topic="b")
    answer = publish(site, ("a", 1), ("b", 2), ("c", 3), ("a", 4), ("c", 5), ("c", 6))
    assert answer.status == 200
    assert answer.json == {
        "accepted": 3,
        "topics": {
            "a": {"max": 2, "next": "epoch000.2", "watchers": 0},
            "b": {"max": 1, "next": "epoch001.1", "watchers": 0},
        },
        "refused": {"c": {"code": "no_watchers", "count": 3}},
    }
    assert (kept_in(site, "a"), kept_in(site, "b")) == ([1, 4], [2])


def test_a_message_keeps_its_letters(site: Site) -> None:
    kept(site)
    site.post("/topics", b'{"topic": "a", "message" :  { "z":1.0,"a" : 1e999, "z":"\\ud83d" } , "time":7}\n')
    assert b'"res":[{ "z":1.0,"a" : 1e999, "z":"\\ud83d" }]' in site.get("/topics/a?since=earliest").body


@each_of(
    ("line", "code"),
    [
        (b"{", "bad_json"),
        (b"1", "bad_json"),
        (b'["a", 1]', "bad_json"),
        (b'{"topic":"a"}', "bad_json"),
        (b'{"message":1}', "bad_json"),
        (b'{"topic":1,"message":1}', "bad_json"),
        (b'{"topic":"a","message":NaN}', "bad_json"),
        (b'{"topic":"a","message":' + b"[" * 2000 + b"]" * 2000 + b"}", "bad_json"),
        (b'{"topic":"a","message":"\xff"}', "bad_json"),
        (b'{"topic":"a,b","message":1}', "bad_topic"),
        (b'{"topic":"*","message":1}', "bad_topic"),
        (b'{"topic":"","message":1}', "bad_topic"),
        (b'{"topic":"a\\ud83d","message":1}', "bad_topic"),
        (b'{"topic":"a","message":"' + b"x" * 1_048_576 + b'"}', "too_large"),
        (b'{"topic":"a","message":1,"more":"' + b"x" * 2_000_000 + b'"}', "too_large"),
    ],
)
def test_a_line_that_is_not_valid_refuses_the_whole(site: Site, line: bytes, code: str) -> None:
    kept(site)
    answer = site.post("/topics", lines(("a", 1)) + line + b"\n" + lines(("a", 2)))
    assert answer.code == code
    assert "Line 2" in answer.json["detail"]
    assert kept_in(site, "a") == []


@pytest.mark.parametrize("body", [b"", b"\n \n"])
def test_an_empty_batch_is_none(site: Site, body: bytes) -> None:
    assert site.post("/topics", body).code == "bad_json"


@pytest.mark.parametrize("query", ["end", "open", "batch=csv"])
def test_what_is_for_one_topic_is_refused(site: Site, query: str) -> None:
    kept(site)
    answer = site.post(f"/topics?{query}", lines(("a", 1)))
    assert (answer.status, answer.code) == (400, "bad_query")
    assert kept_in(site, "a") == []
    assert "Slosh-Ignored" not in answer, "what is refused is not ignored"
    assert "empty" not in answer.json["detail"], "a flag has no value"


def test_what_stands_beside_the_message_of_a_line_has_a_bound(site: Site) -> None:
    """Else each line could be as long as the largest message of all."""
    kept(site)

    def line(size: int) -> bytes:
        before, after = b'{"topic":"a","message":1,"x":"', b'"}\n'
        return before + b"y" * (size + 1 - len(before) - len(after) + 1) + after

    assert site.post("/topics", line(4096)).status == 200
    refused = site.post("/topics", line(4097))
    assert (refused.status, refused.code, refused.json["limit"]) == (413, "too_large", 4096)
    assert refused.json["detail"] == "Line 1 has 4097 bytes beside its message, and may have 4096."
    assert kept_in(site, "a") == [1]


def test_a_batch_too_long_is_refused(make_site: MakeSite) -> None:
    site = make_site(max_batch=2)
    refused = publish(site, ("a", 1), ("a", 2), ("a", 3))
    assert refused.code == "too_large"
    assert refused.json["detail"] == "A batch has at most 2 lines (max_batch), and this one has 3."


def test_a_line_that_is_too_large_is_told_with_its_size(make_site: MakeSite) -> None:
    site = make_site(max_message=10, max_body=65536)
    kept(site)
    message = publish(site, ("a", 1), ("a", 12345678901))
    assert message.json["detail"] == "Line 2 has a message of 11 bytes, and it may have 10 (max_message)."
    line = site.post("/topics", b'{"topic":"a","message":%b}\n' % (b"1" * 5000))
    assert line.json["detail"] == "Line 1 has 5024 bytes, and may have 4106 (max_message, and 4096)."
    batch = site.post("/topics/a?batch=ndjson", b"1\n12345678901\n")
    assert batch.json["detail"] == "Line 2 has 11 bytes, and a message may have 10 (max_message)."


def test_what_has_ended_is_refused_and_the_others_are_taken(site: Site) -> None:
    kept(site, topic="a")
    kept(site, topic="b")
    site.ask("DELETE", "/topics/a")
    answer = publish(site, ("a", 1), ("b", 2)).json
    assert (answer["accepted"], answer["refused"]) == (1, {"a": {"code": "ended", "count": 1}})


def test_with_keep_each_topic_counts_for_the_client(make_site: MakeSite) -> None:
    site = make_site(unwatched="keep", max_topics_per_address=2)
    answer = publish(site, ("a", 1), ("b", 2), ("c", 3)).json
    assert answer["accepted"] == 2
    assert answer["refused"] == {"c": {"code": "share_used_up", "count": 1}}


def test_readers_of_patterns_are_given_what_is_created(site: Site) -> None:
    reader = site.connect().get("/topics/house/*?since=*")
    assert publish(site, ("house/a", 1), ("house/b", 2), ("garden", 3)).json["accepted"] == 2
    assert set(reader.next().json["topics"]) == {"house/a", "house/b"}


def test_a_key_covers_all_topics(site: Site) -> None:
    kept(site, topic="a")
    kept(site, topic="b")
    first = publish(site, ("a", 1), ("b", 2), Idempotency_Key="k")
    again = publish(site, ("a", 1), ("b", 2), Idempotency_Key="k")
    assert (again.body, again["Idempotent-Replayed"]) == (first.body, "true")
    assert (kept_in(site, "a"), kept_in(site, "b")) == ([1], [2])
    assert "Idempotent-Replayed" not in site.post("/topics/a", b"3", Idempotency_Key="k"), "a key of another kind"


def test_pages_of_a_foreign_origin_may_not(site: Site) -> None:
    kept(site)
    assert publish(site, ("a", 1), Origin="https://elsewhere.example").code == "foreign_origin"
    assert "POST" in site.ask("OPTIONS", "/topics")["Allow"]


def test_very_many_lines_and_topics_do_not_hold_the_others_up(site: Site) -> None:
    client = site.connect().get("/topics/*?since=*")
    client.reset()
    pairs = [(f"t{number}", number) for number in range(1000)]
    body = lines(*pairs)
    turns = 0

    def turn() -> None:
        nonlocal turns
        turns += 1
        if turns < 10_000 and publisher.silent():
            site.loop.call_soon(turn)

    publisher = site.connect()
    site.loop.call_soon(turn)
    publisher.post("/topics", body)
    assert publisher.next().json["refused"]["t999"] == {"code": "no_watchers", "count": 1}
    assert turns > 16, "other work had its turn between the portions"


def test_an_engine_that_answers_later_is_waited_for(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(SiteEngine, "publish", lambda _, *publish: asked.append(publish))
    client = site.connect().post("/topics", lines(("a", 1), ("b", 2)))
    assert client.silent()
    for publish_, outcome in zip(asked, (Published("k3f9", 4, 1), EngineUnreachable("It is away.")), strict=True):
        publish_[3](outcome)  # `done`
    assert client.next().json == {
        "accepted": 1,
        "topics": {"a": {"max": 4, "next": "k3f9.4", "watchers": 1}},
        "refused": {"b": {"code": "engine_unreachable", "count": 1}},
    }


def test_a_client_that_vanishes_while_its_lines_are_checked_has_stored_nothing(site: Site) -> None:
    slow_down(site)
    kept(site)
    client = site.connect()
    body = lines(*[("a", "x" * 1000) for _ in range(1000)])
    head = b"POST /topics HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
    client.connection.data_received(head + body)
    turn(site)
    assert isinstance(client.connection._exchange, Checking), "it is begun, and has more than one turn's work"
    client.reset()
    site.loop.settle()  # else the rest would not have been looked at yet
    assert kept_in(site, "a") == []


@STORY
@given(pairs=st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 9)), min_size=1, max_size=30))
def test_it_says_what_posts_one_by_one_would(pairs: list[tuple[str, int]]) -> None:
    together, apart = Site(), Site()
    try:
        for topic in "ab":
            kept(together, topic=topic)
            kept(apart, topic=topic)
        answer = publish(together, *pairs).json
        taken = [apart.post(f"/topics/{topic}", b"%d" % message).status == 200 for topic, message in pairs]
        assert answer["accepted"] == sum(taken)
        assert sum(refused["count"] for refused in answer["refused"].values()) == len(pairs) - sum(taken)
        for topic in "ab":
            assert kept_in(together, topic) == kept_in(apart, topic)
    finally:
        together.close()
        apart.close()


def judge_line(line: bytes) -> tuple[str, bytes] | str:
    """What a line says when its message is checked in portions, or the code of the mistake in it."""
    try:
        name, checking = take_out(line, DEPTH)
        if checking is None or len(line) - len(checking.value) > BESIDE:
            return "too_large"
        while not checking.go_on():
            pass
    except SloshError as error:
        return error.code
    return (name, checking.value) if name else "bad_json"


def judge_whole_line(line: bytes) -> tuple[str, bytes] | str:
    try:
        name, message = take_apart(check_json(line, DEPTH + 1))
        check_json(message, DEPTH)
    except SloshError as error:
        return error.code
    return (name, message) if len(line) - len(message) <= BESIDE else "too_large"


DEPTH = 12
MEMBERS = st.lists(
    st.tuples(
        st.sampled_from(["topic", "message", "other", "", 'a"b', "back\\slash", "{", "é"]),
        st.sampled_from(
            ['"a"', '"b/c"', '"\\u0061"', "0", "1", '"}, \\"topic\\": 1"', "[1, {}]", '"x\\\\"', '"\\ud83d"']
        ),
    ),
    max_size=3,
)
LONG_VALUES = st.sampled_from(
    [
        '"%s"' % ("x" * 9000),
        "[%s]" % ("1, " * 4000 + "2"),
        '{"message": [%s]}' % ('{"topic":"t"},' * 900 + "1"),
        "[%s]" % ('"\\\\", ' * 1500 + "3"),
        '"%s"' % ('\\"' * 5000),
        '"%s"' % ("\\\\" * 5000),
        '"\\ud83d%s"' % ("," * 9000),
        "1" * 9000,
        "[" * 13 + " " * 9000 + "]" * 13,
        "0%s" % (" " * 9000),
    ]
)


@settings(PROPERTY, max_examples=400)
@given(
    MEMBERS,
    st.sampled_from(["message", "mess\\u0061ge", "other"]),
    LONG_VALUES,
    MEMBERS,
    st.sampled_from(["", " ", "\r", "\t "]),
    st.none() | st.tuples(st.integers(-30, 30), st.sampled_from(['"', "}", "]", ",", ":", "\\", "{", "x", ""])),
)
def test_a_long_line_is_judged_as_the_whole(
    before: list[tuple[str, str]],
    name: str,
    value: str,
    behind: list[tuple[str, str]],
    space: str,
    edit: tuple[int, str] | None,
) -> None:
    """Also one in which a byte near either end is another."""
    members = [*((json.dumps(each), text) for each, text in before), (f'"{name}"', value)]
    members += ((json.dumps(each), text) for each, text in behind)
    inside = f"{space},{space}".join(f"{each}{space}:{space}{text}" for each, text in members)
    line = f"{space}{{{inside}}}{space}".encode()
    if edit is not None:
        at = edit[0] % len(line)
        line = line[:at] + edit[1].encode() + line[at + 1 :]
    found, expected = judge_line(line), judge_whole_line(line)
    if isinstance(expected, str):  # With two mistakes it is told either.
        assert isinstance(found, str)
    else:
        assert found == expected


def test_a_long_line_has_one_long_member_which_is_the_message() -> None:
    long = b'"%b"' % (b"x" * 9000)
    assert take_out(b'{"other":%b,"message":0,"topic":"a"}' % long, DEPTH) == ("a", None)
    assert take_out(b'{"message":0,"topic":"a","other":%b}' % long, DEPTH) == ("a", None)
    assert take_out(b'{"message":%b,"topic":"a","message":0}' % long, DEPTH) == ("a", None)


@each_of("space", [b"", b" "])
@each_of("inside", [b"\\\\" * 5000, b'\\"' * 5000, b"\\\\" * 5000 + b'\\"'])
def test_a_long_message_may_end_with_very_many_backslashes(space: bytes, inside: bytes) -> None:
    message = b'"%b"' % inside
    name, text = take_out(b'{"message":%b,%b"topic":"a"}' % (message, space), DEPTH)
    assert text is not None
    assert (name, text.value) == ("a", message)


def test_of_a_long_line_it_is_told_what_is_wrong(site: Site) -> None:
    kept(site)
    long = b'"%b"' % (b"x" * 300_000)
    for line, code, word in (
        (b'{"message":%b,"topic":"a","other":%b}' % (long, long), "too_large", "beside"),
        (b'{"message":%b,"topic":"a","message":1}' % long, "too_large", "beside"),
        (b'{"message":%b}' % long, "bad_json", "no object with a topic"),
        (b'{"topic":"a","other":%b}' % long, "bad_json", "no object with a topic"),
        (b"[%b]" % long, "bad_json", "no object with a topic"),
        (b'{"message":%b,"topic":"a*"}' % long, "bad_topic", "Line 1"),
        (b'{"message":%b,"topic":"a",}' % long, "bad_json", "No comma stands before a closing bracket"),
        (b'{"topic":"a","message":[%b}' % long, "bad_json", "Line 1"),
    ):
        answer = site.post("/topics", line)
        assert answer.code == code, line[:20] + line[-20:]
        assert word in answer.json["detail"]
    assert kept_in(site, "a") == []
