"""The client for programs without an event loop."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Unpack, overload

import httpx2

from slosh.client.addresses import topic_path, write_target
from slosh.client.answers import Published, Result, TopicPages, read_answer, read_patterns, read_watchers
from slosh.client.bases import Closeable, OfOneServer
from slosh.client.connections import make_request, open_connections, unreachable
from slosh.client.delivery import Delivery
from slosh.client.errors import ClientError
from slosh.client.history import History, history_query, read_history
from slosh.client.items import Item, Note
from slosh.client.iterator import Reader, Watch
from slosh.client.protocol import WatchState
from slosh.client.request import (
    Options,
    Post,
    PublishOptions,
    WatchOptions,
    batch_post,
    check_deadline,
    encoded_post,
    end_post,
    make_options,
    one_post,
    open_post,
    watch_query,
    watchers_query,
)


class Client(Closeable, OfOneServer):
    """A client of one slosh server, for programs without an event loop. Threads may share it.

    >>> with Client() as client:
    ...     client.publish("kitchen", {"t": 21.5}).taken
    False

    Close it, or use it in a `with` block. It can be used after a fork: the child makes connections of its own.

    Args:
        url: the server's address; `unix:` and a path for a Unix socket. None for the environment's SLOSH_URL, or else
            http://127.0.0.1:8000.
        token: sent as `Authorization: Bearer`; None for SLOSH_TOKEN, if that is set.
        headers: sent with each request.
        timeout: seconds that a request may take in total, retries included. Watching has no such limit.

    Raises:
        BadUse: an argument cannot be used.
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
        self._http: httpx2.Client | None = None
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._lists_more = False  # of the last answer: whether a client with a token would be told more

    def publish(self, topic: str, value: object, **options: Unpack[PublishOptions]) -> Published:
        """Publish one message.

        If the connection fails or the server is busy, the request is repeated until `timeout`, with the same
        idempotency key, so the message is stored once.

        Args:
            topic: its name.
            value: anything that `slosh.client.values` can encode as JSON.
            key: the idempotency key; one is made if none is given.
            strict: raise if nobody watches the topic, or it has ended.
            open: make the topic active first, as a reader does, so that the message is stored even if nobody watches.
            end: end the topic with this message: its readers get the remaining messages, and their iteration ends.

        Returns:
            The result. It is false, and the message was not stored, if nobody watches the topic or it has ended
            (`ended`).

        Raises:
            BadUse: the topic or the value cannot be used.
            Refused: the server does not accept this message; `reason` and `detail` say why.
            NotTaken: `strict` is set, and nobody watches or the topic has ended.
            Unreachable: no answer within `timeout` seconds. The message may have been stored.
        """
        return self._post(one_post(topic, value, options))

    def publish_many(self, topic: str, values: Iterable[object], **options: Unpack[PublishOptions]) -> Published:
        """Publish several messages of one topic, next to each other: all are stored, or none is. See `publish`."""
        return self._post(batch_post(topic, values, options))

    def publish_encoded(
        self,
        topic: str,
        lines: Sequence[bytes],
        *,
        tried: Callable[[ClientError], None] | None = None,
        **options: Unpack[PublishOptions],
    ) -> Published:
        """Publish messages that are JSON already, without line breaks in them. See `publish_many`.

        Args:
            tried: called with each failure that is followed by another try.
        """
        return self._post(encoded_post(topic, lines, options), tried)

    def open(self, topic: str) -> Published:
        """Make a topic active, as a reader does, so that the next messages are stored even if nobody watches.

        If no reader comes within the server's `linger` (30 s), the next publish is false.
        """
        return self._post(open_post(topic))

    def end(self, topic: str) -> Published:
        """End a topic without a message. False if it was not active. See `publish` with `end`."""
        return self._post(end_post(topic))

    @overload
    def watch(self, *topics: str, notes: Literal[False] = False, **options: Unpack[WatchOptions]) -> "Watch[Item]": ...

    @overload
    def watch(self, *topics: str, notes: Literal[True], **options: Unpack[WatchOptions]) -> "Watch[Item | Note]": ...

    def watch(
        self, *topics: str, notes: bool = False, **options: Unpack[WatchOptions]
    ) -> "Watch[Item] | Watch[Item | Note]":
        """Watch topics: an iterator over their messages, which ends when all topics have ended.

        It reconnects by itself and continues after the last message that it returned, so no message comes twice;
        missed messages are counted (`Item.lost`, `Watch.lost`).

        Args:
            topics: names, and patterns such as `sensors/*` or `runs/**`.
            since: where to start: `earliest`, `now`, a place (`Item.place`), or a time span: `"10m"`, or seconds. The
                default is `now`, unless `last` is given.
            last: start with this many of the newest messages.
            limit: return at most this many of the newest waiting messages at a time.
            every: gather for this long, `"250ms"` or seconds, then return all messages that came.
            key: a dotted path into the messages; return only the newest waiting message for each value there.
            deadline: end after this many seconds; `Watch.timed_out` is then true.
            notes: also return a `Note` for each loss, reset and end, in its place among the messages.

        Raises:
            BadUse: an argument cannot be used. Iterating raises `Refused` if the server says no.
        """
        watching = WatchState(topics, watch_query(options))
        reader = Reader(self.connect, self._options, watching, check_deadline(options.get("deadline")))
        return Watch[Item | Note](reader, notes=True) if notes else Watch[Item](reader, notes=False)

    def topics(self) -> list[dict[str, object]]:
        """The active topics: `name`, `watchers`, `max`, `age` (seconds) and `rate` (messages a second) of each."""
        pages = TopicPages()
        while self._get("/topics", pages.query, pages.take):
            pass
        return pages.found

    def patterns(self) -> list[str]:
        """The patterns that readers use, for a producer of very many topics: topics that they match are watched.

        A server lists at most a hundred; if there are more, `**` is among them. Empty if the server lists none.
        """
        return self._get("/topics", {"patterns": ""}, read_patterns)

    def history(
        self,
        topic: str,
        span: str | float = "1h",
        *,
        points: int | None = None,
        paths: Sequence[str] = (),
        by: str = "",
    ) -> History:
        """The history of the numbers in a topic's messages, in columns that are ready to plot.

        Args:
            span: how far back: `10m`, `1h`, or seconds; `all` for all that is kept, `6h,all` for six hours or all
                if that is less.
            points: how many steps at most, 1 to 4096; a step is a second or longer. None for 600, or as many as the
                number of series allows.
            paths: of the numbers to return; all if left out.
            by: a member of the messages: one series for each of its values.

        Raises:
            Refused: the topic's class does not keep so long a history.
        """
        return self._get(f"/topics/{topic_path(topic)}", history_query(span, points, paths, by), read_history)

    def watchers(self, topic: str, *, wait: float = 0.0) -> int:
        """How many watch a topic.

        Args:
            wait: if nobody watches, wait up to this many seconds for a watcher.
        """
        query = watchers_query(wait)
        return self._get(f"/topics/{topic_path(topic)}", query, read_watchers, wait=wait)

    def close(self) -> None:
        """Close the connections. The client may be used again, and opens new ones then."""
        self._notice_fork()
        with self._lock:
            http, self._http = self._http, None
        if http is not None:
            http.close()

    def connect(self) -> httpx2.Client:
        """The connections of this process."""
        self._notice_fork()
        with self._lock:
            if self._http is None:
                self._http = open_connections(self._options)
            return self._http

    def _notice_fork(self) -> None:
        """After a fork, leave the parent's connections alone: two processes cannot share one.

        The lock is replaced as well: a thread that does not exist in the child may have held it.
        """
        if self._process != os.getpid():
            self._lock = threading.Lock()
            self._http = None
            self._process = os.getpid()

    def _post(self, post: Post, tried: Callable[[ClientError], None] | None = None) -> Published:
        delivery = Delivery(post, self._options, time.monotonic(), tried)
        while True:
            left = delivery.left(time.monotonic())
            try:
                answer = make_request(self.connect(), post.method, self.base + post.path, left, post.body, post.headers)
            except httpx2.TransportError as error:
                delivery.failed(error, time.monotonic())
            else:
                published = delivery.answered(answer, time.monotonic())
                if published is not None:
                    return published
            time.sleep(delivery.pause)

    def _get(
        self, path: str, query: Mapping[str, str], read: Callable[[Mapping[str, Any]], Result], wait: float = 0.0
    ) -> Result:
        target = write_target(path, query)
        try:
            answer = make_request(self.connect(), "GET", self.base + target, self._options.timeout + wait)
        except httpx2.TransportError as error:
            raise unreachable(self._options, error) from error
        self._lists_more = answer.status_code == 200 and "www-authenticate" in answer.headers
        return read_answer(answer.status_code, answer.headers, answer.content, self._options.where, read)
