"""GET of a topic's history: columns, where they begin, and the place from which a reader goes on."""

import json
from typing import Any

import pytest

from slosh.core.topic import Shared
from tests.cases import each_of
from tests.web.conftest import MakeSite
from tests.web.harness import Site, request

HISTORY = "/topics/a?history=60s&points=60"


@pytest.fixture
def make_site(make_site: MakeSite) -> MakeSite:
    """Sites on which the time of day goes on as virtual time does."""

    def make(**settings: Any) -> Site:
        site = make_site(**settings)
        site.server.wall = lambda: 1_795_953_600.5 + site.loop.time()
        return site

    return make


def post(site: Site, *messages: object) -> None:
    for message in messages:
        assert site.post("/topics/a", json.dumps(message).encode()).status == 200


def ask(site: Site, target: str = HISTORY) -> dict[str, Any]:
    client = site.connect().get(target)
    answer = client.next()
    assert answer.status == 200, answer.body
    client.reset()
    found: dict[str, Any] = answer.json
    return found


def test_the_columns_have_as_many_elements_as_points_and_an_empty_step_is_null(make_site: MakeSite) -> None:
    site = make_site(topics={"a": {"history": 60.0}})
    site.get("/topics/a?wait=0")
    post(site, {"t": 1, "cpu": {"load": 0.5}}, {"t": 4})
    site.advance(10)
    post(site, {"t": -2})
    told = ask(site)
    assert told["to"] - told["from"] == 60 * told["step"] == 60_000
    now = site.server.wall() * 1000
    assert told["to"] - told["step"] <= now < told["to"]
    assert [each["path"] for each in told["series"]] == ["t", "cpu.load"]
    t = told["series"][0]
    assert {len(t[name]) for name in ("count", "min", "max", "mean")} == {60}
    assert t["count"] == [*[0] * 49, 2, *[0] * 9, 1]
    assert (t["min"][49], t["max"][49], t["mean"][49]) == (1, 4, 2.5)
    assert (t["min"][59], t["max"][59], t["mean"][59]) == (-2, -2, -2)
    assert t["min"][48] is t["max"][48] is t["mean"][48] is None
    assert (told["max"], told["next"]) == (3, "epoch000.3")


@pytest.mark.parametrize("by", ["", "&by=host"])
def test_an_answer_has_all_that_the_ring_held_however_long_that_takes(make_site: MakeSite, by: str) -> None:
    """It was given after one turn, with the numbers of the thousand messages that this one had room for."""
    site = make_site(unwatched="keep", queue=5000)
    if by:
        ask(site)
    for _ in range(3):
        body = b"\n".join([b'{"a":1,"b":2,"host":"h"}'] * 1000)
        assert site.post("/topics/a", body, Content_Type="application/x-ndjson").status == 200
    told = ask(site, HISTORY + by)
    assert {each["path"]: sum(each["count"]) for each in told["series"]} == {"a": 3000, "b": 3000}
    assert told["next"] == "epoch000.3000"


def test_answers_by_more_fields_than_are_kept_have_all_each(make_site: MakeSite) -> None:
    """Series that a later request had end before the answer was made were told as empty, and known from the first."""
    site = make_site(unwatched="keep", queue=5000)
    fields = "cdefgh"
    message = b'{"a":1,%b}' % b",".join(b'"%c":"x"' % field for field in fields.encode())
    for _ in range(3):
        body = b"\n".join([message] * 1000)
        assert site.post("/topics/a", body, Content_Type="application/x-ndjson").status == 200
    clients = [site.connect() for _ in fields]
    for client, field in zip(clients, fields, strict=True):
        client.wire.unread.append(request("GET", f"{HISTORY}&by={field}"))
    for client in clients:
        client.wire.feed()
    site.advance(1)
    for client in clients:
        told = client.next().json
        assert [(each["path"], each["by"], sum(each["count"])) for each in told["series"]] == [("a", "x", 3000)]


def test_histories_that_are_asked_for_of_very_much_at_a_time_miss_nothing_elsewhere(make_site: MakeSite) -> None:
    """What the rings hold left no room for messages that came in, in the histories of all topics."""
    site = make_site(unwatched="keep", queue=2000, max_topics_per_address=100)
    body = b"\n".join([b'"%b"' % (b"x" * 1000)] * 1000)
    names = [f"big/{number}" for number in range(40)]
    for name in names:
        assert site.post(f"/topics/{name}", body, Content_Type="application/x-ndjson").status == 200
    post(site, {"a": 1})
    ask(site)
    writer, *clients = [site.connect() for _ in ("", *names)]
    for client, name in zip(clients, names, strict=True):
        client.wire.unread.append(request("GET", f"/topics/{name}?history=60s"))
        client.wire.feed()

    def post_in_each_turn(_: Shared) -> None:
        writer.wire.unread.append(request("POST", "/topics/a", b'{"a":2}'))
        writer.wire.feed()
        if any(client.silent() for client in clients):
            site.hub.put_off(post_in_each_turn)

    site.hub.put_off(post_in_each_turn)
    site.advance(1)
    assert all(client.next().status == 200 for client in clients)
    told = ask(site)
    assert sum(told["series"][0]["count"]) == told["max"] > 20
    assert "missed" not in told


def test_next_is_where_a_reader_goes_on_without_a_gap_or_a_double(site: Site) -> None:
    site.get("/topics/a?wait=0")
    post(site, 1, 2, 3)
    told = ask(site)
    post(site, 4, 5)
    rest = site.get(f"/topics/a?since={told['next']}").json
    assert sum(told["series"][0]["count"]) == 3
    assert (rest["saw"], rest["res"]) == (2, [4, 5])


def test_it_makes_the_topic_active_as_any_get_does(make_site: MakeSite) -> None:
    site = make_site(linger=5.0)
    told = ask(site)
    assert (told["max"], told["series"]) == (0, [])
    post(site, 1)
    site.advance(6)
    assert site.post("/topics/a", b"1").status == 404
    assert site.hub.budget.held == 0


def test_without_a_class_it_begins_with_what_the_ring_holds_and_says_how_far_back_that_is(make_site: MakeSite) -> None:
    site = make_site(queue=3)
    site.get("/topics/a?wait=0")
    for number in range(5):
        post(site, number)
        site.advance(1.0)
    told = ask(site)
    assert told["series"][0]["min"][-6:] == [None, None, 2, 3, 4, None]
    assert told["known_from"] == told["to"] - 3500
    for number in range(5, 15):
        post(site, number)
    assert sum(ask(site)["series"][0]["count"]) == 13
    assert ask(site)["series"][0]["count"][-1] == 10


def test_more_messages_in_a_turn_than_the_ring_holds_are_all_in_it(make_site: MakeSite) -> None:
    site = make_site(queue=3, topics={"a": {"history": 60.0}})
    site.get("/topics/a?wait=0")
    assert site.post("/topics/a?batch=ndjson", b"7\n" * 500).status == 200
    assert sum(ask(site)["series"][0]["count"]) == 500


def test_one_series_for_each_value_and_only_the_paths_that_are_wanted(site: Site) -> None:
    site.get("/topics/a?wait=0")
    post(site, *({"host": host, "t": number, "u": 1} for number, host in enumerate(["web1", "web2", "web1"])))
    told = ask(site, HISTORY + "&by=host&path=t,nothing")
    assert [(each["path"], each["by"], sum(each["count"])) for each in told["series"]] == [
        ("t", "web1", 2),
        ("t", "web2", 1),
    ]
    assert [each["path"] for each in ask(site)["series"]] == ["t", "u"]
    assert "by" not in ask(site)["series"][0]


def test_what_is_beyond_the_series_that_may_be_is_told(make_site: MakeSite) -> None:
    site = make_site(max_series=2)
    site.get("/topics/a?wait=0")
    post(site, {"a": 1, "b": 1, "c": 1, "d": 1})
    assert ask(site)["unlisted"] == 2


@each_of(
    ("target", "parameter", "sentence"),
    [
        ("/topics/a?history=60s&points=0", "points", "1 to 4096"),
        ("/topics/a?history=60s&points=4097", "points", "1 to 4096"),
        ("/topics/a?history=60s&points=many", "points", "1 to 4096"),
        ("/topics/a?history=soon", "history", "10m"),
        ("/topics/a?history=0", "history", "10m"),
        ("/topics/a?history", "history", "10m"),
        ("/topics/a?history=2h,", "history", "or all"),
        ("/topics/a?history=2h,3h", "history", "or all"),
        ("/topics/a?history=all,2h", "history", "or all"),
        ("/topics/a?history=0,all", "history", "or all"),
        ("/topics/a?history=2h", "history", "3600 s at most, because its class does not say how long"),
        ("/topics/short?history=2m", "history", "60 s at most, which is what its class keeps"),
        ("/topics/a,b?history=60s", "history", "one topic"),
        ("/topics/*?history=60s", "history", "one topic"),
        ("/topics/a?history=60s&format=sse", "history", "as JSON"),
        ("/topics/a?history=60s&by=" + "%C3%A9" * 129, "by", "256"),
        ("/topics/a?history=60s&path=" + ",".join(map(str, range(65))), "path", "64"),
    ],
)
def test_what_makes_no_sense_is_told_and_changes_nothing(
    make_site: MakeSite, target: str, parameter: str, sentence: str
) -> None:
    site = make_site(topics={"short": {"history": 60.0}})
    answer = site.get(target)
    assert (answer.status, answer.code, answer.json["parameter"]) == (400, "bad_query", parameter)
    assert sentence in answer.json["detail"]
    assert len(site.hub) == 0


@each_of(
    ("topic", "wanted", "seconds"),
    [
        ("a", "all", 3600),
        ("a", "6h,all", 3600),
        ("a", "60s,all", 60),
        ("short", "all", 120),
        ("short", "2678400s,all", 120),
        ("short", "1.5m,all", 90),
    ],
)
def test_all_that_is_kept_can_be_asked_for_and_so_much_of_it_as_is_wanted(
    make_site: MakeSite, topic: str, wanted: str, seconds: int
) -> None:
    site = make_site(topics={"short": {"history": 120.0}})
    site.get(f"/topics/{topic}?wait=0")
    site.post(f"/topics/{topic}", b"5")
    told = ask(site, f"/topics/{topic}?history={wanted}")
    assert told["to"] - told["from"] == seconds * 1000
    assert sum(told["series"][0]["count"]) == 1


def test_an_answer_with_very_many_elements_is_refused_with_what_fits(make_site: MakeSite) -> None:
    site = make_site(max_series=100)
    site.get("/topics/a?wait=0")
    post(site, {f"p{number}": 1 for number in range(100)})
    client = site.connect().get("/topics/a?history=1h&points=1000")
    answer = client.next()
    assert (answer.status, answer.json["parameter"]) == (400, "points")
    assert "points=655 or fewer" in answer.json["detail"]
    assert len(ask(site, "/topics/a?history=1h&points=655")["series"]) == 100


def test_where_nothing_is_said_of_points_there_are_as_many_as_the_series_allow(make_site: MakeSite) -> None:
    """A page, which cannot know how many series there are, was refused and showed no past."""
    site = make_site(max_series=200, topics={"a": {"history": 3600.0}})
    site.get("/topics/a?wait=0")
    post(site, {f"p{number}": 1 for number in range(200)})
    told = ask(site, "/topics/a?history=1h")
    assert len(told["series"]) == 200
    assert 200 < len(told["series"][0]["count"]) <= 65536 // 200


def test_what_it_does_not_look_at_is_named(site: Site) -> None:
    client = site.connect().get(HISTORY + "&since=earliest&wait=3")
    assert client.next()["Slosh-Ignored"] == "since, wait"


def test_an_answer_of_many_series_is_made_in_several_turns_and_is_of_one_moment(make_site: MakeSite) -> None:
    """Messages come in each of these turns; each is in all series, or in none and behind `next`."""
    site = make_site(linger=1000.0, topics={"a": {"history": 3600.0}})
    site.get("/topics/a?wait=0")
    message = json.dumps({f"p{number}": number for number in range(64)}).encode()
    hub, topic, waits = site.hub, site.hub.open("a", site.loop.time()), list[bool]()
    for _ in range(300):
        assert site.post("/topics/a", message).status == 200
        site.advance(1.0)

    def go_on(_: Any) -> None:
        waits.append(client.silent())
        hub.append(topic, [message], site.loop.time(), topic.latest_wall)
        if len(waits) < 50:
            hub.put_off(go_on)

    client = site.connect()
    hub.put_off(go_on)
    told = client.get("/topics/a?history=1h&points=600").next().json
    assert len(told["series"]) == 64
    assert {sum(each["count"]) for each in told["series"]} == {int(told["next"].partition(".")[2])}
    assert 3 < sum(waits) < 50


def test_a_client_that_goes_costs_nothing_more(site: Site) -> None:
    site.get("/topics/a?wait=0")
    post(site, 1)
    client = site.connect()
    client.connection.data_received(request("GET", HISTORY))
    client.reset()
    assert len(ask(site)["series"]) == 1


def test_an_answer_that_fails_is_refused_and_holds_up_neither_the_next_nor_the_history(make_site: MakeSite) -> None:
    site = make_site(topics={"a": {"history": 60.0}})
    site.get("/topics/a?wait=0")
    post(site, 1)
    wall = site.server.wall

    def fail_once() -> float:
        site.server.wall = wall
        raise OverflowError

    site.server.wall = fail_once
    clients = [site.connect().get(HISTORY) for _ in range(3)]
    answers = [client.next() for client in clients]
    assert [answer.status for answer in answers] == [500, 200, 200]
    post(site, 2)
    (series,) = ask(site)["series"]
    assert sum(series["count"]) == 2


def test_names_and_values_with_half_a_character_are_told_as_they_were_written(make_site: MakeSite) -> None:
    site = make_site(topics={"a": {"history": 60.0}})
    site.get("/topics/a?wait=0")
    assert site.post("/topics/a", b'{"\\ud800":1,"who":"\\udc00","deep":{"\\ud83d":2}}').status == 200
    assert [each["path"] for each in ask(site)["series"]] == ["\ud800", "deep.\ud83d"]
    assert {each["by"] for each in ask(site, HISTORY + "&by=who")["series"]} == {"\udc00"}
    assert b'"\\ud800"' in site.get(HISTORY).body
