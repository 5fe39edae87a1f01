"""The phases of a connection, and the legal transitions between them.

The rules of this file:

* `Connection.phase` is always one of these, and only changes by the transitions in `STEPS`.
  `tests/http1/test_phases.py` records every change under random clients, and compares it with the table.
* Three facts are separate from the phase, because they may hold in any of them: the client does not read what was
  written (stalled), the connection waits for its turn, and the server is shutting down (draining).
"""

from collections.abc import Mapping
from typing import Final

IDLE: Final = 0
"""No bytes of the next request were read: none has come, or they wait for their turn."""
READING_HEAD: Final = 1
"""A part of a head has come. The rest must come within `head_timeout`."""
READING_BODY: Final = 2
"""The head is complete and the body is not. The rest must come within `body_timeout`."""
ANSWERING: Final = 3
"""The request's action runs."""
HELD: Final = 4
"""An exchange owns the request and will answer it: a held poll, an open stream, a download."""
CLOSING: Final = 5
"""The last answer was written, or the connection was cut. Anything received afterwards is discarded."""
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
