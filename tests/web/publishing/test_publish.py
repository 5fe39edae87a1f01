"""POST to a topic: one JSON value, whatever the Content-Type says, and the mailbox rule."""

import json
from typing import Any

import pytest

from slosh.engine.base import Published
from slosh.errors import NoWatchers
from tests.cases import each_of
from tests.web.conftest import MakeSite
from tests.web.harness import Site, SiteEngine, request


@pytest.fixture
def watched(site: Site) -> Site:
    """A site on which somebody has just looked at topic a."""
    site.get("/topics/a?wait=0")
    return site


def test_a_message_nobody_watches_is_not_taken(site: Site) -> None:
    """The mailbox rule: the producer learns that it may stop working."""
    answer = site.post("/topics/a", b"1")
    assert (answer.status, answer.code, answer["Slosh-Watchers"]) == (404, "no_watchers", "0")
    assert len(site.hub) == 0
    assert site.get("/topics/a?since=earliest&wait=0").json["max"] == 0
    assert site.refused("no_watchers") == 1


def test_with_keep_a_message_creates_its_topic(make_site: MakeSite) -> None:
    site = make_site(unwatched="keep", linger=10)
    assert site.post("/topics/a", b"1").json == {"max": 1, "next": "epoch000.1", "watchers": 0}
    assert site.get("/topics/a?since=earliest").json["res"] == [1]
    site.advance(11)
    assert site.post("/topics/a", b"2").json["next"] == "epoch001.1"


def test_the_answer_says_the_offset_the_cursor_and_who_watches(watched: Site) -> None:
    assert watched.post("/topics/a", b"1").json == {"max": 1, "next": "epoch000.1", "watchers": 0}
    for _ in range(2):
        watched.connect().get("/topics/a")
    answer = watched.post("/topics/a", b"1")
    assert answer.json == {"max": 2, "next": "epoch000.2", "watchers": 2}
    assert answer["Slosh-Watchers"] == "2"
    assert answer["Content-Type"] == "application/json"
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "message",
    [
        *("{}", "[]", '""', "0", "-1.5e-7", "true", "false", "null", "[1,[2,{}]]", '"Zürich 東京 🎈"', '{"a":1,"a":2}'),
        *("1" + "0" * 400, "0.1000000000000000055511151231257827", "1e999999", "9007199254740993", "1" * 50_000),
        '"\\ud83c\\udf88 \\u0000 \\/"',
    ],
)
def test_every_kind_of_json_comes_out_as_the_bytes_that_went_in(watched: Site, message: str) -> None:
    """No key is moved and no number rounded, also where a double could not hold it."""
    body = message.encode()
    assert watched.post("/topics/a", b"\r\n\t " + body + b" \n").status == 200
    answer = watched.get("/topics/a?since=earliest")
    assert answer.body == b'{"max":1,"saw":1,"delivering":1,"res":[' + body + b'],"next":"epoch000.1"}\n'


def test_an_array_is_one_message(watched: Site) -> None:
    watched.post("/topics/a", b"[1,2,3]")
    assert watched.get("/topics/a?since=earliest").json["res"] == [[1, 2, 3]]


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "application/json",
        "application/x-www-form-urlencoded",
        "text/plain; charset=latin-1",
        "image/png",
        "nonsense",
    ],
)
def test_the_content_type_means_nothing(watched: Site, kind: str) -> None:
    """`curl -d` sends application/x-www-form-urlencoded."""
    fields = {"Content-Type": kind} if kind else {}
    assert watched.post("/topics/a", '{"é":1}'.encode(), **fields).status == 200


@each_of(
    ("body", "position"),
    [
        (b"", 0),
        (b" \n", None),
        (b"{", 1),
        (b'{"a":1', 6),
        (b"{'a':1}", 1),
        (b"  [1,]", 5),
        (b"1 2", None),
        (b"1}", None),
        (b"nul", None),
        (b"NaN", 0),
        (b"[Infinity]", 1),
        (b"-Infinity", None),
        (b"01", None),
        (b"+1", 0),
        (b"1.", None),
        (b'"a\x01b"', None),
        (b'"\\x"', None),
        (b'"a\xff"', 2),
        (b'"\xc3"', None),
        (b'"\xed\xa0\x80"', 1),
        (b"\xef\xbb\xbf1", 0),
        ("1".encode("utf-16"), 0),
        (b"// comment\n1", 0),
        (b"--boundary\r\nContent-Disposition: form-data", None),
        (b"a=1&b=2", 0),
        (b"[" * 513 + b"]" * 513, None),
        (b"[" * 100_000, None),
        (b'{"a":' * 100_000, None),
    ],
)
def test_what_is_no_json_is_refused_with_its_position_and_not_stored(
    watched: Site, body: bytes, position: int | None
) -> None:
    client = watched.connect().send(request("POST", "/topics/a", Content_Length=str(len(body))) + body)
    answer = client.next()
    assert (answer.status, answer.code) == (400, "bad_json")
    assert 0 <= answer.json["position"] <= len(body)
    if position is not None:
        assert answer.json["position"] == position
    assert client.served()
    assert watched.get("/topics/a?since=earliest&wait=0").json["max"] == 0


def test_as_deep_as_max_depth_is_taken(make_site: MakeSite) -> None:
    site = make_site(max_depth=10)
    site.get("/topics/a?wait=0")
    assert site.post("/topics/a", b"[" * 10 + b"]" * 10).status == 200
    assert site.post("/topics/a", b'{"a":' * 10 + b"1" + b"}" * 10).status == 200
    assert site.post("/topics/a", b"[" * 11 + b"]" * 11).code == "bad_json"
    assert site.post("/topics/a", json.dumps("[" * 100).encode()).status == 200


def test_a_body_in_a_content_coding_is_refused(watched: Site) -> None:
    answer = watched.post("/topics/a", b"1", Content_Encoding="gzip")
    assert (answer.status, answer.code) == (415, "unsupported_encoding")
    assert watched.post("/topics/a", b"1", Content_Encoding="identity").status == 200


def test_a_post_is_taken_though_the_publisher_half_closes(watched: Site) -> None:
    client = watched.connect().send(request("POST", "/topics/a", b"1")).half_close()
    assert client.next().json["max"] == 1


def test_a_publisher_that_waits_for_each_answer_sees_its_order(watched: Site) -> None:
    publisher = watched.connect()
    for number in range(50):
        assert publisher.post("/topics/a", b"%d" % number).next().json["max"] == number + 1
    assert watched.get("/topics/a?since=earliest").json["res"] == list(range(50))


def test_one_topic_does_not_see_what_is_posted_to_another(watched: Site) -> None:
    for topic in ("a/b", "A", "a%2Fb", "%61b"):
        assert watched.post(f"/topics/{topic}", b"1").status == 404
    assert watched.post("/topics/%61", b'"the same name, written otherwise"').status == 200
    assert watched.get("/topics/a?since=earliest").json["max"] == 1


class TestOneHeadForManyTopics:
    """A publisher's head is judged once, whatever topic it posts to; what depends on the name is decided for each."""

    @pytest.mark.parametrize("first", ["a", "b/c", "x.y"])
    def test_each_message_goes_to_its_own_topic(self, site: Site, first: str) -> None:
        names = [first, "d", "e/f.g", "..h", "a" * 255]
        for name in names:
            site.get(f"/topics/{name}?wait=0")
        client = site.connect()
        for number, name in enumerate([*names, *names]):
            answer = client.post(f"/topics/{name}", b"%d" % number).next()
            assert answer.status == 200, name
        for number, name in enumerate(names):
            assert site.get(f"/topics/{name}?since=earliest&wait=0").json["res"] == [number, number + len(names)]

    @pytest.mark.parametrize(
        "name", ["", "/", "a//b", "a/", ".", "..", "a/..", "./a", "a/./b", "$a", "a,b", "*", "a" * 256]
    )
    def test_a_name_that_is_none_is_refused_before_and_after_good_ones_and_spoils_none(
        self, site: Site, name: str
    ) -> None:
        site.get("/topics/a?wait=0")
        for _ in range(2):
            client = site.connect()
            for _again in range(2):
                assert client.post(f"/topics/{name}", b"1").next().status == 400
                assert client.post("/topics/a", b"2").next().status == 200

    def test_a_refusal_that_is_not_the_names_fault_holds_for_all_names(self, site: Site) -> None:
        client = site.connect()
        for name in "abab":
            site.get(f"/topics/{name}?wait=0")
            assert client.post(f"/topics/{name}", b"1", Origin="https://evil.example").next().code == "foreign_origin"
            assert client.post(f"/topics/{name}", b"1", Content_Encoding="gzip").next().status == 415

    def test_a_key_is_a_key_of_each_topic(self, site: Site) -> None:
        client = site.connect()
        for name in "ab":
            site.get(f"/topics/{name}?wait=0")
        answers = [client.post(f"/topics/{name}", b"1", Idempotency_Key="k").next() for name in "abab"]
        assert ["Idempotent-Replayed" in answer for answer in answers] == [False, False, True, True]

    def test_a_head_that_is_too_large_with_another_name_is_refused(self, make_site: MakeSite) -> None:
        site = make_site(max_head=256)
        client = site.connect()
        site.get("/topics/a?wait=0")
        assert client.post("/topics/a", b"1").next().status == 200
        assert client.post(f"/topics/{'a' * 250}", b"1").next().status == 431


def test_a_client_that_half_closes_before_the_engine_has_taken_the_message_is_answered_all_the_same(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `printf … | nc` does, where the engine has a store and answers later."""
    done: list[Any] = []
    monkeypatch.setattr(SiteEngine, "accept", lambda *_: None)
    monkeypatch.setattr(SiteEngine, "publish", lambda _, *publish, **_how: done.append(publish[3]))
    client = site.connect().post("/topics/a", b"1").half_close()
    assert client.silent()
    done[0](Published("k3f9", 4, 1, 1))
    assert client.next().json == {"max": 4, "next": "k3f9.4", "watchers": 1}


def test_a_client_that_resets_before_the_engine_has_taken_the_message_is_no_mistake(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Any] = []
    monkeypatch.setattr(SiteEngine, "accept", lambda *_: None)
    monkeypatch.setattr(SiteEngine, "publish", lambda _, *publish, **_how: done.append(publish[3]))
    client = site.connect().post("/topics/a", b"1").reset()
    requests = site.server.requests
    done[0](NoWatchers())
    assert client.silent()
    assert (site.server.requests, site.server.refused) == (requests, {})


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
def test_when_the_last_reader_of_a_pattern_has_left_its_topics_are_watched_by_nobody(site: Site, accept: str) -> None:
    client = site.connect().get("/topics/house/*?since=now", Accept=accept)
    assert site.post("/topics/house/t", b"1").status == 200
    client.reset()
    assert site.post("/topics/house/u", b"1").code == "no_watchers"


def test_how_large_a_message_may_be_is_the_class_s_affair_on_one_connection_too(make_site: MakeSite) -> None:
    """What is remembered of a head with another topic in it knows the bound of that other topic."""
    site = make_site(max_message=100, topics={"small/*": {"max_message": 10}, "large/*": {"max_message": 1000}})
    client = site.connect()
    for name in ("other", "small/a", "large/a"):
        client.get(f"/topics/{name}?wait=0").next()
    bounds = {"small/a": 10, "other": 100, "large/a": 1000, "small/b": 10, "large/b": 1000, "another": 100}
    for _ in range(2):
        for name, bound in bounds.items():
            statuses = [
                client.send(request("POST", f"/topics/{name}", b"1" * size)).next().status
                for size in (bound, bound + 1)
            ]
            assert statuses == [200 if name in ("other", "small/a", "large/a") else 404, 413], name
            client = site.connect()


def test_a_line_of_a_batch_is_within_the_bound_of_its_class(make_site: MakeSite) -> None:
    site = make_site(topics={"small/*": {"max_message": 10}})
    site.get("/topics/small/a?wait=0")
    answer = site.post("/topics/small/a?batch=ndjson", b"1\n" + b"2" * 11)
    assert (answer.status, answer.json["limit"]) == (413, 10)


def test_a_class_keeps_what_nobody_watches(make_site: MakeSite) -> None:
    site = make_site(topics={"alarm/**": {"unwatched": "keep", "linger": 60.0}})
    assert site.post("/topics/other", b"1").status == 404
    assert site.post("/topics/alarm/fire", b"1").status == 200
    site.advance(50)
    assert site.get("/topics/alarm/fire?since=earliest").json["res"] == [1]
    assert [(each["name"], each["class"]) for each in site.get("/topics").json["topics"]] == [
        ("alarm/fire", "alarm/**")
    ]


def test_each_answer_has_its_own_length_and_watchers(watched: Site) -> None:
    """What stands around the place is kept from one answer to the next, and the place grows by a digit."""
    publisher = watched.connect()
    for number in range(1, 102):
        if number == 50:
            watched.connect().get("/topics/a")
        answer = publisher.post("/topics/a", b"1").next()
        watchers = int(number == 50)  # It is answered then, and has left.
        assert answer.json == {"max": number, "next": f"epoch000.{number}", "watchers": watchers}
        assert answer["Slosh-Watchers"] == str(watchers)


@pytest.mark.parametrize("key", ["", '""', "x" * 256])
def test_an_idempotency_key_that_is_none_is_refused_on_a_head_that_is_known(watched: Site, key: str) -> None:
    publisher = watched.connect()
    for each in ("one", "two"):
        assert publisher.post("/topics/a", b"1", Idempotency_Key=each).next().status == 200
    answer = publisher.post("/topics/a", b"1", Idempotency_Key=key).next()
    assert (answer.status, answer.code) == (400, "bad_request")
    assert publisher.post("/topics/a", b"1", Idempotency_Key="one").next()["Idempotent-Replayed"] == "true"
    assert watched.get("/topics/a?since=earliest&wait=0").json["max"] == 2
