"""How a reader finds its topics, also with an engine that answers later."""

from collections.abc import Callable

import pytest

from slosh.core.patterns import MAX_MATCHES
from slosh.core.portions import WORK
from slosh.core.topic import Topic
from slosh.errors import SloshError, TooManyTopics
from slosh.web.readers.shared import next_field
from tests.cases import each_of
from tests.web.admission.test_origins import HANDSHAKE
from tests.web.conftest import MakeSite
from tests.web.harness import Client, Site, SiteEngine, request
from tests.web.posting import kept, post
from tests.web.transports import EventSource, LongPoll, Ndjson, Reader, WebSocket

Opened = Callable[[Topic | SloshError], None]


class Later:
    """Makes the engine of a site give topics later, one at a time."""

    def __init__(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        self._site = site
        self._asked: list[tuple[str, float, Opened]] = []
        monkeypatch.setattr(SiteEngine, "find_open", lambda *_: None)
        monkeypatch.setattr(SiteEngine, "open", lambda _, *asked, **__: self._asked.append(asked))
        monkeypatch.setattr(SiteEngine, "unopen", lambda _, *asked: self._drop(*asked))

    @property
    def names(self) -> list[str]:
        """What was asked for and has not been given."""
        return [name for name, _, _ in self._asked]

    def _drop(self, name: str, opened: Opened) -> None:
        self._asked = [asked for asked in self._asked if (asked[0], asked[2]) != (name, opened)]

    def give(self) -> None:
        """Give what was asked for first."""
        self.take()()

    def take(self) -> Callable[[], None]:
        """What gives it: the answer is on its way."""
        name, now, opened = self._asked.pop(0)
        return lambda: opened(self._site.hub.open(name, now))

    def refuse(self, error: SloshError) -> None:
        """Refuse it."""
        self._asked.pop(0)[2](error)


@pytest.fixture
def later(site: Site, monkeypatch: pytest.MonkeyPatch) -> Later:
    """An engine that takes its time."""
    return Later(site, monkeypatch)


def test_a_poll_waits_for_its_topic_and_then_for_news(site: Site, later: Later) -> None:
    client = site.connect().get("/topics/a")
    assert client.silent()
    assert later.names == ["a"]
    later.give()
    assert site.watchers("a") == 1
    site.post("/topics/a", b"1")
    assert client.next().json["res"] == [1]


def test_who_goes_before_its_topics_are_there_is_not_waited_for(site: Site, later: Later) -> None:
    """A store that is out of reach for hours must not cost memory for each client that has tried."""
    client = site.connect().get("/topics/a,b")
    later.give()
    assert later.names == ["b"]
    client.reset()
    assert later.names == []
    site.connect().get("/topics/c?wait=1")
    site.advance(20)
    assert later.names == []


def test_a_poll_waits_for_its_topic_as_long_as_it_says_itself(site: Site, later: Later) -> None:
    """And not as long as one before it that asked for the same but for this."""
    client = site.connect()
    for seconds in (5, 9):
        client.get(f"/topics/a?wait={seconds}&since=epoch000.0")
        site.advance(seconds - 1)
        assert client.silent()
        assert later.names == ["a"]
        site.advance(1.1)
        client.next()
        assert later.names == []


def test_several_topics_are_all_found_before_it_begins(site: Site, later: Later) -> None:
    client = site.connect().get("/topics/a,b,c?wait=0")
    for name in "abc":
        assert client.silent()
        assert later.names == [name]
        later.give()
    assert client.next().json["next"] == "a=epoch000.0,b=epoch001.0,c=epoch002.0"


def test_a_poll_that_comes_back_keeps_its_own_place_while_it_waits(site: Site, later: Later) -> None:
    """Its head is known already, for another place; the one that it names now counts."""
    client = site.connect().get("/topics/a?since=epoch000.0")
    later.give()
    site.post("/topics/a", b"1")
    assert client.next().json["next"] == "epoch000.1"
    client.get("/topics/a?since=epoch000.1")
    later.give()
    assert client.silent(), "it has seen that one"
    site.post("/topics/a", b"2")
    assert client.next().json["res"] == [2]


def test_a_refusal_is_answered_and_the_connection_serves_on(site: Site, later: Later) -> None:
    client = site.connect().get("/topics/a,b")
    later.give()
    later.refuse(TooManyTopics(1))
    answer = client.next()
    assert (answer.status, answer.code) == (503, "too_many_topics")
    assert client.get("/-/healthy").next().status == 200


def test_a_client_that_has_gone_is_no_watcher_when_the_engine_answers(site: Site, later: Later) -> None:
    client = site.connect().get("/topics/a")
    give = later.take()
    client.reset()
    give()
    assert site.watchers("a") == 0
    assert client.wire.wasted == 0


class Behind:
    """Makes the engine of a site one whose topics have moved on elsewhere, which it learns when it is asked."""

    def __init__(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        self._site = site
        self.news: dict[str, list[bytes]] = {}
        self.asked: list[str] = []
        self._waiting: list[Callable[[], None]] = []
        self.is_slow = False
        open_at_once = site.engine.open

        def open_now(name: str, now: float, opened: Opened, *, fresh: bool = False) -> None:
            if not fresh:
                open_at_once(name, now, opened)
                return
            self.asked.append(name)
            self._waiting.append(lambda: self._give(name, now, opened))
            if not self.is_slow:
                self.give()

        monkeypatch.setattr(SiteEngine, "open", lambda _, *asked, **how: open_now(*asked, **how))

    def give(self) -> None:
        """Answer all that is waited for."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each()

    def _give(self, name: str, now: float, opened: Opened) -> None:
        topic = self._site.hub.open(name, now)
        self._site.hub.append(topic, self.news.pop(name, []), now)
        opened(topic)


@pytest.fixture
def behind(site: Site, monkeypatch: pytest.MonkeyPatch) -> Behind:
    """An engine that is behind."""
    for name in ("a", "b"):
        kept(site, 1, topic=name)
    return Behind(site, monkeypatch)


def test_a_place_that_another_node_gave_is_no_reset_while_this_one_is_behind(site: Site, behind: Behind) -> None:
    behind.news = {"a": [b"2", b"3"]}
    assert site.get("/topics/a?since=epoch000.2").json == {
        "max": 3, "saw": 1, "delivering": 1, "res": [3], "next": "epoch000.3",
    }  # fmt: skip
    assert behind.asked == ["a"]


def test_a_poll_that_comes_back_from_another_node_is_no_reset_either(site: Site, behind: Behind) -> None:
    """Its head is known already, and so is the place that the last one came to."""
    client = site.connect()
    assert client.get("/topics/a?since=epoch000.0").next().json["res"] == [1]
    for number in (2, 4, 6):
        behind.news = {"a": [b"%d" % number, b"%d" % (number + 1)]}
        answer = client.get(f"/topics/a?since=epoch000.{number}").next().json
        assert answer["res"] == [number + 1]
        assert "reset" not in answer


def test_a_place_of_the_future_is_a_reset_after_the_engine_was_asked_once(site: Site, behind: Behind) -> None:
    answer = site.get("/topics/a?since=epoch000.9").json
    assert (answer["reset"], answer["res"]) == (True, [1])
    assert behind.asked == ["a"]


def test_of_several_topics_those_are_asked_for_that_are_behind(site: Site, behind: Behind) -> None:
    behind.news = {"b": [b"2", b"3"]}
    answer = site.get("/topics/a,b?since=a=epoch000.0,b=epoch001.2").json
    assert {name: each["res"] for name, each in answer["topics"].items()} == {"a": [1], "b": [3]}
    assert "reset" not in str(answer)
    assert behind.asked == ["b"]


def test_what_a_pattern_takes_in_is_asked_for_too(site: Site, behind: Behind) -> None:
    kept(site, 1, topic="t/1")
    behind.news = {"t/1": [b"2", b"3"]}
    answer = site.get("/topics/t/*?since=*,t/1=epoch002.2").json
    assert answer["topics"]["t/1"]["res"] == [3]
    assert "reset" not in str(answer)


def test_an_event_source_that_comes_from_another_node_is_no_reset_either(site: Site, behind: Behind) -> None:
    behind.news = {"a": [b"2", b"3"]}
    reader = EventSource(site, "a", since="epoch000.2")
    assert reader.listen().story("a") == [("message", 3)]


def test_a_head_opens_nothing(site: Site, behind: Behind) -> None:
    assert site.ask("HEAD", "/topics/a?since=epoch000.9").status == 200
    assert behind.asked == []


def test_a_reader_that_waits_for_the_engine_is_answered_when_the_server_shuts_down(site: Site, behind: Behind) -> None:
    behind.is_slow = True
    client = site.connect().get("/topics/a?since=epoch000.9")
    assert client.silent()
    site.drain()
    site.advance(1)
    assert client.next().code == "draining"
    behind.give()
    assert site.watchers("a") == 0


def test_what_stands_in_a_header_is_encoded_where_it_must_be() -> None:
    assert next_field("k3f9.4") == b"Slosh-Next: k3f9.4\r\n"
    assert next_field("*,a/b=k.1") == b"Slosh-Next: *,a/b=k.1\r\n"


def test_a_pattern_takes_in_at_most_256_topics(make_site: MakeSite) -> None:
    site = make_site()
    for number in range(MAX_MATCHES + 1):
        site.get(f"/topics/t/{number}?wait=0")
    answer = site.get("/topics/t/*?wait=0")
    assert (answer.status, answer.code) == (400, "bad_topic")
    assert "256" in answer.json["detail"]
    assert site.get("/topics/u/*?wait=0").status == 200


def test_a_topic_too_many_is_left_out_and_the_reader_is_told(site: Site, stream: type[Reader]) -> None:
    """A stranger who opens very many topics ends no reader, and nothing of the others is missing."""
    for number in range(MAX_MATCHES - 1):
        site.get(f"/topics/t/{number}?wait=0")
    reader = stream(site, "t/*", every="1s")
    slow = stream(site, "t/*")
    slow.stall()
    for topic in ("t/0", "t/last", "t/one-too-many", "t/another"):
        kept(site, topic, topic=topic)
    site.loop.settle()
    assert [event.kind for event in reader.listen().events if event.kind != "place"] == ["incomplete"]
    site.advance(1.1)
    assert reader.listen().messages == ["t/0", "t/last"]
    assert not reader.ended
    assert site.watchers("t/one-too-many") == 0
    post(site, "more", topic="t/1")
    site.advance(1.1)
    assert reader.listen().messages == ["t/0", "t/last", "more"]
    slow.drain()
    assert sorted(slow.messages) == ["more", "t/0", "t/last"]
    assert slow.told("incomplete", "")
    assert (site.get("/topics/t/*").status, site.get("/topics/t/*").code) == (400, "bad_topic")


def test_a_message_that_all_readers_would_leave_out_is_watched_by_nobody(site: Site, transport: type[Reader]) -> None:
    """Its producer learns it, and the readers that they do not have all; one that has room is a watcher."""
    for number in range(MAX_MATCHES):
        site.get(f"/topics/t/{number}?wait=0")
    reader, other = transport(site, "t/*"), transport(site, "t/*,t/0")
    assert site.get("/topics/t/more?watchers").json == {"watchers": 0}
    for body, query in ((b"1", ""), (b"1\n2", "?batch=ndjson"), (b"1" + b" " * 200_000, "")):
        refused = site.post(f"/topics/t/more{query}", body)
        assert (refused.status, refused.code, refused["Slosh-Watchers"]) == (404, "no_watchers", "0")
    assert site.post("/topics", b'{"topic":"t/more","message":1}').json["refused"]["t/more"]["code"] == "no_watchers"
    assert site.ask("HEAD", "/topics/t/more").status == 200
    assert "t/more" not in [topic.name for topic in site.hub]
    feeder = site.connect().get("/topics/t/more?watchers&wait=9s")
    assert feeder.silent()
    for each in (reader, other):
        post(site, 0, topic="t/0")
        assert each.listen().told("incomplete", "")
    roomy = transport(site, "t/more,t/*/x")
    assert feeder.next().json == {"watchers": 1}
    assert site.post("/topics/t/more", b"7").json["watchers"] == 1
    assert roomy.listen().messages == [7]


def test_a_reader_of_patterns_that_returns_goes_on_with_what_it_had(
    make_site: MakeSite, transport: type[Reader]
) -> None:
    """It is told that it does not have all, and has the rest as a whole once there is room."""
    site = make_site(linger=30)
    for number in range(MAX_MATCHES):
        site.get(f"/topics/t/{number}?wait=0")
    reader = transport(site, "t/*")
    post(site, "early", topic="t/7")
    reader.listen()
    reader.cut()
    for number in range(MAX_MATCHES, MAX_MATCHES + 3):
        site.get(f"/topics/t/{number}?wait=0")
    post(site, "late", topic="t/7")
    post(site, "left out", topic="t/257")
    reader.connect()
    site.loop.settle()
    assert reader.listen().messages == ["early", "late"]
    assert reader.told("incomplete", "")
    site.ask("DELETE", "/topics/t/0")
    site.loop.settle()
    assert reader.listen().told("ended", "t/0")
    site.advance(29)
    site.get("/topics/t/257?wait=0")
    site.advance(5)  # What ended has gone, and so have the others that were left out.
    reader.listen()
    reader.cut()
    reader.events.clear()
    reader.connect()
    site.loop.settle()
    assert reader.listen().messages == ["left out"]
    assert not reader.told("incomplete", "")


def test_ends_that_were_given_stay_known_where_topics_are_left_out(site: Site, stream: type[Reader]) -> None:
    """Else a topic that has ended would be given once more."""
    names = ["a/0", *(f"b/{number}" for number in range(MAX_MATCHES - 1))]
    for name in names:
        site.get(f"/topics/{name}?wait=0")
    reader = stream(site, "*/*")
    ended = [names[number] for number in (1, 100, MAX_MATCHES - 1)]
    for topic in ended:
        assert site.ask("POST", f"/topics/{topic}?end", b'"last"').status == 200
    site.loop.settle()
    assert reader.listen().messages == ["last"] * 3
    for number in range(300):  # They are found before those that ended, and are already too many.
        site.get(f"/topics/a/x{number}?wait=0")
    for _ in range(2):
        reader.cut()
        reader.connect()
        site.loop.settle()
        assert reader.listen().messages == ["last"] * 3
        assert all(f"{topic}=" in reader.place and f"{topic}" in reader.place for topic in ended)


def test_several_topics_are_read_or_none_is(make_site: MakeSite) -> None:
    site = make_site(max_topics=2)
    for target in ("/topics/a,b,c?wait=0", "/topics/a,b,c?format=sse", "/topics/a,b,c"):
        client = site.connect().get(target)
        assert b"too_many_topics" in client.wire.arrived
    assert site.watchers("a") == 0


def test_a_topic_of_a_vector_that_ended_is_read_on_as_a_new_one(site: Site) -> None:
    """The reader of a pattern is told that the place it had is gone."""
    keeper = Ndjson(site, "s/1")
    reader = Ndjson(site, "s/*")
    kept(site, 1, topic="s/2")
    post(site, 2, topic="s/1")
    reader.listen()
    reader.cut()
    site.advance(31)
    reader.connect()
    post(site, 3, topic="s/2")
    assert reader.listen().story("s/2") == [("message", 1), ("reset", True), ("message", 3)]
    assert reader.story("s/1") == [("message", 2)]
    keeper.cut()


def test_a_look_with_a_place_of_another_life_in_what_a_pattern_takes_in_ends(site: Site) -> None:
    """Such a topic is read as it is known, and not asked for again and again."""
    kept(site, 1, topic="s/1")
    assert site.ask("HEAD", "/topics/s/*?since=s/1=epoch999.9").status == 200


def test_a_topic_that_ended_while_another_was_waited_for_is_found_again(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store may be out of reach for longer than `linger`, and readers who are held stay held."""
    site = make_site(linger=5.0)
    later = Later(site, monkeypatch)
    client = site.connect().get("/topics/a,b")
    later.give()
    site.advance(6)
    later.give()
    while later.names:
        later.give()
    assert client.silent()
    assert (site.watchers("a"), site.watchers("b")) == (1, 1)


KINDS = [{}, {"Accept": "text/event-stream"}, {"Accept": "application/x-ndjson"}, HANDSHAKE]
REFUSED = {
    "a place without room": "/topics/" + ",".join(f"{number:02}-" + "x" * 100 for number in range(60)) + "?wait=0",
    "too many matches": "/topics/new,t/*?wait=0",
    "too many watchers": "/topics/new,full",
    "too many topics": "/topics/" + ",".join(f"new{number}" for number in range(64)),
}


@each_of("target", REFUSED.values(), ids=REFUSED.keys())
@each_of("fields", [{}, {"Accept": "text/event-stream"}, {"Accept": "application/x-ndjson"}, HANDSHAKE], ids=str)
def test_a_request_that_is_refused_has_changed_nothing(
    make_site: MakeSite, target: str, fields: dict[str, str]
) -> None:
    """No topic was created for it, and none lives longer."""
    site = make_site(max_watchers=1, max_topics=300)
    LongPoll(site, "full")
    for number in range(257):
        kept(site, topic=f"t/{number}")
    before = {topic.name: topic.active_until for topic in site.hub}
    site.advance(1)
    answer = site.connect().get(target, **fields)
    assert b"new" not in answer.wire.arrived.partition(b"\r\n\r\n")[0]
    assert {topic.name: topic.active_until for topic in site.hub} == before


@pytest.mark.parametrize(
    "fields",
    [HANDSHAKE | {"Sec_WebSocket_Version": "8"}, HANDSHAKE | {"Sec_WebSocket_Key": "?"}],
    ids=["version", "key"],
)
def test_a_handshake_that_is_none_creates_no_topic(site: Site, fields: dict[str, str]) -> None:
    assert site.connect().get("/topics/a", **fields).next().status in (400, 426)
    assert not len(site.hub)


def test_patterns_that_would_look_at_very_many_names_are_refused(make_site: MakeSite) -> None:
    site = make_site(max_topics=20_000)
    for number in range(12_000):
        site.hub.open(f"{number}/x/{number}", site.loop.time())
    for target in ("/topics/*/*/0", "/topics/" + ",".join(f"*/*/{number}" for number in range(60))):
        for method in ("GET", "HEAD"):
            answer = site.ask(method, target + "?wait=0")
            assert answer.status == 400
    assert "10000 segments" in site.get("/topics/*/*/0?wait=0").json["detail"]
    assert site.get("/topics/7/*/*?wait=0").status == 200


class TestPatternsTakeTurns:
    """To find what patterns take in takes its time: readers of them that come at a time begin one after another."""

    @pytest.fixture
    def busy(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
        """A site where the turn in which a client has connected has no room left."""
        for number in range(3):
            site.hub.open(f"a/{number}", site.loop.time())
        connect = site.connect

        def connect_late() -> Client:
            client = connect()
            site.hub.spend(WORK)
            return client

        monkeypatch.setattr(site, "connect", connect_late)
        return site

    @staticmethod
    def ask(site: Site, method: str, target: str) -> Client:
        """Send a request, and let no turn go by."""
        client = site.connect()
        client.wire.unread.append(request(method, target))
        client.wire.feed()
        return client

    @pytest.mark.parametrize("reader", [LongPoll, EventSource, Ndjson, WebSocket])
    def test_a_reader_begins_in_its_turn_and_gets_what_comes(self, busy: Site, reader: type[Reader]) -> None:
        one = reader(busy, "a/*")
        busy.hub.open("a/3", busy.loop.time())
        post(busy, 1, topic="a/1")
        post(busy, 3, topic="a/3")
        assert one.listen().messages == [1, 3]

    @pytest.mark.parametrize("target", ["/topics/a/*", "/topics/a/*?format=sse"])
    def test_a_client_that_leaves_before_its_turn_costs_no_walk(self, busy: Site, target: str) -> None:
        client = self.ask(busy, "GET", target)
        assert not busy.hub.watching
        room = busy.hub.room
        assert not client.connection.eof_received()
        busy.loop.settle()
        assert not busy.hub.watching
        assert busy.hub.room > room
        assert client.silent()

    @pytest.mark.parametrize(("method", "target"), [("HEAD", "/topics/a/*"), ("GET", "/topics/a/*?wait=0")])
    def test_a_client_that_half_closes_gets_what_there_is(self, busy: Site, method: str, target: str) -> None:
        client = self.ask(busy, method, target)
        assert client.silent()
        assert client.half_close().next(method).status == 200

    def test_a_refusal_is_told_in_its_turn(self, busy: Site) -> None:
        for number in range(MAX_MATCHES + 1):
            busy.hub.open(f"b/{number}", busy.loop.time())
        client = self.ask(busy, "GET", "/topics/b/*")
        assert client.silent()
        busy.loop.settle()
        assert client.next().code == "bad_topic"
        assert client.get("/-/healthy").next().status == 200

    def test_requests_behind_it_are_answered_in_their_order(self, busy: Site) -> None:
        client = self.ask(busy, "GET", "/topics/a/*?wait=0")
        client.get("/nothing")
        assert [client.next().status, client.next().status] == [200, 404]

    def test_while_the_server_shuts_down_it_is_refused(self, busy: Site) -> None:
        client = self.ask(busy, "GET", "/topics/a/*")
        busy.server.draining = True
        client.connection.end_exchange()
        assert client.next().status == 503
