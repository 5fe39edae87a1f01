"""How an error is told to the client that asked: as a problem document, as a page, or as an event stream that ends.

An `EventSource` gives up for ever on any status but 200 (WHATWG HTML §9.2.3). So a refusal that is worth trying again
reaches it as a stream of one event, `refused`, with the time after which it comes back by itself.
"""

from typing import Final

from slosh.errors import Draining, SloshError
from slosh.http1.head import Head
from slosh.http1.response import EVENT_STREAM, STREAMING, problem, problem_body
from slosh.http1.state import ServerState
from slosh.web.pages.error_page import error_page, wants_page
from slosh.web.readers.formats import Formats

RETRY: Final = 2000
"""Milliseconds that a client of an event stream waits at least before it comes back."""
RETRY_AT_ONCE: Final = 100
"""The same if the next server serves already, so that readers miss next to nothing; at most twice as long."""
_RETRY_JITTER: Final = 1000
"""Milliseconds more at most, different for each client, so that a restart does not bring all back at once."""
_VARY: Final = b"Vary: Accept\r\n"
_PASSING: Final = frozenset({429, 503})


def render_refusal(
    error: SloshError, head: Head | None, server: ServerState, formats: Formats
) -> tuple[int, bytes, bytes]:
    """The status, the header lines and the body that tell `error`.

    Args:
        head: of the request; None if it was not read.
        formats: the framings that there are.
    """
    if server.has_successor and isinstance(error, Draining):
        error = Draining(has_successor=True)
    if error.status in _PASSING and head is not None and formats.asks_for_events(head):
        seconds = dict(error.fields).get("Retry-After", "")
        if seconds == "0":
            retry = _find_shortest(server)
        else:
            retry = find_retry(server, int(seconds) * 1000 if seconds.isdecimal() else 0)
        body = b"retry: %d\nevent: refused\ndata: %b\n\n" % (retry, problem_body(error))
        return 200, EVENT_STREAM + STREAMING, body
    if head is None or head.method not in ("GET", "HEAD"):
        return problem(error)
    status, fields, body = (
        error_page(error, head, has_view=server.settings.view == "on") if wants_page(head) else problem(error)
    )
    return status, fields + _VARY, body


def find_retry(server: ServerState, shortest: int = 0) -> int:
    """Milliseconds after which the client of an event stream is told to come back, different for each.

    While the server shuts down they are longer than that takes; if the next one serves already they are short.

    Args:
        shortest: milliseconds that it is to wait at least.
    """
    if server.has_successor:
        return max(shortest, _find_shortest(server))
    if server.draining:
        shortest = max(shortest, int(server.settings.drain * 1000) + RETRY)
    return max(shortest, RETRY) + int(_RETRY_JITTER * server.random())


def _find_shortest(server: ServerState) -> int:
    return RETRY_AT_ONCE + int(RETRY_AT_ONCE * server.random())
