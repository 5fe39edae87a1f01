"""How long a connection reads on after its last answer (RFC 9112 §9.6).

To close a socket with bytes unread makes the system send a reset, and a client that is in the midst of a large upload
could lose the answer that refuses it. So what it still sends is read and discarded, as long as it makes progress.
"""

from typing import Final

PAUSE: Final = 2.0
"""Seconds of silence after which the client has had its time. nginx has 5 (lingering_timeout)."""

MOST: Final = 64 * 1024 * 1024
"""Bytes that are read and discarded at most, eight times the largest body by default: a client that goes on for longer
does not look at its answer. nginx and others bound the time alone, and a quick client sends gigabytes in it."""


class Lingering:
    """A connection that has its last answer, and may still send.

    Args:
        now: the time, seconds on the loop's clock.
        until: when it is closed although it still sends.

    Attributes:
        ends_at: when it is closed unless something comes.
    """

    __slots__ = ("_left", "_until", "ends_at")

    def __init__(self, now: float, until: float) -> None:
        self._until = until
        self._left = MOST
        self.ends_at = now + PAUSE

    def discard(self, size: int, now: float) -> bool:
        """This many bytes have come. False if they are too many: close the connection then."""
        self._left -= size
        self.ends_at = min(now + PAUSE, self._until) if self._left >= 0 else now
        return self._left >= 0

    def is_cut_off(self) -> bool:
        """Whether it is closed although it still sends."""
        return self._left < 0 or self.ends_at == self._until
