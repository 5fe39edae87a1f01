"""What stays bounded while the store is slow or away, or a node has died; and answers that are never crossed."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

from slosh.startup import loop_factory
from tests.faults.place import place
from tests.stores.server import PATIENCE, Store

CROWD = 1000
TIMEOUT = 5.0
"""Seconds that the store has, so many that a busy machine does not matter beside them."""
LINGER = 8.0
"""Seconds, likewise. A lease is never shorter than 3, so a linger of 2 would not show it."""


class Answer(NamedTuple):
    """What came back.

    Attributes:
        seconds: how long that took.
    """

    status: int
    fields: dict[str, str]
    body: bytes
    seconds: float

    @property
    def json(self) -> Any:
        """The body, as JSON."""
        return json.loads(self.body)


async def ask(port: int, method: str, target: str, body: bytes = b"") -> Answer:
    """Make one request on a connection of its own."""
    start = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:] if line)
        content = await reader.readexactly(int(fields["content-length"]))
    finally:
        writer.transport.abort()
    return Answer(int(lines[0].split()[1]), fields, content, time.monotonic() - start)


def run(work: Callable[[], Awaitable[None]]) -> None:
    """Run it, with all the patience there is."""

    async def bounded() -> None:
        async with asyncio.timeout(3 * PATIENCE):
            await work()

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(bounded())


async def until(port: int, target: str, true: Callable[[Answer], bool]) -> float:
    """Ask again and again until this holds of the answer; how long it took, seconds."""
    start = time.monotonic()
    while not true(answer := await ask(port, "GET", target)):
        assert time.monotonic() - start < PATIENCE, f"{target} says {answer}"
        await asyncio.sleep(0.02)
    return time.monotonic() - start


async def until_watched(port: int, topic: str, watchers: int) -> float:
    """Wait until so many watch a topic; how long it took, seconds."""
    return await until(port, f"/topics/{topic}?watchers", lambda answer: bool(answer.json == {"watchers": watchers}))


def connections(metrics: Answer) -> float:
    """How many are open, as the metrics tell."""
    return float(metrics.body.partition(b"\nslosh_connections ")[2].split()[0])


def test_polls_that_are_given_up_while_the_store_is_slow_leave_no_answers_to_others(tmp_path: Path) -> None:
    """CVE-2023-28858 and -28859: a cancelled command left its answer on the connection, and the next caller got it."""

    async def work() -> None:
        with store.paused():
            polls = [asyncio.create_task(ask(port, "GET", f"/topics/given-up/{number}")) for number in range(CROWD)]
            await asyncio.wait(polls, timeout=0.5)
            for poll in polls:
                poll.cancel()
            await asyncio.wait(polls)
        waiting = [asyncio.create_task(ask(port, "GET", f"/topics/own/{number}?since=now")) for number in range(CROWD)]
        held = f"\nslosh_watchers {CROWD}.0\n".encode()
        await until(port, "/-/metrics", lambda answer: held in answer.body)
        posts = [await ask(port, "POST", f"/topics/own/{number}", b"%d" % number) for number in range(CROWD)]
        assert {(post.status, post.json["watchers"], post.json["max"]) for post in posts} == {(200, 1, 1)}
        assert [(await poll).json["res"] for poll in waiting] == [[number] for number in range(CROWD)]

    with Store(tmp_path / "store") as store, place(tmp_path, store.url, 1) as here:
        port = here.nodes[0].port
        run(work)


def test_what_waits_for_a_slow_store_is_bounded_in_number_and_in_time(tmp_path: Path) -> None:
    async def work() -> None:
        watching = asyncio.create_task(ask(port, "GET", "/topics/a"))
        await until_watched(port, "a", 1)
        with store.paused():
            posts = await asyncio.gather(*(ask(port, "POST", "/topics/a", b"1") for _ in range(50)))
            await until(port, "/-/ready", lambda answer: answer.status == 503)
            assert (await ask(port, "GET", "/-/healthy")).status == 200
        assert {post.status for post in posts} == {503}
        assert all("retry-after" in post.fields for post in posts)
        codes = [post.json["code"] for post in posts]
        assert codes.count("engine_busy") == 50 - codes.count("engine_unreachable") >= 40
        assert max(post.seconds for post in posts) < 1.5 * TIMEOUT
        assert max(post.seconds for post in posts if post.json["code"] == "engine_busy") < 0.5 * TIMEOUT
        await until(port, "/-/ready", lambda answer: answer.status == 200)
        await ask(port, "POST", "/topics/a", b"2")
        assert (await watching).status == 200

    options = ("--engine-queue=5", f"--engine-timeout={TIMEOUT:g}")
    with Store(tmp_path / "store") as store, place(tmp_path, store.url, 1, options=options) as here:
        port = here.nodes[0].port
        run(work)


def test_a_node_shuts_down_in_its_time_also_while_the_store_stands_still(tmp_path: Path) -> None:
    async def work() -> None:
        held = [asyncio.create_task(ask(port, "GET", "/topics/a")) for _ in range(10)]
        await until_watched(port, "a", 10)
        with store.paused():
            posts = [asyncio.create_task(ask(port, "POST", "/topics/a", b"1")) for _ in range(10)]
            unknown = asyncio.create_task(ask(port, "GET", "/topics/never-seen"))
            await until(port, "/-/metrics", lambda answer: connections(answer) >= 22)  # these, and the one that asks
            start = time.monotonic()
            await asyncio.to_thread(here.nodes[0].drain)
            assert time.monotonic() - start < 3 + 3, "the drain time, and what this machine needs to notice"
        assert {(await poll).json["timeout"] for poll in held} == {True}
        assert {(await post).status for post in posts} == {503}
        assert (await unknown).status == 503

    with Store(tmp_path / "store") as store, place(tmp_path, store.url, 1) as here:
        port = here.nodes[0].port
        run(work)


def test_a_store_that_is_full_refuses_and_takes_again_when_there_is_room(tmp_path: Path) -> None:
    async def work() -> None:
        watching = asyncio.create_task(ask(port, "GET", "/topics/a"))
        await until_watched(port, "a", 1)
        store.ask("CONFIG", "SET", "maxmemory", 1)
        refused = await ask(port, "POST", "/topics/a", b"1")
        assert (refused.status, refused.json["code"]) == (503, "engine_full")
        assert "retry-after" in refused.fields
        store.ask("CONFIG", "SET", "maxmemory", 0)
        assert (await ask(port, "POST", "/topics/a", b"2")).status == 200
        assert (await watching).json["res"] == [2]

    with Store(tmp_path / "store") as store, place(tmp_path, store.url, 1) as here:
        port = here.nodes[0].port
        run(work)


def test_everything_in_the_store_expires(tmp_path: Path) -> None:
    async def work() -> None:
        polls = [asyncio.create_task(ask(port, "GET", f"/topics/t/{number}")) for number in range(10)]
        for number in range(10):
            await until_watched(port, f"t/{number}", 1)
        for number in range(10):  # Its poll is answered then, and its time begins.
            assert (await ask(port, "POST", f"/topics/t/{number}", b"1")).status == 200
        await asyncio.gather(*polls)
        keys = store.ask("KEYS", "*")
        assert isinstance(keys, list)
        assert len(keys) >= 20
        for key in keys:
            assert isinstance(key, bytes)
            left = store.ask("PTTL", key.decode())
            assert isinstance(left, int)
            assert 0 < left < 120_000 or left == -2, f"{key!r} ends in {left} ms"

    with Store(tmp_path / "store") as store, place(tmp_path, store.url, 1, options=("--linger=10",)) as here:
        port = here.nodes[0].port
        run(work)


def test_the_watchers_of_a_node_that_died_stop_counting_within_linger(tmp_path: Path) -> None:
    async def work() -> None:
        doomed, other = (node.port for node in here.nodes)
        polls = [asyncio.create_task(ask(port, "GET", "/topics/a")) for port in (doomed, doomed, other)]
        await until_watched(other, "a", 3)
        here.nodes[0].kill()
        assert await until_watched(other, "a", 1) < 1.25 * LINGER, "linger, and something for the look"
        assert (await ask(other, "POST", "/topics/a", b"1")).json["watchers"] == 1
        await asyncio.gather(*polls, return_exceptions=True)

    with Store(tmp_path / "store") as store, place(tmp_path, store.url, 2, options=(f"--linger={LINGER:g}",)) as here:
        run(work)
