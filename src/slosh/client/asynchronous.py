"""The client for programs with an asyncio event loop. It is the other client, with `await` in front of what waits."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Unpack, overload

import httpx2

from slosh.client.addresses import topic_path, write_target
from slosh.client.answers import Published, Result, TopicPages, read_answer, read_patterns, read_watchers
from slosh.client.async_iterator import AsyncWatch
from slosh.client.bases import AsyncCloseable, OfOneServer
from slosh.client.connections import make_async_request, open_async_connections, unreachable
from slosh.client.delivery import Delivery
from slosh.client.history import History, history_query, read_history
from slosh.client.items import Item, Note
from slosh.client.protocol import WatchState
from slosh.client.request import (
    Options,
    Post,
    PublishOptions,
    WatchOptions,
    batch_post,
    check_deadline,
    end_post,
    make_options,
    one_post,
    open_post,
    watch_query,
    watchers_query,
)


class AsyncClient(AsyncCloseable, OfOneServer):
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
        self.http = open_async_connections(self._options)

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
        watching = WatchState(topics, watch_query(options))
        until = check_deadline(options.get("deadline"))
        if notes:
            return AsyncWatch[Item | Note](self.http, self._options, watching, until, notes=True)
        return AsyncWatch[Item](self.http, self._options, watching, until, notes=False)

    async def topics(self) -> list[dict[str, object]]:
        """The active topics. See `Client.topics`."""
        pages = TopicPages()
        while await self._get("/topics", pages.query, pages.take):
            pass
        return pages.found

    async def patterns(self) -> list[str]:
        """The patterns by which somebody reads. See `Client.patterns`."""
        return await self._get("/topics", {"patterns": ""}, read_patterns)

    async def history(
        self,
        topic: str,
        span: str | float = "1h",
        *,
        points: int | None = None,
        paths: Sequence[str] = (),
        by: str = "",
    ) -> History:
        """What the numbers in a topic's messages were. See `Client.history`."""
        query = history_query(span, points, paths, by)
        return await self._get(f"/topics/{topic_path(topic)}", query, read_history)

    async def watchers(self, topic: str, *, wait: float = 0.0) -> int:
        """How many watch a topic. See `Client.watchers`."""
        query = watchers_query(wait)
        return await self._get(f"/topics/{topic_path(topic)}", query, read_watchers, wait=wait)

    async def aclose(self) -> None:
        """Close the connections. The client cannot be used afterwards."""
        await self.http.aclose()

    async def _post(self, post: Post) -> Published:
        now = asyncio.get_running_loop().time
        delivery = Delivery(post, self._options, now())
        while True:
            left = delivery.left(now())
            try:
                answer = await make_async_request(
                    self.http, post.method, self.base + post.path, left, post.body, post.headers
                )
            except httpx2.TransportError as error:
                delivery.failed(error, now())
            else:
                published = delivery.answered(answer, now())
                if published is not None:
                    return published
            await asyncio.sleep(delivery.pause)

    async def _get(
        self, path: str, query: Mapping[str, str], read: Callable[[Mapping[str, Any]], Result], wait: float = 0.0
    ) -> Result:
        target = write_target(path, query)
        try:
            answer = await make_async_request(self.http, "GET", self.base + target, self._options.timeout + wait)
        except httpx2.TransportError as error:
            raise unreachable(self._options, error) from error
        return read_answer(answer.status_code, answer.headers, answer.content, self._options.where, read)
