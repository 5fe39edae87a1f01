"""What publishes the lines of a spool, at their rate, for as long as it takes."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from slosh.client.answers import keeps_out, passes
from slosh.client.batching import BatchSize, halve, may_be_one, place_in_batch
from slosh.client.errors import ClientError, Refused
from slosh.client.synchronous import Client
from slosh.commands.spool import Spool

_MOST: Final = 1024 * 1024 * 1024
"""Bytes that wait on disk; standard input is left unread beyond that."""
_TOGETHER: Final = 0.05
"""Seconds: messages that are due within this go together if a rate bounds them."""
_PAUSE: Final = 0.5
"""Seconds after a batch that got no answer."""
_LAST: Final = 15.0
"""Seconds that a request under way may still take when all else has ended."""


def at_a_time(rate: float) -> int:
    """How many messages go together if this many a second may."""
    return max(1, int(rate * _TOGETHER))


class SpoolSender:
    """Publishes what a spool holds, in a thread of its own, for as long as it takes.

    Args:
        end_input: called in the thread if something failed, so that `put` or `finish` is called and raises it.
        batch: messages of one request; None for as many as wait, up to half of what the topic keeps.
        rate: messages a second at most; None for no bound.

    Attributes:
        tally: how many messages were `sent`; not, because they were `unwatched`, or because the topic had `ended`; and
            `refused`.
        refusal: the last answer to those.

    `put` and `finish` raise `OSError` if the spool could not be written, and `Refused` if the server keeps this
    publisher out, whatever is published: then all that waits stays in the spool.
    """

    def __init__(
        self,
        client: Client,
        topic: str,
        spool: Spool,
        end_input: Callable[[], None],
        batch: int | None,
        rate: float | None = None,
    ) -> None:
        self._client = client
        self._topic = topic
        self._spool = spool
        self._end_input = end_input
        self._batch = BatchSize(batch)
        self._rate = rate
        self._due = 0.0  # when the next batch may be sent, seconds of the monotonic clock
        self._changed = threading.Condition()
        self._ending = self._stopped = False
        self._failure: Exception | None = None
        self.tally: Counter[str] = Counter()
        self.refusal: Refused | None = None
        self._thread = threading.Thread(target=self._work, name="slosh spool", daemon=True)
        self._thread.start()

    def put(self, messages: Sequence[bytes]) -> None:
        """Write messages to the spool, from where they are sent."""
        with self._changed:
            self._changed.wait_for(lambda: self._spool.waiting < _MOST or self._failure)
            self._raise_failure()
            if messages:
                self._spool.put(messages)
            self._changed.notify_all()

    def finish(self, timeout: float | None, *, at_its_rate: bool = False) -> bool:
        """Wait until all is sent, for this many seconds; None for any time. False if something waits still.

        Args:
            at_its_rate: do not count the time for which messages wait because of `rate`: the seconds start again with
                each batch that is sent.
        """
        extra = None if self._rate is None or not at_its_rate else at_a_time(self._rate) / self._rate
        with self._changed:
            self._ending = True
            self._changed.notify_all()
            while True:
                before = self._spool.waiting
                bound = None if timeout is None else timeout + (extra or 0.0)
                done = self._changed.wait_for(lambda: not self._spool.waiting or self._failure, bound)
                if done or extra is None or self._spool.waiting == before:
                    break
            self._raise_failure()
            self.stop()
        self._thread.join(_LAST)  # its last batch may be answered yet, and counts then
        return bool(done) or not self._spool.waiting

    def stop(self) -> None:
        """Begin no other batch."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        try:
            self._send_all()
        except Exception as error:  # noqa: BLE001 - of the files, or a refusal; it is raised if this is waited for
            with self._changed:
                self._failure = error
                self._changed.notify_all()
            self._end_input()

    def _send_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._spool.waiting or self._ending)
                if self._stopped or not self._spool.waiting:
                    return
                if self._changed.wait_for(lambda: self._stopped, max(0.0, self._due - time.monotonic())):
                    return
                key, lines = self._spool.next_batch(self._count)
            became = self._send(key, lines)
            with self._changed:
                if became is None:
                    self._changed.wait_for(lambda: self._stopped, _PAUSE)
                    continue
                if self._rate is not None:
                    self._due = max(self._due, time.monotonic()) + len(lines) / self._rate
                self.tally += became
                self._spool.sent()
                self._changed.notify_all()

    def _count(self, waiting: Sequence[bytes]) -> int:
        """How many of the messages that wait go together."""
        number = self._batch.count(self._topic, waiting)
        return number if self._rate is None else min(number, at_a_time(self._rate))

    def _send(self, key: str, lines: Sequence[bytes], before: int = 0) -> Counter[str] | None:
        """Publish a batch, and tell what became of it. None if it has to be sent again, with all its parts."""
        try:
            published = self._client.publish_encoded(self._topic, lines, key=key)
        except ClientError as error:
            if not isinstance(error, Refused) or passes(error.status):
                return None
            if keeps_out(error):
                raise
            self.refusal = place_in_batch(error, before)
            if len(lines) == 1 or not may_be_one(error):
                return Counter(refused=len(lines))
            self._batch.shrink(lines, error)
            # One that is refused keeps none of the others back. When all is sent again the halves have the same keys.
            became: Counter[str] = Counter()
            for number, (half, stand_before) in enumerate(halve(lines, before)):
                part = self._send(f"{key}-{number}", half, stand_before)
                if part is None:
                    return None
                became += part
            return became
        self._batch.learn(self._topic, published)
        return Counter({"sent" if published.taken else "ended" if published.ended else "unwatched": len(lines)})
