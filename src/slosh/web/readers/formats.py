"""The framings that a GET can have, and which of them a request is answered in.

Which there are is told by the table of `web/routes.py`: each way of reading brings its own `Format`.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from slosh.errors import BadQuery, BadRequest
from slosh.http1.accept import Accept
from slosh.http1.head import Head
from slosh.web.query import TOPICS, parse_query, read_flag


class Format(NamedTuple):
    """A framing.

    Attributes:
        name: what `format` in the query calls it.
        media_type: what `Accept` calls it, in lower case; empty for a WebSocket, which is asked for with `Upgrade`.
    """

    name: str
    media_type: str


AS_JSON: Final = Format("json", "application/json")
"""One answer, with which the request is over; every other framing is a stream."""
AS_EVENTS: Final = Format("sse", "text/event-stream")
AS_WEBSOCKET: Final = Format("websocket", "")


class Formats:
    """The framings that this server has.

    Args:
        offered: them, in the order in which an error names them; `AS_JSON` is the one without any wish.
    """

    def __init__(self, offered: Iterable[Format]) -> None:
        self._by_name = {each.name: each for each in offered if each.media_type}

    def choose(self, head: Head, parameters: Mapping[str, str]) -> Format:
        """The framing that a request wants.

        Args:
            parameters: the query of the request, decoded.

        Raises:
            BadQuery: `format` is none of them.
        """
        # RFC 9110 §7.8: what HTTP/1.0 says of an upgrade is ignored.
        if head.minor and "websocket" in head.tokens(b"upgrade") and "upgrade" in head.tokens(b"connection"):
            return AS_WEBSOCKET
        if "format" in parameters:
            chosen = self._by_name.get(parameters["format"])
            if chosen is None:
                *names, last = self._by_name
                choices = f"{', '.join(names)} or {last}"
                raise BadQuery("format", f"format is {choices}; a WebSocket is asked for with Upgrade.")
            return chosen
        accept = Accept(head)
        if not accept.is_there:
            return AS_JSON

        def rank(chosen: Format) -> tuple[float, bool, int]:
            """By weight. Of equal ones a stream that is named wins over JSON, and JSON over what a range matches."""
            kind, weight = chosen.media_type, accept.weight(chosen.media_type)
            is_named = weight > 0 and chosen is not AS_JSON and accept.names(kind)
            return weight, is_named, accept.position(kind) if is_named else int(chosen is AS_JSON)

        return max(self._by_name.values(), key=rank)

    def asks_for_events(self, head: Head) -> bool:
        """Whether a request is one that is answered with an event stream, as far as its head makes sense."""
        if head.method != "GET" or not (head.path + "/").startswith(TOPICS):
            return False
        try:
            parameters = parse_query(head.query)
            if head.path + "/" == TOPICS:
                return read_flag(parameters, "watch")
            return not read_flag(parameters, "watchers") and self.choose(head, parameters) is AS_EVENTS
        except BadRequest:
            return False
