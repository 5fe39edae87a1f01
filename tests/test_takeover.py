"""A restart that nobody notices: a successor is given the sockets and the topics of a server that runs."""

import asyncio
import http.client
import itertools
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import msgspec
import pytest

from benchmarks.processes import ProcessGroup
from benchmarks.restarts import Load, measure
from slosh.engine import snapshot
from slosh.errors import CannotListen
from slosh.server import Server
from slosh.settings import Settings
from slosh.startup import loop_factory
from slosh.takeover import (
    END,
    GO,
    HELLO,
    PART,
    PREPARED,
    RESTORED,
    SOCKETS,
    Channel,
    Frame,
    Handover,
    HandoverBroken,
    find_predecessor,
)
from tests.conftest import lacking, need
from tests.e2e.server import CurlPoll, Serving, curl
from tests.running import PATIENCE, Running, clean_environment, uncovered
from tests.stores.server import Store

SMALL = Load(restarts=2, pollers=24, streams=8, websockets=8, rate=60, topics=8, publishers=4, every=0.3)

pytestmark = pytest.mark.usefixtures("fresh")


@pytest.fixture(name="folder")
def folder_fixture(tmp_path: Path) -> Path:
    if len(str(tmp_path / "takeover")) > 100:
        lacking(f"the path {tmp_path} is too long for a Unix socket")
    return tmp_path


@pytest.fixture(name="stack")
def stack_fixture() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


# Under load.


def restart(load: Load, folder: Path, *options: str, activated: bool = False) -> None:
    """No client is refused, and no reader misses a message or is given one twice."""
    tally, node = asyncio.run(measure(load, folder, *options, activated=activated))
    try:
        assert not tally.faults, tally
        assert tally.published
        readers = (load.pollers + load.streams + load.websockets) / load.topics
        assert tally.given == tally.published * readers, tally
        assert set(tally.statuses) <= {503}, tally
        assert set(node.codes()) == {0}, node.output[-20:]
        assert not [line for line in node.output if "Traceback" in line or "ERROR" in line]
    finally:
        node.end()


def test_no_message_is_lost_or_doubled_and_nobody_refused(folder: Path) -> None:
    restart(SMALL, folder)


@pytest.mark.parametrize("activated", [False, True], ids=["taken over", "activated"])
def test_the_same_with_a_store(folder: Path, stack: ExitStack, activated: bool) -> None:
    """With a store it is the same where systemd holds the socket, and nobody hands topics over."""
    need("redis-server")
    store = Store(folder)
    store.start()
    stack.callback(store.kill)
    restart(SMALL, folder, f"--engine={store.url}", activated=activated)


@pytest.mark.long
@pytest.mark.timeout(600)  # half a minute on a machine that does nothing else
@pytest.mark.parametrize("with_store", [False, True], ids=["memory", "redis"])
def test_twenty_restarts_under_a_crowd(folder: Path, stack: ExitStack, with_store: bool) -> None:
    engine = "memory"
    if with_store:
        need("redis-server")
        store = Store(folder)
        store.start()
        stack.callback(store.kill)
        engine = store.url
    restart(Load(), folder, f"--engine={engine}")


# What a reader and a publisher see.


def test_places_keys_and_ends_mean_the_same_afterwards(folder: Path, stack: ExitStack) -> None:
    options = (f"--takeover={folder / 'takeover'}", "--drain=5")
    first = stack.enter_context(Serving(folder, *options))
    held = CurlPoll(f"{first.topic()}?since=now")
    first.until_watched(1)
    curl(f"{first.topic('ended')}?open", data=b"")
    curl(f"{first.topic('ended')}?end", data=b'"last"')
    place = curl(f"{first.topic('kept')}?wait=0").json["next"]
    taken = curl("-H", "Idempotency-Key: k", first.topic("kept"), data=b'"once"').json
    second = stack.enter_context(Serving(folder, *options, port=first.port))
    answer = held.answer()
    assert answer["timeout"]
    assert first.end() == 0
    assert "another server has taken over" in first.output
    assert curl("-H", "Idempotency-Key: k", second.topic("kept"), data=b'"once"').json == taken
    read = curl(f"{second.topic('kept')}?since={place}&wait=0").json
    assert (read["res"], "reset" in read) == (["once"], False)
    assert curl(f"{second.topic('ended')}?since=earliest").json["ended"] is True
    assert curl(second.topic("ended"), data=b"1").status == 409
    assert second.post(b'"next"').status == 200  # The topic lingers, though nobody watches it here.
    assert curl(f"{second.topic()}?since={answer['next']}").json["res"] == ["next"]
    second.tell(signal.SIGTERM)
    assert second.end() == 0
    assert not (folder / "takeover").exists()


def test_a_chart_keeps_its_past(folder: Path, stack: ExitStack) -> None:
    """Also one that was asked for only, of which the ring holds nothing any more."""
    options = (f"--takeover={folder / 'takeover'}", "--drain=5", "--queue=2")
    first = stack.enter_context(Serving(folder, *options))
    chart = "?history=1h&points=1&by=host"
    curl(f"{first.topic()}{chart}")
    for number in range(10):
        assert first.post(b'{"host":"a","cpu":%d}' % number).status == 200
    second = stack.enter_context(Serving(folder, *options, port=first.port))
    assert second.post(b'{"host":"a","cpu":100}').status == 200
    told = curl(f"{second.topic()}{chart}").json
    (series,) = told["series"]
    assert (series["path"], series["by"]) == ("cpu", "a")
    assert (sum(series["count"]), min(series["min"]), max(series["max"])) == (11, 0, 100)
    assert told["max"] == 11


def test_a_connection_that_the_old_server_still_has_is_told_to_come_back_at_once(
    folder: Path, stack: ExitStack
) -> None:
    """A browser reuses it: a reader that was told to wait until the drain is over would miss what comes meanwhile."""
    options = (f"--takeover={folder / 'takeover'}", "--drain=40", "--queue=10")
    first = stack.enter_context(Serving(folder, *options))
    curl(f"{first.topic('there')}?wait=0")

    def keep() -> http.client.HTTPConnection:
        kept = http.client.HTTPConnection("127.0.0.1", first.port, timeout=PATIENCE)
        stack.callback(kept.close)
        kept.request("GET", "/-/healthy")
        kept.getresponse().read()
        return kept

    handshake = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    events = {"Accept": "text/event-stream"}
    asked: list[tuple[str, str, dict[str, str]]] = [
        ("GET", "/topics/there", events),
        ("GET", "/topics/new", events),
        ("GET", "/topics/there,new", events),
        ("GET", "/topics/**", events),
        ("GET", "/topics?watch", events),
        ("GET", "/topics/new", {}),
        ("GET", "/topics/there", {"Accept": "application/x-ndjson"}),
        ("GET", "/topics/there", {**handshake, "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}),
        ("POST", "/topics/there", {}),
        ("GET", "/-/ready", {}),
    ]
    kept = [keep() for _ in asked]
    second = stack.enter_context(Serving(folder, *options, port=first.port))
    for connection, (method, target, fields) in zip(kept, asked, strict=True):
        connection.request(method, target, b"1" if method == "POST" else None, fields)
        answer = connection.getresponse()
        told = answer.read().decode()
        assert answer.getheader("Connection") == "close", target
        assert '"code": "draining"' in told, target
        if fields is events:
            found = re.match(r"retry: (\d+)\nevent: refused\n", told)
            assert found, target
            assert 100 <= int(found[1]) <= 200, target
        else:
            assert (answer.status, answer.getheader("Retry-After")) == (503, "0"), target
    assert first.end() == 0
    assert second.post(b"1", "there").status == 200


def test_a_unix_socket_stays_where_it_is(folder: Path, stack: ExitStack) -> None:
    place, options = folder / "s", (f"--takeover={folder / 'takeover'}", f"--uds={folder / 's'}")
    first = stack.enter_context(Serving(folder, *options))
    number = place.stat().st_ino
    second = stack.enter_context(Serving(folder, *options))
    assert first.end() == 0
    assert place.stat().st_ino == number
    assert curl("--unix-socket", place, "http://x/-/healthy").body == b"ok\n"
    second.tell(signal.SIGTERM)
    assert second.end() == 0
    assert not place.exists()


def test_systemd_is_told_which_process_to_watch_and_of_no_stop(folder: Path) -> None:
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    heard.settimeout(PATIENCE)
    heard.bind(str(folder / "notify"))
    environment = clean_environment(NOTIFY_SOCKET=str(folder / "notify"))
    command = (sys.executable, "-m", "slosh", "serve", f"--takeover={folder / 'takeover'}")
    with heard, Running((*command, "--port=0"), folder, environment) as first:
        assert heard.recv(4096).startswith(b"READY=1\nSTATUS=")
        with Running((*command, "--port=0"), folder, environment) as second:
            ready = heard.recv(4096).decode().split("\n")
            assert (ready[0], ready[-1]) == ("READY=1", f"MAINPID={second.process.pid}")
            assert first.end() == 0
            second.tell(signal.SIGTERM)
            assert heard.recv(4096) == b"STOPPING=1"


# Successors that fail.


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--port=1", r"listens on http://127.0.0.1:\d+, which its successor goes on with, and port says 1"),
        ("--uds=other", r"and uds says other"),
        ("--engine=redis://127.0.0.1:1/x", "database"),
    ],
)
def test_a_successor_with_a_mistake_changes_nothing(folder: Path, stack: ExitStack, option: str, told: str) -> None:
    takeover = f"--takeover={folder / 'takeover'}"
    first = stack.enter_context(Serving(folder, takeover))
    place = curl(f"{first.topic()}?wait=0").json["next"]
    command = (sys.executable, "-m", "slosh", "serve", takeover, option)
    with Running(command, folder) as second:
        second.hear(told)
        assert second.end() != 0
    assert first.post(b"1").status == 200
    assert curl(f"{first.topic()}?since={place}").json["res"] == [1]
    third = stack.enter_context(Serving(folder, takeover))  # The next one that is sound takes over.
    assert third.url == first.url
    assert first.end() == 0


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(work(), PATIENCE)

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(bounded())


class Talk:
    """A server in this process that hears successors, and what a test says in the place of one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.server = Server(Settings(port=0))

    async def __aenter__(self) -> Self:
        await self.server.start()
        self.handover = Handover(self.server, str(self.path))
        self.channel = self.connect()
        return self

    def connect(self) -> Channel:
        plain = socket.socket(socket.AF_UNIX)
        plain.connect(str(self.path))
        return Channel(plain)

    async def __aexit__(self, *error: object) -> None:
        self.channel.close()
        self.handover.close()
        await self.server.stop()

    async def greet(self, number: int = snapshot.FORMAT) -> Frame:
        await self.channel.send(HELLO, b'{"format":%d}' % number)
        return await self.channel.receive(SOCKETS)

    async def ask(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.sockets[0].getsockname()[1])
        writer.write(request)
        answer = await reader.read()
        writer.close()
        return answer


POST = b"POST /topics/a HTTP/1.0\r\nContent-Length: 1\r\n\r\n1"
GET = b"GET /topics/a?wait=0 HTTP/1.0\r\n\r\n"


@pytest.mark.parametrize("last", [SOCKETS, END])
def test_what_was_begun_is_taken_back_where_the_successor_dies(folder: Path, last: int) -> None:
    """Whether it dies before it can serve, or with all topics in its hands: until GO this server has everything."""

    async def work() -> None:
        async with Talk(folder / "takeover") as talk:
            await talk.ask(GET)
            for each in (await talk.greet()).sockets:
                each.close()
            if last == END:
                await talk.channel.send(PREPARED)
                while (await talk.channel.receive(PART, END)).kind != END:
                    pass
                engine = talk.server.engine
                assert engine is not None
                assert getattr(engine, "is_handed_over", False)
            talk.channel.close()
            assert b" 200 OK" in await talk.ask(POST)
            assert not talk.handover.done.is_set()
            talk.channel = talk.connect()  # Another one is heard.
            assert (await talk.greet()).kind == SOCKETS

    run(work)


def test_topics_are_handed_over_some_in_a_turn_however_quickly_they_are_taken(folder: Path) -> None:
    """The readers of the server that runs are served meanwhile."""

    async def work() -> None:
        loop = asyncio.get_running_loop()
        turns, seen, is_done = itertools.count(), set(), False
        turn = next(turns)

        def tick() -> None:
            nonlocal turn
            turn = next(turns)
            if not is_done:
                loop.call_soon(tick)

        def clock() -> float:
            """As if each topic took all the time of a turn."""
            seen.add(turn)
            return time.perf_counter() * 1e6

        async with Talk(folder / "takeover") as talk:
            assert talk.server.engine is not None
            assert talk.server.state is not None
            for number in range(200):
                talk.server.engine.hub.open(f"t/{number}", loop.time())
            for each in (await talk.greet()).sockets:
                each.close()
            talk.server.state.turns.clock = clock
            tick()
            await talk.channel.send(PREPARED)
            parts = 0
            while (await talk.channel.receive(PART, END)).kind == PART:
                parts += 1
            is_done = True
            assert parts == 200
            assert len(seen) >= parts

    run(work)


def test_the_word_is_given_once_and_nothing_is_accepted_afterwards(folder: Path) -> None:
    async def work() -> None:
        async with Talk(folder / "takeover") as talk:
            await talk.ask(GET)
            await talk.ask(POST)
            *sockets, listener = (await talk.greet()).sockets
            await talk.channel.send(PREPARED)
            part = await talk.channel.receive(PART)
            assert b"a" in part.data
            await talk.channel.receive(END)
            await talk.channel.send(RESTORED)
            await talk.channel.receive(GO)
            await talk.handover.done.wait()
            assert talk.server.addresses == []
            assert (folder / "takeover").exists()  # It is the successor's.
            assert listener.getsockname() == str(folder / "takeover")
            sockets[0].settimeout(PATIENCE)
            with socket.create_connection(sockets[0].getsockname()):
                accepted, _ = await asyncio.to_thread(sockets[0].accept)
                accepted.close()
            for each in (*sockets, listener):
                each.close()

    run(work)


def test_a_successor_that_knows_another_format_is_given_the_sockets_alone(folder: Path) -> None:
    async def work() -> None:
        async with Talk(folder / "takeover") as talk:
            await talk.ask(GET)
            frame = await talk.greet(snapshot.FORMAT + 1)
            assert msgspec.json.decode(frame.data)["has_topics"] is False
            await talk.channel.send(PREPARED)
            assert (await talk.channel.receive(PART, END)).kind == END
            for each in frame.sockets:
                each.close()

    run(work)


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\n\r\n" * 9, b"\xff" * 10, b"H\0\0\0\0\0\0\0\0\1x"])
def test_nonsense_changes_nothing(folder: Path, said: bytes) -> None:
    async def work() -> None:
        async with Talk(folder / "takeover") as talk:
            with socket.socket(socket.AF_UNIX) as plain:
                talk.channel.close()
                plain.connect(str(talk.path))
                plain.sendall(said)
            assert b" 200 OK" in await talk.ask(GET)
            frame = None
            while frame is None:
                talk.channel = talk.connect()
                try:  # The one before may not have been given up yet, and one is heard at a time.
                    frame = await talk.greet()
                except HandoverBroken:
                    talk.channel.close()
            assert json.loads(frame.data)["pid"] == os.getpid()
            for each in frame.sockets:
                each.close()

    run(work)


def test_a_frame_of_many_mebibytes_comes_as_it_was_sent() -> None:
    async def work() -> None:
        ours, theirs = (Channel(each) for each in socket.socketpair(socket.AF_UNIX))
        data = os.urandom(5_000_000)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            sending = asyncio.ensure_future(ours.send(PART, data, [listener]))
            frame = await theirs.receive(PART)
            await sending
            assert frame.data == data
            assert [each.getsockname() for each in frame.sockets] == [listener.getsockname()]
            for each in frame.sockets:
                assert not each.get_inheritable()
                each.close()
        ours.close()
        with pytest.raises(HandoverBroken, match="it has gone"):
            await theirs.receive(PART)
        theirs.close()

    run(work)


def test_nobody_there_is_no_predecessor(folder: Path) -> None:
    async def work() -> None:
        assert await find_predecessor(str(folder / "nobody")) is None
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(folder / "dead"))
        assert await find_predecessor(str(folder / "dead")) is None

    run(work)


# Only programs of the same user may take over.


def command_of_another_user(program: str, path: Path) -> tuple[str, ...]:
    """The command that runs `program` as nobody, with the path as `sys.argv[1]`. Root alone can start it."""
    begin = "import os, socket, sys; os.setgroups([]); os.setgid(65534); os.setuid(65534)"
    return (sys.executable, "-c", begin + program, str(path))


def test_only_programs_of_the_same_user_or_root_are_heard(stack: ExitStack) -> None:
    """The process that takes over is given all topics, and all clients that come."""
    # Not one of pytest's, which takes their rights from the others at any time: another run of it begins so.
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    folder.chmod(0o711)
    program = """
plain = socket.socket(socket.AF_UNIX)
plain.settimeout(30)
plain.connect(sys.argv[1])
try:
    plain.sendall(b"H\\0" + (12).to_bytes(8) + b'{"format":1}')
    print(len(plain.recv(100)))
except OSError:  # It may be closed before anything was sent, or with that unread.
    print(0)
"""

    async def work() -> None:
        async with Talk(folder / "takeover") as talk:
            talk.channel.close()
            assert stat.S_IMODE(talk.path.stat().st_mode) == 0o600
            if os.getuid():
                return  # To be another user one has to be root.
            talk.path.chmod(0o666)
            command = command_of_another_user(program, talk.path)
            environment = uncovered(os.environ)
            done = await asyncio.to_thread(
                subprocess.run, command, capture_output=True, text=True, check=False, env=environment
            )
            assert (done.stdout, done.stderr) == ("0\n", "")

    run(work)


@pytest.mark.skipif(os.getuid() != 0, reason="to be another user one has to be root")
def test_nothing_is_taken_over_from_a_program_of_another_user(stack: ExitStack) -> None:
    """It could hand over sockets and topics of its own making."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    folder.chmod(0o777)
    program = """
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("listens", flush=True)
sys.stdin.read()
"""
    command = command_of_another_user(program, folder / "takeover")
    environment = uncovered(os.environ)
    other: ProcessGroup[bytes] = stack.enter_context(
        ProcessGroup(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    )
    assert other.stdout is not None
    assert other.stdin is not None
    stack.callback(other.stdin.close)
    assert other.stdout.readline() == b"listens\n"

    async def work() -> None:
        with pytest.raises(CannotListen, match="another user"):
            await asyncio.wait_for(find_predecessor(str(folder / "takeover")), PATIENCE)

    run(work)


def test_a_socket_that_somebody_else_listens_on_is_named(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(folder / "takeover"))
        other.listen()
        command = (sys.executable, "-m", "slosh", "serve", "--port=0", f"--takeover={folder / 'takeover'}")
        with Running(command, folder) as server:
            accepted, _ = other.accept()
            accepted.close()
            server.hear("does not hand over")
            assert server.end() == 1
