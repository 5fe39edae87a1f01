"""One server's connections: whatever happens to them, each command is settled once, in time, and never done twice."""

import asyncio
import gc
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import uvloop

from slosh.engine.redis.client.cluster import make_servers
from slosh.engine.redis.client.command import NOT_SENT, UNKNOWN, Command, PendingCommand
from slosh.engine.redis.client.servers import Servers, StoreTerms
from slosh.engine.redis.scripts import PUBLISH, SCRIPTS, SYNC, gives_ring
from slosh.errors import EngineBusy, EngineUnreachable, SettingError
from tests.stores.between import Between
from tests.stores.found import program
from tests.stores.resp import fields
from tests.stores.server import Store
from tests.stores.tls import Authority

PATIENCE = 20.0


class StoreEvents:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.ups = 0
        self.channels: list[str] = []
        self.news: list[bytes] = []

    def came_up(self) -> None:
        """As the protocol says."""
        self.ups += 1

    def subscribed(self, channel: str) -> None:
        """As the protocol says."""
        self.channels.append(channel)

    def heard(self, channel: str, data: bytes) -> None:  # noqa: ARG002 - of the protocol
        """As the protocol says."""
        self.news.append(data)


@pytest.fixture(params=("system", "redis-6.2"))
def own(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Store]:
    """A server that may be hurt; the oldest tells some things in other words."""
    server = Store(tmp_path / "store", program(request.param))
    server.start()
    yield server
    server.kill()


async def until(true: Callable[[], object]) -> None:
    """Wait until something is true, for as long as it may take on a busy machine."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.002)


def run(
    store: Store,
    story: Callable[[Servers, StoreEvents], Awaitable[None]],
    *,
    timeout: float = PATIENCE,
    most: int = 1000,
) -> None:
    """Let `story` happen with servers that are started and stopped."""
    asyncio.run(play(store, story, patience=timeout, most=most))


async def play(
    store: Store, story: Callable[[Servers, StoreEvents], Awaitable[None]], *, patience: float, most: int
) -> None:
    """The same on the loop that runs."""
    told = StoreEvents()
    servers = make(store.url, told, patience, most)
    await servers.start()
    try:
        await story(servers, told)
    finally:
        await servers.stop()


def send(servers: Servers, *command: str | bytes | int) -> list[Any]:
    """Send a command; its reply is in the list once it is there."""
    replies: list[Any] = []
    servers.send(str(command[1]) if len(command) > 1 else "", command, replies.append)
    return replies


def make(address: str, told: StoreEvents, patience: float, most: int) -> Servers:
    """Servers that are not started."""
    return make_servers(
        address, told, StoreTerms(timeout=patience, most=most, news="news", scripts=SCRIPTS, probe=probe)
    )


def probe(number: int, announcing: str) -> Command:
    """A publish to nobody."""
    key = f"{{probe{number}}}"
    return PUBLISH.call(
        [key, f"{key}:r", f"{key}:w"], "", "n", 0, "e", 1, 1, 9000, 1, 64, 0, announcing, key, 1, 0, b"0"
    )


def publish(key: str, message: bytes) -> Command:
    """A publish that needs no watcher."""
    return PUBLISH.call(
        [key, f"{key}:r", f"{key}:w"], "", "n", 0, "e", 9000, 1, 9000, 9, 99, 0, "PUBLISH", key, 1, 0, message
    )


def test_commands_that_come_together_are_all_answered_in_their_order(own: Store) -> None:
    async def story(servers: Servers, _: StoreEvents) -> None:
        replies = [send(servers, "INCR", "n") for _ in range(2000)]
        await until(lambda: all(replies))
        assert [reply for (reply,) in replies] == list(range(1, 2001))

    run(own, story, most=2000)


def test_a_server_that_forgot_the_scripts_is_given_them_again(own: Store) -> None:
    async def story(servers: Servers, _: StoreEvents) -> None:
        for _each in range(3):
            own.ask("SCRIPT", "FLUSH")
            replies = [send(servers, *publish("{k}", b"1")) for _ in range(10)]
            await until(partial(all, replies))
            assert [reply[0][0] for reply in replies] == [b"e"] * 10
        assert own.ask("LLEN", "{k}:r") == 9

    run(own, story)


def test_a_server_that_stands_still_is_given_up_in_time(own: Store) -> None:
    async def story(servers: Servers, _: StoreEvents) -> None:
        with own.paused():
            began = time.monotonic()
            early = send(servers, *publish("{k}", b"1"))
            await until(lambda: servers._outstanding[0].is_out)  # the second comes while the first is under way
            late = send(servers, *publish("{k}", b"2"))
            await until(lambda: early and late)
            took = time.monotonic() - began
            assert isinstance(early[0], EngineUnreachable)
            assert isinstance(late[0], EngineUnreachable)
            assert ("may or may not" in early[0].detail, "may or may not" in late[0].detail) == (True, False)
            assert took < 2.0, "the timeout is half a second, and the machine may be busy"
        again = send(servers, "GET", "nothing")
        await until(lambda: again)

    run(own, story, timeout=0.5)


def test_what_comes_while_it_is_out_of_reach_is_refused_and_it_is_found_again(own: Store) -> None:
    async def story(servers: Servers, told: StoreEvents) -> None:
        servers.listen("c")
        await until(lambda: "c" in told.channels)
        own.kill()
        first = send(servers, "GET", "nothing")
        await until(lambda: first)
        assert isinstance(first[0], EngineUnreachable)
        await until(lambda: not servers.are_up)
        own.start()
        await until(lambda: servers.are_up and told.channels.count("c") == 2)
        assert told.ups == 1
        own.ask("PUBLISH", "c", "hello")
        await until(lambda: told.news == [b"hello"])

    run(own, story)


def test_dropped_connections_lose_no_answer_and_nothing_is_done_twice(own: Store) -> None:
    async def story(servers: Servers, _: StoreEvents) -> None:
        replies: list[list[Any]] = []
        for _round in range(10):
            for _each in range(20):
                replies.append(send(servers, "INCR", "n"))
                await asyncio.sleep(0)
            own.drop_clients()
            await until(lambda: all(replies))
        done = [reply for (reply,) in replies if isinstance(reply, int)]
        assert len(set(done)) == len(done)
        value = own.ask("GET", "n")
        assert isinstance(value, bytes)
        # Of what was not answered nobody knows; it was done once or not at all.
        assert len(done) <= int(value) <= len(replies)

    run(own, story)


def test_more_than_may_wait_are_refused_at_once(own: Store) -> None:
    async def story(servers: Servers, _: StoreEvents) -> None:
        replies = [send(servers, "INCR", "n") for _ in range(8)]
        assert [isinstance(reply[0], EngineBusy) for reply in replies[5:]] == [True] * 3
        await until(lambda: all(replies))
        assert [reply[0] for reply in replies[:5]] == [1, 2, 3, 4, 5]

    run(own, story, most=5)


def test_a_full_server_says_so(own: Store) -> None:
    async def story(servers: Servers, _: StoreEvents) -> None:
        own.ask("CONFIG", "SET", "maxmemory", 1)
        reply = send(servers, *publish("{k}", b"1"))
        await until(lambda: reply)
        assert reply[0].code == "engine_full"

    run(own, story)


def test_who_still_waits_when_it_stops_is_told(own: Store) -> None:
    replies: list[Any] = []

    async def story(servers: Servers, _: StoreEvents) -> None:
        replies.extend(send(servers, "INCR", "n") for _ in range(3))

    run(own, story)
    assert all(isinstance(reply[0], int | EngineUnreachable) for reply in replies)


def test_a_store_that_is_away_at_the_start_is_waited_for_and_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path / "late", password="hunter2")

    async def story(servers: Servers, told: StoreEvents) -> None:
        assert isinstance(servers.trouble, EngineUnreachable)
        refused = send(servers, *publish("{k}", b"1"))
        assert [reply.detail for reply in refused] == [NOT_SENT], "publishers are told at once"
        servers.listen("c")
        await asyncio.to_thread(store.start)
        await until(lambda: "c" in told.channels and servers.trouble is None)
        assert told.ups == 1
        taken = send(servers, *publish("{k}", b"1"))
        await until(lambda: taken)
        assert taken[0][0] == b"e"

    try:
        run(store, story, timeout=2.0)
    finally:
        store.kill()
    first = caplog.records[0].getMessage()
    assert first.startswith(f"the messages' store at redis://…@127.0.0.1:{store.port}/0 cannot be reached yet (")
    assert "Check that it runs" in first
    assert [record.getMessage() for record in caplog.records[1:]] == ["the messages' store can be reached now"]
    assert "hunter2" not in caplog.text


def test_a_store_that_stays_away_is_told_of_from_time_to_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slosh.engine.redis.client.outage.REMINDERS", 0.2)

    async def story(_: Servers, __: StoreEvents) -> None:
        await until(lambda: len(caplog.records) >= 3)

    run(Store(tmp_path / "never"), story, timeout=0.5)
    assert all("is still out of reach" in record.getMessage() for record in caplog.records[1:])


async def start_at(address: str) -> None:
    """Start servers that cannot be right."""
    servers = make(address, StoreEvents(), 5.0, 9)
    try:
        await servers.start()
    finally:
        await servers.stop()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda url: url.replace("hunter1", "hunter2"), "It refuses the user or password."),
        (lambda url: url.replace(":hunter1@", ""), "It refuses the user or password."),
        (lambda url: url.replace("://:", "://nobody:"), "It refuses the user or password."),
        (lambda url: url.replace("/0", "/9999"), "It has no database of that number."),
    ],
)
def test_an_address_that_cannot_be_right_is_said_at_once(
    tmp_path: Path, change: Callable[[str], str], says: str
) -> None:
    with Store(tmp_path / "locked", password="hunter1") as store, pytest.raises(SettingError) as caught:
        asyncio.run(start_at(change(store.url)))
    assert "is there and cannot be used" in caught.value.detail
    assert says in caught.value.detail
    assert "hunter" not in caught.value.detail


def test_a_certificate_that_is_not_trusted_is_said_at_once(tmp_path: Path) -> None:
    with Store(tmp_path / "store", tls=Authority(tmp_path / "ca")) as store, pytest.raises(SettingError) as caught:
        asyncio.run(start_at(store.url.partition("?")[0]))
    assert "It speaks no TLS that can be trusted" in caught.value.detail


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n"])
def test_what_is_no_redis_is_said_at_once(greeting: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        await reader.read(100)
        writer.close()

    async def story() -> None:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            await start_at(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}")

    with pytest.raises(SettingError) as caught:
        asyncio.run(story())
    assert "It speaks another protocol than Redis." in caught.value.detail


REFUSALS: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "NOREPLICAS": (
        ("CONFIG", "SET", "min-replicas-to-write", "1"),
        ("CONFIG", "SET", "min-replicas-to-write", "0"),
        "",
    ),
    "OOM": (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0"), "is full (its maxmemory)"),
    "NOPERM": (("ACL", "SETUSER", "default", "-rpush"), ("ACL", "SETUSER", "default", "+rpush"), ""),
    "NOPERM ": (("ACL", "SETUSER", "default", "-evalsha"), ("ACL", "SETUSER", "default", "+evalsha"), ""),
    "NOPERM  ": (("ACL", "SETUSER", "default", "resetkeys"), ("ACL", "SETUSER", "default", "allkeys"), ""),
    "READONLY": (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE"), ""),
}


@pytest.mark.parametrize("why", REFUSALS)
@pytest.mark.parametrize("posts", [True, False])
def test_a_store_that_takes_no_messages_is_trouble_until_it_does(
    own: Store, why: str, posts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nobody posts, so that a balancer which sends nobody here learns when it may again."""
    hurt, mend, says = REFUSALS[why]
    # Compiled, it keeps its own interval, and this takes longer.
    monkeypatch.setattr("slosh.engine.redis.client.link._PROBE_EVERY", 0.2)

    async def story(servers: Servers, _: StoreEvents) -> None:
        await until(lambda: servers.trouble is None)
        own.ask(*hurt)
        if posts:
            refused = send(servers, *publish("{k}", b"1"))
            await until(lambda: refused or servers.trouble)
        await until(lambda: servers.trouble)
        assert servers.trouble is not None
        assert servers.trouble.status == 503
        assert (says or f"({why.strip()})") in servers.trouble.detail
        own.ask(*mend)
        await until(lambda: servers.trouble is None)

    run(own, story, timeout=5.0)


def connections(store: Store) -> int:
    """How many were made to the server so far."""
    return int(fields(store.ask("INFO", "stats"))["total_connections_received"])


def test_a_server_that_was_made_a_replica_is_tried_with_pauses(own: Store, caplog: pytest.LogCaptureFixture) -> None:
    async def story(servers: Servers, told: StoreEvents) -> None:
        own.ask("REPLICAOF", "127.0.0.1", own.port)
        refused = send(servers, *publish("{k}", b"1"))
        await until(lambda: refused)
        assert isinstance(refused[0], EngineUnreachable)
        assert told.ups < 12
        own.ask("REPLICAOF", "NO", "ONE")
        taken = send(servers, *publish("{k}", b"1"))
        await until(lambda: taken)
        assert taken[0][0] == b"e"

    run(own, story, timeout=2.0)
    assert len(caplog.records) < 30


TRIES, LEAST = 8, 0.3
"""Connections in a row, and the seconds that the shortest pauses between them take together, or some more."""


def test_a_channel_that_may_not_be_listened_to_is_tried_with_pauses(own: Store) -> None:
    async def story(servers: Servers, told: StoreEvents) -> None:
        own.ask("ACL", "SETUSER", "default", "resetchannels", "&news")
        looks = itertools.count(connections(own) + 1)  # each is a connection of its own
        began = time.monotonic()
        servers.listen("c")
        await until(lambda: connections(own) - next(looks) >= TRIES)
        assert time.monotonic() - began >= LEAST
        own.ask("ACL", "SETUSER", "default", "allchannels")
        await until(lambda: "c" in told.channels)

    run(own, story)


def test_a_refusal_that_comes_again_and_again_is_logged_once_in_a_while(
    own: Store, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(servers: Servers, _: StoreEvents) -> None:
        own.ask("SET", "s", "no list")
        refused = [send(servers, "LPUSH", "s", "1") for _ in range(500)]
        await until(lambda: all(refused))
        assert {reply[0].code for reply in refused} == {"engine_failed"}

    run(own, story)
    assert len(caplog.records) == 1


def sync(key: str, epoch: str) -> Command:
    """A question for what comes after a place, or for all where there is no epoch."""
    keys = [key, f"{key}:r", f"{key}:w"]
    return SYNC.call(keys, "", "n", 0, 9000, 9000, 9000, "e", "PUBLISH", key, epoch, 0, b"")


def test_few_answers_that_may_be_large_are_asked_for_together(own: Store) -> None:
    """A node that mirrors a thousand topics at once must not make the server hold all their rings for it."""

    async def story(servers: Servers, _: StoreEvents) -> None:
        replies = [send(servers, *sync(f"{{k{number}}}", "")) for number in range(40)]
        (link,) = servers.links.values()
        for size in (16, 16, 8):
            batch = link._take_batch()[0]
            assert len(batch) == size
            for each in batch:
                each.settle(None)
        assert all(replies)
        for number in range(40):
            link.send(PendingCommand(sync(f"{{k{number}}}", "x"), lambda _: None, 0.0))
        assert len(link._take_batch()[0]) == 40

    assert [gives_ring(command) for command in (sync("k", ""), sync("k", "x"), publish("k", b"1"), ("PING",))] == [
        True,
        False,
        False,
        False,
    ]
    run(own, story)


def loops() -> list[Any]:
    """The event loops that slosh runs on; they differ in what they say of a connection that is no more."""
    return [
        pytest.param(asyncio.new_event_loop, id="asyncio", marks=pytest.mark.long),
        pytest.param(uvloop.new_event_loop, id="uvloop"),
    ]


@pytest.mark.parametrize("new_loop", loops())
def test_a_store_that_is_killed_again_and_again_under_posts_is_never_a_mistake_of_slosh(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """A connection may be gone for some turns of the loop before the task that made it learns so."""
    complaints: list[dict[str, Any]] = []
    store = Store(tmp_path / "store")
    store.start()

    async def story(servers: Servers, told: StoreEvents) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        replies: list[list[Any]] = []
        is_over = False

        async def post() -> None:
            number = 0
            while not is_over:
                number += 1
                replies.append(send(servers, *publish(f"{{k{number % 7}}}", b"1")))
                servers.listen(f"c{number}")
                servers.unlisten(f"c{number - 20}")
                await asyncio.sleep(0)

        posting = asyncio.ensure_future(post())
        for _ in range(6):
            before = told.ups
            store.kill()
            await until(lambda: not servers.are_up)
            await asyncio.to_thread(store.start)
            await until(lambda before=before: servers.are_up and told.ups > before)  # type: ignore[misc]
        is_over = True
        await posting
        await until(lambda: all(replies))

    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(play(store, story, patience=0.5, most=100_000))
            gc.collect()  # what nobody looked at is told when it is collected
    finally:
        store.kill()
    assert complaints == []
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
    assert {record.levelname for record in caplog.records} <= {"DEBUG", "INFO", "WARNING"}


def test_what_was_done_and_not_answered_before_a_cut_is_not_done_again(own: Store) -> None:
    """A publish whose answer is lost with the connection is told as unknown, and is in the store once."""

    async def story() -> None:
        async with Between(own.port) as between:
            told = StoreEvents()
            servers = make(f"redis://127.0.0.1:{between.port}", told, PATIENCE, 99)
            await servers.start()
            try:
                between.is_mute = True
                replies = [send(servers, "RPUSH", "list", number) for number in range(5)]
                await until(lambda: own.ask("LLEN", "list") == 5)  # all are done, and no answer came
                waiting = send(servers, "RPUSH", "list", "later")  # this one has not gone out
                between.is_mute = False
                between.cut()
                await until(lambda: all([*replies, waiting]))
            finally:
                await servers.stop()
        assert [reply.detail for (reply,) in replies] == [UNKNOWN] * 5
        assert waiting == [6]
        assert own.ask("LRANGE", "list", 0, -1) == [b"0", b"1", b"2", b"3", b"4", b"later"]

    asyncio.run(story())
