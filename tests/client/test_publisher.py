"""Publishing in the background: never in the way, bounded, in order, and counted."""

import logging
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Unpack

import pytest

from benchmarks.ports import free_port
from slosh.client import Client, Publisher
from slosh.client.answers import Published
from slosh.client.errors import BadUse, ClientError, Refused, Unreachable
from slosh.client.log_handler import Handler
from slosh.client.request import PublishOptions
from slosh.testing.server import TestingServer
from tests.e2e.server import Serving, until
from tests.running import PATIENCE, Running, clean_environment


class FakeClient(Client):
    """A server that the test answers for."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")
        self.batches: list[tuple[str, list[bytes], str]] = []
        self.answers: list[Published | Exception] = []
        self.failures: list[ClientError] = []  # before the next answer
        self.go = threading.Semaphore(0)
        self.watched = threading.Event()

    def publish_encoded(
        self, topic: str, lines: Any, *, tried: Any = None, **options: Unpack[PublishOptions]
    ) -> Published:
        self.go.acquire()
        while self.failures:
            tried(self.failures.pop(0))
        self.batches.append((topic, list(lines), options.get("key") or ""))
        answer = self.answers.pop(0) if self.answers else Published(taken=True)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def watchers(self, topic: str, *, wait: float = 0.0) -> int:
        del topic, wait
        assert self.watched.wait(PATIENCE)
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
    return Publisher(client, every=0, timeout=PATIENCE, **more)


def test_messages_of_a_topic_go_together_and_in_order_whatever_stands_between_them(client: FakeClient) -> None:
    with publisher(client) as ours:
        ours.send("first", 0)
        until(lambda: ours._under_way, lambda count: count == 1)  # so what follows waits
        for value in range(9):
            for topic in ("a", "b", "c"):
                ours.send(topic, value)
        client.release(4)
        assert ours.flush(PATIENCE)
        numbers = [b"%d" % value for value in range(9)]
        assert [(topic, lines) for topic, lines, _ in client.batches] == [
            ("first", [b"0"]),
            ("a", numbers),
            ("b", numbers),
            ("c", numbers),
        ]
        assert ours.sent == 28


def test_the_batches_of_several_topics_are_gathered_at_the_same_time(client: FakeClient) -> None:
    """One after the other they would take 45 times as long; fewer than a first batch, so none counts as whole."""
    client.release(45)
    began = time.monotonic()
    with Publisher(client, every=0.4) as ours:
        for number in range(45):
            ours.send(f"sensors/{number}", number)
        until(lambda: ours.sent, lambda sent: sent == 45)
    assert time.monotonic() - began < 45 * 0.4 / 2


@pytest.mark.parametrize("topic", ["a,b", "a/*", "..", "a/./b", ""])
def test_a_topic_that_cannot_be_is_refused_before_it_waits(client: FakeClient, topic: str) -> None:
    """It would be tried for ever, and everything behind it would wait."""
    with Publisher(client) as publisher:
        with pytest.raises(BadUse):
            publisher.send(topic, 1)
        with pytest.raises(BadUse):
            publisher.send_encoded(topic, [b"1"])
        client.release(1)
        assert publisher.send("kitchen", 1)
        assert publisher.flush(PATIENCE)
        assert publisher.sent == 1


def test_a_batch_is_no_larger_than_was_said(client: FakeClient) -> None:
    with publisher(client, batch=3) as ours:
        ours.send_encoded("a", [b"%d" % number for number in range(10)])
        client.release(10)
        assert ours.flush(PATIENCE)
        assert [len(lines) for _, lines, _ in client.batches] == [3, 3, 3, 1]


def test_a_batch_without_an_answer_is_sent_again_under_its_key(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slosh.client.publisher._PAUSE", 0.0)
    client.answers = [Unreachable("away"), Unreachable("away")]
    with publisher(client) as ours:
        ours.send("a", 1)
        client.release(3)
        assert ours.flush(PATIENCE)
        assert len({key for _, _, key in client.batches}) == 1
        assert len(client.batches) == 3
        assert (ours.sent, ours.dropped) == (1, 0)


def test_one_message_that_is_refused_does_not_take_its_neighbours_with_it(client: FakeClient) -> None:
    bad = Refused(413, {"code": "too_large", "detail": "Too large.", "limit": 1}, "x")
    good = Published(taken=True)
    client.answers = [bad, bad, good, bad, good]
    with publisher(client) as ours:
        ours.send_encoded("a", [b"1", b"222", b"3", b"4"])
        client.release(5)
        assert ours.flush(PATIENCE)
        assert [lines for _, lines, _ in client.batches] == [
            [b"1", b"222", b"3", b"4"],
            [b"1", b"222"],
            [b"1"],
            [b"222"],
            [b"3", b"4"],
        ]
        assert (ours.sent, ours.refused) == (3, 1)
        assert ours.error is bad


def test_the_refusal_of_a_message_names_its_line_of_the_batch_however_often_that_was_halved(client: FakeClient) -> None:
    def bad(line: int) -> Refused:
        return Refused(400, {"code": "bad_json", "detail": f"Line {line}: This is not JSON.", "line": line}, "x")

    good = Published(taken=True)
    client.answers = [bad(4), good, bad(2), good, bad(1)]
    with publisher(client) as ours:
        ours.send_encoded("a", [b"1", b"2", b"3", b"x"])
        client.release(5)
        assert ours.flush(PATIENCE)
        assert (ours.sent, ours.refused) == (3, 1)
        assert isinstance(ours.error, Refused)
        assert (ours.error.detail, ours.error.problem["line"]) == ("Line 4: This is not JSON.", 4)


def test_batches_grow_to_half_of_what_the_topic_keeps(client: FakeClient) -> None:
    client.answers = [Published(taken=True, queue=400, queue_bytes=1 << 20)]
    with publisher(client) as ours:
        ours.send_encoded("a", [b"%d" % number for number in range(500)])
        client.release(4)
        assert ours.flush(PATIENCE)
        assert [len(lines) for _, lines, _ in client.batches] == [50, 200, 200, 50]


@pytest.mark.parametrize("status", [429, 502, 503])
def test_an_answer_that_passes_keeps_the_messages(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """A proxy says 502 for as long as the server behind it is away, which may be longer than one call may take."""
    monkeypatch.setattr("slosh.client.publisher._PAUSE", 0.0)
    client.answers = [Refused(status, {}, "a proxy")] * 2
    with publisher(client) as ours:
        ours.send("a", 1)
        client.release(3)
        assert ours.flush(PATIENCE)
        assert (ours.sent, ours.refused) == (1, 0)
        assert len({key for _, _, key in client.batches}) == 1


def test_a_whole_batch_is_not_gathered_any_longer(client: FakeClient) -> None:
    client.release(9)
    with Publisher(client, every=600, batch=3) as ours:
        ours.send_encoded("a", [b"1", b"2", b"3", b"4"])
        until(lambda: ours.sent, lambda sent: sent == 3)


def test_an_eager_one_sends_the_first_at_once_and_gathers_the_next(client: FakeClient) -> None:
    client.release(9)
    with Publisher(client, every=600, eager=True) as ours:
        ours.send("a", 1)
        until(lambda: ours.sent, lambda sent: sent == 1)
        ours.send("a", 2)
        ours.send("a", 3)
        assert ours.flush(PATIENCE)
        assert [lines for _, lines, _ in client.batches] == [[b"1"], [b"2", b"3"]]


def test_the_oldest_are_dropped_where_too_much_waits(client: FakeClient) -> None:
    with publisher(client, max_bytes=4, batch=1) as ours:
        ours.send("a", 10)
        until(lambda: ours._under_way, lambda count: count == 1)
        for value in (11, 12, 13):
            assert ours.send("a", value)
        client.release(9)
        assert ours.flush(PATIENCE)
        assert [lines for _, lines, _ in client.batches] == [[b"10"], [b"13"]]
        assert (ours.sent, ours.dropped) == (2, 2)


def test_or_the_newest(client: FakeClient) -> None:
    with publisher(client, max_bytes=4, batch=1, when_full="drop_newest") as ours:
        assert [ours.send("a", value) for value in (10, 11, 12)] == [True, True, False]
        client.release(9)
        assert ours.flush(PATIENCE)
        assert (ours.sent, ours.dropped) == (2, 1)


def test_or_the_caller_waits(client: FakeClient) -> None:
    with publisher(client, max_bytes=4, batch=1, when_full="wait") as ours:
        sender = threading.Thread(target=lambda: [ours.send("a", value) for value in range(10, 20)])
        sender.start()
        client.release(10)
        sender.join(PATIENCE)
        assert ours.flush(PATIENCE)
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
            assert ours.flush(PATIENCE)
        assert len(client.batches) == 1
        assert ours.unwatched == 3
        client.watched.set()
        until(lambda: ours._asleep, lambda asleep: not asleep)
        ours.send("a", 4)
        assert ours.flush(PATIENCE)
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


def test_a_topic_that_has_ended_takes_no_more_and_that_is_told(client: FakeClient) -> None:
    client.answers = [Published(taken=False, ended=True)]
    client.release(1)
    with publisher(client) as ours:
        ours.send("a", 1)
        assert ours.flush(PATIENCE)
    assert (ours.sent, ours.refused, ours.unwatched) == (0, 1, 0)
    assert isinstance(ours.error, Refused)
    assert ours.error.reason == "ended"


FORKS = """if True:
    import os, sys, threading
    from slosh.client import Publisher
    publisher = Publisher(every=60, timeout=30)
    publisher.send("forks", "parent")
    is_held, may_go = threading.Event(), threading.Event()

    def hold():
        with publisher._changed:
            is_held.set()
            may_go.wait()

    if {held}:
        threading.Thread(target=hold).start()
        is_held.wait()
    child = os.fork()
    if child == 0:
        {child}
        sys.exit()
    may_go.set()
    print("child", os.waitpid(child, 0)[1])
"""


@pytest.mark.parametrize("held", [False, True], ids=["free", "held"])
@pytest.mark.parametrize(
    ("child", "sent"), [("pass", []), ("publisher.send('forks', 'child')", ["child"])], ids=["silent", "sends"]
)
def test_a_child_sends_what_it_was_given_and_the_parent_the_rest(
    slosh: TestingServer, tmp_path: Path, child: str, sent: list[str], *, held: bool
) -> None:
    """Each is flushed at its own end; the child does not wait for the parent's lock."""
    program = FORKS.format(child=child, held=held)
    with slosh.watch("forks") as seen:
        with Running((sys.executable, "-c", program), tmp_path, clean_environment(SLOSH_URL=slosh.url)) as running:
            running.hear("child 0")
            assert running.end() == 0
        assert sorted(map(str, seen.wait(1 + len(sent)))) == sorted(["parent", *sent])


def test_a_publisher_that_was_closed_stays_so_in_a_child(client: FakeClient) -> None:
    ours = publisher(client)
    ours.close()
    ours._process = -1  # as a child sees it
    with pytest.raises(BadUse, match="closed"):
        ours.send("a", 1)


def test_a_child_asks_for_itself_whether_a_topic_is_watched(client: FakeClient) -> None:
    """Those that the parent knows to be unwatched are watched for by threads that the child does not have."""
    ours = publisher(client, when_watched=True)
    ours._asleep.add("a")
    ours._process = -1  # as a child sees it
    client.release(9)
    ours.send("a", 1)
    assert ours.flush(PATIENCE)
    assert ours.sent == 1
    ours.close()


def test_ctrl_c_sends_what_waits(slosh: TestingServer, tmp_path: Path) -> None:
    program = """if True:
        import threading
        from slosh.client import Publisher
        publisher = Publisher(every=60, timeout=30)
        publisher.send("ctrl-c", "last words")
        print("waits", flush=True)
        threading.Event().wait()
    """
    with slosh.watch("ctrl-c") as seen:
        with Running((sys.executable, "-c", program), tmp_path, clean_environment(SLOSH_URL=slosh.url)) as running:
            running.hear("waits")
            running.tell(signal.SIGINT)
            assert running.end() != 0
            assert running.lines[-1] == "KeyboardInterrupt"
        assert seen.wait(1) == ["last words"]


SILENT = """if True:
    import time
    from slosh.client import Publisher
    publisher = Publisher(timeout=0)
    for value in range(3):
        publisher.send("sensor", value)
    while publisher._tries < 3:
        time.sleep(0.01)
"""


def test_a_program_that_looks_at_no_counter_hears_that_nothing_was_published(tmp_path: Path) -> None:
    """README's sensor, with a wrong port. It ran for ever, and ended with nothing said."""
    url = f"http://127.0.0.1:{free_port()}"
    with Running((sys.executable, "-c", SILENT), tmp_path, clean_environment(SLOSH_URL=url)) as running:
        running.hear(f"No slosh server answered at {url}: the connection was refused.* Messages wait meanwhile")
        running.hear("3 messages were not published: No slosh server answered")
        assert running.end() == 0
        assert len(running.lines) == 2


def test_a_server_that_is_away_is_told_of_before_the_client_gives_up(caplog: pytest.LogCaptureFixture) -> None:
    """And once, however long that takes."""
    url = f"http://127.0.0.1:{free_port()}"
    ours = Publisher(Client(url, timeout=600), timeout=0)
    ours.send("a", 1)
    until(lambda: caplog.messages, lambda said: len(said) == 1)
    assert isinstance(ours.error, Unreachable)
    ours.close()
    assert caplog.messages[1] == f"1 message was not published: {ours.error.detail}"


def test_one_failure_is_no_outage(client: FakeClient, caplog: pytest.LogCaptureFixture) -> None:
    """A restart that takes over brings one about."""
    with publisher(client) as ours:
        ours._tried(Unreachable("cut"))
        assert not caplog.messages
        ours._tried(Unreachable("away"))
        ours._tried(Unreachable("away"))
        assert caplog.messages == ["away Messages wait meanwhile, and are sent again."]
        client.release(9)
        ours.send("a", 1)
        assert ours.flush(PATIENCE)
    assert len(caplog.messages) == 1


def test_a_second_outage_is_told_too_and_tries_of_one_batch_are_none_of_the_next(
    client: FakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    client.release(9)
    with publisher(client) as ours:
        for failures, told in ((1, 0), (1, 0), (3, 1), (1, 1), (2, 2)):
            client.failures = [Unreachable("away")] * failures
            ours.send("a", 1)
            assert ours.flush(PATIENCE)
            assert len(caplog.messages) == told


def test_a_publisher_that_is_closed_ends_the_tries_of_its_client(
    client: FakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Else its thread would go on with what counts as dropped already, for as long as the client has time."""
    ours = Publisher(client, every=0, timeout=0)
    ours.send("a", 1)
    ours.close()
    for _ in range(3):
        with pytest.raises(Unreachable, match="away"):
            ours._tried(Unreachable("away"))
    assert caplog.messages == ["1 message was not published."]


@pytest.mark.parametrize("is_closed", [True, False])
def test_a_client_that_is_closed_in_the_middle_of_a_try_ends_the_thread_and_is_an_error_where_that_goes_on(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch, *, is_closed: bool
) -> None:
    raised: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda told: raised.append(str(told.exc_value)))
    before = set(threading.enumerate())
    ours = Publisher(client, every=0, timeout=0)
    (worker,) = set(threading.enumerate()) - before
    client.answers = [RuntimeError("the client has been closed")]
    ours.send("a", 1)
    until(lambda: ours._under_way, bool)
    if is_closed:
        ours.close()
    client.release(1)
    worker.join(PATIENCE)
    assert not worker.is_alive()
    ours.close()
    assert raised == ([] if is_closed else ["the client has been closed"])


def test_a_child_tells_nothing_of_what_its_parent_lost(client: FakeClient, caplog: pytest.LogCaptureFixture) -> None:
    ours = publisher(client, max_bytes=1)
    assert not ours.send("a", 10)
    ours._process = -1  # as a child sees it
    ours.close()
    assert ours.dropped == 1
    assert not caplog.messages


def test_refusals_are_told_once_for_each_reason(client: FakeClient, caplog: pytest.LogCaptureFixture) -> None:
    bad = Refused(403, {"code": "forbidden", "detail": "You may not."}, "x")
    client.answers = [bad, bad]
    client.release(9)
    with publisher(client, batch=1) as ours:
        ours.send("a", 1)
        ours.send("a", 2)
        assert ours.flush(PATIENCE)
    assert caplog.messages == [
        "The server refuses what is published: You may not.",
        "2 messages were not published: You may not.",
    ]


def test_a_reason_that_comes_again_after_another_is_not_told_again(
    client: FakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Two topics with a mistake each would fill a log."""
    bad = Refused(403, {"code": "forbidden", "detail": "You may not."}, "x")
    large = Refused(413, {"code": "too_large", "detail": "It is too large."}, "x")
    client.answers = [bad, large] * 3
    client.release(9)
    with publisher(client) as ours:
        for _ in client.answers.copy():
            ours.send("a", 1)
            assert ours.flush(PATIENCE)
    assert caplog.messages[:-1] == [
        "The server refuses what is published: You may not.",
        "The server refuses what is published: It is too large.",
    ]
