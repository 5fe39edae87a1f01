"""A real server in a thread of the test's own process, and what a test does to it.

    with TestingServer() as slosh:
        with slosh.watch("kitchen") as seen:
            my_sensor.measure_once(url=slosh.url)
            assert seen.wait(1) == [{"t": 21.5}]

It listens on a free port of 127.0.0.1. Its topics live in this process, so `forget`, `cut` and `overflow` do to its
readers what a restart, a broken network and a slow reader do to those of a real server.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from slosh.client.items import Item, Note
from slosh.client.synchronous import Client
from slosh.core.hub import Hub
from slosh.errors import SloshError
from slosh.http1.state import ServerState
from slosh.server import Server
from slosh.settings import Settings

PATIENCE: Final = 10.0
"""Seconds that a test waits for what takes a fraction of one."""

Result = TypeVar("Result")


class NotSeen(AssertionError):
    """What a test waited for did not come in time."""


class TestingServer:
    """A server in a thread. Start and stop it, or use it in a `with` block.

    Args:
        settings: as of `slosh.Settings`; a free port and no files, if they say nothing else.

    Attributes:
        url: its address.

    Raises:
        SettingError: a setting cannot be used.
    """

    __test__ = False  # for pytest, which takes classes of this name for tests

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - Settings checks them
        chosen: dict[str, Any] = {"port": 0, "root": "none"} | settings
        self._server = Server(Settings(**chosen))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._client: Client | None = None
        self.url = ""

    def start(self) -> None:
        """Serve.

        Raises:
            SloshError: it cannot be started; the detail says why.
        """
        started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(started,), name="slosh server", daemon=True)
        self._thread.start()
        started.result(PATIENCE)
        self.url = self._server.addresses[0]
        self._client = Client(self.url, token="")

    def stop(self) -> None:
        """End the server and all that is connected to it."""
        if self._client is not None:
            self._client.close()
        if self._thread is not None and self._loop is not None:
            self.cut()
            self._loop.call_soon_threadsafe(asyncio.ensure_future, self._server.stop())
            self._thread.join(PATIENCE)
            self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def client(self) -> Client:
        """A client of this server."""
        return _started(self._client)

    def watch(self, *topics: str) -> "Seen":
        """Watch topics, so that they take messages, and gather what comes."""
        return Seen(self.client, topics)

    def forget(self) -> None:
        """Restart: what was kept is gone, connections break, and readers that come back are told `reset`."""

        def forget(hub: Hub, now: float) -> None:
            for topic in list(hub):
                hub.replace(topic, os.urandom(4).hex(), now)

        self._do(lambda: forget(self._hub, self._now()))
        self.cut()

    def cut(self) -> None:
        """Break each connection, as a network does."""

        def cut(state: ServerState) -> None:
            for connection in list(state.connections):
                connection.abandon()

        self._do(lambda: cut(self._state))

    def overflow(self, topic: str, lost: int = 1) -> None:
        """Have each reader of `topic` miss this many messages, as one that is too slow does.

        Raises:
            NotSeen: nobody watches the topic, so it has no reader that could miss anything.
        """

        def overflow(hub: Hub, now: float) -> bool:
            found = hub.find(topic, now)
            if found is None:
                return False
            hub.append(found, [b"null"] * lost, now, int(time.time() * 1000))
            hub.skip_to(found, found.last)
            return True

        if not self._do(lambda: overflow(self._hub, self._now())):
            raise NotSeen(f"The topic {topic!r} is not active, so nobody can miss its messages: watch it first.")

    @property
    def _hub(self) -> Hub:
        return _started(self._server.engine).hub

    @property
    def _state(self) -> ServerState:
        return _started(self._server.state)

    def _now(self) -> float:
        return _started(self._loop).time()

    def _do(self, work: Callable[[], Result]) -> Result:
        """Have the server's own thread do something."""
        loop = _started(self._loop)
        done: Future[Result] = Future()

        def do() -> None:
            try:
                done.set_result(work())
            except BaseException as error:  # noqa: BLE001 - it is the caller's, in another thread
                done.set_exception(error)

        loop.call_soon_threadsafe(do)
        return done.result(PATIENCE)

    def _run(self, started: "Future[None]") -> None:
        asyncio.run(self._serve(started))

    async def _serve(self, started: "Future[None]") -> None:
        self._loop = asyncio.get_running_loop()
        try:
            await self._server.start()
        except SloshError as error:
            started.set_exception(error)
            return
        started.set_result(None)
        await self._server.wait_closed()


class Seen:
    """What came of some topics since the watching began. Use it in a `with` block.

    Attributes:
        items: the messages, each with its topic, offset, time, `lost` and `reset`.
        notes: losses, resets and ends.
    """

    def __init__(self, client: Client, topics: tuple[str, ...]) -> None:
        self._watch = client.watch(*topics, notes=True)
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._gather, name="slosh watch", daemon=True)
        self.items: list[Item] = []
        self.notes: list[Note] = []

    @property
    def messages(self) -> list[object]:
        """The messages alone."""
        return [each.message for each in list(self.items)]

    @property
    def lost(self) -> int:
        """How many messages were missed."""
        return self._watch.lost

    def wait(self, count: int, timeout: float = PATIENCE) -> list[object]:
        """Wait until this many messages have come, and give all that have.

        Raises:
            NotSeen: they have not come within `timeout` seconds.
        """
        self._wait_until(lambda: len(self.items) >= count, f"{count} messages", timeout)
        return self.messages

    def wait_for_note(self, kind: str, timeout: float = PATIENCE) -> Note:
        """Wait until a note of this kind has come (`lost`, `reset`, `ended`), and give the first.

        Raises:
            NotSeen: none has come within `timeout` seconds.
        """
        self._wait_until(lambda: any(each.kind == kind for each in self.notes), f"a note {kind!r}", timeout)
        return next(each for each in self.notes if each.kind == kind)

    def __enter__(self) -> Self:
        self._thread.start()
        self._wait_until(lambda: bool(self._watch.place), "the server's first answer", PATIENCE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.close()
        self._thread.join(PATIENCE)

    def _gather(self) -> None:
        for each in self._watch:
            with self._changed:
                if isinstance(each, Note):
                    self.notes.append(each)
                else:
                    self.items.append(each)
                self._changed.notify_all()

    def _wait_until(self, is_true: Callable[[], bool], what: str, timeout: float) -> None:
        until = time.monotonic() + timeout
        with self._changed:
            while not is_true():
                left = until - time.monotonic()
                if left <= 0:
                    raise NotSeen(
                        f"{what} did not come within {timeout:g} s; {self.messages!r} and {self.notes!r} did."
                    )
                self._changed.wait(min(left, 0.005))  # the first place is told without a note


def _started(part: Result | None) -> Result:
    """A part of a server that runs."""
    if part is None:
        raise RuntimeError("This server has not been started: use it in a `with` block, or call `start`.")
    return part
