"""A connection whose replies are taken as they come: on both event loops, on each road, and broken once."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from redis.exceptions import RedisError, ResponseError

from slosh.engine.redis.client.cluster import make_servers
from slosh.engine.redis.client.servers import StoreTerms
from slosh.engine.redis.client.wire import Wire, pack
from slosh.engine.redis.scripts import SCRIPTS
from tests.conftest import need
from tests.engine.redis.client.test_link import PATIENCE, StoreEvents, probe
from tests.stores.server import Store
from tests.stores.tls import Authority

if TYPE_CHECKING:
    from redis.asyncio import Redis


def new_uvloop() -> asyncio.AbstractEventLoop:
    need("module:uvloop")
    import uvloop

    return uvloop.new_event_loop()


@pytest.fixture(params=[asyncio.new_event_loop, new_uvloop], ids=["asyncio", "uvloop"])
def play(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    """Runs a story on an event loop of its own."""

    def run(story: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(asyncio.wait_for(story, PATIENCE))

    return run


@pytest.fixture(params=["tcp", "tls", "unix", "resp3"])
def road(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Store, str]]:
    """A server that may be hurt, and where it is."""
    tls = Authority(tmp_path / "ca") if request.param == "tls" else None
    path = tmp_path / "socket" if request.param == "unix" else None
    with Store(tmp_path / "store", tls=tls, path=path) as server:
        yield server, f"unix://{path}" if path else server.url + ("?protocol=3" if request.param == "resp3" else "")


def client_of(url: str) -> "Redis":
    """The library's client, as slosh makes it."""
    return make_servers(
        url, StoreEvents(), StoreTerms(timeout=PATIENCE, most=9, news="news", scripts=SCRIPTS, probe=probe)
    )._make_client()


async def broken(wire: Wire) -> BaseException:
    """Why it broke."""
    with pytest.raises((RedisError, OSError, LookupError)) as caught:
        await wire.broken
    return caught.value


def test_replies_come_in_the_order_of_the_commands_and_the_end_is_told(
    road: tuple[Store, str], play: Callable[..., None]
) -> None:
    own, url = road

    async def story() -> None:
        replies: list[Any] = []
        all_there = asyncio.Event()

        def received(reply: object) -> None:
            replies.append(reply)
            if len(replies) == 4:
                all_there.set()

        wire = await Wire.open(client_of(url), received)
        large = b"x" * 3_000_000
        commands = (("SET", "a", large), ("GET", "a"), ("GET", "b"), ("LPUSH", "a", 1))
        wire.write(map(pack, commands))
        await all_there.wait()
        assert replies[:3] == [b"OK", large, None]
        assert isinstance(replies[3], ResponseError)
        own.kill()
        assert isinstance(await broken(wire), RedisError | OSError)
        await wire.close()

    play(story())


def test_who_closes_it_waits_for_nothing_and_leaves_nothing_open(store: Store, play: Callable[..., None]) -> None:
    async def story() -> None:
        client = client_of(store.url)
        wires = [await Wire.open(client, lambda _: None) for _ in range(3)]
        wires[0].break_off(OSError("enough"))
        wires[0].break_off(OSError("said twice"))
        assert str(await broken(wires[0])) == "enough"
        for wire in wires:
            await wire.close()
        assert all(wire._transport.is_closing() for wire in wires)
        await client.aclose()

    play(story())


def test_what_comes_unasked_breaks_it(store: Store, play: Callable[..., None]) -> None:
    """A reply that is nobody's would be taken for that of the next command."""

    async def story() -> None:
        waiting = [1]
        wire = await Wire.open(client_of(store.url), lambda _: waiting.pop())
        wire.write(map(pack, (("PING",), ("PING",), ("PING",))))
        assert isinstance(await broken(wire), IndexError)
        await wire.close()

    play(story())


def test_replies_behind_the_one_that_broke_it_are_given_to_nobody(store: Store, play: Callable[..., None]) -> None:
    """They come in one packet, and their commands have been told already that no reply came."""

    async def story() -> None:
        replies: list[object] = []

        def received(reply: object) -> None:
            replies.append(reply)
            wire.break_off(OSError("enough"))

        wire = await Wire.open(client_of(store.url), received)
        wire.data_received(b"+one\r\n+two\r\n+three\r\n")
        assert replies == [b"one"]
        wire.data_received(b"+four\r\n")
        assert replies == [b"one"]
        await wire.close()

    play(story())


def test_nothing_is_written_to_one_that_has_broken(store: Store, play: Callable[..., None]) -> None:
    async def story() -> None:
        wire = await Wire.open(client_of(store.url), lambda _: None)
        wire.break_off(OSError("enough"))
        written: list[bytes] = []
        transport, wire._transport = (
            wire._transport,
            cast("Any", SimpleNamespace(is_closing=bool, write=written.append)),
        )
        wire.write([pack(("PING",))])
        assert written == []
        wire._transport = transport
        await wire.close()

    play(story())
