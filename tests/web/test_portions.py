"""However much waits for a reader, it comes in portions: of bounded size, and of bounded work in each turn of the loop.

What is counted is bytes, turns and messages looked at, never seconds.
"""

import itertools
import json
import re
from typing import Any
from urllib.parse import quote

import pytest

from slosh.core.portions import STEP, WORK
from slosh.web.publishing.longtext import PORTION
from slosh.web.readers.stream import Stream
from tests.web.admission.test_origins import HANDSHAKE
from tests.web.conftest import MakeSite
from tests.web.harness import Client, Site, request
from tests.web.posting import kept
from tests.web.transports import EventSource, LongPoll, Ndjson, Reader, WebSocket

KIB = 1024


def fill(site: Site, topic: str, count: int, size: int, **members: str) -> None:
    """Put messages into a topic, each of about `size` bytes."""
    kept(site, topic=topic)
    for number in range(count):
        message = json.dumps({"n": number, **members, "pad": "x" * size}).encode()
        assert site.post(f"/topics/{topic}", message).status == 200


def slow_down(site: Site) -> None:
    """Let a turn of the loop have time for one portion of what waits."""
    site.server.turns.clock = itertools.count().__next__


def turn(site: Site) -> None:
    """Let the loop turn once."""
    site.loop.call_soon(site.loop.stop)
    site.loop.run_forever()


def turns_until_answered(site: Site, client: Client, *parts: bytes) -> int:
    """How many turns go by until an answer has begun to come."""
    client.wire.unread += parts
    client.wire.feed()
    for count in range(1000):
        if client.wire.arrived:
            return count
        turn(site)
    raise AssertionError("no answer")


def poll_all(site: Site, target: str, **query: str) -> list[dict[str, Any]]:
    """The envelopes of polls, each from where the one before ended, until nothing waits any more."""
    envelopes: list[dict[str, Any]] = []
    place = "earliest"
    while True:
        parameters = "&".join(
            f"{name}={quote(value)}" for name, value in ({"since": place, "wait": "0"} | query).items()
        )
        envelope = site.get(f"{target}?{parameters}").json
        if "timeout" in envelope:
            return envelopes
        envelopes.append(envelope)
        place = envelope["next"]


class TestPolls:
    """A poll is answered with a portion, and the next poll with the next."""

    def test_a_portion_holds_its_bound_and_all_of_them_give_everything_once(self, make_site: MakeSite) -> None:
        site = make_site(portion=10 * KIB)
        fill(site, "a", 50, 1000)
        envelopes = poll_all(site, "/topics/a")
        assert [each["n"] for envelope in envelopes for each in envelope["res"]] == list(range(50))
        assert all(8 <= len(envelope["res"]) <= 10 for envelope in envelopes[:-1])
        assert all(envelope["max"] == 50 for envelope in envelopes)
        assert sum(envelope["saw"] for envelope in envelopes) == 50
        assert [envelope["next"] for envelope in envelopes][-1] == "epoch000.50"

    def test_what_waits_comes_at_once_though_the_poll_says_wait(self, make_site: MakeSite) -> None:
        site = make_site(portion=10 * KIB)
        fill(site, "a", 20, 1000)
        client = site.connect().get("/topics/a?since=earliest&wait=60")
        first = client.next().json
        client.get(f"/topics/a?since={first['next']}&wait=60")
        assert client.next().json["res"][0]["n"] == first["res"][-1]["n"] + 1

    def test_a_message_larger_than_a_portion_comes_by_itself(self, make_site: MakeSite) -> None:
        site = make_site(portion=1 * KIB)
        fill(site, "a", 3, 5000)
        assert [len(envelope["res"]) for envelope in poll_all(site, "/topics/a")] == [1, 1, 1]

    def test_what_fell_off_between_two_portions_is_told_as_lost(self, make_site: MakeSite) -> None:
        site = make_site(portion=3 * KIB, queue=10)
        fill(site, "a", 10, 1000)
        first = site.get("/topics/a?since=earliest&wait=0").json
        fill(site, "a", 8, 1000)
        then = site.get(f"/topics/a?wait=0&since={first['next']}").json
        assert (len(first["res"]), then["lost"]) == (3, 5)
        assert then["saw"] == len(then["res"]) + 5
        assert then["res"][0]["n"] == 8

    def test_limit_and_key_decide_first_and_the_sums_of_all_portions_are_those_of_one(
        self, make_site: MakeSite
    ) -> None:
        site = make_site(portion=4 * KIB)
        kept(site)
        for number in range(60):
            site.post("/topics/a", json.dumps({"n": number, "k": number % 20, "pad": "x" * 1000}).encode())
        for query, given in (
            ({"limit": "9"}, range(51, 60)),
            ({"key": "k"}, range(40, 60)),
            ({"key": "k", "limit": "9"}, range(51, 60)),
        ):
            envelopes = poll_all(site, "/topics/a", **query)
            assert [each["n"] for envelope in envelopes for each in envelope["res"]] == list(given)
            assert sum(envelope["saw"] for envelope in envelopes) == 60
            assert sum(envelope.get("conflated", 0) for envelope in envelopes) == 60 - len(given)
            assert len(envelopes) > 2

    def test_a_reset_is_told_once(self, make_site: MakeSite) -> None:
        site = make_site(portion=2 * KIB)
        fill(site, "a", 5, 1000)
        first = site.get("/topics/a?since=gone.3&wait=0").json
        then = site.get(f"/topics/a?since={first['next']}&wait=0").json
        assert first["reset"] is True
        assert "reset" not in then

    def test_a_reset_is_told_though_the_topic_has_to_wait(self, make_site: MakeSite) -> None:
        """For the place in its new life stands in `next` already, and means nothing out of the ordinary."""
        site = make_site(portion=2 * KIB)
        for topic in "abc":
            fill(site, topic, 3, 1000)
        first = site.get("/topics/a,b,c?since=a=gone.3,b=gone.3,c=gone.3&wait=0").json
        assert [part.get("reset") for part in first["topics"].values()] == [True] * 3
        got = {name: len(part["res"]) for name, part in first["topics"].items()}
        while "timeout" not in (then := site.get(f"/topics/a,b,c?since={quote(first['next'])}&wait=0").json):
            for name, part in then["topics"].items():
                assert "reset" not in part
                got[name] += len(part["res"])
            first = then
        assert got == {"a": 3, "b": 3, "c": 3}

    def test_with_every_a_full_portion_is_not_waited_for(self, make_site: MakeSite) -> None:
        site = make_site(portion=10 * KIB)
        fill(site, "a", 25, 1000)
        client, place, counts = site.connect(), "earliest", []
        for _ in range(2):
            envelope = client.get(f"/topics/a?since={place}&every=10s").next().json
            place = envelope["next"]
            counts.append(len(envelope["res"]))
        assert min(counts) >= 8
        client.get(f"/topics/a?since={place}&every=10s")
        assert client.silent()
        site.advance(10.1)
        assert len(client.next().json["res"]) == 25 - sum(counts)

    def test_a_head_tells_the_length_of_what_a_get_would_give(self, make_site: MakeSite) -> None:
        site = make_site(portion=10 * KIB)
        fill(site, "a", 50, 1000)
        for target in (
            "/topics/a?since=earliest&wait=0",
            "/topics/a,b?since=earliest&wait=0",
            "/topics/a?since=earliest&wait=0&key=n",
        ):
            got = site.get(target)
            looked = site.ask("HEAD", target)
            assert looked["Content-Length"] == got["Content-Length"]
            assert looked["Slosh-Next"] == got["Slosh-Next"]
            assert int(looked["Content-Length"]) < 12 * KIB

    def test_readers_that_take_nothing_hold_a_portion_each(self, site: Site) -> None:
        fill(site, "a", 80, 100_000)
        for _ in range(5):
            client = site.connect().take_nothing()
            client.get("/topics/a?since=earliest")
            assert 200_000 < client.wire.get_write_buffer_size() < site.settings.portion + 1000

    def test_of_several_topics_none_starves_though_the_first_is_never_done(self, make_site: MakeSite) -> None:
        """The places come back in the order in which the topics are to be read."""
        site = make_site(portion=4 * KIB)
        for topic in "abc":
            fill(site, topic, 4, 1000)
        place, got = "earliest", set()
        for number in range(4):
            envelope = site.get(f"/topics/a,b,c?wait=0&since={quote(place)}").json
            got |= set(envelope["topics"])
            place = envelope["next"]
            for _ in range(4):
                site.post("/topics/a", json.dumps({"n": number, "pad": "x" * 1000}).encode())
        assert got == {"a", "b", "c"}

    def test_very_many_topics_with_one_message_each_come_together(self, site: Site) -> None:
        names = [f"t/{number:03}" for number in range(60)]
        for name in names:
            kept(site, 1, topic=name)
        assert len(site.get("/topics/t/*?since=earliest&wait=0").json["topics"]) == 60


class TestFrames:
    """A line of NDJSON and a WebSocket message stay below what usual clients take."""

    @pytest.mark.parametrize("kind", [Ndjson, WebSocket])
    @pytest.mark.parametrize("topics", ["a", "a,b", "*"])
    def test_a_line_holds_16_kib_beyond_a_message(self, site: Site, kind: type[Reader], topics: str) -> None:
        sizes: list[int] = []

        class Measured(kind):  # type: ignore[misc, valid-type]
            def take_envelope(self, envelope: dict[str, Any]) -> None:
                sizes.append(len(json.dumps(envelope, separators=(",", ":"))))
                super().take_envelope(envelope)

        for topic in "ab":
            fill(site, topic, 100, 1500)
        reader = Measured(site, topics, since="earliest")
        reader.listen()
        assert len(reader.messages) == (100 if topics == "a" else 200)
        assert max(sizes) < 17 * KIB
        assert len(sizes) < 40  # and holds many, where they are small

    @pytest.mark.parametrize("kind", [Ndjson, WebSocket])
    def test_very_many_topics_do_not_make_a_long_line(self, site: Site, kind: type[Reader]) -> None:
        names = [f"t/{number:03}-" + "x" * 20 for number in range(150)]
        for name in names:
            kept(site, 1, topic=name)
        reader = kind(site, "t/*", since="earliest")
        reader.listen()
        assert reader.messages == [1] * 150
        places = [event.value for event in reader.events if event.kind == "place"]
        assert len(places) > 2


class TestTurns:
    """In one turn of the loop one reader costs the others a bounded time."""

    def test_a_stream_that_has_very_much_to_come_is_given_a_portion_in_a_turn(
        self, site: Site, stream: type[Reader]
    ) -> None:
        fill(site, "a", 100, 80_000)
        fields = stream.headers | ({"websocket": HANDSHAKE}.get(stream.transport, {}))
        client = site.connect()
        client.wire.unread.append(request("GET", "/topics/a?since=earliest", **fields))
        client.wire.feed()
        most = 0
        for _ in range(200):
            before = len(client.wire.arrived)
            turn(site)
            most = max(most, len(client.wire.arrived) - before)
        assert len(client.wire.arrived) > 8_000_000
        assert most < 2 * site.settings.portion + 100_000

    def test_many_streams_share_what_a_turn_has_room_for(self, site: Site) -> None:
        fill(site, "a", 100, 80_000)
        clients = [site.connect() for _ in range(20)]
        for client in clients:
            client.wire.unread.append(request("GET", "/topics/a?since=earliest", Accept="application/x-ndjson"))
            client.wire.feed()
        turn(site)
        before = 0
        for _ in range(400):
            turn(site)
            arrived = sum(len(client.wire.arrived) for client in clients)
            assert arrived - before < 3 * WORK or not before
            before = arrived
        assert all(len(client.wire.arrived) > 8_000_000 for client in clients)

    @pytest.mark.parametrize("reader", [LongPoll, EventSource, Ndjson, WebSocket], ids=lambda each: each.transport)
    @pytest.mark.parametrize("count", [40, 100])
    def test_a_large_message_is_written_to_some_of_its_readers_in_a_turn(
        self, site: Site, reader: type[Reader], count: int
    ) -> None:
        size = 1_000_000
        fields = reader.headers | ({"websocket": HANDSHAKE}.get(reader.transport, {}))
        clients = [site.connect().get("/topics/a", **fields) for _ in range(count)]
        for client in clients:
            client.wire.arrived.clear()
        site.engine.accept("a", [b'"%b"' % (b"x" * size)], site.loop.time())
        before = 0
        for _ in range(count):
            turn(site)
            arrived = sum(len(client.wire.arrived) for client in clients)
            assert arrived - before < 11 * size
            before = arrived
        assert all(len(client.wire.arrived) > size for client in clients)

    @pytest.mark.parametrize(
        ("count", "reader"),
        [
            pytest.param(count, each, id=f"{count}-{each.transport}", marks=[pytest.mark.long] * is_long)
            for each in (LongPoll, EventSource, Ndjson, WebSocket)
            for count, is_long in ((30, False), (100, each is not Ndjson))
        ],
    )
    def test_readers_of_very_many_topics_are_written_to_some_at_a_time(
        self, site: Site, reader: type[Reader], count: int
    ) -> None:
        """Each has other topics too, so that nothing is made once for all."""
        names = [f"t/{number:03}" for number in range(200)]
        for name in names:
            kept(site, 0, topic=name)
        fields = reader.headers | ({"websocket": HANDSHAKE}.get(reader.transport, {}))
        clients = [site.connect().get(f"/topics/t/*,own{number}", **fields) for number in range(count)]
        for client in clients:
            client.wire.arrived.clear()
        for name in names:
            site.engine.accept(name, [b"1"], site.loop.time())
        before = 0
        for _ in range(count):
            turn(site)
            written = sum(bool(client.wire.arrived) for client in clients)
            assert written - before <= WORK // (512 * len(names)) + 5
            before = written
        assert before == count

    @pytest.mark.parametrize(
        ("reader", "what"),
        [
            pytest.param(each, what, id=f"{each.transport}-{what}", marks=[pytest.mark.long] * is_long)
            for each, what, is_long in (
                (LongPoll, "message", False),
                (LongPoll, "ends", False),
                (EventSource, "message", True),
                (EventSource, "ends", False),
                (Ndjson, "message", False),
                (Ndjson, "ends", True),
                (WebSocket, "message", True),
                (WebSocket, "ends", False),
            )
        ],
    )
    def test_readers_of_the_same_very_many_topics_are_written_to_some_at_a_time(
        self, site: Site, reader: type[Reader], what: str
    ) -> None:
        """What they get is made once for all, but the places of each are its own."""
        names = [f"t/{number:03}" for number in range(200)]
        for name in names:
            kept(site, 0, topic=name)
        fields = reader.headers | ({"websocket": HANDSHAKE}.get(reader.transport, {}))
        clients = [site.connect().get("/topics/t/*", **fields) for _ in range(200)]
        for client in clients:
            client.wire.arrived.clear()
        if what == "message":
            site.engine.accept("t/007", [b"1"], site.loop.time())
        else:
            for name in names:
                site.hub.end(site.hub.open(name, site.loop.time()))
        leaves = what == "ends" and reader is not LongPoll
        turns = 0
        while not all(client.wire.arrived for client in clients):
            turn(site)
            turns += 1
            assert turns < len(clients)
        assert turns >= len(clients) * len(names) * (64 + 256 * leaves) // WORK

    def test_ends_of_very_many_topics_are_told_a_portion_in_a_turn(self, site: Site, stream: type[Reader]) -> None:
        """Each is told with the places in all topics, in an event stream."""
        names = [f"t/{number:03}" for number in range(250)]
        for name in names:
            kept(site, 0, topic=name)
        fields = stream.headers | ({"websocket": HANDSHAKE}.get(stream.transport, {}))
        clients = [site.connect().get("/topics/t/*", **fields) for _ in range(3)]
        for client in clients:
            client.wire.arrived.clear()
        arrived = [0 for _ in clients]
        for name in names:
            site.hub.end(site.hub.open(name, site.loop.time()))
        for _ in range(100):
            turn(site)
            for at, client in enumerate(clients):
                assert len(client.wire.arrived) - arrived[at] < 2 * site.settings.portion
                arrived[at] = len(client.wire.arrived)
        told = [bytes(client.wire.arrived) for client in clients]
        assert told[0] == told[1] == told[2]
        assert told[0].count(b"event: end\n") + told[0].count(b'"ended":true') == len(names)
        assert all(site.watchers(name) == 0 for name in names)

    @pytest.mark.parametrize("way", ["publish", "read"])
    def test_topics_are_created_under_very_many_readers_of_patterns_some_at_a_time(self, site: Site, way: str) -> None:
        names = [f"t/{number}" for number in range(40)]
        for number in range(300):
            site.connect().get(f"/topics/t/*,own{number}", Accept="application/x-ndjson")
        client = site.connect()
        body = b"\n".join(b'{"topic":"%b","message":1}' % name.encode() for name in names)
        reading = request("GET", f"/topics/{','.join(names)}?wait=0")
        client.wire.unread.append(request("POST", "/topics", body) if way == "publish" else reading)
        client.wire.feed()
        before = 0
        for _ in range(100):
            created = sum(site.hub.find(name, site.loop.time()) is not None for name in names)
            assert created - before <= 2 * WORK // (300 * 1024) + 2
            before = created
            turn(site)
        assert before == len(names)
        site.loop.settle()
        answer = client.next()
        assert answer.status == 200
        assert len(answer.json["topics"] if way == "publish" else answer.json["next"].split(",")) == len(names)

    def test_while_topics_are_created_some_in_a_turn_more_requests_may_come(self, site: Site) -> None:
        """A reader that waits for its own topics is not refused because its client has sent much more."""
        for number in range(300):
            site.connect().get(f"/topics/t/*,own{number}", Accept="application/x-ndjson")
        client = site.connect()
        groups = [[f"t/{group}-{number}" for number in range(20)] for group in range(40)]
        first, *others = (request("GET", f"/topics/{','.join(names)}?wait=0", Filling="x" * 2000) for names in groups)
        client.wire.unread.append(first)
        client.wire.feed()
        assert client.silent()
        client.wire.unread.append(b"".join(others))
        client.wire.feed()
        site.loop.settle()
        for names in groups:
            answer = client.next()
            assert answer.status == 200
            assert len(answer.json["next"].split(",")) == len(names)

    def test_a_reader_that_waits_for_its_own_topics_is_not_refused_for_want_of_a_store(self, site: Site) -> None:
        for number in range(300):
            site.connect().get(f"/topics/t/*,own{number}", Accept="application/x-ndjson")
        client = site.connect()
        names = [f"t/{number}" for number in range(40)]
        client.wire.unread.append(request("GET", f"/topics/{','.join(names)}?wait=0"))
        client.wire.feed()
        turn(site)
        assert client.silent()
        held = list(site.server.connections)[-1]
        held._exchange.deadline_passed()  # type: ignore[attr-defined]  # the virtual loop takes no time for a turn
        site.loop.settle()
        assert client.next().status == 200

    def test_a_reader_that_goes_while_its_topics_are_created_is_forgotten(self, site: Site) -> None:
        names = [f"t/{number}" for number in range(40)]
        for number in range(300):
            site.connect().get(f"/topics/t/*,own{number}")
        client = site.connect()
        client.wire.unread.append(request("GET", f"/topics/{','.join(names)}"))
        client.wire.feed()
        client.reset()
        site.loop.settle()
        assert site.watchers("t/0") == 300

    @pytest.mark.parametrize(
        "target", ["/topics/a,b,c,d?since=earliest&key=host&wait=0", "/topics/a,b,c,d?since=earliest&key=host&wait=9"]
    )
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_key_looks_at_a_bounded_part_of_full_rings_in_a_turn(self, site: Site, target: str, method: str) -> None:
        for topic in "abcd":
            fill(site, topic, 80, 100_000, host="h")
        client = site.connect()
        most = WORK + 100_000  # The last message that is looked at may not fit.
        assert turns_until_answered(site, client, request(method, target)) >= 3 * 8_000_000 // most
        if method == "GET":
            envelope = client.next().json
            assert {name: part["conflated"] for name, part in envelope["topics"].items()} == dict.fromkeys("ab", 79)

    def test_readers_at_one_place_look_once(self, site: Site) -> None:
        clients = [site.connect() for _ in range(30)]
        kept(site)
        for client in clients:
            client.get("/topics/a?key=host")
        for number in range(80):
            site.engine.accept(
                "a", [json.dumps({"n": number, "host": "h", "pad": "x" * 100_000}).encode()], site.loop.time()
            )
        count = 0
        while not all(client.wire.arrived for client in clients):
            turn(site)
            count += 1
            assert count < 20  # thirty looks would take 120 turns
        bodies = [client.next().json for client in clients]
        assert all(body == bodies[0] for body in bodies)
        assert (bodies[0]["saw"], bodies[0]["conflated"]) == (80, 79)

    def test_a_reader_that_goes_while_it_is_looked_at_is_forgotten(self, site: Site) -> None:
        fill(site, "a", 80, 100_000, host="h")
        for target in ("/topics/a?since=earliest&key=host", "/topics/a?since=earliest&key=host&wait=0"):
            client = site.connect()
            client.wire.unread.append(request("GET", target))
            client.wire.feed()
            turn(site)
            assert client.silent()
            client.reset()
            site.advance(1)
            assert site.watchers("a") == 0

    def test_one_that_is_answered_meanwhile_is_answered_once(self, site: Site) -> None:
        """The time to wait runs out, or the server shuts down, while messages are looked at."""
        fill(site, "a", 80, 100_000, host="h")
        client = site.connect()
        client.wire.unread.append(request("GET", "/topics/a?since=earliest&key=host&wait=60"))
        client.wire.feed()
        turn(site)
        task = site.drain()
        site.advance(3)
        assert client.next().json["conflated"] == 79
        assert client.silent()
        assert task.done()


def test_a_stream_with_a_key_looks_at_each_message_once(make_site: MakeSite) -> None:
    """Though it is given what is left in very many portions."""
    site = make_site(queue=4000, portion=20 * KIB)
    kept(site)
    lines = b"\n".join(json.dumps({"k": number, "pad": "x" * 1000}).encode() for number in range(4000))
    assert site.post("/topics/a?batch=ndjson", lines).status == 200
    client = site.connect()
    count = turns_until_answered(
        site, client, request("GET", "/topics/a?since=earliest&key=k", Accept="application/x-ndjson")
    )
    for _ in range(600):
        turn(site)
        count += 1
    assert client.wire.arrived.count(b'"k"') == 4000
    reader = EventSource(site, since="earliest", key="k")
    reader.listen()
    assert [each["k"] for each in reader.messages] == list(range(4000))


def test_for_a_client_that_takes_nothing_no_values_of_a_key_are_kept(make_site: MakeSite) -> None:
    """Each of a ring of 20,000 messages kept 2.4 MB, for as long as a client was slow."""
    site = make_site(queue=16_000)
    kept(site)
    for start in (0, 8000):
        lines = b"\n".join(b'{"k":%d}' % number for number in range(start, start + 8000))
        assert site.post("/topics/a?batch=ndjson", lines).status == 200
    client = site.connect().take_nothing().get("/topics/a?since=earliest&key=k&format=ndjson")
    stream = client.connection._exchange
    assert isinstance(stream, Stream)
    assert client.connection.is_stalled
    assert stream._sift is None
    client.take()
    assert [int(found) for found in re.findall(rb'"k":([0-9]+)', client.wire.arrived)] == list(range(16_000))


class TestGoing:
    """Very many readers of very many topics that go at once leave these some in a turn."""

    @pytest.mark.parametrize(
        ("named", "every", "reader"),
        [
            pytest.param(named, every, each, id=f"{named}-{every}-{each.transport}", marks=[pytest.mark.long] * is_long)
            for named in (False, True)
            for every in ("", "?every=5s")
            for each, is_long in ((LongPoll, False), (EventSource, named), (Ndjson, False), (WebSocket, bool(every)))
        ],
    )
    def test_they_leave_some_in_a_turn_and_are_given_nothing_meanwhile(
        self, site: Site, reader: type[Reader], every: str, *, named: bool
    ) -> None:
        names = [f"t/{number:03}" for number in range(60)]
        topics = ",".join(names) if named else "t/*"
        for name in names:
            kept(site, 0, topic=name)
        fields = reader.headers | ({"websocket": HANDSHAKE}.get(reader.transport, {}))
        clients = [site.connect().get(f"/topics/{topics}{every}", **fields) for _ in range(300)]
        assert site.watchers("t/000") == len(clients)
        for client in clients:
            client.wire.lose(ConnectionResetError())
        before, turns = len(clients), 0
        given = site.routes.readers.answers
        site.engine.accept("t/001", [b"1"], site.loop.time())
        for name in names:
            site.hub.end(site.hub.open(name, site.loop.time()))
        site.hub.open("t/new", site.loop.time())
        while before:
            turn(site)
            turns += 1
            left = site.watchers("t/000")
            assert before - left <= 2 * WORK // (256 * len(names)) + 5
            before = left
        assert turns > 2
        site.loop.settle()
        assert not len(site.server.timers)
        site.advance(60)
        assert site.hub.watching == 0
        assert not site.hub.listeners.has_followers
        assert site.routes.readers.answers == given


class TestCreation:
    """Very many readers of patterns are told of a topic over several turns, and miss nothing by that."""

    READERS = 1500

    def follow(self, site: Site, **fields: str) -> list[Client]:
        clients = [site.connect().get("/topics/t/*", **fields) for _ in range(self.READERS)]
        for client in clients:
            client.wire.arrived.clear()
        return clients

    @staticmethod
    def told(client: Client) -> bytes:
        """The messages of a stream, with commas between them."""
        return b",".join(re.findall(rb'"res":\[([^\]]+)\]', bytes(client.wire.arrived)))

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_a_topic_is_created_under_some_of_them_in_a_turn(self, site: Site, method: str) -> None:
        clients = self.follow(site, Accept="application/x-ndjson")
        client = site.connect()
        client.wire.unread.append(request(method, "/topics/t/a?wait=0" if method == "GET" else "/topics/t/a", b"1"))
        client.wire.feed()
        before = 0
        for _ in range(10):
            watchers = site.watchers("t/a")
            assert watchers - before <= 1100
            before = watchers
            turn(site)
        assert before == self.READERS
        site.loop.settle()
        if method == "POST":
            assert client.next().json["watchers"] == self.READERS
            assert {self.told(each) for each in clients} == {b"1"}

    def test_whatever_happens_meanwhile_each_is_given_everything_once(self, site: Site) -> None:
        clients = self.follow(site, Accept="application/x-ndjson")
        publisher = site.connect()
        publisher.wire.unread.append(request("POST", "/topics/t/a", b"1"))
        publisher.wire.feed()
        assert publisher.next().json["watchers"] == self.READERS
        assert site.watchers("t/a") < self.READERS
        clients.pop().wire.lose(ConnectionResetError())
        late = site.connect()
        late.wire.unread.append(request("GET", "/topics/t/*,t/a?since=t/a=epoch000.0", Accept="application/x-ndjson"))
        late.wire.feed()
        publisher.wire.unread.append(request("POST", "/topics/t/a", b"2"))
        publisher.wire.feed()
        assert publisher.next().json["watchers"] in (self.READERS, self.READERS + 1)
        turn(site)
        publisher.wire.unread.append(request("POST", "/topics/t/a?end", b"3"))
        publisher.wire.feed()
        assert publisher.next().status == 200
        site.loop.settle()
        assert {self.told(each) for each in [*clients, late]} == {b"1,2,3"}
        assert all(each.wire.arrived.count(b'"ended":true') == 1 for each in [*clients, late])

    def test_polls_without_linger_are_all_answered(self, make_site: MakeSite) -> None:
        """Those that were told first have left when the others are told, and others look for the topic meanwhile."""
        site = make_site(linger=0.0)
        clients = self.follow(site)
        publisher = site.connect()
        for _ in range(20):  # They are told behind these.
            site.hub.put_off(lambda _: site.hub.spend(WORK))
        publisher.wire.unread.append(request("POST", "/topics/t/a", b"1"))
        publisher.wire.feed()
        for _ in range(30):
            site.hub.find("t/a", site.loop.time())
            site.hub.expire(site.loop.time())
            turn(site)
        site.loop.settle()
        assert [client.next().json["topics"]["t/a"]["res"] for client in clients] == [[1]] * self.READERS
        site.advance(2)
        assert site.hub.find("t/a", site.loop.time()) is None

    def test_a_life_that_is_lost_meanwhile_is_followed_by_the_next_for_each(
        self, site: Site, caplog: pytest.LogCaptureFixture
    ) -> None:
        clients = self.follow(site, Accept="application/x-ndjson")
        topic = site.hub.open("t/a", site.loop.time())
        site.engine.accept("t/a", [b"1"], site.loop.time())
        site.hub.replace(topic, "another0", site.loop.time())
        site.engine.accept("t/a", [b"2"], site.loop.time())
        site.loop.settle()
        assert {self.told(each) for each in clients} == {b"2"}
        assert not caplog.records
        assert site.watchers("t/a") == self.READERS


class TestPublishing:
    """What a publisher sends holds the loop no longer either."""

    def test_a_large_body_is_not_looked_into_where_nobody_watches(self, site: Site) -> None:
        for body in (b'"' + b"x" * 300_000, b'{"t":\n' * 60_000):
            answer = site.post("/topics/a?batch=ndjson", body[: 8000 * 6] * 8)
            assert (answer.status, answer.code) == (404, "no_watchers")
        assert site.post("/topics/a", b'"' + b"x" * 300_000).code == "no_watchers"

    def test_an_idempotent_one_is_looked_up_first(self, site: Site) -> None:
        kept(site)
        body = b'"' + b"x" * 300_000 + b'"'
        first = site.post("/topics/a", body, Idempotency_Key="k")
        site.advance(31)
        again = site.post("/topics/a", body, Idempotency_Key="k")
        assert (again.json, again["Idempotent-Replayed"]) == (first.json, "true")

    @pytest.mark.parametrize("query", ["", "?batch=ndjson"])
    def test_a_long_message_is_checked_a_portion_in_a_turn(self, make_site: MakeSite, query: str) -> None:
        """Also one that is refused at its end, and one whose sender leaves."""
        size = 8 * KIB * KIB
        site = make_site(max_message=size)
        slow_down(site)
        kept(site)
        sound = b"[" + b"1," * (size // 2 - 2) + b"1]"
        for body, status in (
            (sound, 200),
            (sound[:-2] + b"x]", 400),
            (b'"\\ud83d' + b"\\n" * (size // 2 - 8) + b'"', 200),
        ):
            client = site.connect()
            data = request("POST", f"/topics/a{query}", body)
            assert turns_until_answered(site, client, data) >= len(body) // PORTION - 1
            answer = client.next()
            assert answer.status == status
            if status == 400:
                assert answer.json["position"] == len(body) - 2
                assert ("line" in answer.json) == bool(query)
        client = site.connect()
        client.wire.unread.append(request("POST", f"/topics/a{query}", sound))
        client.wire.feed()
        turn(site)
        client.reset()
        site.loop.settle()
        assert site.get("/topics/a?wait=0").json["max"] == 2

    def test_a_large_batch_is_checked_a_portion_in_a_turn(self, site: Site) -> None:
        slow_down(site)
        kept(site)
        body = b"\n".join([b'"' + b"x" * 1000 + b'"'] * 8000)
        client = site.connect()
        assert turns_until_answered(site, client, request("POST", "/topics/a?batch=ndjson", body)) >= len(body) // (
            300 * KIB
        )
        assert client.next().json["accepted"] == 8000

    def test_a_wrong_line_far_behind_refuses_all(self, site: Site) -> None:
        kept(site)
        body = b"\n".join([b'"' + b"x" * 1000 + b'"'] * 3000 + [b"{"])
        answer = site.post("/topics/a?batch=ndjson", body)
        assert (answer.code, answer.json["line"]) == ("bad_json", 3001)
        assert site.get("/topics/a?since=earliest&wait=0").json["saw"] == 0

    def test_a_publisher_that_goes_meanwhile_has_stored_nothing(self, site: Site) -> None:
        slow_down(site)
        kept(site)
        client = site.connect()
        client.wire.unread.append(
            request("POST", "/topics/a?batch=ndjson", b"1\n" * 2 + b"\n".join([b'"' + b"x" * 1000 + b'"'] * 3000))
        )
        client.wire.feed()
        turn(site)
        client.reset()
        for _ in range(1000):  # else the rest would not have been looked at yet
            turn(site)
        assert site.get("/topics/a?since=earliest&wait=0").json["saw"] == 0

    def test_what_comes_behind_it_is_answered_behind_it(self, site: Site) -> None:
        kept(site)
        body = b"\n".join([b'"' + b"x" * 1000 + b'"'] * 3000)
        client = site.connect().send(
            request("POST", "/topics/a?batch=ndjson", body) + request("POST", "/topics/a", b"1")
        )
        assert [client.next().json["max"], client.next().json["max"]] == [3000, 3001]


def test_a_poller_goes_on_portion_by_portion_on_one_connection(make_site: MakeSite) -> None:
    site = make_site(portion=3 * KIB)
    fill(site, "a", 20, 1000)
    reader = LongPoll(site, since="earliest")
    reader.listen()
    assert [each["n"] for each in reader.messages] == list(range(20))


def test_a_batch_whose_names_take_long_walks_through_patterns_takes_several_turns(make_site: MakeSite) -> None:
    site = make_site()
    patterns = ["/".join("*" if number >> bit & 1 else "a" for bit in range(8)) + "/b" for number in range(256)]
    for at in range(0, 256, 64):
        site.connect().get(f"/topics/{','.join(patterns[at : at + 64])}")
    lines = b"\n".join(b'{"topic":"a/a/a/a/a/a/a/a/z%d","message":1}' % number for number in range(64))
    client = site.connect()
    assert turns_until_answered(site, client, request("POST", "/topics", lines)) >= 64 * 511 * STEP // WORK
    assert len(client.next().json["refused"]) == 64


@pytest.mark.parametrize("wait", ["0", "20"])
def test_a_poll_of_patterns_that_is_answered_in_a_later_turn_leaves_once(make_site: MakeSite, wait: str) -> None:
    """Whoever reads by the same pattern is a reader as before, until it goes too."""
    site = make_site(queue_bytes=16 * KIB * KIB)
    told: list[bool] = []
    site.hub.listeners.patterned = lambda _, is_read: told.append(is_read)
    pattern, name = "*/" * 9 + "*", "a/" * 9 + "a"
    other = site.connect().get(f"/topics/{pattern}?format=sse")
    assert site.post(f"/topics/{name}", b"0").status == 200
    client = site.connect()
    if wait == "20":
        client.get(f"/topics/{pattern}?key=v&wait=20&since=now")
    site.engine.accept(name, [b'{"v":1,"pad":"%b"}' % (b"x" * 90_000)] * 60, site.loop.time())
    if wait == "0":
        client.get(f"/topics/{pattern}?key=v&wait=0&since=*")
    site.loop.settle()
    assert client.next().status == 200
    assert told == ([True, True, False] if wait == "20" else [True])
    assert site.get(f"/topics/{name}?watchers").json["watchers"] == 1
    client.reset()
    other.reset()
    site.loop.settle()
    assert told.count(True) == told.count(False)
    assert site.get(f"/topics/{name}?watchers").json["watchers"] == 0
    assert not site.hub.listeners.is_followed(name)
