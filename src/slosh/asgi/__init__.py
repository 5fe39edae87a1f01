"""slosh inside another program: topics as an ASGI application, for FastAPI, Starlette, Django and their servers.

    app = FastAPI()
    live = slosh.asgi.Slosh()
    app.mount("/live", live)          # /live/topics/…, /live/view/…, /live/-/slosh.js

    await live.publish("kitchen", {"t": 21.5})

The rules of this file:

* A request is written as HTTP/1.1 to the same `Connection` that clients on sockets talk to, and what it answers is read
  back. So there is one rule for what a reader gets, and this file knows no topic.
* Bytes that the ASGI server has not taken wait, and the connection is told so, as with a socket.
* Fields that say where a request comes from are written here and never passed on: the ASGI server knows it.
* One object serves one event loop. It starts with the first request, or with `lifespan`.
"""

import asyncio
import secrets
import signal
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from slosh.access.authority import Authority
from slosh.access.rights import Grant, Rights, parse_patterns
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

_REMEMBERED: Final = 10_000
"""Different rights that are remembered."""


@dataclass(frozen=True, slots=True)
class Access:
    """What one client may do.

    Attributes:
        name: for logs, and for limits that count by client.
        read: patterns of topics that it may read.
        publish: those that it may publish to.
    """

    name: str
    read: Sequence[str] = ()
    publish: Sequence[str] = ()


_Asked = tuple[str, tuple[str, ...], tuple[str, ...]]
"""The three parts of an `Access`."""

_Handler = Callable[[int, FrameType | None], object]

Authorize = Callable[[Scope], Access | Awaitable[Access | None] | None]


class Slosh:
    """Topics, as an ASGI 3 application.

    Args:
        settings: as of `slosh.Server`; no files are served if they say nothing else.
        authorize: tells what the client of a request may do, from its scope: the login of the application around it.
            None if it may do nothing: it is answered 401. Without this, all may be done by all that reach it.
        said: settings by their names.

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
        chosen = said if settings is not None or "root" in said else {"root": "none"} | said
        self._server = Server(settings, **chosen)
        self._authorize = authorize
        if authorize is not None:
            self._server.settings = replace(self._server.settings, access=AccessRules(public=Rights()))
        self._admitting: _ProgramRights | None = None
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
        """Make ready, if that was not done.

        Raises:
            SloshError: it cannot be; the detail says why.
        """
        if self._starting is None:
            self._starting = asyncio.ensure_future(self._start())
        await asyncio.shield(self._starting)

    async def stop(self) -> None:
        """End all that is held. Call it when the program ends, if its lifespan does not."""
        if self._starting is not None:
            await self._server.stop()

    def stop_on_signals(self) -> None:
        """Stop as soon as the process gets SIGTERM or SIGINT, and hand the signal on to whatever was there before.

        Servers such as uvicorn wait for open requests, and a reader's has no end, before they end the program's
        lifespan. Call this in the lifespan, before `yield`, on the main thread; a lifespan that is handed to this
        application does so by itself.
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
            value: anything that `slosh.client.values` gives a form in JSON.
            key: an idempotency key.

        Returns:
            What became of it. It is false, and the message was not stored, if nobody watches the topic.

        Raises:
            BadTopic: the name is not valid.
            BadUse: the value has no form in JSON.
            TooLarge: it is longer than `max_message`.
            Unavailable: the engine cannot take it now.
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
            self._admitting = _there(self._server.routes).gate.authority = _ProgramRights(self._server.settings)
        self._is_ready = True

    async def _admit(self, scope: Scope) -> str | None:
        """The token that stands for what the client may do; None if its own, if any, counts."""
        if self._authorize is None or self._admitting is None:
            return None
        found = self._authorize(scope)
        access = found if found is None or isinstance(found, Access) else await found
        return "" if access is None else self._admitting.admit(access)

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


class _ProgramRights(Authority):
    """Rights that the program around this one gives. Each set of them has a token, which never leaves this process."""

    __slots__ = ("_granted", "_tokens")

    def __init__(self, settings: Settings) -> None:
        self._granted: OrderedDict[str, tuple[_Asked, Rights]] = OrderedDict()  # the least recently used first
        self._tokens: dict[_Asked, str] = {}
        super().__init__(AccessRules(public=Rights()), skew=settings.clock_skew, max_token=settings.max_token)

    def admit(self, access: Access) -> str:
        """The token for these rights."""
        asked = (access.name, tuple(access.read), tuple(access.publish))
        token = self._tokens.get(asked)
        if token is None:
            rights = Rights(parse_patterns(asked[1]), parse_patterns(asked[2]))
            token = self._tokens[asked] = secrets.token_urlsafe(24)
            self._granted[token] = (asked, rights)
            if len(self._granted) > _REMEMBERED:
                _, (oldest, _) = self._granted.popitem(last=False)
                del self._tokens[oldest]
        else:
            self._granted.move_to_end(token)
        return token

    def _find(self, token: str, key: str, now: float) -> Grant:
        granted = self._granted.get(token)
        if granted is None:
            return super()._find(token, key, now)
        (name, _, _), rights = granted
        return Grant(name, rights, key=key, generation=self.generation)


def _there(part: Part | None) -> Part:
    """A part of the server, which has started."""
    if part is None:
        raise RuntimeError("This has not been started.")
    return part
