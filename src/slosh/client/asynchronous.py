"""The client for programs with an asyncio event loop. It is the other client, with `await` in front of what waits."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from types import TracebackType
from typing import Generic, Literal, Self, TypeVar, Unpack, cast, overload

import httpx2

from slosh.client.asking import (
    CONNECT,
    MAX_EVENT,
    WATCH,
    Options,
    Post,
    WatchOptions,
    batch_post,
    check_deadline,
    is_envelope,
    is_stream,
    make_options,
    one_post,
    unreachable,
    watch_query,
)
from slosh.client.errors import ClientError, Refused
from slosh.client.protocol import Item, Note, Published, Watching, read_problem, topic_path

Given = TypeVar("Given", bound=Item | Note)


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

    async def publish(self, topic: str, value: object, *, key: str | None = None, strict: bool = False) -> Published:
        """Publish one message. See `Client.publish`."""
        return await self._post(one_post(topic, value, key=key, strict=strict))

    async def publish_many(
        self, topic: str, values: Iterable[object], *, key: str | None = None, strict: bool = False
    ) -> Published:
        """Publish several messages of one topic, next to each other. See `Client.publish_many`."""
        return await self._post(batch_post(topic, values, key=key, strict=strict))

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

        A step that is cancelled loses nothing: the next one goes on at the same place.
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
            said = await self._get("/topics", {"after": after} if after else {})
            listed = said.get("topics")
            found.extend(listed if isinstance(listed, list) else [])
            after = str(said.get("after", ""))
            if not after:
                return found

    async def watchers(self, topic: str, *, wait: float = 0.0) -> int:
        """How many watch a topic. See `Client.watchers`."""
        query = {"watchers": ""} | ({"wait": f"{wait:g}"} if wait else {})
        count = (await self._get(f"/topics/{topic_path(topic)}", query, wait)).get("watchers")
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
                answer = await self.http.post(
                    self.url + post.path, content=post.body, headers=post.headers, timeout=max(until - now(), 0.001)
                )
            except httpx2.TransportError as error:
                failure = error
                post.failed(error)
            else:
                published = post.answered(answer)
                if published is not None:
                    return published
                failure = Refused(answer.status_code, read_problem(answer.content), self.url)
            if now() + post.pause >= until:
                raise failure if isinstance(failure, ClientError) else unreachable(self._options, failure)
            await asyncio.sleep(post.pause)

    async def _get(self, path: str, query: Mapping[str, str], wait: float = 0.0) -> Mapping[str, object]:
        try:
            answer = await self.http.get(self.url + path, params=dict(query), timeout=self._options.timeout + wait)
        except httpx2.TransportError as error:
            raise unreachable(self._options, error) from error
        said = read_problem(answer.content)
        if answer.status_code != 200:
            raise Refused(answer.status_code, said, self.url)
        return said


class AsyncWatch(Generic[Given]):
    """An asynchronous iterator over the messages of topics; made by `AsyncClient.watch`.

    Call `aclose`, or use it in an `async with` block, when you leave it before its end.

    Attributes:
        timed_out: whether `deadline` ended the iteration.
    """

    def __init__(self, client: AsyncClient, watching: Watching, deadline: float | None, *, notes: bool) -> None:
        self._client = client
        self._watching = watching
        self._deadline = deadline
        self._until: float | None = None
        self._notes = notes
        self._items: AsyncIterator[Item | Note] | None = None
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
    def ended(self) -> bool:
        """Whether the topics ended, so that nothing follows."""
        return self._watching.is_over

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Given:
        if self._closed:
            raise StopAsyncIteration
        if self._deadline is not None and self._until is None:
            self._until = asyncio.get_running_loop().time() + self._deadline
        if self._items is None:  # the first step, or the one after a step that was cancelled
            self._items = self._run()
        bound = asyncio.timeout_at(self._until)
        try:
            async with bound:
                return cast("Given", await anext(self._items))
        except TimeoutError:
            if not bound.expired():
                raise
            self.timed_out = True
            await self.aclose()
            raise StopAsyncIteration from None
        except asyncio.CancelledError:
            self._items = None
            raise

    async def aclose(self) -> None:
        """End the iteration and its connection."""
        self._closed = True
        items, self._items = self._items, None
        close = getattr(items, "aclose", None)
        if close is not None:
            await close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _run(self) -> AsyncIterator[Item | Note]:
        while True:
            async for each in self._read():
                if isinstance(each, Item) or self._notes:
                    yield each
            if self._watching.is_over:
                return
            if self._notes and self._watching.failures > 1:  # One is the usual end of a stream's life.
                yield Note("away", "", self._watching.failures)
            await asyncio.sleep(self._watching.pause)

    async def _read(self) -> AsyncIterator[Item | Note]:
        """What one request gives. Its end is told to the protocol, which says what comes next."""
        watching, client = self._watching, self._client
        ask = watching.ask()
        try:
            async with client.http.stream(
                "GET", client.url + ask.path, headers=dict(ask.headers), timeout=WATCH
            ) as answer:
                if is_stream(answer, ask):
                    async for event in httpx2.EventSource(answer, MAX_EVENT):
                        for each in watching.event(event.event, event.data, event.id, event.retry):
                            yield each
                        if watching.is_over:
                            return
                    watching.cut()
                elif is_envelope(answer, ask):
                    for each in watching.envelope(await answer.aread()):
                        yield each
                else:
                    watching.answered(answer.status_code, answer.headers, await answer.aread(), client.url)
        except httpx2.ReadTimeout:
            watching.cut(silent=ask.streams)
        except (httpx2.TransportError, ValueError):
            watching.cut()
