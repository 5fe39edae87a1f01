"""One server as one object: listen, serve, drain. Every door (command line, .tac, plugin) starts this same one."""

import asyncio
import math
import secrets
from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from slosh.core.cursor import make_epoch
from slosh.core.hub import Hub
from slosh.engine.base import Engine
from slosh.engine.memory import MemoryEngine
from slosh.errors import SettingError
from slosh.listening import AT_A_TIME, BACKLOG, describe, listen, loopback_ports, release
from slosh.settings import EXAMPLE, NO_FILES, TABLE, Settings, is_local
from slosh.startup import OWN_FILES, SPARE_FILES, open_files
from slosh.web.connection import connect
from slosh.web.drain import drain
from slosh.web.edge import Edge
from slosh.web.files import DocumentRoot
from slosh.web.routes import Routes

if TYPE_CHECKING:
    import socket


class Server:
    """A slosh server. It installs no signal handlers: whoever runs it calls `stop`.

    Args:
        settings: all that can be set.

    Raises:
        SettingError: the document root is no folder; the setting `engine` is no address of a store, or the library for
            it is missing.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._root = DocumentRoot(find_root(settings))
        check_engine(settings)
        self._sockets: list[socket.socket] = []
        self._owns_sockets = False
        self._listeners: list[asyncio.AbstractServer] = []
        self._engine: Engine | None = None
        self._edge: Edge | None = None
        self._stopping: asyncio.Future[None] | None = None
        self._closed = asyncio.Event()

    @property
    def addresses(self) -> list[str]:
        """Where it listens, for instance `http://127.0.0.1:8000` or `unix:/run/slosh.sock`.

        Empty before `bind` and after `stop`.
        """
        return [describe(each) for each in self._sockets]

    def bind(self) -> None:
        """Make the listening sockets, so that a port below 1024 can be had before rights are given up.

        Raises:
            CannotListen: an address cannot be had; the detail says which, why, and what to do.
            SettingError: systemd hands over sockets, and a setting names another place.
        """
        self._sockets = listen(self.settings)
        self._owns_sockets = True

    def use(self, sockets: "list[socket.socket]") -> None:
        """Serve these listening sockets, which somebody else has made and others may serve too."""
        self._sockets = sockets

    async def start(self) -> None:
        """Serve, on the running event loop. The caller owes a `stop`.

        Raises:
            CannotListen: as `bind`, when that was not called before.
            SettingError: the setting `engine` is no address of a store.
            EngineUnreachable: the store cannot be reached.
        """
        if not self._sockets:
            self.bind()
        loop = asyncio.get_running_loop()
        settings = self.settings
        hub = make_hub(settings, loop, lambda: make_epoch(secrets.randbits))
        self._engine = engine = make_engine(hub, settings, loop)
        await engine.start()
        routes = Routes(engine, self._root, settings, loopback_ports(self._sockets))
        self._edge = edge = Edge(settings, routes, loop)
        self._bound_files(edge)
        for each in self._sockets:
            self._listeners.append(await loop.create_server(lambda: connect(edge), sock=each, backlog=AT_A_TIME))
            each.listen(BACKLOG)  # asyncio takes one number for both, and has set the system's queue to the other.

    def reload(self, settings: Settings) -> list[str]:
        """Take the values of the settings that a running server can change.

        Returns:
            The names of the other settings that differ, which need a restart.
        """
        rest = [row.name for row in TABLE if getattr(settings, row.name) != getattr(self.settings, row.name)]
        taken = {row.name: getattr(settings, row.name) for row in TABLE if row.reloads}
        self.settings = replace(self.settings, **taken)
        if self._edge is not None:
            self._edge.settings = self.settings
            self._edge.idle = self.settings.idle_timeout or math.inf
            self._bound_files(self._edge)
        if self._engine is not None:
            self._engine.hub.set_bounds(
                linger=self.settings.linger,
                max_topics=self.settings.max_topics,
                max_watchers=self.settings.max_watchers,
            )
        return [name for name in rest if name not in taken]

    def _bound_files(self, edge: Edge) -> None:
        """Share out the files that the system grants: without one for it a client would hang in the queue."""
        limit = open_files()
        free = max(2, limit - OWN_FILES)
        edge.max_downloads = min(self.settings.max_downloads, max(1, free // 4))
        edge.max_connections = min(self.settings.max_connections, free - edge.max_downloads)
        edge.first_spare = max(limit - SPARE_FILES, limit // 2)

    async def stop(self) -> None:
        """Go down quietly, within the setting `drain`. Calling it again waits for the same end."""
        if self._stopping is None:
            self._stopping = asyncio.ensure_future(self._stop())
        await asyncio.shield(self._stopping)

    async def wait_closed(self) -> None:
        """Wait until it has been stopped."""
        await self._closed.wait()

    async def _stop(self) -> None:
        for listener in self._listeners:
            listener.close()
        if self._owns_sockets:
            release(self._sockets, self.settings)
        self._sockets = []
        if self._edge is not None:
            await drain(self._edge, self.settings.drain)
        if self._engine is not None:
            await self._engine.stop()
        self._closed.set()


def make_hub(settings: Settings, loop: asyncio.AbstractEventLoop, new_epoch: Callable[[], str]) -> Hub:
    """A hub within the bounds of the settings, which `loop` wakes and whose time it is.

    Args:
        new_epoch: makes the epoch of a topic's new life.
    """

    def flush() -> None:
        hub.flush(loop.time())

    def arm(when: float) -> None:
        loop.call_at(when, lambda: hub.expire(loop.time()))

    hub = Hub(
        queue=settings.queue,
        queue_bytes=settings.queue_bytes,
        linger=settings.linger,
        max_topics=settings.max_topics,
        max_watchers=settings.max_watchers,
        new_epoch=new_epoch,
        wake=partial(loop.call_soon, flush),
        arm=arm,
    )
    return hub


def make_engine(hub: Hub, settings: Settings, loop: asyncio.AbstractEventLoop) -> Engine:
    """The engine that the settings ask for, over `hub`. The caller owes a `start` and a `stop`.

    Raises:
        SettingError: it is no address of a store, or the library for it is missing.
    """
    if settings.engine == "memory":
        return MemoryEngine(hub, keep=settings.unwatched == "keep", max_keys=settings.max_keys)
    check_engine(settings)
    from slosh.engine.redis import RedisEngine  # noqa: PLC0415 - an extra that not everybody has

    return RedisEngine(hub, settings, now=loop.time, call_at=loop.call_at, random_bits=secrets.randbits)


def check_engine(settings: Settings) -> None:
    """See that an engine can be made, before anything listens.

    Raises:
        SettingError: it is no address of a store, or the library for it is missing.
    """
    if settings.engine == "memory":
        return
    if "://" not in settings.engine:
        meant = " Did you mean memory?" if get_close_matches(settings.engine, ["memory"]) else ""
        raise SettingError(f"engine: this is no address of a store.{meant} An address is redis://host:6379/0, for one.")
    try:
        from slosh.engine.redis_address import parse_address  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        raise SettingError(
            f"engine: a Redis or Valkey needs the Python package {error.name}: pip install 'slosh-server[redis]'"
        ) from None
    parse_address(settings.engine)


def find_root(settings: Settings) -> Path | None:
    """The document root: the folder that `root` names, or the example that comes with slosh; None for no files.

    Where nothing is said the example is served to this machine alone: it holds a chat in which everybody may write.

    Raises:
        SettingError: it is no folder.
    """
    if settings.root == NO_FILES or (not settings.root and not is_local(settings)):
        return None
    path = Path(settings.root)
    if settings.root and path.is_dir():
        return path
    if settings.root not in ("", EXAMPLE):
        raise SettingError(f"root: {settings.root} is no folder. Name the folder whose files are to be served.")
    packaged = Path(__file__).with_name("example")
    # In a checkout the example stands at the top, beside src.
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "example"
