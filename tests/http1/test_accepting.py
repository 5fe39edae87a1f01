"""A new client does not wait behind those that opened a connection and have gone, nor behind long turns."""

import asyncio
import contextlib
import gc
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from slosh.http1 import accepting
from slosh.http1.accepting import MOST_ASIDE, ListeningSocket, find_ended
from slosh.server import Server
from slosh.settings import Settings
from slosh.startup import loop_factory
from tests.running import PATIENCE
from tests.web.harness import open_files

REQUEST = b"GET /-/healthy HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
LOOPS = {"uvloop": loop_factory(), "asyncio": None}


@contextlib.contextmanager
def clients() -> Iterator[Callable[[Server], socket.socket]]:
    """Makes connections that wait in the system's queue, and closes them at the end."""
    with contextlib.ExitStack() as stack:

        def connect(server: Server) -> socket.socket:
            port = int(server.addresses[0].rpartition(":")[2])
            return stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))

        yield connect


def serve(work: Callable[[Server], Awaitable[None]], loop: str) -> None:
    """Do `work` with a server on the loop of that name."""

    async def bounded() -> None:
        server = Server(Settings(port=0))
        await server.start()
        await asyncio.wait_for(work(server), PATIENCE)
        await server.stop()

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(bounded())


async def read(client: socket.socket) -> bytes:
    """The next bytes that come, while the server serves."""
    client.setblocking(False)
    return await asyncio.get_running_loop().sock_recv(client, 65536)


async def until(is_true: Callable[[], bool]) -> int:
    """Let the loop turn until something holds; how many turns that took."""
    turns = 0
    while not is_true():
        turns += 1
        await asyncio.sleep(0)
    return turns


@pytest.mark.parametrize("loop", LOOPS)
def test_many_are_accepted_in_a_turn(loop: str) -> None:
    """An event loop by itself accepts one or two in a turn, however long the turns are."""

    async def work(server: Server) -> None:
        assert server._state is not None
        with clients() as connect:
            waiting = [connect(server) for _ in range(200)]
            for client in waiting:
                client.send(REQUEST)
            edge = server._state
            assert await until(lambda: edge.requests == 200) < 100
            assert {(await read(client))[:12] for client in waiting} == {b"HTTP/1.1 200"}

    serve(work, loop)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("rudely", [False, True], ids=["close", "reset"])
def test_each_of_a_crowd_that_has_gone_has_its_descriptor_closed_once(loop: str, rudely: bool) -> None:
    """Also where no socket object has it; one that was closed twice would close another client's."""

    async def work(server: Server) -> None:
        assert server._state is not None
        gc.collect()  # What other tests left open, in cycles, is closed now and not while this one counts.
        state, before = server._state, open_files()
        for _ in range(3):
            with clients() as connect:
                waiting = [connect(server) for _ in range(100)]
                for client in waiting:
                    client.send(REQUEST)
                assert {(await read(client))[:12] for client in waiting} == {b"HTTP/1.1 200"}
                assert open_files() >= before + 200
                for client in waiting[:50]:
                    if rudely:
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    client.close()
                await until(lambda: len(state.connections) == 50)
                gc.collect()
                for client in waiting[50:]:
                    client.send(REQUEST)
                assert {(await read(client))[:12] for client in waiting[50:]} == {b"HTTP/1.1 200"}
            await until(lambda: not state.connections)
            await until(lambda: open_files() == before)

    serve(work, loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_what_the_loop_does_not_accept_itself_is_answered_one_turn_later(loop: str) -> None:
    """A turn takes long beside a crowd."""

    async def work(server: Server) -> None:
        assert server._state is not None
        with clients() as connect:
            edge = server._state

            async def answered(count: int) -> int:
                """How many turns go by until so many clients that have come are answered."""
                wanted = edge.requests + count
                for client in [connect(server) for _ in range(count)]:
                    client.send(REQUEST)
                return await until(lambda: edge.requests == wanted)

            alone = max([await answered(1) for _ in range(3)])
            assert min([await answered(8) for _ in range(3)]) <= alone + 1

    serve(work, loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_client_that_is_there_comes_before_those_that_have_gone(loop: str) -> None:
    async def work(server: Server) -> None:
        assert server._state is not None
        with clients() as connect:
            for _ in range(500):
                gone = connect(server)
                gone.send(REQUEST)
                gone.close()
            client = connect(server)
            client.send(REQUEST)
            assert (await read(client)).startswith(b"HTTP/1.1 200")
            edge = server._state
            assert edge.accepted < 250
            await until(lambda: edge.accepted == 501)

    serve(work, loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_client_that_half_closed_is_answered(loop: str) -> None:
    async def work(server: Server) -> None:
        with clients() as connect:
            waiting = [connect(server) for _ in range(50)]
            for client in waiting:
                client.send(REQUEST)
                client.shutdown(socket.SHUT_WR)
            assert {(await read(client))[:12] for client in waiting} == {b"HTTP/1.1 200"}

    serve(work, loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_those_that_have_gone_are_bounded(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not accepting.__file__.endswith(".py"):
        pytest.skip("the compiled build has its numbers built in")
    monkeypatch.setattr(accepting, "MOST_ASIDE", 20)
    assert MOST_ASIDE > 20

    async def work(server: Server) -> None:
        assert server._state is not None
        with clients() as connect:
            for _ in range(300):
                connect(server).close()
            connect(server)
            edge = server._state
            await until(lambda: edge.closed["left_early"] > 0)

    serve(work, loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_what_is_put_aside_is_closed_with_the_server(loop: str) -> None:
    async def work(server: Server) -> None:
        with clients() as connect:
            for _ in range(100):
                connect(server).close()
            connect(server)
            accepting = server._accepting
            assert accepting is not None
            waiting = accepting._aside
            await until(lambda: bool(waiting))
            aside = list(waiting)
            await server.stop()
            assert {each.fileno() for each in aside} == {-1}
            assert not accepting._beginning

    serve(work, loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_of_those_that_are_accepted_here_no_descriptor_is_asked_for(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look whether one is spare costs as much as the accepting, and the number was there already."""
    looks = 0
    fstat = os.fstat

    def look(number: int) -> os.stat_result:
        nonlocal looks
        looks += 1
        return fstat(number)

    async def work(server: Server) -> None:
        assert server._state is not None
        with clients() as connect:
            waiting = [connect(server) for _ in range(200)]
            with monkeypatch.context() as patch:
                patch.setattr("slosh.http1.state.os.fstat", look)
                for client in waiting:
                    client.send(REQUEST)
                edge = server._state
                await until(lambda: edge.requests == 200)
            # asyncio's own loop asks the factory for a connection as any loop does, and knows no number.
            assert (looks < 50) == (loop == "uvloop")

    serve(work, loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_connection_that_fails_as_it_begins_ends_no_other(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    """The others that came with it would never have gone on, and their clients would have been cut."""
    begun = []

    async def begin(waits_for: "asyncio.Future[object]") -> None:
        begun.append(await waits_for)

    async def work(server: Server) -> None:
        accepting = server._accepting
        assert accepting is not None
        for error in (RuntimeError("closed"), asyncio.CancelledError(), OSError(), None):
            waits_for = asyncio.get_running_loop().create_future()
            beginning = begin(waits_for)
            accepting._beginning.append((beginning.send(None), beginning))
            if error is None:
                waits_for.set_result(True)
            else:
                waits_for.set_exception(error)
        accepting._end_beginning()
        assert begun == [True]
        assert not accepting._beginning

    serve(work, loop)
    assert [record.message for record in caplog.records if record.exc_info and "begun" in record.message]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_connection_that_cannot_be_made_is_told_to_the_caller_who_closes_it(
    loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that went further would end those that were accepted with it."""

    def make() -> asyncio.Protocol:
        raise RuntimeError("there is none")

    async def work(server: Server) -> None:
        accepting = server._accepting
        assert accepting is not None
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            assert not accepting._begin(make, ours)
        assert not accepting._beginning

    serve(work, loop)
    assert [record.message for record in caplog.records if record.exc_info and "begun" in record.message]


def test_one_look_tells_which_of_the_clients_have_ended() -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        listener.setblocking(False)
        ends = [stack.enter_context(socket.create_connection(listener.getsockname(), PATIENCE)) for _ in range(4)]
        listening = ListeningSocket(listener)
        numbers = listening.accept(9, 1 << 30)
        accepted = [stack.enter_context(listening.make_socket(number)) for number in numbers]
        ends[1].shutdown(socket.SHUT_WR)
        ends[2].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        ends[2].close()
        ends[3].send(REQUEST)
        wanted = {numbers[1]: False, numbers[2]: True} if listening.tells_ended else {}
        assert (find_ended(numbers) if listening.tells_ended else {}) == wanted
        assert [each.getpeername() for each in accepted[:2]] == [each.getsockname() for each in ends[:2]]
        assert {os.get_inheritable(number) for number in numbers} == {False}


def test_no_more_are_accepted_than_one_with_a_spare_descriptor() -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        listener.setblocking(False)
        for _ in range(3):
            stack.enter_context(socket.create_connection(listener.getsockname(), PATIENCE))
        listening = ListeningSocket(listener)
        for _ in range(3):
            (number,) = listening.accept(9, 0)
            stack.enter_context(listening.make_socket(number))
        assert listening.accept(9, 0) == []


@pytest.mark.parametrize("loop", LOOPS)
def test_what_a_client_of_a_unix_socket_sent_before_it_closed_is_done(loop: str, tmp_path: Path) -> None:
    """The system does not tell such a one from one that was cut."""

    async def work() -> None:
        server = Server(Settings(uds=str(tmp_path / "socket")))
        await server.start()
        assert server._state is not None
        edge = server._state
        with contextlib.ExitStack() as stack:
            for _ in range(50):
                with socket.socket(socket.AF_UNIX) as gone:
                    gone.settimeout(PATIENCE)
                    gone.connect(str(tmp_path / "socket"))
                    gone.send(REQUEST)
            staying = stack.enter_context(socket.socket(socket.AF_UNIX))
            staying.settimeout(PATIENCE)
            staying.connect(str(tmp_path / "socket"))
            staying.send(REQUEST)
            assert (await read(staying)).startswith(b"HTTP/1.1 200")
            await until(lambda: edge.requests == 51)
        await server.stop()

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(asyncio.wait_for(work(), PATIENCE))
