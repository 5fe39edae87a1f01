"""Where `slosh relay` stands: its place in a file, and the place where it begins.

A window (`10m`, `-5`, `now`) is another one each time that it is asked for, a place is not. So a relay with a file asks
for the place in front of its window before anything else, and goes on from there.
"""

import contextlib
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from slosh.client.errors import BadUse
from slosh.commands.shared import writing
from slosh.core.cursor import parse_cursor, unspell

_INTERVAL: Final = 1.0
"""Seconds between two writes of the place."""
_LONGEST: Final = 16 * 1024
"""Characters of the longest place: a server tells none that is longer than what it takes in one line."""


def moves_on(since: str | None) -> bool:
    """Whether `since`, which is `now` if it is left out, means another beginning later."""
    return since is None or (since != "earliest" and "=" not in since and "*" not in since and not _is_cursor(since))


def _is_cursor(text: str) -> bool:
    """Whether this is a cursor. Of what may be a number of seconds too the server knows which it is."""
    return parse_cursor(text) is not None and not text.replace(".", "").isdecimal()


def find_begin(said: Mapping[str, object]) -> tuple[str, list[str]]:
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
    return f"{cursor.epoch}.{cursor.offset - saw}" if cursor is not None and isinstance(saw, int) else place


def _may_be_place(text: str) -> bool:
    """Whether a relay may have written this; empty if it was ended before it knew its place."""
    return len(text) <= _LONGEST and not any(map(str.isspace, text))


class PlaceFile:
    """The place in the source, kept in a file.

    Args:
        file: its path; None if nothing is kept.

    Raises:
        BadUse: the file cannot be read, or not be written.
    """

    def __init__(self, file: str | None) -> None:
        self._file = Path(file) if file is not None else None
        self._next = 0.0
        self._written = ""
        self._lock = threading.Lock()  # held while it is written
        self._later: threading.Timer | None = None  # writes it once nothing more comes
        self.place = ""
        if self._file is not None:
            try:
                self.place = self._file.read_text(encoding="utf-8").strip()
            except FileNotFoundError:
                pass
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                raise BadUse(f"{file} cannot be read: {reason}.") from None
            if not _may_be_place(self.place):
                raise BadUse(f"{file} holds no place of a relay. Name a file that is not there yet.")
            try:
                beside = self._beside(self._file)
                if beside.exists() and not _may_be_place(beside.read_text(encoding="utf-8", errors="replace").strip()):
                    raise BadUse(f"{beside} is there, and no relay has written it. Name another file for the place.")
                self._write(self._file)  # before the first message is carried
            except OSError as error:
                raise BadUse(f"{file} cannot be written: {error.strerror}.") from None

    def note(self, place: str) -> None:
        """This place is reached; it is written once a second, and a second later if none follows."""
        with self._lock:
            self.place = place
            left = self._next - time.monotonic()
            if self._file is not None and left > 0 and self._later is None:
                self._later = threading.Timer(left, self._write_later)
                self._later.daemon = True
                self._later.start()
        if left <= 0:
            self._next = time.monotonic() + _INTERVAL
            self.write()

    def write(self) -> None:
        """Write the place, if it is another one."""
        with self._lock:
            if self._file is not None and self.place != self._written:
                with writing(str(self._file)):
                    self._write(self._file)

    def _write_later(self) -> None:
        """Write the place from another thread. The next `write` tells why it cannot be written, if it cannot."""
        with self._lock:
            self._later = None
            if self._file is not None and self.place != self._written:
                with contextlib.suppress(OSError):
                    self._write(self._file)

    @staticmethod
    def _beside(file: Path) -> Path:
        return file.with_name(f"{file.name}.new")

    def _write(self, file: Path) -> None:
        """Write the place: beside the file first, so that the file always holds a whole one."""
        beside = self._beside(file)
        beside.write_text(f"{self.place}\n", encoding="utf-8")
        beside.replace(file)
        self._written = self.place
