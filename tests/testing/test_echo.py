"""The echo application, by which others test the HTTP server: it must give back what came, and nothing else."""

import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from websockets.sync.client import connect

from slosh.settings import Settings
from slosh.testing.echo import Echo
from tests.running import PATIENCE, Running
from tests.web.harness import Site, request


@pytest.fixture
def site() -> Iterator[Site]:
    """The echo application on the HTTP server, without sockets."""
    with closing(Site(application=Echo(Settings()))) as site:
        yield site


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("body", [b"", b"x", bytes(range(256))])
def test_any_method_gives_the_body_back(site: Site, method: str, body: bytes) -> None:
    answer = site.ask(method, "/any/path?at=all", body)
    assert (answer.status, answer.body) == (200, body)


def test_head_gives_the_length_alone(site: Site) -> None:
    answer = site.ask("HEAD", "/", b"12345")
    assert (answer.status, answer.body, answer["Content-Length"]) == (200, b"", "5")


def test_chunks_are_given_back_as_one_body(site: Site) -> None:
    client = site.connect().send(
        request("POST", "/", Transfer_Encoding="chunked") + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    assert client.next().body == b"abcde"


def test_echo_gives_the_header_lines_as_they_came(site: Site) -> None:
    lines = b"Host: a\r\nX-Odd:   spaced \r\nx-odd: again\r\nEmpty:\r\n"
    client = site.connect().send(b"GET /echo HTTP/1.1\r\n" + lines + b"\r\n")
    assert client.next().body == lines


def test_it_answers_pipelined_requests_in_order(site: Site) -> None:
    client = site.connect().send(b"".join(request("POST", "/", b"%d" % number) for number in range(100)))
    assert [client.next().body for _ in range(100)] == [b"%d" % number for number in range(100)]


def test_it_says_where_it_is_ready_and_ends_on_sigterm(tmp_path: Path) -> None:
    with Running((sys.executable, "-m", "slosh.testing.echo", "--port", "0"), tmp_path) as echo:
        port = int(echo.hear(r"^echo is ready on http://127\.0\.0\.1:([0-9]+)$")[1])
        with closing(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)) as client:
            client.sendall(request("POST", "/", b"hello", Connection="close"))
            answer = b"".join(iter(lambda: client.recv(65536), b""))
        assert answer.endswith(b"\r\n\r\nhello")
        echo.tell(signal.SIGTERM)
        assert echo.end() == 0
        assert "Traceback" not in echo.output


def test_a_websocket_says_everything_again(tmp_path: Path) -> None:
    with Running((sys.executable, "-m", "slosh.testing.echo", "--port", "0"), tmp_path) as echo:
        address = echo.hear(r"is ready on http://(\S+)")[1]
        with connect(f"ws://{address}/ws", max_size=None, open_timeout=PATIENCE) as client:
            for message in ("text", "", b"\x00\xff", "x" * 3_000_000):
                client.send(message)
                assert client.recv(PATIENCE) == message
            client.send(["in ", "frag", "ments"])
            assert client.recv(PATIENCE) == "in fragments"
