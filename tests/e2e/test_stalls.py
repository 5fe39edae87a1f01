"""A server that is not run for a while, as on a machine that sleeps: what clients sent meanwhile counts as in time."""

import json
import os
import signal
import socket
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.running import PATIENCE, SLOSH, Running, rest_of, without_uvloop

pytestmark = pytest.mark.long

LOOPS = {"uvloop": SLOSH, "asyncio": without_uvloop("slosh")}
TIMES = ("--body-timeout=3s", "--head-timeout=3s")
STALL = 4.0
"""Seconds: more than each of those, and than the `PATIENCE` of `http1/reserve.py`."""
BEGUN_WITHIN = 1.0
"""Seconds in which everything has to begin; else some time would be over before the stall."""


def body_of(answer: bytes) -> bytes:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), answer
    return body


@pytest.mark.parametrize("command", LOOPS.values(), ids=LOOPS)
def test_what_was_sent_while_the_server_was_not_run_is_in_time(command: tuple[str, ...], tmp_path: Path) -> None:
    """A head and a body whose second half comes in the stall."""
    options = ("serve", "--port=0", "--root=none", *TIMES)
    with Running((*command, *options), tmp_path) as server, ExitStack() as clients:
        port = int(server.hear(r"is ready on http://[^ ]*:(\d+)")[1])

        def connect(said: str) -> socket.socket:
            client = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
            clients.enter_context(closing(client))
            client.sendall(said.replace("\n", "\r\n").encode())
            return client

        def ask(target: str) -> bytes:
            return body_of(rest_of(connect(f"GET {target} HTTP/1.1\nHost: a\nConnection: close\n\n")))

        while True:
            begun = time.monotonic()
            ask("/topics/body?wait=0")
            head = connect("GET /topics/head?wait=0 HTTP/1.1\n")
            body = connect("POST /topics/body HTTP/1.1\nHost: a\nContent-Length: 2\nConnection: close\n\n1")
            ask("/-/healthy")  # What came before it was read.
            if time.monotonic() < begun + BEGUN_WITHIN:
                break
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            head.sendall(b"Host: a\r\nConnection: close\r\n\r\n")
            body.sendall(b"2")
            time.sleep(STALL)  # the stall itself
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        assert b'"next"' in body_of(rest_of(head))
        assert json.loads(body_of(rest_of(body)))["max"] == 1


# With a server for each: one that is not run a second time within `MOMENT` of `slosh/stalls.py` puts nothing off again.
@pytest.mark.parametrize("pause", [0.0, 0.002])
@pytest.mark.parametrize("command", LOOPS.values(), ids=LOOPS)
def test_a_full_server_that_was_not_run_answers_the_probe_that_had_come(
    command: tuple[str, ...], tmp_path: Path, pause: float
) -> None:
    options = ("serve", "--port=0", "--root=none", "--max-connections=2")
    with Running((*command, *options), tmp_path) as server, ExitStack() as clients:
        port = int(server.hear(r"is ready on http://[^ ]*:(\d+)")[1])

        def connect(target: str = "") -> socket.socket:
            client = clients.enter_context(closing(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)))
            if target:
                client.sendall(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            return client

        for _ in range(2):
            connect("/topics/a?wait=60")
        while True:
            begun = time.monotonic()
            probe = connect()
            body_of(connect("/-/healthy").recv(65536))  # The probe before it was accepted.
            time.sleep(pause)
            if time.monotonic() < begun + BEGUN_WITHIN:
                break
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            probe.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n")
            time.sleep(STALL)  # the stall itself
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        body_of(rest_of(probe))
