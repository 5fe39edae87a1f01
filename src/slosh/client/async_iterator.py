"""A watch, for programs with an event loop: an iterator whose steps may be cancelled, and that may be dropped."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, Generic, Self, TypeVar, cast

import httpx2

from slosh.client.bases import AsyncCloseable, Progress
from slosh.client.connections import AWAY, MAX_EVENT, WATCH, explain_lasting
from slosh.client.errors import BadUse, ClientError, Unreachable
from slosh.client.items import Item, Note
from slosh.client.protocol import Ask, WatchState
from slosh.client.request import Options, is_envelope, is_stream

logger = logging.getLogger(__name__)

Received = TypeVar("Received", bound=Item | Note)
_AHEAD: Final = 16
"""Events that are read before the program asks for them."""


class AsyncWatch(AsyncCloseable, Progress, Generic[Received]):
    """An asynchronous iterator over the messages of topics; made by `AsyncClient.watch`.

    Call `aclose`, or use it in an `async with` block, when you leave it before its end. One that is dropped ends its
    connection too. Only one task iterates: a step of another one raises `BadUse` while the first waits. `aclose` may be
    called by another task, and ends the iteration.

    Attributes:
        timed_out: whether `deadline` ended the iteration.
    """

    def __init__(
        self,
        http: httpx2.AsyncClient,
        options: Options,
        watching: WatchState,
        deadline: float | None,
        *,
        notes: bool,
    ) -> None:
        self._http = http
        self._options = options
        self._watching = watching
        self._deadline = deadline
        self._until: float | None = None
        self._notes = notes
        self._connection: _Connection | None = None
        self._given: Iterator[Item | Note] | None = None  # what is left of the last that came
        self._rests = False  # whether to pause before the next request
        self._closed = asyncio.Event()
        self._steps = False  # whether a task is in `__anext__`
        self.timed_out = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Received:
        if self._closed.is_set():
            raise StopAsyncIteration
        if self._steps:
            raise BadUse(
                "Another task waits for the next item of this watch already. Make a watch for each task, "
                "or hand the items of one on through a queue."
            )
        self._steps = True
        try:
            return await self._step()
        finally:
            self._steps = False

    async def _step(self) -> Received:
        if self._deadline is not None and self._until is None:
            self._until = asyncio.get_running_loop().time() + self._deadline
        bound = asyncio.timeout_at(self._until)
        try:
            async with bound:
                each = await self._next()
        except TimeoutError:
            if not bound.expired():
                raise
            self.timed_out = True
            each = None
        except ClientError:
            await self.aclose()
            raise
        if each is None:
            await self.aclose()
            raise StopAsyncIteration
        return cast("Received", each)  # `notes` decides what comes; see the overloads of `AsyncClient.watch`

    async def aclose(self) -> None:
        """End the iteration and its connection."""
        self._closed.set()
        await self._disconnect()

    def __del__(self) -> None:
        connection = getattr(self, "_connection", None)  # there is none if __init__ raised
        if connection is not None:
            connection.drop()

    async def _next(self) -> Item | Note | None:
        """The next item or note, None at the end. It may be cancelled wherever it waits, and called again."""
        watching = self._watching
        while not self._closed.is_set():
            each = await self._take()
            if each is not None:
                return each
            if watching.is_over:
                return None
            if self._rests:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._closed.wait(), watching.pause)
                self._rests = False
                continue
            if self._connection is None:
                self._connection = _Connection(self._http, self._options, watching.ask())
            step = await self._connection.receive()
            if step is not None:
                self._given = step(watching)
                continue
            self._connection = None
            self._rests = True
            if watching.failures > 1 and not self._closed.is_set():  # One is the usual end of a stream's life.
                if self._notes:
                    return Note("away", "", watching.failures)
                if watching.failures == 2:
                    logger.warning(AWAY, self._options.where)
        return None

    async def _take(self) -> Item | Note | None:
        """The next of what the last step gives."""
        try:
            for each in self._given or ():
                if isinstance(each, Item) or self._notes:
                    return each
        except BadUse:
            raise
        except ValueError:  # A line that broke: the connection is of no use any more.
            await self._disconnect()
            self._watching.cut()
            self._rests = True
        self._given = None
        return None

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


_Step = Callable[[WatchState], Iterator[Item | Note]]
"""What came, as what is to be done with it."""


class _Connection:
    """One request of a watch, read by a task of its own.

    So the generators of the library below are never left half-way through: they end inside the task, in their order,
    when it is cancelled. Left to the garbage collector or to the end of the loop, all would be closed at once, and
    each would find the next one running.
    """

    def __init__(self, http: httpx2.AsyncClient, options: Options, ask: Ask) -> None:
        self._http = http
        self._options = options
        self._ask = ask
        self._received: asyncio.Queue[_Step | None] = asyncio.Queue(_AHEAD)
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._read(), name="slosh watch")

    async def receive(self) -> _Step | None:
        """The next that came; None when the connection has ended."""
        return await self._received.get()

    async def close(self) -> None:
        """End it, and wait until it has ended."""
        self._task.cancel()
        await asyncio.wait({self._task})
        with contextlib.suppress(asyncio.QueueFull):  # No task waits for a queue that is full.
            self._received.put_nowait(None)

    def drop(self) -> None:
        """End it soon. Any thread may call this, as the garbage collector does."""
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(self._task.cancel)

    async def _read(self) -> None:
        """Put what comes into the queue, None behind it."""
        url, ask = self._options.url, self._ask
        try:
            async with self._http.stream(
                "GET", self._options.base + ask.path, headers=dict(ask.headers), timeout=WATCH
            ) as answer:
                if is_stream(answer, ask):
                    async for event in httpx2.EventSource(answer, MAX_EVENT):
                        await self._received.put(partial(_take_event, event))
                    last: _Step = _take_cut
                elif is_envelope(answer, ask):
                    last = partial(_take_envelope, await answer.aread())
                else:
                    last = partial(_take_answer, answer, await answer.aread(), self._options.where)
        except httpx2.ReadTimeout:
            last = partial(_take_cut, silent=ask.streams)
        except httpx2.SSEError as error:
            last = partial(_take_too_large, error)
        except (httpx2.TransportError, ValueError) as error:
            last = partial(_take_failure, error, url)
        except Exception as error:  # noqa: BLE001 - it belongs to the program that iterates, which gets it
            last = partial(_take_error, error)
        await self._received.put(last)
        await self._received.put(None)


def _take_event(event: httpx2.ServerSentEvent, watching: WatchState) -> Iterator[Item | Note]:
    return watching.event(event.event, event.data, event.id, event.retry)


def _take_envelope(body: bytes, watching: WatchState) -> Iterator[Item | Note]:
    return watching.envelope(body)


def _take_answer(answer: httpx2.Response, body: bytes, url: str, watching: WatchState) -> Iterator[Item | Note]:
    watching.answered(answer.status_code, answer.headers, body, url)
    return iter(())


def _take_cut(watching: WatchState, *, silent: bool = False) -> Iterator[Item | Note]:
    watching.cut(silent=silent)
    return iter(())


def _take_failure(error: Exception, url: str, watching: WatchState) -> Iterator[Item | Note]:
    if not watching.place and (sentence := explain_lasting(url, error)):
        raise Unreachable(sentence) from error
    return _take_cut(watching)


def _take_too_large(error: Exception, watching: WatchState) -> Iterator[Item | Note]:
    watching.too_large(error)


def _take_error(error: Exception, watching: WatchState) -> Iterator[Item | Note]:
    del watching
    raise error
