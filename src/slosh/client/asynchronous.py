"""The client for programs with an asyncio event loop. It is the other client, with `await` in front of what waits.

It is longer than other files because it has all that the other client has, in the same order.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Final, Generic, Literal, Self, TypeVar, Unpack, cast, overload

import httpx2

from slosh.client.addresses import topic_path
from slosh.client.answers import Published, read_answer, read_patterns, read_problem
from slosh.client.errors import BadUse, ClientError, Refused, Unreachable
from slosh.client.history import History, history_query, read_history
from slosh.client.items import Item, Note
from slosh.client.protocol import Ask, Watching
from slosh.client.request import (
    CONNECT,
    MAX_EVENT,
    WATCH,
    Options,
    Post,
    PublishOptions,
    WatchOptions,
    batch_post,
    check_deadline,
    end_post,
    is_envelope,
    is_stream,
    make_options,
    one_post,
    open_post,
    told_tls,
    unreachable,
    watch_query,
)

Received = TypeVar("Received", bound=Item | Note)
_AHEAD: Final = 16
"""Events that are read before the program asks for them."""


class AsyncClient:
    """A slosh server, as seen from a program with an event loop. See `Client`; the arguments are the same.

    Call `aclose`, or use it in an `async with` block. It belongs to the loop in which it is first used.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
    ) -> None:
        self._options: Options = make_options(url, token, headers, timeout)
        self.http = httpx2.AsyncClient(
            headers=dict(self._options.headers),
            timeout=httpx2.Timeout(self._options.timeout, connect=CONNECT, pool=None),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=16),
        )

    @property
    def url(self) -> str:
        """The server's address."""
        return self._options.url

    async def publish(self, topic: str, value: object, **options: Unpack[PublishOptions]) -> Published:
        """Publish one message. See `Client.publish`."""
        return await self._post(one_post(topic, value, options))

    async def publish_many(self, topic: str, values: Iterable[object], **options: Unpack[PublishOptions]) -> Published:
        """Publish several messages of one topic, next to each other. See `Client.publish_many`."""
        return await self._post(batch_post(topic, values, options))

    async def open(self, topic: str) -> Published:
        """Make a topic active, as a reader does. See `Client.open`."""
        return await self._post(open_post(topic))

    async def end(self, topic: str) -> Published:
        """End a topic without a message. See `Client.end`."""
        return await self._post(end_post(topic))

    @overload
    def watch(
        self, *topics: str, notes: Literal[False] = False, **options: Unpack[WatchOptions]
    ) -> "AsyncWatch[Item]": ...

    @overload
    def watch(
        self, *topics: str, notes: Literal[True], **options: Unpack[WatchOptions]
    ) -> "AsyncWatch[Item | Note]": ...

    def watch(
        self, *topics: str, notes: bool = False, **options: Unpack[WatchOptions]
    ) -> "AsyncWatch[Item] | AsyncWatch[Item | Note]":
        """Watch topics: an asynchronous iterator over their messages. See `Client.watch`.

        A step that is cancelled loses nothing: the next one goes on at the same place, over the same connection.
        """
        watching = Watching(topics, watch_query(options))
        until = check_deadline(options.get("deadline"))
        if notes:
            return AsyncWatch[Item | Note](self, watching, until, notes=True)
        return AsyncWatch[Item](self, watching, until, notes=False)

    async def topics(self) -> list[dict[str, object]]:
        """The active topics. See `Client.topics`."""
        found: list[dict[str, object]] = []
        after = ""
        while True:
            said = await self._get("/topics", {"after": after} if after else {}, "topics")
            listed = said.get("topics")
            found.extend(listed if isinstance(listed, list) else [])
            after = str(said.get("after", ""))
            if not after:
                return found

    async def patterns(self) -> list[str]:
        """The patterns by which somebody reads. See `Client.patterns`."""
        return read_patterns(await self._get("/topics", {"patterns": ""}, "patterns", "topics"))

    async def history(
        self, topic: str, span: str | float = "1h", *, points: int = 600, paths: Sequence[str] = (), by: str = ""
    ) -> History:
        """What the numbers in a topic's messages were. See `Client.history`."""
        return read_history(
            await self._get(f"/topics/{topic_path(topic)}", history_query(span, points, paths, by), "series")
        )

    async def watchers(self, topic: str, *, wait: float = 0.0) -> int:
        """How many watch a topic. See `Client.watchers`."""
        query = {"watchers": ""} | ({"wait": f"{wait:g}"} if wait else {})
        count = (await self._get(f"/topics/{topic_path(topic)}", query, "watchers", wait=wait)).get("watchers")
        return count if isinstance(count, int) else 0

    async def aclose(self) -> None:
        """Close the connections. The client cannot be used afterwards."""
        await self.http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _post(self, post: Post) -> Published:
        now = asyncio.get_running_loop().time
        until = now() + self._options.timeout
        while True:
            failure: Exception
            try:
                left = max(until - now(), 0.001)
                answer = await self.http.request(
                    post.method, self.url + post.path, content=post.body, headers=post.headers, timeout=left
                )
            except httpx2.TransportError as error:
                failure = error
                post.failed(error)
            else:
                published = post.answered(answer, self.url)
                if published is not None:
                    return published
                failure = Refused(answer.status_code, read_problem(answer.content), self.url)
            if now() + post.pause >= until:
                raise failure if isinstance(failure, ClientError) else unreachable(self._options, failure)
            await asyncio.sleep(post.pause)

    async def _get(self, path: str, query: Mapping[str, str], *members: str, wait: float = 0.0) -> Mapping[str, object]:
        try:
            answer = await self.http.get(self.url + path, params=dict(query), timeout=self._options.timeout + wait)
        except httpx2.TransportError as error:
            raise unreachable(self._options, error) from error
        return read_answer(answer.status_code, answer.headers, answer.content, self.url, *members)


class AsyncWatch(Generic[Received]):
    """An asynchronous iterator over the messages of topics; made by `AsyncClient.watch`.

    Call `aclose`, or use it in an `async with` block, when you leave it before its end. One that is dropped ends its
    connection too.

    Attributes:
        timed_out: whether `deadline` ended the iteration.
    """

    def __init__(self, client: AsyncClient, watching: Watching, deadline: float | None, *, notes: bool) -> None:
        self._client = client
        self._watching = watching
        self._deadline = deadline
        self._until: float | None = None
        self._notes = notes
        self._connection: _Connection | None = None
        self._given: Iterator[Item | Note] | None = None  # what is left of the last that came
        self._rests = False  # whether to pause before the next request
        self._closed = False
        self.timed_out = False

    @property
    def place(self) -> str:
        """The place behind the last message given; give it as `since` to go on there. Empty before any."""
        return self._watching.place

    @property
    def lost(self) -> int:
        """How many messages were missed so far."""
        return self._watching.lost

    @property
    def truncated(self) -> bool:
        """Whether a part of the window that `since` asked for had left the ring before this reader came."""
        return self._watching.truncated

    @property
    def incomplete(self) -> bool:
        """Whether the patterns take in more topics than one reader may come to, so that some are left out."""
        return self._watching.incomplete

    @property
    def ended(self) -> bool:
        """Whether the topics ended, so that nothing follows."""
        return self._watching.is_over

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Received:
        if self._closed:
            raise StopAsyncIteration
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
        self._closed = True
        await self._disconnect()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        connection = getattr(self, "_connection", None)  # there is none where __init__ raised
        if connection is not None:
            connection.drop()

    async def _next(self) -> Item | Note | None:
        """The next item or note, None at the end. It may be cancelled wherever it waits, and called again."""
        watching = self._watching
        while True:
            each = await self._take()
            if each is not None:
                return each
            if watching.is_over:
                return None
            if self._rests:
                await asyncio.sleep(watching.pause)
                self._rests = False
            if self._connection is None:
                self._connection = _Connection(self._client, watching.ask())
            step = await self._connection.receive()
            if step is not None:
                self._given = step(watching)
                continue
            self._connection = None
            self._rests = True
            if self._notes and watching.failures > 1:  # One is the usual end of a stream's life.
                return Note("away", "", watching.failures)

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


_Step = Callable[[Watching], Iterator[Item | Note]]
"""What came, as what is to be done with it."""


class _Connection:
    """One request of a watch, read by a task of its own.

    So the generators of the library below are never left half-way through: they end inside the task, in their order,
    when it is cancelled. Left to the garbage collector or to the end of the loop, all would be closed at once, and
    each would find the next one running.
    """

    def __init__(self, client: AsyncClient, ask: Ask) -> None:
        self._client = client
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

    def drop(self) -> None:
        """End it soon. Any thread may call this, as the garbage collector does."""
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(self._task.cancel)

    async def _read(self) -> None:
        """Put what comes into the queue, None behind it."""
        client, ask = self._client, self._ask
        try:
            async with client.http.stream(
                "GET", client.url + ask.path, headers=dict(ask.headers), timeout=WATCH
            ) as answer:
                if is_stream(answer, ask):
                    async for event in httpx2.EventSource(answer, MAX_EVENT):
                        await self._received.put(partial(_take_event, event))
                    last: _Step = _take_cut
                elif is_envelope(answer, ask):
                    last = partial(_take_envelope, await answer.aread())
                else:
                    last = partial(_take_answer, answer, await answer.aread(), client.url)
        except httpx2.ReadTimeout:
            last = partial(_take_cut, silent=ask.streams)
        except httpx2.SSEError as error:
            last = partial(_take_too_large, error)
        except (httpx2.TransportError, ValueError) as error:
            last = partial(_take_failure, error, client.url)
        except Exception as error:  # noqa: BLE001 - it belongs to the program that iterates, which gets it
            last = partial(_take_error, error)
        await self._received.put(last)
        await self._received.put(None)


def _take_event(event: httpx2.ServerSentEvent, watching: Watching) -> Iterator[Item | Note]:
    return watching.event(event.event, event.data, event.id, event.retry)


def _take_envelope(body: bytes, watching: Watching) -> Iterator[Item | Note]:
    return watching.envelope(body)


def _take_answer(answer: httpx2.Response, body: bytes, url: str, watching: Watching) -> Iterator[Item | Note]:
    watching.answered(answer.status_code, answer.headers, body, url)
    return iter(())


def _take_cut(watching: Watching, *, silent: bool = False) -> Iterator[Item | Note]:
    watching.cut(silent=silent)
    return iter(())


def _take_failure(error: Exception, url: str, watching: Watching) -> Iterator[Item | Note]:
    if not watching.place and (told := told_tls(url, error)):
        raise Unreachable(told) from error
    return _take_cut(watching)


def _take_too_large(error: Exception, watching: Watching) -> Iterator[Item | Note]:
    watching.too_large(error)


def _take_error(error: Exception, watching: Watching) -> Iterator[Item | Note]:
    del watching
    raise error
