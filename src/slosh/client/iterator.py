"""A watch, for programs without an event loop: an iterator that threads may end, and that may be dropped half read."""

import contextlib
import logging
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Generic, Self, TypeVar, cast

import httpx2

from slosh.client.bases import Closeable, Progress
from slosh.client.connections import AWAY, CONNECT, MAX_EVENT, Bounds, bound_steps, explain_lasting, open_connections
from slosh.client.errors import BadUse, Unreachable
from slosh.client.items import Item, Note
from slosh.client.protocol import SILENCE, Ask, WatchState
from slosh.client.request import Options, is_envelope, is_stream

logger = logging.getLogger(__name__)

Received = TypeVar("Received", bound=Item | Note)


class Watch(Closeable, Progress, Generic[Received]):
    """An iterator over the messages of topics; made by `Client.watch`.

    Close it, use it in a `with` block, or drop it: each ends its connection. `close` may be called by another thread,
    and ends the iteration there. Only one thread iterates: a step of another one raises `BadUse` while the first waits.
    An iteration that Ctrl-C stopped can be gone on with.
    """

    def __init__(self, reader: "Reader", *, notes: bool) -> None:
        self._reader = reader
        self._watching = reader.watching
        self._notes = notes
        self._step = threading.Lock()  # held while a thread is in `__next__`
        self._items = reader.run(notes=notes)  # the reader does not know it, so it ends as soon as nobody iterates

    @property
    def timed_out(self) -> bool:
        """Whether `deadline` ended the iteration."""
        return self._reader.timed_out

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Received:
        if not self._step.acquire(blocking=False):
            raise BadUse(
                "Another thread waits for the next item of this watch already. Make a watch for each thread, "
                "or hand the items of one on through a queue."
            )
        try:
            return cast("Received", next(self._items))  # `notes` decides which; see the overloads of `Client.watch`
        except KeyboardInterrupt:
            self._items = self._reader.run(notes=self._notes)  # A notebook's cell was stopped: the next one goes on.
            raise
        finally:
            self._step.release()

    def close(self) -> None:
        """End the iteration, also one that another thread waits in.

        If that thread is just making a connection, it ends behind that: within `CONNECT` seconds.
        """
        self._reader.close()


class Reader:
    """The connections of a watch, one after another.

    Args:
        connect: gives the connections of this process.
        deadline: seconds after which the iteration ends; None for no end.
    """

    def __init__(
        self, connect: Callable[[], httpx2.Client], options: Options, watching: WatchState, deadline: float | None
    ) -> None:
        self._connect = connect
        self._options = options
        self._deadline = deadline
        self._until: float | None = None
        self._stop = threading.Event()
        self._socket: socket.socket | None = None  # of the stream that is read
        self._polls: httpx2.Client | None = None  # a connection of its own: the head of a held poll comes at its end
        self._poll_socket: socket.socket | None = None
        self.watching = watching
        self.timed_out = False

    def run(self, *, notes: bool) -> Iterator[Item | Note]:
        """What comes, over all connections."""
        timer = self._start_timer()
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
                self._log_away(notes=notes)
                if self._stop.wait(self.watching.pause):
                    return
        finally:
            if timer is not None:
                timer.cancel()
            if self._polls is not None:
                self._polls.close()
                self._polls = None

    def close(self) -> None:
        """End the iteration; a thread that waits for the socket is woken."""
        self._stop.set()
        for connected in (self._socket, self._poll_socket):
            if connected is not None:
                with contextlib.suppress(OSError):  # It may have ended by itself.
                    # That of SSLSocket would take TLS off it too, and what is read then is no text.
                    socket.socket.shutdown(connected, socket.SHUT_RDWR)

    def _log_away(self, *, notes: bool) -> None:
        """Say once that nothing comes, if no notes do."""
        if not notes and self.watching.failures == 2:
            logger.warning(AWAY, self._options.where)

    def _start_timer(self) -> threading.Timer | None:
        """Have the iteration end when it is time, counted from its first step on."""
        if self._deadline is None:
            return None
        if self._until is None:
            self._until = time.monotonic() + self._deadline
        timer = threading.Timer(max(self._until - time.monotonic(), 0.0), self._time_out)
        timer.daemon = True
        timer.start()
        return timer

    def _time_out(self) -> None:
        self.timed_out = True
        self.close()

    def _open(self, ask: Ask) -> AbstractContextManager[httpx2.Response]:
        """Make a request."""
        address = self._options.base + ask.path
        if ask.streams:
            http, note = self._connect(), self._note_stream
        else:
            if self._polls is None:
                self._polls = open_connections(self._options)
            http, note = self._polls, self._note_polls
        until = math.inf if self._until is None else self._until
        bounds = Bounds(until, note, connect=CONNECT, write=CONNECT, read=SILENCE)
        extensions = {"timeout": bounds, "trace": bound_steps}
        return http.stream("GET", address, headers=ask.headers, extensions=extensions)

    def _note_stream(self, connected: socket.socket) -> None:
        """Keep the socket of a stream before anything waits for it, so that `close` reaches it."""
        self._socket = connected
        if self._stop.is_set():
            self.close()

    def _note_polls(self, connected: socket.socket) -> None:
        """The same of the connection for polls."""
        self._poll_socket = connected
        if self._stop.is_set():
            self.close()

    def _read(self) -> Iterator[Item | Note]:
        """What one request gives. Its end is told to `watching`, which says what comes next."""
        watching, url = self.watching, self._options.url
        ask = watching.ask()
        try:
            with self._open(ask) as answer:
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
                    watching.answered(answer.status_code, answer.headers, answer.read(), self._options.where)
        except httpx2.ReadTimeout:
            self._cut_silent(ask)
        except httpx2.SSEError as error:
            watching.too_large(error)
        except (httpx2.TransportError, ValueError) as error:
            if not (watching.place or self._stop.is_set()) and (sentence := explain_lasting(url, error)):
                raise Unreachable(sentence) from error
            watching.cut()  # Half an answer is none: it is asked for again.
        finally:
            self._socket = None

    def _cut_silent(self, ask: Ask) -> None:
        if self._until is not None and time.monotonic() >= self._until:
            self._time_out()  # The timer is late: that is no silence of the server.
        else:
            self.watching.cut(silent=ask.streams)
