"""TLS and the PROXY protocol on real sockets, on asyncio's loop and on uvloop."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvloop

from slosh.access.rights import NOTHING, Rights
from slosh.access.rules import AccessRules, ClientName
from slosh.http1.arrivals import BEGUN_AT_A_TIME
from slosh.server import Server
from slosh.settings import Settings
from tests.http1.certificates import Issuer
from tests.http1.test_proxy_protocol import FOUR, binary
from tests.web.harness import request

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Any], None]:
    """Run a coroutine on each loop, with a bound."""

    def work(coroutine: Any) -> None:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(asyncio.wait_for(coroutine, 60))

    return work


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


def with_tls(issuer: Issuer, **settings: Any) -> Settings:
    certificate, key = issuer.issue("slosh.example", "localhost")
    return Settings(port=0, tls_cert=str(certificate), tls_key=str(key), **settings)


async def turns_until(question: Callable[[], bool]) -> None:
    """Let turns of the loop go by, which is the server's too, until the answer is yes; `run` bounds that."""
    while not question():  # noqa: ASYNC110 - nothing tells of the last connection that has gone
        await asyncio.sleep(0)


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[tuple[Server, int]]:
    server = Server(replace(settings, drain=0.2))
    await server.start()
    try:
        yield server, int(server.addresses[0].rpartition(":")[2])
    finally:
        await server.stop()


def trusting(issuer: Issuer, *client: Path, alpn: tuple[str, ...] = ("h2", "http/1.1")) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(issuer.path))
    context.set_alpn_protocols(alpn)
    if client:
        context.load_cert_chain(*map(str, client))
    return context


class Talk:
    """A client's end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, data: bytes) -> tuple[int, bytes]:
        self.writer.write(data)
        return await self.answer()

    async def answer(self) -> tuple[int, bytes]:
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), b":0")
        return int(head.split(b" ")[1]), head + await self.reader.readexactly(int(length.split(b":")[1]))

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError, ssl.SSLError):
            await self.writer.wait_closed()


async def talk(port: int, context: ssl.SSLContext | None = None, before: bytes = b"") -> Talk:
    if not before:
        name = "localhost" if context else None
        return Talk(*await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(before)
    if context is not None:
        await writer.start_tls(context, server_hostname="localhost")
    return Talk(reader, writer)


def test_a_poll_a_post_and_a_stream_over_tls(run: Any, issuer: Issuer) -> None:
    async def work() -> None:
        async with serving(with_tls(issuer)) as (server, port):
            assert server.addresses == [f"https://127.0.0.1:{port}"]
            poll, post = await talk(port, trusting(issuer)), await talk(port, trusting(issuer))
            told = poll.writer.get_extra_info("ssl_object")
            assert told.selected_alpn_protocol() == "http/1.1"
            assert told.version() in ("TLSv1.2", "TLSv1.3")
            poll.writer.write(request("GET", "/topics/a"))
            stream = await talk(port, trusting(issuer))
            stream.writer.write(request("GET", "/topics/a?format=ndjson"))
            await stream.reader.readuntil(b"\r\n\r\n")
            status, answer = await post.ask(request("POST", "/topics/a", b'"x"'))
            while status == 404:
                status, answer = await post.ask(request("POST", "/topics/a", b'"x"'))
            assert status == 200
            status, answer = await poll.answer()
            assert b'"res":["x"]' in answer
            assert b"; Secure" in answer  # the cookie
            await stream.reader.readuntil(b'"res":["x"]')
            # What is large goes the same way: a stream writes past no layer.
            large = json.dumps("y" * 500_000).encode()
            assert (await post.ask(request("POST", "/topics/a", large)))[0] == 200
            await stream.reader.readuntil(b"y" * 1000)
            assert await stream.reader.readexactly(499_000) == b"y" * 499_000
            for each in (poll, post, stream):
                await each.close()

    run(work())


def test_a_slow_reader_over_tls_holds_no_more_than_its_layer_does_and_catches_up(run: Any, issuer: Issuer) -> None:
    async def work() -> None:
        async with serving(with_tls(issuer, queue=50, queue_bytes=8 * 2**20)) as (server, port):
            assert server.state is not None
            slow, post = await talk(port, trusting(issuer)), await talk(port, trusting(issuer))
            slow.writer.write(request("GET", "/topics/a?format=ndjson"))
            await slow.reader.readuntil(b"\r\n\r\n")
            wire: Any = slow.writer.transport
            wire.pause_reading()
            connections: Any = server.state.connections
            (stream,) = [each for each in connections if each.held_action is not None]
            for number in range(400):
                assert (await post.ask(request("POST", "/topics/a", b'"%d %b"' % (number, b"x" * 50_000))))[0] == 200
            assert stream.is_stalled
            wire.resume_reading()
            seen = b""
            while b'"399 x' not in seen[-200_000:]:
                seen += await slow.reader.read(1 << 20)
            assert b'"lost":' in seen
            assert len(seen) < 12_000_000
            for each in (slow, post):
                await each.close()

    run(work())


def test_plain_http_at_the_port_of_tls_is_told_so_in_plain_text(run: Any, issuer: Issuer) -> None:
    async def work() -> None:
        async with serving(with_tls(issuer)) as (server, port):
            client = await talk(port)
            status, answer = await client.ask(request("GET", "/topics/a"))
            assert status == 400
            assert b"Content-Type: text/plain" in answer
            assert b"https://" in answer
            assert await client.reader.read() == b""
            await client.close()
            again = await talk(port, trusting(issuer))
            assert (await again.ask(request("GET", "/-/healthy")))[0] == 200
            assert server.state is not None
            assert server.state.refused["bad_http"] == 1
            await again.close()

    run(work())


def test_a_renewed_certificate_is_used_and_no_poll_is_dropped(run: Any, issuer: Issuer, tmp_path: Path) -> None:
    async def work() -> None:
        settings = with_tls(issuer)
        async with serving(settings) as (server, port):
            before = await talk(port, trusting(issuer))
            before.writer.write(request("GET", "/topics/a"))
            (tmp_path / "new").mkdir()
            renewed = Issuer(tmp_path / "new")
            for old, new in zip(
                (settings.tls_cert, settings.tls_key), renewed.issue("slosh.example", "localhost"), strict=True
            ):
                Path(old).write_bytes(new.read_bytes())  # noqa: ASYNC240 - a small file
            server.reload(server.settings)
            with pytest.raises(ssl.SSLError):
                await talk(port, trusting(issuer))
            after = await talk(port, trusting(renewed))
            status = 0
            while status != 200:
                status, _ = await after.ask(request("POST", "/topics/a", b"1"))
            assert (await before.answer())[0] == 200
            Path(settings.tls_cert).write_text("broken")  # noqa: ASYNC240 - as above
            with pytest.raises(Exception, match="tls_cert"):
                server.reload(server.settings)
            again = await talk(port, trusting(renewed))
            for each in (before, after, again):
                await each.close()

    run(work())


def test_the_name_in_a_clients_certificate_gives_rights(run: Any, issuer: Issuer, tmp_path: Path) -> None:
    rules = AccessRules(NOTHING, clients=(ClientName("sensor.example", Rights(["a"], []), float("inf")),))

    async def work() -> None:
        (tmp_path / "other").mkdir()
        async with serving(with_tls(issuer, access=rules, tls_client_ca=str(issuer.path))) as (_, port):
            for client, status in (
                (issuer.issue("x", "sensor.example"), 200),
                (issuer.issue("sensor.example"), 200),
                (issuer.issue("y", "other.example"), 401),
                ((), 401),
            ):
                known = await talk(port, trusting(issuer, *client))
                assert (await known.ask(request("GET", "/topics/a?wait=0")))[0] == status
                await known.close()
            stranger = Issuer(tmp_path / "other").issue("sensor.example")
            with pytest.raises((ssl.SSLError, OSError, asyncio.IncompleteReadError)):
                await (await talk(port, trusting(issuer, *stranger))).ask(request("GET", "/topics/a?wait=0"))

    run(work())


PROXIED = {"port": 0, "proxy_protocol": "on", "max_connections_per_address": 2}


def test_the_address_in_a_proxy_header_is_the_clients(run: Any) -> None:
    async def work() -> None:
        async with serving(Settings(**PROXIED)) as (server, port):  # type: ignore[arg-type]  # they are checked there
            assert server.state is not None
            header = b"PROXY TCP4 198.51.100.1 192.0.2.9 1 2\r\n"
            one = await talk(port, before=header[:9])
            one.writer.write(header[9:] + request("GET", "/-/healthy"))
            assert (await one.answer())[0] == 200
            two = await talk(port, before=binary(1, 0x11, FOUR) + request("GET", "/-/healthy"))
            assert (await two.answer())[0] == 200
            assert dict(server.state.per_address) == {"198.51.100.1": 1, "192.0.2.1": 1}
            assert sorted(server.state.carried.values()) == ["192.0.2.1", "198.51.100.1"]
            more = [await talk(port, before=header) for _ in range(2)]
            assert (await more[1].answer())[0] == 503  # max_connections_per_address
            for each in (one, two, *more):
                await each.close()
            connections = server.state.connections
            await turns_until(lambda: not connections)
            assert not server.state.carried
            assert not server.state.per_address

    run(work())


def test_a_trusted_peer_sends_a_header_and_another_cannot(run: Any) -> None:
    async def work() -> None:
        async with serving(Settings(port=0, proxy_protocol="on")) as (_, port):
            without = await talk(port)
            status, answer = await without.ask(request("GET", "/-/healthy"))
            assert status == 400
            assert b"PROXY header" in answer
            await without.close()
        async with serving(Settings(port=0, proxy_protocol="on", trusted_proxies="10.0.0.0/8")) as (server, port):
            assert server.state is not None
            trusted = socket.inet_aton("10.0.0.1") + FOUR[4:]
            for header in (b"PROXY TCP4 10.0.0.1 192.0.2.9 1 2\r\n", binary(1, 0x11, trusted)):
                spoofed = await talk(port, before=header)
                assert (await spoofed.ask(request("GET", "/-/healthy")))[0] == 400
                assert not server.state.carried
                await spoofed.close()
            plain = await talk(port)
            assert (await plain.ask(request("GET", "/-/healthy")))[0] == 200
            await plain.close()

    run(work())


def test_tls_comes_behind_the_proxy_header(run: Any, issuer: Issuer) -> None:
    async def work() -> None:
        async with serving(with_tls(issuer, proxy_protocol="on")) as (server, port):
            assert server.state is not None
            client = await talk(port, trusting(issuer), before=b"PROXY TCP4 198.51.100.1 192.0.2.9 1 2\r\n")
            assert (await client.ask(request("GET", "/-/healthy")))[0] == 200
            assert list(server.state.carried.values()) == ["198.51.100.1"]
            await client.close()

    run(work())


def test_what_waits_for_its_first_byte_is_bounded_in_number_and_time(run: Any, issuer: Issuer) -> None:
    async def work() -> None:
        async with serving(with_tls(issuer, head_timeout=3.0)) as (server, port):
            assert server.state is not None
            assert server._arrivals is not None
            server._arrivals.most = 3
            silent = [await talk(port) for _ in range(5)]
            assert await silent[0].reader.read() == b""  # the oldest has gone
            good = await talk(port, trusting(issuer))
            assert (await good.ask(request("GET", "/-/healthy")))[0] == 200
            assert await silent[-1].reader.read() == b""  # and the others in their time
            assert server.state.closed["handshake"] == 5
            for each in (*silent, good):
                await each.close()

    run(work())


def test_what_waits_takes_no_descriptor_that_is_kept(run: Any, issuer: Issuer) -> None:
    async def work() -> None:
        async with serving(with_tls(issuer)) as (server, port):
            assert server.state is not None
            server.state.first_spare = 0
            first, second = await talk(port), await talk(port)
            assert await first.reader.read() == b""
            for each in (first, second):
                await each.close()

    run(work())


def test_a_client_that_breaks_off_anywhere_leaves_nothing(run: Any, issuer: Issuer) -> None:
    async def work() -> None:
        async with serving(with_tls(issuer, proxy_protocol="on", head_timeout=5)) as (server, port):
            for data in (b"", b"PROX", b"PROXY TCP4 198.51.100.1 192.0.2.9 1 2\r\n", b"PROXY UNKNOWN\r\n\x16\x03\x01"):
                for reset in (False, True):
                    with closing(socket.create_connection(("127.0.0.1", port))) as client:
                        client.sendall(data)
                        for _ in range(10):  # in which the server accepts it, and reads
                            await asyncio.sleep(0)
                        if reset:
                            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            kept = server._arrivals
            assert kept is not None
            await turns_until(lambda: not (kept.waiting or kept.tasks))
            assert server.state is not None
            assert not server.state.carried

    run(work())


def test_handshakes_that_come_together_begin_some_in_a_turn(run: Any, issuer: Issuer) -> None:
    """Three hundred of them made one turn of 160 ms."""
    begun = [0]

    async def work() -> None:
        async with serving(with_tls(issuer)) as (server, port):
            arrivals = server._arrivals
            assert arrivals is not None
            make = arrivals.make

            def counted() -> asyncio.Protocol:
                begun[-1] += 1
                return make()

            arrivals.make = counted
            clients = []
            for _ in range(40):
                client = socket.create_connection(("127.0.0.1", port))
                clients.append(client)
            for _ in range(100):  # All are accepted, and have said nothing.
                await asyncio.sleep(0)
            for client in clients:
                outgoing = ssl.MemoryBIO()
                with suppress(ssl.SSLWantReadError):
                    trusting(issuer).wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
                client.sendall(outgoing.read())
            while sum(begun) < len(clients):
                begun.append(0)
                await asyncio.sleep(0)
            assert max(begun) <= BEGUN_AT_A_TIME
            for client in clients:
                client.close()

    run(work())
