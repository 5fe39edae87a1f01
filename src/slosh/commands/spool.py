"""Lines on disk until they are published, for `slosh pub --spool FILE`.

The rules of this file:

* A line is in the file before it is sent, and counts as sent when the server has answered. `FILE.place` holds how far
  that is from then on, so a publisher that was ended goes on there, however long it had waited with the next line.
* A batch is published under a key made of the file's own name and its first byte, so one that is sent again after a
  crash is stored once. Where it ends is in `FILE.place` before it is sent, because a key stands for just these bytes.
* A file of which all was sent is emptied.
* One publisher has the file at a time: it is locked (`flock`) from before it is read until after it is removed.
* A file that is no spool is left alone: a file with something in it is one if `FILE.place` is there too, as it is
  from before the first line. `FILE.place` and `FILE.place.new` are left alone if something else is in them.
* A file that something else has removed, replaced or written to is the spool's no more: before each write it is
  checked (`Spool.check`), and nothing is written then, neither to it nor beside it.
"""

import contextlib
import errno
import fcntl
import os
import re
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Final, Self

from slosh.client.errors import BadUse

_LOOKED_AT: Final = 512 * 1024
"""Bytes that are read from the file for the next batch; what is left of them is read again."""
_LOOK_BACK: Final = 64 * 1024
"""Bytes that are read at a time, from the end of the file, to find where its last whole line ends."""
_PLACE: Final = re.compile(r"([0-9a-f]{16}) ([0-9]{1,15}) ([0-9]{1,15})\n+")
"""What `FILE.place` says: the name of the batches' keys, how far all is sent, and where the batch under way ends."""
_PART: Final = re.compile(r"[0-9a-f]{0,16}|[0-9a-f]{16} [0-9]{0,15}|[0-9a-f]{16} [0-9]{1,15} [0-9]{0,15}\n?")
"""What `FILE.place.new` holds if writing it was cut short."""
_LOOKED_INTO: Final = 100
"""Bytes of either that are read; a place has fewer."""
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
"""What a disk without room says."""


class Spool:
    """A file of messages, one a line. Close it.

    Args:
        path: of the file; it is made if there is none.

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
        if self._end and place is not None:  # It ended just when all was sent if nothing is left.
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
        """Check that the file is as this publisher has left it.

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
        """Close the file. If nothing waits both files are removed."""
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
        """This many bytes of what waits, which are there."""
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
