"""NDJSON batches, all or none; and publishes that may come again (`Idempotency-Key`)."""

import json

import pytest

from tests.web.conftest import MakeSite
from tests.web.harness import Response, Site
from tests.web.posting import kept
from tests.web.transports import LongPoll

NDJSON = {"Content_Type": "application/x-ndjson"}
KEPT = {"queue": 100, "queue_bytes": 8 << 20}
"""How much a topic of the default class keeps, as the answer to a batch tells it."""


def batch(site: Site, body: bytes, **fields: str) -> Response:
    return site.post("/topics/a", body, **(NDJSON | fields))


@pytest.fixture
def watched(site: Site) -> Site:
    """A site on which somebody has just looked at topic a."""
    kept(site)
    return site


def stored(site: Site) -> list[object]:
    """What the topic holds."""
    res: list[object] = site.get("/topics/a?since=earliest&wait=0").json["res"]
    return res


# Batches.


@pytest.mark.parametrize(
    ("target", "fields"),
    [
        ("/topics/a", {"Content_Type": "application/x-ndjson"}),
        ("/topics/a", {"Content_Type": "Application/X-NDJSON; charset=utf-8"}),
        ("/topics/a?batch=ndjson", {"Content_Type": "application/x-www-form-urlencoded"}),
        ("/topics/a?batch=ndjson", {}),
    ],
)
def test_one_message_a_line_in_order(watched: Site, target: str, fields: dict[str, str]) -> None:
    answer = watched.post(target, b'1\n{"a": 2}\n[3]\n', **fields)
    assert answer.json == {"max": 3, "next": "epoch000.3", "watchers": 0, "accepted": 3} | KEPT
    assert answer["Slosh-Watchers"] == "0"
    assert stored(watched) == [1, {"a": 2}, [3]]


@pytest.mark.parametrize("body", [b"1\n2", b"1\n2\n", b"1\r\n2\r\n", b"\n\n1\n \n\t\r\n2\n\n", b" 1 \n\t2\t"])
def test_line_ends_of_both_kinds_and_empty_lines(watched: Site, body: bytes) -> None:
    assert batch(watched, body).json["accepted"] == 2
    assert stored(watched) == [1, 2]


def test_readers_get_a_batch_together(site: Site) -> None:
    reader = LongPoll(site)
    batch(site, b"1\n2\n3")
    assert reader.listen().messages == [1, 2, 3]
    assert [event.kind for event in reader.events].count("place") == 1


@pytest.mark.parametrize(
    ("body", "line", "position"),
    [(b"1\n{\n3", 2, 1), (b"x", 1, 0), (b"1\n\n\n  nul", 4, 5), (b"1\r\n2 3\r\n", 2, 2), (b'1\n"\xff"', 2, 1)],
)
def test_one_wrong_line_refuses_all_and_is_named(watched: Site, body: bytes, line: int, position: int) -> None:
    answer = batch(watched, body)
    assert (answer.status, answer.code) == (400, "bad_json")
    assert answer.json["line"] == line
    assert answer.json["position"] == pytest.approx(position, abs=1)
    assert f"Line {line}" in answer.json["detail"]
    assert stored(watched) == []


@pytest.mark.parametrize("body", [b"", b"\n", b" \r\n\t\n"])
def test_an_empty_batch_is_refused(watched: Site, body: bytes) -> None:
    assert batch(watched, body).code == "bad_json"


def test_nobody_watches(site: Site) -> None:
    answer = batch(site, b"1\n2")
    assert (answer.status, answer.code) == (404, "no_watchers")


def test_a_line_is_bounded_as_a_message_is(make_site: MakeSite) -> None:
    site = make_site(max_message=10, max_body=1000)
    kept(site)
    assert batch(site, b"1234567890\n" * 50).json["accepted"] == 50
    answer = batch(site, b"1\n12345678901\n2")
    assert (answer.status, answer.code, answer.json["limit"]) == (413, "too_large", 10)
    assert "Line 2" in answer.json["detail"]
    assert len(stored(site)) == 50


def test_a_batch_is_bounded_as_a_body_is(make_site: MakeSite) -> None:
    site = make_site(max_message=10, max_body=100)
    kept(site)
    assert batch(site, b"1\n" * 50).status == 200
    client = site.connect().post("/topics/a", b"1\n" * 51, **NDJSON)
    assert client.next().status == 413
    assert site.connect().post("/topics/a", b"1" * 11).next().status == 413, "one message has the smaller bound"


@pytest.mark.parametrize(
    ("body", "status"), [(b"1\n1\n1", 200), (b"1\n1\n1\n", 200), (b"1\n1\n1\n1", 413), (b"1\n" * 4, 413)]
)
def test_lines_are_bounded(make_site: MakeSite, body: bytes, status: int) -> None:
    site = make_site(max_batch=3)
    kept(site)
    assert batch(site, body).status == status


def test_a_batch_larger_than_the_ring_keeps_its_end_and_says_what_it_took(make_site: MakeSite) -> None:
    site = make_site(queue=3)
    kept(site)
    assert batch(site, b"1\n2\n3\n4\n5").json["accepted"] == 5
    answer = site.get("/topics/a?since=epoch000.0&wait=0").json
    assert (answer["saw"], answer["lost"], answer["res"]) == (5, 2, [3, 4, 5])


def test_another_kind_of_batch_is_refused(watched: Site) -> None:
    assert watched.post("/topics/a?batch=csv", b"1").code == "bad_query"


# Idempotency-Key.


def once(site: Site, body: bytes = b"1", key: str = "k-1", topic: str = "a", **fields: str) -> Response:
    return site.post(f"/topics/{topic}", body, Idempotency_Key=key, **fields)


def test_the_same_key_gets_the_first_answer_again_and_stores_once(watched: Site) -> None:
    first = once(watched)
    assert "Idempotent-Replayed" not in first
    watched.post("/topics/a", b"2")
    again = once(watched)
    assert again.status == 200
    assert again["Idempotent-Replayed"] == "true"
    assert again.body == first.body
    assert stored(watched) == [1, 2]


def test_a_batch_is_stored_once_too(watched: Site) -> None:
    first = once(watched, b"1\n2", **NDJSON)
    assert once(watched, b"1\n2", **NDJSON).body == first.body
    assert first.json["accepted"] == 2
    assert stored(watched) == [1, 2]


def test_other_keys_and_other_topics_are_other_publishes(watched: Site) -> None:
    kept(watched, topic="b")
    for answer in (once(watched), once(watched, key="k-2"), once(watched, topic="b")):
        assert "Idempotent-Replayed" not in answer
    assert stored(watched) == [1, 1]


def test_it_counts_for_five_minutes(site: Site) -> None:
    LongPoll(site)
    keeper = site.connect().get("/topics/a?format=ndjson")
    once(site)
    site.advance(299)
    assert "Idempotent-Replayed" in once(site)
    site.advance(2)
    assert "Idempotent-Replayed" not in once(site)
    assert keeper.served()


def test_a_refusal_is_not_remembered(site: Site) -> None:
    """It stored nothing, so the publisher may try again with the same key."""
    assert once(site).status == 404
    kept(site)
    assert once(site, b"{").status == 400
    answer = once(site)
    assert answer.status == 200
    assert "Idempotent-Replayed" not in answer
    assert stored(site) == [1]


def test_an_answer_is_given_again_also_when_nobody_watches_any_more(watched: Site) -> None:
    """The publisher asks what became of the first one, and it was taken."""
    first = once(watched)
    watched.advance(31)
    assert once(watched).body == first.body


@pytest.mark.parametrize("key", ["", '""', "x" * 256])
def test_what_is_no_key_is_refused(watched: Site, key: str) -> None:
    assert once(watched, key=key).code == "bad_request"


def test_the_quotes_of_a_structured_field_are_no_part_of_the_key(watched: Site) -> None:
    first = once(watched, key='"8e03978e"')
    assert once(watched, key="8e03978e").json == first.json
    assert len(stored(watched)) == 1


def test_keys_that_are_forgotten_early_are_counted(site: Site) -> None:
    kept(site)
    site.engine.replays._most = 10
    for number in range(25):
        once(site, json.dumps(number).encode(), key=f"k{number}")
    assert len(site.engine.replays._answers) == 10
    assert site.engine.forgotten_keys == 15
    assert any("key" in name and value == 15 for name, value in site.metrics().items())
    assert "Idempotent-Replayed" in once(site, key="k24")
    assert "Idempotent-Replayed" not in once(site, key="k1")
