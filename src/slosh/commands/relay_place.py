"""Where `slosh relay` stands: its place in a file, and the place where it begins.

A window (`10m`, `-5`, `now`) is another one each time that it is asked for, a place is not. So a relay with a file asks
for the place in front of its window before anything else, and goes on from there.

The place behind a message is written to a file beside the place's own before the message is published, and the file
becomes the place's own once every target has answered. So a relay that is killed leaves one message at most of which
the next does not know whether it is stored, and the file beside tells that there is one, and since when.

One relay has the file at a time: it is locked (`flock`), and so is what takes its place, before it does.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

from slosh.client.errors import BadUse
from slosh.commands.shared import writing
from slosh.core.cursor import parse_cursor, unspell, write_cursor

REMEMBERED: Final = 300.0
"""Seconds for which a server knows a message again that is published under the same key."""
_LONGEST: Final = 16 * 1024
"""Characters of the longest place: a server tells none that is longer than what it takes in one line."""


def moves_on(since: str | None) -> bool:
    """Whether `since`, which is `now` if it is left out, means another beginning later."""
    return since is None or (since != "earliest" and "=" not in since and "*" not in since and not _is_cursor(since))


def _is_cursor(text: str) -> bool:
    """Whether this is a cursor. Of what may be a number of seconds too the server knows which it is."""
    return parse_cursor(text) is not None and not text.replace(".", "").isdecimal()


def find_begin(said: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The place in front of what an envelope gives, or leaves out, as `since` takes it.

    Args:
        said: the envelope, made without `key`.

    Returns:
        The place, empty if the topics have ended and nothing is left to read; and the names of those of which less
        is kept than was asked for, an empty one if there is only one topic.
    """
    place = str(said["next"])
    parts = said.get("topics")
    if not isinstance(parts, Mapping):
        if said.get("ended") and not said.get("saw"):
            return "", []
        return _go_back(place, said), [""] if said.get("truncated") else []
    if said.get("ended") and not parts:
        return "", []
    # A topic that has ended may stand in the vector without its number, so each part is asked for its own.
    begins = {name: _go_back(str(part.get("next", "")), part) for name, part in parts.items()}
    vector = []
    for each in place.split(","):
        name, mark, _ = each.rpartition("=")
        begin = begins.get(unspell(name)) if mark else None
        vector.append(f"{name}={begin}" if begin else each)
    return ",".join(vector), [name for name, part in parts.items() if part.get("truncated")]


def _go_back(place: str, part: Mapping[str, object]) -> str:
    """The place of a topic in front of the messages that are counted in a part of an envelope."""
    cursor, saw = parse_cursor(place), part.get("saw")
    return write_cursor(cursor.epoch, cursor.offset - saw) if cursor is not None and isinstance(saw, int) else place


def _may_be_place(text: str) -> bool:
    """Whether a relay may have written this; empty if it was ended before it knew its place."""
    return len(text) <= _LONGEST and not any(map(str.isspace, text))


class PlaceFile:
    """The place in the source, kept in a file.

    Args:
        file: its path; None if nothing is kept.

    Attributes:
        place: behind the last message for which every target has answered; empty if there is none.
        doubtful: seconds since a message was published for which the relay before this one got no answer, so it may be
            stored; None if there is none.

    Raises:
        BadUse: the file cannot be read, or not be written, or another relay has it.
    """

    def __init__(self, file: str | None) -> None:
        self._file = Path(file) if file is not None else None
        self._next = ""  # the place in the file beside
        self._held: IO[str] | None = None  # the file, locked
        self._coming: IO[str] | None = None  # the one beside it, which is locked before it takes the file's place
        self.place = ""
        self.doubtful: float | None = None
        if self._file is not None:
            if self._file.exists() and not self._file.is_file() and not self._file.is_dir():
                # Of /dev/null, too, a file would take the place, for all programs.
                raise BadUse(f"{file} is no ordinary file. Name a file that is not there yet.")
            # Otherwise two that begin at the same time would both find none to lock. If it fails, `_look_beside` tells.
            with contextlib.suppress(OSError):
                self._read_beside(self._file)
                self._file.touch(exist_ok=False)
            try:
                self._have(self._file)
                self.place = _read(self._file)
            except FileNotFoundError:
                pass
            except BadUse:
                raise
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                raise BadUse(f"{file} cannot be read: {reason}.") from None
            if not _may_be_place(self.place):
                raise BadUse(f"{file} holds no place of a relay. Name a file that is not there yet.")
            try:
                self._look_beside(self._file)
            except OSError as error:
                raise BadUse(f"{file} cannot be written: {error.strerror}.") from None

    def begin(self, place: str) -> None:
        """The message in front of this place is about to be published. Call `note` once every target has answered."""
        # One that is published again is as old as it was.
        if self._file is not None and place != self._next:
            with writing(str(self._file)):
                self._write(self._file, place)

    def note(self, place: str) -> None:
        """This place is reached."""
        self.begin(place)
        self.place, self._next = place, ""
        if self._file is not None:
            with writing(str(self._file)):
                self._replace(self._file)

    def _have(self, file: Path) -> None:
        """Have the file for this relay alone.

        Raises:
            BadUse: another one has it.
            OSError: it cannot be opened, or is not there.
        """
        try:
            self._held = _lock(file.open(encoding="utf-8"))
            # Otherwise another one has just replaced it.
            is_there = os.path.samestat(os.fstat(self._held.fileno()), file.stat())
        except BlockingIOError:
            is_there = False
        if not is_there:
            raise BadUse(f"Another slosh relay has {file}. Give each its own file, or wait until that one has ended.")

    def _read_beside(self, file: Path) -> str:
        """The place in the file beside; empty if there is none."""
        beside = self._beside(file)
        left = _read(beside, errors="replace") if beside.exists() else ""
        if not _may_be_place(left):
            raise BadUse(f"{beside} is there, and no relay has written it. Name another file for the place.")
        return left

    def _look_beside(self, file: Path) -> None:
        """Find what the relay before this one left, and whether the file can be written, before a message is carried.

        Raises:
            BadUse: a file stands beside that no relay has written.
            OSError: it cannot be written.
        """
        beside, left = self._beside(file), self._read_beside(file)
        if left and left != self.place:
            self._coming = _lock(beside.open(encoding="utf-8"))
            self._next = left
            self.doubtful = max(0.0, time.time() - beside.stat().st_mtime)
            return
        self._write(file, self.place)
        self._next = ""
        self._replace(file)

    @staticmethod
    def _beside(file: Path) -> Path:
        return file.with_name(f"{file.name}.new")

    def _write(self, file: Path, place: str) -> None:
        """Write a place beside the file, which so always holds a whole one."""
        if self._coming is not None:
            self._coming.close()
        self._coming = _lock(self._beside(file).open("w", encoding="utf-8"))
        self._coming.write(f"{place}\n")
        self._coming.flush()
        self._next = place

    def _replace(self, file: Path) -> None:
        """Put the file beside in place of the file."""
        self._beside(file).replace(file)
        if self._held is not None:
            self._held.close()
        self._held, self._coming = self._coming, None


def _read(file: Path, errors: str = "strict") -> str:
    """The place in a file. Of a longer text, which is none, it is the beginning."""
    with file.open(encoding="utf-8", errors=errors) as opened:
        return opened.read(_LONGEST + 2).strip()


def _lock(file: IO[str]) -> IO[str]:
    """Lock an open file, if its file system has locks, and give it back.

    Raises:
        BlockingIOError: another program has locked it.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if isinstance(error, BlockingIOError):
            raise
    return file
