"""A request that is answered later, and what it is told meanwhile."""

from typing import ClassVar

from slosh.compiled import mypyc_attr
from slosh.core.topic import Watcher
from slosh.errors import SloshError


@mypyc_attr(allow_interpreted_subclasses=True)
class Exchange(Watcher):
    """A request that is answered later; the methods tell it what happens meanwhile. Most watch topics meanwhile."""

    __slots__ = ()

    outlives_eof: ClassVar[bool] = False
    """Whether it goes on when the client half-closes: an answer under way does, waiting for news does not."""
    takes_data: ClassVar[bool] = False
    """Whether what the client sends from here on is meant for it, and is no HTTP any more."""

    def topic(self) -> str:
        """The topic that it is about, if an action serves heads with another name in them; empty else."""
        return ""

    def end(self) -> None:
        """Time is up, or the server shuts down, or the client wants something else: answer as soon as possible."""

    def deadline_passed(self) -> None:
        """The deadline that was given with `hold` has come."""
        self.end()

    def data(self, data: bytes, most: int) -> bytes:  # noqa: ARG002 - most exchanges take none
        """The client has sent something, if `takes_data`. Gives what of it waits for another turn.

        Args:
            data: what came, behind what waited.
            most: how many things may be done with it: frames, or each few KiB of them.
        """
        return data

    def take_turn(self) -> None:
        """Do the next portion of what takes several turns. This is the turn for which `ask_for_turn` was called."""

    def lost(self) -> None:
        """The client has gone; nobody is left to answer."""

    def revoke(self, error: SloshError) -> None:
        """The token with which it was begun does not count any more: a reader is answered with `error`, or ended.

        What ends by itself within a moment, as an answer under way does, may leave it.
        """

    def writable(self) -> None:
        """The client has taken what was written; there is room for more."""
