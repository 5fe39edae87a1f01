"""The base of everything that holds a request and answers it later."""

from typing import ClassVar

from slosh.compiled import mypyc_attr
from slosh.core.topic import Watcher
from slosh.errors import SloshError


@mypyc_attr(allow_interpreted_subclasses=True)
class Exchange(Watcher):
    """Holds a request and answers it later. The connection calls its methods on events. Most watch topics."""

    __slots__ = ()

    outlives_eof: ClassVar[bool] = False
    """Whether it continues after the client half-closes: an answer being made does, waiting for messages does not."""
    takes_data: ClassVar[bool] = False
    """Whether later bytes of the client are passed to it instead of being read as HTTP (WebSocket)."""

    def topic(self) -> str:
        """Its topic, if the action serves heads with other topic names; otherwise empty."""
        return ""

    def end(self) -> None:
        """Answer as soon as possible: the server shuts down, or the client has sent too many other requests."""

    def deadline_passed(self) -> None:
        """The deadline that was passed to `hold` has come."""
        self.end()

    def data(self, data: bytes, most: int) -> bytes:  # noqa: ARG002 - most exchanges take none
        """Read bytes of the client, if `takes_data`. Returns those that wait for another turn.

        Args:
            data: the bytes that waited, followed by the new ones.
            most: how many pieces of work may be done: frames, or each few KiB of them.
        """
        return data

    def take_turn(self) -> None:
        """Do the next portion of work that takes several turns. Called once for each `ask_for_turn`."""

    def lost(self) -> None:
        """The client has disconnected; do not answer."""

    def revoke(self, error: SloshError) -> None:
        """The token of the request is not valid any more: answer with `error`, or end the stream.

        An exchange that ends by itself within a moment may do nothing.
        """

    def writable(self) -> None:
        """The client has received what was written; more can be written now."""
