"""Publishing in the background, for programs that have something else to do.

The rules of this file:

* `send` never waits for the server, unless `when_full="wait"` says so.
* The messages that wait are bounded in bytes, and whatever is dropped is counted.
* The messages of one topic keep their order (waiting.py). A batch that got no answer is sent again with the same
  idempotency key, before anything later, so nothing is stored twice.
* A message of a topic that nobody watches is dropped at once, as the server would do.
* An answer that may be another one later (429, 5xx) is no refusal: the batch is sent again, as if none came.
* A program that looks at no counter hears of it too: what fails twice, what is refused, and what was not published at
  the end is logged as a warning, which Python shows on standard error if a program says nothing of logging.
"""

import atexit
import contextlib
import logging
import os
import secrets
import threading
import time
import weakref
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from slosh.client.addresses import one_topic_path
from slosh.client.answers import Published, passes
from slosh.client.bases import Closeable
from slosh.client.batching import BatchSize, halve, may_be_one, place_in_batch
from slosh.client.errors import BadUse, ClientError, Refused, show
from slosh.client.request import check_number, check_seconds
from slosh.client.synchronous import Client
from slosh.client.values import encode
from slosh.client.waiting import Waiting

logger = logging.getLogger(__name__)

Full = Literal["drop_oldest", "drop_newest", "wait"]
_CHOICES: Final = ("drop_oldest", "drop_newest", "wait")

_WATCHED_WAIT: Final = 25.0
"""Seconds that one question whether a topic is watched may take."""
_PAUSE: Final = 0.5
"""Seconds after a failed batch."""


class Publisher(Closeable):
    """Publishes in the background, in batches.

    >>> with Publisher() as publisher:
    ...     publisher.send("kitchen", {"t": 21.5})
    True
    >>> publisher.sent, publisher.unwatched  # nobody watches it
    (0, 1)

    Close it, or use it in a `with` block; at the program's end it is flushed for up to `timeout` seconds. A server that
    cannot be reached, one that refuses messages, and messages that were not published at the end are told by warnings
    of the logger `slosh.client.publisher`.

    Args:
        client: a `Client`, or the server's address; None for the one that SLOSH_URL names.
        every: seconds to gather messages before they are sent together. A whole batch is sent at once.
        batch: messages that are sent together at most. More than a topic keeps (`queue`) lose some to every reader.
            None for as many as wait, up to half of what the topic keeps, as the server tells.
        max_bytes: of messages that may wait. They are dropped, or `send` waits, beyond that.
        when_full: `drop_oldest`, `drop_newest`, or `wait`.
        when_watched: drop a topic's messages while nobody watches it, without asking with each of them.
        timeout: seconds for the flush at the end.
        eager: send a message at once if none was sent for `every` seconds, and gather those that come behind it.

    Attributes:
        sent: messages that the server took.
        dropped: messages that were dropped because too much waited.
        unwatched: messages of topics that nobody watched.
        refused: messages that the server does not take; `error` says why.
        error: the last thing that went wrong, None if nothing did.
    """

    _under_way: int

    def __init__(  # noqa: PLR0913 - options, each by its name
        self,
        client: Client | str | None = None,
        *,
        every: float = 0.05,
        batch: int | None = None,
        max_bytes: int = 8 * 1024 * 1024,
        when_full: Full = "drop_oldest",
        when_watched: bool = False,
        timeout: float = 5.0,
        eager: bool = False,
    ) -> None:
        if when_full not in _CHOICES:
            raise BadUse(f"when_full is one of {', '.join(_CHOICES)}, not {show(when_full)}.")
        every, timeout = check_seconds("every", every, least=0), check_seconds("timeout", timeout, least=0)
        self._client = client if isinstance(client, Client) else Client(client)
        self._owned = not isinstance(client, Client)
        self._every = every
        self._batch = BatchSize(batch if batch is None else check_number("batch", batch))
        self._max_bytes = check_number("max_bytes", max_bytes)
        self._when_full = when_full
        self._when_watched = when_watched
        self._timeout = timeout
        self._eager = eager
        self._closing = False
        self.sent = self.dropped = self.unwatched = self.refused = 0
        self.error: ClientError | None = None
        self._is_away = False  # and that was told
        self._told_reasons: set[str] = set()
        self._tries = 0  # of the batch that is sent
        self._begin()
        _open.add(self)

    def send(self, topic: str, value: object) -> bool:
        """Publish `value` to `topic` soon. False when it was dropped at once.

        Raises:
            BadUse: the topic or the value cannot be used, or this publisher is closed.
        """
        return self.send_encoded(topic, [encode(value)]) == 1

    def send_encoded(self, topic: str, messages: Iterable[bytes]) -> int:
        """As `send`, for messages that are JSON already, without a line end in any. Returns how many were kept.

        Raises:
            BadUse: the topic cannot be used, or this publisher is closed.
        """
        one_topic_path(topic)  # else it would be tried for ever, and everything behind it would wait
        if self._process != os.getpid():
            self._begin()  # A fork has no threads but the one that forked; what waits is the parent's to send.
        if not isinstance(messages, Iterable):
            raise BadUse(f"What is encoded already is several messages, each of bytes, not {show(messages)}.")
        kept = 0
        with self._changed:
            for message in messages:
                if not isinstance(message, bytes):
                    raise BadUse(f"What is encoded already is bytes, not {show(message)}.")
                if self._closing:
                    raise BadUse("This publisher is closed.")
                if not self._make_room(len(message)):
                    self.dropped += 1
                    continue
                self._waiting.add(topic, message, time.monotonic())
                self._size += len(message)
                kept += 1
            self._changed.notify_all()
        return kept

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all that was sent before has been taken, refused or dropped. False when time ran out.

        Args:
            timeout: seconds, None for any time.

        Raises:
            BadUse: `timeout` is no time to wait.
        """
        bound = None if timeout is None else check_seconds("timeout", timeout, least=0)
        with self._changed:
            self._hurried = True
            self._changed.notify_all()
            done = self._changed.wait_for(lambda: not self._waiting and not self._under_way, bound)
            self._hurried = False
            return done

    def close(self) -> None:
        """Flush for up to `timeout` seconds, then end. Messages that are left then count as dropped."""
        if self._process != os.getpid():
            # In a fork that has sent nothing. A thread of the parent may have held the lock just then.
            self._changed = threading.Condition()
            self._waiting.clear()
            self._under_way = 0
            is_child = True
        else:
            self.flush(self._timeout)
            is_child = False
        with self._changed:
            if self._closing:
                return
            self._closing = True
            self.dropped += len(self._waiting) + self._under_way
            self._waiting.clear()
            self._changed.notify_all()
        if (lost := self.dropped + self.refused) and not is_child:
            self.lost(lost)
        _open.discard(self)
        if self._owned:
            self._client.close()

    def failed(self, error: ClientError) -> None:
        """A batch got no answer, or one that passes, and not for the first time. It is sent again.

        It logs a warning, once until messages are taken again. A subclass may tell it in another way; it is called in
        the publisher's own thread.
        """
        if not self._is_away:
            self._is_away = True
            logger.warning("%s Messages wait meanwhile, and are sent again.", error.detail)

    def not_taken(self, error: ClientError) -> None:
        """The server refused messages, which count as `refused`; nothing of them is sent again.

        It logs a warning, once for each reason. A subclass may tell it in another way; it is called in the publisher's
        own thread.
        """
        reason = error.reason if isinstance(error, Refused) else ""
        if reason not in self._told_reasons:
            self._told_reasons.add(reason)
            logger.warning("The server refuses what is published: %s", error.detail)

    def lost(self, count: int) -> None:
        """This was closed, and so many messages were dropped or refused in its life.

        It logs a warning. A subclass may tell it in another way.
        """
        reason = f": {self.error.detail}" if self.error is not None else "."
        logger.warning("%s not published%s", "1 message was" if count == 1 else f"{count} messages were", reason)

    def _tried(self, error: ClientError) -> None:
        """The client is about to send a batch again. One failure is what a restart or a connection's end brings about.

        Raises:
            ClientError: this publisher is closed, so the batch is not sent again.
        """
        self.error = error
        self._tries += 1
        if self._closing:
            raise error
        if self._tries > 1:
            self.failed(error)

    def _begin(self) -> None:
        """Start with nothing waiting, and a thread of this process."""
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._waiting = Waiting()
        self._size = 0
        self._under_way = 0
        self._hurried = False
        self._asleep: set[str] = set()  # topics that nobody watches, while somebody waits for that to change
        threading.Thread(target=self._work, name="slosh publisher", daemon=True).start()

    def _make_room(self, size: int) -> bool:
        """Check that `size` more bytes fit. False when the new message is the one to drop."""
        if size > self._max_bytes:
            return False
        while self._size + size > self._max_bytes:
            if self._when_full == "drop_newest" or self._closing:
                return False
            if self._when_full == "wait":
                self._changed.notify_all()
                self._changed.wait()
                continue
            if not self._waiting:
                return False  # All that waits is on its way already.
            self._size -= len(self._waiting.take(self._waiting.first()[0], 1)[0])
            self.dropped += 1
        return True

    def _work(self) -> None:
        due = 0.0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                now = time.monotonic()
                # By the age of what waits, so that the batches of several topics are gathered at the same time.
                wait = self._waiting.first()[1] + self._every - now if self._waiting else 0.0
                if self._eager:
                    wait = min(wait, due - now)
                if wait > 0 and not self._hurried:
                    self._changed.wait_for(self._is_whole, wait)
                if self._closing:
                    return
                topic, lines = self._next_batch()
                self._under_way = len(lines)
            due = time.monotonic() + self._every
            self._deliver(topic, lines)
            with self._changed:
                self._size -= sum(map(len, lines))
                self._under_way = 0
                self._changed.notify_all()

    def _is_whole(self) -> bool:
        """Whether there is no use in gathering more."""
        if self._hurried or self._closing or not self._waiting:
            return True
        topic, _ = self._waiting.first()
        lines, size = self._batch.find(topic)
        return len(self._waiting.of(topic)) >= lines or self._size >= size

    def _next_batch(self) -> tuple[str, list[bytes]]:
        """The oldest message, and those of the same topic that wait behind it, whatever stands between them."""
        topic, _ = self._waiting.first()
        return topic, self._waiting.take(topic, self._batch.count(topic, self._waiting.of(topic)))

    def _deliver(self, topic: str, lines: Sequence[bytes], before: int = 0) -> None:
        """Send a batch, or what follows its first `before` messages, until it is accepted or refused or this closes."""
        if topic in self._asleep:
            self.unwatched += len(lines)
            return
        key = secrets.token_urlsafe(12)
        self._tries = 0
        while not self._closing:
            try:
                published = self._client.publish_encoded(topic, lines, key=key, tried=self._tried)
            except ClientError as error:
                self.error = place_in_batch(error, before) if isinstance(error, Refused) else error
                if isinstance(error, Refused) and not passes(error.status):
                    self._refuse(topic, lines, before, error)
                    return
                if not self._closing:
                    self.failed(error)
                with self._changed:
                    self._changed.wait_for(lambda: self._closing, _PAUSE)
            except RuntimeError:
                if not self._closing:  # else the client was closed with this, in the middle of a try
                    raise
            else:
                self._is_away = False
                self._batch.learn(topic, published)
                self._count(topic, len(lines), published)
                return

    def _refuse(self, topic: str, lines: Sequence[bytes], before: int, error: Refused) -> None:
        """One message that the server does not take refuses the whole batch, so each half is sent alone."""
        if len(lines) == 1 or not may_be_one(error):
            self.refused += len(lines)
            self.not_taken(place_in_batch(error, before))
            return
        self._batch.shrink(lines, error)
        for half, stand_before in halve(lines, before):
            self._deliver(topic, half, stand_before)

    def _count(self, topic: str, count: int, published: Published) -> None:
        if published.taken:
            self.sent += count
            return
        if published.ended:
            detail = f"The topic {topic} has ended, so what came later was not stored."
            self.error = Refused(409, {"code": "ended", "detail": detail}, "the server")
            self.refused += count
            self.not_taken(self.error)
            return
        self.unwatched += count
        if self._when_watched and topic not in self._asleep:
            self._asleep.add(topic)
            waker = threading.Thread(target=self._wake, args=(topic,), name="slosh publisher waits", daemon=True)
            waker.start()

    def _wake(self, topic: str) -> None:
        """Wait until somebody watches `topic`."""
        while not self._closing and self._process == os.getpid():
            try:
                if self._client.watchers(topic, wait=_WATCHED_WAIT):
                    break
            except ClientError as error:
                self.error = error
                time.sleep(_PAUSE)
        self._asleep.discard(topic)


_open: "weakref.WeakSet[Publisher]" = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for publisher in list(_open):
        with contextlib.suppress(ClientError):
            publisher.close()
