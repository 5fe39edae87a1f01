"""The client without a loop, against a real server: cuts, restarts, threads, forks, and readers that are closed."""

import gc
import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.ports import free_port
from slosh.client import BadUse, Client, Item, Note, NotTaken, Refused, Unreachable, Unreadable
from tests.cases import each_of
from tests.client.scripted import Scripted
from tests.e2e.server import Serving, until
from tests.running import PATIENCE, Running, clean_environment


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Serving(tmp_path_factory.mktemp("server"), "--linger=10m") as serving:
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
    with pytest.raises(NotTaken, match="No one watches"):
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


def test_a_watch_that_is_closed_is_no_watcher_any_more(client: Client) -> None:
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


def _publish_in_a_child(client: Client, topic: str, told: "multiprocessing.SimpleQueue[int]") -> None:
    told.put(client.publish(topic, "child").max)


def test_a_fork_goes_on_with_connections_of_its_own(client: Client) -> None:
    begin(client, "sync/fork")
    client.publish("sync/fork", "parent")
    forking = multiprocessing.get_context("fork")
    told: multiprocessing.SimpleQueue[int] = forking.SimpleQueue()
    child = forking.Process(target=_publish_in_a_child, args=(client, "sync/fork", told))
    child.start()
    assert told.get() == 2
    child.join()
    assert client.publish("sync/fork", "parent").max == 3


def test_a_fork_while_another_thread_connects_does_not_wait_for_that_thread(client: Client) -> None:
    """The child has the lock as it was, and no thread that gives it back."""
    begin(client, "sync/fork-lock")
    forking = multiprocessing.get_context("fork")
    told: multiprocessing.SimpleQueue[int] = forking.SimpleQueue()
    child = forking.Process(target=_publish_in_a_child, args=(client, "sync/fork-lock", told))
    with client._lock:
        child.start()
    child.join(PATIENCE)
    was_stuck = child.is_alive()
    child.kill()
    child.join()
    assert not was_stuck
    assert told.get() == 1


def test_ctrl_c_ends_a_program_that_watches(server: str, client: Client, tmp_path: Path) -> None:
    program = "import slosh\nfor item in slosh.watch('sync/ctrl-c'): pass"
    with Running((sys.executable, "-c", program), tmp_path, clean_environment(SLOSH_URL=server)) as running:
        assert client.watchers("sync/ctrl-c", wait=PATIENCE) == 1
        running.tell(signal.SIGINT)
        assert running.end() == -signal.SIGINT
        assert running.lines[-1] == "KeyboardInterrupt"
    until(lambda: client.watchers("sync/ctrl-c"), lambda count: count == 0)


def test_an_iteration_that_ctrl_c_stopped_goes_on_where_it_was(server: str, client: Client, tmp_path: Path) -> None:
    """As in a notebook, whose cell is stopped and run again."""
    program = """if True:
        import slosh
        watch = slosh.watch("sync/again", since="earliest")
        try:
            for item in watch:
                print("given", item.message, flush=True)
        except KeyboardInterrupt:
            print("stopped", flush=True)
        print("given", next(watch).message, "lost", watch.lost)
    """
    begin(client, "sync/again")
    client.publish("sync/again", 1)
    with Running((sys.executable, "-c", program), tmp_path, clean_environment(SLOSH_URL=server)) as running:
        running.hear("given 1")
        until(lambda: client.watchers("sync/again"), lambda count: count == 1)  # it waits for the next one
        running.tell(signal.SIGINT)
        running.hear("stopped")
        client.publish("sync/again", 2)
        running.hear("given 2 lost 0")
        assert running.end() == 0


def test_what_the_ring_has_no_more_of_is_told_to_who_asks_for_a_time(client: Client) -> None:
    begin(client, "sync/truncated")
    client.publish_many("sync/truncated", range(250))
    with client.watch("sync/truncated", since="1h", notes=True) as watch:
        first = next(watch)
    assert isinstance(first, Note)
    assert (first.kind, watch.truncated) == ("truncated", True)


def test_watchers_can_be_waited_for(client: Client) -> None:
    with client.watch("sync/waited", deadline=PATIENCE) as watch:
        reader = threading.Thread(target=lambda: list(watch))
        threading.Timer(0.1, reader.start).start()
        assert client.watchers("sync/waited", wait=PATIENCE) == 1
        watch.close()
        until(reader.is_alive, lambda alive: not alive)


def test_the_active_topics_are_listed(client: Client) -> None:
    begin(client, "sync/listed")
    assert "sync/listed" in [each["name"] for each in client.topics()]


def test_a_restart_of_the_server_is_survived(tmp_path: Path) -> None:
    """The topic begins a new life, which is told, and the reader goes on by itself."""
    port = free_port()
    with Serving(tmp_path, port=port) as first:
        client = Client(first.url)
        watch = client.watch("sync/restart", notes=True, deadline=3 * PATIENCE)
        given: list[object] = []
        reader = threading.Thread(target=lambda: given.extend(watch))
        reader.start()
        assert client.watchers("sync/restart", wait=PATIENCE)
        client.publish("sync/restart", 1)
        until(lambda: len(given), lambda count: count == 1)
    with Serving(tmp_path, port=port):
        assert client.watchers("sync/restart", wait=PATIENCE)
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


def test_a_topic_that_is_ended_ends_its_readers(client: Client) -> None:
    begin(client, "sync/ends")
    assert not client.publish("sync/ends", "one").ended
    last = client.publish("sync/ends", "two", end=True)
    assert (last.taken, last.max, last.ended) == (True, 2, True)
    with client.watch("sync/ends", since="earliest") as watch:
        assert [item.message for item in watch] == ["one", "two"]
    assert watch.ended
    later = client.publish("sync/ends", "three")
    assert (later.taken, later.ended) == (False, True)
    with pytest.raises(NotTaken, match="has ended"):
        client.publish("sync/ends", "three", strict=True)


def test_readers_of_several_topics_end_with_the_last_of_them(client: Client) -> None:
    begin(client, "sync/some/a", "sync/some/b")
    client.publish("sync/some/a", 1, end=True)
    client.publish_many("sync/some/b", [2, 3], end=True)
    with client.watch("sync/some/a", "sync/some/b", since="earliest", notes=True) as watch:
        told = [each.message if isinstance(each, Item) else (each.kind, each.topic) for each in watch]
    assert sorted(map(str, told)) == ["('ended', 'sync/some/a')", "('ended', 'sync/some/b')", "1", "2", "3"]
    assert watch.ended


def test_a_topic_is_opened_and_ended_without_a_message(client: Client) -> None:
    assert client.open("sync/opened").taken
    assert client.publish("sync/opened", 1).max == 1
    assert client.end("sync/opened").ended
    assert client.end("sync/opened").ended, "it may be repeated"
    assert client.publish("sync/open and end", 1, open=True, end=True).max == 1
    assert not client.end("sync/nothing")


def test_an_option_of_publish_that_is_none_is_an_error_at_once(client: Client) -> None:
    with pytest.raises(BadUse, match="ends is no option"):
        client.publish("sync/option", 1, ends=True)  # type: ignore[call-arg]  # that is the mistake


WAYS: dict[str, Callable[[Client], object]] = {
    "publish": lambda client: client.publish("a", 1),
    "open": lambda client: client.open("a"),
    "end": lambda client: client.end("a"),
    "watch": lambda client: next(client.watch("a")),
    "topics": lambda client: client.topics(),
    "patterns": lambda client: client.patterns(),
    "watchers": lambda client: client.watchers("a"),
    "history": lambda client: client.history("a"),
}
"""Each kind of request that a client makes."""


@each_of("way", WAYS)
def test_a_redirect_is_told_and_nobody_else_gets_the_token(way: str) -> None:
    with Scripted([{"body": ""}]) as other:
        away = {"status": 307, "fields": {"Location": f"{other.url}/below/topics/a"}, "body": ""}
        with Scripted([away]) as scripted, Client(scripted.url, token="opensesame") as client:
            with pytest.raises(Refused, match=f"sends clients on to {other.url}/below; give that address"):
                WAYS[way](client)
            assert "authorization: bearer opensesame" in scripted.requests[0]
        assert other.requests == []


@each_of("body", ["<html>", "{}", "[]", ""])
@each_of("way", WAYS)
def test_what_says_200_and_is_no_slosh_is_told(way: str, body: str) -> None:
    """A page of something else in front must not look like a server without topics."""
    answers = [{"fields": {"Content-Type": "text/html"}, "body": body}]
    told = "answered 200, and not as a slosh server does"
    with Scripted(answers) as scripted, Client(scripted.url) as client, pytest.raises(Refused, match=told):
        WAYS[way](client)


def test_a_login_in_the_address_is_sent_and_never_shown() -> None:
    answers = [{"status": 401, "body": "no"}]
    with Scripted(answers) as scripted:
        address = scripted.url.replace("//", "//ann:hunter2@")
        with Client(address) as client:
            with pytest.raises(Refused) as caught:
                client.publish("a", 1)
            assert "authorization: basic yw5uomh1bnrlcji=" in scripted.requests[0]
            assert "hunter2" not in f"{caught.value} {client.url} {client._options!r}"
    with Client("http://ann:hunter2@127.0.0.1:1", timeout=0.01) as client, pytest.raises(Unreachable) as away:
        client.topics()
    assert "hunter2" not in str(away.value)
    with pytest.raises(BadUse, match="room for one"):
        Client("http://ann:hunter2@127.0.0.1:1", token="opensesame")


def test_no_message_that_a_server_takes_keeps_back_those_behind_it(tmp_path: Path) -> None:
    """A number of 4,301 digits was asked for again for ever, in silence, and another topic of the reader with it."""
    texts = [b"9" * 4301, b"1e400", b'"\\ud800"', b"[" * 900 + b"]" * 900, b'{"a":1,"a":2}']
    with (
        Serving(tmp_path, "--unwatched=keep", "--linger=10m", "--max-depth=900") as serving,
        Client(serving.url) as client,
    ):
        for text in texts:
            client.publish_encoded("poison/a", [text])
        client.publish("poison/b", "behind it")
        with client.watch("poison/a", "poison/b", since="earliest", deadline=PATIENCE) as watch:
            items = [next(watch) for _ in range(len(texts) + 1)]
        assert sorted(item.raw.encode() for item in items) == sorted([*texts, b'"behind it"'])


def test_an_event_that_is_larger_than_the_client_takes_is_told(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slosh.client.iterator.MAX_EVENT", 1000)
    begin(client, "sync/large")
    client.publish_many("sync/large", [1, "x" * 2000])
    with (
        client.watch("sync/large", since="earliest", deadline=PATIENCE) as watch,
        pytest.raises(Unreadable, match=r"of /topics/sync/large behind the place \S+\.1 cannot be read.*1000 byte"),
    ):
        list(watch)


def test_a_watch_of_a_server_that_is_not_there_says_so_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for as long as that takes, so a script with a wrong port waited for ever in silence."""
    monkeypatch.setattr("slosh.client.protocol.find_pause", lambda *_: 0.01)
    url = f"http://127.0.0.1:{free_port()}"
    with Client(url) as client, client.watch("a") as watch:
        reader = threading.Thread(target=list, args=(watch,))
        reader.start()
        until(lambda: watch._watching.failures, lambda failures: failures > 4)
        watch.close()
        reader.join(PATIENCE)
    assert [each for each in caplog.messages if "No answer" in each] == [
        f"No answer from {url}. It is asked again until one comes; watch(deadline=…) bounds the time."
    ]
    caplog.clear()
    with Client(url) as client, client.watch("a", notes=True) as noted:
        for _ in range(3):
            note = next(noted)
            assert isinstance(note, Note)
            assert note.kind == "away"
    assert not caplog.messages


def test_a_watch_that_is_cut_once_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """It is the usual end of a stream's life."""
    first = "event: message\nid: e.1\ndata: 1\n\n"
    second = "event: message\nid: e.2\ndata: 2\n\n"
    script = [{"stream": first, "then": "cut"}, {"stream": second, "then": "hang"}]
    with Scripted(script) as scripted, Client(scripted.url) as client, client.watch("a") as watch:
        assert [next(watch).message, next(watch).message] == [1, 2]
    assert not caplog.messages


@pytest.mark.parametrize("pause", [0.1, PATIENCE + 5])
def test_a_publish_is_tried_until_its_time_is_nearly_over(pause: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not longer, however long the pause between two tries would be."""
    monkeypatch.setattr("slosh.client.request.pause_before", lambda *_: pause)
    url = f"http://127.0.0.1:{free_port()}"
    with Client(url, timeout=2) as client:
        client.connect()
        begun = time.monotonic()
        with pytest.raises(Unreachable):
            client.publish("a", 1)
        assert 1.9 <= time.monotonic() - begun < PATIENCE


def test_a_server_that_needs_a_token_is_told_with_where_a_client_takes_one_from(tmp_path: Path) -> None:
    """It named the field of HTTP, which the client writes itself."""
    (tmp_path / "slosh.toml").write_text("[access]\npublic = {}\n", encoding="utf-8")
    with Serving(tmp_path, "--config=slosh.toml") as closed:
        for token, said in ((None, "token=, or set SLOSH_TOKEN "), ("wrong", "The token does not count.")):
            with Client(closed.url, token=token) as client, pytest.raises(Refused) as caught:
                client.publish("a", 1)
            assert (said in caught.value.detail, "Bearer" in caught.value.detail) == (True, False), caught.value.detail
