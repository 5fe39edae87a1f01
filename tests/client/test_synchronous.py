"""The client without a loop, against a real server: cuts, restarts, threads, forks, and readers that are let go."""

import gc
import multiprocessing
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from slosh.client import Client, Item, NotTaken, Refused, Unreachable
from tests.client.scripted import Scripted
from tests.e2e.server import Serving, until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Serving(tmp_path_factory.mktemp("server"), "--linger=60s") as serving:
        yield serving.url


@pytest.fixture
def client(server: str) -> Iterator[Client]:
    with Client(server) as client:
        yield client


def begin(client: Client, *topics: str) -> str:
    """Have topics be active, and tell the place before whatever comes."""
    return "earliest" if [client.connect().get(f"{client.url}/topics/{each}?wait=0") for each in topics] else ""


def test_what_is_published_is_watched(client: Client) -> None:
    since = begin(client, "sync/first")
    assert client.publish("sync/first", {"t": 1}).max == 1
    assert client.publish_many("sync/first", [2, "three"]).max == 3
    with client.watch("sync/first", since=since) as watch:
        items = [next(watch) for _ in range(3)]
    assert [item.message for item in items] == [{"t": 1}, 2, "three"]
    assert [item.offset for item in items] == [1, 2, 3]
    assert watch.place == items[-1].place


def test_a_topic_that_nobody_watches_is_a_result_or_an_error(client: Client) -> None:
    assert not client.publish("sync/nobody", 1)
    with pytest.raises(NotTaken, match="Nobody watches"):
        client.publish("sync/nobody", 1, strict=True)


def test_a_key_that_comes_again_stores_nothing_twice(client: Client) -> None:
    begin(client, "sync/key")
    assert client.publish("sync/key", 1, key="once").max == 1
    assert client.publish("sync/key", 1, key="once").max == 1
    assert client.publish("sync/key", 1).max == 2


def test_a_publish_is_tried_again_with_the_same_key() -> None:
    answers = [
        {"status": 503, "fields": {"Retry-After": "0"}, "body": ""},
        {"status": 200, "body": "", "then": "cut"},
        {"status": 200, "body": '{"max":1,"next":"a.1","watchers":1}'},
    ]
    with Scripted(answers) as scripted, Client(scripted.url) as client:
        with pytest.raises(Refused):  # a 200 that says nothing is none of a slosh server
            client.publish("a", 1)
        client.publish("a", 1, key="mine")
    keys = [line for each in scripted.requests for line in each.split("\r\n") if line.startswith("idempotency-key")]
    assert len(keys) == 3
    assert keys[0] == keys[1]
    assert keys[2] == "idempotency-key: mine"


def test_a_server_that_is_not_there_is_told_with_what_to_do() -> None:
    with Client("http://127.0.0.1:1", timeout=0.3) as client, pytest.raises(Unreachable, match="slosh serve"):
        client.publish("a", 1)


def test_a_query_that_makes_no_sense_is_the_server_s_sentence(client: Client) -> None:
    with client.watch("a", since="yesterday") as watch, pytest.raises(Refused, match="since"):
        next(watch)


def test_a_deadline_ends_the_iteration(client: Client) -> None:
    with client.watch("sync/deadline", deadline=0.2) as watch:
        assert list(watch) == []
        assert watch.timed_out
        assert not watch.ended


def test_another_thread_can_end_a_watch(client: Client) -> None:
    watch = client.watch("sync/closed")
    threading.Timer(0.2, watch.close).start()
    assert list(watch) == []
    assert not watch.timed_out


def test_a_watch_that_is_let_go_is_no_watcher_any_more(client: Client) -> None:
    begin(client, "sync/let-go")
    client.publish("sync/let-go", 1)
    watch = client.watch("sync/let-go", since="earliest")
    assert next(watch).message == 1
    assert client.watchers("sync/let-go") == 1
    del watch
    gc.collect()
    until(lambda: client.watchers("sync/let-go"), lambda count: count == 0)


def test_threads_share_a_client(client: Client) -> None:
    begin(client, "sync/threads")
    threads = [
        threading.Thread(target=lambda: [client.publish("sync/threads", number) for number in range(20)])
        for _ in range(5)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert client.publish("sync/threads", "last").max == 101


def _publish_in_a_child(client: Client, told: "multiprocessing.SimpleQueue[int]") -> None:
    told.put(client.publish("sync/fork", "child").max)


def test_a_fork_goes_on_with_connections_of_its_own(client: Client) -> None:
    begin(client, "sync/fork")
    client.publish("sync/fork", "parent")
    forking = multiprocessing.get_context("fork")
    told: multiprocessing.SimpleQueue[int] = forking.SimpleQueue()
    child = forking.Process(target=_publish_in_a_child, args=(client, told))
    child.start()
    assert told.get() == 2
    child.join()
    assert client.publish("sync/fork", "parent").max == 3


def test_watchers_can_be_waited_for(client: Client) -> None:
    with client.watch("sync/waited", deadline=5) as watch:
        reader = threading.Thread(target=lambda: list(watch))
        threading.Timer(0.1, reader.start).start()
        assert client.watchers("sync/waited", wait=5) == 1
        watch.close()
        until(reader.is_alive, lambda alive: not alive)


def test_the_active_topics_are_listed(client: Client) -> None:
    begin(client, "sync/listed")
    assert "sync/listed" in [each["name"] for each in client.topics()]


def test_a_restart_of_the_server_is_survived(tmp_path: Path) -> None:
    """The topic begins a new life, which is told, and the reader goes on by itself."""
    with Serving(tmp_path) as first:
        port = int(first.url.rpartition(":")[2])
        client = Client(first.url)
        watch = client.watch("sync/restart", notes=True, deadline=30)
        given: list[object] = []
        reader = threading.Thread(target=lambda: given.extend(watch))
        reader.start()
        assert client.watchers("sync/restart", wait=5)
        client.publish("sync/restart", 1)
        until(lambda: len(given), lambda count: count == 1)
    with Serving(tmp_path, port=port):
        assert client.watchers("sync/restart", wait=20)
        client.publish("sync/restart", 2)
        until(lambda: [each.message for each in given if isinstance(each, Item)], lambda seen: seen == [1, 2])
    watch.close()
    reader.join()
    assert [each for each in given if isinstance(each, Item)][-1].reset
    client.close()


def test_a_slow_reader_is_told_what_it_missed(client: Client) -> None:
    begin(client, "sync/slow")
    client.publish_many("sync/slow", range(250))
    with client.watch("sync/slow", since="earliest") as watch:
        place = next(watch).place
    client.publish_many("sync/slow", range(150))
    with client.watch("sync/slow", since=place) as watch:
        item = next(watch)
    assert item.lost == 300 - int(place.rpartition(".")[2])
    assert watch.lost == item.lost
    assert time.time() - (item.time or time.time()) < 60
