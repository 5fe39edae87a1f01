"""With a store too, one client cannot use up the topics that all clients share: what it asks for counts at once."""

import http.client
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slosh.engine.base import Published
from slosh.errors import NoWatchers, ShareUsedUp
from tests.e2e.server import Serving
from tests.engine.contract import Poller
from tests.engine.nodes import Node
from tests.stores.server import Store
from tests.stores.sets import Cluster

Nodes = Callable[..., list[Node]]


class Client:
    """A client of a node, told from others by its address."""

    def __init__(self, node: Node, address: str) -> None:
        self.node = node
        self.address = address

    @property
    def count(self) -> int:
        return self.node.hub.shares.count_of(self.address)

    def begin(self, call: Callable[[], Any], used_up: ShareUsedUp | None = None) -> Any:
        """Do something in the turn of a request of this client."""
        hub = self.node.hub
        hub.opener, hub.used_up = self.address, used_up
        try:
            return call()
        finally:
            hub.opener, hub.used_up = "", None

    def publish(self, name: str, used_up: ShareUsedUp | None = None, *, opens: bool = False) -> Any:
        answers = self.begin(lambda: self.node.publish_soon(name, b"1", opens=opens), used_up)
        self.node.settle()
        return answers[0]


def test_what_a_reader_asks_for_counts_before_the_store_has_answered_and_until_it_is_over(nodes: Nodes) -> None:
    (node,) = nodes(1, linger=5.0)
    client = Client(node, "one")
    readers = [client.begin(lambda name=name: Poller(node, name)) for name in "abc"]  # type: ignore[misc]
    assert client.count == 3
    node.settle()
    assert client.count == 3
    assert {topic.share.opener for topic in node.hub} == {"one"}
    readers[0].go()
    node.advance(7.0)
    assert client.count == 2
    for reader in readers[1:]:
        reader.go()
    node.advance(7.0)
    assert (client.count, node.hub.shares.by_opener) == (0, {})


def test_what_a_reader_gives_up_before_the_store_has_answered_counts_no_more(nodes: Nodes) -> None:
    (node,) = nodes(1, linger=5.0)
    client, opened = Client(node, "one"), lambda _: None
    client.begin(lambda: node.engine.open("a", node.now, opened))
    node.engine.unopen("a", opened)
    node.advance(7.0)
    assert (client.count, node.hub.shares.by_opener) == (0, {})


@pytest.mark.parametrize("opens", [True, False])
def test_what_a_publisher_creates_counts_until_it_is_over(nodes: Nodes, opens: bool) -> None:
    (node,) = nodes(1, linger=5.0, keep=not opens)
    client = Client(node, "one")
    waiting = client.begin(lambda: node.publish_soon("a", b"1", opens=opens))
    assert (client.count, waiting) == (1, []), "while the store is asked"
    node.settle()
    assert client.count == 1
    for _ in range(3):
        assert isinstance(client.publish("a"), Published)
        assert client.count == 1, "a message for what is active begins nothing"
    assert isinstance(client.publish("b", opens=opens), Published)
    assert client.count == 2
    node.advance(30.0)
    assert (client.count, node.hub.shares.by_opener) == (0, {})


def test_what_is_refused_counts_for_nobody(nodes: Nodes) -> None:
    (node,) = nodes(1)
    client = Client(node, "one")
    assert isinstance(client.publish("a"), NoWatchers)
    assert (client.count, node.hub.shares.by_opener) == (0, {})


def test_a_topic_that_a_pattern_on_another_node_takes_in_counts_too(nodes: Nodes) -> None:
    one, other = nodes(2)
    other.hub.listeners.follow("a/*", object())  # type: ignore[arg-type] # it is told of nothing here
    one.settle()
    client = Client(one, "one")
    assert one.engine.may_begin("a/b")
    assert not one.engine.may_begin("b")
    assert isinstance(client.publish("a/b"), Published)
    assert client.count == 1
    assert not one.engine.may_begin("a/b"), "it is active"


def test_a_client_whose_share_is_used_up_still_publishes_to_what_is_active_on_another_node(nodes: Nodes) -> None:
    one, other = nodes(2, keep=True)
    assert isinstance(Client(other, "two").publish("lives"), Published)
    client, used_up = Client(one, "one"), ShareUsedUp("used up")
    assert isinstance(client.publish("lives", used_up), Published)
    assert client.publish("new", used_up) is used_up
    assert client.count == 0


def ask(server: Serving, method: str, path: str, client: str, body: bytes | None = None) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(method, path, body, {"X-Forwarded-For": client})
        return connection.getresponse().status
    finally:
        connection.close()


def assert_shares(url: str, folder: Path, *, prefix: str) -> None:
    options = (f"--engine={url}", f"--engine-prefix={prefix}", "--max-topics-per-address=3", "--linger=1m")
    one, two = "198.51.100.1", "198.51.100.2"
    with Serving(folder, *options) as server:
        assert [ask(server, "GET", f"/topics/{name}?wait=0", one) for name in "abcda"] == [200, 200, 200, 429, 200]
        assert ask(server, "POST", "/topics/e?open", one, b"1") == 429
        assert [ask(server, "POST", f"/topics/{name}?open", two, b"1") for name in "efgh"] == [200, 200, 200, 429]
        assert ask(server, "POST", "/topics/e", one, b"1") == 200
        assert ask(server, "GET", "/topics/h?wait=0", two) == 429
        # Many at once: none of them waits until the store has told of those before it.
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("GET", "/topics/i,j,k,l?wait=0", headers={"X-Forwarded-For": "198.51.100.3"})
        assert connection.getresponse().status == 429
        connection.close()


def test_a_server_with_a_store_has_shares(store: Store, tmp_path: Path) -> None:
    assert_shares(store.url, tmp_path, prefix="shares")


def test_a_server_with_a_cluster_has_shares(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        assert_shares(cluster.url, tmp_path, prefix="shares")
