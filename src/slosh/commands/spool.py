"""Lines on disk until they are published, for `slosh pub --spool FILE`.

The rules of this file:

* A line is in the file before it is sent, and counts as sent when the server has answered. `FILE.place` holds how far
  that is from then on, so a publisher that was ended goes on there, however long it had waited with the next line.
* A batch is published under a key made of the file's own name and its first byte, so one that is sent again after a
  crash is stored once. Where it ends is in `FILE.place` before it is sent, because a key stands for just these bytes.
* A file of which all was sent is emptied.
* One publisher has the file at a time: it is locked (`flock`) from before it is read until after it is removed.
* A file that is no spool is left alone: a file with something in it is one where `FILE.place` is there too, as it is
  from before the first line. `FILE.place` and `FILE.place.new` are left alone where something else is in them.
* A file that something else has removed, replaced or written to is the spool's no more: before each write it is
  checked (`Spool.check`), and nothing is written then, neither to it nor beside it.
"""

import contextlib
import errno
import fcntl
import os
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Final, Self

from slosh.client.answers import keeps_out, passes
from slosh.client.batching import BatchSize, halve, may_be_one, place_in_batch
from slosh.client.errors import BadUse, ClientError, Refused
from slosh.client.synchronous import Client

_LOOKED_AT: Final = 512 * 1024
"""Bytes that are read from the file for the next batch; what is left of them is read again."""
_MOST: Final = 1024 * 1024 * 1024
"""Bytes that wait on disk; standard input is left unread beyond that."""
_TOGETHER: Final = 0.05
"""Seconds: messages that are due within this go together where a rate bounds them."""
_PAUSE: Final = 0.5
"""Seconds after a batch that got no answer."""
_LOOK_BACK: Final = 64 * 1024
"""Bytes that are read at a time, from the end of the file, to find where its last whole line ends."""
_PLACE: Final = re.compile(r"([0-9a-f]{16}) ([0-9]{1,15}) ([0-9]{1,15})\n+")
"""What `FILE.place` says: the name of the batches' keys, how far all is sent, and where the batch under way ends."""
_PART: Final = re.compile(r"[0-9a-f]{0,16}|[0-9a-f]{16} [0-9]{0,15}|[0-9a-f]{16} [0-9]{1,15} [0-9]{0,15}\n?")
"""What `FILE.place.new` holds where writing it was cut short."""
_LOOKED_INTO: Final = 100
"""Bytes of either that are read; a place has fewer."""
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
"""What a disk without room says."""
_LAST: Final = 15.0
"""Seconds that a request under way may still take when all else has ended."""


def at_a_time(rate: float) -> int:
    """How many messages go together where so many a second may."""
    return max(1, int(rate * _TOGETHER))


class Spool:
    """A file of messages, one a line. Close it.

    Args:
        path: of the file; it is made where there is none.

    Attributes:
        waiting: messages that were not sent yet, in bytes.
        kept: how many messages `put` has written.

    Raises:
        BadUse: the file cannot be used.
    """

    def __init__(self, path: str) -> None:
        self._place = Path(f"{path}.place")
        self._beside = Path(f"{path}.place.new")
        self.kept = 0
        try:
            for each, form in ((self._place, _PLACE), (self._beside, _PART)):
                if each.exists() and not form.fullmatch(_beginning(each)):
                    raise BadUse(f"{each} is there, and no spool has written it. Name another file for the spool.")
            self._file = _open_alone(path)
            size = os.fstat(self._file.fileno()).st_size
            text = _beginning(self._place) if size and self._place.exists() else ""
        except OSError as error:
            raise BadUse(f"{path} cannot be used as a spool: {error.strerror}.") from error
        place = _PLACE.fullmatch(text)
        if size and place is None:
            self._file.close()
            raise BadUse(
                f"{path} is no spool: no {self._place} of one is beside it. Name a file that is not there, or publish "
                f"the lines of this one with: slosh pub TOPIC < {path}"
            )
        self._end = self._mend()
        self._name, self._sent, self._until = secrets.token_hex(8), 0, 0
        if self._end and place is not None:  # It ended just when all was sent where nothing is left.
            self._name, self._sent, self._until = place[1], int(place[2]), int(place[3])
        if not self._begins_line(self._sent) or not self._begins_line(self._until):
            self._file.close()
            raise BadUse(f"{self._place} does not fit what {path} holds. Remove both to begin again.")
        self._remember()

    @property
    def waiting(self) -> int:
        """Bytes of messages that were not sent yet."""
        return self._end - self._sent

    def check(self) -> None:
        """See that the file is as this publisher has left it.

        Raises:
            OSError: something else has removed, replaced or changed it.
        """
        if not _is_at(self._file, self._file.name) or os.fstat(self._file.fileno()).st_size != self._end:
            left = f"; {self.waiting:,} bytes of messages that waited in it are not published" if self.waiting else ""
            raise OSError(errno.EIO, f"something else has removed or changed it{left}")

    def put(self, messages: Sequence[bytes]) -> None:
        """Write messages, none with a line's end in it, and see that they are on the disk.

        Raises:
            OSError: there is no room, for instance. Those for which there was are in the file, and none in part.
        """
        self.check()
        data = b"".join(each + b"\n" for each in messages)
        number, written = self._file.fileno(), 0
        try:
            while written < len(data):
                written += os.write(number, memoryview(data)[written:])
            os.fsync(number)
        finally:
            whole = data.rfind(b"\n", 0, written) + 1
            if whole < written:
                os.ftruncate(number, self._end + whole)
            self._end += whole
            self.kept += data.count(b"\n", 0, whole)

    def next_batch(self, count: Callable[[Sequence[bytes]], int]) -> tuple[str, list[bytes]]:
        """The oldest messages that were not sent, and the key to publish them under.

        It is the same batch until `sent` is called, also in another process.

        Args:
            count: says how many of the messages that wait go together.

        Raises:
            OSError: the files cannot be read or written.
        """
        self.check()
        if self._until > self._sent:
            return self._key(), self._read(self._until - self._sent).split(b"\n")[:-1]
        data = self._read(min(_LOOKED_AT, self.waiting))
        while b"\n" not in data:
            data = self._read(min(2 * len(data), self.waiting))
        lines = data[: data.rfind(b"\n")].split(b"\n")
        del lines[count(lines) :]
        self._until = self._sent + sum(len(each) + 1 for each in lines)
        self._remember()
        return self._key(), lines

    def sent(self) -> None:
        """The server has answered for what `next_batch` gave."""
        self._sent = self._until
        self.check()
        if self._sent == self._end:
            self._file.truncate(0)
            self._name, self._sent, self._until, self._end = secrets.token_hex(8), 0, 0, 0
        self._remember()

    def close(self) -> None:
        """Close the file. Where nothing waits both files are removed."""
        with self._file:
            try:
                self.check()
            except OSError:
                if self.waiting:
                    raise
                return  # Nothing of this publisher is in it.
            self._remember()
            if not self.waiting:
                self._file.truncate(0)  # what has nothing in it needs no place, wherever this is ended
                self._place.unlink(missing_ok=True)
                Path(self._file.name).unlink(missing_ok=True)  # the last: from then on another may make it again

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, size: int) -> bytes:
        """So many bytes of what waits, which are there."""
        data = os.pread(self._file.fileno(), size, self._sent)
        if len(data) < size:
            raise OSError(errno.EIO, "it is shorter than what was written to it")
        return data

    def _begins_line(self, at: int) -> bool:
        """Whether a line begins at this byte, or would."""
        return at == 0 or (at <= self._end and os.pread(self._file.fileno(), 1, at - 1) == b"\n")

    def _key(self) -> str:
        return f"{self._name}-{self._sent}"

    def _mend(self) -> int:
        """The file's length, without a last line that was cut short by a crash."""
        size = self._file.seek(0, os.SEEK_END)
        at = size
        while at > 0:
            start = max(0, at - _LOOK_BACK)
            self._file.seek(start)
            found = self._file.read(at - start).rfind(b"\n")
            if found >= 0:
                at = start + found + 1
                break
            at = start
        if at != size:
            self._file.truncate(at)
        return at

    def _remember(self) -> None:
        text = f"{self._name} {self._sent} {self._until}\n".encode("ascii")
        try:
            self._beside.write_bytes(text)
            self._beside.replace(self._place)
        except OSError as error:
            if error.errno not in _FULL or not self._place.exists():
                raise
            # A spool that has filled its disk empties it again. To write over the same bytes takes no room.
            self._beside.unlink(missing_ok=True)
            with self._place.open("r+b") as file:
                os.pwrite(file.fileno(), text.ljust(os.fstat(file.fileno()).st_size, b"\n"), 0)


def _beginning(path: Path) -> str:
    """What a small file holds, or the beginning of a larger one. Bytes that are no text are characters of no place."""
    with path.open("rb") as file:
        return file.read(_LOOKED_INTO).decode("latin-1")


def _open_alone(path: str) -> IO[bytes]:
    """Open the file, which no other process has as its spool until it is closed.

    Raises:
        BadUse: another has it, or it is no file.
        OSError: it cannot be opened.
    """
    if Path(path).exists() and not Path(path).is_file():
        raise BadUse(f"{path} is no file, so it cannot be a spool. Name one that is not there yet.")
    while True:
        file: IO[bytes] = Path(path).open("a+b", buffering=0)  # noqa: SIM115 - the caller closes it
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            if not isinstance(error, BlockingIOError):
                raise
            raise BadUse(
                f"Another slosh pub has {path} as its spool. Give each its own file, or wait until that one has ended."
            ) from None
        if _is_at(file, path):
            return file
        file.close()  # The one before removed it as it ended.


def _is_at(file: IO[bytes], path: str) -> bool:
    """Whether an open file is what stands at this path."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), Path(path).stat())
    return False


class SpoolSender:
    """Publishes what a spool holds, in a thread of its own, for as long as it takes.

    Args:
        end_input: called in the thread where something failed, so that `put` or `finish` is called and raises it.
        batch: messages of one request; None for as many as wait, up to half of what the topic keeps.
        rate: messages a second at most; None for no bound.

    Attributes:
        tally: how many messages were `sent`; not, because they were `unwatched`, or because the topic had `ended`; and
            `refused`.
        refusal: the last answer to those.

    `put` and `finish` raise `OSError` where the spool could not be written, and `Refused` where the server keeps this
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
        """Wait until all is sent, for so many seconds; None for any time. False where something waits still.

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
        except Exception as error:  # noqa: BLE001 - of the files, or a refusal; it is raised where this is waited for
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
        """Publish a batch, and tell what became of it. None where it has to be sent again, with all its parts."""
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
