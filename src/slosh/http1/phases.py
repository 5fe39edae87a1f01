"""What a connection is doing: its phases, and which may follow which.

The rules of this file:

* `Connection.phase` is always one of these, and changes by the steps in `STEPS` alone. `tests/http1/test_phases.py`
  records every change while clients do whatever they like, and compares it with the table.
* Three facts are apart from the phase, because they come and go in any of them: the client does not take what was
  written (stalled), the connection waits for its turn, and the server is shutting down (draining).
"""

from collections.abc import Mapping
from typing import Final

IDLE: Final = 0
"""Nothing has come of a next request, or what has come waits for its turn."""
READING_HEAD: Final = 1
"""A part of a head has come. It has `head_timeout` to become whole."""
READING_BODY: Final = 2
"""The head is whole and its body is not. It has `body_timeout` to become whole."""
ANSWERING: Final = 3
"""The request's action runs."""
HELD: Final = 4
"""An exchange owns the request and will answer it: a held poll, an open stream, a download."""
CLOSING: Final = 5
"""The last answer was written, or the connection was cut. All that the client still sends is discarded."""
CLOSED: Final = 6
"""The socket is gone."""

NAMES: Final = ("idle", "reading head", "reading body", "answering", "held", "closing", "closed")

STEPS: Final[Mapping[int, frozenset[int]]] = {
    # A connection beyond `max_connections` is held before it has sent anything; see `reserve.py`.
    IDLE: frozenset({READING_HEAD, READING_BODY, ANSWERING, HELD, CLOSING}),
    # A head that came in parts is answered, refused, or timed out; its client may also leave.
    READING_HEAD: frozenset({READING_BODY, ANSWERING, CLOSING}),
    # A body that is too large, wrong, or late is refused, and the connection closed.
    READING_BODY: frozenset({ANSWERING, CLOSING}),
    # The action has answered, or holds the request, or its answer was the last.
    ANSWERING: frozenset({IDLE, HELD, CLOSING}),
    # A connection beyond `max_connections` whose head has come goes back to be read.
    HELD: frozenset({IDLE, CLOSING}),
    # Every end passes here, also that of a client that vanishes: what was under way is dropped once, in one place.
    CLOSING: frozenset({CLOSED}),
    CLOSED: frozenset(),
}
"""From each phase, the phases that may follow it."""
