"""Checks the lines of a body, a portion in each turn of the connection, before anything is stored.

The rules of this file:

* The first portion is checked at once, and is nearly always the whole body.
* Connections take turns, as for everything that they send (`turns.py`): many connections with long bodies make other
  clients wait no longer than one does.
* Lines that are being checked count towards `max_buffered` until they are accepted or refused.
"""

from abc import abstractmethod
from typing import ClassVar, Final

from slosh.compiled import mypyc_attr
from slosh.errors import BadJson, MemoryFull, SloshError, TooLarge
from slosh.http1.connection import Connection
from slosh.http1.exchange import Exchange
from slosh.web.jsontext import WHITE_SPACE
from slosh.web.publishing.longtext import PORTION, LongText

_LINE: Final = 400
"""Bytes that are added to the size of each line, for its fixed cost."""


def check_count(body: bytes, most: int) -> None:
    """Check that a batch has no more lines than it may.

    Raises:
        TooLarge: it has more.
    """
    count = body.count(b"\n") + (not body.endswith(b"\n"))
    if count > most:
        raise TooLarge(f"A batch has at most {most} lines (max_batch), and this one has {count}.", most)


@mypyc_attr(allow_interpreted_subclasses=True)
class Checking(Exchange):
    """Lines that are being checked. Call `start`.

    Args:
        connection: on which they came.
        lines: as they came; each is removed once it is checked.

    Attributes:
        connection: as above.
        number: of the line that is being checked, from 1 on.
        is_done: whether the request was answered, or its client has gone.
    """

    __slots__ = ("_lines", "_text", "connection", "is_done", "number")

    outlives_eof: ClassVar[bool] = True

    def __init__(self, connection: Connection, lines: list[bytes]) -> None:
        self.connection = connection
        self._lines = lines
        self._text: LongText | None = None  # the line that is under way, if it is long
        self.number = 0
        self.is_done = False

    # Decided by the subclass.

    @abstractmethod
    def check_line(self, line: bytes) -> LongText | None:
        """Check a line, or return the text in it that has to be checked in portions.

        Raises:
            SloshError: it cannot be accepted.
        """

    @abstractmethod
    def take_text(self, text: bytes) -> None:
        """Accept a text that was checked in portions."""

    @abstractmethod
    def explain(self, error: BadJson) -> BadJson:
        """What is answered if `error` is found in the current line."""

    @abstractmethod
    def finish(self) -> None:
        """All lines are checked. Set `is_done` if the request was answered; otherwise it stays held.

        Raises:
            SloshError: they cannot be accepted.
        """

    @abstractmethod
    def refuse(self, error: SloshError) -> None:
        """Answer with an error."""

    # How it goes on.

    def start(self) -> None:
        """Check the first portion, and hold the request if there are more.

        Raises:
            SloshError: a line cannot be accepted, or there is no room for this many bytes.
        """
        connection = self.connection
        size = sum(map(len, self._lines))
        if self._check_portion():
            self.finish()
            if not self.is_done:
                connection.hold(self)
        elif not connection.count_incoming(size):
            self.stop()
            raise MemoryFull.of_buffers(connection.server.settings.max_buffered)
        else:
            connection.hold(self)
            connection.ask_for_turn(self)

    def take_turn(self) -> None:
        """Check the next portion. Nothing is raised: errors are answered."""
        if self.is_done:
            return
        try:
            if self._check_portion():
                self._forget()
                self.finish()
            else:
                self.connection.ask_for_turn(self)
        except SloshError as error:
            self.stop()
            self.refuse(error)

    def stop(self) -> None:
        """Stop checking."""
        self.is_done = True
        self._forget()

    def lost(self) -> None:
        """The client has gone; nothing is stored."""
        self.stop()

    def _forget(self) -> None:
        self._lines, self._text = [], None
        self.connection.count_incoming(0)

    def _check_portion(self) -> bool:
        """Check the next portion. True once all is checked.

        Raises:
            SloshError: a line cannot be accepted.
        """
        lines, left = self._lines, PORTION
        while left > 0:
            if self._text is not None:
                left -= PORTION
                self._check_text(self._text)
            elif self.number < len(lines):
                line = lines[self.number]
                lines[self.number] = b""  # Otherwise it would be held twice if only a part of it is used.
                self.number += 1
                left -= len(line) + _LINE
                if line.strip(WHITE_SPACE):
                    self._text = self.check_line(line)
            else:
                break
        return self._text is None and self.number == len(lines)

    def _check_text(self, text: LongText) -> None:
        try:
            if text.go_on():
                self._text = None
                self.take_text(text.value)
        except BadJson as error:
            raise self.explain(error) from None
