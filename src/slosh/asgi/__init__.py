"""slosh inside another program: topics as an ASGI application, for FastAPI, Starlette, Django and their servers.

    app = FastAPI()
    live = slosh.asgi.Slosh()
    app.mount("/live", live)          # /live/topics/…, /live/view/…, /live/-/slosh.js

    await live.publish("kitchen", {"t": 21.5})

The rules of this file:

* A request is written as HTTP/1.1 to the same `Connection` that clients on sockets talk to, and its answer is parsed.
  So readers get the same as from `slosh serve`, and only `Slosh.publish` knows topics.
* While the ASGI server takes no bytes they wait in a buffer, and a full buffer stops the connection, as with a socket.
* Header fields about the origin of a request are made from the ASGI server's `scope`. Those of the client are dropped.
* One object serves one event loop. It starts with the first request, the first `publish`, or the program's lifespan.
"""

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from slosh.access.authority import ProgramAuthority
from slosh.access.rights import Rights
from slosh.access.rules import AccessRules
from slosh.asgi.exchange import serve_request
from slosh.asgi.messages import Receive, Scope, Send
from slosh.asgi.websocket import serve_websocket
from slosh.client.answers import Published
from slosh.client.values import encode
from slosh.core.cursor import write_cursor
from slosh.core.names import check_name
from slosh.errors import NoWatchers, SloshError, TooLarge
from slosh.server import Server
from slosh.settings import Settings

if TYPE_CHECKING:
    from slosh.engine.base import Published as Stored

Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class Access:
    """The rights of one client. If a pattern is not valid, its requests raise `BadTopic` in the ASGI server.

    Attributes:
        name: for logs, and for rate limits.
        read: names and patterns of the topics that it may read.
        publish: the same of those that it may publish to.
    """

    name: str
    read: Sequence[str] = ()
    publish: Sequence[str] = ()


_Handler = Callable[[int, FrameType | None], object]

Authorize = Callable[[Scope], Access | Awaitable[Access | None] | None]


class Slosh:
    """Topics, as an ASGI 3 application.

    Args:
        settings: as of `slosh.Server`. No files are served unless `root` is set.
        authorize: returns the rights of a request's client, given its scope; may be a coroutine function. If it returns
            None the client is answered 401. The setting `access` is not used then. Without `authorize` and `access`
            every client may do everything.
        said: settings by their names, which override `settings`.

    Raises:
        SettingError: a setting cannot be used.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        authorize: Authorize | None = None,
        **said: Any,  # noqa: ANN401 - one for each setting, which checks them
    ) -> None:
        # The default is the example on a loopback address, where this machine alone reaches it: not so here.
        chosen = said if settings is not None and settings.root else {"root": "none"} | said
        self._server = Server(settings, **chosen)
        self._authorize = authorize
        if authorize is not None:
            self._server.settings = replace(self._server.settings, access=AccessRules(public=Rights()))
        self._admitting: ProgramAuthority | None = None
        self._starting: asyncio.Task[None] | None = None
        self._is_ready = False
        self._stopping: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, one WebSocket, or the lifespan of the program."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if not self._is_ready:
            await self.start()
        token = None if self._authorize is None else await self._admit(scope)
        if scope["type"] == "websocket":
            await serve_websocket(self._server.connect(), scope, token, receive, send)
        else:
            await serve_request(self._server.connect(), scope, token, receive, send)

    async def start(self) -> None:
        """Start, if that was not done. Requests and `publish` do so by themselves.

        Raises:
            SloshError: it cannot start; the detail says why.
        """
        if self._starting is None:
            self._starting = asyncio.ensure_future(self._start())
        await asyncio.shield(self._starting)

    async def stop(self) -> None:
        """Answer all held requests and end. Call this when the program ends, if its lifespan is not passed to this."""
        if self._starting is not None:
            await self._server.stop()

    def stop_on_signals(self) -> None:
        """Stop as soon as the process gets SIGTERM or SIGINT, and then call the signal's earlier handler.

        Servers such as uvicorn wait for open requests before they end the program's lifespan, and a reader's request
        has no end. Call this in the lifespan, before `yield`, on the main thread. It is not necessary if the lifespan
        is passed to this application.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            before = signal.getsignal(number)
            if callable(before):  # else the process ends at once
                signal.signal(number, partial(self._stop_on_signal, loop, before))

    def _stop_on_signal(
        self, loop: asyncio.AbstractEventLoop, before: _Handler, number: int, frame: FrameType | None
    ) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._stop_soon)
        before(number, frame)

    def _stop_soon(self) -> None:
        self._stopping = asyncio.ensure_future(self.stop())

    async def publish(self, topic: str, value: object, *, key: str = "") -> Published:
        """Publish one message, without HTTP.

        Args:
            topic: its name.
            value: anything that `slosh.client.values` can write as JSON.
            key: an idempotency key; empty for none.

        Returns:
            The result. It is false, and the message was not stored, if the topic is not active.

        Raises:
            BadTopic: the name is not valid.
            BadUse: the value cannot be written as JSON.
            TooLarge: the message is longer than `max_message`.
            SloshError: it was not accepted, for instance because the topic has ended (`TopicEnded`), there is no
                memory (`MemoryFull`) or no store (`Unavailable`); or this could not start.
        """
        if not self._is_ready:
            await self.start()
        engine = _there(self._server.engine)
        message = encode(value)
        most = self._server.settings.max_message
        if len(message) > most:
            raise TooLarge(f"A message has at most {most} bytes (max_message), and this one {len(message)}.", most)
        done: asyncio.Future[Stored | SloshError] = asyncio.get_running_loop().create_future()
        now = asyncio.get_running_loop().time()

        def finish(answer: "Stored | SloshError") -> None:
            if not done.done():  # the caller may have been cancelled
                done.set_result(answer)

        engine.publish(check_name(topic), [message], now, finish, key)
        answer = await done
        if isinstance(answer, NoWatchers):
            return Published(taken=False)
        if isinstance(answer, SloshError):
            raise answer
        place = write_cursor(answer.epoch, answer.newest)
        return Published(taken=True, max=answer.newest, watchers=answer.watchers, next=place, ended=answer.ended)

    async def _start(self) -> None:
        await self._server.start(listening=False)
        if self._authorize is not None:
            settings = self._server.settings
            self._admitting = ProgramAuthority(skew=settings.clock_skew, max_token=settings.max_token)
            _there(self._server.routes).gate.authority = self._admitting
        self._is_ready = True

    async def _admit(self, scope: Scope) -> str | None:
        """The token of the client's rights, empty if it has none; None if its own `Authorization` is passed on."""
        if self._authorize is None or self._admitting is None:
            return None
        found = self._authorize(scope)
        access = found if found is None or isinstance(found, Access) else await found
        return "" if access is None else self._admitting.admit(access.name, access.read, access.publish)

    async def _live(self, receive: Receive, send: Send) -> None:
        """The lifespan of the program (ASGI lifespan 2.0)."""
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self.start()
                except SloshError as error:
                    await send({"type": "lifespan.startup.failed", "message": error.detail})
                    return
                if threading.current_thread() is threading.main_thread():  # no other one may set signal handlers
                    self.stop_on_signals()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return


def _there(part: Part | None) -> Part:
    """A part of the server, which exists once it has started."""
    if part is None:
        raise RuntimeError("This has not been started.")
    return part
