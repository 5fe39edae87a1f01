"""Shutting down quietly: held polls are told, idle clients let go, what is under way is finished."""

import gc
import os
import re
from itertools import pairwise
from pathlib import Path

import pytest

from slosh.http1.connection import Connection
from slosh.http1.exchange import Exchange
from slosh.http1.handler import Action, Application
from slosh.http1.head import Head
from slosh.http1.lingering import PAUSE
from tests.web.conftest import MakeSite
from tests.web.harness import Client, Site, open_files, request


def hang_up(client: Client) -> None:
    """Close from the client's side once the server has ended its side."""
    assert client.wire.has_ended()
    client.half_close()


def test_a_held_poll_is_answered_with_timeout_and_connection_close(site: Site) -> None:
    client = site.connect().get("/topics/a")
    going = site.drain()
    answer = client.next()
    assert (answer.status, answer.json["timeout"], answer["Connection"]) == (200, True, "close")
    hang_up(client)
    assert going.done()


def test_a_message_that_is_there_is_given_and_not_lost(site: Site) -> None:
    client = site.connect().get("/topics/a?every=1s")
    site.post("/topics/a", b"1")
    site.drain()
    answer = client.next()
    assert answer.json["res"] == [1]
    assert answer["Connection"] == "close"


def test_idle_connections_are_closed_without_a_word(site: Site) -> None:
    fresh, used = site.connect(), site.connect().get("/nothing")
    used.next()
    going = site.drain()
    for client in (fresh, used):
        assert client.silent()
        hang_up(client)
    assert going.done()


def test_very_many_polls_are_answered_bit_by_bit(make_site: MakeSite) -> None:
    """So that their clients do not all come back at once, to this server's successor or its neighbours."""
    site = make_site(drain=10)
    clients = [site.connect().get("/topics/a") for _ in range(5000)]
    going = site.drain()
    answered = []
    for _ in range(100):
        answered.append(sum(not client.silent() for client in clients))
        site.advance(0.1)
    assert 0 < answered[0] <= 250
    most = max(later - earlier for earlier, later in pairwise(answered))
    assert most <= 500
    assert answered[-1] == 5000
    assert answered[75] == 5000  # the rest of the time is for what is being written
    assert all(client.next().json["timeout"] for client in clients)
    site.advance(PAUSE)
    assert going.done()


def test_a_few_polls_need_not_wait(site: Site) -> None:
    clients = [site.connect().get("/topics/a") for _ in range(100)]
    site.drain()
    assert not any(client.silent() for client in clients)


def test_ready_says_503_and_the_connection_closes(site: Site) -> None:
    """A client that is in the middle of a request when the drain begins is still answered."""
    clients = [site.connect().send(request("GET", path)[:-2]) for path in ("/-/ready", "/-/healthy", "/topics/a")]
    site.drain()
    for client in clients:
        client.send(b"\r\n")
    ready, healthy, poll = (client.next() for client in clients)
    assert (ready.status, ready.code) == (503, "draining")
    assert int(ready["Retry-After"]) > 0
    assert healthy.status == 200
    assert poll.json["timeout"] is True
    for answer in (ready, healthy, poll):
        assert answer["Connection"] == "close"


def test_a_post_on_its_way_is_taken(site: Site) -> None:
    site.connect().get("/topics/a")
    client = site.connect().send(request("POST", "/topics/a", b"12345")[:-2])
    going = site.drain()
    assert client.send(b"45").next().json["max"] == 1
    hang_up(client)
    assert not going.done()  # the poll's client still holds its end
    site.advance(PAUSE + 0.1)
    assert going.done()


def test_a_post_that_is_like_one_before_the_drain_says_that_the_connection_closes(site: Site) -> None:
    """How answers to one kind of post begin is kept for a second."""
    site.connect().get("/topics/a")
    post = request("POST", "/topics/a", b"12345")
    client = site.connect()
    assert "Connection" not in client.send(post).next()
    client.send(post[:-2])
    site.drain()
    assert client.send(b"45").next()["Connection"] == "close"


def test_a_poll_that_is_like_one_before_the_drain_says_that_the_connection_closes(site: Site) -> None:
    """Here too, and it has something to say, because it gathered when the drain began."""
    poll = request("GET", "/topics/a?since=epoch000.0&every=60s")
    first, second = (site.connect().send(poll) for _ in range(2))
    site.post("/topics/a", b"1")
    assert first.silent()
    first.connection.end_exchange()
    assert "Connection" not in first.next()
    site.drain()
    answer = second.next()
    assert (answer["Connection"], answer.json["res"]) == ("close", [1])


def test_requests_behind_a_held_poll_are_not_begun(site: Site) -> None:
    client = site.connect().send(request("GET", "/topics/a") * 3)
    site.drain()
    assert client.next()["Connection"] == "close"
    assert client.silent()


def test_who_does_not_hang_up_is_left_after_a_moment(site: Site) -> None:
    client = site.connect().get("/topics/a")
    going = site.drain()
    site.advance(PAUSE + 0.1)
    assert not client.wire.is_open()
    assert going.done()


@pytest.mark.parametrize("seconds", [0.0, 3.0])
def test_what_is_not_finished_in_time_is_cut(make_site: MakeSite, tmp_path: Path, seconds: float) -> None:
    """And leaves neither a descriptor nor a watcher behind: in a .tac the process may go on."""
    (tmp_path / "big").write_bytes(b"x" * 2_000_000)
    site = make_site(tmp_path)
    before = open_files()
    slow = site.connect().take_nothing().get("/big")
    partly = site.connect().send(request("POST", "/topics/a", b"12345")[:-1])
    assert open_files() == before + 1
    going = site.drain(seconds)
    if seconds:
        site.advance(seconds - 0.1)
        assert not going.done()
        site.advance(0.2)
    assert going.done()
    assert slow.wire.was_cut()
    assert partly.wire.was_cut()
    assert not site.server.connections
    assert open_files() == before


def test_a_slow_download_is_finished_when_there_is_time(make_site: MakeSite, tmp_path: Path) -> None:
    content = os.urandom(2_000_000)
    (tmp_path / "big").write_bytes(content)
    site = make_site(tmp_path)
    client = site.connect().take_nothing().get("/big")
    going = site.drain(60)
    while client.wire.get_write_buffer_size():
        site.advance(1)
        client.take(100_000)
    assert client.next().body == content
    hang_up(client)
    assert going.done()


def test_streams_are_ended_cleanly_and_nobody_is_left_watching(site: Site) -> None:
    site.connect().get("/topics/a", Accept="text/event-stream")
    site.connect().get("/topics/a?format=ndjson")
    assert site.watchers("a") == 2
    site.drain()
    assert site.watchers("a") == 0
    site.advance(PAUSE + 0.1)
    assert not site.server.connections


class Waiting(Exchange):
    """A request that waits; if its path says so, a mistake of ours keeps it from being answered."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def end(self) -> None:
        if self._connection.head.path == "/broken":
            raise RuntimeError("a mistake")
        self._connection.respond(200, b"", b"ended")


class Wait(Action):
    """Holds a request for a second, or until the server shuts down."""

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002
        connection.hold(Waiting(connection), connection.server.now() + 1)


class HalfBroken(Application):
    """An application in which every request waits."""

    def route(self, head: Head) -> Action:  # noqa: ARG002
        return Wait()


def test_one_answer_that_cannot_be_ended_keeps_nobody_else(
    make_site: MakeSite, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistake of ours with one client must not leave a process that never stops."""
    site = make_site(application=HalfBroken())
    broken, sound = site.connect().get("/broken"), site.connect().get("/sound")
    going = site.drain()
    site.advance(0.1)
    assert broken.wire.was_cut()
    assert sound.next().body == b"ended"
    hang_up(sound)
    assert going.done()
    assert "a mistake" in caplog.text


def test_one_deadline_that_fails_keeps_no_other_from_passing(
    make_site: MakeSite, caplog: pytest.LogCaptureFixture
) -> None:
    site = make_site(application=HalfBroken())
    broken, sound = site.connect().get("/broken"), site.connect().get("/sound")
    site.advance(1.1)
    assert broken.wire.was_cut()
    assert sound.next().body == b"ended"
    assert "a mistake" in caplog.text


# Where another server has taken over the listening sockets.


def test_a_request_that_is_on_its_way_is_answered_although_another_server_is_there(make_site: MakeSite) -> None:
    """The client was accepted a moment before; nobody has told it anything yet."""
    site = make_site(drain=10)
    fresh, used = site.connect(), site.connect().get("/nothing")
    used.next()
    site.server.has_successor = True
    going = site.drain()
    answer = fresh.get("/topics/a?since=now").next()
    assert (answer.json["timeout"], answer["Connection"]) == (True, "close")
    hang_up(fresh)
    assert not used.wire.has_ended()
    site.advance(5.1)  # Half of the time is for the others.
    hang_up(used)
    assert going.done()
    assert not site.server.closed


def test_all_polls_are_answered_at_once_so_that_they_go_on_where_messages_are(make_site: MakeSite) -> None:
    site = make_site(drain=10)
    clients = [site.connect().get("/topics/a") for _ in range(1000)]
    site.server.has_successor = True
    site.drain()
    site.advance(0.001)
    assert not any(client.silent() for client in clients)


def test_event_streams_are_told_to_come_back_soon(site: Site) -> None:
    client = site.connect().get("/topics/a", Accept="text/event-stream")
    site.server.has_successor = True
    site.drain()
    first, last = re.findall(rb"retry: (\d+)\n", bytes(client.wire.arrived))
    assert int(first) >= 2000
    assert 100 <= int(last) < 200


def test_a_test_that_ends_in_the_midst_of_it_leaves_no_task_behind(caplog: pytest.LogCaptureFixture) -> None:
    """Else asyncio says "Task was destroyed but it is pending", in whichever test runs when it is collected."""
    site = Site()
    site.connect().get("/topics/a")
    going = site.drain()
    assert not going.done()
    site.close()
    del going, site
    gc.collect()
    assert not caplog.records
