"""slosh inside other programs: the same answers as by itself, under each ASGI server."""

import asyncio
import json
import signal
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from benchmarks.ports import free_port
from slosh.asgi import Slosh
from slosh.asgi.messages import Answer
from slosh.asgi.transport import Transport
from slosh.asgi.websocket import find_frame
from slosh.client import Client
from slosh.settings import Settings
from slosh.testing.server import TestingServer
from tests.conftest import need
from tests.e2e.server import until
from tests.running import PATIENCE, Running, clean_environment

TOP = Path(__file__).parents[2]
SERVERS = {
    "uvicorn": ("uvicorn", "tests.asgi.programs:app", "--port", "{port}", "--no-access-log"),
    "hypercorn": ("hypercorn", "tests.asgi.programs:app", "--bind", "127.0.0.1:{port}"),
    "granian": ("granian", "tests.asgi.programs:app", "--interface", "asgi", "--port", "{port}"),
}
READY = r"Uvicorn running on|Running on http|Listening at"


@pytest.fixture(scope="module", params=SERVERS)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a program under each server."""
    need(f"module:{request.param}")
    need("module:fastapi")
    port = free_port()
    words = [each.format(port=port) for each in SERVERS[request.param]]
    environment = clean_environment(PYTHONPATH=str(TOP))
    with Running((sys.executable, "-m", *words), tmp_path_factory.mktemp("program"), environment) as running:
        running.hear(READY)
        url = f"http://127.0.0.1:{port}"
        until(lambda: answers(f"{url}/live/-/healthy"), bool)  # granian says so before its worker serves
        yield url
        running.tell(signal.SIGINT)  # By SIGTERM uvicorn kills itself at its end.
        running.end()


def answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=PATIENCE).status_code == 200
    except httpx2.TransportError:
        return False


@pytest.fixture
def client(program: str) -> Iterator[Client]:
    with Client(f"{program}/live") as client:
        yield client


def test_a_poll_waits_for_what_the_program_publishes(program: str, client: Client) -> None:
    assert httpx2.post(f"{program}/measure/poll", timeout=PATIENCE).json() == {"taken": False, "max": 0}
    place = client.connect().get(f"{program}/live/topics/poll?wait=0").json()["next"]
    got: list[object] = []
    poll = threading.Thread(
        target=lambda: got.append(
            httpx2.get(f"{program}/live/topics/poll?since={place}", timeout=PATIENCE).json()["res"]
        )
    )
    poll.start()
    assert client.watchers("poll", wait=PATIENCE) == 1
    assert httpx2.post(f"{program}/measure/poll", timeout=PATIENCE).json() == {"taken": True, "max": 1}
    poll.join(PATIENCE)
    assert got == [[{"t": 21.5}]]


def test_streams_arrive_at_once_and_a_client_that_leaves_is_no_watcher(program: str, client: Client) -> None:
    with client.watch("stream", deadline=PATIENCE) as watch:
        reading = threading.Thread(
            target=lambda: client.watchers("stream", wait=PATIENCE) and client.publish("stream", 1)
        )
        reading.start()
        assert next(watch).message == 1
        reading.join()
    with httpx2.stream(
        "GET", f"{program}/live/topics/lines", headers={"Accept": "text/event-stream"}, timeout=PATIENCE
    ) as lines:
        assert lines.headers["content-type"] == "text/event-stream; charset=utf-8"
        next(lines.iter_bytes())
    for topic in ("lines", "stream"):
        until(partial(client.watchers, topic), lambda count: count == 0)  # a client that has gone is no watcher


def test_bodies_of_every_kind_arrive(client: Client) -> None:
    client.connect().get(f"{client.url}/topics/bodies?wait=0")
    large = json.dumps("x" * 100_000).encode()
    for sent in ({"content": large}, {"content": iter([large[:100], large[100:]])}):
        answer = client.connect().post(f"{client.url}/topics/bodies", **sent)
        assert answer.status_code == 200, answer.text
    kept = client.connect().get(f"{client.url}/topics/bodies?since=earliest&wait=0").json()
    assert [len(each) for each in kept["res"]] == [100_000, 100_000]
    refused = client.connect().post(f"{client.url}/topics/bodies", content=b"{")
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_json")


def test_cookies_and_links_have_the_prefix_and_a_head_has_no_body(client: Client) -> None:
    answer = client.connect().get(f"{client.url}/topics/cookie?wait=0")
    assert "Path=/live/topics" in answer.headers["set-cookie"]
    assert len(answer.headers.get_list("date")) == 1
    head = client.connect().head(f"{client.url}/topics/cookie?wait=0")
    assert (head.status_code, head.content) == (200, b"")
    page = client.connect().get(f"{client.url}/view/cookie", headers={"Accept": "text/html"})
    assert (page.status_code, b"<html" in page.content) == (200, True)


def test_a_websocket_reads_and_posts(program: str) -> None:
    address = f"{program}/live/topics/socket".replace("http", "ws")
    with connect(address, subprotocols=[Subprotocol("slosh")], open_timeout=PATIENCE) as socket:
        socket.send('{"t":1}')
        assert json.loads(socket.recv(PATIENCE))["res"] == [{"t": 1}]
        socket.send("{")
        assert "bad_json" in str(socket.recv(PATIENCE))


def test_the_programs_login_decides(program: str) -> None:
    ann = {"X-User": "ann"}
    mine = f"{program}/mine/topics"
    with httpx2.Client(timeout=PATIENCE) as http:
        assert http.get(f"{mine}/users/ann/inbox?wait=0").status_code == 401
        assert http.get(f"{mine}/users/bob/inbox?wait=0", headers=ann).status_code == 403
        assert http.get(f"{mine}/users/ann/inbox?wait=0", headers=ann).status_code == 200
        assert http.post(f"{mine}/users/ann/inbox", headers=ann, content=b"1").status_code == 200
        forged = ann | {"Authorization": "Bearer something", "X-Forwarded-For": "10.9.9.9"}
        assert http.get(f"{mine}/users/bob/inbox?wait=0", headers=forged).status_code == 403
    address = f"{mine}/users/bob/inbox".replace("http", "ws")
    with pytest.raises((InvalidStatus, ConnectionClosed)):
        connect(address, additional_headers=ann, open_timeout=PATIENCE).recv(PATIENCE)


def test_by_itself_it_answers_as_a_server_does(tmp_path: Path) -> None:
    """Each answer, but for what changes with each: date, epoch and cookie."""
    need("module:uvicorn")
    port = free_port()
    words = (sys.executable, "-m", "uvicorn", "tests.asgi.programs:alone", "--port", str(port), "--no-date-header")
    environment = clean_environment(PYTHONPATH=str(TOP))
    with Running(words, tmp_path, environment) as running, TestingServer(linger=60.0) as slosh:
        running.hear(READY)
        for method, path, body in (
            ("GET", "/topics/a?wait=0", b""),
            ("POST", "/topics/a", b"[1]"),
            ("POST", "/topics/none", b"1"),
            ("GET", "/topics/a?since=-1&wait=0&times", b""),
            ("GET", "/topics/%ff", b""),
            ("DELETE", "/topics", b""),
            ("OPTIONS", "/topics/a", b""),
            ("GET", "/-/healthy", b""),
            ("GET", "/none", b""),
            ("GET", "/topics/a?limit=0", b""),
        ):
            answers = [
                httpx2.request(method, f"{url}{path}", content=body, timeout=PATIENCE)
                for url in (slosh.url, f"http://127.0.0.1:{port}")
            ]
            ours, theirs = (_shape(answer) for answer in answers)
            assert ours == theirs, path


def _shape(answer: httpx2.Response) -> object:
    passing = {"date", "server", "set-cookie", "connection", "keep-alive", "slosh-next", "content-length"}
    fields = sorted((name, value) for name, value in answer.headers.multi_items() if name not in passing)
    try:
        said = answer.json()
    except ValueError:
        return answer.status_code, fields, answer.content
    return answer.status_code, fields, {name: each for name, each in said.items() if name not in ("next", "times")}


@pytest.mark.parametrize("parts", [1, 2])
def test_a_short_answer_is_one_message_behind_its_head(parts: int) -> None:
    """Each message passes through all the layers of the program around."""
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd"
    answer = Answer("GET")
    answer.feed(data[:-2])
    first, answer.messages = (answer.messages, []) if parts == 2 else ([], answer.messages)
    answer.feed(data[-2:])
    bodies = [each for each in first + answer.messages if each["type"] == "http.response.body"]
    assert b"".join(each["body"] for each in bodies) == b"abcd"
    assert [each["more_body"] for each in bodies] == [True, False], "the last says so"
    whole = Answer("GET")
    whole.feed(data)
    assert [each["type"] for each in whole.messages] == ["http.response.start", "http.response.body"]


def test_an_answer_without_a_body_ends_all_the_same() -> None:
    for method, head in (
        ("HEAD", b"200 OK\r\nContent-Length: 4"),
        ("GET", b"204 No Content"),
        ("GET", b"200 OK\r\nContent-Length: 0"),
    ):
        answer = Answer(method)
        answer.feed(b"HTTP/1.1 " + head + b"\r\n\r\n")
        assert [each.get("more_body") for each in answer.messages] == [None, False]


ANSWERS = {
    "length": b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Type: a/b\r\nContent-Length: 3\r\nSlosh-Next: a.1\r\n\r\nyes",
    "other-length": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nyes!",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n0\r\n\r\n",
    "empty": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "none": b"HTTP/1.1 204 No Content\r\nSlosh-Next: a.1\r\n\r\n",
    "until-the-end": b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n\r\nyes",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_in_one_piece_is_read_as_one_that_comes_byte_by_byte(name: str) -> None:
    data = ANSWERS[name]
    for _ in range(2):  # its lines are known the second time
        whole, slow = Answer("GET"), Answer("GET")
        whole.feed(b"")
        whole.feed(data)
        for at in range(len(data)):
            slow.feed(data[at : at + 1])
        assert (whole.status, whole.is_done) == (slow.status, slow.is_done)
        assert whole.messages[0] == slow.messages[0]
        said = [b"".join(each.get("body", b"") for each in answer.messages[1:]) for answer in (whole, slow)]
        assert said[0] == said[1]


def scope(method: str, target: str, *fields: tuple[bytes, bytes]) -> dict[str, Any]:
    path, _, query = target.partition("?")
    headers = [(b"host", b"localhost"), *fields]
    return {
        "type": "http",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 5000),
    }


class Asking:
    """One request of an ASGI server that the test plays. `parts` of the body come one after another."""

    def __init__(self, *parts: bytes, ends: bool = False) -> None:
        self.parts = list(parts) or [b""]
        self.ends = ends
        self.answer: list[dict[str, Any]] = []
        self.tasks = 0

    async def receive(self) -> dict[str, Any]:
        if self.parts:
            return {"type": "http.request", "body": self.parts.pop(0), "more_body": bool(self.parts) or self.ends}
        if not self.ends:
            await asyncio.get_running_loop().create_future()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.answer.append(message)
        self.tasks = max(self.tasks, len(asyncio.all_tasks()))

    @property
    def body(self) -> bytes:
        return b"".join(each.get("body", b"") for each in self.answer)


async def ask(live: Slosh, method: str, target: str, asking: Asking, *fields: tuple[bytes, bytes]) -> int:
    await live(scope(method, target, *fields), asking.receive, asking.send)
    return int(asking.answer[0]["status"]) if asking.answer else 0


def test_what_is_answered_at_once_costs_no_task() -> None:
    async def main() -> None:
        live = Slosh()
        await live.start()
        for method, target, status in (
            ("GET", "/topics/a?wait=0", 200),
            ("POST", "/topics/a", 200),
            ("GET", "/x", 404),
        ):
            further: list[int] = []
            while 0 not in further:  # Where a busy machine has used up a turn, a request waits for the next, by a task.
                assert len(further) < 20, further
                asking = Asking(b"1" if method == "POST" else b"")
                before = len(asyncio.all_tasks())  # the one that asks, and what `start` has left
                assert await ask(live, method, target, asking) == status
                assert asking.tasks >= 1
                further.append(max(asking.tasks - before, 0))
        await live.stop()

    asyncio.run(main())


@pytest.mark.parametrize("parts", [(b"[1,", b"2]"), (b"", b"[1,2]"), (b"[1,2]", b"")])
@pytest.mark.parametrize("fields", [(), ((b"content-length", b"5"),)], ids=["chunked", "length"])
def test_a_body_in_parts_is_one_message(parts: tuple[bytes, ...], fields: tuple[tuple[bytes, bytes], ...]) -> None:
    async def main() -> None:
        live = Slosh(unwatched="keep")
        assert await ask(live, "POST", "/topics/a", Asking(*parts), *fields) == 200
        asking = Asking()
        await ask(live, "GET", "/topics/a?since=earliest&wait=0", asking)
        assert json.loads(asking.body)["res"] == [[1, 2]]
        await live.stop()

    asyncio.run(main())


@pytest.mark.parametrize("parts", [(), (b"[1,",)], ids=["before", "in-the-body"])
def test_a_client_that_leaves_before_its_request_is_whole_is_no_error(parts: tuple[bytes, ...]) -> None:
    async def main() -> None:
        live = Slosh(unwatched="keep")
        asking = Asking(*parts, ends=True)
        if not parts:
            asking.parts = []
        assert await ask(live, "POST", "/topics/a", asking, (b"content-length", b"5")) == 0
        await live.stop()

    asyncio.run(main())


def test_an_asgi_server_that_fails_leaves_no_reader_behind() -> None:
    """A reader that nobody would ever answer counts as a watcher for ever."""

    async def main() -> None:
        live = Slosh()
        asking = Asking()

        async def receive() -> dict[str, Any]:
            if asking.parts:
                return await asking.receive()
            raise RuntimeError("the server broke")

        with pytest.raises(ConnectionError, match="cut"):
            await asyncio.wait_for(live(scope("GET", "/topics/a?wait=60"), receive, asking.send), PATIENCE)
        counted = Asking()
        await ask(live, "GET", "/topics/a?watchers", counted)
        assert json.loads(counted.body) == {"watchers": 0}
        await live.stop()

    asyncio.run(main())


BEHIND = b"POST /topics/behind HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\n2"


@pytest.mark.parametrize(
    ("target", "fields", "status"),
    [
        ("/topics/a?wait=0", [(b"x", b"y\r\n\r\n" + BEHIND)], 400),
        ("/topics/a?wait=0", [(b"x\r\n\r\n" + BEHIND, b"y")], 400),
        ("/topics/a?wait=0", [(b"x", b"y\nx-forwarded-for: 192.0.2.1")], 400),
        ("/topics/a?wait=0", [(b"x", b"y\rz")], 400),
        ("/topics/a HTTP/1.1\r\nhost: localhost\r\n\r\n" + BEHIND.decode(), [], 400),
        ("/topics/a?wait=0 HTTP/1.1\r\nhost: localhost\r\n\r\n" + BEHIND.decode(), [], 400),
        ("/topics/a?wait=0", [(b"content-length", b"1")], 200),
        ("/topics/a?wait=0", [(b"content-length", b"0")], 200),
        ("/topics/a?wait=0", [(b"content-length", b"1\r\n\r\n1" + BEHIND)], 400),
    ],
    ids=["value", "name", "line-feed", "return", "path", "query", "body", "body-of-none", "length"],
)
def test_nothing_of_a_request_becomes_another_request(
    target: str, fields: list[tuple[bytes, bytes]], status: int
) -> None:
    """HTTP/2 carries what ends a line in HTTP/1.1, and says the length of a body twice."""

    async def main() -> None:
        live = Slosh(unwatched="keep")
        body = fields[0][1][:1] if fields and fields[0][0] == b"content-length" else b""
        asking = Asking(body.replace(b"0", b"") + BEHIND if body else b"")
        assert await asyncio.wait_for(ask(live, "GET", target, asking, *fields), PATIENCE) == status
        topics = Asking()
        await ask(live, "GET", "/topics", topics)
        assert b"behind" not in topics.body
        await live.stop()

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["stream", "websocket"])
def test_a_client_that_takes_nothing_is_cut_and_is_no_watcher(kind: str) -> None:
    """The ASGI server waits for its client as long as that likes, so the cut has to reach it there."""

    async def main() -> None:
        live = Slosh(write_timeout=0.1)
        asking, begun = Asking(), asyncio.Event()
        says: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        says.put_nowait({"type": "websocket.connect"})

        async def send(message: Any) -> None:
            if message["type"] in {"http.response.start", "websocket.accept"}:
                begun.set()
            else:
                await asyncio.get_running_loop().create_future()

        asked = scope("GET", "/topics/a", (b"accept", b"text/event-stream"))
        if kind == "websocket":
            asked |= {"type": "websocket", "subprotocols": []}
        reading = asyncio.ensure_future(live(asked, asking.receive if kind == "stream" else says.get, send))
        await asyncio.wait_for(begun.wait(), PATIENCE)
        for _ in range(3):
            await live.publish("a", "x" * 100_000)
        with pytest.raises(ConnectionError, match="cut"):
            await asyncio.wait_for(reading, PATIENCE)
        counted = Asking()
        await ask(live, "GET", "/topics/a?watchers", counted)
        assert json.loads(counted.body) == {"watchers": 0}
        await live.stop()

    asyncio.run(main())


def test_a_program_that_is_cancelled_while_its_client_takes_nothing_is_cancelled() -> None:
    async def main() -> None:
        live = Slosh()
        sending = asyncio.Event()

        async def send(_: Any) -> None:
            sending.set()
            await asyncio.get_running_loop().create_future()

        request = asyncio.ensure_future(live(scope("GET", "/topics/a?wait=0"), Asking().receive, send))
        await asyncio.wait_for(sending.wait(), PATIENCE)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        await live.stop()

    asyncio.run(main())


def test_a_program_that_is_cancelled_after_the_cut_is_cancelled() -> None:
    """A WebSocket's close may be told behind the cut, which has then cancelled nothing."""

    async def main() -> None:
        transport, sending = Transport(), asyncio.Event()

        async def send(_: Any) -> None:
            sending.set()
            await asyncio.get_running_loop().create_future()

        transport.abort()
        telling = asyncio.ensure_future(transport.give(send, {"type": "websocket.close"}))
        await asyncio.wait_for(sending.wait(), PATIENCE)
        telling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await telling

    asyncio.run(main())


def test_a_program_that_is_cancelled_together_with_the_cut_is_cancelled() -> None:
    async def main() -> None:
        transport, sending = Transport(), asyncio.Event()

        async def send(_: Any) -> None:
            sending.set()
            await asyncio.get_running_loop().create_future()

        telling = asyncio.ensure_future(transport.give(send, {"type": "http.response.body"}))
        await asyncio.wait_for(sending.wait(), PATIENCE)
        transport.abort()
        telling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await telling

    asyncio.run(main())


@pytest.fixture
def interrupts() -> Iterator[None]:
    """SIGINT is a KeyboardInterrupt at first, as in a new Python, and the handlers of before are there again."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("interrupts")
def test_the_lifespan_of_a_program_begins_and_ends_it() -> None:
    async def main() -> None:
        live = Slosh()
        asked: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        told: list[Any] = []

        async def tell(message: Any) -> None:
            told.append(message["type"])

        lifespan = asyncio.ensure_future(live({"type": "lifespan"}, asked.get, tell))
        asked.put_nowait({"type": "lifespan.startup"})
        reader = Asking()
        reading = asyncio.ensure_future(ask(live, "GET", "/topics/a", reader))
        watchers = Asking()
        await ask(live, "GET", "/topics/a?watchers&since=0&wait=30", watchers)
        assert json.loads(watchers.body) == {"watchers": 1}
        asked.put_nowait({"type": "lifespan.shutdown"})
        assert await asyncio.wait_for(reading, PATIENCE) == 200, "a reader is answered first"
        await asyncio.wait_for(lifespan, PATIENCE)
        assert told == ["lifespan.startup.complete", "lifespan.shutdown.complete"]

    asyncio.run(main())
    with pytest.raises(KeyboardInterrupt):  # as before, with a loop that is closed
        signal.raise_signal(signal.SIGINT)


class Talking:
    """A client of a WebSocket: it connects, and says what is put into `says`; `heard` is what it was sent."""

    def __init__(self) -> None:
        self.says: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.says.put_nowait({"type": "websocket.connect"})
        self.heard: list[Any] = []
        self._news = asyncio.Event()

    def say(self, **message: object) -> None:
        self.says.put_nowait({"type": "websocket.receive", **message})

    async def send(self, message: Any) -> None:
        self.heard.append(message)
        self._news.set()

    async def hear(self, kind: str) -> Any:
        """The first message of a kind."""
        while True:
            for message in self.heard:
                if message["type"] == "websocket." + kind:
                    return message
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), PATIENCE)

    def open(self, live: Slosh, target: str, **more: object) -> asyncio.Task[None]:
        asked = {**scope("GET", target), "type": "websocket", "subprotocols": [], **more}
        return asyncio.ensure_future(live(asked, self.says.get, self.send))


def test_a_websocket_is_closed_where_its_topic_ends_and_where_it_breaks_a_rule() -> None:
    async def main() -> None:
        live = Slosh()
        reader, breaker = Talking(), Talking()
        tasks = [each.open(live, "/topics/a") for each in (reader, breaker)]
        for each in (reader, breaker):
            await each.hear("accept")
        breaker.say(bytes=b"\xff", text=None)
        assert (await breaker.hear("close"))["code"] in {1002, 1003, 1007}
        assert await ask(live, "POST", "/topics/a?end", Asking(b"1")) == 200
        assert json.loads((await reader.hear("send"))["text"])["res"] == [1]
        assert (await reader.hear("close"))["code"] == 1000
        await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)
        await live.stop()

    asyncio.run(main())


def test_a_websocket_selects_the_subprotocol() -> None:
    """A browser that has offered some fails if none of them is selected (WHATWG WebSockets §3)."""

    async def main() -> None:
        live = Slosh()
        reader = Talking()
        task = reader.open(live, "/topics/a", subprotocols=["bearer.x", "slosh"])
        assert (await reader.hear("accept"))["subprotocol"] == "slosh"
        reader.says.put_nowait({"type": "websocket.disconnect"})
        await asyncio.wait_for(task, PATIENCE)
        await live.stop()

    asyncio.run(main())


@pytest.mark.parametrize("settings", [None, Settings(queue=5)])
def test_no_files_are_served_unless_a_root_is_named(settings: Settings | None) -> None:
    """The example is for a server that this machine alone reaches: it has a chat in which everybody may write."""

    async def main() -> None:
        for live, status in ((Slosh(settings), 404), (Slosh(settings, root="example"), 200)):
            assert await ask(live, "GET", "/chat.html", Asking()) == status
            await live.stop()

    asyncio.run(main())


def test_a_websocket_that_is_refused_is_told_why_as_far_as_the_asgi_server_can() -> None:
    async def main() -> None:
        live = Slosh()
        told, bare = Talking(), Talking()
        await told.open(live, "/topics/a?since=x", extensions={"websocket.http.response": {}})
        await bare.open(live, "/topics/a?since=x")
        assert (await told.hear("http.response.start"))["status"] == 400
        parts = [each["body"] for each in told.heard if each["type"] == "websocket.http.response.body"]
        assert json.loads(b"".join(parts))["status"] == 400
        assert bare.heard == [{"type": "websocket.close", "code": 1008}]
        await live.stop()

    asyncio.run(main())


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_frames_are_found_however_long_they_are_and_wherever_they_are_cut(size: int) -> None:
    whole = Frame(Opcode.TEXT, b"x" * size).serialize(mask=False)
    data = b"\x81\x01y" + whole
    assert find_frame(data, 0) == (2, 3)
    assert find_frame(data, 3) == (len(data) - size, len(data))
    for cut in {0, 1, 2, 3, 5, 9, 10, len(whole) - 1} & set(range(len(whole))):
        assert find_frame(whole[:cut], 0) is None
