"""Publishing in the background: never in the way, bounded, in order, and counted."""

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from slosh.client import Client, Publisher
from slosh.client.errors import BadUse, Refused, Unreachable
from slosh.client.log_handler import Handler
from slosh.client.protocol import Published
from tests.e2e.server import Serving, until


class FakeClient(Client):
    """A server that the test answers for."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")
        self.batches: list[tuple[str, list[bytes], str]] = []
        self.answers: list[Published | Exception] = []
        self.go = threading.Semaphore(0)
        self.watched = threading.Event()

    def publish_encoded(self, topic: str, lines: Any, *, key: str | None = None, strict: bool = False) -> Published:
        del strict
        self.go.acquire()
        self.batches.append((topic, list(lines), key or ""))
        answer = self.answers.pop(0) if self.answers else Published(taken=True)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def watchers(self, topic: str, *, wait: float = 0.0) -> int:
        del topic, wait
        assert self.watched.wait(10)
        return 1

    def release(self, count: int) -> None:
        for _ in range(count):
            self.go.release()


@pytest.fixture
def client() -> Iterator[FakeClient]:
    client = FakeClient()
    yield client
    client.watched.set()
    client.release(1000)


def publisher(client: Client, **more: Any) -> Publisher:
    return Publisher(client, every=0, timeout=5, **more)


def test_messages_of_a_topic_go_together_and_in_order(client: FakeClient) -> None:
    with publisher(client) as ours:
        for topic, value in [("a", 1), ("a", 2), ("b", 3), ("a", 4)]:
            ours.send(topic, value)
        client.release(9)
        assert ours.flush(5)
        assert [(topic, line) for topic, lines, _ in client.batches for line in lines] == [
            ("a", b"1"),
            ("a", b"2"),
            ("b", b"3"),
            ("a", b"4"),
        ]
        assert ours.sent == 4


def test_a_batch_is_no_larger_than_was_said(client: FakeClient) -> None:
    with publisher(client, batch=3) as ours:
        ours.send_encoded("a", [b"%d" % number for number in range(10)])
        client.release(10)
        assert ours.flush(5)
        assert [len(lines) for _, lines, _ in client.batches] == [3, 3, 3, 1]


def test_a_batch_without_an_answer_is_sent_again_under_its_key(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slosh.client.publisher._PAUSE", 0.0)
    client.answers = [Unreachable("away"), Unreachable("away")]
    with publisher(client) as ours:
        ours.send("a", 1)
        client.release(3)
        assert ours.flush(5)
        assert len({key for _, _, key in client.batches}) == 1
        assert len(client.batches) == 3
        assert (ours.sent, ours.dropped) == (1, 0)


def test_one_message_that_is_refused_does_not_take_its_neighbours_with_it(client: FakeClient) -> None:
    bad = Refused(413, {"code": "too_large", "detail": "Too large."}, "x")
    client.answers = [bad, Published(taken=True), bad, Published(taken=True)]
    with publisher(client) as ours:
        ours.send_encoded("a", [b"1", b"2", b"3"])
        client.release(4)
        assert ours.flush(5)
        assert (ours.sent, ours.refused) == (2, 1)
        assert ours.error is bad


def test_the_oldest_are_dropped_where_too_much_waits(client: FakeClient) -> None:
    with publisher(client, max_bytes=4, batch=1) as ours:
        ours.send("a", 10)
        until(lambda: ours._under_way, lambda count: count == 1)
        for value in (11, 12, 13):
            assert ours.send("a", value)
        client.release(9)
        assert ours.flush(5)
        assert [lines for _, lines, _ in client.batches] == [[b"10"], [b"13"]]
        assert (ours.sent, ours.dropped) == (2, 2)


def test_or_the_newest(client: FakeClient) -> None:
    with publisher(client, max_bytes=4, batch=1, when_full="drop_newest") as ours:
        assert [ours.send("a", value) for value in (10, 11, 12)] == [True, True, False]
        client.release(9)
        assert ours.flush(5)
        assert (ours.sent, ours.dropped) == (2, 1)


def test_or_the_caller_waits(client: FakeClient) -> None:
    with publisher(client, max_bytes=4, batch=1, when_full="wait") as ours:
        sender = threading.Thread(target=lambda: [ours.send("a", value) for value in range(10, 20)])
        sender.start()
        client.release(10)
        sender.join(10)
        assert ours.flush(5)
        assert (ours.sent, ours.dropped) == (10, 0)


def test_a_message_that_can_never_fit_is_dropped_and_not_waited_for(client: FakeClient) -> None:
    with publisher(client, max_bytes=4, when_full="wait") as ours:
        assert not ours.send("a", "too long for it")
        assert ours.dropped == 1


def test_a_topic_that_nobody_watches_is_not_asked_for_again_until_somebody_does(client: FakeClient) -> None:
    client.answers = [Published(taken=False)]
    with publisher(client, when_watched=True) as ours:
        for value in (1, 2, 3):
            ours.send("a", value)
            client.release(1)
            assert ours.flush(5)
        assert len(client.batches) == 1
        assert ours.unwatched == 3
        client.watched.set()
        until(lambda: ours._asleep, lambda asleep: not asleep)
        ours.send("a", 4)
        assert ours.flush(5)
        assert ours.sent == 1


def test_what_is_left_at_the_end_counts_as_dropped(client: FakeClient) -> None:
    ours = Publisher(client, every=0, timeout=0.05)
    ours.send_encoded("a", [b"1", b"2", b"3"])
    ours.close()
    assert ours.dropped == 3
    with pytest.raises(BadUse, match="closed"):
        ours.send("a", 1)


@pytest.mark.parametrize("topic", ["", "a,b", "a/*"])
def test_what_is_no_topic_is_told_at_once(client: FakeClient, topic: str) -> None:
    with publisher(client) as ours, pytest.raises(BadUse):
        ours.send(topic, 1)


@pytest.mark.parametrize("wrong", [{"when_full": "wiat"}, {"max_bytes": 0}, {"batch": 0}])
def test_what_is_no_option_is_told(client: FakeClient, wrong: dict[str, Any]) -> None:
    with pytest.raises(BadUse):
        publisher(client, **wrong)


def test_log_lines_are_messages(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Serving(tmp_path_factory.mktemp("server"), "--unwatched=keep") as serving, Client(serving.url) as client:
        handler = Handler("log/app", client)
        logger = logging.getLogger("tests.client.lines")
        logger.propagate = False
        logger.addHandler(handler)
        logger.warning("hello %s", "world")
        try:
            int("no number")
        except ValueError:
            logger.exception("it failed")
        handler.flush()
        with client.watch("log/app", since="earliest") as watch:
            first, second = next(watch).message, next(watch).message
        logger.removeHandler(handler)
        handler.close()
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert (first["level"], first["message"], first["logger"]) == ("WARNING", "hello world", "tests.client.lines")
    assert "ValueError: invalid literal" in second["exception"]
