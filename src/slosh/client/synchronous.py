"""The client for programs without an event loop."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Final, Generic, Literal, Self, TypeVar, Unpack, cast, overload

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
    encoded_post,
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
_KEPT: Final = 16
"""Connections that are kept open for the next request."""


class Client:
    """A slosh server, as seen from a program without an event loop. Threads may share it.

    Close it, or use it in a `with` block. A process that forks goes on with it: the child makes connections of its own.

    Args:
        url: the server's address; None for the environment's SLOSH_URL, else http://127.0.0.1:8000.
        token: sent as `Authorization: Bearer`; None for SLOSH_TOKEN, if that is set.
        headers: sent with each request.
        timeout: seconds that a request may take in all, retries included. Watching has no such bound.

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
        self._process = 0
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """The server's address."""
        return self._options.url

    def publish(self, topic: str, value: object, *, key: str | None = None, strict: bool = False) -> Published:
        """Publish one message.

        A connection that fails and a server that is busy are tried again until `timeout`, with the same idempotency
        key, so the message is stored once.

        Args:
            topic: its name.
            value: anything that `slosh.client.values` gives a form in JSON.
            key: the idempotency key; one is made where none is given.
            strict: raise where nobody watches the topic.

        Returns:
            What became of it. It is false, and the message was not stored, where nobody watches the topic.

        Raises:
            BadUse: the topic or the value cannot be used.
            Refused: the server does not take this message; `reason` and `detail` say why.
            NotTaken: `strict`, and nobody watches.
            Unreachable: no answer within `timeout` seconds. The message may have been stored.
        """
        return self._post(one_post(topic, value, key=key, strict=strict))

    def publish_many(
        self, topic: str, values: Iterable[object], *, key: str | None = None, strict: bool = False
    ) -> Published:
        """Publish several messages of one topic, next to each other: all are stored, or none is. See `publish`."""
        return self._post(batch_post(topic, values, key=key, strict=strict))

    def publish_encoded(
        self, topic: str, lines: Sequence[bytes], *, key: str | None = None, strict: bool = False
    ) -> Published:
        """Publish messages that are JSON already, one a line, without a line's end in any. See `publish_many`."""
        return self._post(encoded_post(topic, lines, key=key, strict=strict))

    @overload
    def watch(self, *topics: str, notes: Literal[False] = False, **options: Unpack[WatchOptions]) -> "Watch[Item]": ...

    @overload
    def watch(self, *topics: str, notes: Literal[True], **options: Unpack[WatchOptions]) -> "Watch[Item | Note]": ...

    def watch(
        self, *topics: str, notes: bool = False, **options: Unpack[WatchOptions]
    ) -> "Watch[Item] | Watch[Item | Note]":
        """Watch topics: an iterator over their messages, for as long as they go on.

        It connects again by itself, from the place after the last message that it gave, so nothing comes twice, and
        what was missed is told (`Item.lost`, `Watch.lost`).

        Args:
            topics: names, and patterns such as `sensors/*` or `runs/**`.
            since: where to start: `earliest`, `now`, a place (`Item.place`), or a time span: `"10m"`, or seconds.
                From now on, where neither this nor `last` is given.
            last: start with so many of the newest messages.
            limit: of what waits, give only so many of the newest messages at a time.
            every: gather for this long, `"250ms"` or seconds, then give all that came.
            key: a dotted path into the messages; of those that wait, only the newest of each value there is given.
            deadline: end after so many seconds; `Watch.timed_out` tells.
            notes: also give a `Note` for each loss, reset and end, in its place among the messages.

        Raises:
            BadUse: an argument cannot be used. Iterating raises `Refused` where the server says no.
        """
        watching = Watching(topics, watch_query(options))
        reader = _Reader(self, watching, check_deadline(options.get("deadline")))
        return Watch[Item | Note](reader, notes=True) if notes else Watch[Item](reader, notes=False)

    def topics(self) -> list[dict[str, object]]:
        """The active topics: `name`, `watchers`, `max`, `age` (seconds) and `rate` (messages a second) of each."""
        found: list[dict[str, object]] = []
        after = ""
        while True:
            said = self._get("/topics", {"after": after} if after else {})
            listed = said.get("topics")
            found.extend(listed if isinstance(listed, list) else [])
            after = str(said.get("after", ""))
            if not after:
                return found

    def watchers(self, topic: str, *, wait: float = 0.0) -> int:
        """How many watch a topic.

        Args:
            wait: seconds to wait until somebody does, if nobody does now.
        """
        query = {"watchers": ""} | ({"wait": f"{wait:g}"} if wait else {})
        count = self._get(f"/topics/{topic_path(topic)}", query, wait).get("watchers")
        return count if isinstance(count, int) else 0

    def close(self) -> None:
        """Close the connections. The client may be used again, and opens new ones then."""
        with self._lock:
            http, self._http = self._http, None
        if http is not None and self._process == os.getpid():
            http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def connect(self) -> httpx2.Client:
        """The connections of this process."""
        with self._lock:
            if self._http is None or self._process != os.getpid():
                # After a fork the parent's connections are left alone: two processes cannot share one.
                self._process = os.getpid()
                self._http = httpx2.Client(
                    headers=dict(self._options.headers),
                    timeout=httpx2.Timeout(self._options.timeout, connect=CONNECT, pool=None),
                    limits=httpx2.Limits(max_connections=None, max_keepalive_connections=_KEPT),
                )
            return self._http

    def _post(self, post: Post) -> Published:
        until = time.monotonic() + self._options.timeout
        while True:
            failure: Exception | None = None
            left = max(until - time.monotonic(), 0.001)
            try:
                answer = self.connect().post(
                    self.url + post.path, content=post.body, headers=post.headers, timeout=left
                )
                published = post.answered(answer)
                if published is not None:
                    return published
            except httpx2.TransportError as error:
                failure = error
                post.failed(error)
            else:
                failure = Refused(answer.status_code, read_problem(answer.content), self.url)
            if time.monotonic() + post.pause >= until:
                raise failure if isinstance(failure, ClientError) else unreachable(self._options, failure)
            time.sleep(post.pause)

    def _get(self, path: str, query: Mapping[str, str], wait: float = 0.0) -> Mapping[str, object]:
        try:
            answer = self.connect().get(self.url + path, params=dict(query), timeout=self._options.timeout + wait)
        except httpx2.TransportError as error:
            raise unreachable(self._options, error) from error
        said = read_problem(answer.content)
        if answer.status_code != 200:
            raise Refused(answer.status_code, said, self.url)
        return said


class Watch(Generic[Given]):
    """An iterator over the messages of topics; made by `Client.watch`.

    Close it, use it in a `with` block, or let it go: each ends its connection. `close` may be called by another thread,
    and ends the iteration there. Only one thread iterates.
    """

    def __init__(self, reader: "_Reader", *, notes: bool) -> None:
        self._reader = reader
        self._items = reader.run(notes=notes)  # the reader does not know it, so it ends as soon as nobody iterates

    @property
    def place(self) -> str:
        """The place behind the last message given; give it as `since` to go on there. Empty before any."""
        return self._reader.watching.place

    @property
    def lost(self) -> int:
        """How many messages were missed so far."""
        return self._reader.watching.lost

    @property
    def ended(self) -> bool:
        """Whether the topics ended, so that nothing follows."""
        return self._reader.watching.is_over

    @property
    def timed_out(self) -> bool:
        """Whether `deadline` ended the iteration."""
        return self._reader.timed_out

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Given:
        return cast("Given", next(self._items))  # `notes` decides what comes; see the overloads of `Client.watch`

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the iteration, also one that another thread waits in."""
        self._reader.close()


class _Reader:
    """The connections of a watch, one after another."""

    def __init__(self, client: Client, watching: Watching, deadline: float | None) -> None:
        self._client = client
        self._deadline = deadline
        self._stop = threading.Event()
        self._socket: socket.socket | None = None
        self.watching = watching
        self.timed_out = False

    def run(self, *, notes: bool) -> Iterator[Item | Note]:
        """What comes, over all connections."""
        timer: threading.Timer | None = None
        if self._deadline is not None:
            timer = threading.Timer(self._deadline, self._time_out)
            timer.daemon = True
            timer.start()
        try:
            while not self._stop.is_set():
                for each in self._read():
                    if isinstance(each, Item) or notes:
                        yield each
                    if self._stop.is_set():
                        return
                if self.watching.is_over:
                    return
                if notes and self.watching.failures > 1:  # One is the usual end of a stream's life.
                    yield Note("away", "", self.watching.failures)
                if self._stop.wait(self.watching.pause):
                    return
        finally:
            if timer is not None:
                timer.cancel()

    def close(self) -> None:
        """End the iteration; a thread that waits for the socket is woken."""
        self._stop.set()
        connected = self._socket
        if connected is not None:
            with contextlib.suppress(OSError):  # It may have ended by itself.
                connected.shutdown(socket.SHUT_RDWR)

    def _time_out(self) -> None:
        self.timed_out = True
        self.close()

    def _read(self) -> Iterator[Item | Note]:
        """What one request gives. Its end is told to `watching`, which says what comes next."""
        watching, client = self.watching, self._client
        ask = watching.ask()
        try:
            with client.connect().stream("GET", client.url + ask.path, headers=ask.headers, timeout=WATCH) as answer:
                self._socket = answer.extensions["network_stream"].get_extra_info("socket")
                if self._stop.is_set():
                    return
                if is_stream(answer, ask):
                    for event in httpx2.EventSource(answer, MAX_EVENT):
                        yield from watching.event(event.event, event.data, event.id, event.retry)
                        if watching.is_over:
                            return
                    watching.cut()
                elif is_envelope(answer, ask):
                    yield from watching.envelope(answer.read())
                else:
                    watching.answered(answer.status_code, answer.headers, answer.read(), client.url)
        except httpx2.ReadTimeout:
            watching.cut(silent=ask.streams)
        except (httpx2.TransportError, ValueError):
            watching.cut()  # Half an answer is none: it is asked for again.
        finally:
            self._socket = None
