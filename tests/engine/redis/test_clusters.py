"""A Redis Cluster keeps every engine's promises, at whichever server a topic is: classes, histories and ends too."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slosh.core.classes import Classes, TopicClass
from slosh.core.topic import Topic
from slosh.core.window import Window, work_out_columns
from slosh.errors import NoWatchers
from tests.core.hubs import generous
from tests.e2e.server import CurlPoll, Serving, curl, until
from tests.engine.contract import Harness, Poller
from tests.engine.ends import EndsContract
from tests.engine.nodes import Node, make_node, make_nodes
from tests.stores.found import EACH_KIND, program
from tests.stores.sets import Cluster


def make_rules() -> tuple[TopicClass, ...]:
    """The classes of both nodes, whose counts they share."""
    return (
        TopicClass("gen/**", queue=3, queue_bytes=1000, linger=60.0, age=10.0),
        TopicClass("chart/*", queue=2, queue_bytes=1000, linger=60.0, history=3600.0),
        TopicClass("alarm/*", queue=5, queue_bytes=1000, linger=5.0, keeps=True),
    )


EVERYWHERE = [f"{{{number}}}" for number in range(12)]
"""Parts of names that a cluster has at different servers."""


@pytest.fixture(scope="module", params=EACH_KIND)
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of each kind of server, of three masters."""
    with Cluster(tmp_path_factory.mktemp("cluster"), program(request.param)) as made:
        yield made


@pytest.fixture
def pair(cluster: Cluster, aio: asyncio.AbstractEventLoop) -> Iterator[list[Node]]:
    """Two nodes with classes."""
    nodes = make_nodes(cluster.url, aio, 2, rules=make_rules(), linger=5.0)
    yield nodes
    for node in nodes:
        node.stop()


@pytest.mark.long
class TestCluster(EndsContract):
    """The contract, which each engine keeps; on single servers it runs each time."""

    @pytest.fixture(autouse=True)
    def _place(self, cluster: Cluster, aio: asyncio.AbstractEventLoop) -> None:
        self.cluster = cluster
        self.aio = aio

    def make(self, **bounds: Any) -> Harness:
        return make_node(self.cluster.url, self.aio, **bounds)


def names_at_each_server(cluster: Cluster, node: Node, start: str) -> list[str]:
    """Names that begin so; each server of the cluster has some of them."""
    names = [f"{start}/{part}" for part in EVERYWHERE]
    owners = {cluster.slot_owner(node.redis._view.keys.of_topic(name)[0]).port for name in names}
    assert len(owners) == len(cluster.stores)
    return names


def ring(cluster: Cluster, node: Node, name: str) -> list[bytes]:
    """The messages that the store keeps of a topic."""
    _, key, _ = node.redis._view.keys.of_topic(name)
    entries = cluster.slot_owner(key).ask("LRANGE", key, 0, -1)
    assert isinstance(entries, list)
    return [entry.partition(b" ")[2] for entry in entries if isinstance(entry, bytes)]


def until_heard(readers: list[Poller], newest: int) -> None:
    """Let each node hear of a topic's newest message before there is another.

    The mark by which `settle` sees that everything was heard comes by the connection to one server, an announcement may
    come by that to another, and none at all while a slot moves; then a node looks again some seconds later.
    """
    for _ in range(30):
        if all(reader.place.offset == newest for reader in readers):  # and was given it
            return
        readers[0].harness.advance(1.0)
    raise AssertionError(f"message {newest} was not heard")


def numbers(node: Node, topic: Topic) -> dict[str, Any]:
    """The one series of a topic's history at a node, in one step of an hour."""
    rollups = node.hub.begin_history(topic, "")
    node.settle()
    assert rollups.rolled == topic.last
    group = rollups.group("")
    assert group is not None
    (series,) = group.series()
    return work_out_columns(series, Window(3600.0, 1, topic.latest_wall))[1]


def test_topics_have_the_bounds_of_their_class_at_every_server(cluster: Cluster, pair: list[Node]) -> None:
    one, other = pair
    names = names_at_each_server(cluster, one, "gen")
    for name in names:
        one.opened(name)
        for number in range(5):
            one.taken(name, b"%d" % number)
        late = other.look(name)
        assert (late.saw, late.lost, late.messages) == (5, 2, [b"2", b"3", b"4"])
        assert ring(cluster, one, name) == [b"2", b"3", b"4"]
    one.advance(8.0)
    for name in names:
        one.taken(name, b"5")
    one.advance(4.0)
    for name in names:
        late = other.look(name)
        assert (late.saw, late.lost, late.messages) == (6, 5, [b"5"])
        one.taken(name, b"6")
        assert ring(cluster, one, name) == [b"5", b"6"], "the store lets what is too old go with the next message"
    counts = [rule.counts.published for rule in one.hub.classes.rules]
    assert (counts, one.hub.published) == ([7 * len(names), 0, 0], 7 * len(names))


def test_lingering_and_keeping_are_as_the_class_has_them_at_every_server(cluster: Cluster, pair: list[Node]) -> None:
    one, other = pair
    longer = names_at_each_server(cluster, one, "gen")
    kept = names_at_each_server(cluster, one, "alarm")
    others = names_at_each_server(cluster, one, "other")
    for name in kept:
        assert one.taken(name, b"1").watchers == 0
        assert other.look(name).messages == [b"1"]
    for name in (*longer, *others):
        assert isinstance(one.publish(name, b"1"), NoWatchers)
        other.opened(name)
    one.advance(20.0)
    for name in longer:
        one.taken(name, b"1")
    for name in others:
        assert isinstance(one.publish(name, b"1"), NoWatchers)


def test_classes_that_are_read_again_hold_for_the_next_message_at_every_server(
    cluster: Cluster, pair: list[Node]
) -> None:
    one, other = pair
    names = names_at_each_server(cluster, one, "gen")
    readers = [Poller(other, name) for name in names]
    one.settle()
    for node in pair:
        classes = Classes(node.hub.classes.default, [TopicClass("gen/**", queue=6, queue_bytes=1000, linger=60.0)])
        node.hub.set_bounds(generous(classes), node.now)
    for name in names:
        for number in range(8):
            one.taken(name, b"%d" % number)
        assert ring(cluster, one, name) == [b"%d" % number for number in range(2, 8)]
    one.advance(20.0)
    assert all(other.look(name).messages == [b"%d" % number for number in range(2, 8)] for name in names)
    assert all(reader.lost == 0 and not any(each.reset for each in reader.readings) for reader in readers)


def test_each_node_has_every_message_in_its_history_once_wherever_the_topic_is(
    cluster: Cluster, pair: list[Node]
) -> None:
    """Also of more than the ring keeps, and of those that are too large for an announcement."""
    one, _ = pair
    for name in names_at_each_server(cluster, one, "chart"):
        readers = [Poller(node, name) for node in pair]
        one.settle()
        for number in range(10):
            pair[number % 2].taken(name, b'{"x":%d%s}' % (number, b" " * (5000 if number == 4 else 0)))
            until_heard(readers, number + 1)
        for node, reader in zip(pair, readers, strict=True):
            assert reader.topic is not None
            told = numbers(node, reader.topic)
            assert (told["count"], told["min"], told["max"]) == ([10], [0.0], [9.0])
            assert told["mean"] == pytest.approx([4.5])  # It is worked out of the means of seconds.


def test_a_history_goes_on_while_the_slot_of_its_topic_moves(cluster: Cluster, pair: list[Node]) -> None:
    one, other = pair
    reader = Poller(other, "chart/moves")
    one.settle()
    one.taken("chart/moves", b'{"x":1}')
    key, *_ = one.redis._view.keys.of_topic("chart/moves")
    old = cluster.slot_owner(key)
    new = next(store for store in cluster.stores if store is not old)
    slot = old.ask("CLUSTER", "KEYSLOT", key)
    assert isinstance(slot, int)
    cluster.move_slot(slot, old, new)
    for number in range(2, 6):
        one.taken("chart/moves", b'{"x":%d}' % number)
        until_heard([reader], number)  # The ring holds two messages.
    assert len(reader.got) == 5
    assert reader.topic is not None
    told = numbers(other, reader.topic)
    assert (told["count"], told["min"], told["max"]) == ([5], [1.0], [5.0])
    assert not any(reading.reset or reading.lost for reading in reader.readings)


def test_classes_ends_and_histories_over_http_with_two_nodes_and_a_cluster(cluster: Cluster, tmp_path: Path) -> None:
    """From `next` of the history a reader goes on without a gap, at the other node."""
    settings = tmp_path / "slosh.toml"
    settings.write_text('[topics."chart/*"]\nqueue = 2\nhistory = "1h"\n[topics."alarm/*"]\nunwatched = "keep"\n')
    options = (f"--config={settings}", f"--engine={cluster.url}", "--engine-prefix=http")
    with Serving(tmp_path, *options) as one, Serving(tmp_path, *options) as other:
        for part in ("a", "b", "c", "d", "e", "f"):
            name = f"chart/{part}"
            assert curl(f"{other.topic(name)}?history=1h").json["series"] == []
            for number in range(5):
                assert one.post(b'{"x":%d}' % number, name).status == 200
            history = until(
                lambda name=name: curl(f"{other.topic(name)}?history=1h&points=1").json,  # type: ignore[misc]
                lambda told: told["max"] == 5,
            )
            (series,) = history["series"]
            assert (series["path"], series["count"], series["min"], series["max"]) == ("x", [5], [0.0], [4.0])
            waiting = CurlPoll(f"{one.topic(name)}?since={history['next']}")
            until(lambda name=name: curl(f"{other.topic(name)}?watchers").json["watchers"], bool)  # type: ignore[misc]
            assert curl(f"{other.topic(name)}?end", data=b'{"x":9}').status == 200
            answer = waiting.answer()
            assert [answer[field] for field in ("res", "saw", "ended")] == [[{"x": 9}], 1, True]
            assert json.loads(one.post(b"1", name).body)["code"] == "ended"
            assert one.post(b"1", f"alarm/{part}").status == 200
            assert curl(f"{other.topic(f'alarm/{part}')}?since=earliest").json["res"] == [1]
        for server in (one, other):
            server.assert_healthy()
