"""How long things hold at the store, all from one setting."""

from typing import Final

_SHORTEST_LEASE: Final = 3.0
"""Seconds. With a shorter `linger` a node that died counts for as long as this."""
_LONGEST_LEASE: Final = 30.0
"""Seconds; also with a longer `linger`, so that a node that died does not count for an hour."""
_SPARE: Final = 60.0
"""Seconds that the store keeps what is not active any more: clocks need not agree, and yet nothing stays for ever."""


class Times:
    """The times of a store.

    Args:
        linger: the setting, seconds.

    Attributes:
        linger_ms: the same, milliseconds.
        lease_ms: how long a node counts after it was heard of last, milliseconds.
        visit: after how long a node looks at each of its topics, seconds.
        spare_ms: how much longer than it is needed a key is kept, milliseconds.
    """

    __slots__ = ("lease_ms", "linger_ms", "spare_ms", "visit")

    def __init__(self, linger: float) -> None:
        lease = min(max(linger, _SHORTEST_LEASE), _LONGEST_LEASE)
        self.linger_ms = int(linger * 1000)
        self.lease_ms = int(lease * 1000)
        # Both the lease and the time of lingering have to be renewed before they run out.
        self.visit = max(0.25, min(linger, lease) / 3)
        self.spare_ms = int(_SPARE * 1000)
