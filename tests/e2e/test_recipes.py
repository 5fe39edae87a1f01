"""What the recipes for nginx and HAProxy in docs/operations.md promise, with the real proxies."""

import contextlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest

from tests.e2e.recipes import NAMES, Recipe
from tests.e2e.server import Serving, until
from tests.running import PATIENCE
from tests.web.frames import HANDSHAKE, TEXT, frame
from tests.web.harness import request

MIB = 1024 * 1024
Start = Callable[..., tuple[Recipe, Serving]]


@pytest.fixture(params=NAMES)
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Start]:
    """Start slosh with these options, and one of the proxies before it."""
    with contextlib.ExitStack() as stack:

        def begin(*options: str, changes: tuple[tuple[str, str], ...] = ()) -> tuple[Recipe, Serving]:
            slosh = stack.enter_context(Serving(tmp_path, *options))
            mine = tuple(each for each in changes if each[0].startswith(request.param))
            chosen = tuple((there.partition(": ")[2], here) for there, here in mine)
            front = stack.enter_context(Recipe(request.param, tmp_path, slosh.port, *chosen))
            await_slosh(front)
            return front, slosh

        yield begin


class Talk:
    """A client's connection, from an address of this machine. Use as a context manager."""

    def __init__(self, port: int, sent: bytes, source: str = "127.0.0.1") -> None:
        self.plug = socket.create_connection(("127.0.0.1", port), PATIENCE, (source, 0))
        self.data = b""
        self.plug.sendall(sent)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.plug.close()

    def hear(self, pattern: bytes) -> re.Match[bytes]:
        """Wait until this has come; what came before it counts no more."""
        while (found := re.search(pattern, self.data, flags=re.DOTALL)) is None:
            more = self.plug.recv(65536)
            assert more, self.data
            self.data += more
        self.data = self.data[found.end() :]
        return found

    def answer(self) -> tuple[int, bytes]:
        """The status and the body of an answer that tells its length."""
        head = self.hear(rb"HTTP/1\.1 ([0-9]{3}).*?\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: ([0-9]+)\r\n", head[0].lower())
        return int(head[1]), self.hear(rb"\A.{%d}" % int(length[1]))[0] if length else b""


def ask(
    port: int, method: str, target: str, body: bytes = b"", source: str = "127.0.0.1", **fields: str
) -> tuple[int, bytes]:
    with Talk(port, request(method, target, body, Host=f"127.0.0.1:{port}", **fields), source) as talk:
        return talk.answer()


def await_slosh(front: Recipe) -> None:
    """Wait until the proxy has found out that slosh is there."""

    def status() -> int:
        with contextlib.suppress(ConnectionError):  # a proxy that begins or ends may cut
            return ask(front.port, "GET", "/-/healthy")[0]
        return 0

    until(status, lambda told: told == 200)


def post(port: int, body: bytes, topic: str = "test", **fields: str) -> tuple[int, bytes]:
    return ask(port, "POST", f"/topics/{topic}", body, **fields)


def reached(port: int, body: bytes) -> bool:
    """Whether a message was taken, and not lost with a connection."""
    with contextlib.suppress(ConnectionError):
        return post(port, body)[0] == 200
    return False


def kept(slosh: Serving, topic: str = "test") -> list[object]:
    """What the topic has in it."""
    found: list[object] = json.loads(ask(slosh.port, "GET", f"/topics/{topic}?since=earliest&wait=0")[1])["res"]
    return found


@pytest.mark.parametrize("format", ["sse", "ndjson"])
def test_a_stream_is_not_held_back(start: Start, format: str) -> None:  # noqa: A002 - the parameter's name
    front, slosh = start()
    with Talk(front.port, request("GET", f"/topics/test?format={format}")) as reader:
        slosh.until_watched(1)
        for number in range(5):
            assert post(front.port, b'"m%d"' % number)[0] == 200
            reader.hear(rb'"m%d"' % number)


def test_a_websocket_passes_both_ways(start: Start) -> None:
    front, slosh = start()
    with Talk(front.port, request("GET", "/topics/test", **HANDSHAKE)) as reader:
        reader.hear(rb"101 Switching Protocols.*?\r\n\r\n")
        slosh.until_watched(1)
        reader.plug.sendall(frame(TEXT, b'"both"'))
        reader.hear(rb'"both"')


def test_a_held_poll_ends_before_the_proxy_gives_up(start: Start) -> None:
    """Everything five times as quick as in the page: `--max-wait 50s` within 60 s."""
    changes = (
        ("nginx: proxy_read_timeout 60s", "proxy_read_timeout 12s"),
        ("haproxy: timeout server 60s", "timeout server 12s"),
    )
    front, _ = start("--max-wait=10s", changes=changes)
    status, body = ask(front.port, "GET", "/topics/test")
    assert (status, json.loads(body)["timeout"]) == (200, True)


@pytest.mark.parametrize("target", ["/topics/test", "/topics/test?format=sse"])
def test_a_client_that_leaves_is_no_watcher(start: Start, target: str) -> None:
    front, slosh = start()
    with Talk(front.port, request("GET", target)):
        slosh.until_watched(1)
    slosh.until_watched(0)


def test_a_client_that_leaves_behind_haproxy_without_the_option_stays_a_watcher(tmp_path: Path) -> None:
    """So the option is what does it. `wait` bounds how long."""
    with (
        Serving(tmp_path, "--max-wait=15s") as slosh,
        Recipe("haproxy", tmp_path, slosh.port, ("option abortonclose ", "no option abortonclose ")) as front,
    ):
        await_slosh(front)
        with Talk(front.port, request("GET", "/topics/test")):
            slosh.until_watched(1)
        for _ in range(20):
            ask(front.port, "GET", "/-/healthy")
        assert slosh.metric("slosh_watchers") == 1
        slosh.until_watched(0)


def test_the_clients_address_is_its_own_whatever_it_says(start: Start) -> None:
    front, slosh = start("--access-log=1", "--trusted-proxies=127.0.0.1")
    fields = {"X_Forwarded_For": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
    assert ask(front.port, "GET", "/topics/mine?wait=0", b"", "127.0.0.7", **fields)[0] == 200
    slosh.hear(r"GET /topics/mine from 127\.0\.0\.7: 200")


def test_a_page_of_the_host_may_post_and_another_may_not(start: Start) -> None:
    front, _ = start("--unwatched=keep")
    assert post(front.port, b"1", Origin=f"http://127.0.0.1:{front.port}")[0] == 200
    assert post(front.port, b"1", Origin="http://elsewhere.example")[0] == 403


def test_a_body_of_8_mib_passes_and_a_larger_one_is_413(start: Start) -> None:
    front, _ = start("--unwatched=keep", "--max-batch=1000000")
    lines = (b'"' + b"x" * 1021 + b'"\n') * (8 * 1024)
    assert len(lines) == 8 * MIB
    assert ask(front.port, "POST", "/topics/test?batch=ndjson", lines)[0] == 200
    with contextlib.suppress(ConnectionError):  # It is refused while it is sent.
        assert ask(front.port, "POST", "/topics/test?batch=ndjson", lines + b"1\n")[0] == 413


def test_metrics_are_not_for_the_world(start: Start) -> None:
    front, slosh = start()
    assert ask(front.port, "GET", "/-/metrics")[0] == 404
    assert ask(slosh.port, "GET", "/-/metrics")[0] == 200


def test_connections_to_slosh_are_kept(start: Start) -> None:
    front, slosh = start("--unwatched=keep")
    before = slosh.metric("slosh_connections_accepted_total")
    with Talk(front.port, b"") as client:
        for _ in range(50):
            client.plug.sendall(request("POST", "/topics/test", b"1"))
            assert client.answer()[0] == 200
    assert slosh.metric("slosh_connections_accepted_total") - before < 25


def test_held_polls_and_streams_outlive_a_reload_of_the_proxy(start: Start) -> None:
    front, slosh = start()
    with (
        Talk(front.port, request("GET", "/topics/test")) as poll,
        Talk(front.port, request("GET", "/topics/test?format=sse")) as stream,
    ):
        slosh.until_watched(2)
        front.reload()
        await_slosh(front)
        # The one that ends resets connections that it has not accepted yet.
        until(lambda: reached(front.port, b'"behind"'), bool)
        assert b'"behind"' in poll.answer()[1]
        stream.hear(rb'"behind"')


def test_an_event_source_is_answered_200_while_slosh_is_not_there(start: Start) -> None:
    front, slosh = start()
    slosh.process.end()
    events = request("GET", "/topics/test", Accept="text/event-stream")
    with Talk(front.port, events) as reader:
        # HAProxy may cut, without a word, what it has on the way when it marks the server as down: a browser asks again
        # then, as after any failure of the network. A status but 200 would end its stream for ever.
        reader.data = reader.plug.recv(1)
        if reader.data or front.name != "haproxy":
            hear_events(reader)
    if front.name == "haproxy":
        front.hear("is DOWN")
    with Talk(front.port, events) as reader:
        hear_events(reader)
    assert ask(front.port, "GET", "/topics/test")[0] in (502, 503)
    # Programs that take either kind of answer say so with each request, and 200 would mean that it was done.
    for method in ("POST", "DELETE"):
        status, _ = ask(front.port, method, "/topics/test", Accept="application/json, text/event-stream")
        assert status in (502, 503)


def hear_events(reader: Talk) -> None:
    """The head of an event stream."""
    head = reader.hear(rb"HTTP/1\.1 200 .*?\r\n\r\n")[0].lower()
    assert b"content-type: text/event-stream; charset=utf-8\r\n" in head
    assert re.search(rb"\r\ncache-control: no-(store|cache)", head)


class Mute:
    """Stands before slosh, and swallows the first answer to a POST: the message is stored, and nobody is told."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.posts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(("127.0.0.1", self._target)) as server:
            while asked := client.recv(65536):
                server.sendall(asked)
                answer = server.recv(65536)
                is_post = asked.startswith(b"POST ")
                self.posts += is_post
                if is_post and self.posts == 1:
                    return
                client.sendall(answer)


@pytest.mark.parametrize("name", NAMES)
def test_a_post_whose_answer_is_lost_is_never_stored_twice(tmp_path: Path, name: str) -> None:
    """With a key HAProxy may send it again by itself; without one the client is told that nobody knows."""
    with Serving(tmp_path, "--unwatched=keep") as slosh:
        for topic, fields in (("keyed", {"Idempotency_Key": "k1"}), ("plain", {})):
            with Mute(slosh.port) as mute, Recipe(name, tmp_path, mute.port) as front:
                await_slosh(front)
                status, body = post(front.port, b'"once"', topic, **fields)
                if fields and name == "haproxy":
                    assert (status, json.loads(body)["max"], mute.posts) == (200, 1, 2)
                else:
                    assert (status, mute.posts) == (502, 1)
                    if fields:  # The client sends it again.
                        assert post(front.port, b'"once"', topic, **fields)[0] == 200
            assert kept(slosh, topic) == ["once"]


def test_haproxy_gives_the_requests_of_a_node_that_shuts_down_to_the_other(tmp_path: Path) -> None:
    second = "check inter 1s\n    server two 127.0.0.1:{} check inter 1s"
    with (
        Serving(tmp_path, "--unwatched=keep") as one,
        Serving(tmp_path, "--unwatched=keep") as two,
        Recipe("haproxy", tmp_path, one.port, ("check inter 1s", second.format(two.port))) as front,
    ):
        await_slosh(front)
        statuses = [ask(front.port, "GET", "/topics/test?wait=0")[0] for _ in range(20)]
        one.process.terminate()
        statuses += [ask(front.port, "GET", "/topics/test?wait=0")[0] for _ in range(100)]
        front.hear("one is DOWN")
        statuses += [ask(front.port, "GET", "/topics/test?wait=0")[0] for _ in range(20)]
        assert statuses == [200] * 140


def test_haproxy_says_the_address_by_the_proxy_protocol(tmp_path: Path) -> None:
    changes = (
        ("mode http", "mode tcp"),
        ("check inter 1s", "send-proxy-v2 check check-send-proxy inter 1s"),
        ("option forwardfor", "# no field is written"),
        *((line, "#") for line in ("http-request set-header", "http-request deny", "http-request set-var")),
        *((line, "#") for line in ("http-after-response set-header", "http-after-response set-status")),
        ("http-request disable-l7-retry", "#"),
        ("retry-on conn-failure empty-response response-timeout", "retry-on conn-failure"),
    )
    with (
        Serving(
            tmp_path, "--access-log=1", "--trusted-proxies=127.0.0.1", "--proxy-protocol=on", "--host=127.0.0.1"
        ) as slosh,
        Recipe("haproxy", tmp_path, slosh.port, *changes) as front,
    ):
        until(lambda: ask(front.port, "GET", "/-/healthy", b"", "127.0.0.7")[0], lambda status: status == 200)
        slosh.hear(r"GET /-/healthy from 127\.0\.0\.7: 200")
