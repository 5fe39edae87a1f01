"""A client that is refused in the midst of an upload gets its answer, and may not go on for ever (RFC 9112 §9.6)."""

import asyncio
import errno
import http.client
import socket
import time
from collections.abc import Iterator

import pytest
import uvloop

from slosh.http1.heads import Heads
from slosh.http1.lingering import MOST, PAUSE, Lingering
from slosh.http1.protocol import connect
from slosh.http1.state import ServerState
from slosh.settings import Settings
from slosh.testing.echo import Echo
from tests.web.conftest import MakeSite
from tests.web.harness import Client, Site, request

MIB = 1024 * 1024
LARGE = request("POST", "/topics/a", Content_Length=str(4 * MIB))
CHUNKED = request("POST", "/topics/a", Transfer_Encoding="chunked")

REFUSALS = {
    "413, of a declared length": (LARGE, 413),
    "413, asked before": (request("POST", "/topics/a", Content_Length=str(4 * MIB), Expect="100-continue"), 413),
    "413, of chunks": (CHUNKED + b"200000\r\n" + b" " * (2 * MIB), 413),
    "400": (b"POST /topics/a HTTP/1.1\r\nHost: a\r\nContent-Length: +4194304\r\n\r\n", 400),
    "400, of chunks": (CHUNKED + b"x\r\n", 400),
    "417": (request("POST", "/topics/a", Content_Length=str(4 * MIB), Expect="more"), 417),
    "431": (request("POST", "/topics/a", Content_Length=str(4 * MIB), X="x" * 20_000), 431),
    "501": (request("BREW", "/topics/a", Content_Length=str(4 * MIB)), 501),
}


def drip(site: Site, client: Client, mebibytes: int) -> None:
    """Send on, a mebibyte a second, whatever is answered."""
    for _ in range(4 * mebibytes):
        client.send(b" " * (MIB // 4))
        site.advance(0.25)


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_client_that_sends_on_gets_its_answer(site: Site, refusal: str) -> None:
    sent, status = REFUSALS[refusal]
    client = site.connect().send(sent)
    drip(site, client, 8)
    assert client.wire.is_open(), "a socket that is closed with bytes unread is reset, and the answer lost"
    answer = client.next()
    assert (answer.status, answer["Connection"]) == (status, "close")
    assert client.silent()
    client.half_close()
    assert not client.wire.is_open()
    assert not client.wire.was_cut()
    assert site.closed("lingering") == 0


def test_so_does_one_for_whom_there_is_no_room(make_site: MakeSite) -> None:
    site = make_site(max_connections=1)
    site.connect()
    client = site.connect().send(LARGE)
    drip(site, client, 8)
    assert client.wire.is_open()
    assert client.next().status == 503


def test_silence_ends_it(site: Site) -> None:
    client = site.connect().send(LARGE)
    drip(site, client, 1)
    site.advance(PAUSE - 0.5)
    assert client.wire.is_open()
    site.advance(0.5)
    assert client.wire.was_cut()
    assert site.closed("lingering") == 0, "the client was done"


def test_its_time_is_that_of_a_body_that_is_wanted(make_site: MakeSite) -> None:
    site = make_site(body_timeout=10)
    client = site.connect().send(LARGE)
    for _ in range(19):
        client.send(b" ")
        site.advance(0.5)
    assert client.wire.is_open()
    client.send(b" ")
    site.advance(0.6)
    assert client.wire.was_cut()
    assert site.closed("lingering") == 1


def test_its_bytes_are_bounded(site: Site) -> None:
    client = site.connect().send(LARGE)
    part = b" " * MIB
    for _ in range(MOST // MIB):
        client.send(part)
    assert client.wire.is_open()
    client.send(part)
    assert client.wire.was_cut()
    assert site.closed("lingering") == 1


def test_nothing_that_comes_behind_the_refusal_is_done(site: Site) -> None:
    site.connect().get("/topics/a")
    client = site.connect().send(LARGE)
    client.send(request("POST", "/topics/a", b"1") * 100)
    site.advance(1)
    assert client.next().status == 413
    assert client.silent()
    assert site.metrics()["slosh_published_messages_total"] == 0


def test_the_clock_and_the_count() -> None:
    lingering = Lingering(100.0, 130.0)
    assert lingering.ends_at == 100 + PAUSE
    assert not lingering.is_cut_off()
    assert lingering.discard(1000, 101.0)
    assert lingering.ends_at == 101 + PAUSE
    assert lingering.discard(MOST - 1000, 129.0)
    assert lingering.ends_at == 130.0
    assert lingering.is_cut_off()
    assert not lingering.discard(1, 129.0)
    assert lingering.ends_at == 129.0


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_python_s_own_client_is_told_413(new_loop: type) -> None:
    """It sends all of its body before it looks for an answer, and here more slowly than it is read."""

    def slowly() -> Iterator[bytes]:
        for _ in range(64):
            time.sleep(0.001)
            yield b" " * (MIB // 8)

    def post(port: int) -> int:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        client.request("POST", "/", slowly(), {"Content-Length": str(8 * MIB)})
        answer = client.getresponse()
        assert b"too_large" in answer.read()
        client.close()
        return answer.status

    async def serve(listener: socket.socket) -> int:
        loop = asyncio.get_running_loop()
        settings = Settings(max_message=MIB, max_body=MIB)
        state, heads = ServerState(settings, loop), Heads(Echo(settings), settings)
        server = await loop.create_server(lambda: connect(state, heads), sock=listener)
        status = await asyncio.to_thread(post, listener.getsockname()[1])
        server.close()
        return status

    with socket.create_server(("127.0.0.1", 0)) as listener, asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(serve(listener)) == 413


@pytest.mark.parametrize("closing", ["Connection: close\r\n", "Content-Length: x\r\n"])
def test_a_client_that_has_sent_a_reset_meanwhile_is_no_fault_of_ours(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, closing: str
) -> None:
    """The reset is not yet read, and asyncio's `write_eof` raises it; a second answer could not be written then."""
    client = site.connect()

    def shutdown() -> None:
        client.wire._eof_written = True
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    monkeypatch.setattr(client.wire, "write_eof", shutdown)
    client.send(f"GET /-/healthy HTTP/1.1\r\nHost: slosh.test\r\n{closing}\r\n".encode())
    site.advance(PAUSE + 1)
    assert not client.served()
    assert not [each for each in caplog.records if each.levelname == "ERROR"]
