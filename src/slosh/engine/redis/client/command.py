"""A command that somebody waits for: settled once, with the reply, an error, or the word that none came."""

import logging
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from slosh.errors import EngineUnreachable

logger = logging.getLogger(__name__)

Argument = str | bytes | int
"""What goes to a server as a part of a command; numbers go as their decimal digits."""

Command = tuple[Argument, ...]
"""One command, its name first."""

Done = Callable[[Any], None]
"""Takes a server's reply, or a `SloshError`."""

NOT_SENT: Final = "The messages' store is out of reach; nothing was stored. It is worth trying again."
UNKNOWN: Final = (
    "The messages' store did not answer; it may or may not have stored this. Try again with the same Idempotency-Key, "
    "and it is stored once."
)


class Scripts(NamedTuple):
    """What a client of the store has to know of the scripts that it sends calls of.

    Attributes:
        texts: to be loaded at each server before the first call, and again if it has forgotten them.
        gives_ring: whether the answer to a command is all that a topic keeps, which may be `queue_bytes`.
    """

    texts: tuple[str, ...]
    gives_ring: Callable[[Command], bool]


class PendingCommand:
    """A command that somebody waits for.

    Args:
        command: what is asked.
        done: called once with the reply or a `SloshError`.
        at: when it was asked, seconds on the loop's clock.

    Attributes:
        is_out: whether it is under way to a server.
        is_settled: whether `done` was called.
    """

    __slots__ = ("at", "command", "done", "is_out", "is_settled")

    def __init__(self, command: Command, done: Done, at: float) -> None:
        self.command = command
        self.done = done
        self.at = at
        self.is_out = False
        self.is_settled = False

    def settle(self, reply: object) -> None:
        """Give the reply to the caller, unless it was given up before."""
        if self.is_settled:
            return
        self.is_settled = True
        done, self.done = self.done, nobody
        self.command = self.command[:1]  # Its messages may be large, and this is held until it is looked at next.
        try:
            done(reply)
        except Exception:
            logger.exception("what came of %s could not be used", self.command[0])

    def give_up(self) -> None:
        """Tell the caller that no reply came."""
        self.settle(EngineUnreachable(UNKNOWN if self.is_out else NOT_SENT))


def nobody(_: object) -> None:
    """In place of a caller that was told already."""
