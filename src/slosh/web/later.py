"""Answers for which the engine is asked, and which it may give at once or later."""

from typing import ClassVar

from slosh.errors import SloshError
from slosh.http1.connection import Connection
from slosh.http1.exchange import Exchange


class LaterAnswer(Exchange):
    """An answer that the engine may give later."""

    __slots__ = ("connection", "is_done")

    outlives_eof: ClassVar[bool] = True

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.is_done = False

    def hold(self) -> None:
        """Leave the request unanswered until the engine has answered."""
        if not self.is_done:
            self.connection.hold(self)

    def settle(self, outcome: object) -> bool:
        """Take what the engine says. False if there is nothing more to do, because it refused or nobody listens."""
        self.is_done = True
        if not self.connection.is_open:
            return False
        if isinstance(outcome, SloshError):
            self.connection.refuse(outcome)
            return False
        return True
