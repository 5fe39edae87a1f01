"""One server as one object: listen, serve, drain. Each entry point (command line, .tac, plugin) starts this one.

`parts.py` makes its parts from the settings, and `reloading.py` decides what a reload changes.
"""

import asyncio
import secrets
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from slosh.core.cursor import make_epoch
from slosh.descriptors import check_file_limit, open_files, share_files
from slosh.engine.base import Engine
from slosh.http1.accepting import Accepting
from slosh.http1.arrivals import Arrivals
from slosh.http1.drain import drain
from slosh.http1.heads import Heads
from slosh.http1.protocol import connect
from slosh.http1.shortage import silence_reports
from slosh.http1.state import ServerState
from slosh.listening import AT_A_TIME, BACKLOG, adopt, describe, listen, loopback_ports, release
from slosh.parts import check_engine, find_root, make_bounds, make_engine, make_hub, make_tls
from slosh.reloading import ReloadReport, plan_reload
from slosh.settings.sources import from_keywords
from slosh.settings.table import Settings
from slosh.web.pages.files import DocumentRoot
from slosh.web.routes import Routes

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable


class Server:
    """A slosh server. It installs no signal handlers: the caller must call `stop`.

    Args:
        settings: all settings; the defaults if left out.
        said: settings by name, which override `settings`, as the keywords of a .tac: `port=0`,
            `linger="5m"`, `topics={"gen/**": {"queue": 20_000}}`. Neither slosh.toml nor the environment is read.

    Raises:
        SettingError: the document root is not a folder; the setting `engine` is not the address of a store, or the
            library for it is missing.
    """

    def __init__(self, settings: Settings | None = None, **said: Any) -> None:  # noqa: ANN401 - one for each setting
        settings = from_keywords(said, settings or Settings()) if said else settings or Settings()
        self.settings = settings
        self._root = DocumentRoot(find_root(settings))
        check_engine(settings)
        self._sockets: list[socket.socket] = []
        self._owns_sockets = False
        self._listeners: list[asyncio.AbstractServer] = []
        self._engine: Engine | None = None
        self._state: ServerState | None = None
        self._heads: Heads | None = None
        self._routes: Routes | None = None
        self._context = make_tls(settings)
        self._arrivals: Arrivals | None = None
        self._accepting: Accepting | None = None
        self._stopping: asyncio.Future[None] | None = None
        self._closed = asyncio.Event()
        self._unsilence: Callable[[], None] = lambda: None

    @property
    def addresses(self) -> list[str]:
        """Where it listens, for instance `http://127.0.0.1:8000` or `unix:/run/slosh.sock`.

        Empty before `bind` and after `stop`.
        """
        return [describe(each, has_tls=bool(self.settings.tls_cert)) for each in self._sockets]

    @property
    def engine(self) -> Engine | None:
        """The engine that stores messages; None before `start`."""
        return self._engine

    @property
    def routes(self) -> Routes | None:
        """The application that chooses actions; None before `start`."""
        return self._routes

    @property
    def state(self) -> ServerState | None:
        """The state that its connections share; None before `start`."""
        return self._state

    def connect(self) -> asyncio.Protocol:
        """Make a connection for one client. Call this after `start`, and connect it to a transport."""
        if self._state is None or self._heads is None:
            raise RuntimeError("This server has not been started.")
        return connect(self._state, self._heads)

    def bind(self) -> None:
        """Open the listening sockets. Call this before you drop privileges, if a port is below 1024.

        Raises:
            CannotListen: an address cannot be used; the detail says which, why, and what to do.
            SettingError: systemd passes sockets, and a setting names another address.
        """
        self._sockets = listen(self.settings)
        self._owns_sockets = True

    def use(self, sockets: "list[socket.socket]") -> None:
        """Serve these listening sockets, which the caller has opened and other processes may serve too."""
        self._sockets = sockets

    def take_over(self, sockets: "list[socket.socket]") -> None:
        """Serve these listening sockets, which the previous server has handed over.

        Raises:
            SettingError: a setting names another address, or other machines can reach them and there are no rules.
        """
        adopt(sockets, self.settings)
        self._sockets = sockets
        self._owns_sockets = True

    async def start(self, *, listening: bool = True, accepting: bool = True) -> None:
        """Serve, on the running event loop. The caller must call `stop` afterwards.

        Args:
            listening: whether to use listening sockets; False if another server passes on requests, see `slosh.asgi`.
            accepting: whether to accept clients at once; otherwise the caller must call `accept` later.

        Raises:
            CannotListen: as `bind`, if that was not called before.
            SettingError: the setting `engine` is not the address of a store.
            EngineUnreachable: the store cannot be reached.
            TooFewFiles: the system lets this process open too few files.
        """
        check_file_limit()
        if listening and not self._sockets:
            self.bind()
        loop = asyncio.get_running_loop()
        settings = self.settings
        hub = make_hub(settings, loop, lambda: make_epoch(secrets.randbits))
        hub.clock = time.monotonic  # the clock of both event loops; uvloop's own stands still within a turn
        self._engine = engine = make_engine(hub, settings, loop)
        await engine.start()
        self._routes = routes = Routes(engine, self._root, settings, loopback_ports(self._sockets))
        self._state = state = ServerState(settings, loop)
        self._heads = Heads(routes, settings)
        self._bound_files(state)
        self._unsilence = silence_reports(loop)
        state.lag.start()
        if accepting:
            await self.accept()

    async def accept(self) -> None:
        """Accept clients. `start` does so by default; call this after `accept_no_more`."""
        if self._state is None or self._heads is None:
            raise RuntimeError("This server has not been started.")
        make = partial(connect, self._state, self._heads)
        if self._context is not None or self.settings.proxy_protocol == "on":
            takes_proxy = self.settings.proxy_protocol == "on"
            self._arrivals = Arrivals(self._state, make, takes_proxy=takes_proxy, context=self._context)
            for each in self._sockets:
                self._arrivals.listen(each)
                each.listen(BACKLOG)
            return
        self._accepting = accepting = Accepting(self._state, make, self._sockets)
        for each in self._sockets:
            # A copy, because the loop closes the socket when it stops accepting.
            given = each.dup()
            given.settimeout(0.0)
            self._listeners.append(
                await self._state.loop.create_server(accepting.connect, sock=given, backlog=AT_A_TIME)
            )
            each.listen(BACKLOG)  # asyncio uses `backlog` for this as well, so the system's queue is set again.

    async def accept_no_more(self) -> None:
        """Leave new clients in the system's queue, for the next server, or for this one after `accept`.

        Accepted clients are still served.
        """
        for listener in self._listeners:
            listener.close()
        self._listeners = []
        if self._arrivals is not None:
            self._arrivals.close()
            self._arrivals = None
        if self._accepting is not None:
            await self._accepting.stop()
            self._accepting = None

    @property
    def sockets(self) -> "list[socket.socket]":
        """The listening sockets; do not close them."""
        return self._sockets

    def give_up_sockets(self) -> None:
        """Close the listening sockets, which another server has now. Call `stop` next; it is quick then.

        From here on each answer is the last on its connection, even before `stop`.
        """
        for each in self._sockets:
            each.close()
        self._sockets = []
        self._owns_sockets = False
        if self._state is not None:
            self._state.has_successor = True
            self._state.draining = True

    def reload(self, settings: Settings) -> ReloadReport:
        """Apply the settings that a running server can change, and the rules of `[access]`.

        Raises:
            SettingError: a file that they name is not valid; nothing has changed.
        """
        changed, reloaded = plan_reload(self.settings, settings)
        context = make_tls(changed)
        if self._state is not None and self._routes is not None:
            self._routes.reload(changed, self._state)
        self.settings = changed
        if self._arrivals is not None:
            self._arrivals.context = context
        if self._state is not None:
            self._state.use(self.settings)
            self._bound_files(self._state)
            if self._heads is not None:
                self._heads.forget(self._state)  # Their actions have bounds in them.
        if self._engine is not None:
            self._engine.hub.set_bounds(make_bounds(self.settings), asyncio.get_running_loop().time())
        return reloaded

    def _bound_files(self, state: ServerState) -> None:
        """Share out the file descriptors that the system allows."""
        state.max_connections, state.max_downloads, state.first_spare = share_files(self.settings, open_files())

    async def stop(self) -> None:
        """Shut down gracefully, within the setting `drain`. Another call waits for the same end."""
        if self._stopping is None:
            self._stopping = asyncio.ensure_future(self._stop())
        await asyncio.shield(self._stopping)

    async def wait_closed(self) -> None:
        """Wait until it has been stopped."""
        await self._closed.wait()

    async def _stop(self) -> None:
        await self.accept_no_more()
        if self._owns_sockets:
            release(self._sockets, self.settings)
        self._sockets = []
        if self._state is not None:
            await drain(self._state, self.settings.drain)
            self._state.lag.stop()
        if self._engine is not None:
            await self._engine.stop()
        self._unsilence()
        self._closed.set()
