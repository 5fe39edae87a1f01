"""The server as a process: lives that end, signals, crowds, memory, sockets, and nginx in front."""

import asyncio
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.ports import free_port
from tests.conftest import lacking, need
from tests.e2e.server import Answer, Crowd, CurlPoll, Serving, allow_files, curl, receive, until
from tests.running import PATIENCE, Running

Serve = Callable[..., Serving]
POLL = b"GET /topics/test HTTP/1.1\r\nHost: slosh.test\r\n\r\n"
MIB = 1024 * 1024


@pytest.fixture(name="serve")
def serve_fixture(tmp_path: Path) -> Iterator[Serve]:
    """Starts servers with options of one's own."""
    need("curl")
    with ExitStack() as stack:

        def serve(*options: str, port: int = 0) -> Serving:
            return stack.enter_context(Serving(tmp_path, *options, port=port))

        yield serve


# Lives.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "kill -9"])
def test_a_cursor_from_before_a_restart_gives_reset(serve: Serve, number: signal.Signals) -> None:
    """The messages are gone with the process, and the reader is told so."""
    before = serve(port=free_port())
    curl(f"{before.topic()}?wait=0")
    cursor = before.post(b'"before"').json["next"]
    before.tell(number)
    assert before.end() == (0 if number == signal.SIGTERM else -signal.SIGKILL)
    after = serve(port=before.port)
    poll = CurlPoll(f"{after.topic()}?since={cursor}")
    after.until_watched(1)
    after.post(b'"after"')
    answer = poll.answer()
    assert (answer["reset"], answer["res"], answer["saw"]) == (True, ["after"], 1)


def test_linger_ends_in_404_and_a_new_epoch(serve: Serve) -> None:
    server = serve("--linger=0.2")
    first = curl(f"{server.topic()}?wait=0").json["next"]
    until(lambda: server.post(b"1").status, lambda status: status == 404)
    again = curl(f"{server.topic()}?wait=0").json["next"]
    assert again.partition(".")[0] != first.partition(".")[0]


def test_a_reader_that_is_killed_stops_counting(serve: Serve) -> None:
    server = serve()
    polls = [CurlPoll(server.topic()) for _ in range(3)]
    server.until_watched(3)
    polls[0].kill()
    polls[0].communicate()
    server.until_watched(2)
    assert server.post(b"1").json["watchers"] == 2
    assert [poll.answer()["res"] for poll in polls[1:]] == [[1], [1]]


# Crowds.


@pytest.mark.parametrize(
    ("size", "rounds"), [(500, 5), pytest.param(2000, 10, marks=pytest.mark.long)], ids=["500", "2000"]
)
def test_readers_all_get_the_message_once_and_the_memory_comes_back(serve: Serve, size: int, rounds: int) -> None:
    """Rounds of readers, each of which comes, waits, is answered twice and goes.

    If each of 2,000 readers left as little as 256 bytes behind in the last eight of ten rounds, that were 4 MiB: so
    much more than after the second round is not allowed. (While they wait they take some 4 KiB each, 8 MiB together.)
    In three rounds of 500 it were 2.8 KiB each: less than a reader takes.
    """
    allow_files(size + 200)
    server = serve()
    settled = 0

    async def round_of_readers(number: int) -> None:
        async with Crowd(server.port, size) as crowd:
            for message in (b'"first of %d"' % number, b'"second of %d"' % number):
                crowd.send(POLL)
                await asyncio.to_thread(server.until_watched, size)
                answer = await asyncio.to_thread(server.post, message)
                assert answer.json["watchers"] == size
                answers = await crowd.receive()
                assert len({body for _, body in answers}) == 1
                assert b'"saw":1,"delivering":1,"res":[%b]' % message in answers[0][1]

    for number in range(rounds):
        asyncio.run(round_of_readers(number))
        server.until_alone()
        assert server.metric("slosh_watchers") == 0
        if number == 1:
            settled = server.memory
    grown = server.memory - settled
    assert grown < 4 * MIB, f"{grown / MIB:.1f} MiB more than after the second round"
    assert server.metric("slosh_delivered_messages_total") == 2 * size * rounds
    server.assert_healthy()


def test_a_storm_of_resets_while_being_written_to_leaves_the_server_healthy(serve: Serve) -> None:
    """1,000 clients wait, are sent 300 kB each, and vanish with a reset while it comes or before they read it."""
    size = 1000
    allow_files(size + 200)
    server = serve("--write-timeout=5")
    message = b'"%b"' % (b"x" * 300_000)

    async def storm(*, early: bool) -> None:
        async with Crowd(server.port, size) as crowd:
            crowd.send(POLL)
            await asyncio.to_thread(server.until_watched, size)
            posting = asyncio.ensure_future(asyncio.to_thread(server.post, message))
            if not early:
                await posting
            crowd.reset()
            assert (await posting).status == 200

    for early in (False, True):
        asyncio.run(storm(early=early))
        server.until_alone()
        assert server.metric("slosh_watchers") == 0
    server.assert_healthy()
    poll = CurlPoll(server.topic())
    server.until_watched(1)
    server.post(b"1")
    assert poll.answer()["res"] == [1]


# Signals.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_shutting_down_answers_held_polls_and_exits_0_within_drain(serve: Serve, number: signal.Signals) -> None:
    server = serve("--drain=60")
    size = 300

    async def drained() -> float:
        async with Crowd(server.port, size) as crowd:
            crowd.send(POLL)
            await asyncio.to_thread(server.until_watched, size)
            server.tell(number)
            told_at = time.monotonic()
            answers = await crowd.receive()
        assert all(b"\r\nConnection: close\r\n" in head for head, _ in answers)
        assert all(b'"timeout":true' in body for _, body in answers)
        return told_at

    told_at = asyncio.run(drained())
    assert server.end() == 0
    assert time.monotonic() - told_at < 60
    assert "Traceback" not in server.output


def test_nobody_is_accepted_any_more_while_it_shuts_down(serve: Serve) -> None:
    server = serve("--drain=60")

    async def hold() -> None:
        async with Crowd(server.port, 1) as crowd:
            # A body that never ends keeps the drain going.
            crowd.send(b"POST /topics/test HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1")
            await asyncio.to_thread(until, lambda: server.metric("slosh_connections"), lambda count: count == 2)
            server.tell(signal.SIGTERM)
            await asyncio.to_thread(server.hear, "stopping")
            await asyncio.to_thread(until, lambda: connects(server.port), lambda could: not could)
            crowd.send(b"2345678 ")
            _, body = (await crowd.receive())[0]
            assert b"no_watchers" in body

    asyncio.run(hold())
    assert server.end() == 0


def connects(port: int) -> bool:
    """Whether somebody listens."""
    command = [need("curl"), "-s", "-o", "/dev/null", "--max-time", "1", f"http://127.0.0.1:{port}/-/healthy"]
    return subprocess.run(command, check=False).returncode != 7  # 7: could not connect


# Other ways in.


def test_a_unix_socket(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "s"
    server = serve(f"--uds={path}")
    assert server.url == f"unix:{path}"
    through = ("--unix-socket", path)
    assert curl(*through, "http://x/topics/test?wait=0").json["max"] == 0
    assert curl(*through, "-d", "1", "http://x/topics/test").json["max"] == 1
    server.tell(signal.SIGKILL)
    server.end()
    again = serve(f"--uds={path}")  # in place of the socket that was left behind
    assert curl(*through, "http://x/-/healthy") == Answer(200, b"ok\n")
    again.tell(signal.SIGTERM)
    assert again.end() == 0
    assert not path.exists()


NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log stderr notice;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    upstream slosh {{ server 127.0.0.1:{port}; keepalive 8; }}
    server {{
        listen unix:{folder}/socket;
        location / {{
            proxy_pass http://slosh;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-Proto https;
            proxy_buffering off;
        }}
    }}
}}
"""


def test_nginx_in_front(serve: Serve, tmp_path: Path) -> None:
    """A long-poll, a POST, a large file and a client that leaves, over connections that nginx keeps."""
    nginx = need("nginx")
    (tmp_path / "root").mkdir()
    content = os.urandom(3 * MIB)
    (tmp_path / "root" / "file").write_bytes(content)
    server = serve(f"--root={tmp_path / 'root'}")
    (tmp_path / "nginx.conf").write_text(NGINX.format(folder=tmp_path, port=server.port))
    if len(str(tmp_path / "socket")) > 100:
        lacking(f"the path {tmp_path} is too long for a Unix socket")
    with Running((nginx, "-e", "stderr", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")), tmp_path):
        until((tmp_path / "socket").exists, bool)
        through = ("--unix-socket", tmp_path / "socket")
        assert curl("--retry", "20", "--retry-connrefused", *through, "http://x/file").body == content
        for number in range(5):
            poll = CurlPoll(*through, "http://x/topics/test?since=now")
            server.until_watched(1)
            assert curl(*through, "-d", str(number), "http://x/topics/test").json["watchers"] == 1
            assert poll.answer()["res"] == [number]
        gone = CurlPoll(*through, "http://x/topics/test")
        server.until_watched(1)
        gone.kill()
        gone.communicate()
        server.until_watched(0)  # nginx closes its side, and so we learn of it
        cookie = curl("-D", "-", *through, "http://x/topics/test?wait=0").body
        assert re.search(rb"\r\nSet-Cookie: [^\r]*; Secure\r\n", cookie)
        assert curl(*through, "-H", "Range: bytes=0-9", "http://x/file") == Answer(206, content[:10])
        # The requests went over connections that were kept, or the count were as high as that of the requests.
        through_nginx = server.metric("slosh_requests_total") - server.metric("slosh_connections_accepted_total")
        assert through_nginx >= 8
    server.assert_healthy()


def test_a_poll_through_plain_sockets_is_answered_in_order_with_what_is_behind_it(serve: Serve) -> None:
    """The sharpest rule of the HTTP server, once more on a real wire: nothing overtakes a held poll."""
    server = serve()

    async def pipelined() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(POLL + b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n" + POLL)
        await asyncio.to_thread(server.until_watched, 1)
        await asyncio.to_thread(server.post, b'"one"')
        head, body = await asyncio.wait_for(receive(reader), PATIENCE)
        assert b'"res":["one"]' in body
        head, body = await asyncio.wait_for(receive(reader), PATIENCE)
        assert head.startswith(b"HTTP/1.1 404 ")
        await asyncio.to_thread(server.until_watched, 1)
        await asyncio.to_thread(server.post, b'"two"')
        head, body = await asyncio.wait_for(receive(reader), PATIENCE)
        assert b'"res":["two"]' in body
        writer.close()

    asyncio.run(pipelined())
