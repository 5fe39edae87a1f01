"""One server as one object: listen, serve, drain. On real sockets, in this process."""

import asyncio
import shutil
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.processes import run_group
from slosh.access.rights import Rights
from slosh.access.rules import AccessRules, ClientName
from slosh.descriptors import OWN_FILES, SPARE_FILES
from slosh.errors import CannotListen, SettingError
from slosh.server import Server
from slosh.settings import Settings
from slosh.startup import loop_factory
from tests.web.harness import open_files

PATIENCE = 30.0


def run(work: Callable[[], Awaitable[None]], *, plain: bool = False) -> None:
    """Run `work` on uvloop where it is to be had, or on asyncio's own loop."""

    async def bounded() -> None:
        await asyncio.wait_for(work(), PATIENCE)

    with asyncio.Runner(loop_factory=None if plain else loop_factory()) as runner:
        runner.run(bounded())


async def ask(server: Server, request: bytes) -> bytes:
    """All that is answered to a request that asks for the connection to be closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.addresses[0].rpartition(":")[2]))
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


def request(method: str, target: str, body: bytes = b"") -> bytes:
    head = f"{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize("plain", [False, True], ids=["uvloop", "asyncio"])
def test_it_starts_serves_and_stops(plain: bool) -> None:
    async def work() -> None:
        server = Server(Settings(port=0))
        await server.start()
        port = int(server.addresses[0].rpartition(":")[2])
        poll = asyncio.ensure_future(ask(server, request("GET", "/topics/a")))
        while b'"watchers":1' not in await ask(server, request("POST", "/topics/a", b"1")):
            pass
        assert b'"res":[1]' in await poll
        held = asyncio.ensure_future(ask(server, request("GET", "/topics/a?since=now")))
        while b"slosh_watchers 1.0" not in await ask(server, request("GET", "/-/metrics")):
            pass
        closed = asyncio.ensure_future(server.wait_closed())
        await asyncio.sleep(0)
        assert not closed.done()
        await server.stop()
        await closed
        assert b'"timeout":true' in await held
        assert server.addresses == []
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", port)

    run(work, plain=plain)


def test_stop_may_be_called_twice_and_before_start() -> None:
    async def work() -> None:
        server = Server(Settings(port=0))
        await server.start()
        await asyncio.gather(server.stop(), server.stop())
        await server.stop()
        await server.wait_closed()
        never = Server(Settings(port=0))
        never.bind()
        await never.stop()

    run(work)


def test_a_cancelled_stop_goes_on_and_can_be_waited_for_again() -> None:
    async def work() -> None:
        server = Server(Settings(port=0))
        await server.start()
        stopping = asyncio.ensure_future(server.stop())
        await asyncio.sleep(0)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        await server.stop()
        await server.wait_closed()

    run(work)


def test_from_the_moment_when_another_has_the_sockets_each_answer_is_the_last_on_its_connection() -> None:
    """Also where a request comes before the process has got as far as to stop: its client belongs to the other one."""

    async def work() -> None:
        server = Server(Settings(port=0))
        await server.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", int(server.addresses[0].rpartition(":")[2]))
        asked = request("GET", "/topics/a?wait=0").replace(b"Connection: close\r\n", b"")
        writer.write(asked)
        assert b"Connection: close" not in await reader.readuntil(b"\r\n\r\n")
        server.give_up_sockets()
        writer.write(asked)
        assert b"Connection: close\r\n" in await reader.read()
        writer.close()
        await server.stop()

    run(work)


def test_it_binds_before_it_starts() -> None:
    """So that a port below 1024 can be had before rights are given up; the system queues who comes meanwhile."""
    server = Server(Settings(port=0))
    assert server.addresses == []
    server.bind()
    (address,) = server.addresses
    assert address.startswith("http://127.0.0.1:")

    async def work() -> None:
        early = asyncio.ensure_future(ask(server, request("GET", "/-/healthy")))
        await asyncio.sleep(0)
        await server.start()
        assert server.addresses == [address]
        assert (await early).endswith(b"ok\n")
        await server.stop()

    run(work)


def test_two_servers_in_one_process_know_nothing_of_each_other() -> None:
    async def work() -> None:
        servers = [Server(Settings(port=0)) for _ in range(2)]
        for server in servers:
            await server.start()
        await ask(servers[0], request("GET", "/topics/a?wait=0"))
        assert b'"max":1' in await ask(servers[0], request("POST", "/topics/a", b"1"))
        assert b"no_watchers" in await ask(servers[1], request("POST", "/topics/a", b"1"))
        for server in servers:
            await server.stop()

    run(work)


def test_it_installs_no_signal_handlers() -> None:
    """The program that runs it does: twistd and the command line each have their own way."""

    async def work() -> None:
        before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
        server = Server(Settings(port=0))
        await server.start()
        assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
        await server.stop()

    run(work, plain=True)


def test_a_port_that_is_taken_is_said_in_a_sentence() -> None:
    first = Server(Settings(port=0))
    first.bind()
    port = int(first.addresses[0].rpartition(":")[2])
    with pytest.raises(CannotListen, match=rf"127\.0\.0\.1:{port} cannot be listened on"):
        Server(Settings(port=port)).bind()

    async def work() -> None:
        with pytest.raises(CannotListen):
            await Server(Settings(port=port)).start()
        await first.stop()
        again = Server(Settings(port=port))
        await again.start()  # as soon as it is free
        await again.stop()

    run(work)


def test_a_document_root_that_is_no_folder_is_a_setting_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for wrong in (tmp_path / "nothing", tmp_path / "file"):
        with pytest.raises(SettingError, match="is not a folder"):
            Server(Settings(root=str(wrong)))


def test_a_root_that_goes_away_is_404_and_harms_nobody(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").write_text("a")

    async def work() -> None:
        server = Server(Settings(port=0, root=str(root)))
        await server.start()
        assert (await ask(server, request("GET", "/a"))).endswith(b"\r\n\r\na")
        shutil.rmtree(root)
        assert b"not_found" in await ask(server, request("GET", "/a"))
        assert (await ask(server, request("GET", "/-/healthy"))).endswith(b"ok\n")
        await server.stop()

    run(work)


def test_without_the_extra_package_a_store_is_refused_with_what_to_install() -> None:
    """In a process of its own: what is compiled is not imported again, whatever becomes of `sys.modules`."""
    without = "import sys; sys.modules['redis'] = None; from slosh.cli import main; main()"
    serve = [sys.executable, "-c", without, "serve", "--port", "0", "--engine", "redis://127.0.0.1:1/0"]
    ended = run_group(serve)
    assert ended.returncode == 2
    assert "pip install 'slosh-server[redis]'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_it_takes_no_more_connections_than_it_may_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client without a file would hang in the system's queue; with a 503 it knows."""
    monkeypatch.setattr("slosh.server.open_files", lambda: OWN_FILES + 2)

    async def work() -> None:
        server = Server(Settings(port=0, max_connections=1000))
        await server.start()
        port = int(server.addresses[0].rpartition(":")[2])
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for reader, writer in held:
            writer.write(b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b" 200 " in await reader.readline()
        assert b'"too_many_connections"' in await ask(server, b"")
        for _, writer in held:
            writer.close()
        await server.stop()

    run(work)


@pytest.mark.parametrize("plain", [False, True], ids=["uvloop", "asyncio"])
def test_a_crowd_takes_no_more_descriptors_than_are_spare(plain: bool) -> None:
    """Each that is accepted has a descriptor before the server can refuse it. asyncio would accept all at once."""

    async def work() -> None:
        server = Server(Settings(port=0))
        await server.start()
        port = int(server.addresses[0].rpartition(":")[2])
        with ExitStack() as stack:  # Nothing is awaited here, so that all of them wait in the queue.
            for _ in range(300):
                stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
            assert server._state is not None
            with socket.socket() as probe:
                server._state.first_spare = probe.fileno() + 100
            before = open_files()
            while server._state.accepted < 300:
                await asyncio.sleep(0)
                assert open_files() - before < 100 + SPARE_FILES
        await server.stop()

    run(work, plain=plain)


def test_rules_and_tls_are_changed_by_a_reload_and_neither_begun_nor_ended() -> None:
    async def work() -> None:
        ruled = Server(Settings(port=0, access=AccessRules()))
        await ruled.start()
        assert ruled.reload(Settings(port=0)).waiting == ["access"]
        assert ruled.settings.access is not None
        other = AccessRules(public=Rights(["a"]))
        assert ruled.reload(Settings(port=0, access=other)).taken == ["the [access] rules"]
        assert ruled.settings.access is other
        assert ruled.reload(Settings(port=0, access=AccessRules(public=Rights(["a"])))).taken == []
        await ruled.stop()
        plain = Server(Settings(port=0))
        await plain.start()
        told = plain.reload(Settings(port=0, tls_cert="/absent.pem", tls_key="/absent.key", access=other))
        assert told.waiting == ["access", "tls_cert"]
        assert (plain.settings.tls_cert, plain.settings.tls_key, plain.settings.access) == ("", "", None)
        await plain.stop()

    run(work)


def test_names_in_certificates_need_those_who_issue_them() -> None:
    rules = AccessRules(clients=(ClientName("sensor", Rights([], ["a"]), 0.0),))
    with pytest.raises(SettingError, match="tls_client_ca is not set"):
        Server(Settings(access=rules))
